"""NumPy views of Arrow arrays and back, without pandas.

``pa.array``, ``pa.scalar`` and ``Array.to_numpy`` import pandas whenever it is installed (half a second, 50 to 100 MB);
buffers do not. Views are read-only and honour the array's offset; what a null slot holds is undefined.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BoolArray = npt.NDArray[np.bool_]


def valid_rows(array: pa.Array) -> BoolArray | None:
    """True where the array holds a value; None when there is no null."""
    if array.null_count == 0:
        return None
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.bool_)
    bitmap = array.buffers()[0]
    return _bits(bitmap, array.offset, len(array)) if bitmap is not None else None


def fixed_width(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The values of a fixed-width array (numbers, dates, timestamps, indices) as ``dtype`` of the same width."""
    kind = np.dtype(dtype)
    buffer = array.buffers()[1]
    if buffer is None or len(array) == 0:
        return np.zeros(len(array), kind)
    return np.frombuffer(buffer, kind, len(array), array.offset * kind.itemsize)


def truth_values(array: pa.Array) -> BoolArray:
    """The values of a boolean array."""
    buffer = array.buffers()[1]
    return _bits(buffer, array.offset, len(array)) if buffer is not None else np.zeros(len(array), np.bool_)


def text_bytes(texts: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 bytes of a string (or binary) array and the offsets of its rows in them (length ``len(texts) + 1``)."""
    wide = pa.types.is_large_string(texts.type) or pa.types.is_large_binary(texts.type)
    _, offset_buffer, data_buffer = texts.buffers()
    if len(texts) == 0 or offset_buffer is None:
        return np.zeros(0, np.uint8), np.zeros(len(texts) + 1, np.int64)
    dtype = np.dtype(np.int64 if wide else np.int32)
    offsets = np.frombuffer(offset_buffer, dtype, len(texts) + 1, texts.offset * dtype.itemsize).astype(np.int64)
    first = int(offsets[0])
    length = int(offsets[-1]) - first
    offsets -= first
    if data_buffer is None or not length:
        return np.zeros(0, np.uint8), offsets
    return np.frombuffer(data_buffer, np.uint8, length, first), offsets


def from_texts(texts: Sequence[str | None]) -> pa.Array:
    """A ``large_string`` array of the texts."""
    encoded = [b"" if text is None else text.encode() for text in texts]
    offsets = np.zeros(len(encoded) + 1, np.int64)
    np.cumsum([len(text) for text in encoded], out=offsets[1:])
    present = np.array([text is not None for text in texts], np.bool_)
    validity = None if present.all() else _bitmap(present)
    return pa.Array.from_buffers(
        pa.large_string(), len(encoded), [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    )


def from_values(values: npt.NDArray[Any], arrow_type: pa.DataType) -> pa.Array:
    """An Arrow array of fixed width over the values, without nulls."""
    return pa.Array.from_buffers(arrow_type, values.size, [None, pa.py_buffer(np.ascontiguousarray(values))])


def from_truth(values: BoolArray) -> pa.Array:
    """A boolean Arrow array without nulls."""
    return pa.Array.from_buffers(pa.bool_(), values.size, [None, _bitmap(values)])


def decoded(array: pa.Array) -> pa.Array:
    """The array itself, without a dictionary that holds nulls of its own."""
    if pa.types.is_dictionary(array.type) and array.dictionary.null_count:
        return array.dictionary.take(array.indices)
    return array


def is_text(arrow_type: pa.DataType) -> bool:
    """A type of Unicode texts, however it is laid out."""
    return bool(
        pa.types.is_string(arrow_type) or pa.types.is_large_string(arrow_type) or pa.types.is_string_view(arrow_type)
    )


def _bits(buffer: pa.Buffer, offset: int, length: int) -> BoolArray:
    first, skip = divmod(offset, 8)
    packed = np.frombuffer(buffer, np.uint8, (skip + length + 7) // 8, first)
    return np.unpackbits(packed, count=skip + length, bitorder="little")[skip:].view(np.bool_)


def _bitmap(values: BoolArray) -> pa.Buffer:
    return pa.py_buffer(np.packbits(values, bitorder="little"))
