"""Baselines: made once, frozen with their plan, every version kept.

Unlike a window, a baseline is not taken away from attempts that already compute it: its key says everything it is made
of, so whoever finishes first has made it. The newest claim may always replace what others made since; an older one may
commit only while nothing was committed since it claimed. So :class:`Superseded` always means "there is one: load it".
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import NotFound, Superseded
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.records import Baseline, BaselineClaim, RunInfo
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.tables import baseline_versions, baselines, job_definitions

_RUNNING, _COMPLETED, _FAILED = "running", "completed", "failed"


def claim(
    connection: sa.Connection, definition_id: str, key: str, *, kind: str, run: RunInfo, now: dt.datetime
) -> BaselineClaim:
    """Take part in making the baseline; an existing version stays in use until a new one is committed."""
    attempt = {
        "kind": texts.name(kind, "kind"),
        "state": _RUNNING,
        "reason": None,
        "dag_id": texts.optional_name(run.dag_id, "dag_id"),
        "run_id": texts.optional_name(run.run_id, "run_id"),
        "task_id": texts.optional_name(run.task_id, "task_id"),
        "try_number": run.try_number,
        "map_index": run.map_index,
        "started_at": now,
        "finished_at": None,
    }
    statement = insert(connection, baselines).values(
        definition_id=definition_id, key=texts.name(key, "key"), token=1, version=None, **attempt
    )
    row = connection.execute(
        statement.on_conflict_do_update(
            index_elements=[baselines.c.definition_id, baselines.c.key],
            set_={column: statement.excluded[column] for column in attempt} | {"token": baselines.c.token + 1},
        ).returning(baselines.c.token, baselines.c.version)
    ).one()
    return BaselineClaim(definition_id, key, kind, row.token, row.version)


def commit(
    connection: sa.Connection,
    claim: BaselineClaim,
    *,
    profile_bytes: bytes,
    content_hash: str,
    plan_hash: str,
    plan: Mapping[str, Any],
    format_version: int,
    rows: int,
    window: tuple[dt.datetime | None, dt.datetime | None],
    job_id: str | None,
    details: Mapping[str, Any],
    now: dt.datetime,
) -> int:
    """Make this the baseline in use; its version.

    The same content as the version in use makes no new one, but puts its profile right: that may be damaged.
    """
    known = _complete(connection, claim, now)
    if known is not None and _same_content(connection, claim, known, content_hash, plan_hash):
        _put_right(connection, claim, known, profile_bytes, format_version)
        return known
    version = next_version(connection, claim.definition_id)
    connection.execute(
        baseline_versions.insert().values(
            definition_id=claim.definition_id,
            version=version,
            key=claim.key,
            kind=claim.kind,
            token=claim.token,
            job_id=job_id,
            window_start=window[0],
            window_end=window[1],
            content_hash=texts.name(content_hash, "content_hash"),
            plan_hash=texts.name(plan_hash, "plan_hash"),
            plan=dict(plan),
            format_version=int(format_version),
            rows=int(rows),
            profile=bytes(profile_bytes),
            details=dict(details),
            created_at=now,
        )
    )
    connection.execute(baselines.update().where(_line(claim)).values(version=version))
    note(connection, now, "baseline.committed", claim.definition_id, by=None, deployment_id=None, version=version)
    return version


def fail(connection: sa.Connection, claim: BaselineClaim, reason: str, now: dt.datetime) -> bool:
    """Record why no baseline was made; False where a newer attempt runs or one was committed."""
    changed = connection.execute(
        baselines.update()
        .where(
            baselines.c.definition_id == claim.definition_id,
            baselines.c.key == claim.key,
            baselines.c.token == claim.token,
            baselines.c.state == _RUNNING,
        )
        .values(state=_FAILED, reason=texts.line(reason), finished_at=now)
    ).rowcount
    return bool(changed)


def load(connection: sa.Connection, definition_id: str, key: str, version: int | None) -> Baseline | None:
    """The version in use, or the one asked for; None where there is none."""
    wanted = baselines.c.version if version is None else version
    row = (
        connection.execute(
            sa.select(baseline_versions)
            .join(
                baselines,
                sa.and_(
                    baselines.c.definition_id == baseline_versions.c.definition_id,
                    baselines.c.key == baseline_versions.c.key,
                ),
            )
            .where(
                baseline_versions.c.definition_id == definition_id,
                baseline_versions.c.key == key,
                baseline_versions.c.version == wanted,
            )
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    facts = {name: value for name, value in row.items() if name not in {"profile", "token"}}
    return Baseline(profile_bytes=row["profile"], **facts)


def next_version(connection: sa.Connection, definition_id: str) -> int:
    """Counted on the definition, so that "baseline version 3" alone tells which baseline a job was compared with."""
    version = connection.execute(
        job_definitions.update()
        .where(job_definitions.c.id == definition_id)
        .values(baseline_version=job_definitions.c.baseline_version + 1)
        .returning(job_definitions.c.baseline_version)
    ).scalar_one_or_none()
    if version is None:
        raise NotFound("no definition has this id")
    return int(version)


def _line(claim: BaselineClaim) -> sa.ColumnElement[bool]:
    return sa.and_(baselines.c.definition_id == claim.definition_id, baselines.c.key == claim.key)


def _complete(connection: sa.Connection, claim: BaselineClaim, now: dt.datetime) -> int | None:
    """Mark the baseline as made, if the claim may still make it; the version in use until now."""
    in_use = connection.execute(
        baselines.update()
        .where(
            _line(claim),
            sa.or_(baselines.c.token == claim.token, baselines.c.version.is_not_distinct_from(claim.seen_version)),
        )
        .values(state=_COMPLETED, reason=None, finished_at=now)
        .returning(baselines.c.version)
    ).one_or_none()
    if in_use is None:
        raise Superseded("another attempt made this baseline; load it")
    version: int | None = in_use.version
    return version


def _put_right(
    connection: sa.Connection, claim: BaselineClaim, version: int, profile_bytes: bytes, format_version: int
) -> None:
    connection.execute(
        baseline_versions.update()
        .where(baseline_versions.c.definition_id == claim.definition_id, baseline_versions.c.version == version)
        .values(profile=bytes(profile_bytes), format_version=format_version)
    )


def _same_content(
    connection: sa.Connection, claim: BaselineClaim, version: int, content_hash: str, plan_hash: str
) -> bool:
    known = connection.execute(
        sa.select(baseline_versions.c.content_hash, baseline_versions.c.plan_hash).where(
            baseline_versions.c.definition_id == claim.definition_id, baseline_versions.c.version == version
        )
    ).one()
    return bool(known.content_hash == content_hash and known.plan_hash == plan_hash)
