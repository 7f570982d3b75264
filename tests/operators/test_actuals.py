"""The operator that reports actuals: whatever form they come in, once a task, in real Airflow runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from airflow.sdk.exceptions import AirflowFailException

from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators import MonitoringReportActualsOperator

PREDICTIONS = {
    "name": "d",
    "deployment_id": "dep-1",
    "monitoring_columns": {
        "predictions_columns": "guess",
        "association_id_column": "id",
        "actuals_timestamp_column": "known",
    },
    "features": [],
    "minimums": {"labelled_rows": 1},
    "enabled": False,
}
KNOWN = "2026-03-02T00:00:00Z"
DAG_FILE = """\
from airflow.sdk import DAG
from airflow_monitoring_provider.operators import MonitoringReportActualsOperator


def rows():
    return [{"id": 1, "actual": 3.0, "known": "2026-03-03T00:00:00Z"}]


with DAG("late", schedule=None):
    actuals = {"definition_id": "d", "columns": {"value": "actual"}}
    first = MonitoringReportActualsOperator(
        task_id="files",
        intake_settings={"type": "file", "data_store_id": "lake", "url": "{{ params.file }}"},
        params={"file": "actuals.csv"},
        **actuals,
    )
    first >> MonitoringReportActualsOperator(task_id="function", python_callable=rows, **actuals)
"""


@pytest.fixture
def hook(airflow_home: Path, set_connection: Callable[..., None], tmp_path: Path) -> MonitoringStoreHook:
    """The store behind the default connection, into which two predictions were reported."""
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    hook = MonitoringStoreHook()
    with hook.get_conn() as store:
        store.create_deployment("dep-1")
    batch = hook.create_batch("dep-1", "b")
    rows = [{"id": 1, "guess": 1.0, "known": None}, {"id": 2, "guess": 2.0, "known": None}]
    assert hook.report_predictions(rows, PREDICTIONS, batch_id=batch.id)
    return hook


def error_of(hook: MonitoringStoreHook) -> tuple[int, float | None]:
    """Labelled rows and mean absolute error of all batches."""
    with hook.get_conn() as store:
        batches = store.newest_batches("dep-1", 10)
    (part,) = hook.select_batches("dep-1", batches).parts
    mae = next((each.value for each in part.evaluation.results if each.name == "mae"), None)
    assert part.profile.target is not None
    return part.profile.target.labelled, mae


def test_actuals_of_files_and_of_a_function_are_reported_in_a_dag_run(
    hook: MonitoringStoreHook,
    dags_folder: Path,
    run_dag: Callable[..., Any],
    set_connection: Callable[..., None],
    tmp_path: Path,
) -> None:
    set_connection("lake", conn_type="fs", extra={"path": str(tmp_path)})
    (tmp_path / "actuals.csv").write_text(f"id,actual,known\n1,5.0,{KNOWN}\n2,2.5,{KNOWN}\n3,9.0,{KNOWN}\n")
    (dags_folder / "late.py").write_text(DAG_FILE)

    run = run_dag("late", logical_date=None)

    assert "success" == run.state
    found = {ti.task_id: ti.xcom_pull(task_ids=ti.task_id, key="return_value") for ti in run.get_task_instances()}
    assert (2, 1, 1) == tuple(found["files"]["actuals"][name] for name in ("matched", "orphans", "restated"))
    assert (1, 0, 1) == tuple(found["function"]["actuals"][name] for name in ("matched", "orphans", "restated"))
    assert (2, 1.25) == error_of(hook)  # |1 - 3| and |2 - 2.5|: of id 1 the newer actual counts
    with hook.get_conn() as store:
        job = store.job(found["files"]["job_id"])
        assert ("late", "files") == (job.run.dag_id, job.run.task_id)


@pytest.mark.parametrize("form", [list, pa.Table.from_pylist])
def test_a_task_that_runs_again_replaces_what_it_said(hook: MonitoringStoreHook, form: Callable[..., Any]) -> None:
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", try_number=1, map_index=-1, xcom_push=_nothing)
    context: Any = {"ti": ti}

    def told(*actuals: dict[str, Any]) -> dict[str, Any]:
        rows = form([{"known": KNOWN, **actual} for actual in actuals])
        task = MonitoringReportActualsOperator(
            task_id="task", rows=rows, definition=PREDICTIONS, columns={"value": "actual"}
        )
        summary: dict[str, Any] = task.execute(context)
        assert summary == json.loads(json.dumps(summary))
        return summary

    first = told({"id": 1, "actual": 7.0}, {"id": 2, "actual": 7.0})
    assert (2, 5.5) == error_of(hook)
    again = told({"id": 1, "actual": 2.0})
    assert first["job_id"] == again["job_id"]
    assert (1, 1.0) == error_of(hook)
    ti.run_id = "another"
    assert first["job_id"] != told({"id": 2, "actual": 2.0})["job_id"]
    assert (2, 0.5) == error_of(hook)


def test_what_is_wrong_fails_the_task_with_a_sentence(hook: MonitoringStoreHook) -> None:
    context: Any = {"ti": SimpleNamespace(dag_id="dag", run_id="run", task_id="task", try_number=1, map_index=-1)}
    for options, said in (
        (
            {"definition": PREDICTIONS, "python_callable": list},
            "give one of rows=, python_callable= and intake_settings=",
        ),
        ({"definition": PREDICTIONS}, r"columns\.value: the definition d does not name this column"),
        ({"definition": PREDICTIONS, "columns": {"value": "paid"}}, "Column paid is not in the reported actuals"),
        ({"definition_id": "none"}, "no definition has this id or name"),
    ):
        rows = [{"id": 1, "known": KNOWN}]
        with pytest.raises(AirflowFailException, match=said):
            MonitoringReportActualsOperator(task_id="task", rows=rows, **options).execute(context)


def _nothing(**_: Any) -> None:
    """In place of an XCom."""
