"""Settings are the definition's, and the definition's defaults are the settings' own."""

from __future__ import annotations

from typing import Any

from airflow_monitoring_provider.definitions.load import load_definition
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.verdict import Adjustment
from airflow_monitoring_provider.metrics.settings import ComparisonSettings


def definition(**members: Any) -> JobDefinition:
    return load_definition(
        {
            "deploymentId": "churn",
            "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "scored"},
            "monitoringColumns": {"predictionsColumns": "score"},
            **members,
        }
    )


def test_a_definition_that_says_nothing_has_the_defaults() -> None:
    assert ComparisonSettings() == ComparisonSettings.from_definition(definition())


def test_significance_and_minimums_are_taken_over() -> None:
    told = definition(
        significance={"alpha": 0.01, "guard": False, "adjustment": "by"},
        minimums={"referenceRows": 1, "currentRows": 2, "labelledRows": 3, "perClass": 4},
    )

    expected = ComparisonSettings(
        alpha=0.01,
        guard=False,
        adjustment=Adjustment.BY,
        reference_rows=1,
        current_rows=2,
        labelled_rows=3,
        per_class=4,
    )
    assert expected == ComparisonSettings.from_definition(told)
