"""Evaluations: statuses, monitor states and alerts of one snapshot, recorded together and as often as one likes.

Everything is conditional on the snapshot's revision: an evaluation of values that were replaced meanwhile writes
nothing. The same evaluation twice leaves the same rows; its alerts exist once, by their keys.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Protocol

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ResultStatus, WindowKind
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import BatchLocked, NotFound, Superseded
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.commits import value_rows
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.evaluation_records import Alert, MonitorTransition, PendingEvaluation, Verdict
from airflow_monitoring_provider.store.tables import (
    ALL_ROWS,
    MADE_BY_EVALUATION,
    alerts,
    jobs,
    metrics,
    monitor_states,
    monitors,
    snapshots,
)
from airflow_monitoring_provider.store.types import finite, storable

DELETED = "the batch of this job was deleted, and its results with it"


class ModelVerdict(Verdict, Protocol):
    """A value that an evaluation makes of the job's others, and its status."""

    @property
    def metric(self) -> MetricValue: ...


def pending(connection: sa.Connection, job: str) -> PendingEvaluation | None:
    """The committed snapshot of a job, to be evaluated; None where there is none.

    Raises :class:`BatchLocked` where it was deleted with its batch.
    """
    row = connection.execute(sa.select(jobs).where(jobs.c.id == job)).one_or_none()
    if row is None:
        raise NotFound("no job has this id")
    if row.results_deleted:
        raise BatchLocked(DELETED)
    if row.snapshot_revision == 0:
        return None
    return PendingEvaluation(
        job_id=job,
        snapshot_revision=row.snapshot_revision,
        definition_id=row.definition_id,
        definition_revision=row.definition_revision,
        deployment_id=row.deployment_id,
        batch_id=row.batch_id,
        window=Window.of(row.window_start, row.window_end, WindowKind(row.window_kind)),
        due=row.evaluation_due,
    )


def record(
    connection: sa.Connection,
    job: str,
    snapshot_revision: int,
    results: Sequence[Verdict],
    overall: ResultStatus,
    transitions: Sequence[MonitorTransition],
    news: Sequence[Alert],
    now: dt.datetime,
    of_model: Sequence[ModelVerdict] = (),
) -> int:
    """Write the evaluation; how many of its alerts are new.

    Statuses of an earlier evaluation are overwritten. A monitor's state is not overwritten by an older window's. A
    definition's monitors that have no transition any more (it watches other columns, or has other thresholds) are
    retired, until they have one again.
    Raises :class:`Superseded` where the job has another snapshot by now, :class:`BatchLocked` where its batch was
    deleted, :class:`NotFound` for a result that names no value of the job.
    """
    row = connection.execute(
        jobs.update()
        .where(
            jobs.c.id == job,
            jobs.c.snapshot_revision == snapshot_revision,
            jobs.c.snapshot_revision > 0,
            jobs.c.results_deleted.is_(False),
        )
        .values(evaluation_due=False, evaluated_at=now, overall_status=overall.text)
        .returning(jobs.c.definition_id, jobs.c.deployment_id, jobs.c.window_start)
    ).one_or_none()
    if row is None:
        raise _refusal(connection, job)
    _write_statuses(connection, job, results, now)
    _write_model_values(connection, job, of_model, now)
    facts = {"deployment_id": row.deployment_id, "definition_id": row.definition_id}
    # In one order, so that two jobs of a definition that are evaluated at once cannot wait for each other.
    ordered = sorted(transitions, key=lambda transition: transition.monitor_id)
    if ordered:
        _write_monitors(connection, [_monitor_row(transition, facts, now) for transition in ordered], row.window_start)
        found = {"since": row.window_start, "window_start": row.window_start}
        found |= {"job_id": job, "snapshot_revision": snapshot_revision, "updated_at": now}
        _write_states(connection, [_state_row(transition) | found for transition in ordered])
        _retire_others(connection, row.definition_id, ordered, found, now)
    return sum(_add_alert(connection, alert, job, facts, now) for alert in news)


