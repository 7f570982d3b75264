"""Purges: what goes, what stays, killed anywhere and beside running jobs; and exports of what is kept."""

from __future__ import annotations

import csv
import datetime as dt
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.definitions import FileFormat
from airflow_monitoring_provider.exceptions import ConfigurationError, CorruptData, NotFound
from airflow_monitoring_provider.jobs.export import Export, ExportSource, export
from airflow_monitoring_provider.jobs.purge import orphans, purge
from airflow_monitoring_provider.store.records import FileKind
from airflow_monitoring_provider.store.retention_records import Purged, PurgePolicy
from airflow_monitoring_provider.store.storage import Storage


def predictions_only(define: Callable[..., Any], **changes: Any) -> Any:
    """A definition whose predictions wait for actuals."""
    columns = {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "association_id_column": "id",
    }
    return define(**{"monitoring_columns": columns, "output_settings": None, "passthrough_columns": None} | changes)


def late_actuals(define: Callable[..., Any]) -> Any:
    """A definition that brings actuals alone."""
    columns = {"association_id_column": "id", "actuals_value_column": "churned"}
    return define(
        name="actuals",
        monitoring_columns=columns,
        output_settings=None,
        passthrough_columns=None,
        baseline=None,
        features=None,
        target_type="Binary",
        schedule=None,
        start_date=None,
    )


def on_disk(world: Any) -> list[str]:
    """Every file of the store, hidden ones too."""
    root = world.folder / "storage"
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def paths(world: Any, *kinds: FileKind) -> list[str]:
    """Every file that is listed."""
    return sorted(found.path for kind in kinds or FileKind for found in row_files(world, kind))


def row_files(world: Any, kind: FileKind) -> Any:
    """The listed files of a kind."""
    return () if kind is FileKind.STAGED else world.store.row_files(kind)


def test_old_rows_go_and_everything_else_stays(world: Any, define: Callable[..., Any], tools: Any) -> None:
    world.table("scores", [row for day in range(3) for row in tools.day_rows(day, 60)])
    definition = predictions_only(define)
    jobs = [world.run(definition, day) for day in range(3)]
    before = [world.store.load_profile(job.job_id).content_hash for job in jobs]
    policy = PurgePolicy(before=tools.window(1).end)
    tried = purge(world.store, policy, dry_run=True)
    assert 3 == len(paths(world)) == len(on_disk(world))
    done = purge(world.store, policy, by="ada")
    assert tried == done
    assert (2, 2, 112, 0, 0) == (done.batches, done.files, done.rows, done.results, done.locked)
    assert [file.path for file in world.store.prediction_files(jobs[2].job_id)] == on_disk(world)
    assert before == [world.store.load_profile(job.job_id).content_hash for job in jobs]
    assert [1, 1, 1] == [world.store.job(job.job_id).token for job in jobs]
    assert 0 == purge(world.store, policy).files
    again = world.run(definition, 0)
    assert (2, 60) == (world.store.job(again.job_id).token, again.rows)
    assert 2 == len(paths(world))


def test_results_go_only_where_nothing_is_compared_with_them(
    world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world.table("scores", [row for day in range(3) for row in tools.day_rows(day, 60)])
    definition = predictions_only(define)
    jobs = [world.run(definition, day) for day in range(3)]
    done = purge(world.store, PurgePolicy(before=tools.window(1).end, what=[Purged.RESULTS]))
    assert (1, 0) == (done.results, done.files)
    kept = [world.store.load_profile(job.job_id) is not None for job in jobs]
    assert [True, False, True] == kept
    assert [] == world.store.load_values(jobs[1].job_id)
    assert 60 == world.store.job(jobs[1].job_id).snapshot.rows
    assert world.store.job(jobs[1].job_id).results_deleted
    world.run(definition, 1)
    assert not world.store.job(jobs[1].job_id).results_deleted
    assert world.store.load_profile(jobs[1].job_id) is not None


def test_locked_batches_are_left_alone_unless_told(world: Any, define: Callable[..., Any], tools: Any) -> None:
    world.table("scores", tools.day_rows(0, 60))
    job = world.run(predictions_only(define))
    world.store.lock_batch(job.batch_id)
    policy = PurgePolicy(batch_ids=(job.batch_id,))
    assert (0, 1) == ((done := purge(world.store, policy)).files, done.locked)
    assert 1 == len(on_disk(world))
    told = PurgePolicy(deployment_id=job.deployment_id, locked=True)
    assert (1, 0) == ((done := purge(world.store, told)).files, done.locked)
    assert [] == on_disk(world)


def test_an_actual_stays_while_a_prediction_that_it_labels_does(
    small_world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0, 60))
    predicted = world.run(predictions_only(define))
    world.run(late_actuals(define))
    labelled = world.store.load_profile(predicted.job_id).content_hash
    assert 0 == purge(world.store, PurgePolicy(deployment_id="churn-model", what=[Purged.ACTUALS])).files
    assert 1 == purge(world.store, PurgePolicy(deployment_id="churn-model", what=[Purged.PREDICTIONS])).files
    assert 1 == purge(world.store, PurgePolicy(deployment_id="churn-model", what=[Purged.ACTUALS])).files
    assert labelled == world.store.load_profile(predicted.job_id).content_hash
    assert [] == on_disk(world)


