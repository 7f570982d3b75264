"""Checks of a definition on profiles: what breaks them, counted as NumPy and pandas count the rows."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from airflow_monitoring_provider.definitions.checks import ColumnCheck
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.checks import column_checks
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.profiles.column import ColumnProfile

CATEGORICAL = ColumnKind.CATEGORICAL


def one(current: ColumnProfile, **check: Any) -> MetricValue:
    (value,) = column_checks(current, ColumnCheck(**check))
    assert (value.value is None) == (value.reason is not None)
    assert (ResultKind.DATA_QUALITY, Direction.LOWER_IS_BETTER) == (value.kind, value.direction)
    assert value.p_value is None
    return value


@given(
    st.lists(st.floats(-5, 5) | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 2.0]), max_size=40),
    st.none() | st.floats(-5, 5),
    st.none() | st.floats(-5, 5),
    st.integers(0, 40),
    st.randoms(),
)
def test_numbers_out_of_bounds_are_numpys_whatever_the_order_and_split(
    values: list[float], minimum: float | None, maximum: float | None, cut: int, random: Random
) -> None:
    bounds = {name: bound for name, bound in (("minimum", minimum), ("maximum", maximum)) if bound is not None}
    if not bounds or (minimum is not None and maximum is not None and minimum > maximum):
        return
    rows = random.sample(values, len(values))
    edges = [
        *([minimum] if minimum is not None else []),
        *([math.nextafter(maximum, 9)] if maximum is not None else []),
    ]
    parts = [ColumnProfile.of(np.array(part, float), edges=edges, buckets=4) for part in (rows[:cut], rows[cut:])]

    found = one(parts[0].merge(parts[1]), **bounds)

    array = np.array(values, float)
    present = array[~np.isnan(array)]
    if not present.size:
        assert Reason.NO_DATA == found.reason
        return
    low, high = bounds.get("minimum", -math.inf), bounds.get("maximum", math.inf)
    hits = int(((present < low) | (present > high)).sum())
    interval = stats.binomtest(hits, present.size).proportion_ci(method="wilson")
    assert (hits / present.size, hits, present.size) == (found.value, found.details["rows"], found.m)
    assert (interval.low, interval.high) == pytest.approx((found.low, found.high))
    assert found.precision is None


def test_bounds_that_no_plan_named_are_counted_from_the_histogram() -> None:
    values = np.random.default_rng(0).normal(size=20_000)

    coarse = one(ColumnProfile.of(values), minimum=-1, maximum=1)
    exact = one(ColumnProfile.of(values[:500]), minimum=-1, maximum=1)

    assert float(np.mean(np.abs(values) > 1)) == pytest.approx(coarse.value, abs=5e-3)
    assert coarse.precision is not None
    assert float(np.mean(np.abs(values[:500]) > 1)) == exact.value


@given(
    st.lists(st.sampled_from([None, "a", "b", "c", "d"]), max_size=40),
    st.sets(st.sampled_from(["a", "b", "x"]), min_size=1),
    st.sampled_from(["keep", "hash"]),
    st.sampled_from([2, 100]),
    st.integers(0, 40),
)
def test_values_not_listed_are_pandas_past_the_level_cap_too(
    values: list[str | None], allowed: set[str], names: str, cap: int, cut: int
) -> None:
    check = ColumnCheck(allowed_values=sorted(allowed))
    named = ColumnProfile.of(sorted(allowed), kind=CATEGORICAL, level_names=names).levels
    assert named is not None
    parts = [
        ColumnProfile.of(part, kind=CATEGORICAL, level_names=names, cap=cap, named_levels=sorted(named.counts))
        for part in (values[:cut], values[cut:])
    ]

    (found,) = column_checks(parts[0].merge(parts[1]), check)

    present = pd.Series(values, dtype=object).dropna()
    if present.empty:
        assert Reason.NO_DATA == found.reason
        return
    assert float((~present.isin(allowed)).mean()) == found.value


def test_the_values_that_are_not_listed_are_named_most_frequent_first_unless_names_are_secret() -> None:
    values = [*"aaab", *"zzy"]

    assert ["z", "y"] == one(ColumnProfile.of(values, kind=CATEGORICAL), allowed_values=["a", "b"]).details["values"]
    secret = ColumnProfile.of(values, kind=CATEGORICAL, level_names="hash")
    assert "values" not in one(secret, allowed_values=["a", "b"]).details


def test_numbers_and_booleans_are_compared_as_what_they_are() -> None:
    ratings = ColumnProfile.of(np.array([1, 2, 2, 3, 7, np.inf, np.nan]))
    flags = ColumnProfile.of(["true", "false", "true"], kind=ColumnKind.BOOLEAN)
    codes = ColumnProfile.of(["1", "2", "9"], kind=CATEGORICAL)

    assert 2 / 6 == one(ratings, allowed_values=[1, "2", 3.0]).value
    assert 1 / 3 == pytest.approx(one(flags, allowed_values=[True]).value)
    assert 1 / 3 == pytest.approx(one(codes, allowed_values=[1, 2]).value)


def test_what_cannot_be_judged_has_a_reason() -> None:
    many = ColumnProfile.of(np.random.default_rng(0).normal(size=5000))
    levels = ColumnProfile.of([*"abcdef"], kind=CATEGORICAL, cap=2)
    text = ColumnProfile.of(["long text"], kind=ColumnKind.TEXT)

    assert Reason.LEVELS_TRUNCATED == one(many, allowed_values=[1]).reason
    assert Reason.LEVELS_TRUNCATED == one(levels, allowed_values=["a"]).reason
    assert Reason.NOT_APPLICABLE == one(text, allowed_values=["a"]).reason
    assert Reason.NOT_APPLICABLE == one(levels, minimum=0).reason
    assert (
        Reason.NOT_RECORDED
        == one(ColumnProfile.of("a", kind=CATEGORICAL, level_names="drop"), allowed_values=["a"]).reason
    )
    assert Reason.NO_DATA == one(ColumnProfile.of([]), minimum=0).reason
