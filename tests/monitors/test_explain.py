"""One sentence a batch: what drifted, what else is wrong, what could not be judged."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_monitoring_provider.definitions.model_score import ModelRule, ModelScore
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.monitors.evaluate import evaluate
from airflow_monitoring_provider.monitors.explain import explain, findings
from airflow_monitoring_provider.monitors.thresholds import Limits, Rules


def psi(column: str, number: float | None, reason: str | None = None) -> MetricValue:
    return value("psi", number, ResultKind.DATA_DRIFT, column=column, primary=True, reason=reason)


def value(name: str, number: float | None, kind: ResultKind = ResultKind.DATA_QUALITY, **rest: Any) -> MetricValue:
    return MetricValue(name, kind, direction_of(name), number, **{"details": {"role": "feature"}, **rest})


@pytest.mark.parametrize(
    ("expected", "values"),
    [
        ("No drift in 2 columns.", [psi("a", 0.0), psi("b", 0.01)]),
        ("1 of 1 column drifted: a psi 0.3.", [psi("a", 0.3)]),
        (
            "4 of 6 columns drifted: d psi 0.6, c psi 0.5, b psi 0.4 and 1 more; "
            "1 of 6 columns may have drifted: e psi 0.1.",
            [psi("a", 0.3), psi("b", 0.4), psi("c", 0.5), psi("d", 0.6), psi("e", 0.1), psi("f", 0.0)],
        ),
        (
            "No drift in 1 column; 1 column could not be judged.",
            [psi("a", 0.0), psi("b", None, Reason.INSUFFICIENT_DATA)],
        ),
        (
            "Data quality beyond its limits: missing_columns 2, a missing_rate_change 0.3.",
            [psi("a", 0.0), value("missing_rate_change", 0.3, column="a"), value("missing_columns", 2.0)],
        ),
        (
            "1 of 1 column drifted: a psi 0.3; performance beyond its limits: accuracy 0.5.",
            [psi("a", 0.3), value("accuracy", 0.5, ResultKind.MODEL_PERFORMANCE)],
        ),
        (
            "Nothing could be judged: there is no baseline to compare with yet.",
            [psi("a", None, Reason.BASELINE_MISSING), value("missing_columns", 0.0)],
        ),
        ("No limit was reached.", [value("missing_columns", 0.0)]),
        ("There was nothing to judge.", []),
    ],
)
def test_a_batch_is_explained_in_one_sentence(expected: str, values: list[MetricValue]) -> None:
    assert expected == explain(evaluate(values, Rules({"accuracy": Limits(0.9, 0.8)})))


def test_a_rule_for_the_whole_model_is_followed_by_what_moved_in_the_columns_it_counts() -> None:
    moved = {"role": "feature", "moved": [{"cell": "EU", "reference": 0.1, "current": 0.4}]}
    drifting = [
        MetricValue("psi", ResultKind.DATA_DRIFT, direction_of("psi"), 0.5, column=c, primary=True, details=moved)
        for c in "ab"
    ]
    rule = ModelScore(rule=ModelRule.DRIFT_SHARE, excluded_features=("b",))
    values = [*drifting, psi("c", 0.0), value("missing_columns", 1.0)]

    assert (
        "1 column is missing.",
        "50 % of the features drifted (1 of 2).",
        "a: EU rose from 10 % to 40 %.",
    ) == tuple(sorted(findings(evaluate(values, Rules(model=rule)))))


def test_a_limited_drift_share_is_explained() -> None:
    evaluation = evaluate([psi("a", 0.3), psi("b", 0.0)], Rules({"drift_share": Limits(0.5)}))

    assert "1 of 2 columns drifted: a psi 0.3; drift_share 0.5 beyond its limit." == explain(evaluation)
