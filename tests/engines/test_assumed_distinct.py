"""Rows that are taken for distinct: told wrong exactly where a plain set of seen tuples finds a repeated one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.engines import assumed_distinct as module
from airflow_monitoring_provider.engines.assumed_distinct import AssumedDistinct, IdentifiersRepeat
from airflow_monitoring_provider.exceptions import OutputUnavailable, SourceUnavailable
from airflow_monitoring_provider.kernels.library import VARIABLE

rows_of_two = st.tuples(st.integers(-9, 9) | st.none(), st.sampled_from(["a", "ab", "", "é", None]))


@pytest.fixture(params=["compiled", "numpy"], scope="module")
def _kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        patch.setattr(module, "_BLOCK", 16)
        yield


@pytest.mark.usefixtures("_kernels")
@given(st.lists(rows_of_two, max_size=80), st.integers(1, 40), st.booleans())
def test_repeated_rows_are_told_and_no_others(rows: list[tuple[Any, ...]], size: int, unique: bool) -> None:
    rows = list(dict.fromkeys(rows)) if unique else rows
    whole = [row for row in rows if None not in row]
    assert (len(whole) > len(set(whole))) is repeats(rows, size)


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("again", [0, 1, 15, 16, 498])
def test_a_row_far_from_the_one_it_repeats_is_told(again: int) -> None:
    rows = [(number, str(number)) for number in range(500)]

    assert not repeats(rows, 90)
    assert repeats([*rows, rows[again]], 90)


def test_neighbours_are_told_before_everything_was_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_BLOCK", 16)
    with AssumedDistinct() as assumed, pytest.raises(IdentifiersRepeat):
        assumed.flags([pa.array([*range(15), 3])])


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("what", ["a bit", "two bits", "cut"])
def test_a_damaged_file_is_noticed(what: str) -> None:
    with AssumedDistinct() as assumed:
        assumed.flags([pa.array(range(100))])
        assert assumed._file is not None
        file = assumed._file.fileno()
        if what == "cut":
            os.ftruncate(file, 95 * 8)
        for place in (40, 48)[: 1 + (what == "two bits")]:
            os.pwrite(file, bytes([os.pread(file, 1, place)[0] ^ 4]), place)
        with pytest.raises(SourceUnavailable, match="temporary file that looks for duplicates is damaged"):
            assumed.check()


def test_few_rows_need_no_file_and_many_leave_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with AssumedDistinct(tmp_path / "missing") as assumed:
        assert [False, False] == assumed.flags([pa.array([1, 2])]).tolist()
        assumed.check()
    monkeypatch.setattr(module, "_BLOCK", 16)
    with AssumedDistinct(tmp_path / "missing") as assumed, pytest.raises(OutputUnavailable, match="could not be kept"):
        assumed.flags([pa.array(range(16))])
    with AssumedDistinct(tmp_path) as assumed:
        assumed.flags([pa.array(range(16))])
        assert not any(tmp_path.iterdir())
        assumed.check()


def repeats(rows: list[tuple[Any, ...]], size: int) -> bool:
    kinds = (pa.int64(), pa.string())
    with AssumedDistinct() as assumed:
        try:
            for at in range(0, len(rows), size):
                part = rows[at : at + size]
                flags = assumed.flags([pa.array([row[i] for row in part], kinds[i]) for i in range(2)])
                assert np.zeros(len(part), np.bool_).tolist() == flags.tolist()
            assumed.check()
        except IdentifiersRepeat:
            return True
        return False
