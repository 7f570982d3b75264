"""Deployments: made by hand or by their first definition, described and set.

Whoever changes a deployment takes its row's lock first, so that changes happen one after the other.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.deployment import (
    DeploymentSettings,
    changed_settings,
    read_settings,
    settings_payload,
)
from airflow_monitoring_provider.definitions.terms import TargetType
from airflow_monitoring_provider.exceptions import DefinitionError, NotFound
from airflow_monitoring_provider.store import arguments, model_history, texts
from airflow_monitoring_provider.store.deployment_records import DeploymentModel, DeploymentRecord
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.records import Page
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.tables import deployments

STATUSES = ("active", "inactive", "archived")
IMPORTANCES = ("LOW", "MODERATE", "HIGH", "CRITICAL")
"""DataRobot's words for how much a deployment matters."""
ORDERS = {
    "label": (deployments.c.label, deployments.c.id),
    "-label": (deployments.c.label.desc(), deployments.c.id),
    "created": (deployments.c.created_at, deployments.c.id),
    "-created": (deployments.c.created_at.desc(), deployments.c.id),
}
_WORDS = {"status": STATUSES, "importance": IMPORTANCES, "target_type": tuple(str(each) for each in TargetType)}
_FIELDS = ("label", "description", "status", "importance", "target_type", "model_id", "model_version")


def create(
    connection: sa.Connection, deployment_id: str, values: Mapping[str, Any], *, by: str | None, now: dt.datetime
) -> DeploymentRecord:
    """A new deployment. Raises :class:`DefinitionError` where a value is wrong or the id is taken."""
    identity = texts.name(deployment_id, "id")
    given = {name: value for name, value in values.items() if name != "settings"}
    settings = read_settings(values.get("settings") or {})
    row = {"label": identity, "status": "active"} | _checked(given) | _settings_columns(settings)
    who = texts.optional_name(by, "by")
    made = connection.execute(
        insert(connection, deployments)
        .values(id=identity, created_at=now, created_by=who, updated_at=now, **row)
        .on_conflict_do_nothing()
        .returning(deployments.c.id)
    ).first()
    if made is None:
        raise DefinitionError("the id belongs to another deployment; ids are unique", field="id")
    model_history.follow(connection, identity, now)
    note(connection, now, "deployment.created", identity, by=who, deployment_id=identity)
    return one(connection, identity)


def change(
    connection: sa.Connection, deployment_id: str, values: Mapping[str, Any], *, by: str | None, now: dt.datetime
) -> DeploymentRecord:
    """The deployment with what is given; None keeps. Raises :class:`NotFound`, :class:`DefinitionError`."""
    who = texts.optional_name(by, "by")
    hold(connection, deployment_id)
    before = one(connection, deployment_id)
    row = _checked({name: value for name, value in values.items() if name != "settings"})
    if values.get("settings") is not None:
        settings = changed_settings(before.settings, values["settings"])
        if settings != before.settings:
            row |= _settings_columns(settings)
    altered = {name: value for name, value in row.items() if name == "settings" or value != getattr(before, name, None)}
    if not altered:
        return before
    connection.execute(deployments.update().where(deployments.c.id == deployment_id).values(**row, updated_at=now))
    model_history.follow(connection, deployment_id, now)
    told = {name: values[name] for name in altered if name != "batch_monitoring"}
    note(connection, now, "deployment.changed", deployment_id, by=who, deployment_id=deployment_id, **told)
    return one(connection, deployment_id)


def one(connection: sa.Connection, deployment_id: str) -> DeploymentRecord:
    """The deployment with this id; else :class:`NotFound`."""
    arguments.identity(deployment_id, "deployment_id", "deployment")
    row = connection.execute(_select().where(deployments.c.id == deployment_id)).mappings().one_or_none()
    if row is None:
        raise NotFound("no deployment has this id")
    return _record(row)


def many(
    connection: sa.Connection,
    *,
    search: str | None,
    status: str | None,
    batch_monitoring: bool | None,
    order: str,
    limit: int,
    offset: int,
) -> Page[DeploymentRecord]:
    """Deployments whose label or description holds ``search``, or whose id it is."""
    arguments.choice(order, ORDERS, "order")
    conditions: list[sa.ColumnElement[bool]] = []
    if search:
        search = texts.free(search, "search")
        conditions.append(
            sa.or_(
                deployments.c.label.icontains(search, autoescape=True),
                deployments.c.description.icontains(search, autoescape=True),
                deployments.c.id == search,
            )
        )
    if status is not None:
        conditions.append(deployments.c.status == status)
    if batch_monitoring is not None:
        conditions.append(deployments.c.batch_monitoring.is_(batch_monitoring))
    total = connection.execute(sa.select(sa.func.count()).select_from(deployments).where(*conditions)).scalar_one()
    rows = connection.execute(_select().where(*conditions).order_by(*ORDERS[order]).limit(limit).offset(offset))
    return Page(tuple(_record(row) for row in rows.mappings()), total, offset)


def move_model(
    connection: sa.Connection,
    deployment_id: str,
    number: int,
    *,
    start: dt.datetime | None,
    end: dt.datetime | None,
    by: str | None,
    now: dt.datetime,
) -> DeploymentModel:
    """Say when a model was in use; None keeps. Raises :class:`NotFound`, :class:`DefinitionError`."""
    who = texts.optional_name(by, "by")
    arguments.whole(number, "number")
    hold(connection, deployment_id)
    moved = model_history.move(connection, deployment_id, number, start=start, end=end, now=now)
    end_text = None if moved.end_time is None else moved.end_time.isoformat()
    told = {"number": number, "start_time": moved.start_time.isoformat(), "end_time": end_text}
    note(connection, now, "deployment.model_moved", deployment_id, by=who, deployment_id=deployment_id, **told)
    return moved


def hold(connection: sa.Connection, deployment_id: str) -> None:
    """Keep others from changing the deployment, or from making batches, until the transaction ends."""
    arguments.identity(deployment_id, "deployment_id", "deployment")
    found = sa.select(deployments.c.id).where(deployments.c.id == deployment_id)
    found = found.with_for_update(key_share=True)  # jobs and batches may refer to it meanwhile
    if connection.execute(found).first() is None:
        raise NotFound("no deployment has this id")


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = sorted(values.keys() - set(_FIELDS))
    if unknown:
        raise DefinitionError(f"{unknown[0]} is not a member of a deployment", field=unknown[0])
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        if name in _WORDS and value not in _WORDS[name]:
            raise DefinitionError(f"{name} must be one of {', '.join(_WORDS[name])}", field=name)
        checked[name] = texts.free(value, name) if name == "description" else texts.name(value, name)
    return checked


def _settings_columns(settings: DeploymentSettings) -> dict[str, Any]:
    return {"settings": settings_payload(settings), "batch_monitoring": settings.batch_monitoring.enabled}


def _record(row: Mapping[Any, Any]) -> DeploymentRecord:
    # The column counts: queries use it, and stores of earlier versions have it alone.
    switch = {"batchMonitoring": {"enabled": row["batch_monitoring"]}}
    values = {name: value for name, value in row.items() if name != "batch_monitoring"}
    return DeploymentRecord(**values | {"settings": read_settings(row["settings"] | switch)})


def _select() -> sa.Select[Any]:
    names = [field.name for field in dataclasses.fields(DeploymentRecord)]
    return sa.select(*(deployments.c[name] for name in (*names, "batch_monitoring")))
