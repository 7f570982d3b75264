"""The outbox of alerts, and where monitors stand."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.evaluation_records import AlertRecord, MonitorStateRecord
from airflow_monitoring_provider.store.tables import ALL_ROWS, alerts, monitor_states, monitors

PENDING, DELIVERED = "pending", "delivered"


def pending(connection: sa.Connection, *, job_id: str | None, limit: int) -> tuple[AlertRecord, ...]:
    """Alerts that nobody has been told yet, oldest first."""
    conditions = [alerts.c.state == PENDING]
    if job_id is not None:
        conditions.append(alerts.c.job_id == job_id)
    rows = connection.execute(
        sa.select(alerts).where(*conditions).order_by(alerts.c.created_at, alerts.c.key).limit(limit)
    )
    return tuple(_alert(row._mapping) for row in rows)


def delivered(connection: sa.Connection, key: str, now: dt.datetime) -> None:
    """Record that the alert arrived; a second time changes nothing."""
    _require(connection, key)
    connection.execute(
        alerts.update()
        .where(alerts.c.key == key, alerts.c.state == PENDING)
        .values(state=DELIVERED, delivered_at=now, attempts=alerts.c.attempts + 1, last_error=None)
    )


def failed(connection: sa.Connection, key: str, reason: str) -> None:
    """Record that a delivery did not work; the alert stays pending."""
    _require(connection, key)
    connection.execute(
        alerts.update()
        .where(alerts.c.key == key, alerts.c.state == PENDING)
        .values(attempts=alerts.c.attempts + 1, last_error=texts.line(reason))
    )


def states(connection: sa.Connection, definition_id: str) -> tuple[MonitorStateRecord, ...]:
    """Where the monitors of a definition stand, by monitor id."""
    rows = connection.execute(
        sa.select(monitor_states, monitors.c.metric, monitors.c.column_name, monitors.c.segment_id)
        .join(monitors, monitors.c.id == monitor_states.c.monitor_id)
        .where(monitors.c.definition_id == definition_id, monitors.c.deleted_at.is_(None))
        .order_by(monitors.c.id)
    )
    return tuple(_state(row._mapping) for row in rows)


def _require(connection: sa.Connection, key: str) -> None:
    if connection.execute(sa.select(alerts.c.key).where(alerts.c.key == key)).first() is None:
        raise NotFound("no alert has this key")


def _alert(row: Any) -> AlertRecord:
    return AlertRecord(
        key=row["key"],
        deployment_id=row["deployment_id"],
        definition_id=row["definition_id"],
        job_id=row["job_id"],
        monitor_id=row["monitor_id"],
        status=ResultStatus[row["status"].upper()],
        title=row["title"],
        payload=row["payload"],
        delivered=row["state"] == DELIVERED,
        attempts=row["attempts"],
        last_error=row["last_error"],
        created_at=row["created_at"],
        delivered_at=row["delivered_at"],
    )


def _state(row: Any) -> MonitorStateRecord:
    previous = row["previous_status"]
    return MonitorStateRecord(
        monitor_id=row["monitor_id"],
        metric=row["metric"],
        column=row["column_name"],
        segment=None if row["segment_id"] == ALL_ROWS else row["segment_id"],
        status=ResultStatus[row["status"].upper()],
        previous=None if previous is None else ResultStatus[previous.upper()],
        reason=row["reason"],
        value=row["value"],
        since=row["since"],
        window_start=row["window_start"],
        job_id=row["job_id"],
        snapshot_revision=row["snapshot_revision"],
        details=row["details"],
    )
