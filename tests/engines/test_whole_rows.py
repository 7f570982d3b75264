"""Repetitions of whole rows and empty rows: as pandas counts them, whatever the parts, the order and the threads."""

from __future__ import annotations

import datetime as dt
import decimal
import itertools
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, profile_batches
from airflow_monitoring_provider.intake.source import BatchStretch
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile, merge_all
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes
from airflow_monitoring_provider.profiles.whole_rows import WholeRows, WholeRowsBuilder

PLAN = ProfilePlan(
    (
        ColumnPlan("b", ColumnKind.BOOLEAN),
        ColumnPlan("c", ColumnKind.CATEGORICAL),
        ColumnPlan("n", ColumnKind.NUMERIC),
        ColumnPlan("t", ColumnKind.TEXT),
        ColumnPlan("w", ColumnKind.TIMESTAMP),
    ),
    whole_rows=True,
)
DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
TYPES = {"b": pa.bool_(), "c": pa.string(), "n": pa.float64(), "t": pa.string(), "w": pa.timestamp("us", "UTC")}
ROWS = st.lists(
    st.tuples(
        st.sampled_from([None, True, False]),
        st.sampled_from([None, "", "a"]),
        st.sampled_from([None, 0.0, 1.5]),
        st.sampled_from([None, "a"]),
        st.sampled_from([None, DAY]),
    ),
    max_size=60,
)


def batch(rows: list[Any]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True) if rows else [()] * len(TYPES)
    return pa.record_batch(
        {name: pa.array(list(values), kind) for (name, kind), values in zip(TYPES.items(), columns, strict=True)}
    )


def found(profile: Profile) -> WholeRows:
    assert profile.whole_rows is not None
    return profile.whole_rows


def keys_of(numbers: Any) -> tuple[Any, Any]:
    """Keys as unlike each other as those of rows, equal for equal numbers."""
    values = pd.util.hash_array(np.asarray(numbers, np.int64))
    return values, np.ones(values.size, np.bool_)


@given(ROWS, st.integers(0, 60), st.randoms(use_true_random=False))
@example([(None,) * 5] * 3, 1, None)
def test_rows_are_counted_as_pandas_does_in_any_order_and_split(rows: list[Any], cut: int, random: Any) -> None:
    frame = pd.DataFrame(rows, columns=list(TYPES), dtype=object)
    expected = (int(frame.duplicated().sum()), int(frame.isna().all(axis=1).sum()))
    whole = profile_batches(PLAN, [batch(rows)])
    if random is not None:
        random.shuffle(rows)
    parts = [profile_batches(PLAN, [batch(part)]) for part in (rows[:cut], rows[cut:])]

    assert expected == (found(whole).duplicates, found(whole).empty)
    assert found(whole).exact
    assert found(whole) == found(merge_all(*parts))
    assert whole.content_hash() == merge_all(*parts).content_hash()
    assert whole == from_bytes(to_bytes(whole))


