"""The way of one job whose rows are read by several tasks: claim, profile each part, merge and commit.

``claim_job`` claims the window as :func:`~airflow_monitoring_provider.jobs.run.run_job` does and cuts its rows into
parts. ``profile_part`` reads one part and stages what it found (:mod:`staged`) below the store's storage root.
``merge_and_commit`` merges the profiles and goes on where ``run_job`` does: compare, write, commit. It alone writes to
the output and commits, so readers see nothing of a part, and the profile is that of one task: profiles merge exactly,
duplicates are found across parts, and everything that is decided from all rows is decided here or before the parts.

What the three hand each other is a :class:`PartReference`, small enough for an XCom. All else is in the store, known by
the token of the claim: a part of an older claim is not even looked at. Tasks may be killed, run again and beside
themselves: a part that is staged twice counts once, and each run of the merge has a token of its own, so that a late
one is refused by the output and the store. A staged part that is missing or incomplete ends the merge with its number.

Where rows of two parts have equal identifiers, the one of the first part counts, as it does in one task; a part that
repeats identifiers of an earlier one is read again by the last task, with that known. So cut tables with many
repetitions by an identifier, where equal rows stand in one part.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from airflow_monitoring_provider.definitions import (
    JobDefinition,
    JobState,
    Partitions,
    RowStatus,
    Window,
    load_definition,
)
from airflow_monitoring_provider.engines.duplicates import KnownDuplicates
from airflow_monitoring_provider.exceptions import (
    CorruptData,
    JobAborted,
    MonitoringError,
    PartMissing,
    SourceError,
    StoreUnavailable,
    Superseded,
)
from airflow_monitoring_provider.intake.parts import CHANGED
from airflow_monitoring_provider.jobs.actuals_log import open_log
from airflow_monitoring_provider.jobs.baseline import find_reference
from airflow_monitoring_provider.jobs.claiming import claim_window, rows_last_time, settled
from airflow_monitoring_provider.jobs.copied import CopiedColumns
from airflow_monitoring_provider.jobs.custom import RowMetrics, sql_outcomes
from airflow_monitoring_provider.jobs.distinguishing import find_duplicates
from airflow_monitoring_provider.jobs.finishing import JobSummary, finish_job, label_committed
from airflow_monitoring_provider.jobs.job_plan import JobPlan
from airflow_monitoring_provider.jobs.named_columns import check_named_columns
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import PartProgress, Progress, told
from airflow_monitoring_provider.jobs.reading import (
    Reading,
    check_rejected,
    columns_of,
    identifiers_of,
    open_rows,
    pass_over,
    plan_rows,
    time_filter,
    told_rows,
)
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.jobs.retention import merged_sample, retained_schema
from airflow_monitoring_provider.jobs.spool import scratch_folder
from airflow_monitoring_provider.jobs.staged import (
    KeptKeys,
    MergedRows,
    PartResult,
    StagedPart,
    StagedRows,
    repetitions,
)
from airflow_monitoring_provider.profiles.profile import merge_all
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes
from airflow_monitoring_provider.store.part_records import PartRecord, StagedFile
from airflow_monitoring_provider.store.records import Claim, RunInfo
from airflow_monitoring_provider.store.staging import StagedReader, StagedWriter

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class PartReference:
    """One part of a claimed job: what tasks hand each other.

    :param token: of the claim that cut the window.
    :param part: from 0, ``parts`` in all.
    """

    job_id: str
    token: int
    part: int
    parts: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form."""
        return dataclasses.asdict(self)

    @property
    def name(self) -> str:
        """For messages, counted from 0 as Airflow counts mapped tasks."""
        return f"part {self.part} of {self.parts}"


def claim_job(
    definition: JobDefinition,
    window: Window,
    ports: Ports,
    *,
    run: RunInfo | None = None,
    batch_name: str | None = None,
    batch_id: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_claim: Callable[[Claim], None] = lambda claim: None,
) -> tuple[PartReference, ...]:
    """Claim a window and cut its rows into parts, at least one; parameters and errors as those of ``run_job``.

    The definition's ``partitions`` say how, else their defaults. What an earlier attempt at the window had staged is
    removed.

    :raises SourceError: the rows cannot be cut so.
    :raises DefinitionError: it says something of a column that there never was.
    """
    store = ports.store
    claim, _ = claim_window(definition, window, ports, run, batch_name, batch_id)
    on_claim(claim)
    with settled(store, claim):
        progress = Progress(store, claim, cancelled, expected_rows=None)
        reference = find_reference(definition, window, ports, progress)
        source = open_rows(definition, ports)
        window_filter = time_filter(definition, window)
        planned = plan_rows(definition, source, window_filter, reference)
        check_named_columns(definition, planned.schema, planned.profile, reference, store, claim, progress.note)
        progress.stage("read", f"cutting {source.label}")
        cut = definition.partitions or Partitions()
        parts = source.parts(cut, columns_of(definition, planned), window_filter)
        plan = JobPlan(planned, parts, reference, rows_last_time(store, claim))
        count = len(parts.parts)
        store.cut(claim, count, plan.to_bytes(), b"" if reference.profile is None else to_bytes(reference.profile))
        progress.note(f"cut into {count} parts")
        if definition.engine == "auto":
            progress.note("rows are read, because a database counts no parts")
    return tuple(PartReference(claim.job_id, claim.token, part, count) for part in range(count))


