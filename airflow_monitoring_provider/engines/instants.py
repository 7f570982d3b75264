"""Any Arrow array as instants: microseconds since 1970 UTC.

Timestamps of any unit, dates (their midnight) and ISO 8601 texts are instants; without a zone they are taken as UTC.
Numbers are not: nothing says what they count from.
"""

from __future__ import annotations

import dataclasses
import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.profiles.arrays import BoolArray, fixed_width, is_text, valid_rows

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY = 86_400_000_000
_LIMIT = 1 << 62
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True)
class Instants:
    """The instants of an array of n rows.

    :param microseconds: int64 (n,); undefined where not valid.
    :param valid: (n,), True where there is an instant; None when everywhere.
    :param invalid: (n,), True where something stands that is no instant; None when nowhere.
    """

    microseconds: npt.NDArray[np.int64]
    valid: BoolArray | None = None
    invalid: BoolArray | None = None


def read_instants(array: pa.Array) -> Instants:
    """Read an array of any type; instants more than 146 000 years from 1970 are invalid."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        return read_instants(array.dictionary.take(array.indices))
    if pa.types.is_date32(kind):
        return Instants(fixed_width(array, np.int32).astype(np.int64) * _DAY, valid_rows(array))
    if pa.types.is_date64(kind):
        return Instants(fixed_width(array, np.int64) * 1_000, valid_rows(array))
    if pa.types.is_timestamp(kind):
        return _timestamps(array)
    there = valid_rows(array)
    there = np.ones(len(array), np.bool_) if there is None else there
    if not is_text(kind):
        return Instants(np.zeros(len(array), np.int64), np.zeros(len(array), np.bool_), there if there.any() else None)
    return _texts(array, there)


def _timestamps(array: pa.Array) -> Instants:
    ticks, valid = fixed_width(array, np.int64), valid_rows(array)
    unit = _PER_SECOND[array.type.unit]
    if unit >= 1_000_000:
        return Instants(ticks // (unit // 1_000_000), valid)
    factor = 1_000_000 // unit
    near = np.abs(ticks) <= _LIMIT // factor
    if valid is not None:
        near = near | ~valid
    if near.all():
        return Instants(ticks * factor, valid)
    valid = near if valid is None else valid & near
    return Instants(np.where(near, ticks, 0) * factor, valid, ~near)


def _texts(array: pa.Array, there: BoolArray) -> Instants:
    encoded = array.cast(pa.large_string()).dictionary_encode()
    distinct = [_parse(text) for text in encoded.dictionary.to_pylist()] or [None]
    codes = np.where(there, fixed_width(encoded.indices, np.int32), 0)
    instants = np.array([0 if instant is None else instant for instant in distinct], np.int64)[codes]
    valid = np.array([instant is not None for instant in distinct], np.bool_)[codes] & there
    invalid = there & ~valid
    return Instants(instants, valid, invalid if invalid.any() else None)


def _parse(text: str) -> int | None:
    try:
        stamp = datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    stamp = stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=datetime.UTC)
    return (stamp - _EPOCH) // _MICROSECOND
