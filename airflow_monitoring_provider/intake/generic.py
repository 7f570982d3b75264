"""Rows of any other database that SQLAlchemy speaks, through its driver's own Python values.

Table columns have the types of :mod:`relation`; the columns of a free query, and those whose type SQLAlchemy does not
know, get theirs from the Python types of their first 10 000 rows. Not measured and not tested against real servers as
SQLite and PostgreSQL are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.blocks import blocks
from airflow_monitoring_provider.intake.prefilter import other_condition
from airflow_monitoring_provider.intake.relation import Relation, SqlType, arrow_type
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.profiles.arrays import from_texts

SAMPLE_ROWS = 10_000
# DuckDB's only level does; SQL Server's has to be allowed once (ALTER DATABASE … SET ALLOW_SNAPSHOT_ISOLATION ON).
_ONE_MOMENT = {
    "mysql": "REPEATABLE READ",
    "mariadb": "REPEATABLE READ",
    "mssql": "SNAPSHOT",
    "oracle": "SERIALIZABLE",
}


@contextlib.contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection in the database's default isolation."""
    with engine.connect() as connection:
        yield connection


@contextlib.contextmanager
def moment(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction all statements of which see one moment, where the database has such."""
    with engine.connect() as plain:
        level = _ONE_MOMENT.get(engine.dialect.name)
        connection = plain if level is None else plain.execution_options(isolation_level=level)
        with connection.begin():
            yield connection


def resolved(connection: sa.Connection, relation: Relation) -> Relation:
    """The relation with a type for every column, by the rules above."""
    unknown = [name for name, kind in relation.types.items() if isinstance(kind, sa.types.NullType)]
    if not unknown:
        return relation
    sample = sa.select(*(relation.column(name) for name in unknown)).select_from(relation.source).limit(SAMPLE_ROWS)
    values = list(zip(*connection.execute(sample).all(), strict=True)) or [()] * len(unknown)
    decided = {name: _narrowest(column) for name, column in zip(unknown, values, strict=True)}
    return Relation(relation.label, relation.source, relation.types | decided)


def condition(relation: Relation, window: TimeFilter) -> sa.ColumnElement[bool] | None:
    """What the database can leave out; see :mod:`prefilter`."""
    return other_condition(relation.column(window.column), relation.types[window.column], window)


def read_batches(
    connection: sa.Connection, relation: Relation, names: Sequence[str], rows: sa.Select[Any], most: int | None
) -> Iterator[pa.RecordBatch]:
    """The rows of a statement whose WHERE and ORDER BY are set, as batches of ``names`` in that order."""
    schema = pa.schema([(name, arrow_type(relation.types[name])) for name in names])
    statement = rows.with_only_columns(*(relation.column(name) for name in names))
    result = connection.execute(statement, execution_options={"stream_results": True, "max_row_buffer": 1})
    with contextlib.closing(result):
        for block in blocks(result.fetchmany, _weight, most):
            columns = [
                _typed(values, field, relation.label)
                for values, field in zip(zip(*block, strict=True), schema, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def prepare(_connection: sa.Connection) -> None:
    """Make texts of a transaction be those of every other one: nothing is known to do."""


def texts(_connection: sa.Connection, _relation: Relation, _names: Sequence[str], _rows: sa.Select[Any]) -> list[str]:
    """The columns that :func:`read_batches` delivers as text although their type is another: none here."""
    return []


def _narrowest(values: Sequence[Any]) -> SqlType:
    found = set(map(type, values)) - {type(None)}
    if found and found <= {bool}:
        return sa.Boolean()
    if found and found <= {int}:
        return sa.BigInteger()
    if found and found <= {int, float, Decimal}:
        return sa.Float()
    if found and found <= {datetime}:
        return sa.DateTime(timezone=all(value is None or value.tzinfo is not None for value in values))
    if found and found <= {date}:
        return sa.Date()
    return sa.LargeBinary() if found and found <= {bytes, bytearray, memoryview} else sa.Text()


def _weight(rows: Sequence[Any]) -> int:
    return sum(64 + (len(v) if isinstance(v, str | bytes) else 0) for row in rows for v in row)


def _typed(values: Sequence[Any], field: pa.Field, label: str) -> pa.Array:
    if pa.types.is_string(field.type):
        return from_texts([v if v is None or isinstance(v, str) else str(v) for v in values], pa.string())
    if pa.types.is_floating(field.type):
        values = [None if v is None else float(v) for v in values]
    try:
        return pa.array(values, type=field.type, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError, ValueError, TypeError):
        kinds = sorted({type(v).__name__ for v in values if v is not None})
        raise SourceError(
            f"column {field.name!r} of {label} holds values ({', '.join(kinds)}) that do not fit its type "
            f"{field.type}; CAST it in a query"
        ) from None
