"""What DuckDB says of a table: its dialect for SQLAlchemy asks PostgreSQL's catalog, of which DuckDB lacks parts."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.source import listed

_DECIMAL = re.compile(r"DECIMAL\((\d+),(\d+)\)")
_TYPES: dict[str, sa.types.TypeEngine[Any]] = {
    "BOOLEAN": sa.Boolean(),
    **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"), sa.BigInteger()),
    "UBIGINT": sa.Numeric(20, 0),
    "HUGEINT": sa.Numeric(),
    "UHUGEINT": sa.Numeric(),
    "FLOAT": sa.REAL(),
    "DOUBLE": sa.Double(),
    "DATE": sa.Date(),
    **dict.fromkeys(("TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"), sa.DateTime()),
    "TIMESTAMP WITH TIME ZONE": sa.DateTime(timezone=True),
    "BLOB": sa.LargeBinary(),
    "VARCHAR": sa.Text(),
}


def column_types(
    connection: sa.Connection, table: str, schema: str | None, label: str
) -> dict[str, sa.types.TypeEngine[Any]]:
    """Column -> type of a table or view; types that are not known here are null types.

    :raises SourceError: it is not there; lists what is.
    """
    names = ("table_catalog", "table_schema", "table_name", "column_name", "data_type", "ordinal_position")
    columns = sa.table("columns", *map(sa.column, names), schema="information_schema").c
    wanted = sa.func.current_schema() if schema is None else schema
    here = sa.and_(columns.table_catalog == sa.func.current_database(), columns.table_schema == wanted)
    asked = sa.select(columns.column_name, columns.data_type).where(here, columns.table_name == table)
    found = connection.execute(asked.order_by(columns.ordinal_position)).all()
    if not found:
        tables = connection.scalars(sa.select(columns.table_name).where(here).distinct()).all()
        where = f" in schema {schema!r}" if schema else ""
        raise SourceError(f"{label} does not exist{where}; {listed('there are', sorted(tables))}")
    return {name: _type(text) for name, text in found}


def _type(text: str) -> sa.types.TypeEngine[Any]:
    decimal = _DECIMAL.fullmatch(text)
    if decimal is not None:
        return sa.Numeric(int(decimal[1]), int(decimal[2]))
    return _TYPES.get(text, sa.types.NullType())
