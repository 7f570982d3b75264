"""One transaction of an output database: begun alone or not at all, committed for certain or known to be in doubt.

SQLite: ``BEGIN IMMEDIATE``, so that a lock is found at the first statement and DDL is part of the transaction; Python's
driver would begin late. PostgreSQL: READ COMMITTED (the marker's conditional upsert needs no more) with time limits, so
that a frozen attempt cannot hold the marker for ever. Of a killed worker PostgreSQL learns by itself when it next reads
from the connection; inside a long statement it would look for nobody, so it is asked to (from version 14 on, and not
on Windows). Of a machine that vanished it learns by TCP's keep-alive.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import OutcomeUnknown
from airflow_monitoring_provider.outputs import faults

_PAUSE = 0.02
_CLIENT_CHECK = "client_connection_check_interval"
_WHERE_SERVED = {
    _CLIENT_CHECK: "2s",
    "tcp_keepalives_idle": "30s",
    "tcp_keepalives_interval": "10s",
    "tcp_keepalives_count": "3",
}


class Database:
    """The output's database and how long to wait for its locks.

    :param wait: seconds to wait for a lock.
    :param idle: seconds a transaction may stand still between two statements before PostgreSQL ends it.
    """

    def __init__(self, engine: sa.Engine, label: str, *, wait: float, idle: float) -> None:
        self.engine = engine
        self.label = label
        self.dialect = engine.dialect.name
        self._wait = wait
        self._idle = idle

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction that is rolled back unless :meth:`commit` ends it."""
        with self._connected() as connection:
            if self.dialect == "postgresql":
                self._limit(connection)
            yield connection

    @contextlib.contextmanager
    def looking(self) -> Iterator[sa.Connection]:
        """A connection to read from; on SQLite without the write lock that :meth:`transaction` begins with."""
        with faults.translated(self.label):
            opened = self.engine.connect()
        with contextlib.closing(opened) as connection:
            yield connection

    def commit(self, connection: sa.Connection) -> None:
        """COMMIT.

        :raises OutcomeUnknown: the answer was lost; whoever knows what the transaction wrote can look.
        """
        deadline = time.monotonic() + self._wait
        while True:
            try:
                if self.dialect == "sqlite":
                    # A reader makes SQLite refuse COMMIT and keep the transaction open for another try. SQLAlchemy
                    # would give it up at the first refusal, so the driver is asked.
                    driver: Any = connection.connection.driver_connection
                    driver.commit()
                connection.commit()
                return
            except (sa.exc.SQLAlchemyError, sqlite3.Error) as error:
                if faults.is_locked(error) and time.monotonic() < deadline:
                    time.sleep(_PAUSE)
                    continue
                if faults.refused_commit(error):
                    raise faults.meaning(error, self.label) from None
                raise OutcomeUnknown(
                    f"{self.label}: the connection broke while a commit was under way; its outcome is unknown"
                ) from None
            except BaseException:  # the task ran out of time or was told to stop, just here
                # SQLAlchemy gives a connection back as it is when its database is not what failed: with its locks.
                if self.dialect == "sqlite":
                    connection.connection.rollback()
                else:
                    connection.invalidate()
                raise

    def lock(self, connection: sa.Connection, name: str) -> None:
        """Be alone, until the transaction ends, among all who ask for the same name (SQLite writers always are)."""
        if self.dialect == "postgresql":
            key = sa.func.hashtextextended(f"airflow_monitoring_provider {name}", 0)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with faults.translated(self.label):
            opened = self.engine.connect()
        with contextlib.closing(opened) as connection:
            if self.dialect != "sqlite":
                if self.dialect == "postgresql":
                    connection = connection.execution_options(isolation_level="READ COMMITTED")
                try:
                    yield connection
                finally:
                    # On a broken connection this fails as well, and would hide the error that says so.
                    with contextlib.suppress(sa.exc.SQLAlchemyError):
                        connection.rollback()
                return
            driver: Any = connection.connection.driver_connection
            before, driver.isolation_level = driver.isolation_level, None
            try:
                with faults.translated(self.label):
                    self._begin_immediate(connection, driver)
                yield connection
            finally:
                with contextlib.suppress(sa.exc.SQLAlchemyError):
                    connection.rollback()
                driver.isolation_level = before

    def _begin_immediate(self, connection: sa.Connection, driver: Any) -> None:
        connection.begin()
        deadline = time.monotonic() + self._wait
        while not driver.in_transaction:  # an engine may begin by itself
            try:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            except sa.exc.OperationalError as error:
                if not faults.is_locked(error) or time.monotonic() >= deadline:
                    raise
                time.sleep(_PAUSE)

    def _limit(self, connection: sa.Connection) -> None:
        limits = {"lock_timeout": self._wait, "idle_in_transaction_session_timeout": self._idle}
        settings = [sa.func.set_config(k, f"{max(1, round(v * 1000))}ms", True) for k, v in limits.items()]
        # An instant without zone that meets a column with one must not depend on the server's place.
        settings.append(sa.func.set_config("TimeZone", "UTC", True))
        known = sa.table("pg_settings", sa.column("name"))
        served = sa.and_(
            known.c.name.in_(_WHERE_SERVED),
            sa.or_(known.c.name != _CLIENT_CHECK, sa.func.version().op("!~*")("windows|mingw|visual c")),
        )
        value = sa.case(_WHERE_SERVED, value=known.c.name)
        with faults.translated(self.label):
            connection.execute(sa.select(*settings))
            connection.execute(sa.select(sa.func.set_config(known.c.name, value, True)).where(served))
