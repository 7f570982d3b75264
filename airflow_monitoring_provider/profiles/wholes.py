"""Whole numbers that lie close together, counted by themselves: what a column of ages, hours or counts is made of.

A number costs one addition then, and everything else of a column (bounds, moments, histogram) is computed of how often
each was there, once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.gathering import Rows

IntArray = npt.NDArray[np.int64]

_WIDEST = 1 << 12
"""Numbers that lie further apart are no business of a table: a column's stays at 32 KiB."""
_NARROWEST = 16


class WholeCounts:
    """Counts whole numbers while they lie within 4096 of each other."""

    def __init__(self) -> None:
        self._low = 0
        self._counts: IntArray = np.zeros(0, np.int64)
        self._apart = False
        self._type: np.dtype[Any] | None = None

    def count(self, rows: Rows) -> tuple[int, int]:
        """Count rows from the first on.

        :returns: the first row that is left to others (the number of rows, where none is), and how many of the rows
            before are there and wanted.
        """
        at = counted = 0
        self._type = self._type or rows.dtype  # of another one the same bits may be another number
        while at < rows.size and not self._apart and rows.dtype == self._type:
            at, more = rows.count_wholes(at, self._low, self._counts)
            counted += more
            if at < rows.size:
                self._make_room(rows.number(at), np.iinfo(rows.dtype))
        return at, counted

    def drain(self) -> tuple[list[int], IntArray]:
        """The distinct numbers in increasing order and how often each was counted; from here on none was."""
        places = np.flatnonzero(self._counts)
        counts = self._counts[places]
        self._counts[places] = 0
        return [self._low + place for place in places.tolist()], counts

    def _make_room(self, number: int, bounds: np.iinfo[Any]) -> None:
        size = self._counts.size
        low = min(self._low, number) if size else number
        needed = (max(self._low + size - 1, number) if size else number) + 1 - low
        if needed > _WIDEST:
            self._apart = True
            return
        width = min(_WIDEST, max(_NARROWEST, 2 * needed))
        lowest = max(low - (width - needed) // 2, int(bounds.min))
        wider = np.zeros(min(width, int(bounds.max) + 1 - lowest), np.int64)
        if size:
            wider[self._low - lowest : self._low - lowest + size] = self._counts
        self._low, self._counts = lowest, wider
