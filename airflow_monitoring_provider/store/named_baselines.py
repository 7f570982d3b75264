"""Baselines that have a name, and which one the jobs of a definition are compared with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.baseline_records import BaselineChoice, NamedBaselineRecord
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.tables import baseline_choices, job_definitions, named_baselines
from airflow_monitoring_provider.store.types import storable


def create(
    connection: sa.Connection,
    definition_id: str,
    name: str,
    settings: Mapping[str, Any],
    *,
    description: str | None,
    by: str | None,
    now: dt.datetime,
) -> NamedBaselineRecord:
    """Keep a baseline under a name: version 1, or the next one where its settings differ from the newest's."""
    who, called = texts.optional_name(by, "by"), texts.name(name, "name")
    _hold(connection, definition_id)
    known = many(connection, definition_id, called)
    if known and known[-1].settings == dict(settings):
        return known[-1]
    made = NamedBaselineRecord(
        definition_id=definition_id,
        name=called,
        version=known[-1].version + 1 if known else 1,
        settings=dict(settings),
        description=None if description is None else storable(description) or None,
        created_at=now,
        created_by=who,
    )
    row = {field: getattr(made, field) for field in NamedBaselineRecord.__slots__}
    connection.execute(named_baselines.insert().values(**row))
    said = {"name": called, "version": made.version}
    note(connection, now, "baseline.named", definition_id, by=who, deployment_id=None, **said)
    return made


def many(connection: sa.Connection, definition_id: str, name: str | None = None) -> tuple[NamedBaselineRecord, ...]:
    """The versions of the named baselines of a definition, or of one name, oldest first."""
    conditions = [named_baselines.c.definition_id == definition_id]
    if name is not None:
        conditions.append(named_baselines.c.name == name)
    rows = connection.execute(
        sa.select(named_baselines).where(*conditions).order_by(named_baselines.c.name, named_baselines.c.version)
    )
    return tuple(NamedBaselineRecord(**row) for row in rows.mappings())


def one(connection: sa.Connection, definition_id: str, name: str, version: int | None) -> NamedBaselineRecord:
    """A version of a named baseline, without a number the newest; else :class:`NotFound`."""
    known = many(connection, definition_id, name)
    found = [each for each in known if version is None or each.version == version]
    if not found:
        which = "" if version is None or not known else f" in version {version}"
        raise NotFound(
            f"definition {definition_id} has no baseline named {name!r}{which}; airflow monitoring baselines list "
            f"{definition_id} shows those it has, and create makes one"
        )
    return found[-1]


def use(
    connection: sa.Connection,
    definition_id: str,
    name: str | None,
    *,
    version: int | None,
    by: str | None,
    now: dt.datetime,
) -> None:
    """Compare the definition's jobs with a named baseline from now on; None: with the definition's own."""
    who = texts.optional_name(by, "by")
    _hold(connection, definition_id)
    if name is None:
        connection.execute(baseline_choices.delete().where(baseline_choices.c.definition_id == definition_id))
    else:
        one(connection, definition_id, name, version)
        row = {"name": name, "version": version, "chosen_at": now, "chosen_by": who}
        statement = insert(connection, baseline_choices).values(definition_id=definition_id, **row)
        connection.execute(statement.on_conflict_do_update(index_elements=[baseline_choices.c.definition_id], set_=row))
    said = {"name": name, "version": version}
    note(connection, now, "baseline.chosen", definition_id, by=who, deployment_id=None, **said)


def choice(connection: sa.Connection, definition_id: str) -> BaselineChoice | None:
    """The named baseline that is in use; None where it is the definition's own."""
    row = (
        connection.execute(sa.select(baseline_choices).where(baseline_choices.c.definition_id == definition_id))
        .mappings()
        .one_or_none()
    )
    return None if row is None else BaselineChoice(**row)


def _hold(connection: sa.Connection, definition_id: str) -> None:
    """Let those who change the baselines of a definition take turns."""
    held = connection.execute(
        job_definitions.update()
        .where(job_definitions.c.id == definition_id)
        .values(baseline_version=job_definitions.c.baseline_version)
    ).rowcount
    if not held:
        raise NotFound("no definition has this id")
