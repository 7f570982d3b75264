"""A large table, read by many workers: the job is cut by key, and each part is a task of its own."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG

from airflow_monitoring_provider.dags import monitoring_task_group
from airflow_monitoring_provider.operators import MonitoringEvaluationOperator

DEFINITION = {
    "name": "churn_in_parts",
    "deployment_id": "churn-model",
    "intake_settings": {"type": "sql", "data_store_id": "scores_db", "table": "scores"},
    "timestamp_column": "at",
    "monitoring_columns": {
        "predictions_columns": [{"class_name": "yes", "column_name": "churn_probability"}],
        "actuals_value_column": "churned",
        "association_id_column": "id",
    },
    "features": ["amount", "region"],
    "baseline": {"type": "first_window"},
    "output_settings": {
        "type": "sql",
        "data_store_id": "scores_db",
        "table": "churn_in_parts",
        "statement_type": "insert",
        "create_table_if_not_exists": True,
    },
    "monitoring_output_settings": {"unique_row_identifier_columns": ["id"]},
    "schedule": "0 0 * * *",
    "start_date": "2026-03-01T00:00:00Z",
}

with DAG(
    dag_id="churn_in_parts",
    schedule=None,  # triggered, with a window
    start_date=datetime(2026, 3, 1, tzinfo=UTC),
    params={"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"},
    is_paused_upon_creation=False,
):
    job = monitoring_task_group(
        DEFINITION,
        partitions={"by": "key", "column": "id", "count": 4},
        window_start="{{ params.window_start }}",
        window_end="{{ params.window_end }}",
        part_kwargs={"max_active_tis_per_dagrun": 4},  # or a pool, or a queue of larger workers
        retries=2,
    )
    evaluation = MonitoringEvaluationOperator(
        task_id="evaluate_monitors",
        definition=DEFINITION,
        job_id="{{ ti.xcom_pull(task_ids='run_job.merge_and_commit')['job_id'] }}",
    )
    job >> evaluation
