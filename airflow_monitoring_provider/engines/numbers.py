"""Any Arrow array as doubles: what is a number, what is missing, and what is no number at all.

=====================  =========================================================================================
Arrow type             read as
=====================  =========================================================================================
integers, floats       themselves; NaN is missing
decimals               the nearest double (Arrow's own cast is off by one unit for one value in eight)
booleans               0 and 1
texts                  the number they spell, spaces around it allowed (``1``, ``-.5``, ``1e3``, ``inf``); blank
                       and ``nan`` are missing, anything else is invalid
dictionaries           as their values
everything else        invalid (dates and times are no numbers)
=====================  =========================================================================================
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    fixed_width,
    from_truth,
    is_text,
    text_bytes,
    truth_values,
    valid_rows,
    whole_texts,
)

FloatArray = npt.NDArray[np.float64]

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity|nan)$"
_EXACT_INTEGERS = 1 << 53
_EXACT_POWERS = 22
"""Powers of ten up to 10**22 are doubles, so one division of an exact integer is rounded once."""


@dataclasses.dataclass(frozen=True)
class Doubles:
    """The numbers of an array of n rows.

    :param values: float64 (n,); what stands at a missing or invalid row is undefined. NaN elsewhere is missing, too.
    :param valid: (n,), True where there is a number or NaN; None when everywhere.
    :param invalid: (n,), True where something stands that is no number; None when nowhere.
    :param integers: the values before they became doubles, where they were whole numbers of 64 bits.
    """

    values: FloatArray
    valid: BoolArray | None = None
    invalid: BoolArray | None = None
    integers: npt.NDArray[Any] | None = None

    def missing(self) -> BoolArray:
        """(n,), True where there is neither a number nor anything invalid."""
        absent = np.isnan(self.values)
        if self.valid is not None:
            absent = absent | ~self.valid
        return absent if self.invalid is None else absent & ~self.invalid


def read_doubles(array: pa.Array) -> Doubles:
    """Read an array of any type, see the table above."""
    types, kind = pa.types, array.type
    dtype = plain_dtype(kind)
    if dtype is not None:
        plain = fixed_width(array, dtype)
        wide = dtype.kind != "f" and dtype.itemsize == 8
        return Doubles(plain.astype(np.float64, copy=False), valid_rows(array), None, plain if wide else None)
    if types.is_boolean(kind):
        return Doubles(truth_values(array).astype(np.float64), valid_rows(array))
    if types.is_decimal(kind):
        return Doubles(_decimals(array), valid_rows(array))
    if types.is_dictionary(kind):
        return _dictionary(array)
    if is_text(kind):
        return _texts(array)
    there = valid_rows(array)
    there = np.ones(len(array), np.bool_) if there is None else there
    return Doubles(np.full(len(array), np.nan), np.zeros(len(array), np.bool_), there if there.any() else None)


def _decimals(array: pa.Array) -> FloatArray:
    if pa.types.is_decimal128(array.type) and 0 <= array.type.scale <= _EXACT_POWERS and len(array):
        halves = np.frombuffer(array.buffers()[1], np.int64, 2 * len(array), array.offset * 16).reshape(-1, 2)
        low, high = halves[:, 0], halves[:, 1]
        if ((high == low >> 63) & (np.abs(low) <= _EXACT_INTEGERS)).all():
            return np.asarray(low.astype(np.float64) / 10.0**array.type.scale)
    return fixed_width(array.cast(pa.string()).cast(pa.float64()), np.float64)


def _dictionary(array: pa.DictionaryArray) -> Doubles:
    inner = read_doubles(array.dictionary)
    there = valid_rows(array)
    codes = fixed_width(array.indices, whole_dtype(array.type.index_type)).astype(np.int64)
    if there is not None:
        codes = np.where(there, codes, 0)
    if not len(array.dictionary):
        return Doubles(np.full(len(array), np.nan), np.zeros(len(array), np.bool_))
    valid = there if inner.valid is None else inner.valid[codes] & (True if there is None else there)
    invalid = None if inner.invalid is None else inner.invalid[codes] & (True if there is None else there)
    return Doubles(inner.values[codes], valid, invalid, None if inner.integers is None else inner.integers[codes])


def whole_dtype(kind: pa.DataType) -> np.dtype[Any]:
    """NumPy's type of an Arrow integer type: same width, same sign."""
    return np.dtype(f"{'i' if pa.types.is_signed_integer(kind) else 'u'}{kind.bit_width // 8}")


def plain_dtype(kind: pa.DataType) -> np.dtype[Any] | None:
    """NumPy's type of what lies in memory as a number; None for other types."""
    if pa.types.is_floating(kind):
        return np.dtype(f"f{kind.bit_width // 8}")
    return whole_dtype(kind) if pa.types.is_integer(kind) else None


def _texts(array: pa.Array) -> Doubles:
    texts = array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array
    try:
        numbers = texts.cast(pa.float64())
        return Doubles(fixed_width(numbers, np.float64), valid_rows(numbers))
    except pa.ArrowInvalid:
        pass
    trimmed = pc.utf8_trim_whitespace(whole_texts(texts))
    there = valid_rows(texts)
    there = np.ones(len(texts), np.bool_) if there is None else there
    spelled = truth_values(pc.match_substring_regex(trimmed, _NUMBER)) & there
    blank = there & (np.diff(text_bytes(trimmed)[1]) == 0)
    numbers = pc.if_else(from_truth(spelled), trimmed, pa.nulls(len(texts), trimmed.type)).cast(pa.float64())
    invalid = there & ~spelled & ~blank
    return Doubles(fixed_width(numbers, np.float64), spelled, invalid if invalid.any() else None)
