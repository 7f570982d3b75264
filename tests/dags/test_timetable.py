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


@pytest.mark.usefixtures("airflow_home")
def test_a_run_waits_for_late_rows_and_its_interval_stays_the_window(churn_payload: dict[str, Any]) -> None:
    dag = _scheduled(churn_payload | {"catchup": True, "timeliness": {"delay": "PT6H"}})
    first = dag.next_dagrun_info(last_automated_run_info=None)
    second = dag.next_dagrun_info(last_automated_run_info=first)
    assert ["03-01 00 03-02 00 03-02 06", "03-02 00 03-03 00 03-03 06"] == [
        f"{info.data_interval.start:%m-%d %H} {info.data_interval.end:%m-%d %H} {info.run_after:%m-%d %H}"
        for info in (first, second)
    ]


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("delay", [dt.timedelta(0), dt.timedelta(days=2, hours=1)])
def test_windows_that_still_wait_for_their_rows_are_not_dropped(
    churn_payload: dict[str, Any], delay: dt.timedelta
) -> None:
    # Without catchup the oldest run is of the last window that is due, however many have ended since.
    dag = _scheduled(churn_payload | {"catchup": False, "timeliness": {"delay": int(delay.total_seconds())}})
    now = dt.datetime.now(dt.UTC)
    info = dag.next_dagrun_info(last_automated_run_info=None)
    assert info.run_after <= now + dt.timedelta(minutes=1)
    assert info.run_after + dt.timedelta(days=1) > now
    assert delay == info.run_after - info.data_interval.end


@pytest.mark.usefixtures("airflow_home")
def test_a_run_by_hand_takes_the_last_window_whose_rows_have_arrived(churn_payload: dict[str, Any]) -> None:
    from pendulum import datetime

    dag = _scheduled(churn_payload | {"timeliness": {"delay": "PT6H"}})
    ends = [dag.timetable.infer_manual_data_interval(run_after=datetime(2026, 3, 5, hour)).end for hour in (5, 6)]
    assert ["03-04", "03-05"] == [f"{end:%m-%d}" for end in ends]
