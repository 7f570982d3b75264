"""Batches into a table, by the fastest way each driver has inside a transaction that SQLAlchemy began.

psycopg 3: COPY on SQLAlchemy's own driver connection. SQLite: ``executemany`` on the driver's. Any other: SQLAlchemy's
own bulk insert. All three bind or escape every value; statements are made of SQLAlchemy's or psycopg's constructs.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import OutputError
from airflow_monitoring_provider.outputs.lines import copy_lines
from airflow_monitoring_provider.outputs.values import NAIVE
from airflow_monitoring_provider.profiles.instants import INSTANT


def load(connection: sa.Connection, table: sa.Table, batch: pa.RecordBatch, label: str) -> None:
    """Insert a batch of :func:`~airflow_monitoring_provider.outputs.values.storable` into columns of its names.

    A column of texts may be a dictionary of them.

    :raises OutputError: a value does not fit its column's type; names the column.
    """
    if batch.num_rows == 0:
        return
    batch = _fitted(batch, table, label)
    driver: Any = connection.connection.driver_connection
    if type(driver).__module__.partition(".")[0] == "psycopg":
        _copy(driver, table, batch)
        return
    batch = _decoded(batch)
    if connection.dialect.name == "sqlite":
        _executemany(driver, connection, table, batch)
    else:
        rows = [dict(zip(batch.schema.names, row, strict=True)) for row in _rows(batch)]
        connection.execute(sa.insert(table), rows)


def cells(column: pa.Array) -> list[Any]:
    """The values of a column as SQLite stores them: times as ISO text in UTC without zone, decimals as text."""
    if column.type == INSTANT:
        column = column.view(NAIVE)
    if pa.types.is_temporal(column.type) or pa.types.is_decimal(column.type):
        column = column.cast(pa.string())
    return column.to_pylist()  # type: ignore[no-any-return]


def _decoded(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = [c.dictionary_decode() if pa.types.is_dictionary(c.type) else c for c in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _rows(batch: pa.RecordBatch) -> Any:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _fitted(batch: pa.RecordBatch, table: sa.Table, label: str) -> pa.RecordBatch:
    """Numbers as the table's integer columns take them; all other types are read from their text by the database."""
    for position, field in enumerate(batch.schema):
        if not isinstance(table.c[field.name].type, sa.Integer) or pa.types.is_integer(field.type):
            continue
        if pa.types.is_boolean(field.type):
            batch = batch.set_column(position, field.name, batch.column(position).cast(pa.int64()))
        elif pa.types.is_floating(field.type) or pa.types.is_decimal(field.type):
            try:
                batch = batch.set_column(position, field.name, batch.column(position).cast(pa.int64()))
            except pa.ArrowInvalid:
                raise OutputError(
                    f"{label}, column {field.name!r}: the column is {table.c[field.name].type!s} and the rows hold "
                    f"fractions ({field.type}); change the column's type or leave it out"
                ) from None
    return batch


def _executemany(driver: Any, connection: sa.Connection, table: sa.Table, batch: pa.RecordBatch) -> None:
    columns = {f"v{position}": cells(column) for position, column in enumerate(batch.columns)}
    values: dict[Any, Any] = {
        table.c[name]: sa.bindparam(key) for key, name in zip(columns, batch.schema.names, strict=True)
    }
    statement: Any = sa.insert(table).values(values).compile(dialect=connection.dialect)
    driver.executemany(str(statement), zip(*(columns[key] for key in statement.positiontup), strict=True))


def _copy(driver: Any, table: sa.Table, batch: pa.RecordBatch) -> None:
    from psycopg import sql

    place = sql.Identifier(*([table.schema, table.name] if table.schema else [table.name]))
    names = sql.SQL(", ").join(map(sql.Identifier, batch.schema.names))
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT text, ENCODING 'UTF8')").format(place, names)
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for lines in copy_lines(batch):
            copy.write(lines)
