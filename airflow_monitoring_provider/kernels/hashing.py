"""Hashing texts and words one after the other, where they lie."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.counting import address, laid_out
from airflow_monitoring_provider.kernels.library import c_function, library

UInt64Array = npt.NDArray[np.uint64]


def hash_texts(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], *, lane: int, seed: int, longest: int
) -> UInt64Array | None:
    """The state of each text in one lane, as :mod:`profiles.hashing` defines it; None without compiled kernels.

    :param data: the bytes of all texts.
    :param offsets: (n + 1,), where in them each text begins, and where the last one ends.
    :param seed: the lane's, below 2**64.
    :param longest: bytes up to which a text is read; of a longer one the state is that of its length alone.
    :raises ValueError: a text does not lie within the bytes.
    """
    found = library()
    if found is None:
        return None
    rows = offsets.size - 1
    states = np.empty(rows, np.uint64)
    wrong = c_function(found, "hash_texts", "pnpnnunp")(
        address(data, np.dtype(np.uint8), data.size),
        data.size,
        address(offsets, np.dtype(np.int64), offsets.size),
        rows,
        lane,
        seed,
        longest,
        states.ctypes.data,
    )
    if wrong >= 0:
        raise ValueError(f"text {wrong} of {rows} does not lie within the {data.size} bytes of all")
    return states


def hash_words(words: UInt64Array, states: UInt64Array | None, *, lane: int, seed: int) -> UInt64Array | None:
    """A word (n,) mixed into the state (n,) of each row in one lane, as :mod:`profiles.hashing` defines it.

    :param states: None for fresh ones.
    :param seed: the lane's, below 2**64.
    :returns: None without compiled kernels.
    :raises ValueError: the lengths do not fit.
    """
    found = library()
    if found is None:
        return None
    words, word = laid_out(words), np.dtype(np.uint64)
    mixed = np.empty(words.size, word)
    c_function(found, "hash_words", "ppnnup", gives=False)(
        address(words, word, mixed.size),
        None if states is None else address(states, word, mixed.size),
        mixed.size,
        lane,
        seed,
        mixed.ctypes.data,
    )
    return mixed
