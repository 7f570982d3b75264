"""Late actuals: joined in any order and any lateness, counted, restated once."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from sklearn.metrics import log_loss, roc_auc_score

from airflow_monitoring_provider.definitions import JobDefinition, ResultStatus
from airflow_monitoring_provider.definitions.deployment import Health
from airflow_monitoring_provider.jobs import actual_parts
from airflow_monitoring_provider.jobs.health import deployment_health
from airflow_monitoring_provider.jobs.selection import select_batches
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.ui.job_page import render_job
from job_world import FIRST_DAY

ACTUALS = {"key": sa.BigInteger(), "paid": sa.String(), "known": sa.DateTime()}
PREDICTIONS = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}], "association_id_column": "id"}
LATE = {"association_id_column": "key", "actuals_value_column": "paid", "actuals_timestamp_column": "known"}


MATURING = {"labelled_rows": 1, "per_class": 1, "maturity_age": "30d"}


def predictions(define: Any, **changes: Any) -> JobDefinition:
    """A definition that logs predictions and knows no actuals."""
    made: JobDefinition = define(
        **{
            "monitoring_columns": PREDICTIONS,
            "output_settings": None,
            "baseline": None,
            "passthrough_columns": None,
            "minimums": {"labelled_rows": 1, "per_class": 1},
            **changes,
        }
    )
    return made


def actuals(define: Any, table: str = "late", **changes: Any) -> JobDefinition:
    """A definition that has nothing but actuals; the table is read whole."""
    made: JobDefinition = define(
        **{
            "name": changes.get("id", table),
            "intake_settings": {"type": "sql", "data_store_id": "db", "table": table},
            "timestamp_column": None,
            "monitoring_columns": LATE,
            "monitoring_output_settings": None,
            "output_settings": None,
            "passthrough_columns": None,
            "baseline": None,
            "features": [],
            **changes,
        }
    )
    return made


def known(day: float) -> dt.datetime:
    """A moment when an actual became known, as the database holds it."""
    return FIRST_DAY.replace(tzinfo=None) + dt.timedelta(days=day)


def of(rows: list[dict[str, Any]], day: float, share: float = 1.0, seed: int = 5) -> list[dict[str, Any]]:
    """An actual for a share of the rows that have an id, more often yes where the score is higher."""
    chance = random.Random(seed)
    return [
        {"key": row["id"], "paid": "yes" if chance.random() < (row["score"] or 0) else "no", "known": known(day)}
        for row in rows
        if row["id"] is not None and chance.random() < share
    ]


def accuracy_of(rows: list[dict[str, Any]], truth: dict[int, str]) -> dict[str, float]:
    """What scikit-learn says of the rows whose actual is known."""
    usable = [row for row in rows if row["score"] is not None and 0 <= row["score"] <= 1]
    pairs = [(row["score"], truth[row["id"]] == "yes") for row in usable if row["id"] in truth]
    scores, labels = np.array([p for p, _ in pairs]), np.array([y for _, y in pairs])
    return {
        "accuracy": float(np.mean((scores >= 0.5) == labels)),
        "roc_auc": float(roc_auc_score(labels, scores)),
        "log_loss": float(log_loss(labels, scores)),
        "label_coverage": len(pairs) / len(usable),
    }


def found(world: Any, job: str) -> dict[str, float | None]:
    """The same of the store."""
    names = ("accuracy", "roc_auc", "log_loss", "label_coverage")
    return {name: world.value(job, name).value for name in names}


def has_accuracy(world: Any, job: str) -> bool:
    return any(value.name == "accuracy" for value in world.store.load_values(job))


def test_actuals_that_come_later_restate_every_batch_they_touch(world: Any, define: Any, tools: Any) -> None:
    days = [tools.day_rows(day, dirty=False) for day in range(3)]
    world.table("scores", [row for rows in days for row in rows])
    jobs = [world.run(predictions(define), day) for day in range(3)]
    assert not any(has_accuracy(world, job.job_id) for job in jobs)
    late = of(days[0], 5) + of(days[1], 6, 0.5)
    world.table("late", late, ACTUALS)

    summary = world.run(actuals(define), 9)

    truth = {row["key"]: row["paid"] for row in late}
    for rows, job in zip(days[:2], jobs, strict=False):
        assert accuracy_of(rows, truth) == pytest.approx(found(world, job.job_id), abs=1e-9)
        assert 2 == world.store.job(job.job_id).snapshot_revision
    assert not has_accuracy(world, jobs[2].job_id)
    assert 1 == world.store.job(jobs[2].job_id).snapshot_revision
    expected = {
        "rows": len(late),
        "ids": len(late),
        "duplicates": 0,
        "conflicts": 0,
        "matched": len(late),
        "orphans": 0,
    }
    assert expected | {"restated": 2, "unchanged": 0, "locked": 0, "damaged": 0} == summary.actuals
    assert expected == world.store.job(summary.job_id).snapshot.details["actuals"]
    assert 0 == world.store.batch(summary.batch_id).predictions
    assert any("2 restated" in line.line for line in world.store.job(summary.job_id).log)


@pytest.mark.parametrize("parts", [False, True])
def test_times_that_cannot_be_read_are_counted_and_give_way_to_any_other(
    small_world: Any, define: Any, tools: Any, parts: bool
) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    job = world.run(predictions(define)).job_id
    late = [row | {"known": row["known"].isoformat(), "paid": "yes"} for row in of(rows, 3)]
    wrong = [row | {"known": text, "paid": "no"} for row, text in zip(late, ["soon", "32.13.2026"], strict=False)]
    absent = [row | {"known": None, "paid": "no"} for row in late[2:5]]
    world.table("late", [*late, *wrong, *absent], ACTUALS | {"known": sa.String()})
    definition = actuals(define)
    summary = (
        world.run_in_parts(definition, {"by": "key", "column": "key", "count": 2}, 9)
        if parts
        else world.run(definition, 9)
    )
    told = world.store.job(summary.job_id)
    assert 2 == told.snapshot.details["unreadable_actual_times"]
    assert any("2 actuals have a time that cannot be read" in line.line for line in told.log)
    assert 5 == summary.actuals["conflicts"]
    assert {0: 0, 1: len(rows)} == dict(enumerate(from_bytes(world.store.load_profile(job).data).target.actual))


def test_lag_and_coverage_tell_whether_results_are_provisional(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    job = world.run(predictions(define, minimums=MATURING, timezone="Europe/Zurich")).job_id
    world.table("late", of(rows, 3, 0.9), ACTUALS)
    world.run(actuals(define), 9)
    told = {world.value(job, name).details["provisional_until"] for name in ("accuracy", "label_coverage")}
    assert {(tools.window(0).end + dt.timedelta(days=30, hours=-1)).isoformat()} == told  # clocks go forward meanwhile
    assert {True} == {world.value(job, name).details["provisional"] for name in ("accuracy", "label_coverage")}
    page = render_job(world.store.job(job), world.store.results(job, limit=1000).items)
    (until,) = told
    assert f'<th>results</th><td class="text">provisional until {until}</td>' in page
    assert page.count(f"provisional until {until}</td>") > 10  # and beside every score
    lags = [(known(3) - row["at"]).total_seconds() for row in rows if row["id"] in {a["key"] for a in of(rows, 3, 0.9)}]
    assert np.quantile(lags, 0.5) == pytest.approx(world.value(job, "label_lag_p50").value, rel=0.01)
    assert np.quantile(lags, 0.95) == pytest.approx(world.value(job, "label_lag_p95").value, rel=0.01)

    world.table("late", of(rows, 3), ACTUALS)
    world.run(actuals(define), 10)
    assert not {"provisional", "provisional_until"} & world.value(job, "accuracy").details.keys()
    assert "provisional" not in render_job(world.store.job(job), world.store.results(job, limit=1000).items)


def test_the_last_actual_of_an_id_counts_whatever_came_first(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, count=60, dirty=False)
    world.table("scores", rows)
    older, newer = of(rows, 3, seed=1), of(rows, 4, seed=2)
    truth = {row["key"]: row["paid"] for row in newer}
    world.table("older", older, ACTUALS)
    world.table("newer", newer, ACTUALS)
    results = []
    for name, order in (("a", ("older", "newer")), ("b", ("newer", "older"))):
        job = world.run(predictions(define, name=name, deployment_id=name)).job_id
        for position, table in enumerate(order):
            world.run(actuals(define, table, id=f"{table}-{name}", deployment_id=name), 10 + position)
        results.append(found(world, job))
    assert accuracy_of(rows, truth) == pytest.approx(results[0])
    assert results[0] == results[1]


def test_duplicates_conflicts_and_orphans_are_counted(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, count=50, dirty=False)
    world.table("scores", rows)
    job = world.run(predictions(define)).job_id
    once = of(rows, 3)
    other = {"yes": "no", "no": "yes"}
    late = [
        *once,
        *once[:7],  # said again
        *({**row, "paid": other[row["paid"]], "known": known(2)} for row in once[10:13]),  # older, and another value
        *({"key": 900_000 + i, "paid": "yes", "known": known(1)} for i in range(5)),
        {"key": None, "paid": "yes", "known": known(1)},
        {"key": rows[0]["id"], "paid": None, "known": known(8)},
    ]
    world.table("late", late, ACTUALS)
    counts = world.run(actuals(define), 9).actuals
    expected = {"rows": 65, "ids": 55, "duplicates": 10, "conflicts": 3, "matched": 50, "orphans": 5}
    assert expected == {name: counts[name] for name in expected}
    assert accuracy_of(rows, {row["key"]: row["paid"] for row in once}) == pytest.approx(found(world, job))


def test_actuals_without_a_time_count_by_their_window_then_by_their_text(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    rows = tools.day_rows(0, count=40, dirty=False)
    world.table("scores", rows)
    job = world.run(predictions(define)).job_id
    columns = {k: v for k, v in LATE.items() if k != "actuals_timestamp_column"}
    untimed = actuals(define, monitoring_columns=columns)
    tie = [{"key": row["id"], "paid": paid} for row in rows for paid in ("yes", "no")]
    world.table("late", tie, ACTUALS)
    world.run(untimed, 9)
    assert float(np.mean([row["score"] >= 0.5 for row in rows])) == pytest.approx(world.value(job, "accuracy").value)

    world.table("late", [{"key": row["id"], "paid": "no"} for row in rows], ACTUALS)
    world.run(untimed, 8)  # an earlier window's does not win
    assert float(np.mean([row["score"] >= 0.5 for row in rows])) == pytest.approx(world.value(job, "accuracy").value)
    world.run(untimed, 10)
    assert float(np.mean([row["score"] < 0.5 for row in rows])) == pytest.approx(world.value(job, "accuracy").value)


def test_actuals_that_come_before_their_predictions_wait_for_them(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    late = of(rows, 1)
    world.table("late", late, ACTUALS)
    assert len(late) == world.run(actuals(define), 0).actuals["orphans"]
    world.table("scores", rows)
    summary = world.run(predictions(define))
    assert {"restated": 1, "unchanged": 0, "locked": 0, "damaged": 0} == summary.actuals
    assert accuracy_of(rows, {r["key"]: r["paid"] for r in late}) == pytest.approx(found(world, summary.job_id))
    job = world.store.job(summary.job_id)
    assert (2, job.snapshot.content_hash) == (summary.snapshot_revision, summary.content_hash)


def test_an_actuals_job_that_runs_again_changes_nothing(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    job = world.run(predictions(define)).job_id
    world.table("late", of(rows, 3), ACTUALS)
    world.run(actuals(define), 9)
    before = (world.store.job(job).snapshot, world.store.load_values(job), world.store.load_profile(job))

    counts = world.run(actuals(define), 9).actuals

    assert (0, 1) == (counts["restated"], counts["unchanged"])
    assert before == (world.store.job(job).snapshot, world.store.load_values(job), world.store.load_profile(job))


def test_an_actuals_job_whose_rows_changed_takes_back_what_it_said(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    job = world.run(predictions(define)).job_id
    world.table("late", of(rows, 3), ACTUALS)
    world.run(actuals(define), 9)
    world.table("late", [{"key": -1, "paid": "yes", "known": known(3)}], ACTUALS)
    assert 1 == world.run(actuals(define), 9).actuals["restated"]
    assert not has_accuracy(world, job)


def test_predictions_that_run_again_keep_their_actuals(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    world.run(predictions(define))
    late = of(rows, 3)
    world.table("late", late, ACTUALS)
    world.run(actuals(define), 9)
    rows[3]["score"] = 0.75
    world.table("scores", rows)
    job = world.run(predictions(define)).job_id
    assert accuracy_of(rows, {r["key"]: r["paid"] for r in late}) == pytest.approx(found(world, job))


def test_locked_batches_keep_their_results_until_they_are_unlocked(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    summary = world.run(predictions(define))
    world.store.lock_batch(summary.batch_id)
    late = of(rows, 3)
    world.table("late", late, ACTUALS)
    before = world.store.load_values(summary.job_id)
    counts = world.run(actuals(define), 9).actuals
    assert (0, 1, len(late)) == (counts["restated"], counts["locked"], counts["matched"])
    assert before == world.store.load_values(summary.job_id)

    world.store.lock_batch(summary.batch_id, locked=False)
    world.table("late", [], ACTUALS)
    assert 1 == world.run(actuals(define), 10).actuals["restated"]
    assert accuracy_of(rows, {r["key"]: r["paid"] for r in late}) == pytest.approx(found(world, summary.job_id))


def test_deleted_batches_never_count(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    gone = world.run(predictions(define))
    kept = world.run(predictions(define, name="again")).job_id
    late = of(rows, 3)
    world.table("late", late, ACTUALS)
    brought = world.run(actuals(define), 9)
    world.store.delete_batch(gone.batch_id)
    world.table("more", of(rows, 4, seed=8), ACTUALS)
    assert 1 == world.run(actuals(define, "more"), 9).actuals["restated"]
    assert [] == world.store.load_values(gone.job_id)

    world.store.delete_batch(brought.batch_id)  # a batch of actuals: what it said counts no longer
    truth = {r["key"]: r["paid"] for r in of(rows, 4, seed=8)}
    world.run(actuals(define, "more"), 9)
    assert accuracy_of(rows, truth) == pytest.approx(found(world, kept))


def test_segments_get_their_own_accuracy(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = [row for row in tools.day_rows(0, count=600, dirty=False) if row["region"] is not None]
    world.table("scores", rows)
    job = world.run(predictions(define, segments=[{"name": "region", "column": "region"}])).job_id
    late = of(rows, 3)
    world.table("late", late, ACTUALS)
    world.run(actuals(define), 9)
    truth = {r["key"]: r["paid"] for r in late}
    values = {(v.segment, v.name): v.value for v in world.store.load_values(job) if v.column is None}
    for region in ("north", "south", "west", "far east"):
        expected = accuracy_of([row for row in rows if row["region"] == region], truth)
        assert expected == pytest.approx({name: values[f"region={region}", name] for name in expected})


def test_rows_with_actuals_of_their_own_take_later_ones(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0)
    world.table("scores", rows)
    columns = {**PREDICTIONS, "actuals_value_column": "churned"}
    definition = predictions(define, monitoring_columns=columns)
    job = world.run(definition).job_id
    own = found(world, job)
    late = of(rows[:100], 3)
    world.table("late", late, ACTUALS)
    world.run(actuals(define), 9)
    truth = {i: row["churned"] for i, row in enumerate(rows) if row["churned"] is not None and i != 2}
    by_row = [{**row, "id": i} for i, row in enumerate(rows) if i != 2]  # row 2 repeats row 3; row 4 has no id
    ids = {row["id"]: i for i, row in enumerate(rows) if row["id"] is not None and i != 2}
    truth |= {ids[actual["key"]]: actual["paid"] for actual in late}
    assert accuracy_of(by_row, truth) == pytest.approx(found(world, job))
    world.table("late", [], ACTUALS)
    world.run(actuals(define), 9)
    assert own == pytest.approx(found(world, job))


def test_a_regression_joins_numbers_in_whatever_form_they_come(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    definition = predictions(define, monitoring_columns={"predictions_columns": "score", "association_id_column": "id"})
    job = world.run(definition).job_id
    truth = {row["id"]: round(row["score"] + 0.25 * (i % 3), 6) for i, row in enumerate(rows)}
    half = len(rows) // 2
    world.table("late", [{"key": k, "paid": str(v)} for k, v in list(truth.items())[:half]], ACTUALS)
    numbers = {**ACTUALS, "paid": sa.Float()}
    world.table("more", [{"key": k, "paid": v} for k, v in list(truth.items())[half:]], numbers)
    world.run(actuals(define), 9)
    world.run(actuals(define, "more"), 9)
    errors = np.array([row["score"] - truth[row["id"]] for row in rows])
    assert float(np.abs(errors).mean()) == pytest.approx(world.value(job, "mae").value)
    assert float(np.sqrt((errors**2).mean())) == pytest.approx(world.value(job, "rmse").value)


def test_restated_jobs_are_evaluated_with_the_job_that_brought_their_actuals(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    definition = predictions(define, thresholds={"accuracy": {"critical": 0.99}})
    summary = world.run(definition)
    world.evaluate(definition, summary)
    assert ResultStatus.DETECTED is not world.store.job(summary.job_id).overall_status
    world.table("late", of(rows, 3), ACTUALS)
    brought = world.run(actuals(define), 9)
    world.evaluate(actuals(define), brought)
    assert ResultStatus.DETECTED is world.store.job(summary.job_id).overall_status


def test_parts_bring_and_meet_actuals_as_one_task_does(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    late = of(rows, 3)
    world.table("late", late, ACTUALS)
    by_id = {"by": "key", "count": 3}
    job = world.run_in_parts(predictions(define), {**by_id, "column": "id"}).job_id
    summary = world.run_in_parts(actuals(define), {**by_id, "column": "key"}, 9)
    assert (1, len(late)) == (summary.actuals["restated"], summary.actuals["matched"])
    assert accuracy_of(rows, {r["key"]: r["paid"] for r in late}) == pytest.approx(found(world, job))


def test_more_actuals_than_memory_holds_make_the_same_accuracy(
    small_world: Any, define: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_world
    rows = tools.day_rows(0)
    world.table("scores", rows)
    columns = {**PREDICTIONS, "actuals_value_column": "churned"}
    late = [
        *of(rows[50:], 3),
        *of(rows[80:], 2, seed=9),
        *({"key": -i, "paid": "no", "known": known(1)} for i in range(1, 400)),
    ]
    world.table("late", late, ACTUALS)
    seen = []
    for name, size in (("whole", 1 << 20), ("cut", 100)):
        monkeypatch.setattr(actual_parts, "PART_ROWS", size)
        job = world.run(predictions(define, name=name, deployment_id=name, monitoring_columns=columns)).job_id
        counts = world.run(actuals(define, id=name, deployment_id=name), 9).actuals
        seen.append((from_bytes(world.store.load_profile(job).data).content_hash(), counts))
    assert seen[0] == seen[1]
    assert found(world, job)["label_coverage"] > 0.8


def test_batches_together_have_the_accuracy_of_all_their_actuals(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    days = [tools.day_rows(day, count=200, dirty=False) for day in range(2)]
    world.table("scores", [row for rows in days for row in rows])
    batches = [world.run(predictions(define), day).batch_id for day in range(2)]
    health = deployment_health(world.store, "churn-model", tools.window(9).start).accuracy
    assert (Health.UNKNOWN, "no actuals yet", 2) == (health.status, health.message, health.batches)
    late = of(days[0], 5) + of(days[1], 6, 0.5)
    world.table("late", late, ACTUALS)
    world.run(actuals(define), 9)

    selected = select_batches(world.store, "churn-model", batches)
    (part,) = selected.parts
    expected = accuracy_of([row for rows in days for row in rows], {row["key"]: row["paid"] for row in late})
    values = {result.name: result.value for result in part.evaluation.results}
    assert expected == pytest.approx({name: values[name] for name in expected}, abs=1e-9)
    assert (400, 2) == (selected.service.predictions, selected.service.requests)
    rule = {"measurement": "value", "metric": "accuracy", "warningThreshold": 1.0, "failingThreshold": 0.0}
    world.store.change_deployment("churn-model", settings={"health": {"accuracy": rule}})
    health = deployment_health(world.store, "churn-model", tools.window(9).start).accuracy
    assert (Health.WARNING, 2) == (health.status, health.batches)  # the batch of the actuals is none of the last
