"""What becomes of a job whose commit got no answer, once or twice, and of one that an unknown attempt overtakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

import store_tables
from airflow_monitoring_provider.definitions import JobState, job_id
from airflow_monitoring_provider.exceptions import OutcomeUnknown, OutputUnavailable
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.store import MonitoringStore


@pytest.fixture
def engine(postgres_url: str, small_world: Any) -> Iterator[sa.Engine]:
    """The engine of a store on PostgreSQL, which the small world uses from now on."""
    store_tables.make(postgres_url)
    made = open_engine(postgres_url)
    with MonitoringStore(made, storage=small_world.storage) as store:
        small_world.store = store
        yield made


def _cut(engine: sa.Engine, outcomes: list[str]) -> None:
    """Break the connection at the next commits of a job: after they ``happened``, or before (``lost``)."""
    committing = []

    @sa.event.listens_for(engine, "before_cursor_execute")
    def _look(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "committed_token" in statement and statement.startswith("UPDATE"):
            committing.append(statement)

    @sa.event.listens_for(engine, "commit")
    def _break(connection: sa.Connection) -> None:
        if committing and outcomes:
            committing.clear()
            driver: Any = connection.connection.driver_connection
            if outcomes.pop(0) == "happened":
                driver.commit()
            driver.close()


@pytest.mark.parametrize("outcome", ["happened", "lost"])
def test_a_commit_without_an_answer_is_asked_about_and_stands_once(
    outcome: str, engine: sa.Engine, small_world: Any, define: Any, tools: Any
) -> None:
    small_world.table("scores", tools.day_rows(0))
    outcomes = [outcome]
    _cut(engine, outcomes)

    summary = small_world.run(define())

    record = small_world.store.job(summary.job_id)
    assert ([], 1, 1) == (outcomes, summary.snapshot_revision, record.snapshot_revision)
    assert (JobState.COMPLETED, None) == (record.state, record.reason)
    assert [JobState.COMPLETED] == [attempt.state for attempt in small_world.store.attempts(summary.job_id)]


@pytest.mark.parametrize(
    ("outcomes", "state", "says"),
    [
        (["lost", "lost"], JobState.FAILED, "Job failed: the connection to the monitoring store broke"),
        (["happened", "lost"], JobState.COMPLETED, "The commit stands; after it: "),
    ],
)
def test_a_commit_that_stays_in_doubt_is_retried_and_the_store_tells_the_truth_meanwhile(
    outcomes: list[str], state: JobState, says: str, engine: sa.Engine, small_world: Any, define: Any, tools: Any
) -> None:
    world, definition = small_world, define()
    world.table("scores", tools.day_rows(0))
    _cut(engine, outcomes)

    with pytest.raises(OutcomeUnknown):
        world.run(definition)

    job = job_id(definition.id, tools.window(0))
    record = world.store.job(job)
    assert (state, [state]) == (record.state, [attempt.state for attempt in world.store.attempts(job)])
    assert record.log[-1].line.startswith(says)
    assert (record.snapshot is not None) == (state is JobState.COMPLETED)

    again = world.run(definition)
    assert JobState.COMPLETED is world.store.job(job).state
    assert (400, again.rows) == (len(world.rows("results")), 400)


@pytest.mark.parametrize("output", ["table", "file"])
def test_an_attempt_that_the_store_forgot_and_that_writes_meanwhile_costs_a_retry_and_not_the_window(
    output: str, small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    changes: dict[str, Any] = {"output_settings": {"type": "file", "url": "out"}} if output == "file" else {}
    changes["monitoring_columns"] = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}]}
    definition = define(**changes)
    world.table("scores", tools.day_rows(0))
    job = job_id(definition.id, tools.window(0))

    class Overtaken(tools.Source):
        def batches(self, batches: Any) -> Iterator[Any]:
            world.wrap = lambda source: source
            world.run(definition)  # the attempt that will be forgotten
            with world.store._engine.begin() as connection:
                connection.execute(sa.text("UPDATE monitoring_jobs SET token = 1, state = 'running'"))
                connection.execute(sa.text("DELETE FROM monitoring_job_attempts WHERE token = 2"))
                connection.execute(sa.text("UPDATE monitoring_job_attempts SET state = 'running'"))
            yield from batches

    world.wrap = Overtaken
    with pytest.raises(OutputUnavailable, match="an attempt that the store does not remember wrote since"):
        world.run(definition)
    assert JobState.FAILED is world.store.job(job).state

    world.run(definition)

    record = world.store.job(job)
    assert (JobState.COMPLETED, 3) == (record.state, record.token)
    if output == "table":
        assert 400 == len(world.rows("results"))
