"""Rows of PostgreSQL in COPY's binary format, taken apart column by column in NumPy.

Numbers, times and bytes cross the wire as PostgreSQL holds them, so neither side writes or parses a digit; everything
else arrives as the text of the type's own output function. Format: PostgreSQL documentation, COPY, "Binary Format":
a row is its number of fields, then for each its length (-1 is null) and its bytes, all big-endian.

A row's fields begin where the ones before them end, so one column of a block is read for all rows at once: twelve bytes
from each place, a length and what may be a number, by an index into an array of overlapping windows, which has no
alignment to keep. A block of 4096 rows stays in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.profiles.arrays import BoolArray, from_truth, from_values
from airflow_monitoring_provider.profiles.instants import FIRST, INSTANT, LAST

IntArray = npt.NDArray[np.int64]

SIGNATURE = b"PGCOPY\n\xff\r\n\x00"
TRAILER = b"\xff\xff"
BLOCK_ROWS = 4096
BLOCK_BYTES = 8 * 1024 * 1024

_WINDOW = 12  # a length of four bytes, and eight of a value
_HEADER = len(SIGNATURE) + 8  # flags, and the length of an extension that no version has
_DAY = 86_400_000_000  # microseconds
_EPOCH_DAYS = 10_957  # from 1970 to 2000, where PostgreSQL's time begins
_EPOCH = _EPOCH_DAYS * _DAY
_FIRST_DAY, _LAST_DAY = FIRST // _DAY, LAST // _DAY


def without_header(first: bytes) -> bytes:
    """The first message without the format's signature, flags and extension."""
    if not first.startswith(SIGNATURE):
        raise ValueError("these are not rows in PostgreSQL's binary COPY format")
    extension = int.from_bytes(first[_HEADER - 4 : _HEADER], "big")
    return first[_HEADER + extension :]


def parsed(rows: Sequence[bytes], schema: pa.Schema) -> pa.RecordBatch:
    """Messages of one row each as a batch.

    A bool is one byte, an int64 field 2, 4 or 8 bytes (the same in all rows), a float64 one 8 bytes; a string or binary
    field is its bytes, which may not be UTF-8.
    """
    block = _Block(rows)
    columns = [_READERS.get(kind, _texts)(block, kind) for kind in schema.types]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class _Block:
    """The bytes of some rows, and where in each the next field starts."""

    def __init__(self, rows: Sequence[bytes]) -> None:
        self.count = len(rows)
        lengths = np.fromiter(map(len, rows), np.int64, self.count)
        data = b"".join([*rows, bytes(_WINDOW)])  # a window to look ahead into
        self.memory = pa.py_buffer(data)
        self._windows = _overlapping(data, np.dtype(f"V{_WINDOW}"))
        self._lengths = _overlapping(data, np.dtype(">i4"))
        self._at = np.cumsum(lengths) - lengths + 2  # past the number of fields

    def fixed(self, kind: str) -> tuple[npt.NDArray[Any], int, BoolArray | None]:
        """The next field, of one width in all rows: what begins with it as 8 bytes of a kind, the width (0: all null),
        and where it is valid (None: everywhere); what is not valid is any value.
        """
        fields = self._windows[self._at].view([("sign", "i1"), ("length", "V3"), ("value", kind)])
        valid = fields["sign"] >= 0  # a length's first byte is 255 for null and 0 for every width that a field has
        nulls = np.flatnonzero(~valid)
        if nulls.size == self.count:
            self._at = self._at + 4
            return fields["value"], 0, valid
        first = int(self._at[valid.argmax()])
        width = int(self._lengths[first])
        self._at = self._at + (4 + width)
        self._at[nulls] -= width
        return fields["value"], width, valid if nulls.size else None

    def variable(self) -> tuple[IntArray, IntArray, BoolArray]:
        """The next field: where it starts and ends in the memory, and where it is valid."""
        lengths = self._lengths[self._at].astype(np.int64)
        valid = lengths >= 0
        start = self._at + 4
        self._at = start + lengths
        self._at[np.flatnonzero(~valid)] += 1  # the length of a null is -1
        return start, self._at, valid


def _overlapping(data: bytes, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """An item that begins at each byte."""
    return np.ndarray((len(data) - kind.itemsize + 1,), kind, buffer=data, strides=(1,))


def _whole(block: _Block) -> tuple[IntArray, BoolArray | None]:
    """Signed integers of 2, 4 or 8 bytes."""
    values, width, valid = block.fixed(">i8")
    if not width:
        return np.zeros(block.count, np.int64), valid
    return values.astype(np.int64) >> (64 - 8 * width), valid


def _integers(block: _Block, kind: pa.DataType) -> pa.Array:
    values, valid = _whole(block)
    return from_values(values, kind, valid)


def _doubles(block: _Block, kind: pa.DataType) -> pa.Array:
    values, _, valid = block.fixed(">f8")
    return from_values(values.astype(np.float64), kind, valid)


def _truths(block: _Block, _kind: pa.DataType) -> pa.Array:
    values, _, valid = block.fixed(">u8")
    return from_truth(values.astype(np.uint64) >> np.uint64(56) != 0, valid)


def _timestamps(block: _Block, kind: pa.DataType) -> pa.Array:
    """One that is outside the calendar, or infinite, is the first one after the year 9999."""
    values, valid = _whole(block)
    inside = (values >= FIRST - _EPOCH) & (values <= LAST - _EPOCH)
    return from_values(np.where(inside, values + _EPOCH * inside, LAST + 1), kind, valid)


def _dates(block: _Block, kind: pa.DataType) -> pa.Array:
    values, valid = _whole(block)
    days = values + _EPOCH_DAYS
    inside = (days >= _FIRST_DAY) & (days <= _LAST_DAY)
    return from_values(np.where(inside, days, (LAST + 1) // _DAY).astype(np.int32), kind, valid)


def _texts(block: _Block, _kind: pa.DataType) -> pa.Array:
    """Bytes: every second piece of the block's memory, which Arrow copies out of it."""
    start, end, valid = block.variable()
    pieces = np.empty((block.count, 2), np.int32)
    pieces[:, 0], pieces[:, 1] = start, end
    between = pa.Array.from_buffers(pa.binary(), 2 * block.count - 1, [None, pa.py_buffer(pieces), block.memory])
    return between.take(from_values(np.arange(0, 2 * block.count, 2), pa.int64(), valid))


_READERS: dict[pa.DataType, Callable[[_Block, pa.DataType], pa.Array]] = {
    pa.bool_(): _truths,
    pa.int64(): _integers,
    pa.float64(): _doubles,
    pa.timestamp("us"): _timestamps,
    INSTANT: _timestamps,
    pa.date32(): _dates,
}
