"""What databases say in different words, so that one statement means the same in each of them.

================================ =====================================================================================
What                             Where it differs
================================ =====================================================================================
a double                         Oracle's DOUBLE PRECISION is a decimal; a double there is a BINARY_DOUBLE
NaN and the infinities           MySQL, MariaDB and SQL Server hold none, and take none as a bound value; SQLite has no
                                 NaN
a condition that nothing fulfils SQL Server and Oracle have no FALSE
texts that are equal             MySQL, MariaDB and SQL Server compare without regard to case or to spaces at the end
                                 unless told otherwise; SQLite by the column's collation
the natural logarithm            LOG in SQL Server, LN elsewhere
the greatest of some numbers     MAX in SQLite; only the newest SQL Servers have a function
================================ =====================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import oracle
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

Expression = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]

PROVEN = ("postgresql", "sqlite", "duckdb")
"""Databases whose profiles are held to those of rows that are read."""
COMPILED = ("mysql", "mariadb", "mssql", "oracle")
"""Databases whose statements are looked at as texts only."""

DOUBLE: sa.types.TypeEngine[float] = sa.Double().with_variant(oracle.BINARY_DOUBLE(), "oracle")
TEXT: sa.types.TypeEngine[str] = (
    sa.Text().with_variant(sa.Unicode(), "mssql").with_variant(sa.Unicode(4000), "oracle")  # a CLOB equals nothing
)

_BINARY = {
    "sqlite": "BINARY",
    "mysql": "utf8mb4_0900_bin",
    "mariadb": "utf8mb4_nopad_bin",
    "mssql": "Latin1_General_BIN2",
}
_LEAST_VERSION = {"mysql": (8, 0, 17), "mariadb": (10, 4, 5)}
_FINITE_ONLY = ("mysql", "mariadb", "mssql")


def most_bound(dialect: str) -> int:
    """Values that a statement may bind: SQL Server takes 2100, SQLite 32 766 and others more."""
    return 2000 if dialect == "mssql" else 32_000


def cannot(dialect: Any) -> str | None:
    """Why no statement is made for a database that is connected; None where there are such.

    :param dialect: SQLAlchemy's, which knows the server's version.
    """
    name = dialect.name
    if name not in (*PROVEN, *COMPILED):
        return f"profiles are computed inside {', '.join((*PROVEN, *COMPILED))} only, and this is {name}"
    if name == "mysql" and dialect.is_mariadb:
        return "this is a MariaDB, whose collations have other names; let its connection begin with mariadb"
    least = _LEAST_VERSION.get(name, ())
    if least and dialect.server_version_info < least:
        return f"SQLAlchemy writes casts to doubles for {name} from version {'.'.join(map(str, least))} on"
    return None


def never() -> Condition:
    """What is true of no row."""
    one, zero = (sa.literal(number, sa.Integer(), literal_execute=True) for number in (1, 0))
    return one == zero


def is_nan(double: Expression, dialect: str) -> Condition:
    """Whether a double is NaN."""
    if dialect == "sqlite" or dialect in _FINITE_ONLY:
        return never()
    nan: Condition = double.in_([sa.literal(math.nan, DOUBLE)])
    return nan


def is_infinite(double: Expression, sign: int, dialect: str) -> Condition:
    """Whether a double is the infinity of a sign."""
    return never() if dialect in _FINITE_ONLY else double == sa.literal(math.copysign(math.inf, sign), DOUBLE)


def is_finite(double: Expression, dialect: str) -> Condition:
    """Whether a double is a number that is finite."""
    if dialect in _FINITE_ONLY:
        return double.is_not(None)
    return sa.and_(double > sa.literal(-math.inf, DOUBLE), double < sa.literal(math.inf, DOUBLE))


def exact_text(column: Expression, dialect: str) -> Expression:
    """A text that is equal to those of the same characters, but for spaces at the end of it in SQL Server."""
    if dialect in ("mysql", "mariadb"):
        column = sa.func.convert(column.op("USING")(sa.column("utf8mb4")), type_=sa.Text())
    if dialect == "mssql":
        column = sa.cast(column, sa.Unicode())
    return sa.collate(column, _BINARY[dialect]) if dialect in _BINARY else column


def text_size(text: Expression, dialect: str) -> Expression | None:
    """What tells texts apart that :func:`exact_text` does not: the bytes of a text in SQL Server."""
    return sa.func.datalength(text, type_=sa.BigInteger()) if dialect == "mssql" else None


def same_text(column: Expression, value: str, dialect: str) -> Condition:
    """Whether a column's text is exactly a value."""
    text = exact_text(column, dialect)
    same: Condition = text == sa.literal(value, TEXT)
    size = text_size(text, dialect)
    return same if size is None else sa.and_(same, size == len(value.encode("utf-16-le")))


def cancel(connection: sa.Connection) -> None:
    """End the statement that runs on a connection, from any thread; where none runs nothing happens."""
    driver: Any = connection.connection.driver_connection
    for name in ("cancel_safe", "interrupt", "cancel"):  # psycopg 3; sqlite3; psycopg2 and others
        if hasattr(driver, name):
            getattr(driver, name)()
            return


def size_of(double: Expression) -> Expression:
    """A double without its sign."""
    return sa.func.abs(double, type_=DOUBLE)


def logarithm(double: Expression, dialect: str) -> Expression:
    """The natural logarithm."""
    name = "log" if dialect == "mssql" else "ln"
    return getattr(sa.func, name)(double, type_=DOUBLE)  # type: ignore[no-any-return]


class _Greatest(FunctionElement[float]):
    type = sa.Double()
    inherit_cache = True


def greatest(doubles: Sequence[Expression]) -> Expression:
    """The greatest of several doubles of a row, none of them null."""
    return _Greatest(*doubles)


@compiles(_Greatest)
def _by_function(element: _Greatest, compiler: Any, **options: Any) -> str:
    name = "max" if compiler.dialect.name == "sqlite" else "greatest"
    return f"{name}({compiler.process(element.clauses, **options)})"


@compiles(_Greatest, "mssql")
def _by_rows(element: _Greatest, compiler: Any, **options: Any) -> str:
    rows = ", ".join(f"({compiler.process(one, **options)})" for one in element.clauses)
    return f"(SELECT MAX(each.it) FROM (VALUES {rows}) AS each (it))"  # noqa: S608 - of what was compiled
