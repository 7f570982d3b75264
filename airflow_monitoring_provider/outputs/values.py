"""What is written of a value: the one place every row passes before a database or file sees it.

================================================ ==================================================================
value                                            written as
================================================ ==================================================================
NaN, infinite                                    null
text with U+0000, or that is not UTF-8           null, unstorable: no database holds it
timestamp or date outside the years 1 to 9999    null, unstorable
integer beyond 64 bits                           null, unstorable
time of day outside 00:00 to 24:00               null, unstorable
decimal                                          itself, to the last digit; of a negative scale with its zeros
nanoseconds                                      microseconds, cut
list, struct, map                                compact JSON text
time of day, duration                            text
a list or duration that Python cannot hold       null, unstorable
dictionary- and run-end-encoded, large and view  the plain type
types, extension types
================================================ ==================================================================

A row with an unstorable value keeps its place; its status says so. In a table that was there before, what a narrower
column makes of a value is that column's own: PostgreSQL rounds to the scale of a ``numeric``, SQLite's ``NUMERIC``
keeps 15 digits, a ``real`` rounds. Tables this package makes have columns that change nothing.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.definitions import RowStatus
from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    fixed_width,
    from_texts,
    from_truth,
    from_values,
    is_text,
    text_bytes,
    truth_values,
    valid_flags,
)
from airflow_monitoring_provider.profiles.instants import FIRST, INSTANT, LAST

NAIVE = pa.timestamp("us")
CODED = pa.dictionary(pa.int32(), pa.string())
"""What writers are handed for texts of which there are few."""

_FIRST_DAY, _LAST_DAY = -719_162, 2_932_896
_DAY = 86_400_000  # milliseconds
_MOST_DIGITS = 76  # of Arrow's decimals
_UNITS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_PLAIN = {pa.bool_(), pa.int64(), pa.float64(), pa.string(), pa.binary(), pa.date32(), INSTANT, NAIVE}


def unstorable_rows(batch: pa.RecordBatch) -> BoolArray:
    """True for rows that hold a value no database can hold."""
    return storable(batch)[1]


def storable(batch: pa.RecordBatch, *, coded: str | None = None) -> tuple[pa.RecordBatch, BoolArray]:
    """The batch as it is written, by the table above, and the rows that lost a value.

    :param coded: a column of few texts that stays a dictionary where it is one.
    """
    lost = np.zeros(batch.num_rows, dtype=np.bool_)
    columns = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name == coded and _is_coded(column):
            columns.append(column)
            continue
        plain, missing = _storable_column(column)
        if missing is not None:
            lost |= missing
        columns.append(plain)
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names), lost


def stored_type(kind: pa.DataType) -> pa.DataType:
    """The type in which a column of a type is written."""
    return _storable_column(pa.nulls(0, kind))[0].type


def told(batch: pa.RecordBatch, lost: BoolArray, status_column: str) -> pa.RecordBatch:
    """The batch with the status of rows that lost a value, unless they were rejected for another reason."""
    position = batch.schema.get_field_index(status_column)
    if position < 0 or not lost.any():
        return batch
    statuses = batch.column(position)
    coded = pa.types.is_dictionary(statuses.type)
    if coded:
        statuses = statuses.dictionary_decode()
    accepted = truth_values(pc.is_in(statuses, value_set=repeated(RowStatus.MONITORED.text, 1)))
    unstorable = repeated(RowStatus.UNSTORABLE_VALUE.text, len(batch))
    changed = pc.if_else(from_truth(lost & accepted), unstorable, statuses)
    changed = changed.dictionary_encode() if coded else changed
    return batch.set_column(position, status_column, changed)


def repeated(text: str, count: int) -> pa.StringArray:
    """One text in every row."""
    data = text.encode()
    offsets = np.arange(count + 1, dtype=np.int32) * len(data)
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data * count)])


def _is_coded(column: pa.Array) -> bool:
    """A dictionary of plain texts, each of which can be stored."""
    if not pa.types.is_dictionary(column.type) or not pa.types.is_string(column.type.value_type):
        return False
    return not column.dictionary.null_count and _texts(column.dictionary)[1] is None


def _storable_column(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    """The column as it is written, and the rows that lost their value (None: none did)."""
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _storable_column(column.storage)
    if pa.types.is_dictionary(kind):
        return _storable_column(column.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _storable_column(pc.run_end_decode(column))
    if pa.types.is_null(kind):
        return pa.nulls(len(column), pa.string()), None
    if pa.types.is_floating(kind):
        doubles = column.cast(pa.float64())
        return _masked(doubles, np.isfinite(fixed_width(doubles, np.float64))), None
    if pa.types.is_integer(kind):
        return _integers(column)
    if pa.types.is_timestamp(kind):
        return _timestamps(column)
    if pa.types.is_date(kind):
        return _days(column)
    if pa.types.is_nested(kind):
        return _python_texts(column, _json_text)
    if is_text(kind):
        return _texts(column.cast(pa.string()))
    if pa.types.is_duration(kind):
        return _durations(column)
    if pa.types.is_interval(kind):
        return _python_texts(column, str)
    if pa.types.is_time(kind):
        return _times(column)
    if pa.types.is_decimal(kind):
        return _decimals(column), None
    if kind in _PLAIN:
        return column, None
    return column.cast(pa.binary()), None


def _integers(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    if not pa.types.is_uint64(column.type):
        return column.cast(pa.int64()), None
    signed = column.view(pa.int64())
    return _dropped(signed, fixed_width(signed, np.int64) >= 0)


def _timestamps(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    kind = INSTANT if column.type.tz is not None else NAIVE
    values = fixed_width(column, np.int64)
    if column.type.unit == "ns":
        whole = from_values(np.floor_divide(values, 1_000), kind)
        return _masked(whole, valid_flags(column)), None
    factor = _UNITS[column.type.unit]
    inside = (values >= -(-FIRST // factor)) & (values <= LAST // factor)
    scaled = np.where(inside, values, 0) * factor
    whole = from_values(scaled, kind)
    return _dropped(_masked(whole, valid_flags(column)), inside)


def _days(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    if pa.types.is_date32(column.type):
        days = fixed_width(column, np.int32)
        return _dropped(column, (days >= _FIRST_DAY) & (days <= _LAST_DAY))
    counted = np.floor_divide(fixed_width(column, np.int64), _DAY)  # Arrow's own cast wraps around at 32 bits
    inside = (counted >= _FIRST_DAY) & (counted <= _LAST_DAY)
    whole = from_values(np.where(inside, counted, 0).astype(np.int32), pa.date32(), valid_flags(column))
    return _dropped(whole, inside)


def _times(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    seconds = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}[column.type.unit]
    values = fixed_width(column, np.int32 if column.type.bit_width == 32 else np.int64)
    column, lost = _dropped(column, (values >= 0) & (values < 86_400 * seconds))
    return column.cast(pa.string()), lost


def _durations(column: pa.Array) -> tuple[pa.Array, BoolArray | None]:
    """As Python writes them. Arrow's own way of nanoseconds depends on whether pandas is installed."""
    factor, divisor = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}[column.type.unit]
    values = fixed_width(column, np.int64).tolist()
    texts: list[str | None] = []
    lost = np.zeros(len(column), dtype=np.bool_)
    for row, (value, valid) in enumerate(zip(values, valid_flags(column).tolist(), strict=True)):
        try:
            texts.append(str(dt.timedelta(microseconds=value * factor // divisor)) if valid else None)
        except OverflowError:
            texts.append(None)
            lost[row] = True
    return from_texts(texts, pa.string()), lost if lost.any() else None


def _decimals(column: pa.Array) -> pa.Array:
    """Parquet and older databases know no negative scale."""
    kind = column.type
    if kind.scale >= 0:
        return column
    digits = kind.precision - kind.scale
    if digits > _MOST_DIGITS:
        return from_texts([None if value is None else f"{value:f}" for value in column.to_pylist()], pa.string())
    return column.cast(pa.decimal256(digits, 0))


def _texts(column: pa.StringArray) -> tuple[pa.Array, BoolArray | None]:
    data, _ = text_bytes(column)
    if not data.size or (data.min() and data.max() < 128):  # ASCII without NUL: a look at every byte, of none in detail
        return column, None
    broken = None
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:  # Parquet is read without a look at its texts, and a driver would stop at the first one
        raw = column.cast(pa.binary())
        whole = np.fromiter((_is_utf8(value) for value in raw.to_pylist()), np.bool_, len(raw))
        raw, broken = _dropped(raw, whole)
        column = raw.cast(pa.string())
    column, cut = _dropped(column, ~truth_values(pc.match_substring(column, "\x00")))
    if broken is None or cut is None:
        return column, cut if broken is None else broken
    return column, broken | cut


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


def _python_texts(column: pa.Array, write: Callable[[Any], str]) -> tuple[pa.Array, BoolArray | None]:
    """Texts of values that only Python can write; those it has no form for are lost."""
    texts: list[str | None] = []
    lost = np.zeros(len(column), dtype=np.bool_)
    for row, scalar in enumerate(column):
        try:
            value = scalar.as_py()
            texts.append(None if value is None else write(value))
        except (ValueError, OverflowError):  # an instant beyond its calendar, a text that is not UTF-8
            texts.append(None)
            lost[row] = True
    return from_texts(texts, pa.string()), lost if lost.any() else None


def _json_text(value: Any) -> str:
    return json.dumps(_jsonable(value), separators=(",", ":"), ensure_ascii=False, default=str)


def _jsonable(value: Any) -> Any:
    """JSON has no NaN, and bytes are written as hexadecimal digits."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.hex() if isinstance(value, bytes) else value


def _dropped(column: pa.Array, good: BoolArray) -> tuple[pa.Array, BoolArray | None]:
    lost = valid_flags(column) & ~good
    return (_masked(column, good), lost) if lost.any() else (column, None)


def _masked(column: pa.Array, good: BoolArray) -> pa.Array:
    """Null where not good."""
    if good.all():
        return column
    return pc.if_else(from_truth(good), column, pa.nulls(len(column), column.type))
