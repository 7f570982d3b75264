"""Deployments as data: described, set with rules that name the field, and a history of models without overlaps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError, NotFound
from airflow_monitoring_provider.store import schema, tables
from airflow_monitoring_provider.store.engine import open_engine, reading, writing
from airflow_monitoring_provider.store.store import MonitoringStore

Open = Callable[..., MonitoringStore]


def at(day: int) -> dt.datetime:
    return dt.datetime(2026, 1, day, tzinfo=dt.UTC)


class Clock:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now = at(1)

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timed(store_url: str, open_store: Open, clock: Clock) -> MonitoringStore:
    """A store whose present is ``clock``."""
    return open_store(store_url, clock=clock)


def test_a_definition_makes_its_deployment_and_a_person_may_have_made_it_before(
    store: MonitoringStore, make: Any
) -> None:
    store.create_deployment("dep-1", label="Churn", settings={"daily_batch_limit": 5}, by="ada")
    store.register_definition(make(modelId="m-1"))
    store.register_definition(make(name="other", deploymentId="dep-2"))

    made, other = store.deployment("dep-1"), store.deployment("dep-2")
    assert ("Churn", 5, "m-1", "ada") == (
        made.label,
        made.settings.daily_batch_limit,
        made.model_id,
        made.created_by,
    )
    assert ("dep-2", 100, True) == (
        other.label,
        other.settings.daily_batch_limit,
        other.settings.batch_monitoring.enabled,
    )
    with pytest.raises(DefinitionError, match="belongs to another deployment"):
        store.create_deployment("dep-2")
    with pytest.raises(NotFound):
        store.deployment("dep-3")


def test_a_change_keeps_what_it_does_not_name_and_null_is_the_default(store: MonitoringStore) -> None:
    store.create_deployment(
        "dep-1",
        description="old",
        settings={"featureImportances": {"age": 3.0}, "health": {"dataDrift": {"batchCount": 3}}},
    )
    changed = store.change_deployment(
        "dep-1",
        label="Churn",
        settings={"health": {"data_drift": {"drift_threshold": 0.3}}, "batchMonitoring": {"enabled": False}},
    )
    drift = changed.settings.health.data_drift
    assert ("Churn", "old", 3, 0.3, False, {"age": 3.0}) == (
        changed.label,
        changed.description,
        drift.batch_count,
        drift.drift_threshold,
        changed.settings.batch_monitoring.enabled,
        changed.settings.feature_importances,
    )
    back = store.change_deployment("dep-1", settings={"health": None})
    assert (10, False) == (back.settings.health.data_drift.batch_count, back.settings.batch_monitoring.enabled)
    assert back == store.deployment("dep-1")
    assert back == store.change_deployment("dep-1", label="Churn", settings={})


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"settings": {"dailyBatchLimit": 0}}, "dailyBatchLimit"),
        ({"settings": {"daily_batch_limit": "none"}}, "daily_batch_limit"),
        ({"settings": {"health": {"service": {"batchCount": 0}}}}, "health.service.batchCount"),
        ({"settings": {"health": {"accuracy": {"warningThreshold": 20.0}}}}, "health.accuracy.warningThreshold"),
        ({"settings": {"health": {"accuracy": {"measurement": "value"}}}}, "health.accuracy.metric"),
        ({"settings": {"featureImportances": {"age": -1.0}}}, "featureImportances.age"),
        ({"settings": {"nothing": 1}}, "nothing"),
        ({"settings": [1]}, "settings"),
        ({"importance": "low"}, "importance"),
        ({"status": "gone"}, "status"),
        ({"target_type": "Anomaly"}, "target_type"),
        ({"label": ""}, "label"),
    ],
)
def test_a_wrong_value_is_named_and_nothing_changes(store: MonitoringStore, change: dict[str, Any], field: str) -> None:
    before = store.create_deployment("dep-1")
    with pytest.raises(DefinitionError) as raised:
        store.change_deployment("dep-1", **change)
    assert field == raised.value.field
    assert before == store.deployment("dep-1")


def test_deployments_are_found_by_text_id_status_and_switch(store: MonitoringStore) -> None:
    store.create_deployment("a-1", label="Churn 100%", settings={"batchMonitoring": {"enabled": False}})
    store.create_deployment("b-2", label="Late arrivals", description="of CHURN_ed flights")
    store.create_deployment("churn", label="Zebra")
    store.change_deployment("b-2", status="inactive")

    def found(**filters: Any) -> list[str]:
        return [record.id for record in store.deployments(**filters)]

    assert ["a-1", "b-2", "churn"] == found()
    assert ["churn", "b-2", "a-1"] == found(order="-label")
    assert ["a-1", "b-2", "churn"] == found(search="churn")
    assert (["a-1"], ["b-2"], []) == (found(search="0%"), found(search="churn_E"), found(search="_%"))
    assert (["b-2"], ["a-1"]) == (found(status="inactive"), found(batch_monitoring=False))
    page = store.deployments(limit=1, offset=1)
    assert (["b-2"], 3) == ([record.id for record in page], page.total)
    with pytest.raises(ConfigurationError, match="order must be one of"):
        store.deployments(order="name")


def test_each_model_ends_where_the_next_begins(timed: MonitoringStore, clock: Clock, make: Any) -> None:
    timed.register_definition(make(modelId="m-1", modelVersion="7"))
    clock.now = at(3)
    timed.register_definition(make(modelId="m-2"))
    timed.register_definition(make(modelId="m-2", chunkSize=77))
    clock.now = at(5)
    timed.change_deployment("dep-1", model_id="m-1", by="ada")

    history = timed.model_history("dep-1")
    assert [("m-1", None), ("m-2", None), ("m-1", "7")] == [(entry.model_id, entry.model_version) for entry in history]
    assert [(at(5), None), (at(3), at(5)), (at(1), at(3))] == [(each.start_time, each.end_time) for each in history]
    assert [3, 2, 2, 1] == [each.number for day in (6, 4, 3, 1) for each in history if each.holds(at(day))]
    assert () == timed.model_history(timed.create_deployment("dep-9").id)
    with pytest.raises(NotFound):
        timed.model_history("unknown")


def test_a_model_is_dated_back_to_its_data_but_never_into_anothers_time(timed: MonitoringStore, clock: Clock) -> None:
    timed.create_deployment("dep-1", model_id="m-1")
    clock.now = at(20)
    timed.change_deployment("dep-1", model_id="m-2")

    first = timed.move_model("dep-1", 1, start_time=at(1) - dt.timedelta(days=400), end_time=at(10), by="ada")
    second = timed.move_model("dep-1", 2, start_time=at(10))
    assert (second, first) == timed.model_history("dep-1")
    assert (at(10), None, at(10)) == (second.start_time, second.end_time, first.end_time)
    for number, times, field in [
        (1, {"end_time": at(11)}, "endTime"),
        (2, {"start_time": at(9)}, "startTime"),
        (1, {"start_time": at(11)}, "endTime"),
        (2, {"start_time": at(12), "end_time": at(11)}, "endTime"),
    ]:
        with pytest.raises(DefinitionError) as raised:
            timed.move_model("dep-1", number, **times)
        assert field == raised.value.field
    with pytest.raises(NotFound):
        timed.move_model("dep-1", 3, start_time=at(1))
    assert (second, first) == timed.model_history("dep-1")


def test_who_changed_a_deployment_is_in_the_audit(store: MonitoringStore, store_url: str) -> None:
    store.create_deployment("dep-1", model_id="m-1", by="ada")
    store.change_deployment("dep-1", label="Churn", settings={"dailyBatchLimit": "off"}, by="bob")
    store.change_deployment("dep-1", label="Churn", by="eve")
    store.move_model("dep-1", 1, start_time=at(1), by="cyd")
    engine = open_engine(store_url)
    with reading(engine) as connection:
        columns = (tables.audit.c.action, tables.audit.c.actor, tables.audit.c.details)
        rows = [tuple(row) for row in connection.execute(sa.select(*columns).order_by(tables.audit.c.id))]
    engine.dispose()
    assert [
        ("deployment.created", "ada", {}),
        ("deployment.changed", "bob", {"label": "Churn", "settings": {"dailyBatchLimit": "off"}}),
        ("deployment.model_moved", "cyd", {"number": 1, "start_time": at(1).isoformat(), "end_time": None}),
    ] == rows


def test_the_model_in_use_before_the_history_was_kept_begins_it(database_url: str, open_store: Open) -> None:
    engine = open_engine(database_url)
    with writing(engine) as connection:
        schema._upgrade(connection, "0003")
        shared = {"label": "x", "batch_monitoring": False, "status": "active", "settings": {}, "created_at": at(2)}
        rows = [{"id": "with", "model_id": "m-1", "model_version": "7"}, {"id": "without"}]
        for row in rows:
            connection.execute(tables.deployments.insert().values(**shared, **row, updated_at=at(3)))
    schema.migrate(engine)
    engine.dispose()

    store = open_store(database_url)
    (entry,) = store.model_history("with")
    assert ("m-1", "7", at(2), None) == (entry.model_id, entry.model_version, entry.start_time, entry.end_time)
    assert () == store.model_history("without")
    assert not store.deployment("with").settings.batch_monitoring.enabled
