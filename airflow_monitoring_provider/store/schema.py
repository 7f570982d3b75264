"""The store's schema: which version a database has, and how it becomes the current one.

A migration is one transaction on both databases: a killed one leaves the version it started from, and several that
start together do the work once.
"""

from __future__ import annotations

import hashlib
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import StoreSchemaError
from airflow_monitoring_provider.store import migrations
from airflow_monitoring_provider.store.engine import reading, writing
from airflow_monitoring_provider.store.errors import MIGRATE_COMMAND
from airflow_monitoring_provider.store.tables import metadata

_LOCK = int.from_bytes(hashlib.sha256(migrations.VERSION_TABLE.encode()).digest()[:8], "big", signed=True)
_LOCK_WAIT = "60s"


class SchemaState(StrEnum):
    """How a database's schema relates to this version of the package."""

    ABSENT = "absent"
    CURRENT = "current"
    OLDER = "older"
    NEWER = "newer"
    UNKNOWN = "unknown"


def schema_state(engine: sa.Engine) -> SchemaState:
    """Compare the database's schema version with this package's; ``unknown`` is a schema that we did not make."""
    with reading(engine) as connection:
        return _state(connection)


def migrate(engine: sa.Engine) -> bool:
    """Bring the database to the current schema; whether anything had to be done.

    Safe to run from many processes at once and again after a crash. Needs a user that may create tables.
    Raises :class:`StoreSchemaError` for a newer or unknown schema, which it leaves alone.
    """
    with writing(engine) as connection:
        _wait_for_others(connection)
        state = _state(connection)
        if state is SchemaState.CURRENT:
            return False
        if state in {SchemaState.NEWER, SchemaState.UNKNOWN}:
            raise refusal(state)
        _upgrade(connection, "head")
        return True


def require_current(connection: sa.Connection) -> None:
    """One short statement that raises :class:`StoreSchemaError` where the schema is not this version's (any more)."""
    if _versions(connection) != [migrations.REVISIONS[-1]]:
        raise refusal(_state(connection))


def refusal(state: SchemaState) -> StoreSchemaError:
    """The error for a schema this package must not touch."""
    if state is SchemaState.ABSENT:
        return StoreSchemaError(f"the monitoring store has no tables yet; run: {MIGRATE_COMMAND}")
    if state is SchemaState.OLDER:
        return StoreSchemaError(f"the monitoring store's tables are older than this version; run: {MIGRATE_COMMAND}")
    if state is SchemaState.NEWER:
        return StoreSchemaError(
            "the monitoring store's tables are newer than this version; upgrade airflow-monitoring-provider here, "
            f"then run: {MIGRATE_COMMAND}"
        )
    return StoreSchemaError(
        f"the database holds monitoring tables whose version cannot be told; give the store a database of its own or "
        f"restore a backup, then run: {MIGRATE_COMMAND}"
    )


def alembic_config() -> Any:
    """Alembic's configuration of our migrations, independent of the working directory and of any ini file."""
    from alembic.config import Config  # costs most of a second; only migrating needs it

    config = Config()
    folder = str(Path(migrations.__file__).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _upgrade(connection: sa.Connection, revision: str) -> None:
    from alembic import command

    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _state(connection: sa.Connection) -> SchemaState:
    inspector = sa.inspect(connection)
    if not inspector.has_table(migrations.VERSION_TABLE):
        ours = set(metadata.tables).intersection(inspector.get_table_names())
        return SchemaState.UNKNOWN if ours else SchemaState.ABSENT
    found = _versions(connection)
    if len(found) != 1:
        return SchemaState.UNKNOWN
    revision = found[0]
    if revision == migrations.REVISIONS[-1]:
        return SchemaState.CURRENT
    if revision in migrations.REVISIONS:
        return SchemaState.OLDER
    counted = len(revision) == 4 and revision.isdecimal()
    return SchemaState.NEWER if counted and revision > migrations.REVISIONS[-1] else SchemaState.UNKNOWN


def _versions(connection: sa.Connection) -> list[str]:
    version = sa.table(migrations.VERSION_TABLE, sa.column("version_num", sa.String))
    return list(connection.execute(sa.select(version.c.version_num)).scalars())


def _wait_for_others(connection: sa.Connection) -> None:
    """Hold the database's migration lock until the transaction ends; on SQLite, BEGIN IMMEDIATE already does."""
    if connection.dialect.name == "postgresql":
        connection.execute(
            sa.select(
                sa.func.set_config("lock_timeout", _LOCK_WAIT, True), sa.func.set_config("statement_timeout", "0", True)
            )
        )
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
