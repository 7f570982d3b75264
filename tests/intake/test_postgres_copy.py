"""Binary COPY gives the rows that the text of PostgreSQL gives, and ends when it is told to."""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
from collections.abc import Iterator

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.exceptions import SourceError, SourceUnavailable
from airflow_monitoring_provider.intake import copy_stream, postgres, row_texts
from airflow_monitoring_provider.intake.relation import find_table
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.intake.sql import SqlSource
from airflow_monitoring_provider.kernels.library import VARIABLE

START = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
ENDLESS = "SELECT a AS n FROM generate_series(1, 100000) a, generate_series(1, 100000) b"
FEW = "SELECT a AS n FROM generate_series(1, 5000) a"
END = dt.datetime(2013, 1, 1, 6, tzinfo=dt.UTC)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres_url)
    yield engine
    engine.dispose()


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))


@pytest.fixture(params=["compiled", "numpy"])
def _kernels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, request.param)


def query(engine: sa.Engine, text: str) -> SqlSource:
    return SqlSource(engine, SqlIntake(type="jdbc", data_store_id="flights_db", query=text))


@pytest.mark.parametrize("window", [None, TimeFilter("at", START, END)])
def test_drivers_that_cannot_copy_give_the_same_rows(engine: sa.Engine, window: TimeFilter | None) -> None:
    values = {
        "smallint": "'-32768'::smallint",
        "integer": "2147483647",
        "bigint": "-9223372036854775808",
        "real": "1e-45::real",
        "float8": "'-0'::float8",
        "numeric": "1e400::numeric",
        "numeric(5,0)": "99999",
        "numeric(30,10)": "'NaN'::numeric",
        "boolean": "false",
        "text": "E'a\\\\b\"\n,\u00e9'",
        "char(5)": "'ab'",
        "bytea": "'\\x00ff'::bytea",
        "date": "'infinity'::date",
        "timestamp": "'0044-03-15 BC'::timestamp",
        "timestamptz": "'9999-12-31 23:59:59.999999Z'::timestamptz",
        "uuid": "'00000000-0000-0000-0000-00000000000a'",
        "jsonb": "'{\"a\": [1, null]}'",
        "inet": "'10.0.0.1'",
        "interval": "'1 day 2 hours'",
        "integer[]": "'{1,NULL,3}'",
        "time": "'24:00'",
    }
    columns = ", ".join(f"c{n} {kind}" for n, kind in enumerate(values))
    run(
        engine,
        f"CREATE TABLE t (at timestamptz, {columns})",
        f"INSERT INTO t SELECT '2013-01-01 05:00Z', {', '.join(values.values())} FROM generate_series(1, 3)",
        "INSERT INTO t (at) VALUES ('2013-01-01 05:30Z')",
        f"INSERT INTO t SELECT '2013-01-01 06:30Z', {', '.join(values.values())}",
    )
    intake = SqlIntake(type="jdbc", data_store_id="flights_db", table="t")
    source = SqlSource(engine, intake)
    names = source.schema().names
    with source.read(names, window) as batches:
        copied = pa.Table.from_batches(list(batches))
    with postgres.transaction(engine) as connection:
        relation = postgres.resolved(connection, find_table(connection, intake, "t"))
        selected = sa.select().select_from(relation.source)
        if window is not None and (condition := postgres.condition(relation, window)) is not None:
            selected = selected.where(condition)
        texts = pa.Table.from_batches(list(row_texts.read_batches(connection, relation, names, selected, None)))

    assert 5 - (window is not None) == copied.num_rows
    assert texts.schema == copied.schema
    for name in names:
        assert texts.column(name).combine_chunks().equals(copied.column(name).combine_chunks()), name


def test_a_compiled_psycopg_leads_to_its_own_libpq(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "compiled")
    linked = copy_stream.linked_libpq()
    assert linked is not None
    assert psycopg.pq.version() == linked.PQlibVersion()
    monkeypatch.setattr(psycopg.pq, "__impl__", "python")
    copy_stream._linked.cache_clear()
    assert copy_stream.linked_libpq() is None
    copy_stream._linked.cache_clear()
    monkeypatch.setenv(VARIABLE, "numpy")
    assert copy_stream.linked_libpq() is None


@pytest.mark.usefixtures("_kernels")
def test_rows_of_any_size_arrive(engine: sa.Engine) -> None:
    sizes = [0, 3 * 2**20, 1, 9 * 2**20, 0, 2**20 - 30, 5]
    listed = ", ".join(f"({n}, {size})" for n, size in enumerate(sizes))
    with query(engine, f"SELECT n, repeat('x', s) AS t FROM (VALUES {listed}) v (n, s)").read(["n", "t"], None) as some:
        found = [(n, len(t)) for batch in some for n, t in zip(*map(pa.Array.to_pylist, batch.columns), strict=True)]
    assert list(enumerate(sizes)) == found

    with query(engine, "SELECT 1 AS n WHERE false").read(["n"], None) as none:
        assert [] == list(none)


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize(
    ("before", "rows", "error"),
    [
        ("SELECT 1", "SELECT 1 / (20000 - a) AS n FROM generate_series(1, 30000) a", r"computed.*\(SQLSTATE 22012\)"),
        ("SET statement_timeout = 50", f"SELECT n FROM ({ENDLESS}) x", r"cancelled the read.*\(SQLSTATE 57014\)"),
    ],
)
def test_a_statement_that_fails_on_its_way_is_told_as_itself(
    engine: sa.Engine, before: str, rows: str, error: str
) -> None:
    with engine.connect() as connection:  # the pool's only one
        connection.exec_driver_sql(before)
        connection.commit()
    with query(engine, rows).read(["n"], None) as batches, pytest.raises((SourceError, SourceUnavailable), match=error):
        list(batches)
    with engine.connect() as connection:
        assert 1 == connection.scalar(sa.select(1))
    assert 1 == engine.pool.checkedin()  # type: ignore[attr-defined]


