"""The schema: migrations make exactly the documented tables, and nothing else is touched."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from airflow_monitoring_provider.exceptions import StoreSchemaError
from airflow_monitoring_provider.store import migrations, schema, tables
from airflow_monitoring_provider.store.engine import open_engine, reading, writing
from airflow_monitoring_provider.store.schema import SchemaState
from airflow_monitoring_provider.store.store import MonitoringStore

Open = Callable[..., MonitoringStore]
VERSION = sa.table(migrations.VERSION_TABLE, sa.column("version_num", sa.String))


def test_migrations_make_the_tables_that_the_code_knows(store_url: str) -> None:
    engine = open_engine(store_url)
    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": migrations.VERSION_TABLE, "compare_server_default": True}
        )
        assert [] == compare_metadata(context, tables.metadata)
    engine.dispose()


def test_every_migration_is_listed_oldest_first() -> None:
    script = ScriptDirectory.from_config(schema.alembic_config())

    assert tuple(reversed([found.revision for found in script.walk_revisions()])) == migrations.REVISIONS
    assert sorted(migrations.REVISIONS) == list(migrations.REVISIONS)


def test_every_table_is_documented_and_has_our_prefix() -> None:
    assert {True} == {name.startswith("monitoring_") for name in tables.metadata.tables}
    assert {True} == {bool(table.comment) for table in tables.metadata.tables.values()}


def test_an_empty_database_becomes_current_and_stays_so(database_url: str) -> None:
    engine = open_engine(database_url)
    assert SchemaState.ABSENT is schema.schema_state(engine)

    assert schema.migrate(engine)

    assert SchemaState.CURRENT is schema.schema_state(engine)
    assert not schema.migrate(engine)
    engine.dispose()


def test_a_store_of_the_first_version_is_upgraded_with_its_rows(
    database_url: str, open_store: Open, definition: Any
) -> None:
    engine = open_engine(database_url)
    with writing(engine) as connection:
        schema._upgrade(connection, "0001")
        added = {"id": "dep-1", "label": "Flights", "batch_monitoring": False, "status": "active", "settings": {}}
        now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        connection.execute(sa.insert(tables.deployments).values(created_at=now, updated_at=now, **added))
    assert SchemaState.OLDER is schema.schema_state(engine)

    assert schema.migrate(engine)

    with reading(engine) as connection:
        assert ["dep-1"] == connection.execute(sa.select(tables.deployments.c.id)).scalars().all()
        assert [True] == connection.execute(sa.select(tables.stores.c.own)).scalars().all()
    engine.dispose()
    assert 1 == open_store(database_url).register_definition(definition).revision


def test_a_foreign_table_and_a_foreign_version_table_are_left_alone(database_url: str) -> None:
    engine = open_engine(database_url)
    foreign = sa.Table("alembic_version", sa.MetaData(), sa.Column("version_num", sa.String(32)))
    with writing(engine) as connection:
        foreign.create(connection)
        connection.execute(foreign.insert().values(version_num="airflow's"))

    schema.migrate(engine)

    with reading(engine) as connection:
        assert ["airflow's"] == connection.execute(sa.select(foreign)).scalars().all()
    engine.dispose()


@pytest.mark.parametrize(
    ("revision", "known", "state", "says"),
    [
        ("0002", ("0001",), SchemaState.NEWER, "newer than this version; upgrade airflow-monitoring-provider"),
        ("0001", ("0001", "0002"), SchemaState.OLDER, "older than this version; run: airflow monitoring db migrate"),
        ("7f3a", ("0001",), SchemaState.UNKNOWN, "run: airflow monitoring db migrate"),
    ],
)
def test_a_store_of_another_version_is_refused_with_what_to_do(
    store_url: str,
    open_store: Open,
    definition: Any,
    monkeypatch: pytest.MonkeyPatch,
    revision: str,
    known: tuple[str, ...],
    state: SchemaState,
    says: str,
) -> None:
    engine = open_engine(store_url)
    with writing(engine) as connection:
        connection.execute(sa.update(VERSION).values(version_num=revision))
    monkeypatch.setattr(migrations, "REVISIONS", known)

    assert state is schema.schema_state(engine)
    with pytest.raises(StoreSchemaError, match=says):
        open_store(store_url).register_definition(definition)
    with pytest.raises(StoreSchemaError, match=says):
        open_store(store_url).jobs()
    if state is not SchemaState.OLDER:
        with pytest.raises(StoreSchemaError):
            schema.migrate(engine)

    with reading(engine) as connection:
        assert 0 == connection.execute(sa.select(sa.func.count()).select_from(tables.job_definitions)).scalar_one()
        assert [revision] == connection.execute(sa.select(VERSION.c.version_num)).scalars().all()
    engine.dispose()


def test_tables_without_a_version_are_not_taken_for_ours(database_url: str) -> None:
    engine = open_engine(database_url)
    with writing(engine) as connection:
        tables.audit.create(connection)

    assert SchemaState.UNKNOWN is schema.schema_state(engine)
    with pytest.raises(StoreSchemaError, match="cannot be told"):
        schema.migrate(engine)
    engine.dispose()


def test_a_store_without_tables_says_which_command_to_type(database_url: str, open_store: Open) -> None:
    with pytest.raises(StoreSchemaError, match="no tables yet; run: airflow monitoring db migrate"):
        open_store(database_url).jobs()


def test_only_an_embedded_sqlite_file_migrates_itself(
    tmp_path: Path, postgres_url: str, open_store: Open, definition: Any
) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'new folder' / 'store.sqlite'}", embedded=True)
    assert 1 == store.register_definition(definition).revision

    with pytest.raises(StoreSchemaError, match="airflow monitoring db migrate"):
        open_store(postgres_url, embedded=True).register_definition(definition)


def test_migrations_do_not_depend_on_the_working_directory(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = nowhere\n")
    monkeypatch.chdir(tmp_path)
    engine = open_engine(database_url)

    assert schema.migrate(engine)
    engine.dispose()


def test_a_dropped_table_is_reported_as_a_schema_error(store_url: str, open_store: Open) -> None:
    store = open_store(store_url)
    assert 0 == store.jobs().total
    engine = open_engine(store_url)
    with writing(engine) as connection:
        tables.metrics.drop(connection)
        tables.snapshots.drop(connection)
    engine.dispose()

    with pytest.raises(StoreSchemaError, match="lacks a table or column"):
        store.jobs()
