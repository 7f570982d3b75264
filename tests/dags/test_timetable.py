"""What the scheduler makes of a definition's schedule and end; whoever starts a run by hand is not bound by the end."""

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


def _intervals(payload: dict[str, Any], count: int) -> list[str]:
    """The first data intervals, in UTC."""
    dag, found, last = _scheduled(payload | {"catchup": True}), [], None
    for _ in range(count):
        last = dag.next_dagrun_info(last_automated_run_info=last)
        assert last is not None
        found.append(f"{last.data_interval.start:%H:%M}-{last.data_interval.end:%H:%M}")
    return found


@pytest.mark.usefixtures("airflow_home")
def test_last_scheduled_window_starts_at_the_end_date_or_before(churn_payload: dict[str, Any]) -> None:
    assert ["03-01", "03-02", "03-03"] == _starts(_scheduled(churn_payload | ENDING))


@pytest.mark.usefixtures("airflow_home")
def test_firings_in_the_hour_that_the_clock_skips_leave_no_time_out(churn_payload: dict[str, Any]) -> None:
    # Airflow's own timetable goes from 01:53 to 03:53 here, and the rows from 03:07 on are in no window.
    spring = {"schedule": "7,53 1-3 * * *", "timezone": "Europe/Berlin", "start_date": "2026-03-28T23:30:00Z"}
    assert ["00:07-00:53", "00:53-01:07", "01:07-01:53", "01:53-23:07"] == _intervals(churn_payload | spring, 4)


@pytest.mark.usefixtures("airflow_home")
def test_an_hourly_schedule_goes_on_where_the_clock_moves_by_half_an_hour(churn_payload: dict[str, Any]) -> None:
    # Airflow's own timetable raises "did not advance" here at every look of the scheduler.
    autumn = {"schedule": "@hourly", "timezone": "Australia/Lord_Howe", "start_date": "2026-04-04T13:00:00Z"}
    assert ["13:00-14:00", "14:00-15:00", "15:00-15:30", "15:30-16:30"] == _intervals(churn_payload | autumn, 4)


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
