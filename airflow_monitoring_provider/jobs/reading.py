"""Read the rows of one window: a profile, a status for every row, and the prediction log.

Rows are read in stretches: first the few columns that decide a row's status or go on as rows, then, by other threads
and column by column where the source allows it, what is only counted.

Memory holds some record batches, the profile and, at the end, one partition of identifier hashes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, Self

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition, RowStatus, Window
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, usable_cores
from airflow_monitoring_provider.engines.kinds import read_columns
from airflow_monitoring_provider.engines.plans import current_plan
from airflow_monitoring_provider.engines.screen import Duplicates, Screen
from airflow_monitoring_provider.engines.segment_plans import with_segments
from airflow_monitoring_provider.engines.sql_rows import ProfiledRows
from airflow_monitoring_provider.exceptions import TooManyRejectedRows
from airflow_monitoring_provider.intake.parts import PartSource
from airflow_monitoring_provider.intake.source import RowSource, TimeFilter, open_stretches
from airflow_monitoring_provider.jobs.actuals_log import RowLog, logged_columns, open_log, written_columns
from airflow_monitoring_provider.jobs.claiming import repeated_last_time
from airflow_monitoring_provider.jobs.copied import CopiedColumns
from airflow_monitoring_provider.jobs.custom import RowMetrics, sql_outcomes
from airflow_monitoring_provider.jobs.distinguishing import read_distinguished
from airflow_monitoring_provider.jobs.named_columns import check_named_columns
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import Progress
from airflow_monitoring_provider.jobs.pushing import pushed_profile
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.jobs.row_thread import RowSink, RowThread
from airflow_monitoring_provider.jobs.spool import EncodedSpool, open_spool, scratch_folder
from airflow_monitoring_provider.metrics.custom import Outcome
from airflow_monitoring_provider.outputs.output import RowWriter
from airflow_monitoring_provider.profiles.plan import ProfilePlan, SchemaChanges
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.store.records import Claim, PredictionFile
from airflow_monitoring_provider.store.storage import Storage


class Rows(Protocol):
    """Rows that were read and wait to be written."""

    schema: pa.Schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows in order, as often as asked for."""


@dataclasses.dataclass(frozen=True, slots=True)
class RowPlan:
    """What is read of the rows of a window, decided once for all of them.

    :param schema: every column of the source with its decided type.
    """

    schema: pa.Schema
    profile: ProfilePlan
    changes: SchemaChanges


@dataclasses.dataclass(frozen=True, slots=True)
class Reading:
    """What one pass over a window gave.

    :param rows: identifiers, passthrough columns and status of every row, as they are or as the bytes of the output's
        file, or how the output's own database selects them; None where the definition has no output.
    :param null_timestamps: rows of the source that are in no window because their timestamp is null.
    :param log_files: what was logged of the rows, for joins of predictions with late actuals; of a definition that
        aggregates, the retained ones, of so many ``eligible`` rows.
    :param unreadable_times: logged actuals beside which something stands that is no time.
    :param custom: what the user's own SQL and functions over rows gave, by the ids of their metrics.
    """

    profile: Profile
    schema_changes: SchemaChanges
    rows: Rows | EncodedSpool | ProfiledRows | None
    null_timestamps: int
    log_files: tuple[PredictionFile, ...]
    eligible: int = 0
    unreadable_times: int = 0
    custom: Mapping[str, Outcome] = dataclasses.field(default_factory=dict)


