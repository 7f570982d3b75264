"""A definition that ends: the scheduler stops there, and whoever starts a run by hand does not."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_monitoring_provider.dags import monitoring_dag

ENDING = {"end_date": "2026-03-03T00:00:00Z", "catchup": True}


def _scheduled(payload: dict[str, Any]) -> Any:
    """The DAG as the scheduler sees it: serialized and read again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.serialization.serialized_objects import DagSerialization

        return DagSerialization.from_dict(DagSerialization.to_dict(monitoring_dag(payload)))


def _starts(dag: Any) -> list[str]:
    found, last = [], None
    while (info := dag.next_dagrun_info(last_automated_run_info=last)) is not None and len(found) < 10:
        found.append(f"{info.data_interval.start:%m-%d}")
        last = info
    return found


@pytest.mark.usefixtures("airflow_home")
def test_last_scheduled_window_starts_at_the_end_date_or_before(churn_payload: dict[str, Any]) -> None:
    assert ["03-01", "03-02", "03-03"] == _starts(_scheduled(churn_payload | ENDING))


@pytest.mark.usefixtures("airflow_home")
def test_nothing_is_scheduled_long_after_the_end(churn_payload: dict[str, Any]) -> None:
    assert [] == _starts(
        _scheduled(churn_payload | ENDING | {"start_date": "2013-01-01", "end_date": "2014-01-01"} | {"catchup": False})
    )


def test_neither_dag_nor_tasks_end(churn_payload: dict[str, Any]) -> None:
    dag = monitoring_dag(churn_payload | ENDING)
    assert [None, None, None] == [dag.end_date, *(task.end_date for task in dag.tasks)]


def test_run_by_hand_after_the_end_does_its_work(
    dags_folder: Path,
    scores: Path,
    churn_payload: dict[str, Any],
    set_connection: Callable[..., None],
    run_dag: Callable[..., Any],
    tmp_path: Path,
) -> None:
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    (dags_folder / "definitions").mkdir()
    (dags_folder / "definitions" / "churn.yaml").write_text(yaml.safe_dump(churn_payload | ENDING))
    (dags_folder / "monitoring.py").write_text(
        "from airflow_monitoring_provider.dags import load_monitoring_dags\n"
        f"globals().update(load_monitoring_dags({str(dags_folder / 'definitions')!r}))\n"
    )
    conf = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}
    run = run_dag("monitoring__churn", logical_date=dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC), run_conf=conf)
    assert {"run_job": "success", "evaluate_monitors": "success"} == {
        ti.task_id: ti.state for ti in run.get_task_instances()
    }
