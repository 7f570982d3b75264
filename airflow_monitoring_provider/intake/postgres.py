"""Rows of PostgreSQL as Arrow batches: binary COPY on psycopg's own connection, in the read's transaction.

It stays in the transaction, with the settings, the cancellation and the types of everything else that is asked of the
database, which a driver with a connection of its own would not. Other drivers cannot COPY into Python
and read rows as text (:mod:`row_texts`), with the same result.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_monitoring_provider.intake import row_texts
from airflow_monitoring_provider.intake.copy_rows import parsed
from airflow_monitoring_provider.intake.copy_stream import copied_blocks
from airflow_monitoring_provider.intake.prefilter import postgres_condition
from airflow_monitoring_provider.intake.relation import Relation, SqlType, arrow_type
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.profiles.arrays import as_texts

# What a row's text depends on; the plan is made for reading everything, and a scan always starts at the beginning.
_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "synchronize_seqscans": "off",
    "cursor_tuple_fraction": "1.0",
    "max_parallel_workers_per_gather": "0",  # sums would depend on who was quick
}

# Type OIDs that a query's description gives: PostgreSQL's pg_type.dat, where they never change.
_TYPES: dict[int, SqlType] = {
    16: sa.Boolean(),
    17: sa.LargeBinary(),
    20: sa.BigInteger(),
    21: sa.BigInteger(),
    23: sa.BigInteger(),
    25: sa.Text(),
    700: sa.REAL(),
    701: sa.Float(),
    1042: sa.Text(),
    1043: sa.Text(),
    1082: sa.Date(),
    1114: sa.DateTime(),
    1184: sa.DateTime(timezone=True),
}
_NUMERIC = 1700


@contextlib.contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A read-only transaction that sees one moment."""
    with engine.connect() as plain:
        connection = plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        prepare(connection)
        yield connection


def prepare(connection: sa.Connection) -> None:
    """Make texts of a transaction be those of every other one."""
    connection.execute(sa.select(*(sa.func.set_config(name, value, True) for name, value in _SETTINGS.items())))


def resolved(_connection: sa.Connection, relation: Relation) -> Relation:
    """The relation with its domains replaced by what they are made of."""
    types = {name: _plain(kind) for name, kind in relation.types.items()}
    return Relation(relation.label, relation.source, types)


def described_type(description: Sequence[Any]) -> SqlType:
    """The SQL type of one column of a query, from the cursor's description (DB-API 2.0)."""
    _name, code, _display, _internal, precision, scale, *_ = description
    if code == _NUMERIC:
        return sa.Numeric(precision, scale)
    return _TYPES.get(code) or sa.types.NullType()


def condition(relation: Relation, window: TimeFilter) -> sa.ColumnElement[bool] | None:
    """What the database can leave out; see :mod:`prefilter`."""
    return postgres_condition(relation.column(window.column), relation.types[window.column], window)


def read_batches(
    connection: sa.Connection, relation: Relation, names: Sequence[str], rows: sa.Select[Any], most: int | None
) -> Iterator[pa.RecordBatch]:
    """The rows of a statement whose WHERE and ORDER BY are set, as batches of ``names`` in that order."""
    driver: Any = connection.connection.driver_connection
    if type(driver).__module__.partition(".")[0] != "psycopg":
        yield from row_texts.read_batches(connection, relation, names, rows, most)
        return
    schema = pa.schema([(name, arrow_type(relation.types[name])) for name in names])
    wire = pa.schema([(name, _wire_type(relation.types[name], schema.field(name).type)) for name in names])
    fields = [_sent(relation.column(name), relation.types[name], wire.field(name).type) for name in names]
    with contextlib.closing(copied_blocks(connection, driver, rows.with_only_columns(*fields))) as blocks:
        for block in blocks:
            step = min(most or len(block), len(block))
            for start in range(0, len(block), step):
                batch = parsed(block.part(start, start + step), wire)
                columns = [_delivered(column, kind) for column, kind in zip(batch.columns, schema.types, strict=True)]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def texts(_connection: sa.Connection, _relation: Relation, _names: Sequence[str], _rows: sa.Select[Any]) -> list[str]:
    """The columns that :func:`read_batches` delivers as text although their type is another: none here."""
    return []


def _plain(kind: SqlType) -> SqlType:
    return _plain(kind.data_type) if isinstance(kind, postgresql.DOMAIN) else kind


def _wire_type(kind: SqlType, arrives: pa.DataType) -> pa.DataType:
    """As what a column crosses the wire: as itself, or as the bytes of its text."""
    exact = isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float)
    return pa.binary() if exact or pa.types.is_string(arrives) else arrives


def _sent(column: sa.ColumnElement[Any], kind: SqlType, wire: pa.DataType) -> sa.ColumnElement[Any]:
    """What is selected for a column, so that its binary form is what :func:`parsed` reads."""
    if isinstance(kind, sa.REAL):  # the double that its shortest text spells, as everybody sees it: 0.1
        return sa.cast(sa.cast(column, sa.Text()), sa.Double())
    if not pa.types.is_binary(wire) or isinstance(kind, sa.LargeBinary | sa.String):
        return column
    # The type's own output function, which a cast to text is not for every type (inet); NULL it would make empty.
    return sa.case((sa.func.num_nulls(column) == 0, sa.func.concat(column)))


def _delivered(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind:
        return column
    texts = as_texts(column)
    if pa.types.is_string(kind):
        return texts
    return texts.cast(kind) if pa.types.is_floating(kind) else row_texts.digits(texts).cast(kind)
