"""One sentence for a whole batch: what to say in an alert's title, a task's log line or beside a status.

It names no row value, as logs must not; the sentences of :mod:`.finding` for single results may name levels.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import ResultKind
from airflow_monitoring_provider.monitors.evaluate import Evaluation, Result, gravest_first
from airflow_monitoring_provider.monitors.finding import finding, place

_NAMED = 3
_MOST_FINDINGS = 10


def explain(evaluation: Evaluation) -> str:
    """Why the batch has its status; names at most three columns and three other metrics, and no row value."""
    everywhere = [result for result in evaluation.results if result.primary]
    primaries = [result for result in everywhere if result.segment is None]
    judged = [result for result in primaries if result.status is not ResultStatus.IRRELEVANT]
    if evaluation.status is ResultStatus.IRRELEVANT:
        why = _sentence(evaluation.reason)
        return f"Nothing could be judged: {why[:1].lower()}{why[1:]}" if why else "There was nothing to judge."
    of_segments = [result for result in everywhere if result.segment is not None]
    parts = [*_drift(primaries), *_drift(of_segments, " of segments"), *_others(evaluation)]
    if not parts:
        parts = [f"no drift in {_count(len(judged), 'column')}" if judged else "no limit was reached"]
    unjudged = len(primaries) - len(judged)
    if unjudged and judged:
        parts.append(f"{_count(unjudged, 'column')} could not be judged")
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def findings(evaluation: Evaluation) -> tuple[str, ...]:
    """What the batch's status comes from, a sentence for each result, the gravest first; at most ten.

    What segments repeat of a column or metric comes after everything that is new. Where a rule for the whole model
    decides, its sentence is followed by those of the columns that it counts.
    """
    deciding = [result for result in (*evaluation.results, *evaluation.model_results) if result.decides]
    grave = gravest_first(deciding)
    everywhere = {_subject(result) for result in grave if result.segment is None}
    grave.sort(key=lambda result: result.segment is not None and _subject(result) in everywhere)
    for place_of, result in enumerate(grave):
        if result.ruled:
            grave[place_of + 1 : place_of + 1] = gravest_first([r for r in evaluation.results if r.counted])
            break
    said = (sentence for result in grave if (sentence := sentence_of(result)) is not None)
    return tuple(itertools.islice(said, _MOST_FINDINGS))


def _subject(result: Result) -> tuple[str | None, str]:
    return result.column, "" if result.primary else result.name


def sentence_of(result: Result) -> str | None:
    """:func:`.finding.finding` of a result."""
    return finding(result.metric, result.status, warning=result.warning, critical=result.critical)


def _drift(primaries: Sequence[Result], whose: str = "") -> list[str]:
    judged = [result for result in primaries if result.status is not ResultStatus.IRRELEVANT]
    parts = []
    for status, verb in ((ResultStatus.DETECTED, "drifted"), (ResultStatus.POTENTIAL_DETECTION, "may have drifted")):
        found = [result for result in judged if result.status is status]
        found.sort(key=lambda r: (-(r.severity or 0.0), r.column or "", r.segment or ""))
        if found:
            parts.append(f"{len(found)} of {_count(len(judged), 'column')}{whose} {verb}: {_listed(found)}")
    return parts


def _others(evaluation: Evaluation) -> list[str]:
    """Data quality and performance beyond their limits, critical ones first."""
    parts = []
    for kind, words in (
        (ResultKind.DATA_QUALITY, "data quality"),
        (ResultKind.MODEL_PERFORMANCE, "performance"),
        (ResultKind.SYSTEM_PERFORMANCE, "system"),
        (ResultKind.CUSTOM, "custom metrics"),
    ):
        found = [r for r in evaluation.results if r.kind is kind and r.decides and r.status > ResultStatus.NO_DETECTION]
        found.sort(key=lambda r: (-int(r.status), -(r.severity or 0.0), r.name, r.column or "", r.segment or ""))
        if found:
            parts.append(f"{words} beyond its limits: {_listed(found)}")
    return [*parts, *_of_model(evaluation)]


def _of_model(evaluation: Evaluation) -> list[str]:
    """What decides on the whole model, where its limit is reached, or where columns drift that do not decide."""
    drifted = evaluation.drifted_columns or evaluation.suspected_columns
    parts = []
    for result in evaluation.model_results:
        reached = result.status > ResultStatus.NO_DETECTION
        if result.value is not None and result.decides and (reached or (result.ruled and drifted)):
            parts.append(f"{result.name} {result.value:.3g} {'beyond' if reached else 'within'} its limit")
    return parts


def _listed(results: Sequence[Result]) -> str:
    named = [f"{_where(result)}{result.name} {result.value:.3g}" for result in results[:_NAMED]]
    rest = len(results) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def _where(result: Result) -> str:
    named = place(result.column, result.segment)
    return f"{'in ' if named and result.column is None else ''}{named} " if named else ""


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _sentence(reason: str | None) -> str:
    return Reason(reason).sentence if reason in set(Reason) else ""
