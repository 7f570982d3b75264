"""The operators in real Airflow runs: the window a run means, what it returns, and what its errors become."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.exceptions import (
    BatchLocked,
    DefinitionError,
    JobAborted,
    JobInterrupted,
    OutputUnavailable,
    SourceUnavailable,
    Superseded,
)
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators import MonitoringEvaluationOperator, MonitoringJobOperator
from airflow_monitoring_provider.operators.monitoring import task_states

FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)
STATUSES = Counter(
    {
        "monitored": 397,
        "rejected:missing_prediction": 1,
        "rejected:invalid_prediction": 1,
        "rejected:duplicate_identifier": 1,
    }
)
DAG_FILE = """\
from pathlib import Path
from airflow_monitoring_provider.dags import load_monitoring_dags

globals().update(load_monitoring_dags(Path(__file__).parent / "definitions"))
"""


@pytest.fixture
def churn(
    dags_folder: Path,
    scores: Path,
    churn_payload: dict[str, Any],
    set_connection: Callable[..., None],
    tmp_path: Path,
) -> Path:
    """The churn definition as a DAG in the DAG folder, its connections set; the path of the SQLite file."""
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    (dags_folder / "definitions").mkdir()
    (dags_folder / "definitions" / "churn.yaml").write_text(yaml.safe_dump(churn_payload))
    (dags_folder / "monitoring.py").write_text(DAG_FILE)
    return scores


def _rows(path: Path) -> Counter[str]:
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT status FROM churn_monitoring").fetchall()
    connection.close()
    return Counter(status for (status,) in found)


def _results(run: Any) -> dict[str, Any]:
    return {ti.task_id: ti.xcom_pull(task_ids=ti.task_id, key="return_value") for ti in run.get_task_instances()}


def test_a_run_writes_a_status_for_every_row_and_evaluates(churn: Path, run_dag: Callable[..., Any]) -> None:
    run = run_dag("monitoring__churn", logical_date=FIRST_DAY + timedelta(days=1))
    assert "success" == run.state
    assert STATUSES == _rows(churn)
    results = _results(run)
    assert dict(STATUSES) == results["run_job"]["status_counts"]
    assert "2026-03-01T00:00:00+00:00" == results["run_job"]["window_start"]
    assert "no_detection" == results["evaluate_monitors"]["status"]


def test_clearing_and_running_again_changes_no_row(churn: Path, run_dag: Callable[..., Any]) -> None:
    first = _results(run_dag("monitoring__churn", logical_date=FIRST_DAY + timedelta(days=1)))
    again = _results(run_dag("monitoring__churn", logical_date=FIRST_DAY + timedelta(days=1)))
    assert STATUSES == _rows(churn)
    assert first["run_job"]["content_hash"] == again["run_job"]["content_hash"]
    assert first["run_job"]["snapshot_revision"] + 1 == again["run_job"]["snapshot_revision"]
    with MonitoringStoreHook().get_conn() as store:
        assert 1 == store.jobs().total


def test_drift_is_found_and_told_in_the_asset_event(churn: Path, run_dag: Callable[..., Any]) -> None:
    for day in (1, 2, 3):
        run = run_dag("monitoring__churn", logical_date=FIRST_DAY + timedelta(days=day))
    evaluation = _results(run)["evaluate_monitors"]
    assert ("detected", ["amount"]) == (evaluation["status"], evaluation["drifted_columns"])
    assert 3 * STATUSES["monitored"] == _rows(churn)["monitored"]

    from airflow import settings
    from airflow.models.asset import AssetEvent, AssetModel

    session = settings.Session()
    try:
        events = session.query(AssetEvent).join(AssetModel, AssetModel.id == AssetEvent.asset_id).all()
        told = [event.extra["status"] for event in events if event.source_run_id == run.run_id]
    finally:
        session.close()
    assert ["detected"] == told


def test_manual_run_without_a_logical_date_takes_the_last_complete_interval(
    churn: Path, run_dag: Callable[..., Any]
) -> None:
    run = run_dag("monitoring__churn", logical_date=None, run_after=FIRST_DAY + timedelta(days=2, hours=5))
    assert "2026-03-02T00:00:00+00:00" == _results(run)["run_job"]["window_start"]


def test_window_and_batch_name_of_the_trigger_form(churn: Path, run_dag: Callable[..., Any]) -> None:
    conf = {
        "window_start": "2026-03-01T00:00:00Z",
        "window_end": "2026-03-01T12:00:00Z",
        "batch_name": "by hand",
    }
    run = run_dag("monitoring__churn", logical_date=None, run_conf=conf)
    summary = _results(run)["run_job"]
    assert ("by hand", 216) == (summary["batch_name"], summary["rows"])
    with MonitoringStoreHook().get_conn() as store:
        assert "ad_hoc" == store.job(summary["job_id"]).window.kind


PARTITIONED_DAG_FILE = """\
from pathlib import Path
import yaml
from airflow.sdk import Asset, PartitionedAssetTimetable
from airflow_monitoring_provider.dags import monitoring_dag

