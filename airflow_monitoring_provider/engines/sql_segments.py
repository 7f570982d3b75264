"""In which segment a row is, as the database tells: the codes that rows which are read would get.

A level is found by the values that the column holds, each put in its place by the reader of rows itself, so that both
have one idea of what a level's text is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.engines.segments import SegmentReader, fulfils
from airflow_monitoring_provider.engines.sql_numbers import is_numeric
from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.intake.words import never
from airflow_monitoring_provider.profiles.arrays import from_truth, is_text
from airflow_monitoring_provider.profiles.plan import ConditionPlan, SegmentPlan

Expression = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]

MOST_VALUES = 1000
"""Values of a column that one expression tells apart."""
_ORDER = {"lt": "__lt__", "le": "__le__", "gt": "__gt__", "ge": "__ge__"}


def check_segment(plan: SegmentPlan, selection: Selection) -> None:
    """Refuse a way to group rows that the database cannot tell.

    :raises CannotPushDown: names the column.
    """
    for name in plan.columns:
        if name not in selection.types.names:
            raise CannotPushDown(f"segments by column {name!r}, which is gone since the baseline was made")
        arrives = selection.types.field(name).type
        ranged = not plan.where and not plan.by_level
        if ranged and not is_numeric(arrives):
            raise CannotPushDown(f"segments by ranges of column {name!r}, which arrives as {arrives}")


def segment_code(plan: SegmentPlan, selection: Selection, level_names: str) -> Expression:
    """The place of a row's segment in :attr:`SegmentPlan.ids`, null where it is in none.

    :raises CannotPushDown: a column's values cannot be told apart there; names it.
    """
    if plan.where:
        return sa.case((sa.and_(*(_holds(condition, selection) for condition in plan.where)), 0))
    column = selection.column(plan.column)
    missing = selection.is_missing(plan.column)
    if not plan.by_level:
        double = selection.double(column)
        below = [(double < edge, place) for place, edge in enumerate(plan.edges)]
        return sa.case((missing, len(plan.edges) + 1), *below, else_=len(plan.edges))
    reader, named = SegmentReader(plan, level_names), len(plan.levels)
    places = [
        (selection.equals(column, value, selection.types.field(plan.column).type), int(code))
        for values, codes in _values(plan.column, selection, lambda one: _codes(reader, plan.column, one, named))
        for value, code in zip(values, codes.tolist(), strict=True)
    ]
    return sa.case((missing, named + 1), *sorted(places, key=lambda pair: pair[1]), else_=named)


def _codes(reader: SegmentReader, name: str, values: pa.Array, named: int) -> np.ndarray[Any, Any]:
    codes = reader.codes(pa.RecordBatch.from_arrays([values], names=[name]))
    return np.where(codes < named, codes, -1)


def _values(name: str, selection: Selection, coded: Any) -> list[tuple[list[Any], np.ndarray[Any, Any]]]:
    """The values of a column whose code is not negative, and the codes."""
    selection.check_compared(name)
    found, count = [], 0
    rows = selection.rows(selection.column(name)).subquery("valued")
    for _, batch in selection.grouped(rows, [name]):
        codes = coded(batch.column(0))
        chosen = batch.column(0).filter(from_truth(codes >= 0))
        count += len(chosen)
        if count > MOST_VALUES:
            raise CannotPushDown(f"segments tell more than {MOST_VALUES} values of column {name!r} apart")
        try:
            found.append((chosen.to_pylist(), codes[codes >= 0]))
        except (ValueError, OverflowError):
            raise CannotPushDown(f"segments tell times of column {name!r} apart that no calendar holds") from None
    return found


def _holds(condition: ConditionPlan, selection: Selection) -> Condition:
    """:func:`fulfils`, of a row."""
    name, op = condition.column, condition.op
    missing, kind = selection.is_missing(name), selection.types.field(name).type
    if op == "is_null":
        return missing
    if op == "not_null":
        return sa.not_(missing)
    if op in _ORDER and is_numeric(kind):
        double = selection.double(selection.column(name))
        ordered: Condition = getattr(double, _ORDER[op])(float(condition.values[0]))
        return sa.and_(sa.not_(missing), ordered)
    if op in _ORDER and not is_text(kind):
        return never()
    if op not in _ORDER and is_numeric(kind) and not any(isinstance(value, str) for value in condition.values):
        double = selection.double(selection.column(name))
        same = sa.or_(*(double == float(value) for value in condition.values))
        if pa.types.is_boolean(kind):  # whose levels are true and false, and no numbers
            same = never()
        return sa.and_(sa.not_(missing), same if op in ("eq", "in") else sa.not_(same))
    return _holds_by_value(condition, selection, missing, kind)


def _holds_by_value(condition: ConditionPlan, selection: Selection, missing: Condition, kind: pa.DataType) -> Condition:
    """By the values that the column holds: those that fulfil it, or of a negation those that do not."""
    negated = condition.op in ("ne", "not_in")
    column = selection.column(condition.column)

    def coded(values: pa.Array) -> np.ndarray[Any, Any]:
        held = fulfils(values, condition)
        there = np.ones(len(values), np.bool_) if not negated else fulfils(values, _present(condition.column))
        return np.where(there & (held != negated), 0, -1)

    found = _values(condition.column, selection, coded)
    same = sa.or_(never(), *(selection.equals(column, value, kind) for values, _ in found for value in values))
    return sa.and_(sa.not_(missing), sa.not_(same) if negated else same)


def _present(column: str) -> ConditionPlan:
    return ConditionPlan(column, "not_null")
