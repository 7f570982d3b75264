"""Where the probabilities of classes met actuals, from aggregates: the distinct actuals, a table of counts and sums,
and the buckets of the scores.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from airflow_monitoring_provider.definitions.terms import TargetType
from airflow_monitoring_provider.engines.sql_buckets import bucketed
from airflow_monitoring_provider.engines.sql_moments import Value
from airflow_monitoring_provider.engines.sql_part import Part
from airflow_monitoring_provider.engines.targets import class_indices
from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.intake.words import DOUBLE, most_bound, size_of
from airflow_monitoring_provider.profiles.classification import (
    CURVE_CLASSES,
    MISSING_ACTUAL,
    TOP_K,
    UNKNOWN_ACTUAL,
    ClassificationProfile,
)
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.plan import TargetPlan

Expression = sa.ColumnElement[Any]
Table = npt.NDArray[np.float64]

MOST_ACTUALS = 1000
"""Distinct actuals that are told apart in one statement; a binary target has two or three."""
MOST_CLASSES = 100
"""Of a target: each is compared with all others in every row."""
_EPS = float(np.finfo(np.float64).eps)
_LEAST = 1e-150
"""Whose square is no double any more, which PostgreSQL refuses; it is nothing to a sum of squares of probabilities."""


def distinct_classes(selection: Selection, rows: sa.FromClause, target: TargetPlan) -> dict[Any, int]:
    """Actual -> the index of its class, by what :func:`class_indices` makes of each distinct one, for
    :func:`class_code`; empty for numbers and where there are no actuals.

    :raises CannotPushDown: the actuals have more than :data:`MOST_ACTUALS` values, or cannot be compared.
    """
    name = target.actual_column
    if name is None or target.target_type is TargetType.REGRESSION or not target.prediction_columns:
        return {}
    selection.check_compared(name)
    found: dict[Any, int] = {}
    for _, batch in selection.grouped(rows, [name]):
        indices = class_indices(batch.column(0), target).tolist()
        found |= dict(zip(batch.column(0).to_pylist(), indices, strict=True))
        if len(found) > min(MOST_ACTUALS, most_bound(selection.connection.dialect.name) // 8):
            raise CannotPushDown(f"actual column {name!r} has more values than one statement tells apart")
    return {value: index for value, index in found.items() if value is not None and index >= 0}


def class_code(part: Part, target: TargetPlan, classes: dict[Any, int]) -> Expression:
    """The class of a row's actual as its index; -1 is no actual, -2 none of the classes."""
    name, selection = target.actual_column, part.selection
    if name is None:
        return sa.literal(MISSING_ACTUAL, sa.Integer())
    column, kind = part.rows.c[name], selection.types.field(name).type
    whens = [(selection.equals(column, value, kind), index) for value, index in classes.items()]
    return sa.case((selection.is_missing(name, column), MISSING_ACTUAL), *whens, else_=UNKNOWN_ACTUAL)


def class_profiles(
    part: Part, target: TargetPlan, actual: Expression, buckets: int, whole: ClassificationProfile | None = None
) -> dict[int, ClassificationProfile]:
    """Group -> the target's profile over rows whose predictions have passed the screen.

    :param part: of those rows.
    :param actual: what :func:`class_code` gave.
    :param whole: the profile of more rows than these.
    """
    binary = target.target_type is TargetType.BINARY
    met = _met_binary(part, target, actual) if binary else _met_classes(part, target, actual)
    table = _table(met, len(target.classes), binary=binary)
    groups = np.unique(table[:, 0]).astype(int).tolist() if part.code is not None else [0]
    curves = _curves(met, target, buckets, whole, binary=binary)
    return {g: _told(table[table[:, 0] == g], target, curves, g, buckets, binary=binary) for g in groups}


def _met_binary(part: Part, target: TargetPlan, actual: Expression) -> Part:
    """Rows with ``actual``, ``predicts``, ``score`` (of which the tenth is), ``p0`` (curves) and ``own``."""
    positive = target.classes.index(str(target.positive_class))
    column = dict(target.prediction_columns)[str(target.positive_class)]
    score = part.selection.double(part.rows.c[column]) + sa.literal(0.0, DOUBLE)
    first = _layer(part, actual=actual, score=score)
    c = first.rows.c
    own = sa.case((c.actual == positive, c.score), else_=1.0 - c.score)
    predicts = sa.case((c.score >= target.threshold, positive), else_=1 - positive)
    return _layer(first, actual=c.actual, predicts=predicts, score=c.score, p0=c.score, own=own)


