"""Every command of ``airflow monitoring`` on a store with a real job: what it prints, and how it ends."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from airflow_monitoring_provider.definitions import Window, load_definition
from airflow_monitoring_provider.hooks.ports import open_ports
from airflow_monitoring_provider.jobs.run import run_job

READING = [
    ("definitions", "list"),
    ("jobs", "list"),
    ("jobs", "show", "JOB"),
    ("results", "show", "JOB"),
    ("definitions", "validate", "FILE"),
    ("definitions", "list", "--folder", "FOLDER"),
]
JOB_COLUMNS = {
    "job_id",
    "definition",
    "deployment",
    "window_start",
    "window_end",
    "window_kind",
    "state",
    "status",
    "rows",
    "rejected",
}


AT_LENGTH = {
    "direction",
    "primary",
    "critical_value",
    "binning",
    "precision",
    "missing_reference",
    "missing_current",
    "details",
}


@pytest.fixture
def folder(tmp_path: Path, churn_payload: dict[str, Any]) -> Path:
    """A folder with a good definition file and a broken one."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "good.yaml").write_text(yaml.safe_dump(churn_payload))
    (folder / "broken.yaml").write_text(yaml.safe_dump(churn_payload | {"prediction_threshold": 7, "typo": 1}))
    return folder


@pytest.mark.parametrize("line", READING, ids=" ".join)
def test_json_yaml_and_table_tell_the_same(
    line: tuple[str, ...], command: Callable[..., Any], completed_job: str, folder: Path
) -> None:
    names = {"JOB": completed_job, "FILE": str(folder / "good.yaml"), "FOLDER": str(folder)}
    arguments = [names.get(word, word) for word in line]
    as_json, as_yaml = command(*arguments, "-o", "json"), command(*arguments, "-o", "yaml")
    as_table = command(*arguments, "-o", "table")
    assert (0, 0, 0) == (as_json.code, as_yaml.code, as_table.code)
    rows = json.loads(as_json.out)
    assert rows
    assert rows == yaml.safe_load(as_yaml.out)
    headings = {"field", "value"} if line[:2] == ("jobs", "show") else set(rows[0]) - {"finding", "note", *AT_LENGTH}
    assert headings == {word.strip() for word in as_table.out.splitlines()[0].split("|")}


def test_jobs_list(command: Callable[..., Any], completed_job: str) -> None:
    (row,) = json.loads(command("jobs", "list", "-o", "json").out)
    assert JOB_COLUMNS == set(row)
    assert (completed_job, "churn", "completed", 400, 3) == (
        row["job_id"],
        row["definition"],
        row["state"],
        row["rows"],
        row["rejected"],
    )


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (("--state", "completed"), 1),
        (("--state", "failed"), 0),
        (("--deployment", "churn-model"), 1),
        (("--definition", "churn"), 1),
        (("--limit", "1"), 1),
    ],
)
def test_jobs_list_filters(
    options: tuple[str, ...], found: int, command: Callable[..., Any], completed_job: str
) -> None:
    answer = command("jobs", "list", *options, "-o", "json")
    assert (0, found) == (answer.code, len(json.loads(answer.out)))


def test_jobs_of_an_unknown_deployment_are_no_empty_list(command: Callable[..., Any], completed_job: str) -> None:
    answer = command("jobs", "list", "--deployment", "other")
    assert "airflow monitoring: no deployment has this id" == answer.code  # printed, and exit code 1


def test_jobs_show_has_counts_hash_and_log(command: Callable[..., Any], completed_job: str) -> None:
    (job,) = json.loads(command("jobs", "show", completed_job, "-o", "json").out)
    assert 397 == job["status_counts"]["monitored"]
    assert (1, 64) == (job["snapshot_revision"], len(job["content_hash"]))
    assert any("reading table 'scores'" in line for line in job["log"])


def test_results_show_filters(command: Callable[..., Any], completed_job: str) -> None:
    everything = json.loads(command("results", "show", completed_job, "-o", "json").out)
    psi = json.loads(
        command("results", "show", completed_job, "--metric", "psi", "--column", "amount", "-o", "json").out
    )
    assert [("psi", "amount")] == [(row["metric"], row["column"]) for row in psi]
    healthy = json.loads(command("results", "show", completed_job, "--status", "no_detection", "-o", "json").out)
    assert 0 < len(healthy) < len(everything)
    assert {"no_detection"} == {row["status"] for row in healthy}


