"""The store's tables in an empty database, as the migrations leave them, without a migration each time.

The first database of a kind is migrated; the next ones are copies of it, with an id of their own. Migrations are the
matter of ``tests/store/test_schema.py`` and ``tests/faults/test_migrations.py``.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import sqlalchemy as sa

import postgres
from airflow_monitoring_provider.store import schema, tables
from airflow_monitoring_provider.store.engine import open_engine, writing

_files: list[bytes] = []
_servers: set[str] = set()


def make(url: str) -> None:
    """Give an empty database the tables of a store.

    :param url: of a SQLite file, which stays as it is where an earlier process has made it, or of an empty PostgreSQL
        database, by a superuser, to which nobody is connected: it is made anew.
    """
    place = sa.make_url(url)
    if place.drivername.startswith("sqlite"):
        if Path(str(place.database)).exists():
            _migrate(url)
            return
        _copy_file(Path(str(place.database)))
    else:
        _copy_database(place)
    engine = open_engine(url)
    with writing(engine) as connection:  # outputs remember which store wrote them
        connection.execute(tables.stores.update().values(id=uuid.uuid4().hex))
    engine.dispose()


def _copy_file(path: Path) -> None:
    if not _files:
        _migrate(f"sqlite:///{path}")
        _files.append(path.read_bytes())
    path.write_bytes(_files[0])


def _copy_database(place: sa.URL) -> None:
    server = place.set(database="postgres").render_as_string(hide_password=False)
    template = f"store_tables_{os.getpid()}"
    if server not in _servers:
        postgres.administer(server, postgres.create(template))
        _migrate(place.set(database=template).render_as_string(hide_password=False))
        _servers.add(server)
    name = str(place.database)
    postgres.administer(server, f'DROP DATABASE "{name}"', postgres.create(name, template))


def _migrate(url: str) -> None:
    engine = open_engine(url)
    schema.migrate(engine)
    engine.dispose()
