"""The actuals of a deployment, a part that fits into memory at a time.

At most :data:`PART_ROWS` on average are held at once: more are cut by the first bits of their ids' keys, in temporary
files, so that all actuals of an id are in one part.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.engines.actuals import SPILLED, ActualRows, KnownActuals
from airflow_monitoring_provider.engines.temporary import temporary_folder
from airflow_monitoring_provider.profiles.instants import EPOCH
from airflow_monitoring_provider.store.actual_records import ActualFile
from airflow_monitoring_provider.store.storage import Storage

PART_ROWS = 1 << 20
_MOST_BITS = 10


def microseconds(instant: dt.datetime) -> int:
    """Since 1970 UTC, exactly."""
    return (instant - EPOCH) // dt.timedelta(microseconds=1)


@contextmanager
def actual_parts(
    storage: Storage, files: Sequence[ActualFile], scratch: Path
) -> Iterator[tuple[int, Callable[[int], KnownActuals]]]:
    """Actuals cut by the first bits of their ids' keys so that a part fits into memory: how many bits, and the parts.

    A source is the place of its file among ``files``.
    """
    total = sum(file.file.rows for file in files)
    bits = min(_MOST_BITS, max(0, -(-total // PART_ROWS) - 1).bit_length())
    rows = (
        ActualRows.of(batch, microseconds(file.window.end), source)
        for source, file in enumerate(files)
        for batch in storage.read_predictions(file.file)
    )
    if not bits:
        known = KnownActuals(ActualRows.joined(list(rows)))
        yield 0, lambda part: known
        return
    with temporary_folder():
        scratch.mkdir(exist_ok=True)
    spilled = [scratch / f"{part}.arrow" for part in range(1 << bits)]
    with ExitStack() as open_files:
        writers = [open_files.enter_context(pa.ipc.new_file(str(path), SPILLED)) for path in spilled]
        for block in rows:
            parts = (block.first >> np.uint64(64 - bits)).astype(np.int64)
            order = np.argsort(parts, kind="stable")
            ends = np.cumsum(np.bincount(parts, minlength=1 << bits))
            for part, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
                if end > start:
                    with temporary_folder():
                        writers[part].write_batch(block.take(order[start:end]).to_batch())
    yield bits, lambda part: KnownActuals(_spilled(spilled[part]))


def _spilled(path: Path) -> ActualRows:
    with temporary_folder(), pa.OSFile(str(path)) as file:
        reader = pa.ipc.open_file(file)
        return ActualRows.joined([ActualRows.from_batch(reader.get_batch(i)) for i in range(reader.num_record_batches)])
