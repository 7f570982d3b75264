"""Claims: who works on a window, how far it is, and whether it was asked to stop.

The token makes a woken zombie harmless: every write of an attempt is one statement that holds only while the job still
carries the attempt's own token. Run id and try number are recorded and never compared, because scheduled, manual and
backfill runs of one window share one line of tokens.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState, WindowKind
from airflow_monitoring_provider.definitions.window import Window, job_id
from airflow_monitoring_provider.exceptions import BatchLocked, ConfigurationError, NotFound, Superseded
from airflow_monitoring_provider.store import arguments, texts
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.identity import identity as identity_of
from airflow_monitoring_provider.store.records import Claim, DefinitionRecord, RunInfo
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.tables import batches, job_attempts, job_log, jobs

LOST = "a newer attempt owns this window; this attempt stopped without writing"
_LIVE = (JobState.CLAIMED, JobState.RUNNING)
_BATCH_IDS = uuid.UUID("4f1f6a0e-54c3-5c0b-9f44-0f1d3c6a7e21")


def claim(
    connection: sa.Connection,
    definition: DefinitionRecord,
    window: Window,
    *,
    run: RunInfo,
    batch_name: str,
    batch_id: str | None,
    model_id: str | None,
    model_version: str | None,
    environment: str,
    now: dt.datetime,
) -> Claim:
    """Take the window: the token is one more than the last one's, whoever held it.

    Facts of an earlier committed snapshot stay as they are until the new one replaces them, and so does the batch.
    Raises :class:`BatchLocked` where the window's batch takes no more rows; the earlier attempt then keeps the window.
    """
    attempt = {
        "definition_revision": definition.revision,
        "window_kind": window.kind,
        "origin": "script" if run.dag_id is None else "dag",
        "model_id": texts.optional_name(model_id, "modelId"),
        "model_version": texts.optional_name(model_version, "modelVersion"),
        "environment": texts.name(environment, "environment"),
        **run_columns(run),
        **_fresh_columns(now),
    }
    job = job_id(definition.id, window)
    batch = batch_id_of(job) if batch_id is None else batch_id
    row = connection.execute(_upsert(connection, definition, window, job, batch, attempt)).one()
    store = identity_of(connection)
    taken = Claim(
        job_id=job,
        token=row.token,
        definition_id=definition.id,
        revision=definition.revision,
        deployment_id=row.deployment_id,
        batch_id=row.batch_id,
        window=window,
        run=run,
        snapshot_revision=row.snapshot_revision,
        store_id=store.id,
        continues=store.continues,
    )
    begin_attempt(connection, taken, now, f"attempt {taken.token} claimed the window")
    name = texts.name(batch_name, "monitoringBatchPrefix")
    if batch_id is not None:
        _join_batch(connection, taken, batch_id)
    elif taken.batch_id == batch:
        _open_batch(connection, taken, name, now)
    _refuse_closed(connection, taken)
    return taken


def continue_after(connection: sa.Connection, claim: Claim, token: int, now: dt.datetime) -> Claim:
    """The same attempt with a token past one that an output remembers and this store does not.

    The store lost history: it was restored from an older backup, or replaced a lost one. Counting on from what it still
    knows would let the markers of forgotten attempts refuse every new one. Raises :class:`Superseded` where another
    attempt has claimed the window since: then nothing was forgotten.
    """
    moved = dataclasses.replace(claim, token=token + 1)
    changed = connection.execute(
        jobs.update().where(jobs.c.id == claim.job_id, jobs.c.token == claim.token).values(token=moved.token)
    ).rowcount
    if not changed:
        raise Superseded(LOST)
    connection.execute(
        job_attempts.update()
        .where(job_attempts.c.job_id == claim.job_id, job_attempts.c.token == claim.token)
        .values(token=moved.token)
    )
    line = (
        f"The output was written by attempt {token}, which this store does not remember: it was restored from a "
        f"backup, replaces a lost store, or a copy of it writes to the same output. Attempt {claim.token} goes on as "
        f"attempt {moved.token}"
    )
    log(connection, claim.job_id, moved.token, line, now)
    return moved


def confirm(connection: sa.Connection, claim: Claim) -> None:
    """Raise :class:`Superseded` where a newer attempt has claimed the window."""
    abort_requested(connection, claim)


def progress(
    connection: sa.Connection, claim: Claim, *, percent: float, scored: int, failed: int, skipped: int, now: dt.datetime
) -> bool:
    """Report how far the attempt is; whether somebody asked it to stop.

    Raises :class:`BatchLocked` where the batch was locked or deleted since the claim: better now than after hours of
    reading, and before the output is written.
    """
    asked = connection.execute(
        jobs.update()
        .where(jobs.c.id == claim.job_id, jobs.c.token == claim.token)
        .values(
            percent=min(100.0, max(0.0, float(percent))),
            scored_rows=int(scored),
            failed_rows=int(failed),
            skipped_rows=int(skipped),
            progress_at=now,
        )
        .returning(jobs.c.abort_requested)
    ).scalar_one_or_none()
    if asked is None:
        raise Superseded(LOST)
    _refuse_closed(connection, claim)
    return bool(asked)


def log(connection: sa.Connection, job: str, token: int, line: str, now: dt.datetime) -> None:
    """Append a line to the attempt's own log; an attempt that lost its window may still say so."""
    connection.execute(job_log.insert().values(job_id=job, token=token, at=now, line=texts.line(line)))


