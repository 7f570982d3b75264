"""A definition as a DAG: schedule, form, retries and tasks are what the definition says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from airflow_monitoring_provider.dags import deployment_asset, monitoring_dag, monitoring_task_group
from airflow_monitoring_provider.exceptions import DefinitionError


def test_schedule_becomes_a_timetable_with_data_intervals(churn_payload: dict[str, Any]) -> None:
    dag = monitoring_dag(churn_payload | {"timezone": "America/New_York", "catchup": True})
    assert "WindowTimetable" == type(dag.timetable).__name__
    assert "0 0 * * *" == dag.timetable.summary
    assert "America/New_York" == dag.timetable.serialize()["timezone"]
    assert dag.catchup
    assert dt.datetime(2026, 3, 1, tzinfo=dt.UTC) == dag.start_date


def test_disabled_definition_has_no_schedule_but_can_be_triggered(churn_payload: dict[str, Any]) -> None:
    dag = monitoring_dag(churn_payload | {"enabled": False})
    assert "NullTimetable" == type(dag.timetable).__name__
    assert dag.is_paused_upon_creation is False


def test_tasks_and_their_order(churn_payload: dict[str, Any]) -> None:
    dag = monitoring_dag(churn_payload | {"retries": 5})
    assert ["evaluate_monitors", "run_job"] == sorted(dag.task_ids)
    assert {"evaluate_monitors"} == dag.get_task("run_job").downstream_task_ids
    assert 5 == dag.get_task("run_job").retries
    assert [deployment_asset("churn-model")] == dag.get_task("evaluate_monitors").outlets


def test_trigger_form_takes_a_window_and_a_batch(churn_payload: dict[str, Any]) -> None:
    dag = monitoring_dag(churn_payload)
    assert {"window_start", "window_end", "batch_name", "batch_id"} == set(dag.params)
    assert "date-time" == dag.params.get_param("window_start").schema["format"]
    assert dag.params.validate() == dict.fromkeys(dag.params)


def test_both_seed_definitions_become_dags() -> None:
    import json
    from pathlib import Path

    data = Path(__file__).parents[1] / "definitions" / "data"
    files = sorted(data.glob("*-definition.json"))
    assert 2 == len(files)
    for file in files:
        dag = monitoring_dag(json.loads(file.read_text()))
        assert "0 17 * * *" == dag.timetable.summary


def test_keywords_win_over_the_definition(churn_payload: dict[str, Any]) -> None:
    dag = monitoring_dag(churn_payload, dag_id="mine", schedule=None, tags={"team-a"})
    assert ("mine", {"team-a"}) == (dag.dag_id, dag.tags)


def test_broken_definition_names_the_field(churn_payload: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=r"output_settings\.statement_type"):
        monitoring_dag(
            churn_payload | {"output_settings": churn_payload["output_settings"] | {"statement_type": "upsert"}}
        )


@pytest.mark.parametrize("deployment", ["plain", "with space", "a/b?c#d", "ünï", "100%"])
def test_asset_address_survives_any_deployment_id(deployment: str) -> None:
    asset = deployment_asset(deployment)
    assert asset.uri.startswith("monitoring://")
    assert deployment_asset(deployment) == asset
    assert deployment_asset(deployment + "x").uri != asset.uri


@pytest.mark.parametrize("given", ["definition", "parameter"])
def test_partitions_make_a_group_of_three_tasks(churn_payload: dict[str, Any], given: str) -> None:
    cut = {"by": "time", "count": 6}
    if given == "definition":
        dag = monitoring_dag(churn_payload | {"partitions": cut})
    else:
        dag = monitoring_dag(churn_payload, partitions=cut)
    parts = ["run_job.claim", "run_job.merge_and_commit", "run_job.profile_part"]
    assert ["evaluate_monitors", *parts] == sorted(dag.task_ids)
    assert {"run_job.profile_part", "run_job.merge_and_commit"} == dag.get_task("run_job.claim").downstream_task_ids
    assert {"run_job.merge_and_commit"} == dag.get_task("run_job.profile_part").downstream_task_ids
    assert {"evaluate_monitors"} == dag.get_task("run_job.merge_and_commit").downstream_task_ids
    assert "run_job.merge_and_commit" in dag.get_task("evaluate_monitors").job_id
    assert 6 == dag.get_task("run_job.claim").definition.partitions.count


def test_partitions_that_do_not_fit_are_refused_at_once(churn_payload: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError, match=r"partitions\.by"):
        monitoring_dag(churn_payload, partitions={"by": "file"})


def test_a_group_takes_settings_for_its_parts_alone(churn_payload: dict[str, Any]) -> None:
    from airflow.sdk import DAG

    with DAG("mine") as dag:
        monitoring_task_group(churn_payload, partitions=2, part_kwargs={"pool": "readers"}, retries=7)
    assert ("readers", "default_pool") == (
        dag.get_task("run_job.profile_part").partial_kwargs["pool"],
        dag.get_task("run_job.claim").pool,
    )
    assert 7 == dag.get_task("run_job.merge_and_commit").retries
