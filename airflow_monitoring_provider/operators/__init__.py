"""Airflow operators: thin skins over jobs."""

from __future__ import annotations

from airflow_monitoring_provider.operators.actuals import MonitoringReportActualsOperator
from airflow_monitoring_provider.operators.batches import (
    MonitoringCreateBatchOperator,
    MonitoringDeleteBatchOperator,
    MonitoringHealthGateOperator,
    MonitoringLockBatchOperator,
    MonitoringUnlockBatchOperator,
)
from airflow_monitoring_provider.operators.monitoring import MonitoringEvaluationOperator, MonitoringJobOperator
from airflow_monitoring_provider.operators.parts import (
    MonitoringClaimOperator,
    MonitoringMergeOperator,
    MonitoringPartOperator,
)
from airflow_monitoring_provider.operators.rows import MonitoringExportOperator, MonitoringPurgeOperator

__all__ = [
    "MonitoringClaimOperator",
    "MonitoringCreateBatchOperator",
    "MonitoringDeleteBatchOperator",
    "MonitoringEvaluationOperator",
    "MonitoringExportOperator",
    "MonitoringHealthGateOperator",
    "MonitoringJobOperator",
    "MonitoringLockBatchOperator",
    "MonitoringMergeOperator",
    "MonitoringPartOperator",
    "MonitoringPurgeOperator",
    "MonitoringReportActualsOperator",
    "MonitoringUnlockBatchOperator",
]
