"""Which store this is, so that two stores that write one output are told apart.

A token counts the attempts of one store. What an output remembers of an attempt is therefore (store id, token): a
marker of the same store can be compared, one of another store cannot. A store that replaces a lost one is told so once
(``airflow monitoring db adopt``) and takes its markers over from then on. A restored backup keeps the id it was made
with; that it has forgotten attempts shows at the first marker with a token it never gave
(:func:`~airflow_monitoring_provider.store.claims.continue_after`).
"""

from __future__ import annotations

import dataclasses
import datetime as dt

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import StoreSchemaError
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.engine import insert
from airflow_monitoring_provider.store.registry import note
from airflow_monitoring_provider.store.tables import stores


@dataclasses.dataclass(frozen=True, slots=True)
class StoreIdentity:
    """The store's own id, and those of the stores it continues."""

    id: str
    continues: tuple[str, ...]


def identity(connection: sa.Connection) -> StoreIdentity:
    """Who this is.

    Raises :class:`StoreSchemaError` where somebody removed the row that says so.
    """
    rows = connection.execute(sa.select(stores.c.id, stores.c.own).order_by(stores.c.id)).all()
    own = [row.id for row in rows if row.own]
    if len(own) != 1:
        raise StoreSchemaError(
            f"table {stores.name} has {len(own)} rows that say which store this is, and must have one; restore a backup"
        )
    return StoreIdentity(own[0], tuple(row.id for row in rows if not row.own))


def adopt(connection: sa.Connection, store_id: str, by: str | None, now: dt.datetime) -> bool:
    """Continue another store from now on; False where this one does already, or is that one."""
    added = connection.execute(
        insert(connection, stores)
        .values(id=texts.name(store_id, "store_id"), own=False, added_at=now, added_by=texts.optional_name(by, "by"))
        .on_conflict_do_nothing()
        .returning(stores.c.id)
    ).one_or_none()
    if added is None:
        return False
    note(connection, now, "store.adopted", store_id, by=by, deployment_id=None)
    return True
