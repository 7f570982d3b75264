"""What jobs and people tell the store of baselines, and ask of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.store import baseline_candidates, baselines, commits, named_baselines, queries
from airflow_monitoring_provider.store.baseline_records import (
    BaselineChoice,
    BaselineVersion,
    Candidate,
    NamedBaselineRecord,
)
from airflow_monitoring_provider.store.part_store import PartStore
from airflow_monitoring_provider.store.records import BaselineClaim, RunInfo, StoredProfile


class BaselineStore(PartStore):
    """The store of what jobs are compared with."""

    def claim_baseline(
        self, definition_id: str, key: str, *, kind: str = "reference", run: RunInfo | None = None
    ) -> BaselineClaim:
        """Take part in making the baseline that ``key`` (a hash of all it is made of) names."""
        with self._writing() as connection:
            return baselines.claim(connection, definition_id, key, kind=kind, run=run or RunInfo(), now=self._now())

    def commit_baseline(
        self,
        claim: BaselineClaim,
        *,
        profile_bytes: bytes,
        content_hash: str,
        plan_hash: str,
        plan: Mapping[str, Any],
        format_version: int,
        rows: int,
        window: tuple[dt.datetime | None, dt.datetime | None] = (None, None),
        job_id: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> int:
        """Make this the baseline in use; its version. Earlier versions are kept.

        Raises :class:`Superseded` where another attempt made it meanwhile; ``load_baseline`` then gives that one.
        """
        with self._writing() as connection:
            return baselines.commit(
                connection,
                claim,
                profile_bytes=profile_bytes,
                content_hash=content_hash,
                plan_hash=plan_hash,
                plan=plan,
                format_version=format_version,
                rows=rows,
                window=window,
                job_id=job_id,
                details=details or {},
                now=self._now(),
            )

    def fail_baseline(self, claim: BaselineClaim, reason: str) -> bool:
        """Record why no baseline was made; False where a newer attempt runs or one is there."""
        with self._writing() as connection:
            return baselines.fail(connection, claim, reason, self._now())

    def replace_values(
        self,
        job_id: str,
        snapshot_revision: int,
        values: Sequence[MetricValue],
        *,
        baseline_version: int | None,
        baseline_key: str | None = None,
    ) -> int:
        """Give a committed job new values, compared without its rows; the new revision, whose evaluation is due.

        :param baseline_version, baseline_key: what they compare with; None: nothing, or the first window's has no key.

        Raises :class:`Superseded` where the job has another snapshot by now, :class:`BatchLocked`, :class:`NotFound`.
        """
        rows = commits.value_rows(values)
        with self._writing() as connection:
            return commits.replace_values(
                connection, job_id, snapshot_revision, rows, (baseline_version, baseline_key), self._now()
            )

    # Merges of stored profiles

    def baseline_candidates(self, definition_id: str) -> tuple[Candidate, ...]:
        """What baselines of a definition can be merged of, oldest window first, reports last."""
        with self._reading() as connection:
            return baseline_candidates.candidates(connection, definition_id)

    def deleted_windows(self, definition_id: str) -> tuple[Window, ...]:
        """Windows of a definition whose batches were deleted."""
        with self._reading() as connection:
            return baseline_candidates.deleted_windows(connection, definition_id)

    def load_profiles(self, ids: Collection[str]) -> dict[str, StoredProfile]:
        """Committed profiles by the ids of candidates; those that are gone are left out."""
        with self._reading() as connection:
            return baseline_candidates.stored(connection, ids)

    def record_baseline(
        self,
        definition_id: str,
        key: str,
        *,
        kind: str,
        content_hash: str,
        plan_hash: str,
        plan: Mapping[str, Any],
        format_version: int,
        rows: int,
        window: tuple[dt.datetime | None, dt.datetime | None],
        details: Mapping[str, Any],
    ) -> int:
        """Remember a merge of stored profiles; its version, the same one for the same ``key``."""
        with self._writing() as connection:
            return baseline_candidates.record(
                connection,
                definition_id,
                key,
                kind=kind,
                content_hash=content_hash,
                plan_hash=plan_hash,
                plan=plan,
                format_version=format_version,
                rows=rows,
                window=window,
                details=details,
                now=self._now(),
            )

    def baseline_versions(
        self, definition_id: str, *, limit: int = 100, offset: int = 0
    ) -> tuple[BaselineVersion, ...]:
        """What the jobs of a definition were compared with, newest first; the first window is not listed."""
        queries.page(limit, offset)
        with self._reading() as connection:
            return baseline_candidates.versions(connection, definition_id, limit=limit, offset=offset)

    def baseline_version(self, definition_id: str, version: int) -> BaselineVersion:
        """One baseline that jobs were compared with. Raises :class:`NotFound`."""
        with self._reading() as connection:
            found = baseline_candidates.versions(connection, definition_id, version=version, limit=1, offset=0)
        if not found:
            raise NotFound(f"definition {definition_id} has no version {version} of its baseline")
        return found[0]

    # Names

    def create_baseline(
        self,
        definition_id: str,
        name: str,
        settings: Mapping[str, Any],
        *,
        description: str | None = None,
        by: str | None = None,
    ) -> NamedBaselineRecord:
        """Keep a definition's ``baseline`` (camelCase, checked by the caller) under a name, as its next version.

        The settings of the newest version again make no new one. Raises :class:`NotFound`.
        """
        with self._writing() as connection:
            return named_baselines.create(
                connection, definition_id, name, settings, description=description, by=by, now=self._now()
            )

    def named_baselines(self, definition_id: str) -> tuple[NamedBaselineRecord, ...]:
        """Every version of the named baselines of a definition, by name."""
        with self._reading() as connection:
            return named_baselines.many(connection, definition_id)

    def named_baseline(self, definition_id: str, name: str, version: int | None = None) -> NamedBaselineRecord:
        """A named baseline, the newest version without a number. Raises :class:`NotFound`."""
        with self._reading() as connection:
            return named_baselines.one(connection, definition_id, name, version)

    def use_baseline(
        self, definition_id: str, name: str | None, *, version: int | None = None, by: str | None = None
    ) -> None:
        """Compare the definition's jobs with a named baseline from now on; None: with the definition's own.

        Past jobs stay as they are until they are evaluated again. Raises :class:`NotFound`.
        """
        with self._writing() as connection:
            named_baselines.use(connection, definition_id, name, version=version, by=by, now=self._now())

    def baseline_choice(self, definition_id: str) -> BaselineChoice | None:
        """The named baseline in use; None where it is the definition's own."""
        with self._reading() as connection:
            return named_baselines.choice(connection, definition_id)
