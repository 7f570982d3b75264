"""Where predicted numbers met actuals, from aggregates: the errors' counts, sums, moments and buckets."""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.engines import sql_moments
from airflow_monitoring_provider.engines.sql_buckets import bucketed
from airflow_monitoring_provider.engines.sql_moments import Spread, Value
from airflow_monitoring_provider.engines.sql_numbers import number_of
from airflow_monitoring_provider.engines.sql_part import Part
from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.intake.words import DOUBLE, size_of
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.plan import TargetPlan
from airflow_monitoring_provider.profiles.regression import ErrorSums, IntervalCounts, RegressionProfile

Expression = sa.ColumnElement[Any]

LARGEST, SMALLEST = 1e60, 1e-60
"""Numbers from the smallest to the largest, and 0, have errors whose squares times squares are doubles."""
_ENDS = ("lower", "upper")
_SPREAD = ("errors", "absolute_errors", "percentage_errors", "predicted", "actual")


def error_profiles(
    part: Part, target: TargetPlan, buckets: int, whole: RegressionProfile | None = None
) -> dict[int, RegressionProfile]:
    """Group -> the target's profile over rows whose predictions have passed the screen.

    :param part: of those rows.
    :param whole: the profile of more rows than these.
    :raises CannotPushDown: numbers are so large or small that a database cannot square their errors.
    """
    selection = part.selection
    met = _met(part, target)
    if whole is None:
        _check_range(met, target)
    labelled = _labelled(met)
    names = _SPREAD if target.interval_columns is None else (*_SPREAD, "widths")
    values = {name: Value(labelled.rows.c[name], labelled.rows.c[name].is_not(None)) for name in names}
    asked = [one for name in names for one in sql_moments.asked(labelled.rows.c[name])]
    sums = _sums(labelled.rows.c, selection)
    if target.interval_columns is not None:
        sums |= _interval_sums(labelled.rows.c)
    scored = met.totals([sa.func.count(), sa.func.count(sa.case((met.rows.c.invalid == 1, 1)))])
    totals = labelled.totals([*asked, *(sa.func.sum(one) for one in sums.values())])
    spreads = {
        group: {name: Spread.of(*answers[4 * place : 4 * place + 4]) for place, name in enumerate(names)}
        for group, answers in totals.items()
    }
    moments = sql_moments.moments(labelled, values, spreads)
    shift = None if whole is None else whole.absolute_error_histogram.shift
    histograms = bucketed(labelled, values["absolute_errors"], buckets, mirrored=False, whole=shift)
    found = {}
    for group, (rows, invalid) in scored.items():
        base = RegressionProfile(
            scored=int(rows),
            invalid_actual=int(invalid),
            absolute_error_histogram=histograms.get(group, Histogram.of((), buckets)),
            intervals=None if target.interval_columns is None else IntervalCounts(),
        )
        answers = totals.get(group)
        found[group] = base
        if answers is not None and spreads[group]["errors"].count:
            added = dict(zip(sums, (float(one or 0) for one in answers[4 * len(names) :]), strict=True))
            found[group] = _told(base, spreads[group], moments[group], added)
    return found


def _met(part: Part, target: TargetPlan) -> Part:
    """Rows with ``p``, a finite ``y`` or null, and whether there is an actual that is none."""
    selection, rows = part.selection, part.rows
    predicted = number_of(selection, rows.c[target.prediction_columns[0][1]]).double
    y: Expression = sa.null()
    invalid: Expression = sa.literal(0, sa.Integer())
    if target.actual_column is not None:
        actual = number_of(selection, rows.c[target.actual_column])
        missing = selection.is_missing(target.actual_column, rows.c[target.actual_column])
        y, invalid = actual.finite, sa.case((missing, 0), (actual.there, 0), else_=1)
    columns = [predicted.label("p"), sa.cast(y, DOUBLE).label("y"), invalid.label("invalid")]
    for name, column in zip(_ENDS, target.interval_columns or (), strict=False):
        columns.append(number_of(selection, rows.c[column]).finite.label(name))
    inner = sa.select(part.group().label("code"), *columns).select_from(rows).where(*part.where()).subquery("met")
    return Part(selection, inner, None if part.code is None else inner.c.code)


def _check_range(met: Part, target: TargetPlan) -> None:
    c = met.rows.c
    sizes = {name: size_of(c[name]) for name in ("p", "y", *(_ENDS if target.interval_columns else ()))}
    odd = [sa.or_(size > LARGEST, sa.and_(size < SMALLEST, size > 0.0)) for size in sizes.values()]
    counted = [sa.func.count(sa.case((sa.and_(c.y.is_not(None), one), 1))) for one in odd]
    answers = met.selection.connection.execute(sa.select(*counted).select_from(met.rows)).one()
    columns = (target.prediction_columns[0][1], target.actual_column, *(target.interval_columns or ()))
    for name, count in zip(columns, answers, strict=True):
        if count:
            raise CannotPushDown(
                f"column {name!r} holds numbers beyond {LARGEST:g} or nearer to 0 than {SMALLEST:g}, whose errors a "
                "database cannot square"
            )


