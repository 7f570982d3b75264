"""Where rows wait between being read and being written."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem

from airflow_monitoring_provider.definitions import CsvSettings, FileFormat, FileOutput
from airflow_monitoring_provider.exceptions import OutputUnavailable
from airflow_monitoring_provider.jobs.spool import EncodedSpool, Spool, open_spool, scratch_folder
from airflow_monitoring_provider.outputs.files import FileWriter
from airflow_monitoring_provider.outputs.output import Attempt

BATCH = pa.record_batch({"id": [1, None, 3], "text": ["a", "", None]})
ATTEMPT = Attempt("definition", "job", None, None, 1, "store")
DEAD = "from airflow_monitoring_provider.jobs.spool import scratch_folder; import os, sys; from pathlib import Path\n"
DEAD += "folder = scratch_folder(Path(sys.argv[1])); print(folder.__enter__(), flush=True); os._exit(9)"


def test_rows_come_back_in_order_as_often_as_needed(tmp_path: Path) -> None:
    spool = Spool(BATCH.schema, tmp_path)
    parts = [BATCH, BATCH.slice(1, 1), BATCH.slice(0, 0), BATCH.slice(2)]
    for part in parts:
        spool.append(part)
    spool.finish()
    assert 5 == spool.rows
    for _ in range(2):
        assert parts == list(spool.batches())


def test_the_folder_is_private_and_gone_in_the_end(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
        assert 0o700 == folder.stat().st_mode & 0o777
    assert [] == list(tmp_path.iterdir())


def test_a_killed_worker_s_folder_is_swept_and_a_living_one_s_is_not(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DEAD, str(tmp_path)]
    left = Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.strip())
    assert left.is_dir()
    with scratch_folder(tmp_path) as living, scratch_folder(tmp_path) as other:
        assert {living, other} == set(tmp_path.iterdir())


def test_another_machine_s_folder_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", DEAD, str(tmp_path)]
    left = Path(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout.strip())
    monkeypatch.setattr("platform.node", lambda: "another-worker-7")
    with scratch_folder(tmp_path) as folder:
        assert {left, folder} == set(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_can_be_retried_and_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "rows.arrow").symlink_to("/dev/full")
    with pytest.raises(OutputUnavailable, match="No space left on device; free space there or set TMPDIR"):
        _fill(tmp_path)


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda data: b"",
    "cut at a batch": lambda data: data[: len(data) // 3],
    "cut by a byte": lambda data: data[:-1],
    "another job's": lambda data: _written([BATCH.slice(2), BATCH, BATCH]),
    "batches swapped": lambda data: data[len(data) // 3 :] + data[: len(data) // 3],
    "gone": lambda data: None,
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_spool_that_is_not_what_was_written_is_refused_before_a_wrong_row(tmp_path: Path, what: str) -> None:
    parts = [BATCH.slice(n, 1) for n in range(3)]
    spool = Spool(BATCH.schema, tmp_path)
    for part in parts:
        spool.append(part)
    spool.finish()
    path = tmp_path / "rows.arrow"
    damaged = DAMAGE[what](path.read_bytes())
    path.unlink() if damaged is None else path.write_bytes(damaged)

    found: list[pa.RecordBatch] = []
    with pytest.raises(OutputUnavailable, match=r"cannot be read back: .* the next attempt reads them anew"):
        found.extend(spool.batches())
    assert parts[: len(found)] == found


def test_every_changed_byte_of_a_spool_is_noticed(tmp_path: Path) -> None:
    rows = pa.record_batch({"id": list(range(2000)), "text": [f"text {n % 50}" for n in range(2000)]})
    parts = [rows.slice(0, 1500), rows.slice(1500)]
    spool = Spool(rows.schema, tmp_path)
    for part in parts:
        spool.append(part)
    spool.finish()
    path = tmp_path / "rows.arrow"
    whole = path.read_bytes()
    for place in {*range(0, len(whole), 37), *range(16), len(whole) - 1}:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        found: list[pa.RecordBatch] = []
        with pytest.raises(OutputUnavailable, match="no longer what was written"):
            found.extend(spool.batches())
        assert parts[: len(found)] == found
    path.write_bytes(whole)
    assert parts == list(spool.batches())


def encoded_spool(folder: Path, files: Path) -> tuple[EncodedSpool, FileWriter]:
    """A finished spool of a Parquet file of three rows."""
    output = FileOutput(type="file", url="out", format=FileFormat.PARQUET)
    writer = FileWriter(LocalFileSystem(), str(files), output, CsvSettings(), status_column="text")
    with open_spool(writer, BATCH.schema, folder) as spool:
        assert isinstance(spool, EncodedSpool)
        for part in (BATCH.slice(0, 2), BATCH.slice(2)):
            spool.append(part)
        spool.finish()
    return spool, writer


def test_a_file_that_was_made_beforehand_is_the_one_that_is_made_of_the_rows(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "files").mkdir()
    spool, writer = encoded_spool(tmp_path / "spool", tmp_path / "files")

    expected = writer.write([BATCH], ATTEMPT)
    (path,) = tmp_path.glob("files/out/*/*.parquet")
    whole = path.read_bytes()
    assert BATCH == pq.read_table(path).to_batches()[0]
    path.unlink()
    assert expected == writer.write_encoded(spool.fill, ATTEMPT)
    assert BATCH == pq.read_table(path).to_batches()[0]
    assert len(whole) == path.stat().st_size


@pytest.mark.parametrize("what", ["empty", "cut by a byte", "gone", "changed"])
def test_a_file_made_beforehand_that_is_not_what_was_made_is_never_put_in_its_place(tmp_path: Path, what: str) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "files").mkdir()
    spool, writer = encoded_spool(tmp_path / "spool", tmp_path / "files")
    writer.write([BATCH.slice(1)], ATTEMPT)
    (path,) = tmp_path.glob("files/out/*/*.parquet")
    before = path.read_bytes()
    (waiting,) = (tmp_path / "spool").iterdir()
    damage = DAMAGE | {"changed": lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:]}
    damaged = damage[what](waiting.read_bytes())
    waiting.unlink() if damaged is None else waiting.write_bytes(damaged)

    with pytest.raises(OutputUnavailable, match=r"cannot be read back: .* the next attempt reads them anew"):
        writer.write_encoded(spool.fill, ATTEMPT)
    assert before == path.read_bytes()
    assert [path] == [file for file in path.parent.iterdir() if not file.name.startswith(".")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_under_a_file_made_beforehand_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "rows.encoded").symlink_to("/dev/full")
    with pytest.raises(OutputUnavailable, match="No space left on device; free space there or set TMPDIR"):
        encoded_spool(tmp_path / "spool", tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_disk_that_fills_under_a_file_made_beforehand_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "rows.encoded").symlink_to("/dev/full")
    numbers = np.random.default_rng(0).random(250_000)  # a row group, which is written while more rows come
    rows = pa.record_batch({"id": numbers})
    output = FileOutput(type="file", url="out", format=FileFormat.PARQUET)
    writer = FileWriter(LocalFileSystem(), str(tmp_path), output, CsvSettings(), status_column="text")
    with (
        pytest.raises(OutputUnavailable, match="No space left on device; free space there or set TMPDIR"),
        open_spool(writer, rows.schema, tmp_path) as spool,
    ):
        spool.append(rows)


def _written(batches: list[pa.RecordBatch]) -> bytes:
    with scratch_folder() as folder:
        spool = Spool(BATCH.schema, folder)
        for batch in batches:
            spool.append(batch)
        spool.finish()
        return (folder / "rows.arrow").read_bytes()


def _fill(folder: Path) -> None:
    spool = Spool(BATCH.schema, folder)
    spool.append(BATCH)
    spool.finish()