@pytest.mark.usefixtures("_kernels")
def test_a_line_that_is_cut_is_retryable_and_its_connection_is_not_used_again(engine: sa.Engine) -> None:
    lines: list[socket.socket] = []
    sa.event.listen(
        engine, "connect", lambda driver, _record: lines.append(socket.socket(fileno=os.dup(driver.fileno())))
    )
    with query(engine, ENDLESS).read(["n"], None) as batches:
        next(batches)
        lines[0].shutdown(socket.SHUT_RDWR)
        with pytest.raises(SourceUnavailable, match="broke off"):
            list(batches)
    with engine.connect() as connection:
        assert 1 == connection.scalar(sa.select(1))
    assert 2 == len(lines)
    for line in lines:
        line.close()


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("rows", [ENDLESS, f"{FEW} UNION ALL SELECT 1 FROM pg_sleep(60)"])
def test_a_signal_ends_the_read_and_the_statement(engine: sa.Engine, rows: str) -> None:
    class Killed(Exception):
        pass

    def kill(*_signal: object) -> None:
        raise Killed

    def read() -> None:
        with source.read(["n"], None) as batches:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            for _ in batches:
                pass

    source = query(engine, rows)
    source.schema()
    before = signal.signal(signal.SIGALRM, kill)
    try:
        with pytest.raises(Killed):
            read()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with engine.connect() as connection:
        assert 1 == connection.scalar(sa.select(1))


def test_a_signal_while_a_table_is_locked_reaches_the_caller(engine: sa.Engine) -> None:
    class Ended(BaseException):
        """What Airflow raises in a task whose time is up."""

    def end(*_signal: object) -> None:
        raise Ended

    def read() -> None:
        with source.read(["n"], None) as batches:
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            next(batches)

    run(engine, "CREATE TABLE t AS SELECT 1 AS n")
    source = SqlSource(engine, SqlIntake(type="jdbc", data_store_id="flights_db", table="t"))
    source.schema()
    before = signal.signal(signal.SIGALRM, end)
    try:
        with engine.connect() as other:
            other.exec_driver_sql("LOCK TABLE t")
            with pytest.raises(Ended):
                read()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with source.read(["n"], None) as batches:
        assert 1 == next(batches).num_rows


def test_an_error_raised_while_rows_are_gathered_ends_the_transaction(engine: sa.Engine) -> None:
    def read() -> None:
        with query(engine, ENDLESS).read(["n"], None) as batches:
            next(batches)
            batches.throw(ZeroDivisionError())  # type: ignore[attr-defined]

    with pytest.raises(ZeroDivisionError):
        read()
    with engine.connect() as connection:
        assert 1 == connection.scalar(sa.select(1))


def test_blocks_of_nulls_texts_and_numbers_are_taken_apart(engine: sa.Engine) -> None:
    run(
        engine,
        "CREATE TABLE t AS SELECT n, NULLIF(n % 3, 0) AS some, CASE WHEN n > 9000 THEN n END AS late,"
        " repeat('é', n % 50) AS word, NULL::float8 AS never FROM generate_series(1, 10000) n",
    )
    source = SqlSource(engine, SqlIntake(type="jdbc", data_store_id="flights_db", table="t"))
    with source.read(["some", "word", "never", "late", "n"], None) as batches:
        rows = [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]

    expected = [(n % 3 or None, "é" * (n % 50), None, n if n > 9000 else None, n) for n in range(1, 10001)]
    assert expected == rows


def test_leaving_early_cancels_the_statement(engine: sa.Engine, postgres_url: str) -> None:
    with query(engine, ENDLESS).read(["n"], None) as batches:
        next(batches)
    other = sa.create_engine(postgres_url)
    with other.connect() as connection:
        running = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%%' AND state = 'active'"
        )
        assert 0 == running.scalar()
    other.dispose()


def test_the_borders_of_blocks_do_not_depend_on_how_the_network_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_stream, "BLOCK_ROWS", 5)
    monkeypatch.setattr(copy_stream, "BLOCK_BYTES", 40)
    rows = [bytes([number]) * (30 if number % 7 == 0 else 3) for number in range(40)]
    expected = list(copy_stream.cut(iter([rows])))
    assert rows == [row for block in expected for row in block]
    assert all(len(block) <= 5 for block in expected)
    for size in (1, 2, 3, 11, 39):
        arriving = [rows[start : start + size] for start in range(0, len(rows), size)]
        assert expected == list(copy_stream.cut(iter(arriving)))
