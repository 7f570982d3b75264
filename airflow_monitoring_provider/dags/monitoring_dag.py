"""From a job definition to its DAG: ``run_job`` over the run's window, then ``evaluate_monitors``.

A definition with ``partitions`` has a group of three tasks in place of the task ``run_job`` (:mod:`task_group`).

Schedules, catchup, backfill, retries, clearing and the "Trigger DAG" form are Airflow's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, BaseOperator, Param, TaskGroup

from airflow_monitoring_provider.dags.task_group import monitoring_task_group
from airflow_monitoring_provider.definitions import load_definition, with_partitions
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.monitoring import MonitoringEvaluationOperator, MonitoringJobOperator

if TYPE_CHECKING:
    from airflow_monitoring_provider.dags.timetable import WindowTimetable
    from airflow_monitoring_provider.definitions import JobDefinition, Partitions

TAG = "monitoring"
_RETRY_DELAY = timedelta(minutes=1)


def monitoring_dag(
    definition: JobDefinition | Mapping[str, Any],
    *,
    monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name,
    on_breach: str = "record",
    partitions: Partitions | Mapping[str, Any] | int | None = None,
    **dag_kwargs: Any,
) -> DAG:
    """One definition as a DAG named ``monitoring__<name>``.

    :param definition: a :class:`~airflow_monitoring_provider.definitions.JobDefinition`, or a mapping in either
        spelling.
    :param partitions: cut each window into parts that tasks of their own profile, in place of what the definition says:
        as for :func:`monitoring_task_group`.
    :param on_breach: what ``evaluate_monitors`` does when the batch is detected: ``record``, ``fail`` or ``skip``.
    :param dag_kwargs: passed to ``DAG`` and win over what the definition says (``schedule``, ``tags``, …).
    :raises DefinitionError: the definition breaks a rule.

    The schedule is a timetable of our own (:mod:`~airflow_monitoring_provider.dags.timetable`): a bare cron string
    gives Airflow 3 runs without a data interval, and Airflow's own intervals do not tile time where clocks change. The
    DAG is created unpaused, since a manual run of a paused DAG waits for ever; ``enabled: false`` leaves it without a
    schedule. One run is active at a time, so that incidents open and close in the order of windows; nothing breaks with
    more.
    """
    definition = with_partitions(load_definition(definition), partitions)
    settings: dict[str, Any] = {
        "dag_id": definition.dag_id,
        "description": f"Monitors deployment {definition.deployment_id}",
        "schedule": _timetable(definition),
        "start_date": definition.start_date,
        "catchup": definition.catchup,
        "max_active_runs": 1,
        "is_paused_upon_creation": False,
        "default_args": {"retries": definition.retries, "retry_delay": _RETRY_DELAY},
        "tags": {TAG},
        "doc_md": _description(definition),
    }
    with DAG(**{**settings, **dag_kwargs}) as dag:
        asked: dict[str, Any] = {
            "window_start": "{{ params.window_start or '' }}",
            "window_end": "{{ params.window_end or '' }}",
            "batch_name": "{{ params.batch_name or '' }}",
            "batch_id": "{{ params.batch_id or '' }}",
            "monitoring_store_conn_id": monitoring_store_conn_id,
        }
        job: BaseOperator | TaskGroup
        if definition.partitions is None:
            summary = "run_job"
            job = MonitoringJobOperator(task_id="run_job", definition=definition, **asked)
        else:
            summary = "run_job.merge_and_commit"
            job = monitoring_task_group(definition, group_id="run_job", **asked)
        evaluation = MonitoringEvaluationOperator(
            task_id="evaluate_monitors",
            definition=definition,
            job_id=f"{{{{ ti.xcom_pull(task_ids='{summary}')['job_id'] }}}}",
            monitoring_store_conn_id=monitoring_store_conn_id,
            on_breach=on_breach,
        )
        job >> evaluation
    if "params" not in dag_kwargs:
        # Last, because Airflow copies what is there into every task and checks the form's own schema for each DAG: half
        # of the time that all of it takes. A run's params are the DAG's anyway.
        dag.params.update(_trigger_form(definition))
    return dag


def _timetable(definition: JobDefinition) -> WindowTimetable | None:
    if definition.schedule is None or not definition.enabled:
        return None
    from airflow_monitoring_provider.dags.timetable import WindowTimetable

    delay = definition.timeliness.waiting
    return WindowTimetable(definition.schedule.cron(), definition.timezone, definition.end_date, delay)


def _trigger_form(definition: JobDefinition) -> dict[str, Param]:
    zone = definition.timezone
    return {
        "window_start": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window start",
            description=f"First instant of the rows to monitor. Without an offset it is read in {zone}. "
            "Leave both empty for the run's own interval.",
        ),
        "window_end": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Window end",
            description="The first instant that no longer belongs to the window.",
        ),
        "batch_name": Param(
            None,
            type=["null", "string"],
            maxLength=200,
            title="Batch name",
            description="Name of this run's batch. Leave empty for the prefix and the window.",
        ),
        "batch_id": Param(
            None,
            type=["null", "string"],
            maxLength=255,
            title="Batch id",
            description="An existing batch to add the rows to. Leave empty for a batch of this run's own.",
        ),
    }


def _description(definition: JobDefinition) -> str:
    lines = [
        f"Monitoring job definition `{definition.id}` of deployment `{definition.deployment_id}`.",
        "",
        "* `run_job` reads the window, profiles it, compares it with the baseline and writes a status for every row.",
        "* `evaluate_monitors` turns the values into statuses and emits an event of the deployment's asset.",
    ]
    return "\n".join(lines)
