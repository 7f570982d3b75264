"""What a database error means for the caller: try again, migrate, or stop.

The driver's own text is never passed on: it holds statements, values and sometimes addresses.
"""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from collections.abc import Iterator

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import (
    ConfigurationError,
    CorruptData,
    DefinitionError,
    MonitoringError,
    NotFound,
    OutcomeUnknown,
    StoreSchemaError,
    StoreUnavailable,
    TerminalError,
)

MIGRATE_COMMAND = "airflow monitoring db migrate"

_SQLITE = {
    sqlite3.SQLITE_BUSY: StoreUnavailable("the monitoring store's SQLite file is locked by another process; try again"),
    sqlite3.SQLITE_LOCKED: StoreUnavailable("a table of the monitoring store is locked; try again"),
    sqlite3.SQLITE_FULL: StoreUnavailable("the disk that holds the monitoring store is full; free some space"),
    sqlite3.SQLITE_IOERR: StoreUnavailable("the disk that holds the monitoring store failed to read or write"),
    sqlite3.SQLITE_CANTOPEN: StoreUnavailable(
        "the monitoring store's SQLite file cannot be opened; check that its folder exists and may be written"
    ),
    sqlite3.SQLITE_READONLY: ConfigurationError("the monitoring store's SQLite file may not be written"),
    sqlite3.SQLITE_PERM: ConfigurationError("the monitoring store's SQLite file may not be accessed"),
    sqlite3.SQLITE_CORRUPT: CorruptData("the monitoring store's SQLite file is damaged; restore a backup"),
    sqlite3.SQLITE_NOTADB: CorruptData("the monitoring store's file is not a SQLite database"),
}

# SQLSTATE classes and codes: PostgreSQL documentation, appendix A.
_POSTGRES: dict[str, type[MonitoringError]] = {
    "08": StoreUnavailable,  # connection
    "23503": NotFound,  # foreign key
    "25P03": StoreUnavailable,  # idle in a transaction for too long
    "25P04": StoreUnavailable,  # transaction took too long
    "3F": StoreSchemaError,  # no such schema
    "40": StoreUnavailable,  # serialization, deadlock
    "42501": ConfigurationError,  # privilege
    "42703": StoreSchemaError,  # no such column
    "42P01": StoreSchemaError,  # no such table
    "53": StoreUnavailable,  # out of memory, disk, connections
    "55P03": StoreUnavailable,  # lock_timeout
    "57": StoreUnavailable,  # cancelled, shut down
    "58": StoreUnavailable,  # system error
    "XX001": CorruptData,
    "XX002": CorruptData,
}

_NO_CONNECTION = (
    "the monitoring store cannot be reached, or the connection broke; if this lasts, check that the server runs and "
    "that host, database, user and password of its connection are right"
)

_SENTENCES: dict[type[MonitoringError], str] = {
    StoreUnavailable: "the monitoring store cannot be reached, is locked, or is overloaded; try again",
    ConfigurationError: "the monitoring store refuses this user or database; check its connection and grants",
    StoreSchemaError: f"the monitoring store lacks a table or column of this version; run: {MIGRATE_COMMAND}",
    CorruptData: "the monitoring store's data is damaged; restore a backup",
    NotFound: "what this belongs to is not in the monitoring store; register the definition first",
}


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Raise this package's errors instead of SQLAlchemy's and the driver's.

    Errors that may pass by themselves become :class:`StoreUnavailable`, a missing table or column
    :class:`StoreSchemaError`, everything else a :class:`TerminalError` that names the driver's error class and code.
    The original is not chained, because its text holds values. Where the task was told to stop, and tidying up failed,
    it stops for what it was told.
    """
    handled = sys.exc_info()[1]
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        raise _interruption(error, handled) or _meaning(error) from None
    except sqlite3.Error as error:
        raise _of_sqlite(error) from None
    except UnicodeEncodeError:
        raise DefinitionError("a text holds half a surrogate pair, which no database can hold; remove it") from None


def commit(connection: sa.Connection) -> None:
    """COMMIT, telling "did not happen" from "nobody knows".

    Raises :class:`OutcomeUnknown` where the answer was lost; the caller looks before it writes again.
    """
    try:
        connection.commit()
    except sa.exc.SQLAlchemyError as error:
        if _refused(error):
            raise
        raise OutcomeUnknown(
            "the connection to the monitoring store broke while a commit was under way; its outcome is unknown"
        ) from None
    except BaseException:  # the task ran out of time or was told to stop, just here
        # SQLAlchemy gives a connection back as it is when its database is not what failed: with its locks.
        connection.invalidate()
        raise


def _refused(error: sa.exc.SQLAlchemyError) -> bool:
    """Whether the database said that it did not commit."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        return _primary(original) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CONSTRAINT}
    code = getattr(original, "sqlstate", None) or ""
    return code[:2] in {"23", "25", "40", "53"} and code != "40003"


def _interruption(error: BaseException, handled: BaseException | None) -> BaseException | None:
    """What a signal raised before an error of a statement that it broke off, if the caller was not at it already.

    SQLAlchemy tries a connection and then sets it back, which psycopg refuses in the middle of what the server does.
    """
    found: BaseException | None = error
    while found is not None and found is not handled:
        if not isinstance(found, Exception | GeneratorExit):
            return found
        found = found.__cause__ or found.__context__
    return None


def _meaning(error: sa.exc.SQLAlchemyError) -> MonitoringError:
    if isinstance(error, sa.exc.NoSuchModuleError):
        return ConfigurationError("the driver of the monitoring store's database is not installed")
    original = getattr(error, "orig", None)
    if isinstance(original, MonitoringError):  # raised by a signal's handler while SQLAlchemy made the statement
        return original
    if isinstance(original, sqlite3.Error):
        return _of_sqlite(original)
    code = getattr(original, "sqlstate", None) or ""
    if isinstance(error, sa.exc.DataError) and not code and "NUL" in str(original):  # the driver's own, unsent
        return DefinitionError("a text holds NUL, which no database can hold; remove it")
    kind = _POSTGRES.get(code) or _POSTGRES.get(code[:2])
    if kind is None and not code and isinstance(error, sa.exc.OperationalError | sa.exc.InterfaceError):
        return StoreUnavailable(_NO_CONNECTION)  # psycopg reports refused and broken connections without a SQLSTATE
    if kind is None and isinstance(error, sa.exc.TimeoutError):
        kind = StoreUnavailable  # no connection in the pool became free
    if kind is not None:
        return kind(_SENTENCES[kind] + (f" (SQLSTATE {code})" if code else ""))
    what = type(original).__name__ if original is not None else type(error).__name__
    return TerminalError(f"the monitoring store refused a statement: {what}" + (f", SQLSTATE {code}" if code else ""))


def _of_sqlite(error: sqlite3.Error) -> MonitoringError:
    known = _SQLITE.get(_primary(error))
    if known is not None:
        return type(known)(*known.args)
    if isinstance(error, sqlite3.OperationalError) and _missing_object(error):
        return StoreSchemaError(_SENTENCES[StoreSchemaError])
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
        return NotFound(_SENTENCES[NotFound])
    return TerminalError(f"the monitoring store refused a statement: {type(error).__name__}")


def _primary(error: sqlite3.Error) -> int:
    """SQLite's primary result code (the low byte of the extended one); 0 where the driver itself complained."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def _missing_object(error: sqlite3.OperationalError) -> bool:
    # SQLite has one code, SQLITE_ERROR, for everything a statement can get wrong: only its text tells them apart.
    return str(error).startswith(("no such table", "no such column")) or "has no column named" in str(error)
