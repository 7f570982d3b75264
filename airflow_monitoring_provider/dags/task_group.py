"""One job as three tasks: claim, profile each part by itself, merge and commit.

Airflow's own executor spreads the parts over its workers: mapped tasks of ``profile_part`` run beside each other as far
as its slots and pools let them. The result is that of one ``MonitoringJobOperator``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import TaskGroup

from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.parts import (
    MonitoringClaimOperator,
    MonitoringMergeOperator,
    MonitoringPartOperator,
)

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions import JobDefinition, Partitions


def monitoring_task_group(
    definition: JobDefinition | Mapping[str, Any] | None = None,
    *,
    partitions: Partitions | Mapping[str, Any] | int | None = None,
    definition_id: str | None = None,
    group_id: str = "run_job",
    window_start: str | None = None,
    window_end: str | None = None,
    batch_name: str | None = None,
    batch_id: str | None = None,
    monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name,
    part_kwargs: Mapping[str, Any] | None = None,
    **task_kwargs: Any,
) -> TaskGroup:
    """``claim >> profile_part.expand(part=…) >> merge_and_commit``, inside a DAG.

    The summary of the job is what ``merge_and_commit`` returns::

        job = monitoring_task_group(definition, partitions={"by": "key", "column": "id", "count": 8})
        evaluation = MonitoringEvaluationOperator(
            task_id="evaluate_monitors",
            definition=definition,
            job_id="{{ ti.xcom_pull(task_ids='run_job.merge_and_commit')['job_id'] }}",
        )
        job >> evaluation

    :param definition: as for ``MonitoringJobOperator``, or ``definition_id``; so are the window, batch and connection.
    :param partitions: a :class:`~airflow_monitoring_provider.definitions.Partitions`, a mapping, or the most parts
        there may be; None means the definition's own, else four parts.
    :param part_kwargs: for the tasks that read parts alone: ``pool``, ``queue``, ``max_active_tis_per_dagrun``, …
    :param task_kwargs: for all three: ``retries``, ``executor``, …

    Parts wait below the store's storage root, which all workers must reach: a shared folder or an object store. A part
    that fails is run again by itself. To run the window again, clear the whole group: tasks of a committed job that are
    cleared by themselves do nothing.
    """
    with TaskGroup(group_id) as group:
        common = {"monitoring_store_conn_id": monitoring_store_conn_id, **task_kwargs}
        claim = MonitoringClaimOperator(
            task_id="claim",
            definition=definition,
            definition_id=definition_id,
            partitions=partitions,
            window_start=window_start,
            window_end=window_end,
            batch_name=batch_name,
            batch_id=batch_id,
            **common,
        )
        parts = MonitoringPartOperator.partial(task_id="profile_part", **{**common, **(part_kwargs or {})}).expand(
            part=claim.output
        )
        merge = MonitoringMergeOperator(task_id="merge_and_commit", parts=claim.output, **common)
        claim >> parts >> merge
    return group
