"""What the tests of this room start from: a complete payload to change one thing of, and its two spellings."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import JobDefinition, load_definition
from airflow_monitoring_provider.exceptions import DefinitionError

DATA = Path(__file__).parent / "data"

BASE: dict[str, Any] = {
    "name": "flight delays",
    "deploymentId": "flights",
    "intakeSettings": {"type": "jdbc", "dataStoreId": "flights_db", "table": "flights", "schema": "public"},
    "outputSettings": {
        "type": "jdbc",
        "dataStoreId": "flights_db",
        "table": "flights_monitored",
        "schema": "public",
        "statementType": "insert",
    },
    "monitoringColumns": {
        "predictionsColumns": [
            {"className": "late", "columnName": "p_late"},
            {"className": "on time", "columnName": "p_on_time"},
        ],
        "associationIdColumn": "flight_id",
        "actualsValueColumn": "was_late",
    },
    "monitoringOutputSettings": {"uniqueRowIdentifierColumns": ["flight_id"], "monitoredStatusColumn": "monitored"},
}


@pytest.fixture(scope="session")
def changed() -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The base payload with the members at dotted paths replaced, or removed where the value is ``...``."""

    def change(changes: Mapping[str, Any]) -> dict[str, Any]:
        payload = copy.deepcopy(BASE)
        for path, value in changes.items():
            *steps, last = path.split(".")
            place = payload
            for step in steps:
                place = place.setdefault(step, {})
            if value is ...:
                place.pop(last, None)
            else:
                place[last] = value
        return payload

    return change


@pytest.fixture(scope="session")
def define(changed: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Callable[[Mapping[str, Any]], JobDefinition]:
    """Load the base payload with changes."""
    return lambda changes: load_definition(changed(changes))


@pytest.fixture(scope="session")
def snake_keys() -> Callable[[Any], Any]:
    """A camelCase payload with snake_case keys; written here, so as not to trust the code under test.

    Keys that are the caller's own words (column names, metric ids) stay.
    """

    def spell(value: Any, free: bool = False) -> Any:
        if isinstance(value, Mapping):
            own = {key: key if free else re.sub(r"([A-Z])", r"_\1", key).lower() for key in value}
            inner = {"thresholds", "columnTypes", "columnNamesRemapping", "columns"}
            return {own[key]: spell(item, key in inner) for key, item in value.items()}
        return [spell(item) for item in value] if isinstance(value, list | tuple) else value

    return spell


@pytest.fixture(scope="session")
def problems_of() -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """What is wrong with a payload: field -> message; fails when nothing is."""

    def problems(payload: Mapping[str, Any]) -> dict[str, str]:
        with pytest.raises(DefinitionError) as caught:
            load_definition(payload)
        assert caught.value.field == caught.value.problems[0][0]
        assert all(text in str(caught.value) for _, text in caught.value.problems)
        return dict(caught.value.problems)

    return problems


@pytest.fixture(params=["regression", "classification"])
def seed(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Both definitions of DataRobot's monitoring jobs page, as printed there."""
    text = (DATA / f"datarobot-monitoring-jobs--{request.param}-definition.json").read_text("utf-8")
    payload: dict[str, Any] = json.loads(text)
    return payload
