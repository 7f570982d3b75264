"""Read the rows of one window once: a profile, a status for every row, and the prediction log.

Memory holds one record batch, the profile and, while duplicates are looked for, one partition of identifier hashes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from airflow_monitoring_provider.definitions import JobDefinition, RowStatus, Window
from airflow_monitoring_provider.engines.arrow import ProfileBuilder
from airflow_monitoring_provider.engines.duplicates import AdjacentDuplicates, SpilledDuplicates
from airflow_monitoring_provider.engines.kinds import read_columns
from airflow_monitoring_provider.engines.plans import current_plan
from airflow_monitoring_provider.engines.screen import Duplicates, Screen
from airflow_monitoring_provider.exceptions import TooManyRejectedRows
from airflow_monitoring_provider.intake.source import RowSource, TimeFilter
from airflow_monitoring_provider.jobs.baseline import Reference
from airflow_monitoring_provider.jobs.copied import CopiedColumns
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.predictions import PredictionLog
from airflow_monitoring_provider.jobs.progress import Progress
from airflow_monitoring_provider.jobs.spool import Spool, scratch_folder
from airflow_monitoring_provider.profiles.plan import ProfilePlan, SchemaChanges
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.store.records import Claim, PredictionFile


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over a window gave.

    :param rows: identifiers, passthrough columns and status of every row; None where the definition has no output.
    :param null_timestamps: rows of the source that are in no window because their timestamp is null.
    """

    profile: Profile
    schema_changes: SchemaChanges
    rows: Spool | None
    null_timestamps: int
    prediction_file: PredictionFile | None


@contextmanager
def read_rows(
    definition: JobDefinition, window: Window, ports: Ports, claim: Claim, reference: Reference, progress: Progress
) -> Iterator[Reading]:
    """Read the window; the spooled rows live as long as the context.

    :raises SourceError: a column that the definition needs is not there.
    :raises SourceUnavailable: the rows changed while they were read.
    :raises TooManyRejectedRows: more rows were rejected than ``max_rejected_share`` allows.
    """
    identifiers = definition.monitoring_output_settings.unique_row_identifier_columns
    association_id = definition.monitoring_columns.association_id_column
    source = ports.source(definition, definition.intake_settings, identifiers)
    schema = source.schema()
    plan, changes = current_plan(definition, schema, source.label, reference.profile)
    window_filter = time_filter(definition, window)
    progress.stage("read", f"reading {source.label}")
    with ExitStack() as resources:
        scratch = resources.enter_context(scratch_folder())
        duplicates = resources.enter_context(_duplicates(source, identifiers, window_filter, scratch, progress))
        screen = _screen(definition, plan, duplicates)
        copied = CopiedColumns(definition, schema)
        predictions = resources.enter_context(PredictionLog(definition, plan, ports.store.storage, claim))
        spool = Spool(copied.schema, scratch) if definition.output_settings is not None else None
        builder = ProfileBuilder(plan)
        scored = failed = 0
        columns = read_columns(plan, identifiers, association_id, copied.names)
        with source.read(columns, window_filter) as batches:
            for batch in batches:
                statuses = screen.statuses(batch)
                if spool is not None:
                    rows, statuses = copied.take(batch, statuses)
                    spool.append(rows)
                builder.update(batch, statuses)
                predictions.append(batch, statuses)
                accepted = int(np.count_nonzero(statuses == RowStatus.MONITORED))
                scored, failed = scored + accepted, failed + len(statuses) - accepted
                progress.rows(scored, failed)
        if isinstance(duplicates, SpilledDuplicates):
            duplicates.check()
        profile = builder.finish()
        _check_rejected(definition, profile)
        if spool is not None:
            spool.finish()
        progress.stage("compare", f"read {profile.rows} rows, {failed} of them rejected")
        column = definition.timestamp_column
        yield Reading(
            profile=profile,
            schema_changes=changes,
            rows=spool,
            null_timestamps=source.null_timestamps(column) if column else 0,
            prediction_file=predictions.close(),
        )


def time_filter(definition: JobDefinition, window: Window) -> TimeFilter | None:
    """The window as a filter on the timestamp column; None where the definition has none: the whole table."""
    if definition.timestamp_column is None:
        return None
    return TimeFilter(
        column=definition.timestamp_column,
        start=window.start,
        end=window.end,
        timezone=definition.timestamp_timezone,
    )


def _screen(definition: JobDefinition, plan: ProfilePlan, duplicates: Duplicates | None) -> Screen:
    columns = definition.monitoring_columns
    return Screen(
        plan,
        definition.monitoring_output_settings.unique_row_identifier_columns,
        columns.association_id_column,
        actuals_only=columns.predictions_columns is None,
        duplicates=duplicates,
    )


@contextmanager
def _duplicates(
    source: RowSource,
    identifiers: tuple[str, ...],
    window_filter: TimeFilter | None,
    scratch: Path,
    progress: Progress,
) -> Iterator[Duplicates | None]:
    """Sorted sources show duplicates side by side; others are read once for their identifiers alone."""
    if not identifiers:
        yield None
    elif tuple(source.ordered_by[: len(identifiers)]) == identifiers:
        yield AdjacentDuplicates()
    else:
        with SpilledDuplicates(scratch) as found:
            with source.read(identifiers, window_filter) as batches:
                for batch in batches:
                    progress.rows(0, 0)
                    found.add(batch.columns)
            yield found


def _check_rejected(definition: JobDefinition, profile: Profile) -> None:
    limit = definition.max_rejected_share
    rejected = {status: count for status, count in profile.status_counts.items() if status != RowStatus.MONITORED.text}
    failed = sum(rejected.values())
    if limit is not None and failed > limit * profile.rows:
        reasons = ", ".join(f"{count} {status}" for status, count in sorted(rejected.items()))
        raise TooManyRejectedRows(
            f"{failed} of {profile.rows} rows were rejected, more than max_rejected_share {limit} allows ({reasons}); "
            "nothing was written"
        )
