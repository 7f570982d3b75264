"""How predictions and actuals are read from rows: probabilities, numbers and classes."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.definitions.terms import TargetType
from airflow_monitoring_provider.engines.instants import Instants
from airflow_monitoring_provider.engines.numbers import read_doubles, whole_dtype
from airflow_monitoring_provider.engines.row_keys import first_lane
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.profiles.arrays import BoolArray, fixed_width, is_text, truth_values, valid_rows
from airflow_monitoring_provider.profiles.canonical import canonical_dictionary
from airflow_monitoring_provider.profiles.classification import (
    MISSING_ACTUAL,
    UNKNOWN_ACTUAL,
    ClassificationBuilder,
    ClassificationProfile,
    predicted_classes,
)
from airflow_monitoring_provider.profiles.hashing import UInt64Array
from airflow_monitoring_provider.profiles.plan import ProfilePlan, TargetPlan
from airflow_monitoring_provider.profiles.regression import RegressionBuilder, RegressionProfile

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_T = TypeVar("_T", bound=np.generic)
_BLOCK = 1 << 16
"""Probabilities looked at together: bounds the memory a target of a thousand classes needs."""
_TRUTH = {"true": 1.0, "false": 0.0}
_WORDS = {**_TRUTH, "yes": 1.0, "no": 0.0, "y": 1.0, "n": 0.0, "positive": 1.0, "negative": 0.0}
_OPPOSITES = {1.0: (0.0, -1.0), 0.0: (1.0,), -1.0: (1.0,)}
"""Of a class that is named alone: what the other one reads as."""


class TargetBuilder:
    """Collects the target's profile from rows whose predictions have passed the screen."""

    def __init__(self, target: TargetPlan, buckets: int) -> None:
        self._target = target
        self._columns = tuple(column for _, column in target.prediction_columns)
        self._ends = target.interval_columns or ()
        self._order = _score_order(target)
        with_ends = target.interval_columns is not None
        regression = target.target_type is TargetType.REGRESSION
        self._regression = RegressionBuilder(buckets, intervals=with_ends) if regression else None
        self._classification = (
            None
            if self._regression is not None
            else ClassificationBuilder(
                target.classes, positive_class=target.positive_class, threshold=target.threshold, buckets=buckets
            )
        )

    def update(self, batch: pa.RecordBatch, scored: BoolArray | None) -> None:
        """Add the rows where ``scored`` is True (all of them when None)."""
        actual = None if self._target.actual_column is None else column_of(batch, self._target.actual_column)
        scores = [_chosen(read_doubles(column_of(batch, name)).values, scored) for name in self._columns]
        rows = scores[0].size
        if self._regression is not None:
            values, invalid = _numbers(actual, scored, rows)
            ends = [_chosen(finite_numbers(column_of(batch, name)), scored) for name in self._ends]
            self._regression.update(scores[0], values, invalid, (ends[0], ends[1]) if ends else None)
        elif self._classification is not None:
            if actual is None:
                found = np.full(rows, MISSING_ACTUAL, np.int64)
            else:
                found = _chosen(class_indices(actual, self._target), scored)
            ordered = [scores[place] for place in self._order]
            block = max(1, _BLOCK // len(ordered))
            for part in (slice(start, start + block) for start in range(0, rows, block)):
                columns = [column[part] for column in ordered]
                self._classification.update(columns[0] if len(columns) == 1 else np.stack(columns, axis=1), found[part])

    def finish(self) -> ClassificationProfile | RegressionProfile | None:
        """The profile of everything so far."""
        builder = self._regression or self._classification
        return None if builder is None else builder.finish()


def read_predictions(batch: pa.RecordBatch, target: TargetPlan) -> tuple[FloatArray, IntArray]:
    """What rows with usable predictions predict.

    :returns: scores, float64 (n, K): of a classification the probabilities in the order of ``target.classes`` (K is 1
        where only the positive class has a column), of a regression the predicted numbers, and beside them the ends of
        their intervals where the target has any; and the predicted classes as indices, int64 (n,) (zeros for a
        regression).
    """
    columns = [read_doubles(column_of(batch, name)).values for _, name in target.prediction_columns]
    ordered = [columns[place] for place in _score_order(target)]
    scores = ordered[0][:, None] if len(ordered) == 1 else np.stack(ordered, axis=1)
    if target.target_type is TargetType.REGRESSION:
        ends = [finite_numbers(column_of(batch, name))[:, None] for name in target.interval_columns or ()]
        return np.hstack([scores, *ends]), np.zeros(len(batch), np.int64)
    if target.positive_class is None:
        return scores, predicted_classes(scores, 0, target.threshold)
    positive = target.classes.index(target.positive_class)
    return scores, predicted_classes(scores[:, positive if len(columns) > 1 else 0], positive, target.threshold)


def queries_of(
    batch: pa.RecordBatch, plan: ProfilePlan, scored: BoolArray | None
) -> tuple[UInt64Array, BoolArray, FloatArray, FloatArray]:
    """What a ranking is made of, of the rows where ``scored`` is True (all of them when None), each of shape (rows,).

    :returns: a key of each row's query and where it has one (null and NaN are none), its score (the positive class's
        probability, or the predicted number), and its relevance: 1 or 0 of a class, else the actual number; NaN where
        there is none.
    """
    target, ranking = plan.target, plan.ranking
    if target is None or ranking is None:
        raise ValueError("the plan ranks nothing")
    actual = None if target.actual_column is None else column_of(batch, target.actual_column)
    column = column_of(batch, ranking.query_column)
    keys, _ = first_lane([column])
    named = ~truth_values(pc.is_null(column, nan_is_null=True))
    positive = 0
    if target.positive_class is not None and len(target.prediction_columns) > 1:
        positive = _score_order(target)[target.classes.index(target.positive_class)]
    scores = read_doubles(column_of(batch, target.prediction_columns[positive][1])).values
    if target.target_type is TargetType.REGRESSION or actual is None:
        relevance, _ = _numbers(actual, None, len(batch))
    else:
        found = class_indices(actual, target)
        hit = found == target.classes.index(target.positive_class or "")
        relevance = np.where(found < 0, np.nan, hit.astype(np.float64))
    return _chosen(keys, scored), _chosen(named, scored), _chosen(scores, scored), _chosen(relevance, scored)


def series_of(
    batch: pa.RecordBatch, plan: ProfilePlan, times: Instants, keep: BoolArray | None
) -> tuple[UInt64Array, BoolArray, IntArray, FloatArray]:
    """What series are made of, of the rows where ``keep`` is True (all of them when None), each of shape (rows,).

    :param times: when the rows happened.
    :returns: a key of each row's series, where it has one and a time, its time in microseconds, and its actual; NaN
        where there is none.
    """
    if plan.series is None:
        raise ValueError("the plan knows no series")
    keys, placed = np.zeros(len(batch), np.uint64), np.ones(len(batch), np.bool_)
    if plan.series.series_column is not None:
        column = column_of(batch, plan.series.series_column)
        keys, _ = first_lane([column])
        placed = ~truth_values(pc.is_null(column, nan_is_null=True))
    placed = placed if times.valid is None else placed & times.valid
    actuals = finite_numbers(column_of(batch, plan.series.actual_column))
    return _chosen(keys, keep), _chosen(placed, keep), _chosen(times.microseconds, keep), _chosen(actuals, keep)


def class_indices(actual: pa.Array, target: TargetPlan, *, textual: bool | None = None) -> IntArray:
    """The class of each row as its index in ``target.classes``; -1 is no actual, -2 none of the classes.

    A value is the class it equals as text, else the class whose name reads as the same number (``1``, ``1.0``) or truth
    (``True``), since drivers and files differ in how they hand over one column; of two classes also by word in any case
    (``yes``, ``No``). Where only the positive class has a name, the negative one is what reads as its opposite (``no``,
    0 or -1, ``False`` beside ``yes``), and nothing else; where the name has no opposite every other value is of the
    negative class, but for a number or boolean, because nothing says which it means.

    :param textual: whether the column held text, where its values are handed over as canonical texts; else its type
        says so.
    """
    textual = _is_textual(actual.type) if textual is None else textual
    encoded = canonical_dictionary(actual)
    exact = {name: index for index, name in enumerate(target.classes)}
    words = _WORDS if len(target.classes) == 2 else _TRUTH
    by_value = _by_value(target.classes, words)
    single = target.classes[0] == "" and len(target.classes) == 2
    opposites = [other for value in by_value for other in _OPPOSITES.get(value, ())] if single else []
    by_value |= dict.fromkeys(opposites, 0)
    other = 0 if single and not opposites and (by_value or textual) else UNKNOWN_ACTUAL
    table = [MISSING_ACTUAL]
    for text in encoded.dictionary.to_pylist():
        if text is None:
            table.append(MISSING_ACTUAL)
        elif text in exact and text:
            table.append(exact[text])
        else:
            value = _value(text, words) if by_value else None
            table.append(other if value is None else by_value.get(value, other))
    codes = fixed_width(encoded.indices, whole_dtype(encoded.indices.type))
    there = valid_rows(encoded.indices)
    found = np.array(table, np.int64)
    if there is None:
        return found[1:].take(codes)
    return found.take(np.where(there, codes.astype(np.int64) + 1, 0))


def _by_value(classes: tuple[str, ...], words: dict[str, float]) -> dict[float, int]:
    """Class names that read as a number or truth; the first of two that read alike keeps it."""
    found: dict[float, int] = {}
    for index, name in enumerate(classes):
        value = _value(name, words) if name else None
        if value is not None:
            found.setdefault(value, index)
    return found


def _value(text: str, words: dict[str, float]) -> float | None:
    try:
        return words[text.lower()] if text.lower() in words else float(text)
    except ValueError:
        return None


def _is_textual(kind: pa.DataType) -> bool:
    return is_text(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _score_order(target: TargetPlan) -> tuple[int, ...]:
    """For each class the place of its column among the prediction columns."""
    places = {name: place for place, (name, _) in enumerate(target.prediction_columns)}
    if len(target.prediction_columns) < 2:
        return (0,)
    return tuple(places[name] for name in target.classes)


def finite_numbers(array: pa.Array) -> FloatArray:
    """(rows,), the finite numbers of a column, NaN where there is none."""
    numbers = read_doubles(array)
    there = np.isfinite(numbers.values)
    for flags in (numbers.valid, None if numbers.invalid is None else ~numbers.invalid):
        there &= True if flags is None else flags
    return np.where(there, numbers.values, np.nan)


def _numbers(actual: pa.Array | None, scored: BoolArray | None, rows: int) -> tuple[FloatArray, int]:
    """Actuals as doubles, NaN where absent or invalid, and how many are invalid."""
    if actual is None:
        return np.full(rows, np.nan), 0
    numbers = read_doubles(actual)
    infinite = np.isinf(numbers.values) if numbers.valid is None else np.isinf(numbers.values) & numbers.valid
    invalid = infinite if numbers.invalid is None else infinite | numbers.invalid
    absent = invalid if numbers.valid is None else invalid | ~numbers.valid
    values = np.where(absent, np.nan, numbers.values) if absent.any() else numbers.values
    return _chosen(values, scored), int(np.count_nonzero(_chosen(invalid, scored)))


def _chosen(values: npt.NDArray[_T], keep: BoolArray | None) -> npt.NDArray[_T]:
    return values if keep is None else values[keep]
