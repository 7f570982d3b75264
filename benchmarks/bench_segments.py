"""What segments cost: the profile of a million rows as a whole, and in 10 and 100 segments by the levels of a column.

Every segment has a profile of all columns, made in the same pass: 100 of them are 2100 histograms and level counts.

    python benchmarks/bench_segments.py --rows 1000000 --runs 3
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import engine
import measure
import workload

SEGMENTS = (0, 10, 100)
COLUMN = "c6"  # a thousand levels


def profile(rows: str, segments: str) -> dict[str, Any]:
    """The seconds of a profile, and how many segments it has."""
    engine.use_lean_memory()
    import numpy as np

    from airflow_monitoring_provider.definitions.terms import ColumnKind
    from airflow_monitoring_provider.engines import arrow
    from airflow_monitoring_provider.intake import files, parquet_rows  # noqa: F401  (imports are not work)
    from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan, SegmentPlan

    path, planned, count = Path(workload.current(int(rows))), engine.plan(), int(segments)
    if count:
        looked = engine.profile(path, ProfilePlan((ColumnPlan(COLUMN, ColumnKind.CATEGORICAL),)))
        levels = looked.columns[COLUMN].levels.top(count - 2)  # besides them the other levels, and none
        segment = SegmentPlan(COLUMN, column=COLUMN, limit=count - 2, levels=levels)
        planned = dataclasses.replace(planned, segments=(segment,))
    watch = measure.Stopwatch()
    found = engine.profile(path, planned)
    figures = watch.figures()
    inside = sum(part.rows for part in found.segments.values())
    if count and (inside != found.rows or abs(len(found.segments) - count) > 1):
        raise RuntimeError(f"{len(found.segments)} segments hold {inside} of {found.rows} rows")
    return {**figures, "cores": arrow.usable_cores(), "numpy": np.__version__, "segments": len(found.segments)}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(measure.machine(), flush=True)
    workload.current(options.rows)
    commands = {f"{count} segments": measure.child("profile", options.rows, count) for count in SEGMENTS}
    found = measure.in_turn(commands, runs=options.runs)
    whole = found["0 segments"]
    lines = [
        [
            f"{runs[0].more['segments']}",
            f"{measure.median(runs):.2f}",
            f"{measure.median(runs, 'busy'):.2f}",
            measure.spread(measure.ratio(runs, whole)),
            measure.spread(measure.ratio(runs, whole, "busy")),
            f"{measure.median(runs, 'peak'):.0f}",
        ]
        for runs in found.values()
    ]
    print(f"\n## {options.rows:,} rows, {len(engine.plan().columns)} columns")
    measure.table(["segments", "s", "busy, s", "/ none", "busy", "peak MiB"], lines)


if __name__ == "__main__":
    if not measure.work({"profile": profile}):
        main()
