"""Definitions: registered once per content, with every content they ever had."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.custom import CustomMetric
from airflow_monitoring_provider.exceptions import DefinitionError, NotFound
from airflow_monitoring_provider.store import arguments, custom, model_history, texts
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.records import DefinitionRecord, Page
from airflow_monitoring_provider.store.tables import audit, definition_revisions, deployments, job_definitions

FORMAT_VERSION = 1
"""Version of the payload's format, kept with every revision."""


@dataclasses.dataclass(frozen=True, slots=True)
class Registration:
    """What is registered: names already checked, ``payload`` JSON-ready, ``digest`` of the content."""

    id: str
    name: str
    deployment_id: str
    enabled: bool
    digest: str
    payload: dict[str, Any]
    target_type: str | None
    model_id: str | None
    model_version: str | None
    origin: str
    dag_id: str | None
    by: str | None
    custom_metrics: Mapping[str, CustomMetric] = dataclasses.field(default_factory=dict)


class NameTaken(Exception):
    """The database refused a definition because of a unique key; a second look tells which."""


def checked(registration: Registration) -> Registration:
    """Refuse what no database can hold, naming the field."""
    texts.name(registration.id, "id")
    texts.name(registration.name, "name")
    texts.name(registration.deployment_id, "deploymentId")
    texts.optional_name(registration.model_id, "modelId")
    texts.optional_name(registration.model_version, "modelVersion")
    texts.optional_name(registration.dag_id, "dag_id")
    texts.optional_name(registration.by, "by")
    if registration.origin not in {"dag", "api"}:
        raise DefinitionError("origin must be 'dag' or 'api'", field="origin")
    for name, metric in registration.custom_metrics.items() if registration.origin == "api" else ():
        if metric.source != "reported":  # who may call the API may not run code on workers or in the intake's database
            raise DefinitionError(
                f"customMetrics.{name}: sql and function are taken from definitions of DAGs only; report its values",
                field=f"customMetrics.{name}",
            )
    return registration


def unchanged(connection: sa.Connection, registration: Registration) -> DefinitionRecord | None:
    """The stored definition where registering would change nothing."""
    found = _find(connection, job_definitions.c.id == registration.id)
    if found is None or found.deleted_at is not None or found.digest != registration.digest:
        return None
    same_place = found.origin == registration.origin and registration.dag_id in {None, found.dag_id}
    return found if same_place and found.deployment_id == registration.deployment_id else None


def register(connection: sa.Connection, registration: Registration, now: dt.datetime) -> DefinitionRecord:
    """Write what is new of a definition: its deployment, itself, a revision, and who changed it.

    Raises :class:`DefinitionError` where the name or the id belongs to somebody else.
    """
    _require_free(connection, registration)
    _add_deployment(connection, registration, now)
    try:
        revision = connection.execute(_upsert(connection, registration, now)).scalar_one_or_none()
    except sa.exc.IntegrityError:
        raise NameTaken from None
    if revision is None:
        _move(connection, registration, now)
    else:
        _add_revision(connection, registration, revision, now)
        _describe_deployment(connection, registration, now)
        custom.describe(
            connection,
            registration.deployment_id,
            registration.custom_metrics,
            definition_id=registration.id,
            by=registration.by,
            now=now,
        )
    return one(connection, registration.id)


def one(connection: sa.Connection, id_or_name: str) -> DefinitionRecord:
    """The definition with this id, else the one that is not deleted with this name; else :class:`NotFound`."""
    arguments.identity(id_or_name, "id_or_name", "definition")
    found = _find(connection, job_definitions.c.id == id_or_name) or _find(
        connection, sa.and_(job_definitions.c.name == id_or_name, job_definitions.c.deleted_at.is_(None))
    )
    if found is None:
        raise NotFound("no definition has this id or name")
    return found


def payload(connection: sa.Connection, definition_id: str, revision: int) -> dict[str, Any]:
    """The content of a revision, as it was registered."""
    found = connection.execute(
        sa.select(definition_revisions.c.payload).where(
            definition_revisions.c.definition_id == definition_id, definition_revisions.c.revision == revision
        )
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"the definition has no revision {revision}")
    content: dict[str, Any] = found
    return content


def many(
    connection: sa.Connection, *, deployment_id: str | None, deleted: bool, limit: int, offset: int
) -> Page[DefinitionRecord]:
    """Definitions by name."""
    conditions: list[sa.ColumnElement[bool]] = [] if deleted else [job_definitions.c.deleted_at.is_(None)]
    if deployment_id is not None:
        conditions.append(job_definitions.c.deployment_id == deployment_id)
    total = connection.execute(sa.select(sa.func.count()).select_from(job_definitions).where(*conditions)).scalar_one()
    order = (job_definitions.c.name, job_definitions.c.id)
    rows = connection.execute(_select().where(*conditions).order_by(*order).limit(limit).offset(offset))
    return Page(tuple(DefinitionRecord(**row) for row in rows.mappings()), total, offset)


