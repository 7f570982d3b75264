"""Rows that repeat the identifiers of an earlier row: exact, in constant memory, whatever the number of rows.

Of equal rows the first in order counts, the others are duplicates. A row with a null identifier is neither.

- :class:`AdjacentDuplicates` needs rows sorted by the identifiers, so equal ones are neighbours.
- :class:`SpilledDuplicates` needs rows that can be read twice in the same order.
"""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.engines.row_keys import RowKeys, first_lane, row_keys
from airflow_monitoring_provider.engines.temporary import temporary_folder
from airflow_monitoring_provider.exceptions import SourceUnavailable
from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.hashing import UInt64Array

_PARTITIONS = 256
_FILE_BUFFER = 1 << 14
_CHUNK = 1 << 19
_RANGE = 1 << 22
MODULUS = 1 << 64
_CHANGED = (
    "The rows, or their order, changed between the two readings that look for duplicates. "
    "Read a snapshot or a window that is complete, or sort the rows by their identifiers."
)
_DAMAGED = (
    "The temporary files that look for duplicates are damaged or gone. The next attempt makes them anew; if this "
    "lasts, check the disk that holds TMPDIR, and what cleans it."
)
_RECORD = np.dtype([("first", np.uint64), ("second", np.uint64), ("row", np.uint64)])


