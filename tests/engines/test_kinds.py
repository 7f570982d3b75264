"""Plans from definitions and schemas."""

from __future__ import annotations

import dataclasses
from typing import Any

import pyarrow as pa
import pytest

from airflow_monitoring_provider.definitions.load import load_definition
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.engines.arrow import profile_batches
from airflow_monitoring_provider.engines.kinds import (
    build_plan,
    column_kind,
    name_levels,
    read_columns,
    restrict_plan,
    schema_changes,
)
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, SchemaChanges, TargetPlan

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "when": pa.timestamp("us"),
        "amount": pa.float64(),
        "colour": pa.string(),
        "note": pa.string(),
        "active": pa.bool_(),
        "born": pa.date32(),
        "p_yes": pa.float64(),
        "p_no": pa.float64(),
        "outcome": pa.string(),
        "outcome_at": pa.timestamp("us"),
        "acted": pa.bool_(),
        "extra": pa.string(),
    }
)


def definition(**changes: Any) -> JobDefinition:
    payload: dict[str, Any] = {
        "deploymentId": "d",
        "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "rows"},
        "monitoringColumns": {
            "predictionsColumns": [
                {"className": "yes", "columnName": "p_yes"},
                {"className": "no", "columnName": "p_no"},
            ],
            "associationIdColumn": "id",
            "actualsValueColumn": "outcome",
            "actualsTimestampColumn": "outcome_at",
            "actedUponColumn": "acted",
        },
        "monitoringOutputSettings": {"uniqueRowIdentifierColumns": ["id"], "monitoredStatusColumn": "status"},
        "timestampColumn": "when",
        "passthroughColumns": ["extra"],
        "columnTypes": {"note": "text"},
        **changes,
    }
    return load_definition({name: value for name, value in payload.items() if value is not None})


def test_features_are_the_columns_without_a_role() -> None:
    plan = build_plan(definition(), SCHEMA)
    expected = {
        "active": (ColumnKind.BOOLEAN, ColumnRole.FEATURE),
        "amount": (ColumnKind.NUMERIC, ColumnRole.FEATURE),
        "born": (ColumnKind.TIMESTAMP, ColumnRole.FEATURE),
        "colour": (ColumnKind.CATEGORICAL, ColumnRole.FEATURE),
        "note": (ColumnKind.TEXT, ColumnRole.FEATURE),
        "outcome": (ColumnKind.CATEGORICAL, ColumnRole.ACTUAL),
        "p_no": (ColumnKind.NUMERIC, ColumnRole.PREDICTION),
        "p_yes": (ColumnKind.NUMERIC, ColumnRole.PREDICTION),
    }
    assert expected == {column.name: (column.kind, column.role) for column in plan.columns}
    assert list(expected) == [column.name for column in plan.columns]
    assert "when" == plan.timestamp_column


def test_order_of_the_schema_does_not_show() -> None:
    assert build_plan(definition(), SCHEMA) == build_plan(definition(), pa.schema(list(SCHEMA)[::-1]))


def test_binary_target_puts_the_negative_class_first() -> None:
    plan = build_plan(definition(predictionThreshold=0.3), SCHEMA)
    pairs = (("yes", "p_yes"), ("no", "p_no"))
    assert TargetPlan(TargetType.BINARY, pairs, "outcome", ("no", "yes"), "yes", 0.3) == plan.target
    columns = {column.name: column for column in plan.columns}
    assert (True, (0.3,)) == (columns["p_yes"].mirrored, columns["p_yes"].edges)
    assert (True, ()) == (columns["p_no"].mirrored, columns["p_no"].edges)


def test_one_column_can_be_a_regression_or_a_binary_score() -> None:
    columns = {"predictionsColumns": "amount", "actualsValueColumn": "outcome"}
    regression = build_plan(definition(monitoringColumns=columns), SCHEMA)
    assert TargetPlan(TargetType.REGRESSION, (("", "amount"),), "outcome") == regression.target
    kinds = {column.name: (column.kind, column.mirrored) for column in regression.columns}
    assert ((ColumnKind.NUMERIC, False), (ColumnKind.NUMERIC, False)) == (kinds["amount"], kinds["outcome"])

    columns = {"predictionsColumns": "p_yes", "actualsValueColumn": "outcome"}
    binary = build_plan(definition(monitoringColumns=columns, targetType="Binary", positiveClass="yes"), SCHEMA)
    assert TargetPlan(TargetType.BINARY, (("yes", "p_yes"),), "outcome", ("", "yes"), "yes") == binary.target


def test_three_classes_are_multiclass() -> None:
    pairs = [{"className": name, "columnName": f"p_{name}"} for name in "abc"]
    schema = pa.schema({f"p_{name}": pa.float64() for name in "abc"} | {"x": pa.float64()})
    plain = definition(
        monitoringColumns={"predictionsColumns": pairs},
        monitoringOutputSettings=None,
        timestampColumn=None,
        passthroughColumns=None,
        columnTypes=None,
    )
    target = build_plan(plain, schema).target
    assert target is not None
    assert (TargetType.MULTICLASS, ("a", "b", "c"), None) == (target.target_type, target.classes, target.positive_class)


