"""A million late actuals against a growing prediction log: seconds and peak memory of the join, a scan and a peer.

Every batch of the log has a million predictions. In the first scene the actuals name one batch, in the second a share
of every batch, so that all are restated. ``scan`` reads the log's files once, all columns, and does nothing: the least
that a join which reads everything could take. ``memory`` joins the same columns with pyarrow's own hash join, which
holds both sides. Set BATCHES (default ``2 10``) for other sizes; 100 million predictions are ``BATCHES=100``.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import measure

BATCH_ROWS = 1_000_000
ACTUAL_ROWS = 1_000_000
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
DEFINITION = {
    "name": "late-actuals",
    "deploymentId": "late-actuals",
    "intakeSettings": {"type": "jdbc", "dataStoreId": "none", "table": "none"},
    "enabled": False,
}
PREDICTIONS = {"predictionsColumns": [{"className": "yes", "columnName": "p"}], "associationIdColumn": "id"}
LATE = {"associationIdColumn": "id", "actualsValueColumn": "y"}


def open_store(folder: str) -> Any:
    """The store of a scene."""
    from airflow_monitoring_provider.store.engine import open_engine
    from airflow_monitoring_provider.store.storage import Storage
    from airflow_monitoring_provider.store.store import MonitoringStore

    engine = open_engine(f"sqlite:///{folder}/store.sqlite")
    return MonitoringStore(engine, storage=Storage.local(f"{folder}/storage"), embedded=True)


def make(folder: str, batches: str) -> None:
    """Log so many batches of predictions, as jobs would."""
    import numpy as np
    import pyarrow as pa

    from airflow_monitoring_provider.definitions import TargetType, load_definition
    from airflow_monitoring_provider.profiles.classification import ClassificationProfile
    from airflow_monitoring_provider.profiles.plan import ProfilePlan, TargetPlan
    from airflow_monitoring_provider.profiles.profile import Profile
    from airflow_monitoring_provider.store.log_columns import prediction_schema

    schema = prediction_schema(classes=["yes"])
    target = TargetPlan(TargetType.BINARY, (("yes", "p"),), None, ("", "yes"), "yes")
    with open_store(folder) as store:
        record = store.register_definition(load_definition({**DEFINITION, "monitoringColumns": PREDICTIONS}))
        for number in range(int(batches)):
            random = np.random.default_rng(number)
            claim = store.claim(record, window(number), batch_name=str(number))
            scores = random.random(BATCH_ROWS)
            ids = np.arange(BATCH_ROWS) + number * BATCH_ROWS
            rows = {
                "association_id": pa.array(ids).cast(pa.string()),
                "probability:yes": pa.array(scores),
                "predicted_class": pa.array(np.where(scores >= 0.5, "yes", "")),
                "timestamp": pa.array(np.full(BATCH_ROWS, START + dt.timedelta(days=number))).cast(
                    schema.field(3).type
                ),
                "batch_id": pa.array([claim.batch_id]).take(pa.array(np.zeros(BATCH_ROWS, np.int32))),
            }
            table = pa.table([rows[name] for name in schema.names], schema=schema)
            owner = {"deployment_id": claim.deployment_id, "batch_id": claim.batch_id, "job_id": claim.job_id}
            with store.storage.write_predictions(**owner, token=claim.token, schema=schema) as writer:
                for batch in table.to_batches(max_chunksize=1 << 16):
                    writer.append(batch)
                file = writer.close()
            scored = ClassificationProfile.of(target.classes, scores, np.full(BATCH_ROWS, -1), positive_class="yes")
            profile = Profile(ProfilePlan((), target, "at"), rows=BATCH_ROWS, target=scored)
            store.commit(claim, snapshot(profile, prediction_files=(file,)))


def bring(folder: str, batches: str, scattered: str) -> None:
    """Log a million actuals: of the newest batch, or of rows of every batch."""
    import numpy as np
    import pyarrow as pa

    from airflow_monitoring_provider.definitions import load_definition
    from airflow_monitoring_provider.profiles.plan import ProfilePlan
    from airflow_monitoring_provider.profiles.profile import Profile
    from airflow_monitoring_provider.store.log_columns import ACTUALS_SCHEMA
    from airflow_monitoring_provider.store.records import FileKind

    every = int(batches) if scattered == "yes" else 1
    ids = np.arange(ACTUAL_ROWS) * every + (0 if scattered == "yes" else (int(batches) - 1) * BATCH_ROWS)
    answers = pa.array(["no", "yes"]).take(pa.array(np.random.default_rng(0).integers(0, 2, ACTUAL_ROWS)))
    known = pa.array(np.full(ACTUAL_ROWS, START + dt.timedelta(days=400))).cast(ACTUALS_SCHEMA.field(3).type)
    columns = [pa.array(ids).cast(pa.string()), answers, pa.array(np.ones(ACTUAL_ROWS, np.bool_)), known]
    with open_store(folder) as store:
        late = {**DEFINITION, "name": "late", "monitoringColumns": LATE}
        claim = store.claim(store.register_definition(load_definition(late)), window(500), batch_name="late")
        owner = {"deployment_id": claim.deployment_id, "batch_id": claim.batch_id, "job_id": claim.job_id}
        kind = FileKind.ACTUALS
        with store.storage.write_predictions(**owner, token=claim.token, schema=ACTUALS_SCHEMA, kind=kind) as writer:
            for batch in pa.table(columns, schema=ACTUALS_SCHEMA).to_batches(max_chunksize=1 << 16):
                writer.append(batch)
            file = writer.close()
        store.commit(claim, snapshot(Profile(ProfilePlan(()), rows=ACTUAL_ROWS), actual_files=(file,)))


def join(folder: str) -> dict[str, Any]:
    """What an actuals job does after its commit."""
    from airflow_monitoring_provider.jobs.actuals import join_actuals

    with open_store(folder) as store:
        watch = measure.Stopwatch()
        found = join_actuals(store, "late-actuals")
        return {**watch.figures(), "restated": found.restated}


def scan(folder: str) -> dict[str, Any]:
    """Read the log once."""
    import pyarrow.parquet as pq

    watch = measure.Stopwatch()
    for path in log_files(folder):
        for batch in pq.ParquetFile(path).iter_batches(1 << 16):
            assert batch.num_rows
    return watch.figures()


def memory(folder: str) -> dict[str, Any]:
    """The same join with both sides in memory, by pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    watch = measure.Stopwatch()
    names = ["association_id", "probability:yes"]
    log = pa.concat_tables([pq.read_table(path, columns=names) for path in log_files(folder)])
    (path,) = Path(folder, "storage", "actuals").rglob("*.parquet")
    joined = log.join(pq.read_table(path, columns=["association_id", "actual"]), "association_id", join_type="inner")
    return {**watch.figures(), "joined": joined.num_rows}


