"""DataRobot's own two definitions load unchanged and come back unchanged."""

from __future__ import annotations

import json
from typing import Any

from airflow_monitoring_provider.definitions import (
    PredictionColumn,
    SqlIntake,
    SqlOutput,
    StatementType,
    TargetType,
    dump_definition,
    load_definition,
    parse_definition,
)


def test_a_seed_definition_loads_unchanged(seed: dict[str, Any]) -> None:
    before = json.dumps(seed)

    definition = load_definition(seed)

    assert before == json.dumps(seed)
    assert definition == parse_definition(before, "json")


def test_a_seed_definition_comes_back_as_it_was(seed: dict[str, Any]) -> None:
    written = dump_definition(load_definition(seed), "payload")

    assert seed == {key: value for key, value in written.items() if key != "name"}


def test_the_members_of_a_seed_definition_are_where_they_belong(seed: dict[str, Any]) -> None:
    definition = load_definition(seed)

    intake, output = definition.intake_settings, definition.output_settings
    assert isinstance(intake, SqlIntake)
    assert isinstance(output, SqlOutput)
    assert ("<data_store_id>", "<credential_id>") == (intake.connection_id, intake.credential_id)
    assert ("SANDBOX", "SCORING_CODE_UDF_SCHEMA", "lending_club_regression") == (
        intake.catalog,
        intake.schema_,
        intake.table,
    )
    assert "lending_club_regression_out" == output.table
    assert (StatementType.INSERT, True, 10, (), ()) == (
        output.statement_type,
        output.create_table_if_not_exists,
        output.commit_interval,
        output.where_columns,
        output.update_columns,
    )
    assert ("id", "loan_amnt") == (
        definition.monitoring_columns.association_id_column,
        definition.monitoring_columns.actuals_value_column,
    )
    assert (("id",), "monitored") == (
        definition.monitoring_output_settings.unique_row_identifier_columns,
        definition.monitoring_output_settings.monitored_status_column,
    )
    assert definition.schedule is not None
    assert "0 17 * * *" == definition.schedule.cron()
    assert definition.enabled is True


def test_each_seed_definition_has_its_target(seed: dict[str, Any]) -> None:
    definition = load_definition(seed)

    predictions = definition.monitoring_columns.predictions_columns
    if isinstance(predictions, str):
        assert ("PREDICTION", TargetType.REGRESSION, None) == (
            predictions,
            definition.resolved_target_type,
            definition.resolved_positive_class,
        )
    else:
        assert predictions == (
            PredictionColumn(class_name="True", column_name="readmitted_True_PREDICTION"),
            PredictionColumn(class_name="False", column_name="readmitted_False_PREDICTION"),
        )
        assert (TargetType.BINARY, "True") == (definition.resolved_target_type, definition.resolved_positive_class)


def test_a_seed_definition_gets_the_same_name_every_time(seed: dict[str, Any]) -> None:
    first, second = load_definition(seed), load_definition(json.loads(json.dumps(seed)))

    assert first.name.startswith("<deployment_id>-")
    assert (first.name, first.id, first.dag_id) == (second.name, second.id, second.dag_id)
    assert load_definition({**seed, "monitoringBatchPrefix": "other"}).name != first.name