def test_actuals_alone_have_no_target_yet() -> None:
    columns = {"actualsValueColumn": "amount", "associationIdColumn": "id"}
    plan = build_plan(definition(monitoringColumns=columns), SCHEMA)
    assert plan.target is None
    assert ColumnPlan("amount", ColumnKind.NUMERIC, ColumnRole.ACTUAL) in plan.columns


def test_stated_features_are_taken_as_they_are() -> None:
    plan = build_plan(definition(features=["extra", "amount"], columnTypes=None), SCHEMA)
    assert ["amount", "extra"] == [c.name for c in plan.columns if c.role is ColumnRole.FEATURE]


def test_every_lacking_column_is_named_at_once() -> None:
    schema = pa.schema([field for field in SCHEMA if field.name not in ("p_yes", "when", "extra")])
    expected = r"^Columns extra, p_yes, when are not in table rows of connection db; it has: id, amount, "
    with pytest.raises(SourceError, match=expected):
        build_plan(definition(), schema, "table rows of connection db")
    with pytest.raises(SourceError, match=r"^Column gone is not in the source; it has: id"):
        build_plan(definition(features=["gone"], columnTypes=None), SCHEMA)
    with pytest.raises(SourceError, match=r"^Column id is more than once in the source"):
        build_plan(definition(), pa.schema([*SCHEMA, pa.field("id", pa.int64())]))


def test_changed_schemas_are_told_apart_from_the_frozen_plan() -> None:
    plan = build_plan(definition(), SCHEMA)
    assert SchemaChanges() == schema_changes(definition(), plan, SCHEMA)
    assert not SchemaChanges()
    later = pa.schema(
        [
            *(field for field in SCHEMA if field.name not in ("amount", "colour", "active", "born")),
            pa.field("amount", pa.string()),
            pa.field("active", pa.null()),
            pa.field("born", pa.timestamp("us", "UTC")),
            pa.field("fresh", pa.int8()),
        ]
    )
    expected = SchemaChanges(("colour",), ("fresh",), (("amount", "numeric", "string"),))
    assert expected == schema_changes(definition(), plan, later)
    declared = definition(columnTypes={"amount": "numeric", "note": "text"})
    assert () == schema_changes(declared, plan, later).retyped


def test_plan_is_restricted_to_the_features_that_are_there() -> None:
    plan = build_plan(definition(), SCHEMA)
    schema = pa.schema([field for field in SCHEMA if field.name != "colour"])
    usable = restrict_plan(plan, schema)
    assert {"colour"} == {c.name for c in plan.columns} - {c.name for c in usable.columns}
    assert plan == restrict_plan(plan, SCHEMA)
    for needed in ("p_yes", "outcome", "when"):
        lacking = pa.schema([field for field in SCHEMA if field.name != needed])
        with pytest.raises(SourceError, match=f"Column {needed} is not in the source"):
            restrict_plan(plan, lacking)


def test_levels_of_the_baseline_are_named() -> None:
    plan = ProfilePlan((ColumnPlan("c", ColumnKind.CATEGORICAL), ColumnPlan("n", ColumnKind.NUMERIC)))
    baseline = profile_batches(plan, [pa.record_batch({"c": ["b", "a", "a", "z"], "n": [1, 2, 3, 4]})])
    named = name_levels(plan, baseline, most=2)
    assert ("a", "b") == named.columns[0].named_levels
    assert plan.columns[1] == named.columns[1]


def test_each_column_is_read_once() -> None:
    plan = build_plan(definition(), SCHEMA)
    columns = read_columns(plan, ["id"], ["id", "extra", "amount"])
    assert {*(c.name for c in plan.columns), "when", "outcome_at", "id", "extra"} == set(columns)
    assert len(set(columns)) == len(columns)


@pytest.mark.parametrize(
    ("arrow_type", "kind"),
    [
        (pa.int8(), ColumnKind.NUMERIC),
        (pa.float16(), ColumnKind.NUMERIC),
        (pa.decimal128(9, 2), ColumnKind.NUMERIC),
        (pa.bool_(), ColumnKind.BOOLEAN),
        (pa.date64(), ColumnKind.TIMESTAMP),
        (pa.timestamp("ns", "UTC"), ColumnKind.TIMESTAMP),
        (pa.large_string(), ColumnKind.CATEGORICAL),
        (pa.dictionary(pa.int8(), pa.int64()), ColumnKind.CATEGORICAL),
        (pa.time32("s"), ColumnKind.CATEGORICAL),
        (pa.null(), ColumnKind.CATEGORICAL),
        (pa.list_(pa.int8()), ColumnKind.CATEGORICAL),
    ],
    ids=str,
)
def test_types_have_a_kind(arrow_type: pa.DataType, kind: ColumnKind) -> None:
    assert kind is column_kind(arrow_type)


def test_level_names_policy_reaches_the_plan() -> None:
    assert "hash" == build_plan(definition(levelNames="hash"), SCHEMA).level_names
    assert dataclasses.replace(build_plan(definition(), SCHEMA), level_names="hash").digest() == (
        build_plan(definition(levelNames="hash"), SCHEMA).digest()
    )
