"""Numeric columns from aggregates: counts and bounds in one statement for all of them, moments in a second, and the
buckets of each in one of its own.

How fine the buckets are to be is found on the first rows, so that the whole table is grouped once, into somewhat more
buckets than the histogram keeps; the rest of the way is the histogram's own coarsening, and the result the one that
all values give.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from airflow_monitoring_provider.engines.sql_bits import leading_bits, order_codes, whole_number
from airflow_monitoring_provider.intake.source import Selection
from airflow_monitoring_provider.profiles import buckets as kernel
from airflow_monitoring_provider.profiles.column import ColumnProfile, Number
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.moments import Moments, two_sum
from airflow_monitoring_provider.profiles.plan import ColumnPlan

Expression = sa.ColumnElement[Any]

MOST_BUCKETS = 1 << 16
"""Buckets that leave the database of one column; twice as many end a statement, and a coarser one follows."""
_SAMPLE = 20_000
_COARSEST = 52  # the exponent alone
_TWICE_HALF = 2 * int(np.array(0.5).view(np.int64))
_EXACT_INTEGERS = 1 << 53
_HUGE, _TINY = 1e280, 1e-280


@dataclasses.dataclass(frozen=True)
class NumberColumn:
    """What the first statement says of a column: its counts and bounds, and a number near its mean."""

    plan: ColumnPlan
    profile: ColumnProfile
    pivot: float


def finite(selection: Selection, column: Expression, plan: ColumnPlan) -> Expression:
    """The column's values as doubles: null where there is none, and no -0.0."""
    double = selection.double(column)
    inside = sa.and_(double >= 0.0, double <= 1.0) if plan.mirrored else _between_infinities(double)
    return sa.case((inside, double + sa.literal(0.0, sa.Double())))


def number_columns(selection: Selection, rows: sa.FromClause, plans: Sequence[ColumnPlan]) -> list[NumberColumn]:
    """Counts and bounds of all the columns, from one pass over the rows."""
    if not plans:
        return []
    asked: list[Expression] = [sa.func.count()]
    for plan in plans:
        column, value = rows.c[plan.name], finite(selection, rows.c[plan.name], plan)
        double = selection.double(column)
        sums = sa.case((sa.and_(sa.func.abs(value) < _HUGE, sa.func.abs(value) > _TINY), value), else_=0.0)
        whole = selection.is_whole(plan.name)
        bounds = column if whole and not plan.mirrored else value
        asked += [
            sa.func.count(double),
            _count(selection.is_nan(double)),
            _count(double == math.inf),
            _count(double == -math.inf),
            sa.func.count(value),
            _count(value == 0.0),
            _count(value < 0.0),
            sa.func.min(bounds),
            sa.func.max(bounds),
            sa.func.sum(sums),  # PostgreSQL's avg squares, and refuses to overflow
            *(_count(value < edge) for edge in sorted(plan.edges)),
        ]
    answers = list(selection.connection.execute(sa.select(*asked).select_from(rows)).one())
    total = int(answers.pop(0))
    found = []
    for plan in plans:
        width = 10 + len(plan.edges)
        found.append(_counted(plan, total, answers[:width]))
        del answers[:width]
    return found


def of_numbers(
    selection: Selection, rows: sa.FromClause, numbers: Sequence[NumberColumn], buckets: int
) -> dict[str, ColumnProfile]:
    """The whole profiles of the columns: moments from a second pass, buckets from one for each."""
    profiles = {}
    moments = _moments(selection, rows, numbers)
    for number, own in zip(numbers, moments, strict=True):
        value = finite(selection, rows.c[number.plan.name], number.plan)
        histogram = Histogram.of((), buckets, mirrored=number.plan.mirrored)
        if number.profile.count:
            (histogram,) = bucketed(selection, rows, value, buckets, mirrored=number.plan.mirrored).values()
        profiles[number.plan.name] = dataclasses.replace(number.profile, moments=own, histogram=histogram)
    return profiles


