"""Rows read column by column, by several threads: the same rows, and the same profile, as batch by batch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.definitions import CsvSettings, FileIntake, TargetType
from airflow_monitoring_provider.definitions.terms import ColumnKind, RowStatus
from airflow_monitoring_provider.engines.arrow import ProfileBuilder
from airflow_monitoring_provider.engines.screen import Screen
from airflow_monitoring_provider.exceptions import SourceError, SourceUnavailable
from airflow_monitoring_provider.intake import parquet_stretch
from airflow_monitoring_provider.intake.files import FileSource
from airflow_monitoring_provider.intake.source import BatchStretch, Stretch, TimeFilter, open_stretches
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, TargetPlan
from airflow_monitoring_provider.profiles.profile import Profile

DAY = datetime(2026, 3, 1, tzinfo=UTC)
ROWS = 30_000
COLUMNS = ("n", "whole", "text", "flag", "at", "score", "actual")
PLAN = ProfilePlan(
    columns=(
        ColumnPlan("n", ColumnKind.NUMERIC),
        ColumnPlan("whole", ColumnKind.NUMERIC),
        ColumnPlan("text", ColumnKind.CATEGORICAL),
        ColumnPlan("flag", ColumnKind.BOOLEAN),
        ColumnPlan("score", ColumnKind.NUMERIC, ColumnRole.PREDICTION, mirrored=True, edges=(0.5,)),
        ColumnPlan("actual", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL),
    ),
    target=TargetPlan(TargetType.BINARY, (("yes", "score"),), "actual", ("", "yes"), "yes"),
    timestamp_column="at",
)


def table(rows: int, seed: int = 0) -> pa.Table:
    random = np.random.default_rng(seed)
    return pa.table(
        {
            "n": pa.array(random.standard_t(3, rows), mask=random.random(rows) < 0.1),
            "whole": random.poisson(5, rows),
            "text": pa.array(random.choice(["a", "b", "größe", "", "nan"], rows), mask=random.random(rows) < 0.05),
            "flag": random.random(rows) < 0.3,
            "at": pa.array(
                [DAY + timedelta(seconds=second) for second in np.sort(random.integers(0, 200_000, rows)).tolist()],
                pa.timestamp("us", "UTC"),
            ),
            "score": pa.array(np.where(random.random(rows) < 0.02, 1.5, random.beta(2, 3, rows))),
            "actual": random.choice(["yes", "no"], rows),
        }
    )


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small files are large enough, so that a test need not write millions of rows."""
    monkeypatch.setattr("airflow_monitoring_provider.intake.files.WORTH_COLUMNS", 5_000)
    monkeypatch.setattr(parquet_stretch, "STRETCH_ROWS", 8_000)
    monkeypatch.setattr(parquet_stretch, "_COLUMN_ROWS", 1_000)


def source(folder: Path) -> FileSource:
    intake = FileIntake.model_validate({"type": "file", "data_store_id": "files", "url": "in/"})
    return FileSource(fsspec.filesystem("file"), str(folder), intake, CsvSettings.model_validate({}))


def profile(plan: ProfilePlan, stretches: Iterator[Stretch], threads: int) -> Profile:
    with ProfileBuilder(plan, threads=threads) as builder:
        screen = Screen(plan)
        names = tuple(dict.fromkeys([*builder.row_columns, *screen.columns]))
        for stretch in stretches:
            seen = []
            for batch in stretch.read(names):
                seen.append(screen.statuses(batch))
                builder.see(batch, seen[-1])
            builder.count(stretch, np.concatenate(seen))
        return builder.finish()


WINDOWS = {
    "all": None,
    "a day": TimeFilter("at", DAY, DAY + timedelta(days=1)),
    "inside": TimeFilter("at", DAY + timedelta(hours=7), DAY + timedelta(hours=9)),
    "nothing": TimeFilter("at", DAY - timedelta(days=9), DAY - timedelta(days=8)),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())
