"""Segments in a definition: what is accepted, in both spellings, and what each refusal says."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from airflow_monitoring_provider.definitions import JobDefinition, load_definition
from airflow_monitoring_provider.definitions.json_schema import json_schema
from airflow_monitoring_provider.exceptions import DefinitionError


def define(segments: Any, **changes: Any) -> JobDefinition:
    return load_definition(
        {
            "name": "churn",
            "deployment_id": "churn-model",
            "intake_settings": {"type": "sql", "data_store_id": "db", "table": "scores"},
            "monitoring_columns": {"predictions_columns": "score"},
            "segments": segments,
            **changes,
        }
    )


def test_a_column_name_alone_means_its_levels() -> None:
    segment, by_age, vip = define(
        [
            "region",
            {"column": "age", "edges": [18, 30.5]},
            {
                "name": "vip",
                "where": [{"column": "spent", "op": "ge", "value": 100}, {"column": "left", "op": "isNull"}],
            },
        ]
    ).segments
    assert ("region", "region", 100, True) == (segment.name, segment.column, segment.limit, segment.by_level)
    assert ((18.0, 30.5), False) == (by_age.edges, by_age.by_level)
    assert [("ge", 100), ("is_null", None)] == [(c.op, c.value) for c in vip.where]


@pytest.mark.parametrize(
    ("segments", "message"),
    [
        ([{"limit": 5}], "segments[0].column: is required without `where`"),
        ([{"column": "a", "edges": [2, 1]}], "segments[0].edges: must increase"),
        ([{"column": "a", "edges": [1], "bins": 3}], "segments[0].bins: must not be given together with `edges`"),
        ([{"where": [{"column": "a", "op": "eq", "value": 1}]}], "segments[0].name: is required with `where`"),
        (["a", {"column": "a", "bins": 3}], "segments[1].name: is the name of item 0"),
        ([{"name": "a=b", "column": "a"}], "segments[0].name: must not hold ="),
        ([{"name": "x", "where": [{"column": "a", "op": "like", "value": "x%"}]}], "segments[0].where[0].op"),
        (
            [{"name": "x", "where": [{"column": "a", "op": "lt", "value": "ten"}]}],
            "segments[0].where[0].value: must be a finite number for `lt`, not text; write it without quotes",
        ),
        (
            [{"name": "x", "where": [{"column": "a", "op": "in", "value": []}]}],
            "segments[0].where[0].value: must be a list of at least one value for `in`",
        ),
        (
            [{"name": "x", "where": [{"column": "a", "op": "is_null", "value": 1}]}],
            "segments[0].where[0].value: must be absent",
        ),
        ("region", "segments: must be a list"),
        ([{"column": "a", "edges": []}], "segments[0].edges: must not be empty"),
        ([{"name": "x", "where": []}], "segments[0].where: must not be empty"),
        ([{"column": "a", "limit": 3, "edges": [1]}], "segments[0].limit: is for levels"),
        ([{"column": "a", "edges": list(range(2000))}], "segments[0].edges: must have at most 1000 items"),
        ([f"c{n}" for n in range(101)], "segments: must have at most 100 items"),
    ],
)
def test_a_segment_that_means_nothing_is_refused_by_its_place(segments: Any, message: str) -> None:
    with pytest.raises(DefinitionError) as error:
        define(segments)
    assert message.replace("`", "") in str(error.value).replace("`", "")


def test_the_schema_takes_what_is_accepted() -> None:
    payload = {
        "deploymentId": "d",
        "monitoringColumns": {"predictionsColumns": "score"},
        "segments": ["region", {"column": "age", "bins": 4}, {"name": "x", "where": [{"column": "a", "op": "isNull"}]}],
    }
    jsonschema.validate(payload, json_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(payload | {"segments": [3]}, json_schema())


def test_levels_without_names_make_no_segments() -> None:
    with pytest.raises(DefinitionError, match="has no names for its levels where level_names is drop"):
        define(["region"], level_names="drop")
    assert 1 == len(define([{"column": "age", "bins": 4}], level_names="drop").segments)
