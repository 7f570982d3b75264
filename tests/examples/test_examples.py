"""Every example DAG imports, and does what its first sentence says."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).parents[2] / "dags_examples"


@pytest.fixture(scope="module")
def dags(airflow_home: Path) -> dict[str, Any]:
    """The examples as Airflow's DAG processor sees them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(EXAMPLES))
    assert bag.import_errors == {}
    return dict(bag.dags)


def test_every_file_makes_a_dag_and_the_demo_scripts_make_none(dags: dict[str, Any]) -> None:
    files = {path.name for path in EXAMPLES.glob("*.py")}
    assert files == {Path(dag.fileloc).name for dag in dags.values()}


def test_the_demo_definition_runs_monthly_in_new_york(dags: dict[str, Any]) -> None:
    timetable = dags["monitoring__flights_late_arrival"].timetable
    assert ("0 0 1 * *", "America/New_York") == (timetable.expression, str(timetable.timezone))


def test_every_example_can_be_stored(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dags.values():
        assert dag.dag_id == DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag)).dag_id


def test_what_needs_a_connection_of_yours_starts_paused(dags: dict[str, Any]) -> None:
    for name in ("monitoring__loan_amounts", "nightly_scoring", "retrain_on_drift"):
        assert dags[name].is_paused_upon_creation


def test_retraining_is_started_by_the_asset_that_the_demo_writes(dags: dict[str, Any]) -> None:
    written = dags["monitoring__flights_late_arrival"].get_task("evaluate_monitors").outlets
    condition = dags["retrain_on_drift"].timetable.asset_condition
    assert [asset.uri for asset in written] == [asset.uri for asset in condition.objects]


@pytest.mark.parametrize(("status", "retrains"), [("detected", True), ("no_detection", False)])
def test_retraining_waits_for_a_detection(dags: dict[str, Any], status: str, retrains: bool) -> None:
    from types import SimpleNamespace

    from airflow_monitoring_provider.dags import deployment_asset

    decide = dags["retrain_on_drift"].get_task("drift_detected").python_callable
    events = {deployment_asset("nyc-flights-2013"): [SimpleNamespace(extra={"status": status})]}
    assert retrains is decide(triggering_asset_events=events)
