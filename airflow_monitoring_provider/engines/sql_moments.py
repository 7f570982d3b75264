"""Moments from sums that a database adds up around a number near the mean.

Where the number is a guess of :mod:`sql_sample`, they are added up together with counts and bounds, and it shows
afterwards whether it was near enough; where not, and where values are very large or very small, in a second look.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.engines.sql_part import Literals, Part, in_chunks, once
from airflow_monitoring_provider.intake.words import size_of
from airflow_monitoring_provider.profiles.moments import Moments, two_sum

Expression = sa.ColumnElement[Any]

_HUGE, _TINY = 1e280, 1e-280
FAR = 1e70
"""What lies farther from 0 is not added up around a guess; the sums of fourth powers of all else are doubles."""
_LEAST, _MOST = 2.0**-60, 2.0**200
_APART = 2.0**-10
_OFF = 100.0
"""How many times the variance the guess' squared distance from the mean may be: correcting costs four digits of 16."""


@dataclasses.dataclass(frozen=True)
class Value:
    """A number of each row.

    :param double: it, as a double that is no -0.0.
    :param there: where it counts.
    """

    double: Expression
    there: sa.ColumnElement[bool]

    @property
    def finite(self) -> Expression:
        """The number, and null where it does not count."""
        return sa.case((self.there, self.double))


@dataclasses.dataclass(frozen=True)
class Spread:
    """How many values there are, their bounds as doubles, and a number near their mean."""

    count: int
    low: float = 0.0
    high: float = 0.0
    pivot: float = 0.0

    @classmethod
    def of(cls, count: Any, low: Any, high: Any, total: Any) -> Spread:
        """From answers to :func:`asked`."""
        if not count:
            return cls(0)
        bottom, top = float(low) + 0.0, float(high) + 0.0
        pivot = float(total or 0) / int(count)
        return cls(int(count), bottom, top, pivot if bottom <= pivot <= top else bottom * 0.5 + top * 0.5)


def asked(value: Expression) -> list[Expression]:
    """Count, minimum, maximum and about the sum of the values that are not null, for :meth:`Spread.of`."""
    size = size_of(value)
    # PostgreSQL's sum refuses to overflow, and its avg squares.
    sums = sa.case((sa.and_(size < _HUGE, size > _TINY), value), else_=0.0)
    return [sa.func.count(value), sa.func.min(value), sa.func.max(value), sa.func.sum(sums)]


def pivot_near(mean: float, size: float) -> float | None:
    """A number near a mean from which no double is so little apart that the fourth power would vanish, which PostgreSQL
    refuses: what is not equal to a number of at least 2**-70 is 2**-124 apart.

    :param size: of the largest of the values.
    :returns: None where values are so large or so small that there is none.
    """
    if size and not _LEAST <= size <= _MOST:
        return None
    least = (size or 1.0) * _APART
    return mean if abs(mean) >= least else least


def power_sums(apart: Expression) -> list[Expression]:
    """Sums of the first four powers of deviations from a pivot, for :func:`near_moments`."""
    square = apart * apart
    return [sa.func.sum(apart), sa.func.sum(square), sa.func.sum(square * apart), sa.func.sum(square * square)]


def near_moments(spread: Spread, answers: Sequence[Any]) -> Moments | None:
    """The moments, from :func:`power_sums` around the spread's pivot; None where that is too far from the mean."""
    if not spread.count or spread.low == spread.high:
        return _centred(spread, [0.0] * 4, 0)
    found = _centred(spread, [float(x or 0) for x in answers], 0)
    off = found.mean - spread.pivot
    return found if spread.count * off * off <= _OFF * found.power2 else None


