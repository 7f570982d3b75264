"""Rows that come as Python objects (an application's results), on their way to :mod:`values`.

Drivers disagree about what they accept: SQLite stores a NumPy integer as raw bytes, others raise on ``pd.NA``, ``NaT``,
a lone surrogate or 2 to the 64. Here every object becomes a plain Arrow value, or null with its row marked.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.outputs.values import NAIVE
from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.instants import INSTANT

_LARGEST = 2**63


class _Unstorable:
    pass


_UNSTORABLE = _Unstorable()


def batch_from_python(columns: Mapping[str, Sequence[object]]) -> tuple[pa.RecordBatch, BoolArray]:
    """Columns of Python, NumPy and pandas scalars as a batch, and the rows that hold an unstorable value.

    A column has the narrowest of bool, int64, float64, decimal, date, timestamp (with or without zone), binary and
    text that holds all its values exactly; None, ``pd.NA``, ``NaT``, NaN and infinities are null. Anything else is
    written as its ``str``; what has none, or one that is not UTF-8, is unstorable.
    """
    arrays, lost = [], np.zeros(len(next(iter(columns.values()), ())), dtype=np.bool_)
    for values in columns.values():
        plain = [_plain(value) for value in values]
        lost |= np.fromiter((value is _UNSTORABLE for value in plain), np.bool_, len(plain))
        arrays.append(_column([None if value is _UNSTORABLE else value for value in plain]))
    return pa.RecordBatch.from_arrays(arrays, names=list(columns)), lost


def _plain(value: Any) -> Any:
    """A value of one of Python's own types, None, or the mark of an unstorable one."""
    if isinstance(value, np.generic):
        value = _from_numpy(value)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _LARGEST:
            return _UNSTORABLE  # a datetime64 outside Python's calendar comes as an integer
    if value is None or _is_missing(value):
        return None
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, bool | bytes):
        return value
    if isinstance(value, int):
        return int(value) if -_LARGEST <= value < _LARGEST else _UNSTORABLE
    if isinstance(value, dt.datetime):
        return dt.datetime.fromisoformat(value.isoformat(timespec="microseconds"))  # pandas' carry nanoseconds
    if isinstance(value, dt.date):
        return value
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    try:
        text = str(value)
    except Exception:  # an object of an application's own may do anything
        return _UNSTORABLE
    return _plain_text(text)


def _from_numpy(value: np.generic) -> Any:
    """The same in a type of Python's own; instants and durations first in microseconds, nanoseconds would be int."""
    if isinstance(value, np.datetime64):
        return value.astype("datetime64[us]").item()
    if isinstance(value, np.timedelta64):
        whole = value.astype("timedelta64[us]").item()
        return str(whole) if isinstance(whole, dt.timedelta) else whole
    if isinstance(value, np.longdouble):
        double = float(value)
        return double if double == value or not np.isfinite(value) else str(value)
    return value.item()


def _is_missing(value: Any) -> bool:
    # Named and not imported: pandas costs half a second, and whoever has such a value has paid already.
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and value != value


def _plain_text(text: str) -> object:
    try:
        text.encode()
    except UnicodeEncodeError:
        return _UNSTORABLE
    return str(text)


def _column(values: list[Any]) -> pa.Array:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} and kinds:
        return pa.array(values, pa.bool_())
    if kinds <= {int} and kinds:
        return pa.array(values, pa.int64())
    if kinds <= {int, float} and kinds and all(value is None or float(value) == value for value in values):
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    if kinds == {Decimal} and (decimals := _decimals(values)) is not None:
        return decimals
    if kinds <= {dt.date} and kinds:
        return pa.array(values, pa.date32())
    if kinds <= {dt.datetime} and kinds:
        zoned = {value.tzinfo is not None for value in values if value is not None}
        if len(zoned) == 1:
            return pa.array(values, INSTANT if zoned == {True} else NAIVE)
    if kinds <= {bytes} and kinds:
        return pa.array(values, pa.binary())
    return pa.array([None if value is None else _text(value) for value in values], pa.string())


def _decimals(values: list[Any]) -> pa.Array | None:
    """The decimals in the narrowest type that holds them all, None where Arrow's widest does not."""
    parts = [value.as_tuple() for value in values if value is not None]
    scale = max(0, *(-part.exponent for part in parts))
    digits = scale + max(1, *(len(part.digits) + part.exponent for part in parts))
    if digits > 76:
        return None
    return pa.array(values, pa.decimal128(digits, scale) if digits <= 38 else pa.decimal256(digits, scale))


_TEXTS: dict[type, Callable[[Any], str]] = {bool: lambda value: "true" if value else "false", bytes: bytes.hex}


def _text(value: Any) -> str:
    return _TEXTS.get(type(value), str)(value)
