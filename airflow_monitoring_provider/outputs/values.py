"""What is written of a value: the one place every row passes before a database or file sees it.

================================================ ==================================================================
value                                            written as
================================================ ==================================================================
NaN, infinite                                    null
text with U+0000                                 null, unstorable: no database holds it
timestamp or date outside the years 1 to 9999    null, unstorable
integer beyond 64 bits                           null, unstorable
nanoseconds                                      microseconds, cut
list, struct, map                                compact JSON text
time of day, duration                            text
dictionary-encoded, large and view types         the plain type
================================================ ==================================================================

A row with an unstorable value keeps its place; its status says so.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_monitoring_provider.definitions import RowStatus

Flags = NDArray[np.bool_]

INSTANT = pa.timestamp("us", "UTC")
NAIVE = pa.timestamp("us")

_FIRST, _LAST = -62_135_596_800_000_000, 253_402_300_799_999_999  # the years 1 to 9999 in microseconds
_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_PLAIN = {pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.date32(), INSTANT, NAIVE}


def unstorable_rows(batch: pa.RecordBatch) -> Flags:
    """True for rows that hold a value no database can hold."""
    return storable(batch)[1]


def storable(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Flags]:
    """The batch as it is written, by the table above, and the rows that lost a value."""
    lost = np.zeros(batch.num_rows, dtype=np.bool_)
    columns = []
    for column in batch.columns:
        plain, missing = _storable_column(column)
        if missing is not None:
            lost |= missing
        columns.append(plain)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names), lost


def stored_type(kind: pa.DataType) -> pa.DataType:
    """The type in which a column of a type is written."""
    return _storable_column(pa.nulls(0, kind))[0].type


def told(batch: pa.RecordBatch, lost: Flags, status_column: str) -> pa.RecordBatch:
    """The batch with the status of rows that lost a value, unless they were rejected for another reason."""
    position = batch.schema.get_field_index(status_column)
    if position < 0 or not lost.any():
        return batch
    statuses = batch.column(position)
    accepted = flags(pc.is_in(statuses, value_set=repeated(RowStatus.MONITORED.text, 1)))
    unstorable = repeated(RowStatus.UNSTORABLE_VALUE.text, len(batch))
    changed = pc.if_else(boolean_array(lost & accepted), unstorable, statuses)
    return batch.set_column(position, status_column, changed)


def flags(array: pa.BooleanArray) -> Flags:
    """The values of a boolean array; null counts as false."""
    if len(array) == 0:
        return np.zeros(0, dtype=np.bool_)
    return _bits(array.buffers()[1], array) & valid_flags(array)


def valid_flags(array: pa.Array) -> Flags:
    """True where the value is not null."""
    if array.null_count == len(array):
        return np.zeros(len(array), dtype=np.bool_)
    bitmap = array.buffers()[0]
    return np.ones(len(array), dtype=np.bool_) if bitmap is None else _bits(bitmap, array)


def boolean_array(values: Flags) -> pa.BooleanArray:
    """The flags as an Arrow array without nulls."""
    return pa.Array.from_buffers(pa.bool_(), len(values), [None, pa.py_buffer(np.packbits(values, bitorder="little"))])


def repeated(text: str, count: int) -> pa.StringArray:
    """One text in every row."""
    data = text.encode()
    offsets = np.arange(count + 1, dtype=np.int32) * len(data)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data * count)])


def words(array: pa.Array, kind: type[np.generic]) -> NDArray[Any]:
    """The memory of a fixed-width array; what lies under a null is anything."""
    buffer = array.buffers()[1] if len(array) else None
    if buffer is None:
        return np.zeros(len(array), dtype=kind)
    return np.frombuffer(buffer, dtype=kind, count=len(array), offset=array.offset * np.dtype(kind).itemsize)


def _storable_column(column: pa.Array) -> tuple[pa.Array, Flags | None]:
    """The column as it is written, and the rows that lost their value (None: none did)."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _storable_column(column.dictionary_decode())
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string()), None
    if pa.types.is_floating(kind):
        doubles = column.cast(pa.float64())
        return _masked(doubles, np.isfinite(words(doubles, np.float64))), None
    if pa.types.is_integer(kind):
        return _integers(column)
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    if pa.types.is_date(kind):
        days = column.cast(pa.date32(), safe=False)
        return _dropped(days, (words(days, np.int32) >= _FIRST_DAY) & (words(days, np.int32) <= _LAST_DAY))
    if pa.types.is_nested(kind):
        return _json_texts(column), None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return _texts(column.cast(pa.string()))
    if pa.types.is_duration(kind) or pa.types.is_interval(kind):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string()), None
    if pa.types.is_time(kind):
        return column.cast(pa.string()), None
    if pa.types.is_decimal(kind) or kind in _PLAIN:
        return column, None
    return column.cast(pa.binary()), None


def _integers(column: pa.Array) -> tuple[pa.Array, Flags | None]:
    if not pa.types.is_uint64(column.type):
        return column.cast(pa.int64()), None
    signed = column.view(pa.int64())
    return _dropped(signed, words(signed, np.int64) >= 0)


def _timestamps(column: pa.Array) -> tuple[pa.Array, Flags | None]:
    kind = INSTANT if column.type.tz is not None else NAIVE
    values = words(column, np.int64)
    if column.type.unit == "ns":
        whole = pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(np.floor_divide(values, 1_000))])
        return _masked(whole, valid_flags(column)), None
    factor = _UNITS[column.type.unit]
    inside = (values >= -(-_FIRST // factor)) & (values <= _LAST // factor)
    scaled = np.where(inside, values, 0) * factor
    whole = pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(scaled)])
    return _dropped(_masked(whole, valid_flags(column)), inside)


def _texts(column: pa.StringArray) -> tuple[pa.Array, Flags | None]:
    nul = flags(pc.match_substring(column, "\x00"))
    return _dropped(column, ~nul)


def _json_texts(column: pa.Array) -> pa.Array:
    texts = [
        None if value is None else json.dumps(_jsonable(value), separators=(",", ":"), ensure_ascii=False, default=str)
        for value in column.to_pylist()
    ]
    return pa.array(texts, pa.string())


def _jsonable(value: Any) -> Any:
    """JSON has no NaN, and bytes are written as hexadecimal digits."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.hex() if isinstance(value, bytes) else value


def _dropped(column: pa.Array, good: Flags) -> tuple[pa.Array, Flags | None]:
    lost = valid_flags(column) & ~good
    return (_masked(column, good), lost) if lost.any() else (column, None)


def _masked(column: pa.Array, good: Flags) -> pa.Array:
    """Null where not good."""
    if good.all():
        return column
    return pc.if_else(boolean_array(good), column, pa.nulls(len(column), column.type))


def _bits(buffer: pa.Buffer, array: pa.Array) -> Flags:
    first, last = array.offset // 8, (array.offset + len(array) + 7) // 8
    packed = np.frombuffer(buffer, dtype=np.uint8, count=last - first, offset=first)
    return np.unpackbits(packed, bitorder="little")[array.offset % 8 : array.offset % 8 + len(array)].view(np.bool_)