@contextmanager
def read_rows(
    definition: JobDefinition,
    window: Window,
    ports: Ports,
    claim: Claim,
    writer: RowWriter | None,
    reference: Reference,
    progress: Progress,
) -> Iterator[Reading]:
    """Read the window; the spooled rows live as long as the context.

    :param writer: of the output, which a database that profiles the rows may fill by itself, and which may make the
        bytes of its file beforehand.
    :raises SourceError: a column that the definition needs is not there.
    :raises DefinitionError: it says something of a column that there never was.
    :raises SourceUnavailable: the rows changed while they were read.
    :raises TooManyRejectedRows: more rows were rejected than ``max_rejected_share`` allows.
    """
    source = open_rows(definition, ports)
    window_filter = time_filter(definition, window)
    planned = plan_rows(definition, source, window_filter, reference)
    check_named_columns(definition, planned.schema, planned.profile, reference, ports.store, claim, progress.note)
    progress.stage("read", f"reading {source.label}")
    copied = CopiedColumns(definition, planned.schema).schema
    pushed = pushed_profile(definition, planned.profile, copied, source, window_filter, writer, progress)
    with (
        scratch_folder() as scratch,
        _Kept(definition, planned, writer, None if pushed else copied, ports.store.storage, claim, scratch) as kept,
    ):

        def read(duplicates: Duplicates | None) -> Profile:
            kept.renew()
            into = (kept.spool, kept.logged, kept.own)
            return pass_over(definition, planned, source, window_filter, duplicates, *into, progress)

        if pushed is not None:
            profile = pushed.profile
        else:
            doubtful = repeated_last_time(ports.store, claim)
            told_apart = (source, identifiers_of(definition), window_filter, scratch, progress)
            profile = read_distinguished(read, *told_apart, doubtful=doubtful)
        check_rejected(definition, profile)
        if kept.spool is not None:
            kept.spool.finish()
        progress.stage("compare", told_rows(profile, "read" if pushed is None else "counted"))
        column, file = definition.timestamp_column, kept.logged.close()
        yield Reading(
            profile=profile,
            schema_changes=planned.changes,
            rows=kept.spool if pushed is None else pushed.rows,
            null_timestamps=source.null_timestamps(column) if column else 0,
            log_files=() if file is None else (file,),
            eligible=kept.logged.eligible,
            unreadable_times=kept.logged.unreadable_times,
            custom=kept.own.outcomes() | sql_outcomes(definition, source, window_filter),
        )


class _Kept:
    """What is kept of the rows while they are read; begun anew where they are read again.

    :param writer: of the output; ``copied``: columns of the rows that wait for it, None where none do.
    """

    def __init__(
        self,
        definition: JobDefinition,
        planned: RowPlan,
        writer: RowWriter | None,
        copied: pa.Schema | None,
        storage: Storage,
        claim: Claim,
        scratch: Path,
    ) -> None:
        self._about = definition, planned, storage, claim
        self._writer = writer
        self._copied = copied if definition.output_settings is not None else None
        self._scratch = scratch
        self._read = False
        self._begin()

    def renew(self) -> None:
        """The rows are read; what was kept of an earlier reading is gone."""
        if self._read:
            self._context.close()
            self._begin()
        self._read = True

    def _begin(self) -> None:
        definition, planned, storage, claim = self._about
        with ExitStack() as begun:
            self.spool = None
            if self._copied is not None:
                self.spool = begun.enter_context(open_spool(self._writer, self._copied, self._scratch))
            self.logged = begun.enter_context(open_log(definition, planned.profile, planned.schema, storage, claim))
            self.own = RowMetrics(definition, planned.schema)
            self._context = begun.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Discard what is not whole."""
        self._context.close()


def open_rows(definition: JobDefinition, ports: Ports) -> RowSource:
    """The definition's own source, sorted by the identifiers where it can be."""
    return ports.source(definition, definition.intake_settings, identifiers_of(definition))


def identifiers_of(definition: JobDefinition) -> tuple[str, ...]:
    """The columns that tell rows apart."""
    return definition.monitoring_output_settings.unique_row_identifier_columns


def plan_rows(
    definition: JobDefinition, source: RowSource, window_filter: TimeFilter | None, reference: Reference
) -> RowPlan:
    """Look at the source's columns, and at the rows of those that decide about segments.

    :raises SourceError: a column that the definition needs is not there.
    """
    schema = source.schema()
    plan, changes = current_plan(definition, schema, source.label, reference.layout, adopts=reference.moves)
    plan = with_segments(definition, plan, source, schema, window_filter, reference.layout)
    return RowPlan(schema, plan, changes)


