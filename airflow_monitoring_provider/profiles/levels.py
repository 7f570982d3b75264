"""Counts of the levels of a categorical column: exact up to a cap, bounded after, and a function of the rows alone.

Up to ``cap`` distinct levels every one keeps its name and exact count. Past it, levels named in the plan keep theirs,
and all others fall into buckets of equal hash prefix: like the histogram's, bits are dropped until at most ``cap``
buckets are occupied, so any split, order or merge tree gives the same state and the buckets are valid drift bins.
Distinct levels are then estimated from the smallest hashes (KMV; Beyer et al. 2007; 3 % standard error).

Names can be kept, replaced by their hash (``hash``: a pseudonym, open to guessing), or dropped (``drop``: only 16-bit
prefixes ever exist, so a bucket cannot be tied to one level).
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.profiles import buckets as kernel
from airflow_monitoring_provider.profiles.arrays import from_texts, text_bytes
from airflow_monitoring_provider.profiles.hashing import hash_texts

UInt64Array = npt.NDArray[np.uint64]

DEFAULT_CAP = 10_000
SKETCH_SIZE = 1024
LONGEST_NAME = 1000
"""Bytes of a level's text; a longer one goes by its first 200 characters and its hash."""
NAME_POLICIES = ("keep", "hash", "drop")

_Name = TypeVar("_Name", str, int)

_DROPPED_SHIFT = 48
_KEPT_CHARACTERS = 200
_SIGN = np.uint64(1 << 63)


