"""Rows into files: whole or not at all, the newest attempt's, and never outside their root."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import decimal
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.definitions import CsvSettings
from airflow_monitoring_provider.exceptions import (
    ConfigurationError,
    OutputError,
    OutputUnavailable,
    Superseded,
)
from airflow_monitoring_provider.outputs.output import Attempt, RowWriter

CHILD = Path(__file__).with_name("child.py")
WINDOW = "20260101T000000Z_20260102T000000Z"
Write = Callable[..., RowWriter]
Rows = Callable[..., list[pa.RecordBatch]]
Attempts = Callable[..., Attempt]


@dataclasses.dataclass(frozen=True)
class Store:
    """A filesystem, a root in it, and what lies there."""

    filesystem: Any
    root: str

    def read(self, path: str) -> bytes:
        content: bytes = self.filesystem.cat_file(f"{self.root}/{path}")
        return content

    def names(self) -> list[str]:
        return sorted(found.split(self.root.strip("/") + "/", 1)[1] for found in self.filesystem.find(self.root))

    def visible(self) -> list[str]:
        return [name for name in self.names() if not name.rpartition("/")[2].startswith(".")]


@pytest.fixture(params=["disk", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The same test on a disk and in an object store."""
    if request.param == "disk":
        yield Store(fsspec.filesystem("file"), str(tmp_path))
        return
    filesystem = fsspec.filesystem("memory")
    yield Store(filesystem, "/bucket")
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


def _ids(content: bytes) -> list[int]:
    ids: list[int] = pq.read_table(io.BytesIO(content)).column("id").to_pylist()
    return ids


