"""The stored form: equal profiles read back, anything else refused with a sentence."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.profiles import varints
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, SeriesPlan, TargetPlan
from airflow_monitoring_provider.profiles.profile import (
    ClassificationProfile,
    ColumnProfile,
    Profile,
    RegressionProfile,
)
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, content_hash, from_bytes, to_bytes
from airflow_monitoring_provider.profiles.series import SeriesBuilder, SeriesProfile


def sample() -> Profile:
    rng = np.random.default_rng(0)
    columns = [
        ColumnProfile.of([*rng.normal(size=5000), math.nan, math.inf], "n", edges=(0.5, -1.0)),
        ColumnProfile.of([2**60 + 1, 2**63 - 1], "big"),
        ColumnProfile.of(rng.beta(2, 2, 3000), "p", role=ColumnRole.PREDICTION, mirrored=True),
        ColumnProfile.of(["a", "é", None, "日本", "\u0000", "a"], "c", ColumnKind.CATEGORICAL),
        ColumnProfile.of([f"l{i}" for i in range(90)], "many", ColumnKind.CATEGORICAL, cap=20, named_levels=["l3"]),
        ColumnProfile.of(["word", None], "t", ColumnKind.TEXT),
        ColumnProfile.of([-5, None, 10**16], "when", ColumnKind.TIMESTAMP),
        ColumnProfile.of([], "empty"),
    ]
    target = ClassificationProfile.of(("", "yes"), rng.random(400), rng.integers(-2, 2, 400))
    plan = ProfilePlan(
        tuple(ColumnPlan(c.name, c.kind, c.role) for c in columns),
        TargetPlan(TargetType.BINARY, (("yes", "p"),), "y", ("", "yes"), "yes"),
    )
    return Profile(plan, 5002, {"monitored": 5002}, {c.name: c for c in columns}, target, -5, 10**16)


def test_profile_reads_back_equal() -> None:
    profile = sample()
    assert profile == from_bytes(to_bytes(profile))
    big = from_bytes(to_bytes(profile)).columns["big"]
    assert (2**60 + 1, 2**63 - 1) == (big.minimum, big.maximum)
    for target in (
        RegressionProfile.of([1.0, 2.0, 3e300], [1.5, math.nan, -3e300]),
        RegressionProfile.of([1.0, 2.0, 3.0], [1.5, 2.0, 3.0], ends=([1.0, 2.5, 4.0], [2.0, 3.0, 2.0])),
        ClassificationProfile.of(("a", "b", "c"), np.full((4, 3), 0.4), [0, 1, 2, -2]),
        None,
    ):
        other = dataclasses.replace(profile, target=target)
        assert other == from_bytes(to_bytes(other))


def test_errors_without_the_newer_sums_read_back_and_merge_without_them() -> None:
    old = dataclasses.replace(RegressionProfile.of([1.0, 2.0], [1.5, 3.0]), sums=None)
    profile = dataclasses.replace(sample(), target=old)

    read = from_bytes(to_bytes(profile)).target

    assert old == read
    assert isinstance(read, RegressionProfile)
    assert read.merge(RegressionProfile.of([1.0], [2.0])).sums is None
    assert RegressionProfile.of([1.0], [2.0]).merge(read).sums is None


@pytest.mark.parametrize("lag", [1, 3])
def test_series_read_back_equal(lag: int) -> None:
    builder = SeriesBuilder(lag)
    keys, times = np.array([5, 5, 5, 5, 2**63, 7], np.uint64), np.array([4, 2, 9, -(10**15), 1, 1], np.int64)
    builder.update(keys, np.ones(6, bool), times, np.array([0.1, -2.0, 1e300, 4.0, 5.5, np.nan]))
    for series in (builder.finish(), SeriesBuilder(lag).finish(), SeriesProfile(lag, 10, beyond=True)):
        profile = dataclasses.replace(sample(), series=series)
        assert profile == from_bytes(to_bytes(profile))
    plan = dataclasses.replace(sample().plan, timestamp_column="at", series=SeriesPlan("y", lag, "shop"))
    assert plan == ProfilePlan.from_dict(plan.to_dict())
    assert "series" not in sample().plan.to_dict()


def test_intervals_are_known_of_all_rows_or_of_none() -> None:
    with_ends, without = RegressionProfile.of([1.0], [1.5], ends=([1.0], [2.0])), RegressionProfile.of([1.0], [1.5])
    assert (None, None) == (with_ends.merge(without).intervals, without.merge(with_ends).intervals)


def test_equal_profiles_give_equal_bytes() -> None:
    assert to_bytes(sample()) == to_bytes(sample())
    assert to_bytes(sample()) == to_bytes(from_bytes(to_bytes(sample())))


def test_content_hash_covers_what_merges_exactly_and_nothing_else() -> None:
    profile = sample()
    column = profile.columns["n"]
    assert column.moments is not None

    def with_column(**changes: Any) -> Profile:
        return dataclasses.replace(profile, columns={**profile.columns, "n": dataclasses.replace(column, **changes)})

    rounded = dataclasses.replace(column.moments, power2=column.moments.power2 * (1 + 1e-15))
    assert profile.content_hash() == with_column(moments=rounded).content_hash()
    changed: list[dict[str, Any]] = [{"missing": 2}, {"minimum": -99.0}, {"histogram": None}, {"edge_counts": {}}]
    for changes in changed:
        assert profile.content_hash() != with_column(**changes).content_hash()
    assert profile.content_hash() == content_hash(from_bytes(to_bytes(profile)))


def test_a_hundred_numeric_columns_fit_in_a_megabyte() -> None:
    rng = np.random.default_rng(1)
    draws = [
        rng.normal(size=50_000),
        rng.lognormal(size=50_000),
        rng.normal(285, 8, 50_000),
        rng.standard_cauchy(50_000),
    ]
    columns = [dataclasses.replace(ColumnProfile.of(draws[i % 4] * (1 + i)), name=f"x{i}") for i in range(100)]
    assert all(column.histogram is not None and column.histogram.codes.size > 1000 for column in columns)
    plan = ProfilePlan(tuple(ColumnPlan(c.name, c.kind) for c in columns))
    assert len(to_bytes(Profile(plan, 50_000, {}, {c.name: c for c in columns}))) < 1_000_000


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_any_changed_byte_is_noticed(place: int, flip: int) -> None:
    data = bytearray(STORED)
    data[place % len(data)] ^= flip
    with pytest.raises(CorruptData):
        from_bytes(bytes(data))


@given(st.integers(0, 10**6))
def test_any_cut_is_noticed(length: int) -> None:
    with pytest.raises(CorruptData):
        from_bytes(STORED[: length % len(STORED)])


def test_refusals_say_what_is_wrong() -> None:
    newer = STORED[:4] + (FORMAT_VERSION + 1).to_bytes(2, "little") + STORED[6:]
    with pytest.raises(CorruptData, match=r"format version 2; this code reads up to 1\. Upgrade"):
        from_bytes(newer)
    with pytest.raises(CorruptData, match="format version 0"):
        from_bytes(STORED[:4] + b"\0\0" + STORED[6:])
    with pytest.raises(CorruptData, match="not a profile"):
        from_bytes(b"PK\x03\x04" + STORED)
    with pytest.raises(CorruptData, match="cut off or changed"):
        from_bytes(STORED + b"x")


def test_forged_content_under_a_valid_checksum_is_refused() -> None:
    for body in (
        b"\x00" * 40,
        (1 << 40).to_bytes(8, "little") + STORED[46:],
        (5).to_bytes(8, "little") + STORED[46:],
    ):
        with pytest.raises(CorruptData):
            from_bytes(STORED[:6] + hashlib.sha256(body).digest() + body)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=30))
def test_packed_numbers_read_back(values: list[int]) -> None:
    packed = varints.pack(np.array(values, np.uint64))
    found, bounds = varints.unpack(packed)
    assert values == found.tolist()
    assert [len(varints.pack(np.array(values[:i], np.uint64))) for i in range(len(values) + 1)] == bounds.tolist()


def test_more_packed_numbers_than_a_block_holds_read_back() -> None:
    random = np.random.default_rng(5)
    values = random.integers(0, 2**63, 100_000).astype(np.uint64) >> random.integers(0, 63, 100_000).astype(np.uint64)
    assert np.array_equal(values, varints.unpack(varints.pack(values))[0])


@given(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30, unique=True),
    st.lists(st.integers(0, 2**63 - 1), max_size=30),
    st.lists(st.integers(0, 2**64 - 1), max_size=30, unique=True),
)
def test_packed_arrays_read_back_in_any_order(codes: list[int], counts: list[int], prefixes: list[int]) -> None:
    packer = varints.Packer()
    first = packer.increasing(np.array(sorted(codes), np.int64))
    second, third = packer.counts(counts), packer.gaps(sorted(prefixes))
    unpacker = varints.Unpacker(bytes(packer.data))
    assert sorted(prefixes) == unpacker.gaps(third)
    assert counts == unpacker.counts(second).tolist()
    assert sorted(codes) == unpacker.increasing(first).tolist()


@pytest.mark.parametrize("place", [[0, 2, 2], [1, 1, 1], [1, 2, 1], [0, 4, 3], [0, 3, 3], [-1, 1, 1]])
def test_places_that_do_not_stand_between_numbers_are_refused(place: list[int]) -> None:
    packer = varints.Packer()
    assert [0, 3, 2] == packer.counts([300, 1])
    unpacker = varints.Unpacker(bytes(packer.data))
    with pytest.raises((ValueError, IndexError)):
        unpacker.counts(place)


@pytest.mark.parametrize("data", [b"\x80", b"\x01\x80", b"\xff" * 11 + b"\x01", b"\x80" * 40_000 + b"\x01"])
def test_packed_numbers_that_end_too_soon_or_too_late_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="packed number"):
        varints.unpack(data)


STORED = to_bytes(sample())
