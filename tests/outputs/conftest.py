"""Rows, attempts and writers for both databases and for files."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import CsvSettings, FileOutput, SqlOutput
from airflow_monitoring_provider.outputs.output import Attempt, RowWriter, open_writer
from airflow_monitoring_provider.outputs.sql import SqlWriter

SCHEMA = pa.schema([("id", pa.int64()), ("carrier", pa.string()), ("monitored_status", pa.string())])


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """A plain engine on an empty database, SQLite and then PostgreSQL."""
    made = sa.create_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def connect() -> Iterator[Callable[..., sa.Engine]]:
    """Plain engines that are closed when the test ends, however it does."""
    made: list[sa.Engine] = []

    def make(url: Any, **options: Any) -> sa.Engine:
        made.append(sa.create_engine(url, **options))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def attempt() -> Callable[..., Attempt]:
    """An attempt at the window of a day of January 2026."""

    def make(
        token: int = 1, day: int = 1, definition_id: str = "flights", store_id: str = "a store", **more: Any
    ) -> Attempt:
        start = dt.datetime(2026, 1, day, tzinfo=dt.UTC)
        job = f"job-of-{definition_id}-{day}"
        return Attempt(definition_id, job, start, start + dt.timedelta(days=1), token, store_id, **more)

    return make


@pytest.fixture
def rows() -> Callable[..., list[pa.RecordBatch]]:
    """Batches of rows with the ids given."""

    def make(ids: Sequence[int | None], *, status: str = "monitored", size: int = 2) -> list[pa.RecordBatch]:
        made = [{"id": i, "carrier": f"carrier {i}", "monitored_status": status} for i in ids]
        return [pa.RecordBatch.from_pylist(made[n : n + size], schema=SCHEMA) for n in range(0, len(made), size)]

    return make


@pytest.fixture
def schema() -> pa.Schema:
    """Of the rows: an identifier, a passthrough column, the status."""
    return SCHEMA


@pytest.fixture
def writer_on() -> Callable[..., SqlWriter]:
    """A writer to table ``results`` of any engine."""

    def make(
        engine: sa.Engine,
        statement: str = "insert",
        *,
        identifiers: tuple[str, ...] = ("id",),
        wait: float = 10.0,
        **settings: Any,
    ) -> SqlWriter:
        named = {"type": "jdbc", "data_store_id": "warehouse", "table": "results", "statement_type": statement}
        return SqlWriter(engine, SqlOutput(**named | settings), identifiers=identifiers, wait=wait)

    return make


@pytest.fixture
def sql_writer(engine: sa.Engine, writer_on: Callable[..., SqlWriter]) -> Callable[..., SqlWriter]:
    """A writer to table ``results`` of the empty database."""
    return functools.partial(writer_on, engine)


@pytest.fixture
def file_writer() -> Callable[..., RowWriter]:
    """A writer to a file or folder."""

    def make(
        filesystem: Any,
        root: Any,
        url: Any,
        *,
        csv: CsvSettings | None = None,
        identifiers: tuple[str, ...] = (),
        **settings: Any,
    ) -> RowWriter:
        output = FileOutput(type="fileSystem", url=str(url), **settings)
        return open_writer(output, filesystem=filesystem, root=str(root), csv=csv, identifiers=identifiers)

    return make


@pytest.fixture
def read(engine: sa.Engine) -> Callable[..., list[tuple[Any, ...]]]:
    """Columns of a table, in the order of the first one."""

    def rows_of(*columns: str, table: str = "results") -> list[tuple[Any, ...]]:
        from_table = sa.table(table, *(sa.column(name) for name in columns))
        with engine.connect() as connection:
            found = connection.execute(sa.select(*from_table.c).order_by(from_table.c[columns[0]]))
            return [tuple(row) for row in found]

    return rows_of


@pytest.fixture
def table(engine: sa.Engine) -> Callable[..., sa.Table]:
    """Make a table beforehand, as the owner of the database would."""

    def make(*columns: sa.Column[Any] | sa.Constraint, name: str = "results") -> sa.Table:
        made = sa.Table(name, sa.MetaData(), *columns)
        made.create(engine)
        return made

    return make
