"""Keys by which a database groups the values of a column of numbers, and what their counts tell.

The key of a number is its bucket. NaN and the infinities of a plain column have buckets of their own. Of a mirrored one
probabilities have buckets, and everything else has a negative key.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import sqlalchemy as sa

from airflow_monitoring_provider.engines.sql_bits import LeadingBits, bucket_code, order_codes
from airflow_monitoring_provider.engines.sql_moments import Value
from airflow_monitoring_provider.engines.sql_tallies import IntArray
from airflow_monitoring_provider.intake.source import Selection

Expression = sa.ColumnElement[Any]

_FINITE, _POSITIVE, _NEGATIVE, _NAN, _INVALID = range(5)
_INFINITY = 0x7FF0_0000_0000_0000


def value_key(selection: Selection, double: Expression, value: Value, shift: int, *, mirrored: bool) -> Expression:
    """The key of a double of a row; null of null.

    :param value: the numbers that count; ``shift``: at most 51.
    """
    if not mirrored:
        return LeadingBits(value.double, shift)
    return sa.case(
        (value.there, bucket_code(value.double, shift, mirrored=True)),
        (selection.is_infinite(double, 1), _other(_POSITIVE)),
        (selection.is_infinite(double, -1), _other(_NEGATIVE)),
        (selection.is_nan(double), _other(_NAN)),
        (double.is_not(None), _other(_INVALID)),
    )


@dataclasses.dataclass(frozen=True)
class Counts:
    """Of one group: how many values a column has (NaN is none), and how many there are of each kind."""

    there: int
    positive_inf: int
    negative_inf: int
    invalid: int
    zero: int
    negative: int


@dataclasses.dataclass(frozen=True)
class ValueTally:
    """How many rows have each key of a column.

    :param rows: (n, 3): group, key, count.
    :param fine: whether a histogram is made of these buckets.
    :param whole: whether the column holds integers.
    """

    rows: IntArray
    shift: int
    mirrored: bool
    fine: bool
    whole: bool

    @property
    def finite(self) -> IntArray:
        """The rows of numbers that count."""
        rows: IntArray = self.rows[self._kinds == _FINITE]
        return rows

    @property
    def _kinds(self) -> IntArray:
        keys = self.rows[:, 1]
        if self.mirrored:
            others: IntArray = np.where(keys < 0, -keys, _FINITE)
            return others
        codes, top = order_codes(keys, self.shift), _INFINITY >> self.shift
        beyond = np.where((codes > top) | (codes < -top - 1), _NAN, _FINITE)
        kinds: IntArray = np.where(codes == top, _POSITIVE, np.where(codes == -top - 1, _NEGATIVE, beyond))
        return kinds

    @property
    def tells_zeros(self) -> bool:
        """Whether no number but 0 is in the bucket of 0, or nothing is."""
        return self.shift == 0 or self.whole or not (self.finite[:, 1] == 0).any()

    def numbers(self, group: int) -> int:
        """How many numbers of a group count."""
        finite = self.finite
        return int(finite[finite[:, 0] == group, 2].sum())

    def counts(self, group: int) -> Counts:
        """What the keys of a group tell."""
        own = self.rows[:, 0] == group
        keys, rows = self.rows[own, 1], self.rows[own, 2]
        of_kind = [int(n) for n in np.bincount(self._kinds[own], rows, minlength=_INVALID + 1)]
        finite = self._kinds[own] == _FINITE
        return Counts(
            there=sum(of_kind) - of_kind[_NAN],
            positive_inf=of_kind[_POSITIVE],
            negative_inf=of_kind[_NEGATIVE],
            invalid=of_kind[_INVALID],
            zero=int(rows[finite & (keys == 0)].sum()),
            negative=int(rows[finite & (order_codes(keys, self.shift) < 0)].sum()) if not self.mirrored else 0,
        )


def _other(kind: int) -> Expression:
    return sa.literal(-kind, sa.BigInteger())
