"""What the tasks of a job in parts tell the store; what they ask of it is in :mod:`reader`.

``cut`` is the token of the claim that cut the window (:mod:`parts`).
"""

from __future__ import annotations

from airflow_monitoring_provider.definitions.terms import JobState
from airflow_monitoring_provider.store import claims, parts
from airflow_monitoring_provider.store.part_records import StagedFile
from airflow_monitoring_provider.store.reader import StoreReader
from airflow_monitoring_provider.store.records import Claim, RunInfo


class PartStore(StoreReader):
    """The store of jobs that several tasks run together."""

    def cut(self, claim: Claim, count: int, plan: bytes, reference: bytes = b"") -> None:
        """Remember how the attempt cut its window into parts. Raises :class:`Superseded`."""
        with self._writing() as connection:
            parts.cut(connection, claim, count, plan, reference, self._now())

    def resume(self, claim: Claim, cut: int, part: int) -> None:
        """A part begins. Raises :class:`Superseded`, :class:`JobAborted`."""
        with self._writing() as connection:
            parts.resume(connection, claim, cut, part, self._now())

    def take(self, claim: Claim, cut: int, run: RunInfo | None = None) -> Claim:
        """The merging task begins, with a token of its own. Raises :class:`Superseded`, :class:`JobAborted`."""
        with self._writing() as connection:
            return parts.take(connection, claim, cut, run or RunInfo(), self._now())

    def report_part(
        self,
        claim: Claim,
        cut: int,
        part: int,
        *,
        scored: int,
        failed: int,
        expected: int | None,
        span: tuple[float, float],
        message: str | None = None,
    ) -> bool:
        """Say how far a part is; whether somebody asked the job to stop. Raises :class:`Superseded`.

        :param expected: rows of the whole job, None when unknown.
        :param span: percentages of the job at which its parts begin and end.
        """
        with self._writing() as connection:
            now = self._now()
            asked = parts.report(
                connection, claim, cut, part, scored=scored, failed=failed, expected=expected, span=span, now=now
            )
            if message is not None:
                claims.log(connection, claim.job_id, claim.token, message, now)
            return asked

    def stage(self, claim: Claim, cut: int, part: int, file: StagedFile) -> None:
        """A part is whole. Raises :class:`Superseded`, :class:`JobAborted`."""
        with self._writing() as connection:
            parts.stage(connection, claim, cut, part, file, self._now())

    def fail_part(self, claim: Claim, cut: int, part: int | None, state: JobState, reason: str) -> None:
        """A task of the cut (None: the merging one) ended without its work done, and the job with it, until the task
        runs again.
        """
        with self._writing() as connection:
            parts.fail(connection, claim, cut, part, state, reason, self._now())
