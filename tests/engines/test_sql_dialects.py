"""The bits of a double in the words of each database: valid there, exact where they can be run, refused elsewhere."""

from __future__ import annotations

import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
import sqlglot
from sqlalchemy.dialects import mssql, mysql, oracle, postgresql, registry, sqlite

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.sql_bits import LeadingBits, bucket_code
from airflow_monitoring_provider.intake.source import CannotPushDown
from airflow_monitoring_provider.intake.sql import aggregated
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan
from conformance import open_engine, pushed, table

DIALECTS = {
    "postgres": postgresql.dialect(), "sqlite": sqlite.dialect(), "mysql": mysql.dialect(),
    "tsql": mssql.dialect(), "oracle": oracle.dialect(), "duckdb": registry.load("duckdb")(),
}  # fmt: skip
SHIFTS = (0, 1, 5, 31, 41, 52)
ROWS = sa.table("t", sa.column("n", sa.Integer()), sa.column("x", sa.Double()))


def doubles() -> np.ndarray[Any, Any]:
    random = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 300).view(np.float64)
    powers = [f(2.0**e) for e in (-1074, -1023, -1022, -1, 0, 1, 29, 52, 53, 1023) for f in (_below, float, _above)]
    odd = [0.0, 5e-324, sys.float_info.max, *powers, 0.1, 1 / 3]
    return np.array([*(sign * x + 0.0 for x in odd for sign in (1, -1)), *random[np.isfinite(random)].tolist()])


def _below(x: float) -> float:
    return math.nextafter(x, 0.0)


def _above(x: float) -> float:
    return math.nextafter(x, math.inf)


def text_of(statement: Any, dialect: Any) -> str:
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


@pytest.mark.parametrize("name", list(DIALECTS))
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_statement_of_buckets_is_one_of_the_dialect(name: str, mirrored: bool) -> None:
    for shift in SHIFTS:
        code = bucket_code(ROWS.c.x, shift, mirrored=mirrored).label("code")
        inner = sa.select(code).select_from(ROWS).subquery("codes")
        text = text_of(sa.select(inner.c.code, sa.func.count()).group_by(inner.c.code), DIALECTS[name])

        (parsed,) = sqlglot.parse(text, read=name, error_level=sqlglot.ErrorLevel.RAISE)
        assert isinstance(parsed, sqlglot.exp.Select)
        assert ["codes"] == [str(table.alias) for table in parsed.find_all(sqlglot.exp.Subquery)]


def test_a_database_without_an_exact_way_is_refused() -> None:
    class Other(sqlite.dialect):  # type: ignore[name-defined,misc]
        name = "elsewhere"
        supports_statement_cache = True

    with pytest.raises(sa.exc.CompileError, match="elsewhere has no exact way to a double's bits"):
        text_of(sa.select(LeadingBits(ROWS.c.x, 3)), Other())


def test_postgresql_before_version_18_puts_the_bytes_together(postgres_url: str) -> None:
    values = doubles()
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (n integer, x double precision)")
        connection.execute(
            sa.text("INSERT INTO t VALUES (:n, :x)"), [{"n": n, "x": x} for n, x in enumerate(values.tolist())]
        )
        engine.dialect.server_version_info = (17, 5)
        for shift in SHIFTS:
            asked = sa.select(LeadingBits(ROWS.c.x, shift)).select_from(ROWS).order_by(ROWS.c.n)
            bits = np.array(connection.scalars(asked).all(), np.int64)
            assert "get_byte" in text_of(asked, engine.dialect) or shift < 8
            signed = (bits << shift) >> shift
            assert (values.view(np.int64) >> shift).tolist() == signed.tolist()
    engine.dispose()


@pytest.mark.parametrize("words", ["duckdb", "mysql"])
def test_the_bits_are_those_of_the_double(words: str) -> None:
    """MySQL's arithmetic is run by DuckDB, in which a translation of it to DuckDB's own words means the same."""
    values = doubles()
    expected = values.view(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        engine = sa.create_engine("duckdb:///:memory:")
        with engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE t (n INTEGER, x DOUBLE)")
            for n, x in enumerate(values.tolist()):
                connection.exec_driver_sql("INSERT INTO t VALUES (?, ?)", (n, x))
            for shift in SHIFTS:
                asked = sa.select(LeadingBits(ROWS.c.x, shift)).select_from(ROWS).order_by(ROWS.c.n)
                text = text_of(asked, DIALECTS[words])
                if words != "duckdb":
                    text = sqlglot.transpile(text, read=words, write="duckdb")[0]
                found = [int(row[0]) for row in connection.exec_driver_sql(text)]
                assert (expected >> shift).tolist() == found, shift
        engine.dispose()


def test_a_database_that_no_statement_is_made_for_is_read(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    source = table(engine, [{"x": 1.0}], x=sa.Double())
    engine.dialect.name = "elsewhere"
    with pytest.raises(CannotPushDown, match=r"inside postgresql, sqlite, duckdb, .* only, and this is elsewhere"):
        pushed(ProfilePlan((ColumnPlan("x", ColumnKind.NUMERIC),)), source)
    engine.dispose()


def test_sql_of_custom_metrics_runs_where_transactions_are_read_only(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    engine = open_engine("duckdb", tmp_path, request)
    source = table(engine, [{"x": 1.0}], x=sa.Double())
    with source.selection(None) as selection, pytest.raises(CannotPushDown, match="only, and this is duckdb"):
        aggregated(selection, "max(x)", None, source.label)
    engine.dispose()
