"""Rows of PostgreSQL as Arrow batches: binary COPY on psycopg's own connection, in the read's transaction.

It stays in the transaction, with the settings, the cancellation and the types of everything else that is asked of the
database, which a driver with a connection of its own would not. Other drivers cannot COPY into Python
and read rows as text (:mod:`row_texts`), with the same result.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_monitoring_provider.intake import row_texts
from airflow_monitoring_provider.intake.copy_rows import BLOCK_BYTES, BLOCK_ROWS, TRAILER, parsed, without_header
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
    with contextlib.closing(_blocks(connection, driver, rows.with_only_columns(*fields))) as blocks:
        for block in blocks:
            step = min(most or len(block), len(block))
            for start in range(0, len(block), step):
                batch = parsed(block[start : start + step], wire)
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


def _blocks(connection: sa.Connection, driver: Any, rows: sa.Select[Any]) -> Generator[list[bytes]]:
    """Rows as they come, one message each, bounded in number and in bytes; leaving early cancels the statement.

    The server sends a message for each row (PostgreSQL documentation, "COPY Operations"). Those that have arrived are
    taken from libpq directly, since psycopg's own way costs 0.7 us a row; it does the waiting, where it can be
    interrupted, and says how the statement ended.
    """
    import psycopg

    statement: Any = rows.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    # psycopg takes a doubled percent sign for one only where there is a value to bind.
    selected = str(statement) if statement.params else str(statement).replace("%%", "%")
    copying = b"COPY (" + selected.encode() + b") TO STDOUT (FORMAT binary, ENCODING 'UTF8')"
    try:
        with driver.cursor() as cursor, cursor.copy(copying, statement.params) as copy:
            yield from _cut(_gathered(copy, driver.pgconn))
    except psycopg.Error as error:
        if driver.closed:
            connection.invalidate(error)
        wrapped = sa.exc.OperationalError if isinstance(error, psycopg.OperationalError) else sa.exc.DBAPIError
        raise wrapped("COPY", None, error, connection_invalidated=driver.closed) from None


def _gathered(copy: Any, libpq: Any) -> Iterator[list[bytes]]:
    arrived, least = libpq.get_copy_data, len(TRAILER)  # what no row is as short as
    message = without_header(bytes(copy.read())) or copy.read()
    size = len(message)
    block: list[bytes] = []
    counted = weight = 0
    append = block.append
    while size > least:
        while size > least:
            append(bytes(message))  # thousands of memoryviews would keep the garbage collector busy
            size, message = arrived(1)
        if size < 0:
            raise _ending(libpq)
        if size == 0:  # what came without waiting was no more than libpq's buffer
            weight += sum(map(len, block[counted:]))
            counted = len(block)
            if counted >= BLOCK_ROWS or weight > BLOCK_BYTES:
                yield block
                block, counted, weight = [], 0, 0
                append = block.append
            message = copy.read()
            size = len(message)
    while message:
        message = copy.read()
    if block:
        yield block


def _cut(blocks: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Blocks whose borders the rows alone decide: by those of the network the last digits of sums would differ."""
    waiting: list[bytes] = []
    weight = 0
    for block in blocks:
        start = 0
        while start < len(block):
            piece = block[start : start + BLOCK_ROWS - len(waiting)]
            added = sum(map(len, piece))
            if weight + added > BLOCK_BYTES:  # one row of the piece is too much
                sizes = itertools.accumulate(map(len, piece), initial=weight)
                over = next(place for place, reached in enumerate(sizes) if reached > BLOCK_BYTES)
                piece, added = piece[:over], BLOCK_BYTES + 1 - weight
            waiting += piece
            weight += added
            start += len(piece)
            if len(waiting) == BLOCK_ROWS or weight > BLOCK_BYTES:
                yield waiting
                waiting, weight = [], 0
    if waiting:
        yield waiting


def _ending(libpq: Any) -> Exception:
    """Why the server ended a COPY before its end."""
    from psycopg.errors import error_from_result

    results = list(iter(libpq.get_result, None))
    return error_from_result(results[0])
