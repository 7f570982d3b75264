"""Parts of a table or query: ranges of one column, in the order in which the database itself sorts it.

The bounds are values of the column, each part of about the same number of rows, so a skewed key or a busy hour does no
harm. A part holds the values from its lower bound on and below the next one's; the first one also the nulls and all
that sorts before. Of rows with equal identifiers the one with the earliest timestamp counts, and earlier times stand in
earlier parts; cut by an identifier, equal rows stand in one part. A cut by any other column would let the parts decide
which of equal rows counts, so the definition refuses it.

A database shows each part its own moment. That all parts together held as many rows as there were when the bounds were
found is checked in the end; which rows they are is not.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import Partitions
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.parts import CHANGED, PartSeen, SourcePart, SourceParts
from airflow_monitoring_provider.intake.relation import Relation, arrow_type
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.intake.sql import SqlSource
from airflow_monitoring_provider.intake.window_cut import WindowCut

_FROM_TEXT: dict[str, Callable[[str], Any]] = {
    "bytes": bytes.fromhex,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "Decimal": Decimal,
}
_CHOOSE = "set partitions.column to a column of numbers, texts or times"
_NO_OPERATOR = "42883"  # PostgreSQL's SQLSTATE undefined_function: JSON, for one, has no order


def cut_column(
    partitions: Partitions, window: TimeFilter | None, identifiers: tuple[str, ...], label: str
) -> str | None:
    """The column to cut by; None where nothing says which, so that all rows are one part.

    :raises SourceError: a table cannot be cut so.
    """
    by = partitions.by
    if by in ("file", "row_group"):
        raise SourceError(f"partitions.by is {by!r}, but rows come from {label}; use key, time or auto")
    if by == "time" or (by == "auto" and not identifiers):
        if window is None and by == "time":
            raise SourceError("partitions.by is 'time', but the definition has no timestampColumn")
        return None if window is None else window.column
    return partitions.column or (identifiers[0] if identifiers else None)


def find_parts(
    connection: sa.Connection,
    column: sa.ColumnElement[Any],
    rows: sa.Select[Any],
    partitions: Partitions,
    label: str,
) -> tuple[list[Any], int]:
    """The bounds between at most ``partitions.count`` ranges, and the number of rows in all of them.

    :param column: the column as the database is to compare it.
    :param rows: a SELECT of the rows of the window.
    :raises SourceError: the database does not sort what the column holds.
    """
    total = int(connection.scalar(rows.with_only_columns(sa.func.count())) or 0)
    known = rows.where(column.is_not(None))
    count = int(connection.scalar(known.with_only_columns(sa.func.count())) or 0)
    step = -(-count // partitions.count)
    if not step:
        return [], total
    value = sa.cast(column, sa.Text) if connection.dialect.name == "postgresql" else column
    place = sa.func.row_number().over(order_by=column)
    placed = known.with_only_columns(value.label("bound"), place.label("place")).subquery()
    chosen = (
        sa.select(placed.c.bound).where((placed.c.place - 1) % step == 0, placed.c.place > 1).order_by(placed.c.place)
    )
    try:
        bounds = list(dict.fromkeys(connection.execute(chosen).scalars()))
    except sa.exc.ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _NO_OPERATOR:
            raise
        raise SourceError(
            f"{label} cannot be cut by a column whose values the database puts in no order; {_CHOOSE}"
        ) from None
    return [_to_json(bound, label) for bound in bounds], total


def as_parts(column: str | None, bounds: list[Any], texts: list[str], rows: int) -> SourceParts:
    """The ranges between bounds."""
    ends = [None, *bounds, None]
    return SourceParts(
        tuple(
            SourcePart({"column": column, "low": low, "high": high, "texts": texts})
            for low, high in itertools.pairwise(ends)
        ),
        together=column,
        rows=rows,
    )


class SqlPart(SqlSource):
    """The rows of one range."""

    def __init__(self, whole: SqlSource, part: SourcePart, schema: pa.Schema) -> None:
        super().__init__(whole._engine, whole._intake, whole.ordered_by)
        self._spec = part.spec
        self._schema = schema
        self._seen = PartSeen()
        self._arrived = 0

    def schema(self) -> pa.Schema:
        """That of the whole."""
        return self._schema

    def seen(self) -> PartSeen:
        """See :class:`~airflow_monitoring_provider.intake.parts.PartSource`."""
        return self._seen

    def _resolved(self, connection: sa.Connection) -> Relation:
        if self._relation is None:
            found = super()._resolved(connection)
            if pa.schema([(name, arrow_type(kind)) for name, kind in found.types.items()]) != self._schema:
                raise SourceError(f"the columns of {self.label} have changed since the job was claimed; {CHANGED}")
            # What one part holds must not decide how its column is delivered: equal rows may stand in another one.
            texts = dict.fromkeys(self._spec["texts"], sa.Text())
            self._relation = Relation(found.label, found.source, found.types | texts)
        return self._relation

    def _range(self, relation: Relation) -> sa.ColumnElement[bool] | None:
        if self._spec["column"] is None:
            return None
        column = self._sort_key(relation.column(self._spec["column"]))
        low, high = self._bound("low"), self._bound("high")
        if low is None:
            return None if high is None else sa.or_(column < high, column.is_(None))
        return column >= low if high is None else sa.and_(column >= low, column < high)

    def _bound(self, name: str) -> sa.ColumnElement[Any] | None:
        value = self._spec[name]
        # Without a type: PostgreSQL then reads the text as the column's own type, SQLite compares what is stored.
        return None if value is None else sa.literal(_from_json(value), sa.types.NullType())

    def _arriving(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        self._arrived = 0
        for batch in batches:
            self._arrived += batch.num_rows
            yield batch

    def _judge(self, connection: sa.Connection, relation: Relation, cut: WindowCut | None) -> None:
        if cut is None:
            self._seen = PartSeen(self._arrived)
            return
        readable: bool | None = True
        if not cut.readable and not self._leaves_out(connection, relation, cut.window):
            readable = False if cut.unreadable else None
        kind = arrow_type(relation.types[cut.window.column])
        self._seen = PartSeen(self._arrived, readable, str(cut.unreadable_error(self.label, kind)))


def _to_json(value: Any, label: str) -> Any:
    if isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, dt.date):  # and datetime, which is one
        return {"datetime" if isinstance(value, dt.datetime) else "date": value.isoformat()}
    if isinstance(value, Decimal):
        return {"Decimal": str(value)}
    raise SourceError(f"{label} cannot be cut by a column whose values are of type {type(value).__name__}; {_CHOOSE}")


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        ((name, text),) = value.items()
        return _FROM_TEXT[name](text)
    return value
