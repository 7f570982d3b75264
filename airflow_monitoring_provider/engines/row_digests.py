"""SHA-256 digests of rows: the same row has the same one in every order, retry, split and language.

A digest is that of a text in UTF-8: of one column, its canonical text (:mod:`~airflow_monitoring_provider.profiles.
canonical`); of several, the JSON array of theirs, without spaces, null where a value is missing. As a number below 1
(divided by 2**256) it is the row's place in every sample: a row of the first p is one of the first q > p.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.canonical import canonical_array

Digests = npt.NDArray[np.uint64]
"""(rows, 4): four words of 64 bits, the highest first."""

WHOLE = 1 << 256
_WORDS = 4


def row_digests(columns: Sequence[pa.Array]) -> Digests:
    """(rows, 4) digests of the rows that these columns make; a missing value has the text ``null`` in an array, and
    alone the empty one (leave such rows out)."""
    texts = [canonical_array(column).to_pylist() for column in columns]
    if len(texts) == 1:
        keys = ["" if text is None else text for text in texts[0]]
    else:
        keys = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in zip(*texts, strict=True)]
    found = b"".join([hashlib.sha256(key.encode()).digest() for key in keys])
    return np.frombuffer(found, ">u8").astype(np.uint64).reshape(-1, _WORDS)


def limit_of(numerator: int, denominator: int) -> int:
    """The number below which a digest is one of this share of all: exactly ``digest / 2**256 < share``."""
    return min(WHOLE, -(-numerator * WHOLE // denominator))


def below(digests: Digests, limit: int) -> BoolArray:
    """(rows,), True where a digest is less than a number of up to :data:`WHOLE`."""
    if limit >= WHOLE:
        return np.ones(len(digests), np.bool_)
    found = np.zeros(len(digests), np.bool_)
    equal = np.ones(len(digests), np.bool_)
    for place in range(_WORDS):
        word = np.uint64(limit >> (64 * (_WORDS - 1 - place)) & (2**64 - 1))
        found |= equal & (digests[:, place] < word)
        equal &= digests[:, place] == word
    return found


def smallest(digests: Digests, count: int) -> Digests:
    """The ``count`` smallest in ascending order, or all where there are fewer."""
    return digests[np.lexsort(digests.T[::-1])[:count]]


def number_of(digest: Digests) -> int:
    """One digest (4,) as a number."""
    return int.from_bytes(digest.astype(">u8").tobytes(), "big")
