"""Data quality of columns: rates with their denominators and intervals, and what only a baseline can tell."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.quality import column_quality
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.profiles.profile import ColumnProfile

CATEGORICAL = ColumnKind.CATEGORICAL


def numbers(values: object, **options: object) -> ColumnProfile:
    return ColumnProfile.of(np.asarray(values, np.float64), **options)  # type: ignore[arg-type]


def levels(*values: str | None, **options: object) -> ColumnProfile:
    return ColumnProfile.of(values, kind=CATEGORICAL, **options)  # type: ignore[arg-type]


def quality(current: ColumnProfile, reference: ColumnProfile | None = None) -> dict[str, MetricValue]:
    values = column_quality(current, reference)
    assert {ResultKind.DATA_QUALITY} == {value.kind for value in values}
    assert all((value.value is None) == (value.reason is not None) for value in values)
    return {value.name: value for value in values}


def test_rates_of_a_numeric_column_run_over_their_own_denominators() -> None:
    values = quality(numbers([0, 0, -1, 5, np.nan, np.inf, -np.inf, np.nan]))

    expected = {
        "missing_rate": 2 / 8,
        "type_mismatch_share": 0.0,
        "zero_rate": 2 / 4,
        "negative_rate": 1 / 4,
        "inf_rate": 2 / 8,
        "distinct": 3.0,
        "unique_rate": 3 / 4,
        "constant": 0.0,
        "almost_constant": 0.0,
        "top_share": 0.5,
    }
    assert expected == {name: value.value for name, value in values.items()}
    assert Direction.TWO_SIDED == values["zero_rate"].direction


def test_a_rate_carries_wilsons_interval() -> None:
    missing = quality(numbers([np.nan] * 20 + [1.0] * 100))["missing_rate"]

    interval = stats.binomtest(20, 120).proportion_ci(method="wilson")
    assert (interval.low, interval.high) == pytest.approx((missing.low, missing.high))
    assert (0.11055996, 0.24345281) == pytest.approx((missing.low, missing.high), abs=1e-8)


def test_a_change_of_the_missing_share_is_tested() -> None:
    reference = numbers([np.nan] * 50 + [1.0] * 1000)
    current = numbers([np.nan] * 20 + [1.0] * 100)

    change = quality(current, reference)["missing_rate_change"]

    assert 20 / 120 - 50 / 1050 == pytest.approx(change.value)
    assert 5.20899037 == pytest.approx(change.details["z"], abs=1e-8)
    exact = stats.fisher_exact(np.array([[50, 1000], [20, 100]]))
    assert exact.pvalue == pytest.approx(change.p_value, rel=1e-8)
    assert 50 / 1050 == pytest.approx(quality(current, reference)["missing_rate"].details["baseline_value"])


def test_values_that_cannot_be_of_the_columns_kind_are_counted() -> None:
    values = quality(numbers([0.1, 0.2, 1.5, -3.0], mirrored=True))

    assert 0.5 == values["type_mismatch_share"].value


def test_new_and_vanished_levels_are_counted_in_levels_and_in_rows() -> None:
    values = quality(levels(*"aabxyy", None), levels(*"aaaabbcd"))

    assert (2.0, 2.0) == (values["new_values"].value, values["vanished_values"].value)
    assert 3 / 6 == values["new_values_share"].value
    assert 2 / 8 == values["new_values_share"].details["expected"]


def test_a_source_that_always_invents_levels_is_no_news() -> None:
    rng = np.random.default_rng(0)
    draw = [f"plane {n}" for n in rng.geometric(0.001, 4000)]

    share = quality(levels(*draw[3000:]), levels(*draw[:3000]))["new_values_share"]

    assert 0.05 < (share.value or 0)
    assert 0.01 < (share.p_value or 0)


def test_levels_past_the_cap_say_so() -> None:
    values = quality(levels(*"abcdefgh", cap=4), levels(*"abc"))

    for name in ("new_values", "new_values_share", "vanished_values"):
        assert Reason.LEVELS_TRUNCATED == values[name].reason
    assert 8.0 == values["distinct"].value


def test_levels_without_names_are_neither_new_nor_gone() -> None:
    current, reference = (
        ColumnProfile.of(list(text), kind=ColumnKind.CATEGORICAL, level_names="drop") for text in ("abx", "abc")
    )
    values = quality(current, reference)

    assert {Reason.NOT_RECORDED} == {
        values[name].reason for name in ("new_values", "new_values_share", "vanished_values")
    }


def test_values_out_of_the_baselines_range_are_a_share_of_finite_ones() -> None:
    values = quality(numbers([-1, 0, 5, 9, 11, 12, np.inf, np.nan]), numbers(range(10)))

    assert 3 / 6 == values["out_of_range_share"].value
    assert 0.0 == quality(numbers(range(10)), numbers(range(10)))["out_of_range_share"].value


def test_an_unchanged_source_steps_out_of_range_by_chance_only() -> None:
    rng = np.random.default_rng(4)
    found = quality(numbers(rng.normal(size=500)), numbers(rng.normal(size=300)))["out_of_range_share"]

    assert 0.05 < (found.p_value or 0)


def test_a_constant_column_is_recognised() -> None:
    constant = quality(numbers([2.0] * 10 + [np.nan]))
    almost = quality(levels(*"a" * 96, *"bcde"))

    expected = [(1.0, 1.0, 1.0), (0.0, 1.0, 0.96)]
    assert expected == [
        tuple(found[name].value for name in ("constant", "almost_constant", "top_share"))
        for found in (constant, almost)
    ]
    assert "became_constant" not in constant


@pytest.mark.parametrize(
    ("current", "reference", "hits", "rows", "others"),
    [
        (numbers([2.0] * 30), numbers([2.0] * 90 + [3.0] * 10), 90, 100, 0.0),
        (levels(*"a" * 30), levels(*"a" * 3, *"b" * 97), 3, 100, stats.hypergeom.pmf(30, 130, 97, 30)),
        (levels(*"x" * 30), levels(*"ab" * 50), 0, 100, 2 * stats.hypergeom.pmf(30, 130, 50, 30)),
    ],
)
def test_a_column_that_became_constant_is_tested(
    current: ColumnProfile, reference: ColumnProfile, hits: int, rows: int, others: float
) -> None:
    became = quality(current, reference)["became_constant"]

    expected = stats.hypergeom.pmf(30, rows + 30, hits + 30, 30) + others
    assert expected == pytest.approx(became.p_value, rel=1e-8)
    assert (1.0, rows, 30) == (became.value, became.n, became.m)


def test_levels_past_the_cap_count_as_one_where_they_cannot_be_told_apart() -> None:
    pair = levels(*"x" * 30, cap=4), levels(*"abcdefgh" * 10, cap=4, named_levels=("x",))

    p_value = quality(*pair)["became_constant"].p_value or 0

    assert stats.hypergeom.pmf(30, 110, 30, 30) <= p_value <= 2 * stats.hypergeom.pmf(30, 110, 80, 30)


@pytest.mark.parametrize("rows", [numbers, lambda values: levels(*map(str, values))])
def test_a_single_row_is_no_constant_column(rows: Callable[[Any], ColumnProfile]) -> None:
    became = quality(rows([7.0]), rows(range(500)))["became_constant"]

    assert 1.0 == became.value
    assert 1.0 == pytest.approx(became.p_value)


def test_a_column_that_always_was_constant_is_no_news() -> None:
    became = quality(numbers([2.0] * 10), numbers([2.0] * 10))["became_constant"]

    assert (0.0, 1.0) == (became.value, became.p_value)


def test_a_short_batch_of_a_rare_event_is_constant_by_chance() -> None:
    became = quality(numbers([0.0] * 50), numbers([0.0] * 990 + [1.0] * 10))["became_constant"]

    assert 1.0 == became.value
    assert 0.5 < (became.p_value or 0)


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=30), st.integers(0, 30), st.randoms())
def test_flags_and_unique_rate_are_pandas_whatever_the_order_and_split(
    values: list[str | None], cut: int, random: Random
) -> None:
    shuffled = random.sample(values, len(values))
    merged = levels(*shuffled[cut:]).merge(levels(*shuffled[:cut]))

    found = quality(merged)

    series = pd.Series(values, dtype=object)
    shares = series.value_counts(normalize=True)
    if shares.empty:
        assert {Reason.NO_DATA} == {found[name].reason for name in ("unique_rate", "constant", "almost_constant")}
        return
    assert series.nunique() / series.count() == found["unique_rate"].value
    assert float(series.nunique() == 1) == found["constant"].value
    assert float(shares.max() >= 0.95) == found["almost_constant"].value


def test_a_unique_rate_past_what_is_kept_is_an_estimate_or_has_a_reason() -> None:
    names = [f"name {i}" for i in range(3000)]
    estimate = quality(levels(*names, cap=100))["unique_rate"]
    coarse = quality(numbers(np.random.default_rng(0).normal(size=5000)))["unique_rate"]

    assert 1.0 == pytest.approx(estimate.value, abs=0.1)
    assert estimate.details["estimate"]
    assert (None, Reason.LEVELS_TRUNCATED) == (coarse.value, coarse.reason)


def test_more_distinct_numbers_than_a_histogram_keeps_apart_have_a_lower_bound() -> None:
    distinct = quality(numbers(np.random.default_rng(0).normal(size=5000)))["distinct"]

    assert (None, Reason.LEVELS_TRUNCATED) == (distinct.value, distinct.reason)
    assert 1000 < distinct.details["at_least"] <= 2048


def test_a_column_without_rows_has_reasons() -> None:
    for column in (numbers([]), levels(), ColumnProfile.of([], kind=ColumnKind.TEXT)):
        values = quality(column, column)
        assert Reason.NO_DATA == values["missing_rate"].reason
        assert Reason.NO_DATA == values["missing_rate_change"].reason