def profile_part(
    reference: PartReference, ports: Ports, *, cancelled: Callable[[], bool] = lambda: False
) -> dict[str, Any]:
    """Read one part and stage what it gave; ``{"part": 0, "rows": 100}``.

    Where the job is committed already there is nothing to do.

    :raises RetryableError, TerminalError: as ``run_job``; ``Superseded`` where a newer claim has the window.
    """
    store = ports.store
    claim = store.held(reference.job_id, reference.token)
    if store.committed(claim):
        log.warning("Job %s is committed; clear the whole task group to run its window again", claim.job_id)
        return {"part": reference.part, "rows": 0}
    with _settled(ports, claim, reference.token, reference.part, reference.name):
        store.resume(claim, reference.token, reference.part)
        definition = _pinned(ports, claim)
        plan = JobPlan.from_bytes(store.part_plan(reference.job_id, reference.token))
        progress = PartProgress(
            store, claim, reference.token, reference.part, cancelled, expected_rows=plan.expected_rows
        )
        progress.note(f"reading {reference.name}")
        file, rows = _read_part(definition, plan, ports, claim, reference.part, progress)
        progress.check()
        store.stage(claim, reference.token, reference.part, file)
        progress.note(f"read {reference.name}: {rows} rows")
    return {"part": reference.part, "rows": rows}


def merge_and_commit(
    reference: PartReference,
    ports: Ports,
    *,
    run: RunInfo | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_claim: Callable[[Claim], None] = lambda claim: None,
) -> JobSummary:
    """Merge the parts of a claim, write the output and commit.

    :param reference: of any part of the claim.
    :raises PartMissing: a part is not staged, or its file is not there.
    :raises CorruptData: a staged file is damaged.
    :raises TooManyRejectedRows: more rows of all parts were rejected than ``max_rejected_share`` allows.
    """
    store, cut = ports.store, reference.token
    claim = store.held(reference.job_id, cut)
    if store.committed(claim):
        return label_committed(_pinned(ports, claim), store, claim)
    claim = store.take(claim, cut, run)
    on_claim(claim)
    with _settled(ports, claim, cut, None, "the merge"), ExitStack() as resources:
        definition = _pinned(ports, claim)
        plan = JobPlan.from_bytes(store.part_plan(claim.job_id, cut))
        progress = Progress(store, claim, cancelled, expected_rows=None)
        parts = [_open_part(ports, record, claim, plan) for record in store.parts(claim.job_id, cut)]
        _check_source(plan, parts)
        scratch = resources.enter_context(scratch_folder())
        parts = _with_repetitions(definition, plan, ports, claim, parts, scratch, progress)
        profile = merge_all(*(part.profile() for part in parts))
        check_rejected(definition, profile)
        progress.rows(scored := profile.status_counts.get(RowStatus.MONITORED.text, 0), profile.rows - scored)
        progress.stage("compare", f"merged {len(parts)} parts: {told_rows(profile)}")
        output = definition.output_settings is not None
        log_files = tuple(part.log_file for part in parts if part.log_file is not None)
        eligible = sum(part.eligible for part in parts)
        if definition.monitoring_aggregation is not None:
            retained = retained_schema(definition, plan.rows.profile, plan.rows.schema)
            log_files = merged_sample(definition, retained, store.storage, claim, log_files, eligible)
        own = RowMetrics(definition, plan.rows.schema)
        for part in parts:
            own.merge(part.custom)
        source, window = open_rows(definition, ports), time_filter(definition, claim.window)
        reading = Reading(
            profile=profile,
            schema_changes=plan.rows.changes,
            rows=MergedRows(parts, CopiedColumns(definition, plan.rows.schema).schema) if output else None,
            null_timestamps=sum(part.null_timestamps for part in parts),
            log_files=log_files,
            eligible=eligible,
            unreadable_times=sum(part.unreadable_times for part in parts),
            custom=own.outcomes() | sql_outcomes(definition, source, window),
        )
        writer = ports.writer(definition) if output else None
        compared = _reference(plan, store.part_reference(claim.job_id, cut))
        return finish_job(definition, store, claim, writer, reading, compared, progress)


