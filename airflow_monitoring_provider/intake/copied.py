"""A column as the database itself copies it, where that is what a row that was read would bring to an output.

Numbers, booleans, texts and bytes are themselves; NaN and infinities are null, as everywhere in an output. Dates and
times are only copied on PostgreSQL, and lost outside of the years 1 to 9999; SQLite has them in whatever form somebody
wrote.
"""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.intake.relation import SqlType, arrow_type
from airflow_monitoring_provider.intake.source import CannotPushDown

Expression = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]


def copied_column(column: Expression, kind: SqlType, dialect: str) -> tuple[Expression, Condition | None]:
    """The value to copy, and where there was one that no output holds.

    :raises CannotPushDown: names the column.
    """
    arrives, types = arrow_type(kind), pa.types
    if types.is_temporal(arrives) and dialect == "postgresql":
        return _time(column, kind)
    if types.is_boolean(arrives):
        return (column if dialect == "postgresql" else sa.case((column == 0, 0), (column.is_not(None), 1))), None
    if types.is_integer(arrives):
        number = _number(column) if isinstance(kind, sa.Numeric) and dialect == "postgresql" else column
        return (sa.cast(number, sa.BigInteger()) if dialect == "postgresql" else column), None
    if types.is_floating(arrives) and isinstance(kind, sa.Float):
        # The double that the shortest text of a float4 spells, which is what rows that are read bring.
        double: Expression = sa.cast(sa.cast(column, sa.Text()) if isinstance(kind, sa.REAL) else column, sa.Double())
        return sa.case((sa.and_(double > -math.inf, double < math.inf), double)), None
    if types.is_decimal(arrives) and dialect == "postgresql":
        return _number(column), None
    if types.is_binary(arrives):
        return sa.cast(column, sa.LargeBinary()), None
    if types.is_string(arrives):
        return shown_text(column, kind, dialect), None
    raise CannotPushDown(f"column {column.key!r} is {kind!s} in {dialect}, which is copied from rows that are read")


def shown_text(column: Expression, kind: SqlType, dialect: str) -> Expression:
    """A column that arrives as text, as that text."""
    if dialect == "sqlite" or type(kind) in (sa.Text, sa.TEXT, sa.VARCHAR, sa.String):
        return column
    # The type's own output function, which a cast to text is not for every type; NULL it would make empty.
    return sa.case((sa.func.num_nulls(column) == 0, sa.func.concat(column)))


def _number(column: Expression) -> Expression:
    """A numeric that may be NaN, as a number or null."""
    return sa.case((column != sa.cast(sa.literal("NaN", sa.Text()), sa.Numeric()), column))


def _time(column: Expression, kind: SqlType) -> tuple[Expression, Condition]:
    bound: Any = sa.Date()
    first: dt.date = dt.date.min
    last: dt.date = dt.date.max
    if isinstance(kind, sa.DateTime):
        zone = dt.UTC if kind.timezone else None
        bound = sa.DateTime(timezone=kind.timezone)
        first, last = dt.datetime.min.replace(tzinfo=zone), dt.datetime.max.replace(tzinfo=zone)
    inside = sa.and_(column >= sa.literal(first, bound), column <= sa.literal(last, bound))
    return sa.case((inside, column)), sa.not_(inside)
