"""Engines for the store and its two kinds of transaction: one reads a single moment, one writes all or nothing.

SQLite: write-ahead log, foreign keys, and ``BEGIN IMMEDIATE`` for whatever writes, so that a lock is found at the first
statement and not at the last; Python's driver would otherwise begin late and leave DDL outside the transaction.
PostgreSQL: READ COMMITTED for writes (claims and commits are single conditional statements, which need no more) and
time limits on every transaction, so that a frozen worker cannot hold a claim for ever.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.store import errors

_BEGIN = "monitoring_begin"
_LIMITS = (
    "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true), "
    "set_config('idle_in_transaction_session_timeout', %s, true)"
)


def open_engine(
    url: str | sa.URL, *, wait: float = 10.0, statement_timeout: float = 120.0, idle_timeout: float = 60.0
) -> sa.Engine:
    """An engine that keeps the promises of this module.

    :param url: ``sqlite:///file`` or ``postgresql://…`` (psycopg 3 is used whatever driver the URL names).
    :param wait: seconds to wait for a lock before :class:`StoreUnavailable`.
    :param statement_timeout: seconds one statement may take (PostgreSQL).
    :param idle_timeout: seconds a transaction may be left open without a statement (PostgreSQL).
    :raises ConfigurationError: for another database, an in-memory SQLite, or a driver that is not installed.
    """
    try:
        address = sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ConfigurationError("the monitoring store's URL cannot be read; check its connection") from None
    family = address.drivername.partition("+")[0]
    if family == "sqlite":
        return _sqlite_engine(address, wait)
    if family in {"postgresql", "postgres"}:
        limits = tuple(f"{max(1, round(seconds * 1000))}ms" for seconds in (wait, statement_timeout, idle_timeout))
        return _postgres_engine(address.set(drivername="postgresql+psycopg"), limits, wait)
    raise ConfigurationError(f"the monitoring store needs SQLite or PostgreSQL; its connection names {family!r}")


@contextlib.contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A read-only transaction: all its statements see the same moment."""
    with errors.translate_errors(), engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection = connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        yield connection


@contextlib.contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that is committed when the block ends, and rolled back when it raises.

    Raises :class:`OutcomeUnknown` where the connection broke at COMMIT.
    """
    with errors.translate_errors(), engine.connect() as connection:
        connection = connection.execution_options(**{_BEGIN: "IMMEDIATE"})
        yield connection
        errors.commit(connection)


def insert(connection: sa.Connection, table: sa.Table) -> Any:
    """The INSERT of the connection's own dialect, which alone knows ON CONFLICT."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)


def _sqlite_engine(address: sa.URL, wait: float) -> sa.Engine:
    if not address.database or address.database == ":memory:" or address.query:
        raise ConfigurationError("the monitoring store needs a SQLite file: sqlite:////folder/monitoring.sqlite")
    try:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the folder of the monitoring store's SQLite file cannot be made: {type(error).__name__}"
        ) from None
    engine = sa.create_engine(
        address.set(drivername="sqlite+pysqlite"), hide_parameters=True, connect_args={"timeout": wait}
    )

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        # SQLite's own knows A to Z alone, and a search that ignores case would not find "Äpfel" by "äpfel".
        connection.create_function("lower", 1, _lower, deterministic=True)
        _write_ahead(connection, wait)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        immediate = connection.get_execution_options().get(_BEGIN) == "IMMEDIATE"
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN DEFERRED")

    return engine


def _lower(text: object) -> str | None:
    return None if text is None else str(text).lower()


def _write_ahead(connection: sqlite3.Connection, wait: float) -> None:
    # The first switch needs the file for itself, and SQLite does not use the busy timeout while it waits for that.
    deadline = time.monotonic() + wait
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            locked = error.sqlite_errorcode & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
            if not locked or time.monotonic() >= deadline:
                raise
        time.sleep(0.02)


def _postgres_engine(address: sa.URL, limits: tuple[str, ...], wait: float) -> sa.Engine:
    try:
        engine = sa.create_engine(
            address,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            pool_pre_ping=True,
            # A pooler in transaction mode hands the same session to others: nothing may be prepared in it.
            connect_args={"prepare_threshold": None, "connect_timeout": max(2, round(wait))},
        )
    except ImportError:
        raise ConfigurationError(
            "PostgreSQL needs psycopg 3: pip install 'airflow-monitoring-provider[postgres]'"
        ) from None

    @sa.event.listens_for(engine, "begin")
    def _limit(connection: sa.Connection) -> None:
        # Per transaction and not per session, for the same poolers; start-up options are refused by most of them.
        connection.exec_driver_sql(_LIMITS, limits)

    return engine