def abort_requested(connection: sa.Connection, claim: Claim) -> bool:
    """Whether somebody asked this attempt to stop."""
    row = connection.execute(sa.select(jobs.c.token, jobs.c.abort_requested).where(jobs.c.id == claim.job_id)).one()
    if row.token != claim.token:
        raise Superseded(LOST)
    return bool(row.abort_requested)


def request_abort(connection: sa.Connection, job: str, by: str | None, token: int | None, now: dt.datetime) -> bool:
    """Ask the running attempt (with a token: that attempt alone) to stop; False where it is not running."""
    who = None if by is None else texts.name(by, "by")
    row = connection.execute(
        jobs.update()
        .where(jobs.c.id == job, jobs.c.state.in_(_LIVE), sa.true() if token is None else jobs.c.token == token)
        .values(abort_requested=True, abort_requested_by=who)
        .returning(jobs.c.token, jobs.c.deployment_id)
    ).one_or_none()
    if row is None:
        if connection.execute(sa.select(jobs.c.id).where(jobs.c.id == job)).first() is None:
            raise NotFound("no job has this id")
        return False
    log(connection, job, row.token, f"Abort requested by {who or 'nobody in particular'}", now)
    note(connection, now, "job.abort_requested", job, by=who, deployment_id=row.deployment_id, token=row.token)
    return True


def end(connection: sa.Connection, claim: Claim, state: JobState, reason: str, now: dt.datetime) -> bool:
    """Record that the attempt ended without a commit, and why; whether the job itself still was this attempt's.

    The job's row changes only under the attempt's own token; the attempt's own row keeps the reason either way.
    A committed attempt stays completed.
    """
    if state not in {JobState.FAILED, JobState.ABORTED, JobState.SUPERSEDED}:
        raise ValueError("an attempt ends failed, aborted or superseded; commit() completes it")
    why = texts.line(reason)
    owned = connection.execute(
        jobs.update()
        .where(jobs.c.id == claim.job_id, jobs.c.token == claim.token, jobs.c.state.in_(_LIVE))
        .values(state=state, reason=why, finished_at=now, progress_at=now)
    ).rowcount
    lost = job_attempts.c.state == JobState.SUPERSEDED
    ended = connection.execute(
        job_attempts.update()
        .where(
            job_attempts.c.job_id == claim.job_id,
            job_attempts.c.token == claim.token,
            job_attempts.c.state.in_((*_LIVE, JobState.SUPERSEDED)),
        )
        .values(state=sa.case((lost, JobState.SUPERSEDED.value), else_=state.value), reason=why, finished_at=now)
    ).rowcount
    line = f"Job {state.value}: {why}" if ended else f"The commit stands; after it: {why}"
    log(connection, claim.job_id, claim.token, line, now)
    return bool(owned)


def batch_id_of(job: str) -> str:
    """The id of the batch that a job makes: always the same, and not the job's."""
    return uuid.uuid5(_BATCH_IDS, job).hex


def _fresh_columns(now: dt.datetime) -> dict[str, Any]:
    """How every attempt begins, whatever the one before left in the job's line."""
    return {
        "state": JobState.RUNNING,
        "reason": None,
        "percent": 0.0,
        "scored_rows": 0,
        "failed_rows": 0,
        "skipped_rows": 0,
        "abort_requested": False,
        "abort_requested_by": None,
        "started_at": now,
        "progress_at": now,
        "finished_at": None,
    }


