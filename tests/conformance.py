"""Data in a real database, its profile from rows that are read, and what the database's own has to equal."""

from __future__ import annotations

import dataclasses
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.engines.arrow import ProfileBuilder
from airflow_monitoring_provider.engines.kinds import read_columns
from airflow_monitoring_provider.engines.screen import Screen
from airflow_monitoring_provider.engines.sql import profile_in_database
from airflow_monitoring_provider.intake.relation import arrow_type
from airflow_monitoring_provider.intake.sql import SqlSource
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile


def table(
    engine: sa.Engine, rows: list[dict[str, Any]], called: str = "t", /, *, make: bool = True, **columns: Any
) -> SqlSource:
    """A source of a table, made with these rows unless it is there."""
    if make:
        made = sa.Table(called, sa.MetaData(), *(sa.Column(name, kind) for name, kind in columns.items()))
        made.create(engine)
        with engine.begin() as connection:
            insert(connection, made, rows)
    return SqlSource(engine, SqlIntake(type="jdbc", data_store_id="x", table=called))


def insert(connection: sa.Connection, made: sa.Table, rows: list[dict[str, Any]]) -> None:
    """Into DuckDB through Arrow: it takes a millisecond for every row that is bound."""
    if connection.dialect.name != "duckdb":
        connection.execute(sa.insert(made), rows)
        return
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in made.columns])
    driver: Any = connection.connection.driver_connection
    driver.register("rows_of_test", pa.Table.from_pylist(rows, schema=schema))
    connection.exec_driver_sql(f'INSERT INTO "{made.name}" SELECT * FROM rows_of_test')
    driver.unregister("rows_of_test")


def open_engine(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> sa.Engine:
    """An empty database: ``sqlite``, ``postgres`` or ``duckdb``."""
    if name == "postgres":
        return sa.create_engine(request.getfixturevalue("postgres_url"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duckdb-engine's, about SQLAlchemy's reflection
        return sa.create_engine(f"{name}:///{tmp_path / f'database.{name}'}")


def pushed(plan: ProfilePlan, source: SqlSource, identifiers: tuple[str, ...] = (), window: Any = None) -> Profile:
    with source.selection(window) as selection:
        return profile_in_database(plan, selection, identifiers)


def read(plan: ProfilePlan, source: SqlSource, identifiers: tuple[str, ...] = (), window: Any = None) -> Profile:
    builder, screen = ProfileBuilder(plan), Screen(plan, identifiers)
    with source.read(read_columns(plan, identifiers), window) as batches:
        for batch in batches:
            builder.update(batch, screen.statuses(batch))
    return builder.finish()


def assert_same(expected: Profile, found: Profile) -> None:
    """Counts, bounds, buckets and levels exactly; moments and sums to 1e-9 of their scale; segments alike."""
    for name, column in expected.columns.items():
        assert_same_column(column, found.columns[name])
    assert expected.status_counts == found.status_counts
    assert (expected.earliest, expected.latest) == (found.earliest, found.latest)
    assert_same_target(expected.target, found.target)
    assert sorted(expected.segments) == sorted(found.segments)
    for name, segment in expected.segments.items():
        assert_same(segment, found.segments[name])
    assert expected.content_hash() == found.content_hash()


def assert_same_target(expected: Any, found: Any) -> None:
    """Every field of a target's profile."""
    assert type(expected) is type(found)
    for field in dataclasses.fields(expected) if expected is not None else ():
        one, other = getattr(expected, field.name), getattr(found, field.name)
        if isinstance(one, Moments):
            assert_close(one, other)
        elif dataclasses.is_dataclass(one) and not isinstance(one, Histogram):
            assert_same_target(one, other)
        elif isinstance(one, float | np.ndarray):
            assert np.allclose(one, other, rtol=1e-9, atol=1e-12), (field.name, one, other)
        else:
            assert one == other, field.name


def assert_same_column(expected: ColumnProfile, found: ColumnProfile) -> None:
    for field in (
        "rows",
        "missing",
        "invalid",
        "positive_inf",
        "negative_inf",
        "zero",
        "negative",
        "minimum",
        "maximum",
    ):
        assert getattr(expected, field) == getattr(found, field), (expected.name, field)
    assert expected.histogram == found.histogram, expected.name
    assert expected.levels == found.levels, expected.name
    assert expected.edge_counts == found.edge_counts, expected.name
    if expected.moments is not None and found.moments is not None:
        assert_close(expected.moments, found.moments)


def assert_close(expected: Moments, found: Moments) -> None:
    assert expected.count == found.count
    if not expected.count:
        return
    scale = expected.std(0) if expected.std(0) > 0 else 1.0
    assert abs(expected.mean - found.mean) <= 1e-9 * max(scale, abs(expected.mean))
    assert math.isclose(expected.std(0), found.std(0), rel_tol=1e-9)
    for which in ("skew", "kurtosis"):
        a, b = getattr(expected, which), getattr(found, which)
        assert (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6)