@dataclasses.dataclass(frozen=True)
class LevelCounts:
    """Rows per level.

    :param counts: canonical text -> rows, for every level with a name: all of them unless :attr:`truncated`.
    :param hashed: hash prefix (the hash without its low ``shift`` bits) -> rows of the levels without a name.
    :param shift: bits dropped from the 64-bit hashes; 0 while nothing is hashed.
    :param cap: most distinct unnamed levels, then most buckets.
    :param named: levels that keep their names past the cap.
    :param names: ``keep``, ``hash`` or ``drop``.
    :param sketch: the smallest distinct hashes, increasing, at most 1024; kept only past the cap.
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    hashed: dict[int, int] = dataclasses.field(default_factory=dict)
    shift: int = 0
    cap: int = DEFAULT_CAP
    named: frozenset[str] = frozenset()
    names: str = "keep"
    sketch: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        levels: Mapping[str, int] | Iterable[str],
        cap: int = DEFAULT_CAP,
        *,
        named: Iterable[str] = (),
        names: str = "keep",
    ) -> LevelCounts:
        """Count canonical texts, or take a mapping of text to rows."""
        counted = +collections.Counter(levels)  # without levels of no rows
        builder = LevelsBuilder(cap, named=named, names=names)
        builder.update(from_texts(list(counted)), np.fromiter(counted.values(), np.int64, len(counted)))
        return builder.finish()

    @property
    def truncated(self) -> bool:
        """Some levels have no name of their own."""
        return self.shift > 0

    @functools.cached_property
    def total(self) -> int:
        """How many rows are counted."""
        return sum(self.counts.values()) + sum(self.hashed.values())

    @property
    def distinct(self) -> int:
        """How many levels there are: exact or an estimate, see :attr:`distinct_exact`."""
        if not self.truncated:
            return len(self.counts)
        if self.names == "drop":
            return _linear_counting(len(self.hashed), 64 - self.shift)
        if len(self.sketch) < SKETCH_SIZE:
            return len(self.sketch)
        return round((SKETCH_SIZE - 1) * 2.0**64 / self.sketch[-1])

    @property
    def distinct_exact(self) -> bool:
        """:attr:`distinct` is a count and not an estimate."""
        return not self.truncated or (self.names != "drop" and len(self.sketch) < SKETCH_SIZE)

    def merge(self, *others: LevelCounts) -> LevelCounts:
        """The levels of all sets of rows.

        :raises ValueError: they treat names differently.
        """
        for other in others:
            if self.names != other.names:
                raise ValueError(f"levels with names {self.names!r} and {other.names!r} cannot be merged")
        parts = (self, *others)
        cap, shift = min(part.cap for part in parts), max(part.shift for part in parts)
        return _settle(
            _join(*(part.counts for part in parts)),
            _join(*(_prefixes(part.hashed, shift - part.shift) for part in parts)),
            shift,
            cap,
            self.named.intersection(*(other.named for other in others)),
            self.names,
            _smallest(*(part.sketch for part in parts)),
        )

    def coarsen(self, shift: int, named: Iterable[str] | None = None) -> LevelCounts:
        """The same rows with every level outside ``named`` (default: as it is) hashed, at least ``shift`` bits dropped.

        ``shift`` 0 with exact levels leaves them as they are.
        """
        keep = self.named if named is None else self.named & frozenset(named)
        if shift <= self.shift and keep == self.named:
            return self
        target = max(shift, self.shift)
        return _settle(
            dict(self.counts),
            _prefixes(self.hashed, target - self.shift),
            target,
            self.cap,
            keep,
            self.names,
            self.sketch,
        )

    def align(self, other: LevelCounts) -> tuple[LevelCounts, LevelCounts]:
        """Both in the same bins: when either is truncated, the same levels are named and the same prefixes used."""
        if not (self.truncated or other.truncated):
            return self, other
        if not self.truncated:
            right, left = other.align(self)
            return left, right
        named = self.named if not other.truncated else self.named & other.named
        shift = max(self.shift, other.shift)
        mine = dataclasses.replace(self, named=self.named).coarsen(shift, named)
        theirs = dataclasses.replace(other, named=other.named | named).coarsen(shift, named)
        shift = max(mine.shift, theirs.shift)
        return mine.coarsen(shift), theirs.coarsen(shift)

    def top(self, n: int) -> tuple[str, ...]:
        """The ``n`` most frequent named levels, ties in text order."""
        ranked = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(level for level, _ in ranked[:n])


class LevelsBuilder:
    """Collects distinct levels and their counts batch by batch; :meth:`finish` may be called at any time."""

    def __init__(self, cap: int = DEFAULT_CAP, *, named: Iterable[str] = (), names: str = "keep") -> None:
        if names not in NAME_POLICIES:
            raise ValueError(f"level names can be {', '.join(NAME_POLICIES)}, not {names!r}")
        self._cap, self._named, self._names = cap, frozenset(named), names
        self._counts: dict[str, int] = {}
        self._unnamed = 0
        self._shift = _DROPPED_SHIFT if names == "drop" else 0
        self._codes, self._rows = kernel.empty()
        self._sketch: UInt64Array = np.zeros(0, np.uint64)

    def update(self, levels: pa.Array, rows: npt.NDArray[np.int64]) -> None:
        """Add ``rows[i]`` rows of the canonical text ``levels[i]``.

        :param levels: string array without nulls; a level may occur more than once.
        """
        if len(levels) == 0:
            return
        levels = _shortened(levels)
        if self._shift:
            self._add_hashed(levels, rows)
            return
        texts = levels.to_pylist() if self._names == "keep" else [pseudonym(h) for h in hash_texts(levels).tolist()]
        counts, named = self._counts, self._named
        for text, n in zip(texts, rows.tolist(), strict=True):
            seen = counts.get(text)
            if seen is None:
                counts[text] = n
                self._unnamed += text not in named
            else:
                counts[text] = seen + n
        if self._unnamed > self._cap:
            self._truncate()

    def finish(self) -> LevelCounts:
        """The levels of everything so far."""
        hashed = dict(zip(_to_prefixes(self._codes, self._shift), self._rows.tolist(), strict=True))
        return LevelCounts(
            dict(sorted(self._counts.items())),
            hashed,
            self._shift,
            self._cap,
            self._named,
            self._names,
            tuple(self._sketch.tolist()),
        )

    def _truncate(self) -> None:
        state = _settle(self._counts, {}, 0, self._cap, self._named, self._names, ())
        self._counts, self._shift = state.counts, state.shift
        self._codes = _to_codes(np.fromiter(state.hashed, np.uint64, len(state.hashed)), state.shift)
        self._rows = np.fromiter(state.hashed.values(), np.int64, len(state.hashed))
        self._sketch = np.array(state.sketch, np.uint64)

    def _add_hashed(self, levels: pa.Array, rows: npt.NDArray[np.int64]) -> None:
        hashes = hash_texts(levels)
        if self._names != "drop":
            full = self._sketch.size == SKETCH_SIZE
            smaller = hashes[hashes < self._sketch[-1]] if full else hashes
            self._sketch = np.unique(np.concatenate((self._sketch, smaller)))[:SKETCH_SIZE]
        if self._named and self._names != "drop":
            hashes, rows = self._take_named(levels, hashes, rows)
        codes = (hashes ^ _SIGN).view(np.int64) >> self._shift
        self._codes, self._rows = kernel.union(self._codes, self._rows, *kernel.add_up(codes, rows))
        extra = kernel.surplus_bits(self._codes, max(self._cap, 2))
        if extra:
            self._codes, self._rows = kernel.drop_bits(self._codes, self._rows, extra)
            self._shift += extra

    def _take_named(
        self, levels: pa.Array, hashes: UInt64Array, rows: npt.NDArray[np.int64]
    ) -> tuple[UInt64Array, npt.NDArray[np.int64]]:
        ours = sorted(self._named)
        wanted = hash_texts(from_texts(ours)) if self._names == "keep" else _hashes_of(ours, self._names)
        unnamed = np.ones(hashes.size, bool)
        for i in np.flatnonzero(np.isin(hashes, wanted)).tolist():
            text = levels[i].as_py() if self._names == "keep" else pseudonym(int(hashes[i]))
            if text in self._named:
                self._counts[text] = self._counts.get(text, 0) + int(rows[i])
                unnamed[i] = False
        return hashes[unnamed], rows[unnamed]


def _shortened(levels: pa.Array) -> pa.Array:
    """Texts of bounded length: a very long one becomes its beginning and its hash, so names need bounded memory."""
    if int(np.diff(text_bytes(levels)[1]).max()) <= LONGEST_NAME:
        return levels
    hashes = hash_texts(levels).tolist()
    return from_texts(
        [
            text if len(text.encode()) <= LONGEST_NAME else f"{text[:_KEPT_CHARACTERS]}…{pseudonym(level_hash)}"
            for text, level_hash in zip(levels.to_pylist(), hashes, strict=True)
        ]
    )


def pseudonym(level_hash: int) -> str:
    """The name a level goes by when names are hashed: ``#`` and 16 hex digits."""
    return f"#{level_hash:016x}"


