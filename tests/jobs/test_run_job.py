"""A whole job, from intake to commit, held against a slow recomputation of everything it says."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import JobState
from airflow_monitoring_provider.exceptions import BatchLocked


def of_day(oracle: Any, rows: list[dict[str, Any]]) -> tuple[list[str], list[dict[str, Any]], list[dict[str, Any]]]:
    """Statuses, rows that count as features, and rows that count as predictions."""
    statuses = oracle.statuses(rows, ["score"], ["id"])
    features = [r for r, s in zip(rows, statuses, strict=True) if s != "rejected:duplicate_identifier"]
    scored = [r for r, s in zip(rows, statuses, strict=True) if s in ("monitored", "rejected:missing_identifier")]
    return statuses, features, scored


def test_every_intake_row_gets_one_status_and_none_is_lost(world: Any, define: Any, tools: Any, oracle: Any) -> None:
    rows = tools.day_rows(0)
    world.table("scores", rows + tools.day_rows(1))
    summary = world.run(define())
    statuses, _, _ = of_day(oracle, rows)
    expected = Counter((r["id"], r["region"], s) for r, s in zip(rows, statuses, strict=True))
    assert expected == Counter((r["id"], r["region"], r["status"]) for r in world.rows("results"))
    assert dict(Counter(statuses)) == summary.status_counts
    assert (400, 400) == (summary.rows, summary.output_rows)
    record = world.store.job(summary.job_id)
    assert (JobState.COMPLETED, 100.0) == (record.state, record.percent)
    assert (Counter(statuses)["monitored"], 400) == (record.scored, record.scored + record.failed)


def test_drift_and_performance_are_those_of_the_raw_rows(world: Any, define: Any, tools: Any, oracle: Any) -> None:
    days = [tools.day_rows(0), tools.day_rows(1, shift=0.7)]
    days[1][10]["region"] = days[1][11]["region"] = "the moon"
    world.table("scores", days[0] + days[1])
    _, job = world.run(define()).job_id, world.run(define(), 1).job_id
    (_, before, scored_before), (_, after, scored) = (of_day(oracle, rows) for rows in days)

    def column(rows: list[dict[str, Any]], name: str) -> list[Any]:
        return [row[name] for row in rows]

    for name, psi in (("amount", oracle.psi_of_numbers), ("region", oracle.psi_of_levels)):
        assert psi(column(before, name), column(after, name)) == pytest.approx(world.value(job, "psi", name).value)
    expected = oracle.psi_of_numbers(column(scored_before, "score"), column(scored, "score"))
    assert expected == pytest.approx(world.value(job, "psi", "score").value)
    labelled = [row for row in scored if row["churned"] is not None]
    expected = oracle.auc([row["churned"] == "yes" for row in labelled], column(labelled, "score"))
    assert expected == pytest.approx(world.value(job, "roc_auc").value, abs=1e-12)
    hits = sum((row["score"] >= 0.5) == (row["churned"] == "yes") for row in labelled)
    assert hits / len(labelled) == pytest.approx(world.value(job, "accuracy").value)
    assert len(labelled) / len(scored) == pytest.approx(world.value(job, "label_coverage").value)
    absent = sum(row["amount"] is None for row in after)
    assert absent / len(after) == pytest.approx(world.value(job, "missing_rate", "amount").value)
    unseen = world.value(job, "new_values_share", "region").value
    assert 2 / sum(row["region"] is not None for row in after) == pytest.approx(unseen)


def test_running_again_changes_nothing_but_revision_and_token(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))
    first = world.run(define())
    rows, token = world.rows("results"), world.store.job(first.job_id).token
    again = world.run(define())
    assert (first.content_hash, first.job_id, first.batch_id) == (again.content_hash, again.job_id, again.batch_id)
    key = lambda row: sorted((k, str(v)) for k, v in row.items())  # noqa: E731
    assert sorted(rows, key=key) == sorted(world.rows("results"), key=key)
    assert (first.snapshot_revision + 1, token + 1) == (again.snapshot_revision, world.store.job(first.job_id).token)


def test_an_empty_window_is_irrelevant_and_empties_what_was_written_before(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0) + tools.day_rows(1))
    world.run(define())
    world.run(define(), 1)
    world.table("scores", tools.day_rows(0))
    summary = world.run(define(), 1)
    assert (0, 0, {}) == (summary.rows, summary.output_rows, summary.status_counts)
    assert {0} == {row["id"] // 10_000 for row in world.rows("results") if row["id"] is not None}
    evaluation = world.evaluate(define(), summary)
    assert ("irrelevant", "no_data") == (evaluation.status, evaluation.reason)


def test_a_job_without_a_baseline_says_so(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))
    definition = define(baseline=None)
    summary = world.run(definition)
    assert None is summary.baseline_version
    assert "baseline_missing" == world.value(summary.job_id, "psi", "amount").reason
    assert "baseline_missing" == world.evaluate(definition, summary).reason


def test_no_row_of_another_day_or_without_a_time_is_read(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    edge = tools.FIRST_DAY.replace(tzinfo=None) + dt.timedelta(days=1)
    extra = [dict(rows[0], id=9_000_000, at=None), dict(rows[0], id=9_000_001, at=edge)]
    world.table("scores", rows + extra)
    summary = world.run(define())
    assert (400, 1) == (summary.rows, summary.null_timestamps)
    assert {row["id"] for row in rows} == {row["id"] for row in world.rows("results")}


def test_a_job_without_output_only_commits(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))
    definition = define(output_settings=None)
    summary = world.run(definition)
    assert (400, None) == (summary.rows, summary.output_rows)
    assert not world.has_table("results")


def test_jobs_add_to_a_batch_that_a_person_made_until_it_is_locked(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0) + tools.day_rows(1))
    definition = define()
    world.store.create_deployment(definition.deployment_id)
    batch = world.store.create_batch(definition.deployment_id, "two days")

    first, second = (world.run(definition, day, batch_id=batch.id) for day in (0, 1))
    held = world.store.batch(batch.id)
    monitored = [summary.status_counts["monitored"] for summary in (first, second)]
    assert ("two days", batch.id, sum(monitored)) == (second.batch_name, second.batch_id, held.predictions)
    assert tools.window(0).start <= held.earliest_prediction < tools.window(1).start <= held.latest_prediction
    world.store.lock_batch(batch.id)
    with pytest.raises(BatchLocked, match="locked; unlock it to run the window again"):
        world.run(definition, 1)
    assert held.predictions == world.store.batch(batch.id).predictions


def test_the_revision_that_an_attempt_began_with_is_pinned_on_it(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))
    first = world.run(define())
    edited = define(significance={"alpha": 0.01})
    world.run(edited)
    assert [1, 2] == [attempt.definition_revision for attempt in world.store.attempts(first.job_id)]
    record = world.store.job(first.job_id)
    assert (2, 2) == (record.definition_revision, record.snapshot.definition_revision)


def test_features_named_later_are_those_that_are_watched(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0) + tools.day_rows(1))
    world.run(define(features=["amount"]))
    job = world.run(define(features=["region"]), 1).job_id
    found = {value.column: value for value in world.store.load_values(job) if value.name == "psi"}
    assert {"region", "score", "churned"} == found.keys()
    assert "column_new" == found["region"].reason
    assert 0.0 == world.value(job, "missing_columns").value


def test_evaluating_twice_tells_nobody_twice(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0) + tools.day_rows(1, shift=2.0))
    world.evaluate(define(), world.run(define()))
    summary = world.run(define(), 1)
    first, second = (world.evaluate(define(), summary) for _ in range(2))
    assert ("detected", "detected") == (first.status, second.status)
    assert ("amount",) == first.drifted_columns
    assert (first.alerts > 0, 0) == (True, second.alerts)
    assert first.alerts == len(world.store.pending_alerts())
