"""Keys are put together by their first byte, and one that comes twice within a part is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.kernels import repeating
from airflow_monitoring_provider.kernels.library import VARIABLE
from airflow_monitoring_provider.profiles.hashing import mix

WORD = 2**64
numbers = st.integers(0, WORD - 1) | st.integers(0, 3) | st.integers(0, 3).map(lambda byte: byte << 56)


@pytest.fixture(autouse=True)
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "compiled")


def table(keys: int) -> np.ndarray:
    return np.empty(repeating.places_for(keys), np.uint64)


@given(st.lists(numbers, max_size=50))
def test_keys_stand_by_their_first_byte_in_their_order(keys: list[int]) -> None:
    spread, ends, sums = np.empty(len(keys), np.uint64), np.empty(256, np.int64), np.full(256, 5, np.uint64)
    assert repeating.spread_keys(np.array(keys, np.uint64), spread, ends, sums)

    assert sorted(keys, key=lambda key: key >> 56) == spread.tolist()
    assert [sum(key >> 56 <= byte for key in keys) for byte in range(256)] == ends.tolist()
    mixed = dict(zip(keys, mix(np.array(keys, np.uint64)).tolist(), strict=True))
    assert [(5 + sum(mixed[k] for k in keys if k >> 56 == byte)) % WORD for byte in range(256)] == sums.tolist()
    assert sum(mixed[key] for key in keys) % WORD == repeating.mixed_sum(np.array(keys, np.uint64))


@given(st.lists(st.lists(numbers, max_size=30), max_size=4))
def test_a_key_repeats_only_within_a_part(parts: list[list[int]]) -> None:
    keys = np.array([key for part in parts for key in part], np.uint64)
    ends = np.cumsum([len(part) for part in parts]).astype(np.int64)

    assert any(len(part) > len(set(part)) for part in parts) is repeating.keys_repeat(keys, ends, table(30))


def test_keys_that_all_want_one_place_are_given_up() -> None:
    keys = np.arange(5000, dtype=np.uint64) << np.uint64(40)

    assert repeating.keys_repeat(keys, np.array([5000]), table(5000)) is None


def test_a_table_that_is_too_small_is_given_up() -> None:
    assert repeating.keys_repeat(np.arange(100, dtype=np.uint64), np.array([100]), table(8)) is None


@pytest.mark.parametrize("ends", [[3], [-1], [2, 1]])
def test_parts_outside_the_keys_are_refused(ends: list[int]) -> None:
    with pytest.raises(ValueError, match="do not lie within 2 keys"):
        repeating.keys_repeat(np.zeros(2, np.uint64), np.array(ends), table(9))


def test_lengths_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="expected 2 contiguous uint64"):
        repeating.spread_keys(
            np.zeros(2, np.uint64), np.zeros(1, np.uint64), np.zeros(256, np.int64), np.zeros(256, "u8")
        )
