"""The shipped DAG files: they import, they serialize, and the two that decide something decide it rightly."""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import Window, load_definition
from airflow_monitoring_provider.hooks.ports import open_ports
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.run import run_job

EXAMPLES = Path(__file__).parents[2] / "dags_examples"
DAG_IDS = {
    "from_yaml_folder.py": {
        "monitoring__flights_late_arrival",
        "monitoring__flights_arrivals",
        "monitoring__flights_week_by_week",
    },
    "from_python.py": {"monitoring__loan_amounts"},
    "gate_on_result.py": {"publish_if_healthy"},
    "parts_on_many_workers.py": {"churn_in_parts"},
    "retrain_on_drift.py": {"retrain_on_drift"},
    "task_in_existing_dag.py": {"nightly_scoring"},
}


def _bag(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.dag_processing.dagbag import DagBag

        return DagBag(str(path))


def test_every_example_is_tested_here() -> None:
    assert set(DAG_IDS) == {file.name for file in EXAMPLES.glob("*.py")}


@pytest.mark.parametrize("name", sorted(DAG_IDS))
def test_example_imports_and_serializes(name: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    bag = _bag(EXAMPLES / name)
    assert {} == bag.import_errors
    assert DAG_IDS[name] == set(bag.dags)
    for dag_id, dag in bag.dags.items():
        assert dag_id == DagSerialization.from_dict(DagSerialization.to_dict(dag)).dag_id


def test_whole_folder_is_a_dag_folder_and_the_demo_itself_is_no_dag() -> None:
    bag = _bag(EXAMPLES)
    assert {} == bag.import_errors
    assert set().union(*DAG_IDS.values()) == set(bag.dags)


@pytest.fixture
def small_flights(
    dags_folder: Path,
    scores: Path,
    churn_payload: dict[str, Any],
    set_connection: Callable[..., None],
    tmp_path: Path,
) -> Callable[[str, int], None]:
    """``small_flights(example, day)``: the example in the DAG folder, its definition and window those of a small table.

    The third day of the table has drifted. The first is monitored, because it is the baseline.
    """
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    definition = load_definition(churn_payload)
    with open_ports("monitoring_store_default") as ports:
        run = run_job(definition, _day(1), ports)
        evaluate_job(run.job_id, definition, ports.store)

    def prepare(example: str, day: int) -> None:
        import yaml

        folder = dags_folder / "definitions"
        folder.mkdir()
        (folder / "flights_late_arrival.yaml").write_text(yaml.safe_dump(churn_payload))
        text = (EXAMPLES / example).read_text()
        for of_the_flights, of_the_table in (
            ("2013-03-01T00:00:00-05:00", f"2026-03-{day:02d}T00:00:00Z"),
            ("2013-04-01T00:00:00-04:00", f"2026-03-{day + 1:02d}T00:00:00Z"),
        ):
            assert of_the_flights in text
            text = text.replace(of_the_flights, of_the_table)
        (dags_folder / example).write_text(text)

    return prepare


def _day(day: int) -> Window:
    import datetime as dt

    start = dt.datetime(2026, 3, day, tzinfo=dt.UTC)
    return Window.of(start, start + dt.timedelta(days=1))


def _states(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


@pytest.mark.parametrize(("day", "gate", "publish"), [(2, "success", "success"), (3, "skipped", "skipped")])
def test_gate_lets_healthy_batches_through_only(
    day: int, gate: str, publish: str, small_flights: Callable[[str, int], None], run_dag: Callable[..., Any]
) -> None:
    small_flights("gate_on_result.py", day)
    assert {"monitor": "success", "healthy": gate, "publish": publish} == _states(run_dag("publish_if_healthy"))


@pytest.mark.parametrize(
    ("statuses", "decision"),
    [
        (["detected"], True),
        (["no_detection"], False),
        (["potential_detection"], False),
        (["no_detection", "detected", "no_detection"], True),
        ([], False),
    ],
)
def test_retraining_asks_whether_any_event_was_a_detection(statuses: list[str], decision: bool) -> None:
    from types import SimpleNamespace

    from airflow_monitoring_provider.dags import deployment_asset

    dag = _bag(EXAMPLES / "retrain_on_drift.py").dags["retrain_on_drift"]
    events = [SimpleNamespace(extra={"status": status}) for status in statuses]
    ask = dag.get_task("drift_detected").python_callable
    assert decision is ask(triggering_asset_events={deployment_asset("nyc-flights-2013"): events})


def test_retraining_started_by_hand_does_nothing(dags_folder: Path, run_dag: Callable[..., Any]) -> None:
    shutil.copy(EXAMPLES / "retrain_on_drift.py", dags_folder)
    assert {"drift_detected": "success", "retrain": "skipped"} == _states(run_dag("retrain_on_drift"))


def test_parts_and_their_merge_give_what_one_task_gives(
    dags_folder: Path,
    scores: Path,
    churn_payload: dict[str, Any],
    set_connection: Callable[..., None],
    tmp_path: Path,
    run_dag: Callable[..., Any],
) -> None:
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    shutil.copy(EXAMPLES / "parts_on_many_workers.py", dags_folder)
    run = run_dag("churn_in_parts")
    found = [(ti.task_id, ti.map_index, str(ti.state)) for ti in run.get_task_instances()]
    expected = [("evaluate_monitors", -1), ("run_job.claim", -1), ("run_job.merge_and_commit", -1)]
    expected += [("run_job.profile_part", part) for part in range(4)]
    assert [(*task, "success") for task in expected] == sorted(found)
    (merge,) = (ti for ti in run.get_task_instances() if ti.task_id == "run_job.merge_and_commit")
    summary = merge.xcom_pull(task_ids=merge.task_id, key="return_value")
    with open_ports("monitoring_store_default") as ports:
        one = run_job(load_definition(churn_payload), _day(1), ports)
    assert (one.content_hash, one.status_counts) == (summary["content_hash"], summary["status_counts"])
    assert 400 == summary["output_rows"]
