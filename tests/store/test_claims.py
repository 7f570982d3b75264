"""Claims: one owner per window, who learns that it lost it or that it is to stop."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState, WindowKind
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import (
    BatchLocked,
    DefinitionError,
    JobAborted,
    NotFound,
    StoreSchemaError,
    Superseded,
)
from airflow_monitoring_provider.store import tables
from airflow_monitoring_provider.store.engine import open_engine, reading, writing
from airflow_monitoring_provider.store.records import DefinitionRecord, RunInfo, Snapshot
from airflow_monitoring_provider.store.store import MonitoringStore

Day = Callable[[int], Window]
RUN = RunInfo("monitoring__flights", "scheduled__2026-01-01", "run_job", 2, -1)


def test_each_claim_of_a_window_gets_the_next_token_and_other_windows_their_own(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    tokens = [store.claim(record, day(n), batch_name="b").token for n in (1, 1, 2, 1)]

    assert [1, 2, 1, 3] == tokens


def test_a_claim_starts_the_job_with_its_run_its_model_and_its_batch(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    claim = store.claim(
        record, day(1), run=RUN, batch_name="Nightly 2026-01-01", model_id="m", model_version="7", environment="test"
    )

    job = store.job(claim.job_id)
    assert (JobState.RUNNING, 1, 0.0, RUN, "dag") == (job.state, job.token, job.percent, job.run, job.origin)
    assert ("m", "7", "test", record.revision) == (
        job.model_id,
        job.model_version,
        job.environment,
        job.definition_revision,
    )
    assert day(1) == job.window
    assert job.snapshot is None
    batch = store.batch(claim.batch_id)
    assert ("Nightly 2026-01-01", claim.job_id, "dep-1", 0) == (
        batch.name,
        batch.job_id,
        batch.deployment_id,
        batch.predictions,
    )


def test_a_later_claim_keeps_the_batch_and_what_people_called_it(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    first = store.claim(record, day(1), batch_name="first name")
    second = store.claim(record, day(1), batch_name="second name")

    assert first.batch_id == second.batch_id
    assert ["first name"] == [batch.name for batch in store.batches("dep-1")]


def test_a_manual_run_of_a_scheduled_window_stays_scheduled(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    store.claim(record, day(1), batch_name="b")
    again = store.claim(record, dataclasses.replace(day(1), kind=WindowKind.AD_HOC), batch_name="b")

    assert WindowKind.SCHEDULED is store.job(again.job_id).window.kind


def test_an_attempt_keeps_the_revision_it_claimed_with_whatever_is_edited_meanwhile(
    store: MonitoringStore, make: Callable[..., Any], day: Day, snapshot: Callable[..., Snapshot]
) -> None:
    first = store.register_definition(make())
    old = store.claim(first, day(1), batch_name="b")
    edited = store.register_definition(make(chunkSize=77))
    new = store.claim(edited, day(1), batch_name="b")
    later = store.register_definition(make(chunkSize=88))
    assert [1, 2, 3] == [first.revision, edited.revision, later.revision]
    assert [1, 2] == [old.revision, new.revision]
    with pytest.raises(Superseded):
        store.commit(old, snapshot(1))

    store.commit(new, snapshot(2))

    job = store.job(new.job_id)
    assert [(1, 1), (2, 2)] == [(attempt.token, attempt.definition_revision) for attempt in store.attempts(new.job_id)]
    assert job.snapshot is not None
    assert (2, 2, 2) == (job.definition_revision, job.snapshot.definition_revision, job.snapshot.token)
    pending = store.pending_evaluation(new.job_id)
    assert pending is not None
    assert 2 == pending.definition_revision
    for revision, size in ((2, 77), (3, 88)):
        assert size == store.definition(first.id, revision)[1]["chunkSize"]


def test_an_attempt_that_lost_its_window_learns_it_and_changes_nothing(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    old = store.claim(record, day(1), batch_name="b")
    store.progress(old, percent=40, scored=4)
    new = store.claim(record, day(1), batch_name="b")

    with pytest.raises(Superseded):
        store.progress(old, percent=50, scored=5)
    with pytest.raises(Superseded):
        store.abort_requested(old)
    assert not store.fail(old, JobState.FAILED, "no rows")

    job = store.job(new.job_id)
    assert (JobState.RUNNING, 2, 0.0, 0, None) == (job.state, job.token, job.percent, job.scored, job.reason)
    assert [(1, JobState.SUPERSEDED, "no rows"), (2, JobState.RUNNING, None)] == [
        (attempt.token, attempt.state, attempt.reason) for attempt in store.attempts(new.job_id)
    ]


def test_a_running_job_shows_how_far_it_is(store: MonitoringStore, record: DefinitionRecord, day: Day) -> None:
    claim = store.claim(record, day(1), batch_name="b")

    assert not store.progress(claim, percent=62.5, scored=50, failed=2, skipped=1, message="half of table flights")

    job = store.job(claim.job_id)
    assert (62.5, 50, 2, 1) == (job.percent, job.scored, job.failed, job.skipped)
    assert [(1, "half of table flights")] == [(line.token, line.line) for line in job.log]


def test_a_running_attempt_sees_that_it_is_to_stop_and_the_next_attempt_does_not(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    assert not store.abort_requested(claim)

    assert store.request_abort(claim.job_id, by="ada")

    assert store.abort_requested(claim)
    assert store.progress(claim, percent=10)
    assert store.fail(claim, JobState.ABORTED, "asked to stop by ada")
    job = store.job(claim.job_id)
    assert (JobState.ABORTED, "asked to stop by ada", "ada") == (job.state, job.reason, job.abort_requested_by)
    assert not store.request_abort(claim.job_id, by="ada"), "it is not running any more"
    assert not store.abort_requested(store.claim(record, day(1), batch_name="b"))


def test_an_attempt_that_was_ended_can_not_commit(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    store.fail(claim, JobState.ABORTED, "killed")

    with pytest.raises(JobAborted):
        store.commit(claim, snapshot())
    assert store.job(claim.job_id).snapshot is None


def test_an_unknown_job_can_not_be_aborted(store: MonitoringStore) -> None:
    with pytest.raises(NotFound):
        store.request_abort("no such job")


def test_a_claim_needs_a_registered_definition(store: MonitoringStore, record: DefinitionRecord, day: Day) -> None:
    with pytest.raises(NotFound):
        store.claim(dataclasses.replace(record, id="other"), day(1), batch_name="b")


def test_lines_of_a_lost_attempt_stay_before_those_of_the_newer(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    old = store.claim(record, day(1), batch_name="b")
    new = store.claim(record, day(1), batch_name="b")
    store.log(new, "new")
    store.log(old, "old")

    lines = store.job(new.job_id).log
    assert ["old", "new"] == [line.line for line in lines]
    assert all(line.at.tzinfo is not None for line in lines)


def test_whatever_a_failing_job_says_is_stored(store: MonitoringStore, record: DefinitionRecord, day: Day) -> None:
    claim = store.claim(record, day(1), batch_name="b")

    store.fail(claim, JobState.FAILED, "NUL \0, half \ud83d, 'quotes', %s; drop table x -- " + "long " * 1000)

    reason = store.job(claim.job_id).reason
    assert reason is not None
    assert reason.startswith("NUL \ufffd, half \ufffd")
    assert "'quotes', %s; drop table x --" in reason
    assert len(reason) == 2000


@pytest.mark.parametrize("name", ["", "a\0b", "tab\t", "half \ud83d", "x" * 256])
def test_a_batch_name_that_cannot_be_stored_is_refused_with_its_field(
    store: MonitoringStore, record: DefinitionRecord, day: Day, name: str
) -> None:
    with pytest.raises(DefinitionError, match="monitoringBatchPrefix") as refused:
        store.claim(record, day(1), batch_name=name)
    assert "monitoringBatchPrefix" == refused.value.field
    assert 0 == store.jobs().total


@pytest.mark.parametrize("name", ["'; drop table monitoring_jobs; --", 'say "hi"', "%s %(x)s :x ?", "الدفعة 📦 é é"])
def test_any_other_batch_name_is_kept_byte_for_byte(
    store: MonitoringStore, record: DefinitionRecord, day: Day, name: str
) -> None:
    claim = store.claim(record, day(1), batch_name=name, run=RunInfo(name, name, name, 1, -1))

    assert name == store.batch(claim.batch_id).name
    assert RunInfo(name, name, name, 1, -1) == store.job(claim.job_id).run


def test_times_come_from_the_clock_and_are_instants(store_url: str, open_store: Any, definition: Any, day: Day) -> None:
    zone = dt.timezone(dt.timedelta(hours=-7))
    now = dt.datetime(2026, 3, 8, 2, 30, 0, 123456, tzinfo=zone)
    store = open_store(store_url, clock=lambda: now)
    claim = store.claim(store.register_definition(definition), day(1), batch_name="b")

    started = store.job(claim.job_id).started_at
    assert now == started
    assert dt.UTC is started.tzinfo


def test_a_naive_clock_is_refused(store_url: str, open_store: Any, definition: Any) -> None:
    store = open_store(store_url, clock=lambda: dt.datetime(2026, 3, 8))  # noqa: DTZ001 - the mistake under test

    with pytest.raises(ValueError, match="time zone"):
        store.register_definition(definition)


def test_the_attempts_of_a_job_count_up_in_the_table_too(
    store: MonitoringStore, store_url: str, record: DefinitionRecord, day: Day
) -> None:
    for _ in range(4):
        store.claim(record, day(1), batch_name="b")

    engine = open_engine(store_url)
    with reading(engine) as connection:
        tokens = connection.execute(sa.select(tables.job_attempts.c.token)).scalars().all()
    engine.dispose()
    assert all(later == earlier + 1 for earlier, later in pairwise(sorted(tokens)))


def test_a_killed_attempt_does_not_end_its_successor(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    old = store.claim(record, day(1), batch_name="b")
    new = store.claim(record, day(1), batch_name="b")
    assert not store.request_abort(old.job_id, by="on_kill", token=old.token)
    assert not store.abort_requested(new)
    assert store.request_abort(new.job_id, by="on_kill", token=new.token)
    assert store.abort_requested(new)


def test_a_claim_goes_on_past_a_token_that_the_store_forgot(
    store: MonitoringStore, record: DefinitionRecord, day: Callable[[int], Window], snapshot: Callable[..., Snapshot]
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    moved = store.continue_after(claim, 7)

    assert dataclasses.replace(claim, token=8) == moved
    assert [8] == [attempt.token for attempt in store.attempts(claim.job_id)]
    with pytest.raises(Superseded):
        store.confirm(claim)
    store.confirm(moved)
    assert 1 == store.commit(moved, snapshot())
    assert 9 == store.claim(record, day(1), batch_name="b").token


def test_a_claim_that_was_overtaken_has_forgotten_nothing(
    store: MonitoringStore, record: DefinitionRecord, day: Callable[[int], Window]
) -> None:
    old = store.claim(record, day(1), batch_name="b")
    new = store.claim(record, day(1), batch_name="b")

    with pytest.raises(Superseded):
        store.continue_after(old, 7)

    assert new.token == store.job(new.job_id).token
    store.confirm(new)


def test_a_store_has_an_id_of_its_own_and_hands_it_to_its_claims(
    store: MonitoringStore, record: DefinitionRecord, day: Callable[[int], Window], open_store: Any, tmp_path: Path
) -> None:
    mine = store.identity()
    other = open_store(f"sqlite:///{tmp_path / 'other.sqlite'}", embedded=True)

    assert mine.id != other.identity().id
    assert (mine.id, ()) == (store.claim(record, day(1), batch_name="b").store_id, mine.continues)
    assert [True, False] == [store.adopt("a lost one", by="ada"), store.adopt("a lost one")]
    assert not store.adopt(mine.id)
    claim = store.claim(record, day(1), batch_name="b")
    assert (mine.id, ("a lost one",)) == (claim.store_id, claim.continues)


def test_a_store_that_does_not_know_who_it_is_refuses_to_claim(
    store: MonitoringStore, store_url: str, record: DefinitionRecord, day: Callable[[int], Window]
) -> None:
    engine = open_engine(store_url)
    with writing(engine) as connection:
        connection.execute(sa.delete(tables.stores))
    engine.dispose()

    with pytest.raises(StoreSchemaError, match="monitoring_stores has 0 rows that say which store this is"):
        store.claim(record, day(1), batch_name="b")
    assert 0 == store.jobs().total


def test_an_attempt_learns_at_its_next_report_that_its_batch_takes_no_more_rows(
    store: MonitoringStore, record: DefinitionRecord, day: Day
) -> None:
    claim = store.claim(record, day(1), batch_name="b")
    store.lock_batch(claim.batch_id)
    with pytest.raises(BatchLocked, match="is locked; unlock it"):
        store.progress(claim, percent=10)
    store.lock_batch(claim.batch_id, locked=False)
    store.progress(claim, percent=20)
    store.delete_batch(claim.batch_id)
    with pytest.raises(BatchLocked, match="was deleted"):
        store.progress(claim, percent=30)
    assert 20 == store.job(claim.job_id).percent
