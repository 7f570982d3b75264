"""Airflow operators: thin skins over jobs."""

from __future__ import annotations

from airflow_monitoring_provider.operators.monitoring import MonitoringEvaluationOperator, MonitoringJobOperator
from airflow_monitoring_provider.operators.parts import (
    MonitoringClaimOperator,
    MonitoringMergeOperator,
    MonitoringPartOperator,
)

__all__ = [
    "MonitoringClaimOperator",
    "MonitoringEvaluationOperator",
    "MonitoringJobOperator",
    "MonitoringMergeOperator",
    "MonitoringPartOperator",
]
