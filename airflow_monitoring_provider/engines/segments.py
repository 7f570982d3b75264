"""Which segments rows are in, and their profiles, collected in the same pass as that of all rows.

A way to group rows gives each row a code: the place of its segment's id in :attr:`SegmentPlan.ids`, or -1 for none. The
rows of a stretch are sorted by their codes once, so that each column's values of a segment lie side by side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.engines.numbers import read_doubles, whole_dtype
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.profiles.arrays import BoolArray, fixed_width, from_texts, from_values, valid_rows
from airflow_monitoring_provider.profiles.canonical import canonical_dictionary
from airflow_monitoring_provider.profiles.hashing import hash_texts
from airflow_monitoring_provider.profiles.levels import pseudonym
from airflow_monitoring_provider.profiles.plan import ConditionPlan, SegmentPlan

CodeArray = npt.NDArray[np.int16]

_ORDER: dict[str, Callable[..., BoolArray]] = {
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Sorted:
    """Rows brought into the order of their segments.

    :param rows: (m,), places of the rows that are in any segment, those of one segment together and in order.
    :param runs: code -> where its rows begin and end in ``rows``.
    """

    rows: npt.NDArray[np.int64]
    runs: dict[int, tuple[int, int]]

    @classmethod
    def of(cls, codes: CodeArray) -> Sorted:
        """Sort by code; rows with code -1 are left out."""
        order = np.argsort(codes, kind="stable")
        counts = np.bincount(codes.astype(np.int64) + 1, minlength=1)
        ends = np.cumsum(counts)
        runs = {
            code - 1: (int(end - count - counts[0]), int(end - counts[0]))
            for code, (count, end) in enumerate(zip(counts.tolist(), ends.tolist(), strict=True))
            if code and count
        }
        return cls(order[counts[0] :], runs)


class SegmentReader:
    """Gives the rows of each batch their codes in one way to group them.

    :param level_names: what is kept of level names; ``hash`` means that the plan's levels are pseudonyms.
    """

    def __init__(self, plan: SegmentPlan, level_names: str) -> None:
        self._plan = plan
        self._hashed = level_names == "hash"
        self._levels = {level: place for place, level in enumerate(plan.levels)}
        self._edges = np.array(plan.edges)

    def codes(self, batch: pa.RecordBatch) -> CodeArray:
        """int16 (rows,); -1 where a row is in none of the segments. A column that is not there has no values."""
        if self._plan.where:
            held = np.logical_and.reduce([fulfils(_or_nothing(batch, c.column), c) for c in self._plan.where])
            return np.where(held, np.int16(0), np.int16(-1))
        column = _or_nothing(batch, self._plan.column)
        return self._by_level(column) if self._plan.by_level else self._by_range(column)

    def _by_level(self, column: pa.Array) -> CodeArray:
        encoded = canonical_dictionary(column)
        other, missing = len(self._levels), len(self._levels) + 1
        texts: list[str | None] = encoded.dictionary.to_pylist()
        if self._hashed:
            texts = hashed_names(texts)
        table = [missing if text is None else self._levels.get(text, other) for text in texts]
        codes = fixed_width(encoded.indices, whole_dtype(encoded.indices.type)).astype(np.int64)
        there = valid_rows(encoded.indices)
        codes = codes if there is None else np.where(there, codes, len(table))
        return np.array([*table, missing], np.int16)[codes]

    def _by_range(self, column: pa.Array) -> CodeArray:
        numbers = read_doubles(column)
        codes = np.searchsorted(self._edges, numbers.values, side="right").astype(np.int16)
        absent = np.isnan(numbers.values)
        if numbers.valid is not None:
            absent |= ~numbers.valid
        codes[absent] = len(self._plan.edges) + 1
        return codes


def _or_nothing(batch: pa.RecordBatch, name: str) -> pa.Array:
    return column_of(batch, name) if name in batch.schema.names else pa.nulls(len(batch), pa.string())


def fulfils(column: pa.Array, condition: ConditionPlan) -> BoolArray:
    """(rows,), True where a value fulfils a condition: a missing one ``is_null`` alone, what is no number no order."""
    if condition.op in _ORDER:
        numbers, there = _numbers(column)
        return there & _ORDER[condition.op](np.where(there, numbers, 0.0), condition.values[0])
    encoded = canonical_dictionary(column)
    codes = fixed_width(encoded.indices, whole_dtype(encoded.indices.type)).astype(np.int64)
    valid = valid_rows(encoded.indices)
    codes = codes if valid is None else np.where(valid, codes, len(encoded.dictionary))
    texts: list[str | None] = [*encoded.dictionary.to_pylist(), None]
    if condition.op in ("is_null", "not_null"):
        held = [(text is None) == (condition.op == "is_null") for text in texts]
        return np.array(held, np.bool_)[codes]
    wanted_texts = {value for value in condition.values if isinstance(value, str)}
    wanted_numbers = [float(value) for value in condition.values if not isinstance(value, str)]
    found = np.array([text in wanted_texts for text in texts], np.bool_)
    if wanted_numbers:
        numbers, readable = _numbers(encoded.dictionary)
        found[:-1] |= readable & np.isin(numbers, wanted_numbers)
    there = np.array([text is not None for text in texts], np.bool_)
    return ((found if condition.op in ("eq", "in") else ~found) & there)[codes]


def hashed_names(texts: Sequence[str | None]) -> list[str | None]:
    """Pseudonyms of level names, as profiles keep them."""
    hashes = hash_texts(from_texts([text or "" for text in texts])).tolist()
    return [None if text is None else pseudonym(code) for text, code in zip(texts, hashes, strict=True)]


def sorted_array(array: pa.Array, rows: npt.NDArray[np.int64]) -> pa.Array:
    """The rows of an array in another order."""
    return array.take(from_values(rows, pa.int64()))


def _numbers(column: pa.Array) -> tuple[npt.NDArray[np.float64], BoolArray]:
    numbers = read_doubles(column)
    there = ~np.isnan(numbers.values)
    return numbers.values, there if numbers.valid is None else there & numbers.valid
