"""Evaluations: recorded as one, as often as one likes, and only for the snapshot they speak of."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import BatchLocked, NotFound, Superseded, TerminalError
from airflow_monitoring_provider.store import tables
from airflow_monitoring_provider.store.engine import open_engine, reading
from airflow_monitoring_provider.store.evaluation_records import Alert, MonitorTransition
from airflow_monitoring_provider.store.records import Claim, DefinitionRecord
from airflow_monitoring_provider.store.store import MonitoringStore

DETECTED, POTENTIAL, NONE = ResultStatus.DETECTED, ResultStatus.POTENTIAL_DETECTION, ResultStatus.NO_DETECTION
Day = Callable[[int], Window]


@dataclasses.dataclass(frozen=True)
class Status:
    name: str
    column: str | None
    status: ResultStatus
    segment: str | None = None
    reason: str | None = None
    warning: float | None = None
    critical: float | None = None


PSI = Status("psi", "distance", DETECTED, warning=0.1, critical=0.2)
COUNT = Status("row_count", None, ResultStatus.IRRELEVANT, reason="no_threshold")
MONITOR = MonitorTransition("m-psi", "psi", DETECTED, column="distance", value=0.25, warning=0.1, critical=0.2)
ALERT = Alert("m-psi/2026-01-01/detected", DETECTED, "psi of distance is 0.25", "m-psi", {"value": 0.25})


@pytest.fixture
def committed(store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any) -> Callable[..., Claim]:
    def commit(number: int = 1, **more: Any) -> Claim:
        claim = store.claim(record, day(number), batch_name="b")
        store.commit(claim, snapshot(**more))
        return claim

    return commit


def evaluate(store: MonitoringStore, job: str, revision: int = 1, *, status: ResultStatus = DETECTED) -> int:
    results = [dataclasses.replace(PSI, status=status), COUNT]
    transition = dataclasses.replace(MONITOR, status=status)
    return store.record_evaluation(job, revision, results, status, [transition], [ALERT])


def test_an_evaluation_writes_statuses_monitors_and_alerts(store: MonitoringStore, committed: Any) -> None:
    job = committed().job_id
    assert [None, None] == [result.status for result in store.results(job)]

    assert 1 == evaluate(store, job)

    psi, count = store.results(job)
    assert (DETECTED, None, 0.1, 0.2) == (psi.status, psi.status_reason, psi.warning, psi.critical)
    assert (ResultStatus.IRRELEVANT, "no_threshold") == (count.status, count.status_reason)
    assert psi.evaluated_at is not None
    assert [psi] == list(store.results(job, status=[DETECTED, POTENTIAL]))
    found = store.job(job)
    assert (DETECTED, False) == (found.overall_status, found.evaluation_due)
    (state,) = store.monitor_states(found.definition_id)
    assert ("m-psi", "psi", "distance", None, DETECTED, 0.25) == (
        state.monitor_id,
        state.metric,
        state.column,
        state.segment,
        state.status,
        state.value,
    )
    (alert,) = store.pending_alerts()
    assert (ALERT.key, ALERT.title, {"value": 0.25}, DETECTED, job) == (
        alert.key,
        alert.title,
        alert.payload,
        alert.status,
        alert.job_id,
    )


def test_evaluating_twice_gives_one_alert_and_the_same_statuses(store: MonitoringStore, committed: Any) -> None:
    job = committed().job_id
    evaluate(store, job)
    states = store.monitor_states(store.job(job).definition_id)
    store.alert_delivered(ALERT.key)

    assert 0 == evaluate(store, job)

    assert () == store.pending_alerts()
    again = store.monitor_states(store.job(job).definition_id)
    assert [(state.status, state.previous, state.since) for state in states] == [
        (state.status, state.previous, state.since) for state in again
    ]
    assert [DETECTED, ResultStatus.IRRELEVANT] == [result.status for result in store.results(job)]


def test_a_changed_threshold_overwrites_the_statuses(store: MonitoringStore, committed: Any) -> None:
    job = committed().job_id
    evaluate(store, job)

    store.record_evaluation(job, 1, [dataclasses.replace(PSI, status=NONE, warning=0.3, critical=None)], NONE)

    psi, count = store.results(job)
    assert (NONE, 0.3, None) == (psi.status, psi.warning, psi.critical)
    assert count.status is None, "a status that is given no more is gone"
    assert NONE is store.job(job).overall_status


def test_an_evaluation_of_an_older_snapshot_writes_nothing(
    store: MonitoringStore, record: DefinitionRecord, day: Day, committed: Any, snapshot: Any
) -> None:
    job = committed().job_id
    pending = store.pending_evaluation(job)
    store.commit(store.claim(record, day(1), batch_name="b"), snapshot(200))
    assert pending is not None

    with pytest.raises(Superseded):
        evaluate(store, job, pending.snapshot_revision)

    assert () == store.pending_alerts()
    assert () == store.monitor_states(record.id)
    assert store.job(job).evaluation_due


def test_a_snapshot_says_what_is_to_be_evaluated(
    store: MonitoringStore, record: DefinitionRecord, day: Day, committed: Any
) -> None:
    uncommitted = store.claim(record, day(9), batch_name="b")
    assert store.pending_evaluation(uncommitted.job_id) is None
    claim = committed()

    pending = store.pending_evaluation(claim.job_id)

    assert pending is not None
    assert (1, record.id, 1, "dep-1", claim.batch_id, day(1), True) == (
        pending.snapshot_revision,
        pending.definition_id,
        pending.definition_revision,
        pending.deployment_id,
        pending.batch_id,
        pending.window,
        pending.due,
    )
    evaluate(store, claim.job_id)
    again = store.pending_evaluation(claim.job_id)
    assert again is not None
    assert not again.due
    with pytest.raises(NotFound):
        store.pending_evaluation("unknown")


def test_results_of_a_deleted_batch_are_not_evaluated(store: MonitoringStore, committed: Any) -> None:
    claim = committed()
    store.delete_batch(claim.batch_id)

    with pytest.raises(BatchLocked):
        evaluate(store, claim.job_id)
    assert () == store.pending_alerts()


def test_a_status_for_a_value_that_is_not_there_is_refused_as_a_whole(store: MonitoringStore, committed: Any) -> None:
    job = committed().job_id

    with pytest.raises(NotFound, match="metric ks"):
        store.record_evaluation(job, 1, [PSI, dataclasses.replace(PSI, name="ks")], DETECTED, [MONITOR], [ALERT])

    assert store.job(job).evaluation_due
    assert () == store.pending_alerts()
    with pytest.raises(TerminalError, match="limit of metric psi"):
        store.record_evaluation(job, 1, [dataclasses.replace(PSI, warning=float("nan"))], DETECTED)
    with pytest.raises(NotFound):
        store.record_evaluation("unknown", 1, [], NONE)


def test_a_monitor_remembers_since_when_and_what_was_before_and_forgets_no_newer_window(
    store: MonitoringStore, record: DefinitionRecord, committed: Any, day: Day
) -> None:
    def state(number: int, status: ResultStatus) -> tuple[Any, ...]:
        evaluate(store, committed(number).job_id, status=status)
        (found,) = store.monitor_states(record.id)
        return found.status, found.previous, found.since.day, found.window_start.day

    assert (NONE, None, 2, 2) == state(2, NONE)
    assert (DETECTED, NONE, 3, 3) == state(3, DETECTED)
    assert (DETECTED, NONE, 3, 5) == state(5, DETECTED)
    assert (DETECTED, NONE, 3, 5) == state(4, NONE), "a backfill of an older window"
    assert (POTENTIAL, DETECTED, 6, 6) == state(6, POTENTIAL)


def test_a_monitor_that_is_evaluated_no_more_is_retired_until_it_is_again(
    store: MonitoringStore, record: DefinitionRecord, committed: Any
) -> None:
    other = dataclasses.replace(MONITOR, monitor_id="m-rows", metric="row_count", column=None)

    def watched(number: int, *transitions: MonitorTransition) -> list[str]:
        claim = committed(number)
        store.record_evaluation(
            claim.job_id, store.job(claim.job_id).snapshot_revision, [PSI], DETECTED, list(transitions)
        )
        return [state.monitor_id for state in store.monitor_states(record.id)]

    assert ["m-psi", "m-rows"] == watched(3, MONITOR, other)
    assert ["m-psi"] == watched(5, MONITOR)
    assert ["m-psi"] == watched(4, MONITOR, other), "an older window brings nothing back"
    assert ["m-psi"] == watched(2, other), "and retires nothing"
    assert ["m-psi"] == watched(6), "a window that moves no monitor"
    assert ["m-psi", "m-rows"] == watched(7, MONITOR, other)


def test_every_segment_and_column_is_told_apart(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any, value: Any
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    values = [value(segment=segment, column=column) for segment in (None, "a\0", "b") for column in (None, "é")]
    store.commit(claim, snapshot(values=values))
    statuses = [
        Status(one.name, one.column, NONE if one.column else DETECTED, segment=one.segment, reason=f"r{number}")
        for number, one in enumerate(values)
    ]

    store.record_evaluation(claim.job_id, 1, list(reversed(statuses)), DETECTED)

    assert [f"r{number}" for number in range(6)] == [result.status_reason for result in store.results(claim.job_id)]
    assert ["r4"] == [result.status_reason for result in store.results(claim.job_id, segment="b", status=[DETECTED])]
    assert ["r0", "r1"] == [result.status_reason for result in store.results(claim.job_id, segment="")]


def test_alerts_leave_the_outbox_when_they_arrived_and_only_then(store: MonitoringStore, committed: Any) -> None:
    first, second = committed(1).job_id, committed(2).job_id
    store.record_evaluation(first, 1, [], DETECTED, alerts=[Alert("a", DETECTED, "A")])
    store.record_evaluation(second, 1, [], DETECTED, alerts=[Alert("b", DETECTED, "B"), Alert("a", DETECTED, "A")])
    store.alert_failed("a", "timeout after 10 s")
    store.alert_delivered("b")
    store.alert_delivered("b")
    store.alert_failed("b", "too late")

    (alert,) = store.pending_alerts()
    assert ("a", 1, "timeout after 10 s", False) == (alert.key, alert.attempts, alert.last_error, alert.delivered)
    assert [alert] == list(store.pending_alerts(job_id=first))
    assert () == store.pending_alerts(job_id=second)
    with pytest.raises(NotFound):
        store.alert_delivered("c")


def test_a_wide_evaluation_is_one_transaction(
    store: MonitoringStore, store_url: str, record: DefinitionRecord, day: Day, snapshot: Any, value: Any
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    columns = [f"c{number}" for number in range(1000)]
    store.commit(claim, snapshot(values=[value(column=column) for column in columns]))

    store.record_evaluation(
        claim.job_id,
        1,
        [Status("psi", column, DETECTED, critical=0.2) for column in columns],
        DETECTED,
        [MonitorTransition(f"m-{column}", "psi", DETECTED, column=column) for column in columns],
    )

    assert 1000 == store.results(claim.job_id, status=[DETECTED]).total
    engine = open_engine(store_url)
    with reading(engine) as connection:
        evaluated = connection.execute(sa.select(tables.metrics.c.evaluated_at).distinct()).scalars().all()
    engine.dispose()
    assert 1 == len(evaluated)
    assert isinstance(evaluated[0], dt.datetime)
    assert 1000 == len(store.monitor_states(record.id))


@pytest.mark.parametrize("column", ["line\nbreak", "é" * 127, 'a/b\' "c"; --', "x" * 255])
def test_a_monitor_of_any_column_is_found_again(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any, value: Any, column: str
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    store.commit(claim, snapshot(values=[value(column=column)]))
    monitor = f"{'d' * 200}/psi/{column}/"
    transition = MonitorTransition(monitor, "psi", DETECTED, column=column, details={"opened": "x"})
    results = [Status("psi", column, DETECTED)]

    assert 1 == store.record_evaluation(
        claim.job_id, 1, results, DETECTED, [transition], [Alert("a", DETECTED, "A", monitor)]
    )

    (state,) = store.monitor_states(record.id)
    assert (monitor, column, {"opened": "x"}) == (state.monitor_id, state.column, state.details)
    assert [monitor] == [alert.monitor_id for alert in store.pending_alerts()]
    with pytest.raises(TerminalError, match="600"):
        store.record_evaluation(
            claim.job_id, 1, results, DETECTED, [dataclasses.replace(transition, monitor_id="m" * 601)]
        )
