"""Whole numbers near each other are counted as a plain counter counts them, and the others are left in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.kernels.gathering import Rows
from airflow_monitoring_provider.kernels.library import VARIABLE
from airflow_monitoring_provider.profiles.wholes import WholeCounts

numbers = st.integers(-30, 30) | st.integers(-2300, 2300) | st.integers(-(2**63), 2**63 - 1)


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "compiled")
        yield


@given(
    blocks=st.lists(st.lists(numbers, max_size=100), max_size=4),
    base=st.sampled_from([0, 2**63 - 3000, -(2**63) + 3000, 2**53]),
    offset=st.integers(0, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_rows_are_counted_up_to_the_first_that_is_too_far(
    blocks: list[list[int]], base: int, offset: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    counts, expected, apart = WholeCounts(), Counter[int](), False
    for block in blocks:
        array = np.array([min(max(base + n, -(2**63)), 2**63 - 1) for n in block], np.int64)
        flags, keep = rng.random(offset + array.size) < 0.8, rng.random(array.size) < 0.8
        there = flags[offset:] & keep
        at, counted = counts.count(Rows(array, (np.packbits(flags, bitorder="little"), offset), keep))

        held = array[:at][there[:at]].tolist()
        expected.update(held)
        assert len(held) == counted
        if at < array.size:
            seen = [*expected, array[at].item()]
            assert apart or (there[at] and max(seen) - min(seen) > 2000)
            apart = True
    found, times = counts.drain()
    assert sorted(expected.items()) == list(zip(found, times.tolist(), strict=True))
    assert ([], []) == (counts.drain()[0], counts.drain()[1].tolist())


def test_numbers_without_a_sign_do_not_go_round() -> None:
    counts = WholeCounts()
    rows = Rows(np.array([2**64 - 1, 2**64 - 7, 2**64 - 1, 1], np.uint64), None, None)

    assert (3, 3) == counts.count(rows)
    found, times = counts.drain()
    assert ([2**64 - 7, 2**64 - 1], [1, 2]) == (found, times.tolist())


def test_numbers_of_another_type_are_left_to_others() -> None:
    counts = WholeCounts()

    assert (1, 1) == counts.count(Rows(np.array([2**64 - 1], np.uint64), None, None))
    assert (0, 0) == counts.count(Rows(np.array([-1], np.int64), None, None))


def test_doubles_are_no_whole_numbers() -> None:
    with pytest.raises(ValueError, match="no whole numbers from row 0 on among 2 float64"):
        Rows(np.zeros(2), None, None).count_wholes(0, 0, np.zeros(1, np.int64))
