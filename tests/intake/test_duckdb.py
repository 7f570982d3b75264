"""DuckDB's tables are described by its own catalog, and read through its dialect."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.sql import SqlSource
from conformance import open_engine

COLUMNS = (
    "b BOOLEAN, i INTEGER, u UBIGINT, h HUGEINT, d DECIMAL(12, 3), f FLOAT, x DOUBLE, day DATE, seen TIMESTAMP, "
    "zoned TIMESTAMPTZ, raw BLOB, s VARCHAR, tags VARCHAR[]"
)


def test_every_type_arrives_as_the_table_says(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    engine = open_engine("duckdb", tmp_path, request)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE t ({COLUMNS})")
        connection.exec_driver_sql(
            "INSERT INTO t VALUES (true, -1, 18446744073709551615, 3, 1.5, 0.5, 0.1, '2026-03-01', "
            "'2026-03-01 12:00:00.000001', '2026-03-01 12:00:00+02', 'ab', 'é', ['a'])"
        )
    source = SqlSource(engine, SqlIntake(type="jdbc", data_store_id="x", table="t"))
    with source.read(source.schema().names, None) as batches:
        (batch,) = batches

    expected = {
        "b": True,
        "i": -1,
        "u": Decimal(2**64 - 1),
        "h": 3.0,
        "d": Decimal("1.500"),
        "f": 0.5,
        "x": 0.1,
        "day": dt.date(2026, 3, 1),
        "seen": dt.datetime.fromisoformat("2026-03-01T12:00:00.000001"),
        "zoned": dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC),
        "raw": b"ab",
        "s": "é",
        "tags": "['a']",
    }
    assert [expected] == batch.to_pylist()
    assert pa.decimal128(12, 3) == batch.schema.field("d").type
    engine.dispose()


def test_a_table_that_is_not_there_is_named_with_those_that_are(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    engine = open_engine("duckdb", tmp_path, request)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE scores (x DOUBLE)")
    for schema, where in ((None, ""), ("main", " in schema 'main'")):
        intake = SqlIntake(type="jdbc", data_store_id="x", table="nowhere", schema=schema)
        with pytest.raises(SourceError, match=f"does not exist{where}; there are 'scores'"):
            SqlSource(engine, intake).schema()
    with pytest.raises(SourceError, match="does not exist in schema 'other'; there are none"):
        SqlSource(engine, SqlIntake(type="jdbc", data_store_id="x", table="scores", schema="other")).schema()
    engine.dispose()


def test_the_view_of_another_schema_is_read(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    engine = open_engine("duckdb", tmp_path, request)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE SCHEMA other")
        connection.exec_driver_sql("CREATE VIEW other.v AS SELECT 1::BIGINT AS n")
    source = SqlSource(engine, SqlIntake(type="jdbc", data_store_id="x", table="v", schema="other"))
    assert pa.schema([("n", pa.int64())]) == source.schema()
    engine.dispose()
