"""Arrow record batches to a profile, in constant memory.

What remains of a batch is counts: 2048 buckets a numeric column, at most 10 000 levels a categorical one. Columns do
not depend on each other, so several threads may count them (NumPy releases the interpreter lock).
"""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.definitions.terms import RowStatus
from airflow_monitoring_provider.engines.columns import add_column, column_of
from airflow_monitoring_provider.engines.instants import read_instants
from airflow_monitoring_provider.engines.targets import TargetBuilder
from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.column import ColumnBuilder
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile

StatusArray = npt.NDArray[np.uint8]

EXCLUDED = (RowStatus.DUPLICATE_IDENTIFIER,)
"""Statuses that count nowhere."""
SCORED = (RowStatus.MONITORED, RowStatus.MISSING_IDENTIFIER, RowStatus.UNSTORABLE_VALUE)
"""Statuses that count in predictions and performance."""


class ProfileBuilder:
    """Collects the profile of a plan batch by batch.

    :param threads: how many threads count columns; more than one needs :meth:`close` (or ``with``).
    """

    def __init__(self, plan: ProfilePlan, *, threads: int = 1) -> None:
        self._plan = plan
        self._builders = [
            ColumnBuilder(
                column, buckets=plan.histogram_buckets, level_cap=plan.level_cap, level_names=plan.level_names
            )
            for column in plan.columns
        ]
        scored = plan.target is not None and plan.target.prediction_columns
        self._target = TargetBuilder(plan.target, plan.histogram_buckets) if plan.target and scored else None
        self._rows = 0
        self._statuses = np.zeros(len(RowStatus), np.int64)
        self._earliest: int | None = None
        self._latest: int | None = None
        self._pool = concurrent.futures.ThreadPoolExecutor(threads) if threads > 1 else None

    def update(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Add the rows of a batch.

        :param batch: at least the plan's columns, in any order.
        :param statuses: (rows,) of :class:`RowStatus`; says where each row counts.
        :raises SourceError: a planned column is not in the batch.
        """
        if statuses.size != len(batch):
            raise ValueError(f"{statuses.size} statuses for {len(batch)} rows")
        self._rows += len(batch)
        self._statuses += np.bincount(statuses, minlength=len(RowStatus))
        if not len(batch):
            return
        present = _where(statuses, EXCLUDED, inside=False)
        scored = _where(statuses, SCORED, inside=True)
        jobs = [
            (builder, column, column_of(batch, column.name), present if column.role is ColumnRole.FEATURE else scored)
            for builder, column in zip(self._builders, self._plan.columns, strict=True)
        ]
        if self._pool is None:
            for job in jobs:
                self._count(job)
        else:
            list(self._pool.map(self._count, jobs))
        if self._target is not None:
            self._target.update(batch, scored)
        if self._plan.timestamp_column is not None:
            self._see_times(column_of(batch, self._plan.timestamp_column), present)

    def finish(self) -> Profile:
        """The profile of everything so far."""
        profiles = [builder.finish() for builder in self._builders]
        return Profile(
            plan=self._plan,
            rows=self._rows,
            status_counts={s.text: n for s, n in zip(RowStatus, self._statuses.tolist(), strict=True) if n},
            columns={profile.name: profile for profile in sorted(profiles, key=lambda profile: profile.name)},
            target=self._target.finish() if self._target is not None else None,
            earliest=self._earliest,
            latest=self._latest,
        )

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def __enter__(self) -> ProfileBuilder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _count(self, job: tuple[ColumnBuilder, ColumnPlan, pa.Array, BoolArray | None]) -> None:
        builder, column, array, keep = job
        add_column(builder, column.kind, array, keep, self._plan.timestamp_timezone)

    def _see_times(self, array: pa.Array, keep: BoolArray | None) -> None:
        instants = read_instants(array, self._plan.timestamp_timezone)
        chosen = keep if instants.valid is None else instants.valid if keep is None else keep & instants.valid
        times = instants.microseconds if chosen is None else instants.microseconds[chosen]
        if times.size:
            low, high = int(times.min()), int(times.max())
            self._earliest = low if self._earliest is None else min(self._earliest, low)
            self._latest = high if self._latest is None else max(self._latest, high)


def profile_batches(plan: ProfilePlan, batches: Iterable[pa.RecordBatch], *, threads: int = 1) -> Profile:
    """The profile of rows that are all to be counted."""
    with ProfileBuilder(plan, threads=threads) as builder:
        for batch in batches:
            builder.update(batch, np.zeros(len(batch), np.uint8))
        return builder.finish()


def _where(statuses: StatusArray, chosen: tuple[RowStatus, ...], *, inside: bool) -> BoolArray | None:
    """True where the status is one of the chosen (or none of them); None when everywhere."""
    table = np.full(len(RowStatus), not inside, np.bool_)
    table[list(chosen)] = inside
    flags = table[statuses]
    return None if flags.all() else flags
