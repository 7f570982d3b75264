"""A committed job gets the accuracy that its actuals make: what is made of them changes, all else stays as it is."""

from __future__ import annotations

import logging
from collections.abc import Collection

from airflow_monitoring_provider.definitions import (
    FirstWindowBaseline,
    JobDefinition,
    ReferenceBaseline,
    first_window,
    load_definition,
)
from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.jobs.baseline import baseline_key, stored_first_window
from airflow_monitoring_provider.jobs.custom import profile_values
from airflow_monitoring_provider.jobs.maturity import settings_of
from airflow_monitoring_provider.jobs.merged_baseline import merge_members
from airflow_monitoring_provider.metrics.compare import compare_labels
from airflow_monitoring_provider.metrics.custom import of_profile
from airflow_monitoring_provider.metrics.labels import of_labels
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes
from airflow_monitoring_provider.store.actual_records import Logged, LoggedJob, LoggedReport
from airflow_monitoring_provider.store.actuals import Sources
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)


def restate(
    store: MonitoringStore, job: Logged, before: Profile, after: Profile, uses: Collection[str], seen: Sources
) -> str:
    """Commit what the actuals of a job or report make of it: ``restated``, or ``unchanged`` where it has that.

    :param before: the committed profile, ``after`` the same with the accuracy made anew.
    :param uses: the jobs that brought the actuals. :param seen: all actuals that were looked at.
    :raises Superseded: the job has another snapshot, or the deployment other actuals by now.
    :raises BatchLocked: its batch was locked or deleted.
    """
    made = to_bytes(after)
    if made == to_bytes(before):
        store.leave_as_it_is(job, uses, seen)
        return "unchanged"
    if isinstance(job, LoggedReport):
        store.restate_report(job, made, after.content_hash(), uses, seen)
        return "restated"
    _, payload = store.definition(job.definition_id, job.definition_revision)
    definition = load_definition(payload)
    values = compare_labels(
        after, _reference(store, job, definition, after), settings_of(definition, job.window, store)
    )
    committed = [value for value in store.load_values(job.job_id) if not of_profile(value)]
    restated = [*_with(committed, values), *profile_values(definition, after)]
    store.restate(job, made, after.content_hash(), restated, uses, seen)
    log.info("Restated job %s: %d values are made of actuals", job.job_id, len(values))
    return "restated"


def _with(committed: list[MetricValue], labelled: list[MetricValue]) -> list[MetricValue]:
    """All values of a job in the order of :func:`compare`: of each segment those of actuals come last."""
    kept = [value for value in committed if not of_labels(value)]
    segments = dict.fromkeys(value.segment for value in (*kept, *labelled))
    return [value for segment in segments for value in (*kept, *labelled) if value.segment == segment]


def _reference(store: MonitoringStore, job: LoggedJob, definition: JobDefinition, own: Profile) -> Profile | None:
    """The baseline that the job was compared with; the accuracy of what it is made of may have been restated since."""
    baseline, key = definition.baseline, job.baseline_key
    if job.baseline_version is None:
        return None
    if key is None and isinstance(baseline, ReferenceBaseline):  # compared before keys were remembered
        key = baseline_key(definition, baseline)
    if key is not None:
        kept = store.load_baseline(job.definition_id, key, job.baseline_version)
        if kept is None:
            return None
        if "members" in kept.details:
            return merge_members(store, kept.details["members"])
        try:
            return from_bytes(kept.profile_bytes, kept.content_hash)
        except CorruptData as error:
            log.warning("Accuracy of job %s is restated without its baseline's: %s", job.job_id, error)
            return None
    if isinstance(baseline, FirstWindowBaseline):
        first = first_window(definition)
        return own if first.key() == job.window.key() else stored_first_window(definition, store).profile
    return None
