"""Numeric columns from aggregates: a look at the first rows, the buckets of some columns at a time, and counts, bounds
and moments in one statement for all of them.

Buckets tell what is only counted as well: NaN, the infinities and negative numbers have some of their own. What is as
small as the smallest bucket may need one more question, for zeros.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.engines import sql_moments
from airflow_monitoring_provider.engines.sql_buckets import MOST_BUCKETS, bucketed, refined
from airflow_monitoring_provider.engines.sql_moments import Spread, Value
from airflow_monitoring_provider.engines.sql_part import Part, once
from airflow_monitoring_provider.engines.sql_sample import COARSEST, Guess, guessed
from airflow_monitoring_provider.engines.sql_tallies import tallied
from airflow_monitoring_provider.engines.sql_value_keys import ValueTally, value_key
from airflow_monitoring_provider.intake.source import Selection
from airflow_monitoring_provider.intake.words import DOUBLE, most_bound
from airflow_monitoring_provider.profiles.column import ColumnProfile, Number
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.plan import ColumnPlan

Expression = sa.ColumnElement[Any]

_EXACT_INTEGERS = 1 << 53


def number_of(selection: Selection, column: Expression, *, mirrored: bool = False) -> Value:
    """A column's finite numbers, or where ``mirrored`` those of them that are probabilities."""
    double = selection.double(column)
    inside = sa.and_(double >= 0.0, double <= 1.0) if mirrored else selection.is_finite(double)
    return Value(double + sa.literal(0.0, DOUBLE), inside)


def number_profiles(
    part: Part, plans: Sequence[ColumnPlan], buckets: int, whole: dict[str, ColumnProfile] | None = None
) -> dict[int, dict[str, ColumnProfile]]:
    """Group -> name -> profile of a numeric column.

    :param whole: profiles of the same columns of more rows than these.
    """
    if not plans:
        return {}
    step = _columns_of_a_statement(plans, part.selection.connection.dialect.name)
    if len(plans) > step:
        found = number_profiles(part, plans[:step], buckets, whole)
        for group, others in number_profiles(part, plans[step:], buckets, whole).items():
            found[group] |= others
        return found
    columns = {plan.name: _Column(plan, part, place) for place, plan in enumerate(plans)}
    if whole is None:
        values = {name: column.value for name, column in columns.items()}
        guesses = guessed(part, values, {plan.name: plan.mirrored for plan in plans}, buckets)
    else:
        guesses = {name: guess for name in columns if (guess := Guess.of(whole[name])) is not None}
    tallies = _tallies(part, columns, guesses, None if whole is not None else MOST_BUCKETS)
    sums = _sums(part, columns, tallies, {name: guess.pivot for name, guess in guesses.items()})
    zeros = _zeros(part, [column for name, column in columns.items() if not tallies[name].tells_zeros])
    moments = _moments(part, columns, sums)
    found = {group: {} for group in sums}
    for name, column in columns.items():
        histograms = _histograms(column, tallies[name], buckets)
        for group, own in sums.items():
            empty = Histogram.of((), buckets, mirrored=column.plan.mirrored)
            found[group][name] = dataclasses.replace(
                own[name].profile(column.plan, tallies[name], group, zeros.get(name, {}).get(group)),
                moments=moments[group][name],
                histogram=histograms.get(group, empty),
            )
    return found


