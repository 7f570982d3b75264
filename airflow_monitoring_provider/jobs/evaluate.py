"""The second task: a finished job gets its statuses, and so do the jobs whose values it has changed. No row is read.

Evaluating twice gives the same statuses and each alert once. The job over a definition's first window also brings the
jobs that ran before it up to date: they are compared with the new baseline from their stored profiles. The job that
brought late actuals has those evaluated that it restated. Where a baseline is a merge of windows, what was merged may
have been deleted, restated or run again since: every job that was compared with it follows (:mod:`.reevaluating`).
"""

from __future__ import annotations

import contextlib
import logging

from airflow_monitoring_provider.definitions import (
    FirstWindowBaseline,
    JobDefinition,
    MergedBaseline,
    first_window,
    job_id,
    load_definition,
)
from airflow_monitoring_provider.exceptions import BatchLocked, NotFound, Superseded
from airflow_monitoring_provider.jobs.baseline import stored_first_window, with_baseline_in_use
from airflow_monitoring_provider.jobs.comparing import compare_again
from airflow_monitoring_provider.jobs.judging import EvaluationSummary, evaluate_snapshot
from airflow_monitoring_provider.jobs.reevaluating import bring_up_to_date, follow
from airflow_monitoring_provider.store.queries import PAGE_LIMIT
from airflow_monitoring_provider.store.store import MonitoringStore

__all__ = ["EvaluationSummary", "evaluate_job"]

log = logging.getLogger(__name__)


def evaluate_job(job: str, definition: JobDefinition, store: MonitoringStore) -> EvaluationSummary:
    """Evaluate the committed snapshot of a job.

    :raises NotFound: there is no such job, or it has not committed anything yet.
    :raises BatchLocked: its batch was deleted.
    """
    used = with_baseline_in_use(definition, store)
    if isinstance(used.baseline, FirstWindowBaseline):
        if job == job_id(used.id, first_window(used)):
            _compare_waiting(job, used, store)
        else:
            _compare_late(job, used, store)
    moves = isinstance(used.baseline, MergedBaseline)
    if moves:
        bring_up_to_date(job, used, store)
    if definition.monitoring_columns.brings_late_actuals:
        _evaluate_restated(job, store)
    summary = evaluate_snapshot(job, definition, store)
    if moves:
        follow(used, store)
    return summary


def _evaluate_restated(actuals_job: str, store: MonitoringStore) -> None:
    """Evaluate the jobs whose accuracy these actuals have restated, by the definitions they ran with; baselines follow.

    One that runs again meanwhile sees to itself.
    """
    touched: dict[str, None] = {}
    for job in store.labelled_by(actuals_job):
        record = store.job(job)
        _, payload = store.definition(
            record.definition_id, record.snapshot.definition_revision if record.snapshot else None
        )
        touched[record.definition_id] = None
        with contextlib.suppress(Superseded, BatchLocked, NotFound):
            evaluate_snapshot(job, load_definition(payload), store)
    for definition_id in touched:
        used = with_baseline_in_use(load_definition(store.definition(definition_id)[1]), store)
        if isinstance(used.baseline, MergedBaseline):
            follow(used, store)


def _compare_waiting(first: str, definition: JobDefinition, store: MonitoringStore) -> None:
    """Compare the jobs that ran before there was a baseline, then evaluate what is due besides the first itself.

    A job that runs again meanwhile sees to itself, and a locked batch keeps its results. What an evaluation that broke
    off had compared already is still due, and is evaluated now.
    """
    for job in store.jobs_without_baseline(definition.id):
        with contextlib.suppress(Superseded, BatchLocked, NotFound):
            _compare_late(job.id, definition, store)
    for job in store.jobs(definition_id=definition.id, order="window", limit=PAGE_LIMIT):
        compared = job.snapshot is not None and job.snapshot.baseline_version is not None
        if job.id != first and job.evaluation_due and compared:
            with contextlib.suppress(Superseded, BatchLocked, NotFound):
                evaluate_snapshot(job.id, definition, store)


def _compare_late(job: str, definition: JobDefinition, store: MonitoringStore) -> bool:
    """Give a job that was compared with nothing the values it would have had; nothing where it needs none."""
    record = store.job(job)
    if record.snapshot is None or record.snapshot.baseline_version is not None:
        return False
    reference = stored_first_window(definition, store)
    return reference.profile is not None and compare_again(record, reference, definition, store)