def run_columns(run: RunInfo) -> dict[str, Any]:
    """A run as it is recorded."""
    return {
        "dag_id": texts.optional_name(run.dag_id, "dag_id"),
        "run_id": texts.optional_name(run.run_id, "run_id"),
        "task_id": texts.optional_name(run.task_id, "task_id"),
        "try_number": None if run.try_number is None else int(run.try_number),
        "map_index": None if run.map_index is None else int(run.map_index),
    }


def _upsert(
    connection: sa.Connection,
    definition: DefinitionRecord,
    window: Window,
    identity: str,
    batch: str,
    attempt: dict[str, Any],
) -> Any:
    statement = insert(connection, jobs).values(
        id=identity,
        definition_id=definition.id,
        deployment_id=definition.deployment_id,
        batch_id=batch,
        window_key=window.key(),
        window_start=window.start,
        window_end=window.end,
        token=1,
        created_at=attempt["started_at"],
        snapshot_revision=0,
        evaluation_due=False,
        results_deleted=False,
        **attempt,
    )
    newer = {column: statement.excluded[column] for column in attempt}
    # A manual run of a scheduled window is the scheduled job again; it must not fall out of health by that.
    scheduled = sa.or_(jobs.c.window_kind == WindowKind.SCHEDULED, newer["window_kind"] == WindowKind.SCHEDULED)
    newer["window_kind"] = sa.case((scheduled, WindowKind.SCHEDULED.value), else_=WindowKind.AD_HOC.value)
    return statement.on_conflict_do_update(
        index_elements=[jobs.c.id], set_=newer | {"token": jobs.c.token + 1}
    ).returning(jobs.c.token, jobs.c.deployment_id, jobs.c.batch_id, jobs.c.snapshot_revision)


def begin_attempt(connection: sa.Connection, claim: Claim, now: dt.datetime, ends: str) -> None:
    """Record a new attempt; those before it that still run end for the reason given."""
    connection.execute(
        job_attempts.update()
        .where(
            job_attempts.c.job_id == claim.job_id,
            job_attempts.c.token < claim.token,
            job_attempts.c.state.in_(_LIVE),
        )
        .values(state=JobState.SUPERSEDED, reason=ends, finished_at=now)
    )
    connection.execute(
        job_attempts.insert().values(
            job_id=claim.job_id,
            token=claim.token,
            definition_revision=claim.revision,
            state=JobState.RUNNING,
            started_at=now,
            **run_columns(claim.run),
        )
    )


def _open_batch(connection: sa.Connection, claim: Claim, name: str, now: dt.datetime) -> None:
    connection.execute(
        insert(connection, batches)
        .values(
            id=claim.batch_id,
            deployment_id=claim.deployment_id,
            job_id=claim.job_id,
            name=name,
            locked=False,
            predictions=0,
            created_at=now,
            created_by=claim.run.dag_id,
            updated_at=now,
        )
        .on_conflict_do_nothing()
    )


def _join_batch(connection: sa.Connection, claim: Claim, batch_id: str) -> None:
    """Refuse a batch that is not there or not this deployment's, and one that is not the window's own any more."""
    arguments.identity(batch_id, "batch_id", "batch")
    owner = connection.execute(sa.select(batches.c.deployment_id).where(batches.c.id == batch_id)).scalar_one_or_none()
    if owner is None:
        raise NotFound(f"no batch has the id {batch_id}; create it first, or name none: the job then makes its own")
    if owner != claim.deployment_id:
        raise ConfigurationError("the batch belongs to another deployment")
    if claim.batch_id != batch_id:
        raise ConfigurationError(
            f"the rows of this window are in batch {claim.batch_id}, where they stay; name that one or none"
        )


def _refuse_closed(connection: sa.Connection, claim: Claim) -> None:
    batch = connection.execute(
        sa.select(batches.c.locked, batches.c.deleted_at).where(batches.c.id == claim.batch_id)
    ).one()
    if batch.deleted_at is not None:
        raise BatchLocked("the batch of this window was deleted; it takes no more rows")
    if batch.locked:
        raise BatchLocked("the batch of this window is locked; unlock it to run the window again")
