"""A batch is deleted, and what was compared with it follows."""

from __future__ import annotations

import contextlib

from airflow_monitoring_provider.definitions import MergedBaseline, load_definition
from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.jobs.baseline import with_baseline_in_use
from airflow_monitoring_provider.jobs.reevaluating import follow
from airflow_monitoring_provider.store.store import MonitoringStore


def delete_batch(store: MonitoringStore, batch_id: str, *, by: str | None = None) -> None:
    """Remove a batch's predictions from everything, for good: no baseline made from then on holds them.

    Raises :class:`NotFound`, and :class:`BatchLocked` where it was deleted before.
    """
    store.delete_batch(batch_id, by=by)
    follow_deleted(store, batch_id)


def follow_deleted(store: MonitoringStore, batch_id: str) -> None:
    """Compare the jobs anew whose baselines held a batch that is deleted; again, where that broke off."""
    for definition_id in sorted({job.definition_id for job in store.jobs(batch_id=batch_id, limit=1000)}):
        with contextlib.suppress(NotFound):  # of a baseline that was never made, which its jobs say themselves
            used = with_baseline_in_use(load_definition(store.definition(definition_id)[1]), store)
            if isinstance(used.baseline, MergedBaseline):
                follow(used, store)
