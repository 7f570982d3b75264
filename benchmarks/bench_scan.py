"""Profile and drift of 100 000 to 10 000 000 rows beside scans that only decode the same columns.

Limits: at most 3 times DuckDB's scan (two threads) at 10 million rows; peak memory at most 150 MB there, and at most
1.1 times that at 100 000; a whole process on 100 000 rows, imports included, at most 0.6 s.

    python benchmarks/bench_scan.py --rows 100000 1000000 --runs 5
"""

from __future__ import annotations

import argparse

import engine
import measure
import peers
import workload

CHILDREN = {"profile": engine.profile_and_compare, "baseline": engine.write_baseline}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=list(workload.CURRENT_ROWS))
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    duckdb, jobs = peers.environment("duckdb"), engine.script("peer_jobs.py")
    print(measure.machine(), flush=True)
    workload.reference()
    stored = measure.run(measure.child("baseline")).more["path"]
    lines, found = [], {}
    for rows in options.rows:
        path = workload.current(rows)
        print(f"{rows:,} rows", flush=True)
        found[rows] = runs = measure.in_turn(
            {
                "profile and drift": measure.child("profile", rows, stored),
                "DuckDB scan": measure.child("duckdb_scan", path, script=jobs, python=duckdb),
                "pyarrow scan": measure.child("arrow_scan", path, script=jobs),
            },
            runs=options.runs,
        )
        ours, scan, arrow = runs.values()
        lines.append(
            [
                f"{rows:,}",
                *(f"{measure.median(r):.3f}, {measure.median(r, 'busy'):.3f}" for r in (ours, scan, arrow)),
                *(measure.spread(measure.ratio(ours, scan, what)) for what in ("seconds", "busy")),
                measure.spread(measure.ratio(ours, arrow, "busy")),
                f"{measure.median(ours, 'wall'):.2f}, {measure.median(ours, 'cpu'):.2f}",
                *(f"{measure.median(r, 'peak'):.0f}" for r in (ours, scan, arrow)),
            ]
        )
    heads = [
        "rows",
        "ours, s, busy",
        "DuckDB, s, busy",
        "pyarrow, s, busy",
        "ours / DuckDB",
        "busy",
        "ours / pyarrow, busy",
    ]
    measure.table([*heads, "whole process, s, busy", "ours, peak MiB", "DuckDB", "pyarrow"], lines)
    last, first = max(found), min(found)
    ours, scan = found[last]["profile and drift"], found[last]["DuckDB scan"]
    measure.verdict(f"seconds at {last:,} rows / DuckDB's scan", measure.ratio(ours, scan)[0], 3.0)
    measure.verdict("the same on processors", measure.ratio(ours, scan, "busy")[0], 3.0)
    peak = measure.median(ours, "peak") * 1.048576
    measure.verdict(f"peak memory at {last:,} rows", peak, 150, unit=" MB")
    least = measure.median(found[first]["profile and drift"], "peak") * 1.048576
    measure.verdict(f"peak memory at {last:,} rows / at {first:,}", peak / least, 1.1)
    for what in ("wall", "cpu"):
        value = measure.median(found[first]["profile and drift"], what)
        measure.verdict(f"whole process at {first:,} rows, {what}", value, 0.6, unit=" s")


if __name__ == "__main__":
    if not measure.work(CHILDREN):
        main()
