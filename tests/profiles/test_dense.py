"""Counting codes in a table: the same counts as by sorting, whatever the signs, the spans and what lies beyond."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.profiles import buckets as kernel
from airflow_monitoring_provider.profiles import scratch
from airflow_monitoring_provider.profiles.histogram import Histogram, HistogramBuilder
from airflow_monitoring_provider.profiles.moments import Moments, MomentsBuilder

CODES = st.lists(st.integers(-400, 400), min_size=1, max_size=200)


@given(known=CODES, more=CODES, low=st.integers(0, 300), below=st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_table_and_its_rest_hold_every_code_once(known: list[int], more: list[int], low: int, below: bool) -> None:
    codes = np.array(sorted({code + low if code >= 0 else code - low for code in known if below or code >= 0} or {low}))
    table = kernel.DenseCounts.over(codes)
    assert table is not None
    values = np.array([*codes.tolist(), *more], np.int64)
    below = values >> 63
    if not table.folded:
        values = values[below == 0]
        below = None
    heights = values ^ (values >> 63)
    lowest, highest = (int(heights.min()), int(heights.max())) if heights.size else (0, 0)
    outside = table.add(heights, below, lowest, highest)
    rest = values[:0] if outside is None else values[outside]
    counted, counts = table.occupied()
    assert (np.diff(counted) > 0).all()
    assert sorted(values.tolist()) == sorted([*np.repeat(counted, counts).tolist(), *rest.tolist()])
    assert not set(rest.tolist()) & set(codes.tolist())


def test_codes_that_lie_too_far_apart_get_no_table() -> None:
    assert kernel.DenseCounts.over(np.array([0, 1 << 40])) is None
    assert kernel.DenseCounts.over(np.zeros(0, np.int64)) is None


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1.0, 1e9, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1.0, -1e6])
def test_a_histogram_of_chunks_is_that_of_the_whole_with_tails_and_signs(scale: float, offset: float) -> None:
    random = np.random.default_rng(3)
    values = (random.standard_t(2, 60_000) + offset) * scale
    builder = HistogramBuilder()
    for part in np.array_split(values, 37):
        builder.update(part)
    assert Histogram.of(values) == builder.finish()
    for part in np.array_split(values[::-1], 5):
        builder.update(part)
    assert Histogram.of(np.concatenate((values, values))) == builder.finish()


@pytest.mark.parametrize(("center", "spread"), [(0.0, 1.0), (1e9, 1e-3), (-5.0, 1e30), (3.0, 1e-200), (0.0, 0.0)])
def test_moments_of_chunks_around_a_running_mean_are_those_of_the_whole(center: float, spread: float) -> None:
    random = np.random.default_rng(5)
    values = center + spread * random.standard_exponential(20_000)
    values[10_000:] += spread  # the mean moves on the way
    builder = MomentsBuilder()
    for part in np.array_split(values, 23):
        assert part.size <= scratch.BLOCK
        builder.update(part)
    found = builder.finish()
    expected = Moments.of(values)
    assert expected.count == found.count
    assert found.mean == pytest.approx(expected.mean, rel=1e-12)
    for name in ("skew", "kurtosis"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9, nan_ok=True)
    assert found.std() == pytest.approx(expected.std(), rel=1e-9)


def test_zeros_of_both_signs_are_one_value_and_are_counted_in_every_way_of_counting() -> None:
    random = np.random.default_rng(11)
    spread = random.standard_normal(40_000)
    zeros = np.where(random.random(40_000) < 0.5, -0.0, 0.0)
    builder, everything = HistogramBuilder(), []
    for values in (spread, np.concatenate((zeros, spread)), zeros, np.abs(spread), -np.abs(spread), np.abs(zeros)):
        mixed = random.permutation(values)
        builder.update(mixed)
        everything.append(mixed)
    whole = np.concatenate(everything)
    assert int((whole == 0).sum()) == builder.zeros
    assert Histogram.of(whole) == builder.finish()
