"""Rows are encoded, for the output and for the log, by a thread of their own, while the next are read.

Of the work on a batch, encoding takes longest beside counting, and most of that leaves the interpreter alone.
"""

from __future__ import annotations

import concurrent.futures
from typing import Protocol, Self

import pyarrow as pa

from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.jobs.actuals_log import RowLog


class RowSink(Protocol):
    """Where rows of the output wait."""

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""


class RowThread:
    """Hands rows to a sink and to a log, in the order in which they come.

    It holds the one batch that is being encoded, so memory does not grow where that is slow. Nobody else touches the
    sink or the log before :meth:`finish` returned or the context ended, and nobody changes the statuses.

    :param sink: for the rows of the output; None where there is none.
    :param aside: whether a thread does it; otherwise :meth:`append` does it at once.
    """

    def __init__(self, sink: RowSink | None, logged: RowLog, *, aside: bool) -> None:
        self._sink = sink
        self._logged = logged
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "monitoring-rows") if aside else None
        self._encoding: concurrent.futures.Future[None] | None = None

    def append(self, batch: pa.RecordBatch, statuses: StatusArray, rows: pa.RecordBatch | None) -> None:
        """Log the rows of a batch, and keep what goes to the output of them.

        :raises Exception: whatever the sink or the log raised, for this batch or for the one before.
        """
        if self._thread is None:
            self._encode(batch, statuses, rows)
            return
        self.finish()
        self._encoding = self._thread.submit(self._encode, batch, statuses, rows)

    def finish(self) -> None:
        """Wait until everything is encoded.

        :raises Exception: whatever the sink or the log raised for the last batch.
        """
        if self._encoding is not None:
            encoding, self._encoding = self._encoding, None
            encoding.result()

    def _encode(self, batch: pa.RecordBatch, statuses: StatusArray, rows: pa.RecordBatch | None) -> None:
        if self._sink is not None and rows is not None:
            self._sink.append(rows)
        self._logged.append(batch, statuses)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """End the thread: afterwards nobody writes to the sink or the log, which may be discarded."""
        if self._thread is not None:
            self._thread.shutdown()
