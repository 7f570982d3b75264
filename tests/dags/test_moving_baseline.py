"""A DAG with a moving baseline in a real run of Airflow: window after window, then the past under another baseline."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook


def test_windows_are_compared_with_those_before_and_anew_without_rows(
    dags_folder: Path,
    run_dag: Callable[..., Any],
    scores: Path,
    churn_payload: dict[str, Any],
    set_connection: Callable[..., None],
    tmp_path: Path,
) -> None:
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    (dags_folder / "definitions").mkdir()
    payload = churn_payload | {"baseline": {"type": "moving_window", "length": "2d"}}
    (dags_folder / "definitions" / "churn.yaml").write_text(yaml.safe_dump(payload))
    (dags_folder / "churn.py").write_text(
        "from pathlib import Path\n"
        "from airflow_monitoring_provider.dags import load_monitoring_dags\n"
        "globals().update(load_monitoring_dags(Path(__file__).parent / 'definitions'))\n"
    )
    for day in range(3):
        start = dt.datetime(2026, 3, 1 + day, tzinfo=dt.UTC)
        conf = {"window_start": start.isoformat(), "window_end": (start + dt.timedelta(days=1)).isoformat()}
        run = run_dag("monitoring__churn", run_conf=conf, logical_date=start)
        assert {"success"} == {str(ti.state) for ti in run.get_task_instances()}
    hook = MonitoringStoreHook()
    with hook.get_conn() as store:
        jobs = store.jobs(definition_id="churn", order="window").items
        assert ["irrelevant", "no_detection", "detected"] == _statuses(jobs)
        assert [None, 1, 2] == [job.snapshot.baseline_version for job in jobs if job.snapshot]
        assert [job.id for job in jobs[:2]] == [name for name, _ in store.baseline_version("churn", 2).members]
        told = len(store.pending_alerts(limit=1000))
        store.create_baseline("churn", "the newest day", {"type": "batches", "batchIds": [jobs[2].batch_id]})
    hook.use_baseline("churn", "the newest day")
    scores.unlink()
    assert [job.id for job in jobs] == list(hook.reevaluate("churn").changed)
    with hook.get_conn() as store:
        jobs = store.jobs(definition_id="churn", order="window").items
        assert ["detected", "detected", "irrelevant"] == _statuses(jobs)
        assert told == len(store.pending_alerts(limit=1000))


def _statuses(jobs: Any) -> list[str | None]:
    return [None if job.overall_status is None else job.overall_status.text for job in jobs]
