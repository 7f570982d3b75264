"""Merging a moving baseline of 90 batches of 100 numeric columns takes under half a second; a profile is below 1 MB.

Every column of a batch of 20 000 rows is at its full 2048 buckets. Reading the stored profiles is timed beside it, and
so is merging them one after the other, which must give the same profile.
"""

from __future__ import annotations

import functools
import time
from typing import Any

import measure

BATCHES, COLUMNS, ROWS = 90, 100, 20_000
DIFFERENT = 15  # of the batches; the others repeat them, since making them takes longest
LIMIT_SECONDS, LIMIT_BYTES = 0.5, 1_000_000
RUNS = 3


def merge() -> dict[str, Any]:
    """Seconds on a processor of merging, of merging in pairs and of reading; bytes of the largest stored profile."""
    import numpy as np
    import pyarrow as pa

    from airflow_monitoring_provider.definitions.terms import ColumnKind
    from airflow_monitoring_provider.engines.arrow import profile_batches
    from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan
    from airflow_monitoring_provider.profiles.profile import merge_all
    from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes

    random = np.random.default_rng(7)
    names = [f"number_{number:03d}" for number in range(COLUMNS)]
    plan = ProfilePlan(tuple(ColumnPlan(name, ColumnKind.NUMERIC) for name in names))
    stored = []
    for _ in range(DIFFERENT):
        columns = {name: pa.array(random.normal(place, 1 + place, ROWS)) for place, name in enumerate(names)}
        stored.append(to_bytes(profile_batches(plan, pa.table(columns).to_batches())))
    stored = [stored[number % DIFFERENT] for number in range(BATCHES)]
    times = [time.process_time()]
    batches = [from_bytes(each) for each in stored]
    times.append(time.process_time())
    merged = merge_all(*batches)
    times.append(time.process_time())
    paired = functools.reduce(lambda a, b: a.merge(b), batches)
    times.append(time.process_time())
    if merged.content_hash() != paired.content_hash() or merged.rows != BATCHES * ROWS:
        raise RuntimeError("the merged profile depends on the order of merging")
    read, together, pairs = np.diff(times).tolist()
    return {"busy": together, "read": read, "pairs": pairs, "bytes": max(map(len, [*stored, to_bytes(merged)]))}


def main() -> None:
    """Measure and print a table."""
    print(measure.machine(), flush=True)
    runs = measure.in_turn({"merge": measure.child("merge")}, runs=RUNS)["merge"]
    together = measure.median(runs, "busy")
    read, pairs = (sorted(run.more[what] for run in runs)[RUNS // 2] for what in ("read", "pairs"))
    size = runs[0].more["bytes"]
    heads = ["merge, s", "one after the other, s", "reading 90 profiles, s", "largest profile, bytes", "peak MiB"]
    row = [f"{together:.2f}", f"{pairs:.2f}", f"{read:.2f}", f"{size:,}", f"{measure.median(runs, 'peak'):.0f}"]
    measure.table(heads, [row])
    measure.verdict("merging 90 batches of 100 columns", together, LIMIT_SECONDS, unit=" s")
    measure.verdict("stored profile of 100 numeric columns", size / 1e6, LIMIT_BYTES / 1e6, unit=" MB")


if __name__ == "__main__":
    if not measure.work({"merge": merge}):
        main()
