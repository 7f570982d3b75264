"""A database that counts gives the profile of rows that are read: every engine, the same content hash."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.metric_terms import DRIFT_METRICS
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.engines.sql_bits import LeadingBits, order_codes, prepare
from airflow_monitoring_provider.intake.source import CannotPushDown, TimeFilter
from airflow_monitoring_provider.metrics.compare import compare
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, SegmentPlan, TargetPlan
from conformance import assert_same, open_engine, pushed, read, table

ODD_NUMBERS = [
    0.0, -0.0, 5e-324, -5e-324, 2.0**-1022, 1.0, -1.0, 1.0 + sys.float_info.epsilon, 2.0**53 + 2, 1e308, -1e308,
    sys.float_info.max, math.inf, -math.inf, math.nan, None, 0.1, 0.5, 8.0, math.nextafter(8.0, 0), 1e-310,
]  # fmt: skip
ODD_TEXTS = ["", " ", "a", "A", "é", "e\u0301", "\U0001f600", "x" * 3000, "1", "1.0", "true", "a\\b\"c'", "%s", None]
DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgres", "duckdb"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_engine(request.param, tmp_path, request)
    yield engine
    engine.dispose()


def test_the_bits_of_a_double_are_its_bits(engine: sa.Engine) -> None:
    random = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, 500).view(np.float64)
    values = np.array(
        [v + 0.0 for v in ODD_NUMBERS if v is not None and math.isfinite(v)] + random[np.isfinite(random)].tolist()
    )
    made = sa.Table("t", sa.MetaData(), sa.Column("n", sa.Integer), sa.Column("x", sa.Double()))
    made.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(made), [{"n": n, "x": x} for n, x in enumerate(values.tolist())])
        prepare(connection)
        for shift in (0, 5, 17, 32, 41, 47, 52):
            asked = sa.select(LeadingBits(made.c.x, shift)).order_by(made.c.n)
            bits = np.array(connection.execute(asked).scalars().all(), np.int64)
            order = np.argsort(values, kind="stable")
            codes = order_codes(bits, shift)
            assert (np.diff(codes[order]) >= 0).all()
            expected = values.view(np.int64)
            expected = np.where(expected < 0, expected ^ np.int64(2**63 - 1), expected) >> shift
            assert expected.tolist() == codes.tolist()


def test_odd_values_give_one_profile(engine: sa.Engine) -> None:
    rows = [
        {"x": ODD_NUMBERS[n % len(ODD_NUMBERS)], "i": [None, 0, -1, 2**53 + 1, 2**63 - 1, -(2**63)][n % 6],
         "s": ODD_TEXTS[n % len(ODD_TEXTS)], "b": [True, False, None][n % 3], "k": n % 7}
        for n in range(300)
    ]  # fmt: skip
    source = table(engine, rows, x=sa.Double(), i=sa.BigInteger(), s=sa.Text(), b=sa.Boolean(), k=sa.Integer())
    plan = ProfilePlan(
        columns=(
            ColumnPlan("b", ColumnKind.BOOLEAN),
            ColumnPlan("i", ColumnKind.NUMERIC),
            ColumnPlan("k", ColumnKind.CATEGORICAL),
            ColumnPlan("s", ColumnKind.CATEGORICAL),
            ColumnPlan("x", ColumnKind.NUMERIC, edges=(0.5, 8.0)),
        )
    )

    assert_same(read(plan, source), pushed(plan, source))


def test_texts_are_measured_where_they_are(engine: sa.Engine) -> None:
    source = table(engine, [{"s": text} for text in ODD_TEXTS * 3], s=sa.Text())
    plan = ProfilePlan(columns=(ColumnPlan("s", ColumnKind.TEXT),))

    assert_same(read(plan, source), pushed(plan, source))


@pytest.mark.parametrize("buckets", [2048, 64])
def test_many_values_are_coarsened_alike(engine: sa.Engine, buckets: int) -> None:
    random = np.random.default_rng(7)
    drawn = {
        "normal": random.standard_normal(6000),
        "offset": 285 + 8 * random.standard_normal(6000),
        "narrow": 1e9 + random.random(6000) * 1e-3,
        "wide": np.exp(100 * random.standard_normal(6000)),
        "few": random.integers(0, 50, 6000) / 7,
        "score": random.beta(2, 5, 6000),
    }
    rows = [dict(zip(drawn, map(float, values), strict=True)) for values in zip(*drawn.values(), strict=True)]
    source = table(engine, rows, **dict.fromkeys(drawn, sa.Double()))
    plan = ProfilePlan(
        columns=tuple(ColumnPlan(name, ColumnKind.NUMERIC, mirrored=name == "score") for name in sorted(drawn)),
        histogram_buckets=buckets,
    )

    assert_same(read(plan, source), pushed(plan, source))


@pytest.mark.parametrize("single", [True, False])
def test_a_binary_target_meets_its_actuals_in_the_database(engine: sa.Engine, single: bool) -> None:
    random = np.random.default_rng(3)
    scores = [None, math.nan, math.inf, -0.1, 1.1, 0.0, -0.0, 1.0, 0.5, 5e-324, 1 - 2**-53, 0.1, 0.3, 0.7]
    rows = []
    for n in range(1500):
        score = scores[n] if n < len(scores) else float(random.random())
        other = None if score is None else 1 - score
        actual = random.choice(["yes", "no", "no", "maybe"])
        rows.append(
            {
                "id": None if n == 20 else n,
                "p": score,
                "q": other,
                "y": None if n % 9 == 0 else str(actual),
                "f": n * 0.5,
            }
        )
    source = table(engine, rows, id=sa.Integer(), p=sa.Double(), q=sa.Double(), y=sa.Text(), f=sa.Double())
    pairs = (("yes", "p"),) if single else (("no", "q"), ("yes", "p"))
    target = TargetPlan(TargetType.BINARY, pairs, "y", ("" if single else "no", "yes"), "yes", threshold=0.3)
    predictions = [ColumnPlan(name, ColumnKind.NUMERIC, ColumnRole.PREDICTION, True, (0.3,)) for _, name in pairs]
    features = [ColumnPlan("f", ColumnKind.NUMERIC), ColumnPlan("y", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL)]
    plan = ProfilePlan(tuple(sorted([*predictions, *features], key=lambda column: column.name)), target)

    expected, found = read(plan, source, ("id",)), pushed(plan, source, ("id",))

    assert_same(expected, found)
    assert expected.status_counts["rejected:missing_identifier"] == 1


def test_every_metric_has_one_value_whichever_engine_counted(engine: sa.Engine) -> None:
    random = np.random.default_rng(8)
    columns = {"n": sa.Double(), "s": sa.Text(), "b": sa.Boolean(), "t": sa.Text(), "p": sa.Double(), "y": sa.Text()}

    def rows(count: int, shift: float) -> list[dict[str, Any]]:
        return [
            {
                "n": None if n % 11 == 0 else float(random.normal(shift)),
                "s": None if n % 13 == 0 else f"level {int(random.integers(0, 5 + 2 * shift))}",
                "b": bool(random.random() < 0.4 + shift / 10),
                "t": "x" * int(random.integers(0, 9)),
                "p": float(random.random()),
                "y": str(random.choice(["yes", "no"])),
            }
            for n in range(count)
        ]

    plan = ProfilePlan(
        (
            ColumnPlan("b", ColumnKind.BOOLEAN),
            ColumnPlan("n", ColumnKind.NUMERIC),
            ColumnPlan("p", ColumnKind.NUMERIC, ColumnRole.PREDICTION, True, (0.5,)),
            ColumnPlan("s", ColumnKind.CATEGORICAL),
            ColumnPlan("t", ColumnKind.TEXT),
            ColumnPlan("y", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL),
        ),
        TargetPlan(TargetType.BINARY, (("yes", "p"),), "y", ("", "yes"), "yes"),
    )
    definition = load_definition(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "drift": {"metrics": sorted(DRIFT_METRICS)},
            "thresholds": {name: {"critical": 0.5} for name in DRIFT_METRICS},
        }
    )
    sources = table(engine, rows(900, 0), "before", **columns), table(engine, rows(500, 1), "now", **columns)
    before, now = ([count(plan, source) for count in (read, pushed)] for source in sources)
    settings = ComparisonSettings.from_definition(definition)
    expected, found = (compare(a, b, settings) for a, b in zip(now, before, strict=True))

    assert DRIFT_METRICS < {value.name for value in expected if value.value is not None}
    assert [(v.name, v.column, v.reason, v.binning) for v in expected] == [
        (v.name, v.column, v.reason, v.binning) for v in found
    ]
    for one, other in zip(expected, found, strict=True):
        for field in ("value", "p_value", "adjusted_p_value", "critical_value", "low", "high"):
            wanted, got = getattr(one, field), getattr(other, field)
            assert wanted == (None if wanted is None else pytest.approx(got, rel=1e-7, abs=1e-12)), (one, field)


def test_a_window_is_cut_in_the_database(engine: sa.Engine) -> None:
    rows = [{"seen": DAY + timedelta(minutes=n), "x": float(n)} for n in range(-60, 1500)]
    source = table(engine, [*rows, {"seen": None, "x": 1.0}], seen=sa.DateTime(timezone=True), x=sa.Double())
    plan = ProfilePlan((ColumnPlan("x", ColumnKind.NUMERIC),), timestamp_column="seen")
    window = TimeFilter("seen", DAY, DAY + timedelta(days=1))
    expected, found = read(plan, source, window=window), pushed(plan, source, window=window)
    assert 1440 == found.rows
    assert_same(expected, found)


def test_no_rows_give_the_empty_profile(engine: sa.Engine) -> None:
    source = table(engine, [{"x": None, "s": None}], x=sa.Double(), s=sa.Text())
    plan = ProfilePlan((ColumnPlan("s", ColumnKind.CATEGORICAL), ColumnPlan("x", ColumnKind.NUMERIC)))
    assert_same(read(plan, source), pushed(plan, source))
    with engine.begin() as connection:
        connection.execute(sa.delete(sa.table("t")))
    assert_same(read(plan, source), pushed(plan, source))


def test_what_a_database_cannot_count_is_refused_with_the_reason(engine: sa.Engine) -> None:
    source = table(engine, [{"s": "1", "n": 1}, {"s": "1", "n": 1}], s=sa.Text(), n=sa.Integer())
    for plan, identifiers, reason in (
        (ProfilePlan((ColumnPlan("s", ColumnKind.NUMERIC),)), (), "column 's' is numeric and arrives as string"),
        (ProfilePlan((ColumnPlan("n", ColumnKind.NUMERIC),)), ("n",), "identifiers repeat"),
        (
            ProfilePlan((ColumnPlan("n", ColumnKind.NUMERIC),), TargetPlan(TargetType.REGRESSION, (("", "n"),), "s")),
            (),
            "column 's' is predicted or actual as a number and arrives as string",
        ),
        (
            ProfilePlan(
                (ColumnPlan("n", ColumnKind.NUMERIC),), segments=(SegmentPlan("s", "s", bins=2, edges=(0.0,)),)
            ),
            (),
            "segments by ranges of column 's', which arrives as string",
        ),
    ):
        with pytest.raises(CannotPushDown, match=reason):
            pushed(plan, source, identifiers)
