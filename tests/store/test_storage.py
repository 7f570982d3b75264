"""The prediction log: whole files under their final name or none, inside the root, and checked when read."""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import re
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.exceptions import ConfigurationError, CorruptData, StoreUnavailable
from airflow_monitoring_provider.store.log_columns import prediction_schema
from airflow_monitoring_provider.store.records import PredictionFile
from airflow_monitoring_provider.store.storage import PredictionWriter, Storage

SCHEMA = prediction_schema(classes=["yes", "no"], segments=["carrier"])
NOON = dt.datetime(2026, 1, 1, 12, tzinfo=dt.UTC)


def rows(count: int, start: int = 0) -> pa.RecordBatch:
    return pa.record_batch(
        [
            pa.array([f"id {start + number}" for number in range(count)]),
            pa.array([0.25] * count),
            pa.array([0.75] * count),
            pa.array(["no"] * count),
            pa.array([NOON] * count, pa.timestamp("us", "UTC")),
            pa.array(["batch"] * count),
            pa.array(["UA"] * count),
        ],
        schema=SCHEMA,
    )


def writer(
    storage: Storage, *, job: str = "job", token: int = 1, batch: str = "batch", part: int = 0
) -> PredictionWriter:
    return storage.write_predictions(
        deployment_id="dep", batch_id=batch, job_id=job, token=token, schema=SCHEMA, part=part
    )


def written(storage: Storage, count: int = 1, **names: object) -> PredictionFile:
    with writer(storage, **names) as opened:  # type: ignore[arg-type]
        opened.append(rows(count))
        file = opened.close()
    assert file is not None
    return file


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage.local(tmp_path / "root")


@pytest.fixture
def names(tmp_path: Path) -> Callable[[], list[str]]:
    root = tmp_path / "root"
    return lambda: sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_file_comes_back_as_it_was_written(storage: Storage, tmp_path: Path) -> None:
    with writer(storage, token=3) as opened:
        opened.append(rows(2))
        opened.append(rows(3, start=2))
        file = opened.close()

    assert file is not None
    content = (tmp_path / "root" / file.path).read_bytes()
    assert (
        PredictionFile("predictions/dep/batch/job-3.parquet", 5, len(content), hashlib.sha256(content).hexdigest())
        == file
    )
    table = pa.Table.from_batches(storage.read_predictions(file))
    assert pa.Table.from_batches([rows(5)]) == table
    assert SCHEMA == pq.read_schema(tmp_path / "root" / file.path).remove_metadata()


def test_what_repeats_has_a_dictionary_and_what_is_looked_for_has_bounds(storage: Storage, tmp_path: Path) -> None:
    file = written(storage, 3)
    group = pq.ParquetFile(tmp_path / "root" / file.path).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    repeating = {"predicted_class", "batch_id", "segment:carrier"}
    assert {column.path_in_schema for column in columns if column.has_dictionary_page} == repeating
    assert {column.path_in_schema for column in columns if column.is_stats_set} == {"segment:carrier", "timestamp"}


def test_texts_that_come_as_dictionaries_come_back_as_texts(storage: Storage, tmp_path: Path) -> None:
    classes, batches = pa.array(["no", None, "yes"]), pa.array(["batch"] * 3)
    plain = rows(3).set_column(3, "predicted_class", classes)
    with writer(storage) as opened:
        opened.append(plain)
        encoded = plain.set_column(3, "predicted_class", classes.dictionary_encode())
        opened.append(encoded.set_column(5, "batch_id", batches.dictionary_encode()))
        file = opened.close()

    assert file is not None
    assert pa.Table.from_batches([plain, plain]) == pa.Table.from_batches(storage.read_predictions(file))
    assert SCHEMA == pq.read_schema(tmp_path / "root" / file.path)


def test_more_different_texts_than_a_dictionary_holds_come_back(storage: Storage) -> None:
    many = [f"{number:060}" for number in range(40_000)]
    batch = rows(len(many)).set_column(3, "predicted_class", pa.array(many))
    with writer(storage) as opened:
        opened.append(batch)
        file = opened.close()

    assert file is not None
    assert many == pa.Table.from_batches(storage.read_predictions(file))["predicted_class"].to_pylist()