def _refusal(connection: sa.Connection, job: str) -> Superseded | BatchLocked | NotFound:
    known = connection.execute(
        sa.select(jobs.c.snapshot_revision, jobs.c.results_deleted).where(jobs.c.id == job)
    ).one_or_none()
    if known is None:
        return NotFound("no job has this id")
    if known.results_deleted:
        return BatchLocked(DELETED)
    return Superseded("the job has another snapshot than the one that was evaluated; evaluate that one")


def _write_statuses(connection: sa.Connection, job: str, results: Sequence[Verdict], now: dt.datetime) -> None:
    where = sa.select(metrics.c.position, metrics.c.name, metrics.c.column_name, metrics.c.segment_id)
    positions = {
        (name, column, segment): position
        for position, name, column, segment in connection.execute(where.where(metrics.c.job_id == job))
    }
    cleared = dict.fromkeys(("status", "status_reason", "warning", "critical"))
    connection.execute(metrics.update().where(metrics.c.job_id == job).values(**cleared, evaluated_at=now))
    rows = []
    for result in results:
        position = positions.get((result.name, texts.column(result.column), storable(result.segment or ALL_ROWS)))
        if position is None:
            raise NotFound(f"the job has no value of metric {result.name} for the column and segment of this result")
        rows.append(
            {
                "at_position": position,
                "status": result.status.text,
                "status_reason": texts.optional_name(result.reason, "reason"),
                "warning": _limit(result.warning, result.name),
                "critical": _limit(result.critical, result.name),
            }
        )
    if rows:
        columns = ("status", "status_reason", "warning", "critical")
        connection.execute(
            metrics.update()
            .where(metrics.c.job_id == job, metrics.c.position == sa.bindparam("at_position"))
            .values({column: sa.bindparam(column) for column in columns}),
            rows,
        )


def _write_model_values(
    connection: sa.Connection, job: str, verdicts: Sequence[ModelVerdict], now: dt.datetime
) -> None:
    """Replace the values that evaluations make; what they share with the job's other rows is taken from a snapshot."""
    connection.execute(metrics.delete().where(metrics.c.job_id == job, metrics.c.position >= MADE_BY_EVALUATION))
    if not verdicts:
        return
    of_job = ("definition_id", "deployment_id", "window_start", "window_end", "window_kind", "snapshot_revision")
    facts = connection.execute(
        sa.select(*(jobs.c[name] for name in of_job), snapshots.c.model_id, snapshots.c.environment)
        .join(snapshots, snapshots.c.job_id == jobs.c.id)
        .where(jobs.c.id == job)
    ).one()
    shared = dict(facts._mapping) | {"job_id": job}
    rows = []
    for place, (row, verdict) in enumerate(zip(value_rows([v.metric for v in verdicts]), verdicts, strict=True)):
        judged = {
            "position": MADE_BY_EVALUATION + place,
            "status": verdict.status.text,
            "status_reason": texts.optional_name(verdict.reason, "reason"),
            "warning": _limit(verdict.warning, verdict.name),
            "critical": _limit(verdict.critical, verdict.name),
            "evaluated_at": now,
        }
        rows.append(shared | row | judged)
    connection.execute(metrics.insert(), rows)


def _write_monitors(connection: sa.Connection, rows: list[dict[str, Any]], window_start: dt.datetime) -> None:
    statement = insert(connection, monitors)
    newer = sa.exists().where(
        monitor_states.c.monitor_id == monitors.c.id, monitor_states.c.window_start > window_start
    )
    changes: dict[str, Any] = {column: statement.excluded[column] for column in ("warning", "critical", "updated_at")}
    changes["deleted_at"] = sa.case((newer, monitors.c.deleted_at), else_=sa.null())
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[monitors.c.id], set_=changes, where=monitors.c.origin == "definition"
        ),
        rows,
    )