def log_files(folder: str) -> Iterator[Path]:
    """The files of the prediction log."""
    return Path(folder, "storage", "predictions").rglob("*.parquet")


def window(number: int) -> Any:
    """The window of a batch."""
    from airflow_monitoring_provider.definitions import Window

    return Window.of(START + dt.timedelta(days=number), START + dt.timedelta(days=number + 1))


def snapshot(profile: Any, **files: Any) -> Any:
    """What a job commits."""
    from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, to_bytes
    from airflow_monitoring_provider.store.records import Snapshot

    made = (to_bytes(profile), profile.content_hash(), profile.plan.digest(), FORMAT_VERSION)
    return Snapshot(*made, rows=profile.rows, status_counts={"monitored": profile.rows}, scored=profile.rows, **files)


CHILDREN = {"make": make, "bring": bring, "join": join, "scan": scan, "memory": memory}


def main() -> None:
    """Two scenes at each size; the join of a scene can run once only, since the second changes nothing."""
    if measure.work(CHILDREN):
        return
    for batches in map(int, os.environ.get("BATCHES", "2 10").split()):
        for scattered in ("no", "yes"):
            where = "every batch" if scattered == "yes" else "one batch"
            print(f"{ACTUAL_ROWS:,} actuals of {where}, {batches * BATCH_ROWS:,} logged predictions")
            folder = tempfile.mkdtemp(prefix="late-actuals-")
            try:
                measure.run(measure.child("make", folder, batches))
                measure.run(measure.child("bring", folder, batches, scattered))
                runs = {name: measure.run(measure.child(name, folder)) for name in ("scan", "join", "memory")}
            finally:
                shutil.rmtree(folder)
            for name, one in runs.items():
                times = one.seconds / runs["scan"].seconds
                print(f"  {name:<7} {one.seconds:8.2f} s  {times:5.1f} x scan  peak {one.peak:6.0f} MiB  {one.more}")


if __name__ == "__main__":
    main()
