"""How often whole rows repeat, and how many are empty: mergeable, in bounded memory.

Each row that holds anything has a 64-bit key of all its values. Kept are the smallest distinct keys, each with the
number of its rows: whether a key is among the smallest of all rows is known in every part that holds it, so any split
and order gives the same, and every number that is kept is exact. Up to :data:`KEPT` distinct rows that is all of them;
past it the keys are a random sample of the distinct rows (bottom-k; Cohen and Kaplan 2007).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

KEPT = 1 << 16
"""Most distinct rows that are told apart: at most a megabyte in memory."""

_SURE = 6.0
"""Standard errors of the number of distinct keys beyond which chance is out of the question."""


@dataclasses.dataclass(frozen=True)
class WholeRows:
    """The repetitions of some rows.

    :param rows: all rows.
    :param empty: those without any value.
    :param keys: uint64 (k,), increasing: the smallest keys of the others.
    :param counts: int64 (k,), how many rows have each.
    :param limit: most keys kept.
    """

    rows: int
    empty: int
    keys: UInt64Array
    counts: IntArray
    limit: int = KEPT

    @property
    def exact(self) -> bool:
        """Every distinct row was kept. Two of 65 536 distinct rows share a key with probability 1e-10."""
        return self.empty + int(self.counts.sum()) == self.rows

    @property
    def duplicates(self) -> float:
        """Rows that repeat an earlier one, ``pandas.DataFrame.duplicated().sum()``; an estimate where not
        :attr:`exact`.

        The estimate holds the share of repetitions among the rows kept to be that of all: where none of them repeats
        it is 0. A few rows that fill much of the source may all be among those not kept; then the number of distinct
        rows, which the largest key tells to ``1 / sqrt(k)``, shows that more must repeat, and that counts instead.
        """
        filled = self.rows - self.empty
        kept = int(self.counts.sum())
        distinct: float = self.keys.size
        if not self.exact:
            distinct = filled * self.keys.size / kept
            share = (int(self.keys[-1]) + 1) / 2.0**64
            # Given the largest of k keys, the k - 1 others are that share of all others (Beyer et al. 2007).
            most = (self.keys.size - 1) / share * (1 + _SURE / math.sqrt(self.keys.size))
            distinct = min(distinct, most)
        return filled - distinct + max(self.empty - 1, 0)

    def merge(self, *others: WholeRows) -> WholeRows:
        """The repetitions of all rows together."""
        parts = (self, *others)
        limit = min(part.limit for part in parts)
        keys, counts = _smallest([part.keys for part in parts], [part.counts for part in parts], limit)
        return WholeRows(sum(part.rows for part in parts), sum(part.empty for part in parts), keys, counts, limit)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, WholeRows):
            return NotImplemented
        return (
            (self.rows, self.empty, self.limit) == (other.rows, other.empty, other.limit)
            and np.array_equal(self.keys, other.keys)
            and np.array_equal(self.counts, other.counts)
        )

    def __hash__(self) -> int:
        return hash((self.rows, self.empty, self.keys.tobytes()))


class WholeRowsBuilder:
    """Collects the repetitions of rows, some at a time."""

    def __init__(self, limit: int = KEPT) -> None:
        self._found = WholeRows(0, 0, np.zeros(0, np.uint64), np.zeros(0, np.int64), limit)

    def add(self, keys: UInt64Array, filled: npt.NDArray[np.bool_]) -> None:
        """Add rows.

        :param keys: uint64 (rows,).
        :param filled: (rows,), where a row holds anything; keys of others mean nothing.
        """
        known, limit = self._found, self._found.limit
        held = keys if filled.all() else keys[filled]
        kept = held[held <= known.keys[-1]] if known.keys.size == limit else held  # what is larger never comes in
        distinct, counts = np.unique(kept, return_counts=True)
        merged = _smallest([known.keys, distinct], [known.counts, counts.astype(np.int64)], limit)
        rows, empty = known.rows + keys.size, known.empty + keys.size - held.size
        self._found = WholeRows(rows, empty, *merged, limit)

    def finish(self) -> WholeRows:
        """The repetitions of everything so far."""
        return self._found


def _smallest(keys: list[Any], counts: list[Any], limit: int) -> tuple[UInt64Array, IntArray]:
    """The smallest distinct keys of several lists and how often each occurs; sums of whole numbers are exact."""
    distinct, places = np.unique(np.concatenate(keys), return_inverse=True)
    totals = np.zeros(distinct.size, np.int64)
    np.add.at(totals, places.reshape(-1), np.concatenate(counts))
    return distinct[:limit].copy(), totals[:limit].copy()
