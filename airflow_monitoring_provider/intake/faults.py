"""What a driver's error means for the reader of a table: come back later, or change the definition.

The driver's own text is never passed on: it holds statements, values and sometimes addresses.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import ConfigurationError, MonitoringError, SourceError, SourceUnavailable

_SQLITE: dict[int, tuple[type[MonitoringError], str]] = {
    sqlite3.SQLITE_BUSY: (SourceUnavailable, "the SQLite file is locked by another process"),
    sqlite3.SQLITE_LOCKED: (SourceUnavailable, "a table is locked"),
    sqlite3.SQLITE_IOERR: (SourceUnavailable, "the disk failed"),
    sqlite3.SQLITE_NOMEM: (SourceUnavailable, "memory ran out"),
    sqlite3.SQLITE_FULL: (SourceUnavailable, "the disk that sorted rows go to is full"),
    sqlite3.SQLITE_INTERRUPT: (SourceUnavailable, "the read was interrupted"),
    sqlite3.SQLITE_CANTOPEN: (
        SourceUnavailable,
        "the SQLite file cannot be opened; check the connection's path, that the folder exists and may be read",
    ),
    sqlite3.SQLITE_PERM: (ConfigurationError, "the SQLite file may not be accessed"),
    sqlite3.SQLITE_AUTH: (ConfigurationError, "the SQLite file may not be accessed"),
    sqlite3.SQLITE_CORRUPT: (SourceError, "the SQLite file is damaged"),
    sqlite3.SQLITE_NOTADB: (SourceError, "the connection's file is not a SQLite database"),
}

# SQLSTATE classes and codes: PostgreSQL documentation, appendix A (most are the SQL standard's).
_SQLSTATE: dict[str, tuple[type[MonitoringError], str]] = {
    "08": (SourceUnavailable, "the connection could not be made or broke off"),
    "25P03": (SourceUnavailable, "the server ended the read because it stood still for too long"),
    "28": (ConfigurationError, "the database refuses the connection's login"),
    "3D": (ConfigurationError, "the connection's database does not exist"),
    "40": (SourceUnavailable, "the database gave the read up for another transaction"),
    "42501": (ConfigurationError, "the connection's login may not read it; grant SELECT"),
    "42601": (SourceError, "the query is not valid SQL for this database"),
    "42703": (SourceError, "a column does not exist"),
    "42P01": (SourceError, "a table does not exist"),
    "42": (SourceError, "the database cannot make sense of the statement"),
    "22": (SourceError, "a value cannot be computed or converted as the query or view asks"),
    "53": (SourceUnavailable, "the server is out of memory, disk or connections"),
    "55P03": (SourceUnavailable, "a table is locked"),
    "57": (SourceUnavailable, "the server cancelled the read or is shutting down"),
    "58": (SourceUnavailable, "the server had a system error"),
    "XX001": (SourceError, "the server reports damaged data"),
}


@contextlib.contextmanager
def translated(label: str) -> Iterator[None]:
    """Raise this package's errors about ``label`` instead of SQLAlchemy's and the driver's.

    The original is not chained, because its text holds values.
    """
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise _meaning(error, getattr(error, "orig", None), label) from None
    except sqlite3.Error as error:
        raise _meaning(error, error, label) from None


def _meaning(error: Exception, original: BaseException | None, label: str) -> MonitoringError:
    if isinstance(original, MonitoringError):  # raised by a signal's handler while SQLAlchemy made the statement
        return original
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original, label)
    code = str(getattr(original, "sqlstate", None) or getattr(original, "pgcode", None) or "")
    known = _SQLSTATE.get(code) or _SQLSTATE.get(code[:2])
    if known is not None:
        return known[0](f"{label}: {known[1]} (SQLSTATE {code})")
    what = type(original or error).__name__ + (f", SQLSTATE {code}" if code else "")
    lost = isinstance(error, sa.exc.DBAPIError) and error.connection_invalidated
    # Drivers report refused and broken connections as operational errors, often without a code.
    if lost or (isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError | sa.exc.TimeoutError) and not code):
        return SourceUnavailable(f"{label}: the connection could not be made or broke off ({what})")
    return SourceError(f"{label}: the database refused the statement ({what})")


def _of_sqlite(error: sqlite3.Error, label: str) -> MonitoringError:
    # The low byte of the extended code is the primary one; 0 where the driver itself complained.
    known = _SQLITE.get((getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF)
    if known is not None:
        return known[0](f"{label}: {known[1]}")
    if str(error).startswith("no such table"):  # SQLite has one code for everything a statement can get wrong
        return SourceError(f"{label}: a table does not exist")
    if str(error).startswith("no such column"):
        return SourceError(f"{label}: a column does not exist")
    return SourceError(f"{label}: the database refused the statement ({type(error).__name__})")
