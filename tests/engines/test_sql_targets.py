"""Targets and segments that a database counts are those of rows that are read, on every database."""

from __future__ import annotations

import datetime as dt
import decimal
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.engines.sql_classes import pairwise_sum
from airflow_monitoring_provider.engines.sql_part import Part
from airflow_monitoring_provider.intake.source import CannotPushDown
from airflow_monitoring_provider.profiles.plan import (
    ColumnPlan,
    ColumnRole,
    ConditionPlan,
    ProfilePlan,
    SegmentPlan,
    TargetPlan,
)
from conformance import assert_same, open_engine, pushed, read, table

REGIONS = ["EU", "EU", "EU", "US", "us", "", "größe", None]


@pytest.fixture(params=["sqlite", "postgres", "duckdb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_engine(request.param, tmp_path, request)
    yield engine
    engine.dispose()


def grouped_rows(count: int = 3000) -> list[dict[str, Any]]:
    """A number that is far apart in one segment, has few values in another, and none in a third."""
    random = np.random.default_rng(5)
    rows = []
    for n in range(count):
        region = REGIONS[int(random.integers(len(REGIONS)))]
        x: float | None = float(random.normal())
        if region == "US":
            x = 1e9 + float(random.random()) * 1e-3
        elif region == "us":
            x = [1.5, -2.0, math.inf, math.nan][n % 4]
        elif region == "":
            x = None
        rows.append(
            {
                "id": n,
                "x": x,
                "k": [None, 3, -1, 2**53 + 1][n % 4],
                "region": region,
                "age": [None, math.nan, 17.999, 18.0, 40.0, 65.0, math.inf, -math.inf][int(random.integers(8))],
                "flag": [True, False, None][n % 3],
                "score": None if n % 50 == 0 else 1.5 if n % 51 == 0 else float(random.random()),
                "actual": str(random.choice(["yes", "no", "No", "?"])),
            }
        )
    return rows


GROUPED = {
    "id": sa.Integer(), "x": sa.Double(), "k": sa.BigInteger(), "region": sa.Text(), "age": sa.Double(),
    "flag": sa.Boolean(), "score": sa.Double(), "actual": sa.Text(),
}  # fmt: skip
COLUMNS = (
    ColumnPlan("actual", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL),
    ColumnPlan("flag", ColumnKind.BOOLEAN),
    ColumnPlan("region", ColumnKind.CATEGORICAL),
    ColumnPlan("score", ColumnKind.NUMERIC, ColumnRole.PREDICTION, mirrored=True, edges=(0.5,)),
    ColumnPlan("x", ColumnKind.NUMERIC, edges=(0.0,)),
)
BINARY = TargetPlan(TargetType.BINARY, (("yes", "score"),), "actual", ("", "yes"), "yes")


def where(*conditions: tuple[Any, ...]) -> tuple[ConditionPlan, ...]:
    return tuple(
        ConditionPlan(column, op, tuple(values)) for column, op, *values in ((c[0], c[1], *c[2:]) for c in conditions)
    )


@pytest.mark.parametrize("buckets", [2048, 100])
def test_segments_are_counted_where_they_are(engine: sa.Engine, buckets: int) -> None:
    source = table(engine, grouped_rows(), **GROUPED)
    plan = ProfilePlan(
        COLUMNS,
        BINARY,
        histogram_buckets=buckets,
        segments=(
            SegmentPlan("region", "region", limit=100, levels=("EU", "US", "us", "größe")),
            SegmentPlan("age", "age", edges=(18.0, 65.0)),
            SegmentPlan("old", where=where(("age", "ge", 18.0), ("region", "ne", "US"))),
        ),
    )

    expected, found = read(plan, source, ("id",)), pushed(plan, source, ("id",))

    assert_same(expected, found)
    assert {"region=EU", "region=US", "region=__other__", "region=__missing__", "age=[18,65)", "old"} <= set(
        found.segments
    )


CONDITIONS = [
    ("k", "eq", 3.0), ("k", "ne", 3.0), ("k", "in", 3.0, "-1"), ("k", "not_in", 3.0, float(2**53)), ("k", "lt", 3.0),
    ("age", "is_null"), ("age", "not_null"), ("age", "le", 18.0), ("age", "gt", 18.0), ("age", "ne", 18.0),
    ("age", "eq", "inf"), ("region", "is_null"), ("region", "in", "EU", "us", "nowhere"),
    ("region", "not_in", "EU", ""),
    ("flag", "eq", "true"), ("flag", "ne", "true"), ("flag", "eq", 1.0), ("flag", "gt", 0.0), ("actual", "lt", 1.0),
    ("text", "lt", 2.0), ("text", "eq", 1.0), ("text", "not_in", 1.0, "b"),
]  # fmt: skip


def test_conditions_hold_for_the_rows_for_which_they_hold_when_read(engine: sa.Engine) -> None:
    rows = [row | {"text": ["1", "1.0", " 2", "b", "B", None, "nan"][n % 7]} for n, row in enumerate(grouped_rows(400))]
    source = table(engine, rows, **GROUPED, text=sa.Text())
    segments = tuple(SegmentPlan(f"s{n}", where=where(one)) for n, one in enumerate(CONDITIONS))
    plan = ProfilePlan((ColumnPlan("id", ColumnKind.NUMERIC),), segments=segments)

    assert_same(read(plan, source), pushed(plan, source))


@pytest.mark.parametrize("hashed", [False, True])
def test_levels_of_every_type_are_told_apart(engine: sa.Engine, hashed: bool) -> None:
    kinds: dict[str, Any] = {"i": sa.Integer(), "f": sa.Double(), "b": sa.Boolean(), "s": sa.Text()}
    values: dict[str, list[Any]] = {
        "i": [1, 2, 3, None], "f": [1.0, -0.0, 0.1, None, 1e300], "b": [True, False, None], "s": ["a", "A", "a ", None],
    }  # fmt: skip
    if engine.dialect.name != "sqlite":
        kinds |= {"d": sa.Date(), "n": sa.Numeric(8, 3), "c": sa.CHAR(5), "t": sa.DateTime(timezone=True)}
        values |= {
            "d": [dt.date(2026, 3, 1), dt.date(1, 1, 1), None],
            "n": [decimal.Decimal("1.100"), decimal.Decimal("-2"), None],
            "c": ["ab", "abc", None],
            "t": [dt.datetime(2026, 3, 1, 5, tzinfo=dt.UTC), None],
        }
    rows = [{name: them[n % len(them)] for name, them in values.items()} for n in range(120)]
    source = table(engine, rows, **kinds)
    names = "hash" if hashed else "keep"
    columns = tuple(ColumnPlan(name, ColumnKind.CATEGORICAL) for name in sorted(kinds))
    plan = ProfilePlan(columns, level_names=names)
    seen = read(plan, source)
    tops = {name: column.levels.top(2) for name, column in seen.columns.items() if column.levels is not None}
    plan = ProfilePlan(
        columns, level_names=names, segments=tuple(SegmentPlan(n, n, limit=2, levels=top) for n, top in tops.items())
    )

    assert_same(read(plan, source), pushed(plan, source))


def classes_rows(k: int, count: int, digits: int | None) -> list[dict[str, Any]]:
    random = np.random.default_rng(k)
    rows = []
    for n in range(count):
        p = random.dirichlet(np.ones(k))
        p = p if digits is None else np.round(p, digits)
        if n % 40 == 0:
            p = p * 0.9
        if n == 7:
            p = np.zeros(k)
        if n == 8:
            p = np.full(k, 0.25)
        row = {f"p{i}": float(one) for i, one in enumerate(p)}
        row |= {"p0": None} if n == 9 else {"p1": 1.5} if n == 10 else {}
        actual = f"c{int(random.integers(k))}"
        rows.append(row | {"y": None if n % 11 == 0 else "x" if n % 13 == 0 else actual, "g": ["a", "b", None][n % 3]})
    return rows


@pytest.mark.parametrize(("k", "digits"), [(3, None), (9, 6)])
def test_many_classes_meet_their_actuals_in_the_database(engine: sa.Engine, k: int, digits: int | None) -> None:
    names = [f"p{i}" for i in range(k)]
    source = table(engine, classes_rows(k, 500, digits), **dict.fromkeys(names, sa.Double()), y=sa.Text(), g=sa.Text())
    classes = tuple(f"c{i}" for i in range(k))
    target = TargetPlan(TargetType.MULTICLASS, tuple(zip(classes, names, strict=True)), "y", classes)
    columns = [ColumnPlan(name, ColumnKind.NUMERIC, ColumnRole.PREDICTION, True) for name in names]
    columns.append(ColumnPlan("y", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL))
    plan = ProfilePlan(
        tuple(sorted(columns, key=lambda column: column.name)),
        target,
        histogram_buckets=256,
        segments=(SegmentPlan("g", "g", limit=9, levels=("a", "b")),),
    )

    expected, found = read(plan, source), pushed(plan, source)

    assert_same(expected, found)
    assert 0 < expected.target.renormalised < expected.target.labelled  # type: ignore[union-attr]


@pytest.mark.parametrize("k", [3, 8, 9, 17, 40, 100])
def test_probabilities_are_added_up_in_the_order_of_numpy(k: int) -> None:
    random = np.random.default_rng(k)
    rows = np.round(random.dirichlet(np.ones(k), 200), 6)
    columns: list[sa.ColumnElement[Any]] = [sa.column(f"p{i}", sa.Double()) for i in range(k)]
    engine = sa.create_engine("sqlite://")
    made = sa.Table("t", sa.MetaData(), *(sa.Column(f"p{i}", sa.Double()) for i in range(k)))
    with engine.begin() as connection:
        made.create(connection)
        connection.execute(sa.insert(made), [{f"p{i}": p for i, p in enumerate(row)} for row in rows.tolist()])
        found = connection.execute(sa.select(pairwise_sum(columns)).select_from(made)).scalars().all()
    engine.dispose()

    assert rows.sum(axis=1).tolist() == list(found)


@pytest.mark.parametrize("intervals", [None, ("low", "high")])
def test_predicted_numbers_meet_their_actuals_in_the_database(
    engine: sa.Engine, intervals: tuple[str, str] | None
) -> None:
    random = np.random.default_rng(11)
    odd = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, -1.0, -5.0, 1e-50, 100.0, 3.0]
    rows = []
    for n in range(1500):
        y: Any = float(random.gamma(2.0))
        p: Any = y + float(random.normal()) * 0.2
        if n < 12 * 12:
            p, y = odd[n // 12], odd[n % 12]
        low, high = (odd[n % 12], odd[n % 11]) if n % 7 == 0 or n < 12 * 12 else (p - 0.1, p + 0.3)
        rows.append({"p": p, "y": y, "g": ["a", "b", None][n % 3], "low": low, "high": high})
    numbers = dict.fromkeys(("p", "y", "low", "high"), sa.Double())
    source = table(engine, rows, **numbers, g=sa.Text())
    target = TargetPlan(TargetType.REGRESSION, (("", "p"),), "y", interval_columns=intervals)
    columns = (
        ColumnPlan("p", ColumnKind.NUMERIC, ColumnRole.PREDICTION),
        ColumnPlan("y", ColumnKind.NUMERIC, ColumnRole.ACTUAL),
    )
    segments = (SegmentPlan("g", "g", limit=9, levels=("a",)), SegmentPlan("y", "y", edges=(-10.0, 1e9)))
    plan = ProfilePlan(columns, target, histogram_buckets=512, segments=segments)

    assert_same(read(plan, source), pushed(plan, source))


def test_numbers_whose_errors_no_double_can_square_are_refused(engine: sa.Engine) -> None:
    source = table(engine, [{"p": 1.0, "y": 1e70}, {"p": 2.0, "y": 2.0}], p=sa.Double(), y=sa.Double())
    columns = (ColumnPlan("p", ColumnKind.NUMERIC, ColumnRole.PREDICTION),)
    plan = ProfilePlan(columns, TargetPlan(TargetType.REGRESSION, (("", "p"),), "y"))
    with pytest.raises(CannotPushDown, match=r"column 'y' holds numbers beyond 1e\+60"):
        pushed(plan, source)


def test_decimals_are_the_doubles_next_to_them(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    random = np.random.default_rng(2)
    drawn = random.integers(-(10**12), 10**12, 500).tolist()
    rows: list[dict[str, Any]] = [{"n": decimal.Decimal(x).scaleb(-4), "w": x} for x in drawn]
    rows += [{"n": decimal.Decimal("NaN"), "w": decimal.Decimal("NaN")}, {"n": None, "w": 10**17 + 1}]
    source = table(engine, rows, n=sa.Numeric(18, 4), w=sa.Numeric(18, 0))
    plan = ProfilePlan((ColumnPlan("n", ColumnKind.NUMERIC), ColumnPlan("w", ColumnKind.NUMERIC)))

    assert_same(read(plan, source), pushed(plan, source))
    engine.dispose()


def test_numbers_of_one_segment_leave_those_of_another_what_they_are(engine: sa.Engine) -> None:
    rows = [{"g": "huge", "x": 1e308 * (-1) ** n} for n in range(4)] + [{"g": "small", "x": n / 8} for n in range(9)]
    plan = ProfilePlan(
        (ColumnPlan("x", ColumnKind.NUMERIC),), segments=(SegmentPlan("g", "g", limit=9, levels=("huge", "small")),)
    )
    source = table(engine, rows, g=sa.Text(), x=sa.Double())

    assert_same(read(plan, source), pushed(plan, source))
    moments = pushed(plan, source).segments["g=small"].columns["x"].moments
    assert moments is not None
    assert (0.5, pytest.approx(math.sqrt(60 / 9) / 8, rel=1e-12)) == (moments.mean, moments.std(0))


def test_thousands_of_aggregates_are_asked_in_as_many_statements_as_it_takes(engine: sa.Engine) -> None:
    source = table(engine, [{"n": n, "g": n % 2} for n in range(5)], n=sa.Integer(), g=sa.Integer())
    with source.selection(None) as selection:
        rows = selection.rows(selection.column("n"), selection.column("g")).subquery()
        found = Part(selection, rows, rows.c.g).totals([sa.func.sum(rows.c.n + n) for n in range(2100)])

    assert {g: [sum(m + n for m in range(g, 5, 2)) for n in range(2100)] for g in (0, 1)} == found
