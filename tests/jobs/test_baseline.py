"""What a job is compared with: kept reference data sets, and the profile of the first window."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import SourceError, SourceUnavailable, StoreUnavailable
from airflow_monitoring_provider.jobs.baseline import baseline_key
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.store import MonitoringStore
from airflow_monitoring_provider.store.tables import baseline_versions, baselines

REFERENCE = {"type": "reference", "intake_settings": {"type": "sql", "data_store_id": "db", "table": "training"}}


def counting(world: Any, tools: Any) -> list[str]:
    """Labels of the sources whose rows are read from now on."""
    read: list[str] = []

    class Counting(tools.Source):
        def batches(self, batches: Any) -> Any:
            read.append(self.label)
            yield from batches

    world.wrap = Counting
    return read


def test_the_first_window_is_its_own_baseline(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))
    summary = world.run(define())
    assert (1, 0.0) == (summary.baseline_version, world.value(summary.job_id, "psi", "amount").value)


def test_jobs_that_ran_before_the_first_window_are_compared_later_without_rows(
    world: Any, define: Any, tools: Any
) -> None:
    definition = define()
    world.table("scores", [row for day in range(3) for row in tools.day_rows(day, shift=2.0 * (day == 2))])
    early = [world.run(definition, day) for day in (1, 2)]
    assert [None, None] == [summary.baseline_version for summary in early]
    assert ["baseline_missing"] * 2 == [world.evaluate(definition, summary).reason for summary in early]
    first = world.run(definition, 0)
    world.table("scores", [])
    world.wrap = lambda source: pytest.fail("rows were opened")
    world.evaluate(definition, first)
    states = [world.store.job(summary.job_id) for summary in early]
    assert ["no_detection", "detected"] == [state.overall_status.text for state in states]
    assert [(1, 2), (1, 2)] == [(state.snapshot.baseline_version, state.snapshot_revision) for state in states]


def test_late_values_equal_those_of_jobs_that_ran_in_order(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0) + tools.day_rows(1, shift=0.5))
    late, ordered = define(), define(name="in order")
    first_early = world.run(late, 1)
    world.evaluate(late, world.run(late, 0))
    world.run(ordered, 0)
    in_order = world.run(ordered, 1)
    expected = {(v.name, v.column): v.value for v in world.store.load_values(in_order.job_id)}
    assert expected == {(v.name, v.column): v.value for v in world.store.load_values(first_early.job_id)}


def test_a_locked_batch_does_not_keep_the_others_from_their_baseline(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", [row for day in range(3) for row in tools.day_rows(day)])
    locked, free = world.run(define(), 1), world.run(define(), 2)
    world.store.lock_batch(locked.batch_id)
    world.evaluate(define(), world.run(define(), 0))
    assert 1 == world.store.job(free.job_id).snapshot.baseline_version
    assert None is world.store.job(locked.job_id).snapshot.baseline_version


def test_an_evaluation_that_broke_off_is_taken_up_again(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", [row for day in range(3) for row in tools.day_rows(day, shift=2.0 * (day == 2))])
    early = [world.run(define(), day) for day in (1, 2)]
    first = world.run(define(), 0)

    class Breaking(MonitoringStore):
        def record_evaluation(self, *arguments: Any, **more: Any) -> int:
            raise StoreUnavailable("the store is away")

    with Breaking(open_engine(world.store_url), storage=world.storage) as breaking, pytest.raises(StoreUnavailable):
        evaluate_job(first.job_id, define(), breaking)
    assert [None, None] == [world.store.job(summary.job_id).overall_status for summary in early]
    world.evaluate(define(), first)
    found = [world.store.job(summary.job_id).overall_status.text for summary in early]
    assert ["no_detection", "detected"] == found


def test_a_job_evaluated_alone_finds_the_baseline_that_came_meanwhile(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0) + tools.day_rows(1))
    early = world.run(define(), 1)
    world.run(define(), 0)
    assert "no_detection" == world.evaluate(define(), early).status


def test_a_reference_data_set_is_profiled_once_and_kept(world: Any, define: Any, tools: Any) -> None:
    world.table("training", tools.day_rows(7))
    world.table("scores", tools.day_rows(0) + tools.day_rows(1))
    read = counting(world, tools)
    summaries = [world.run(define(baseline=REFERENCE), day) for day in (0, 1, 1)]
    assert [1, 1, 1] == [summary.baseline_version for summary in summaries]
    assert 1 == sum("training" in label for label in read)


def test_an_edited_definition_makes_another_version(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("training", tools.day_rows(7))
    world.table("scores", tools.day_rows(0))
    assert 1 == world.run(define(baseline=REFERENCE)).baseline_version
    assert 2 == world.run(define(baseline=REFERENCE, features=["amount"])).baseline_version
    assert 1 == world.run(define(baseline=REFERENCE)).baseline_version


def test_a_range_of_the_intake_itself_can_be_the_reference(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0) + tools.day_rows(1, count=300))
    intake = {"type": "sql", "data_store_id": "db", "table": "scores"}
    baseline = {"type": "reference", "intake_settings": intake, "start": "2026-03-02", "end": "2026-03-03"}
    summary = world.run(define(baseline=baseline))
    assert 300 == world.value(summary.job_id, "psi", "amount").n


@pytest.mark.parametrize("damage", [b"", b"not a profile", None])
def test_a_damaged_baseline_is_made_again_and_kept(world: Any, define: Any, tools: Any, damage: bytes | None) -> None:
    world.table("training", tools.day_rows(7))
    world.table("scores", tools.day_rows(0))
    definition = define(baseline=REFERENCE)
    first = world.run(definition)
    kept = world.store.load_baseline(definition.id, baseline_key(definition, definition.baseline))
    engine = sa.create_engine(world.store_url)
    with engine.begin() as connection:
        connection.execute(
            baseline_versions.update().values(profile=kept.profile_bytes[:-9] if damage is None else damage)
        )
    engine.dispose()
    read = counting(world, tools)
    again = [world.run(definition) for _ in range(2)]
    assert 1 == sum("training" in label for label in read)
    assert [first.content_hash] * 2 == [summary.content_hash for summary in again]
    assert 0.0 < world.value(first.job_id, "psi", "amount").value


def test_training_data_may_lack_predictions_actuals_and_times(world: Any, define: Any, tools: Any) -> None:
    training = [{"amount": row["amount"], "region": row["region"]} for row in tools.day_rows(7)]
    world.table("training", training, {name: tools.COLUMNS[name] for name in ("amount", "region")})
    world.table("scores", tools.day_rows(0))
    job = world.run(define(baseline=REFERENCE)).job_id
    assert 400 == world.value(job, "psi", "amount").n
    assert "column_new" == world.value(job, "psi", "score").reason
    assert world.value(job, "roc_auc").value is not None


def test_a_reference_that_lacks_a_feature_is_an_error_that_names_it(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("training", [{"region": "x"}], {"region": tools.COLUMNS["region"]})
    world.table("scores", tools.day_rows(0))
    with pytest.raises(SourceError, match=r"Column amount is not in table 'training' of connection 'db'"):
        world.run(define(baseline=REFERENCE))


def test_a_baseline_that_could_not_be_made_says_why(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("training", tools.day_rows(7))
    world.table("scores", tools.day_rows(0))

    class Failing(tools.Source):
        def batches(self, batches: Any) -> Any:
            raise SourceUnavailable("the line is dead")

    world.wrap = Failing
    with pytest.raises(SourceUnavailable):
        world.run(define(baseline=REFERENCE))
    engine = sa.create_engine(world.store_url)
    with engine.connect() as connection:
        found = connection.execute(sa.select(baselines.c.state, baselines.c.reason)).all()
    engine.dispose()
    assert [("failed", "the line is dead")] == [tuple(row) for row in found]
    world.wrap = lambda source: source
    assert 1 == world.run(define(baseline=REFERENCE)).baseline_version


def test_an_empty_reference_is_not_kept(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("training", [])
    world.table("scores", tools.day_rows(0))
    empty = world.run(define(baseline=REFERENCE))
    value = world.value(empty.job_id, "psi", "amount")
    assert (None, None, "baseline_missing") == (empty.baseline_version, value.value, value.reason)
    assert any("no rows" in line.line for line in world.store.job(empty.job_id).log)
    world.table("training", tools.day_rows(7))
    filled = world.run(define(baseline=REFERENCE))
    assert world.value(filled.job_id, "psi", "amount").n > 0


def test_segments_that_a_definition_names_later_have_a_baseline(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("past", tools.day_rows(0))
    world.table("scores", tools.day_rows(1))
    intake = {"type": "sql", "data_store_id": "db", "table": "past"}
    rest = {"output_settings": None, "baseline": {"type": "reference", "intake_settings": intake}}
    world.run(define(**rest), 1)
    done = world.run(define(**rest, segments=["region"], minimums={"reference_rows": 1, "current_rows": 1}), 1)
    found = {
        value.segment: value.value
        for value in world.store.load_values(done.job_id)
        if (value.name, value.column) == ("psi", "amount")
    }
    assert {None, "region=north", "region=far east"} < found.keys()
    assert ["region=__missing__"] == [segment for segment, value in found.items() if value is None]  # few rows
