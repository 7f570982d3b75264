"""Late actuals and the predictions that they label: which actual counts for an id, and the accuracy that it makes.

Of several actuals for one association id the one that became known last counts (:class:`ActualRows`). What counts is
decided by the set of all actuals alone, so no order of their coming and no way to cut them changes it. Every logged
prediction with the id is labelled, in whatever batch it is; an actual that came in the prediction's own row competes
for that row only.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.engines.numbers import read_doubles
from airflow_monitoring_provider.engines.row_keys import row_keys
from airflow_monitoring_provider.engines.targets import class_indices
from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    fixed_width,
    from_texts,
    from_truth,
    from_values,
    truth_values,
    valid_flags,
)
from airflow_monitoring_provider.profiles.hashing import UInt64Array
from airflow_monitoring_provider.profiles.plan import TargetPlan

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

UNTIMED = np.iinfo(np.int64).min
"""The instant of an actual that has none: before every other."""
_SLOTS = (1 << 4, 1 << 24)  # fewest and most slots that keys are looked up in: of four slots at most one is taken
_TRUTH = from_texts(["true", "false"], pa.string()), from_texts(["1", "0"], pa.string())


SPILLED = pa.schema(
    {
        "first": pa.uint64(),
        "second": pa.uint64(),
        "moment": pa.int64(),
        "until": pa.int64(),
        "source": pa.int32(),
        "texts": pa.string(),
        "textual": pa.bool_(),
    }
)
"""Columns of actuals that wait in a temporary file."""


@dataclasses.dataclass(frozen=True, slots=True)
class ActualRows:
    """Actuals, one a row; of those with one id the last in this order counts, whose ties are equal in value:

    when it became known (one without a time comes before all that have one); the end of the window whose job brought
    it; the value's canonical text; whether it was text.

    :param first, second: uint64, the two lanes of the id's key (:mod:`row_keys`).
    :param moment: int64, microseconds since 1970 UTC, or :data:`UNTIMED`.
    :param until: int64, end of the window of the job that brought it, likewise.
    :param source: int32, which job that was; numbered by the caller.
    :param texts: string, the value as canonical text.
    :param textual: whether the value's column held text.
    """

    first: UInt64Array
    second: UInt64Array
    moment: IntArray
    until: IntArray
    source: npt.NDArray[np.int32]
    texts: pa.Array
    textual: BoolArray

    @classmethod
    def of(cls, batch: pa.RecordBatch, until: int, source: int) -> ActualRows:
        """The rows of a logged batch (columns as in the store's log of actuals)."""
        first, second, _ = row_keys([batch.column("association_id")])
        return cls(
            first,
            second,
            moments(batch.column("timestamp")),
            np.full(len(batch), until, np.int64),
            np.full(len(batch), source, np.int32),
            batch.column("actual"),
            truth_values(batch.column("actual_is_text")),
        )

    @classmethod
    def joined(cls, parts: Sequence[ActualRows]) -> ActualRows:
        """All rows of several."""
        if not parts:
            return cls.from_batch(pa.RecordBatch.from_pylist([], SPILLED))
        fields = [field.name for field in dataclasses.fields(cls)]
        found = {
            name: pa.concat_arrays([part.texts for part in parts])
            if name == "texts"
            else np.concatenate([getattr(part, name) for part in parts])
            for name in fields
        }
        return cls(**found)

    @classmethod
    def from_batch(cls, batch: pa.RecordBatch) -> ActualRows:
        """Read what :meth:`to_batch` wrote."""
        dtypes = (np.uint64, np.uint64, np.int64, np.int64, np.int32)
        fields: list[Any] = [fixed_width(batch.column(place), dtype) for place, dtype in enumerate(dtypes)]
        fields += [batch.column("texts"), truth_values(batch.column("textual"))]
        return cls(*fields)

    def to_batch(self) -> pa.RecordBatch:
        """The rows with the columns of :data:`SPILLED`."""
        arrays = [
            getattr(self, field.name)
            if field.name == "texts"
            else from_truth(self.textual)
            if field.name == "textual"
            else from_values(getattr(self, field.name), field.type)
            for field in SPILLED
        ]
        return pa.RecordBatch.from_arrays(arrays, schema=SPILLED)

    def __len__(self) -> int:
        return int(self.first.size)

    def take(self, rows: npt.NDArray[np.int64]) -> ActualRows:
        """Some rows."""
        return ActualRows(
            self.first[rows],
            self.second[rows],
            self.moment[rows],
            self.until[rows],
            self.source[rows],
            self.texts.take(from_values(rows, pa.int64())),
            self.textual[rows],
        )


@dataclasses.dataclass(frozen=True, slots=True)
class Tally:
    """What became of the actuals that one job brought.

    :param rows: actuals; ``ids`` of them differ in their association id.
    :param duplicates: rows that repeat the id of another; ``conflicts`` ids whose rows differ in value.
    :param matched: ids that some logged prediction has; the others are ``orphans``, and wait for theirs.
    """

    rows: int = 0
    ids: int = 0
    duplicates: int = 0
    conflicts: int = 0
    matched: int = 0
    orphans: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)))


