"""Where the probabilities of a binary target met actuals, from aggregates: two statements and the distinct actuals."""

from __future__ import annotations

from typing import Any

import numpy as np
import sqlalchemy as sa

from airflow_monitoring_provider.engines.sql_numbers import bucketed
from airflow_monitoring_provider.engines.targets import class_indices
from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.profiles.classification import (
    MISSING_ACTUAL,
    TOP_K,
    UNKNOWN_ACTUAL,
    ClassificationProfile,
)
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.plan import TargetPlan

Expression = sa.ColumnElement[Any]

MOST_ACTUALS = 1000
"""Distinct actuals that are told apart in one statement; a binary target has two or three."""
_EPS = float(np.finfo(np.float64).eps)


def binary_target(
    selection: Selection, scored: sa.FromClause, target: TargetPlan, buckets: int
) -> ClassificationProfile:
    """The target's profile over rows whose predictions have passed the screen.

    :raises CannotPushDown: the actuals have more than :data:`MOST_ACTUALS` values.
    """
    positive = target.classes.index(str(target.positive_class))
    column = dict(target.prediction_columns)[str(target.positive_class)]
    score = selection.double(scored.c[column]) + sa.literal(0.0, sa.Double())
    actual = _class_of(selection, scored, target)
    table = _table(selection, scored, score, actual, target, positive)
    labelled = table[table[:, 0] >= 0]
    confusion = np.zeros((2, 2), np.int64)
    predicted = np.zeros(2, np.int64)
    tenths = (np.zeros(10, np.int64), np.zeros(10), np.zeros(10, np.int64))
    for _, predicts, _, count, *_ in table:
        predicted[int(predicts)] += int(count)
    for found, predicts, tenth, count, total, *_ in labelled:
        confusion[int(found), int(predicts)] += int(count)
        tenths[0][int(tenth)] += int(count)
        tenths[1][int(tenth)] += total
        tenths[2][int(tenth)] += int(count) if found == positive else 0
    curves = bucketed(selection, scored, sa.case((actual >= 0, score)), buckets, mirrored=True, split=actual)
    empty = Histogram.of((), buckets, mirrored=True)
    name, n = target.classes[positive], int(labelled[:, 3].sum())
    return ClassificationProfile(
        classes=target.classes,
        positive_class=target.positive_class,
        threshold=target.threshold,
        scored=int(table[:, 3].sum()),
        predicted=predicted,
        labelled=n,
        invalid_actual=int(table[table[:, 0] == UNKNOWN_ACTUAL, 3].sum()),
        confusion=confusion,
        scores_when={name: curves.get(positive, empty)},
        scores_otherwise={name: curves.get(1 - positive, empty)},
        log_loss_sum=float(labelled[:, 5].sum()),
        brier_sum=float(labelled[:, 6].sum()),
        renormalised=0,
        calibration_counts=tenths[0],
        calibration_scores=tenths[1],
        calibration_positives=tenths[2],
        top_k_hits=np.array([int(np.trace(confusion)), *[n] * (TOP_K - 1)], np.int64),
    )


def _table(
    selection: Selection,
    scored: sa.FromClause,
    score: Expression,
    actual: Expression,
    target: TargetPlan,
    positive: int,
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(n, 7): actual class, predicted class, tenth; rows, and sums of the score, the log loss and the Brier score."""
    inner = sa.select(actual.label("actual"), score.label("score")).select_from(scored).subquery("met")
    own = sa.case((inner.c.actual == positive, inner.c.score), else_=1.0 - inner.c.score)
    clipped = sa.case((own < _EPS, _EPS), (own > 1.0 - _EPS, 1.0 - _EPS), else_=own)
    tenth = sa.case(*((inner.c.score * 10.0 < float(place), place - 1) for place in range(1, 10)), else_=9)
    predicts = sa.case((inner.c.score >= target.threshold, positive), else_=1 - positive)
    rest = sa.case((1.0 - own < 1e-150, 0.0), else_=1.0 - own)  # PostgreSQL refuses to underflow
    keys = sa.select(
        inner.c.actual,
        predicts.label("predicts"),
        tenth.label("tenth"),
        inner.c.score,
        clipped.label("p"),
        rest.label("r"),
    ).subquery("keyed")
    # SQLite may lack a logarithm, so it is taken of the mean's factors only where the database has one.
    loss = -sa.func.sum(selection.logarithm(keys.c.p))
    grouped = sa.select(
        keys.c.actual,
        keys.c.predicts,
        keys.c.tenth,
        sa.func.count(),
        sa.func.sum(keys.c.score),
        loss,
        sa.func.sum(keys.c.r * keys.c.r),
    ).group_by(keys.c.actual, keys.c.predicts, keys.c.tenth)
    answers = selection.connection.execute(grouped).all()
    return np.array([tuple(row) for row in answers], np.float64).reshape(-1, 7)


def _class_of(selection: Selection, scored: sa.FromClause, target: TargetPlan) -> Expression:
    """The class of a row's actual as its index, by what :func:`class_indices` makes of each distinct one."""
    if target.actual_column is None:
        return sa.literal(MISSING_ACTUAL, sa.Integer())
    found: dict[Any, int] = {}
    for batch in selection.grouped(scored, target.actual_column):
        indices = class_indices(batch.column(0), target).tolist()
        found |= dict(zip(batch.column(0).to_pylist(), indices, strict=True))
        if len(found) > MOST_ACTUALS:
            raise CannotPushDown(f"actual column {target.actual_column!r} has more than {MOST_ACTUALS} values")
    column = scored.c[target.actual_column]
    kind = selection.types.field(target.actual_column).type
    whens = [
        (selection.equals(column, value, kind), index)
        for value, index in found.items()
        if value is not None and index != UNKNOWN_ACTUAL
    ]
    missing = (column.is_(None), MISSING_ACTUAL)
    return sa.case(missing, *whens, else_=UNKNOWN_ACTUAL)
