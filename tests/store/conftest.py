"""Stores on both databases, and the things that go into them."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

import store_tables
from airflow_monitoring_provider.definitions.load import load_definition
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.records import DefinitionRecord, Snapshot
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

CHILD = Path(__file__).with_name("child.py")


@pytest.fixture
def store_url(database_url: str) -> str:
    """URL of a database that has the store's tables, on SQLite and on PostgreSQL."""
    store_tables.make(database_url)
    return database_url


@pytest.fixture
def open_store(tmp_path: Path) -> Iterator[Callable[..., MonitoringStore]]:
    """Open further stores on a URL, as other processes would."""
    opened: list[MonitoringStore] = []

    def open_(url: str, *, embedded: bool = False, clock: Any = None, **limits: float) -> MonitoringStore:
        options = {} if clock is None else {"clock": clock}
        storage = Storage.local(tmp_path / "storage")
        opened.append(MonitoringStore(open_engine(url, **limits), storage=storage, embedded=embedded, **options))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


@pytest.fixture
def store(store_url: str, open_store: Callable[..., MonitoringStore]) -> MonitoringStore:
    """A store on each database."""
    return open_store(store_url)


@pytest.fixture
def definition() -> JobDefinition:
    """A small definition."""
    return make_definition()


@pytest.fixture
def make() -> Callable[..., JobDefinition]:
    """Definitions with other members."""
    return make_definition


@pytest.fixture
def record(store: MonitoringStore, definition: JobDefinition) -> DefinitionRecord:
    """The small definition, registered."""
    return store.register_definition(definition, dag_id="monitoring__flights", by="ada")


@pytest.fixture
def day() -> Callable[[int], Window]:
    """The window of a day of January 2026."""
    return make_window


@pytest.fixture
def snapshot() -> Callable[..., Snapshot]:
    """Snapshots that tell apart by their number of rows."""
    return make_snapshot


@pytest.fixture
def child() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start ``child.py`` with a command and JSON arguments; it speaks JSON, a line at a time."""
    started: list[subprocess.Popen[str]] = []

    def start(command: str, **arguments: Any) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, str(CHILD), command, json.dumps(arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                stream.close()


@pytest.fixture
def said() -> Callable[[subprocess.Popen[str]], Any]:
    """The next thing a child says."""

    def next_line(process: subprocess.Popen[str]) -> Any:
        stream: IO[str] | None = process.stdout
        assert stream is not None
        return json.loads(stream.readline())

    return next_line


def make_definition(**members: Any) -> JobDefinition:
    payload: dict[str, Any] = {
        "name": "Flights",
        "deploymentId": "dep-1",
        "intakeSettings": {"type": "jdbc", "dataStoreId": "flights_db", "table": "flights"},
        "monitoringColumns": {"predictionsColumns": "prediction", "associationIdColumn": "id"},
        "enabled": False,
    }
    return load_definition(payload | members)


def make_window(day: int) -> Window:
    start = dt.datetime(2026, 1, day, tzinfo=dt.UTC)
    return Window.of(start, start + dt.timedelta(days=1))


def make_value(
    name: str = "psi", column: str | None = "distance", value: float | None = 0.25, **more: Any
) -> MetricValue:
    return MetricValue(
        name=name, kind=ResultKind.DATA_DRIFT, direction=Direction.LOWER_IS_BETTER, value=value, column=column, **more
    )


@pytest.fixture
def value() -> Callable[..., MetricValue]:
    """Metric values."""
    return make_value


def make_snapshot(rows: int = 100, **more: Any) -> Snapshot:
    facts: dict[str, Any] = {
        "profile_bytes": b"profile of %d rows" % rows,
        "content_hash": f"content-{rows}",
        "plan_hash": "plan",
        "format_version": 1,
        "rows": rows,
        "status_counts": {"monitored": rows},
        "values": [make_value(), make_value("row_count", None, float(rows))],
        "scored": rows,
    }
    return Snapshot(**(facts | more))
