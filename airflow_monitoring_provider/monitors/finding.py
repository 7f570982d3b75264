"""One sentence for a result that has reached a limit: what moved, from where to where, for a person to read.

Made from the stored value alone, so levels that were hidden there stay hidden here. Column names and levels come from
the rows: they are cut in length, and what is no letter, digit or sign is shown as its code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_monitoring_provider.definitions.history import of_history
from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.monitors.amounts import duration, number, numbers, percents
from airflow_monitoring_provider.monitors.movement import moved_cells
from airflow_monitoring_provider.monitors.naming import named

_LONGEST = 30
_NAMED = 3

_SHARES: Mapping[str, str] = {
    "missing_rate": "missing values",
    "type_mismatch_share": "values of another type",
    "zero_rate": "zeros",
    "negative_rate": "negative values",
    "inf_rate": "infinite values",
    "new_values_share": "values that the baseline does not have",
    "out_of_range_share": "values outside the baseline's range",
    "out_of_bounds_share": "values outside the bounds",
    "not_allowed_share": "values that are not allowed",
    "top_share": "rows with the most frequent value",
    "unique_rate": "distinct values",
    "rejected_rate": "rejected rows",
    "label_coverage": "rows with an actual",
}
_COUNTS: Mapping[str, tuple[str, str]] = {
    "missing_columns": ("column is missing", "columns are missing"),
    "new_columns": ("column is new", "columns are new"),
    "retyped_columns": ("column has another type", "columns have another type"),
    "empty_columns": ("column is empty", "columns are empty"),
    "null_timestamps": ("row has no timestamp", "rows have no timestamp"),
    "duplicate_keys": ("row repeats an identifier", "rows repeat an identifier"),
    "duplicate_rows": ("row repeats another", "rows repeat others"),
    "empty_rows": ("row is empty", "rows are empty"),
    "new_values": ("level is new", "levels are new"),
    "vanished_values": ("level of the baseline is gone", "levels of the baseline are gone"),
}
_FLAGS: Mapping[str, str] = {
    "constant": "all values are the same",
    "almost_constant": "nearly all values are the same",
    "became_constant": "all values are the same, which the baseline's were not",
}


def finding(
    value: MetricValue, status: ResultStatus | None, *, warning: float | None = None, critical: float | None = None
) -> str | None:
    """``region: EU fell from 40 % to 22 %, APAC rose from 0 % to 9 %.``

    Of a column's drift values only the one that decides has a sentence: the others describe the same movement.

    :param warning, critical: the limits the value was judged by; named where there is no baseline to name.
    :returns: None where nothing was found: no warning and nothing worse.
    """
    if status is None or status <= ResultStatus.NO_DETECTION or value.value is None:
        return None
    drift = value.kind in (ResultKind.DATA_DRIFT, ResultKind.CONCEPT_DRIFT)
    if drift and value.column is not None and not value.primary:
        return None
    limit = critical if status is ResultStatus.DETECTED else warning
    said = _said(value, value.value, None if value.direction is Direction.TWO_SIDED else limit)
    where = f"{place(value.column, value.segment)}: " if value.column is not None or value.segment is not None else ""
    metric = value.details["metric"] if of_history(value.name) else value.name
    begun = where or said.startswith(metric)  # a metric's id stays as it is written everywhere
    return f"{where}{said if begun else said[:1].upper() + said[1:]}."


def place(column: str | None, segment: str | None) -> str:
    """A column, a segment or a column in a segment, fit to be shown."""
    names = [printable(name, _LONGEST) or '""' for name in (column, segment) if name is not None]
    return " in ".join(names)


def _said(value: MetricValue, amount: float, limit: float | None) -> str:
    if of_history(value.name):
        return _unusual(value, amount)
    own = _OWN.get(value.name)
    if own is not None:
        return own(value, amount)
    if value.name in _FLAGS:
        return _FLAGS[value.name]
    if value.name in _COUNTS:
        return _counted(value, amount)
    if value.name in _SHARES:
        return _shared(value, amount, limit)
    if value.details.get("moved"):
        moved = moved_cells(value)
        if moved is not None:
            return moved
    return _changed(value, amount, limit)


def _shared(value: MetricValue, amount: float, limit: float | None) -> str:
    what, before = _SHARES[value.name], value.details.get("baseline_value")
    if isinstance(before, int | float) and before != amount:
        return f"{what} {_verb(before, amount)} from {' to '.join(percents(float(before), amount))}"
    reasons = value.details.get("by_reason")
    rows = value.details.get("rows")
    names = named(value)
    about = (
        f" ({number(rows)} {'row' if rows == 1 else 'rows'}{f': {names}' if names else ''})"
        if isinstance(rows, int)
        else ""
    )
    if isinstance(reasons, Mapping) and reasons:
        largest = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
        about = f" ({', '.join(f'{printable(reason, _LONGEST)} {count:,}' for reason, count in largest[:_NAMED])})"
    return f"{what} are {percents(amount)[0]}{about}{_limited(limit, percents)}"


def _counted(value: MetricValue, amount: float) -> str:
    one, many = _COUNTS[value.name]
    names = named(value)
    return f"{number(amount)} {one if amount == 1 else many}{f': {names}' if names else ''}"


def _changed(value: MetricValue, amount: float, limit: float | None) -> str:
    """Any metric: from the baseline's value where it has one, with its interval."""
    before = value.details.get("baseline_value")
    ends = [] if value.low is None or value.high is None else [value.low, value.high]
    interval = ""
    if isinstance(before, int | float) and before != amount:
        then, now, *bounds = numbers(float(before), amount, *ends)
        interval = f" (95 % interval {bounds[0]} to {bounds[1]})" if bounds else ""
        return f"{value.name} {_verb(before, amount)} from {then} to {now}{interval}{_limited(limit, numbers)}"
    now, *bounds = numbers(amount, *ends)
    interval = f" (95 % interval {bounds[0]} to {bounds[1]})" if bounds else ""
    return f"{value.name} is {now}{interval}{_limited(limit, numbers)}"


