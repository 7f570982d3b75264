"""64- and 128-bit hashes of whole Arrow columns, the same on every machine and version, without per-row Python.

Texts are read as little-endian 8-byte words of their UTF-8 bytes and mixed word by word, by a compiled kernel or all
texts at once in NumPy; texts of more than 1024 bytes, where that would be slow, go through BLAKE2b one by one. The
mixer is the public-domain finaliser of SplitMix64 (a bijection with full avalanche). Not cryptographic: whoever may
choose the texts could make them collide. An answer that must not be wrong takes 128 bits (two lanes).
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.kernels import hashing as kernels
from airflow_monitoring_provider.profiles.arrays import from_texts, text_bytes

UInt64Array = npt.NDArray[np.uint64]

_SEEDS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD1B54A32D192ED03))
_LONG = 1024
_TAIL_MASKS = np.array([(1 << (8 * n)) - 1 for n in range(8)] + [(1 << 64) - 1], np.uint64)


def mix(values: UInt64Array) -> UInt64Array:
    """SplitMix64's finaliser: every input bit changes every output bit with probability one half."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def hash_words(words: UInt64Array, state: UInt64Array | None = None, *, lane: int = 0) -> UInt64Array:
    """Mix one word per row into the state of each row (a fresh state without one)."""
    seed = _SEEDS[lane]
    found = kernels.hash_words(words, state, lane=lane, seed=int(seed))
    if found is not None:
        return found
    if state is None:
        return mix(words ^ seed if lane == 0 else words * seed + seed)
    return mix(state * np.uint64(3) + (words ^ seed if lane == 0 else words * seed))


def hash_texts(texts: pa.Array, *, lane: int = 0) -> UInt64Array:
    """One hash per text; nulls hash like the empty text (the caller knows the validity).

    :param texts: a ``string`` or ``large_string`` array.
    """
    data, offsets = text_bytes(texts)
    lengths = np.diff(offsets)
    state = kernels.hash_texts(data, offsets, lane=lane, seed=int(_SEEDS[lane]), longest=_LONG)
    if state is None:
        state = _hashed(data, offsets, lengths, lane)
    for row in np.flatnonzero(lengths > _LONG).tolist():
        text = data[offsets[row] : offsets[row + 1]].tobytes()
        digest = hashlib.blake2b(text, digest_size=8, salt=bytes([lane])).digest()
        state[row] = int.from_bytes(digest, "little")
    return state


def _hashed(
    data: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], lane: int
) -> UInt64Array:
    """What the kernel computes: the state of each text, of long ones that of their length alone."""
    starts = offsets[:-1]
    state = hash_words(lengths.astype(np.uint64), lane=lane)
    if not lengths.any():
        return state
    padded = np.zeros(data.size + 8, np.uint8)
    padded[: data.size] = data
    words = np.ndarray((data.size + 1,), "<u8", buffer=padded.data, strides=(1,))  # one word at every byte
    rows = np.flatnonzero((lengths > 0) & (lengths <= _LONG))
    done = 0
    while rows.size:
        rest = lengths[rows] - done
        word = words[starts[rows] + done] & _TAIL_MASKS[np.minimum(rest, 8)]
        state[rows] = hash_words(word, state[rows], lane=lane)
        done += 8
        rows = rows[rest > 8]
    return state


def hash_text(text: str, *, lane: int = 0) -> int:
    """The hash of one text, equal to :func:`hash_texts` of an array that holds it."""
    return int(hash_texts(from_texts([text]), lane=lane)[0])
