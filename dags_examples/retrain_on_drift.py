"""Retraining that waits for the asset of a deployment and acts only when its status is ``detected``."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task

from airflow_monitoring_provider.dags import deployment_asset

ASSET = deployment_asset("nyc-flights-2013")

with DAG(
    dag_id="retrain_on_drift",
    schedule=[ASSET],
    start_date=datetime(2013, 1, 1, tzinfo=UTC),
    is_paused_upon_creation=True,  # unpause it to let monitoring results start it
):

    @task.short_circuit
    def drift_detected(triggering_asset_events: Any = None) -> bool:
        """Whether any evaluation since the last run ended in ``detected``."""
        events = (triggering_asset_events or {}).get(ASSET, [])
        return any(event.extra.get("status") == "detected" for event in events)

    @task
    def retrain() -> None:
        """Your own training."""

    drift_detected() >> retrain()
