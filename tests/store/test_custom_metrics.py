"""Values of custom metrics that are reported from outside: counted once, refused, gone with their batches."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.custom import CustomMetric
from airflow_monitoring_provider.exceptions import (
    BatchLocked,
    ConfigurationError,
    DefinitionError,
    NotFound,
    SourceError,
    UnstorableError,
)
from airflow_monitoring_provider.jobs.custom_history import history, summary
from airflow_monitoring_provider.jobs.reporting import report_custom_frame
from airflow_monitoring_provider.store.custom_records import CustomReport
from airflow_monitoring_provider.store.store import MonitoringStore

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def store(store_url: str, open_store: Callable[..., MonitoringStore]) -> MonitoringStore:
    """A store with a deployment and three metrics."""
    made = open_store(store_url, clock=lambda: NOON)
    made.create_deployment("dep")
    made.create_custom_metric("dep", "cost", CustomMetric(type="sum", units="EUR", warning=10.0, critical=20.0))
    made.create_custom_metric("dep", "mood", CustomMetric(type="average", directionality="higherIsBetter"))
    made.create_custom_metric("dep", "level", CustomMetric(type="gauge", baseline_value=4.0))
    categories = {"bad": {"critical": 0.5}, "good": {"directionality": "higherIsBetter"}}
    made.create_custom_metric("dep", "verdict", CustomMetric(type="categorical", categories=categories))
    return made


def value(store: MonitoringStore, metric: str, **asked: Any) -> float | None:
    return summary(store, "dep", metric, **asked).results[0].value


def test_values_are_combined_and_have_a_status(store: MonitoringStore) -> None:
    for amount in (3.5, 4.0, 5.0):
        assert store.report_custom_metric("dep", "cost", amount)
    found = summary(store, "dep", "cost").results[0]
    assert (12.5, 3, "potential_detection") == (found.value, found.metric.m, found.status.text)
    store.report_custom_metric("dep", "mood", 1.0, sample_count=3)
    store.report_custom_metric("dep", "mood", 5.0, sample_count=1)
    assert 2.0 == value(store, "mood")
    for hour, level in ((5, 7.0), (1, 9.0), (3, 8.0)):
        store.report_custom_metric("dep", "level", level, timestamp=NOON + dt.timedelta(hours=hour))
    (row,) = summary(store, "dep", "level").rows()
    assert (7.0, 75.0) == (row["value"], row["percent_change"])
    for verdict, count in (("bad", 3), ("good", 1), ("odd", 1)):
        store.report_custom_metric("dep", "verdict", verdict, sample_count=count)
    results = summary(store, "dep", "verdict").results
    assert [("verdict", 5.0), ("verdict[bad]", 0.6), ("verdict[good]", 0.2)] == [(r.name, r.value) for r in results]
    assert ["irrelevant", "detected", "irrelevant"] == [r.status.text for r in results]
    assert {"bad": 3, "good": 1, "odd": 1} == results[0].metric.details["counts"]


def test_a_value_sent_twice_counts_once(store: MonitoringStore) -> None:
    twice = [store.report_custom_metric("dep", "cost", 5.0, key="k") for _ in range(2)]
    of_one = [store.report_custom_metric("dep", "cost", 7.0, association_id="p-1") for _ in range(2)]
    assert [True, False, True, False] == twice + of_one
    reports = [CustomReport(1.0, key=key) for key in ("k", "l", "l", "m")]
    assert 2 == store.report_custom_values("dep", "cost", reports)
    assert 14.0 == value(store, "cost")


def test_values_of_a_deleted_batch_never_count_and_a_locked_one_takes_none(store: MonitoringStore) -> None:
    first, second = (store.create_batch("dep", name).id for name in ("a", "b"))
    for batch_id, amount in ((first, 2.0), (second, 3.0), (None, 4.0)):
        store.report_custom_metric("dep", "cost", amount, batch_id=batch_id)
    assert [9.0, 2.0] == [value(store, "cost"), value(store, "cost", batch_ids=[first])]
    assert [(first, 2.0), (second, 3.0)] == sorted(
        ((h.name, h.results[0].value) for h in history(store, "dep", "cost")), key=lambda pair: pair[1]
    )
    store.lock_batch(second)
    with pytest.raises(BatchLocked, match="is locked"):
        store.report_custom_metric("dep", "cost", 1.0, batch_id=second)
    store.delete_batch(first)
    assert 7.0 == value(store, "cost")
    with pytest.raises(BatchLocked, match="was deleted"):
        store.report_custom_values("dep", "cost", [CustomReport(1.0), CustomReport(1.0, batch_id=first)])
    assert 7.0 == value(store, "cost")  # all or none


def test_times_are_cut_on_the_calendar_that_is_asked_for(store: MonitoringStore) -> None:
    for hour in range(0, 48, 6):
        store.report_custom_metric("dep", "cost", 1.0, timestamp=NOON + dt.timedelta(hours=hour))
    zone = "Asia/Tokyo"  # noon UTC is 21 there
    counted = [(each.name, each.results[0].value) for each in history(store, "dep", "cost", by="day", timezone=zone)]
    assert [("2026-03-01", 1.0), ("2026-03-02", 4.0), ("2026-03-03", 3.0)] == counted
    assert 2.0 == value(store, "cost", start=NOON, end=NOON + dt.timedelta(hours=12))
    assert None is value(store, "cost", end=NOON)


@pytest.mark.parametrize(
    ("metric", "given", "error"),
    [
        ("none", {"value": 1.0}, NotFound),
        ("cost", {"value": "dear"}, DefinitionError),
        ("cost", {"value": True}, DefinitionError),
        ("verdict", {"value": 1.0}, DefinitionError),
        ("cost", {"value": math.nan}, UnstorableError),
        ("cost", {"value": 1.0, "sample_count": -1}, DefinitionError),
        ("cost", {"value": 1.0, "batch_id": "none"}, NotFound),
    ],
)
def test_what_cannot_be_a_value_is_refused(
    store: MonitoringStore, metric: str, given: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        store.report_custom_metric("dep", metric, **given)


def test_definitions_describe_their_metrics_and_jobs_compute_them(store: MonitoringStore, definition: Any) -> None:
    from airflow_monitoring_provider.definitions import dump_definition

    own = {"rate": {"sql": "avg(x)", "units": "%"}, "told": {"type": "sum"}}
    changed = load_definition(dump_definition(definition, "python") | {"custom_metrics": own})
    store.register_definition(changed)
    records = {each.id: each for each in store.custom_metrics(changed.deployment_id)}
    assert {"rate": ("sql", "%", changed.id), "told": ("reported", None, changed.id)} == {
        name: (each.metric.source, each.metric.units, each.definition_id) for name, each in records.items()
    }
    assert changed.custom_metrics["rate"] == records["rate"].metric
    with pytest.raises(ConfigurationError, match="is computed by jobs"):
        store.report_custom_metric(changed.deployment_id, "rate", 1.0)
    assert store.report_custom_metric(changed.deployment_id, "told", 1.0)


def test_a_table_is_reported_by_the_metrics_mapping(store: MonitoringStore) -> None:
    mapping = {"value": "eur", "timestamp": "when", "sample_count": "n", "association_id": "order"}
    store.create_custom_metric("dep", "basket", CustomMetric(type="average", mapping=mapping))
    frame = pd.DataFrame(
        {
            "eur": [1.0, 2.0, None, 8.0],
            "when": pd.to_datetime([f"2026-03-{at}:00Z" for at in ("01T00", "02T00", "02T00", "02T01")]),
            "n": [1, 3, 1, 1],
            "order": [11, 12, 13, 14],
        }
    )
    assert [3, 0] == [report_custom_frame(store, frame, "dep", "basket") for _ in range(2)]
    days = [(each.name, each.results[0].value) for each in history(store, "dep", "basket", by="day")]
    assert [("2026-03-01", 1.0), ("2026-03-02", (2.0 * 3 + 8.0) / 4)] == days
    with pytest.raises(SourceError, match="column 'eur' is not in the reported table"):
        report_custom_frame(store, [{"x": 1}], "dep", "basket")


def test_code_is_not_taken_from_the_api(store: MonitoringStore, definition: Any) -> None:
    from airflow_monitoring_provider.definitions import dump_definition

    for own in ({"sql": "avg(x)"}, {"function": "os:getcwd"}):
        changed = load_definition(dump_definition(definition, "python") | {"custom_metrics": {"own": own}})
        with pytest.raises(DefinitionError, match="definitions of DAGs only"):
            store.register_definition(changed, origin="api")
    with pytest.raises(DefinitionError, match="belongs into a job definition"):
        store.create_custom_metric("dep", "own", CustomMetric(sql="avg(x)"))
    with pytest.raises(DefinitionError, match="be no other metric's"):
        store.create_custom_metric("dep", "psi", CustomMetric())
    with pytest.raises(NotFound):
        store.create_custom_metric("none", "own", CustomMetric())