@pytest.mark.parametrize("group", [700, 6_000, ROWS])
def test_columns_read_by_threads_give_the_profile_of_rows_read_in_order(
    tmp_path: Path, group: int, window: TimeFilter | None
) -> None:
    (tmp_path / "in").mkdir()
    for number, rows in enumerate((ROWS, 100, 6_000, 1)):  # large, small, large and small files side by side
        pq.write_table(table(rows, number), tmp_path / "in" / f"{number}.parquet", row_group_size=group)
    with source(tmp_path).read(COLUMNS, window) as batches:
        expected = profile(PLAN, map(BatchStretch, batches), threads=1)
    assert (expected.rows == 0) == (window is WINDOWS["nothing"])
    found = []
    for threads in (1, 3):
        rows = source(tmp_path)
        with open_stretches(rows, COLUMNS, window) as stretches:
            found.append(profile(PLAN, stretches, threads))
        assert 0 == rows.null_timestamps("at")
    assert expected.content_hash() == found[0].content_hash()
    assert (expected.rows, expected.status_counts) == (found[0].rows, found[0].status_counts)
    assert (expected.earliest, expected.latest) == (found[0].earliest, found[0].latest)
    for name, column in expected.columns.items():
        if column.moments is not None:
            assert column.moments.std() == pytest.approx(found[0].columns[name].moments.std(), rel=1e-12, nan_ok=True)
    assert found[0] == found[1]  # to the last bit: threads change nothing


def test_row_groups_that_lie_in_the_window_need_no_look_at_their_times(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    late = table(6_000)
    late = late.set_column(4, "at", pa.array([None] * 6_000, pa.timestamp("us", "UTC")))
    whole = pa.concat_tables([table(6_000), late])
    pq.write_table(whole, tmp_path / "in" / "0.parquet", row_group_size=6_000)
    rows = source(tmp_path)
    with open_stretches(rows, COLUMNS, TimeFilter("at", DAY, None)) as stretches:
        assert 6_000 == profile(PLAN, stretches, threads=2).rows
    assert 6_000 == rows.null_timestamps("at")


def test_a_damaged_column_is_the_error_of_the_whole_read_and_ends_the_threads(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "0.parquet"
    pq.write_table(table(ROWS), path, row_group_size=6_000, compression="zstd")
    place = pq.read_metadata(path).row_group(2).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[place : place + 400] = b"\xff" * 400
    path.write_bytes(content)
    before = threading.active_count()
    with (
        pytest.raises(SourceError, match=r"'in/0.parquet' is not a Parquet file that can be read"),
        open_stretches(source(tmp_path), COLUMNS, None) as stretches,
    ):
        profile(PLAN, stretches, threads=3)
    assert before == threading.active_count()


def test_a_file_that_is_replaced_while_it_is_read_is_read_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "0.parquet"
    pq.write_table(table(ROWS), path, row_group_size=6_000)
    with open_stretches(source(tmp_path), COLUMNS, None) as stretches:
        expected = profile(PLAN, stretches, threads=2)

    def replacing(stretches: Iterator[Stretch]) -> Iterator[Stretch]:
        for number, stretch in enumerate(stretches):
            if number == 1:
                pq.write_table(table(ROWS, seed=9), tmp_path / "other", row_group_size=6_000)
                (tmp_path / "other").replace(path)
            yield stretch

    with open_stretches(source(tmp_path), COLUMNS, None) as stretches:
        assert expected == profile(PLAN, replacing(stretches), threads=2)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_read_that_is_left_early_closes_its_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        pq.write_table(table(6_000, number), tmp_path / "in" / f"{number}.parquet")
    before = open_files()
    with open_stretches(source(tmp_path), COLUMNS, None) as stretches, ProfileBuilder(PLAN, threads=2) as builder:
        stretch = next(stretches)
        builder.count(stretch, np.zeros(6_000, np.uint8))
    assert before == open_files()


def test_rows_that_come_or_go_between_the_passes_are_noticed() -> None:
    with pytest.raises(SourceUnavailable, match="rows changed"):
        ProfileBuilder(PLAN).count(BatchStretch(table(10).to_batches()[0]), np.zeros(11, np.uint8))


def test_statuses_decide_where_rows_count_in_every_thread() -> None:
    batch = table(4_000).combine_chunks().to_batches()[0]
    statuses = np.random.default_rng(1).choice(list(RowStatus), 4_000).astype(np.uint8)
    screened = Screen(PLAN).statuses(batch)
    statuses = np.where(screened == RowStatus.MONITORED, statuses, screened)
    one, many = ProfileBuilder(PLAN), ProfileBuilder(PLAN, threads=3)
    for builder in (one, many):
        builder.update(batch, statuses)
    assert one.finish() == many.finish()
    many.close()
