"""Where file outputs lie, and that none lies where its own job reads."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import FileOutput, load_definition
from airflow_monitoring_provider.definitions.places import path_parts, real_parts, suffix_of, would_read
from airflow_monitoring_provider.exceptions import DefinitionError, SourceError
from airflow_monitoring_provider.intake.paths import Files

BASE: dict[str, Any] = {
    "name": "scores",
    "deploymentId": "d",
    "monitoringColumns": {"predictionsColumns": "score"},
    "enabled": False,
}


def _load(intake: dict[str, Any], output: dict[str, Any], **more: Any) -> Any:
    settings = {
        "intakeSettings": {"type": "file", "dataStoreId": "disk"} | intake,
        "outputSettings": {"type": "file", "dataStoreId": "disk"} | output,
    }
    return load_definition(BASE | settings | more)


@pytest.mark.parametrize(
    ("url", "suffix"),
    [
        ("out", ""),
        ("a/b/out.csv", ".csv"),
        ("OUT.Parquet", ".parquet"),
        ("s3://my.bucket", ""),
        ("s3://my.bucket/", ""),
        ("s3://my.bucket/folder", ""),
        ("s3://my.bucket/rows.csv", ".csv"),
        ("file:///data/rows.csv", ".csv"),
        ("folder.v1/", ""),
        ("folder.csv/", ""),
        (".hidden", ""),
    ],
)
def test_a_url_ends_in_a_known_suffix_or_names_a_folder(url: str, suffix: str) -> None:
    assert suffix == suffix_of(FileOutput(type="file", url=url).url)


@pytest.mark.parametrize("url", ["out.txt", "out.csv.gz", "s3://bucket/out.jsonl", "results.v1"])
def test_another_suffix_is_refused_with_the_known_ones(url: str) -> None:
    with pytest.raises(DefinitionError, match=r"must end in \.csv or \.parquet where it names a file; end it in /"):
        _load({"url": "in"}, {"url": url})


def test_a_format_that_contradicts_the_suffix_is_refused() -> None:
    assert _load({"url": "in"}, {"url": "out.csv", "format": "csv"})
    with pytest.raises(DefinitionError, match=r"contradicts the suffix \.csv of url"):
        _load({"url": "in"}, {"url": "out.csv", "format": "parquet"})


@pytest.mark.parametrize(
    ("intake", "output"),
    [
        ("in", "in/out"),
        ("in", "./in//out.csv"),
        ("in/", "in/"),
        ("in", "in/deep/er/out.parquet"),
        ("in/*.csv", "in/out.csv"),
        ("in/scores*", "in/scores.csv"),
        ("in/scores_2031*", "in/scores.csv"),
        ("in/*", "in/results"),
        ("**/*.parquet", "results"),
        ("s3://bucket/in", "s3://bucket/in/out"),
        ("/data/in", "file:///data/in/out"),
    ],
)
def test_results_may_not_lie_where_the_job_reads(intake: str, output: str) -> None:
    kind = {"type": "s3"} if intake.startswith("s3") else {}
    with pytest.raises(DefinitionError, match=r"the next run would read its own results|must not be the intake's url"):
        _load({"url": intake} | kind, {"url": output} | kind)
    if not kind:
        baseline = {"type": "reference", "intakeSettings": {"type": "file", "dataStoreId": "disk", "url": intake}}
        with pytest.raises(DefinitionError, match="the next run would read its own results"):
            _load({"url": "elsewhere/rows.csv"}, {"url": output}, baseline=baseline)
    assert _load({"url": intake, "dataStoreId": "another"} | kind, {"url": output} | kind)


@pytest.mark.parametrize(
    ("intake", "output"),
    [
        ("in", "out"),
        ("in", "inner/out.csv"),
        ("in/rows.csv", "in/results.csv"),
        ("in/*.csv", "in/out.parquet"),
        ("in/*.csv", "in/results"),
        ("in/scores_v*", "in/scores.csv"),
        ("in", "in/_results"),
        ("in/*", "in/_results"),
        ("in/*", "in/.results.csv"),
        ("data", "/data/out"),
    ],
)
def test_results_may_lie_anywhere_else(intake: str, output: str) -> None:
    assert _load({"url": intake}, {"url": output})


NAMES = ("a", "b.csv", "_c", "ab", "x.parquet")
PATTERNS = (*NAMES, "*", "?", "*.csv", "a*", "**", "[ab]", "*_20260101T*", "b_*", "?_?", "[!a]*")


@given(
    intake=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=4),
    folders=st.lists(st.sampled_from(NAMES), max_size=3),
    last=st.sampled_from(("a", "ab", "_c", "b.csv", "x.parquet", "a_b.csv")),
)
@example(intake=["**", "*.csv"], folders=[], last="b.csv")
@example(intake=["[!a]*"], folders=[], last="b.csv")
def test_what_an_intake_finds_on_a_disk_is_known_beforehand(intake: list[str], folders: list[str], last: str) -> None:
    url, window = "/".join([*folders, last]), "20260101T000000Z_20260102T000000Z"
    suffix = suffix_of(url)
    name = f"{last.removesuffix(suffix)}_{window}{suffix}" if suffix else f"{last}/definition/{window}.parquet"
    root = Path(tempfile.mkdtemp())
    try:
        made = root.joinpath(*folders, name)
        made.parent.mkdir(parents=True, exist_ok=True)
        made.touch()
        try:
            found = str(made) in Files(fsspec.filesystem("file"), str(root), "/".join(intake)).paths()
        except SourceError:  # there is nothing at all
            found = False
        expected = would_read(path_parts("/".join(intake)), path_parts(url), suffix)
        resolved = would_read(real_parts(str(root), "/".join(intake)), real_parts(str(root), url), suffix)
        assert expected == resolved
        assert expected or not found
        if not any("[" in part or "2026" in part or "?" in part for part in intake) and suffix:
            assert expected == found
    finally:
        shutil.rmtree(root)
