"""A block gathered in one reading has the content hash that NumPy's passes give, whatever is in it and around it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.columns import ColumnCounter
from airflow_monitoring_provider.kernels.gathering import Rows, Table, Work, can_gather
from airflow_monitoring_provider.kernels.library import VARIABLE
from airflow_monitoring_provider.profiles import scratch
from airflow_monitoring_provider.profiles.arrays import from_values
from airflow_monitoring_provider.profiles.column import ColumnBuilder, ColumnProfile
from airflow_monitoring_provider.profiles.plan import ColumnPlan

ODD = [
    0.0, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.0, -1.0, 0.5, 0.1, 2.0**53, 2.0**53 + 2, 1e308, -1e308,
    1.7976931348623157e308, math.inf, -math.inf, math.nan,
]  # fmt: skip
WIDE = [0, 1, -1, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
work = Work(10)


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "compiled")
        yield


def _profile(
    how: str, batches: list[tuple[pa.Array, Any]], *, mirrored: bool = False, buckets: int = 8
) -> ColumnProfile:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, how)
        assert (how == "compiled") == can_gather(np.dtype(np.float64))
        plan = ColumnPlan("x", ColumnKind.NUMERIC, mirrored=mirrored, edges=(0.25, 1.0))
        counter = ColumnCounter(ColumnBuilder(plan, buckets=buckets), ColumnKind.NUMERIC)
        for array, keep in batches:
            counter.add(array, keep)
        return counter.finish()


def _assert_same(expected: ColumnProfile, found: ColumnProfile) -> None:
    exact = (
        "rows",
        "missing",
        "invalid",
        "positive_inf",
        "negative_inf",
        "zero",
        "negative",
        "edge_counts",
        "histogram",
    )
    assert {name: getattr(expected, name) for name in exact} == {name: getattr(found, name) for name in exact}
    for bound in ("minimum", "maximum"):
        assert repr(getattr(expected, bound)) == repr(getattr(found, bound))  # also the type, and the sign of zero
    assert expected.moments is not None
    assert found.moments is not None
    assert expected.moments.count == found.moments.count
    if expected.count:
        scale = max(abs(float(expected.minimum or 0)), abs(float(expected.maximum or 0)))
        assert math.isclose(expected.moments.mean, found.moments.mean, rel_tol=1e-9, abs_tol=1e-9 * scale)
        assert math.isclose(expected.moments.std(0), found.moments.std(0), rel_tol=1e-9, abs_tol=1e-9 * scale)


def _array(values: npt.NDArray[Any], valid: npt.NDArray[np.bool_] | None, before: int, after: int) -> pa.Array:
    """A slice of a longer array: values at an offset that is no multiple of eight."""
    around = np.concatenate([values[:1].repeat(before), values, values[:1].repeat(after)])
    flags = None if valid is None else np.concatenate([np.ones(before, np.bool_), valid, np.zeros(after, np.bool_)])
    return from_values(around, pa.from_numpy_dtype(values.dtype), flags)[before : before + values.size]


@given(
    blocks=st.lists(
        st.lists(st.sampled_from(ODD) | st.floats(width=64) | st.floats(0, 1), min_size=1, max_size=150), max_size=4
    ),
    mirrored=st.booleans(),
    nulls=st.booleans(),
    chosen=st.booleans(),
    around=st.tuples(st.integers(0, 70), st.integers(0, 9)),
    seed=st.integers(0, 2**32 - 1),
)
def test_doubles_of_any_kind_have_numpy_s_counts(
    blocks: list[list[float]], mirrored: bool, nulls: bool, chosen: bool, around: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    batches = []
    for block in blocks:
        valid = rng.random(len(block)) < 0.8 if nulls else None
        keep = rng.random(len(block)) < 0.5 if chosen else None
        batches.append((_array(np.array(block), valid, *around), keep))

    _assert_same(_profile("numpy", batches, mirrored=mirrored), _profile("compiled", batches, mirrored=mirrored))


@given(
    kind=st.sampled_from(["f4", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]),
    values=st.lists(st.sampled_from(WIDE) | st.integers(-300, 300), min_size=1, max_size=150),
    nulls=st.booleans(),
    mirrored=st.booleans(),
    before=st.integers(0, 70),
)
def test_floats_and_whole_numbers_have_numpy_s_counts(
    kind: str, values: list[int], nulls: bool, mirrored: bool, before: int
) -> None:
    whole = np.array(values, np.int64).astype(kind)
    valid = np.arange(whole.size) % 3 != 1 if nulls else None
    batches = [(_array(whole, valid, before, 3), None)] * 2

    _assert_same(_profile("numpy", batches, mirrored=mirrored), _profile("compiled", batches, mirrored=mirrored))


@pytest.mark.parametrize("mirrored", [False, True])
def test_many_blocks_that_change_their_kind_have_numpy_s_counts(mirrored: bool) -> None:
    rng = np.random.default_rng(5)
    size = scratch.BLOCK + 1001
    kinds = [
        rng.random(size),
        rng.normal(0.5, 0.1, size),
        np.where(rng.random(size) < 0.01, np.nan, rng.lognormal(-2, 1, size)),
        rng.normal(1e6, 1e-3, size),
        np.full(size, 0.25),
        rng.integers(0, 2, size).astype(np.float64),
    ]
    batches = [(_array(values, rng.random(size) < 0.97, 13, 5), None) for values in kinds]

    expected = _profile("numpy", batches, mirrored=mirrored, buckets=2048)
    _assert_same(expected, _profile("compiled", batches, mirrored=mirrored, buckets=2048))


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"])
@pytest.mark.parametrize("spread", [3, 90, 3000, 10**6])
def test_whole_numbers_near_each_other_have_numpy_s_counts(kind: str, spread: int) -> None:
    rng, lowest = np.random.default_rng(spread), np.iinfo(kind).min
    batches: list[tuple[pa.Array, Any]] = []
    for size, width in ((500, min(spread, 50)), (700, spread)):
        values = (rng.integers(0, min(width, np.iinfo(kind).max), size) + (lowest // 2)).astype(kind)
        batches.append((_array(values, rng.random(size) < 0.9, 3, 2), rng.random(size) < 0.9))

    _assert_same(_profile("numpy", batches), _profile("compiled", batches))


def test_no_row_at_all_is_nothing() -> None:
    for array in (pa.array([], pa.float64()), pa.nulls(3, pa.float64()), pa.nulls(0, pa.int64())):
        _assert_same(_profile("numpy", [(array, None)]), _profile("compiled", [(array, None)]))


def test_rows_and_arrays_that_are_not_there_are_refused() -> None:
    numbers = np.zeros(10)
    with pytest.raises(ValueError, match="1 bytes of validity from bit 3 on are too few for 10 rows"):
        Rows(numbers, (np.zeros(1, np.uint8), 3), None)
    with pytest.raises(ValueError, match="expected 10 contiguous bool, not 9 bool"):
        Rows(numbers, None, np.ones(9, np.bool_))
    rows = Rows(numbers, None, None)
    with pytest.raises(ValueError, match="there are no rows 5 to 11 among 10"):
        rows.gather(5, 11, work, pivot=0.0, mirrored=False, table=None)
    with pytest.raises(ValueError, match="work arrays of 9 are too small for 10 rows"):
        rows.gather(0, 10, Work(9), pivot=0.0, mirrored=False, table=None)
    with pytest.raises(ValueError, match="expected 8 contiguous int64, not 4 int64"):
        rows.gather(0, 10, work, pivot=0.0, mirrored=False, table=Table(np.zeros(4, np.int64), 0, 4, 0, True))
    with pytest.raises(ValueError, match="no table starts at 0, is 4 wide and lost 64 bits"):
        rows.gather(0, 10, work, pivot=0.0, mirrored=False, table=Table(np.zeros(4, np.int64), 0, 4, 64, False))
