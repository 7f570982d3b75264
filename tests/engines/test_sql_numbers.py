"""What the first rows tell is a guess: a profile is that of all rows, however much the others differ from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines import sql_numbers, sql_sample
from airflow_monitoring_provider.engines.sql_moments import pivot_near
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan, SegmentPlan
from conformance import assert_same, open_engine, pushed, read, table

FIRST, ROWS = 15, 1600


@pytest.fixture(params=["sqlite", "postgres", "duckdb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_engine(request.param, tmp_path, request)
    yield engine
    engine.dispose()


def drawn() -> dict[str, list[Any]]:
    random = np.random.default_rng(11)
    normal = random.standard_normal
    first = np.arange(ROWS) < FIRST
    odd = np.resize([0.0, -0.0, 5e-324, -5e-324, 1e-310, 1.0, -1.0], ROWS)
    scores = np.where(
        random.random(ROWS) < 0.9, random.beta(2, 5, ROWS), np.resize([2.0, -1.0, 0.0, 1.0, 1e-312], ROWS)
    )
    columns: dict[str, list[Any]] = {
        "same_at_first": np.where(first, 7.0, normal(ROWS)).tolist(),
        "elsewhere_at_first": np.where(first, normal(ROWS), 1e6 + normal(ROWS)).tolist(),
        "small_at_first": np.where(first, 1e-30 * normal(ROWS), normal(ROWS)).tolist(),
        "missing_at_first": [None if one else x for one, x in zip(first, normal(ROWS).tolist(), strict=True)],
        "huge_later": np.where(np.arange(ROWS) == 1000, -1e200, normal(ROWS)).tolist(),
        "tiny": np.where(random.random(ROWS) < 0.1, odd, normal(ROWS)).tolist(),
        "zero": [0.0] * ROWS,
        "never": [None] * ROWS,
        "count": (random.integers(-3, 4, ROWS) ** 15).tolist(),
        "score": scores.tolist(),
    }
    columns["tiny"][30:32] = [math.inf, -math.inf]
    columns["score"][30:33] = [math.inf, -math.inf, None]
    columns["group"] = np.where(np.arange(ROWS) % 500 == 499, "apart", "usual").tolist()
    columns["by_group"] = [
        1e9 + x if g == "apart" else x for g, x in zip(columns["group"], normal(ROWS).tolist(), strict=True)
    ]
    return columns


@pytest.mark.parametrize("most", [32, 1 << 16])
def test_rows_of_which_the_first_ones_tell_nothing_are_counted_all_the_same(
    engine: sa.Engine, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_sample, "_SAMPLE", FIRST)
    monkeypatch.setattr(sql_numbers, "MOST_BUCKETS", most)
    columns = drawn()
    kinds: dict[str, Any] = dict.fromkeys(columns, sa.Double()) | {"group": sa.Text(), "count": sa.BigInteger()}
    rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    source = table(engine, rows, **kinds)
    plan = ProfilePlan(
        tuple(
            ColumnPlan(name, ColumnKind.NUMERIC, mirrored=name == "score", edges=(0.5,) if name == "tiny" else ())
            for name in sorted(columns)
            if name != "group"
        ),
        histogram_buckets=8,
        segments=(SegmentPlan("group", "group", limit=2, levels=("apart", "usual")),) if most > 32 else (),
    )

    expected, found = read(plan, source), pushed(plan, source)

    assert_same(expected, found)
    assert 2 * (most > 32) == len(found.segments)


def test_nearly_as_many_values_as_buckets_do_not_take_a_look_at_all_rows_for_each_bit(
    engine: sa.Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_sample, "_SAMPLE", FIRST)
    random = np.random.default_rng(3)
    values = random.beta(2, 5, (2, 62))  # of both groups more than there are buckets, of one fewer
    rows = [
        {"score": float(values[group, place]), "group": ("even", "odd")[group]}
        for group, place in zip(random.integers(2, size=ROWS), random.integers(62, size=ROWS), strict=True)
    ]
    source = table(engine, rows, score=sa.Double(), group=sa.Text())
    plan = ProfilePlan(
        (ColumnPlan("score", ColumnKind.NUMERIC, mirrored=True),),
        histogram_buckets=64,
        segments=(SegmentPlan("group", "group", limit=2, levels=("even", "odd")),),
    )
    expected, counting = read(plan, source), []
    sa.event.listen(engine, "before_cursor_execute", lambda *told: counting.append(told[2]))

    found = pushed(plan, source)

    assert_same(expected, found)
    assert [0, 0] == [segment.columns["score"].histogram.shift for segment in found.segments.values()]
    assert 20 > sum("GROUP BY" in told for told in counting)


@pytest.mark.parametrize("declared", ["REAL", "DOUBLE PRECISION", "FLOAT", "DOUBLE"])
def test_sqlite_counts_every_digit_of_a_double_whatever_its_column_is_called(declared: str, tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'database.sqlite'}")
    values = [0.1 + 0.2, 2.0**53 + 2, math.nextafter(1.0, 2.0), math.pi]
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE t (x {declared})")
        connection.exec_driver_sql("INSERT INTO t VALUES (?)", [(value,) for value in values])
    plan, source = ProfilePlan((ColumnPlan("x", ColumnKind.NUMERIC),)), table(engine, [], make=False)

    found = pushed(plan, source)
    assert (min(values), max(values)) == (found.columns["x"].minimum, found.columns["x"].maximum)
    assert_same(read(plan, source), found)
    engine.dispose()


@pytest.mark.parametrize("size", [2.0**-60, 1e-9, 1.0, 285.0, 1e60])
@pytest.mark.parametrize("share", [0.0, 1e-9, -1e-3, 0.5, -1.0])
def test_no_double_is_so_near_to_a_pivot_that_its_fourth_power_vanishes(size: float, share: float) -> None:
    pivot = pivot_near(share * size, size)

    assert pivot is not None
    assert abs(pivot - share * size) <= size / 1000
    for near in (math.nextafter(pivot, math.inf), math.nextafter(pivot, -math.inf), pivot / 2, 0.0):
        assert (near - pivot) ** 4 > 1e-300


@pytest.mark.parametrize("size", [1e-19, 1e61, math.inf])
def test_sizes_without_a_safe_pivot_have_none(size: float) -> None:
    assert pivot_near(0.0, size) is None
