"""Which rows count: the status of every row of a batch, by the rules of :class:`RowStatus`.

A row gets the first reason that fits in the order of the enumeration, but a duplicate is nothing else. Values that no
output can hold are noticed where rows are copied to it, not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.definitions.terms import RowStatus, TargetType
from airflow_monitoring_provider.engines.numbers import read_doubles
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.profiles.arrays import BoolArray, decoded, valid_rows
from airflow_monitoring_provider.profiles.plan import ColumnRole, ProfilePlan

StatusArray = npt.NDArray[np.uint8]


class Duplicates(Protocol):
    """Knows which of the rows that come next repeat the identifiers of an earlier one."""

    def flags(self, identifiers: Sequence[pa.Array]) -> BoolArray:
        """(rows,), True where a row without null identifiers repeats an earlier one; advances by those rows."""

    def check(self) -> None:
        """After the last row: raise :class:`SourceUnavailable` where these were not the rows that are known."""


class Screen:
    """Gives each row its status.

    :param identifiers: columns that tell rows apart; a null in one is ``MISSING_IDENTIFIER``.
    :param association_id: needed by an actuals-only job only.
    :param actuals_only: the rows bring actuals for predictions known already; predictions are not looked at.
    :param duplicates: finds repeated identifiers; without it none are looked for.
    """

    def __init__(
        self,
        plan: ProfilePlan,
        identifiers: Sequence[str] = (),
        association_id: str | None = None,
        *,
        actuals_only: bool = False,
        duplicates: Duplicates | None = None,
    ) -> None:
        target = plan.target
        self._predictions = () if actuals_only or target is None else tuple(c for _, c in target.prediction_columns)
        self._probabilities = target is not None and target.target_type is not TargetType.REGRESSION
        self._actuals = tuple(c for c in plan.columns if c.role is ColumnRole.ACTUAL) if actuals_only else ()
        self._association_id = association_id if actuals_only else None
        self._identifiers = tuple(identifiers)
        self._duplicates = duplicates

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that decide."""
        actuals = (column.name for column in self._actuals)
        joined = () if self._association_id is None else (self._association_id,)
        return tuple(dict.fromkeys([*self._predictions, *actuals, *joined, *self._identifiers]))

    def statuses(self, batch: pa.RecordBatch) -> StatusArray:
        """uint8 (rows,) of :class:`RowStatus`; batches must come in the order of the rows."""
        reasons = self._prediction_reasons(batch)
        if self._actuals:
            absent = [_absent(column_of(batch, column.name)) for column in self._actuals]
            reasons.append((RowStatus.MISSING_ACTUAL, np.logical_or.reduce(absent)))
        if self._association_id is not None:
            reasons.append((RowStatus.MISSING_ASSOCIATION_ID, _null(column_of(batch, self._association_id))))
        keys = [column_of(batch, name) for name in self._identifiers]
        reasons += [(RowStatus.MISSING_IDENTIFIER, _null(key)) for key in keys]
        statuses = np.zeros(len(batch), np.uint8)
        for reason, flags in sorted(reasons, key=lambda pair: -pair[0]):
            _say(statuses, flags, reason)
        if self._duplicates is not None and keys:
            _say(statuses, self._duplicates.flags(keys), RowStatus.DUPLICATE_IDENTIFIER)
        return statuses

    def _prediction_reasons(self, batch: pa.RecordBatch) -> list[tuple[RowStatus, BoolArray]]:
        reasons: list[tuple[RowStatus, BoolArray]] = []
        for name in self._predictions:
            numbers = read_doubles(column_of(batch, name))
            values = numbers.values
            usable = values >= 0 if self._probabilities else np.isfinite(values)
            if self._probabilities:
                usable &= values <= 1
            missing = numbers.missing()
            wrong = ~(usable | missing)
            if numbers.invalid is not None:
                wrong &= ~numbers.invalid
                reasons.append((RowStatus.BAD_TYPE, numbers.invalid))
            reasons += [(RowStatus.MISSING_PREDICTION, missing), (RowStatus.INVALID_PREDICTION, wrong)]
        return reasons


def _say(statuses: StatusArray, flags: BoolArray, reason: RowStatus) -> None:
    """Give the flagged rows a status. Most batches have none, which shows at a tenth of the cost."""
    if flags.any():
        statuses[flags] = reason


def _null(array: pa.Array) -> BoolArray:
    there = valid_rows(decoded(array))
    return np.zeros(len(array), np.bool_) if there is None else ~there


def _absent(array: pa.Array) -> BoolArray:
    """Null or NaN."""
    if pa.types.is_floating(array.type):
        return read_doubles(array).missing()
    return _null(array)
