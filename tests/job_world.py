"""A place to run jobs in without Airflow: intake, output and store in real databases and files.

A module and no fixture, because the tests of jobs and the tests of faults both stand on it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import sqlalchemy as sa

import store_tables
from airflow_monitoring_provider.definitions import JobDefinition, load_definition, with_partitions
from airflow_monitoring_provider.definitions.embeddings import vector_columns
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.intake.source import open_source
from airflow_monitoring_provider.jobs.evaluate import EvaluationSummary, evaluate_job
from airflow_monitoring_provider.jobs.parts import claim_job, merge_and_commit, profile_part
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.run import JobSummary, run_job
from airflow_monitoring_provider.outputs.output import open_writer
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

FIRST_DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
COLUMNS: dict[str, Any] = {
    "id": sa.BigInteger(),
    "at": sa.DateTime(),
    "amount": sa.Float(),
    "region": sa.String(),
    "score": sa.Float(),
    "churned": sa.String(),
}


class World:
    """One data database, one folder of files and one store.

    :param output_url: of the database that results go to, where it is not the data's.
    :ivar wrap: applied to every source a job opens; tests put their own behaviour there.
    """

    def __init__(self, data_url: str, store_url: str, folder: Path, output_url: str | None = None) -> None:
        self.engine = sa.create_engine(data_url)
        self.output_engine = sa.create_engine(output_url) if output_url else self.engine
        self.folder = folder
        self.store_url = store_url
        self.storage = Storage.local(folder / "storage")
        self.store = self.open_store()
        self.wrap: Callable[[Any], Any] = lambda source: source
        self.files = folder / "files"
        self.files.mkdir(exist_ok=True)

    def open_store(self) -> MonitoringStore:
        """A store object of its own on the same database."""
        return MonitoringStore(open_engine(self.store_url, wait=2.0), storage=self.storage)

    def ports(self) -> Ports:
        """Doors to this world."""
        files, root = fsspec.filesystem("file"), str(self.files)

        def source(definition: JobDefinition, intake: Any, order_by: tuple[str, ...]) -> Any:
            return self.wrap(
                open_source(
                    intake,
                    engine=self.engine,
                    filesystem=files,
                    root=root,
                    csv=definition.csv_settings,
                    vectors=vector_columns(definition),
                    order_by=order_by,
                )
            )

        def writer(definition: JobDefinition) -> Any:
            settings = definition.monitoring_output_settings
            assert definition.output_settings is not None
            return open_writer(
                definition.output_settings,
                engine=self.output_engine,
                filesystem=files,
                root=root,
                csv=definition.csv_settings,
                identifiers=settings.unique_row_identifier_columns,
                status_column=settings.monitored_status_column,
            )

        return Ports(store=self.store, source=source, writer=writer)

    def run(self, definition: JobDefinition, day: int = 0, **options: Any) -> JobSummary:
        """Run the job of a day."""
        return run_job(definition, window(day), self.ports(), **options)

    def run_in_parts(self, definition: JobDefinition, partitions: Mapping[str, Any], day: int = 0) -> JobSummary:
        """Run the job of a day in parts, each with doors of its own."""
        parts = claim_job(with_partitions(definition, partitions), window(day), self.ports())
        for part in reversed(parts):  # in any order
            profile_part(part, self.ports())
        return merge_and_commit(parts[0], self.ports())

    def evaluate(self, definition: JobDefinition, summary: JobSummary) -> EvaluationSummary:
        """Evaluate a job."""
        return evaluate_job(summary.job_id, definition, self.store)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]], columns: Mapping[str, Any] | None = None) -> None:
        """Make a table, replacing one of that name, and fill it."""
        made = sa.Table(name, sa.MetaData(), *(sa.Column(n, kind) for n, kind in (columns or COLUMNS).items()))
        with self.engine.begin() as connection:
            made.drop(connection, checkfirst=True)
            made.create(connection)
            if rows:
                connection.execute(made.insert(), [dict(row) for row in rows])

    def rows(self, name: str) -> list[dict[str, Any]]:
        """Every row of a table of the output."""
        with self.output_engine.connect() as connection:
            found = sa.Table(name, sa.MetaData(), autoload_with=connection)
            return [dict(row._mapping) for row in connection.execute(sa.select(found))]

    def has_table(self, name: str) -> bool:
        """Whether the output has such a table."""
        return sa.inspect(self.output_engine).has_table(name)

    def value(self, job_id: str, name: str, column: str | None = None) -> Any:
        """One committed value."""
        found = [v for v in self.store.load_values(job_id) if (v.name, v.column) == (name, column)]
        assert len(found) == 1, (name, column, len(found))
        return found[0]

    def close(self) -> None:
        """Let go of everything."""
        self.store.close()
        self.engine.dispose()
        self.output_engine.dispose()


class Source:
    """A source that does what another does; tests override one method."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.label: str = inner.label
        self.ordered_by: tuple[str, ...] = inner.ordered_by

    def schema(self) -> pa.Schema:
        return self.inner.schema()

    @contextlib.contextmanager
    def read(self, columns: Sequence[str], window: Any) -> Iterator[Iterator[pa.RecordBatch]]:
        with self.inner.read(columns, window) as batches:
            yield self.batches(iter(batches))

    def batches(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from batches

    def null_timestamps(self, column: str) -> int:
        found: int = self.inner.null_timestamps(column)
        return found

    def parts(self, *arguments: Any) -> Any:
        return self.inner.parts(*arguments)

    def part(self, *arguments: Any) -> Any:
        return type(self)(self.inner.part(*arguments))

    def seen(self) -> Any:
        return self.inner.seen()


def window(day: int = 0) -> Window:
    """The window of a day."""
    return Window.of(FIRST_DAY + dt.timedelta(days=day), FIRST_DAY + dt.timedelta(days=day + 1))


def day_rows(day: int = 0, count: int = 400, *, shift: float = 0.0, dirty: bool = True) -> list[dict[str, Any]]:
    """Rows of a day; a dirty day's row 0 lacks its score, row 1 has 1.5, row 2 repeats row 3, row 4 has no id."""
    chance = random.Random(day)
    rows = []
    for i in range(count):
        score = chance.random()
        rows.append(
            {
                "id": day * 10_000 + i,
                "at": FIRST_DAY.replace(tzinfo=None) + dt.timedelta(days=day, seconds=i * (86_400 // (count + 1))),
                "amount": None if i % 19 == 7 else chance.gauss(shift, 1),
                "region": None if i % 23 == 5 else chance.choice(["north", "south", "west", "far east"]),
                "score": score,
                "churned": None if i % 5 == 0 else "yes" if chance.random() < score else "no",
            }
        )
    if dirty and count > 4:
        rows[0]["score"], rows[1]["score"], rows[2], rows[4]["id"] = None, 1.5, dict(rows[3]), None
    return rows


@contextlib.contextmanager
def open_world(data_url: str, store_url: str, folder: Path, output_url: str | None = None) -> Iterator[World]:
    """A world with an empty store."""
    store_tables.make(store_url)
    made = World(data_url, store_url, folder, output_url)
    try:
        yield made
    finally:
        made.close()


def define(**changes: Any) -> JobDefinition:
    """A definition over the table ``scores``; keywords replace its members, None removes them."""
    payload = {
        "name": "churn",
        "deployment_id": "churn-model",
        "intake_settings": {"type": "sql", "data_store_id": "db", "table": "scores"},
        "timestamp_column": "at",
        "monitoring_columns": {
            "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
            "actuals_value_column": "churned",
            "association_id_column": "id",
        },
        "baseline": {"type": "first_window"},
        "output_settings": {
            "type": "sql",
            "data_store_id": "db",
            "table": "results",
            "statement_type": "insert",
            "create_table_if_not_exists": True,
        },
        "passthrough_columns": ["region"],
        "features": ["amount", "region"],
        "monitoring_output_settings": {
            "unique_row_identifier_columns": ["id"],
            "monitored_status_column": "status",
        },
        "schedule": "0 0 * * *",
        "start_date": FIRST_DAY.isoformat(),
    }
    return load_definition({k: v for k, v in (payload | changes).items() if v is not None})
