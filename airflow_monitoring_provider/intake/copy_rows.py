"""Rows of PostgreSQL in COPY's binary format, taken apart column by column in NumPy.

Numbers, times and bytes cross the wire as PostgreSQL holds them, so neither side writes or parses a digit; everything
else arrives as the text of the type's own output function. Format: PostgreSQL documentation, COPY, "Binary Format":
a row is its number of fields, then for each its length (-1 is null) and its bytes, all big-endian.

Where there are compiled kernels they do it in one pass. Where there are none, NumPy does: a row's fields begin where
the ones before them end, so one column of a block is read for all rows at once: twelve bytes from each place, a length
and what may be a number, by an index into an array of overlapping windows, which has no alignment to keep. A block of
4096 rows stays in the processor's cache.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.kernels.copying import FieldKind, copy_bytes, copy_fields
from airflow_monitoring_provider.profiles.arrays import BoolArray, from_offsets, from_truth, from_values
from airflow_monitoring_provider.profiles.instants import FIRST, INSTANT, LAST

IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

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


@dataclasses.dataclass(frozen=True, slots=True)
class RowBlock:
    """Some rows, one after the other.

    :param data: their bytes.
    :param ends: (rows,), where each row ends in them.
    """

    data: ByteArray
    ends: IntArray

    @classmethod
    def of(cls, rows: Iterable[bytes]) -> RowBlock:
        """A block of messages of one row each."""
        messages = list(rows)
        sizes = np.fromiter(map(len, messages), np.int64, len(messages))
        return cls(np.frombuffer(b"".join(messages), np.uint8), np.cumsum(sizes))

    def __len__(self) -> int:
        return self.ends.size

    def part(self, start: int, stop: int) -> RowBlock:
        """The rows from ``start`` on and before ``stop``."""
        first = int(self.ends[start - 1]) if start else 0
        ends = self.ends[start:stop]
        return RowBlock(self.data[first : int(ends[-1]) if ends.size else first], ends - first)


def without_header(first: bytes) -> bytes:
    """The first message without the format's signature, flags and extension."""
    if not first.startswith(SIGNATURE):
        raise ValueError("these are not rows in PostgreSQL's binary COPY format")
    extension = int.from_bytes(first[_HEADER - 4 : _HEADER], "big")
    return first[_HEADER + extension :]


