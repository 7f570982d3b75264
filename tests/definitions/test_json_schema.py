"""The exported JSON Schema is one, describes the seeds, and agrees with the loader on fields and types."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from airflow_monitoring_provider.definitions import json_schema

Change = Callable[[Mapping[str, Any]], dict[str, Any]]


@pytest.fixture(scope="module")
def schema() -> Draft202012Validator:
    return Draft202012Validator(json_schema())


def test_the_schema_is_valid_and_made_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        schema = json_schema()

    Draft202012Validator.check_schema(schema)
    assert "https://json-schema.org/draft/2020-12/schema" == schema["$schema"]
    assert json_schema() == schema


def test_lists_are_limited_by_their_items() -> None:
    def arrays(part: Any) -> Iterator[dict[str, Any]]:
        if isinstance(part, dict):
            yield from (each for value in part.values() for each in arrays(value))
            if part.get("type") == "array":
                yield part
        elif isinstance(part, list):
            yield from (each for value in part for each in arrays(value))

    assert [] == [each for each in arrays(json_schema()) if {"minLength", "maxLength"} & each.keys()]


def test_the_seed_definitions_are_valid(seed: dict[str, Any], schema: Draft202012Validator) -> None:
    schema.validate(seed)


@pytest.mark.parametrize(
    "changes",
    [
        {"monitoringAggregation": None, "schedule": None, "numConcurrent": None, "csvSettings": {"delimiter": None}},
        {"schedule": "@daily"},
        {"outputSettings.statementType": "insertUpdate", "outputSettings.whereColumns": ["a"]},
        {"monitoringColumns.predictionsColumns": "p"},
        {"chunkSize": 4096},
        {"startDate": "2026-01-01"},
        {"baseline": {"type": "firstWindow"}},
    ],
)
def test_what_the_loader_reads_is_valid(changes: dict[str, Any], changed: Change, schema: Draft202012Validator) -> None:
    schema.validate(changed(changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"deploymentId": ...},
        {"deploymentId": 1},
        {"deployment_id": "d"},
        {"outputSettings.statementType": "upsert"},
        {"outputSettings.commitInterval": 86_401},
        {"intakeSettings.type": "oracle"},
        {"monitoringColumns.predictionsColumns": [{"className": "a"}]},
        {"monitoringColumns.predictionsColumns": []},
        {"monitoringOutputSettings.uniqueRowIdentifierColumns": [str(n) for n in range(101)]},
        {"monitoringAggregation": {"retentionPolicy": "all", "retentionValue": 1}},
        {"schedule": {"minute": [60], "hour": [0], "dayOfMonth": ["*"], "month": ["*"], "dayOfWeek": ["*"]}},
        {"thresholds": {"psi": {"warn": 0.1}}},
    ],
)
def test_what_the_loader_refuses_by_itself_is_invalid(
    changes: dict[str, Any], changed: Change, schema: Draft202012Validator
) -> None:
    assert not schema.is_valid(changed(changes))


def test_every_field_of_our_own_is_described() -> None:
    properties = json_schema()["properties"]

    for name in ("timezone", "timestampColumn", "features", "baseline", "thresholds", "positiveClass", "targetType"):
        assert properties[name].get("description"), name
