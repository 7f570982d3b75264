"""What an output remembers and a store does not: stores that are lost, restored from a backup, or two at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.definitions import JobState, job_id
from airflow_monitoring_provider.exceptions import ConfigurationError, Superseded
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

FILES = {"type": "fileSystem", "data_store_id": "disk", "url": "results"}
Open = Callable[[str], MonitoringStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Open]:
    """Stores in SQLite files of these names."""
    opened: list[MonitoringStore] = []

    def make(name: str) -> MonitoringStore:
        engine = open_engine(f"sqlite:///{tmp_path / name}")
        opened.append(MonitoringStore(engine, storage=Storage.local(tmp_path / f"{name} storage"), embedded=True))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture(params=["table", "file"])
def output(request: pytest.FixtureRequest, world: Any, define: Any, tools: Any) -> tuple[Any, Callable[[], list[int]]]:
    """A definition with an output on each database and on a disk, and the ids of the rows in it."""
    world.table("scores", tools.day_rows(0, dirty=False))
    if request.param == "table":
        return define(), lambda: sorted(row["id"] for row in world.rows("results"))

    def ids() -> list[int]:
        tables = [pq.read_table(path) for path in world.files.rglob("*.parquet")]
        return sorted(value for table in tables for value in table.column("id").to_pylist())

    return define(output_settings=FILES), ids


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def test_a_store_restored_from_an_older_backup_goes_on_past_the_attempts_it_forgot(
    world: Any, output: Any, open_store: Open, tools: Any, tmp_path: Path
) -> None:
    definition, ids = output
    world.store = open_store("store")
    world.run(definition)
    _copy(tmp_path / "store", tmp_path / "backup")
    for _ in range(3):
        world.run(definition)
    world.table("scores", tools.day_rows(0, 10, dirty=False))

    world.store = restored = open_store("backup")
    summary = world.run(definition)

    record = restored.job(summary.job_id)
    assert (JobState.COMPLETED, 5, 2) == (record.state, record.token, record.snapshot_revision)
    assert [1, 5] == [attempt.token for attempt in restored.attempts(summary.job_id)]
    assert any("attempt 4, which this store does not remember" in line.line for line in record.log)
    assert list(range(10)) == ids()
    world.run(definition)
    assert 6 == restored.job(summary.job_id).token
    assert list(range(10)) == ids()


def test_a_new_store_does_not_take_over_what_another_wrote_until_it_is_told_to(
    world: Any, output: Any, open_store: Open, tools: Any
) -> None:
    definition, ids = output
    world.store = lost = open_store("lost")
    for _ in range(2):
        world.run(definition)
    world.table("scores", tools.day_rows(0, 10, dirty=False))

    world.store = new = open_store("new")
    with pytest.raises(ConfigurationError, match=f"airflow monitoring db adopt {lost.identity().id}"):
        world.run(definition)
    job = job_id(definition.id, tools.window(0))
    assert (JobState.FAILED, None) == (new.job(job).state, new.job(job).snapshot)
    assert "another monitoring store" in str(new.job(job).reason)
    assert list(range(400)) == ids()

    assert new.adopt(lost.identity().id, by="ada")
    world.run(definition)

    assert (JobState.COMPLETED, 3) == (new.job(job).state, new.job(job).token)
    assert list(range(10)) == ids()


def test_of_two_live_stores_on_one_output_each_is_told_where_the_other_wrote(
    world: Any, output: Any, open_store: Open
) -> None:
    definition, ids = output
    first, second = open_store("first"), open_store("second")
    for store, other, day in ((first, second, 0), (second, first, 1)):
        world.store = store
        world.run(definition, day)
        world.store = other
        with pytest.raises(ConfigurationError, match=r"if it is in use, give this definition an output of its own"):
            world.run(definition, day)
        world.store = store
        world.run(definition, day)
    assert list(range(400)) == ids()

    second.adopt(first.identity().id)
    world.store = second
    world.run(definition)
    world.store = first  # it was no lost store after all, and is told so
    with pytest.raises(ConfigurationError, match=second.identity().id):
        world.run(definition)
    assert list(range(400)) == ids()


def test_an_attempt_that_is_overtaken_while_it_reads_still_ends_superseded(
    world: Any, output: Any, open_store: Open, tools: Any
) -> None:
    definition, ids = output
    world.store = store = open_store("store")

    class Overtaken(tools.Source):
        def batches(self, batches: Any) -> Iterator[Any]:
            world.wrap = lambda source: source
            world.run(definition)
            yield from batches

    world.wrap = Overtaken
    with pytest.raises(Superseded):
        world.run(definition)

    job = job_id(definition.id, tools.window(0))
    assert [JobState.SUPERSEDED, JobState.COMPLETED] == [attempt.state for attempt in store.attempts(job)]
    assert list(range(400)) == ids()
