"""A definition written in Python: a regression with its actuals in the same table, monitored every day."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow_monitoring_provider.dags import monitoring_dag
from airflow_monitoring_provider.definitions import (
    FirstWindowBaseline,
    JobDefinition,
    MonitoringColumns,
    MonitoringOutputSettings,
    SqlIntake,
    SqlOutput,
    Threshold,
)

dag = monitoring_dag(
    JobDefinition(
        name="loan_amounts",
        deployment_id="lending-club",
        intake_settings=SqlIntake(type="sql", data_store_id="warehouse", table="loan_predictions"),
        timestamp_column="predicted_at",
        monitoring_columns=MonitoringColumns(
            predictions_columns="predicted_amount",
            association_id_column="loan_id",
            actuals_value_column="funded_amount",
        ),
        baseline=FirstWindowBaseline(type="first_window"),
        thresholds={"psi": Threshold(warning=0.1, critical=0.25), "mape": Threshold(warning=0.15, critical=0.25)},
        output_settings=SqlOutput(
            type="sql",
            data_store_id="warehouse",
            table="loan_monitoring",
            statement_type="insert",
            create_table_if_not_exists=True,
        ),
        monitoring_output_settings=MonitoringOutputSettings(unique_row_identifier_columns=("loan_id",)),
        schedule="0 3 * * *",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
    ),
    is_paused_upon_creation=True,  # the connection "warehouse" is yours to create first
)
