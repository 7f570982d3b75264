"""What a definition says of prediction intervals, and what it is told when they cannot be compared with actuals."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_monitoring_provider.definitions import dump_definition, load_definition, parse_definition
from airflow_monitoring_provider.definitions.prediction_interval import PredictionInterval
from airflow_monitoring_provider.exceptions import DefinitionError

BASE: dict[str, Any] = {
    "deploymentId": "shop",
    "intakeSettings": {"type": "sql", "dataStoreId": "db", "table": "sales"},
    "monitoringColumns": {"predictionsColumns": "guess", "actualsValueColumn": "sold"},
    "predictionInterval": {"lowerColumn": "low", "upperColumn": "high", "level": 0.9},
}


def test_both_spellings_are_read() -> None:
    definition = load_definition(BASE)
    expected = PredictionInterval(lower_column="low", upper_column="high", level=0.9)
    assert expected == definition.prediction_interval
    assert definition == parse_definition(dump_definition(definition), "json")
    snake = {name: value for name, value in BASE.items() if name != "predictionInterval"}
    snake["prediction_interval"] = {"lower_column": "low", "upper_column": "high", "level": 0.9}
    assert definition == load_definition(snake)
    limits = {"interval_coverage": {"warning": 0.02, "critical": 0.05}, "mean_interval_width": {"warning": 4}}
    load_definition({**BASE, "thresholds": limits})


@pytest.mark.parametrize(
    ("changes", "place", "reason"),
    [
        ({"predictionInterval": {"lowerColumn": "low", "level": 0.9}}, "predictionInterval.upperColumn", "is required"),
        ({"predictionInterval": {"lowerColumn": "a", "upperColumn": "b"}}, "predictionInterval.level", "is required"),
        (
            {"predictionInterval": {"lowerColumn": "a", "upperColumn": "b", "level": 90}},
            "predictionInterval.level",
            "must be less than 1",
        ),
        (
            {"predictionInterval": {"lowerColumn": "a", "upperColumn": "a", "level": 0.9}},
            "predictionInterval.upperColumn",
            "must differ from lowerColumn",
        ),
        (
            {"predictionInterval": {"lowerColumn": "guess", "upperColumn": "b", "level": 0.9}},
            "predictionInterval.lowerColumn",
            "a column has one role",
        ),
        ({"features": ["high"]}, r"features\[0\]", "a feature has no other role"),
        (
            {"monitoringColumns": {"predictionsColumns": [{"className": "yes", "columnName": "score"}]}},
            "predictionInterval",
            "needs a regression",
        ),
        (
            {"predictionInterval": None, "thresholds": {"interval_coverage": {"critical": 0.1}}},
            "thresholds.interval_coverage",
            "give predictionInterval",
        ),
        ({"thresholds": {"interval_coverage": {"critical": 1.5}}}, "interval_coverage", "can never be reached"),
    ],
)
def test_what_is_in_the_way_is_named(changes: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(DefinitionError, match=f"{place}.*{reason}"):
        load_definition({**BASE, **changes})
