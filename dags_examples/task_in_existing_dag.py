"""A monitoring task in a DAG that you already have: score, then monitor what was scored in the same interval."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import DAG, CronDataIntervalTimetable, task

from airflow_monitoring_provider.operators import MonitoringEvaluationOperator, MonitoringJobOperator

DEFINITION = {
    "name": "nightly_scoring",
    "deploymentId": "churn",
    "intakeSettings": {"type": "file", "dataStoreId": "lake", "url": "scores/*.parquet", "format": "parquet"},
    "timestampColumn": "scored_at",
    "monitoringColumns": {"predictionsColumns": [{"className": "churn", "columnName": "churn_probability"}]},
    "positiveClass": "churn",
}

with DAG(
    dag_id="nightly_scoring",
    schedule=CronDataIntervalTimetable("0 2 * * *", timezone="UTC"),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=True,
):

    @task
    def score() -> None:
        """Your own scoring; it writes Parquet files under the root of the connection ``lake``."""

    job = MonitoringJobOperator(
        task_id="monitor",
        definition=DEFINITION,
        window_start="{{ data_interval_start }}",
        window_end="{{ data_interval_end }}",
    )
    evaluation = MonitoringEvaluationOperator(
        task_id="evaluate", definition=DEFINITION, job_id="{{ ti.xcom_pull('monitor')['job_id'] }}"
    )
    score() >> job >> evaluation
