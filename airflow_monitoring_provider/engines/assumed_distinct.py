"""Rows of which none repeats another, as it is taken to be until it shows: 8 bytes a row, and one reading.

Most windows hold no repeated identifiers. So the rows are read as if none were, a key of each is kept, and only where
two keys are equal is everything read again by who can tell which rows those are
(:class:`~airflow_monitoring_provider.engines.duplicates.SpilledDuplicates`). Equal keys of different identifiers, which
among 10**9 rows are there once in 37 windows, cost that reading and nothing else.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.engines.row_keys import first_lane
from airflow_monitoring_provider.engines.temporary import temporary_folder
from airflow_monitoring_provider.exceptions import SourceUnavailable
from airflow_monitoring_provider.kernels import repeating
from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.hashing import UInt64Array, mix

IntArray = npt.NDArray[np.int64]

_BLOCK = 1 << 18
_PARTS = repeating.PARTS
_DAMAGED = (
    "The temporary file that looks for duplicates is damaged. The next attempt makes it anew; if this lasts, check the "
    "disk that holds TMPDIR, and what cleans it."
)


class IdentifiersRepeat(Exception):
    """Two rows have the same key: what was made of the rows so far may count some that repeat others."""


class AssumedDistinct:
    """A :class:`~airflow_monitoring_provider.engines.screen.Duplicates` for rows that are read once.

    Memory holds 4 MiB, and at the end a 256th of the keys. More than 262 144 keys wait in a file without a name, spread
    by their first byte; it is believed only while its keys add up to what was written.

    :param folder: where the file lies; the system's place when None.
    :raises OutputUnavailable: also of its methods: there is no space for it.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._block = np.empty(_BLOCK, np.uint64)
        self._filled = 0
        self._file: IO[bytes] | None = None
        self._ends: list[IntArray] = []
        self._sums = np.zeros(_PARTS, np.uint64)
        self._table = np.empty(0, np.uint64)

    def flags(self, identifiers: Sequence[pa.Array]) -> BoolArray:
        """(rows,), False everywhere.

        :raises IdentifiersRepeat: here already where the rows lie near each other, and not too late.
        """
        keys, complete = first_lane(identifiers)
        rows = keys.size
        keys = keys if complete.all() else keys[complete]
        while keys.size:
            taken = keys[: self._block.size - self._filled]
            self._block[self._filled : self._filled + taken.size] = taken
            self._filled += taken.size
            keys = keys[taken.size :]
            if self._filled == self._block.size:
                self._spill()
        return np.zeros(rows, np.bool_)

    def check(self) -> None:
        """After the last row.

        :raises IdentifiersRepeat: two rows have the same key.
        :raises SourceUnavailable: the temporary file is damaged.
        """
        if self._file is None:
            self._refuse_repeated(*self._spread())
            return
        self._spill()
        ends = np.stack(self._ends)
        begins = np.concatenate((np.zeros((len(ends), 1), np.int64), ends[:, :-1]), axis=1)
        offsets = np.concatenate(([0], np.cumsum(ends[:-1, -1])))[:, None]
        pieces = (np.stack((begins, ends), axis=2) + offsets[:, :, None]).transpose(1, 0, 2) * 8
        for part in range(_PARTS):
            keys = self._read(pieces[part])
            total = repeating.mixed_sum(keys)
            total = int(mix(keys).sum(dtype=np.uint64)) if total is None else total
            if total != int(self._sums[part]):
                raise SourceUnavailable(_DAMAGED)
            self._refuse_repeated(keys, np.array([keys.size]))

    def close(self) -> None:
        """Forget everything."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> AssumedDistinct:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _spread(self) -> tuple[UInt64Array, IntArray]:
        """The keys that wait in memory by their first byte, and where each ends."""
        keys, ends = self._block[: self._filled], np.empty(_PARTS, np.int64)
        spread = np.empty_like(keys)
        if not repeating.spread_keys(keys, spread, ends, self._sums):
            first = (keys >> np.uint64(56)).astype(np.uint8)
            spread = keys[np.argsort(first, kind="stable")]
            ends = np.cumsum(np.bincount(first, minlength=_PARTS))
            totals = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mix(spread), dtype=np.uint64)))[ends]
            self._sums += np.diff(totals, prepend=np.uint64(0))
        self._filled = 0
        return spread, ends

    def _spill(self) -> None:
        spread, ends = self._spread()
        turn = len(self._ends) + 1
        if not turn & (turn - 1):  # the first, second, fourth: in the end all of them are looked at
            self._refuse_repeated(spread, ends)
        with temporary_folder():
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
            data = spread.view(np.uint8).data
            while data.nbytes:
                data = data[os.write(self._file.fileno(), data) :]
        self._ends.append(ends)

    def _read(self, pieces: IntArray) -> UInt64Array:
        """The keys of some stretches of the file, each from a byte to a byte."""
        if self._file is None:
            raise ValueError("nothing was kept in a file")
        keys = np.empty(int((pieces[:, 1] - pieces[:, 0]).sum()) // 8, np.uint64)
        data, at = keys.view(np.uint8).data, 0
        for start, end in pieces.tolist():
            while start < end:
                with temporary_folder():
                    got = os.preadv(self._file.fileno(), [data[at : at + end - start]], start)
                if not got:
                    raise SourceUnavailable(_DAMAGED)
                start, at = start + got, at + got
        return keys

    def _refuse_repeated(self, keys: UInt64Array, ends: IntArray) -> None:
        """Raise where a key comes twice; equal ones are in one part."""
        most = keys.size if ends.size == 1 else int(np.diff(ends, prepend=0).max())
        places = repeating.places_for(most)
        if self._table.size < places:
            self._table = np.empty(places, np.uint64)
        answer = repeating.keys_repeat(keys, ends, self._table)
        if answer is None:
            ordered = np.sort(keys)
            answer = bool((ordered[1:] == ordered[:-1]).any())
        if answer:
            raise IdentifiersRepeat
