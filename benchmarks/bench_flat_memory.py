"""Time and peak memory of a whole job, from 100 000 to 10 000 000 rows: memory must not grow with the rows.

Each measurement is a fresh process that runs ``run_job`` over a window of a Parquet file (20 monitored columns, an
identifier, a timestamp, a score and an actual), with duplicate search, prediction log, Parquet output, a SQLite store
and a first-window baseline. Beside it another fresh process only decodes the same columns of the same file with
pyarrow. All files lie in a temporary folder, which is removed.

    python benchmarks/bench_flat_memory.py --rows 100000 1000000 --runs 1

This process imports neither NumPy nor pyarrow: Linux hands a parent's peak memory on to the child's ``ru_maxrss``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROWS = (100_000, 1_000_000, 10_000_000)
BASELINE_ROWS = 100_000
FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)
FLOATS, WHOLES, TEXTS = 12, 3, 4
_ROW_GROUP = 131_072


def main() -> None:
    """Measure and print a table."""
    options = _options()
    if options.child:
        result = _CHILDREN[options.child](Path(options.folder), options.rows[0])
        print(json.dumps(result))
        return
    medians: dict[int, dict[str, float]] = {}
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="bench-flat-memory-") as folder:
            _measure("make", folder, rows)
            runs = [(_measure("job", folder, rows), _measure("scan", folder, rows)) for _ in range(options.runs)]
        medians[rows] = _show(rows, runs)
    first, last = min(medians), max(medians)
    ratio = medians[last]["peak"] / medians[first]["peak"]
    print(f"peak memory at {last:,} rows / at {first:,} rows: {ratio:.2f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(ROWS), help="rows of the measured window")
    parser.add_argument("--runs", type=int, default=3, help="runs of each size; the table shows their medians")
    parser.add_argument("--child", choices=sorted(_CHILDREN), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(child: str, folder: str, rows: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", child, "--folder", folder, "--rows", str(rows)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def _show(rows: int, runs: list[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, float]:
    for number, (job, scan) in enumerate(runs, 1):
        print(
            f"{rows:>11,} rows  run {number}  job {job['seconds']:8.2f} s {rows / job['seconds']:>12,.0f} rows/s "
            f"peak {job['peak']:7.0f} MiB   scan {scan['seconds']:7.2f} s peak {scan['peak']:7.0f} MiB",
            flush=True,
        )
    seconds, peak, scan_seconds, scan_peak = (
        statistics.median(run[which][what] for run in runs)
        for which, what in ((0, "seconds"), (0, "peak"), (1, "seconds"), (1, "peak"))
    )
    print(
        f"{rows:>11,} rows  median job {seconds:8.2f} s {rows / seconds:>12,.0f} rows/s peak {peak:7.0f} MiB   "
        f"scan {scan_seconds:7.2f} s peak {scan_peak:7.0f} MiB   job / scan {seconds / scan_seconds:.1f}",
        flush=True,
    )
    return {"seconds": seconds, "peak": peak}


def _make(folder: Path, rows: int) -> dict[str, Any]:
    """Two files: the baseline's day, and the measured day."""
    (folder / "rows").mkdir()
    _write(folder / "rows" / "day-1.parquet", FIRST_DAY, BASELINE_ROWS, seed=1)
    _write(folder / "rows" / "day-2.parquet", FIRST_DAY + timedelta(days=1), rows, seed=2)
    return {}


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


def _job(folder: Path, rows: int) -> dict[str, Any]:
    """The baseline's day, then the measured one."""
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

    files, definition = fsspec.filesystem("file"), load_definition(_definition(folder))
    with tempfile.TemporaryDirectory(dir=folder) as home:
        engine = open_engine(f"sqlite:///{home}/store.sqlite")
        with MonitoringStore(engine, storage=Storage.local(f"{home}/storage"), embedded=True) as store:
            ports = Ports(
                store=store,
                source=lambda _, intake, order_by: open_source(intake, filesystem=files, root=str(folder)),
                writer=lambda told: open_writer(
                    told.output_settings,  # type: ignore[arg-type]
                    filesystem=files,
                    root=str(folder),
                    identifiers=("id",),
                ),
            )
            days = [FIRST_DAY + timedelta(days=number) for number in range(3)]
            run_job(definition, Window.of(days[0], days[1]), ports)
            started = time.perf_counter()
            summary = run_job(definition, Window.of(days[1], days[2]), ports)
            seconds = time.perf_counter() - started
    expected = (rows, rows, 1)
    found = (summary.rows, summary.output_rows, summary.baseline_version)
    if found != expected:
        raise RuntimeError(f"rows, rows written and baseline are {found}, not {expected}")
    return {"seconds": seconds, "peak": _peak()}


def _definition(folder: Path) -> dict[str, Any]:
    return {
        "name": "bench",
        "deployment_id": "bench",
        "intake_settings": {"type": "file", "url": f"{folder}/rows"},
        "output_settings": {"type": "file", "url": f"{folder}/results"},
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


def _scan(folder: Path, rows: int) -> dict[str, Any]:
    """Decode every column once, and do nothing with it."""
    import pyarrow.parquet as pq

    started = time.perf_counter()
    with (folder / "rows" / "day-2.parquet").open("rb") as stream:
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        found = sum(batch.num_rows for batch in file.iter_batches(65_536))
    seconds = time.perf_counter() - started
    if found != rows:
        raise RuntimeError(f"{found} rows, not {rows}")
    return {"seconds": seconds, "peak": _peak()}


def _peak() -> float:
    """Peak resident memory of this process in MiB."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


_CHILDREN = {"make": _make, "job": _job, "scan": _scan}

if __name__ == "__main__":
    main()
