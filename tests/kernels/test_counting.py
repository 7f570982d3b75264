"""Codes are counted as ``numpy.bincount`` counts those that are chosen, whatever the type, the nulls and the slice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.kernels.counting import count_codes
from airflow_monitoring_provider.kernels.library import VARIABLE

KINDS = ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"]


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> object:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "compiled")
        yield


@given(
    kind=st.sampled_from(KINDS),
    size=st.integers(1, 127),
    rows=st.integers(0, 300),
    offset=st.integers(0, 70),
    seed=st.integers(0, 2**32 - 1),
    nulls=st.booleans(),
    chosen=st.booleans(),
)
def test_codes_are_counted_where_they_are_there_and_wanted(
    kind: str, size: int, rows: int, offset: int, seed: int, nulls: bool, chosen: bool
) -> None:
    rng = np.random.default_rng(seed)
    flags = rng.random(offset + rows) < 0.7
    codes = rng.integers(0, size, rows).astype(kind)
    keep = rng.random(rows) < 0.5 if chosen else None
    there = flags[offset:] if nulls else np.ones(rows, np.bool_)
    codes[~there] = 127  # what a null slot holds is undefined
    wanted = there if keep is None else there & keep
    before = rng.integers(0, 5, size)
    counts = before.copy()

    bitmap = (np.packbits(flags, bitorder="little"), offset) if nulls else None
    assert int(wanted.sum()) == count_codes(codes, bitmap, keep, counts)
    assert np.array_equal(before + np.bincount(codes[wanted], minlength=size), counts)


@pytest.mark.parametrize("size", [3, 1024, 1025, 50_000])
def test_many_codes_of_small_and_large_dictionaries_are_counted(size: int) -> None:
    codes = np.random.default_rng(1).integers(0, size, 200_001).astype(np.int32)
    counts = np.zeros(size, np.int64)

    assert codes.size == count_codes(codes, None, None, counts)
    assert np.array_equal(np.bincount(codes, minlength=size), counts)


def test_codes_with_gaps_and_across_their_width_are_counted() -> None:
    counts, codes = np.zeros(3, np.int64), np.array([0, 2, 1, 2, 2, 0], np.int32)
    across = np.frombuffer(b"x" + codes.tobytes(), np.int32, 6, 1)

    assert 3 == count_codes(codes[::2], None, None, counts)
    assert 6 == count_codes(across, None, None, counts)
    assert [1 + 2, 1 + 1, 1 + 3] == counts.tolist()


@pytest.mark.parametrize("code", [-1, 5, 2**31 - 1, -(2**31)])
def test_a_code_outside_the_dictionary_is_refused(code: int) -> None:
    with pytest.raises(ValueError, match="a code lies outside the 5 entries of its dictionary"):
        count_codes(np.array([1, code], np.int32), None, None, np.zeros(5, np.int64))


def test_memory_that_is_not_as_c_takes_it_is_refused() -> None:
    codes, counts = np.zeros(20, np.int32), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="expected 2 contiguous int64, not 2 int32"):
        count_codes(codes, None, None, np.zeros(2, np.int32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="expected 20 contiguous bool, not 3 bool"):
        count_codes(codes, None, np.ones(3, np.bool_), counts)
    with pytest.raises(ValueError, match="2 bytes of validity from bit 0 on are too few for 20 rows"):
        count_codes(codes, (np.zeros(2, np.uint8), 0), None, counts)
    counts.flags.writeable = False
    with pytest.raises(ValueError, match="the array cannot be written to"):
        count_codes(codes, None, None, counts)


def test_nothing_is_counted_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "numpy")
    counts = np.zeros(2, np.int64)

    assert count_codes(np.zeros(3, np.int32), None, None, counts) is None
    assert not counts.any()