@dataclasses.dataclass(frozen=True)
class _Column:
    """What is asked about one column.

    :param place: among the columns of a statement.
    """

    plan: ColumnPlan
    part: Part
    place: int

    @property
    def double(self) -> Expression:
        """Its values as doubles."""
        return self.part.selection.double(self.part.rows.c[self.plan.name])

    @property
    def value(self) -> Value:
        """Its numbers that count."""
        return number_of(self.part.selection, self.part.rows.c[self.plan.name], mirrored=self.plan.mirrored)

    @property
    def whole(self) -> bool:
        """Whether its numbers are integers."""
        return self.part.selection.is_whole(self.plan.name) and not self.plan.mirrored

    def key(self, shift: int) -> Expression:
        """What its rows are grouped by."""
        return value_key(self.part.selection, self.double, self.value, shift, mirrored=self.plan.mirrored)

    def numbers(self, pivot: float | None) -> dict[str, Expression]:
        """Its numbers; where they are added up around a pivot, without those that are too large."""
        inside: Expression = self.value.there
        if pivot is not None and not self.plan.mirrored:
            low, high = (sa.literal(bound, DOUBLE) for bound in (-sql_moments.FAR, sql_moments.FAR))
            inside = sa.and_(self.double >= low, self.double <= high)
        named: dict[str, Expression] = {f"v{self.place}": sa.case((inside, self.double))}
        if self.whole:  # which as doubles would lose digits of their bounds
            named[f"w{self.place}"] = sa.case((inside, self.part.rows.c[self.plan.name]))
        return named

    def apart(self, rows: sa.FromClause, pivot: float | None) -> dict[str, Expression]:
        """What :meth:`asked` looks at, of rows with :meth:`numbers`."""
        named: dict[str, Expression] = {name: rows.c[name] for name in self.numbers(pivot)}
        if pivot is not None:
            named[f"u{self.place}"] = rows.c[f"v{self.place}"] - sa.literal(pivot, DOUBLE)
        return named

    def asked(self, rows: sa.FromClause, pivot: float | None) -> list[Expression]:
        """The aggregates, of rows with :meth:`apart`."""
        value, bounds = rows.c[f"v{self.place}"], rows.c[f"{'w' if self.whole else 'v'}{self.place}"]
        count, *_, about = sql_moments.asked(value)
        sums = [about] if pivot is None else sql_moments.power_sums(rows.c[f"u{self.place}"])
        below = [_count(value < edge) for edge in sorted(self.plan.edges)]
        return [count, sa.func.min(bounds), sa.func.max(bounds), *below, *sums]


@dataclasses.dataclass(frozen=True)
class _Sums:
    """What :meth:`_Column.asked` found in a group of so many rows.

    :param moments: None where another look is needed, around the pivot of ``spread``.
    """

    rows: int
    low: Number | None
    high: Number | None
    below: tuple[int, ...]
    spread: Spread
    moments: Moments | None

    @classmethod
    def of(cls, rows: int, answers: Sequence[Any], edges: int, pivot: float | None) -> _Sums:
        (count, least, most), below, sums = answers[:3], answers[3 : 3 + edges], answers[3 + edges :]
        spread = Spread.of(count, least, most, sums[0])
        moments = None if count else Moments()
        if count and pivot is not None:
            near = dataclasses.replace(spread, pivot=pivot)
            moments = sql_moments.near_moments(near, sums)
            mean = pivot + float(sums[0]) / spread.count
            spread = dataclasses.replace(spread, pivot=min(max(mean, spread.low), spread.high))
        low, high = (_bound(least), _bound(most)) if count else (None, None)
        return cls(rows, low, high, tuple(map(int, below)), spread, moments)

    def profile(self, plan: ColumnPlan, tally: ValueTally, group: int, zeros: int | None) -> ColumnProfile:
        """The profile without moments and buckets.

        :param zeros: how many there are; None where the tally tells.
        """
        counts = tally.counts(group)
        return ColumnProfile(
            name=plan.name,
            kind=plan.kind,
            role=plan.role,
            rows=self.rows,
            missing=self.rows - counts.there,
            invalid=counts.invalid,
            positive_inf=counts.positive_inf,
            negative_inf=counts.negative_inf,
            zero=counts.zero if zeros is None else zeros,
            negative=counts.negative,
            minimum=self.low,
            maximum=self.high,
            edge_counts=dict(zip(sorted(plan.edges), self.below, strict=True)),
        )


def _tallies(
    part: Part, columns: Mapping[str, _Column], guesses: Mapping[str, Guess], most: int | None
) -> dict[str, ValueTally]:
    """Coarse ones of columns without a guess, or that have more buckets than expected."""
    shifts = {name: guesses[name].shift if name in guesses else COARSEST for name in columns}
    found = tallied(part, {name: columns[name].key(shift) for name, shift in shifts.items()}, most)
    full = [name for name, rows in found.items() if rows is None]
    found |= tallied(part, {name: columns[name].key(COARSEST) for name in full})
    return {
        name: ValueTally(
            rows,
            COARSEST if name in full else shifts[name],
            columns[name].plan.mirrored,
            fine=name in guesses and name not in full,
            whole=columns[name].whole,
        )
        for name, rows in found.items()
        if rows is not None
    }


