"""The law all else rests on: merging the profiles of parts gives the profile of the whole."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.histogram import Histogram, HistogramBuilder
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan
from airflow_monitoring_provider.profiles.profile import (
    ClassificationProfile,
    Profile,
    RegressionProfile,
    merge,
    merge_all,
)

SPECIAL = [0.0, -0.0, 5e-324, -5e-324, 2.2e-308, 1.7976931348623157e308, -1.7976931348623157e308, 2.0**53 + 2, 1e9]
finite = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(SPECIAL)
anything = finite | st.sampled_from([math.nan, math.inf, -math.inf])
probabilities = st.floats(0, 1) | st.sampled_from([0.0, 1.0, 0.5, 1e-300, 1 - 2**-53, math.nextafter(0.5, 1)])
levels = st.text(max_size=4) | st.sampled_from(["é", "é", " a", "a", "", "日本語", "𝒳", "\u0000"])


@st.composite
def split(draw: st.DrawFn, values: st.SearchStrategy[Any], most: int = 60) -> tuple[list[Any], list[list[Any]]]:
    """Some values, and the same ones in another order cut into parts."""
    whole = draw(st.lists(values, max_size=most))
    shuffled = draw(st.permutations(whole))
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return whole, [list(shuffled[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def assert_close(expected: Moments | None, actual: Moments | None) -> None:
    """Equal to 1e-9 relative to scale."""
    if expected is None or actual is None:
        assert expected is actual
        return
    assert expected.count == actual.count
    if not expected.count:
        return
    spread = expected.std(0)
    assert expected.mean_high == pytest.approx(actual.mean_high, rel=1e-9, abs=1e-9 * spread + 5e-324)
    if spread < 1e-300:  # doubles themselves have few digits there
        assert spread == pytest.approx(actual.std(0), abs=1e-300)
        return
    assert spread == pytest.approx(actual.std(0), rel=1e-9)
    assert expected.skew == pytest.approx(actual.skew, rel=1e-9, abs=1e-9)
    assert expected.kurtosis == pytest.approx(actual.kurtosis, rel=1e-9, abs=1e-9)


def profile_of(*columns: ColumnProfile) -> Profile:
    plan = ProfilePlan(tuple(ColumnPlan(c.name, c.kind) for c in columns))
    return Profile(plan, columns[0].rows, {"monitored": columns[0].rows}, {c.name: c for c in columns})


@given(split(finite), st.integers(2, 40))
def test_histogram_of_any_split_equals_the_whole(parts: tuple[list[float], list[list[float]]], buckets: int) -> None:
    whole, pieces = parts
    expected = Histogram.of(whole, buckets)
    merged = Histogram.of([], buckets)
    for piece in pieces:
        merged = merged.merge(Histogram.of(piece, buckets))
    assert expected == merged
    assert expected.codes.size <= buckets
    builder = HistogramBuilder(buckets)
    for piece in pieces:
        builder.update(np.array(piece, np.float64))
    assert expected == builder.finish()


@given(split(probabilities), st.integers(2, 40))
def test_mirrored_histogram_of_any_split_equals_the_whole(
    parts: tuple[list[float], list[list[float]]], buckets: int
) -> None:
    whole, pieces = parts
    merged = Histogram.of([], buckets, mirrored=True)
    for piece in reversed(pieces):
        merged = Histogram.of(piece, buckets, mirrored=True).merge(merged)
    assert Histogram.of(whole, buckets, mirrored=True) == merged


@given(st.lists(finite, max_size=30), st.lists(finite, max_size=30), st.lists(finite, max_size=30), st.integers(2, 9))
def test_histogram_merge_is_associative_and_commutative(
    a: list[float], b: list[float], c: list[float], buckets: int
) -> None:
    x, y, z = (Histogram.of(values, buckets) for values in (a, b, c))
    assert x.merge(y).merge(z) == x.merge(y.merge(z))
    assert x.merge(y) == y.merge(x)


@given(split(finite))
def test_moments_of_any_split_equal_the_whole(parts: tuple[list[float], list[list[float]]]) -> None:
    whole, pieces = parts
    merged = Moments()
    for piece in pieces:
        merged = merged.merge(Moments.of(piece))
    assert_close(Moments.of(whole), merged)


@given(split(levels), st.integers(1, 6), st.sampled_from(["keep", "hash", "drop"]), st.lists(levels, max_size=3))
def test_levels_of_any_split_equal_the_whole(
    parts: tuple[list[str], list[list[str]]], cap: int, names: str, named: list[str]
) -> None:
    whole, pieces = parts
    keep = named if names == "keep" else LevelCounts.of(named, names=names).counts
    expected = LevelCounts.of(whole, cap, named=keep, names=names)
    merged = LevelCounts.of([], cap, named=keep, names=names)
    for piece in pieces:
        merged = merged.merge(LevelCounts.of(piece, cap, named=keep, names=names))
    assert expected == merged
    assert len(whole) == merged.total
    if names != "drop":
        assert len(set(whole)) == merged.distinct
    assert len(merged.hashed) <= max(cap, 2)


@given(split(anything), st.booleans())
def test_numeric_column_of_any_split_equals_the_whole(
    parts: tuple[list[float], list[list[float]]], mirrored: bool
) -> None:
    whole, pieces = parts
    options: dict[str, Any] = {"buckets": 16, "edges": (0.5, 0.0), "mirrored": mirrored}
    expected = profile_of(ColumnProfile.of(whole, **options))
    merged = merge_all(*(profile_of(ColumnProfile.of(piece, **options)) for piece in pieces))
    assert expected.content_hash() == merged.content_hash()
    assert_close(expected.columns["x"].moments, merged.columns["x"].moments)


@pytest.mark.parametrize("kind", [ColumnKind.CATEGORICAL, ColumnKind.TEXT, ColumnKind.BOOLEAN, ColumnKind.TIMESTAMP])
@given(data=st.data())
@settings(max_examples=40)
def test_other_columns_of_any_split_equal_the_whole(kind: ColumnKind, data: st.DataObject) -> None:
    values: st.SearchStrategy[Any] = {
        ColumnKind.CATEGORICAL: levels,
        ColumnKind.TEXT: levels,
        ColumnKind.BOOLEAN: st.sampled_from(["true", "false"]),
        ColumnKind.TIMESTAMP: st.integers(-(10**17), 10**17),
    }[kind]
    whole, pieces = data.draw(split(values | st.none()))
    expected = profile_of(ColumnProfile.of(whole, kind=kind, cap=4, buckets=8))
    merged = merge_all(*(profile_of(ColumnProfile.of(piece, kind=kind, cap=4, buckets=8)) for piece in pieces))
    assert expected.content_hash() == merged.content_hash()
    assert_close(expected.columns["x"].lengths, merged.columns["x"].lengths)


@given(split(st.tuples(probabilities, st.sampled_from([0, 1, -1, -2]))))
def test_binary_target_of_any_split_equals_the_whole(parts: tuple[list[Any], list[list[Any]]]) -> None:
    def of(rows: list[tuple[float, int]]) -> ClassificationProfile:
        return ClassificationProfile.of(("no", "yes"), [s for s, _ in rows], [a for _, a in rows], buckets=8)

    assert_same_target([of(piece) for piece in parts[1]], of(parts[0]))


@given(split(st.tuples(st.tuples(probabilities, probabilities, probabilities), st.sampled_from([0, 1, 2, -1, -2]))))
def test_multiclass_target_of_any_split_equals_the_whole(parts: tuple[list[Any], list[list[Any]]]) -> None:
    def of(rows: list[tuple[tuple[float, float, float], int]]) -> ClassificationProfile:
        scores = np.array([s for s, _ in rows]).reshape(-1, 3)
        return ClassificationProfile.of(("a", "b", "c"), scores, [a for _, a in rows], buckets=8)

    assert_same_target([of(piece) for piece in parts[1]], of(parts[0]))


@given(split(st.tuples(finite, finite | st.just(math.nan))))
def test_regression_target_of_any_split_equals_the_whole(parts: tuple[list[Any], list[list[Any]]]) -> None:
    def of(rows: list[tuple[float, float]]) -> RegressionProfile:
        return RegressionProfile.of([p for p, _ in rows], [y for _, y in rows], buckets=8)

    assert_same_target([of(piece) for piece in parts[1]], of(parts[0]))


ends = finite | st.sampled_from([math.nan, math.inf, -math.inf])


@given(split(st.tuples(finite, finite | st.just(math.nan), ends, ends)))
def test_intervals_of_any_split_equal_the_whole(parts: tuple[list[Any], list[list[Any]]]) -> None:
    def of(rows: list[Any]) -> RegressionProfile:
        p, y, low, high = (np.array([row[place] for row in rows], float) for place in range(4))
        return RegressionProfile.of(p, y, ends=(low, high), buckets=8)

    whole = of(parts[0])
    assert_same_target([of(piece) for piece in parts[1]], whole)
    labelled = [row for row in parts[0] if math.isfinite(row[1])]
    there = [(y, low, high) for _, y, low, high in labelled if math.isfinite(low) and math.isfinite(high)]
    usable = [row for row in there if row[1] <= row[2]]
    found = whole.intervals
    assert found is not None
    assert sum(low <= y <= high for y, low, high in usable) == found.inside
    assert sum(y < low for y, low, _ in usable) == found.below
    assert (len(labelled) - len(there), len(there) - len(usable)) == (found.missing, found.crossed)


def test_a_deviance_does_not_depend_on_the_rows_beside_it() -> None:
    beside, row = ([2.0, 1.5], [5e-324, 5e-324]), ([1.5], [5e-324])
    together, alone, other = (
        RegressionProfile.of(*beside),
        RegressionProfile.of(*row),
        RegressionProfile.of([2.0], [5e-324]),
    )
    assert together.sums is not None
    assert dataclasses.asdict(together.sums) == pytest.approx(dataclasses.asdict(alone.merge(other).sums))
    expected = sum(2 * (math.log(p) - math.log(5e-324) - 1) for p in beside[0])
    assert expected == pytest.approx(together.sums.gamma)


def test_columns_of_one_side_only_stay_as_they_are() -> None:
    a, b = ColumnProfile.of([1.0], "a"), ColumnProfile.of([2.0, 3.0], "b")
    merged = merge(profile_of(a), profile_of(b))
    assert {"a": a, "b": b} == merged.columns
    assert ["a", "b"] == [column.name for column in merged.plan.columns]
    assert merged.rows == 3


def test_profiles_of_contradicting_plans_are_refused() -> None:
    number, text = ColumnPlan("x", ColumnKind.NUMERIC), ColumnPlan("x", ColumnKind.TEXT)
    with pytest.raises(ValueError, match="differ in column 'x'"):
        merge(Profile(ProfilePlan((number,))), Profile(ProfilePlan((text,))))
    with pytest.raises(ValueError, match="plans of both profiles differ"):
        merge(Profile(ProfilePlan((number,))), Profile(ProfilePlan((number,), level_cap=3)))
    with pytest.raises(ValueError, match="cannot be merged"):
        ColumnProfile.of([1], "x").merge(ColumnProfile.of([1], "x", role=ColumnRole.PREDICTION))


def assert_same_target(
    pieces: list[ClassificationProfile] | list[RegressionProfile], whole: ClassificationProfile | RegressionProfile
) -> None:
    plan = ProfilePlan(())
    merged = merge_all(*(Profile(plan, target=piece) for piece in pieces))
    assert Profile(plan, target=whole).content_hash() == merged.content_hash()
    rounded = (
        ("log_loss_sum", "brier_sum", "calibration_scores")
        if isinstance(whole, ClassificationProfile)
        else ("squared_error_sum", "smape_sum", "squared_log_error_sum", "absolute_actual_sum")
    )
    for name in rounded:
        assert getattr(whole, name) == pytest.approx(getattr(merged.target, name), rel=1e-9, abs=1e-12)
    if isinstance(whole, RegressionProfile):
        for name in ("errors", "absolute_errors", "predicted", "actual", "percentage_errors"):
            assert_close(getattr(whole, name), getattr(merged.target, name))
        if whole.intervals is not None:
            assert isinstance(merged.target, RegressionProfile)
            assert merged.target.intervals is not None
            assert_close(whole.intervals.widths, merged.target.intervals.widths)
        assert whole.sums is not None
        # Terms of both signs cancel to what is rounded: these two are as exact as sums of their absolute terms, and at
        # the end of the doubles' range the order decides whether a sum is still finite.
        most = whole.squared_error_sum
        signed = {
            "signed_squares": most,
            "square_times_actual": math.sqrt(most) * math.sqrt(whole.sums.square_times_square),
        }
        for field, value in dataclasses.asdict(whole.sums).items():
            absolute = signed.get(field, 0.0)
            if absolute < 1e300:
                expected = pytest.approx(getattr(merged.target.sums, field), rel=1e-9, abs=1e-12 + 1e-9 * absolute)
                assert expected == value, field
