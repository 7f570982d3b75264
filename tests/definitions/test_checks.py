"""What a definition says of a column's values: its forms, what is refused and in which words, which limits it makes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airflow_monitoring_provider.definitions import json_schema
from airflow_monitoring_provider.definitions.load import dump_definition, load_definition, parse_definition
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.exceptions import DefinitionError
from airflow_monitoring_provider.monitors.thresholds import Limits, Rules

FULL = {
    "age": {"kind": "numeric", "minimum": 0, "maximum": 120.5, "warning": 0.001, "critical": 0.01},
    "state": {"allowedValues": ["CA", "NY", 3, True]},
    "born": {"kind": "timestamp"},
}


def definition(**members: Any) -> JobDefinition:
    columns = {"predictionsColumns": "p", "associationIdColumn": "id"}
    return load_definition({"deploymentId": "d", "name": "n", "monitoringColumns": columns} | members)


def test_what_is_said_is_read_and_written_in_every_form() -> None:
    told = definition(checks=FULL)

    assert (0, 120.5) == (told.checks["age"].minimum, told.checks["age"].maximum)
    assert ("3", "3.0", "CA", "NY", "true") == told.checks["state"].levels
    assert (1.0, 3.0) == told.checks["state"].numbers
    for form in ("json", "yaml"):
        assert told == parse_definition(dump_definition(told, form), form)  # type: ignore[call-overload]
    assert told == load_definition(dump_definition(told, "python"))
    schema = Draft202012Validator(json_schema())
    schema.validate(json.loads(dump_definition(told, "json")))
    assert not schema.is_valid(json.loads(dump_definition(told, "json")) | {"checks": {"age": {"kind": "money"}}})
    assert hash(told) == hash(definition(checks=FULL))


def test_snake_case_says_the_same() -> None:
    assert definition(checks={"a": {"allowedValues": ["x"]}}) == definition(checks={"a": {"allowed_values": ["x"]}})


@pytest.mark.parametrize(
    ("field", "words", "members"),
    [
        ("checks.a", "must give kind, minimum, maximum or allowedValues", {"checks": {"a": {}}}),
        ("checks.a.maximum", "at or over minimum", {"checks": {"a": {"minimum": 2, "maximum": 1}}}),
        ("checks.a.minimum", "must be a number, not text", {"checks": {"a": {"minimum": "0"}}}),
        ("checks.a.kind", "must be numeric where", {"checks": {"a": {"minimum": 0, "kind": "text"}}}),
        ("checks.a.kind", "categorical, boolean", {"checks": {"a": {"allowedValues": ["x"], "kind": "timestamp"}}}),
        ("checks.a.warning", "a wrong kind is always", {"checks": {"a": {"kind": "text", "warning": 0.1}}}),
        ("checks.a.critical", "runs from 0 to 1", {"checks": {"a": {"minimum": 0, "critical": 5}}}),
        (
            "checks.a.warning",
            "at or under critical",
            {"checks": {"a": {"minimum": 0, "warning": 0.2, "critical": 0.1}}},
        ),
        ("checks.a.allowedValues", "must not be empty", {"checks": {"a": {"allowedValues": []}}}),
        ("checks.a.allowedValues", "must be a list", {"checks": {"a": {"allowedValues": "x"}}}),
        ("checks.a.allowedValues[1]", "repeats item 0", {"checks": {"a": {"allowedValues": [1, 1.0]}}}),
        ("checks.a.allowedValues[0]", "not an object", {"checks": {"a": {"allowedValues": [{}]}}}),
        ("checks.a.allowedValues[0]", "must be a finite number", {"checks": {"a": {"allowedValues": [float("nan")]}}}),
        ("checks.a.max", "did you mean maximum", {"checks": {"a": {"max": 1}}}),
        ("checks.id", "whose values are not profiled", {"checks": {"id": {"minimum": 0}}}),
        ("checks.a", "name the column in features", {"checks": {"a": {"minimum": 0}}, "features": ["b"]}),
        ("checks.a", "name the column in features", {"checks": {"a": {"minimum": 0}}, "passthroughColumns": ["a"]}),
        (
            "checks.a.kind",
            "columnTypes, which says text",
            {"checks": {"a": {"kind": "numeric"}}, "columnTypes": {"a": "text"}},
        ),
        ("checks.a", "bounds, which are for numbers", {"checks": {"a": {"minimum": 0}}, "columnTypes": {"a": "text"}}),
        (
            "checks.a.allowedValues",
            "levelNames is drop",
            {"checks": {"a": {"allowedValues": ["x"]}}, "levelNames": "drop"},
        ),
        (
            "thresholds.out_of_bounds_share.columns.a",
            "keep one of them",
            {
                "checks": {"a": {"minimum": 0, "critical": 0.1}},
                "thresholds": {"out_of_bounds_share": {"columns": {"a": {"critical": 0.2}}}},
            },
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(field: str, words: str, members: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError) as refused:
        definition(**members)
    problems = dict(refused.value.problems)
    assert words in problems[field], problems


def test_a_check_is_critical_at_once_unless_it_or_the_thresholds_say_otherwise() -> None:
    checks = {"a": {"minimum": 0}, "b": {"allowedValues": ["x"], "warning": 0.01}}

    plain = Rules.from_definition(definition(checks=checks))
    told = Rules.from_definition(definition(checks=checks, thresholds={"out_of_bounds_share": {"critical": 0.5}}))

    assert Limits(None, 0) == plain.limits_for("out_of_bounds_share", "a")
    assert Limits(0.01, None) == plain.limits_for("not_allowed_share", "b")
    assert Limits(None, 0.5) == told.limits_for("out_of_bounds_share", "a")
