"""Definitions: one revision per content, one owner per id and name, and a record of who changed what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.load import definition_digest, load_definition
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError, NotFound
from airflow_monitoring_provider.store import tables
from airflow_monitoring_provider.store.engine import open_engine, reading
from airflow_monitoring_provider.store.records import DefinitionRecord
from airflow_monitoring_provider.store.store import MonitoringStore

Make = Callable[..., JobDefinition]


@pytest.fixture
def audited(store_url: str) -> Callable[[], list[tuple[Any, ...]]]:
    def entries() -> list[tuple[Any, ...]]:
        engine = open_engine(store_url)
        audit = tables.audit
        with reading(engine) as connection:
            rows = connection.execute(
                sa.select(audit.c.action, audit.c.entity_id, audit.c.actor, audit.c.details).order_by(audit.c.id)
            ).all()
        engine.dispose()
        return [tuple(row) for row in rows]

    return entries


def test_the_same_content_is_registered_once(store: MonitoringStore, make: Make, audited: Any) -> None:
    first = store.register_definition(make(), dag_id="d", by="ada")

    assert first == store.register_definition(make(), dag_id="d", by="bob")
    assert first == store.register_definition(make())
    assert (1, "dag", "d", "ada") == (first.revision, first.origin, first.dag_id, first.created_by)
    assert [("definition.created", first.id, "ada", {"revision": 1})] == audited()


def test_another_content_is_a_new_revision_and_the_old_one_stays(
    store: MonitoringStore, make: Make, audited: Any
) -> None:
    old, new = make(), make(modelVersion="2")
    first = store.register_definition(old)
    second = store.register_definition(new, by="bob")
    third = store.register_definition(old)

    assert [1, 2, 3] == [first.revision, second.revision, third.revision]
    assert definition_digest(new) == second.digest
    for revision, definition in ((1, old), (2, new), (3, old), (None, old)):
        found, payload = store.definition(first.id, revision)
        assert definition == load_definition(payload)
        assert third == found
    assert ("definition.changed", first.id, "bob", {"revision": 2}) == audited()[1]


def test_the_deployment_is_made_with_the_first_definition_and_follows_its_model(
    store: MonitoringStore, store_url: str, make: Make
) -> None:
    store.register_definition(make(modelId="m", modelVersion="1"))
    store.register_definition(make(modelId="m", modelVersion="2"))

    engine = open_engine(store_url)
    with reading(engine) as connection:
        rows = connection.execute(sa.select(tables.deployments)).all()
    engine.dispose()
    assert [("dep-1", "Regression", "m", "2")] == [(r.id, r.target_type, r.model_id, r.model_version) for r in rows]


def test_the_same_content_from_another_dag_is_no_new_revision_but_recorded(
    store: MonitoringStore, make: Make, audited: Any
) -> None:
    store.register_definition(make(), dag_id="old")
    moved = store.register_definition(make(), origin="api", dag_id="new", by="ada")

    assert (1, "api", "new") == (moved.revision, moved.origin, moved.dag_id)
    assert ("definition.moved", moved.id, "ada", {"origin": "api", "dag_id": "new"}) == audited()[1]


def test_an_id_belongs_to_its_deployment(store: MonitoringStore, make: Make) -> None:
    store.register_definition(make())

    with pytest.raises(DefinitionError, match="another deployment") as refused:
        store.register_definition(make(deploymentId="dep-2"))
    assert "id" == refused.value.field


def test_a_name_belongs_to_one_definition(store: MonitoringStore, make: Make) -> None:
    store.register_definition(make(id="one"))

    with pytest.raises(DefinitionError, match="names are unique") as refused:
        store.register_definition(make(id="two"))
    assert "name" == refused.value.field
    assert 2 == store.register_definition(make(id="one", name="Renamed")).revision
    assert 1 == store.register_definition(make(id="two")).revision


def test_a_definition_is_found_by_id_and_by_name(store: MonitoringStore, record: DefinitionRecord) -> None:
    assert record == store.definition(record.id)[0]
    assert record == store.definition("Flights")[0]
    for unknown in ("other", "flights' or 1=1 --"):
        with pytest.raises(NotFound):
            store.definition(unknown)
    with pytest.raises(NotFound, match="no revision 9"):
        store.definition(record.id, 9)


@pytest.mark.parametrize("name", ["Robert'); DROP TABLE monitoring_jobs;--", 'a "b" %s :c \\', "فلايتس ✈ é é"])
def test_hostile_names_are_kept_byte_for_byte(store: MonitoringStore, make: Make, name: str) -> None:
    record = store.register_definition(make(id="x", name=name, deploymentId=name, modelId=name), by=name, dag_id=name)

    assert (name, name, name, name) == (record.name, record.deployment_id, record.created_by, record.dag_id)
    assert [name] == [found.name for found in store.definitions(deployment_id=name)]
    assert name == store.definition("x")[1]["name"]


@pytest.mark.parametrize("argument", ["by", "dag_id"])
def test_a_name_that_no_database_holds_is_refused(store: MonitoringStore, make: Make, argument: str) -> None:
    with pytest.raises(DefinitionError, match=argument):
        store.register_definition(make(), **{argument: "a\0b"})
    assert 0 == store.definitions().total


def test_an_id_that_no_database_holds_is_refused_even_where_the_model_let_it_pass(
    store: MonitoringStore, make: Make
) -> None:
    for field in ("id", "name", "deployment_id", "model_id", "model_version"):
        with pytest.raises(DefinitionError):
            store.register_definition(make().model_copy(update={field: "NUL \0"}))


def test_definitions_come_a_page_at_a_time_by_name(store: MonitoringStore, make: Make) -> None:
    for name in "cabd":
        store.register_definition(make(name=name))

    page = store.definitions(limit=2, offset=1)
    assert (["b", "c"], 4, 1, 2) == ([found.name for found in page], page.total, page.offset, len(page))
    pages: list[dict[str, Any]] = [{"limit": 0}, {"limit": 1001}, {"offset": -1}]
    for wrong in pages:
        with pytest.raises(ConfigurationError, match=r"must be 1 to 1000|offset must be 0 or more"):
            store.definitions(**wrong)


def test_an_unknown_origin_is_refused(store: MonitoringStore, make: Make) -> None:
    with pytest.raises(DefinitionError, match="origin"):
        store.register_definition(make(), origin="mail")
