"""Airflow triggers: what waits while no worker does."""

from __future__ import annotations

from airflow_monitoring_provider.triggers.monitoring_store import MonitoringStoreTrigger

__all__ = ["MonitoringStoreTrigger"]
