"""Rows of real SQLite files and a real PostgreSQL server arrive whole, typed, in order, cut at the window's edge."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import itertools
import random
import resource
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.exceptions import ConfigurationError, SourceError, SourceUnavailable
from airflow_monitoring_provider.intake.source import BATCH_ROWS, RowSource, TimeFilter, open_source
from airflow_monitoring_provider.intake.sql import SqlSource
from airflow_monitoring_provider.profiles.instants import instants

START = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
END = dt.datetime(2013, 1, 1, 6, tzinfo=dt.UTC)
TICK = dt.timedelta(microseconds=1)
CANARY = "s3cret-value"

HOSTILE_NAMES = [
    "select",
    "a b",
    'quo"te',
    "apos'trophe",
    "per%cent",
    "%s",
    "%(x)s",
    ":x",
    "a:b",
    "?",
    "; drop table t; --",
    "/* comment */",
    "naïve ☃ 列",
    "UPPER",
    "back\\slash",
    "brack[et]",
    "`tick`",
    "dot.ted",
    "{curly}",
    "x" * 63,
]


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'rows.sqlite'}")
    yield engine
    engine.dispose()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres_url)
    yield engine
    engine.dispose()


def table_source(engine: sa.Engine, table: str = "t", order_by: tuple[str, ...] = (), **more: Any) -> SqlSource:
    return SqlSource(engine, SqlIntake(type="jdbc", data_store_id="flights_db", table=table, **more), order_by)


def query_source(engine: sa.Engine, query: str) -> SqlSource:
    return SqlSource(engine, SqlIntake(type="jdbc", data_store_id="flights_db", query=query))


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(
                statement.replace("%", "%%") if engine.dialect.name == "postgresql" else statement
            )


def rows(source: RowSource, *columns: str, window: TimeFilter | None = None) -> list[tuple[Any, ...]]:
    with source.read(columns, window) as batches:
        return [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]


def types(source: RowSource, *columns: str) -> list[str]:
    with source.read(columns, None) as batches:
        return [str(kind) for kind in next(iter(batches)).schema.types]


def made(engine: sa.Engine, *columns: sa.Column[Any], name: str = "t", data: list[dict[str, Any]]) -> None:
    table = sa.Table(name, sa.MetaData(), *columns)
    table.create(engine)
    if data:
        with engine.begin() as connection:
            connection.execute(sa.insert(table), data)


# --- types ---------------------------------------------------------------------------------------------------------


def test_columns_keep_their_declared_types(engine: sa.Engine) -> None:
    run(
        engine,
        "CREATE TABLE t (i integer, l bigint, d double precision, b boolean, s text, w numeric(12, 0))",
        "INSERT INTO t VALUES (1, 9223372036854775807, 1.5, true, 'a', 12), (NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    source = table_source(engine)

    expected = ["int64", "int64", "double", "bool", "string", "int64"]
    assert expected == [str(kind) for kind in source.schema().types]
    assert expected == types(source, "i", "l", "d", "b", "s", "w")
    assert [(1, 2**63 - 1, 1.5, True, "a", 12), (None,) * 6] == rows(source, "i", "l", "d", "b", "s", "w")


def test_only_the_asked_columns_come_in_the_asked_order(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE t (a integer, b integer, c integer)", "INSERT INTO t VALUES (1, 2, 3)")

    assert [(3, 1)] == rows(table_source(engine), "c", "a")


def test_every_type_of_postgresql_arrives(postgres: sa.Engine) -> None:
    run(
        postgres,
        "CREATE DOMAIN positive AS integer CHECK (value > 0)",
        "CREATE TYPE mood AS ENUM ('sad', 'ok')",
        "CREATE TABLE t (n numeric(10, 2), any_n numeric, r real, j jsonb, y bytea, u uuid, a int[], m mood,"
        " p positive, t time, v interval, d date, ts timestamp, tz timestamptz, c char(3))",
        "INSERT INTO t VALUES (1.25, 0.5, 0.1, '{\"a\": 1}', '\\x00ff', '7d444840-9dc0-11d1-b245-5ffdce74fad2',"
        " '{1,2}', 'ok', 7, '05:00', '1 day', '2013-01-01', '2013-01-01 05:00:00.5', '2013-01-01 05:00+01', 'ab')",
    )
    expected = (
        decimal.Decimal("1.25"), 0.5, 0.1, '{"a": 1}', b"\x00\xff", "7d444840-9dc0-11d1-b245-5ffdce74fad2", "{1,2}",
        "ok", 7, "05:00:00", "1 day", dt.date(2013, 1, 1), dt.datetime.fromisoformat("2013-01-01 05:00:00.5"),
        dt.datetime(2013, 1, 1, 4, tzinfo=dt.UTC), "ab ",
    )  # fmt: skip
    names = table_source(postgres).schema().names

    assert [expected] == rows(table_source(postgres), *names)


def test_what_python_cannot_hold_does_not_stop_postgresql(postgres: sa.Engine) -> None:
    run(
        postgres,
        "CREATE TABLE t (n numeric(5, 2), any_n numeric, d date, ts timestamp, tz timestamptz, f double precision)",
        "INSERT INTO t VALUES ('NaN', '1e400', 'infinity', '12000-01-01', '0044-03-15 BC', 'NaN'),"
        " (1, '-Infinity', '-infinity', 'infinity', '-infinity', '-Infinity')",
    )
    found = rows(table_source(postgres), "n", "any_n", "f")

    inf = float("inf")
    assert [(None, inf), (1, -inf)] == [row[:2] for row in found]
    assert str(found[0][2]) == "nan"
    assert -inf == found[1][2]


def test_dates_beyond_the_calendar_are_neither_times_nor_null(postgres: sa.Engine) -> None:
    run(
        postgres,
        "CREATE TABLE t (d date, ts timestamp, tz timestamptz)",
        "INSERT INTO t VALUES ('infinity', '12000-01-01', '0044-03-15 BC'), ('-infinity', 'infinity', '-infinity'),"
        " ('9999-12-31', '0001-01-01', NULL)",
    )
    with table_source(postgres).read(["d", "ts", "tz"], None) as batches:
        (batch,) = batches

    assert [0, 0, 1] == [column.null_count for column in batch.columns]
    assert [False, False, True] == instants(batch.column("d")).is_valid().to_pylist()
    assert [False, False, True] == instants(batch.column("ts")).is_valid().to_pylist()
    assert [False, False, False] == instants(batch.column("tz")).is_valid().to_pylist()


@pytest.mark.parametrize(
    "text", ["", " ", ",", '"', "\\", "(", ")", "a\nb", "\r\n", "\t", "NULL", "\\N", "☃", 'a"",b\\\\"']
)
def test_any_text_arrives_unchanged(engine: sa.Engine, text: str) -> None:
    made(
        engine, sa.Column("a", sa.Text), sa.Column("b", sa.Text), data=[{"a": text, "b": None}, {"a": None, "b": text}]
    )

    assert [(text, None), (None, text)] == rows(table_source(engine), "a", "b")
    assert [(text,), (None,)] == rows(table_source(engine), "a")


def test_sqlite_columns_with_a_value_that_does_not_fit_arrive_as_text(sqlite: sa.Engine) -> None:
    run(
        sqlite,
        "CREATE TABLE t (i integer, r real, b boolean, n numeric(5, 2), x, s text, d blob)",
        "INSERT INTO t VALUES (1, 1, 1, 1, 1, 1, x'00'), ('abc', 'abc', 2, x'61', 'abc', x'62', 'text'),"
        " (2.5, 2.5, 0, 2.5, NULL, NULL, NULL)",
    )
    source = table_source(sqlite)
    names = ["i", "r", "b", "n", "x", "s", "d"]

    assert ["int64", "double", "bool", "double", "string", "string", "binary"] == [
        str(t) for t in source.schema().types
    ]
    assert ["string"] * 6 + ["binary"] == types(source, *names)
    assert [
        ("1", "1.0", "1", "1", "1", "1", b"\x00"),
        ("abc", "abc", "2", "a", "abc", "b", b"text"),
        ("2.5", "2.5", "0", "2.5", None, None, None),
    ] == rows(source, *names)


def test_sqlite_columns_without_a_type_take_the_narrowest_that_fits_a_sample(sqlite: sa.Engine) -> None:
    run(
        sqlite,
        "CREATE TABLE t (i, r, s, y, empty)",
        "INSERT INTO t VALUES (1, 1, 1, x'00', NULL), (2, 1.5, 'a', NULL, NULL)",
    )

    expected = ["int64", "double", "string", "binary", "string"]
    assert expected == [str(kind) for kind in table_source(sqlite).schema().types]
    assert [(1, 1.0, "1", b"\x00", None), (2, 1.5, "a", None, None)] == rows(
        table_source(sqlite), "i", "r", "s", "y", "empty"
    )


def test_sqlite_text_that_is_not_utf8_does_not_stop_the_read(sqlite: sa.Engine) -> None:
    run(sqlite, "CREATE TABLE t (s text)", "INSERT INTO t VALUES (CAST(x'61ff62' AS TEXT)), ('☃')")

    assert [("a�b",), ("☃",)] == rows(table_source(sqlite), "s")


def test_a_reading_leaves_the_sqlite_connection_as_it_was(sqlite: sa.Engine) -> None:
    run(sqlite, "CREATE TABLE t (s text)", "INSERT INTO t VALUES ('a')")
    rows(table_source(sqlite), "s")

    with sqlite.connect() as connection:
        assert "a" == connection.exec_driver_sql("SELECT s FROM t").scalar()
        driver: Any = connection.connection.driver_connection
        assert ("", str) == (driver.isolation_level, driver.text_factory)


# --- windows ---------------------------------------------------------------------------------------------------------

EDGES = {"before": START - TICK, "first": START, "last": END - TICK, "after": END}


def _epoch(instant: dt.datetime, unit: int) -> float:
    return (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(microseconds=1) / unit


@pytest.mark.parametrize(
    ("declared", "store"),
    [
        ("TEXT", lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f")),
        ("TEXT", lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        ("TEXT", lambda t: t.astimezone(dt.timezone(dt.timedelta(hours=14))).isoformat()),
        ("TEXT", lambda t: t.astimezone(dt.timezone(dt.timedelta(hours=-12))).isoformat(" ")),
        ("TEXT", lambda t: str(int(_epoch(t, 1)))),
        ("DATETIME", lambda t: t.isoformat().removesuffix("+00:00")),
        ("TIMESTAMP", lambda t: t.strftime("%Y-%m-%d %H:%M:%S.%f")),
        ("INTEGER", lambda t: int(_epoch(t, 1_000_000) // 1)),
        ("INTEGER", lambda t: int(_epoch(t, 1_000) // 1)),
        ("INTEGER", lambda t: int(_epoch(t, 1))),
        ("BIGINT", lambda t: int(_epoch(t, 1)) * 1000),
        ("REAL", lambda t: _epoch(t, 1_000_000)),
        ("", lambda t: t.isoformat()),
        ("", lambda t: _epoch(t, 1_000_000)),
    ],
)
def test_sqlite_windows_cut_exactly_in_every_representation(sqlite: sa.Engine, declared: str, store: Any) -> None:
    run(sqlite, f"CREATE TABLE t (name text, at {declared})")
    with sqlite3.connect(str(sqlite.url.database)) as plain:
        plain.executemany("INSERT INTO t VALUES (?, ?)", [(name, store(at)) for name, at in EDGES.items()])
        plain.execute("INSERT INTO t VALUES ('null', NULL)")
    plain.close()

    assert [("first",), ("last",)] == rows(table_source(sqlite), "name", window=TimeFilter("at", START, END))
    assert [("after",)] == rows(table_source(sqlite), "name", window=TimeFilter("at", END, None))
    assert [("before",)] == rows(table_source(sqlite), "name", window=TimeFilter("at", None, START))
    assert 4 == len(rows(table_source(sqlite), "name", window=TimeFilter("at", None, None)))
    assert 1 == table_source(sqlite).null_timestamps("at")


def test_sqlite_text_that_sorts_wrongly_is_still_cut_by_time(sqlite: sa.Engine) -> None:
    run(sqlite, "CREATE TABLE t (at text)")
    first = [
        "2013-01-01 05:00:00",
        "2013-01-01T05:00",
        "2013-01-01 05:00:00.000000",
        "2013-01-01T05:00:00Z",
        "1357016400",
    ]
    made_up = [*first, "2013-01-01 06:00:00", "2013-01-01T06:00:00Z", "2013-01-01 04:59:59.999999", "no time"]
    with sqlite3.connect(str(sqlite.url.database)) as plain:
        plain.executemany("INSERT INTO t VALUES (?)", [(text,) for text in made_up])
    plain.close()

    assert [(text,) for text in first] == rows(table_source(sqlite), "at", window=TimeFilter("at", START, END))


@pytest.mark.parametrize(
    ("declared", "store"),
    [
        ("timestamptz", lambda t: t.isoformat()),
        ("timestamp", lambda t: t.replace(tzinfo=None).isoformat()),
        ("text", lambda t: t.isoformat()),
        ("text", lambda t: t.replace(tzinfo=None).isoformat(" ")),
        ("varchar(40)", lambda t: str(int(_epoch(t, 1)))),
        ("bigint", lambda t: str(int(_epoch(t, 1)))),
        ("bigint", lambda t: str(int(_epoch(t, 1_000) // 1))),
        ("integer", lambda t: str(int(_epoch(t, 1_000_000) // 1))),
        ("numeric(20, 6)", lambda t: f"{_epoch(t, 1_000_000):.6f}"),
        ("numeric", lambda t: str(int(_epoch(t, 1)))),
        ("double precision", lambda t: repr(_epoch(t, 1_000_000))),
        ("jsonb", lambda t: f'"{t.isoformat()}"'),
    ],
)
def test_postgresql_windows_cut_exactly_in_every_representation(postgres: sa.Engine, declared: str, store: Any) -> None:
    run(postgres, f"CREATE TABLE t (name text, at {declared})", "INSERT INTO t VALUES ('null', NULL)")
    for name, at in EDGES.items():
        run(postgres, f"INSERT INTO t VALUES ('{name}', '{store(at)}')")
    if declared == "jsonb":  # a JSON text keeps its quotes: nothing in it is a time
        with pytest.raises(SourceError, match="none of its 4 values is a time"):
            rows(table_source(postgres), "name", window=TimeFilter("at", START, END))
        return

    assert [("first",), ("last",)] == rows(table_source(postgres), "name", window=TimeFilter("at", START, END))
    assert [("after",)] == rows(table_source(postgres), "name", window=TimeFilter("at", END, None))
    assert 1 == table_source(postgres).null_timestamps("at")


def test_dates_are_midnight_of_their_zone_on_both_databases(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE t (at date)", "INSERT INTO t VALUES ('2013-01-01'), ('2013-01-02'), ('2013-01-03')")
    day = TimeFilter("at", START, START + dt.timedelta(days=1), "America/New_York")

    assert ["2013-01-01"] == [str(row[0]) for row in rows(table_source(engine), "at", window=day)]


def test_naive_times_tile_the_day_on_which_clocks_go_back(engine: sa.Engine) -> None:
    zone = "America/New_York"
    first = dt.datetime(2013, 11, 3, tzinfo=dt.UTC)
    wall = [(first + dt.timedelta(minutes=30 * step)).replace(tzinfo=None) for step in range(48)]
    made(engine, sa.Column("at", sa.DateTime), data=[{"at": at} for at in wall])
    source = table_source(engine)

    seen = []
    for hour in range(40):
        begin = first + dt.timedelta(hours=hour)
        seen += rows(source, "at", window=TimeFilter("at", begin, begin + dt.timedelta(hours=1), zone))
    assert sorted(at.isoformat() for at in wall) == sorted(
        dt.datetime.fromisoformat(str(at)).isoformat() for (at,) in seen
    )


def test_the_condition_leaves_rows_in_the_database(postgres: sa.Engine) -> None:
    run(
        postgres,
        "CREATE TABLE t AS SELECT timestamptz '2013-01-01 00:00Z' + n * interval '1 minute' AS at, n"
        " FROM generate_series(0, 9999) n",
    )
    source = query_source(postgres, "SELECT at, 60 / n AS x FROM t")  # the row of midnight cannot be computed

    assert 60 == len(rows(source, "at", "x", window=TimeFilter("at", START, END)))
    with pytest.raises(SourceError, match="SQLSTATE 22012"):
        rows(source, "at", "x", window=TimeFilter("at", None, END))


# --- names, queries, catalogs --------------------------------------------------------------------------------------


def test_hostile_names_are_read_as_names(engine: sa.Engine) -> None:
    columns = [sa.Column(name, sa.Integer) for name in HOSTILE_NAMES]
    made(engine, *columns, name='t"; drop', data=[{name: n for n, name in enumerate(HOSTILE_NAMES)}])
    source = table_source(engine, 't"; drop', order_by=tuple(HOSTILE_NAMES))

    assert HOSTILE_NAMES == source.schema().names
    assert [tuple(range(len(HOSTILE_NAMES)))] == rows(source, *HOSTILE_NAMES)
    for name in HOSTILE_NAMES:
        assert 0 == source.null_timestamps(name)
        assert [] == rows(source, name, window=TimeFilter(name, START, END))


def test_a_missing_table_is_named_with_what_there_is(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE flights (a integer)", "CREATE VIEW late AS SELECT * FROM flights")

    with pytest.raises(SourceError, match=r"table 'fligths' .* does not exist; there are 'flights', 'late'"):
        table_source(engine, "fligths").schema()
    with pytest.raises(SourceError, match="there is no schema 'nowhere'"):
        table_source(engine, "flights", schema="nowhere").schema()


def test_a_missing_column_is_named_with_what_there_is(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE t (a integer, b integer)")

    for use in (
        lambda: rows(table_source(engine), "a", "absent"),
        lambda: rows(table_source(engine), "a", window=TimeFilter("absent", START, END)),
        lambda: rows(table_source(engine, order_by=("absent",)), "a"),
        lambda: table_source(engine).null_timestamps("absent"),
    ):
        with pytest.raises(SourceError, match=r"column 'absent' is not in table 't' .*it has 'a', 'b'"):
            use()


def test_views_and_schemas_are_read(postgres: sa.Engine) -> None:
    run(postgres, 'CREATE SCHEMA "My Schema"', 'CREATE VIEW "My Schema".v AS SELECT 1 AS a')

    assert [(1,)] == rows(table_source(postgres, "v", schema="My Schema"), "a")


def test_a_catalog_must_be_the_connected_database(postgres: sa.Engine, sqlite: sa.Engine) -> None:
    run(postgres, "CREATE TABLE t (a integer)")
    run(sqlite, "CREATE TABLE t (a integer)")

    assert ["a"] == table_source(postgres, catalog=str(postgres.url.database)).schema().names
    with pytest.raises(
        SourceError, match="catalog 'SANDBOX' cannot be read through this connection: it leads to database"
    ):
        table_source(postgres, catalog="SANDBOX").schema()
    with pytest.raises(SourceError, match="SQLite has no catalogs"):
        table_source(sqlite, catalog="SANDBOX").schema()


def test_a_query_is_read_like_a_table(engine: sa.Engine) -> None:
    run(
        engine,
        "CREATE TABLE t (a integer, at text)",
        "INSERT INTO t VALUES (1, '2013-01-01 05:30'), (2, '2013-01-01 06:30')",
    )
    text = "SELECT a * 1.5 AS x, at, a, '10:30 100% ; ok' AS label FROM t WHERE at LIKE '2013%' -- all of it;"
    source = query_source(engine, text)

    assert ["x", "at", "a", "label"] == source.schema().names
    assert ["double", "string", "int64", "string"] == [str(kind) for kind in source.schema().types]
    assert [(1.5, "10:30 100% ; ok")] == rows(source, "x", "label", window=TimeFilter("at", START, END))
    assert "the query of connection 'flights_db'" == source.label


def test_a_query_may_be_a_common_table_expression_with_a_semicolon(engine: sa.Engine) -> None:
    assert [(3,)] == rows(query_source(engine, "WITH n AS (SELECT 1 + 2 AS a) SELECT a FROM n ;\n"), "a")


def test_a_query_that_fails_says_so_without_its_text(engine: sa.Engine) -> None:
    with pytest.raises(SourceError) as caught:
        query_source(engine, f"SELECT '{CANARY}' AS a FROM nowhere").schema()
    assert CANARY not in str(caught.value)
    assert "a table does not exist" in str(caught.value)


def test_a_query_with_one_name_twice_is_refused(postgres: sa.Engine) -> None:
    with pytest.raises(SourceError, match="two columns one name: 'a'; rename them with AS"):
        query_source(postgres, "SELECT 1 AS a, 2 AS a").schema()


def test_a_query_cannot_write(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE t (a integer)")

    for text in ("DELETE FROM t RETURNING a", "WITH d AS (INSERT INTO t VALUES (1) RETURNING a) SELECT * FROM d"):
        with pytest.raises(SourceError):
            rows(query_source(engine, text), "a")
    assert [] == rows(table_source(engine), "a")


# --- order, memory, ends -------------------------------------------------------------------------------------------


def test_sorted_rows_keep_equal_keys_together(engine: sa.Engine) -> None:
    draw = random.Random(7)
    values = [draw.choice(["a", "A", "b", "B", "ä", "_a", None]) for _ in range(500)]
    collation = " COLLATE NOCASE" if engine.dialect.name == "sqlite" else ""
    run(engine, f"CREATE TABLE t (k text{collation}, n integer)")
    with engine.begin() as connection:
        table = sa.table("t", sa.column("k"), sa.column("n"))
        connection.execute(sa.insert(table), [{"k": value, "n": n} for n, value in enumerate(values)])
    source = table_source(engine, order_by=("k",))
    keys = [key for key, _n in rows(source, "k", "n")]

    assert ("k",) == source.ordered_by
    changes = sum(first != second for first, second in itertools.pairwise(keys))
    assert len(set(values)) - 1 == changes
    assert sorted(map(str, values)) == sorted(map(str, keys))


@pytest.mark.parametrize("turn", [1, -1])
def test_rows_with_equal_keys_have_one_order_however_they_are_stored(engine: sa.Engine, turn: int) -> None:
    extra = "json" if engine.dialect.name == "postgresql" else "text"  # a type without an order of its own
    run(engine, f"CREATE TABLE t (k integer, at timestamp, note {extra})")
    day = [f"2026-03-01 0{hour}:00:00" for hour in (2, 1, 1)]
    stored = [(1, day[0], '"a"'), (1, day[1], '"c"'), (1, day[2], '"b"'), (0, day[0], '"z"')]
    run(engine, *(f"INSERT INTO t VALUES ({k}, '{at}', '{note}')" for k, at, note in stored[::turn]))
    window = TimeFilter("at", dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 2, tzinfo=dt.UTC), "UTC")

    found = rows(table_source(engine, order_by=("k",)), "k", "note", window=window)

    assert [(0, '"z"'), (1, '"b"'), (1, '"c"'), (1, '"a"')] == found


@pytest.mark.parametrize("kind", [sa.Double(), sa.REAL(), sa.Float(), sa.Numeric(6, 1)], ids=str)
def test_numbers_of_equal_keys_are_sorted_as_numbers(engine: sa.Engine, kind: Any) -> None:
    numbers = [10.0, 9.0, -1.0, -2.0]
    made(engine, sa.Column("k", sa.Integer()), sa.Column("x", kind), data=[{"k": 1, "x": x} for x in numbers])

    assert sorted(numbers) == [float(x) for (x,) in rows(table_source(engine, order_by=("k",)), "x")]


def test_a_thousand_columns_are_read_and_sorted(engine: sa.Engine) -> None:
    names = [f"c{n}" for n in range(1100)]
    run(engine, f"CREATE TABLE t (k integer, {', '.join(f'{name} double precision' for name in names)})")
    run(engine, "INSERT INTO t (k, c7) VALUES (1, 10), (1, 9)")

    found = rows(table_source(engine, order_by=("k",)), "k", *names)

    assert [9.0, 10.0] == [row[8] for row in found]


def test_unsorted_rows_come_in_the_same_order_every_time(engine: sa.Engine) -> None:
    made(engine, sa.Column("a", sa.Integer), data=[{"a": (n * 7919) % 10_007} for n in range(10_007)])

    assert () == table_source(engine).ordered_by
    assert [((n * 7919) % 10_007,) for n in range(10_007)] == rows(table_source(engine), "a")
    assert rows(table_source(engine), "a") == rows(table_source(engine, fetch_size=13), "a")


def _many(engine: sa.Engine, count: int) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n"
    series = (
        f"(SELECT i FROM generate_series(1, {count}) i) s"
        if engine.dialect.name == "postgresql"
        else f"({numbers % count}) s"
    )
    run(engine, f"CREATE TABLE t AS SELECT i, i * 0.5 AS x, 'level ' || (i % 100) AS c FROM {series}")


def test_batches_hold_1_to_65536_rows(engine: sa.Engine) -> None:
    _many(engine, 150_000)
    with table_source(engine).read(["i"], None) as batches:
        sizes = [batch.num_rows for batch in batches]

    assert 150_000 == sum(sizes)
    assert all(0 < size <= BATCH_ROWS for size in sizes)


def test_memory_does_not_grow_with_the_number_of_rows(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    _many(engine, 300_000)
    engine.dispose()
    script = textwrap.dedent("""
        import resource, sys
        import sqlalchemy as sa
        from airflow_monitoring_provider.definitions import SqlIntake
        from airflow_monitoring_provider.intake.sql import SqlSource

        engine = sa.create_engine(sys.argv[1])
        source = SqlSource(engine, SqlIntake(type="jdbc", data_store_id="x", table="t"))
        count, early = 0, 0
        with source.read(["i", "x", "c"], None) as batches:
            for batch in batches:
                count += batch.num_rows
                early = early or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        late = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(count, early // 1024, late // 1024, "pandas" in sys.modules)
    """)
    done = subprocess.run([sys.executable, "-c", script, database_url], capture_output=True, text=True, check=True)
    count, early, late, pandas = done.stdout.split()

    assert ("300000", "False") == (count, pandas)
    assert int(late) - int(early) < 24  # MiB; the rows as Python objects would be over 60


def test_a_table_of_huge_values_is_read_a_few_rows_at_a_time(engine: sa.Engine) -> None:
    big = "x" * 3_000_000
    made(engine, sa.Column("a", sa.Text), data=[{"a": big}] * 24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with table_source(engine, fetch_size=4).read(["a"], None) as batches:
        assert 24 == sum(batch.num_rows for batch in batches)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024


def test_leaving_early_frees_the_connection_and_its_locks(engine: sa.Engine) -> None:
    _many(engine, 100_000)
    with contextlib.suppress(ZeroDivisionError), table_source(engine).read(["i"], None) as batches:
        next(iter(batches))
        raise ZeroDivisionError
    run(engine, "DROP TABLE t")


def test_an_error_of_the_reader_itself_is_not_taken_for_the_sources(engine: sa.Engine) -> None:
    run(engine, "CREATE TABLE t (a integer)", "INSERT INTO t VALUES (1)")

    def fail(_batch: pa.RecordBatch) -> None:
        raise sa.exc.OperationalError("mine", {}, Exception())

    with pytest.raises(sa.exc.OperationalError), table_source(engine).read(["a"], None) as batches:
        list(map(fail, batches))


def test_all_batches_show_one_moment(postgres: sa.Engine) -> None:
    _many(postgres, 100_000)
    with table_source(postgres).read(["i"], None) as batches:
        count = next(batches).num_rows
        run(postgres, "DELETE FROM t")
        count += sum(batch.num_rows for batch in batches)

    assert 100_000 == count


# --- bad places ----------------------------------------------------------------------------------------------------


def test_a_locked_sqlite_file_is_a_retryable_sentence(tmp_path: Path) -> None:
    path = tmp_path / "locked.sqlite"
    with sqlite3.connect(path) as plain:
        plain.execute("CREATE TABLE t (a integer)")
    plain.close()
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1], isolation_level=None); c.execute('BEGIN EXCLUSIVE')\n"
        "print(1, flush=True); input()"
    )
    child = subprocess.Popen([sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 0.1})
        with pytest.raises(SourceUnavailable, match="table 't' of connection 'flights_db': the SQLite file is locked"):
            rows(table_source(engine), "a")
        engine.dispose()
    finally:
        child.communicate(b"\n")


def test_places_that_cannot_be_reached_are_sentences_without_address(postgres_url: str, tmp_path: Path) -> None:
    url = sa.make_url(postgres_url)
    path = str(tmp_path / "no" / "folder.sqlite")
    unreachable: dict[str, sa.URL] = {
        path: sa.URL.create("sqlite", database=path),
        CANARY: sa.URL.create("postgresql+psycopg", "me", CANARY, "127.0.0.1", 1, "x"),
        "nowhere": url.set(database="nowhere"),
    }
    for secret, address in unreachable.items():
        engine = sa.create_engine(address)
        with pytest.raises((SourceUnavailable, ConfigurationError)) as caught:
            table_source(engine).schema()
        assert secret not in str(caught.value)
        assert str(caught.value).startswith("table 't' of connection 'flights_db': ")
        assert caught.value.__suppress_context__
        engine.dispose()


def test_a_server_that_ends_the_connection_is_retryable(postgres: sa.Engine, postgres_url: str) -> None:
    _many(postgres, 300_000)
    other = sa.create_engine(postgres_url)
    with table_source(postgres).read(["i", "x", "c"], None) as batches:
        next(batches)
        run(other, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%'")
        with pytest.raises(SourceUnavailable, match=r"SQLSTATE 57P01|broke off"):
            list(batches)
    other.dispose()


def test_a_login_without_the_right_to_read_is_told_to_grant_it(postgres: sa.Engine) -> None:
    run(postgres, "CREATE TABLE t (a integer)", "DROP ROLE IF EXISTS nobody_special", "CREATE ROLE nobody_special")
    sa.event.listen(postgres, "begin", lambda connection: connection.exec_driver_sql("SET ROLE nobody_special"))

    with pytest.raises(ConfigurationError, match="grant SELECT"):
        rows(table_source(postgres), "a")


def test_a_file_that_is_no_database_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "x.sqlite").write_text("hello, this is no database at all, and it is long enough to have a header" * 9)
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")

    with pytest.raises(SourceError, match="not a SQLite database"):
        table_source(engine).schema()
    engine.dispose()


def test_the_factory_opens_what_it_has_a_connection_for(sqlite: sa.Engine) -> None:
    run(sqlite, "CREATE TABLE t (a integer)")
    intake = SqlIntake(type="jdbc", data_store_id="x", table="t")

    assert pa.schema([("a", pa.int64())]) == open_source(intake, engine=sqlite, order_by=("a",)).schema()
    with pytest.raises(ConfigurationError, match="needs a database connection"):
        open_source(intake)
