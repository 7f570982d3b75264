"""The rows that benchmarks work on: generated from a seed, kept in ``.benchmarks`` of the checkout.

A reference of 1 million rows and current rows in three sizes, as snappy Parquet in row groups of a million. 23 columns:
an identifier, a timestamp, twenty that are monitored (12 numbers with 1 to 3 % nulls, 6 texts of 2 to 1000 levels,
a prediction and the predicted class) and the actual class. Current rows drift in ``f01``, ``f05``, ``f08`` and ``c2``.

This module imports the standard library alone, so that a peer's Python can import it too.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / ".benchmarks"

FLOATS = tuple(f"f{number:02d}" for number in range(1, 13))
LEVELS = {"c1": 2, "c2": 5, "c3": 12, "c4": 50, "c5": 200, "c6": 1000}
TEXTS = tuple(LEVELS)
PREDICTION, PREDICTED_CLASS, ACTUAL = "prediction", "predicted_class", "actual"
IDENTIFIER, TIMESTAMP = "id", "at"
NUMERIC = (*FLOATS, PREDICTION)
CATEGORICAL = (*TEXTS, PREDICTED_CLASS)
MONITORED = (*FLOATS, *TEXTS, PREDICTION, PREDICTED_CLASS)
DRIFTED = ("f01", "f05", "f08", "c2")

REFERENCE_ROWS = 1_000_000
CURRENT_ROWS = (100_000, 1_000_000, 10_000_000)
REFERENCE_DAY = datetime(2026, 3, 1, tzinfo=UTC)
CURRENT_DAY = REFERENCE_DAY + timedelta(days=1)
ROW_GROUP = 1_000_000
_FORM = 1  # counts up when the rows change, so that kept files of an earlier form are not used


def reference(rows: int = REFERENCE_ROWS, *, copies: int = 1) -> Path:
    """The file of the reference rows.

    :param rows: how many rows, all of ``REFERENCE_DAY``.
    :param copies: how often the monitored columns occur: a second time as ``f01_2`` … with rows of their own.
    """
    return _kept("reference", rows, copies)


def current(rows: int, *, copies: int = 1) -> Path:
    """The file of the current rows, all of ``CURRENT_DAY``; parameters as of :func:`reference`."""
    return _kept("current", rows, copies)


def names(columns: tuple[str, ...], copy: int) -> list[str]:
    """The names of the columns in their first, second … copy."""
    return [name if copy == 1 else f"{name}_{copy}" for name in columns]


def _kept(kind: str, rows: int, copies: int) -> Path:
    """Written by a process of its own: a parent's peak memory would count as that of the processes it starts."""
    path = FOLDER / f"{kind}-{rows}-{copies}-v{_FORM}.parquet"
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            print(f"generating {path.name}", file=sys.stderr, flush=True)
            subprocess.run([sys.executable, __file__, kind, str(rows), str(copies), str(path)], check=True)
    return path


def _write(kind: str, rows: int, copies: int, path: Path) -> None:
    import numpy as np
    import pyarrow.parquet as pq

    random = np.random.default_rng([kind == "current", rows, copies])
    unfinished = path.with_suffix(f".{os.getpid()}")
    writer = None
    group = max(1, ROW_GROUP // copies)
    for start in range(0, rows, group):
        table = _table(random, kind, start, min(group, rows - start), rows, copies)
        writer = writer or pq.ParquetWriter(unfinished, table.schema, compression="snappy")
        writer.write_table(table, row_group_size=group)
    if writer is not None:
        writer.close()
    unfinished.replace(path)


def _table(random: Any, kind: str, start: int, count: int, rows: int, copies: int) -> Any:
    import numpy as np
    import pyarrow as pa

    drifted = kind == "current"
    day = CURRENT_DAY if drifted else REFERENCE_DAY
    places = np.arange(start, start + count)
    columns: dict[str, Any] = {
        IDENTIFIER: pa.array(places + (1 << 40 if drifted else 0)),
        TIMESTAMP: pa.array(
            int(day.timestamp()) * 1_000_000 + places * 86_400_000_000 // rows, pa.timestamp("us", "UTC")
        ),
    }
    for copy in range(1, copies + 1):
        columns |= dict(zip(names(MONITORED, copy), _monitored(random, count, drifted=drifted), strict=True))
    happened = random.random(count) < columns[PREDICTION].to_numpy()
    columns[ACTUAL] = _texts(happened.astype(np.int32), ("no", "yes"))
    return pa.table(columns)


def _monitored(random: Any, count: int, *, drifted: bool) -> list[Any]:
    """The monitored columns in their order: normal, lognormal, offset and skewed numbers, Zipf-like texts."""
    import numpy as np
    import pyarrow as pa

    columns = []
    for place, name in enumerate(FLOATS):
        values = random.standard_normal(count)
        if place % 3 == 1:
            values = np.exp(values)
        elif place % 3 == 2:
            values = 285 + 8 * values
        if drifted and name == "f01":
            values += 0.3  # normal, shifted
        elif drifted and name == "f05":
            values *= 1.4  # lognormal, scaled
        elif drifted and name == "f08":
            values = values * values  # lognormal, wider
        columns.append(pa.array(values, mask=random.random(count) < (1 + place % 3) / 100))
    for name, levels in LEVELS.items():
        weights = 1 / np.arange(1, levels + 1)
        if drifted and name == "c2":
            weights = weights[::-1]
        edges = np.cumsum(weights)[:-1] / weights.sum()
        codes = np.searchsorted(edges, random.random(count)).astype(np.int32)
        columns.append(_texts(codes, [f"{name} level {level}" for level in range(levels)]))
    scores = random.beta(2, 5, count)
    return [*columns, pa.array(scores), _texts((scores >= 0.5).astype(np.int32), ("no", "yes"))]


def _texts(codes: Any, levels: Any) -> Any:
    import pyarrow as pa

    return pa.array(levels).take(pa.array(codes))


if __name__ == "__main__":
    _write(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
