"""Duplicates against a plain dictionary of seen tuples."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.engines import duplicates as module
from airflow_monitoring_provider.engines.duplicates import AdjacentDuplicates, SpilledDuplicates
from airflow_monitoring_provider.engines.row_keys import row_keys
from airflow_monitoring_provider.exceptions import SourceUnavailable

keys = st.tuples(st.integers(-3, 3) | st.none(), st.sampled_from(["a", "ab", "", "é", None]))
Rows = list[tuple[Any, ...]]


@given(st.lists(keys, max_size=60), st.integers(1, 20))
@settings(max_examples=40)
def test_rows_read_twice_give_all_but_the_first(rows: Rows, size: int) -> None:
    with SpilledDuplicates() as duplicates:
        for batch in batches(rows, size):
            duplicates.add(batch)
        found = [flag for batch in batches(rows, 7) for flag in duplicates.flags(batch).tolist()]
    assert repeated(rows) == found


@given(st.lists(keys, max_size=60), st.integers(1, 20))
def test_sorted_rows_give_all_but_the_first(rows: Rows, size: int) -> None:
    ordered = sorted(rows, key=lambda row: tuple((value is None, value) for value in row))
    duplicates = AdjacentDuplicates()
    found = [flag for batch in batches(ordered, size) for flag in duplicates.flags(batch).tolist()]
    assert repeated(ordered) == found


@pytest.mark.parametrize(
    "array",
    [
        pa.array([1, 2, 1, None, 2**63 - 1]),
        pa.array([1, 2, 1, None], pa.uint8()),
        pa.array([0.0, 1.0, -0.0, None]),
        pa.array(["x", "y", "x", None]),
        pa.array(["x", "y", "x", None]).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 0, 2, None]), pa.array(["x", "y", None])),
        pa.array([b"x", b"y", b"x", None]),
        pa.array([True, False, True, None]),
        pa.array([dt.date(2024, 1, 1), dt.date(2024, 1, 2), dt.date(2024, 1, 1), None]),
        pa.array([1, 2, 1, None], pa.timestamp("ns", "UTC")),
    ],
    ids=lambda array: str(array.type),
)
def test_every_type_tells_its_values_apart(array: pa.Array) -> None:
    first, second, complete = row_keys([array])
    assert [True, True, True] == complete[:3].tolist()
    assert not complete[3]
    assert first[0] == first[2] != first[1]
    assert second[0] == second[2] != second[1]
    assert first[0] != second[0]
    assert first[1:3].tolist() == row_keys([array.slice(1, 2)])[0].tolist()


def test_tuples_that_only_join_alike_are_different() -> None:
    first, _, _ = row_keys([pa.array(["ab", "a", "b"]), pa.array(["c", "bc", "a"])])
    assert 3 == len(set(first.tolist()))
    swapped, _, _ = row_keys([pa.array([1, 2]), pa.array([2, 1])])
    assert swapped[0] != swapped[1]


def test_one_key_many_times_is_found_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 100)
    monkeypatch.setattr(module, "_RANGE", 64)
    rows = [(i % 3 if i % 5 else 7,) for i in range(1000)]
    with SpilledDuplicates() as duplicates:
        for batch in batches(rows, 90):
            duplicates.add(batch)
        found = [flag for batch in batches(rows, 130) for flag in duplicates.flags(batch).tolist()]
    assert repeated(rows) == found


def test_a_key_that_comes_again_in_a_later_chunk_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CHUNK", 2)
    rows = [(number,) for number in [*range(700), *range(900), *range(300, 350)]]
    with SpilledDuplicates() as duplicates:
        for batch in batches(rows, 700):
            duplicates.add(batch)
        found = [flag for batch in batches(rows, 130) for flag in duplicates.flags(batch).tolist()]
    assert repeated(rows) == found


def test_lanes_that_disagree_are_told_apart(tmp_path: Path) -> None:
    records = np.array([(1, 1, 0), (1, 2, 1), (1, 1, 2), (1, 2, 3), (9, 9, 4)], module._RECORD)
    (tmp_path / "keys").write_bytes(records.tobytes())
    found = np.concatenate(list(module._repeated_rows(tmp_path / "keys", hashlib.sha256(records.tobytes()).digest())))
    assert [2, 3] == sorted(found.tolist())


def test_other_rows_at_the_second_reading_are_noticed() -> None:
    rows = pa.array([3, 1, None, 2])
    for other in ([3, 1, None, 2, 5], [1, 3, None, 2], [3, 1, 4, 2]):
        with SpilledDuplicates() as duplicates:
            duplicates.add([rows])
            with pytest.raises(SourceUnavailable, match="changed between the two readings"):
                duplicates.flags([pa.array(other)])
    with SpilledDuplicates() as duplicates:
        duplicates.add([rows])
        duplicates.flags([rows.slice(0, 2)])
        with pytest.raises(SourceUnavailable, match="changed between the two readings"):
            duplicates.check()
        duplicates.flags([rows.slice(2)])
        duplicates.check()
        with pytest.raises(ValueError, match="cannot be added"):
            duplicates.add([rows])


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "first byte": lambda data: bytes([data[0] ^ 1]) + data[1:],
    "last byte": lambda data: data[:-1] + bytes([data[-1] ^ 0x80]),
    "cut": lambda data: data[:-1],
    "a record less": lambda data: data[:-24],
    "empty": lambda data: b"",
    "doubled": lambda data: data * 2,
    "gone": lambda data: None,
}


@pytest.mark.parametrize("which", ["keys", "rows"])
@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_temporary_files_are_noticed_before_an_answer(tmp_path: Path, what: str, which: str) -> None:
    ids = [pa.array([7, 8, 7, 9, 8, 7])]
    with SpilledDuplicates(tmp_path) as duplicates:
        duplicates.add(ids)
        if which == "rows":
            duplicates._seal()
        else:
            for file in duplicates._files or ():
                file.flush()
        path = next(file for file in sorted(tmp_path.rglob(f"{which}-*")) if file.stat().st_size)
        damaged = DAMAGE[what](path.read_bytes())
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(SourceUnavailable, match="temporary files that look for duplicates are damaged or gone"):
            duplicates.flags(ids)


def test_temporary_files_are_removed(tmp_path: Path) -> None:
    with SpilledDuplicates(tmp_path) as duplicates:
        duplicates.add([pa.array([1, 1])])
        assert any(tmp_path.iterdir())
        assert [False, True] == duplicates.flags([pa.array([1, 1])]).tolist()
    assert not any(tmp_path.iterdir())


def test_no_rows_have_no_duplicates() -> None:
    with SpilledDuplicates() as duplicates:
        assert [] == duplicates.flags([pa.array([], pa.int64())]).tolist()
    assert [] == AdjacentDuplicates().flags([pa.array([], pa.int64())]).tolist()


def batches(rows: Rows, size: int) -> list[list[pa.Array]]:
    kinds = (pa.int64(), pa.string())
    return [
        [pa.array([row[i] for row in rows[at : at + size]], kinds[i]) for i in range(len(rows[0]))]
        for at in range(0, len(rows), size)
    ]


def repeated(rows: Rows) -> list[bool]:
    seen: set[tuple[Any, ...]] = set()
    answers = []
    for row in rows:
        whole = None not in row
        answers.append(whole and row in seen)
        if whole:
            seen.add(row)
    return answers