def note(
    connection: sa.Connection,
    now: dt.datetime,
    action: str,
    entity_id: str,
    *,
    by: str | None,
    deployment_id: str | None,
    **details: Any,
) -> None:
    """Append to the audit."""
    connection.execute(
        audit.insert().values(
            at=now, actor=by, action=action, entity_id=entity_id, deployment_id=deployment_id, details=details
        )
    )


def _select() -> sa.Select[Any]:
    return sa.select(*(job_definitions.c[field.name] for field in dataclasses.fields(DefinitionRecord)))


def _find(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> DefinitionRecord | None:
    row = connection.execute(_select().where(condition)).mappings().one_or_none()
    return None if row is None else DefinitionRecord(**row)


def _require_free(connection: sa.Connection, new: Registration) -> None:
    # Ids are slugs of names: two teams with a "daily" each must not share one definition, nor its windows.
    owner = _find(connection, job_definitions.c.id == new.id)
    if owner is not None and owner.deployment_id != new.deployment_id:
        raise DefinitionError(
            "the id belongs to a definition of another deployment; give this definition an id or name of its own",
            field="id",
        )
    taken = connection.execute(
        sa.select(job_definitions.c.id).where(
            job_definitions.c.name == new.name,
            job_definitions.c.id != new.id,
            job_definitions.c.deleted_at.is_(None),
        )
    ).first()
    if taken is not None:
        raise DefinitionError("another definition has this name; names are unique", field="name")


def _add_deployment(connection: sa.Connection, new: Registration, now: dt.datetime) -> None:
    connection.execute(
        insert(connection, deployments)
        .values(
            id=new.deployment_id,
            label=new.deployment_id,
            status="active",
            target_type=new.target_type,
            model_id=new.model_id,
            model_version=new.model_version,
            batch_monitoring=True,
            settings={},
            created_at=now,
            created_by=new.by,
            updated_at=now,
        )
        .on_conflict_do_nothing()
    )


def _describe_deployment(connection: sa.Connection, new: Registration, now: dt.datetime) -> None:
    """The deployment's model is the one its newest definition names."""
    told = {"target_type": new.target_type, "model_id": new.model_id, "model_version": new.model_version}
    known: dict[str, str | None] = {column: value for column, value in told.items() if value is not None}
    if new.model_id is not None:
        known["model_version"] = new.model_version  # never that of another model
    if known:
        connection.execute(
            deployments.update().where(deployments.c.id == new.deployment_id).values(**known, updated_at=now)
        )
        model_history.follow(connection, new.deployment_id, now)


def _upsert(connection: sa.Connection, new: Registration, now: dt.datetime) -> Any:
    """One statement that returns the new revision, or nothing where the content is the stored one."""
    statement = insert(connection, job_definitions).values(
        id=new.id,
        deployment_id=new.deployment_id,
        name=new.name,
        enabled=new.enabled,
        revision=1,
        digest=new.digest,
        origin=new.origin,
        dag_id=new.dag_id,
        baseline_version=0,
        created_at=now,
        created_by=new.by,
        updated_at=now,
        updated_by=new.by,
        deleted_at=None,
    )
    replaced = ("name", "enabled", "digest", "origin", "dag_id", "updated_at", "updated_by", "deleted_at")
    return statement.on_conflict_do_update(
        index_elements=[job_definitions.c.id],
        set_={column: statement.excluded[column] for column in replaced} | {"revision": job_definitions.c.revision + 1},
        where=sa.or_(job_definitions.c.digest != statement.excluded.digest, job_definitions.c.deleted_at.is_not(None)),
    ).returning(job_definitions.c.revision)


def _add_revision(connection: sa.Connection, new: Registration, revision: int, now: dt.datetime) -> None:
    connection.execute(
        definition_revisions.insert().values(
            definition_id=new.id,
            revision=revision,
            digest=new.digest,
            format_version=FORMAT_VERSION,
            payload=new.payload,
            origin=new.origin,
            dag_id=new.dag_id,
            created_at=now,
            created_by=new.by,
        )
    )
    action = "definition.created" if revision == 1 else "definition.changed"
    note(connection, now, action, new.id, by=new.by, deployment_id=new.deployment_id, revision=revision)


def _move(connection: sa.Connection, new: Registration, now: dt.datetime) -> None:
    """The same content from another DAG or by the API: recorded, but no new revision."""
    moved = connection.execute(
        job_definitions.update()
        .where(
            job_definitions.c.id == new.id,
            sa.or_(
                job_definitions.c.origin != new.origin,
                job_definitions.c.dag_id.is_distinct_from(new.dag_id) if new.dag_id is not None else sa.false(),
            ),
        )
        .values(origin=new.origin, updated_at=now, updated_by=new.by, **({"dag_id": new.dag_id} if new.dag_id else {}))
    ).rowcount
    if moved:
        details = {"origin": new.origin, "dag_id": new.dag_id}
        note(connection, now, "definition.moved", new.id, by=new.by, deployment_id=new.deployment_id, **details)
