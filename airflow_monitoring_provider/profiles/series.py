"""How far each actual lies from the one before it: the error of a naive forecast, by which forecasts are scaled.

Rows come in any order, so those with an actual wait (24 bytes each, at most :data:`MOST_ROWS`) until all are there;
then each series is put in the order of its times. Of a series are kept how many rows it has, its first and last time
and the values at both ends: so sets of rows of which one lies wholly before the other add up to the series of both.
Rows of one series at one time have no order, and neither have sets that overlap in time: these are counted, and where
there are any no error is meant.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.hashing import UInt64Array
from airflow_monitoring_provider.profiles.moments import Moments

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 1 << 21
"""Rows of a pass that are put in order: 50 MB while they wait, 250 MB while they are sorted."""
MOST_ENDS = 10_000
"""Values kept at each end of all series together; a profile with as many takes about 300 kB."""

_LARGEST = float(np.finfo(np.float64).max)


@dataclasses.dataclass(frozen=True)
class SeriesProfile:
    """The series of some rows.

    :param lag: how many rows of its series before a row stands what the naive forecast takes for it.
    :param rows: rows that have an actual, a time and a series; ``incomplete`` lack one of the last two.
    :param unordered: rows of one series that share their time, and sets of its rows that overlap.
    :param beyond: there were too many rows or series, so that none was looked at.
    :param keys: uint64 (s,), increasing, one for each series; two of a million are the same with probability 3e-8.
    :param counts: int64 (s,), rows of each. :param first, last: int64 (s,), microseconds since 1970 UTC.
    :param heads: float64 (s, lag), the first actuals of each, then NaN. :param tails: NaN, then the last ones.
    :param errors: moments of the absolute difference between each row's actual and that ``lag`` rows before.
    """

    lag: int
    rows: int = 0
    incomplete: int = 0
    unordered: int = 0
    beyond: bool = False
    keys: UInt64Array = dataclasses.field(default_factory=lambda: np.zeros(0, np.uint64))
    counts: IntArray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    first: IntArray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    last: IntArray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))
    heads: FloatArray = dataclasses.field(default_factory=lambda: np.zeros((0, 1)))
    tails: FloatArray = dataclasses.field(default_factory=lambda: np.zeros((0, 1)))
    errors: Moments = dataclasses.field(default_factory=Moments)

    def merge(self, *others: SeriesProfile) -> SeriesProfile:
        """The series of all sets of rows."""
        parts = [self, *others]
        # In the order of time, so that neighbours meet before what lies further away.
        parts.sort(key=lambda part: (part.keys.size == 0, int(part.first.min()) if part.first.size else 0))
        found = parts[0]
        for part in parts[1:]:
            found = _joined(found, part)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SeriesProfile):
            return NotImplemented
        return self._exact() == other._exact() and self.errors == other.errors

    def __hash__(self) -> int:
        return hash(self._exact())

    def _exact(self) -> tuple[object, ...]:
        arrays = (self.keys, self.counts, self.first, self.last, self.heads, self.tails)
        counts = (self.lag, self.rows, self.incomplete, self.unordered, self.beyond)
        return (*counts, *(array.tobytes() for array in arrays))


class SeriesBuilder:
    """Collects the rows of series batch by batch.

    :param limit: most rows that are held. :param ends: most values kept at each end of all series.
    """

    def __init__(self, lag: int, limit: int = MOST_ROWS, ends: int = MOST_ENDS) -> None:
        self._limit, self._ends = limit, ends
        self._held: list[tuple[UInt64Array, IntArray, FloatArray]] = []
        self._counts = SeriesProfile(lag)

    def update(self, keys: UInt64Array, placed: BoolArray, times: IntArray, actuals: FloatArray) -> None:
        """Add rows; all arrays are of shape (rows,).

        :param keys: of their series. :param placed: the row has a series and a time.
        :param actuals: NaN is none.
        """
        there = np.isfinite(actuals)
        kept = there & placed
        rows, incomplete = int(np.count_nonzero(kept)), int(np.count_nonzero(there & ~placed))
        known = self._counts
        beyond = known.rows + rows > self._limit
        self._counts = dataclasses.replace(
            known, rows=known.rows + rows, incomplete=known.incomplete + incomplete, beyond=beyond
        )
        if beyond:
            self._held = []
        elif rows:
            self._held.append((keys[kept], times[kept], actuals[kept]))

    def finish(self) -> SeriesProfile:
        """The series of everything so far, the same in whatever order the rows came."""
        counts = self._counts
        if counts.beyond or not self._held:
            return counts
        keys, times, values = (np.concatenate([held[place] for held in self._held]) for place in range(3))
        order = np.lexsort((values, times, keys))
        return _within(_ordered(counts, keys[order], times[order], values[order]), self._ends)


def _ordered(counts: SeriesProfile, keys: UInt64Array, times: IntArray, values: FloatArray) -> SeriesProfile:
    """The profile of rows that are sorted by series and time."""
    lag, opens = counts.lag, np.concatenate(([True], keys[1:] != keys[:-1]))
    starts = np.flatnonzero(opens)
    sizes = np.diff(starts, append=keys.size)
    ends = starts + sizes
    ties = ~opens[1:] & (times[1:] == times[:-1])
    same = keys[lag:] == keys[:-lag]
    places = np.arange(lag)
    heads, tails = starts[:, None] + places, ends[:, None] - lag + places
    return dataclasses.replace(
        counts,
        unordered=int(np.count_nonzero(ties)),
        keys=keys[starts],
        counts=sizes.astype(np.int64),
        first=times[starts],
        last=times[ends - 1],
        heads=np.where(places < sizes[:, None], values[np.minimum(heads, values.size - 1)], np.nan),
        tails=np.where(places >= lag - sizes[:, None], values[np.maximum(tails, 0)], np.nan),
        errors=_errors(values[:-lag][same], values[lag:][same]),
    )


def _errors(before: FloatArray, after: FloatArray) -> Moments:
    with np.errstate(over="ignore"):
        return Moments.of(np.minimum(np.abs(after - before), _LARGEST))


def _within(found: SeriesProfile, ends: int = MOST_ENDS) -> SeriesProfile:
    """The profile, without its series where they are too many to be kept."""
    if found.keys.size * found.lag <= ends:
        return found
    return SeriesProfile(found.lag, found.rows, found.incomplete, found.unordered, beyond=True)


def _joined(a: SeriesProfile, b: SeriesProfile) -> SeriesProfile:
    rows, incomplete, lag = a.rows + b.rows, a.incomplete + b.incomplete, a.lag
    unordered = a.unordered + b.unordered
    if a.beyond or b.beyond:
        return SeriesProfile(lag, rows, incomplete, unordered, beyond=True)
    if not a.keys.size or not b.keys.size:
        known = a if a.keys.size else b
        return dataclasses.replace(known, rows=rows, incomplete=incomplete, unordered=unordered)
    keys = np.union1d(a.keys, b.keys)
    one, other = _Aligned.of(a, keys), _Aligned.of(b, keys)
    both = (one.counts > 0) & (other.counts > 0)
    swap = both & (other.first < one.first)
    early, late = one.chosen(~swap, other), other.chosen(~swap, one)
    bridged = both[:, None] & np.isfinite(early.tails) & np.isfinite(late.heads)
    bridges = _errors(early.tails[bridged], late.heads[bridged])
    only_late = early.counts == 0
    found = SeriesProfile(
        lag,
        rows,
        incomplete,
        unordered + int(np.count_nonzero(both & (early.last >= late.first))),
        keys=keys,
        counts=early.counts + late.counts,
        first=np.where(only_late, late.first, early.first),
        last=np.where(late.counts == 0, early.last, late.last),
        heads=_followed(early.heads, early.counts, late.heads),
        tails=_followed(late.tails[:, ::-1], late.counts, early.tails[:, ::-1])[:, ::-1],
        errors=a.errors.merge(b.errors, bridges),
    )
    return _within(found)


@dataclasses.dataclass(frozen=True)
class _Aligned:
    """A profile's series at the places of more keys; those it lacks have no rows."""

    counts: IntArray
    first: IntArray
    last: IntArray
    heads: FloatArray
    tails: FloatArray

    @classmethod
    def of(cls, part: SeriesProfile, keys: UInt64Array) -> _Aligned:
        at = np.searchsorted(keys, part.keys)
        whole = [np.zeros(keys.size, np.int64) for _ in range(3)]
        ends = [np.full((keys.size, part.lag), np.nan) for _ in range(2)]
        for numbers, own in zip(whole, (part.counts, part.first, part.last), strict=True):
            numbers[at] = own
        for values, of_it in zip(ends, (part.heads, part.tails), strict=True):
            values[at] = of_it
        return cls(whole[0], whole[1], whole[2], ends[0], ends[1])

    def chosen(self, mine: BoolArray, other: _Aligned) -> _Aligned:
        """Its own series where ``mine``, else the other's."""
        return _Aligned(
            np.where(mine, self.counts, other.counts),
            np.where(mine, self.first, other.first),
            np.where(mine, self.last, other.last),
            np.where(mine[:, None], self.heads, other.heads),
            np.where(mine[:, None], self.tails, other.tails),
        )


def _followed(values: FloatArray, counts: IntArray, more: FloatArray) -> FloatArray:
    """The first ``lag`` of the first ``counts`` values of each row and then ``more`` of them."""
    places, lag = np.arange(values.shape[1]), values.shape[1]
    short = np.minimum(counts, lag)[:, None]
    after = np.take_along_axis(more, np.clip(places - short, 0, lag - 1), axis=1)
    return np.where(places < short, values, after)
