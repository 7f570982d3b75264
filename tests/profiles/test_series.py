"""Series in pieces against pandas on the whole; rows come in any order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.profiles.series import SeriesBuilder, SeriesProfile

LAGS = [1, 2, 5]


def rows_of(chance: np.random.Generator, rows: int, series: int) -> pd.DataFrame:
    """Rows with times of their own, in random order."""
    return pd.DataFrame(
        {
            "key": chance.integers(0, series, rows).astype(np.uint64),
            "time": chance.permutation(rows * 3)[:rows].astype(np.int64),
            "y": np.where(chance.random(rows) < 0.1, np.nan, chance.normal(0, 5, rows)),
        }
    )


def profile(rows: pd.DataFrame, lag: int, chunks: int = 1, **limits: Any) -> SeriesProfile:
    builder = SeriesBuilder(lag, **limits)
    for part in np.array_split(np.arange(len(rows)), chunks):
        own = rows.iloc[part]
        builder.update(own.key.to_numpy(), np.ones(len(own), bool), own.time.to_numpy(), own.y.to_numpy())
    return builder.finish()


def expected(rows: pd.DataFrame, lag: int) -> pd.Series:
    there = rows.dropna().sort_values("time")
    return there.groupby("key").y.diff(lag).abs().dropna()


@given(st.integers(0, 10**6), st.sampled_from(LAGS), st.integers(0, 60), st.integers(1, 9), st.integers(1, 5))
def test_pieces_that_follow_each_other_are_the_whole(seed: int, lag: int, rows: int, series: int, cuts: int) -> None:
    chance = np.random.default_rng(seed)
    whole = rows_of(chance, rows, series)
    borders = np.sort(chance.integers(0, rows * 3 + 1, cuts))
    pieces = [piece for _, piece in whole.groupby(np.searchsorted(borders, whole.time))] or [whole]
    chance.shuffle(pieces)
    made = [profile(piece, lag, 2) for piece in pieces]
    merged = made[0].merge(*made[1:])
    single, errors = profile(whole, lag), expected(whole, lag)
    assert single._exact() == merged._exact()
    assert len(errors) == merged.errors.count == single.errors.count
    if len(errors):
        assert errors.mean() == pytest.approx(merged.errors.mean, rel=1e-9)
        assert errors.mean() == pytest.approx(single.errors.mean, rel=1e-9)


@given(st.integers(0, 10**6), st.sampled_from(LAGS), st.integers(1, 60), st.integers(2, 9))
def test_pieces_of_different_series_are_the_whole(seed: int, lag: int, rows: int, series: int) -> None:
    whole = rows_of(np.random.default_rng(seed), rows, series)
    halves = [profile(whole[whole.key % 2 == half], lag) for half in (0, 1)]
    assert profile(whole, lag)._exact() == halves[0].merge(halves[1])._exact()
    assert len(expected(whole, lag)) == halves[1].merge(halves[0]).errors.count


def test_rows_at_one_time_and_pieces_that_overlap_have_no_order() -> None:
    rows = pd.DataFrame({"key": np.zeros(4, np.uint64), "time": [1, 2, 2, 3], "y": [1.0, 2.0, 3.0, 4.0]})
    assert profile(rows, 1).unordered == 1
    other = rows.assign(key=np.arange(4, dtype=np.uint64))
    assert profile(other, 1).unordered == 0
    early, late = rows.iloc[[0, 1]], rows.iloc[[2, 3]]
    assert profile(early, 1).merge(profile(late, 1)).unordered == 1


def test_rows_without_a_place_are_counted() -> None:
    builder = SeriesBuilder(1)
    builder.update(np.zeros(3, np.uint64), np.array([True, False, False]), np.arange(3), np.array([1.0, 2.0, np.nan]))
    found = builder.finish()
    assert (1, 1, 0) == (found.rows, found.incomplete, found.errors.count)


def test_too_many_rows_or_series_are_told_and_not_kept() -> None:
    rows = rows_of(np.random.default_rng(1), 50, 40)
    labelled = int(rows.y.notna().sum())
    few = profile(rows, 1, 5, limit=20)
    wide = profile(rows, 1, ends=5)
    assert (True, True) == (few.beyond, wide.beyond)
    assert (labelled, labelled, 0) == (few.rows, wide.rows, wide.keys.size)
    assert few.merge(profile(rows, 1)).beyond
    assert labelled * 2 == few.merge(profile(rows, 1)).rows


def test_differences_past_the_range_of_a_double_stay_finite() -> None:
    rows = pd.DataFrame({"key": np.zeros(2, np.uint64), "time": [1, 2], "y": [-1.7e308, 1.7e308]})
    assert np.finfo(np.float64).max == profile(rows, 1).errors.mean