def bucketed(
    selection: Selection,
    rows: sa.FromClause,
    value: Expression,
    buckets: int,
    *,
    mirrored: bool,
    split: Expression | None = None,
) -> dict[int, Histogram]:
    """The histogram of the values that are not null, by the whole number that ``split`` gives (0 without)."""
    shift = _fitting_shift(selection, rows, value, buckets, mirrored=mirrored)
    while True:
        found = _groups(selection, rows, value, shift, mirrored=mirrored, split=split)
        if found.shape[0] <= MOST_BUCKETS or shift >= _COARSEST:
            break
        shift = min(_COARSEST, shift + max(1, (found.shape[0] // MOST_BUCKETS).bit_length()))
    histograms = {}
    for part in np.unique(found[:, 0]).tolist() if split is not None else [0]:
        own = found[found[:, 0] == part]
        codes = own[:, 1] if mirrored else order_codes(own[:, 1], shift)
        codes, counts = kernel.add_up(codes, own[:, 2].copy())
        extra = kernel.surplus_bits(codes, buckets)
        codes, counts = kernel.drop_bits(codes, counts, extra)
        histograms[int(part)] = Histogram(shift + extra, codes, counts, buckets, mirrored)
    return histograms


def _fitting_shift(
    selection: Selection, rows: sa.FromClause, value: Expression, buckets: int, *, mirrored: bool
) -> int:
    """The coarsest precision at which the first rows fill more than ``buckets`` buckets, 0 where they never do."""
    sample = (
        sa.select(value.label("value")).select_from(rows).where(value.is_not(None)).limit(_SAMPLE).subquery("sample")
    )
    shift = _COARSEST
    while True:
        code = _code(selection, sample.c.value, shift, mirrored=mirrored)
        distinct = sa.select(sa.func.count(sa.distinct(code))).select_from(sample)
        occupied = int(selection.connection.scalar(distinct) or 0)
        if occupied > buckets or not shift:
            return shift
        shift = max(0, shift - max(1, math.ceil(math.log2((buckets + 1) / max(1, occupied)))))


def _groups(
    selection: Selection,
    rows: sa.FromClause,
    value: Expression,
    shift: int,
    *,
    mirrored: bool,
    split: Expression | None,
) -> npt.NDArray[np.int64]:
    """(n, 3): part, code, count; at most one row more than :data:`MOST_BUCKETS` unless the precision is exact."""
    code = _code(selection, value, shift, mirrored=mirrored)
    part = sa.literal(0, sa.Integer()) if split is None else split
    inner = (
        sa.select(part.label("part"), code.label("code")).select_from(rows).where(value.is_not(None)).subquery("codes")
    )
    keys = [inner.c.code] if split is None else [inner.c.part, inner.c.code]
    shown = [sa.literal(0, sa.Integer()) if split is None else inner.c.part, inner.c.code]
    grouped = sa.select(*shown, sa.func.count()).group_by(*keys)
    if shift < _COARSEST:
        grouped = grouped.limit(2 * MOST_BUCKETS)
    answers = selection.connection.execute(grouped).all()
    return np.array([tuple(row) for row in answers], np.int64).reshape(-1, 3)


def _code(selection: Selection, value: Expression, shift: int, *, mirrored: bool) -> Expression:
    dialect = selection.connection.dialect.name
    plain = leading_bits(value, shift, dialect)
    if not mirrored:
        return plain
    # Above one half the code is 2 code(0.5) - code(1 - x), and twice code(0.5) ends in 54 zero bits.
    rest = leading_bits(sa.literal(1.0, sa.Double()) - value, 0, dialect)
    up = (rest.self_group() - 1).self_group().op(">>")(whole_number(shift)).self_group()
    above = sa.literal((_TWICE_HALF >> shift) - 1, sa.BigInteger()) - up
    return sa.case((value > 0.5, above), else_=sa.cast(plain, sa.BigInteger()))


def _moments(selection: Selection, rows: sa.FromClause, numbers: Sequence[NumberColumn]) -> list[Moments]:
    """Sums of the powers of the deviations from the pivot, in units of a power of two so that none overflows."""
    asked: list[Expression] = []
    scales = []
    for number in numbers:
        low, high = float(number.profile.minimum or 0), float(number.profile.maximum or 0)
        half = 0.5 if math.isinf(high - low) else 1.0
        pivot = number.pivot * half
        exponent = max(-1000, math.frexp(max(high * half - pivot, pivot - low * half))[1])
        scales.append((exponent + (half == 0.5), pivot / half))
        value = finite(selection, rows.c[number.plan.name], number.plan)
        if half == 0.5:
            value = sa.case((sa.func.abs(value) > 1.0, value * 0.5), (value.is_not(None), 0.0))
        apart = value - sa.literal(pivot, sa.Double())
        # What is a hundred orders below the widest is nothing to the sum, and PostgreSQL refuses to underflow.
        seen = sa.func.abs(apart) > math.ldexp(1.0, max(-1074, exponent - 200))
        unit = sa.case((seen, apart * math.ldexp(1.0, -exponent)), (value.is_not(None), 0.0))
        square = unit * unit
        asked += [sa.func.sum(unit), sa.func.sum(square), sa.func.sum(square * unit), sa.func.sum(square * square)]
    if not asked:
        return []
    answers = selection.connection.execute(sa.select(*asked).select_from(rows)).one()
    return [
        _centred(number.profile, *scale, *(float(x or 0) for x in answers[4 * place : 4 * place + 4]))
        for place, (number, scale) in enumerate(zip(numbers, scales, strict=True))
    ]


def _centred(
    profile: ColumnProfile, exponent: int, pivot: float, power1: float, power2: float, power3: float, power4: float
) -> Moments:
    """Central moments from powers around a pivot (binomial formulas), in units of ``2**exponent``."""
    n = profile.count
    if not n:
        return Moments()
    if profile.minimum == profile.maximum:
        return Moments(n, float(profile.minimum or 0))
    off = power1 / n
    around = n * off * off
    high, low = two_sum(pivot, math.ldexp(off, exponent))
    plain = Moments(
        n,
        high,
        low,
        exponent,
        max(0.0, power2 - around),
        power3 - 3 * off * power2 + 2 * around * off,
        max(0.0, power4 - 4 * off * power3 + 6 * off * off * power2 - 3 * around * off * off),
    )
    if -200 < exponent < 200:  # as rows that were read would give it
        factor = math.ldexp(1.0, exponent)
        return dataclasses.replace(
            plain,
            exponent=0,
            power2=plain.power2 * factor**2,
            power3=plain.power3 * factor**3,
            power4=plain.power4 * factor**4,
        )
    return plain


def _counted(plan: ColumnPlan, total: int, answers: Sequence[Any]) -> NumberColumn:
    present, nan, positive, negative_inf, count, zero, negative, low, high, total_sum, *below = answers
    bounds = (None, None) if not count else (_bound(low), _bound(high))
    profile = ColumnProfile(
        name=plan.name,
        kind=plan.kind,
        role=plan.role,
        rows=total,
        missing=total - int(present) + int(nan),
        invalid=int(present) - int(count) - int(nan) - int(positive) - int(negative_inf),
        positive_inf=int(positive),
        negative_inf=int(negative_inf),
        zero=int(zero),
        negative=int(negative),
        minimum=bounds[0],
        maximum=bounds[1],
        edge_counts=dict(zip(sorted(plan.edges), map(int, below), strict=True)),
    )
    pivot = float(total_sum or 0) / max(1, int(count))
    if count and not float(low) <= pivot <= float(high):
        pivot = float(low) * 0.5 + float(high) * 0.5
    return NumberColumn(plan, profile, pivot)


def _bound(value: Any) -> Number:
    """An integer beyond 2**53 itself, every other number as a double."""
    return int(value) if isinstance(value, int) and abs(value) > _EXACT_INTEGERS else float(value) + 0.0


def _between_infinities(double: Expression) -> sa.ColumnElement[bool]:
    return sa.and_(double > -math.inf, double < math.inf)


def _count(condition: Expression) -> Expression:
    return sa.func.count(sa.case((condition, 1)))
