"""Arrow arrays seen as NumPy memory and made from it: the one place that touches their buffers.

``pa.array``, ``pa.scalar`` and ``Array.to_numpy`` import pandas whenever it is installed (half a second, 50 to 100 MB);
buffers do not. Views are read-only and honour the array's offset; what a null slot holds is undefined.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

BoolArray = npt.NDArray[np.bool_]


def valid_rows(array: pa.Array) -> BoolArray | None:
    """(n,), True where the array holds a value; None when there is no null."""
    if array.null_count == 0:
        return None
    if pa.types.is_null(array.type):
        return np.zeros(len(array), np.bool_)
    bitmap = array.buffers()[0]
    return _bits(bitmap, array.offset, len(array)) if bitmap is not None else None


def valid_bits(array: pa.Array) -> tuple[npt.NDArray[np.uint8], int] | None:
    """The packed flags of :func:`valid_rows`, lowest bit of a byte first, and the number of the first row's bit.

    None when there is no null; the array is not of Arrow's null type.
    """
    bitmap = array.buffers()[0] if array.null_count else None
    return None if bitmap is None else (np.frombuffer(bitmap, np.uint8), array.offset)


def valid_flags(array: pa.Array) -> BoolArray:
    """(n,), True where the array holds a value: :func:`valid_rows` for callers who need the flags in any case."""
    valid = valid_rows(array)
    return np.ones(len(array), np.bool_) if valid is None else valid


def fixed_width(array: pa.Array, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """(n,), the values of a fixed-width array (numbers, dates, timestamps, indices) as ``dtype`` of the same width."""
    kind = np.dtype(dtype)
    buffer = array.buffers()[-1]
    if buffer is None or len(array) == 0:
        return np.zeros(len(array), kind)
    return np.frombuffer(buffer, kind, len(array), array.offset * kind.itemsize)


def truth_values(array: pa.Array) -> BoolArray:
    """(n,), the values of a boolean array; a null counts as false."""
    buffer = array.buffers()[-1]
    if buffer is None or len(array) == 0:
        return np.zeros(len(array), np.bool_)
    values, valid = _bits(buffer, array.offset, len(array)), valid_rows(array)
    return values if valid is None else values & valid


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


def from_values(values: npt.NDArray[Any], arrow_type: pa.DataType, valid: BoolArray | None = None) -> pa.Array:
    """An Arrow array of fixed width over the memory of ``values``, which has that width.

    :param valid: (n,), False where the value is null; None means no nulls.
    """
    bitmap = None if valid is None or valid.all() else _bitmap(valid)
    return pa.Array.from_buffers(arrow_type, values.size, [bitmap, pa.py_buffer(np.ascontiguousarray(values))])


def from_truth(values: BoolArray, valid: BoolArray | None = None) -> pa.Array:
    """A boolean Arrow array.

    :param valid: (n,), False where the value is null; None means no nulls.
    """
    bitmap = None if valid is None or valid.all() else _bitmap(valid)
    return pa.Array.from_buffers(pa.bool_(), values.size, [bitmap, _bitmap(values)])


def from_texts(texts: Sequence[str | None], arrow_type: pa.DataType | None = None) -> pa.Array:
    """A string array (``large_string`` unless told otherwise); lone surrogates, which are no UTF-8, become U+FFFD."""
    encoded = [None if text is None else _utf8(text) for text in texts]
    return from_bytes(encoded, arrow_type or pa.large_string())


def from_bytes(values: Sequence[bytes | None], arrow_type: pa.DataType) -> pa.Array:
    """A binary or string array, small or large, of Python bytes.

    :param arrow_type: a string type only for bytes that are known to be UTF-8; see :func:`as_texts`.
    """
    wide = pa.types.is_large_string(arrow_type) or pa.types.is_large_binary(arrow_type)
    bitmap = None
    if None in values:
        bitmap = _bitmap(np.frombuffer(bytes(map(operator.is_not, values, itertools.repeat(None))), np.bool_))
        values = [b"" if value is None else value for value in values]
    offsets = np.zeros(len(values) + 1, np.int64 if wide else np.int32)
    np.cumsum(np.array(list(map(len, values)), offsets.dtype), out=offsets[1:])  # type: ignore[arg-type]
    data = pa.py_buffer(b"".join(values))  # type: ignore[arg-type]
    return pa.Array.from_buffers(arrow_type, len(values), [bitmap, pa.py_buffer(offsets), data])


def from_offsets(offsets: npt.NDArray[np.int32], data: npt.NDArray[np.uint8], valid: BoolArray) -> pa.Array:
    """A binary array over memory that is laid out as Arrow's: ``data`` and where in it each value begins (n + 1,).

    :param valid: (n,), False where the value is null.
    """
    bitmap = None if valid.all() else _bitmap(valid)
    return pa.Array.from_buffers(pa.binary(), valid.size, [bitmap, pa.py_buffer(offsets), pa.py_buffer(data)])


def whole_texts(texts: pa.Array) -> pa.Array:
    """A string array as UTF-8, which readers that do not look at texts (Parquet's) may not deliver."""
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        return as_texts(texts.cast(pa.large_binary()).cast(pa.binary())).cast(texts.type)
    return texts


def as_texts(values: pa.BinaryArray) -> pa.StringArray:
    """Bytes as text; where they are not UTF-8 the broken ones become U+FFFD, since no row may stop a job."""
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid:
        readable = [None if v is None else v.decode("utf-8", "replace").encode() for v in values.to_pylist()]
        return from_bytes(readable, pa.string())


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


def readable(text: str) -> str:
    """The text with U+FFFD in place of lone surrogates; ``?`` would make it equal to a text that has a ``?`` there."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        return readable(text).encode()


def _bits(buffer: pa.Buffer, offset: int, length: int) -> BoolArray:
    first, skip = divmod(offset, 8)
    packed = np.frombuffer(buffer, np.uint8, (skip + length + 7) // 8, first)
    return np.unpackbits(packed, count=skip + length, bitorder="little")[skip:].view(np.bool_)


def _bitmap(values: BoolArray) -> pa.Buffer:
    """Flags as Arrow packs them, eight to a byte, the first in the lowest bit."""
    return pa.py_buffer(np.packbits(values, bitorder="little"))
