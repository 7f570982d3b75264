"""What a running job tells the store, and how it hears that it should end.

Reports cost a transaction, so at most one a second is sent while rows are read. Each is conditional on the attempt's
token: a newer attempt makes the next report raise ``Superseded``, and a set abort flag makes it raise ``JobAborted``.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from airflow_monitoring_provider.exceptions import JobAborted, JobInterrupted, MonitoringError
from airflow_monitoring_provider.store.records import Claim
from airflow_monitoring_provider.store.store import MonitoringStore

SECONDS_BETWEEN_REPORTS = 1.0
_STAGE_PERCENT = {"read": 2.0, "compare": 70.0, "write": 75.0, "commit": 95.0}
_READ_SHARE = _STAGE_PERCENT["compare"] - _STAGE_PERCENT["read"]


class Progress:
    """Reports of one attempt.

    :param cancelled: asked at every step; true ends the job as aborted.
    :param expected_rows: rows of the last committed job, for the percentage; None when unknown.
    """

    def __init__(
        self, store: MonitoringStore, claim: Claim, cancelled: Callable[[], bool], *, expected_rows: int | None
    ) -> None:
        self._store = store
        self._claim = claim
        self._cancelled = cancelled
        self._expected = expected_rows
        self._percent = 0.0
        self._may_end = True
        self._scored = self._failed = 0
        self._next = time.monotonic() + SECONDS_BETWEEN_REPORTS

    def rows(self, scored: int, failed: int) -> None:
        """So many rows were read in all: scored ones and rejected ones."""
        self._scored, self._failed = scored, failed
        self.check()
        if time.monotonic() < self._next:
            return
        if self._expected:
            share = min(1.0, (scored + failed) / self._expected)
            self._percent = _STAGE_PERCENT["read"] + _READ_SHARE * share
        self._report(None)

    def still_wanted(self) -> None:
        """Nothing is new; the attempt ends where it should."""
        self.check()
        if time.monotonic() >= self._next:
            self._report(None)

    def stage(self, name: str, message: str) -> None:
        """A stage (``read compare write commit``) begins; ``message`` becomes a line of the job's log.

        Once the output is written the job goes on to its commit whoever asks it to end: rows without a snapshot would
        be worse.
        """
        self._percent = _STAGE_PERCENT[name]
        self._may_end = name != "commit"
        self.check()
        self._report(message)

    def note(self, message: str) -> None:
        """Something that a reader of the job's log should know."""
        self._report(message)

    def check(self) -> None:
        """End the attempt where Airflow has cancelled its task."""
        if self._may_end and self._cancelled():
            raise JobInterrupted(f"job {self._claim.job_id} was cancelled by Airflow; nothing of this attempt is kept")

    def _report(self, message: str | None) -> None:
        abort = self._send(message)
        self._next = time.monotonic() + SECONDS_BETWEEN_REPORTS
        if abort and self._may_end:
            self.check()  # the flag may be the killed task's own, which a retry makes good
            raise JobAborted(f"job {self._claim.job_id} was asked to end; nothing of this attempt is kept")

    def _send(self, message: str | None) -> bool:
        """Tell the store; whether the job was asked to end."""
        return self._store.progress(
            self._claim,
            percent=round(self._percent, 1),
            scored=self._scored,
            failed=self._failed,
            skipped=0,
            message=message,
        )


class PartProgress(Progress):
    """Reports of one part of an attempt; the job's percentage is that of all its parts.

    :param cut: token of the claim that cut the window.
    """

    def __init__(
        self,
        store: MonitoringStore,
        claim: Claim,
        cut: int,
        part: int,
        cancelled: Callable[[], bool],
        *,
        expected_rows: int | None,
    ) -> None:
        super().__init__(store, claim, cancelled, expected_rows=expected_rows)
        self._cut = cut
        self._part = part

    def _send(self, message: str | None) -> bool:
        return self._store.report_part(
            self._claim,
            self._cut,
            self._part,
            scored=self._scored,
            failed=self._failed,
            expected=self._expected,
            span=(_STAGE_PERCENT["read"], _STAGE_PERCENT["compare"]),
            message=message,
        )


def told(error: BaseException) -> str:
    """What the store remembers of an error: our own sentence, else its type.

    The text of an error that is not ours may hold a row value or an address; its type and the task log must do.
    """
    if isinstance(error, MonitoringError):
        return str(error)
    return f"{type(error).__name__}; the log of the task has the details"