def _met_classes(part: Part, target: TargetPlan, actual: Expression) -> Part:
    """The same of many classes, ``p0`` ... their probabilities brought to a sum of 1, and whether they had to be."""
    columns, k = dict(target.prediction_columns), len(target.classes)
    chosen = [part.rows.c[columns[name]] for name in target.classes]
    scores = [part.selection.double(column) + sa.literal(0.0, DOUBLE) for column in chosen]
    raw = _layer(part, actual=actual, **{f"p{i}": score for i, score in enumerate(scores)})
    probabilities: list[Expression] = [raw.rows.c[f"p{i}"] for i in range(k)]
    summed = _layer(
        raw,
        actual=raw.rows.c.actual,
        total=pairwise_sum(probabilities),
        most=part.selection.greatest(probabilities),
        **{f"p{i}": p for i, p in enumerate(probabilities)},
    )
    c = summed.rows.c
    off = size_of(c.total - 1.0) > 1e-6
    # PostgreSQL refuses a quotient that is no double any more.
    proper = [
        sa.case((sa.not_(off), p), (c.total <= 0.0, 1.0 / k), (p < sa.literal(1e-320, DOUBLE), 0.0), else_=p / c.total)
        for p in (c[f"p{i}"] for i in range(k))
    ]
    predicts = sa.case(*((c[f"p{i}"] == c.most, i) for i in range(k - 1)), else_=k - 1)
    final = _layer(
        summed,
        actual=c.actual,
        predicts=predicts,
        renormalised=sa.case((off, 1), else_=0),
        **{f"p{i}": p for i, p in enumerate(proper)},
    )
    c = final.rows.c
    own, score = (
        sa.case(*((key == i, c[f"p{i}"]) for i in range(k - 1)), else_=c[f"p{k - 1}"]) for key in (c.actual, c.predicts)
    )
    squares = functools.reduce(
        operator.add,
        (sa.case((c[f"p{i}"] < sa.literal(_LEAST, DOUBLE), 0.0), else_=c[f"p{i}"] * c[f"p{i}"]) for i in range(k)),
    )
    return _layer(final, own=own, score=score, squares=squares, **{c.key: c for c in final.rows.c if c.key != "code"})


def _layer(part: Part, **columns: Expression) -> Part:
    """The rows with other columns, which a statement names instead of writing each out where it is used."""
    labelled = [expression.label(name) for name, expression in columns.items()]
    inner = sa.select(part.group().label("code"), *labelled).select_from(part.rows).where(*part.where()).subquery()
    return Part(part.selection, inner, None if part.code is None else inner.c.code)


class _Together(FunctionElement[float]):
    """A sum in parentheses, which SQLAlchemy leaves out where an order only rounds otherwise."""

    type = DOUBLE
    inherit_cache = True


@compiles(_Together)
def _in_parentheses(element: _Together, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)})"


def pairwise_sum(terms: list[Expression]) -> Expression:
    """A row's sum in the order in which NumPy adds up at most 128 numbers (``numpy/_core``, pairwise summation), so
    that a sum a hair's breadth from a limit is on the same side of it.
    """
    if len(terms) < 8:
        return functools.reduce(operator.add, terms)
    lanes = list(terms[:8])
    eights = len(terms) - len(terms) % 8
    for place in range(8, eights):
        lanes[place % 8] = _Together(lanes[place % 8] + terms[place])
    while len(lanes) > 1:
        lanes = [_Together(left + right) for left, right in zip(lanes[::2], lanes[1::2], strict=True)]
    return functools.reduce(operator.add, terms[eights:], lanes[0])


