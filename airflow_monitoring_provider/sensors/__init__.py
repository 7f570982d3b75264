"""Airflow sensors: wait for what the store will say."""

from __future__ import annotations

from airflow_monitoring_provider.sensors.monitoring import (
    MonitoringActualsSensor,
    MonitoringHealthSensor,
    MonitoringJobSensor,
)

__all__ = ["MonitoringActualsSensor", "MonitoringHealthSensor", "MonitoringJobSensor"]
