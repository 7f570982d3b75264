"""What the first rows tell of columns of numbers before all rows are counted: how fine their buckets are to be, and a
number near their mean.

So all rows are grouped once, into somewhat more buckets than a histogram keeps, and powers of deviations are added up
in the statement that finds the bounds. Both are guesses: whoever uses them looks at what came of it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import sqlalchemy as sa

from airflow_monitoring_provider.engines.sql_bits import bucket_code, order_codes
from airflow_monitoring_provider.engines.sql_moments import Value, pivot_near
from airflow_monitoring_provider.engines.sql_part import Part
from airflow_monitoring_provider.engines.sql_tallies import IntArray, tallied
from airflow_monitoring_provider.profiles import buckets as kernel
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.histogram import Histogram

COARSEST = 51
"""The exponent and one more bit: it tells NaN from infinity, and a column has at most 8192 buckets."""
_SAMPLE = 20_000
_FIRST = 44  # eight bits of the mantissa, at which a sample of normal values fills 2048 buckets
_KEYS = 16


@dataclasses.dataclass(frozen=True)
class Guess:
    """Of one column: a shift at which its first rows fill more buckets than a histogram keeps, 0 where they never do;
    and a number near their mean, None where sums of powers around one would not be safe."""

    shift: int
    pivot: float | None

    @classmethod
    def of(cls, more: ColumnProfile) -> Guess | None:
        """For some of the rows of a profile; None where it has no numbers."""
        histogram, moments = more.histogram, more.moments
        if histogram is None or moments is None or not moments.count:
            return None
        size = max(abs(float(more.minimum or 0)), abs(float(more.maximum or 0)))
        return cls(max(0, histogram.shift - 1), pivot_near(moments.mean, size))


def guessed(part: Part, values: Mapping[str, Value], mirrored: Mapping[str, bool], buckets: int) -> dict[str, Guess]:
    """Name -> what the first rows tell; a column of which they have too few values is absent."""
    named = {name: f"v{place}" for place, name in enumerate(values)}
    rows = sa.select(*(values[name].finite.label(label) for name, label in named.items()))
    sample = rows.select_from(part.rows).where(*part.where()).limit(_SAMPLE).subquery("sampled")
    shifts, found, complete = dict.fromkeys(values, _FIRST), dict[str, Guess](), None
    occupied: dict[str, int] = {}
    while shifts:
        keys = {
            name: bucket_code(sample.c[named[name]], shift, mirrored=mirrored[name]) for name, shift in shifts.items()
        }
        finer = {}
        for name, counted in tallied(Part(part.selection, sample), keys, at_once=_KEYS).items():
            if counted is None:
                raise AssertionError("nothing limits how many keys a sample has")
            shift, count = shifts[name], int(counted[:, 2].sum())
            if len(counted) > buckets or shift == 0:
                found[name] = _told(counted, shift, buckets, mirrored=mirrored[name])
            elif count > buckets:
                more = max(1, math.ceil(math.log2((buckets + 1) / len(counted))))
                finer[name] = 0 if occupied.get(name) == len(counted) else max(0, shift - more)
                occupied[name] = len(counted)
            else:
                if complete is None:
                    asked = sa.select(sa.func.count()).select_from(sample)
                    complete = int(part.selection.connection.scalar(asked) or 0) < _SAMPLE
                finer |= {name: 0} if complete and count else {}
        shifts = finer
    return found


def _told(counted: IntArray, shift: int, buckets: int, *, mirrored: bool) -> Guess:
    histogram = histogram_of(counted, shift, buckets, mirrored=mirrored)
    fitting = min(COARSEST, max(shift, histogram.shift - 1))
    points = histogram.representatives()
    size = float(np.abs(points).max())
    mean = size * float(np.average(points / size, weights=histogram.counts)) if size else 0.0
    return Guess(fitting, pivot_near(mean, size))


def histogram_of(counted: IntArray, shift: int, buckets: int, *, mirrored: bool) -> Histogram:
    """The histogram of keys that :func:`~.sql_bits.bucket_code` gave of finite numbers.

    :param counted: (n, 3): group, key, count.
    """
    codes = counted[:, 1] if mirrored else order_codes(counted[:, 1], shift)
    codes, counts = kernel.add_up(codes, counted[:, 2].copy())
    extra = kernel.surplus_bits(codes, buckets)
    codes, counts = kernel.drop_bits(codes, counts, extra)
    return Histogram(shift + extra, codes, counts, buckets, mirrored)
