"""The output table: found and checked, or made from the types of what is written into it.

A table this package makes has one column more, ``monitoring_job_id``, by which a job's rows are replaced. An existing
table may have it too; without it, inserts need unique row identifiers (:mod:`keyed`).
"""

from __future__ import annotations

import dataclasses
import uuid
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlOutput
from airflow_monitoring_provider.definitions.identifiers import IDENTIFIER_BYTES, fault
from airflow_monitoring_provider.exceptions import OutputError

JOB_COLUMN = "monitoring_job_id"

_SQLITE_DIGITS = 15  # SQLite makes a double of a decimal; more digits stay only as text

_TYPES: tuple[tuple[Any, Any], ...] = (
    (pa.types.is_boolean, sa.Boolean),
    (pa.types.is_integer, sa.BigInteger),
    (pa.types.is_floating, sa.Double),
    (pa.types.is_binary, sa.LargeBinary),
    (pa.types.is_date, sa.Date),
)


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """A table that exists.

    :ivar unique: column sets that are unique by a constraint or an index.
    """

    table: sa.Table
    unique: tuple[frozenset[str], ...]

    @property
    def has_job_column(self) -> bool:
        """Whether a job's rows can be told by their job."""
        return JOB_COLUMN in self.table.c

    def check(self, columns: Iterable[str], schema: pa.Schema | None, label: str) -> None:
        """Refuse columns that the table lacks, or whose values it can never hold.

        SQLite would store a text in a column of numbers without a word.

        :param schema: the types that arrive, where they are known.
        :raises OutputError: names the first one, the table, and what it has.
        """
        for name in columns:
            if name not in self.table.c:
                has = ", ".join(repr(column.name) for column in list(self.table.c)[:20])
                raise OutputError(f"{label} has no column {name!r}, which is to be written; it has {has}")
            kind = self.table.c[name].type
            if schema is not None and not _fits(schema.field(name).type, kind):
                raise OutputError(
                    f"{label}, column {name!r}: the column is {type(kind).__name__} and cannot hold "
                    f"{schema.field(name).type}; change the column's type or leave it out"
                )


def find_target(connection: sa.Connection, output: SqlOutput) -> Target | None:
    """The output's table, or None where there is none."""
    schema = table_schema(connection, output)
    inspector = sa.inspect(connection)
    name = str(output.table)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # of types SQLAlchemy does not know
        try:
            reflected = inspector.get_columns(name, schema=schema)
        except sa.exc.NoSuchTableError:
            return None
        keys = [inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]]
        keys += [unique["column_names"] for unique in inspector.get_unique_constraints(name, schema=schema)]
        keys += [list(columns) for columns in map(_unique_columns, inspector.get_indexes(name, schema=schema))]
    columns: list[sa.Column[Any]] = [
        sa.Column(quoted(column["name"], connection), column["type"]) for column in reflected
    ]
    unique = tuple(frozenset(key) for key in keys if key)
    return Target(sa.Table(quoted(name, connection), sa.MetaData(), *columns, schema=schema), unique)


def _unique_columns(index: Any) -> tuple[str, ...]:
    """Columns that an index makes unique for every row: a partial one does not, nor one over expressions."""
    partial = any(key.endswith("_where") for key in index.get("dialect_options", ()))
    columns = index["column_names"]
    return tuple(columns) if index["unique"] and not partial and None not in columns else ()


def create_target(connection: sa.Connection, output: SqlOutput, schema: pa.Schema) -> None:
    """Make the table; its caller is alone (see :meth:`Database.lock`)."""
    columns: list[sa.Column[Any]] = [
        sa.Column(quoted(field.name, connection), _sql_type(field.type, connection.dialect.name)) for field in schema
    ]
    job: sa.Column[Any] = sa.Column(JOB_COLUMN, sa.String(255))
    # A name of its own each time: an index keeps its name when somebody renames the table to archive it.
    sa.Index(f"{JOB_COLUMN}_{uuid.uuid4().hex}", job)
    name, place = quoted(str(output.table), connection), table_schema(connection, output)
    sa.Table(name, sa.MetaData(), *columns, job, schema=place).create(connection)


