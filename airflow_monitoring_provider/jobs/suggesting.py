"""Suggest checks for a definition from a profile that its store holds: no row is read."""

from __future__ import annotations

import dataclasses
from typing import Any

from airflow_monitoring_provider.definitions import JobDefinition, JobState, dump_definition, load_definition
from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.jobs.baseline import stored_reference
from airflow_monitoring_provider.metrics.suggestion import suggest_checks
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.store.store import MonitoringStore


def with_suggested_checks(
    definition: JobDefinition, store: MonitoringStore, *, job: str | None = None, rows: int | None = None
) -> JobDefinition:
    """The definition with what :func:`~airflow_monitoring_provider.metrics.suggestion.suggest_checks` says in place of
    its own ``checks`` and ``thresholds``.

    :param job: take the profile of this job; without it that of the baseline.
    :param rows: of the smallest batch to expect; without it the fewest that a job of the last hundred had.
    :raises NotFound: there is no such profile.
    :raises CorruptData: the stored profile is damaged.
    """
    profile = _baseline(definition, store) if job is None else _of_job(job, store)
    if definition.features is not None:
        watched = {name: column for name, column in profile.columns.items() if name in definition.features}
        profile = dataclasses.replace(profile, columns=watched)
    if rows is None:
        rows = _fewest_rows(definition, store)
    suggested: dict[str, Any] = suggest_checks(profile, rows, declared=definition.column_types)
    own = dump_definition(definition, "python")
    return load_definition({key: own[key] for key in own.keys() - {"checks", "thresholds"}} | suggested)


def _baseline(definition: JobDefinition, store: MonitoringStore) -> Profile:
    profile = stored_reference(definition, store).profile
    if profile is None:
        raise NotFound(
            f"the store holds no baseline of {definition.id} yet; run its job first, or name a completed job "
            "whose rows are as they should be"
        )
    return profile


def _of_job(job: str, store: MonitoringStore) -> Profile:
    stored = store.load_profile(job)
    if stored is None:
        raise NotFound(f"job {job} has no committed profile")
    return from_bytes(stored.data, stored.content_hash)


def _fewest_rows(definition: JobDefinition, store: MonitoringStore) -> int | None:
    jobs = store.jobs(definition_id=definition.id, state=JobState.COMPLETED, order="-window")
    return min((job.snapshot.rows for job in jobs if job.snapshot is not None and job.snapshot.rows), default=None)