def _labelled(met: Part) -> Part:
    """Rows that have an actual, with their errors."""
    c = met.rows.c
    error = c.p - c.y
    ends = [c[name] for name in _ENDS if name in c]
    first = sa.select(c.code, c.p, c.y, error.label("e"), *ends).where(*met.where(c.y.is_not(None))).subquery("errors")
    c = first.c
    # log1p: the logarithm of a rounded sum, and what the rounding took (Kahan; the quotient is exact enough).
    logs = [sa.case((c[name] > -1.0, _log1p(met.selection, c[name]))).label(f"log_{name}") for name in ("p", "y")]
    scale = size_of(c.y) + size_of(c.p)
    both = sa.and_(c.y > 0.0, c.p > 0.0)
    ratio = sa.case((both, c.y / _divisor(c.p)))
    root = met.selection.root
    positive = sa.case((c.p > 0.0, c.p))
    columns = {
        "predicted": c.p,
        "actual": c.y,
        "errors": c.e,
        "absolute_errors": size_of(c.e),
        "percentage_errors": sa.case((c.y != 0.0, size_of(c.e) / _divisor(size_of(c.y)))),
        "smape": sa.case((scale > 0.0, 2.0 * (size_of(c.e) / _divisor(scale))), else_=0.0),
        "ratio": ratio,
        "root_p": root(positive),
        "root_y": root(sa.case((c.y >= 0.0, c.y))),
    }
    if ends:
        columns |= {"widths": sa.case((c.lower <= c.upper, c.upper - c.lower)), "lower": c.lower, "upper": c.upper}
    inner = sa.select(c.code, *logs, *(one.label(name) for name, one in columns.items())).subquery("labelled")
    return Part(met.selection, inner, None if met.code is None else inner.c.code)


def _log1p(selection: Selection, x: Expression) -> Expression:
    near = sa.case((x > -1.0, 1.0 + x), else_=1.0)
    apart = near - 1.0
    return sa.case((apart == 0.0, x), else_=selection.logarithm(near) * (x / sa.case((apart == 0.0, 1.0), else_=apart)))


def _sums(c: Any, selection: Selection) -> dict[str, Expression]:
    """What is added up over labelled rows, by the names of :class:`RegressionProfile` and :class:`ErrorSums`."""
    e, y, p = c.errors, c.actual, c.predicted
    size, square, product = size_of(e), e * e, e * y
    defined = sa.and_(y > -1.0, p > -1.0)
    apart = c.log_p - c.log_y
    log_square = sa.case((defined, apart * apart), else_=0.0)
    both = sa.and_(y > 0.0, p > 0.0)
    no_count = sa.and_(y == 0.0, p > 0.0)
    log_ratio = selection.logarithm(sa.case((both, c.ratio), else_=1.0))
    poisson = sa.case((both, 2.0 * _not_negative(y * log_ratio - y + p)), (no_count, 2.0 * p), else_=0.0)
    gap = c.root_y - c.root_p
    tweedie = sa.case((both, 4.0 * (gap * gap) / _divisor(c.root_p)), (no_count, 4.0 * c.root_p), else_=0.0)
    gamma = sa.case((both, 2.0 * _not_negative(c.ratio - 1.0 - log_ratio)), else_=0.0)
    undefined = sa.or_(y < 0.0, p <= 0.0)
    return {
        "squared_error_sum": square,
        "smape_sum": c.smape,
        "squared_log_error_sum": log_square,
        "log_undefined": sa.case((defined, 0), else_=1),
        "zero_actuals": sa.case((y == 0.0, 1), else_=0),
        "absolute_actual_sum": size_of(y),
        "signed_squares": e * size,
        "error_times_actual": size_of(product),
        "square_times_actual": square * y,
        "square_times_square": product * product,
        "smape_squares": c.smape * c.smape,
        "log_error_fourths": log_square * log_square,
        "poisson": poisson,
        "poisson_squares": poisson * poisson,
        "tweedie": tweedie,
        "tweedie_squares": tweedie * tweedie,
        "gamma": gamma,
        "gamma_squares": gamma * gamma,
        "poisson_undefined": sa.case((undefined, 1), else_=0),
        "gamma_undefined": sa.case((sa.or_(undefined, y == 0.0), 1), else_=0),
    }


def _interval_sums(c: Any) -> dict[str, Expression]:
    """What is counted of predicted intervals, by the names of :class:`IntervalCounts`."""
    absent = sa.or_(c.lower.is_(None), c.upper.is_(None))
    return {
        "below": sa.case((sa.and_(c.widths.is_not(None), c.actual < c.lower), 1), else_=0),
        "above": sa.case((sa.and_(c.widths.is_not(None), c.actual > c.upper), 1), else_=0),
        "missing": sa.case((absent, 1), else_=0),
        "crossed": sa.case((sa.and_(sa.not_(absent), c.lower > c.upper), 1), else_=0),
    }


def _divisor(number: Expression) -> Expression:
    """A number above 0, where it is one: nobody says that a database looks at a CASE's conditions first."""
    return sa.case((number > 0.0, number), else_=1.0)


def _not_negative(term: Expression) -> Expression:
    return sa.case((term > 0.0, term), else_=0.0)


_WHOLE = ("log_undefined", "zero_actuals", "poisson_undefined", "gamma_undefined")
_OF_INTERVALS = ("below", "above", "missing", "crossed")
_OWN = tuple(field.name for field in dataclasses.fields(RegressionProfile))


def _told(
    base: RegressionProfile, spreads: dict[str, Spread], moments: dict[str, Any], sums: dict[str, float]
) -> RegressionProfile:
    typed: dict[str, Any] = {name: int(value) if name in _WHOLE else value for name, value in sums.items()}
    intervals = base.intervals
    if intervals is not None:
        counts = {name: int(typed.pop(name)) for name in _OF_INTERVALS}
        intervals = IntervalCounts(rows=spreads["widths"].count, **counts, widths=moments.pop("widths"))
    return dataclasses.replace(
        base,
        labelled=spreads["errors"].count,
        max_error=spreads["absolute_errors"].high,
        **{name: typed.pop(name) for name in _OWN if name in typed},
        **moments,
        sums=ErrorSums(**typed),
        intervals=intervals,
    )
