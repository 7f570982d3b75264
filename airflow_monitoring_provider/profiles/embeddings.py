"""The mean of vectors and how far their numbers spread, dimension by dimension, kept so that it merges.

Per dimension there is what :class:`.moments.Moments` keeps of numbers, up to the third moment: a mean that is the exact
sum of two doubles, and sums of squares and cubes around it, merged as by Chan, Golub and LeVeque (1983) and Pébay
(2008). A vector counts whole or not at all, so all dimensions have one count.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LARGEST = 1e90
"""A vector with a number beyond it is invalid: the cubes of its distances would overflow."""
BLOCK = 1 << 19
"""Numbers looked at together: 4 MB."""


@dataclasses.dataclass(frozen=True, slots=True)
class EmbeddingPlan:
    """One embedding to profile.

    :param columns: one column of vectors, or one of numbers for each dimension; none where the rows lack one of them.
    :param dimensions: how many numbers a vector has.
    :param split: each dimension has a column of its own.
    """

    name: str
    columns: tuple[str, ...]
    dimensions: int
    split: bool = False

    def common(self, other: EmbeddingPlan | None) -> EmbeddingPlan | None:
        """What is known of the rows of both; of rows that lack the columns nothing is, which contradicts nothing. None
        where the plans differ.
        """
        if other is None or dataclasses.replace(self, columns=()) != dataclasses.replace(other, columns=()):
            return None
        if not (self.columns and other.columns):
            return self if self.columns else other
        return self if self == other else None


@dataclasses.dataclass(frozen=True)
class EmbeddingProfile:
    """What is remembered of the vectors of some rows.

    :param rows: all rows, :attr:`count` + ``missing`` + ``invalid``.
    :param invalid: rows with something that is no vector of numbers of the planned length; ``other_length`` of them
        hold a list of another one.
    :param mean_high, mean_low: (dimensions,), the mean vector is the exact sum of both; zeros without vectors.
    :param squares, cubes: (dimensions,), sums of powers of the deviations from the mean.
    """

    rows: int
    missing: int
    invalid: int
    other_length: int
    mean_high: FloatArray
    mean_low: FloatArray
    squares: FloatArray
    cubes: FloatArray

    @classmethod
    def empty(cls, dimensions: int) -> EmbeddingProfile:
        """That of no rows."""
        mean_high, mean_low, squares, cubes = np.zeros((4, dimensions))
        return cls(0, 0, 0, 0, mean_high, mean_low, squares, cubes)

    @property
    def count(self) -> int:
        """Rows that hold a vector."""
        return self.rows - self.missing - self.invalid

    @property
    def dimensions(self) -> int:
        """How many numbers a vector has."""
        return int(self.mean_high.size)

    @property
    def mean(self) -> FloatArray:
        """(dimensions,), the mean vector."""
        return self.mean_high + self.mean_low

    def variance(self) -> FloatArray:
        """(dimensions,), ``numpy.var(vectors, axis=0, ddof=1)``; zeros of fewer than two vectors."""
        return np.asarray(self.squares / max(self.count - 1, 1))

    def skew(self) -> FloatArray:
        """(dimensions,), ``scipy.stats.skew(vectors, axis=0)``; 0 where nothing varies."""
        varies = self.squares > 0
        squares = np.where(varies, self.squares, 1.0)
        return np.where(varies, self.cubes / squares * np.sqrt(max(self.count, 1) / squares), 0.0)

    def merge(self, *others: EmbeddingProfile) -> EmbeddingProfile:
        """The profile of all sets of rows.

        :raises ValueError: they have other dimensions.
        """
        found = self
        for other in others:
            if other.dimensions != self.dimensions:
                raise ValueError(f"vectors of {self.dimensions} and of {other.dimensions} numbers cannot be merged")
            found = _merged(found, other)
        return found

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EmbeddingProfile):
            return NotImplemented
        return self._exact() == other._exact()

    def __hash__(self) -> int:
        return hash(self._exact())

    def _exact(self) -> tuple[object, ...]:
        arrays = (self.mean_high, self.mean_low, self.squares, self.cubes)
        return (self.rows, self.missing, self.invalid, self.other_length, *(array.tobytes() for array in arrays))


class EmbeddingBuilder:
    """Collects the vectors of one embedding; each row is added once."""

    def __init__(self, dimensions: int) -> None:
        self._found = EmbeddingProfile.empty(dimensions)

    def update(self, vectors: FloatArray, *, missing: int = 0, other_length: int = 0, unreadable: int = 0) -> None:
        """Add rows.

        :param vectors: (k, dimensions); one with a number that is not finite or beyond :data:`LARGEST` is invalid.
        :param missing: rows without a vector. :param other_length: rows with a list of another length.
        :param unreadable: rows with something that is no list of numbers at all.
        """
        found, dimensions = self._found, vectors.shape[1]
        rows = max(1, BLOCK // dimensions)
        for start in range(0, len(vectors), rows):
            found = found.merge(_of(vectors[start : start + rows]))
        self._found = dataclasses.replace(
            found,
            rows=found.rows + missing + other_length + unreadable,
            missing=found.missing + missing,
            invalid=found.invalid + other_length + unreadable,
            other_length=found.other_length + other_length,
        )

    def finish(self) -> EmbeddingProfile:
        """The profile of everything so far."""
        return self._found


def _of(block: FloatArray) -> EmbeddingProfile:
    """The profile of some vectors: two passes, so that no digit of the spread is lost."""
    with np.errstate(invalid="ignore"):
        usable = (np.abs(block) <= LARGEST).all(axis=1)  # NaN is not
    vectors = block if usable.all() else block[usable]
    rows, blank = len(vectors), EmbeddingProfile.empty(block.shape[1])
    if not rows:
        return dataclasses.replace(blank, rows=len(block), invalid=len(block))
    centre = vectors.mean(axis=0)
    apart = vectors - centre
    rest = apart.mean(axis=0)
    apart -= rest
    high, low = _two_sum(centre, rest)
    squared = apart * apart
    return dataclasses.replace(
        blank,
        rows=len(block),
        invalid=len(block) - rows,
        mean_high=high,
        mean_low=low,
        squares=squared.sum(axis=0),
        cubes=np.einsum("ij,ij->j", squared, apart),
    )


def _merged(a: EmbeddingProfile, b: EmbeddingProfile) -> EmbeddingProfile:
    if b.count > a.count:
        a, b = b, a  # the larger one's mean moves least
    found = dataclasses.replace(
        a,
        rows=a.rows + b.rows,
        missing=a.missing + b.missing,
        invalid=a.invalid + b.invalid,
        other_length=a.other_length + b.other_length,
    )
    if not b.count:
        return found
    n, m = a.count, b.count
    share, rest = m / (n + m), n / (n + m)
    apart = (b.mean_high - a.mean_high) + (b.mean_low - a.mean_low)
    high, low = _two_sum(a.mean_high, apart * share)
    mean_high, mean_low = _two_sum(high, low + a.mean_low)
    cubes = apart * apart * apart * (n * share * (rest - share)) + 3 * apart * (rest * b.squares - share * a.squares)
    return dataclasses.replace(
        found,
        mean_high=mean_high,
        mean_low=mean_low,
        squares=a.squares + b.squares + apart * apart * (share * n),
        cubes=a.cubes + b.cubes + cubes,
    )


def _two_sum(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The rounded sum and what rounding lost (Knuth)."""
    total = a + b
    moved = total - a
    return total, (a - (total - moved)) + (b - moved)
