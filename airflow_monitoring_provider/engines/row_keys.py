"""128-bit keys of identifier tuples, computed for a whole batch at once.

Two 64-bit lanes are mixed over the identifiers of a row. A single whole-number identifier has distinct keys for
distinct values, since every step is then a bijection. Otherwise two different tuples share a key with probability
2**-128 a pair: among 10**10 rows that is 1.5e-19, far below a disk's undetected error rate, so keys are not verified.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.engines.numbers import whole_dtype
from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    decoded,
    fixed_width,
    is_text,
    truth_values,
    valid_rows,
)
from airflow_monitoring_provider.profiles.canonical import canonical_array
from airflow_monitoring_provider.profiles.hashing import UInt64Array, hash_texts, hash_words

RowKeys = tuple[UInt64Array, UInt64Array, BoolArray]


def row_keys(identifiers: Sequence[pa.Array]) -> RowKeys:
    """Both lanes of each row's key, and where no identifier is null (keys of other rows mean nothing).

    Values are told apart by their canonical text within one type: a column must keep its type from batch to batch.
    """
    first, complete = first_lane(identifiers)
    return first, _lane(identifiers, 1), complete


def first_lane(identifiers: Sequence[pa.Array]) -> tuple[UInt64Array, BoolArray]:
    """:func:`row_keys` without the second lane, for readers that do not need it."""
    complete = np.ones(len(identifiers[0]), np.bool_)
    for identifier in identifiers:
        there = valid_rows(decoded(identifier))
        if there is not None:
            complete &= there
    return _lane(identifiers, 0), complete


def _lane(identifiers: Sequence[pa.Array], lane: int) -> UInt64Array:
    state: UInt64Array | None = None
    for identifier in identifiers:
        state = hash_words(_words(decoded(identifier), lane), state, lane=lane)
    if state is None:
        raise ValueError("row keys need at least one identifier")
    return state


def _words(array: pa.Array, lane: int) -> npt.NDArray[np.uint64]:
    types, kind = pa.types, array.type
    if types.is_dictionary(kind):
        codes = fixed_width(array.indices, whole_dtype(array.indices.type))
        there = valid_rows(array)
        words = _words(array.dictionary, lane)
        if not words.size:
            return np.zeros(len(array), np.uint64)
        chosen: npt.NDArray[np.uint64] = words[codes if there is None else np.where(there, codes, 0)]
        return chosen
    if types.is_integer(kind):
        return fixed_width(array, whole_dtype(kind)).astype(np.int64, copy=False).view(np.uint64)
    if types.is_floating(kind) and kind.bit_width > 16:
        doubles: npt.NDArray[np.float64] = fixed_width(array, np.dtype(f"f{kind.bit_width // 8}")).astype(np.float64)
        return (doubles + 0.0).view(np.uint64)  # adding zero turns -0.0 into 0.0
    if types.is_boolean(kind):
        return truth_values(array).astype(np.uint64)
    if types.is_temporal(kind) and kind.bit_width in (32, 64):
        width = np.int32 if kind.bit_width == 32 else np.int64
        return fixed_width(array, width).astype(np.int64, copy=False).view(np.uint64)
    texts = array if is_text(kind) and not types.is_string_view(kind) else canonical_array(array)
    return hash_texts(texts, lane=lane)
