"""One verdict on the model: worked examples of every rule, and what never counts."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_monitoring_provider.definitions.model_score import ModelRule, ModelScore
from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.exceptions import DefinitionError
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.monitors.evaluate import Evaluation, evaluate
from airflow_monitoring_provider.monitors.explain import explain
from airflow_monitoring_provider.monitors.thresholds import Rules

IRRELEVANT, QUIET = ResultStatus.IRRELEVANT, ResultStatus.NO_DETECTION
POTENTIAL, DETECTED = ResultStatus.POTENTIAL_DETECTION, ResultStatus.DETECTED


def psi(column: str, number: float | None, p_value: float = 0.0, role: str = "feature") -> MetricValue:
    return MetricValue(
        "psi",
        ResultKind.DATA_DRIFT,
        Direction.LOWER_IS_BETTER,
        number,
        column,
        reason=None if number is not None else "insufficient_data",
        adjusted_p_value=p_value,
        primary=True,
        details={"role": role},
    )


def judged(values: list[MetricValue], **rule: Any) -> Evaluation:
    return evaluate(values, Rules(model=ModelScore(**rule)))


FOUR = [psi("a", 0.4), psi("b", 0.15), psi("c", 0.01), psi("d", 0.3, p_value=0.6)]


def test_the_score_is_the_mean_of_significant_drift_by_importance() -> None:
    evaluation = judged(FOUR, rule="importance_weighted", importances={"a": 1, "b": 3, "c": 4, "d": 2})
    _, score = evaluation.model_results

    assert (1 * 0.4 + 3 * 0.15 + 4 * 0.01 + 0) / 10 == pytest.approx(score.value)
    assert ("drift_score", 0.10, 0.25, QUIET) == (score.name, score.warning, score.critical, score.status)
    assert ["b", "a", "c"] == score.metric.details["leading"]
    assert QUIET is evaluation.status
    assert (DETECTED, POTENTIAL) == tuple(result.status for result in evaluation.results[:2])


def test_importances_of_no_feature_that_could_be_judged_are_no_good_news() -> None:
    evaluation = judged([*FOUR, psi("p", 0.0, role="prediction")], rule="importance_weighted", importances={"typo": 1})
    _, score = evaluation.model_results

    assert (None, IRRELEVANT, "zero_denominator") == (score.value, score.status, score.reason)
    assert (IRRELEVANT, "zero_denominator") == (evaluation.status, evaluation.reason)
    assert "Nothing could be judged: the metric divides by a count or sum that is zero here." == explain(evaluation)
    faulty = judged([*FOUR, psi("p", 0.3, role="prediction")], rule="importance_weighted", importances={"typo": 1})
    assert DETECTED is faulty.status  # predictions decide beside the rule


def test_the_sentence_says_what_the_rule_made_of_the_features() -> None:
    listed = "1 of 4 columns drifted: a psi 0.4; 1 of 4 columns may have drifted: b psi 0.15; "
    within = judged(FOUR, rule="importance_weighted", importances={"a": 1, "b": 3, "c": 4, "d": 2})
    beyond = judged(FOUR, rule="drift_mean")

    assert f"{listed}drift_score 0.089 within its limit." == explain(within)
    assert f"{listed}drift_score 0.14 beyond its limit." == explain(beyond)


def test_the_mean_is_of_the_significant_drift_of_all_features_alike() -> None:
    _, score = judged(FOUR, rule="drift_mean").model_results

    assert (0.4 + 0.15 + 0.01 + 0) / 4 == pytest.approx(score.value)
    assert (0.10, 0.25, POTENTIAL) == (score.warning, score.critical, score.status)


def _features(metric: str, values: list[float]) -> list[MetricValue]:
    return [dataclasses.replace(psi(f"x{i}", value), name=metric, p_value=0.9) for i, value in enumerate(values)]


@pytest.mark.parametrize(
    ("tool", "metric", "values", "status"),
    [
        # Evidently: a share of 0.5 of the columns at 0.1 or over.
        ("evidently", "js_distance", [0.1, 0.3, 0.05, 0.0], DETECTED),
        ("evidently", "js_distance", [0.9, 0.05, 0.0], QUIET),
        # MLRun: the mean of (Hellinger + TVD) / 2 over the features, 0.5 and 0.7.
        ("mlrun", "hellinger_tvd", [1.0, 0.1, 0.1], QUIET),
        ("mlrun", "hellinger_tvd", [1.0, 0.2, 0.3], POTENTIAL),
        ("mlrun", "hellinger_tvd", [1.0, 0.5, 0.6], DETECTED),
        # DataRobot: PSI from 0.15 on; of features without importance one is a warning, and none fails.
        ("datarobot", "psi", [0.14, 0.0], QUIET),
        ("datarobot", "psi", [0.15, 0.9, 0.9], POTENTIAL),
        # NannyML and Arize: every column alerts by itself.
        ("nannyml", "js_distance", [0.1, 0.0, 0.0, 0.0], DETECTED),
        ("arize", "psi", [0.25, 0.0, 0.0, 0.0], DETECTED),
    ],
)
def test_parity_brings_each_tools_verdict_on_the_data_set(
    tool: str, metric: str, values: list[float], status: ResultStatus
) -> None:
    from airflow_monitoring_provider.definitions import load_definition

    payload = {"deploymentId": "d", "monitoringColumns": {"predictionsColumns": "p"}, "drift": {"parity": tool}}
    rules = Rules.from_definition(load_definition(payload))
    own = Rules.from_definition(load_definition({**payload, "modelScore": {"rule": "drift_share", "critical": 0.01}}))

    assert status is evaluate(_features(metric, values), rules).status
    assert ModelRule.DRIFT_SHARE is (own.model and own.model.rule)


def test_limits_of_the_score_are_the_definitions_choice() -> None:
    evaluation = judged(FOUR, rule="importance_weighted", importances={"a": 1}, warning=0.2, critical=0.4)

    assert (DETECTED, "drift_score") == (evaluation.status, evaluation.worst.name if evaluation.worst else None)


@pytest.mark.parametrize(
    ("status", "rule"),
    [
        (DETECTED, {"importances": {"a": 1}}),
        (POTENTIAL, {"importances": {"c": 1, "a": 0.4, "b": 0.4}}),
        (DETECTED, {"importances": {"c": 1, "a": 0.5, "b": 0.4}}),
        (POTENTIAL, {"importances": {"c": 1, "a": 0.6}, "importance_threshold": 0.7}),
        (DETECTED, {"importances": {"c": 1}, "starred_features": ["b"]}),
        (POTENTIAL, {}),
        (DETECTED, {"low_importance_failing_count": 2}),
        (POTENTIAL, {"low_importance_failing_count": 3}),
        (QUIET, {"low_importance_warning_count": 3}),
        (QUIET, {"importances": {"a": 1}, "excluded_features": ["a", "b"]}),
        (POTENTIAL, {"importances": {"a": 1}, "high_importance_failing_count": 2, "high_importance_warning_count": 1}),
    ],
)
def test_features_of_high_and_low_importance_are_counted_apart(status: ResultStatus, rule: dict[str, Any]) -> None:
    assert status is judged(FOUR, rule="importance_counts", **rule).status


def test_the_count_says_which_features_it_counts() -> None:
    _, found = judged(FOUR, rule="importance_counts", importances={"a": 1, "b": 0.1}).model_results

    assert ("drifted_features", 2.0) == (found.name, found.value)
    assert {"columns": 4, "judged": 4, "high": ["a"], "low": ["b"]} == found.metric.details


def test_the_share_of_drifted_columns_decides_from_a_half_on() -> None:
    evaluation = judged(FOUR, rule="drift_share", excluded_features=["b", "c"])
    (share,) = evaluation.model_results

    assert (0.5, 0.5, DETECTED) == (share.value, share.critical, share.status)
    assert QUIET is judged(FOUR, rule="drift_share").status


def test_predictions_decide_beside_the_rule() -> None:
    values = [psi("a", 0.0, 1.0), psi("score", 0.5, role="prediction")]

    assert DETECTED is judged(values, rule="drift_share").status


@pytest.mark.parametrize(
    "rule",
    [
        {"rule": "drift_share"},
        {"rule": "drift_mean"},
        {"rule": "importance_counts"},
        {"rule": "importance_weighted", "importances": {"a": 1}},
    ],
)
def test_a_model_without_a_feature_to_judge_has_no_verdict(rule: dict[str, Any]) -> None:
    evaluation = judged([psi("a", None)], **rule)
    result = evaluation.model_results[-1]

    assert (None, IRRELEVANT, "insufficient_data") == (result.value, result.status, result.reason)
    assert (IRRELEVANT, "insufficient_data") == (evaluation.status, evaluation.reason)


@pytest.mark.parametrize(
    ("field", "message", "rule"),
    [
        ("rule", "is required", {}),
        ("importances", "an importance over 0", {"rule": "importance_weighted"}),
        (
            "importances",
            "an importance over 0",
            {"rule": "importance_weighted", "importances": {"a": 1}, "excludedFeatures": ["a"]},
        ),
        ("importances.a", "at least 0", {"rule": "importance_weighted", "importances": {"a": -1}}),
        ("starredFeatures", "is for importance_counts", {"rule": "drift_share", "starredFeatures": ["a"]}),
        ("warning", "its counts are the limits", {"rule": "importance_counts", "warning": 1}),
        ("critical", "from 0 to 1", {"rule": "drift_share", "critical": 50}),
        ("warning", "at or under critical", {"rule": "drift_share", "warning": 0.5, "critical": 0.2}),
        (
            "starredFeatures",
            "excludedFeatures names too",
            {"rule": "importance_counts", "starredFeatures": ["a"], "excludedFeatures": ["a"]},
        ),
        (
            "highImportanceFailingCount",
            "nothing is ever found",
            {"rule": "importance_counts", "highImportanceFailingCount": 0, "lowImportanceWarningCount": 0},
        ),
    ],
)
def test_a_rule_that_cannot_work_is_refused(field: str, message: str, rule: dict[str, Any]) -> None:
    from airflow_monitoring_provider.definitions import load_definition

    payload = {
        "deploymentId": "d",
        "monitoringColumns": {"predictionsColumns": "p"},
        "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "t"},
        "modelScore": rule,
    }
    with pytest.raises(DefinitionError) as refused:
        load_definition(payload)

    assert f"modelScore.{field}" in str(refused.value)
    assert message in str(refused.value)


def test_every_rule_is_known_to_the_schema() -> None:
    from airflow_monitoring_provider.definitions import json_schema

    assert {rule.value for rule in ModelRule} == set(json_schema()["$defs"]["ModelRule"]["enum"])
