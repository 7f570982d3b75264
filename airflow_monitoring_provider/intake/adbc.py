"""Rows of any database that has an ADBC driver, taken as the Arrow batches that the driver makes.

The next batch is read while the one before is counted, by a thread, so that a task which is told to stop is heard at
once; it then cancels the statement. Types are those of the result (:mod:`arrow_columns`).
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.adbc_dialect import (
    POSTGRESQL,
    cancel,
    dbapi_of,
    is_sqlite,
    vendor_of,
    waited_for,
)
from airflow_monitoring_provider.intake.arrow_columns import Shown, delivered, sql_type
from airflow_monitoring_provider.intake.copied import shown_text
from airflow_monitoring_provider.intake.prefilter import other_condition
from airflow_monitoring_provider.intake.relation import Relation, SqlType, arrow_type, schema_of
from airflow_monitoring_provider.intake.source import BATCH_ROWS, TimeFilter, listed


@contextlib.contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in the database's default isolation, in which a read is one statement."""
    with engine.connect() as connection:
        yield connection


def find_table(connection: sa.Connection, intake: SqlIntake, everything: sa.ColumnElement[Any], label: str) -> Relation:
    """The intake's table or view.

    :param everything: what selects all columns of something of which none is known.
    :raises SourceError: it is not there; lists what is.
    """
    name, schema = str(intake.table), schema_of(connection, intake)
    try:
        types = _types(connection, sa.select(everything).select_from(sa.table(name, schema=schema)))
    except sa.exc.DBAPIError as error:
        connection.rollback()
        try:
            names = _tables(connection, intake.schema_)
        except dbapi_of(connection.dialect).Error:  # not even that can be asked
            raise error from None
        if name in names:
            raise
        where = f" in schema {schema!r}" if schema else ""
        raise SourceError(f"{label} does not exist{where}; {listed('there are', names)}") from None
    return Relation(label, sa.table(name, *map(_exactly, types), schema=schema), types)


def find_query(
    connection: sa.Connection, body: sa.TextClause, everything: sa.ColumnElement[Any], label: str
) -> Relation:
    """The columns of a query.

    :param everything: see :func:`find_table`.
    :raises SourceError: two columns have one name.
    """
    types = _types(connection, sa.select(everything).select_from(body.columns().subquery("intake")))
    return Relation(label, body.columns(*map(_exactly, types)).subquery("intake"), types)


def resolved(_connection: sa.Connection, relation: Relation) -> Relation:
    """The relation: its types are those of the result already."""
    return relation


def condition(relation: Relation, window: TimeFilter) -> sa.ColumnElement[bool] | None:
    """What the database can leave out; see :mod:`prefilter`.

    Numbers and texts are left to the exact test: drivers take a number only as the column's own type.
    """
    kind = relation.types[window.column]
    return (
        other_condition(relation.column(window.column), kind, window)
        if isinstance(kind, sa.DateTime | sa.Date)
        else None
    )


def read_batches(
    connection: sa.Connection, relation: Relation, names: Sequence[str], rows: sa.Select[Any], most: int | None
) -> Iterator[pa.RecordBatch]:
    """The rows of a statement whose WHERE and ORDER BY are set, as batches of ``names`` in that order."""
    schema = pa.schema([(name, arrow_type(relation.types[name])) for name in names])
    vendor = vendor_of(connection.dialect)
    fields = [_sent(relation.column(name), relation.types[name], vendor) for name in names]
    result = connection.execute(rows.with_only_columns(*fields))
    with contextlib.closing(result), contextlib.closing(_ahead(connection, result.cursor)) as batches:
        for batch in batches:
            step = min(most or BATCH_ROWS, BATCH_ROWS)
            for start in range(0, batch.num_rows, step):
                columns = [
                    delivered(column, field.type, field.name, relation.label)
                    for column, field in zip(batch.slice(start, step).columns, schema, strict=True)
                ]
                yield pa.RecordBatch.from_arrays(columns, schema=schema)


def texts(_connection: sa.Connection, _relation: Relation, _names: Sequence[str], _rows: sa.Select[Any]) -> list[str]:
    """The columns that :func:`read_batches` delivers as text although their type is another: none here."""
    return []


def _types(connection: sa.Connection, rows: sa.Select[Any]) -> dict[str, SqlType]:
    # SQLite's driver decides by the first rows, so there have to be some.
    result = connection.execute(rows if is_sqlite(connection.dialect) else rows.where(sa.false()))
    with contextlib.closing(result):
        fields = list(_reader(result.cursor).schema)
    names = [field.name for field in fields]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SourceError(f"{listed('the query gives two columns one name:', twice)}; rename them with AS")
    return {field.name: sql_type(field) for field in fields}


def _exactly(name: str) -> sa.ColumnClause[Any]:
    """A column by the name that the result has, which no database is to fold."""
    return sa.column(sa.sql.quoted_name(name, quote=True))


def _sent(column: sa.ColumnElement[Any], kind: SqlType, vendor: str) -> sa.ColumnElement[Any]:
    if not isinstance(kind, Shown):
        return column
    return shown_text(column, kind, "postgresql") if vendor == POSTGRESQL else sa.cast(column, sa.Text())


def _tables(connection: sa.Connection, schema: str | None) -> list[str]:
    driver: Any = connection.connection.driver_connection
    catalogs = driver.adbc_get_objects(depth="tables", db_schema_filter=schema).read_all().to_pylist()
    schemas = [found for catalog in catalogs for found in catalog["catalog_db_schemas"] or ()]
    return sorted({table["table_name"] for found in schemas for table in found["db_schema_tables"] or ()})


def _reader(cursor: Any) -> pa.RecordBatchReader:
    """The batches of a statement that was executed.

    ``fetch_record_batch`` gives the reader within the one that knows what an error of the database was.
    """
    knowing = getattr(getattr(cursor, "_results", None), "reader", None)
    return cursor.fetch_record_batch() if knowing is None else knowing


def _ahead(connection: sa.Connection, cursor: Any) -> Generator[pa.RecordBatch]:
    """The batches, of which the next is read meanwhile."""
    batches, failure = iter(_reader(cursor)), dbapi_of(connection.dialect).Error
    with concurrent.futures.ThreadPoolExecutor(1, "monitoring-read-ahead") as pool:
        coming = pool.submit(next, batches, None)
        try:
            while (batch := waited_for(coming, cursor)) is not None:
                coming = pool.submit(next, batches, None)
                yield batch
        except BaseException as error:
            cancel(coming, cursor)
            if isinstance(error, OSError | pa.ArrowException | failure):
                raise _wrapped(connection, error) from None
            raise


def _wrapped(connection: sa.Connection, error: BaseException) -> sa.exc.DBAPIError:
    lost = connection.dialect.is_disconnect(error, None, None)  # type: ignore[arg-type]
    if lost:
        connection.invalidate(error)
    kind = (
        sa.exc.OperationalError
        if isinstance(error, dbapi_of(connection.dialect).OperationalError)
        else sa.exc.DBAPIError
    )
    return kind("SELECT", None, error, connection_invalidated=lost)
