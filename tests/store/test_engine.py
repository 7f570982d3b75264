"""Engines and errors: bounded waits, true transactions, and messages without a secret or a value."""

from __future__ import annotations

import datetime as dt
import sqlite3
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import (
    ConfigurationError,
    CorruptData,
    NotFound,
    RetryableError,
    StoreUnavailable,
    TerminalError,
)
from airflow_monitoring_provider.store import tables
from airflow_monitoring_provider.store.engine import open_engine, reading, writing
from airflow_monitoring_provider.store.store import MonitoringStore

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ENTRY: dict[str, Any] = {"at": NOW, "action": "tested", "entity_id": "e", "details": {}}


def test_a_transaction_that_raises_leaves_nothing_not_even_its_tables(database_url: str) -> None:
    engine = open_engine(database_url)
    with pytest.raises(NotFound), writing(engine) as connection:  # noqa: PT012
        tables.audit.create(connection)
        connection.execute(tables.audit.insert().values(**ENTRY))
        raise NotFound

    with reading(engine) as connection:
        assert [] == sa.inspect(connection).get_table_names()
    engine.dispose()


def test_a_reader_sees_one_moment(store_url: str) -> None:
    engine = open_engine(store_url)
    count = sa.select(sa.func.count()).select_from(tables.audit)
    with reading(engine) as connection:
        assert 0 == connection.execute(count).scalar_one()
        with writing(engine) as other:
            other.execute(tables.audit.insert().values(**ENTRY))
        assert 0 == connection.execute(count).scalar_one()
    with reading(engine) as connection:
        assert 1 == connection.execute(count).scalar_one()
    engine.dispose()


def test_a_reader_can_not_write_on_postgresql(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    with pytest.raises(TerminalError, match="SQLSTATE 25006"), reading(engine) as connection:
        tables.audit.create(connection)
    with writing(engine) as connection:
        tables.audit.create(connection)
    engine.dispose()


def test_every_transaction_has_time_limits_on_postgresql(postgres_url: str) -> None:
    engine = open_engine(postgres_url, wait=1.5, statement_timeout=20, idle_timeout=30)
    for transaction in (reading, writing):
        with transaction(engine) as connection:
            limits = [
                connection.execute(sa.select(sa.func.current_setting(name))).scalar_one()
                for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
            ]
        assert ["1500ms", "20s", "30s"] == limits
    engine.dispose()


def test_a_sqlite_store_is_durable_checks_references_and_is_read_while_it_is_written(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 's.sqlite'}")
    with reading(engine) as connection:
        settings = [
            connection.exec_driver_sql(pragma).scalar_one()
            for pragma in ("PRAGMA journal_mode", "PRAGMA foreign_keys", "PRAGMA synchronous", "PRAGMA busy_timeout")
        ]
    assert ["wal", 1, 2, 10_000] == settings
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("sqlite://", "needs a SQLite file"),
        ("sqlite:///:memory:", "needs a SQLite file"),
        ("sqlite:///file:x?mode=memory&uri=true", "needs a SQLite file"),
        ("mysql://ada:s3cret@host/db", "needs SQLite or PostgreSQL; its connection names 'mysql'"),
        ("not a url s3cret", "cannot be read"),
    ],
)
def test_a_database_that_cannot_be_a_store_is_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as refused:
        open_engine(url)
    assert "s3cret" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2", "postgresql+psycopg"])
def test_any_postgresql_url_is_opened_with_psycopg_3(scheme: str) -> None:
    engine = open_engine(f"{scheme}://ada@localhost/db")

    assert "psycopg" == engine.dialect.driver
    engine.dispose()


def test_a_server_that_is_not_there_is_unavailable_and_its_address_is_not_told(
    open_store: Callable[..., MonitoringStore],
) -> None:
    store = open_store("postgresql://ada:s3cret@127.0.0.1:1/nowhere")

    with pytest.raises(StoreUnavailable) as refused:
        store.jobs()
    shown = "".join(traceback.format_exception(refused.value)).replace(__file__, "")
    assert not [word for word in ("s3cret", "127.0.0.1", "nowhere", "ada:") if word in shown]


