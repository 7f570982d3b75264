"""What a database says of a table before any row is read: that it is there, its columns, and their types.

SQL types become Arrow types by a fixed table, never by looking at values:

======================================= ====================================================================
SQL type                                Arrow type
======================================= ====================================================================
BOOLEAN                                 bool
SMALLINT, INTEGER, BIGINT               int64
NUMERIC(p, 0) with p up to 18           int64
NUMERIC(p, s) with p up to 38           decimal128(p, s); NaN reads as null
NUMERIC without precision, or wider     float64
REAL, DOUBLE PRECISION                  float64
DATE; TIMESTAMP; TIMESTAMP WITH ZONE    date32; timestamp('us'); timestamp('us', 'UTC')
BYTEA, BLOB                             binary
everything else                         string: the database's own text form (JSON, UUID, arrays, times, …)
======================================= ====================================================================

Dates and timestamps outside the years 1 to 9999, such as PostgreSQL's infinite ones, arrive as one beyond them: they
are no time to anybody, and no output holds them.
"""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake import duckdb
from airflow_monitoring_provider.intake.source import listed
from airflow_monitoring_provider.profiles.instants import INSTANT

# NullType marks a column whose type the database does not know.
SqlType = sa.types.TypeEngine[Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Relation:
    """Something to select from, with the SQL type of each column.

    :ivar source: its columns carry no type, so that the driver's values arrive as they are.
    """

    label: str
    source: sa.FromClause
    types: dict[str, SqlType]

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """One column, by its exact name."""
        return self.source.c[name]


def find_table(connection: sa.Connection, intake: SqlIntake, label: str) -> Relation:
    """The intake's table or view.

    :raises SourceError: it is not there; lists what is. Or its catalog cannot be reached through this connection.
    """
    schema = schema_of(connection, intake)
    table = str(intake.table)
    if connection.dialect.name == "duckdb":
        known = duckdb.column_types(connection, table, schema, label)
        return Relation(label, sa.table(table, *map(sa.column, known), schema=schema), known)
    inspector = sa.inspect(connection)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # of types SQLAlchemy does not know; they are read as text
        try:
            columns = inspector.get_columns(table, schema=schema)
        except sa.exc.NoSuchTableError:
            raise _missing(inspector, label, schema) from None
        except sa.exc.OperationalError:
            # SQLite answers so for a schema that is not attached; anything else shows again in the next question.
            if schema is None or schema in inspector.get_schema_names():
                raise
            raise _missing(inspector, label, schema) from None
    types: dict[str, SqlType] = {column["name"]: column["type"] for column in columns}
    return Relation(label, sa.table(table, *map(sa.column, types), schema=schema), types)


def arrow_type(kind: SqlType) -> pa.DataType:
    """The Arrow type of an SQL type, by the table above."""
    if isinstance(kind, sa.Boolean):
        return pa.bool_()
    if isinstance(kind, sa.Integer):
        return pa.int64()
    if isinstance(kind, sa.Float):
        return pa.float64()
    if isinstance(kind, sa.Numeric):
        return _decimal_type(kind.precision, kind.scale)
    if isinstance(kind, sa.DateTime):
        return INSTANT if kind.timezone else pa.timestamp("us")
    if isinstance(kind, sa.Date):
        return pa.date32()
    return pa.binary() if isinstance(kind, sa.LargeBinary) else pa.string()


def _decimal_type(precision: int | None, scale: int | None) -> pa.DataType:
    if precision is None or not 0 < precision <= 38 or not 0 <= (scale or 0) <= precision:
        return pa.float64()
    return pa.int64() if not scale and precision <= 18 else pa.decimal128(precision, scale or 0)


def schema_of(connection: sa.Connection, intake: SqlIntake) -> str | None:
    """The schema that qualifies the intake's table, with its catalog where databases have such.

    :raises SourceError: the catalog cannot be reached through this connection.
    """
    catalog, database = intake.catalog, connection.dialect.name
    if catalog is None:
        return intake.schema_
    if database == "postgresql":
        current = connection.scalar(sa.select(sa.func.current_database()))
        if catalog != current:
            raise SourceError(
                f"catalog {catalog!r} cannot be read through this connection: it leads to database {current!r}, and "
                "PostgreSQL reads one database a connection; remove the catalog or use another connection"
            )
        return intake.schema_
    if database == "sqlite":
        if catalog != "main":
            raise SourceError(f"catalog {catalog!r}: SQLite has no catalogs; remove it")
        return intake.schema_
    return catalog if intake.schema_ is None else f"{catalog}.{intake.schema_}"


def _missing(inspector: sa.Inspector, label: str, schema: str | None) -> SourceError:
    schemas = inspector.get_schema_names()
    if schema is not None and schema not in schemas:
        return SourceError(f"{label}: there is no schema {schema!r}; {listed('there are', sorted(schemas))}")
    names = sorted([*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)])
    where = f" in schema {schema!r}" if schema else ""
    return SourceError(f"{label} does not exist{where}; {listed('there are', names)}")
