"""Commits: whole or not at all, once, and only by the newest attempt."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import JobState
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import BatchLocked, NotFound, Superseded, TerminalError
from airflow_monitoring_provider.store import tables
from airflow_monitoring_provider.store.engine import open_engine, reading
from airflow_monitoring_provider.store.records import Claim, DefinitionRecord, PredictionFile
from airflow_monitoring_provider.store.store import MonitoringStore

Day = Callable[[int], Window]
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def claim(store: MonitoringStore, record: DefinitionRecord, day: Day) -> Claim:
    return store.claim(record, day(1), batch_name="b")


def test_a_commit_shows_everything_of_the_snapshot(
    store: MonitoringStore, claim: Claim, snapshot: Any, value: Any
) -> None:
    values = [
        value("psi", "distance", 0.25, n=500, m=100, p_value=0.01, primary=True, precision={"shift": 3.0}, binning="d"),
        value("psi", "origin", None, reason="no_data", segment="carrier=UA", details={"levels": ["é", "'"]}),
    ]
    file = PredictionFile("predictions/dep-1/b/j-1.parquet", 100, 4711, "ab" * 32)
    committed = snapshot(
        values=values,
        failed=3,
        skipped=2,
        earliest=NOON,
        latest=NOON + dt.timedelta(hours=1),
        null_timestamps=7,
        prediction_files=[file],
        baseline_version=4,
        details={"checksum": "x"},
    )

    assert 1 == store.commit(claim, committed)

    job = store.job(claim.job_id)
    shown = job.snapshot
    assert shown is not None
    for field in ("rows", "scored", "failed", "skipped", "earliest", "latest", "null_timestamps", "baseline_version"):
        assert getattr(committed, field) == getattr(shown, field)
    assert (1, claim.token, claim.revision) == (shown.revision, shown.token, shown.definition_revision)
    assert ({"monitored": 100}, {"checksum": "x"}) == (shown.status_counts, shown.details)
    assert (JobState.COMPLETED, 100.0, True) == (job.state, job.percent, job.evaluation_due)
    assert values == store.load_values(claim.job_id)
    assert committed.profile_bytes == store.load_profile(claim.job_id).data
    assert (file,) == store.prediction_files(claim.job_id)
    batch = store.batch(claim.batch_id)
    assert (100, committed.earliest, committed.latest) == (
        batch.predictions,
        batch.earliest_prediction,
        batch.latest_prediction,
    )
    assert store.committed(claim)


def test_a_new_attempt_leaves_the_committed_snapshot_visible_until_its_own_commit(
    store: MonitoringStore, record: DefinitionRecord, claim: Claim, day: Day, snapshot: Any
) -> None:
    store.commit(claim, snapshot(100))
    again = store.claim(record, day(1), batch_name="b", model_version="2")
    store.progress(again, percent=10, scored=5)

    job = store.job(claim.job_id)
    assert (JobState.RUNNING, 5, "2") == (job.state, job.scored, job.model_version)
    assert job.snapshot is not None
    assert (1, 100, None) == (job.snapshot.revision, job.snapshot.scored, job.snapshot.model_version)
    assert b"profile of 100 rows" == store.load_profile(claim.job_id).data
    assert 1 == again.snapshot_revision

    assert 2 == store.commit(again, snapshot(50, values=[]))

    job = store.job(claim.job_id)
    assert job.snapshot is not None
    assert (2, 2, 50, "2") == (job.snapshot.revision, job.snapshot.token, job.snapshot.rows, job.snapshot.model_version)
    assert [] == store.load_values(claim.job_id)
    assert 50 == store.batch(claim.batch_id).predictions


def test_an_attempt_that_lost_its_window_can_not_commit(
    store: MonitoringStore, record: DefinitionRecord, claim: Claim, day: Day, snapshot: Any
) -> None:
    newer = store.claim(record, day(1), batch_name="b")

    with pytest.raises(Superseded):
        store.commit(claim, snapshot(1))
    assert store.job(claim.job_id).snapshot is None
    store.commit(newer, snapshot(2))
    with pytest.raises(Superseded):
        store.commit(claim, snapshot(1))

    assert not store.committed(claim)
    assert store.committed(newer)
    assert b"profile of 2 rows" == store.load_profile(claim.job_id).data


def test_the_same_claim_commits_once(store: MonitoringStore, claim: Claim, snapshot: Any) -> None:
    assert 1 == store.commit(claim, snapshot(1))
    assert 1 == store.commit(claim, snapshot(2))

    assert b"profile of 1 rows" == store.load_profile(claim.job_id).data


def test_a_failure_after_the_commit_does_not_undo_it(store: MonitoringStore, claim: Claim, snapshot: Any) -> None:
    store.commit(claim, snapshot())

    assert not store.fail(claim, JobState.FAILED, "the notifier broke")

    job = store.job(claim.job_id)
    assert (JobState.COMPLETED, None) == (job.state, job.reason)
    assert ["The commit stands; after it: the notifier broke"] == [line.line for line in job.log]
    assert [JobState.COMPLETED] == [attempt.state for attempt in store.attempts(claim.job_id)]


def test_a_failed_attempt_after_a_commit_keeps_its_results(
    store: MonitoringStore, record: DefinitionRecord, claim: Claim, day: Day, snapshot: Any
) -> None:
    store.commit(claim, snapshot())
    store.fail(store.claim(record, day(1), batch_name="b"), JobState.FAILED, "table flights is gone")

    job = store.job(claim.job_id)
    assert (JobState.FAILED, "table flights is gone") == (job.state, job.reason)
    assert job.snapshot is not None
    assert 2 == store.results(claim.job_id).total


def test_a_batch_that_is_locked_between_claim_and_commit_never_changes(
    store: MonitoringStore, record: DefinitionRecord, claim: Claim, day: Day, snapshot: Any
) -> None:
    store.commit(claim, snapshot(100))
    again = store.claim(record, day(1), batch_name="b")
    store.lock_batch(claim.batch_id, by="ada")
    before = store.batch(claim.batch_id)

    with pytest.raises(BatchLocked):
        store.commit(again, snapshot(200))
    with pytest.raises(BatchLocked):
        store.claim(record, day(1), batch_name="b")
    with pytest.raises(BatchLocked):
        store.replace_values(claim.job_id, 1, [], baseline_version=1)

    assert before == store.batch(claim.batch_id)
    assert b"profile of 100 rows" == store.load_profile(claim.job_id).data
    assert 2 == store.job(claim.job_id).token, "a refused claim takes nothing from the attempt that runs"
    store.lock_batch(claim.batch_id, locked=False)
    assert 2 == store.commit(again, snapshot(200))


def test_a_batch_that_is_deleted_between_claim_and_commit_stays_deleted(
    store: MonitoringStore, record: DefinitionRecord, claim: Claim, day: Day, snapshot: Any
) -> None:
    store.commit(claim, snapshot(100))
    again = store.claim(record, day(1), batch_name="b")
    store.delete_batch(claim.batch_id, by="ada")

    with pytest.raises(BatchLocked):
        store.commit(again, snapshot(200))
    with pytest.raises(BatchLocked):
        store.claim(record, day(1), batch_name="b")

    job = store.job(claim.job_id)
    assert job.snapshot is None
    assert job.results_deleted
    assert [] == store.load_values(claim.job_id)
    assert store.load_profile(claim.job_id) is None
    with pytest.raises(BatchLocked, match="was deleted, and its results with it"):
        store.pending_evaluation(claim.job_id)
    assert 0 == store.batches("dep-1").total
    assert 0 == store.batch(claim.batch_id).predictions


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_value_that_is_no_number_is_refused_before_anything_is_written(
    store: MonitoringStore, claim: Claim, snapshot: Any, value: Any, bad: float
) -> None:
    with pytest.raises(TerminalError, match="metric psi of column distance"):
        store.commit(claim, snapshot(values=[value(value=bad)]))
    with pytest.raises(TerminalError, match="NaN"):
        store.commit(claim, snapshot(details={"share": bad}))
    with pytest.raises(TerminalError, match="NaN"):
        store.commit(claim, snapshot(values=[value(details={"test": [1.0, bad]})]))

    assert store.job(claim.job_id).snapshot is None
    assert 1 == store.commit(claim, snapshot())


def test_numbers_of_numpy_are_stored_as_numbers(
    store: MonitoringStore, store_url: str, claim: Claim, snapshot: Any, value: Any
) -> None:
    found = value(
        value=np.float32(0.5), n=np.int64(7), m=np.uint8(8), details={"bins": np.arange(3), "share": np.float64(0.25)}
    )
    store.commit(
        claim, snapshot(np.int64(9), values=[found], status_counts={"monitored": np.int64(9)}, scored=np.int32(9))
    )

    loaded = store.load_values(claim.job_id)[0]
    assert (0.5, 7, 8, {"bins": [0, 1, 2], "share": 0.25}) == (loaded.value, loaded.n, loaded.m, loaded.details)
    engine = open_engine(store_url)
    with reading(engine) as connection:
        row = connection.execute(sa.select(tables.metrics.c.value, tables.metrics.c.n)).one()
    engine.dispose()
    assert (float, int) == (type(row.value), type(row.n))


def test_a_naive_timestamp_is_refused(store: MonitoringStore, claim: Claim, snapshot: Any) -> None:
    with pytest.raises(TerminalError, match="time zone"):
        store.commit(claim, snapshot(earliest=NOON.replace(tzinfo=None)))

    assert store.job(claim.job_id).snapshot is None


def test_values_of_rows_that_no_database_holds_are_replaced_and_others_kept(
    store: MonitoringStore, claim: Claim, snapshot: Any, value: Any
) -> None:
    text = "é \U0001f6eb 'x' \"y\" %s :z \\ \u202e"
    values = [value(segment="a\0b", details={"level\0": "half \ud83d"}), value(segment=text, details={text: text})]

    store.commit(claim, snapshot(values=values))

    first, second = store.load_values(claim.job_id)
    assert ("a\ufffdb", {"level\ufffd": "half " + "\ufffd" * 3}) == (first.segment, first.details)
    assert (text, {text: text}) == (second.segment, second.details)


def test_a_job_is_compared_anew_without_its_rows(
    store: MonitoringStore, record: DefinitionRecord, claim: Claim, day: Day, snapshot: Any, value: Any
) -> None:
    store.commit(claim, snapshot(values=[value(value=None, reason="baseline_missing")]))
    with_baseline = store.claim(record, day(2), batch_name="b")
    store.commit(with_baseline, snapshot(baseline_version=1))
    store.claim(record, day(3), batch_name="b")
    assert [claim.job_id] == [job.id for job in store.jobs_without_baseline(record.id)]

    assert 2 == store.replace_values(claim.job_id, 1, [value(value=0.5)], baseline_version=1)

    assert () == store.jobs_without_baseline(record.id)
    assert [0.5] == [found.value for found in store.load_values(claim.job_id)]
    pending = store.pending_evaluation(claim.job_id)
    assert pending is not None
    assert (2, True) == (pending.snapshot_revision, pending.due)
    job = store.job(claim.job_id)
    assert job.snapshot is not None
    assert (2, 1) == (job.snapshot.revision, job.snapshot.baseline_version)
    with pytest.raises(Superseded):
        store.replace_values(claim.job_id, 1, [], baseline_version=1)


def test_new_values_belong_to_the_committed_model_and_not_to_the_running_attempt(
    store: MonitoringStore, store_url: str, record: DefinitionRecord, day: Day, snapshot: Any, value: Any
) -> None:
    claim = store.claim(record, day(1), batch_name="b", model_id="old")
    store.commit(claim, snapshot())
    store.claim(record, day(1), batch_name="b", model_id="new")

    store.replace_values(claim.job_id, 1, [value()], baseline_version=1)

    engine = open_engine(store_url)
    with reading(engine) as connection:
        assert ["old"] == connection.execute(sa.select(tables.metrics.c.model_id)).scalars().all()
    engine.dispose()


def test_only_a_committed_job_can_be_compared_anew(store: MonitoringStore, claim: Claim) -> None:
    with pytest.raises(NotFound):
        store.replace_values(claim.job_id, 0, [], baseline_version=1)
    with pytest.raises(NotFound):
        store.replace_values("unknown", 1, [], baseline_version=1)


def test_a_killed_commit_leaves_the_old_snapshot_whichever_statement_it_was(
    store: MonitoringStore, store_url: str, claim: Claim, snapshot: Any, tmp_path: Any, child: Any, said: Any
) -> None:
    store.commit(claim, snapshot(100))
    process = child("killed_commits", url=store_url, storage=str(tmp_path / "storage"))

    def shown() -> tuple[Any, ...]:
        job = store.job(claim.job_id)
        facts = dataclasses.asdict(job.snapshot) if job.snapshot else None
        profile, files = store.load_profile(claim.job_id), store.prediction_files(claim.job_id)
        return facts, profile, files, store.load_values(claim.job_id), store.batch(claim.batch_id).predictions

    before = shown()
    statement = 0
    while True:
        statement += 1
        process.stdin.write(f"{statement}\n")
        process.stdin.flush()
        if said(process) == "done":
            break
        assert before == shown()
        assert JobState.RUNNING is store.job(claim.job_id).state

    assert statement > 10, "the sweep must have met every statement of a commit"
    facts, profile, files, values, predictions = shown()
    assert (2, 200, b"profile of 200 rows", [200.0], 200) == (
        facts["revision"],
        facts["rows"],
        profile.data,
        [value.value for value in values],
        predictions,
    )
    assert 3 == sum(batch.num_rows for batch in store.storage.read_predictions(files[0]))
    assert [files[0].path] == [
        path.relative_to(tmp_path / "storage").as_posix() for path in (tmp_path / "storage").rglob("*.parquet")
    ], "files of killed attempts are swept by the next commit"


def test_every_value_of_a_wide_batch_is_kept_in_order(
    store: MonitoringStore, claim: Claim, snapshot: Any, value: Any
) -> None:
    values = [value(metric, f"column {n}", n / 1000) for n in range(1000) for metric in ("psi", "ks", "missing_share")]

    store.commit(claim, snapshot(values=values))

    assert values == store.load_values(claim.job_id)