def _retire_others(
    connection: sa.Connection,
    definition_id: str,
    evaluated: Sequence[MonitorTransition],
    found: dict[str, Any],
    now: dt.datetime,
) -> None:
    """Retire the definition's monitors that were not evaluated, unless a newer window did."""
    theirs = (
        sa.select(monitor_states.c.monitor_id)
        .join(monitors, monitors.c.id == monitor_states.c.monitor_id)
        .where(
            monitors.c.definition_id == definition_id,
            monitors.c.origin == "definition",
            monitors.c.deleted_at.is_(None),
            monitor_states.c.window_start <= found["window_start"],
        )
    )
    kept = {texts.monitor(transition.monitor_id) for transition in evaluated}
    gone = sorted(monitor_id for (monitor_id,) in connection.execute(theirs) if monitor_id not in kept)
    if not gone:
        return
    rows = [{"gone": monitor_id} for monitor_id in gone]
    connection.execute(
        monitors.update().where(monitors.c.id == sa.bindparam("gone")).values(deleted_at=now, updated_at=now), rows
    )
    # With the window that retired it, an older one that is evaluated again later does not bring it back.
    state = {"window_start": found["window_start"], "updated_at": now}
    connection.execute(
        monitor_states.update().where(monitor_states.c.monitor_id == sa.bindparam("gone")).values(**state), rows
    )


def _write_states(connection: sa.Connection, rows: list[dict[str, Any]]) -> None:
    statement = insert(connection, monitor_states)
    same = monitor_states.c.status == statement.excluded.status
    replaced = {column: statement.excluded[column] for column in rows[0] if column != "monitor_id"} | {
        "since": sa.case((same, monitor_states.c.since), else_=statement.excluded.since),
        # An evaluation that is repeated finds its own status; what was before it must not be forgotten by that.
        "previous_status": sa.case((same, monitor_states.c.previous_status), else_=monitor_states.c.status),
    }
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[monitor_states.c.monitor_id],
            set_=replaced,
            where=monitor_states.c.window_start <= statement.excluded.window_start,
        ),
        rows,
    )


def _monitor_row(transition: MonitorTransition, facts: dict[str, Any], now: dt.datetime) -> dict[str, Any]:
    return facts | {
        "id": texts.monitor(transition.monitor_id),
        "origin": "definition",
        "name": texts.line(transition.name or transition.monitor_id),
        "metric": texts.name(transition.metric, "metric"),
        "column_name": texts.column(transition.column),
        "segment_id": ALL_ROWS if transition.segment is None else storable(transition.segment),
        "warning": _limit(transition.warning, transition.metric),
        "critical": _limit(transition.critical, transition.metric),
        "enabled": True,
        "settings": {},
        "created_at": now,
        "updated_at": now,
    }


def _state_row(transition: MonitorTransition) -> dict[str, Any]:
    return {
        "monitor_id": texts.monitor(transition.monitor_id),
        "status": transition.status.text,
        "previous_status": None if transition.previous is None else transition.previous.text,
        "reason": texts.optional_name(transition.reason, "reason"),
        "value": _limit(transition.value, transition.metric),
        "details": dict(transition.details),
    }


def _add_alert(connection: sa.Connection, alert: Alert, job: str, facts: dict[str, Any], now: dt.datetime) -> int:
    statement = insert(connection, alerts).values(
        key=texts.name(alert.key, "key"),
        job_id=job,
        monitor_id=None if alert.monitor_id is None else texts.monitor(alert.monitor_id),
        status=alert.status.text,
        title=texts.line(alert.title),
        payload=dict(alert.payload),
        state="pending",
        attempts=0,
        created_at=now,
        **facts,
    )
    return len(connection.execute(statement.on_conflict_do_nothing().returning(alerts.c.key)).all())


def _limit(value: float | None, metric: str) -> float | None:
    return None if value is None else finite(value, f"a limit of metric {metric}")