KILLED = """
import os, signal, sys
from airflow_monitoring_provider.jobs.purge import purge
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.retention_records import PurgePolicy
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

url, folder, moment = sys.argv[1:]
class Killed(Storage):
    def remove(self, path):
        if moment == "after a file":
            super().remove(path)
        os.kill(os.getpid(), signal.SIGKILL)
purge(MonitoringStore(open_engine(url), storage=Killed.local(folder)), PurgePolicy(deployment_id="churn-model"))
"""


@pytest.mark.parametrize("moment", ["before a file", "after a file"])
def test_a_purge_that_is_killed_is_ended_by_the_next(
    small_world: Any, define: Callable[..., Any], tools: Any, moment: str
) -> None:
    world = small_world
    world.table("scores", [row for day in range(2) for row in tools.day_rows(day, 60)])
    for day in range(2):
        world.run(predictions_only(define), day)
    command = [sys.executable, "-c", KILLED, world.store_url, str(world.folder / "storage"), moment]
    assert -signal.SIGKILL == subprocess.run(command, check=False).returncode
    left = 2 if moment == "before a file" else 1
    assert (1, left) == (len(paths(world)), len(on_disk(world)))  # each batch is forgotten in a transaction of its own
    assert set(paths(world)) <= set(on_disk(world))
    done = purge(world.store, PurgePolicy(deployment_id="churn-model"))
    assert (1, left - 1) == (done.files, done.orphans)
    assert [] == on_disk(world) == paths(world)


def test_a_purge_beside_a_running_job_takes_nothing_from_it(world: Any, define: Callable[..., Any], tools: Any) -> None:
    world.table("scores", tools.day_rows(0, 200))
    definition = predictions_only(define, baseline={"type": "first_window"})
    world.run(definition)
    seen: list[Any] = []

    class Purging(tools.Source):  # type: ignore[misc,name-defined]
        def batches(self, batches: Any) -> Any:
            for batch in batches:
                seen.append(purge(world.store, PurgePolicy(deployment_id="churn-model")))
                yield batch

    world.wrap = Purging
    job = world.run(definition)
    assert seen[0].files == 1
    assert {0} == {found.orphans for found in seen}
    files = world.store.prediction_files(job.job_id)
    assert [file.path for file in files] == on_disk(world)
    assert 196 == sum(batch.num_rows for file in files for batch in world.storage.read_predictions(file))


def test_garbage_of_ended_attempts_is_found_and_that_of_others_stays(
    small_world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0, 60))
    job = world.run(predictions_only(define))
    (file,) = world.store.prediction_files(job.job_id)
    folder = (world.folder / "storage" / file.path).parent
    ours = [f"{job.job_id}-1-0-0123456789abcdef.parquet", f".{job.job_id}-1.parquet.0123456789abcdef.tmp"]
    theirs = [f"{job.job_id}-2.parquet", "another-1.parquet", "notes.txt"]
    for name in (*ours, *theirs):
        (folder / name).write_bytes(b"")
    found = {Path(path).name for path in orphans(world.store, job.deployment_id)}
    assert set(ours) == found
    assert 2 == purge(world.store, PurgePolicy(before=dt.datetime(2000, 1, 1, tzinfo=dt.UTC))).orphans
    assert {*theirs, Path(file.path).name} == {path.name for path in folder.iterdir()}


def test_a_purge_of_everything_is_refused(small_world: Any) -> None:
    with pytest.raises(ConfigurationError, match="needs a deployment, a batch or an age"):
        purge(small_world.store, PurgePolicy())
    with pytest.raises(NotFound):
        purge(small_world.store, PurgePolicy(deployment_id="none"))


# Exports


def place(world: Any) -> Storage:
    """A folder for exports."""
    (world.folder / "exports").mkdir(exist_ok=True)
    return Storage.local(world.folder / "exports")