def parsed(rows: RowBlock, schema: pa.Schema) -> pa.RecordBatch:
    """A block of rows as a batch, which holds nothing of the block's memory.

    A bool is one byte, an int64 field 2, 4 or 8 bytes (the same in all rows), a float64 one 8 bytes; a string or binary
    field is its bytes, which may not be UTF-8.
    """
    columns = [_COLUMNS.get(kind, _TEXTS) for kind in schema.types]
    fields = copy_fields(rows.data, len(rows), [kind for kind, _ in columns])
    block = _Block(rows) if fields is None else _CompiledBlock(rows.data, *fields)
    arrays = [made(block, kind) for (_, made), kind in zip(columns, schema.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


class _CompiledBlock:
    """The fields of some rows as the kernel found them; each call is about the next column."""

    def __init__(self, data: ByteArray, values: IntArray, lengths: npt.NDArray[np.int32]) -> None:
        self._data = data
        self._columns = zip(values, lengths, strict=True)

    def bits(self) -> tuple[IntArray, BoolArray | None]:
        """The next field: whole numbers, the bits of doubles or the bytes of truths; and where it is valid."""
        values, lengths = next(self._columns)
        valid = lengths >= 0
        return values, None if valid.all() else valid

    wholes = doubles = truths = bits

    def texts(self) -> pa.Array:
        """The next field, as its bytes."""
        starts, lengths = next(self._columns)
        offsets, data = copy_bytes(self._data, starts, lengths)
        return from_offsets(offsets, data, lengths >= 0)


class _Block:
    """The same in NumPy: the bytes of some rows, and where in each the next field starts."""

    def __init__(self, rows: RowBlock) -> None:
        self.count = len(rows)
        data = rows.data.tobytes() + bytes(_WINDOW)  # a window to look ahead into
        self._memory = pa.py_buffer(data)
        self._windows = _overlapping(data, np.dtype(f"V{_WINDOW}"))
        self._lengths = _overlapping(data, np.dtype(">i4"))
        self._at = (
            np.concatenate([np.zeros(1, np.int64), rows.ends[:-1]])[: self.count] + 2
        )  # past the number of fields

    def wholes(self) -> tuple[IntArray, BoolArray | None]:
        """The next field, of one width in all rows, as whole numbers; and where it is valid (None: everywhere)."""
        values, width, valid = self._fixed()
        return (values >> (64 - 8 * width) if width else np.zeros_like(values)), valid

    def doubles(self) -> tuple[IntArray, BoolArray | None]:
        """The bits of the next field."""
        values, _, valid = self._fixed()
        return values, valid

    def truths(self) -> tuple[IntArray, BoolArray | None]:
        """The one byte of the next field."""
        values, _, valid = self._fixed()
        return values >> 56, valid

    def texts(self) -> pa.Array:
        """The next field, as its bytes: every second piece of the block's memory, which Arrow copies out of it."""
        lengths = self._lengths[self._at].astype(np.int64)
        valid = lengths >= 0
        pieces = np.empty((self.count, 2), np.int32)
        pieces[:, 0] = self._at + 4
        self._at = self._at + 4 + lengths
        self._at[np.flatnonzero(~valid)] += 1  # the length of a null is -1
        pieces[:, 1] = self._at
        between = pa.Array.from_buffers(pa.binary(), 2 * self.count - 1, [None, pa.py_buffer(pieces), self._memory])
        return between.take(from_values(np.arange(0, 2 * self.count, 2), pa.int64(), valid))

    def _fixed(self) -> tuple[IntArray, int, BoolArray | None]:
        """The 8 bytes that begin with the next field, of one width in all rows; the width (0: all null), and where it
        is valid (None: everywhere); what is not valid is any value.
        """
        fields = self._windows[self._at].view([("sign", "i1"), ("length", "V3"), ("value", ">i8")])
        valid = fields["sign"] >= 0  # a length's first byte is 255 for null and 0 for every width that a field has
        nulls = np.flatnonzero(~valid)
        if nulls.size == self.count:
            self._at = self._at + 4
            return fields["value"].astype(np.int64), 0, valid
        first = int(self._at[valid.argmax()])
        width = int(self._lengths[first])
        self._at = self._at + (4 + width)
        self._at[nulls] -= width
        return fields["value"].astype(np.int64), width, valid if nulls.size else None


def _overlapping(data: bytes, kind: np.dtype[Any]) -> npt.NDArray[Any]:
    """An item that begins at each byte."""
    return np.ndarray((len(data) - kind.itemsize + 1,), kind, buffer=data, strides=(1,))


def _integers(block: _AnyBlock, kind: pa.DataType) -> pa.Array:
    values, valid = block.wholes()
    return from_values(values, kind, valid)


def _doubles(block: _AnyBlock, kind: pa.DataType) -> pa.Array:
    values, valid = block.doubles()
    return from_values(values.view(np.float64), kind, valid)


def _truths(block: _AnyBlock, _kind: pa.DataType) -> pa.Array:
    values, valid = block.truths()
    return from_truth(values != 0, valid)


def _timestamps(block: _AnyBlock, kind: pa.DataType) -> pa.Array:
    """One that is outside the calendar, or infinite, is the first one after the year 9999."""
    values, valid = block.wholes()
    inside = (values >= FIRST - _EPOCH) & (values <= LAST - _EPOCH)
    return from_values(np.where(inside, values + _EPOCH * inside, LAST + 1), kind, valid)


def _dates(block: _AnyBlock, kind: pa.DataType) -> pa.Array:
    values, valid = block.wholes()
    days = values + _EPOCH_DAYS
    inside = (days >= _FIRST_DAY) & (days <= _LAST_DAY)
    return from_values(np.where(inside, days, (LAST + 1) // _DAY).astype(np.int32), kind, valid)


def _texts(block: _AnyBlock, _kind: pa.DataType) -> pa.Array:
    return block.texts()


_AnyBlock = _Block | _CompiledBlock
_Column = tuple[FieldKind, Callable[[_AnyBlock, pa.DataType], pa.Array]]

_TEXTS: _Column = (FieldKind.VARIABLE, _texts)
_COLUMNS: dict[pa.DataType, _Column] = {
    pa.bool_(): (FieldKind.TRUTH, _truths),
    pa.int64(): (FieldKind.WHOLE, _integers),
    pa.float64(): (FieldKind.EIGHT, _doubles),
    pa.timestamp("us"): (FieldKind.WHOLE, _timestamps),
    INSTANT: (FieldKind.WHOLE, _timestamps),
    pa.date32(): (FieldKind.WHOLE, _dates),
}
