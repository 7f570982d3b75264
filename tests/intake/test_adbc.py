"""Rows through ADBC drivers are those of the database's usual driver, and so are the errors; with real drivers."""

from __future__ import annotations

import datetime as dt
import itertools
import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import adbc_driver_duckdb.dbapi
import adbc_driver_postgresql.dbapi
import adbc_driver_sqlite.dbapi
import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import Partitions, SqlIntake
from airflow_monitoring_provider.exceptions import SourceError, SourceUnavailable
from airflow_monitoring_provider.intake.adbc_dialect import open_adbc
from airflow_monitoring_provider.intake.arrow_columns import delivered, sql_type
from airflow_monitoring_provider.intake.relation import arrow_type
from airflow_monitoring_provider.intake.source import CannotPushDown, TimeFilter
from airflow_monitoring_provider.intake.sql import SqlSource

HOUR = TimeFilter(
    "at", dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC), dt.datetime(2013, 1, 1, 6, tzinfo=dt.UTC), "America/New_York"
)
ENDLESS = "SELECT a AS n FROM generate_series(1, 100000) a, generate_series(1, 100000) b"


@pytest.fixture
def usual(postgres_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture
def arrow(postgres_url: str) -> Iterator[sa.Engine]:
    url = postgres_url.replace("+psycopg", "")
    engine = open_adbc(lambda: adbc_driver_postgresql.dbapi.connect(url))
    yield engine
    engine.dispose()


@pytest.fixture
def lite(tmp_path: Path) -> Iterator[sa.Engine]:
    """A file that nothing else in this process opens: two copies of SQLite would undo each other's locks."""
    engine = open_adbc(lambda: adbc_driver_sqlite.dbapi.connect(str(tmp_path / "x.sqlite")))
    yield engine
    engine.dispose()


@pytest.fixture
def duck(tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_adbc(lambda: adbc_driver_duckdb.dbapi.connect(str(tmp_path / "x.duckdb")))
    yield engine
    engine.dispose()


def run(engine: sa.Engine, *statements: str) -> None:
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement).close()


def source(engine: sa.Engine, *, order_by: tuple[str, ...] = (), **intake: Any) -> SqlSource:
    return SqlSource(engine, SqlIntake(type="jdbc", data_store_id="scores", **intake), order_by)


def read(rows: SqlSource, *names: str, window: TimeFilter | None = None) -> pa.Table:
    with rows.read(names or rows.schema().names, window) as batches:
        found = list(batches)
    for batch in found:
        batch.validate(full=True)
    return pa.Table.from_batches(found)


@pytest.mark.parametrize("window", [None, HOUR])
def test_every_type_of_postgresql_arrives_as_by_copy(
    usual: sa.Engine, arrow: sa.Engine, window: TimeFilter | None
) -> None:
    values = {
        "smallint": "'-32768'",
        "integer": "2147483647",
        "bigint": "-9223372036854775808",
        "real": "0.1",
        "float8": "'-0'",
        "numeric": "1e20",
        "numeric(5,0)": "99999",
        "numeric(30,10)": "-1.25",
        "numeric(12,2)": "'NaN'",
        "numeric(50,1)": "0.1",
        "boolean": "false",
        "text": "'\u00e9'",
        "char(5)": "'ab'",
        "bytea": "'\\x00ff'",
        "date": "'infinity'",
        "timestamp": "'0044-03-15 BC'",
        "timestamptz": "'9999-12-31 23:59:59.999999Z'",
        "uuid": "'00000000-0000-0000-0000-00000000000a'",
        "jsonb": "'{\"a\": [1, null]}'",
        "inet": "'10.0.0.1'",
        "interval": "'1 day 2 hours'",
        "integer[]": "'{1,NULL,3}'",
        "time": "'24:00'",
    }
    columns = ", ".join(f'"C{n}" {kind}' for n, kind in enumerate(values))
    row = ", ".join(values.values())
    run(
        usual,
        f"CREATE TABLE t (at timestamptz, {columns})",
        *(f"INSERT INTO t VALUES ('2013-01-01 05:{minute}Z', {row})" for minute in (10, 20)),
        "INSERT INTO t (at) VALUES ('2013-01-01 05:30Z'), (NULL)",
        f"INSERT INTO t VALUES ('2013-01-01 06:00Z', {row}), ('2013-02-01 05:00Z', {row})",
    )
    expected, found = read(source(usual, table="t"), window=window), read(source(arrow, table="t"), window=window)

    assert (6 if window is None else 3) == found.num_rows
    assert expected.schema == found.schema
    for name in expected.schema.names:
        assert expected.column(name).combine_chunks().equals(found.column(name).combine_chunks()), name
    assert 1 == source(arrow, table="t").null_timestamps("at")


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date", "bigint", "text"])
def test_a_window_over_any_column_of_times_gives_the_rows_of_copy(
    kind: str, usual: sa.Engine, arrow: sa.Engine
) -> None:
    at = "(extract(epoch FROM s) * 1000)::bigint" if kind == "bigint" else f"s::{kind}"
    series = "generate_series('2012-12-25'::timestamp, '2013-01-09', '20 minutes') s"
    run(usual, f"CREATE TABLE t AS SELECT {at} AS at, row_number() OVER () AS n FROM {series}")
    window = TimeFilter("at", dt.datetime(2012, 12, 31, tzinfo=dt.UTC), HOUR.end, HOUR.timezone)
    expected = read(source(usual, table="t"), "n", window=window)

    assert 0 < expected.num_rows < 1000
    assert expected == read(source(arrow, table="t"), "n", window=window)


def test_batches_are_bounded_and_sorted_rows_come_in_order(usual: sa.Engine, arrow: sa.Engine) -> None:
    run(usual, "CREATE TABLE t AS SELECT mod(n * 7919, 200000) AS n, 'x' || n AS s FROM generate_series(1, 200000) n")
    rows = source(arrow, table="t", order_by=("n",), fetch_size=1000)
    with rows.read(["n"], None) as batches:
        sizes, numbers = zip(*((len(batch), batch.column(0).to_pylist()) for batch in batches), strict=True)

    assert max(sizes) <= 65_536
    assert list(range(200_000)) == list(itertools.chain.from_iterable(numbers))


def test_errors_are_those_of_the_usual_driver(usual: sa.Engine, arrow: sa.Engine) -> None:
    run(usual, "CREATE TABLE scores (x float8)")
    failing = "SELECT 1 / (20000 - a) AS n FROM generate_series(1, 30000) a"
    for intake in ({"table": "nowhere"}, {"query": "SELECT nope"}, {"query": failing}, {"query": "SELECT 1 a, 2 a"}):
        told = []
        for engine in (usual, arrow):
            with pytest.raises(SourceError) as caught:
                read(source(engine, **intake))
            told.append(str(caught.value))
        assert told[0] == told[1]
        assert [[1]] == [list(row) for row in read(source(arrow, query="SELECT 1 AS n")).to_pydict().values()]
    with pytest.raises(SourceError, match="y"):
        read(source(arrow, table="scores"), "y")


def test_what_a_database_refuses_is_no_broken_connection(usual: sa.Engine, arrow: sa.Engine, tmp_path: Path) -> None:
    run(
        usual,
        "CREATE FUNCTION refuse() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'canary'; END $$",
    )
    refused = r"of connection 'scores': the database refused the statement \(\w+, SQLSTATE P0001\)$"
    for engine in (usual, arrow):
        with pytest.raises(SourceError, match=refused):
            read(source(engine, query="SELECT refuse() AS n"))
    (tmp_path / "text.sqlite").write_text("no database " * 100)
    engine = open_adbc(lambda: adbc_driver_sqlite.dbapi.connect(str(tmp_path / "text.sqlite")))
    with pytest.raises(SourceError, match=r"^table 't' of connection 'scores': the database refused the statement"):
        read(source(engine, table="t"))
    engine.dispose()


def test_a_server_that_ends_the_connection_is_retryable(usual: sa.Engine, arrow: sa.Engine) -> None:
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%%'"
    with source(arrow, query=ENDLESS).read(["n"], None) as batches:
        next(batches)
        run(usual, end)
        with pytest.raises(SourceUnavailable, match=r"SQLSTATE 57P01|broke off"):
            list(batches)
    assert 1 == read(source(arrow, query="SELECT 1 AS n")).num_rows
    away = open_adbc(lambda: adbc_driver_postgresql.dbapi.connect("postgresql://me:canary@127.0.0.1:1/x"))
    with pytest.raises(SourceUnavailable, match="broke off") as caught:
        read(source(away, table="t"))
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("how", ["leaving early", "a signal"])
def test_a_read_that_ends_early_cancels_the_statement(how: str, usual: sa.Engine, arrow: sa.Engine) -> None:
    class Killed(Exception):
        pass

    def kill(*_signal: object) -> None:
        raise Killed

    def take() -> None:
        text = ENDLESS if how == "leaving early" else "SELECT 1 AS n FROM pg_sleep(60)"
        with source(arrow, query=text).read(["n"], None) as batches:
            if how == "leaving early":
                next(batches)
                raise Killed
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            list(batches)

    before = signal.signal(signal.SIGALRM, kill)
    try:
        with pytest.raises(Killed):
            take()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'COPY%%' AND state = 'active'"
    with usual.connect() as connection:
        assert 0 == connection.exec_driver_sql(running).scalar()


def test_what_needs_statements_of_the_databases_own_is_left_to_rows(usual: sa.Engine, arrow: sa.Engine) -> None:
    run(usual, "CREATE TABLE t AS SELECT n FROM generate_series(1, 10) n")
    rows = source(arrow, table="t")
    with pytest.raises(CannotPushDown, match="adbc"), rows.selection(None):
        pass
    parts = rows.parts(Partitions(count=4, by="key", column="n"), ["n"], None)
    assert (1, 10) == (len(parts.parts), parts.rows)
    assert 10 == read(rows.part(parts.parts[0], rows.schema()), "n").num_rows  # type: ignore[arg-type]


def test_sqlite_is_read_in_the_types_of_its_rows(lite: sa.Engine) -> None:
    run(
        lite,
        "CREATE TABLE t (i integer, x real, s text COLLATE NOCASE, at text, b blob)",
        "INSERT INTO t VALUES (1, 0.5, 'b', '2013-01-01T05:30:00Z', x'00ff'), (2, NULL, 'A', '2013-01-01 04:59', NULL),"
        " (NULL, 2, 'a', NULL, x''), (4, 1e300, 'B', '2013-01-01 00:30', NULL)",
    )
    rows = source(lite, table="t", order_by=("s",))

    assert ["int64", "double", "string", "string", "binary"] == [str(kind) for kind in rows.schema().types]
    assert ["A", "B", "a", "b"] == read(rows, "s")["s"].to_pylist()
    assert [{"i": 4, "x": 1e300, "b": None}, {"i": 1, "x": 0.5, "b": b"\0\xff"}] == read(
        rows, "i", "x", "b", window=HOUR
    ).to_pylist()
    with pytest.raises(SourceError, match="table 'nowhere' of connection 'scores' does not exist; there are 't'"):
        source(lite, table="nowhere").schema()


def test_sqlite_takes_a_type_from_more_rows_than_a_driver_would(lite: sa.Engine) -> None:
    late = "SELECT CASE WHEN n > {0} THEN n + 0.5 END AS x FROM g"
    numbers = "WITH RECURSIVE g (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM g WHERE n < 70000) "
    assert 70_000 - 3000 == 70_000 - read(source(lite, query=numbers + late.format(3000)))["x"].null_count
    with pytest.raises(SourceError, match="refused the statement"):
        read(source(lite, query=numbers + late.format(69_000)))


def test_any_other_database_says_itself_who_it_is(duck: sa.Engine) -> None:
    run(
        duck,
        "CREATE TABLE t (\"at\" TIMESTAMPTZ, e ENUM ('a', 'b'), d DECIMAL(12, 3), u UBIGINT, f FLOAT, l INTEGER[],"
        " s VARCHAR)",
        "INSERT INTO t VALUES ('2013-01-01 05:30+00', 'b', 1.5, 18446744073709551615, 0.1, [1, NULL], 'é'),"
        " ('2013-01-01 06:00+00', NULL, NULL, NULL, NULL, NULL, NULL)",
    )
    rows = source(duck, table="t")

    expected = {"e": "b", "d": Decimal("1.500"), "u": Decimal(2**64 - 1), "f": 0.1, "l": "[1, NULL]", "s": "é"}
    assert [expected] == read(rows, *expected, window=HOUR).to_pylist()
    assert "duckdb" == duck.dialect.vendor.lower()  # type: ignore[attr-defined]


INSTANT = pa.timestamp("us", "UTC")
NANO = 1_357_018_200_123_456_789


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array(["a", None, "a"]).dictionary_encode(), pa.array(["a", None, "a"])),
        (pa.array(["a", None], pa.large_string()), pa.array(["a", None])),
        (pa.array(["a", None], pa.string_view()), pa.array(["a", None])),
        (pa.array([b"a", None], pa.binary_view()), pa.array([b"a", None])),
        (pa.array([b"ab", None], pa.binary(2)), pa.array([b"ab", None])),
        (pa.RunEndEncodedArray.from_arrays([2, 3], ["x", None]), pa.array(["x", "x", None])),
        (pa.array([1, None], pa.uint8()), pa.array([1, None])),
        (pa.array([2**64 - 1], pa.uint64()), pa.array([Decimal(2**64 - 1)], pa.decimal128(20, 0))),
        (pa.array([np.float16(0.5), None]), pa.array([0.5, None])),
        (pa.array([0.1, None], pa.float32()), pa.array([0.1, None])),
        (pa.array([Decimal("7"), None], pa.decimal128(9, 0)), pa.array([7, None])),
        (pa.array([Decimal("1.5")], pa.decimal32(5, 2)), pa.array([Decimal("1.50")], pa.decimal128(5, 2))),
        (pa.array([Decimal("1.5")], pa.decimal256(60, 2)), pa.array([1.5])),
        (pa.array([NANO, None], pa.timestamp("ns", "Europe/Paris")), pa.array([NANO // 1000, None], INSTANT)),
        (
            pa.array([-(2**62), 5], pa.timestamp("s")),
            pa.array([253_402_300_800_000_000, 5_000_000], pa.timestamp("us")),
        ),
        (pa.array([86_400_000], pa.date64()), pa.array([dt.date(1970, 1, 2)])),
        (
            pa.array([2**31 - 1, None], pa.int32()).cast(pa.date32()),
            pa.array([2_932_897, None], pa.int32()).cast(pa.date32()),
        ),
        (pa.nulls(2), pa.array([None, None], pa.string())),
    ],
    ids=lambda array: str(array.type) if isinstance(array, pa.Array) else None,
)
@pytest.mark.parametrize("start", [0, 1])
def test_arrow_types_become_the_kinds_of_other_drivers(array: pa.Array, expected: pa.Array, start: int) -> None:
    kind = arrow_type(sql_type(pa.field("c", array.type)))
    found = delivered(array[start:], kind, "c", "table")

    found.validate(full=True)
    assert expected.type == kind
    assert expected[start:].equals(found)


def test_a_value_that_does_not_fit_is_an_error_that_names_the_column() -> None:
    with pytest.raises(
        SourceError, match="column 'c' of table arrives as double and holds values that do not fit"
    ) as e:
        delivered(pa.array([271828.0]), pa.decimal128(5, 2), "c", "table")
    assert "271828" not in str(e.value)
