"""Late actuals join the logged predictions of their deployment, and every batch they touch is restated.

Predictions are those of jobs, and those that running code reported; what is said of jobs here holds for reports too.

A restated batch is a function of two sets: its logged predictions, and all actuals of the deployment that are listed
when it is restated. Nothing is added to what an earlier join made, so actuals may come in any order, late, twice or
before their predictions, and the accuracy is the same.

Whoever commits first, somebody sees both sides: an actuals job looks for batches after its own commit, a predictions
job for actuals after its own, and a restatement holds only while the batch has the snapshot that was read and the
deployment the actuals. What a killed attempt leaves undone is done by its retry, else by the deployment's next actuals
job: files say whether they were applied, jobs whether they are due. A locked batch keeps its results and stays due; a
deleted one has no log.

Memory holds at most a million actuals (:mod:`actual_parts`), the profiles of the batches that are restated, and one
record batch of predictions.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.engines.actuals import Tally
from airflow_monitoring_provider.engines.labels import LabelJoin
from airflow_monitoring_provider.engines.row_keys import row_keys
from airflow_monitoring_provider.exceptions import BatchLocked, CorruptData, NotFound, StoreUnavailable, Superseded
from airflow_monitoring_provider.jobs.actual_parts import actual_parts, microseconds
from airflow_monitoring_provider.jobs.restating import restate
from airflow_monitoring_provider.jobs.spool import scratch_folder
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.store.actual_records import ActualFile, Logged
from airflow_monitoring_provider.store.records import Claim
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)

_TURNS = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Labelling:
    """What became of the actuals of a deployment.

    :param restated: batches with a new revision; ``unchanged`` ones had these actuals already, ``locked`` ones keep
        their results, ``damaged`` ones have a log that is not what was written.
    :param tally: of the actuals that the job itself brought.
    """

    restated: int = 0
    unchanged: int = 0
    locked: int = 0
    damaged: int = 0
    tally: Tally | None = None

    def to_dict(self) -> dict[str, int]:
        """JSON-clean form."""
        counts = {name: getattr(self, name) for name in ("restated", "unchanged", "locked", "damaged")}
        return counts if self.tally is None else {**dataclasses.asdict(self.tally), **counts}


def label(definition: JobDefinition, store: MonitoringStore, claim: Claim, *, logged: bool) -> Labelling | None:
    """What follows a job's commit; None where it has no part in actuals.

    :param logged: the job has logged predictions.
    :raises RetryableError: the same call may succeed later; nothing is half done.
    """
    if definition.monitoring_columns.brings_late_actuals:
        found = join_actuals(store, claim.deployment_id, own=claim.job_id)
    elif logged and store.actual_files(claim.deployment_id):
        found = join_actuals(store, claim.deployment_id, only=claim.job_id)
    else:
        return None
    line = f"actuals: {', '.join(f'{count} {name}' for name, count in found.to_dict().items())}"
    store.log(claim, line)
    log.info("Job %s, %s", claim.job_id, line)
    return found


def join_actuals(
    store: MonitoringStore, deployment_id: str, *, own: str | None = None, only: str | None = None
) -> Labelling:
    """Restate the batches that actuals touch which nobody has applied yet, and those that are due.

    :param own: the actuals job whose rows are counted in the result.
    :param only: restate this predictions job (or report) alone, whether something touches it or not.
    """
    files = store.actual_files(deployment_id)
    fresh = [] if only is not None else [file for file in files if not file.applied]
    damaged: set[str] = set()
    with scratch_folder() as scratch:
        touched, tallies = _touched(store, deployment_id, fresh, scratch, damaged)
        outcome = dict.fromkeys(("restated", "unchanged", "locked"), 0)
        if only is not None:
            touched = {only}
        waiting = touched
        for _ in range(_TURNS):
            jobs = [
                job
                for job in store.logged_rows(deployment_id, only)
                if job.id not in damaged and (job.id in waiting or (only is None and job.due))
            ]
            locked = [job for job in jobs if job.locked]
            waiting = _restate_all(store, [job for job in jobs if not job.locked], files, scratch, outcome, damaged)
            outcome["locked"] = max(outcome["locked"], len(locked))
            store.keep_due(locked)
            if not waiting:
                break
            files = store.actual_files(deployment_id)
        else:
            raise StoreUnavailable("batches change faster than their accuracy can be restated; try again")
    store.mark_applied(fresh, {job: dataclasses.asdict(tally) for job, tally in tallies.items()})
    tally = tallies.get(own, Tally()) if own is not None else None
    return Labelling(**outcome, damaged=len(damaged), tally=tally)


def _touched(
    store: MonitoringStore, deployment_id: str, fresh: Sequence[ActualFile], scratch: Path, damaged: set[str]
) -> tuple[set[str], dict[str, Tally]]:
    """The jobs whose logged predictions these actuals name, and what became of each actuals job's rows."""
    touched: set[str] = set()
    tallies: dict[str, Tally] = {}
    if not fresh:
        return touched, tallies
    jobs = store.logged_rows(deployment_id)
    names = [file.job_id for file in fresh]
    with actual_parts(store.storage, fresh, scratch / "fresh") as (bits, parts):
        for part in range(1 << bits):
            known = parts(part)
            matched = np.zeros(len(known.winners), np.bool_)
            for job in jobs:
                for batch in _batches(store, job, damaged, ["association_id"]):
                    first, second, there = row_keys([batch.column(0)])
                    places = known.find(first, second)
                    places = places[there & (places >= 0)]
                    if places.size:
                        matched[places] = True
                        touched.add(job.id)
            for source, tally in known.tallies(matched).items():
                tallies[names[source]] = tallies.get(names[source], Tally()) + tally
    return touched, tallies