def moments(
    part: Part, values: Mapping[str, Value], spreads: Mapping[int, Mapping[str, Spread]]
) -> dict[int, dict[str, Moments]]:
    """Group -> name -> the moments of the values that count.

    Sums of the powers of the deviations from the pivot, in units of a power of two so that none overflows.

    :param spreads: of every group that has rows.
    """
    found: dict[int, dict[str, Moments]] = {group: {} for group in spreads}
    if not spreads:
        return found
    for names in in_chunks(list(values), len(spreads), 5, part.selection.connection.dialect.name):
        units = {name: _Unit.of([spread[name] for spread in spreads.values()]) for name in names}
        numbers = {group: [n for name in names for n in units[name].numbers(s[name])] for group, s in spreads.items()}
        literals = Literals(part, numbers)
        apart: dict[str, Expression] = {}
        for place, name in enumerate(names):
            start = sum(units[before].width for before in names[:place])
            own = [literals.number(start + offset) for offset in range(units[name].width)]
            apart[f"u{place}"] = units[name].apart(values[name], *own)
        seen = once(part, apart, literals.rows)
        powers = [power for label in apart for power in power_sums(seen.rows.c[label])]
        for group, answers in seen.totals(powers).items():
            for place, name in enumerate(names):
                sums = [float(x or 0) for x in answers[4 * place : 4 * place + 4]]
                spread = spreads[group][name]
                found[group][name] = _centred(spread, sums, _exponent(spread) + (_half(spread) < 1.0))
    return found


@dataclasses.dataclass(frozen=True)
class _Unit:
    """Of one column's deviations.

    :param halved: there is a group whose values are halved first, since the difference of two would overflow.
    """

    halved: bool

    @classmethod
    def of(cls, spreads: list[Spread]) -> _Unit:
        return cls(any(_half(spread) < 1.0 for spread in spreads))

    @property
    def width(self) -> int:
        """How many :meth:`numbers` there are."""
        return 5 if self.halved else 3

    def numbers(self, spread: Spread) -> list[float]:
        """The pivot, the least deviation that is seen, and what a deviation is multiplied by; where groups are halved
        also by what, and the size up to which a value of the group is nothing.
        """
        exponent, half = _exponent(spread), _half(spread)
        # What is a hundred orders below the widest is nothing to the sum, and PostgreSQL refuses to underflow.
        least = math.ldexp(1.0, max(-1074, exponent - 200))
        plain = [spread.pivot * half, least, math.ldexp(1.0, -exponent)]
        return [*plain, half, 0.0 if half == 1.0 else 1.0] if self.halved else plain

    def apart(
        self, value: Value, pivot: Expression, least: Expression, scale: Expression, *half: Expression
    ) -> Expression:
        """A value's deviation in units; null where it does not count."""
        double = value.double
        if half:
            double = sa.case((size_of(double) > half[1], double * half[0]), else_=0.0)
        apart = double - pivot
        return sa.case((sa.and_(value.there, size_of(apart) > least), apart * scale), (value.there, 0.0))


def _half(spread: Spread) -> float:
    return 0.5 if math.isinf(spread.high - spread.low) else 1.0


def _exponent(spread: Spread) -> int:
    half = _half(spread)
    pivot = spread.pivot * half
    return max(-1000, math.frexp(max(spread.high * half - pivot, pivot - spread.low * half))[1])


def _centred(spread: Spread, powers: list[float], exponent: int) -> Moments:
    """Central moments from powers around a pivot (binomial formulas), in units of ``2**exponent``."""
    n, (power1, power2, power3, power4) = spread.count, powers
    if not n:
        return Moments()
    if spread.low == spread.high:
        return Moments(n, spread.low)
    off = power1 / n
    around = n * off * off
    high, low = two_sum(spread.pivot, math.ldexp(off, exponent))
    plain = Moments(
        n,
        high,
        low,
        exponent,
        max(0.0, power2 - around),
        power3 - 3 * off * power2 + 2 * around * off,
        max(0.0, power4 - 4 * off * power3 + 6 * off * off * power2 - 3 * around * off * off),
    )
    if not -200 < exponent < 200:
        return plain
    factor = math.ldexp(1.0, exponent)  # as rows that were read would give it
    powers = [plain.power2 * factor**2, plain.power3 * factor**3, plain.power4 * factor**4]
    return dataclasses.replace(plain, exponent=0, power2=powers[0], power3=powers[1], power4=powers[2])