class KnownActuals:
    """Actuals by id: which one counts, and quickly whether there is one."""

    def __init__(self, rows: ActualRows) -> None:
        encoded = rows.texts.dictionary_encode()
        by_text = pc.array_sort_indices(encoded.dictionary)
        rank = np.empty(len(by_text), np.int64)
        rank[fixed_width(by_text, np.uint64)] = np.arange(len(by_text))
        ranks = rank[fixed_width(encoded.indices, np.int32)] * 2 + rows.textual
        order = np.argsort(rows.first)
        alike = np.flatnonzero(_repeated(rows.first[order]))
        few = order[alike]  # most ids stand once, and sorting by five keys takes twenty times as long
        keys = (ranks, rows.until, rows.moment, rows.second, rows.first)
        order[alike] = few[np.lexsort(tuple(key[few] for key in keys))]
        first, second = rows.first[order], rows.second[order]
        ends = np.ones(order.size, np.bool_)
        ends[:-1] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
        self._sources, self._ranks = rows.source[order], ranks[order]
        self._ids: IntArray = np.cumsum(ends) - ends
        self.winners = rows.take(order[ends])
        bits = int(np.clip(4 * len(self.winners), *_SLOTS)).bit_length() - 1
        self._shift = np.uint64(64 - bits)
        taken = np.bincount((self.winners.first >> self._shift).astype(np.int64), minlength=1 << bits)
        self._starts = np.concatenate([[0], np.cumsum(taken)])
        self._classes = functools.cache(self._classes_of)
        self._numbers = functools.cache(self._numbers_of)

    def find(self, first: UInt64Array, second: UInt64Array) -> IntArray:
        """The place of each key among ``winners``, int64; -1 where it has no actual."""
        found = np.full(first.size, -1, np.int64)
        slots = (first >> self._shift).astype(np.int64)
        places, stops = self._starts[slots], self._starts[slots + 1]
        rows = np.flatnonzero(places < stops)
        while rows.size:  # of a slot's few keys one after the other
            at = places[rows]
            same = (self.winners.first[at] == first[rows]) & (self.winners.second[at] == second[rows])
            found[rows[same]] = at[same]
            rows = rows[~same]
            places[rows] += 1
            rows = rows[places[rows] < stops[rows]]
        return found

    def classes(self, target: TargetPlan) -> IntArray:
        """The class of each winner, as :func:`class_indices`."""
        return self._classes(target)

    def numbers(self) -> tuple[FloatArray, BoolArray]:
        """The number of each winner, NaN where it is none, and where it is none."""
        return self._numbers()

    def tallies(self, matched: BoolArray) -> dict[int, Tally]:
        """Source -> what became of its rows.

        :param matched: (winners,), where a logged prediction has the id.
        """
        found = {}
        for source in np.unique(self._sources).tolist():
            rows = self._sources == source
            mine, ranks = self._ids[rows], self._ranks[rows]
            ids = mine[np.flatnonzero(np.diff(mine, prepend=-1))]
            again = _repeated(mine)
            pairs = np.unique(np.stack([mine[again], ranks[again]]), axis=1)
            _, values = np.unique(pairs[0], return_counts=True)
            hits = int(np.count_nonzero(matched[ids]))
            count = int(np.count_nonzero(rows))
            found[source] = Tally(
                rows=count,
                ids=ids.size,
                duplicates=count - ids.size,
                conflicts=int(np.count_nonzero(values > 1)),
                matched=hits,
                orphans=ids.size - hits,
            )
        return found

    def _classes_of(self, target: TargetPlan) -> IntArray:
        return classes_of(self.winners.texts, self.winners.textual, target)

    def _numbers_of(self) -> tuple[FloatArray, BoolArray]:
        return numbers_of(self.winners.texts, self.winners.textual)


def classes_of(texts: pa.Array, textual: BoolArray, target: TargetPlan) -> IntArray:
    """The class of each actual that is kept as canonical text."""
    if textual.all() or not textual.any():
        return class_indices(texts, target, textual=bool(textual.size and textual[0]))
    as_text, as_value = (class_indices(texts, target, textual=flag) for flag in (True, False))
    return np.where(textual, as_text, as_value)


def numbers_of(texts: pa.Array, textual: BoolArray) -> tuple[FloatArray, BoolArray]:
    """The number of each actual that is kept as canonical text, NaN where it is none, and where it is none.

    A boolean is 1 or 0; a text that says ``true`` is no number.
    """
    if not textual.all():
        spelled, numeral = _TRUTH
        for word, digit in zip(spelled, numeral, strict=True):
            says_it = from_truth(truth_values(pc.equal(texts, word).fill_null(False)) & ~textual)
            texts = pc.if_else(says_it, digit, texts)
    found = read_doubles(texts)
    usable = np.isfinite(found.values)
    for flags in (found.valid, None if found.invalid is None else ~found.invalid):
        usable &= True if flags is None else flags
    return np.where(usable, found.values, np.nan), ~usable


def _repeated(values: npt.NDArray[Any]) -> BoolArray:
    """(n,), True where a sorted array has a value more than once."""
    same = values[1:] == values[:-1]
    flags = np.zeros(values.size, np.bool_)
    flags[1:] |= same
    flags[:-1] |= same
    return flags


def moments(array: pa.Array) -> IntArray:
    """Instants as int64 microseconds, :data:`UNTIMED` for null."""
    return np.where(valid_flags(array), fixed_width(array, np.int64), UNTIMED)