def test_threads_and_encoded_texts_do_not_show() -> None:
    rng = np.random.default_rng(4)
    rows = [
        (bool(b), f"level {c}", float(n), "t" * int(n), DAY)
        for b, c, n in zip(rng.random(900) < 0.5, rng.integers(0, 9, 900), rng.integers(0, 9, 900), strict=True)
    ]
    plain = batch(rows)
    encoded = pa.record_batch({name: plain[name].dictionary_encode() for name in TYPES})
    with ProfileBuilder(PLAN, threads=3) as builder:
        for part in (encoded.slice(0, 500), encoded.slice(500)):
            statuses = np.zeros(len(part), np.uint8)
            builder.see(part, statuses)
            builder.count(BatchStretch(part), statuses)
        threaded = builder.finish()

    assert pd.DataFrame(rows).duplicated().sum() == found(threaded).duplicates > 0
    assert found(profile_batches(PLAN, [plain])) == found(threaded)


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        (ColumnKind.NUMERIC, pa.array([1]), pa.array([1.0]), True),
        (ColumnKind.NUMERIC, pa.array([-0.0]), pa.array(["0"]), True),
        (ColumnKind.NUMERIC, pa.array([decimal.Decimal("1.50")]), pa.array([1.5]), True),
        (ColumnKind.NUMERIC, pa.array([2**53]), pa.array([2**53 + 1]), False),
        (ColumnKind.NUMERIC, pa.array([2**53 + 2]), pa.array([2.0**53 + 2]), True),
        (ColumnKind.NUMERIC, pa.array([-(2**63)]), pa.array([-(2.0**63)]), True),
        (ColumnKind.NUMERIC, pa.array([2**64 - 1], pa.uint64()), pa.array([2.0**64]), False),
        (ColumnKind.NUMERIC, pa.array([float("inf")]), pa.array([float("-inf")]), False),
        (ColumnKind.NUMERIC, pa.array(["n/a"]), pa.array(["none"]), False),
        (ColumnKind.NUMERIC, pa.array([float("nan")]), pa.array([None], pa.float64()), True),
        (ColumnKind.CATEGORICAL, pa.array([1]), pa.array(["1"]), True),
        (ColumnKind.CATEGORICAL, pa.array([""]), pa.array([None], pa.string()), False),
        (ColumnKind.TIMESTAMP, pa.array(["2026-03-01T01:00:00+01:00"]), pa.array([DAY]), True),
        (ColumnKind.TIMESTAMP, pa.array(["soon"]), pa.array(["later"]), False),
    ],
)
def test_values_are_told_apart_as_their_columns_profile_does(
    kind: ColumnKind, one: pa.Array, other: pa.Array, same: bool
) -> None:
    plan = ProfilePlan((ColumnPlan("x", kind), ColumnPlan("y", ColumnKind.NUMERIC)), whole_rows=True)
    batches = [pa.record_batch({"x": array, "y": pa.array([7])}) for array in (one, other)]

    assert float(same) == found(profile_batches(plan, batches)).duplicates


def test_the_same_value_in_another_column_is_another_row() -> None:
    plan = ProfilePlan((ColumnPlan("x", ColumnKind.NUMERIC), ColumnPlan("y", ColumnKind.NUMERIC)), whole_rows=True)
    rows = pa.record_batch({"x": [1.0, 2.0, None, 3.0, 3.0], "y": [2.0, 1.0, 3.0, None, None]})

    assert 1.0 == found(profile_batches(plan, [rows])).duplicates


@given(st.lists(st.integers(0, 40), max_size=80), st.lists(st.integers(0, 80), max_size=4), st.integers(2, 12))
def test_past_the_limit_any_split_still_gives_the_same(numbers: list[int], cuts: list[int], limit: int) -> None:
    whole = WholeRowsBuilder(limit)
    whole.add(*keys_of(numbers))
    parts = []
    bounds = sorted([0, *(min(cut, len(numbers)) for cut in cuts), len(numbers)])
    for start, stop in itertools.pairwise(bounds):
        builder = WholeRowsBuilder(limit)
        builder.add(*keys_of(numbers[start:stop]))
        parts.append(builder.finish())

    assert whole.finish() == parts[0].merge(*parts[1:])
    assert (len(set(numbers)) <= limit) == whole.finish().exact
    assert 0 <= whole.finish().duplicates <= max(len(numbers) - 1, 0)


@pytest.mark.parametrize("repeated", [0, 3_000, 60_000])
def test_the_estimate_past_the_limit_is_near_pandas_count(repeated: int) -> None:
    numbers = np.concatenate([np.arange(100_000), np.arange(repeated)])
    builder = WholeRowsBuilder(4096)
    builder.add(*keys_of(numbers))

    sampled = 4096 * repeated / 100_000  # repetitions among the rows kept
    assert not builder.finish().exact
    assert pd.Series(numbers).duplicated().sum() == pytest.approx(
        builder.finish().duplicates, rel=5 / max(sampled, 1) ** 0.5, abs=0
    )


def test_one_row_that_fills_half_the_source_is_seen_though_it_is_not_kept() -> None:
    numbers = np.arange(100_000)
    largest = numbers[np.argmax(keys_of(numbers)[0])]
    builder = WholeRowsBuilder(4096)
    builder.add(*keys_of(np.concatenate([numbers, np.repeat(largest, 100_000)])))

    assert 100_000 == pytest.approx(builder.finish().duplicates, rel=0.15)


def test_parts_that_do_not_know_make_a_whole_that_does_not() -> None:
    known = profile_batches(PLAN, [batch([(True, "a", 1.0, "a", DAY)])])
    unknown = profile_batches(ProfilePlan(PLAN.columns), [batch([(True, "a", 1.0, "a", DAY)])])

    merged = merge_all(known, unknown, known)
    assert merged.whole_rows is None
    assert not merged.plan.whole_rows
