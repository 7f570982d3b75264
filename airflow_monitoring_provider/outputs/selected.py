"""Row results that the output's own database selects: one ``INSERT … SELECT``, and no row leaves it.

It is step 4 of the protocol like any other way to write (:mod:`airflow_monitoring_provider.jobs.run`): the marker
first, everything in its transaction. What is new is that rows may have changed since they were profiled, so what went
in is compared with what was looked at, before the commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import OutputError
from airflow_monitoring_provider.outputs.output import Attempt, Receipt
from airflow_monitoring_provider.outputs.tables import JOB_COLUMN, Target


class SelectedRows(Protocol):
    """Row results as their database selects them."""

    @property
    def rows(self) -> int:
        """How many there were when they were profiled."""

    @property
    def checksum(self) -> str:
        """Their fingerprint, of which :class:`Receipt` tells."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the output's columns."""

    def prepare(self, connection: sa.Connection) -> sa.Select[Any]:
        """The rows, for a transaction of the same database."""

    def digest(self, rows: sa.FromClause) -> list[sa.ColumnElement[Any]]:
        """Aggregates over such rows, for :meth:`check`."""

    def check(self, digest: Sequence[Any]) -> None:
        """Whether these were the rows that were profiled.

        :raises SourceUnavailable: they were not.
        """


@runtime_checkable
class SelectingWriter(Protocol):
    """A :class:`~airflow_monitoring_provider.outputs.output.RowWriter` that a database can fill by itself."""

    def cannot_select(self, schema: pa.Schema, connection: sa.Connection) -> str | None:
        """Why rows of these types cannot be selected from where the connection leads to; None where they can."""

    def write_selected(self, rows: SelectedRows, attempt: Attempt) -> Receipt:
        """As :meth:`RowWriter.write`, of rows that the output's database holds.

        :raises SourceUnavailable: they are no longer those that were profiled; nothing was changed.
        """


def unlike(target: Target, schema: pa.Schema) -> str | None:
    """Why the database might make something else of a value than it makes of a value that is sent; None if not."""
    if not target.has_job_column:
        return f"the output table has no column {JOB_COLUMN!r}, so the keys of its rows are kept one by one"
    for field in schema:
        column = target.table.c.get(field.name)
        if column is not None and not _alike(field.type, column.type):
            return f"column {field.name!r} of the output is {column.type!s}, and {field.type} arrives"
    return None


def insert_selected(connection: sa.Connection, target: Target, job_id: str, rows: SelectedRows) -> int:
    """Insert the rows with their job's id, and hold what went in against what was profiled; returns how many.

    :raises SourceUnavailable: other rows went in.
    :raises OutputError: fewer went in than were selected (a trigger or a rule of the table).
    """
    selected = rows.prepare(connection)
    names = [*rows.schema.names, JOB_COLUMN]
    if connection.dialect.name == "postgresql":  # in one statement, which sees one moment
        seen = selected.cte("selected")
        insert = sa.insert(target.table).from_select(names, _owned(seen, job_id), include_defaults=False)
        written = insert.returning(sa.literal(1).label("one")).cte("written")
        count = sa.select(sa.func.count()).select_from(written).scalar_subquery()
        inserted, *digest = connection.execute(sa.select(count, *rows.digest(seen)).add_cte(written)).one()
    else:  # SQLite's transaction does
        owned = _owned(selected.subquery("selected"), job_id)
        insert = sa.insert(target.table).from_select(names, owned, include_defaults=False)
        inserted = connection.execute(insert).rowcount
        digest = list(connection.execute(sa.select(*rows.digest(selected.subquery("selected")))).one())
    rows.check(digest)
    if inserted != rows.rows:
        raise OutputError(f"the output table took {inserted} of {rows.rows} rows; look at its triggers and rules")
    return int(inserted)


def _owned(rows: sa.FromClause, job_id: str) -> sa.Select[Any]:
    return sa.select(*rows.c, sa.literal(job_id, sa.Text()).label(JOB_COLUMN))


def _alike(arrives: pa.DataType, kind: sa.types.TypeEngine[Any]) -> bool:
    types = pa.types
    if types.is_boolean(arrives):
        return isinstance(kind, sa.Boolean)
    if types.is_integer(arrives):
        return isinstance(kind, sa.Integer | sa.Numeric | sa.Float)
    if types.is_floating(arrives):
        return isinstance(kind, sa.Float) and not isinstance(kind, sa.REAL)
    if types.is_decimal(arrives):
        return isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float)
    if types.is_date(arrives):
        return isinstance(kind, sa.Date)
    if types.is_timestamp(arrives):
        return isinstance(kind, sa.DateTime) and kind.timezone == (arrives.tz is not None)
    if types.is_binary(arrives):
        return isinstance(kind, sa.LargeBinary)
    return type(kind) in (sa.Text, sa.TEXT, sa.VARCHAR, sa.String)