def _table(met: Part, k: int, *, binary: bool) -> Table:
    """(n, 8): group, actual, predicted class, tenth; rows, and sums of the score, the log loss and the Brier score.

    Of many classes (n, 14): also how often probabilities did not sum to 1, and how often the actual was among the k
    most probable classes, k = 1..5.
    """
    c = met.rows.c
    tenth = sa.case(*((c.score * 10.0 < float(place), place - 1) for place in range(1, 10)), else_=9)
    clipped = sa.case((c.own < _EPS, _EPS), (c.own > 1.0 - _EPS, 1.0 - _EPS), else_=c.own)
    if binary:
        rest = sa.case((1.0 - c.own < sa.literal(_LEAST, DOUBLE), 0.0), else_=1.0 - c.own)
        brier, extra = rest * rest, {}
    else:
        brier = c.squares - 2.0 * c.own + 1.0
        rank = functools.reduce(operator.add, (sa.case((c[f"p{i}"] >= c.own, 1), else_=0) for i in range(k)))
        extra = {"renormalised": c.renormalised, "rank": rank}
    names = {"tenth": tenth, "clipped": clipped, "brier": brier} | extra
    kept = {name: c[name] for name in ("actual", "predicts", "score")}
    keyed = _layer(met, **kept, **names)
    c = keyed.rows.c
    sums = [c.score, -met.selection.logarithm(c.clipped), c.brier]
    if not binary:
        sums += [c.renormalised, *(sa.case((c.rank <= place, 1), else_=0) for place in range(1, TOP_K + 1))]
    answers = keyed.keyed([c.actual, c.predicts, c.tenth], [sa.func.count(), *(sa.func.sum(one) for one in sums)])
    return np.array(answers, np.float64).reshape(-1, 5 + len(sums))


def _curves(
    met: Part, target: TargetPlan, buckets: int, whole: ClassificationProfile | None, *, binary: bool
) -> dict[str, dict[int, Histogram]]:
    """Class -> twice the group, and one more where the actual is the class -> its scores."""
    classes = [str(target.positive_class)] if binary else list(target.classes[: CURVE_CLASSES + 1])
    if len(classes) > CURVE_CLASSES:
        return {}
    found = {}
    for place, name in enumerate(classes):
        it = target.classes.index(name)
        c = met.rows.c
        code = met.group() * 2 + sa.case((c.actual == it, 1), else_=0)
        split = _layer(Part(met.selection, met.rows, sa.case((c.actual >= 0, code))), score=c[f"p{place}"])
        coarsest = None
        if whole is not None:
            coarsest = max(histograms[name].shift for histograms in (whole.scores_when, whole.scores_otherwise))
        score = Value(split.rows.c.score, split.rows.c.score.is_not(None))
        found[name] = bucketed(split, score, buckets, mirrored=True, whole=coarsest)
    return found


def _told(
    table: Table,
    target: TargetPlan,
    curves: dict[str, dict[int, Histogram]],
    group: int,
    buckets: int,
    *,
    binary: bool,
) -> ClassificationProfile:
    k, empty = len(target.classes), Histogram.of((), buckets, mirrored=True)
    labelled = table[table[:, 1] >= 0]
    confusion, predicted = np.zeros((k, k), np.int64), np.zeros(k, np.int64)
    tenths = (np.zeros(10, np.int64), np.zeros(10), np.zeros(10, np.int64))
    np.add.at(predicted, table[:, 2].astype(int), table[:, 4].astype(np.int64))
    actual, predicts, tenth = (labelled[:, place].astype(int) for place in (1, 2, 3))
    counts = labelled[:, 4].astype(np.int64)
    np.add.at(confusion, (actual, predicts), counts)
    np.add.at(tenths[0], tenth, counts)
    np.add.at(tenths[1], tenth, labelled[:, 5])
    n = int(counts.sum())
    hit = actual == (target.classes.index(str(target.positive_class)) if binary else predicts)
    np.add.at(tenths[2], tenth[hit], counts[hit])
    if binary:
        top_k = np.array([int(np.trace(confusion)), *[n] * (TOP_K - 1)], np.int64)
    else:
        top_k = labelled[:, 9 : 9 + TOP_K].sum(axis=0).astype(np.int64)
    return ClassificationProfile(
        classes=target.classes,
        positive_class=target.positive_class if binary else None,
        threshold=target.threshold,
        scored=int(table[:, 4].sum()),
        predicted=predicted,
        labelled=n,
        invalid_actual=int(table[table[:, 1] == UNKNOWN_ACTUAL, 4].sum()),
        confusion=confusion,
        scores_when={name: found.get(2 * group + 1, empty) for name, found in curves.items()},
        scores_otherwise={name: found.get(2 * group, empty) for name, found in curves.items()},
        log_loss_sum=float(labelled[:, 6].sum()),
        brier_sum=float(labelled[:, 7].sum()),
        renormalised=0 if binary else int(labelled[:, 8].sum()),
        calibration_counts=tenths[0],
        calibration_scores=tenths[1],
        calibration_positives=tenths[2],
        top_k_hits=top_k,
    )
