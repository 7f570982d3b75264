"""How an Arrow array of any type enters the profile of a column of a given kind.

====================  ====================================================================================
kind of the column    a row is
====================  ====================================================================================
numeric               a number, see :mod:`~airflow_monitoring_provider.engines.numbers`
categorical           its canonical text, whatever the type
boolean               ``true`` or ``false``: booleans, 0 and 1, and the words true/false, t/f, yes/no, y/n,
                      1/0 in any case; else invalid
text                  measured only: characters of its canonical text
timestamp             an instant, see :mod:`~airflow_monitoring_provider.profiles.instants`
====================  ====================================================================================
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.instants import read_instants
from airflow_monitoring_provider.engines.numbers import plain_dtype, read_doubles, whole_dtype
from airflow_monitoring_provider.kernels.counting import count_codes
from airflow_monitoring_provider.kernels.gathering import Rows, can_gather
from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    fixed_width,
    from_texts,
    from_truth,
    from_values,
    is_text,
    valid_bits,
    valid_flags,
    valid_rows,
)
from airflow_monitoring_provider.profiles.canonical import canonical_array, canonical_dictionary
from airflow_monitoring_provider.profiles.column import ColumnBuilder, ColumnProfile

IntArray = npt.NDArray[np.int64]

_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), "true"),
    **dict.fromkeys(("false", "f", "no", "n", "0", "0.0"), "false"),
}

_TRUTH_VALUES = from_truth(np.array([False, True]))


class ColumnCounter:
    """Adds the arrays of one column to its builder.

    Truth values are counted as they are, and texts that come as dictionaries by their codes; they are written out once
    for all arrays that share a dictionary.

    :param zone: IANA zone of timestamps that carry none.
    """

    def __init__(self, builder: ColumnBuilder, kind: ColumnKind, zone: str = "UTC") -> None:
        self._builder = builder
        self._kind = kind
        self._zone = zone
        self._dictionary: pa.Array | None = None
        self._counts: IntArray = np.zeros(0, np.int64)

    def add(self, array: pa.Array, keep: BoolArray | None) -> None:
        """Add the rows of an array where ``keep`` is True (all of them when None)."""
        if self._kind is ColumnKind.NUMERIC:
            _add_numbers(self._builder, array, keep)
        elif self._kind is ColumnKind.TIMESTAMP:
            _add_instants(self._builder, array, keep, self._zone)
        elif pa.types.is_dictionary(array.type):
            self._add_codes(array, keep)
        elif pa.types.is_boolean(array.type):
            self._add_truth_values(array, keep)
        else:
            chosen = array if keep is None else array.filter(from_truth(keep))
            self._builder.add_missing(_add_chosen(self._builder, self._kind, chosen))

    def finish(self) -> ColumnProfile:
        """The profile of everything so far."""
        self._write_out()
        return self._builder.finish()

    def _add_codes(self, array: pa.DictionaryArray, keep: BoolArray | None) -> None:
        self._count_in(array.dictionary)
        codes = fixed_width(array.indices, whole_dtype(array.indices.type))
        counted = count_codes(codes, valid_bits(array.indices), keep, self._counts)
        if counted is None:
            chosen = _both(valid_rows(array.indices), keep)
            codes = codes if chosen is None else codes[chosen]
            self._counts += np.bincount(codes, minlength=self._counts.size)
            counted = codes.size
        rows = len(array) if keep is None else int(np.count_nonzero(keep))
        self._builder.add_missing(rows - counted)

    def _add_truth_values(self, array: pa.BooleanArray, keep: BoolArray | None) -> None:
        chosen = array if keep is None else array.filter(from_truth(keep))
        self._count_in(_TRUTH_VALUES)
        true, there = chosen.true_count, len(chosen) - chosen.null_count
        self._counts += np.array([there - true, true])
        self._builder.add_missing(len(chosen) - there)

    def _count_in(self, dictionary: pa.Array) -> None:
        """Counts are those of its entries from here on."""
        if self._dictionary is None or not self._dictionary.equals(dictionary):
            self._write_out()
            self._dictionary = dictionary
            self._counts = np.zeros(len(dictionary), np.int64)

    def _write_out(self) -> None:
        if self._dictionary is None:
            return
        held = np.flatnonzero(self._counts)
        levels = self._dictionary.take(from_values(held, pa.int64()))
        texts, counts = canonical_array(levels), self._counts[held]
        named = valid_rows(texts)
        if named is not None:
            self._builder.add_missing(int(counts[~named].sum()))
            texts, counts = texts.drop_null(), counts[named]
        _add_texts(self._builder, self._kind, texts, counts, measured=is_text(levels.type))
        self._dictionary = None


def add_counted(builder: ColumnBuilder, kind: ColumnKind, values: pa.Array, rows: IntArray) -> None:
    """Add values of a categorical, boolean or text column, ``rows[i]`` times each; equal ones may come again."""
    texts = canonical_array(values)
    there = valid_flags(texts)
    builder.add_missing(int(rows[~there].sum()))
    _add_texts(builder, kind, texts.filter(from_truth(there)), rows[there], measured=is_text(values.type))


def distinct_texts(array: pa.Array) -> tuple[pa.Array, IntArray]:
    """Canonical texts of the values and how many rows hold each; texts may repeat, nulls are left out."""
    if is_text(array.type):
        counted = canonical_array(array).drop_null().value_counts()
        return counted.field(0), fixed_width(counted.field(1), np.int64)
    encoded = canonical_dictionary(array)
    codes = fixed_width(encoded.indices, whole_dtype(encoded.indices.type))
    there = valid_rows(encoded.indices)
    counts = np.bincount(codes if there is None else codes[there], minlength=len(encoded.dictionary)).astype(np.int64)
    held = counts > 0
    named = valid_rows(encoded.dictionary)
    held = held if named is None else held & named
    return encoded.dictionary.filter(from_truth(held)), counts[held]


def _add_numbers(builder: ColumnBuilder, array: pa.Array, keep: BoolArray | None) -> None:
    rows = len(array) if keep is None else int(np.count_nonzero(keep))
    dtype = plain_dtype(array.type)
    if dtype is not None and can_gather(dtype):
        builder.add_missing(rows - builder.add_rows(Rows(fixed_width(array, dtype), valid_bits(array), keep)))
        return
    numbers = read_doubles(array)
    chosen = _both(numbers.valid, keep)
    values, integers = numbers.values, numbers.integers
    if chosen is not None:
        values = values[chosen]
        integers = None if integers is None else integers[chosen]
    invalid = _count(numbers.invalid, keep)
    builder.add_invalid(invalid)
    builder.add_missing(rows - invalid - values.size)
    builder.add_numbers(values, integers)


def _add_instants(builder: ColumnBuilder, array: pa.Array, keep: BoolArray | None, zone: str) -> None:
    instants = read_instants(array, zone)
    chosen = _both(instants.valid, keep)
    values = instants.microseconds if chosen is None else instants.microseconds[chosen]
    rows = len(array) if keep is None else int(np.count_nonzero(keep))
    invalid = _count(instants.invalid, keep)
    builder.add_invalid(invalid)
    builder.add_missing(rows - invalid - values.size)
    builder.add_instants(values)


def _add_chosen(builder: ColumnBuilder, kind: ColumnKind, array: pa.Array) -> int:
    """Add levels or lengths; returns how many rows were null."""
    if kind is ColumnKind.TEXT and is_text(array.type):
        there = canonical_array(array).drop_null()
        builder.add_lengths(_lengths(there), counted=True)
        return len(array) - len(there)
    texts, counts = distinct_texts(array)
    _add_texts(builder, kind, texts, counts, measured=is_text(array.type))
    return len(array) - int(counts.sum())


def _add_texts(builder: ColumnBuilder, kind: ColumnKind, texts: pa.Array, counts: IntArray, *, measured: bool) -> None:
    """Add canonical texts, each ``counts[i]`` times.

    :param measured: the values are texts, so that their lengths say something.
    """
    if kind is ColumnKind.TEXT:
        builder.add_lengths(_lengths(texts), counts, counted=True)
    elif kind is ColumnKind.BOOLEAN:
        _add_truth(builder, texts.to_pylist(), counts)
    else:
        builder.add_levels(texts, counts)
        if measured:
            builder.add_lengths(_lengths(texts), counts, counted=False)


def _add_truth(builder: ColumnBuilder, texts: list[str], counts: IntArray) -> None:
    words = [_WORDS.get(text.strip().lower()) for text in texts]
    known = np.array([word is not None for word in words], np.bool_)
    builder.add_levels(from_texts([word for word in words if word is not None]), counts[known])
    builder.add_invalid(int(counts[~known].sum()))


def _lengths(texts: pa.Array) -> npt.NDArray[Any]:
    lengths = pc.utf8_length(texts)
    return fixed_width(lengths, whole_dtype(lengths.type)).astype(np.int64)


def _both(a: BoolArray | None, b: BoolArray | None) -> BoolArray | None:
    return b if a is None else a if b is None else a & b


def _count(flags: BoolArray | None, keep: BoolArray | None) -> int:
    if flags is None:
        return 0
    return int(np.count_nonzero(flags if keep is None else flags & keep))
