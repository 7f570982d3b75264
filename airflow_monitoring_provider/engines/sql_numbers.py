"""Numeric columns from aggregates: counts and bounds in one statement for all of them, moments in a second, and the
buckets of each in one of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.engines import sql_moments
from airflow_monitoring_provider.engines.sql_buckets import bucketed
from airflow_monitoring_provider.engines.sql_moments import Spread, Value
from airflow_monitoring_provider.engines.sql_part import Part, once
from airflow_monitoring_provider.intake.source import Selection
from airflow_monitoring_provider.intake.words import DOUBLE
from airflow_monitoring_provider.profiles.column import ColumnProfile, Number
from airflow_monitoring_provider.profiles.histogram import Histogram
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
    selection, rows = part.selection, part.rows
    values = {plan.name: number_of(selection, rows.c[plan.name], mirrored=plan.mirrored) for plan in plans}
    counters = [_Counter(plan, selection, rows.c[plan.name], values[plan.name], n) for n, plan in enumerate(plans)]
    seen = once(part, {name: one for counter in counters for name, one in counter.computed().items()})
    totals = seen.totals([sa.func.count(), *(one for counter in counters for one in counter.asked(seen.rows))])
    found: dict[int, dict[str, ColumnProfile]] = {}
    spreads: dict[int, dict[str, Spread]] = {}
    for group, (count, *answers) in totals.items():
        found[group], spreads[group] = {}, {}
        for counter in counters:
            own, answers = answers[: counter.width], answers[counter.width :]
            name = counter.plan.name
            found[group][name], spreads[group][name] = counter.told(int(count), own)
    moments = sql_moments.moments(part, values, spreads)
    for plan in plans:
        histograms: dict[int, Histogram] = {}
        if any(columns[plan.name].count for columns in found.values()):
            shift = _shift_of(whole, plan.name)
            histograms = bucketed(part, values[plan.name], buckets, mirrored=plan.mirrored, whole=shift)
        for group, columns in found.items():
            histogram = histograms.get(group, Histogram.of((), buckets, mirrored=plan.mirrored))
            columns[plan.name] = dataclasses.replace(
                columns[plan.name], moments=moments[group][plan.name], histogram=histogram
            )
    return found


def _shift_of(whole: dict[str, ColumnProfile] | None, name: str) -> int | None:
    histogram = None if whole is None else whole[name].histogram
    return None if histogram is None else histogram.shift


@dataclasses.dataclass(frozen=True)
class _Counter:
    """Asks for the counts and bounds of one column."""

    plan: ColumnPlan
    selection: Selection
    column: Expression
    value: Value
    place: int

    @property
    def width(self) -> int:
        """How many expressions :meth:`asked` gives."""
        return 12 + len(self.plan.edges)

    @property
    def _whole(self) -> bool:
        return self.selection.is_whole(self.plan.name) and not self.plan.mirrored

    def computed(self) -> dict[str, Expression]:
        """What :meth:`asked` looks at, by the names it has there."""
        named = {f"d{self.place}": self.selection.double(self.column), f"v{self.place}": self.value.finite}
        return named | ({f"w{self.place}": sa.case((self.value.there, self.column))} if self._whole else {})

    def asked(self, rows: sa.FromClause) -> list[Expression]:
        """The aggregates, of rows with :meth:`computed`."""
        double, value = rows.c[f"d{self.place}"], rows.c[f"v{self.place}"]
        bounds = rows.c[f"w{self.place}"] if self._whole else value
        return [
            sa.func.count(double),
            _count(self.selection.is_nan(double)),
            _count(self.selection.is_infinite(double, 1)),
            _count(self.selection.is_infinite(double, -1)),
            *sql_moments.asked(value),
            _count(value == 0.0),
            _count(value < 0.0),
            sa.func.min(bounds),
            sa.func.max(bounds),
            *(_count(value < edge) for edge in sorted(self.plan.edges)),
        ]

    def told(self, total: int, answers: Sequence[Any]) -> tuple[ColumnProfile, Spread]:
        """The profile without moments and buckets, from the answers."""
        present, nan, positive, negative_inf, count, least, most, about, zero, negative, low, high, *below = answers
        there = int(present or 0) - int(nan or 0)
        profile = ColumnProfile(
            name=self.plan.name,
            kind=self.plan.kind,
            role=self.plan.role,
            rows=total,
            missing=total - there,
            invalid=there - int(count) - int(positive) - int(negative_inf),
            positive_inf=int(positive),
            negative_inf=int(negative_inf),
            zero=int(zero),
            negative=int(negative),
            minimum=_bound(low) if count else None,
            maximum=_bound(high) if count else None,
            edge_counts=dict(zip(sorted(self.plan.edges), map(int, below), strict=True)),
        )
        return profile, Spread.of(count, least, most, about)


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
