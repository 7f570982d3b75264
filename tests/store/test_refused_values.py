"""What the store is told is refused with the field, the type and the way out; nothing is half taken."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from airflow_monitoring_provider.definitions.custom import CustomMetric
from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError, NotFound, UnstorableError
from airflow_monitoring_provider.store.deployment_records import BatchFilter
from airflow_monitoring_provider.store.records import DefinitionRecord
from airflow_monitoring_provider.store.store import MonitoringStore

SAMOA_NEW_YEAR = dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14)))  # no instant in UTC


def test_values_of_another_type_are_refused_by_name(store: MonitoringStore, record: DefinitionRecord) -> None:
    batch = store.create_batch("dep-1", "b").id
    for attempt, said in (
        (lambda: store.create_batch("dep-1", None), "batchName must be text, not NoneType"),  # type: ignore[arg-type]
        (lambda: store.create_batch("dep-1", "c", key=5), "key must be text, not int"),  # type: ignore[arg-type]
        (lambda: store.create_batch("dep-1", "c", key="\ud800"), "key must not hold"),
        (lambda: store.change_batch(batch, description=5), "description must be text, not int"),  # type: ignore[arg-type]
        (lambda: store.change_batch(batch, external_url=5), "externalContextUrl must be text"),  # type: ignore[arg-type]
        (lambda: store.change_deployment("dep-1", description=5), "description must be text"),  # type: ignore[arg-type]
        (lambda: store.lock_batch(batch, locked="false"), "locked must be True or False, not str"),  # type: ignore[arg-type]
        (lambda: store.batches("dep-1", BatchFilter(search=5)), "search must be text, not int"),  # type: ignore[arg-type]
        (lambda: store.batch("\ud800"), "half a surrogate pair"),
    ):
        with pytest.raises(DefinitionError, match=said):
            attempt()
    for moment, said in (
        (SAMOA_NEW_YEAR.replace(tzinfo=None), "without a time zone"),
        ("2026-03-01", "must be a datetime with a time zone, not str"),
        (dt.date(2026, 3, 1), "must be a datetime with a time zone, not date"),
        (SAMOA_NEW_YEAR, "outside the years 1 to 9999"),
    ):
        with pytest.raises(UnstorableError, match=said):
            store.batches("dep-1", BatchFilter(created_after=moment))  # type: ignore[arg-type]
    assert ["b"] == [each.name for each in store.batches("dep-1")]


def test_arguments_of_another_type_are_refused_with_the_way_out(
    store: MonitoringStore, record: DefinitionRecord
) -> None:
    call: Any = store
    batch = store.create_batch("dep-1", "b").id
    store.create_custom_metric("dep-1", "revenue", CustomMetric())
    for attempt, said in (
        (lambda: call.batches("dep-1", order=None), "order must be one of name, -name, .* not NoneType; leave it out"),
        (lambda: call.batches("dep-1", order="age"), "order must be one of name, -name, "),
        (lambda: call.jobs(order=["window"]), "order must be one of created, -created, .* not list"),
        (lambda: call.deployments(order={}), "order must be one of label, .* not dict"),
        (lambda: call.batches("dep-1", limit="5"), "limit must be a whole number, 1 to 1000, not str"),
        (lambda: call.jobs(offset=None), "offset must be a whole number, 0 or more, not NoneType"),
        (lambda: call.newest_batches("dep-1", 1.5), "limit must be a whole number, 1 to 1000, not float"),
        (lambda: call.move_model("dep-1", [1]), "number must be a whole number, 0 or more, not list"),
        (lambda: call.batches("dep-1", {"search": "b"}), "wanted must be a BatchFilter, not dict; such as BatchFilter"),
        (
            lambda: call.create_custom_metric("dep-1", "m", {"type": "sum"}),
            "metric must be a CustomMetric, not dict",
        ),
        (lambda: call.create_custom_metric("dep-1", 5, CustomMetric()), "metric_id must be text, not int"),
        (lambda: call.report_custom_values("dep-1", "revenue", [1.5]), "values must be a CustomReport, not float"),
        (
            lambda: call.report_custom_values("dep-1", "revenue", 1.5),
            "values must be a list of CustomReport",
        ),
        (
            lambda: call.register_definition({"name": "n"}),
            "definition must be a JobDefinition, not dict; load_",
        ),
        (lambda: call.add_report(batch, {}), "report must be a Report, not dict"),
        (lambda: call.batch_service(batch), "batch_ids must be a list of ids, not str; put one id into a list, too"),
        (lambda: call.batch_profiles([batch, 5]), "batch_ids: an id must be text, not int"),
        (lambda: call.jobs(state="done"), "state must be one of claimed, running, completed"),
        (lambda: call.jobs(state=5), "state must be one of claimed, .* not int"),
        (lambda: call.batch(5), "batch_id must be text, not int; give the id as the store gave it"),
        (lambda: call.job(None), "job_id must be text, not NoneType"),
        (lambda: call.definition(["churn"]), "id_or_name must be text, not list"),
        (lambda: call.deployment(b"dep-1"), "deployment_id must be text, not bytes"),
    ):
        with pytest.raises((DefinitionError, ConfigurationError), match=said):
            attempt()
    assert [batch] == [each.id for each in store.batches("dep-1", limit=np.int64(5))]
    assert 0 == store.jobs(state="completed").total  # type: ignore[arg-type]


def test_no_id_holds_what_no_database_does(store: MonitoringStore, record: DefinitionRecord) -> None:
    for attempt in (
        lambda: store.batch("a\0b"),
        lambda: store.job("a\0b"),
        lambda: store.definition("a\0b"),
        lambda: store.deployment("a\0b"),
        lambda: store.custom_metric("dep-1", "a\0b"),
        lambda: store.create_batch("a\0b", "b"),
        lambda: store.results("a\0b"),
        lambda: store.batches("a\0b"),
        lambda: store.lock_batch("a\0b"),
    ):
        with pytest.raises(NotFound, match="which holds NUL"):
            attempt()
    assert 0 == store.batch_service(["a\0b"]).requests


@pytest.mark.parametrize("count", [None, "5", "abc", math.nan, math.inf, 1.5, -1, True, [1], 2**70])
def test_counts_of_a_service_are_whole_numbers(store: MonitoringStore, record: DefinitionRecord, count: Any) -> None:
    batch = store.create_batch("dep-1", "b").id
    with pytest.raises(DefinitionError, match="predictions must be a whole number, 0 or more"):
        store.report_deployment_stats(count, 1.0, batch)
    assert 0 == store.batch_service([batch]).requests


@pytest.mark.parametrize("time", ["5", math.nan, math.inf, -1.0, True, [1], dt.timedelta(seconds=1)])
def test_times_of_a_service_are_milliseconds(store: MonitoringStore, record: DefinitionRecord, time: Any) -> None:
    batch = store.create_batch("dep-1", "b").id
    with pytest.raises(DefinitionError, match="execution_time_ms must be a number of milliseconds, 0 or more"):
        store.report_deployment_stats(1, time, batch)
    assert store.report_deployment_stats(np.int64(5), np.float32(3), batch)
    assert store.report_deployment_stats(Decimal(5), Decimal("1.5"), batch)  # type: ignore[arg-type]
    assert (10, 2.25) == (store.batch_service([batch]).predictions, store.batch_service([batch]).execution_time_ms)


def test_a_reported_value_lies_in_years_that_have_periods(store: MonitoringStore, record: DefinitionRecord) -> None:
    store.create_custom_metric("dep-1", "revenue", CustomMetric())
    report: Callable[..., bool] = store.report_custom_metric
    with pytest.raises(DefinitionError, match="timestamp must lie between the years 1900 and 2200"):
        report("dep-1", "revenue", 1.0, timestamp=dt.datetime(9, 1, 1, tzinfo=dt.UTC))
    with pytest.raises(DefinitionError, match="sample_count must be a whole number"):
        report("dep-1", "revenue", 1.0, sample_count=2**70)
    assert report("dep-1", "revenue", 1.0, timestamp=dt.datetime(2026, 1, 1, tzinfo=dt.UTC))


def test_a_search_ignores_case_beyond_ascii(store: MonitoringStore, record: DefinitionRecord) -> None:
    store.create_batch("dep-1", "ÄPFEL im März")
    assert ["ÄPFEL im März"] == [each.name for each in store.batches("dep-1", BatchFilter(search="äpfel"))]
    store.change_deployment("dep-1", description="Übersicht")
    assert ["dep-1"] == [each.id for each in store.deployments(search="ÜBERSICHT")]