payload = yaml.safe_load((Path(__file__).parent / "definitions" / "churn.yaml").read_text())
dag = monitoring_dag(payload, schedule=PartitionedAssetTimetable(assets=Asset("scores", uri="file://scores")))
"""


def test_a_run_of_a_partition_takes_its_window_from_the_key_and_hands_the_key_on(
    churn: Path, dags_folder: Path, run_dag: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.serialization.definitions.dag import SerializedDAG
    from airflow.utils.types import DagRunType

    (dags_folder / "monitoring.py").write_text(PARTITIONED_DAG_FILE)
    create = SerializedDAG.create_dagrun

    def of_partition(dag: Any, **arguments: Any) -> Any:  # dag.test knows no partitions
        asked = {"run_type": DagRunType.ASSET_TRIGGERED, "partition_key": "2026-03-02"}
        return create(dag, **(arguments | asked))

    monkeypatch.setattr(SerializedDAG, "create_dagrun", of_partition)
    run = run_dag("monitoring__churn", logical_date=None)
    summary = _results(run)["run_job"]
    assert ("2026-03-02T00:00:00+00:00", "2026-03-03T00:00:00+00:00") == (
        summary["window_start"],
        summary["window_end"],
    )
    with MonitoringStoreHook().get_conn() as store:
        assert "scheduled" == store.job(summary["job_id"]).window.kind

    from airflow import settings
    from airflow.models.asset import AssetEvent

    session = settings.Session()
    try:
        events = session.query(AssetEvent).filter(AssetEvent.source_run_id == run.run_id).all()
        assert ["2026-03-02"] == [event.partition_key for event in events]
    finally:
        session.close()


def test_a_delayed_definition_run_early_says_so(
    churn: Path, dags_folder: Path, churn_payload: dict[str, Any], run_dag: Callable[..., Any]
) -> None:
    # All of its rows are there; that they are is not known before the delay is over, 366 days after the window.
    delayed = churn_payload | {"timeliness": {"delay": "P366D", "expected_rows": 400}}
    (dags_folder / "definitions" / "churn.yaml").write_text(yaml.safe_dump(delayed))
    conf = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}
    run = run_dag("monitoring__churn", logical_date=None, run_conf=conf)
    summary = _results(run)["run_job"]
    assert (True, None) == (summary["incomplete"], summary["late_rows"])
    with MonitoringStoreHook().get_conn() as store:
        assert () == store.monitor_states("churn")


def test_half_a_window_fails_at_once_and_names_the_param(churn: Path, run_dag: Callable[..., Any]) -> None:
    run = run_dag("monitoring__churn", logical_date=None, run_conf={"window_start": "2026-03-01T00:00:00Z"})
    assert "failed" == run.state
    assert {"run_job": 1} == {ti.task_id: ti.try_number for ti in run.get_task_instances() if ti.state == "failed"}


def test_report_link_leads_to_the_job(churn: Path, run_dag: Callable[..., Any]) -> None:
    run = run_dag("monitoring__churn", logical_date=FIRST_DAY + timedelta(days=1))
    job_id = _results(run)["run_job"]["job_id"]
    url = next(ti for ti in run.get_task_instances() if ti.task_id == "run_job").xcom_pull(
        task_ids="run_job", key="monitoring_report_url"
    )
    assert f"/monitoring/jobs/{job_id}" == url


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SourceUnavailable("x"), AirflowException),
        (OutputUnavailable("x"), AirflowException),
        (JobInterrupted("x"), AirflowException),
        (JobAborted("x"), AirflowFailException),
        (BatchLocked("x"), AirflowFailException),
        (Superseded("x"), AirflowSkipException),
    ],
)
def test_errors_become_retry_failure_or_skip(error: Exception, state: type[Exception]) -> None:
    with pytest.raises(state) as caught, task_states():
        raise error
    assert state is type(caught.value)


def test_unexpected_errors_are_left_alone() -> None:
    with pytest.raises(ZeroDivisionError), task_states():
        raise ZeroDivisionError


def test_definition_or_its_id_but_not_both_and_not_neither(churn_payload: dict[str, Any]) -> None:
    for wrong in ({}, {"definition": churn_payload, "definition_id": "churn"}):
        with pytest.raises(AirflowFailException, match="give either definition="):
            MonitoringJobOperator(task_id="t", **wrong).execute({"ti": None})  # type: ignore[typeddict-item]


def test_unknown_gate_is_refused_where_it_is_written(churn_payload: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="on_breach"):
        MonitoringEvaluationOperator(task_id="t", definition=churn_payload, job_id="x", on_breach="explode")


def test_definition_is_no_template_field() -> None:
    for operator in (MonitoringJobOperator, MonitoringEvaluationOperator):
        assert "definition" not in operator.template_fields


def test_braces_in_a_definition_stay_as_they_are(churn_payload: dict[str, Any]) -> None:
    payload = churn_payload | {"monitoring_batch_prefix": "{{ conn.scores_db.password }}"}
    operator = MonitoringJobOperator(task_id="t", definition=payload, batch_name="{{ 1 + 1 }}")
    operator.render_template_fields({})
    assert ("{{ conn.scores_db.password }}", "2") == (
        operator.definition["monitoring_batch_prefix"],  # type: ignore[index]
        operator.batch_name,
    )


def test_stored_definition_by_its_id(
    set_connection: Callable[..., None], tmp_path: Path, churn_payload: dict[str, Any]
) -> None:
    from airflow_monitoring_provider.definitions import load_definition

    set_connection("by_id", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    operator = MonitoringJobOperator(task_id="t", definition_id="churn", monitoring_store_conn_id="by_id")
    definition = load_definition(churn_payload)
    with MonitoringStoreHook("by_id").get_conn() as store:
        store.register_definition(definition)
        assert definition == operator._load_definition(store)


def test_definition_error_reaches_the_log_with_its_field(churn_payload: dict[str, Any]) -> None:
    broken = churn_payload | {"prediction_threshold": 7}
    with pytest.raises(AirflowFailException, match="prediction_threshold"):
        MonitoringJobOperator(task_id="t", definition=broken).execute({"ti": None})  # type: ignore[typeddict-item]
    with pytest.raises(DefinitionError):
        load_definition(broken)


@pytest.mark.parametrize(("on_breach", "state"), [("record", "success"), ("skip", "skipped"), ("fail", "failed")])
def test_gate_decides_what_a_detected_batch_does(
    churn: Path,
    run_dag: Callable[..., Any],
    dags_folder: Path,
    on_breach: str,
    state: str,
) -> None:
    (dags_folder / "monitoring.py").write_text(
        DAG_FILE.replace('"definitions")', f'"definitions", on_breach="{on_breach}")')
    )
    for day in (1, 3):
        run = run_dag("monitoring__churn", logical_date=FIRST_DAY + timedelta(days=day))
    states = {ti.task_id: ti.state for ti in run.get_task_instances()}
    assert {"run_job": "success", "evaluate_monitors": state} == states


@pytest.mark.parametrize(
    ("run_type", "kind"), [("scheduled", "scheduled"), ("backfill", "scheduled"), ("manual", "ad_hoc")]
)
def test_what_the_scheduler_starts_is_scheduled_work(churn_payload: dict[str, Any], run_type: str, kind: str) -> None:
    from types import SimpleNamespace

    from airflow.sdk.api.datamodels._generated import DagRunType

    from airflow_monitoring_provider.definitions import load_definition

    run = SimpleNamespace(run_type=DagRunType(run_type), partition_key=None, run_after=FIRST_DAY)
    interval = {"data_interval_start": FIRST_DAY, "data_interval_end": FIRST_DAY + timedelta(hours=5)}
    operator = MonitoringJobOperator(task_id="t", definition=churn_payload)
    window = operator._window(load_definition(churn_payload), {"dag_run": run, **interval})  # type: ignore[arg-type]
    assert kind == window.kind


def test_late_actuals_come_by_a_dag_of_their_own(
    churn: Path, churn_payload: dict[str, Any], dags_folder: Path, run_dag: Callable[..., Any]
) -> None:
    alone = {"predictions_columns": churn_payload["monitoring_columns"]["predictions_columns"]}
    strict = {
        "thresholds": {"accuracy": {"critical": 0.99}},
        "monitoring_columns": alone | {"association_id_column": "id"},
    }
    late = {
        "name": "churn-actuals",
        "deployment_id": "churn-model",
        "intake_settings": churn_payload["intake_settings"],
        "timestamp_column": "at",
        "monitoring_columns": {"association_id_column": "id", "actuals_value_column": "churned"},
        "features": [],
        "schedule": "0 0 * * *",
        "start_date": "2026-03-01T00:00:00Z",
    }
    folder = dags_folder / "definitions"
    (folder / "churn.yaml").write_text(yaml.safe_dump(churn_payload | strict))
    (folder / "late.yaml").write_text(yaml.safe_dump(late))
    end = FIRST_DAY + timedelta(days=1)
    first = _results(run_dag("monitoring__churn", logical_date=end))["run_job"]

    brought = _results(run_dag("monitoring__churn-actuals", logical_date=end))["run_job"]

    unpredicted = 2  # rows 0 and 1 have no usable prediction
    assert (1, unpredicted) == (brought["actuals"]["restated"], brought["actuals"]["orphans"])
    with MonitoringStoreHook().get_conn() as store:
        (accuracy,) = store.results(first["job_id"], name="accuracy", segment="")
        assert "detected" == accuracy.status.text
        assert accuracy.value.value is not None
