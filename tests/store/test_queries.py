"""Reading: a page at a time, in a stated order, and history that is kept."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from airflow_monitoring_provider.definitions.terms import JobState, WindowKind
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import ConfigurationError, NotFound
from airflow_monitoring_provider.store.records import DefinitionRecord, RunInfo
from airflow_monitoring_provider.store.store import MonitoringStore

Day = Callable[[int], Window]


class Clock:
    """A minute later each time it is asked."""

    def __init__(self) -> None:
        self.now = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(minutes=1)
        return self.now


@pytest.fixture
def history(store_url: str, open_store: Callable[..., MonitoringStore], make: Any, day: Day, snapshot: Any) -> Any:
    """Two definitions of two deployments: windows 3, 1, 2 of the first, in this order, and one of the second."""
    store = open_store(store_url, clock=Clock())
    first = store.register_definition(make())
    second = store.register_definition(make(name="Other", deploymentId="dep-2"))
    claims = [store.claim(first, day(number), batch_name=f"batch {number}") for number in (3, 1, 2)]
    claims.append(store.claim(second, day(1), batch_name="other"))
    store.commit(claims[0], snapshot(3))
    store.fail(claims[1], JobState.FAILED, "broken")
    return store, claims


def test_jobs_are_listed_in_the_order_asked_for(history: Any) -> None:
    store, (third, first, second, other) = history

    def ids(**filters: Any) -> list[str]:
        return [job.id for job in store.jobs(**filters)]

    assert [other.job_id, second.job_id, first.job_id, third.job_id] == ids()
    assert [third.job_id, first.job_id, second.job_id, other.job_id] == ids(order="created")
    mine = {"definition_id": third.definition_id}
    assert [first.job_id, second.job_id, third.job_id] == ids(order="window", **mine)
    assert [third.job_id, second.job_id, first.job_id] == ids(order="-window", **mine)
    with pytest.raises(ConfigurationError, match="order must be one of"):
        store.jobs(order="id; drop table")


def test_jobs_are_filtered_by_deployment_and_state(history: Any) -> None:
    store, (third, first, second, other) = history

    def ids(**filters: Any) -> set[str]:
        return {job.id for job in store.jobs(**filters)}

    assert {other.job_id} == ids(deployment_id="dep-2")
    assert {first.job_id} == ids(state=JobState.FAILED)
    assert {first.job_id, third.job_id} == ids(state=[JobState.FAILED, JobState.COMPLETED])
    assert {second.job_id, other.job_id} == ids(state=JobState.RUNNING)
    assert set() == ids(deployment_id="dep-2' or '1'='1")


def test_jobs_come_a_page_at_a_time(history: Any) -> None:
    store, claims = history

    pages = [store.jobs(limit=3, offset=offset) for offset in (0, 3)]
    assert [(3, 4), (1, 4)] == [(len(page), page.total) for page in pages]
    assert len(claims) == len({job.id for page in pages for job in page})
    for wrong in ({"limit": 0}, {"limit": 1001}, {"offset": -1}):
        with pytest.raises(ConfigurationError, match=r"must be 1 to 1000|offset must be 0 or more"):
            store.jobs(**wrong)


def test_results_come_a_page_at_a_time_in_their_own_order(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any, value: Any
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    values = [value(name, column, 1.0) for column in ("b", "a", None) for name in ("psi", "ks")]
    store.commit(claim, snapshot(values=values))

    page = store.results(claim.job_id, limit=2, offset=2)
    assert (values[2:4], 6) == ([result.value for result in page], page.total)
    assert [values[1], values[3], values[5]] == [result.value for result in store.results(claim.job_id, name="ks")]
    assert [values[2]] == [result.value for result in store.results(claim.job_id, name="psi", column="a")]
    with pytest.raises(NotFound):
        store.results("unknown")


def test_a_running_job_has_no_results_yet(store: MonitoringStore, record: DefinitionRecord, day: Day) -> None:
    claim = store.claim(record, day(1), batch_name="b")

    assert 0 == store.results(claim.job_id).total
    assert [] == store.load_values(claim.job_id)
    assert store.load_profile(claim.job_id) is None
    assert () == store.prediction_files(claim.job_id)
    assert 0 == store.job(claim.job_id).snapshot_revision


def test_what_is_unknown_is_said_to_be(store: MonitoringStore) -> None:
    for ask in (store.job, store.load_values, store.load_profile, store.batch):
        with pytest.raises(NotFound):
            ask("unknown")


def test_every_attempt_is_kept_with_its_run(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any
) -> None:
    runs = [RunInfo("d", f"run {number}", "run_job", number, -1) for number in (1, 2, 3)]
    store.fail(store.claim(record, day(1), batch_name="b", run=runs[0]), JobState.FAILED, "no table")
    store.claim(record, day(1), batch_name="b", run=runs[1])
    last = store.claim(record, day(1), batch_name="b", run=runs[2])
    store.commit(last, snapshot())

    attempts = store.attempts(last.job_id)
    assert runs == [attempt.run for attempt in attempts]
    assert [
        (JobState.FAILED, "no table"),
        (JobState.SUPERSEDED, "attempt 3 claimed the window"),
        (JobState.COMPLETED, None),
    ] == [(attempt.state, attempt.reason) for attempt in attempts]
    assert all(attempt.finished_at is not None for attempt in attempts)


def test_only_the_newest_lines_of_a_long_log_are_read(
    store: MonitoringStore, record: DefinitionRecord, day: Day, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("airflow_monitoring_provider.store.queries.LOG_LIMIT", 3)
    claim = store.claim(record, day(1), batch_name="b")
    for number in range(5):
        store.log(claim, f"line {number}")

    assert ["line 2", "line 3", "line 4"] == [line.line for line in store.job(claim.job_id).log]


def test_the_window_comes_back_as_it_was_claimed(store: MonitoringStore, record: DefinitionRecord) -> None:
    instant = dt.datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=dt.UTC)
    for end in (instant, instant + dt.timedelta(microseconds=1)):
        window = Window.of(instant, end, WindowKind.AD_HOC)
        assert window == store.job(store.claim(record, window, batch_name="b").job_id).window
