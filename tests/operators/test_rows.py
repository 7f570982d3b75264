"""The operators that purge and export, in real Airflow runs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import Window, load_definition
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.hooks.ports import open_ports
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.operators import MonitoringPurgeOperator
from airflow_monitoring_provider.store.records import FileKind

DAG_FILE = """\
from datetime import timedelta
from airflow.sdk import DAG
from airflow_monitoring_provider.operators import MonitoringExportOperator, MonitoringPurgeOperator

with DAG("rows", schedule=None):
    export = MonitoringExportOperator(
        task_id="export",
        source="retained",
        url="{{ params.file }}",
        params={"file": "kept/rows.csv"},
        file_conn_id="lake",
        deployment_id="churn-model",
    )
    export >> MonitoringPurgeOperator(task_id="purge", older_than=timedelta(days=30), deployment_id="churn-model")
"""


@pytest.fixture
def job(
    airflow_home: Path,
    scores: Path,
    churn_payload: dict[str, Any],
    set_connection: Callable[..., None],
    tmp_path: Path,
) -> str:
    """A job of March 2026 that retained 20 rows."""
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("lake", conn_type="fs", extra={"path": str(tmp_path / "lake")})
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    (tmp_path / "lake").mkdir()
    sample = {"monitoringAggregation": {"retentionPolicy": "samples", "retentionValue": 20}}
    definition = load_definition(churn_payload | sample)
    window = Window.of(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    with open_ports("monitoring_store_default") as ports:
        return run_job(definition, window, ports).job_id


def retained() -> int:
    """How many files of retained rows count."""
    with MonitoringStoreHook().get_conn() as store:
        return len(store.row_files(FileKind.RETAINED))


def test_a_run_exports_and_then_purges(
    job: str, dags_folder: Path, run_dag: Callable[..., Any], tmp_path: Path
) -> None:
    (dags_folder / "rows.py").write_text(DAG_FILE)
    early = run_dag("rows", logical_date=datetime(2026, 3, 20, tzinfo=UTC))
    assert "success" == early.state
    assert 1 == retained()
    run = run_dag("rows", logical_date=datetime(2026, 4, 20, tzinfo=UTC))
    assert "success" == run.state
    done = {ti.task_id: ti.xcom_pull(task_ids=ti.task_id, key="return_value") for ti in run.get_task_instances()}
    assert (20, "kept/rows.csv") == (done["export"]["rows"], done["export"]["location"])
    assert (1, 20) == (done["purge"]["files"], done["purge"]["rows"])
    assert 0 == retained()
    with (tmp_path / "lake" / "kept" / "rows.csv").open(newline="") as file:
        assert 20 == len(list(csv.DictReader(file)))


@pytest.mark.parametrize("wrong", [{"what": ["everything"]}, {"what": []}])
def test_a_purge_of_what_nobody_knows_is_refused_when_the_dag_is_parsed(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="what must be some of"):
        MonitoringPurgeOperator(task_id="purge", deployment_id="d", **wrong)
