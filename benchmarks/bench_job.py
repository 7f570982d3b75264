"""A whole job of 100 000 to 10 000 000 rows beside scans that only decode the same columns.

Limits: at most 6 times DuckDB's scan (two threads) at 10 million rows; memory must not grow. A prototype by hand
reached 5.6 times with a profile, accuracy and a status for every row; the job does more, as the next paragraph says.

Each measurement is a fresh process that runs ``run_job`` over a window of a Parquet file (20 monitored columns, an
identifier, a timestamp, a score and an actual), with duplicate search, prediction log, Parquet output, a SQLite store
and a first-window baseline, in the memory pool of a task; imports and the baseline's job are left out of the seconds,
not of the memory. All files lie in a temporary folder, which is removed.

    python benchmarks/bench_job.py --rows 100000 1000000 --runs 1
"""

from __future__ import annotations

import argparse
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import engine
import measure
import peers

ROWS = (100_000, 1_000_000, 10_000_000)
BASELINE_ROWS = 100_000
FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)
FLOATS, WHOLES, TEXTS = 12, 3, 4
MOST_SCANS = 6
"""The job beside DuckDB's scan of all its columns, at most rows."""
MOST_GROWTH, MOST_MEMORY = 1.1, 225
"""Of the peak memory: at most rows beside fewest, and MB at most rows, which a prototype by hand reached."""
_ROW_GROUP = 131_072


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="rows of the measured window")
    parser.add_argument("--runs", type=int, default=3, help="runs of each size; the table shows their medians")
    options = parser.parse_args()
    duckdb, jobs = peers.environment("duckdb"), engine.script("peer_jobs.py")
    print(measure.machine(), flush=True)
    peaks, lines, found = {}, [], {}
    for rows in options.rows:
        print(f"{rows:,} rows", flush=True)
        with tempfile.TemporaryDirectory(prefix="bench-job-") as folder:
            measure.run(measure.child("make", folder, rows))
            file = Path(folder) / "rows" / "day-2.parquet"
            children = {
                "job": measure.child("job", folder, rows),
                "DuckDB scan": measure.child("duckdb_scan_all", file, script=jobs, python=duckdb),
                "pyarrow scan": measure.child("scan", folder, rows),
            }
            job, scan, arrow = measure.in_turn(children, runs=options.runs).values()
        found[rows] = job, scan
        peaks[rows] = measure.median(job, "peak") * 1.048576
        lines.append(
            [
                f"{rows:,}",
                f"{measure.median(job):.2f}, {measure.median(job, 'busy'):.2f}",
                f"{rows / measure.median(job):,.0f}",
                *(f"{measure.median(r):.2f}, {measure.median(r, 'busy'):.2f}" for r in (scan, arrow)),
                *(measure.spread(measure.ratio(job, scan, what)) for what in ("seconds", "busy")),
                *(measure.spread(measure.ratio(job, arrow, what)) for what in ("seconds", "busy")),
                *(f"{measure.median(r, 'peak'):.0f}" for r in (job, scan, arrow)),
            ]
        )
    heads = ["rows", "job, s, busy", "rows/s", "DuckDB, s, busy", "pyarrow, s, busy"]
    heads += ["job / DuckDB", "busy", "job / pyarrow", "busy", "job, peak MiB", "DuckDB", "pyarrow"]
    measure.table(heads, lines)
    last, first = max(peaks), min(peaks)
    measure.verdict(f"job of {last:,} rows / DuckDB's scan", measure.ratio(*found[last])[0], MOST_SCANS)
    measure.verdict("the same on processors", measure.ratio(*found[last], "busy")[0], MOST_SCANS)
    measure.verdict(f"peak memory at {last:,} rows / at {first:,}", peaks[last] / peaks[first], MOST_GROWTH)
    measure.verdict(f"peak memory at {last:,} rows", peaks[last], MOST_MEMORY, unit=" MB")


def make(folder: str, rows: str) -> None:
    """Two files: the baseline's day, and the measured day."""
    place = Path(folder) / "rows"
    place.mkdir()
    _write(place / "day-1.parquet", FIRST_DAY, BASELINE_ROWS, seed=1)
    _write(place / "day-2.parquet", FIRST_DAY + timedelta(days=1), int(rows), seed=2)


def _write(path: Path, day: datetime, rows: int, seed: int) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    random = np.random.default_rng(seed)
    writer = None
    for start in range(0, rows, _ROW_GROUP):
        table = _table(random, day, start, min(_ROW_GROUP, rows - start), rows)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


