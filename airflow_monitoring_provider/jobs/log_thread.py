"""Rows are encoded and logged by a thread of their own, batch after batch, while the next are read.

Of the work on a batch, encoding its ids takes longest, and most of that leaves the interpreter alone.
"""

from __future__ import annotations

import concurrent.futures
from typing import Self

import pyarrow as pa

from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.jobs.actuals_log import RowLog


class LogThread:
    """Hands rows to a log in the order in which they come.

    It holds the one batch that is being logged, so memory does not grow where the log is slow. Nobody else touches the
    log before :meth:`finish` returned or the context ended, and nobody changes the statuses.

    :param aside: whether a thread does it; otherwise :meth:`append` does it at once.
    """

    def __init__(self, logged: RowLog, *, aside: bool) -> None:
        self._logged = logged
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "monitoring-log-rows") if aside else None
        self._logging: concurrent.futures.Future[None] | None = None

    def append(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Log the rows of a batch.

        :raises Exception: whatever the log raised, for this batch or for the one before.
        """
        if self._thread is None:
            self._logged.append(batch, statuses)
            return
        self.finish()
        self._logging = self._thread.submit(self._logged.append, batch, statuses)

    def finish(self) -> None:
        """Wait until everything is logged.

        :raises Exception: whatever the log raised for the last batch.
        """
        if self._logging is not None:
            logging, self._logging = self._logging, None
            logging.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """End the thread: afterwards nobody writes to the log, which may be discarded."""
        if self._thread is not None:
            self._thread.shutdown()
