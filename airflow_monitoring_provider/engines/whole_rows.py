"""One key per row of all its planned columns, which may come one by one, in any order and from several threads.

A row's key is the sum, modulo 2**64, of a mixed word per column that has a value there, so neither the order of columns
nor one that is absent or empty shows in it. Values are told apart as their column's profile tells them apart:

====================  ====================================================================================
kind of the column    equal are
====================  ====================================================================================
numeric               equal doubles (``1``, ``1.0``; 0.0 and -0.0), whole numbers past 2**53 by themselves
timestamp             equal instants, whatever their zones
every other           equal canonical texts
====================  ====================================================================================

What cannot be read as its column's kind is compared by its text. Null and NaN are no value, as in ``pandas``.
"""

from __future__ import annotations

import threading

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.instants import read_instants
from airflow_monitoring_provider.engines.numbers import read_doubles, whole_dtype
from airflow_monitoring_provider.profiles.arrays import BoolArray, fixed_width, from_truth, valid_flags
from airflow_monitoring_provider.profiles.canonical import canonical_array
from airflow_monitoring_provider.profiles.hashing import UInt64Array, hash_text, hash_texts, hash_words

_EXACT = 1 << 53


class RowHashes:
    """The keys of the rows of one stretch.

    :param rows: how many there are.
    :param zone: IANA zone of timestamps that carry none.
    """

    def __init__(self, rows: int, zone: str = "UTC") -> None:
        self.keys: UInt64Array = np.zeros(rows, np.uint64)
        self.filled: BoolArray = np.zeros(rows, np.bool_)
        self._zone = zone
        self._lock = threading.Lock()

    def add(self, name: str, kind: ColumnKind, array: pa.Array, start: int) -> None:
        """Add the values of a column for the rows from ``start`` on; may be called by several threads."""
        words, there = _words(array, kind, self._zone)
        column = np.full(words.size, hash_text(name), np.uint64)
        mixed = np.where(there, hash_words(words, column), np.uint64(0))
        place = slice(start, start + words.size)
        with self._lock:
            self.keys[place] += mixed
            self.filled[place] |= there


def _words(array: pa.Array, kind: ColumnKind, zone: str) -> tuple[UInt64Array, BoolArray]:
    """A word per row, and where there is a value."""
    if kind is ColumnKind.NUMERIC:
        return _numbers(array)
    if kind is ColumnKind.TIMESTAMP:
        times = read_instants(array, zone)
        words = times.microseconds.view(np.uint64).copy()
        there = np.ones(words.size, np.bool_) if times.valid is None else times.valid.copy()
        return _with_invalid(words, there, times.invalid, array)
    if pa.types.is_dictionary(array.type):
        return _texts_of(array)
    texts = canonical_array(array)
    return hash_texts(texts), valid_flags(texts)


def _numbers(array: pa.Array) -> tuple[UInt64Array, BoolArray]:
    numbers = read_doubles(array)
    words = (numbers.values + 0.0).view(np.uint64)  # adding zero turns -0.0 into 0.0
    whole = numbers.integers
    if whole is not None and (large := np.flatnonzero(np.abs(numbers.values) >= _EXACT)).size:
        exact = np.array([int(float(value)) == value for value in whole[large].tolist()], np.bool_)
        odd = large[~exact]
        words[odd] = hash_words(whole[odd].view(np.uint64), lane=1)
    there = ~numbers.missing()
    return _with_invalid(words, there, numbers.invalid, array)


def _with_invalid(
    words: UInt64Array, there: BoolArray, invalid: BoolArray | None, array: pa.Array
) -> tuple[UInt64Array, BoolArray]:
    """The same with the texts of values that are not of the column's kind."""
    if invalid is not None:
        texts = canonical_array(array.filter(from_truth(invalid)))
        words[invalid] = hash_texts(texts, lane=1)
        there[invalid] = valid_flags(texts)
    return words, there


def _texts_of(array: pa.DictionaryArray) -> tuple[UInt64Array, BoolArray]:
    there = valid_flags(array.indices)
    if not len(array.dictionary):
        return np.zeros(len(array), np.uint64), np.zeros(len(array), np.bool_)
    texts = canonical_array(array.dictionary)
    codes = np.where(there, fixed_width(array.indices, whole_dtype(array.indices.type)), 0)
    return hash_texts(texts)[codes], there & valid_flags(texts)[codes]
