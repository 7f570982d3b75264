"""Arrow arrays made from and seen as NumPy memory.

``pa.array``, ``pa.scalar`` and ``Array.to_numpy`` import pandas where it is installed: half a second and 50 MB that no
job needs. The few conversions of this room are made on the buffers instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Flags = NDArray[np.bool_]
Word = TypeVar("Word", np.int64, np.float64)


def int64_values(array: pa.Array) -> NDArray[np.int64]:
    """The 64-bit words of an int64, timestamp, date64 or time64 array; words under a null hold anything."""
    return _words(array, np.int64)


def float64_values(array: pa.Array) -> NDArray[np.float64]:
    """The values of a float64 array; values under a null hold anything."""
    return _words(array, np.float64)


def valid_flags(array: pa.Array) -> Flags:
    """True where the value is not null."""
    if pa.types.is_null(array.type):
        return np.zeros(len(array), dtype=np.bool_)
    bitmap = array.buffers()[0]
    if bitmap is None or array.null_count == 0:
        return np.ones(len(array), dtype=np.bool_)
    return _bits(bitmap, array.offset, len(array))


def flags(array: pa.BooleanArray) -> Flags:
    """The values of a boolean array; a null counts as false."""
    if len(array) == 0:
        return np.zeros(0, dtype=np.bool_)
    return _bits(array.buffers()[1], array.offset, len(array)) & valid_flags(array)


def boolean_array(values: Flags) -> pa.BooleanArray:
    """The flags as an Arrow array without nulls."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, _packed(values)])


def fixed_array(values: NDArray[np.generic], valid: Flags | None, kind: pa.DataType) -> pa.Array:
    """An array of a fixed-width Arrow type over the memory of ``values``, which has that width.

    :param valid: False where the value is null; None means no nulls.
    """
    bitmap = None if valid is None or valid.all() else _packed(valid)
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(np.ascontiguousarray(values))])


def binary_array(values: Sequence[bytes | None], kind: pa.DataType) -> pa.Array:
    """A binary or string array (32-bit offsets) of Python bytes.

    :param kind: ``pa.string()`` only for bytes that are known to be UTF-8; see :func:`text_array`.
    """
    valid = None
    if None in values:
        valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
        values = [value or b"" for value in values]
    offsets = np.zeros(len(values) + 1, dtype=np.int32)
    np.cumsum(np.fromiter(map(len, values), np.int32, len(values)), out=offsets[1:])  # type: ignore[arg-type]
    bitmap = None if valid is None else _packed(valid)
    data = pa.py_buffer(b"".join(values))  # type: ignore[arg-type]
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(offsets), data])


def text_array(values: pa.BinaryArray) -> pa.StringArray:
    """Bytes as text; where they are not UTF-8 the broken ones become U+FFFD, since no row may stop a job."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        decoded = [None if v is None else v.decode("utf-8", "replace").encode() for v in values.to_pylist()]
        return binary_array(decoded, pa.string())


def string_array(values: Sequence[str | None]) -> pa.StringArray:
    """Python text as an Arrow array; lone surrogates, which UTF-8 cannot hold, become ``?``."""
    return binary_array([None if v is None else v.encode("utf-8", "replace") for v in values], pa.string())


def _words(array: pa.Array, kind: type[Word]) -> NDArray[Word]:
    buffer = array.buffers()[1] if len(array.buffers()) > 1 else None
    if len(array) == 0 or buffer is None:
        return np.zeros(len(array), dtype=kind)
    width = np.dtype(kind).itemsize
    return np.frombuffer(buffer, dtype=kind, count=len(array), offset=array.offset * width)


def _bits(buffer: pa.Buffer, offset: int, length: int) -> Flags:
    first, last = offset // 8, (offset + length + 7) // 8
    packed = np.frombuffer(buffer, dtype=np.uint8, count=last - first, offset=first)
    return np.unpackbits(packed, bitorder="little")[offset % 8 : offset % 8 + length].view(np.bool_)


def _packed(values: Flags) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
