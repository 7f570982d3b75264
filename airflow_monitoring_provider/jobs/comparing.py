"""A committed job is compared anew from its stored profile: other values, the same rows, which nobody reads again."""

from __future__ import annotations

import logging
from collections.abc import Collection

from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.definitions.named_columns import awaited_columns
from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.jobs.custom import kept_values
from airflow_monitoring_provider.jobs.finishing import due
from airflow_monitoring_provider.jobs.history import history_values
from airflow_monitoring_provider.jobs.maturity import settings_of
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.metrics.compare import compare
from airflow_monitoring_provider.metrics.timeliness import of_the_job
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.plan import ColumnRole, SchemaChanges
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.store.records import JobRecord
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)


def compare_again(job: JobRecord, reference: Reference, definition: JobDefinition, store: MonitoringStore) -> bool:
    """Give a committed job the values that another baseline makes; False where its profile is not there or damaged.

    :param definition: says what is measured.
    :raises Superseded: the job has another snapshot by now.
    :raises BatchLocked: its batch was locked or deleted.
    """
    stored = store.load_profile(job.id)
    if stored is None:
        return False
    try:
        profile = from_bytes(stored.data, stored.content_hash)
    except CorruptData as error:  # other jobs must not fail for this one's sake
        log.warning("Job %s keeps its values until it runs again: %s", job.id, error)
        return False
    values = reference.explain(_values(profile, reference.profile, definition, store.load_values(job.id), job, store))
    values += history_values(definition, job.window, job.id, values, store)
    store.replace_values(
        job.id,
        job.snapshot_revision,
        values,
        baseline_version=reference.version,
        baseline_key=reference.key,
    )
    return True


def _values(
    profile: Profile,
    baseline: Profile | None,
    definition: JobDefinition,
    before: list[MetricValue],
    job: JobRecord,
    store: MonitoringStore,
) -> list[MetricValue]:
    null_timestamps = next((value.value for value in before if value.name == "null_timestamps"), None)
    compared = compare(
        profile,
        baseline,
        settings_of(definition, job.window, store),
        schema_changes=None if baseline is None else _changes(profile, baseline, definition, _told_missing(before)),
        null_timestamps=int(null_timestamps or 0),
        as_of=due(job),
    )
    own = kept_values(definition, before, profile)
    return [*compared, *own, *(value for value in before if of_the_job(value))]


def _told_missing(before: list[MetricValue]) -> set[str]:
    """The columns that the job itself did not find."""
    told = (value.details.get("columns", ()) for value in before if value.name == "missing_columns")
    return {each["column"] for columns in told for each in columns}


def _changes(profile: Profile, baseline: Profile, definition: JobDefinition, missing: Collection[str]) -> SchemaChanges:
    """How the features of two profiles differ, of the baseline's those that the definition still names; and how the
    columns differ from what it says of them.

    :param missing: columns that were found missing when the rows were read.
    """
    now, then = (
        {name: column.kind for name, column in side.columns.items() if column.role is ColumnRole.FEATURE}
        for side in (profile, baseline)
    )
    then = {name: kind for name, kind in then.items() if definition.features is None or name in definition.features}
    checks = {name: check.asked_kind for name, check in definition.checks.items()}
    expected = then | {name: kind for name, kind in checks.items() if kind is not None and name in profile.columns}
    found = {name: column.kind for name, column in profile.columns.items()}
    return SchemaChanges(
        missing=tuple(
            sorted(
                {
                    *(then.keys() - now.keys()),
                    *(checks.keys() - found.keys()),
                    *(awaited_columns(definition).intersection(missing) - found.keys()),
                }
            )
        ),
        new=tuple(sorted(now.keys() - then.keys())),
        retyped=tuple(
            (name, expected[name].value, found[name].value)
            for name in sorted(expected.keys() & found.keys())
            if found[name] != expected[name]
        ),
    )