def _table(random: Any, day: datetime, start: int, count: int, rows: int) -> Any:
    import numpy as np
    import pyarrow as pa

    places = np.arange(start, start + count)
    microseconds = int(day.timestamp()) * 1_000_000 + places * 86_400_000_000 // rows
    columns: dict[str, Any] = {
        "id": pa.array(places * 7919 % 2_147_483_647 + _offset(day)),
        "at": pa.array(microseconds, pa.timestamp("us", "UTC")),
    }
    for number in range(FLOATS):
        values = random.normal(number, 1 + number, count)
        columns[f"number_{number:02d}"] = pa.array(values, mask=random.random(count) < 0.01 * number)
    for number in range(WHOLES):
        columns[f"whole_{number}"] = pa.array(random.poisson(10**number, count))
    for number in range(TEXTS):
        levels = pa.array([f"level {level}" for level in range(10 ** (number + 1))])
        columns[f"text_{number}"] = levels.take(pa.array(random.geometric(1 / 4, count) % len(levels)))
    columns["flag"] = pa.array(random.random(count) < 0.3)
    scores = random.beta(2, 5, count)
    columns["score"] = pa.array(scores)
    columns["actual"] = pa.array(["no", "yes"]).take(pa.array((random.random(count) < scores).astype(np.int64)))
    return pa.table(columns)


def _offset(day: datetime) -> int:
    """Identifiers of different days do not meet."""
    return day.day * 4_294_967_296


def job(folder: str, rows: str) -> dict[str, Any]:
    """The baseline's day, then the measured one."""
    engine.use_lean_memory()
    import fsspec

    from airflow_monitoring_provider.definitions import load_definition
    from airflow_monitoring_provider.definitions.window import Window
    from airflow_monitoring_provider.intake.source import open_source
    from airflow_monitoring_provider.jobs.ports import Ports
    from airflow_monitoring_provider.jobs.run import run_job
    from airflow_monitoring_provider.outputs.output import open_writer
    from airflow_monitoring_provider.store.engine import open_engine
    from airflow_monitoring_provider.store.storage import Storage
    from airflow_monitoring_provider.store.store import MonitoringStore

    files = fsspec.filesystem("file")
    with tempfile.TemporaryDirectory(dir=folder) as home:
        definition = load_definition(_definition(folder, home))
        database = open_engine(f"sqlite:///{home}/store.sqlite")
        with MonitoringStore(database, storage=Storage.local(f"{home}/storage"), embedded=True) as store:
            ports = Ports(
                store=store,
                source=lambda _, intake, order_by: open_source(intake, filesystem=files, root=folder),
                writer=lambda told: open_writer(
                    told.output_settings,  # type: ignore[arg-type]
                    filesystem=files,
                    root=folder,
                    identifiers=("id",),
                ),
            )
            days = [FIRST_DAY + timedelta(days=number) for number in range(3)]
            run_job(definition, Window.of(days[0], days[1]), ports)
            watch = measure.Stopwatch()
            summary = run_job(definition, Window.of(days[1], days[2]), ports)
            figures = watch.figures()
    expected = (int(rows), int(rows), 1)
    found = (summary.rows, summary.output_rows, summary.baseline_version)
    if found != expected:
        raise RuntimeError(f"rows, rows written and baseline are {found}, not {expected}")
    return figures


def _definition(folder: str, home: str) -> dict[str, Any]:
    return {
        "name": "bench",
        "deployment_id": "bench",
        "intake_settings": {"type": "file", "url": f"{folder}/rows"},
        "output_settings": {"type": "file", "url": f"{home}/results"},
        "timestamp_column": "at",
        "monitoring_columns": {
            "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
            "actuals_value_column": "actual",
            "association_id_column": "id",
        },
        "monitoring_output_settings": {"unique_row_identifier_columns": ["id"]},
        "baseline": {"type": "first_window"},
        "schedule": "0 0 * * *",
        "start_date": FIRST_DAY.isoformat(),
    }


def scan(folder: str, rows: str) -> dict[str, Any]:
    """Decode every column once, and do nothing with it."""
    import pyarrow.parquet as pq

    watch = measure.Stopwatch()
    with (Path(folder) / "rows" / "day-2.parquet").open("rb") as stream:
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        found = sum(batch.num_rows for batch in file.iter_batches(65_536))
    figures = watch.figures()
    if found != int(rows):
        raise RuntimeError(f"{found} rows, not {rows}")
    return figures


if __name__ == "__main__":
    if not measure.work({"make": make, "job": job, "scan": scan}):
        main()
