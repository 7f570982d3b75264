"""How attempts end that do not commit: aborted, superseded, failed; and what they leave behind: nothing."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import JobState, job_id
from airflow_monitoring_provider.exceptions import (
    JobAborted,
    JobInterrupted,
    SourceUnavailable,
    StoreUnavailable,
    Superseded,
    TooManyRejectedRows,
)
from airflow_monitoring_provider.intake import faults as intake_faults
from airflow_monitoring_provider.jobs import progress
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.outputs import faults as output_faults
from airflow_monitoring_provider.store import errors as store_errors
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.store import MonitoringStore

SECRET = "planted-in-a-row"


@pytest.fixture(autouse=True)
def report_every_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small data is read faster than a second."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_REPORTS", -1.0)


def in_slices(world: Any, tools: Any, before: Any, rows: int = 50) -> None:
    """Deliver rows in slices, and call ``before(number of the slice)`` each time."""

    class Slices(tools.Source):
        def batches(self, batches: Iterator[Any]) -> Iterator[Any]:
            number = 0
            for batch in batches:
                for start in range(0, batch.num_rows, rows):
                    before(number)
                    yield batch.slice(start, rows)
                    number += 1

    world.wrap = Slices


def leftovers(world: Any) -> list[str]:
    """Files of the prediction log."""
    return [path.name for path in (world.folder / "storage").rglob("*") if path.is_file()]


def test_an_abort_while_reading_leaves_the_output_as_it_was(world: Any, define: Any, tools: Any) -> None:
    definition = define()
    world.table("scores", tools.day_rows(0))
    before = world.run(definition)
    rows = world.rows("results")
    world.table("scores", tools.day_rows(0, count=300))
    in_slices(world, tools, lambda number: number == 2 and world.store.request_abort(before.job_id, "the duty officer"))
    with pytest.raises(JobAborted, match="asked to end"):
        world.run(definition)
    record = world.store.job(before.job_id)
    assert (JobState.ABORTED, 400) == (record.state, record.snapshot.rows)
    assert any("the duty officer" in line.line for line in record.log)
    assert len(rows) == len(world.rows("results"))


def test_an_abort_is_heard_while_identifiers_are_looked_through(small_world: Any, define: Any, tools: Any) -> None:
    world, definition = small_world, define()
    world.table("scores", tools.day_rows(0))
    target, reads = job_id(definition.id, tools.window(0)), []

    class Unsorted(tools.Source):
        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            self.ordered_by = ()

        def batches(self, batches: Iterator[Any]) -> Iterator[Any]:
            reads.append(1)
            world.store.request_abort(target, "somebody")
            yield from batches

    world.wrap = Unsorted
    with pytest.raises(JobAborted):
        world.run(definition)
    assert [1] == reads


def test_an_abort_is_heard_while_the_baseline_is_profiled(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    intake = {"type": "sql", "data_store_id": "db", "table": "training"}
    definition = define(baseline={"type": "reference", "intake_settings": intake})
    world.table("training", tools.day_rows(1))
    world.table("scores", tools.day_rows(0))
    target, labels = job_id(definition.id, tools.window(0)), []

    class Watched(tools.Source):
        def batches(self, batches: Iterator[Any]) -> Iterator[Any]:
            labels.append(self.label)
            world.store.request_abort(target, "somebody")
            yield from batches

    world.wrap = Watched
    with pytest.raises(JobAborted):
        world.run(definition)
    assert ["table 'training' of connection 'db'"] == labels


def test_a_cancelled_task_ends_as_aborted(small_world: Any, define: Any, tools: Any) -> None:
    world, seen = small_world, []
    world.table("scores", tools.day_rows(0))
    in_slices(world, tools, seen.append)
    with pytest.raises(JobInterrupted, match="cancelled by Airflow"):
        world.run(define(), cancelled=lambda: len(seen) > 2)
    assert JobState.ABORTED is world.store.job(job_id(define().id, tools.window(0))).state
    assert not world.has_table("results")
    assert [] == leftovers(world)


def test_an_attempt_that_lost_its_window_writes_nothing(world: Any, define: Any, tools: Any) -> None:
    definition = define()
    world.table("scores", tools.day_rows(0))
    if world.engine.dialect.name == "sqlite":  # otherwise whoever reads keeps others from writing the same file
        with world.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
    started: list[Any] = []

    def newer(number: int) -> None:
        if number == 3 and not started:
            started.append(None)
            world.wrap = lambda source: source
            started[0] = world.run(definition)

    in_slices(world, tools, newer)
    with pytest.raises(Superseded):
        world.run(definition)
    record = world.store.job(started[0].job_id)
    assert (JobState.COMPLETED, 2, 1) == (record.state, record.token, record.snapshot_revision)
    assert [JobState.SUPERSEDED, JobState.COMPLETED] == [a.state for a in world.store.attempts(record.id)]
    assert 400 == len(world.rows("results"))


def test_nothing_is_read_while_the_store_is_down(small_world: Any, define: Any, tools: Any, tmp_path: Path) -> None:
    world, opened = small_world, []
    world.table("scores", tools.day_rows(0))
    world.wrap = opened.append
    engine = open_engine("postgresql://nobody:pass-word-of-the-store@127.0.0.1:1/none", wait=1.0)
    with MonitoringStore(engine, storage=world.storage) as away:
        ports = world.ports()
        with pytest.raises(StoreUnavailable) as caught:
            run_job(define(), tools.window(0), Ports(away, ports.source, ports.writer))
    assert "pass-word-of-the-store" not in str(caught.value)
    assert [] == opened
    assert not world.has_table("results")


def test_a_read_that_breaks_off_leaves_nothing_and_the_retry_is_exact(world: Any, define: Any, tools: Any) -> None:
    definition = define()
    world.table("scores", tools.day_rows(0))

    def break_off(number: int) -> None:
        if number == 4:
            raise SourceUnavailable("table 'scores' of connection 'db': the connection broke")

    in_slices(world, tools, break_off)
    with pytest.raises(SourceUnavailable):
        world.run(definition)
    record = world.store.job(job_id(definition.id, tools.window(0)))
    assert (JobState.FAILED, None) == (record.state, record.snapshot)
    assert "table 'scores' of connection 'db': the connection broke" == record.reason
    assert not world.has_table("results")
    assert [] == leftovers(world)
    world.wrap = lambda source: source
    again = world.run(definition)
    fresh = world.run(define(name="never failed", output_settings=None))
    assert (fresh.content_hash, 400) == (again.content_hash, len(world.rows("results")))


@pytest.mark.parametrize("error", [ValueError, KeyError, MemoryError, KeyboardInterrupt])
def test_an_unexpected_error_is_told_by_its_type_only(
    small_world: Any, define: Any, tools: Any, error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    world, definition = small_world, define()
    world.table("scores", tools.day_rows(0))

    def fail(number: int) -> None:
        raise error(SECRET)

    in_slices(world, tools, fail)
    with caplog.at_level(logging.DEBUG, "airflow_monitoring_provider"), pytest.raises(error):
        world.run(definition)
    record = world.store.job(job_id(definition.id, tools.window(0)))
    assert (JobState.FAILED, True) == (record.state, record.reason.startswith(error.__name__))
    assert SECRET not in record.reason + caplog.text + "".join(line.line for line in record.log)


def test_too_many_rejected_rows_end_the_job_before_it_writes(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))  # 4 of 400 rows are rejected
    with pytest.raises(TooManyRejectedRows, match=r"^4 of 400 rows .*1 rejected:duplicate_identifier, 1 rejected:inv"):
        world.run(define(max_rejected_share=0.009))
    assert not world.has_table("results")
    assert JobState.FAILED is world.store.job(job_id(define().id, tools.window(0))).state
    assert 400 == world.run(define(max_rejected_share=0.01)).rows


def test_no_log_or_stored_text_holds_a_row_value(
    world: Any, define: Any, tools: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rows = tools.day_rows(0)
    rows[20]["region"] = rows[21]["churned"] = SECRET
    world.table("scores", rows)
    with caplog.at_level(logging.DEBUG, "airflow_monitoring_provider"):
        summary = world.run(define())
    record = world.store.job(summary.job_id)
    assert SECRET not in caplog.text + repr(record.log) + repr(summary.to_dict())


def test_a_running_job_can_be_watched_from_elsewhere(world: Any, define: Any, tools: Any) -> None:
    definition = define()
    world.table("scores", tools.day_rows(0))
    world.run(definition)
    seen: list[Any] = []
    with world.open_store() as other:

        def look(number: int) -> None:
            reader = threading.Thread(target=lambda: seen.append(other.job(job_id(definition.id, tools.window(0)))))
            reader.start()
            reader.join()

        in_slices(world, tools, look)
        world.run(definition)
    assert {JobState.RUNNING} == {record.state for record in seen}
    assert [0, 50, 100] == [record.scored + record.failed for record in seen[:3]]
    assert [2.0, 10.5, 19.0] == [record.percent for record in seen[:3]]
    assert any(line.line == "reading table 'scores' of connection 'db'" for line in seen[0].log)


class Interrupting(sa.types.TypeDecorator[str]):
    """As if a signal came while SQLAlchemy makes a statement of a value."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        raise JobInterrupted("the task was told to stop")


@pytest.mark.parametrize(
    "translated",
    [
        store_errors.translate_errors,
        lambda: intake_faults.translated("table 't'"),
        lambda: output_faults.translated("table 't'"),
    ],
)
def test_an_attempt_told_to_stop_while_a_statement_is_made_is_interrupted_and_not_refused(translated: Any) -> None:
    """SQLAlchemy wraps whatever is raised there in an error of its own."""
    engine = sa.create_engine("sqlite://")
    with pytest.raises(JobInterrupted, match="told to stop"), translated(), engine.connect() as connection:
        connection.execute(sa.select(sa.literal("value", Interrupting())))
    engine.dispose()
