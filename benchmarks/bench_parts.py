"""A job in 1, 2 and 4 parts, each a process of its own as an executor would start it, beside the job in one process.

Intake is one Parquet file (``workload.current``) that is cut between row groups, so that rows with equal identifiers
may stand in two parts: keys are kept and compared. Output is a Parquet file, the store SQLite. The time of a job in
parts is that of the claim, the slowest part and the merge, without the imports of their processes; as many parts run
beside each other as there are cores, and more than that would gain nothing.

    python benchmarks/bench_parts.py --rows 1000000 --runs 1
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import statistics
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import engine
import measure
import workload

PARTS = (1, 2, 4)
ROWS = 1_000_000
GROUP = 131_072


def main() -> None:
    """Measure and print a table."""
    if measure.work(CHILDREN):
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=3, help="the table shows medians")
    options = parser.parse_args()
    print(measure.machine())
    rows = options.rows
    with tempfile.TemporaryDirectory(prefix="bench-parts-") as folder:
        measure.run(measure.child("make", folder, rows))
        found: dict[int, list[dict[str, float]]] = {parts: [] for parts in (0, *PARTS)}
        for number in range(1, options.runs + 1):
            for parts, runs in found.items():
                runs.append(_job(Path(folder), f"{number}-{parts}", parts))
                told = "  ".join(f"{name} {value:8.2f}" for name, value in runs[-1].items())
                print(f"  run {number}  {f'{parts} parts' if parts else 'one process':<12} {told}", flush=True)
    _show(rows, found)


def _job(folder: Path, name: str, parts: int) -> dict[str, float]:
    """Seconds of a job's steps, and the peak memory of its largest process in MiB."""
    home = folder / name
    home.mkdir()
    if not parts:
        one = measure.run(measure.child("one", folder, home))
        return {"seconds": one.seconds, "claim": 0.0, "part": 0.0, "merge": 0.0, "peak": one.peak}
    claim = measure.run(measure.child("claim", folder, home, parts))
    commands = [measure.child("part", folder, home, json.dumps(part)) for part in claim.more["parts"]]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        read = list(pool.map(measure.run, commands))
    merge = measure.run(measure.child("merge", folder, home, json.dumps(claim.more["parts"][0])))
    waves = -(-len(read) // (os.cpu_count() or 1))
    slowest = waves * statistics.mean(sorted(run.seconds for run in read)[-(os.cpu_count() or 1) :])
    return {
        "seconds": claim.seconds + slowest + merge.seconds,
        "claim": claim.seconds,
        "part": slowest,
        "merge": merge.seconds,
        "peak": max(run.peak for run in (claim, *read, merge)),
    }


def _show(rows: int, found: dict[int, list[dict[str, float]]]) -> None:
    middle = {
        parts: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for parts, runs in found.items()
    }
    heads = ("rows in", "seconds", "claim", "parts", "merge", "rows/s", "one process / this", "peak MiB")
    table = []
    for parts, figures in middle.items():
        ratios = [one["seconds"] / run["seconds"] for one, run in zip(found[0], found[parts], strict=True)]
        table.append(
            (
                f"{parts} parts" if parts else "one process",
                *(f"{figures[name]:.2f}" for name in ("seconds", "claim", "part", "merge")),
                f"{rows / figures['seconds']:,.0f}",
                f"{statistics.median(ratios):.2f} ({min(ratios):.2f} - {max(ratios):.2f})",
                f"{figures['peak']:.0f}",
            )
        )
    print(f"\n## {rows:,} rows")
    measure.table(heads, table)


def _make(folder: str, rows: str) -> dict[str, Any]:
    """The rows in small row groups, as a table writer leaves them."""
    import pyarrow.parquet as pq

    target = Path(folder) / "rows"
    target.mkdir()
    with (
        pq.ParquetFile(workload.current(int(rows))) as file,
        pq.ParquetWriter(target / "rows.parquet", file.schema_arrow) as writer,
    ):
        for batch in file.iter_batches(GROUP):
            writer.write_batch(batch)
    return {}


def _one(folder: str, home: str) -> dict[str, Any]:
    engine.use_lean_memory()
    from airflow_monitoring_provider.jobs.run import run_job

    definition, window, ports = _world(folder, home, None)
    watch = measure.Stopwatch()
    run_job(definition, window, ports)
    return watch.figures()


def _claim(folder: str, home: str, parts: str) -> dict[str, Any]:
    engine.use_lean_memory()
    from airflow_monitoring_provider.jobs.parts import claim_job

    definition, window, ports = _world(folder, home, int(parts))
    watch = measure.Stopwatch()
    found = claim_job(definition, window, ports)
    return {**watch.figures(), "parts": [part.to_dict() for part in found]}


def _part(folder: str, home: str, part: str) -> dict[str, Any]:
    engine.use_lean_memory()
    from airflow_monitoring_provider.jobs.parts import PartReference, profile_part

    _, _, ports = _world(folder, home, None)
    watch = measure.Stopwatch()
    profile_part(PartReference(**json.loads(part)), ports)
    return watch.figures()


def _merge(folder: str, home: str, part: str) -> dict[str, Any]:
    engine.use_lean_memory()
    from airflow_monitoring_provider.jobs.parts import PartReference, merge_and_commit

    _, _, ports = _world(folder, home, None)
    watch = measure.Stopwatch()
    merge_and_commit(PartReference(**json.loads(part)), ports)
    return watch.figures()


def _world(folder: str, home: str, parts: int | None) -> tuple[Any, Any, Any]:
    """Definition, window and doors of a job whose store and output lie in ``home``."""
    import fsspec

    from airflow_monitoring_provider.definitions import Window, load_definition
    from airflow_monitoring_provider.intake.source import open_source
    from airflow_monitoring_provider.jobs.ports import Ports
    from airflow_monitoring_provider.outputs.output import open_writer
    from airflow_monitoring_provider.store.engine import open_engine
    from airflow_monitoring_provider.store.storage import Storage
    from airflow_monitoring_provider.store.store import MonitoringStore

    definition = load_definition(
        {
            "name": "bench",
            "deployment_id": "bench",
            "intake_settings": {"type": "file", "url": f"{folder}/rows"},
            "output_settings": {"type": "file", "url": f"{home}/results", "format": "parquet"},
            "timestamp_column": workload.TIMESTAMP,
            "monitoring_columns": {
                "predictions_columns": [{"class_name": "yes", "column_name": workload.PREDICTION}],
                "actuals_value_column": workload.ACTUAL,
                "association_id_column": workload.IDENTIFIER,
            },
            "monitoring_output_settings": {"unique_row_identifier_columns": [workload.IDENTIFIER]},
            "partitions": None if parts is None else {"count": parts},
        }
    )
    files = fsspec.filesystem("file")
    store = MonitoringStore(
        open_engine(f"sqlite:///{home}/store.sqlite"), storage=Storage.local(f"{home}/storage"), embedded=True
    )
    ports = Ports(
        store=store,
        source=lambda _, intake, order_by: open_source(intake, filesystem=files, root=folder),
        writer=lambda told: open_writer(
            told.output_settings,  # type: ignore[arg-type]
            filesystem=files,
            root=folder,
            identifiers=(workload.IDENTIFIER,),
        ),
    )
    return definition, Window.of(workload.CURRENT_DAY, workload.CURRENT_DAY + timedelta(days=1)), ports


CHILDREN = {"make": _make, "one": _one, "claim": _claim, "part": _part, "merge": _merge}

if __name__ == "__main__":
    main()