def pass_over(
    definition: JobDefinition,
    planned: RowPlan,
    source: RowSource | PartSource,
    window_filter: TimeFilter | None,
    duplicates: Duplicates | None,
    sink: RowSink | None,
    logged: RowLog,
    own: RowMetrics,
    progress: Progress,
) -> Profile:
    """Read rows once: their profile; output rows go to ``sink``, predictions or late actuals to their log.

    :raises SourceUnavailable: the rows changed while they were read.
    """
    screen = screen_of(definition, planned.profile, duplicates)
    copied = CopiedColumns(definition, planned.schema)
    scored = failed = 0
    with (
        open_stretches(source, columns_of(definition, planned), window_filter) as stretches,
        ProfileBuilder(planned.profile, threads=usable_cores()) as builder,
        RowThread(sink, logged, aside=usable_cores() > 1) as thread,
    ):
        logged_too = logged_columns(definition, planned.profile, planned.schema)
        kept = (*identifiers_of(definition), *copied.names, *written_columns(definition, logged_too), *own.columns)
        names = _there(dict.fromkeys([*builder.row_columns, *screen.columns, *kept, *logged_too]), planned.schema)
        encoded = frozenset((*builder.row_columns, *logged_too)).difference(kept)
        for stretch in stretches:
            seen = []
            for batch in stretch.read(names, encoded=encoded):
                statuses, rows = screen.statuses(batch), None
                if sink is not None:
                    rows, statuses = copied.take(batch, statuses)
                thread.append(batch, statuses, rows)
                builder.see(batch, statuses)
                own.see(batch, statuses)
                accepted = int(np.count_nonzero(statuses == RowStatus.MONITORED))
                scored, failed = scored + accepted, failed + len(statuses) - accepted
                progress.rows(scored, failed)
                seen.append(statuses)
            builder.count(stretch, np.concatenate(seen))
        thread.finish()
        profile = builder.finish()
    if duplicates is not None:
        duplicates.check()
    return profile


def columns_of(definition: JobDefinition, planned: RowPlan) -> tuple[str, ...]:
    """The columns that are read."""
    copied = CopiedColumns(definition, planned.schema)
    logged = logged_columns(definition, planned.profile, planned.schema)
    others = (*logged, *copied.names, *RowMetrics(definition, planned.schema).columns)
    return _there(read_columns(planned.profile, identifiers_of(definition), others), planned.schema)


def _there(names: Iterable[str], schema: pa.Schema) -> tuple[str, ...]:
    """The names without columns of segments that are gone since the baseline was made: no row has a value there."""
    there = frozenset(schema.names)
    return tuple(name for name in names if name in there)


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


def screen_of(definition: JobDefinition, plan: ProfilePlan, duplicates: Duplicates | None) -> Screen:
    """What gives the definition's rows their statuses."""
    columns = definition.monitoring_columns
    return Screen(
        plan,
        definition.monitoring_output_settings.unique_row_identifier_columns,
        columns.association_id_column,
        actuals_only=columns.predictions_columns is None,
        duplicates=duplicates,
    )


def told_rows(profile: Profile, done: str = "read") -> str:
    """A line of the job's log."""
    rejected = profile.rows - profile.status_counts.get(RowStatus.MONITORED.text, 0)
    return f"{done} {profile.rows} rows, {rejected} of them rejected"


def check_rejected(definition: JobDefinition, profile: Profile) -> None:
    """Hold all rows of a job against ``max_rejected_share``.

    :raises TooManyRejectedRows: more were rejected.
    """
    limit = definition.max_rejected_share
    rejected = {status: count for status, count in profile.status_counts.items() if status != RowStatus.MONITORED.text}
    failed = sum(rejected.values())
    if limit is not None and failed > limit * profile.rows:
        reasons = ", ".join(f"{count} {status}" for status, count in sorted(rejected.items()))
        raise TooManyRejectedRows(
            f"{failed} of {profile.rows} rows were rejected, more than max_rejected_share {limit} allows ({reasons}); "
            "nothing was written"
        )
