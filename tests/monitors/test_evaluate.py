"""Statuses: size and significance, silence that is not good news, and how a batch takes its columns together."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.monitors.evaluate import evaluate, judge
from airflow_monitoring_provider.monitors.thresholds import Limits, Rules

DETECTED, POTENTIAL = ResultStatus.DETECTED, ResultStatus.POTENTIAL_DETECTION
QUIET, IRRELEVANT = ResultStatus.NO_DETECTION, ResultStatus.IRRELEVANT


def psi(
    number: float | None, adjusted: float | None = 0.001, column: str = "x", role: str = "feature", **rest: Any
) -> MetricValue:
    rest = {"p_value": adjusted, "adjusted_p_value": adjusted, "primary": True, **rest}
    if number is None:
        rest |= {"p_value": None, "adjusted_p_value": None}
    return value("psi", number, ResultKind.DATA_DRIFT, column=column, details={"role": role}, **rest)


def value(name: str, number: float | None, kind: ResultKind = ResultKind.DATA_QUALITY, **rest: Any) -> MetricValue:
    reason = rest.pop("reason", None if number is not None else Reason.INSUFFICIENT_DATA)
    return MetricValue(name, kind, direction_of(name), number, reason=reason, **rest)


@pytest.mark.parametrize(
    ("expected", "number", "adjusted"),
    [
        (DETECTED, 0.25, 0.05),
        (DETECTED, 9.0, 0.0),
        (QUIET, 9.0, 0.0501),
        (POTENTIAL, 0.1, 0.05),
        (POTENTIAL, 0.2499, 0.0),
        (QUIET, 0.1, 0.06),
        (QUIET, 0.0999, 0.0),
        (QUIET, 0.0, 1.0),
    ],
)
def test_a_verdict_needs_size_and_significance(expected: ResultStatus, number: float, adjusted: float) -> None:
    assert expected is judge(psi(number, adjusted), Rules()).status


def test_only_the_p_value_against_it_is_told_from_too_small() -> None:
    assert "not_significant" == judge(psi(0.3, 0.2), Rules()).reason
    assert judge(psi(0.01, 0.2), Rules()).reason is None


def test_the_guard_and_its_level_are_the_definitions() -> None:
    assert DETECTED is judge(psi(0.3, 0.2), Rules(guard=False)).status
    assert DETECTED is judge(psi(0.3, 0.2), Rules(alpha=0.2)).status


def test_a_secondary_value_has_a_status_of_its_own_with_its_columns_significance() -> None:
    distance = value("js_distance", 0.3, ResultKind.DATA_DRIFT, column="x", p_value=0.2, adjusted_p_value=0.4)

    assert QUIET is judge(distance, Rules()).status
    assert DETECTED is judge(dataclasses.replace(distance, adjusted_p_value=0.01), Rules()).status
    assert DETECTED is judge(dataclasses.replace(distance, p_value=None, adjusted_p_value=None), Rules()).status


def test_silence_is_never_good_news() -> None:
    for found, reason in (
        (judge(psi(None), Rules()), Reason.INSUFFICIENT_DATA),
        (judge(psi(None, reason=Reason.BASELINE_MISSING), Rules()), Reason.BASELINE_MISSING),
        (judge(value("hellinger", 0.9, ResultKind.DATA_DRIFT, column="x"), Rules()), Reason.NO_THRESHOLD),
        (judge(value("accuracy", 0.1, ResultKind.MODEL_PERFORMANCE), Rules()), Reason.NO_THRESHOLD),
        (judge(value("zero_rate", 0.5), Rules({"zero_rate": Limits(0.1)})), Reason.BASELINE_MISSING),
    ):
        assert (IRRELEVANT, reason) == (found.status, found.reason)


def test_limits_that_were_used_stand_beside_the_status() -> None:
    result = judge(psi(0.3), Rules(columns={"psi": {"x": Limits(0.2, 0.4)}}))

    assert (POTENTIAL, 0.2, 0.4) == (result.status, result.warning, result.critical)
    assert 0.5 == pytest.approx(result.severity)
    assert ("psi", "x", None, 0.3, True) == (result.name, result.column, result.segment, result.value, result.primary)


def test_performance_and_quality_count_where_they_have_limits() -> None:
    accuracy = value("accuracy", 0.7, ResultKind.MODEL_PERFORMANCE)
    rules = Rules({"accuracy": Limits(0.9, 0.8)})

    assert (DETECTED, "accuracy") == _status_and_worst([psi(0.0, 1.0), accuracy], rules)
    assert (QUIET, None) == _status_and_worst([psi(0.0, 1.0), accuracy], Rules())
    assert (DETECTED, "missing_columns") == _status_and_worst([psi(0.0, 1.0), value("missing_columns", 1.0)], Rules())
    assert (POTENTIAL, "new_columns") == _status_and_worst([psi(0.0, 1.0), value("new_columns", 2.0)], Rules())


@pytest.mark.parametrize(
    ("expected", "metric", "number", "low", "high"),
    [
        (DETECTED, "accuracy", 0.75, 0.71, 0.8),
        (POTENTIAL, "accuracy", 0.75, 0.69, 0.81),
        (POTENTIAL, "accuracy", 0.85, 0.8, 0.9),
        (QUIET, "accuracy", 0.75, 0.55, 0.91),
        (QUIET, "accuracy", 0.91, 0.85, 0.95),
        (DETECTED, "mae", 9.0, 8.0, 10.0),
        (POTENTIAL, "mae", 9.0, 7.9, 10.0),
        (QUIET, "mae", 9.0, 4.9, 13.0),
        (DETECTED, "calibration", 1.6, 1.5, 1.7),
        (DETECTED, "calibration", 0.4, 0.3, 0.5),
        (POTENTIAL, "calibration", 0.4, 0.3, 0.6),
        (QUIET, "calibration", 1.6, 1.1, 2.1),
        (QUIET, "mean_error", 0.6, -2.0, 3.2),
    ],
)
def test_performance_is_held_to_a_limit_by_its_whole_interval(
    expected: ResultStatus, metric: str, number: float, low: float, high: float
) -> None:
    limits = {
        "accuracy": Limits(0.9, 0.8),
        "mae": Limits(5.0, 8.0),
        "calibration": Limits(0.25, 0.5),
        "mean_error": Limits(0.1, 0.5),
    }
    metric_value = value(metric, number, ResultKind.MODEL_PERFORMANCE, low=low, high=high)

    found = judge(metric_value, Rules(limits))

    assert expected is found.status
    without = dataclasses.replace(metric_value, low=None, high=None)
    assert judge(without, Rules(limits)).status is judge(metric_value, Rules(limits, guard=False)).status
    if judge(without, Rules(limits)).status is not QUIET:
        assert (expected is QUIET) == (found.reason == Reason.NOT_SIGNIFICANT)


def test_one_drifting_column_is_enough_and_the_worst_is_named() -> None:
    values = [
        psi(0.0, 1.0, "a"),
        psi(0.12, column="b"),
        psi(0.5, column="c"),
        psi(0.3, column="d"),
        psi(None, column="e"),
    ]

    evaluation = evaluate(values, Rules())

    assert DETECTED is evaluation.status
    assert (("c", "d"), ("b",)) == (evaluation.drifted_columns, evaluation.suspected_columns)
    assert evaluation.worst is not None
    assert "c" == evaluation.worst.column
    assert values == [result.metric for result in evaluation.results]


def test_secondary_values_do_not_decide() -> None:
    distance = value("js_distance", 0.9, ResultKind.DATA_DRIFT, column="x", adjusted_p_value=0.0)

    assert (QUIET, None) == _status_and_worst([psi(0.0, 1.0), distance], Rules())
    assert QUIET is evaluate([psi(0.2, 0.9), distance], Rules()).status


def test_the_drift_share_is_of_features_that_could_be_judged() -> None:
    values = [
        psi(0.5, column="a"),
        psi(0.0, 1.0, "b"),
        psi(None, column="c"),
        psi(0.5, column="score", role="prediction"),
        psi(0.5, column="actual", role="actual"),
    ]

    share = evaluate(values, Rules()).drift_share

    assert (0.5, IRRELEVANT, "no_threshold") == (share.value, share.status, share.reason)
    assert {"columns": 3, "judged": 2, "detected": 1} == share.metric.details
    limited = evaluate(values, Rules({"psi": Limits(critical=0.4), "drift_share": Limits(critical=0.5)}))
    assert DETECTED is limited.drift_share.status
    assert (None, "insufficient_data") == _share([psi(None)])
    assert (None, "no_data") == _share([])


def test_a_batch_that_could_not_be_judged_is_irrelevant_with_the_most_common_reason() -> None:
    schema = value("missing_columns", 0.0)
    nothing = [psi(None, column="a", reason=Reason.NO_DATA), psi(None, column="b", reason=Reason.NO_DATA)]

    empty = evaluate([*nothing, psi(None, column="c", reason=Reason.COLUMN_NEW), schema], Rules())

    assert (IRRELEVANT, "no_data", None) == (empty.status, empty.reason, empty.worst)
    assert (IRRELEVANT, None) == (evaluate([], Rules()).status, evaluate([], Rules()).reason)
    assert QUIET is evaluate([schema], Rules()).status
    assert QUIET is evaluate([psi(0.0, 1.0), *nothing, schema], Rules()).status
    assert evaluate([psi(0.0, 1.0), *nothing], Rules()).reason is None


def test_a_schema_fault_is_told_even_if_nothing_else_can_be() -> None:
    assert (DETECTED, "retyped_columns") == _status_and_worst([psi(None), value("retyped_columns", 1.0)], Rules())


def test_evaluating_twice_gives_the_same() -> None:
    values = [psi(0.5), value("missing_columns", 2.0), value("hellinger", 0.2, ResultKind.DATA_DRIFT)]

    assert evaluate(values, Rules()) == evaluate(values, Rules())


def _status_and_worst(values: list[MetricValue], rules: Rules) -> tuple[ResultStatus, str | None]:
    evaluation = evaluate(values, rules)
    return evaluation.status, evaluation.worst.name if evaluation.worst is not None else None


def _share(values: list[MetricValue]) -> tuple[float | None, str | None]:
    share = evaluate(values, Rules()).drift_share
    return share.value, share.reason


@pytest.mark.parametrize(
    ("expected", "name", "number", "rows"),
    [
        (QUIET, "rejected_rate", 0.06, 200),
        (POTENTIAL, "rejected_rate", 0.06, 20_000),
        (QUIET, "type_mismatch_share", 0.02, 100),
        (POTENTIAL, "type_mismatch_share", 0.02, 10_000),
        (DETECTED, "type_mismatch_share", 1.0, 10),
        (QUIET, "rejected_rate", 0.0499, 10_000_000),
    ],
)
def test_a_rate_with_default_limits_needs_more_than_chance(
    expected: ResultStatus, name: str, number: float, rows: int
) -> None:
    found = judge(value(name, number, m=rows), Rules())

    assert expected is found.status
    assert ("not_significant" if expected is QUIET and number >= 0.01 and rows < 1e6 else None) == found.reason


def test_without_the_guard_such_a_rate_is_held_to_its_limit_alone() -> None:
    assert POTENTIAL is judge(value("rejected_rate", 0.06, m=100), Rules(guard=False)).status