def _sums(
    part: Part, columns: Mapping[str, _Column], tallies: Mapping[str, ValueTally], pivots: Mapping[str, float | None]
) -> dict[int, dict[str, _Sums]]:
    """Group -> name -> sums; around no pivot where there is none, or some numbers are too large for it."""
    found = _asked(part, columns, pivots)
    far = [
        name
        for name in columns
        if any(tallies[name].numbers(group) != own[name].spread.count for group, own in found.items())
    ]
    if far:
        for group, own in _asked(part, {name: columns[name] for name in far}, {}).items():
            found[group] |= own
    return found


def _asked(
    part: Part, columns: Mapping[str, _Column], pivots: Mapping[str, float | None]
) -> dict[int, dict[str, _Sums]]:
    around = [(column, pivots.get(name)) for name, column in columns.items()]
    first = once(part, {label: one for column, pivot in around for label, one in column.numbers(pivot).items()})
    second = once(
        first, {label: one for column, pivot in around for label, one in column.apart(first.rows, pivot).items()}
    )
    asked = {column.plan.name: column.asked(second.rows, pivot) for column, pivot in around}
    totals = second.totals([sa.func.count(), *(one for those in asked.values() for one in those)])
    found: dict[int, dict[str, _Sums]] = {}
    for group, (rows, *answers) in totals.items():
        found[group] = {}
        for name, those in asked.items():
            own, answers = answers[: len(those)], answers[len(those) :]
            found[group][name] = _Sums.of(int(rows), own, len(columns[name].plan.edges), pivots.get(name))
    return found


def _zeros(part: Part, columns: Sequence[_Column]) -> dict[str, dict[int, int]]:
    """Name -> group -> how many numbers are 0."""
    if not columns:
        return {}
    totals = part.totals([_count(column.double == 0.0) for column in columns])
    return {
        column.plan.name: {group: int(answers[place]) for group, answers in totals.items()}
        for place, column in enumerate(columns)
    }


def _moments(
    part: Part, columns: Mapping[str, _Column], sums: Mapping[int, Mapping[str, _Sums]]
) -> dict[int, dict[str, Moments]]:
    """Group -> name -> moments, in another look where the sums around a guess are not good enough."""
    again = {name: columns[name].value for name in columns if any(own[name].moments is None for own in sums.values())}
    spreads = {group: {name: own[name].spread for name in again} for group, own in sums.items()}
    looked = sql_moments.moments(part, again, spreads)
    return {group: {name: own[name].moments or looked[group][name] for name in columns} for group, own in sums.items()}


def _histograms(column: _Column, tally: ValueTally, buckets: int) -> dict[int, Histogram]:
    finite, mirrored = tally.finite, column.plan.mirrored
    if not finite.size:
        return {}
    if not tally.fine:
        return bucketed(column.part, column.value, buckets, mirrored=mirrored)
    return refined(column.part, column.value, finite, tally.shift, buckets, mirrored=mirrored)


def _columns_of_a_statement(plans: Sequence[ColumnPlan], dialect: str) -> int:
    """How many columns' numbers and sums bind no more values than half a statement may."""
    return most_bound(dialect) // 2 // (24 + 2 * max(len(plan.edges) for plan in plans))


def _bound(value: Any) -> Number:
    """An integer beyond 2**53 itself, every other number as a double."""
    whole = not isinstance(value, float) and abs(value) > _EXACT_INTEGERS and value == int(value)
    return int(value) if whole else float(value) + 0.0


def is_numeric(kind: pa.DataType) -> bool:
    """Whether values that arrive so are numbers, or truth as 0 and 1."""
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _count(condition: Expression) -> Expression:
    return sa.func.count(sa.case((condition, 1)))