def test_a_regression_s_log_has_its_value_and_the_id_s_own_type() -> None:
    schema = prediction_schema(identifier=pa.int64())

    assert ["association_id", "prediction", "timestamp", "batch_id"] == schema.names
    assert pa.int64() == schema.field("association_id").type


def test_a_file_has_no_final_name_before_it_is_whole(storage: Storage, names: Callable[[], list[str]]) -> None:
    with writer(storage) as opened:
        opened.append(rows(10))
        assert [] == [name for name in names() if name.endswith(".parquet")]

    assert [] == names(), "leaving the block without close() discards the file"


def test_no_rows_make_no_file(storage: Storage, names: Callable[[], list[str]]) -> None:
    with writer(storage) as opened:
        opened.append(rows(0))
        assert opened.close() is None

    assert [] == names()


def test_a_closed_writer_is_closed_once(storage: Storage) -> None:
    with writer(storage) as opened:
        opened.append(rows(1))
        opened.close()
        with pytest.raises(ValueError, match="closed already"):
            opened.close()


def test_each_attempt_and_part_has_a_file_of_its_own(storage: Storage, names: Callable[[], list[str]]) -> None:
    for token, part in ((1, 0), (2, 0), (2, 1)):
        written(storage, token=token, part=part)

    plain = [re.sub("-[0-9a-f]{16}", "-*", name) for name in names()]
    assert [f"predictions/dep/batch/job-{end}.parquet" for end in ("1", "2-1-*", "2")] == plain
    written(storage, token=2, part=1)  # a part that is run again leaves the file of before alone
    assert 4 == len(names())


def test_sweeping_removes_older_attempts_and_what_they_left_unfinished(
    storage: Storage, tmp_path: Path, names: Callable[[], list[str]]
) -> None:
    for token in (1, 2, 3):
        written(storage, token=token)
    other, similar = written(storage, job="job-1"), written(storage, job="jobs")
    own = written(storage, token=2, part=1)
    written(storage, token=2, part=2)
    folder = tmp_path / "root" / "predictions" / "dep" / "batch"
    (folder / ".job-1.parquet.0123456789abcdef.tmp").touch()
    (folder / ".job-4.parquet.0123456789abcdef.tmp").touch()
    (folder / "notes.txt").touch()

    removed = storage.sweep(
        deployment_id="dep", batch_id="batch", job_id="job", token=2, keep=[own.path, "predictions/x/notes.txt"]
    )

    assert 4 == removed
    assert (
        sorted(
            [
                other.path,
                similar.path,
                own.path,
                "predictions/dep/batch/job-3.parquet",
                "predictions/dep/batch/.job-4.parquet.0123456789abcdef.tmp",
                "predictions/dep/batch/notes.txt",
            ]
        )
        == names()
    )
    assert 0 == storage.sweep(deployment_id="dep", batch_id="none", job_id="job", token=2, keep=())


@pytest.mark.parametrize(
    "hostile",
    ["../../x", "..", ".", "/etc/passwd", "a/b", "a\\b", "%2e%2e", "é ✈ é", "x" * 255, "✈" * 255, "a\nb", " "],
)
def test_no_id_leads_out_of_the_root_and_none_is_taken_for_another(
    storage: Storage, tmp_path: Path, hostile: str
) -> None:
    plain = written(storage)
    files = [
        storage.write_predictions(deployment_id=d, batch_id=b, job_id=j, token=1, schema=SCHEMA)
        for d, b, j in ((hostile, "b", "j"), ("d", hostile, "j"), ("d", "b", hostile))
    ]
    for opened in files:
        opened.append(rows(1))
    paths = [file.path for opened in files if (file := opened.close())]

    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file())
    assert sorted(f"root/{path}" for path in (plain.path, *paths)) == found
    assert 4 == len(found)
    assert {4} == {len(path.split("/")) for path in paths}


@pytest.mark.parametrize("wrong", ["", "half \ud83d"])
def test_an_id_that_can_name_no_folder_is_refused(storage: Storage, wrong: str) -> None:
    with pytest.raises(ConfigurationError):
        writer(storage, batch=wrong)