class Ended(BaseException):
    """What Airflow raises in a task whose time is up."""


class EndedCursor(psycopg.Cursor[Any]):
    """A statement that a signal breaks off."""

    def execute(self, *_arguments: Any, **_options: Any) -> EndedCursor:
        self.connection.pgconn.send_query(b"SELECT pg_sleep(1)")
        raise Ended


def test_a_signal_while_a_connection_is_tried_reaches_the_caller(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    with reading(engine) as connection:
        driver: Any = connection.connection.driver_connection
    driver.cursor_factory = EndedCursor

    with pytest.raises(Ended), reading(engine):
        pass
    with reading(engine) as connection:
        assert 1 == connection.scalar(sa.select(1))
    engine.dispose()


def test_an_error_while_a_signal_is_answered_is_the_store_s_own(store_url: str) -> None:
    engine = open_engine(store_url)
    try:
        raise Ended
    except Ended:
        with pytest.raises((TerminalError, RetryableError)), reading(engine) as connection:
            connection.execute(sa.text("SELECT nothing FROM nowhere"))
    engine.dispose()


def test_a_missing_database_is_unavailable_and_its_name_is_not_told(postgres_url: str) -> None:
    engine = open_engine(sa.make_url(postgres_url).set(database="s3cret"))

    with pytest.raises(StoreUnavailable, match="check that") as refused, reading(engine):
        pytest.fail("there is no such database")
    assert "s3cret" not in str(refused.value)
    engine.dispose()


def test_a_file_that_is_no_database_is_reported_as_damaged(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").write_bytes(b"this is a text file and no database at all" * 100)
    engine = open_engine(f"sqlite:///{tmp_path / 's.sqlite'}")

    with pytest.raises(CorruptData, match="not a SQLite database"), reading(engine):
        pytest.fail("it cannot be opened")
    engine.dispose()


def test_a_folder_in_place_of_the_file_is_unavailable(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path}")

    with pytest.raises(StoreUnavailable, match="cannot be opened"), reading(engine):
        pytest.fail("it cannot be opened")
    engine.dispose()


def test_a_file_in_place_of_the_folder_is_a_mistake_in_the_connection(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="folder"):
        open_engine(f"sqlite:///{tmp_path / 'file' / 's.sqlite'}")


def test_a_full_disk_is_an_error_with_a_sentence_and_leaves_the_store_readable(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 's.sqlite'}")
    with writing(engine) as connection:
        tables.audit.create(connection)
        connection.execute(tables.audit.insert().values(**ENTRY))
    with pytest.raises(StoreUnavailable, match=r"disk.*full"), writing(engine) as connection:  # noqa: PT012
        connection.exec_driver_sql("PRAGMA max_page_count = 1")
        connection.execute(tables.audit.insert().values(**ENTRY | {"details": {"filler": "x" * 100_000}}))

    with reading(engine) as connection:
        assert 1 == connection.execute(sa.select(sa.func.count()).select_from(tables.audit)).scalar_one()
    engine.dispose()


def test_errors_never_show_a_value(store_url: str) -> None:
    engine = open_engine(store_url)
    rows = [ENTRY | {"id": 1, "entity_id": "s3cret"}] * 2
    with pytest.raises(TerminalError) as refused, writing(engine) as connection:
        connection.execute(tables.audit.insert(), rows)
    shown = "".join(traceback.format_exception(refused.value)).replace(Path(__file__).read_text("utf-8"), "")
    assert "s3cret" not in str(refused.value)
    assert "INSERT" not in shown
    assert not isinstance(refused.value, RetryableError | NotFound)
    engine.dispose()


def test_a_driver_s_own_error_is_translated_too(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 's.sqlite'}")
    with pytest.raises(TerminalError, match="refused a statement: ProgrammingError"), reading(engine):
        raise sqlite3.ProgrammingError("row value")
    engine.dispose()
