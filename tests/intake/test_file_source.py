"""Rows of real files, on local disk and in memory, arrive typed by a stated rule and never from outside the root."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import CsvSettings, FileIntake
from airflow_monitoring_provider.exceptions import ConfigurationError, SourceError, SourceUnavailable
from airflow_monitoring_provider.intake.files import FileSource
from airflow_monitoring_provider.intake.source import BATCH_ROWS, RowSource, TimeFilter, open_source

START = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
END = dt.datetime(2013, 1, 1, 6, tzinfo=dt.UTC)
HOUR = TimeFilter("at", START, END)
CANARY = "s3cret-value"


def csv_settings(**given: Any) -> CsvSettings:
    return CsvSettings.model_validate(given)


def files(root: Path | str, url: str, filesystem: fsspec.AbstractFileSystem | None = None, **csv: Any) -> FileSource:
    kind = csv.pop("format", None)
    intake = FileIntake(type="file", url=url, data_store_id="disk", format=kind)
    return FileSource(filesystem or LocalFileSystem(), str(root), intake, csv_settings(**csv))


def rows(source: RowSource, *columns: str, window: TimeFilter | None = None) -> list[tuple[Any, ...]]:
    with source.read(columns, window) as batches:
        return [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]


def types(source: RowSource) -> dict[str, str]:
    return {field.name: str(field.type) for field in source.schema()}


# --- which files ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for name in ("a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv", "_SUCCESS", ".hidden.csv", "_tmp/e.csv", "x[1].csv"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"n\n{name}\n")
    (root / "_SUCCESS").write_text("")
    (tmp_path / "outside.csv").write_text("n\noutside\n")
    return root


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("a.csv", ["a.csv"]),
        ("./sub//c.csv", ["sub/c.csv"]),
        ("", None),
        ("sub", ["sub/c.csv", "sub/deep/d.csv"]),
        ("sub/", ["sub/c.csv", "sub/deep/d.csv"]),
        ("*.csv", ["a.csv", "b.csv", "x[1].csv"]),
        ("[ab].csv", ["a.csv", "b.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        ("*/*.csv", ["sub/c.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv", "x[1].csv"]),
        ("**/d.csv", ["sub/deep/d.csv"]),
        ("s*", ["sub/c.csv", "sub/deep/d.csv"]),
        ("x[1].csv", ["x[1].csv"]),
        (".h*.csv", [".hidden.csv"]),
        ("_tmp/e.csv", ["_tmp/e.csv"]),
    ],
)
def test_a_url_names_a_file_a_folder_or_a_pattern(tree: Path, url: str, expected: list[str] | None) -> None:
    if expected is None:
        expected, url = ["a.csv", "b.csv", "sub/c.csv", "sub/deep/d.csv", "x[1].csv"], str(tree)
    assert [(name,) for name in expected] == rows(files(tree, url), "n")
    assert [(name,) for name in expected] == rows(files(tree, f"{tree}/{url}" if not url.startswith("/") else url), "n")


def test_absolute_paths_and_urls_inside_the_root_are_the_same_file(tree: Path) -> None:
    for url in (str(tree / "a.csv"), f"file://{tree}/a.csv", "a.csv"):
        assert [("a.csv",)] == rows(files(tree, url), "n")


@pytest.mark.parametrize(
    ("url", "match"),
    [
        ("{tmp}/outside.csv", "outside the root"),
        ("file://{tmp}/outside.csv", "outside the root"),
        ("/etc/passwd", "outside the root"),
        ("{root}-other/x.csv", "outside the root"),
        ("s3://bucket/x.csv", "s3:// is not a scheme of the intake's connection"),
        ("absent.csv", "'absent.csv' does not exist"),
        ("absent*.csv", "there is no file at"),
        ("%2e%2e/outside.csv", "does not exist"),
        ("link.csv", "link that leads out"),
        ("linked/outside.csv", "link that leads out"),
        ("linked", "link that leads out"),
        ("linked/*.csv", "link that leads out"),
        ("*.csv", "link that leads out"),
        ("pipe.fifo", "no regular file"),
        ("empty", "there is no file at"),
    ],
)
def test_nothing_outside_the_root_and_nothing_but_files_is_read(tree: Path, url: str, match: str) -> None:
    (tree / "link.csv").symlink_to(tree.parent / "outside.csv")
    (tree / "linked").symlink_to(tree.parent)
    (tree / "empty").mkdir()
    os.mkfifo(tree / "pipe.fifo")

    with pytest.raises(SourceError, match=match):
        rows(files(tree, url.format(tmp=tree.parent, root=tree), format="csv"), "n")


@pytest.mark.parametrize(
    "url", ["../outside.csv", "sub/../../outside.csv", "sub\\..\\..\\outside.csv", "a\x00.csv", "a\n.csv"]
)
def test_steps_out_of_the_root_are_refused_as_text(tree: Path, url: str) -> None:
    intake = FileIntake(type="file", url="a.csv").model_copy(update={"url": url})  # what a definition would refuse
    source = FileSource(LocalFileSystem(), str(tree), intake, csv_settings())

    with pytest.raises(SourceError, match=r"\.\. segment|control character"):
        source.schema()


def test_links_inside_the_root_are_followed_once(tree: Path) -> None:
    (tree / "sub" / "loop").symlink_to(tree / "sub")
    (tree / "sub" / "again.csv").symlink_to(tree / "a.csv")

    assert [("a.csv",), ("sub/c.csv",), ("sub/deep/d.csv",)] == rows(files(tree, "sub"), "n")


def test_a_file_swapped_for_a_link_after_it_was_found_is_refused(tree: Path) -> None:
    source = files(tree, "a.csv")
    source.schema()
    (tree / "a.csv").unlink()
    (tree / "a.csv").symlink_to(tree.parent / "outside.csv")

    with pytest.raises(SourceError, match="link that leads out"):
        rows(source, "n")


def test_memory_and_other_filesystems_are_read_the_same_way() -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe({"/root/a.csv": b"n\n1\n", "/root/sub/b.csv": b"n\n2\n", "/other.csv": b"n\n3\n"})

    for url in ("memory://root", "/root", "**/*.csv"):
        assert [("1",), ("2",)] == rows(files("/root", url, memory), "n")
    assert [("1",)] == rows(files("", "root/a.csv", memory), "n")
    with pytest.raises(SourceError, match="outside the root"):
        files("/root", "memory://other.csv", memory).schema()
    memory.rm("/", recursive=True)


def test_a_storage_that_breaks_off_is_retryable_and_keeps_its_address() -> None:
    class Broken(fsspec.AbstractFileSystem):  # type: ignore[misc]
        protocol = "broken"

        def info(self, path: str, **_more: Any) -> dict[str, Any]:
            raise RuntimeError(CANARY)

    with pytest.raises(SourceUnavailable, match="RuntimeError") as caught:
        files("", "x.csv", Broken()).schema()
    assert CANARY not in str(caught.value)


# --- formats -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz", ".parquet", ".jsonl", ".ndjson", ".json", ".json.gz"])
def test_the_suffix_says_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    text = '{"a": 1, "b": "x"}\n{"a": 2, "b": null}\n' if "csv" not in suffix else "a,b\n1,x\n2,\n"
    if suffix == ".parquet":
        pq.write_table(pa.table({"a": [1, 2], "b": ["x", None]}), path)
    elif suffix.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    source = files(tmp_path, path.name)

    assert {"a": "int64", "b": "string"} == types(source)
    assert [("x", "1"), (None, "2")] == [(b, str(a)) for b, a in rows(source, "b", "a")]


def test_the_declared_format_wins_and_an_unknown_one_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rows.dat").write_text("a\n1\n")

    assert [("1",)] == rows(files(tmp_path, "rows.dat", format="csv"), "a")
    with pytest.raises(SourceError, match=r"'rows.dat' has no suffix of a known format; set intakeSettings.format"):
        files(tmp_path, "rows.dat").schema()
    (tmp_path / "more.csv").write_text("a\n1\n")
    (tmp_path / "rows.dat").rename(tmp_path / "rows.jsonl")
    with pytest.raises(SourceError, match="mix formats"):
        files(tmp_path, str(tmp_path)).schema()


def test_a_file_that_lacks_a_needed_column_is_named_with_it(tmp_path: Path) -> None:
    for kind in ("csv", "parquet"):
        for name, table in {"a": pa.table({"x": [1], "y": [1]}), "b": pa.table({"y": [2], "z": [2]})}.items():
            if kind == "parquet":
                pq.write_table(table, tmp_path / f"{name}.parquet")
            else:
                (tmp_path / f"{name}.csv").write_text(",".join(table.column_names) + "\n1,2\n")
        source = files(tmp_path, f"*.{kind}")

        assert ["x", "y", "z"] == source.schema().names
        assert 2 == len(rows(source, "y"))
        with pytest.raises(SourceError, match=rf"file 'b.{kind}' has no columns named 'x', which is needed"):
            rows(source, "y", "x")
        with pytest.raises(SourceError, match="column 'absent' is not in files"):
            rows(source, "absent")


def test_a_column_that_a_file_has_twice_is_refused_where_it_is_needed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,x,y\n1,2,3\n")

    assert [("3",)] == rows(files(tmp_path, "a.csv"), "y")
    with pytest.raises(SourceError, match="has 2 columns named 'x'"):
        rows(files(tmp_path, "a.csv"), "x")


# --- CSV -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["true", "FALSE", ""], "bool"),
        (["1", "0", "-5", "NA"], "int64"),
        (["123456789012345678"], "int64"),
        (["1234567890123456789"], "string"),
        (["007", "1"], "string"),
        (["1", "2.5", "1e5", ".5", "-inf", "NaN"], "double"),
        (["2013-01-01", "2013-01-01 05:00"], "timestamp[us]"),
        (["2013-01-01T05:00Z", "2013-01-01 05:00:00+01:00"], "timestamp[us, tz=UTC]"),
        (["2013-01-01", "x"], "string"),
        (["", "NA"], "string"),
        (["1", "true"], "string"),
    ],
)
def test_the_type_of_a_csv_column_is_the_narrowest_that_fits(tmp_path: Path, values: list[str], expected: str) -> None:
    (tmp_path / "a.csv").write_text("x,y\n" + "".join(f"{value},1\n" for value in values))

    assert expected == types(files(tmp_path, "a.csv"))["x"]


def test_the_type_comes_from_the_first_middle_and_last_file(tmp_path: Path) -> None:
    for number, value in enumerate(["1", "2", "3", "4", "x"]):
        (tmp_path / f"{number}.csv").write_text(f"a,b\n{value},1\n")

    assert {"a": "string", "b": "int64"} == types(files(tmp_path, "*.csv"))


def test_a_value_that_comes_later_and_does_not_parse_still_arrives(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n" + "1\n" * 20_000 + "oops\nNA\n")
    source = files(tmp_path, "a.csv")

    assert {"a": "int64"} == types(source)
    assert [("1",), ("oops",), (None,)] == rows(source, "a")[-3:]


def test_quotes_tell_an_empty_text_from_none(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('a,b\n"",x\n,y\n"a ""q"",\nline",z\nNA,w\n')

    assert [("", "x"), (None, "y"), ('a "q",\nline', "z"), ("NA", "w")] == rows(files(tmp_path, "a.csv"), "a", "b")


def test_csv_settings_are_obeyed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("n\tö\n'a\t''b'''\té\n".encode("latin-1"))
    source = files(tmp_path, "a.csv", delimiter="tab", quotechar="'", encoding="latin-1")

    assert [("a\t'b'", "é")] == rows(source, "n", "ö")


def test_a_byte_order_mark_and_broken_characters_do_not_stop_a_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfn,m\na\xffb,1\n")

    assert [("a�b", "1")] == rows(files(tmp_path, "a.csv"), "n", "m")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty: a CSV file needs a header"),
        (f"a,b\n1,2\n1,2,{CANARY}\n".encode(), "has 3 cells where the header has 2; check csvSettings"),
        (f"a,b\n{CANARY}\n".encode(), "has 1 cells where the header has 2"),
        (b'a,b\n"open,1\n' + b"x,1\n" * 10, "has 1 cells|cannot be read|stays open"),
        (b'a\n"' + b"x" * 50_000_000, "row longer than 16 MiB"),
    ],
)
def test_a_malformed_csv_is_named_without_its_text(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "a.csv").write_bytes(content)

    with pytest.raises(SourceError, match=match) as caught:
        rows(files(tmp_path, "a.csv"), "a")
    assert "'a.csv'" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    whole = gzip.compress(b"a\n" + os.urandom(200_000).hex().encode() + b"\n")
    for content in (whole[:-5000], b"not gzip at all", whole[:2000] + b"\x00" * 500 + whole[2500:]):
        (tmp_path / "a.csv.gz").write_bytes(content)
        with pytest.raises(SourceError, match=r"'a.csv.gz' is damaged: it does not unpack"):
            rows(files(tmp_path, "a.csv.gz"), "a")


# --- JSON lines ----------------------------------------------------------------------------------------------------


def test_json_values_arrive_as_they_are_written(tmp_path: Path) -> None:
    lines = [
        '{"i": 1, "f": 1.50, "b": true, "s": "x", "t": "2013-01-01T05:00Z", "n": {"a": [1.10, null, "q\\""]}, "m": 1}',
        '{"i": 12345678901234567890123, "f": NaN, "b": null, "s": "☃", "t": "2013-01-02", "m": "one", "late": 1}',
        "",
        "{}",
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n")
    source = files(tmp_path, "a.jsonl")

    assert {
        "i": "string", "f": "double", "b": "bool", "s": "string", "t": "timestamp[us, tz=UTC]", "n": "string",
        "m": "string", "late": "int64",
    } == types(source)  # fmt: skip
    assert [
        ("1", "1.50", "true", "x", "2013-01-01T05:00Z", '{"a":[1.10,null,"q\\""]}', "1", None),
        ("12345678901234567890123", None, None, "☃", "2013-01-02", None, "one", "1"),
        (None,) * 8,
    ] == rows(source, "i", "f", "b", "s", "t", "n", "m", "late")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ('{"a": 1}\n{"a": ' + CANARY, "line 2 of 'a.jsonl' is not JSON"),
        ('[{"a": 1}]', "line 1 of 'a.jsonl' is a JSON nested value"),
        ("[" * 100_000, "line 1 of 'a.jsonl' nests its values too deep"),
    ],
)
def test_malformed_json_is_named_without_its_text(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "a.jsonl").write_text(content)

    with pytest.raises(SourceError, match=match) as caught:
        rows(files(tmp_path, "a.jsonl"), "a")
    assert CANARY not in str(caught.value)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=5), min_size=1), min_size=1, max_size=20))
def test_any_text_survives_csv_and_json(tmp_path: Path, values: list[dict[str, str]]) -> None:
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(value) + "\n" for value in values))
    names = sorted({name for value in values for name in value})
    expected = [
        tuple(None if text is None else text.encode("utf-8", "replace").decode() for text in map(value.get, names))
        for value in values
    ]

    source = files(tmp_path, "a.jsonl")
    if all(kind == "string" for kind in types(source).values()):
        assert expected == rows(source, *names)


# --- Parquet -------------------------------------------------------------------------------------------------------


def test_parquet_types_are_the_files_own(tmp_path: Path) -> None:
    table = pa.table(
        {
            "i": pa.array([1], pa.int16()),
            "d": pa.array(["x"]).dictionary_encode(),
            "l": pa.array([[1, 2]]),
            "s": pa.array([{"a": dt.date(2013, 1, 1)}]),
            "b": pa.array([b"\x00"], pa.large_binary()),
            "t": pa.array([START], pa.timestamp("ms", "UTC")),
            "a.b": pa.array([1.5]),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    source = files(tmp_path, "a.parquet")

    expected = ["int16", "string", "string", "string", "binary", "timestamp[ms, tz=UTC]", "double"]
    assert expected == list(types(source).values())
    assert [(1.5, b"\x00", '{"a":"2013-01-01"}', "[1,2]", "x", 1)] == rows(source, "a.b", "b", "s", "l", "d", "i")


def test_parquet_files_that_store_a_column_differently_share_a_type(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"n": pa.array([1], pa.int32()), "t": pa.array([START], pa.timestamp("ms", "UTC"))}),
        tmp_path / "1.parquet",
    )
    pq.write_table(
        pa.table({"n": pa.array([2.5]), "t": pa.array([END], pa.timestamp("ns", "UTC"))}), tmp_path / "2.parquet"
    )
    source = files(tmp_path, "*.parquet")

    assert {"n": "double", "t": "timestamp[us, tz=UTC]"} == types(source)
    assert [(1.0, START), (2.5, END)] == rows(source, "n", "t")
    pq.write_table(pa.table({"n": ["x"], "t": [START]}), tmp_path / "3.parquet")
    with pytest.raises(SourceError, match=r"'3.parquet' stores column 'n' as string, files before it as double"):
        files(tmp_path, "*.parquet").schema()


def test_row_groups_outside_the_window_are_not_read_and_their_nulls_are_counted(tmp_path: Path) -> None:
    stamps = [START + dt.timedelta(minutes=minute) for minute in range(-600, 600)]
    column = pa.array([None if n % 100 == 7 else at for n, at in enumerate(stamps)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"at": column, "n": range(1200)}), tmp_path / "a.parquet", row_group_size=60)
    path = tmp_path / "a.parquet"
    whole = path.read_bytes()
    # Garbage where the first row groups lie: reading them would fail.
    path.write_bytes(whole[:4] + b"\xff" * 2000 + whole[2004:])
    source = files(tmp_path, "a.parquet")

    expected = [(n,) for n, at in enumerate(stamps) if START <= at < END and n % 100 != 7]
    assert expected == rows(source, "n", window=HOUR)
    assert 12 == source.null_timestamps("at")


@pytest.mark.parametrize("kind", ["date32", "timestamp[ms]", "timestamp[ns]", "string", "int64"])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Apia"])
def test_leaving_out_row_groups_changes_no_result(tmp_path: Path, kind: str, zone: str) -> None:
    first = dt.datetime(2011, 12, 20, tzinfo=dt.UTC)
    naive = pa.array([first + dt.timedelta(hours=3 * step) for step in range(200)], pa.timestamp("us", "UTC")).cast(
        pa.timestamp("us")
    )
    columns = {"date32": naive.cast(pa.date32()), "string": naive.cast(pa.string()), "int64": naive.cast(pa.int64())}
    stamps = columns.get(kind) or naive.cast(pa.timestamp(kind[10:12]))
    pq.write_table(pa.table({"at": stamps, "n": range(200)}), tmp_path / "small.parquet", row_group_size=5)
    pq.write_table(pa.table({"at": stamps, "n": range(200)}), tmp_path / "large.parquet")

    for step in range(20):
        window = TimeFilter(
            "at", first + dt.timedelta(hours=30 * step), first + dt.timedelta(hours=30 * step + 24), zone
        )
        assert rows(files(tmp_path, "large.parquet"), "n", window=window) == rows(
            files(tmp_path, "small.parquet"), "n", window=window
        )


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\x00" * 100 + b"PAR1", os.urandom(1000)])
def test_what_is_no_parquet_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)

    with pytest.raises(SourceError, match=r"'a.parquet' is not a Parquet file"):
        files(tmp_path, "a.parquet").schema()


def test_damaged_pages_are_an_error_without_a_trace(tmp_path: Path) -> None:
    pq.write_table(pa.table({"n": range(10_000)}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:4] + b"\xff" * 3000 + whole[3004:])

    with pytest.raises(SourceError, match="damaged"):
        rows(files(tmp_path, "a.parquet"), "n")


# --- windows, order, memory ----------------------------------------------------------------------------------------

FORMS: dict[str, Callable[[dt.datetime], str]] = {
    "iso": lambda t: t.isoformat(),
    "naive": lambda t: t.replace(tzinfo=None).isoformat(" "),
    "zulu": lambda t: t.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    "epoch us": lambda t: str(round(t.timestamp() * 1e6)),
    "epoch float": lambda t: f"{t.timestamp():.6f}",
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_text_windows_cut_exactly_in_every_representation(tmp_path: Path, kind: str, form: str) -> None:
    tick = dt.timedelta(microseconds=1)
    edges = {"before": START - tick, "first": START, "last": END - tick, "after": END}
    cells = [(name, FORMS[form](at)) for name, at in edges.items()]
    if kind == "csv":
        (tmp_path / "a.csv").write_text("name,at\n" + "".join(f"{n},{at}\n" for n, at in cells) + "null,\n")
    else:
        (tmp_path / "a.jsonl").write_text(
            "".join(json.dumps({"name": n, "at": at}) + "\n" for n, at in [*cells, ("null", None)])
        )
    source = files(tmp_path, f"a.{kind}")

    assert [("first",), ("last",)] == rows(source, "name", window=HOUR)
    assert 1 == source.null_timestamps("at")
    assert 1 == files(tmp_path, f"a.{kind}").null_timestamps("at")
    assert [] == rows(source, "name", window=TimeFilter("at", END + tick, END + tick))


def test_a_column_without_a_single_time_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("at,n\nUA,1\nAA,2\n")

    with pytest.raises(
        SourceError, match=r"timestamp column 'at' of files 'a.csv' of connection 'disk' has type string"
    ):
        rows(files(tmp_path, "a.csv"), "n", window=HOUR)


def test_rows_come_in_file_order(tmp_path: Path) -> None:
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.csv").write_text("n\n" + "".join(f"{name}{row}\n" for row in range(3)))

    assert [f"{name}{row}" for name in "abc" for row in range(3)] == [n for (n,) in rows(files(tmp_path, "*.csv"), "n")]
    assert () == files(tmp_path, "*.csv").ordered_by


def _write(path: Path, count: int) -> None:
    if path.suffix == ".parquet":
        pq.write_table(
            pa.table({"i": range(count), "x": [f"level {n % 100}" for n in range(count)]}), path, row_group_size=50_000
        )
    elif path.suffix == ".csv":
        path.write_text("i,x\n" + "".join(f"{n},level {n % 100}\n" for n in range(count)))
    else:
        path.write_text("".join(f'{{"i": {n}, "x": "level {n % 100}"}}\n' for n in range(count)))


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_batches_are_bounded_and_memory_does_not_grow(tmp_path: Path, kind: str) -> None:
    _write(tmp_path / f"a.{kind}", 300_000)
    script = textwrap.dedent("""
        import resource, sys
        from fsspec.implementations.local import LocalFileSystem
        from airflow_monitoring_provider.definitions import CsvSettings, FileIntake
        from airflow_monitoring_provider.intake.files import FileSource

        intake = FileIntake(type="file", url=sys.argv[2])
        source = FileSource(LocalFileSystem(), sys.argv[1], intake, CsvSettings.model_validate({}))
        count, most = 0, 0
        source.schema()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with source.read(["i", "x"], None) as batches:
            for batch in batches:
                count, most = count + batch.num_rows, max(most, batch.num_rows)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(count, most, (after - before) // 1024, "pandas" in sys.modules, "pyarrow.dataset" in sys.modules)
    """)
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), f"a.{kind}"], capture_output=True, text=True, check=True
    )
    count, most, grown, pandas, dataset = done.stdout.split()

    assert ("300000", "False", "False") == (count, pandas, dataset)
    assert int(most) <= BATCH_ROWS
    assert int(grown) < 64  # MiB


def test_a_file_that_may_not_be_read_is_a_matter_of_configuration(as_nobody: Path) -> None:
    path = as_nobody / "secret.csv"
    path.write_text("a\n1\n")
    assert ["a"] == files(as_nobody, path.name).schema().names
    path.chmod(0)
    with pytest.raises(ConfigurationError, match="may not be read"):
        files(as_nobody, path.name).schema()


def test_the_factory_opens_files(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a\n1\n")
    intake = FileIntake(type="file", url="a.csv")

    assert ["a"] == open_source(intake, filesystem=LocalFileSystem(), root=str(tmp_path)).schema().names
    with pytest.raises(ConfigurationError, match="needs a file connection"):
        open_source(intake)
