"""Limits: defaults, what a definition replaces, and which side of a limit is worse."""

from __future__ import annotations

import pytest

from airflow_monitoring_provider.definitions.load import load_definition
from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.monitors.thresholds import DEFAULTS, Limits, Rules, neutral_of, severity


def value(name: str, number: float | None, **details: float) -> MetricValue:
    return MetricValue(name, ResultKind.DATA_QUALITY, direction_of(name), number, details=dict(details))


def test_a_metric_without_limits_anywhere_has_none() -> None:
    assert Rules().limits_for("hellinger", "x").empty
    assert Rules().limits_for("accuracy", None).empty


def test_drift_has_the_published_defaults() -> None:
    assert Limits(0.10, 0.25) == Rules().limits_for("psi", "x")
    assert Limits(0.1, 0.3) == Rules().limits_for("wasserstein_norm", "x")
    assert Limits(0.1, 0.2) == Rules().limits_for("js_distance", "x")


def test_a_definition_replaces_the_defaults_of_a_metric_and_a_column_replaces_both() -> None:
    rules = Rules({"psi": Limits(critical=0.5)}, {"psi": {"age": Limits(warning=0.2)}})

    assert Limits(None, 0.5) == rules.limits_for("psi", "height")
    assert Limits(0.2, None) == rules.limits_for("psi", "age")
    assert Limits(0.1, 0.3) == rules.limits_for("wasserstein_norm", "age")


def test_rules_are_read_from_a_definition() -> None:
    definition = load_definition(
        {
            "deploymentId": "churn",
            "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "scored"},
            "monitoringColumns": {"predictionsColumns": "score"},
            "significance": {"alpha": 0.01, "guard": False},
            "thresholds": {
                "psi": {"columns": {"age": {"critical": 0.5}}},
                "roc_auc": {"warning": 0.8, "critical": 0.7},
            },
        }
    )

    rules = Rules.from_definition(definition)

    assert (0.01, False) == (rules.alpha, rules.guard)
    assert Limits(0.8, 0.7) == rules.limits_for("roc_auc", None)
    assert Limits(None, 0.5) == rules.limits_for("psi", "age")
    assert DEFAULTS["psi"] == rules.limits_for("psi", "height")


@pytest.mark.parametrize(
    ("expected", "name", "number", "limit", "details"),
    [
        (True, "psi", 0.25, 0.25, {}),
        (False, "psi", 0.2499, 0.25, {}),
        (True, "accuracy", 0.8, 0.8, {}),
        (True, "accuracy", 0.1, 0.8, {}),
        (False, "accuracy", 0.81, 0.8, {}),
        (True, "mean_error", -2.0, 2.0, {}),
        (True, "mean_error", 2.0, 2.0, {}),
        (False, "mean_error", 1.9, 2.0, {}),
        (True, "row_count_ratio", 0.5, 0.5, {}),
        (True, "row_count_ratio", 1.5, 0.5, {}),
        (False, "row_count_ratio", 1.25, 0.5, {}),
        (True, "zero_rate", 0.1, 0.3, {"baseline_value": 0.5}),
        (False, "zero_rate", 0.6, 0.3, {"baseline_value": 0.5}),
        (True, "r2", -1.0, 0.0, {}),
        (True, "missing_columns", 1.0, 1.0, {}),
        (False, "psi", 0.0, 0.0, {}),
        (True, "psi", 0.001, 0.0, {}),
        (False, "missing_rate", 0.0, 0.0, {}),
        (True, "missing_rate", 1e-9, 0.0, {}),
        (False, "label_coverage", 1.0, 1.0, {}),
        (True, "label_coverage", 0.999, 1.0, {}),
        (False, "row_count_ratio", 1.0, 0.0, {}),
        (True, "row_count_ratio", 0.99, 0.0, {}),
    ],
)
def test_a_limit_is_reached_at_equality_on_the_worse_side_but_never_by_the_best_value(
    expected: bool, name: str, number: float, limit: float, details: dict[str, float]
) -> None:
    amount = severity(value(name, number, **details), limit)

    assert amount is not None
    assert expected is (amount >= 0)


def test_what_cannot_be_measured_has_no_severity() -> None:
    assert severity(value("psi", None), 0.1) is None
    assert severity(value("psi", 0.1), None) is None
    assert severity(value("zero_rate", 0.1), 0.1) is None


def test_a_two_sided_metric_is_measured_from_its_neutral_value_or_the_baselines() -> None:
    assert 1.0 == neutral_of(value("calibration", 0.7))
    assert 0.0 == neutral_of(value("mean_error", 0.7))
    assert 12.0 == neutral_of(value("row_count", 10, baseline_value=12))
    assert neutral_of(value("row_count", 10)) is None


def test_directions_are_those_of_the_definitions_terms() -> None:
    for name, term in METRICS.items():
        assert term.direction == direction_of(name)
    assert Direction.LOWER_IS_BETTER == direction_of("something else")


def test_default_warnings_come_before_default_criticals() -> None:
    for limits in DEFAULTS.values():
        assert not limits.empty
        assert limits.warning is None or limits.critical is None or limits.warning < limits.critical