def cells(world: Any, name: str) -> list[dict[str, str]]:
    """The rows of an exported CSV file."""
    with (world.folder / "exports" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_logs_are_exported_by_deployment_batch_and_time(world: Any, define: Callable[..., Any], tools: Any) -> None:
    rows = [tools.day_rows(day, 40) for day in range(2)]
    world.table("scores", rows[0] + rows[1])
    jobs = [world.run(predictions_only(define), day) for day in range(2)]
    expected = [{row["id"]: row["score"] for row in day[3:] if row["id"] is not None} for day in rows]
    everything = Export(ExportSource.PREDICTIONS, deployment_id="churn-model")
    told = export(everything, world.ports(), place(world), "all/predictions.csv")
    found = cells(world, "all/predictions.csv")
    assert {**expected[0], **expected[1]} == {int(r["association_id"]): float(r["probability:yes"]) for r in found}
    assert (len(found), "all/predictions.csv") == (told.rows, told.location)
    assert told.bytes == (world.folder / "exports/all/predictions.csv").stat().st_size
    for wanted in (
        Export(ExportSource.PREDICTIONS, batch_ids=(jobs[1].batch_id,), form=FileFormat.PARQUET),
        Export(
            ExportSource.PREDICTIONS, deployment_id="churn-model", start=tools.window(1).start, form=FileFormat.PARQUET
        ),
    ):
        export(wanted, world.ports(), place(world), "one.parquet")
        table = pq.read_table(world.folder / "exports" / "one.parquet")
        assert {str(key) for key in expected[1]} == set(table["association_id"].to_pylist())


def test_retained_rows_and_training_data_are_exported(small_world: Any, define: Callable[..., Any], tools: Any) -> None:
    world, rows = small_world, tools.day_rows(0, 40, dirty=False)
    world.table("scores", rows)
    definition = define(monitoring_aggregation={"retention_policy": "samples", "retention_value": 5})
    world.run(definition)
    export(Export(ExportSource.RETAINED, deployment_id="churn-model"), world.ports(), place(world), "kept.csv")
    known = {str(row["id"]): row for row in rows}
    found = cells(world, "kept.csv")
    assert 5 == len(found)
    assert [known[row["id"]]["score"] for row in found] == [float(row["score"]) for row in found]
    training = Export(ExportSource.TRAINING, definition_id="churn", form=FileFormat.PARQUET)
    export(training, world.ports(), place(world), "training.parquet")
    table = pq.read_table(world.folder / "exports" / "training.parquet")
    assert sorted(row["id"] for row in rows) == sorted(table["id"].to_pylist())
    assert sorted(row["score"] for row in rows) == sorted(table["score"].to_pylist())


FORMULAS = {"=1+1": "'=1+1", "+x": "'+x", "-x": "'-x", "@sum": "'@sum", "\tx": "'\tx", "-1.5e3": "-1.5e3", "+7": "+7"}


def test_no_cell_is_a_formula_and_numbers_stay_numbers(
    small_world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world = small_world
    texts = [*FORMULAS, "a=b", "it's", ""]
    rows = [row | {"region": text} for row, text in zip(tools.day_rows(0, 10, dirty=False), texts, strict=True)]
    rows[0]["amount"] = -3.5
    world.table("scores", rows)
    world.run(define(monitoring_aggregation={"retention_policy": "percentage", "retention_value": 100}))
    wanted = Export(ExportSource.RETAINED, deployment_id="churn-model")
    export(wanted, world.ports(), place(world), "safe.csv")
    found = cells(world, "safe.csv")
    assert sorted(FORMULAS.get(text, text) for text in texts) == sorted(row["region"] for row in found)
    assert "-3.5" in {row["amount"] for row in found}
    exact = Export(ExportSource.RETAINED, deployment_id="churn-model", exact=True)
    export(exact, world.ports(), place(world), "exact.csv")
    assert sorted(texts) == sorted(row["region"] for row in cells(world, "exact.csv"))


@pytest.mark.parametrize("path", ["../out.csv", "/etc/out.csv", "a/../../out.csv", "", "link/out.csv"])
def test_no_export_leaves_the_root(small_world: Any, define: Callable[..., Any], tools: Any, path: str) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0, 10, dirty=False))
    world.run(predictions_only(define))
    target = place(world)
    (world.folder / "exports" / "link").symlink_to(world.folder)
    wanted = Export(ExportSource.PREDICTIONS, deployment_id="churn-model")
    with pytest.raises(ConfigurationError, match="root"):
        export(wanted, world.ports(), target, path)
    assert not list(world.folder.glob("out.csv"))


def test_an_export_that_breaks_off_leaves_the_file_before_it(
    small_world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world = small_world
    world.table("scores", [row for day in range(2) for row in tools.day_rows(day, 40)])
    jobs = [world.run(predictions_only(define), day) for day in range(2)]
    wanted = Export(ExportSource.PREDICTIONS, deployment_id="churn-model")
    export(wanted, world.ports(), place(world), "out.csv")
    before = (world.folder / "exports" / "out.csv").read_bytes()
    (file,) = world.store.prediction_files(jobs[1].job_id)
    whole = (world.folder / "storage" / file.path).read_bytes()
    (world.folder / "storage" / file.path).write_bytes(whole[:40] + bytes([whole[40] ^ 1]) + whole[41:])
    with pytest.raises(CorruptData):
        export(wanted, world.ports(), place(world), "out.csv")
    assert before == (world.folder / "exports" / "out.csv").read_bytes()
    assert ["out.csv"] == [path.name for path in (world.folder / "exports").iterdir()]


def test_what_cannot_be_exported_says_why(small_world: Any) -> None:
    for wanted, error, sentence in (
        (Export(ExportSource.PREDICTIONS), ConfigurationError, "needs a deployment or batches"),
        (Export(ExportSource.TRAINING), ConfigurationError, "needs a definition"),
        (Export(ExportSource.ACTUALS, deployment_id="none"), NotFound, "no deployment has this id"),
    ):
        with pytest.raises(error, match=sentence):
            export(wanted, small_world.ports(), place(small_world), "out.csv")