def quoted(name: str, connection: sa.Connection) -> str:
    """The name, quoted whatever SQLAlchemy thinks of it: its list of SQLite's keywords lacks some (``nothing``).

    Databases that keep plain names in upper case would look for another one, so there SQLAlchemy decides.
    """
    exact = connection.dialect.name in ("postgresql", "sqlite")
    return sa.sql.quoted_name(name, quote=True if exact else None)


def table_schema(connection: sa.Connection, output: SqlOutput) -> str | None:
    """The schema as SQLAlchemy takes it.

    :raises OutputError: the catalog is another database than the connection's.
    """
    catalog, dialect = output.catalog, connection.dialect.name
    if catalog is None or (dialect == "sqlite" and catalog == "main"):
        return output.schema_
    if dialect == "sqlite":
        raise OutputError(f"catalog {catalog!r}: SQLite has no catalogs; remove it")
    if dialect == "postgresql":
        current = connection.scalar(sa.select(sa.func.current_database()))
        if catalog != current:
            raise OutputError(
                f"catalog {catalog!r} cannot be written through this connection: it leads to database {current!r}, and "
                "PostgreSQL writes one database a connection; remove the catalog or use another connection"
            )
        return output.schema_
    return catalog if output.schema_ is None else f"{catalog}.{output.schema_}"


def check_names(output: SqlOutput, columns: Sequence[str], dialect: sa.Dialect) -> None:
    """Refuse names that break in spite of quoting, before any statement.

    :raises OutputError: a name is empty, holds a control character or is too long; names the place, not the name.
    """
    limit = IDENTIFIER_BYTES if dialect.name == "postgresql" else dialect.max_identifier_length
    named = {"table": output.table, "schema": output.schema_, "catalog": output.catalog}
    places = [(f"outputSettings.{place}", name) for place, name in named.items() if name is not None]
    places += [(f"output column {position}", name) for position, name in enumerate(columns, 1)]
    places += [("outputSettings.whereColumns", name) for name in output.where_columns]
    places += [("outputSettings.updateColumns", name) for name in output.update_columns]
    for place, name in places:
        if (problem := fault(name, limit)) is not None:
            raise OutputError(f"{place} {problem}")
    _check_distinct(columns, dialect.name)


def _check_distinct(columns: Sequence[str], dialect: str) -> None:
    seen: set[str] = set()
    for name in columns:
        same = name.lower() if dialect == "sqlite" else name  # SQLite does not tell column names apart by case
        if same == JOB_COLUMN:
            raise OutputError(f"column {name!r} cannot be copied: the output keeps the job of each row under this name")
        if same in seen:
            raise OutputError(f"the output would have two columns named {name!r}; rename or leave out one of them")
        seen.add(same)


def _fits(arriving: pa.DataType, kind: sa.types.TypeEngine[Any]) -> bool:
    """False where no value of the one can be the other; of single values the database has the last word."""
    types = pa.types
    if isinstance(arriving, pa.BaseExtensionType):
        return _fits(arriving.storage_type, kind)
    if types.is_dictionary(arriving) or types.is_run_end_encoded(arriving):
        arriving = arriving.value_type
    number = types.is_integer(arriving) or types.is_floating(arriving) or types.is_decimal(arriving)
    if types.is_null(arriving):
        return True
    if isinstance(kind, sa.Integer | sa.Numeric | sa.Float):  # since SQLAlchemy 2.1 Float is no Numeric
        return bool(number or types.is_boolean(arriving))
    if isinstance(kind, sa.Boolean):
        return bool(types.is_boolean(arriving) or types.is_integer(arriving))
    if isinstance(kind, sa.Date | sa.DateTime):
        return not (number or types.is_boolean(arriving) or types.is_nested(arriving))
    return True


def _sql_type(kind: pa.DataType, dialect: str) -> sa.types.TypeEngine[Any]:
    for holds, sql in _TYPES:
        if holds(kind):
            made: sa.types.TypeEngine[Any] = sql()
            return made
    if pa.types.is_timestamp(kind):
        return sa.DateTime(timezone=kind.tz is not None)
    if pa.types.is_decimal(kind) and (dialect != "sqlite" or kind.precision <= _SQLITE_DIGITS):
        return sa.Numeric(kind.precision, kind.scale)
    return sa.Text()