def test_results_say_how_each_value_was_made(command: Callable[..., Any], completed_job: str) -> None:
    rows = json.loads(command("results", "show", completed_job, "-o", "json").out)
    (psi,) = [row for row in rows if (row["metric"], row["column"]) == ("psi", "amount")]

    assert ("lower_is_better", True) == (psi["direction"], psi["primary"])
    assert psi["binning"].startswith("quantile")
    assert {"shift", "largest_bucket"} == psi["precision"].keys()
    for name in ("n", "m", "p_value", "adjusted_p_value", "critical_value", "missing_reference", "missing_current"):
        assert isinstance(psi[name], int | float), name
    assert all((row["value"] is None) <= bool(row["reason"]) for row in rows)
    assert {row["direction"] for row in rows} == {"lower_is_better", "higher_is_better", "two_sided"}


def test_results_show_intervals_and_none_where_there_are_none(command: Callable[..., Any], completed_job: str) -> None:
    rows = json.loads(command("results", "show", completed_job, "-o", "json").out)
    with_interval = [row for row in rows if row["low"] is not None]
    assert with_interval
    assert all(row["low"] <= row["value"] <= row["high"] for row in with_interval if row["metric"] == "missing_rate")
    assert {(None, None)} == {(row["low"], row["high"]) for row in rows if row["metric"] == "psi"}


def test_scores_that_actuals_may_still_change_say_until_when(
    command: Callable[..., Any], run_day: Callable[[int], str], churn_payload: dict[str, Any], scores: Path
) -> None:
    churn_payload["minimums"] = {"maturity_age": "30d"}
    mature = run_day(0)
    with contextlib.closing(sqlite3.connect(scores)) as connection, connection:
        changed = "CASE WHEN id % 3 = 0 THEN 'unsure' WHEN id % 3 = 1 THEN churned END"
        connection.execute(f"UPDATE scores SET churned = {changed} WHERE at >= '2026-03-02'")
        unsure = connection.execute(
            "SELECT count(*) FROM scores WHERE churned = 'unsure' AND at < '2026-03-03'"
            " AND churn_probability BETWEEN 0 AND 1"
        ).fetchone()[0]
    young = run_day(1)

    notes = {
        job: {row["metric"]: row["note"] for row in json.loads(command("results", "show", job, "-o", "json").out)}
        for job in (mature, young)
    }
    until = "provisional until 2026-04-02T00:00:00+00:00"
    left_out = f"{unsure} rows left out: their actual is of no known class, or no number where it must be one"
    assert {""} == set(notes[mature].values())
    assert f"{until}; {left_out}" == notes[young]["accuracy"] == notes[young]["label_coverage"]
    shown = {job: json.loads(command("jobs", "show", job, "-o", "json").out)[0]["provisional"] for job in notes}
    assert {mature: "", young: until} == shown
    lines = command("results", "show", young, "-o", "table").out.splitlines()
    assert any(line.startswith("label_coverage, accuracy, ") and line.endswith(left_out) for line in lines)


def test_the_deviation_of_a_score_stands_beside_it(
    command: Callable[..., Any], run_day: Callable[[int], str], churn_payload: dict[str, Any]
) -> None:
    churn_payload["significance"] = {"deviation": "sagemaker"}
    rows = {row["metric"]: row for row in json.loads(command("results", "show", run_day(0), "-o", "json").out)}
    deviation = rows["accuracy"]["details"]["standard_deviation"]
    said = re.fullmatch(r"standard deviation ([\d.]+) over draws of 80 % of the rows", rows["accuracy"]["note"])
    assert said is not None
    assert deviation == pytest.approx(float(said[1]), rel=0.01)


def test_what_moved_is_said_of_a_drifted_column_and_in_the_job(
    command: Callable[..., Any], run_day: Callable[[int], str]
) -> None:
    run_day(0)
    job = run_day(2)
    rows = json.loads(command("results", "show", job, "-o", "json").out)
    said = {(row["metric"], row["column"]): row["finding"] for row in rows}
    assert re.fullmatch(
        r"amount: values .+ (rose|fell) from [\d.]+ % to [\d.]+ %, .+ %; the median (rose|fell) from .+\.",
        said["psi", "amount"],
    )
    assert {"detected"} == {row["status"] for row in rows if row["finding"]}
    (shown,) = json.loads(command("jobs", "show", job, "-o", "json").out)
    assert said["psi", "amount"] == shown["findings"][0]
    assert {row["finding"] for row in rows} - {""} == set(shown["findings"])
    table = command("jobs", "show", job, "-o", "table").out
    assert said["psi", "amount"][:40] in table


