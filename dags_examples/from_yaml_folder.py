"""One DAG for every definition file in ``definitions/``: the demo's own DAG file."""

from __future__ import annotations

from pathlib import Path

from airflow_monitoring_provider.dags import load_monitoring_dags

globals().update(load_monitoring_dags(Path(__file__).parent / "definitions"))
