"""What sensors ask the store: each question is answered from what is committed now, and keeps no state of its own.

So a triggerer that restarts just asks again, and what happened while it was away is seen at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from airflow_monitoring_provider.definitions.terms import JobState
from airflow_monitoring_provider.exceptions import BatchLocked, JobAborted, NotFound
from airflow_monitoring_provider.jobs.health import deployment_health
from airflow_monitoring_provider.jobs.selection import select_batches
from airflow_monitoring_provider.store.batch_store import BatchStore

Answer = dict[str, Any]

_ENDED = (JobState.ABORTED, JobState.FAILED)


def batch_has_actuals(store: BatchStore, *, batch_id: str, min_coverage: float) -> Answer | None:
    """Whether enough of a batch's predictions have an actual: at least one, and ``min_coverage`` of them.

    :raises BatchLocked: the batch was deleted.
    """
    batch = store.batch(batch_id)
    targets = [part.profile.target for part in select_batches(store, batch.deployment_id, [batch_id]).parts]
    labelled = sum(target.labelled for target in targets if target is not None)
    scored = sum(target.scored for target in targets if target is not None)
    if not labelled or labelled < min_coverage * scored:
        return None
    return {"batch_id": batch_id, "labelled": labelled, "predictions": scored}


def job_finished(store: BatchStore, *, job_id: str) -> Answer | None:
    """Whether a job is committed; one that has not begun yet is waited for.

    :raises JobAborted: it ended otherwise.
    """
    try:
        job = store.job(job_id)
    except NotFound:
        return None
    if job.results_deleted:
        raise BatchLocked("the job's batch was deleted, and its results with it")
    if job.state in _ENDED:
        raise JobAborted(f"the job ended as {job.state.value}: {job.reason}")
    if job.state is not JobState.COMPLETED:
        return None
    return {"job_id": job_id, "batch_id": job.batch_id, "snapshot_revision": job.snapshot_revision}


def health_is(store: BatchStore, *, deployment_id: str, indicator: str, statuses: Collection[str]) -> Answer | None:
    """Whether an indicator of a deployment (or the ``worst`` of all) has one of the statuses."""
    found = deployment_health(store, deployment_id, datetime.now(UTC)).to_dict()
    status = found["status"] if indicator == "worst" else found[indicator]["status"]
    return found if status in statuses else None


QUESTIONS: dict[str, Callable[..., Answer | None]] = {
    "batch_has_actuals": batch_has_actuals,
    "job_finished": job_finished,
    "health_is": health_is,
}
