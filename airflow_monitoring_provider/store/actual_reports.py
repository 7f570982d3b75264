"""Reports of actuals: each is a job of its own, whose window begins at the moment that the report was first sent."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa

from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.tables import actual_reports
from airflow_monitoring_provider.store.types import in_utc

_STEP = dt.timedelta(microseconds=1)


def moment(connection: sa.Connection, definition_id: str, key: str, now: dt.datetime) -> dt.datetime:
    """The moment of a report: the same for the same key, and of the definition's others none has it."""
    known = sa.select(actual_reports.c.at).where(
        actual_reports.c.definition_id == definition_id, actual_reports.c.key == texts.name(key, "key")
    )
    at = in_utc(now)
    while (found := connection.execute(known).scalar_one_or_none()) is None:
        taken = insert(connection, actual_reports).values(definition_id=definition_id, key=key, at=at)
        connection.execute(taken.on_conflict_do_nothing())
        at += _STEP  # two reports of one microsecond, or a clock that went back
    moment_of_key: dt.datetime = found
    return moment_of_key
