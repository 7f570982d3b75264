"""Binary COPY gives the rows that the text of PostgreSQL gives, and ends when it is told to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.intake import postgres, row_texts
from airflow_monitoring_provider.intake.relation import find_table
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.intake.sql import SqlSource

START = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
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
    source = SqlSource(
        engine,
        SqlIntake(
            type="jdbc",
            data_store_id="flights_db",
            query="SELECT a AS n FROM generate_series(1, 100000) a, generate_series(1, 100000) b",
        ),
    )
    with source.read(["n"], None) as batches:
        next(batches)
    other = sa.create_engine(postgres_url)
    with other.connect() as connection:
        running = connection.exec_driver_sql(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%%' AND state = 'active'"
        )
        assert 0 == running.scalar()
    other.dispose()


def test_the_borders_of_blocks_do_not_depend_on_how_the_network_delivers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "BLOCK_ROWS", 5)
    monkeypatch.setattr(postgres, "BLOCK_BYTES", 40)
    rows = [bytes([number]) * (30 if number % 7 == 0 else 3) for number in range(40)]
    expected = list(postgres._cut(iter([rows])))
    assert rows == [row for block in expected for row in block]
    assert all(len(block) <= 5 for block in expected)
    for size in (1, 2, 3, 11, 39):
        arriving = [rows[start : start + size] for start in range(0, len(rows), size)]
        assert expected == list(postgres._cut(iter(arriving)))
