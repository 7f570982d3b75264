"""Past jobs are compared with the baseline that they should have, from stored profiles: no row is read.

A job is out of date where a person chose another baseline, or where its baseline's windows were deleted, restated, run
again or, with ``exclude_drifted``, found to have drifted. Jobs go oldest window first, each evaluated before the next
is compared, because what an evaluation finds may leave a window out of later baselines. So the results are a function
of the profiles alone, whatever happened in which order.

Results and statuses are replaced as a new revision; alerts are not told of the past. An alert is news of a window that
people did not know of; a changed baseline is a decision of theirs. So monitors stay where they stand and the next
window moves them, unless the caller asks to ``tell``: then the newest window moves them, and tells what it opens or
resolves. A locked batch keeps its results, and counts in the baselines of others.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from datetime import datetime

from airflow_monitoring_provider.definitions import (
    FirstWindowBaseline,
    JobDefinition,
    MergedBaseline,
    ReferenceBaseline,
    first_window,
    load_definition,
)
from airflow_monitoring_provider.exceptions import BatchLocked, NotFound, Superseded
from airflow_monitoring_provider.jobs.baseline import kept_range, stored_reference, with_baseline_in_use
from airflow_monitoring_provider.jobs.comparing import compare_again
from airflow_monitoring_provider.jobs.judging import evaluate_snapshot
from airflow_monitoring_provider.jobs.merged_baseline import ProfileShelf, is_of, wanted_key
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.store.baseline_records import Candidate
from airflow_monitoring_provider.store.queries import PAGE_LIMIT
from airflow_monitoring_provider.store.records import JobRecord
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Reevaluation:
    """What became of a definition's jobs.

    :param changed: jobs with a new revision; ``unchanged`` ones had this baseline already.
    :param locked: jobs that keep their results because their batch is locked; ``damaged`` ones have a profile that
        fails its checksum, ``moved_on`` ones run or were restated meanwhile and see to themselves.
    """

    changed: tuple[str, ...] = ()
    unchanged: int = 0
    locked: int = 0
    damaged: int = 0
    moved_on: int = 0


def reevaluate(
    definition: JobDefinition,
    store: MonitoringStore,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    every: bool = False,
    tell: bool = False,
) -> Reevaluation:
    """Compare and evaluate the past jobs of a definition with the baseline it has now.

    Thresholds and all else are those that each job ran with.

    :param start, end: only windows that start from then on, and before; aware.
    :param every: also jobs that have this baseline already.
    :param tell: let the newest window move the monitors and tell alerts.
    :raises NotFound: the baseline is rows that no job has read yet, or a name the store does not hold.
    """
    used = with_baseline_in_use(definition, store)
    shelf = ProfileShelf(store)
    counts = dict.fromkeys(("unchanged", "locked", "damaged", "moved_on"), 0)
    changed = []
    jobs = [
        job
        for job in _committed(store, used.id)
        if (start is None or job.window.start >= start) and (end is None or job.window.start < end)
    ]
    for job in jobs:
        became = _reevaluate_one(job, used, store, shelf, every=every, tell=tell and job is jobs[-1])
        if became == "changed":
            changed.append(job.id)
        else:
            counts[became] += 1
    log.info("Compared %d jobs of %s with another baseline: %s", len(changed), used.id, counts)
    return Reevaluation(tuple(changed), **counts)


def follow(definition: JobDefinition, store: MonitoringStore) -> tuple[str, ...]:
    """Bring the jobs up to date whose baseline has changed since; their ids. Nobody is told.

    :param definition: with the baseline in use, a merge.
    """
    found = store.baseline_candidates(definition.id)
    kept = kept_range(definition, store)
    outdated = [
        job.window.start for job in _committed(store, definition.id) if not _is_current(job, definition, found, kept)
    ]
    # Later windows may follow from what becomes of these, so all from the first on are looked at.
    return reevaluate(definition, store, start=min(outdated)).changed if outdated else ()


def bring_up_to_date(job: str, definition: JobDefinition, store: MonitoringStore) -> bool:
    """Compare one job with the baseline that it should have, where that is another; its evaluation is then due.

    :param definition: with the baseline in use, a merge.
    """
    try:
        record = store.job(job)
        found = store.baseline_candidates(definition.id)
        if record.snapshot is None or _is_current(record, definition, found, kept_range(definition, store)):
            return False
        reference = stored_reference(definition, store, record.window, candidates=found)
        if reference.key == record.snapshot.baseline_key:
            return False
        return compare_again(record, reference, _pinned(record, store), store)
    except (Superseded, BatchLocked):  # it keeps what it has, or sees to itself
        return False


def _reevaluate_one(
    job: JobRecord, definition: JobDefinition, store: MonitoringStore, shelf: ProfileShelf, *, every: bool, tell: bool
) -> str:
    try:
        found = store.baseline_candidates(definition.id)
        if not every and _has_it(job, definition, store, found):
            return "unchanged"
        reference = _reference(job, definition, store, found, shelf)
        pinned = None if job.snapshot is None else (job.snapshot.baseline_version, job.snapshot.baseline_key)
        if not every and pinned == (reference.version, reference.key):
            return "unchanged"
        settings = _pinned(job, store)
        if not compare_again(job, reference, settings, store):
            return "damaged"
        evaluate_snapshot(job.id, settings, store, tell=tell)
    except BatchLocked:
        return "locked"
    except Superseded:
        return "moved_on"
    return "changed"


def _reference(
    job: JobRecord,
    definition: JobDefinition,
    store: MonitoringStore,
    candidates: tuple[Candidate, ...],
    shelf: ProfileShelf,
) -> Reference:
    reference = stored_reference(definition, store, job.window, candidates=candidates, shelf=shelf)
    baseline = definition.baseline
    if reference.profile is None and isinstance(baseline, ReferenceBaseline):
        raise NotFound(
            f"nobody has profiled the reference data set of {definition.id} yet: run a job of it, which reads these "
            "rows once; then evaluate the past again"
        )
    if reference.profile is None and isinstance(baseline, FirstWindowBaseline):
        first = first_window(definition)
        raise NotFound(f"the first window of {definition.id} has no profile yet: run its job over {first.key()}")
    return reference


def _has_it(
    job: JobRecord, definition: JobDefinition, store: MonitoringStore, candidates: tuple[Candidate, ...]
) -> bool:
    """The job was compared with the baseline in use, by all that is known without loading a profile."""
    if isinstance(definition.baseline, MergedBaseline):
        return _is_current(job, definition, candidates, kept_range(definition, store))
    if isinstance(definition.baseline, FirstWindowBaseline) and job.snapshot is not None:
        return job.snapshot.baseline_version is not None and job.snapshot.baseline_key is None
    return False


def _is_current(
    job: JobRecord, definition: JobDefinition, candidates: tuple[Candidate, ...], kept: Reference | None
) -> bool:
    """The job was compared with what it should be, by all that is known without loading a profile."""
    if job.snapshot is None:
        return True
    if kept is not None:
        return job.snapshot.baseline_key == kept.key
    return is_of(job.snapshot.baseline_key, wanted_key(definition, job.window, job.batch_id, candidates)) and (
        job.snapshot.baseline_key is not None or job.snapshot.baseline_version is None
    )


def _pinned(job: JobRecord, store: MonitoringStore) -> JobDefinition:
    """The definition that the job ran with."""
    revision = job.definition_revision if job.snapshot is None else job.snapshot.definition_revision
    return load_definition(store.definition(job.definition_id, revision)[1])


def _committed(store: MonitoringStore, definition_id: str) -> Iterator[JobRecord]:
    """Jobs with results, oldest window first."""
    offset = 0
    while True:
        page = store.jobs(definition_id=definition_id, order="window", limit=PAGE_LIMIT, offset=offset)
        yield from (job for job in page if job.snapshot is not None and not job.results_deleted)
        offset += len(page)
        if not len(page) or offset >= page.total:
            return