def _restate_all(
    store: MonitoringStore,
    jobs: Sequence[Logged],
    files: Sequence[ActualFile],
    scratch: Path,
    outcome: dict[str, int],
    damaged: set[str],
) -> set[str]:
    """Restate jobs with all actuals of their deployment; those that another commit overtook."""
    joins: dict[str, LabelJoin] = {}
    overtaken: set[str] = set()
    for job in jobs:
        stored = store.logged_profile(job)
        if stored is None:
            overtaken.add(job.id)
            continue
        try:
            profile = from_bytes(stored.data, stored.content_hash)
        except CorruptData as error:
            _tell_damage(job, error, damaged)
            continue
        joins[job.id] = LabelJoin(profile, microseconds(job.until))
    if not joins:
        return overtaken
    with actual_parts(store.storage, files, scratch / "all") as (bits, parts):
        for part in range(1 << bits):
            known = parts(part)
            for job in jobs:
                if job.id in joins:
                    for batch in _batches(store, job, damaged):
                        joins[job.id].update(batch, known, part, bits)
    seen = {(file.job_id, file.token) for file in files}
    for job in jobs:
        join = joins.get(job.id)
        if join is None or job.id in damaged:
            continue
        uses = {files[source].job_id for source in join.sources}
        try:
            outcome[restate(store, job, join.profile, join.finish(), uses, seen)] += 1
        except Superseded:
            overtaken.add(job.id)
        except BatchLocked:  # since it was looked at: locked ones are counted in the next turn, deleted ones are gone
            overtaken.add(job.id)
        except NotFound:
            continue
    return overtaken


def _batches(
    store: MonitoringStore, job: Logged, damaged: set[str], columns: Sequence[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The logged predictions of a job or report; none of one whose log is damaged."""
    if job.id in damaged:
        return
    try:
        for file in job.files:
            yield from store.storage.read_predictions(file, columns)
    except CorruptData as error:
        _tell_damage(job, error, damaged)


def _tell_damage(job: Logged, error: CorruptData, damaged: set[str]) -> None:
    """One job's damage is no reason to keep actuals from the others; running it again heals it."""
    log.warning("Job %s takes no actuals until it runs again: %s", job.id, error)
    damaged.add(job.id)
