"""Batches that people make: limited a day, described, filled by several jobs, dated by hand, and gone when deleted."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest

from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import (
    BatchLimitReached,
    BatchLocked,
    ConfigurationError,
    DefinitionError,
    NotFound,
)
from airflow_monitoring_provider.store.deployment_records import BatchFilter
from airflow_monitoring_provider.store.records import BatchRecord, DefinitionRecord
from airflow_monitoring_provider.store.report_records import Report
from airflow_monitoring_provider.store.store import MonitoringStore

Open = Callable[..., MonitoringStore]
Day = Callable[[int], Window]


def at(day: int, hour: int = 0) -> dt.datetime:
    return dt.datetime(2026, 1, day, hour, tzinfo=dt.UTC)


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


def fill(
    store: MonitoringStore, record: DefinitionRecord, window: Window, snapshot: Any, batch: BatchRecord, **facts: Any
) -> str:
    claim = store.claim(record, window, batch_name="unused", batch_id=batch.id, model_id=facts.pop("model_id", None))
    store.commit(claim, snapshot(**facts))
    return claim.job_id


def test_a_batch_is_made_described_and_described_anew(timed: MonitoringStore) -> None:
    timed.create_deployment("dep-1")
    made = timed.create_batch("dep-1", "Run 7", description="first", external_url="https://wiki/7", by="ada")
    assert ("dep-1", "Run 7", "first", "https://wiki/7", "ada", at(1), False, 0, None, None) == (
        made.deployment_id,
        made.name,
        made.description,
        made.external_url,
        made.created_by,
        made.created_at,
        made.locked,
        made.predictions,
        made.earliest_prediction,
        made.job_id,
    )
    timed.lock_batch(made.id)
    changed = timed.change_batch(made.id, name="Run 8", external_url="", by="bob")
    assert ("Run 8", "first", None) == (changed.name, changed.description, changed.external_url)
    assert changed == timed.batch(made.id)
    for values, field in [
        ({"name": ""}, "batchName"),
        ({"external_url": "javascript:alert(1)"}, "externalContextUrl"),
    ]:
        with pytest.raises(DefinitionError) as raised:
            timed.change_batch(made.id, **values)
        assert field == raised.value.field
    with pytest.raises(NotFound):
        timed.create_batch("dep-2", "b")
    timed.delete_batch(made.id)
    with pytest.raises(BatchLocked, match="was deleted at"):
        timed.change_batch(made.id, name="x")


def test_the_daily_limit_counts_all_batches_and_starts_anew_at_midnight(
    timed: MonitoringStore, clock: Clock, make: Any, day: Day
) -> None:
    record = timed.register_definition(make())
    timed.change_deployment("dep-1", settings={"dailyBatchLimit": 2})
    timed.claim(record, day(1), batch_name="of a job")
    timed.delete_batch(timed.create_batch("dep-1", "b").id)

    limits = timed.batch_limits("dep-1")
    assert (2, 2, at(2)) == (limits.daily_limit, limits.created_today, limits.resets_at)
    with pytest.raises(BatchLimitReached, match=r"2 batches of today and may be given 2; .* 2026-01-02 00:00 UTC"):
        timed.create_batch("dep-1", "b")
    timed.claim(record, day(2), batch_name="jobs are never refused")
    clock.now = at(1, 23)
    with pytest.raises(BatchLimitReached):
        timed.create_batch("dep-1", "b")
    clock.now = at(2)
    timed.create_batch("dep-1", "b")
    assert 1 == timed.batch_limits("dep-1").created_today
    timed.change_deployment("dep-1", settings={"dailyBatchLimit": "off"})
    for _ in range(3):
        timed.create_batch("dep-1", "b")
    assert (None, 4) == (timed.batch_limits("dep-1").daily_limit, timed.batch_limits("dep-1").created_today)


def test_the_last_batch_of_a_day_is_given_once(store_url: str, open_store: Open) -> None:
    store = open_store(store_url)
    store.create_deployment("dep-1", settings={"dailyBatchLimit": 5})
    refused: list[BaseException] = []

    def create() -> None:
        mine = open_store(store_url, wait=60.0)
        for _ in range(3):
            try:
                mine.create_batch("dep-1", "b")
            except BatchLimitReached as error:
                refused.append(error)

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (5, 7) == (store.batch_limits("dep-1").created_today, len(refused))


def test_batches_cannot_be_made_where_batch_monitoring_is_off(store: MonitoringStore) -> None:
    store.create_deployment("dep-1", settings={"batchMonitoring": {"enabled": False}})
    with pytest.raises(ConfigurationError, match=r"batchMonitoring\.enabled"):
        store.create_batch("dep-1", "b")


def test_batches_are_searched_filtered_and_ordered(
    timed: MonitoringStore, clock: Clock, record: DefinitionRecord, day: Day, snapshot: Any
) -> None:
    batches = []
    for number, (name, by) in enumerate([("Gamma 10%", "ada"), ("alpha", "bob"), ("beta", "ada")], 1):
        clock.now = at(number)
        batches.append(timed.create_batch("dep-1", name, by=by))
    fill(timed, record, day(1), snapshot, batches[0], earliest=at(10), latest=at(12))
    fill(timed, record, day(2), snapshot, batches[1], earliest=at(5), latest=at(20))

    def found(order: str = "-created", **wanted: Any) -> list[str]:
        return [batch.name for batch in timed.batches("dep-1", BatchFilter(**wanted), order=order)]

    assert ["beta", "alpha", "Gamma 10%"] == found()
    assert ["Gamma 10%", "alpha", "beta"] == found("created")
    assert [["alpha", "Gamma 10%", "beta"], ["Gamma 10%", "alpha", "beta"]] == [found("earliest"), found("-earliest")]
    assert [["Gamma 10%", "alpha", "beta"], ["alpha", "Gamma 10%", "beta"]] == [found("latest"), found("-latest")]
    assert found("name")[::-1] == found("-name")
    assert (["Gamma 10%"], ["Gamma 10%"], []) == (found(search="gAMMA"), found(search="0%"), found(search="a%a"))
    assert ["alpha"] == found(search=batches[1].id)
    assert ["beta", "Gamma 10%"] == found(created_by="ada")
    assert ["alpha"] == found(created_after=at(2), created_before=at(3))
    assert (["Gamma 10%"], ["Gamma 10%"]) == (found(start_after=at(6)), found(end_before=at(13)))
    timed.lock_batch(batches[2].id)
    assert (["beta"], ["alpha", "Gamma 10%"]) == (found(locked=True), found(locked=False))
    with pytest.raises(ConfigurationError, match="order must be one of"):
        timed.batches("dep-1", order="size")


def test_a_batch_holds_the_rows_of_all_its_jobs(
    store: MonitoringStore, record: DefinitionRecord, make: Any, day: Day, snapshot: Any
) -> None:
    batch = store.create_batch("dep-1", "b")
    first = fill(store, record, day(1), snapshot, batch, rows=100, earliest=at(3), latest=at(4), model_id="m-1")
    fill(store, record, day(2), snapshot, batch, rows=50, earliest=at(2), latest=at(3), model_id="m-2")
    fill(store, record, day(3), snapshot, batch, rows=7)
    fill(store, record, day(1), snapshot, batch, rows=10, earliest=at(3), latest=at(4), model_id="m-1")  # run again

    held = store.batch(batch.id)
    assert (67, at(2), at(4)) == (held.predictions, held.earliest_prediction, held.latest_prediction)
    assert [("", 7, None), ("m-1", 10, at(3)), ("m-2", 50, at(2))] == [
        (entry.model_id, entry.predictions, entry.start_time) for entry in store.batch_models(batch.id)
    ]
    assert 3 == store.jobs(batch_id=batch.id).total

    other = store.claim(record, day(4), batch_name="own")
    store.delete_batch(batch.id)
    assert (0, 0) == (store.batch(batch.id).predictions, len(store.batch_models(batch.id)))
    assert None is store.load_profile(first)
    assert store.job(first).results_deleted
    store.commit(other, snapshot())
    with pytest.raises(BatchLocked, match="was deleted"):
        store.claim(record, day(1), batch_name="again")


def test_a_window_stays_in_its_batch(store: MonitoringStore, record: DefinitionRecord, make: Any, day: Day) -> None:
    batch, other = store.create_batch("dep-1", "b"), store.create_batch("dep-1", "c")
    claim = store.claim(record, day(1), batch_name="unused", batch_id=batch.id)
    assert batch.id == claim.batch_id == store.claim(record, day(1), batch_name="unused").batch_id
    assert 2 == store.batches("dep-1").total
    with pytest.raises(ConfigurationError, match=f"are in batch {batch.id}, where they stay"):
        store.claim(record, day(1), batch_name="unused", batch_id=other.id)
    own = store.claim(record, day(2), batch_name="own")
    with pytest.raises(ConfigurationError, match="where they stay"):
        store.claim(record, day(2), batch_name="unused", batch_id=batch.id)
    assert own.batch_id == store.claim(record, day(2), batch_name="own", batch_id=own.batch_id).batch_id
    assert 2 == store.job(claim.job_id).token
    with pytest.raises(NotFound, match="no batch has the id nothing"):
        store.claim(record, day(3), batch_name="unused", batch_id="nothing")
    elsewhere = store.register_definition(make(name="other", deploymentId="dep-2"))
    with pytest.raises(ConfigurationError, match="belongs to another deployment"):
        store.claim(elsewhere, day(1), batch_name="unused", batch_id=batch.id)
    assert 2 == store.jobs().total


@pytest.mark.parametrize("what", ["locked", "deleted"])
def test_a_closed_batch_takes_no_rows_of_any_job(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any, what: str
) -> None:
    batch = store.create_batch("dep-1", "b")
    fill(store, record, day(1), snapshot, batch)
    running = store.claim(record, day(2), batch_name="unused", batch_id=batch.id)
    if what == "locked":
        store.lock_batch(batch.id)
    else:
        store.delete_batch(batch.id)
    before = store.batch(batch.id)

    with pytest.raises(BatchLocked):
        store.commit(running, snapshot())
    with pytest.raises(BatchLocked, match=what):
        store.claim(record, day(3), batch_name="unused", batch_id=batch.id)
    assert before == store.batch(batch.id)
    if what == "locked":
        store.lock_batch(batch.id, locked=False)
        store.commit(running, snapshot())
        assert 200 == store.batch(batch.id).predictions


def test_predictions_on_historical_data_are_dated_by_hand(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any
) -> None:
    batch = store.create_batch("dep-1", "b")
    fill(store, record, day(1), snapshot, batch, earliest=at(3), latest=at(4), model_id="m-1")
    old = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)

    dated = store.date_batch(batch.id, "m-1", start_time=old, by="ada")
    assert (old, at(4), True) == (dated.start_time, dated.end_time, dated.dated)
    dated = store.date_batch(batch.id, "m-1", end_time=old)
    assert (old, old) == (store.batch(batch.id).earliest_prediction, store.batch(batch.id).latest_prediction)
    with pytest.raises(DefinitionError, match="endTime lies before startTime"):
        store.date_batch(batch.id, "m-1", start_time=at(1))
    with pytest.raises(NotFound, match="no predictions of this model"):
        store.date_batch(batch.id, "m-2", start_time=at(1))
    fill(store, record, day(1), snapshot, batch, earliest=at(3), latest=at(4), model_id="m-1")
    assert (dated,) == store.batch_models(batch.id)
    assert old == store.batch(batch.id).earliest_prediction


def test_what_jobs_and_reports_add_at_once_adds_up_and_ends_with_the_lock(
    store_url: str, open_store: Open, make: Any, day: Day, snapshot: Any
) -> None:
    store = open_store(store_url, wait=60.0)
    record = store.register_definition(make())
    batch = store.create_batch("dep-1", "b")
    claims = [store.claim(record, day(number), batch_name="unused", batch_id=batch.id) for number in range(1, 13)]
    added: dict[str, int] = {}

    def commit(mine: MonitoringStore, number: int) -> None:
        mine.commit(claims[number], snapshot(rows=number + 1))
        added[f"job {number}"] = number + 1  # committed again, it changes nothing

    def report(mine: MonitoringStore, number: int) -> None:
        profile = Report(record.id, b"profile", "hash", 1, rows=1000, scored=1000)
        key = f"report {number // 2}"  # each is sent twice
        if mine.add_report(batch.id, profile, key=key):
            assert key not in added
            added[key] = 1000

    def work(first: int) -> None:
        mine = open_store(store_url, wait=60.0)
        for number in range(first, 12, 3):
            with contextlib.suppress(BatchLocked):
                commit(mine, number)
            with contextlib.suppress(BatchLocked):
                report(mine, number)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(3)]
    for thread in threads:
        thread.start()
    while len(added) < 4:
        threads[0].join(0.005)
    locked = store.lock_batch(batch.id)
    for thread in threads:
        thread.join()

    assert sum(added.values()) == locked.predictions
    assert locked == store.batch(batch.id)
    store.lock_batch(batch.id, locked=False)
    work(0)
    assert sum(added.values()) == store.batch(batch.id).predictions