class AdjacentDuplicates:
    """For rows sorted by the identifiers: a row repeats its predecessor or none.

    The sort must tell apart what differs: under a database collation that does not (case-insensitive, say), equal rows
    may stand apart and stay unseen; use :class:`SpilledDuplicates` there.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def flags(self, identifiers: Sequence[pa.Array]) -> BoolArray:
        """(rows,), True where a row repeats an earlier one."""
        return self.flags_of(row_keys(identifiers))

    def flags_of(self, keys: RowKeys) -> BoolArray:
        """:meth:`flags` of rows whose keys are known."""
        first, second, complete = keys
        rows = np.flatnonzero(complete)
        repeated = np.zeros(first.size, np.bool_)
        if not rows.size:
            return repeated
        first, second = first[rows], second[rows]
        same = np.empty(rows.size, np.bool_)
        same[0] = self._last == (int(first[0]), int(second[0]))
        same[1:] = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
        self._last = (int(first[-1]), int(second[-1]))
        repeated[rows[same]] = True
        return repeated

    def check(self) -> None:
        """Nothing is known of rows before they come."""


class SpilledDuplicates:
    """For rows read twice: :meth:`add` all identifiers, then ask :meth:`flags` in the same order.

    The first reading writes 24 bytes a row to temporary files, spread by key so that equal rows meet in one file; each
    is then examined by itself. Memory holds one file's distinct keys (rows / 256) and 4 million rows of answers.

    A file is believed only while it has the SHA-256 of what was written to it.

    :param folder: where the temporary files go; the system's place when None. They are removed by :meth:`close`.
    :raises OutputUnavailable: also of its methods: there is no space for the files.
    """

    def __init__(self, folder: Path | None = None) -> None:
        with temporary_folder():
            self._folder = tempfile.TemporaryDirectory(prefix="duplicates-", dir=folder)
        self._files: list[BinaryIO] | None = None
        self._keys = [hashlib.sha256() for _ in range(_PARTITIONS)]
        self._noted: dict[int, hashlib._Hash] = {}
        self._rows = 0
        self._asked = 0
        self._written = self._met = 0
        self._range = -1
        self._answers = np.zeros(0, np.bool_)
        self._sealed = False

    def add(self, identifiers: Sequence[pa.Array]) -> None:
        """First reading: the identifiers of the next rows."""
        self.add_keys(row_keys(identifiers))

    def add_keys(self, keys: RowKeys) -> None:
        """:meth:`add` of rows whose keys are known."""
        if self._sealed:
            raise ValueError("rows cannot be added once duplicates were asked for")
        if self._files is None:
            with temporary_folder():
                self._files = [self._path("keys", i).open("wb", buffering=_FILE_BUFFER) for i in range(_PARTITIONS)]
        first, second, complete = keys
        rows = np.arange(self._rows, self._rows + first.size, dtype=np.uint64)
        self._written = (self._written + order_sum(first, complete, self._rows)) % MODULUS
        self._rows += first.size
        if not complete.all():
            first, second, rows = first[complete], second[complete], rows[complete]
        partition = (first >> np.uint64(56)).astype(np.uint8)
        order = np.argsort(partition, kind="stable")
        records = np.empty(first.size, _RECORD)
        # Lane by lane: taking whole records takes NumPy four times as long.
        records["first"], records["second"], records["row"] = first[order], second[order], rows[order]
        ends = np.cumsum(np.bincount(partition, minlength=_PARTITIONS)) * _RECORD.itemsize
        starts, data = [0, *ends[:-1].tolist()], records.view(np.uint8).data
        with temporary_folder():
            for file, digest, start, end in zip(self._files, self._keys, starts, ends.tolist(), strict=True):
                if end > start:
                    digest.update(data[start:end])
                    file.write(data[start:end])

    def flags(self, identifiers: Sequence[pa.Array]) -> BoolArray:
        """Second reading: (rows,), True where the next rows repeat an earlier one.

        :raises SourceUnavailable: these are not the rows of the first reading, in its order (noticed at the latest with
            the last row; see :meth:`check`), or the temporary files are damaged.
        """
        return self._flags(*first_lane(identifiers))

    def flags_of(self, keys: RowKeys) -> BoolArray:
        """:meth:`flags` of rows whose keys are known."""
        first, _, complete = keys
        return self._flags(first, complete)

    def _flags(self, first: UInt64Array, complete: BoolArray) -> BoolArray:
        with temporary_folder():
            self._seal()
        rows = first.size
        self._met = (self._met + order_sum(first, complete, self._asked)) % MODULUS
        more = self._asked + rows - self._rows
        if more > 0 or (more == 0 and self._met != self._written):
            raise SourceUnavailable(_CHANGED)
        found = np.zeros(rows, np.bool_)
        done = 0
        while done < rows:
            which, start = divmod(self._asked + done, _RANGE)
            with temporary_folder():
                self._load(which)
            part = self._answers[start : start + rows - done]
            found[done : done + part.size] = part
            done += part.size
        self._asked += rows
        return found

    def check(self) -> None:
        """Check that the second reading met every row of the first.

        :raises SourceUnavailable: rows are gone.
        """
        if self._asked != self._rows:
            raise SourceUnavailable(_CHANGED)

    def close(self) -> None:
        """Remove the temporary files."""
        for file in self._files or ():
            with contextlib.suppress(OSError):  # what it still holds back was for nobody
                file.close()
        self._files = None
        self._folder.cleanup()

    def __enter__(self) -> SpilledDuplicates:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _path(self, what: str, number: int) -> Path:
        return Path(self._folder.name) / f"{what}-{number:06d}"

    def _seal(self) -> None:
        if self._sealed:
            return
        self._sealed = True
        for number, file in enumerate(self._files or ()):
            file.close()
            for repeated in _repeated_rows(self._path("keys", number), self._keys[number].digest()):
                self._note(repeated)
            self._path("keys", number).unlink()
        self._files = None

    def _note(self, rows: UInt64Array) -> None:
        """Keep the numbers of repeated rows in the file of their range."""
        which = rows >> np.uint64(_RANGE.bit_length() - 1)
        order = np.argsort(which, kind="stable")
        rows, which = rows[order], which[order]
        for part in np.split(rows, np.flatnonzero(np.diff(which)) + 1):
            if part.size:
                number, data = int(part[0]) // _RANGE, (part % np.uint64(_RANGE)).astype(np.uint32).tobytes()
                self._noted.setdefault(number, hashlib.sha256()).update(data)
                with self._path("rows", number).open("ab") as file:
                    file.write(data)

    def _load(self, which: int) -> None:
        if which == self._range:
            return
        self._range = which
        self._answers = np.zeros(_RANGE, np.bool_)
        if which not in self._noted:
            return
        try:
            data = self._path("rows", which).read_bytes()
        except FileNotFoundError:
            raise SourceUnavailable(_DAMAGED) from None
        if hashlib.sha256(data).digest() != self._noted[which].digest():
            raise SourceUnavailable(_DAMAGED)
        self._answers[np.frombuffer(data, np.uint32)] = True


class KnownDuplicates:
    """For rows that were read before and are read again: what was found out about them meanwhile.

    :param flags: (rows,), True where a row repeats an earlier one.
    :param order_sum: :func:`order_sum` of the rows' keys, from 0 on.
    """

    def __init__(self, flags: BoolArray, order_sum: int) -> None:
        self._flags = flags
        self._expected = order_sum
        self._sum = self._asked = 0

    def flags(self, identifiers: Sequence[pa.Array]) -> BoolArray:
        """(rows,), of the next rows.

        :raises SourceUnavailable: there are more than before.
        """
        first, complete = first_lane(identifiers)
        self._sum = (self._sum + order_sum(first, complete, self._asked)) % MODULUS
        found = self._flags[self._asked : self._asked + first.size]
        self._asked += first.size
        if found.size != first.size:
            raise SourceUnavailable(_CHANGED)
        return found

    def check(self) -> None:
        """Check that these were the rows of before, in their order.

        :raises SourceUnavailable: they were not.
        """
        if self._asked != self._flags.size or self._sum != self._expected:
            raise SourceUnavailable(_CHANGED)


def _repeated_rows(path: Path, expected: bytes) -> Iterator[UInt64Array]:
    """Numbers of the rows in a file whose key an earlier row of it has.

    Read in chunks, remembering distinct keys only, so a file of one key a billion times needs no more memory.

    :raises SourceUnavailable: after the last one, where the file does not have the expected SHA-256.
    """
    seen, digest = np.zeros(0, _RECORD), hashlib.sha256()
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise SourceUnavailable(_DAMAGED) from None
    with file:
        while data := file.read(_CHUNK * _RECORD.itemsize):
            digest.update(data)
            if len(data) % _RECORD.itemsize:
                raise SourceUnavailable(_DAMAGED)
            records = np.frombuffer(data, _RECORD)
            if seen.size:
                records = np.concatenate((seen, records))
            lane = np.sort(records["first"])
            if not (lane[1:] == lane[:-1]).any():  # the usual case; sorting values is quicker than sorting places
                seen = records
                continue
            known = np.arange(records.size) < seen.size
            order = np.argsort(records["first"], kind="stable")
            first, second = records["first"][order], records["second"][order]
            same = first[1:] == first[:-1]
            if (same & (second[1:] != second[:-1])).any():  # lanes disagree: sort by both
                order = np.lexsort((np.arange(records.size), records["second"], records["first"]))
                first, second = records["first"][order], records["second"][order]
                same = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
            repeated = np.zeros(records.size, np.bool_)
            repeated[order[1:][same]] = True
            yield _numbers(records[repeated & ~known])
            seen = records[~repeated]
    if digest.digest() != expected:
        raise SourceUnavailable(_DAMAGED)


def order_sum(keys: UInt64Array, complete: BoolArray, start: int) -> int:
    """A sum that changes when rows change or trade places; callers add up modulo :data:`MODULUS`.

    :param keys: the first lane of each row's key.
    :param start: number of the first of these rows.
    """
    places = np.arange(start, start + keys.size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return int((np.where(complete, keys, np.uint64(0)) * places).sum(dtype=np.uint64))


def _numbers(records: npt.NDArray[np.void]) -> UInt64Array:
    return np.ascontiguousarray(records["row"])
