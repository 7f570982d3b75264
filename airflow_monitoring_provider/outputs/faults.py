"""What a driver's error means for the writer of a table: come back later, fix a grant, or change the definition.

The driver's own text is never passed on: it holds statements, values and sometimes addresses.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import (
    ConfigurationError,
    MonitoringError,
    OutputError,
    OutputUnavailable,
)

_Meaning = tuple[type[MonitoringError], str]

_SQLITE: dict[int, _Meaning] = {
    sqlite3.SQLITE_BUSY: (OutputUnavailable, "the SQLite file is locked by another reader or writer"),
    sqlite3.SQLITE_LOCKED: (OutputUnavailable, "a table is locked"),
    sqlite3.SQLITE_FULL: (OutputUnavailable, "the disk is full"),
    sqlite3.SQLITE_IOERR: (OutputUnavailable, "the disk failed"),
    sqlite3.SQLITE_NOMEM: (OutputUnavailable, "memory ran out"),
    sqlite3.SQLITE_CANTOPEN: (
        OutputUnavailable,
        "the SQLite file cannot be opened; check the connection's path, that the folder exists and may be written",
    ),
    sqlite3.SQLITE_READONLY: (ConfigurationError, "the SQLite file may not be written"),
    sqlite3.SQLITE_PERM: (ConfigurationError, "the SQLite file may not be accessed"),
    sqlite3.SQLITE_CORRUPT: (OutputError, "the SQLite file is damaged"),
    sqlite3.SQLITE_NOTADB: (OutputError, "the connection's file is not a SQLite database"),
    sqlite3.SQLITE_CONSTRAINT: (OutputError, "a constraint of the table refuses a row (unique, not null or check)"),
    sqlite3.SQLITE_MISMATCH: (OutputError, "a value does not fit the type of its column"),
    sqlite3.SQLITE_TOOBIG: (OutputError, "a value is larger than SQLite holds"),
}

# SQLSTATE classes and codes: PostgreSQL documentation, appendix A (most are the SQL standard's).
_SQLSTATE: dict[str, _Meaning] = {
    "08": (OutputUnavailable, "the connection could not be made or broke off"),
    "22": (OutputError, "a value does not fit the type of its column"),
    "22001": (OutputError, "a text is longer than its column allows"),
    "22003": (OutputError, "a number is outside the range of its column"),
    "23502": (OutputError, "the table refuses a null in a column that is declared NOT NULL"),
    "23505": (OutputError, "a unique constraint of the table refuses a row whose key is there already"),
    "23": (OutputError, "a constraint of the table refuses a row"),
    "25P03": (OutputUnavailable, "the server ended the write because it stood still for too long"),
    "28": (ConfigurationError, "the database refuses the connection's login"),
    "3D": (ConfigurationError, "the connection's database does not exist"),
    "3F": (OutputError, "the schema does not exist"),
    "40": (OutputUnavailable, "the database gave the write up for another transaction"),
    "42501": (ConfigurationError, "the connection's login lacks a right; grant INSERT, UPDATE, DELETE and CREATE"),
    "42804": (OutputError, "a column's type does not fit what is written into it"),
    "42P01": (OutputError, "the table does not exist"),
    "42P07": (OutputUnavailable, "somebody else created the table at the same moment"),
    "42": (OutputError, "the database cannot make sense of the statement"),
    "53": (OutputUnavailable, "the server is out of memory, disk or connections"),
    "54": (OutputError, "the table has more or larger columns than the database allows"),
    "55P03": (OutputUnavailable, "another transaction holds the rows or the table"),
    "57": (OutputUnavailable, "the server cancelled the write or is shutting down"),
    "58": (OutputUnavailable, "the server had a system error"),
}

# psycopg says which column only in the context, whose last part is the value.
_COPIED_COLUMN = re.compile(r"^COPY .*?, line \d+, column (?P<name>.+?)(?:: .*)?$", re.DOTALL)


@contextlib.contextmanager
def translated(label: str) -> Iterator[None]:
    """Raise this package's errors about ``label`` instead of SQLAlchemy's and the driver's.

    The original is not chained, because its text holds values.
    """
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise meaning(error, label) from None
    except Exception as error:
        if not _is_drivers(error):
            raise
        raise meaning(error, label) from None


def meaning(error: Exception, label: str) -> MonitoringError:
    """This package's error for one of SQLAlchemy's or a driver's."""
    original = getattr(error, "orig", None) or error
    if isinstance(original, MonitoringError):  # raised by a signal's handler while SQLAlchemy made the statement
        return original
    if isinstance(original, sqlite3.Error):
        known = _SQLITE.get(_primary(original))
        if known is None and str(original).startswith("no such table"):
            known = _SQLSTATE["42P01"]
        return _said(known, label, type(original).__name__, "")
    code = sqlstate(error)
    known = _SQLSTATE.get(code) or _SQLSTATE.get(code[:2])
    if known is None and not code and _may_be_lost(error):
        known = (OutputUnavailable, "the connection could not be made or broke off")
    column = _column(original)
    return _said(known, label + (f", column {column!r}" if column else ""), type(original).__name__, code)


def sqlstate(error: BaseException) -> str:
    """The five characters of the SQL standard, ``""`` where the driver gives none."""
    original = getattr(error, "orig", None) or error
    return str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")


def refused_commit(error: Exception) -> bool:
    """Whether the database itself said that it did not commit, so that nothing is in doubt."""
    original = getattr(error, "orig", None) or error
    if isinstance(original, sqlite3.Error):
        return _primary(original) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT}
    code = sqlstate(error)
    return code[:2] in {"23", "25", "40", "53", "44"} and code not in {"40003", "25P03"}


def is_locked(error: Exception) -> bool:
    """Whether SQLite would rather be asked again later."""
    original = getattr(error, "orig", None) or error
    return isinstance(original, sqlite3.Error) and _primary(original) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def lacks_right(error: Exception) -> bool:
    """Whether the login may not do this, whatever the driver calls it."""
    if sqlstate(error):
        return sqlstate(error) == "42501"
    original = getattr(error, "orig", None) or error
    return isinstance(original, sqlite3.Error) and _primary(original) == sqlite3.SQLITE_READONLY


def _said(known: _Meaning | None, label: str, what: str, code: str) -> MonitoringError:
    if known is None:
        detail = f"{what}, SQLSTATE {code}" if code else what
        return OutputError(f"{label}: the database refused a statement ({detail}); nothing was written")
    return known[0](f"{label}: {known[1]}" + (f" (SQLSTATE {code})" if code else ""))


def _primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code (the low byte of the extended one); 0 where the driver itself complained."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _may_be_lost(error: Exception) -> bool:
    if isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated:
        return True
    names = {kind.__name__ for kind in type(getattr(error, "orig", None) or error).__mro__}
    return bool(names & {"OperationalError", "InterfaceError", "TimeoutError"})


def _is_drivers(error: Exception) -> bool:
    return isinstance(error, sqlite3.Error) or type(error).__module__.partition(".")[0] in {"psycopg", "psycopg2"}


def _column(original: object) -> str | None:
    diagnosis = getattr(original, "diag", None)
    named = getattr(diagnosis, "column_name", None)
    if named:
        return str(named)
    copied = _COPIED_COLUMN.match(getattr(diagnosis, "context", None) or "")
    return copied["name"] if copied else None