def _read_part(
    definition: JobDefinition,
    plan: JobPlan,
    ports: Ports,
    claim: Claim,
    part: int,
    progress: Progress,
    known: KnownDuplicates | None = None,
) -> tuple[StagedFile, int]:
    """Read a part to a staged file: the file, and the number of rows."""
    source = open_rows(definition, ports).part(plan.parts.parts[part], plan.rows.schema)
    window = time_filter(definition, claim.window)
    storage, identifiers = ports.store.storage, identifiers_of(definition)
    with ExitStack() as resources:
        writer = resources.enter_context(StagedWriter(storage, claim, part))
        logged = resources.enter_context(
            open_log(definition, plan.rows.profile, plan.rows.schema, storage, claim, part + 1)
        )
        duplicates: Any = known
        if known is None:
            scratch = resources.enter_context(scratch_folder())
            duplicates = resources.enter_context(find_duplicates(source, identifiers, window, scratch, progress))
            if _may_repeat(definition, plan):
                duplicates = KeptKeys(duplicates, writer)
        rows = None
        if definition.output_settings is not None:
            rows = StagedRows(writer)
        own = RowMetrics(definition, plan.rows.schema)
        profile = pass_over(definition, plan.rows, source, window, duplicates, rows, logged, own, progress)
        ports.store.confirm(claim)  # a newer claim has swept what this one wrote
        column = definition.timestamp_column
        result = PartResult(
            null_timestamps=source.null_timestamps(column) if column else 0,
            log_file=logged.close(),
            eligible=logged.eligible,
            unreadable_times=logged.unreadable_times,
            seen=source.seen(),
            order_sum=duplicates.order_sum if isinstance(duplicates, KeptKeys) else 0,
            custom=own.states(),
        )
        return result.close(writer, profile), profile.rows


def _with_repetitions(
    definition: JobDefinition,
    plan: JobPlan,
    ports: Ports,
    claim: Claim,
    parts: Sequence[StagedPart],
    scratch: Path,
    progress: Progress,
) -> list[StagedPart]:
    """The parts, of which those are read again that repeat identifiers of an earlier one."""
    merged = list(parts)
    if not _may_repeat(definition, plan):
        return merged
    for number, known in repetitions(parts, scratch):
        progress.note(f"reading part {number} again: rows of it repeat identifiers of an earlier part")
        file, _ = _read_part(definition, plan, ports, claim, number, progress, known)
        merged[number] = StagedPart(StagedReader(ports.store.storage, file, f"part {number}"))
    return merged


def _may_repeat(definition: JobDefinition, plan: JobPlan) -> bool:
    """Whether rows of two parts may have equal identifiers."""
    identifiers = identifiers_of(definition)
    return bool(identifiers) and len(plan.parts.parts) > 1 and plan.parts.together not in identifiers


def _open_part(ports: Ports, record: PartRecord, claim: Claim, plan: JobPlan) -> StagedPart:
    name = f"part {record.part} of {len(plan.parts.parts)}"
    if record.file is None:
        raise PartMissing(f"{name} of job {claim.job_id} is not staged ({record.state}); run its task again")
    try:
        return StagedPart(StagedReader(ports.store.storage, record.file, name))
    except StoreUnavailable as error:
        raise PartMissing(
            f"the staged file of {name} of job {claim.job_id} cannot be read here: {error}. The storage root must be "
            "the same for all workers; if it is, clear that task"
        ) from error


def _check_source(plan: JobPlan, parts: Sequence[StagedPart]) -> None:
    """Look at what only all parts together can tell of the source.

    :raises SourceError: its rows have changed since they were cut, or none of the timestamps is a time.
    """
    found = sum(part.seen.rows for part in parts)
    if plan.parts.rows is not None and found != plan.parts.rows:
        raise SourceError(
            f"the rows changed while they were read in parts: there were {plan.parts.rows} when they were cut, and the "
            f"parts read {found}. Choose a window that is complete, or one task; then {CHANGED}"
        )
    readable = [part.seen for part in parts if part.seen.readable is not None]
    if readable and not any(seen.readable for seen in readable):
        raise SourceError(readable[0].doubt)


def _reference(plan: JobPlan, profile: bytes) -> Reference:
    if not profile:
        return plan.reference
    try:
        return dataclasses.replace(plan.reference, profile=from_bytes(profile))
    except CorruptData as error:
        raise CorruptData(f"what the job is compared with is damaged in the store: {error}; {CHANGED}") from None


def _pinned(ports: Ports, claim: Claim) -> JobDefinition:
    """The definition that was claimed, whatever became of it meanwhile."""
    _, payload = ports.store.definition(claim.definition_id, claim.revision)
    return load_definition(payload)


@contextmanager
def _settled(ports: Ports, claim: Claim, cut: int, part: int | None, name: str) -> Iterator[None]:
    """Every task that ends without its work done says why, in the store and in the log.

    A task that Airflow ended fails, since it may run again under the same claim; the job is aborted only for somebody
    who asked for that.
    """
    try:
        yield
    except BaseException as error:
        state = JobState.ABORTED if isinstance(error, JobAborted) else JobState.FAILED
        if isinstance(error, Superseded):
            state = JobState.SUPERSEDED
        reason = f"{name}: {told(error)}"
        log.warning("Job %s, attempt %d: %s: %s", claim.job_id, claim.token, state, reason)
        try:
            ports.store.fail_part(claim, cut, part, state, reason)
        except MonitoringError as unreachable:
            # The store is what failed, or fails as well: the task's own error must reach the caller all the same.
            log.warning("The end of %s could not be recorded: %s", name, unreachable)
        raise
