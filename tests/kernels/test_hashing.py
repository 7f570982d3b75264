"""Texts are hashed as the definition says, with and without compiled kernels."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.kernels import hashing
from airflow_monitoring_provider.kernels.library import VARIABLE
from airflow_monitoring_provider.profiles.hashing import hash_texts

WORD = 2**64 - 1
SEEDS = (0x9E3779B97F4A7C15, 0xD1B54A32D192ED03)


@pytest.fixture(params=["compiled", "numpy"], scope="module")
def _kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield


def mixed(value: int) -> int:
    value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 & WORD
    value = (value ^ value >> 27) * 0x94D049BB133111EB & WORD
    return value ^ value >> 31


def hashed(text: bytes, lane: int) -> int:
    """Word by word, in whole numbers of any size."""
    seed = SEEDS[lane]
    state = mixed(len(text) * seed + seed & WORD if lane else len(text) ^ seed)
    for start in range(0, len(text), 8):
        word = int.from_bytes(text[start : start + 8], "little")
        state = mixed(state * 3 + (word * seed if lane else word ^ seed) & WORD)
    return state


@pytest.mark.usefixtures("_kernels")
@settings(deadline=None)  # the first array imports pandas
@given(texts=st.lists(st.none() | st.text(max_size=40), max_size=8), skipped=st.integers(0, 3), lane=st.integers(0, 1))
def test_every_text_has_the_hash_of_its_bytes(texts: list[str | None], skipped: int, lane: int) -> None:
    array = pa.array(texts, pa.string())[skipped:]

    expected = [hashed((text or "").encode(), lane) for text in texts[skipped:]]
    assert expected == hash_texts(array, lane=lane).tolist()


@pytest.mark.usefixtures("_kernels")
@pytest.mark.parametrize("length", [7, 8, 9, 1023, 1024])
@pytest.mark.parametrize("lane", [0, 1])
def test_texts_up_to_the_longest_are_read_to_their_end(length: int, lane: int) -> None:
    texts = ["x" * (length - 1) + end for end in "ab"]

    assert [hashed(text.encode(), lane) for text in texts] == hash_texts(pa.array(texts), lane=lane).tolist()


def test_long_texts_hash_alike_with_and_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = pa.array(["y" * 1025, "y" * 1026, "", None, "z" * 5000], pa.large_string())
    found = {}
    for choice in ("compiled", "numpy"):
        monkeypatch.setenv(VARIABLE, choice)
        found[choice] = hash_texts(texts).tolist()

    assert found["compiled"] == found["numpy"]
    assert 4 == len(set(found["numpy"]))  # a null hashes like the empty text


@pytest.mark.parametrize("offsets", [[0, 5], [-1, 2], [3, 2], [0, 2**62]])
def test_texts_outside_their_bytes_are_refused(offsets: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "compiled")
    with pytest.raises(ValueError, match="text 0 of 1 does not lie within the 4 bytes"):
        hashing.hash_texts(np.zeros(4, np.uint8), np.array(offsets), lane=0, seed=1, longest=9)