def _settle(
    counts: dict[str, int],
    hashed: dict[int, int],
    shift: int,
    cap: int,
    named: frozenset[str],
    names: str,
    sketch: tuple[int, ...],
) -> LevelCounts:
    """The one state that belongs to these rows: hash what may not keep its name, then drop bits until it fits."""
    if not shift and sum(level not in named for level in counts) <= cap:
        return LevelCounts(dict(sorted(counts.items())), {}, 0, cap, named, names, ())
    base = max(shift, 1)
    hashes = _hashes_of(list(counts), names)
    loose = [(h, n) for h, (level, n) in zip(hashes.tolist(), counts.items(), strict=True) if level not in named]
    merged = _join(_prefixes(hashed, base - shift), _prefixes_of_hashes(loose, base))
    codes = _to_codes(np.fromiter(merged, np.uint64, len(merged)), base)
    order = np.argsort(codes)
    codes, rows = codes[order], np.fromiter(merged.values(), np.int64, len(merged))[order]
    extra = kernel.surplus_bits(codes, max(cap, 2))
    codes, rows = kernel.drop_bits(codes, rows, extra)
    return LevelCounts(
        {level: counts[level] for level in sorted(counts) if level in named},
        dict(zip(_to_prefixes(codes, base + extra), rows.tolist(), strict=True)),
        base + extra,
        cap,
        named,
        names,
        () if names == "drop" else _smallest(sketch, tuple(hashes.tolist())),
    )


def _hashes_of(levels: list[str], names: str) -> UInt64Array:
    if names == "hash":
        return np.array([int(level[1:], 16) for level in levels], np.uint64)
    return hash_texts(from_texts(levels))


def _prefixes(hashed: dict[int, int], bits: int) -> dict[int, int]:
    if not bits:
        return hashed
    result: dict[int, int] = {}
    for prefix, rows in hashed.items():
        result[prefix >> bits] = result.get(prefix >> bits, 0) + rows
    return result


def _prefixes_of_hashes(pairs: list[tuple[int, int]], shift: int) -> dict[int, int]:
    result: dict[int, int] = {}
    for level_hash, rows in pairs:
        result[level_hash >> shift] = result.get(level_hash >> shift, 0) + rows
    return result


def _join(*parts: dict[_Name, int]) -> dict[_Name, int]:
    result = dict(parts[0])
    for part in parts[1:]:
        for name, rows in part.items():
            result[name] = result.get(name, 0) + rows
    return result


def _to_codes(prefixes: UInt64Array, shift: int) -> npt.NDArray[np.int64]:
    """Signed codes in the order of the unsigned prefixes, as the shared kernel wants them."""
    return ((prefixes << np.uint64(shift)) ^ _SIGN).view(np.int64) >> shift


def _to_prefixes(codes: npt.NDArray[np.int64], shift: int) -> list[int]:
    unsigned = ((codes << shift).view(np.uint64) ^ _SIGN) >> np.uint64(shift)
    return [int(p) for p in unsigned.tolist()]


def _smallest(*sketches: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(set().union(*sketches))[:SKETCH_SIZE])


def _linear_counting(occupied: int, bits: int) -> int:
    slots = 2.0**bits
    return occupied if occupied >= slots else round(-slots * math.log1p(-occupied / slots))
