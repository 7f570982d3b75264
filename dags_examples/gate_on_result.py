"""A gate: what stands downstream of the evaluation runs only while the batch is not detected."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from airflow.sdk import DAG, task

from airflow_monitoring_provider.definitions import read_definition_file
from airflow_monitoring_provider.operators import MonitoringEvaluationOperator, MonitoringJobOperator

DEFINITION = read_definition_file(Path(__file__).parent / "definitions" / "flights_late_arrival.yaml")

with DAG(dag_id="publish_if_healthy", schedule=None, start_date=datetime(2013, 1, 1, tzinfo=UTC)):
    job = MonitoringJobOperator(
        task_id="monitor",
        definition=DEFINITION,
        window_start="2013-03-01T00:00:00-05:00",
        window_end="2013-04-01T00:00:00-04:00",
    )
    gate = MonitoringEvaluationOperator(
        task_id="healthy", definition=DEFINITION, job_id="{{ ti.xcom_pull('monitor')['job_id'] }}", on_breach="skip"
    )

    @task
    def publish() -> None:
        """Hand the batch on."""

    job >> gate >> publish()
