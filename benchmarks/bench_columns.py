"""Profile and drift of 20, 200 and 1000 monitored columns, 10 million values each time: the nanoseconds a value.

What a column costs whatever its rows (its plan, its drift metrics) shows where columns are many and rows few; the
pyarrow scan of the same file is beside it.
"""

from __future__ import annotations

import argparse

import engine
import measure
import workload

CHILDREN = {"profile": engine.profile_and_compare, "baseline": engine.write_baseline}
COPIES = (1, 10, 50)
VALUES = 10_000_000


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, nargs="+", default=list(COPIES), help="of the twenty columns")
    parser.add_argument("--values", type=int, default=VALUES, help="rows times columns")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    print(measure.machine(), flush=True)
    lines, jobs = [], engine.script("peer_jobs.py")
    for copies in options.copies:
        rows = options.values // (len(workload.MONITORED) * copies)
        path = workload.current(rows, copies=copies)
        workload.reference(rows, copies=copies)
        stored = measure.run(measure.child("baseline", copies, rows)).more["path"]
        print(f"{20 * copies} columns, {rows:,} rows", flush=True)
        runs = measure.in_turn(
            {
                "profile and drift": measure.child("profile", rows, stored, copies),
                "pyarrow scan": measure.child("arrow_scan", path, copies, script=jobs),
            },
            runs=options.runs,
        )
        ours, scan = runs.values()
        values = rows * len(workload.MONITORED) * copies
        lines.append(
            [
                f"{20 * copies}",
                f"{rows:,}",
                f"{measure.median(ours):.3f}",
                f"{measure.median(ours, 'busy') / values * 1e9:.0f}",
                f"{measure.median(scan):.3f}",
                measure.spread(measure.ratio(ours, scan, "busy")),
                f"{measure.median(ours, 'peak'):.0f}",
                f"{measure.median(scan, 'peak'):.0f}",
            ]
        )
    heads = [
        "columns",
        "rows",
        "ours, s",
        "ns a value, busy",
        "pyarrow, s",
        "ours / pyarrow, busy",
        "ours, peak MiB",
        "pyarrow",
    ]
    measure.table(heads, lines)


if __name__ == "__main__":
    if not measure.work(CHILDREN):
        main()
