"""The parts of a job that several tasks run together: how the window was cut, who is how far, and what was staged.

A **cut** is the token of the claim that cut the window; parts are known by it. Whatever a part writes holds only while
the job carries the token that its cut holds and is not committed, so a part of an older claim cannot touch a newer
one's. Each run of the task that merges takes a token of its own (:func:`take`), past that of the parts and of its own
earlier runs: whichever of them wakes up late is refused by the output and the store, as a late attempt is.

A part that fails ends the job as failed, as any attempt does; when Airflow runs it again the job goes on.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState, WindowKind
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import JobAborted, NotFound, Superseded
from airflow_monitoring_provider.store import claims, texts
from airflow_monitoring_provider.store.identity import identity
from airflow_monitoring_provider.store.part_records import PartRecord, StagedFile
from airflow_monitoring_provider.store.records import Claim, RunInfo
from airflow_monitoring_provider.store.tables import job_attempts, jobs, part_plans, parts

WAITING, RUNNING, STAGED, FAILED = "waiting", "running", "staged", "failed"
_RUNS: dict[str, Any] = {"state": JobState.RUNNING, "reason": None, "finished_at": None}
_OPEN = (JobState.CLAIMED, JobState.RUNNING, JobState.FAILED)


def cut(connection: sa.Connection, claim: Claim, count: int, plan: bytes, reference: bytes, now: dt.datetime) -> None:
    """Remember how the attempt cut its window. Raises :class:`Superseded`."""
    _hold(connection, claim, now)
    of = {"job_id": claim.job_id, "token": claim.token}
    connection.execute(
        part_plans.insert().values(
            **of, held_by=claim.token, parts=count, plan=plan, reference=reference, created_at=now
        )
    )
    blank = {"state": WAITING, "scored_rows": 0, "failed_rows": 0, "progress_at": now}
    connection.execute(parts.insert(), [of | blank | {"part": part} for part in range(count)])


def held(connection: sa.Connection, job: str, cut: int) -> Claim:
    """The claim that a task of the cut goes on with.

    Raises :class:`NotFound`, :class:`Superseded` where a newer attempt has the window, and :class:`JobAborted`.
    """
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job)).one_or_none()
    if row is None:
        raise NotFound("no job has this id")
    token = connection.execute(
        sa.select(part_plans.c.held_by).where(part_plans.c.job_id == job, part_plans.c.token == cut)
    ).scalar_one_or_none()
    if token != row.token:
        raise Superseded(claims.LOST)
    if row.state == JobState.ABORTED:
        raise JobAborted("the job was ended; clear the whole task group to run its window again")
    store = identity(connection)
    return Claim(
        job_id=job,
        token=row.token,
        definition_id=row.definition_id,
        revision=row.definition_revision,
        deployment_id=row.deployment_id,
        batch_id=row.batch_id,
        window=Window.of(row.window_start, row.window_end, WindowKind(row.window_kind)),
        run=RunInfo(row.dag_id, row.run_id, row.task_id, row.try_number, row.map_index),
        snapshot_revision=row.snapshot_revision,
        store_id=store.id,
        continues=store.continues,
    )


def take(connection: sa.Connection, claim: Claim, cut: int, run: RunInfo, now: dt.datetime) -> Claim:
    """The claim with a token past the one that the cut holds: a run of the task that merges, an attempt of its own.

    Raises :class:`Superseded`, :class:`JobAborted`.
    """
    _hold(connection, claim, now)
    moved = dataclasses.replace(claim, token=claim.token + 1, run=run)
    connection.execute(
        jobs.update().where(jobs.c.id == claim.job_id).values(token=moved.token, **_RUNS, **claims.run_columns(run))
    )
    connection.execute(
        part_plans.update()
        .where(part_plans.c.job_id == claim.job_id, part_plans.c.token == cut)
        .values(held_by=moved.token)
    )
    claims.begin_attempt(connection, moved, now, f"attempt {moved.token} merges its parts")
    return moved


def resume(connection: sa.Connection, claim: Claim, cut: int, part: int, now: dt.datetime) -> None:
    """A part begins (again): the job runs, also where a part of it had failed.

    Raises :class:`Superseded`, :class:`JobAborted`.
    """
    _hold(connection, claim, now)
    failed = (jobs.c.id == claim.job_id, jobs.c.state == JobState.FAILED)
    if claim.token != cut and not connection.execute(sa.select(jobs.c.id).where(*failed)).scalar():
        raise Superseded("the parts of this job are being merged; clear the whole task group to read them again")
    connection.execute(jobs.update().where(*failed).values(**_RUNS))
    of = (job_attempts.c.job_id == claim.job_id, job_attempts.c.token == claim.token)
    connection.execute(job_attempts.update().where(*of, job_attempts.c.state == JobState.FAILED).values(**_RUNS))
    blank = {"reason": None, "scored_rows": 0, "failed_rows": 0, "progress_at": now}
    _change(connection, claim, cut, part, state=RUNNING, **blank)


def report(
    connection: sa.Connection,
    claim: Claim,
    cut: int,
    part: int,
    *,
    scored: int,
    failed: int,
    expected: int | None,
    span: tuple[float, float],
    now: dt.datetime,
) -> bool:
    """Say how far a part is; the job's numbers are those of all parts. Whether somebody asked the job to stop.

    :param expected: rows of the whole job, None when unknown.
    :param span: percentages of the job at which its parts begin and end.
    """
    _hold(connection, claim, now)
    _change(connection, claim, cut, part, scored_rows=int(scored), failed_rows=int(failed), progress_at=now)
    every = connection.execute(
        sa.select(parts.c.state, parts.c.scored_rows, parts.c.failed_rows).where(*_of(claim, cut))
    ).all()
    all_scored, all_failed = sum(row.scored_rows for row in every), sum(row.failed_rows for row in every)
    share = sum(row.state == STAGED for row in every) / max(1, len(every))
    if expected:
        share = max(share, min(1.0, (all_scored + all_failed) / expected))
    percent = round(span[0] + (span[1] - span[0]) * share, 1)
    return claims.progress(connection, claim, percent=percent, scored=all_scored, failed=all_failed, skipped=0, now=now)


def stage(connection: sa.Connection, claim: Claim, cut: int, part: int, file: StagedFile, now: dt.datetime) -> None:
    """A part is whole. Raises :class:`Superseded`, :class:`JobAborted`."""
    _hold(connection, claim, now)
    found = {"path": file.path, "bytes": file.bytes, "index_bytes": file.index_bytes, "sha256": file.sha256}
    mine = (*_of(claim, cut), parts.c.part == part)
    staged = connection.execute(
        parts.update()
        .where(*mine, sa.or_(parts.c.state != STAGED, parts.c.path == file.path))
        .values(state=STAGED, reason=None, progress_at=now, **found)
    ).rowcount
    if not staged:
        raise Superseded(f"another try of part {part} has staged it meanwhile; this one's rows are not used")
    _settle(connection, claim, cut, now)


def fail(
    connection: sa.Connection,
    claim: Claim,
    cut: int,
    part: int | None,
    state: JobState,
    reason: str,
    now: dt.datetime,
) -> None:
    """A task of the cut ended without having done its work, and the job with it, unless another try of it has."""
    if part is not None:
        ended = connection.execute(
            parts.update()
            .where(*_of(claim, cut), parts.c.part == part, parts.c.state != STAGED)
            .values(state=FAILED, reason=texts.line(reason), progress_at=now)
        ).rowcount
        if not ended:
            return
    claims.end(connection, claim, state, reason, now)


def plan(connection: sa.Connection, job: str, cut: int) -> bytes:
    """How the window was cut. Raises :class:`Superseded` where that is over."""
    return _kept(connection, part_plans.c.plan, job, cut)


def reference(connection: sa.Connection, job: str, cut: int) -> bytes:
    """The profile that the job is compared with; empty where there is none. Raises :class:`Superseded`."""
    return _kept(connection, part_plans.c.reference, job, cut)


def all_of(connection: sa.Connection, job: str, cut: int) -> tuple[PartRecord, ...]:
    """The parts of a cut in order; none of a committed one."""
    rows = connection.execute(
        sa.select(parts).where(parts.c.job_id == job, parts.c.token == cut).order_by(parts.c.part)
    )
    return tuple(
        PartRecord(
            part=row.part,
            state=row.state,
            reason=row.reason,
            scored=row.scored_rows,
            failed=row.failed_rows,
            file=None if row.path is None else StagedFile(row.path, row.bytes, row.index_bytes, row.sha256),
        )
        for row in rows
    )


def forget(connection: sa.Connection, job: str) -> bool:
    """Remove what attempts at a job cut and staged, before the next one begins; whether there was anything."""
    connection.execute(parts.delete().where(parts.c.job_id == job))
    return bool(connection.execute(part_plans.delete().where(part_plans.c.job_id == job)).rowcount)


def clear(connection: sa.Connection, job: str) -> bool:
    """The job is committed: what remains is who did it, for tasks that run again. Whether there were parts."""
    connection.execute(parts.delete().where(parts.c.job_id == job))
    return bool(
        connection.execute(
            part_plans.update().where(part_plans.c.job_id == job).values(plan=b"", reference=b"")
        ).rowcount
    )


def _of(claim: Claim, cut: int) -> tuple[sa.ColumnElement[bool], ...]:
    return parts.c.job_id == claim.job_id, parts.c.token == cut


def _kept(connection: sa.Connection, column: sa.Column[bytes], job: str, cut: int) -> bytes:
    found = connection.execute(
        sa.select(column).where(part_plans.c.job_id == job, part_plans.c.token == cut, part_plans.c.plan != b"")
    ).scalar_one_or_none()
    if found is None:
        raise Superseded(claims.LOST)  # or another run of the same task has committed meanwhile
    return bytes(found)


def _hold(connection: sa.Connection, claim: Claim, now: dt.datetime) -> None:
    """Take the job's lock, while the claim may still write. It comes first, so that tasks cannot wait crosswise."""
    taken = connection.execute(
        jobs.update()
        .where(jobs.c.id == claim.job_id, jobs.c.token == claim.token, jobs.c.state.in_(_OPEN))
        .values(progress_at=now)
    ).rowcount
    if taken:
        return
    state = connection.execute(
        sa.select(jobs.c.state).where(jobs.c.id == claim.job_id, jobs.c.token == claim.token)
    ).scalar_one_or_none()
    if state is None:
        raise Superseded(claims.LOST)
    raise JobAborted(f"the job is {state}; clear the whole task group to run its window again")


def _change(connection: sa.Connection, claim: Claim, cut: int, part: int, **values: Any) -> None:
    changed = connection.execute(parts.update().where(*_of(claim, cut), parts.c.part == part).values(**values)).rowcount
    if not changed:
        raise NotFound(f"the attempt has no part {part}")


def _settle(connection: sa.Connection, claim: Claim, cut: int, now: dt.datetime) -> None:
    """The last part to end leaves the job failed where another one is."""
    states = connection.execute(
        sa.select(parts.c.state, parts.c.reason).where(*_of(claim, cut)).order_by(parts.c.part)
    ).all()
    failed = next((row.reason for row in states if row.state == FAILED), None)
    if failed is not None and not any(row.state in (WAITING, RUNNING) for row in states):
        claims.end(connection, claim, JobState.FAILED, failed, now)
