"""Airflow operators: thin skins over jobs."""

from __future__ import annotations

from airflow_monitoring_provider.operators.monitoring import MonitoringEvaluationOperator, MonitoringJobOperator

__all__ = ["MonitoringEvaluationOperator", "MonitoringJobOperator"]