def _missing_change(value: MetricValue, amount: float) -> str:
    before, now = value.missing_reference, value.missing_current
    if before is None or now is None:
        return f"the share of missing values changed by {percents(amount)[0]}"
    return f"missing values {_verb(before, now)} from {' to '.join(percents(before, now))}"


def _rows(value: MetricValue, amount: float) -> str:
    before, now = (value.details.get("baseline_value"), amount) if value.name == "row_count" else (value.n, value.m)
    if before is None or now is None or before == now:
        return f"{value.name} is {number(amount)}"
    return f"the number of rows {_verb(before, now)} from {number(before)} to {number(now)}"


def _unusual(value: MetricValue, amount: float) -> str:
    details = value.details
    now, usual = numbers(details["observed"], details["centre"])
    what = "robust standard deviations" if details["robust"] else "standard deviations"
    side, centre = "over" if amount > 0 else "under", "median" if details["robust"] else "mean"
    away = f"{number(abs(amount))} {what} {side} {usual}, the {centre} of {details['points']} windows before"
    return f"{details['metric']} is {now}, {away}"


def _fresh(value: MetricValue, amount: float) -> str:
    return f"the newest event is {duration(amount)} old"


def _late(value: MetricValue, amount: float) -> str:
    before = value.details.get("baseline_value")
    then = f" ({duration(before)} in the baseline)" if isinstance(before, int | float) else ""
    part = "half" if value.name == "label_lag_p50" else "95 %"
    return f"{part} of the actuals came within {duration(amount)}{then}"


def _covered(value: MetricValue, amount: float) -> str:
    details = value.details
    now, aim = percents(amount, details["nominal"])
    sides = " and ".join(f"{number(details[side])} {side}" for side in ("below", "above"))
    where = f"{now} of the actuals lie in their prediction intervals"
    return f"{where}, which are to hold {aim} ({sides}, of {number(details['rows'])})"


def _centroid(value: MetricValue, amount: float) -> str:
    """How far the mean vector moved, beside what chance brings, and the dimensions that moved most."""
    details = value.details
    if value.name == "centroid_cosine":
        moved = f"the mean vector turned by a cosine distance of {number(amount)}"
    else:
        now, chance = numbers(amount, details["expected_by_chance"])
        moved = f"the mean vector moved by {now}, where chance alone brings about {chance}"
    clauses = []
    for each in details.get("moved_dimensions", ())[:_NAMED]:
        named = each["dimension"]
        what = f"dimension {named}" if isinstance(named, int) else printable(str(named), _LONGEST)
        then, now = numbers(each["reference"], each["current"])
        verb = _verb(each["reference"], each["current"])
        clauses.append(f"{what} {verb} from {then} to {now} ({percents(each['share'])[0]} of it)")
    return "; ".join([moved, ", ".join(clauses)]) if clauses else moved


def _drift_share(value: MetricValue, amount: float) -> str:
    detected, judged = value.details.get("detected"), value.details.get("judged")
    of = f" ({detected} of {judged})" if detected is not None and judged is not None else ""
    return f"{percents(amount)[0]} of the features drifted{of}"


def _drift_score(value: MetricValue, amount: float) -> str:
    leading = _listed(value.details.get("leading", ()), ", most of it from ")
    if value.details.get("rule") == "drift_mean":
        return f"the mean drift of the features is {number(amount)}{leading}"
    return f"the drift of the features, weighted by importance, is {number(amount)}{leading}"


def _drifted_features(value: MetricValue, amount: float) -> str:
    high = _listed(value.details.get("high", ()), "; of high importance: ")
    low = _listed(value.details.get("low", ()), "; of low importance: ")
    return f"{number(amount)} {'feature' if amount == 1 else 'features'} drifted{high}{low}"


_OWN: Mapping[str, Callable[[MetricValue, float], str]] = {
    "missing_rate_change": _missing_change,
    "row_count": _rows,
    "row_count_ratio": _rows,
    "freshness": _fresh,
    "interval_coverage": _covered,
    "centroid_euclidean": _centroid,
    "centroid_cosine": _centroid,
    "label_lag_p50": _late,
    "label_lag_p95": _late,
    "drift_share": _drift_share,
    "drift_score": _drift_score,
    "drifted_features": _drifted_features,
}


def _verb(before: float, now: float) -> str:
    return "rose" if now > before else "fell"


def _limited(limit: float | None, words: Callable[..., Sequence[str]]) -> str:
    return "" if limit is None or limit == 0 else f", limit {words(limit)[0]}"


def _listed(names: Sequence[Any], before: str) -> str:
    """At most three names, after ``before``; nothing where there are none."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{before}{', '.join(printable(str(name), _LONGEST) for name in names[:_NAMED])}{more}"
