"""F13: ten million levels, cells of 10 MB, 5000 columns: memory and snapshots stay bounded, errors as stated.

The jobs run in a process of their own, whose peak of resident memory is asked of the kernel. ``--sweep`` takes the full
sizes; otherwise a tenth of them, by which anything that grows with the rows would show as well.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import sqlite3
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import job_world
from airflow_monitoring_provider.definitions import CsvSettings, SqlIntake
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.intake import csv_rows
from airflow_monitoring_provider.intake.source import BATCH_BYTES, open_source
from airflow_monitoring_provider.metrics.compare import ComparisonSettings
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.profiles.arrays import from_texts
from airflow_monitoring_provider.profiles.column import ColumnBuilder, ColumnProfile
from airflow_monitoring_provider.profiles.plan import ColumnPlan
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore
from faults import routes

CHILD = Path(__file__).with_name("measured_job.py")
CELL = 10 * 2**20
START = np.datetime64("2026-03-01T01:00:00", "us")


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether the full sizes are asked for."""
    return bool(request.config.getoption("--sweep"))


def run(folder: Path, **changes: Any) -> dict[str, Any]:
    """Run the jobs of both days over ``folder/files/in`` in a child process; what it tells."""
    definition = {
        "intake_settings": {"type": "file", "url": "in"},
        "output_settings": {"type": "file", "url": "out", "format": "parquet"},
        "passthrough_columns": None,
    }
    (folder / "definition.json").write_text(json.dumps(definition | changes))
    done = subprocess.run([sys.executable, str(CHILD), str(folder)], capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stderr[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def inputs(tmp_path: Path) -> Path:
    """The folder of intake files."""
    folder = tmp_path / "files" / "in"
    folder.mkdir(parents=True)
    return folder


def profiles(folder: Path, told: dict[str, Any]) -> list[Profile]:
    """The committed profiles of both days."""
    engine = open_engine(f"sqlite:///{folder / 'store.sqlite'}", wait=2.0)
    with MonitoringStore(engine, storage=Storage.local(folder / "storage")) as store:
        kept = [store.load_profile(day["job"]) for day in told["days"]]
    return [from_bytes(profile.data) for profile in kept if profile is not None]


def test_memory_and_snapshot_do_not_grow_with_the_number_of_levels(tmp_path: Path, full: bool) -> None:
    count, folder = 10_000_000 if full else 500_000, inputs(tmp_path)
    chance = np.random.default_rng(5)
    for day in (0, 1):
        step, writer = 250_000, None
        for start in range(0, count, step):
            place = np.arange(start, start + step)
            levels = pa.array(place + day * count // 2).cast(pa.string())
            part = pa.table(
                {
                    "id": place + day * count,
                    "at": np.full(step, START + np.timedelta64(day, "D")),
                    "level": levels,
                    "score": chance.uniform(0, 1, step),
                    "churned": pa.array(["yes", "no"] * (step // 2)),
                }
            )
            writer = writer or pq.ParquetWriter(folder / f"{day}.parquet", part.schema)
            writer.write_table(part)
        assert writer is not None
        writer.close()
    told = run(tmp_path, features=["level"], column_types={"level": "categorical"})

    assert [count, count] == [day["rows"] for day in told["days"]]
    assert told["peak"] - told["start"] < 300
    assert all(day["profile"] < 200_000 for day in told["days"])
    assert told["store"] < 2_000_000
    for profile in profiles(tmp_path, told):
        levels = profile.columns["level"].levels
        assert levels is not None
        assert (count, True, False) == (levels.total, levels.truncated, levels.distinct_exact)
        assert len(levels.counts) + len(levels.hashed) <= 10_000
        # Of 1024 smallest hashes: a standard error of 1 / sqrt(1022), stated as 3 %; four of them.
        assert count == pytest.approx(levels.distinct, rel=4 / math.sqrt(1022))


def test_memory_does_not_grow_with_cells_of_10_mb(tmp_path: Path, full: bool) -> None:
    for form, most in {"parquet": 600, "jsonl": 600, "csv": 1000}.items() if full else [("parquet", 500)]:
        (tmp_path / form).mkdir()
        check_cells(tmp_path / form, form, 60 if full else 20, most)


def check_cells(tmp_path: Path, form: str, count: int, most: int) -> None:
    """Rows of long texts as a level and as a copied value."""
    folder = inputs(tmp_path)
    rows = [
        {
            "id": str(place),
            "at": dt.datetime(2026, 3, 1 + place % 2, 1, tzinfo=dt.UTC).replace(tzinfo=None),
            "note": chr(97 + place % 2) * CELL + str(place // 8),
            "score": 0.5,
            "churned": "yes",
        }
        for place in range(count)
    ]
    getattr(routes, f"write_{form}")(folder / f"rows.{form}", rows)
    told = run(tmp_path, features=["note"], column_types={"note": "categorical"}, passthrough_columns=["note"])
    assert told["peak"] - told["start"] < most
    assert all(day["profile"] < 20_000 for day in told["days"])
    for day, profile in enumerate(profiles(tmp_path, told)):
        levels = profile.columns["note"].levels
        assert levels is not None
        expected = Counter(row["note"] for row in rows[day::2])
        assert sorted(expected.values()) == sorted(levels.counts.values())
        assert all(len(name) < 1000 for name in levels.counts)
    (first, second) = sorted((tmp_path / "files" / "out").rglob("*.parquet"))
    for day, path in enumerate((first, second)):
        with pq.ParquetFile(path) as file:
            assert count // 2 == file.metadata.num_rows
            written = [text.as_py() for batch in file.iter_batches(2, columns=["note"]) for text in batch.column(0)]
        assert [row["note"] for row in rows[day::2]] == written


def test_thousands_of_columns_cost_memory_for_each_column_and_not_for_each_cell(tmp_path: Path, full: bool) -> None:
    for form in ("parquet", "csv", "jsonl") if full else ("csv",):
        (tmp_path / form).mkdir()
        check_columns(tmp_path / form, form, *(5000, 1000) if full else (400, 150))


def check_columns(tmp_path: Path, form: str, width: int, count: int) -> None:
    """Wide rows, all of whose columns are features and copied."""
    folder = inputs(tmp_path)
    chance = np.random.default_rng(6)
    matrices = [chance.normal(day, 1, (count, width)).round(3) for day in (0, 1)]
    for day, matrix in enumerate(matrices):
        rows = [
            {
                "id": f"{day} {place}",
                "at": dt.datetime(2026, 3, 1 + day, 1, tzinfo=dt.UTC).replace(tzinfo=None),
                "score": 0.5,
                "churned": "yes",
            }
            | {f"column {number}": value for number, value in enumerate(matrix[place].tolist())}
            for place in range(count)
        ]
        getattr(routes, f"write_{form}")(folder / f"{day}.{form}", rows)
    told = run(tmp_path, features=None, passthrough_columns_set="all")
    assert told["peak"] - told["start"] < 150 + width * 0.25
    assert all(day["profile"] < width * (count * 8 + 1000) for day in told["days"])
    assert told["store"] < width * 20_000
    for matrix, profile in zip(matrices, profiles(tmp_path, told), strict=True):
        assert width + 2 == len(profile.columns)
        for number in (0, width // 2, width - 1):
            column = profile.columns[f"column {number}"]
            assert (matrix[:, number].min(), matrix[:, number].max()) == (column.minimum, column.maximum)
            assert column.moments is not None
            assert matrix[:, number].mean() == pytest.approx(column.moments.mean)
            assert len(set(matrix[:, number].tolist())) == column.distinct


SETTINGS = ComparisonSettings.from_definition(job_world.define())


def of_levels(texts: list[str], counts: np.ndarray[Any, Any]) -> ColumnProfile:
    """A profile of rows given by level, in two batches."""
    builder = ColumnBuilder(ColumnPlan("x", ColumnKind.CATEGORICAL))
    half = len(texts) // 2
    for part in (slice(None, half), slice(half, None)):
        builder.add_levels(from_texts(texts[part]), counts[part].astype(np.int64))
    return builder.finish()


def test_drift_of_truncated_levels_is_that_of_the_exact_levels_within_what_buckets_merge() -> None:
    """Twenty frequent levels among 200 000 rare ones: merging cells can only lower a distance, and merges rare ones."""
    frequent, rare = 20, 200_000
    texts = [f"frequent {i}" for i in range(frequent)] + [f"rare {i}" for i in range(rare)]
    before = np.concatenate([np.full(frequent, 50_000), np.full(rare, 5)])
    after = np.concatenate([np.linspace(10_000, 90_000, frequent).round(), np.full(rare, 5)]).astype(int)
    old, new = of_levels(texts, before), of_levels(texts, after)
    assert old.levels is not None
    assert old.levels.truncated
    exact = float(0.5 * np.abs(before / before.sum() - after / after.sum()).sum())
    found = {value.name: value for value in column_drift(old, new, SETTINGS)}
    assert found["tvd"].value is not None
    assert found["tvd"].value <= exact + 1e-12
    assert exact == pytest.approx(found["tvd"].value, rel=0.02)


@pytest.mark.parametrize("shape", ["normal", "cauchy", "lognormal", "offset"])
def test_what_a_coarse_histogram_says_lies_within_the_precision_it_states(shape: str, full: bool) -> None:
    chance, count = np.random.default_rng(7), 3_000_000 if full else 300_000

    def values(moved: float) -> np.ndarray[Any, Any]:
        drawn = {
            "normal": lambda: chance.normal(0, 1, count),
            "cauchy": lambda: chance.standard_cauchy(count),
            "lognormal": lambda: chance.lognormal(0, 2, count),
            "offset": lambda: chance.normal(285, 8, count),
        }[shape]()
        return drawn * (1 + moved) + moved

    first, second = values(0.0), values(0.1)
    old, new = ColumnProfile.of(first), ColumnProfile.of(second)
    ks = next(value for value in column_drift(old, new, SETTINGS) if value.name == "ks")
    edges = np.sort(np.concatenate([first, second]))
    below = [np.searchsorted(np.sort(side), edges, "right") / count for side in (first, second)]
    exact = float(np.abs(below[0] - below[1]).max())
    assert old.histogram is not None
    assert new.histogram is not None
    bound = max(old.histogram.largest_share, new.histogram.largest_share)
    assert bound < 0.01
    assert ks.value is not None
    assert exact - bound <= ks.value <= exact + 1e-12
    assert len(old.histogram.codes) <= 2048


def test_a_sqlite_table_of_10_mb_cells_is_read_a_few_rows_at_a_time(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "wide.sqlite") as connection:
        connection.execute("CREATE TABLE scores (id INTEGER, note TEXT)")
        for place in range(12):
            connection.execute("INSERT INTO scores VALUES (?, ?)", (place, "x" * CELL))
    connection.close()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'wide.sqlite'}")
    source = open_source(SqlIntake(type="sql", data_store_id="db", table="scores"), engine=engine, order_by=("id",))
    rows = 0
    with source.read(["id", "note"], None) as batches:
        for batch in batches:
            rows += batch.num_rows
            assert batch.nbytes <= BATCH_BYTES
    engine.dispose()
    assert 12 == rows


def test_a_csv_read_ends_whether_it_is_left_early_or_meets_blocks_without_a_row(tmp_path: Path) -> None:
    header, row = b"id,note\n", b"1,one\n"
    (tmp_path / "rows.csv").write_bytes(header + row + b"\n" * (5 * csv_rows.BLOCK_BYTES) + row)
    csv = CsvSettings.model_validate({})
    with (tmp_path / "rows.csv").open("rb") as stream:
        assert 2 == sum(batch.num_rows for batch in csv_rows.read_texts(stream, csv, "rows.csv", ["id", "note"]))
    (tmp_path / "rows.csv").write_bytes(header + row * (6 * csv_rows.BLOCK_BYTES // len(row)))
    with (tmp_path / "rows.csv").open("rb") as stream:
        assert ["id", "note"] == csv_rows.read_header(stream, csv, "rows.csv")
    with (tmp_path / "rows.csv").open("rb") as stream:
        batches = csv_rows.read_texts(stream, csv, "rows.csv", ["id"])
        assert {"1"} == set(next(batches).column(0).to_pylist())
        assert stream.tell() <= 5 * csv_rows.BLOCK_BYTES
        batches.close()  # type: ignore[attr-defined]