def test_a_folder_gets_one_file_for_each_definition_and_window(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    receipt = writer.write(rows([1, 2, 3]), attempt())
    writer.write(rows([4]), attempt(day=2))

    assert (3, f"results/flights/{WINDOW}.parquet") == (receipt.rows, receipt.location)
    assert [1, 2, 3] == _ids(store.read(receipt.location))
    assert [receipt.location, "results/flights/20260102T000000Z_20260103T000000Z.parquet"] == store.visible()
    marker = json.loads(store.read(f"results/flights/.{WINDOW}.parquet.marker"))
    assert (1, "complete", 3, receipt.checksum) == tuple(marker[k] for k in ("token", "state", "rows", "checksum"))


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        (("id",), {"carrier", "monitored_status"}),
        (("carrier", "id"), {"id", "carrier", "monitored_status"}),
        ((), {"id", "carrier", "monitored_status"}),
    ],
)
def test_parquet_keeps_a_dictionary_of_every_column_but_the_one_that_tells_rows_apart(
    identifiers: tuple[str, ...], expected: set[str], tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(fsspec.filesystem("file"), tmp_path, f"{tmp_path}/results", identifiers=identifiers)
    content = (tmp_path / writer.write(rows([1, 2, 3]), attempt()).location).read_bytes()

    group = pq.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert expected == {column.path_in_schema for column in columns if column.has_dictionary_page}
    assert [1, 2, 3] == _ids(content)


def test_a_file_name_gets_the_window_before_its_suffix(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    receipt = file_writer(store.filesystem, store.root, f"{store.root}/out.v1.csv").write(rows([1]), attempt())

    assert f"out.v1_{WINDOW}.csv" == receipt.location
    assert b'"id","carrier","monitored_status"\n1,"carrier 1","monitored"\n' == store.read(receipt.location)


def test_a_retry_replaces_the_file_and_a_late_attempt_is_refused(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    writer.write(rows([1, 2]), attempt(token=1))
    newest = writer.write(rows([3]), attempt(token=3))
    before = store.read(newest.location)

    with pytest.raises(Superseded, match="newer attempt"):
        writer.write(rows([1, 2]), attempt(token=2))

    assert before == store.read(newest.location)
    assert [newest.location] == store.visible()


def test_what_another_store_wrote_is_taken_over_only_by_one_that_continues_it(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    assert 0 == writer.last_token(attempt())
    assert [] == store.names()
    receipt = writer.write(rows([1]), attempt(token=7))
    assert (7, 0) == (writer.last_token(attempt(token=1)), writer.last_token(attempt(day=2)))

    stranger = attempt(token=9, store_id="another store")
    for call in (lambda: writer.last_token(stranger), lambda: writer.write(rows([2]), stranger)):
        with pytest.raises(ConfigurationError, match="airflow monitoring db adopt a store"):
            call()
    assert [1] == _ids(store.read(receipt.location))

    writer.write(rows([2]), attempt(token=8, store_id="another store", continues=("a store",)))
    assert [2] == _ids(store.read(receipt.location))


def test_an_attempt_announces_itself_before_it_writes(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    receipt = writer.write(rows([1]), attempt(token=1))

    def broken() -> Iterator[pa.RecordBatch]:
        yield from rows([2])
        raise OSError("the source broke")

    with pytest.raises(OSError, match="the source broke"):
        writer.write(broken(), attempt(token=3))
    with pytest.raises(Superseded):
        writer.write(rows([2]), attempt(token=2))

    assert 3 == writer.last_token(attempt(token=4))
    assert [1] == _ids(store.read(receipt.location))


def test_the_store_has_the_last_word_before_a_file_has_its_name(
    file_writer: Write, rows: Rows, attempt: Attempts, store: Store
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    receipt = writer.write(rows([1]), attempt(token=1))

    def lost() -> None:
        raise Superseded("a newer attempt owns this window")

    with pytest.raises(Superseded):
        writer.write(rows([2]), attempt(token=2, confirm=lost))
    assert [1] == _ids(store.read(receipt.location))


def test_an_attempt_that_is_overtaken_while_it_writes_is_refused(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")

    def overtaken() -> Iterator[pa.RecordBatch]:
        yield from rows([1])
        writer.write(rows([2]), attempt(token=2))

    with pytest.raises(Superseded):
        writer.write(overtaken(), attempt(token=1))

    assert [2] == _ids(store.read(f"results/flights/{WINDOW}.parquet"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_no_rows_make_an_empty_file_with_columns(
    suffix: str, store: Store, file_writer: Write, rows: Rows, attempt: Attempts, schema: pa.Schema
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results.{suffix}")
    writer.write(rows([1]), attempt())
    receipt = writer.write([], attempt(token=2), schema=schema)

    content = io.BytesIO(store.read(receipt.location))
    table = pq.read_table(content) if suffix == "parquet" else pacsv.read_csv(content)
    assert (0, schema.names) == (table.num_rows, table.schema.names)


def test_a_damaged_marker_counts_as_absent_and_is_reported(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts, caplog: pytest.LogCaptureFixture
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    receipt = writer.write(rows([1]), attempt(token=5))
    store.filesystem.pipe_file(f"{store.root}/results/flights/.{WINDOW}.parquet.marker", b'{"token": ')

    writer.write(rows([2]), attempt(token=2))

    assert [2] == _ids(store.read(receipt.location))
    assert "is damaged and counts as absent" in caplog.text


def test_an_error_of_whoever_makes_the_rows_is_passed_on_and_leaves_the_old_file(
    store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    receipt = writer.write(rows([1]), attempt())

    def broken() -> Iterator[pa.RecordBatch]:
        yield from rows([2])
        raise OSError("the source broke")

    with pytest.raises(OSError, match="the source broke"):
        writer.write(broken(), attempt(token=2))

    assert [1] == _ids(store.read(receipt.location))
    assert [receipt.location] == store.visible()


@pytest.mark.parametrize("definition_id", ["../../up", ".hidden", "a/b", "with space", "ü😀", "x" * 300, "a\\b", "%2F"])
def test_the_id_of_a_definition_is_one_plain_part_of_the_path(
    definition_id: str, store: Store, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(store.filesystem, store.root, f"{store.root}/results")
    receipt = writer.write(rows([1]), attempt(definition_id=definition_id))

    results, folder, name = receipt.location.split("/")
    assert ("results", f"{WINDOW}.parquet") == (results, name)
    assert folder.isascii()
    assert len(folder) < 255
    assert not folder.startswith(".")
    assert [receipt.location] == store.visible()


def test_what_is_not_written_is_said_when_the_writer_is_opened(tmp_path: Path, file_writer: Write) -> None:
    local = fsspec.filesystem("file")
    with pytest.raises(ConfigurationError, match="jsonl is read but not written"):
        file_writer(local, tmp_path, tmp_path / "x", format="jsonl")
    with pytest.raises(ConfigurationError, match="partitionColumns is not served"):
        file_writer(local, tmp_path, tmp_path / "x", partition_columns=("id",))


@pytest.mark.parametrize("delimiter", [",", "tab", ";", " ", ".", "-", ":", "1", "e", "€"])
@pytest.mark.parametrize("quotechar", ['"', "'", "|", "§"])
def test_csv_in_any_delimiter_and_quote_reads_back_as_it_was(
    delimiter: str, quotechar: str, tmp_path: Path, file_writer: Write, attempt: Attempts
) -> None:
    nasty = f"a{quotechar}b{delimiter}c\n\r\n{quotechar}{quotechar}"
    batch = pa.RecordBatch.from_pydict(
        {
            "id": pa.array([1.5, -1e-300, None]),
            f"name {quotechar} of it": pa.array([nasty, "", None]),
            "at": pa.array([0, 1, None], pa.timestamp("us", "UTC")),
            "money": pa.array([decimal.Decimal("1.10"), None, None]),
            "raw": pa.array([b"\x00\xff", None, None]),
            "monitored_status": pa.array(["monitored"] * 3),
        }
    )
    settings = CsvSettings(delimiter=delimiter, quotechar=quotechar)
    writer = file_writer(fsspec.filesystem("file"), tmp_path, tmp_path / "x.csv", csv=settings)
    content = (tmp_path / writer.write([batch], attempt()).location).read_bytes().decode()

    character = "\t" if delimiter == "tab" else delimiter
    read = list(csv.reader(io.StringIO(content, newline=""), delimiter=character, quotechar=quotechar))
    assert batch.schema.names == read[0]
    assert [nasty, "", ""] == [row[1] for row in read[1:]]
    assert [1.5, -1e-300] == [float(row[0]) for row in read[1:3]]
    assert ["1970-01-01 00:00:00.000000Z", "1970-01-01 00:00:00.000001Z", ""] == [row[2] for row in read[1:]]
    assert ("1.10", "00ff", "monitored") == tuple(read[1][3:])


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "utf-8-sig"])
def test_csv_in_another_encoding_is_one_text_and_an_unknown_character_names_its_column(
    encoding: str, tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(fsspec.filesystem("file"), tmp_path, tmp_path / "x.csv", csv=CsvSettings(encoding=encoding))
    receipt = writer.write(rows([1, 2, 3], status="größer"), attempt())

    lines = (tmp_path / receipt.location).read_bytes().decode(encoding).splitlines()
    assert ['"id","carrier","monitored_status"', '1,"carrier 1","größer"'] == lines[:2]
    assert 4 == len(lines)
    if encoding == "latin-1":
        with pytest.raises(OutputError, match="'latin-1' has no form for a character of column 'monitored_status'"):
            writer.write(rows([1], status="😀"), attempt(token=2))
        assert "größer" in (tmp_path / receipt.location).read_text("latin-1")


def test_poison_in_a_file_is_null_and_its_row_says_so(tmp_path: Path, file_writer: Write, attempt: Attempts) -> None:
    batch = pa.RecordBatch.from_pydict(
        {
            "text": pa.array(["a\0b", "ok"]),
            "number": pa.array([float("nan"), 1.0]),
            "monitored_status": ["monitored"] * 2,
        }
    )
    receipt = file_writer(fsspec.filesystem("file"), tmp_path, tmp_path).write([batch], attempt())

    table = pq.read_table(tmp_path / receipt.location)
    expected = {"text": [None, "ok"], "number": [None, 1.0]}
    assert expected | {"monitored_status": ["rejected:unstorable_value", "monitored"]} == table.to_pydict()


@pytest.mark.parametrize("how", ["..", "absolute", "link", "link below", "link as file", "url"])
def test_a_path_that_leads_out_of_its_root_is_refused(
    how: str, tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "link").symlink_to(outside)
    (root / "flights").symlink_to(outside)
    urls = {
        "..": "a/%2e%2e/%2e%2e/outside",
        "absolute": outside,
        "link": root / "link",
        "link below": root / "link" / "deep",
        "link as file": root,
        "url": f"file://{outside}",
    }
    writer = file_writer(fsspec.filesystem("file"), root, urls[how])
    if how == "..":  # a percent sign is a character like any other where there is no scheme
        receipt = writer.write(rows([1]), attempt(definition_id="d"))
        assert (root / receipt.location).is_file()
    else:
        with pytest.raises(OutputError, match="leads out of the connection's root folder"):
            writer.write(rows([1]), attempt())
    assert [] == list(outside.iterdir())


def test_a_link_in_the_place_of_the_file_is_replaced_and_not_followed(
    tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    root = tmp_path / "root"
    (root / "flights").mkdir(parents=True)
    (root / "flights" / f"{WINDOW}.parquet").symlink_to(victim)

    receipt = file_writer(fsspec.filesystem("file"), root, root).write(rows([1]), attempt())

    assert "precious" == victim.read_text()
    assert not (root / receipt.location).is_symlink()


@pytest.mark.parametrize("url", ["memory://other/x", "/other/x"])
def test_an_object_outside_its_root_is_refused(url: str, file_writer: Write, rows: Rows, attempt: Attempts) -> None:
    with pytest.raises(OutputError, match="leads out of the connection's root"):
        file_writer(fsspec.filesystem("memory"), "/bucket", url).write(rows([1]), attempt())


def _child(folder: Path, url: str, **plan: Any) -> tuple[int, Any]:
    arguments = json.dumps({"url": url, "root": str(folder), "token": 2, "count": 20_000} | plan)
    ended = subprocess.run(
        [sys.executable, str(CHILD), "file", arguments], capture_output=True, text=True, timeout=60, check=False
    )
    return ended.returncode, json.loads(ended.stdout) if ended.stdout else ended.stderr


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("fatal", [1, 10, 21])
def test_a_worker_killed_before_the_rename_leaves_the_old_file_and_a_retry_sweeps_up(
    suffix: str, fatal: int, tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    url = str(tmp_path / f"x.{suffix}")
    writer = file_writer(fsspec.filesystem("file"), tmp_path, url)
    receipt = writer.write(rows([1]), attempt(token=1))
    before = (tmp_path / receipt.location).read_bytes()

    assert (-9, "") == _child(tmp_path, url, fatal=fatal)
    assert before == (tmp_path / receipt.location).read_bytes()
    assert [tmp_path / receipt.location] == [path for path in tmp_path.iterdir() if not path.name.startswith(".")]

    assert (0, ["written", ""]) == _child(tmp_path, url, token=3)
    assert before != (tmp_path / receipt.location).read_bytes()
    assert [] == list(tmp_path.glob(".*.tmp"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_full_disk_is_told_with_a_sentence_and_leaves_the_old_file(
    suffix: str, tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    url = str(tmp_path / f"x.{suffix}")
    receipt = file_writer(fsspec.filesystem("file"), tmp_path, url).write(rows([1]), attempt(token=1))
    before = (tmp_path / receipt.location).read_bytes()

    code, (error, message) = _child(tmp_path, url, limit=4096)

    assert (0, OutputUnavailable.__name__) == (code, error)
    assert message.startswith(f"{receipt.location} could not be written: the disk is full or the file too large")
    assert before == (tmp_path / receipt.location).read_bytes()
    assert [] == list(tmp_path.glob(".*.tmp"))


def test_another_attempts_lock_is_waited_for_a_while(tmp_path: Path, rows: Rows, attempt: Attempts) -> None:
    import fcntl

    from airflow_monitoring_provider.outputs.disk import DiskPlace

    with (tmp_path / ".x.csv.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        place = DiskPlace(str(tmp_path), str(tmp_path), "x.csv", wait=0.2)
        with pytest.raises(OutputUnavailable, match="is locked by another attempt"):
            place.write(attempt(), lambda sink: (0, ""))


def test_memory_does_not_grow_with_the_rows(tmp_path: Path, file_writer: Write, attempt: Attempts) -> None:
    batch = pa.RecordBatch.from_pydict({"id": pa.array(range(50_000)), "monitored_status": ["monitored"] * 50_000})
    held: list[int] = []

    def many() -> Iterator[pa.RecordBatch]:
        for _ in range(200):
            held.append(pa.total_allocated_bytes())
            yield batch

    receipt = file_writer(fsspec.filesystem("file"), tmp_path, tmp_path).write(many(), attempt())

    assert 200 * 50_000 == receipt.rows
    assert max(held) - held[0] < 150 * 2**20


def test_an_instant_with_a_fraction_keeps_it_in_the_name(
    tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    start = dt.datetime(2026, 1, 1, 9, 30, 0, 5, tzinfo=dt.timezone(dt.timedelta(hours=9)))
    odd = dataclasses.replace(attempt(), window_start=start)

    receipt = file_writer(fsspec.filesystem("file"), tmp_path, tmp_path / "x.csv").write(rows([1]), odd)

    assert "x_20260101T003000.000005Z_20260102T000000Z.csv" == receipt.location


def test_a_file_of_another_job_is_not_replaced(
    tmp_path: Path, file_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = file_writer(fsspec.filesystem("file"), tmp_path, str(tmp_path / "results.csv"))
    receipt = writer.write(rows([1]), attempt(token=2))
    before = (tmp_path / receipt.location).read_bytes()
    with pytest.raises(OutputError, match="written by another job"):
        writer.write(rows([2]), attempt(definition_id="other", token=3))
    assert before == (tmp_path / receipt.location).read_bytes()
