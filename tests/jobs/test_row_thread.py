"""Rows that a thread encodes while others are read: all of them, in order, and no error is lost."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa
import pytest

from airflow_monitoring_provider.jobs.row_thread import RowThread
from airflow_monitoring_provider.store.records import PredictionFile


class SlowLog:
    """A log in memory that takes its time, and refuses a batch that begins with a negative number."""

    eligible = unreadable_times = 0

    def __init__(self) -> None:
        self.values: list[int] = []
        self.rows = Kept()
        self.threads: set[int] = set()

    def append(self, batch: pa.RecordBatch, statuses: np.ndarray) -> None:
        self.threads.add(threading.get_ident())
        time.sleep(0.002)
        values = batch.column(0).to_pylist()
        if values[0] < 0:
            raise OSError("no space left")
        self.values += [value for value, status in zip(values, statuses.tolist(), strict=True) if status == 0]

    def close(self) -> PredictionFile | None:
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def batch(first: int) -> tuple[pa.RecordBatch, np.ndarray]:
    """Three rows, the middle one rejected."""
    return pa.RecordBatch.from_arrays([pa.array([first, first + 1, first + 2])], ["id"]), np.array([0, 1, 0], np.uint8)


class Kept:
    """A sink in memory that refuses a batch of which the first number is 100."""

    def __init__(self) -> None:
        self.values: list[int] = []

    def append(self, batch: pa.RecordBatch) -> None:
        values = batch.column(0).to_pylist()
        if values[0] == 100:
            raise OSError("no space left")
        self.values += values


def append(thread: RowThread, first: int) -> None:
    rows, statuses = batch(first)
    thread.append(rows, statuses, rows)


@pytest.mark.parametrize("aside", [True, False])
def test_every_row_is_kept_and_logged_in_order(aside: bool) -> None:
    kept = SlowLog()
    with RowThread(kept.rows, kept, aside=aside) as log:
        for first in range(0, 60, 3):
            append(log, first)
        log.finish()
        assert [value for value in range(60) if value % 3 != 1] == kept.values
        assert list(range(60)) == kept.rows.values
    assert aside == (threading.get_ident() not in kept.threads)


def log_all(kept: SlowLog, firsts: list[int], *, aside: bool, ends_with: Exception | None = None) -> None:
    """Log batches, and end as reading does: all is logged, or something else went wrong."""
    with RowThread(kept.rows, kept, aside=aside) as log:
        for first in firsts:
            append(log, first)
        if ends_with is not None:
            raise ends_with
        log.finish()


@pytest.mark.parametrize("aside", [True, False])
@pytest.mark.parametrize("later", [[], [3], [3, 6, 9]])
@pytest.mark.parametrize("refused", [-9, 100])
def test_an_error_of_the_log_or_the_sink_ends_the_reading_and_nothing_comes_after_it(
    aside: bool, later: list[int], refused: int
) -> None:
    kept = SlowLog()
    with pytest.raises(OSError, match="no space left"):
        log_all(kept, [0, refused, *later], aside=aside)
    assert [0, 2] == kept.values
    assert [0, 1, 2] == kept.rows.values[:3]
    assert not set(later) & set(kept.rows.values)


def test_nobody_writes_to_the_log_once_an_error_elsewhere_has_ended_the_reading() -> None:
    kept = SlowLog()
    with pytest.raises(KeyError):
        log_all(kept, [0], aside=True, ends_with=KeyError("a column"))
    assert [0, 2] == kept.values
    assert not [each for each in threading.enumerate() if each.name.startswith("monitoring-rows")]
