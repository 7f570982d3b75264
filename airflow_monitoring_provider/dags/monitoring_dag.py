"""From a job definition to its DAG: ``run_job`` over the run's window, then ``evaluate_monitors``.

Schedules, catchup, backfill, retries, clearing and the "Trigger DAG" form are Airflow's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import DAG, Param

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.monitoring import MonitoringEvaluationOperator, MonitoringJobOperator

if TYPE_CHECKING:
    from airflow_monitoring_provider.dags.timetable import WindowTimetable
    from airflow_monitoring_provider.definitions import JobDefinition

TAG = "monitoring"
_RETRY_DELAY = timedelta(minutes=1)


def monitoring_dag(
    definition: JobDefinition | Mapping[str, Any],
    *,
    monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name,
    on_breach: str = "record",
    **dag_kwargs: Any,
) -> DAG:
    """One definition as a DAG named ``monitoring__<name>``.

    :param definition: a :class:`~airflow_monitoring_provider.definitions.JobDefinition`, or a mapping in either
        spelling.
    :param on_breach: what ``evaluate_monitors`` does when the batch is detected: ``record``, ``fail`` or ``skip``.
    :param dag_kwargs: passed to ``DAG`` and win over what the definition says (``schedule``, ``tags``, …).
    :raises DefinitionError: the definition breaks a rule.

    The schedule is a timetable of our own (:mod:`~airflow_monitoring_provider.dags.timetable`): a bare cron string
    gives Airflow 3 runs without a data interval, and Airflow's own intervals do not tile time where clocks change. The
    DAG is created unpaused, since a manual run of a paused DAG waits for ever; ``enabled: false`` leaves it without a
    schedule. One run is active at a time, so that incidents open and close in the order of windows; nothing breaks with
    more.
    """
    definition = load_definition(definition)
    settings: dict[str, Any] = {
        "dag_id": definition.dag_id,
        "description": f"Monitors deployment {definition.deployment_id}",
        "schedule": _timetable(definition),
        "start_date": definition.start_date,
        "catchup": definition.catchup,
        "max_active_runs": 1,
        "is_paused_upon_creation": False,
        "params": _trigger_form(definition),
        "default_args": {"retries": definition.retries, "retry_delay": _RETRY_DELAY},
        "tags": {TAG},
        "doc_md": _description(definition),
    }
    with DAG(**{**settings, **dag_kwargs}) as dag:
        job = MonitoringJobOperator(
            task_id="run_job",
            definition=definition,
            window_start="{{ params.window_start or '' }}",
            window_end="{{ params.window_end or '' }}",
            batch_name="{{ params.batch_name or '' }}",
            monitoring_store_conn_id=monitoring_store_conn_id,
        )
        evaluation = MonitoringEvaluationOperator(
            task_id="evaluate_monitors",
            definition=definition,
            job_id="{{ ti.xcom_pull(task_ids='run_job')['job_id'] }}",
            monitoring_store_conn_id=monitoring_store_conn_id,
            on_breach=on_breach,
        )
        job >> evaluation
    return dag


def _timetable(definition: JobDefinition) -> WindowTimetable | None:
    if definition.schedule is None or not definition.enabled:
        return None
    from airflow_monitoring_provider.dags.timetable import WindowTimetable

    return WindowTimetable(definition.schedule.cron(), definition.timezone, definition.end_date)


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
    }


def _description(definition: JobDefinition) -> str:
    lines = [
        f"Monitoring job definition `{definition.id}` of deployment `{definition.deployment_id}`.",
        "",
        "* `run_job` reads the window, profiles it, compares it with the baseline and writes a status for every row.",
        "* `evaluate_monitors` turns the values into statuses and emits an event of the deployment's asset.",
    ]
    return "\n".join(lines)
