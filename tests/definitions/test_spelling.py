"""camelCase, snake_case or both; null means absent; unknown and doubled fields are errors in the caller's own words."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_monitoring_provider.definitions import (
    CsvSettings,
    JobDefinition,
    MonitoringColumns,
    Schedule,
    SqlIntake,
    SqlOutput,
    StatementType,
    Threshold,
    load_definition,
)
from airflow_monitoring_provider.exceptions import DefinitionError

Change = Callable[[Mapping[str, Any]], dict[str, Any]]
Problems = Callable[[Mapping[str, Any]], dict[str, str]]


def test_spellings_may_be_mixed(changed: Change, snake_keys: Callable[[Any], Any]) -> None:
    payload = changed({})
    mixed = {**payload, "monitoring_columns": snake_keys(payload["monitoringColumns"])}
    del mixed["monitoringColumns"]

    assert load_definition(payload) == load_definition(mixed)


def test_a_field_in_both_spellings_is_given_twice(changed: Change, problems_of: Problems) -> None:
    problems = problems_of({**changed({}), "deployment_id": "other"})

    assert {"deploymentId": "deploymentId: is given twice, as deploymentId and as deployment_id"} == problems


def test_null_means_absent_everywhere(changed: Change) -> None:
    nulls = changed(
        {
            "id": None,
            "monitoringAggregation": None,
            "numConcurrent": None,
            "csvSettings": {"delimiter": None},
            "intakeSettings.query": None,
            "outputSettings.whereColumns": None,
            "thresholds": {"psi": None, "ks": {"warning": 0.1, "columns": {"a": None}}},
            "columnTypes": {"a": None},
            "enabled": None,
        }
    )

    assert load_definition(changed({"thresholds": {"ks": {"warning": 0.1}}})) == load_definition(nulls)


@pytest.mark.parametrize(
    ("changes", "field", "hint"),
    [
        ({"deploymentID": "a"}, "deploymentID", "did you mean deploymentId?"),
        ({"deployment": "a"}, "deployment", "is not a known field"),
        ({"intakeSettings.dataStore": "a"}, "intakeSettings.dataStore", "did you mean dataStoreId?"),
        ({"outputSettings.where_column": []}, "outputSettings.where_column", "did you mean where_columns?"),
        ({"schedule": {"minutes": [0]}}, "schedule.minutes", "did you mean minute?"),
        ({"zzz": 1}, "zzz", "is not a known field"),
        ({"strange field": 1}, "['strange field']", "is not a known field"),
        ({"x" * 500: 1}, f"['{'x' * 62}…']", "is not a known field"),
        ({"intakeSettings.password": "hunter2"}, "intakeSettings.password", "is not a known field"),
    ],
)
def test_an_unknown_field_is_an_error_with_a_guess(
    changes: dict[str, Any], field: str, hint: str, changed: Change, problems_of: Problems
) -> None:
    problems = problems_of(changed(changes))

    assert hint in problems[field]
    assert "hunter2" not in str(problems)


def test_a_key_that_is_no_text_is_an_error(changed: Change) -> None:
    with pytest.raises(DefinitionError, match="has a key that is not text"):
        load_definition({**changed({}), 1: "one"})  # type: ignore[dict-item]


def test_absent_fields_are_named_like_their_neighbours(problems_of: Problems) -> None:
    assert "deploymentId" in problems_of({})
    assert "deployment_id" in problems_of({"monitoring_columns": {"predictions_columns": "p"}})
    assert "outputSettings.statement_type" in problems_of(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "outputSettings": {"type": "jdbc", "data_store_id": "db", "table": "t"},
        }
    )


@pytest.mark.parametrize("payload", [None, 1, "{}", [], b"{}"])
def test_only_an_object_is_a_definition(payload: Any) -> None:
    with pytest.raises(DefinitionError, match="the definition must be an object, not "):
        load_definition(payload)


def test_any_mapping_is_an_object(changed: Change) -> None:
    payload = {key: MappingProxyType(v) if isinstance(v, dict) else v for key, v in changed({}).items()}

    assert load_definition(changed({})) == load_definition(MappingProxyType(payload))


def test_a_loaded_definition_passes_through(changed: Change) -> None:
    definition = load_definition(changed({}))

    assert definition is load_definition(definition)


def test_python_callers_write_the_same_definition_with_keywords(changed: Change) -> None:
    payload = changed({"monitoringColumns": {"predictionsColumns": "p"}})

    definition = JobDefinition(
        name="flight delays",
        deployment_id="flights",
        intake_settings=SqlIntake(type="jdbc", data_store_id="flights_db", table="flights", schema="public"),
        output_settings=SqlOutput(
            type="jdbc",
            data_store_id="flights_db",
            table="flights_monitored",
            schema="public",
            statement_type=StatementType.INSERT,
        ),
        monitoring_columns=MonitoringColumns(predictions_columns="p"),
        monitoring_output_settings=payload["monitoringOutputSettings"],
    )

    assert load_definition(payload) == definition


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: JobDefinition(deployment_id=1), "deployment_id"),  # type: ignore[arg-type, call-arg]
        (lambda: JobDefinition(deployment_id="d", monitoring_columns=3), "monitoring_columns"),  # type: ignore[arg-type]
        (lambda: SqlIntake(type="jdbc", table="t"), "data_store_id"),
        (lambda: MonitoringColumns(predictionscolumns="p"), "predictionscolumns"),  # type: ignore[call-arg]
        (lambda: CsvSettings(delimiter="ab"), "delimiter"),
        (lambda: Threshold(), ""),
    ],
)
def test_python_callers_get_the_same_error(make: Callable[[], Any], field: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        make()

    assert field in dict(caught.value.problems)


def test_a_definition_cannot_be_changed(changed: Change) -> None:
    definition = load_definition(changed({"thresholds": {"psi": {"warning": 0.1}}, "columnTypes": {"a": "numeric"}}))

    with pytest.raises(ValidationError, match="frozen"):
        definition.name = "other"
    with pytest.raises(TypeError, match="cannot be changed"):
        definition.thresholds["psi"] = Threshold(warning=0.2)
    with pytest.raises(TypeError, match="cannot be changed"):
        definition.column_types.clear()
    assert isinstance(definition.passthrough_columns, tuple)


def test_equal_definitions_have_equal_hashes_and_survive_copies(changed: Change) -> None:
    changes = {"thresholds": {"psi": {"warning": 0.1, "columns": {"a": {"critical": 1}}}}, "schedule": "@daily"}
    definition = load_definition(changed(changes))

    for copied in (
        load_definition(changed(changes)),
        copy.deepcopy(definition),
        pickle.loads(pickle.dumps(definition)),  # noqa: S301  of our own making
    ):
        assert (definition, hash(definition)) == (copied, hash(copied))


@pytest.mark.parametrize(
    ("spelling", "statement"),
    [
        ("insert", StatementType.INSERT),
        ("update", StatementType.UPDATE),
        ("insert_update", StatementType.INSERT_UPDATE),
        ("insertUpdate", StatementType.INSERT_UPDATE),
        ("create_table", StatementType.CREATE_TABLE),
        ("createTable", StatementType.CREATE_TABLE),
    ],
)
def test_all_six_spellings_of_a_statement_are_read(spelling: str, statement: StatementType, changed: Change) -> None:
    output = load_definition(
        changed({"outputSettings.statementType": spelling, "outputSettings.whereColumns": ["id"]})
    ).output_settings

    assert isinstance(output, SqlOutput)
    assert statement is output.statement_type


def test_braces_and_percent_signs_stay_what_they_are(changed: Change) -> None:
    text = "{{ conn.db.password }} {% raw %} ${HOME} %(a)s"

    definition = load_definition(
        changed({"name": text, "passthroughColumns": [text], "intakeSettings.table": text, "outputSettings.table": "o"})
    )

    assert isinstance(definition.intake_settings, SqlIntake)
    assert (text, (text,), text) == (definition.name, definition.passthrough_columns, definition.intake_settings.table)


def test_a_schedule_may_be_a_part_already(changed: Change) -> None:
    schedule = Schedule(minute=[0], hour=["*"], day_of_month=["*"], month=["*"], day_of_week=["*"])  # type: ignore[arg-type]

    assert load_definition(changed({"schedule": "@hourly"})) == load_definition(changed({"schedule": schedule}))
