"""Batches: a person's decision holds, is recorded once, and takes the predictions with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import BatchLocked, NotFound
from airflow_monitoring_provider.store import tables
from airflow_monitoring_provider.store.deployment_records import BatchFilter
from airflow_monitoring_provider.store.engine import open_engine, reading
from airflow_monitoring_provider.store.log_columns import prediction_schema
from airflow_monitoring_provider.store.records import Claim, DefinitionRecord, PredictionFile
from airflow_monitoring_provider.store.store import MonitoringStore

Day = Callable[[int], Window]


def logged(store: MonitoringStore, claim: Claim) -> PredictionFile:
    schema = prediction_schema()
    with store.storage.write_predictions(
        deployment_id=claim.deployment_id,
        batch_id=claim.batch_id,
        job_id=claim.job_id,
        token=claim.token,
        schema=schema,
    ) as writer:
        writer.append(pa.record_batch([["a"], [1.0], [None], [claim.batch_id]], schema=schema))
        file = writer.close()
    assert file is not None
    return file


def test_batches_are_listed_newest_first_for_their_deployment_only(
    store: MonitoringStore, record: DefinitionRecord, make: Any, day: Day
) -> None:
    for number in (1, 2):
        store.claim(record, day(number), batch_name=f"batch {number}")
    store.claim(store.register_definition(make(name="o", deploymentId="dep-2")), day(1), batch_name="other")

    page = store.batches("dep-1", limit=1)
    assert (["batch 2"], 2) == ([batch.name for batch in page], page.total)
    assert ["other"] == [batch.name for batch in store.batches("dep-2")]
    assert 0 == store.batches("dep-3").total


def test_locking_is_recorded_and_can_be_undone(
    store: MonitoringStore, store_url: str, record: DefinitionRecord, day: Day
) -> None:
    claim = store.claim(record, day(1), batch_name="b")

    assert store.lock_batch(claim.batch_id, by="ada").locked
    assert not store.lock_batch(claim.batch_id, locked=False, by="bob").locked
    store.delete_batch(claim.batch_id, by="eve")

    engine = open_engine(store_url)
    with reading(engine) as connection:
        rows = connection.execute(
            sa.select(tables.audit.c.action, tables.audit.c.actor)
            .where(tables.audit.c.entity_id == claim.batch_id)
            .order_by(tables.audit.c.id)
        ).all()
    engine.dispose()
    assert [("batch.locked", "ada"), ("batch.unlocked", "bob"), ("batch.deleted", "eve")] == [tuple(r) for r in rows]


def test_a_deleted_batch_is_gone_from_lists_but_not_from_history(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any
) -> None:
    kept, deleted = (store.claim(record, day(number), batch_name="b") for number in (1, 2))
    for claim in (kept, deleted):
        store.commit(claim, snapshot())

    store.delete_batch(deleted.batch_id)

    assert [kept.batch_id] == [batch.id for batch in store.batches("dep-1")]
    assert 2 == store.batches("dep-1", BatchFilter(deleted=True)).total
    assert store.batch(deleted.batch_id).deleted_at is not None
    assert 2 == store.jobs().total
    assert 1 == len(store.attempts(deleted.job_id))
    assert [kept.job_id] == [job.id for job in store.jobs_without_baseline(record.id)]
    assert 2 == store.results(kept.job_id).total
    for again in (store.delete_batch, store.lock_batch):
        with pytest.raises(BatchLocked, match="was deleted at"):
            again(deleted.batch_id)
    with pytest.raises(NotFound):
        store.delete_batch("unknown")
    with pytest.raises(NotFound):
        store.lock_batch("unknown")


def test_deleting_a_batch_deletes_its_predictions_and_no_others(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any, tmp_path: Path
) -> None:
    kept, deleted = (store.claim(record, day(number), batch_name="b") for number in (1, 2))
    files = {}
    for claim in (kept, deleted):
        files[claim.job_id] = logged(store, claim)
        store.commit(claim, snapshot(prediction_files=[files[claim.job_id]]))

    store.delete_batch(deleted.batch_id)

    root = tmp_path / "storage"
    assert [files[kept.job_id].path] == [path.relative_to(root).as_posix() for path in root.rglob("*.parquet")]
    assert () == store.prediction_files(deleted.job_id)
    assert (files[kept.job_id],) == store.prediction_files(kept.job_id)


def test_a_commit_keeps_its_own_files_and_those_of_a_newer_attempt_only(
    store: MonitoringStore, record: DefinitionRecord, day: Day, snapshot: Any, tmp_path: Path
) -> None:
    killed = store.claim(record, day(1), batch_name="b")
    logged(store, killed)
    claim = store.claim(record, day(1), batch_name="b")
    own = logged(store, claim)
    store.commit(claim, snapshot(prediction_files=[own]))
    root = tmp_path / "storage"
    assert {own.path} == {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")}

    newer = store.claim(record, day(1), batch_name="b")
    written = logged(store, newer)
    assert 1 == store.commit(claim, snapshot()) if store.job(claim.job_id).token == claim.token else True
    store.storage.sweep(
        deployment_id="dep-1", batch_id=claim.batch_id, job_id=claim.job_id, token=claim.token, keep=[own.path]
    )
    assert {own.path, written.path} == {path.relative_to(root).as_posix() for path in root.rglob("*.parquet")}
