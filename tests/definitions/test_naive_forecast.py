"""What a definition says of naive forecasts, and what it is told when errors cannot be scaled by one."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_monitoring_provider.definitions import NaiveForecast, dump_definition, load_definition, parse_definition
from airflow_monitoring_provider.exceptions import DefinitionError

BASE: dict[str, Any] = {
    "deploymentId": "shop",
    "intakeSettings": {"type": "sql", "dataStoreId": "db", "table": "sales"},
    "monitoringColumns": {"predictionsColumns": "guess", "actualsValueColumn": "sold"},
    "timestampColumn": "day",
    "naiveForecast": {"lag": 7, "seriesColumn": "shop"},
}


def test_what_is_said_is_read_back() -> None:
    definition = load_definition(BASE)
    assert NaiveForecast(lag=7, series_column="shop") == definition.naive_forecast
    assert definition == parse_definition(dump_definition(definition), "json")
    assert NaiveForecast(lag=1) == load_definition({**BASE, "naive_forecast": {}, "naiveForecast": None}).naive_forecast
    load_definition({**BASE, "thresholds": {"mase": {"warning": 1.0, "critical": 1.2}}})
    load_definition({**BASE, "partitions": {"by": "time"}})
    load_definition({**BASE, "partitions": {"by": "key", "column": "shop"}})
    given = {name: value for name, value in BASE.items() if name != "timestampColumn"}
    given["monitoringColumns"] = {"predictionsColumns": "guess", "associationIdColumn": "id"}
    assert not load_definition({**given, "naiveForecast": {"scale": 12.5}}).naive_forecast.learnt  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("changes", "place", "reason"),
    [
        ({"naiveForecast": {"lag": 0}}, "naiveForecast.lag", "must be at least 1"),
        ({"naiveForecast": {"scale": 0}}, "naiveForecast.scale", "must be more than 0"),
        ({"naiveForecast": {"scale": 2, "lag": 7}}, "naiveForecast.lag", "together with scale"),
        ({"timestampColumn": None}, "timestampColumn", "is required where naiveForecast has no scale"),
        (
            {"monitoringColumns": {"predictionsColumns": "guess"}},
            "monitoringColumns.actualsValueColumn",
            "is required where naiveForecast has no scale",
        ),
        (
            {
                "monitoringColumns": {
                    "predictionsColumns": [{"className": "yes", "columnName": "p"}],
                    "actualsValueColumn": "sold",
                }
            },
            "naiveForecast",
            "needs a regression",
        ),
        ({"partitions": {"count": 3}}, "partitions.by", "must be time .or key, with the column shop. where"),
        ({"partitions": {"by": "key", "column": "id"}}, "partitions.by", "must be time"),
        ({"engine": "sql"}, "engine", r"put in the order of their times \(naiveForecast\); use arrow"),
        ({"naiveForecast": None, "thresholds": {"mase": {"critical": 1}}}, "thresholds.mase", "give naiveForecast"),
    ],
)
def test_what_is_in_the_way_is_named(changes: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(DefinitionError, match=f"{place}.*{reason}"):
        load_definition({**BASE, **changes})