def test_hostile_levels_and_columns_are_only_text_on_a_terminal(
    command: Callable[..., Any], scores: Path, run_day: Callable[[int], str], churn_payload: dict[str, Any]
) -> None:
    column, level = "[/red]\u202e[bold]c", "\x1b[31m[link=x]l\nevel\u2066"
    with sqlite3.connect(scores) as connection:
        connection.execute(f'ALTER TABLE scores RENAME COLUMN region TO "{column}"')
        connection.execute(f'UPDATE scores SET "{column}" = ? WHERE at > ?', (level, "2026-03-03"))
    connection.close()
    churn_payload["features"] = ["amount", column]
    run_day(0)
    job = run_day(2)
    for form in ("table", "plain"):
        for line in (("results", "show", job, "--column", column), ("jobs", "show", job)):
            answer = command(*line, "-o", form)
            assert 0 == answer.code
            assert [] == [text for text in answer.out.split("\n") if not text.isprintable()]
            assert r"[/red]\u202e[bold]c: values that the baseline" in answer.out
    (row,) = json.loads(command("results", "show", job, "--metric", "psi", "--column", column, "-o", "json").out)
    assert row["finding"].startswith(r"[/red]\u202e[bold]c: ")
    assert row["finding"].isprintable()
    assert column == row["column"]


def test_abort_of_a_job_that_has_ended_says_so(command: Callable[..., Any], completed_job: str) -> None:
    answer = command("jobs", "abort", completed_job)
    assert (0, "The job is not running; nothing to do.\n") == (answer.code, answer.out)


def test_abort_of_a_running_job_is_seen_by_it(
    command: Callable[..., Any], completed_job: str, churn_payload: dict[str, Any]
) -> None:
    import datetime as dt

    from airflow_monitoring_provider.definitions import Window, load_definition
    from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

    start = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    with MonitoringStoreHook().get_conn() as store:
        record = store.register_definition(load_definition(churn_payload))
        claim = store.claim(record, Window.of(start, start + dt.timedelta(days=1)), batch_name="running")
        answer = command("jobs", "abort", claim.job_id)
        assert (0, "The job was asked to end.\n") == (answer.code, answer.out)
        assert store.progress(claim, percent=1.0, scored=0, failed=0, skipped=0, message=None)


@pytest.mark.parametrize(
    "line",
    [("jobs", "show", "no-such-job"), ("jobs", "abort", "no-such-job"), ("results", "show", "no-such-job")],
    ids=" ".join,
)
def test_unknown_job_is_one_sentence(line: tuple[str, ...], command: Callable[..., Any], completed_job: str) -> None:
    answer = command(*line)
    assert "" == answer.out
    assert "airflow monitoring: no job has this id" == answer.code


def test_unknown_definition_is_one_sentence(command: Callable[..., Any], completed_job: str) -> None:
    answer = command("jobs", "list", "--definition", "no-such-definition")
    assert str(answer.code).startswith("airflow monitoring: ")
    assert 1 == len(str(answer.code).splitlines())


def test_validate_names_file_field_and_problem_and_fails(command: Callable[..., Any], folder: Path) -> None:
    answer = command("definitions", "validate", str(folder), "-o", "json")
    rows = json.loads(answer.out)
    assert 1 == answer.code
    assert {"good.yaml": "true", "broken.yaml": "false"} == {Path(row["file"]).name: row["valid"] for row in rows}
    assert {"prediction_threshold", "typo"} == {row["field"] for row in rows if row["valid"] == "false"}


