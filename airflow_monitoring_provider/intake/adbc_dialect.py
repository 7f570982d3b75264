"""SQLAlchemy's statements for any database that has an ADBC driver, through ADBC's own DB-API.

A dialect that compiles the standard SQL of a SELECT and binds values as the driver takes them (``$1`` on PostgreSQL,
``?`` elsewhere); what a table holds is asked of the driver. Statements that are one database's own are not made.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import default

NAME = "adbc"
POSTGRESQL = "PostgreSQL"
_SQLITE = "SQLite"
_ROWS_TO_TYPE = "65536"
_BETWEEN_CANCELS = 0.2  # seconds

Result = TypeVar("Result")


class AdbcDialect(default.DefaultDialect):
    """The dialect of a connection whose database says itself which one it is.

    :ivar vendor: as the driver names it: ``PostgreSQL``, ``SQLite``, ``duckdb``, …; ``""`` before the first connection.
    """

    name = driver = NAME
    default_paramstyle = "qmark"
    supports_statement_cache = True
    vendor = ""

    @classmethod
    def import_dbapi(cls) -> Any:
        """ADBC's DB-API."""
        import adbc_driver_manager.dbapi

        return adbc_driver_manager.dbapi

    def initialize(self, connection: sa.Connection) -> None:
        """Ask the database who it is."""
        super().initialize(connection)
        driver: Any = connection.connection.driver_connection
        self.vendor = str(driver.adbc_get_info().get("vendor_name", ""))
        if self.vendor == POSTGRESQL:
            self.paramstyle = "numeric_dollar"

    def is_disconnect(self, e: Exception, connection: Any, cursor: Any) -> bool:
        """Whether the connection is of no more use after an error."""
        state = str(getattr(e, "sqlstate", None) or "")
        # PostgreSQL's driver says IO of whatever else it was told, with a state.
        return state.startswith("08") or state in ("57P01", "57P02", "57P03") or (not state and _status(e) == "IO")

    def do_execute(self, cursor: Any, statement: Any, parameters: Any, context: Any = None) -> None:
        """Execute; SQLite's driver, which takes a column's type from the first batch, looks at more than 1024 rows."""
        if self.vendor == _SQLITE:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": _ROWS_TO_TYPE})
        with concurrent.futures.ThreadPoolExecutor(1, "monitoring-execute") as pool:
            waited_for(pool.submit(cursor.execute, statement, parameters), cursor)

    def do_rollback(self, dbapi_connection: Any) -> None:
        """End the transaction; a driver that has none has nothing to end."""
        if self._transacts(dbapi_connection):
            dbapi_connection.rollback()

    def do_commit(self, dbapi_connection: Any) -> None:
        """Likewise."""
        if self._transacts(dbapi_connection):
            dbapi_connection.commit()

    @staticmethod
    def _transacts(dbapi_connection: Any) -> bool:
        return not getattr(dbapi_connection, "_autocommit", False)


def open_adbc(connect: Callable[[], Any]) -> sa.Engine:
    """An engine over ADBC connections.

    :param connect: gives one of ``adbc_driver_manager.dbapi``, with its credentials.
    """
    sa.dialects.registry.register(NAME, __name__, AdbcDialect.__name__)
    return sa.create_engine(f"{NAME}://", creator=connect)


def waited_for(work: concurrent.futures.Future[Result], cursor: Any) -> Result:
    """What comes of a driver's call in another thread; an exception in this one, such as a signal's, cancels it.

    The driver itself would hear of a signal when the database has answered.
    """
    try:
        return work.result()
    except BaseException:
        cancel(work, cursor)
        raise


def cancel(work: concurrent.futures.Future[Any], cursor: Any) -> None:
    """Have a call end; more than once, as the statement may not have begun when it is first cancelled."""
    while not work.done():
        with contextlib.suppress(cursor.connection.Error):
            cursor.adbc_cancel()
        concurrent.futures.wait([work], _BETWEEN_CANCELS)


def is_sqlite(dialect: Any) -> bool:
    """Whether it is SQLite that is behind a dialect."""
    return dialect.name == "sqlite" or vendor_of(dialect) == _SQLITE


def vendor_of(dialect: Any) -> str:
    """:attr:`AdbcDialect.vendor`; "" of other dialects."""
    return str(getattr(dialect, "vendor", ""))


def dbapi_of(dialect: Any) -> Any:
    """The module whose errors a dialect's driver raises."""
    return dialect.dbapi


def sqlite_file(engine: sa.Engine) -> str | None:
    """The file of an SQLite database that is read through ADBC; None of other databases and of one in memory."""
    with engine.connect() as connection:
        if vendor_of(engine.dialect) != _SQLITE:
            return None
        found = connection.exec_driver_sql("PRAGMA database_list").all()
    return next((str(path) for _number, name, path in found if name == "main" and path), None)


def _status(error: Any) -> str:
    return str(getattr(getattr(error, "status_code", None), "name", ""))
