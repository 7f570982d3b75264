"""Profile and drift of twenty columns beside Evidently, whylogs, NannyML, and pandas with SciPy by hand.

Limits at 1 million rows against a reference of a million: our seconds at least 300 times below those of Evidently's
DataDriftPreset, 100 times below whylogs, 80 times below NannyML, 25 times below pandas and SciPy by hand.

    python benchmarks/bench_peers.py --rows 100000 --only whylogs by_hand

Evidently takes minutes and 2 GB at a million rows; at 10 million it needs more memory than most machines have.
"""

from __future__ import annotations

import argparse
import sys

import engine
import measure
import peers
import workload

CHILDREN = {"profile": engine.profile_and_compare, "baseline": engine.write_baseline}
LIMITS = {"evidently": 300, "whylogs": 100, "nannyml": 80, "by_hand": 25}


def main() -> None:
    """Measure and print a table; each peer's run has one of ours beside it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=sorted(LIMITS), default=list(LIMITS))
    options = parser.parse_args()
    pythons = {name: sys.executable if name == "by_hand" else peers.environment(name) for name in options.only}
    print(measure.machine(), flush=True)
    reference = workload.reference()
    stored = measure.run(measure.child("baseline")).more["path"]
    lines, jobs = [], engine.script("peer_jobs.py")
    for rows in options.rows:
        path = workload.current(rows)
        for name in options.only:
            print(f"{name}, {rows:,} rows", flush=True)
            theirs = measure.child(name, reference, path, script=jobs, python=pythons[name])
            if name == "whylogs":
                measure.run(measure.child("whylogs_reference", reference, script=jobs, python=pythons[name]))
            runs = measure.in_turn({name: theirs, "ours": measure.child("profile", rows, stored)}, runs=options.runs)
            clock, busy, memory = (
                measure.ratio(runs[name], runs["ours"], what) for what in ("seconds", "busy", "peak")
            )
            lines.append(
                [
                    name.replace("by_hand", "pandas + SciPy"),
                    f"{rows:,}",
                    *(f"{measure.median(runs[each]):.3g}" for each in (name, "ours")),
                    measure.spread(clock),
                    measure.spread(busy),
                    *(f"{measure.median(runs[each], 'peak'):.0f}" for each in (name, "ours")),
                    f"{memory[0]:.1f}",
                ]
            )
            if rows == 1_000_000:
                measure.verdict(f"ours / {name} at {rows:,} rows, times {LIMITS[name]}", LIMITS[name] / clock[0], 1.0)
    heads = [
        "peer",
        "rows",
        "peer, s",
        "ours, s",
        "peer / ours",
        "busy",
        "peer, peak MiB",
        "ours, peak MiB",
        "peer / ours",
    ]
    measure.table(heads, lines)


if __name__ == "__main__":
    if not measure.work(CHILDREN):
        main()
