"""Attempts that are killed or told to stop while threads count the columns of a Parquet file."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.records import JobRecord
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

CHILD = Path(__file__).with_name("told_job.py")
ROWS, GROUP = 400_000, 20_000
FEATURES = [f"f{place}" for place in range(8)]


class Undisturbed(NamedTuple):
    """What an attempt that nobody disturbs leaves, and the seconds it takes."""

    seconds: float
    content_hash: str
    rows: pa.Table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("threads")
    (made / "files" / "in").mkdir(parents=True)
    chance = np.random.default_rng(11)
    table = {name: chance.normal(place, 1, ROWS) for place, name in enumerate(FEATURES)}
    at = np.datetime64("2026-03-01T00:00:00", "us") + np.arange(ROWS) * np.timedelta64(200_000, "us")
    more = {
        "id": np.arange(ROWS),
        "at": at,
        "score": chance.uniform(0, 1, ROWS),
        "churned": ["yes", "no"] * (ROWS // 2),
    }
    pq.write_table(pa.table(table | more), made / "files" / "in" / "rows.parquet", row_group_size=GROUP)
    changes = {
        "features": FEATURES,
        "intake_settings": {"type": "file", "url": "in"},
        "output_settings": {"type": "file", "url": "out", "format": "parquet"},
        "passthrough_columns": None,
    }
    (made / "definition.json").write_text(json.dumps(changes))
    return made


def begin(folder: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen([sys.executable, str(CHILD), str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert "begun\n" == child.stdout.readline()
    return child


def ended(child: subprocess.Popen[str]) -> str:
    told, _ = child.communicate(timeout=60)
    return told.strip()


def record(folder: Path) -> JobRecord | None:
    engine = open_engine(f"sqlite:///{folder / 'store.sqlite'}", wait=5.0)
    with MonitoringStore(engine, storage=Storage.local(folder / "storage")) as store:
        jobs = store.jobs().items
        return jobs[0] if jobs else None


def left(folder: Path) -> tuple[str, pa.Table]:
    """The content hash of what is committed, and the output."""
    job = record(folder)
    assert job is not None
    assert job.snapshot is not None
    (output,) = (folder / "files" / "out").rglob("*.parquet")
    return job.snapshot.content_hash, pq.read_table(output)


def forget(folder: Path) -> None:
    """As if no job had ever been run."""
    for path in folder.glob("store.sqlite*"):
        path.unlink()
    for path in [*(folder / "files" / "out").rglob("*"), *(folder / "storage").rglob("*")]:
        if path.is_file():
            path.unlink()


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> Undisturbed:
    child, begun = begin(folder), time.monotonic()
    assert "done" == ended(child)
    return Undisturbed(time.monotonic() - begun, *left(folder))


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGKILL])
def test_an_attempt_that_ends_while_threads_count_leaves_no_part_and_its_retry_everything(
    folder: Path, undisturbed: Undisturbed, told: signal.Signals, request: pytest.FixtureRequest
) -> None:
    assert ROWS == undisturbed.rows.num_rows
    chance, inside, wanted = random.Random(int(told)), 0, 20 if request.config.getoption("--sweep") else 2
    for shot in range(6 * wanted):  # sooner and sooner, should the machine be quicker than it was undisturbed
        if inside == wanted:
            break
        forget(folder)
        child = begin(folder)
        time.sleep(chance.uniform(0.02, 0.8) * undisturbed.seconds / (1 + shot / wanted))
        child.send_signal(told)
        how = ended(child)
        if how != "done":
            assert ("JobInterrupted", 0) == (how, child.returncode) or -told == child.returncode
            job = record(folder)
            if job is not None and job.snapshot is not None:  # it was met between its commit and its end
                assert undisturbed.content_hash == job.snapshot.content_hash
            else:
                inside += 1
            for file in (folder / "files" / "out").rglob("*.parquet"):  # there before the store's commit, or not at all
                assert undisturbed.rows.equals(pq.read_table(file))
        assert "done" == ended(begin(folder))
        content_hash, rows = left(folder)
        assert undisturbed.content_hash == content_hash
        assert undisturbed.rows.equals(rows)
    assert wanted == inside, "too few attempts were met while they ran"
