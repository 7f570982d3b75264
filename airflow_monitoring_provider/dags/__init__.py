"""From a job definition to an Airflow DAG."""

from __future__ import annotations

from airflow_monitoring_provider.dags.folder import load_monitoring_dags
from airflow_monitoring_provider.dags.monitoring_dag import monitoring_dag
from airflow_monitoring_provider.dags.task_group import monitoring_task_group
from airflow_monitoring_provider.operators.assets import deployment_asset

__all__ = ["deployment_asset", "load_monitoring_dags", "monitoring_dag", "monitoring_task_group"]