def test_validate_of_a_missing_file_fails_with_its_name(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("definitions", "validate", str(tmp_path / "none.yaml"), "-o", "json")
    assert 1 == answer.code
    assert "none.yaml" in answer.out


def test_list_of_a_missing_folder_is_one_sentence(command: Callable[..., Any], tmp_path: Path) -> None:
    answer = command("definitions", "list", "--folder", str(tmp_path / "none"))
    assert str(answer.code).startswith("airflow monitoring: ")


def test_store_that_is_not_migrated_names_the_command(
    command: Callable[..., Any], set_connection: Callable[..., None], postgres_url: str
) -> None:
    _connect(set_connection, postgres_url)
    for line in (("db", "check"), ("jobs", "list"), ("definitions", "list")):
        answer = command(*line)
        assert "airflow monitoring db migrate" in str(answer.code), line
        assert 1 == len(str(answer.code).splitlines())


def test_migrate_then_check_then_migrate_again(
    command: Callable[..., Any], set_connection: Callable[..., None], postgres_url: str
) -> None:
    _connect(set_connection, postgres_url)
    outs = [command(*line) for line in (("db", "migrate"), ("db", "check"), ("db", "migrate"))]
    assert [0, 0, 0] == [answer.code for answer in outs]
    assert [
        "The store's tables are up to date now.\n",
        "The store answers and its tables are up to date.\n",
        "The store's tables were up to date already.\n",
    ] == [answer.out for answer in outs]


def test_adopting_a_lost_store_is_done_once(
    command: Callable[..., Any], set_connection: Callable[..., None], postgres_url: str
) -> None:
    _connect(set_connection, postgres_url)
    outs = [command(*line) for line in (("db", "migrate"), ("db", "adopt", "lost"), ("db", "adopt", "lost"))]
    assert [0, 0, 0] == [answer.code for answer in outs]
    assert [
        "This store continues that one now: it may write what that one wrote.\n",
        "This store continues that one already; nothing to do.\n",
    ] == [answer.out for answer in outs[1:]]


def test_unreachable_store_is_one_sentence_without_its_password(
    command: Callable[..., Any], set_connection: Callable[..., None]
) -> None:
    set_connection(
        "far", conn_type="monitoring_store", host="127.0.0.1", port=1, schema="s", login="me", password="canary-4711"
    )
    answer = command("db", "check", "--store-conn-id", "far")
    assert str(answer.code).startswith("airflow monitoring: ")
    assert "canary-4711" not in str(answer.code) + answer.out + answer.err


def test_missing_connection_is_one_sentence(command: Callable[..., Any]) -> None:
    answer = command("jobs", "list", "--store-conn-id", "nowhere")
    assert "'nowhere'" in str(answer.code)


def test_real_command_ends_with_1_and_no_traceback(airflow_home: Path, completed_job: str) -> None:
    airflow = str(Path(sys.executable).parent / "airflow")
    done = subprocess.run(
        [airflow, "monitoring", "jobs", "show", "no-such-job"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert (1, "") == (done.returncode, done.stdout)
    assert "airflow monitoring: no job has this id" == done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def _connect(set_connection: Callable[..., None], postgres_url: str) -> None:
    url = sa.make_url(postgres_url)
    set_connection(
        "monitoring_store_default",
        conn_type="monitoring_store",
        host=url.host or str(url.query.get("host", "")),
        port=url.port,
        schema=url.database,
        login=url.username,
        password=url.password,
    )


@pytest.mark.parametrize("form", [("yaml", ()), ("json", ("-o", "json"))], ids=lambda form: form[0])
def test_suggested_checks_are_a_part_of_a_definition_that_loads(
    form: tuple[str, tuple[str, ...]], command: Callable[..., Any], completed_job: str, churn_payload: dict[str, Any]
) -> None:
    answer = command("definitions", "suggest-checks", "churn", "--job", completed_job, "--rows", "100", *form[1])

    assert 0 == answer.code, answer.err
    part = json.loads(answer.out) if form[0] == "json" else yaml.safe_load(answer.out)
    definition = load_definition({**churn_payload, **part})
    assert definition.checks
    assert {"checks", "thresholds"} == part.keys()
    assert definition.thresholds["missing_rate"].columns


def test_suggesting_for_what_is_not_there_says_so(command: Callable[..., Any], completed_job: str) -> None:
    answer = command("definitions", "suggest-checks", "nobody")

    assert "no definition has this id or name" in answer.code
    assert 2 == command("definitions", "suggest-checks", "churn", "--rows", "0").code


def test_results_name_the_columns_that_changed(
    command: Callable[..., Any], completed_job: str, churn_payload: dict[str, Any]
) -> None:
    payload = churn_payload | {"features": None, "checks": {"amount": {"kind": "text"}, "tenure": {"minimum": 0}}}
    checked = load_definition(payload)
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    with open_ports("monitoring_store_default") as ports:
        job = run_job(checked, Window.of(start, start + dt.timedelta(days=1)), ports).job_id

    found = json.loads(command("results", "show", job, "-o", "json").out)

    notes = {row["metric"]: row["reason"] for row in found if row["metric"].endswith("_columns")}
    assert ("amount (text to double, 0 % unreadable)", "tenure") == (notes["retyped_columns"], notes["missing_columns"])
