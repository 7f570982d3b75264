"""The models that a deployment had in use, and when: one at a time, in the order in which they were put in use."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import DefinitionError, NotFound
from airflow_monitoring_provider.store.deployment_records import DeploymentModel
from airflow_monitoring_provider.store.tables import deployment_models, deployments
from airflow_monitoring_provider.store.types import in_utc


def all_of(connection: sa.Connection, deployment_id: str) -> tuple[DeploymentModel, ...]:
    """Newest first."""
    columns = [deployment_models.c[field.name] for field in dataclasses.fields(DeploymentModel)]
    rows = connection.execute(
        sa.select(*columns)
        .where(deployment_models.c.deployment_id == deployment_id)
        .order_by(deployment_models.c.number.desc())
    )
    return tuple(DeploymentModel(**row) for row in rows.mappings())


def follow(connection: sa.Connection, deployment_id: str, now: dt.datetime) -> None:
    """Where the model in use is not the history's last, that one ends and another begins."""
    held = connection.execute(
        sa.select(deployments.c.model_id, deployments.c.model_version)
        .where(deployments.c.id == deployment_id)
        .with_for_update(key_share=True)
    ).one()
    last = next(iter(all_of(connection, deployment_id)), None)
    if held.model_id is None or (last is not None and (last.model_id, last.model_version) == tuple(held)):
        return
    number, start = 1, now
    if last is not None:
        number, start = last.number + 1, max(now, last.start_time, last.end_time or last.start_time)
        connection.execute(
            deployment_models.update()
            .where(
                deployment_models.c.deployment_id == deployment_id,
                deployment_models.c.number == last.number,
                deployment_models.c.end_time.is_(None),
            )
            .values(end_time=start, updated_at=now)
        )
    connection.execute(
        deployment_models.insert().values(
            deployment_id=deployment_id,
            number=number,
            model_id=held.model_id,
            model_version=held.model_version,
            start_time=start,
            created_at=now,
            updated_at=now,
        )
    )


def move(
    connection: sa.Connection,
    deployment_id: str,
    number: int,
    *,
    start: dt.datetime | None,
    end: dt.datetime | None,
    now: dt.datetime,
) -> DeploymentModel:
    """Say when a model was in use; None keeps. Raises :class:`NotFound`, :class:`DefinitionError`."""
    entries = {entry.number: entry for entry in all_of(connection, deployment_id)}
    if number not in entries:
        raise NotFound("the deployment's model history has no such entry")
    before = entries.pop(number)
    moved = dataclasses.replace(
        before,
        start_time=before.start_time if start is None else in_utc(start),
        end_time=before.end_time if end is None else in_utc(end),
        updated_at=now,
    )
    _require_order(moved, entries)
    connection.execute(
        deployment_models.update()
        .where(deployment_models.c.deployment_id == deployment_id, deployment_models.c.number == number)
        .values(start_time=moved.start_time, end_time=moved.end_time, updated_at=now)
    )
    return moved


def _require_order(moved: DeploymentModel, others: Mapping[int, DeploymentModel]) -> None:
    """One model at a time: an entry may leave a gap to its neighbours, but not reach into them."""
    end, last = moved.end_time, max(others, default=0) < moved.number
    if end is None and not last:
        raise DefinitionError("endTime is required: a later model follows", field="endTime")
    if end is not None and end < moved.start_time:
        raise DefinitionError("endTime lies before startTime", field="endTime")
    earlier, later = others.get(moved.number - 1), others.get(moved.number + 1)
    if earlier is not None and earlier.end_time is not None and earlier.end_time > moved.start_time:
        raise DefinitionError(
            f"startTime lies in the time of model {earlier.model_id}; move that one's endTime first", field="startTime"
        )
    if later is not None and end is not None and end > later.start_time:
        raise DefinitionError(
            f"endTime lies in the time of model {later.model_id}; move that one's startTime first", field="endTime"
        )
