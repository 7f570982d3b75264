"""A whole Airflow: scheduler, API server, DAG processor and triggerer, and one day's monitoring done through them."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from system import parts

pytestmark = pytest.mark.system

CHURN = "monitoring__churn"
SLOW = "monitoring__slow"
RETRAIN = "retrain_on_drift"
PARTS = "monitoring__parts"
DIALOG = "[...document.querySelectorAll('[role=dialog]')].find(d => d.innerText.includes('Trigger Dag'))"
TITLES = ("Window start", "Window end", "Batch name")
FIELD = "[...document.querySelectorAll('[data-testid=datetime-input]')]"


def _window(day: int) -> dict[str, str]:
    return {"window_start": f"2026-03-{day:02d}T00:00:00Z", "window_end": f"2026-03-{day + 1:02d}T00:00:00Z"}


def _statuses(instance: Any, first: int, last: int) -> Counter[str]:
    found = instance.rows(f"SELECT status FROM churn_monitoring WHERE id BETWEEN {first} AND {last}")
    return Counter(status for (status,) in found)


A_DAY = Counter({"monitored": 249, "rejected:missing_prediction": 1})


def _all_parts_are_healthy_and_no_dag_file_is_broken(instance: Any) -> None:
    health = instance.rest("GET", "/monitor/health")
    assert {"healthy"} == {
        health[part]["status"] for part in ("metadatabase", "scheduler", "triggerer", "dag_processor")
    }
    assert 0 == instance.rest("GET", "/importErrors")["total_entries"]
    assert 0 == instance.rest("GET", "/plugins/importErrors")["total_entries"]
    plugins = {plugin["name"]: plugin for plugin in instance.rest("GET", "/plugins")["plugins"]}
    assert ["/monitoring"] == [app["url_prefix"] for app in plugins["monitoring"]["fastapi_apps"]]


def _run_with_a_window_and_no_logical_date(instance: Any) -> None:
    instance.start(CHURN, "window", **_window(1), batch_name="by hand")
    run = instance.succeeded(CHURN, "window")
    assert run["logical_date"] is None
    assert A_DAY == _statuses(instance, 0, 999)
    summary = instance.returned(CHURN, "window")
    assert ("by hand", 250, dict(A_DAY)) == (summary["batch_name"], summary["rows"], summary["status_counts"])


def _link_of_the_task_leads_to_the_page_of_its_job(instance: Any) -> None:
    links = instance.rest("GET", f"/dags/{CHURN}/dagRuns/window/taskInstances/run_job/links")["extra_links"]
    job_id = instance.returned(CHURN, "window")["job_id"]
    assert {"Monitoring report": f"/monitoring/jobs/{job_id}"} == links
    status, page = instance.page(links["Monitoring report"])
    page = page.replace("<wbr>", "")  # where a long name may be broken
    assert 200 == status
    assert {"churn", "249 rows", "roc_auc", "amount"} == {
        word for word in ("churn", "249 rows", "roc_auc", "amount") if word in page
    }


def _half_a_window_fails_at_once_and_says_why(instance: Any) -> None:
    instance.start(CHURN, "half", window_start="2026-03-01T00:00:00Z")
    run = instance.finished(CHURN, "half")
    task = instance.tasks(CHURN, "half")["run_job"]
    assert ("failed", "failed", 1, 2) == (run["state"], task["state"], task["try_number"], task["max_tries"])
    log = instance.log(CHURN, "half", "run_job")
    assert "window_end" in log
    assert "Traceback" not in log


def _cleared_task_leaves_the_same_rows_and_the_next_revision(instance: Any) -> None:
    before, first = instance.returned(CHURN, "window"), _statuses(instance, 0, 999)
    body = {"dry_run": False, "dag_run_id": "window", "task_ids": ["run_job"], "only_failed": False}
    assert 1 == instance.rest("POST", f"/dags/{CHURN}/clearTaskInstances", body)["total_entries"]
    instance.succeeded(CHURN, "window")
    after = instance.returned(CHURN, "window")
    assert 2 == instance.tasks(CHURN, "window")["run_job"]["try_number"]
    assert first == _statuses(instance, 0, 999)
    assert before["content_hash"] == after["content_hash"]
    assert before["snapshot_revision"] + 1 == after["snapshot_revision"]


def _parts_of_a_job_are_tasks_and_give_what_one_task_gives(instance: Any) -> None:
    instance.start(PARTS, "window", **_window(1))
    instance.succeeded(PARTS, "window")
    found = instance.rest("GET", f"/dags/{PARTS}/dagRuns/window/taskInstances")["task_instances"]
    assert [0, 1, 2] == sorted(task["map_index"] for task in found if task["task_id"] == "run_job.profile_part")
    one, many = instance.returned(CHURN, "window"), instance.returned(PARTS, "window", "run_job.merge_and_commit")
    assert one["content_hash"] == many["content_hash"]
    assert A_DAY == Counter(status for (status,) in instance.rows("SELECT status FROM parts_monitoring"))
    assert "no_detection" == instance.returned(PARTS, "window", "evaluate_monitors")["status"]


def _backfill_of_three_days(instance: Any) -> None:
    body = {"dag_id": CHURN, "from_date": "2026-03-03T00:00:00Z", "to_date": "2026-03-05T00:00:00Z"}
    answer = instance.rest("POST", "/backfills", body)
    assert answer.get("status") in (None, 409), (
        answer
    )  # 409: an earlier call was told that SQLite is busy, and was done
    (backfill,) = instance.rest("GET", f"/backfills?dag_id={CHURN}")["backfills"]
    runs = instance.until(lambda: _ended_backfill(instance, backfill["id"]), "the end of the backfill", 150)
    assert {"success"} == {run["state"] for run in runs}
    assert 3 * A_DAY["monitored"] == _statuses(instance, 2000, 4999)["monitored"]
    with instance.store() as store:
        windows = {job.window.start.day for job in store.jobs() if job.definition_id == "churn"}
    assert {3, 4, 5} <= windows


def _ended_backfill(instance: Any, backfill_id: int) -> Any:
    if not instance.rest("GET", f"/backfills/{backfill_id}")["completed_at"]:
        return None
    runs = instance.rest("GET", f"/dags/{CHURN}/dagRuns?run_type=backfill")["dag_runs"]
    return runs if len(runs) == 3 and all(run["state"] in ("success", "failed") for run in runs) else None


def _result_starts_the_dag_that_waits_for_it_and_drift_decides_what_it_does(instance: Any) -> None:
    """The days of the backfill have drifted, so a run that saw their events retrains; the first window had not."""

    def retrained() -> Any:
        runs = instance.rest("GET", f"/dags/{RETRAIN}/dagRuns?limit=100")["dag_runs"]
        states = {instance.tasks(RETRAIN, run["dag_run_id"])["retrain"]["state"] for run in runs}
        return "success" in states and runs

    runs = instance.until(retrained, "a run that retrains")
    assert {"asset_triggered"} == {run["run_type"] for run in runs}
    first = min(runs, key=lambda run: run["run_after"])
    assert "skipped" == instance.tasks(RETRAIN, first["dag_run_id"])["retrain"]["state"]


def _killed_job_is_aborted_in_the_store_and_leaves_no_rows(instance: Any) -> None:
    instance.start(SLOW, "killed", **_window(1))

    def job() -> Any:
        with instance.store() as store:
            return next((job for job in store.jobs() if job.definition_id == "slow"), None)

    assert "running" == instance.until(job, "the job's claim").state
    path = f"/dags/{SLOW}/dagRuns/killed/taskInstances/run_job"
    assert 1 == instance.rest("PATCH", path, {"new_state": "failed"})["total_entries"]
    instance.until(lambda: job().state != "running", "the end of the job", 30)
    assert ("aborted", 0) == (job().state, job().snapshot_revision)
    assert [] == instance.rows("SELECT name FROM sqlite_master WHERE name = 'slow_monitoring'")
    assert "failed" == instance.finished(SLOW, "killed")["state"]


def _sensor_waits_on_while_the_triggerer_is_killed_and_started_anew(instance: Any) -> None:
    """What it waits for happens while there is no triggerer."""
    with instance.store() as store:
        store.create_deployment("waited-for")
        batch = store.create_batch("waited-for", "b").id
        instance.start("wait_for_health", "run")
        waits = lambda: instance.tasks("wait_for_health", "run").get("wait", {}).get("state") == "deferred"  # noqa: E731
        instance.until(waits, "the deferral")
        triggerer = instance.tasks("wait_for_health", "run")["wait"]["trigger"]
        assert "MonitoringStoreTrigger" in triggerer["classpath"]
        killed = parts.kill(instance.home, "triggerer", with_children=True)
        store.report_deployment_stats(1, 1.0, batch, server_errors=1)
        assert waits()
        killed.start()
    instance.succeeded("wait_for_health", "run")
    assert "failing" == instance.returned("wait_for_health", "run", "wait")["service"]["status"]


def _connection_test_says_whether_the_store_answers(instance: Any) -> None:
    def tested(**fields: Any) -> Any:
        body = {"connection_id": "store", "conn_type": "monitoring_store", **fields}
        return instance.rest("POST", "/connections/test", body)

    path = instance.home / "monitoring" / "store.sqlite"
    good = tested(extra=json.dumps({"path": str(path)}))
    assert {"status": True, "message": "The store answers and its tables are up to date."} == good
    bad = tested(host="127.0.0.1", port=1, schema="monitoring", login="somebody", password="canary-4711")
    assert bad["status"] is False
    assert "canary-4711" not in bad["message"]
    neither = tested()
    assert (False, True) == (neither["status"], "names neither" in neither["message"])


def _pick(browser: Any, field: int, day: str) -> None:
    browser.click(f"{FIELD}[{field}]")
    browser.type("document.querySelector('input[placeholder=\"YYYY/MM/DD\"]')", day)
    browser.type("document.querySelector('input[placeholder=\"HH:mm\"]')", "00:00")
    browser.escape()
    browser.wait("!document.querySelector('input[placeholder=\"YYYY/MM/DD\"]')")


def _button(text: str, within: str = "document") -> str:
    return f"[...({within}).querySelectorAll('button')].find(b => b.innerText.trim() === {text!r})"


def _form_takes_a_window_and_starts_a_run_over_it(instance: Any, browser: Any) -> None:
    if browser is None:
        pytest.skip("needs a browser: install chromium")
    browser.call("Page.navigate", url=f"{instance.address}/dags/monitoring__churn")
    browser.click(_button("Trigger"))
    form = browser.wait(f"({DIALOG}).innerText.includes('Batch name') && ({DIALOG}).innerText")
    assert list(TITLES) == [line for line in form.splitlines() if line in TITLES]
    first = browser.read(f"{FIELD}.length") - 2  # the logical date comes before the two of the window
    _pick(browser, first, "2026/03/02")
    _pick(browser, first + 1, "2026/03/03")
    browser.type("document.querySelector('input[name=element_batch_name]')", "from the form")
    browser.picture(instance.home / "form.png")
    browser.click(_button("Trigger", DIALOG))
    browser.wait(f"!({DIALOG})")
    run = _run_of_the_form(instance)
    instance.succeeded("monitoring__churn", run["dag_run_id"])
    summary = instance.returned("monitoring__churn", run["dag_run_id"])
    assert ("2026-03-02T00:00:00+00:00", "2026-03-03T00:00:00+00:00", "from the form") == (
        summary["window_start"],
        summary["window_end"],
        summary["batch_name"],
    )


def _run_of_the_form(instance: Any) -> Any:
    runs = instance.rest("GET", "/dags/monitoring__churn/dagRuns?limit=100")["dag_runs"]
    found = [run for run in runs if run["conf"].get("batch_name") == "from the form"]
    assert 1 == len(found), runs
    return found[0]


def _scheduler_started_nothing_of_its_own(instance: Any) -> None:
    """The definitions have ended long ago."""
    for dag_id in (CHURN, SLOW, PARTS):
        assert 0 == instance.rest("GET", f"/dags/{dag_id}/dagRuns?run_type=scheduled")["total_entries"]


STEPS = (
    _all_parts_are_healthy_and_no_dag_file_is_broken,
    _run_with_a_window_and_no_logical_date,
    _link_of_the_task_leads_to_the_page_of_its_job,
    _half_a_window_fails_at_once_and_says_why,
    _cleared_task_leaves_the_same_rows_and_the_next_revision,
    _parts_of_a_job_are_tasks_and_give_what_one_task_gives,
    _backfill_of_three_days,
    _result_starts_the_dag_that_waits_for_it_and_drift_decides_what_it_does,
    _killed_job_is_aborted_in_the_store_and_leaves_no_rows,
    _sensor_waits_on_while_the_triggerer_is_killed_and_started_anew,
    _connection_test_says_whether_the_store_answers,
    _form_takes_a_window_and_starts_a_run_over_it,
    _scheduler_started_nothing_of_its_own,
)


def test_instance(instance: Any, browser: Any, subtests: pytest.Subtests) -> None:
    """One test, because later steps look at what earlier ones left, and two instances would be one too many."""
    for step in STEPS:
        with subtests.test(step.__name__.strip("_").replace("_", " ")):
            step(instance, browser) if step is _form_takes_a_window_and_starts_a_run_over_it else step(instance)