def test_a_symbolic_link_out_of_the_root_is_refused(storage: Storage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "batch").mkdir(parents=True)
    (tmp_path / "root" / "predictions").mkdir(parents=True)
    (tmp_path / "root" / "predictions" / "dep").symlink_to(outside)

    with pytest.raises(ConfigurationError, match="symbolic link"):
        writer(storage)
    assert [] == list((outside / "batch").iterdir())
    (outside / "batch" / "job-1.parquet").touch()
    with pytest.raises(ConfigurationError, match="symbolic link"):
        list(storage.read_predictions(PredictionFile("predictions/dep/batch/job-1.parquet", 1, 1, "")))


@pytest.mark.parametrize("path", ["../x.parquet", "predictions/../../x", "/etc/passwd", "a//b"])
def test_a_manifest_that_leads_out_of_the_root_is_refused(storage: Storage, path: str) -> None:
    with pytest.raises(CorruptData, match="leaves the storage root"):
        list(storage.read_predictions(PredictionFile(path, 1, 1, "")))


def test_a_changed_and_a_missing_file_are_found_out(storage: Storage, tmp_path: Path) -> None:
    file = written(storage, 100)
    content = bytearray((tmp_path / "root" / file.path).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "root" / file.path).write_bytes(content)

    with pytest.raises(CorruptData, match="checksum"):
        list(storage.read_predictions(file))
    with pytest.raises(CorruptData, match="gone"):
        list(storage.read_predictions(dataclasses.replace(file, path="predictions/dep/batch/job-9.parquet")))


def test_a_full_disk_is_an_error_with_a_sentence_and_leaves_no_file(
    storage: Storage, names: Callable[[], list[str]]
) -> None:
    incompressible = pa.array([hashlib.sha256(bytes([n % 256, n // 256])).hexdigest() for n in range(50_000)])
    batch = rows(50_000).set_column(0, SCHEMA.field(0), incompressible)
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        with writer(storage) as opened:
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limit[1]))
            with pytest.raises(StoreUnavailable, match="could not write the monitoring store's files: File too large"):
                opened.append(batch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)

    assert [] == names()


def test_a_folder_without_permission_is_a_mistake_in_the_set_up(as_nobody: Path) -> None:
    (as_nobody / "root").mkdir(mode=0o500)

    with pytest.raises(ConfigurationError, match="permission"):
        writer(Storage.local(as_nobody / "root"))


def test_a_file_in_place_of_the_root_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "root").touch()

    with pytest.raises(StoreUnavailable, match="could not write"):
        writer(Storage.local(tmp_path / "root"))


def test_an_object_store_works_the_same_way() -> None:
    memory = fsspec.filesystem("memory")
    storage = Storage(memory, "/bucket/root/")
    try:
        old = written(storage, token=1)
        file = written(storage, 3, token=2)
        assert pa.Table.from_batches([rows(3)]) == pa.Table.from_batches(storage.read_predictions(file))
        with writer(storage, token=3) as opened:
            opened.append(rows(1))
        assert 1 == storage.sweep(deployment_id="dep", batch_id="batch", job_id="job", token=2, keep=[file.path])
        assert [f"/bucket/root/{file.path}"] == memory.find("/bucket")
        with pytest.raises(CorruptData, match="gone"):
            list(storage.read_predictions(old))
    finally:
        memory.rm("/bucket", recursive=True)


def test_whole_numbers_that_identify_rows_come_back_as_texts(storage: Storage, tmp_path: Path) -> None:
    schema = prediction_schema(identifier=pa.int64())
    numbers, texts = [2**63 - 1, -7, None, 0], ["9223372036854775807", "-7", None, "0"]
    table = pa.table([numbers, [0.5] * 4, [NOON] * 4, ["batch"] * 4], schema=schema)
    with storage.write_predictions(
        deployment_id="dep", batch_id="batch", job_id="job", token=1, schema=schema
    ) as opened:
        opened.append(table.to_batches()[0])
        file = opened.close()

    assert file is not None
    assert pa.int64() == pq.read_schema(tmp_path / "root" / file.path).field("association_id").type
    assert texts == pa.Table.from_batches(storage.read_predictions(file))["association_id"].to_pylist()
    assert texts == next(storage.read_predictions(file, ["association_id"])).column(0).to_pylist()
    assert prediction_schema() == storage.schema_of(file)
