"""Arrow record batches to a profile, in constant memory.

What remains of a batch is counts: 2048 buckets a numeric column, at most 10 000 levels a categorical one. Columns do
not depend on each other, so several threads count them (NumPy and Arrow release the interpreter lock), each from a
stream of its own where the source stores columns by themselves: a column's batch then stays in a core's cache.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.definitions.terms import ColumnKind, RowStatus
from airflow_monitoring_provider.engines.columns import ColumnCounter
from airflow_monitoring_provider.engines.instants import read_instants
from airflow_monitoring_provider.engines.segments import CodeArray, SegmentReader, Sorted, sorted_array
from airflow_monitoring_provider.engines.targets import TargetBuilder, queries_of, series_of
from airflow_monitoring_provider.engines.vectors import add_vectors
from airflow_monitoring_provider.engines.whole_rows import RowHashes
from airflow_monitoring_provider.exceptions import SourceUnavailable
from airflow_monitoring_provider.intake.source import BatchStretch, Stretch, column_of
from airflow_monitoring_provider.profiles.arrays import BoolArray, is_text
from airflow_monitoring_provider.profiles.column import ColumnBuilder
from airflow_monitoring_provider.profiles.embeddings import EmbeddingBuilder
from airflow_monitoring_provider.profiles.histogram import HistogramBuilder
from airflow_monitoring_provider.profiles.plan import ColumnRole, ProfilePlan, SegmentPlan
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.ranking import RankingBuilder
from airflow_monitoring_provider.profiles.series import SeriesBuilder
from airflow_monitoring_provider.profiles.whole_rows import WholeRowsBuilder

StatusArray = npt.NDArray[np.uint8]

EXCLUDED = (RowStatus.DUPLICATE_IDENTIFIER,)
"""Statuses that count nowhere."""
SCORED = (RowStatus.MONITORED, RowStatus.MISSING_IDENTIFIER, RowStatus.UNSTORABLE_VALUE)
"""Statuses that count in predictions and performance."""


_MOST_THREADS = 8
_CHANGED = "The rows changed while they were read: a column has more or fewer of them than the others had."


class ProfileBuilder:
    """Collects the profile of a plan, batch by batch or stretch by stretch.

    :param threads: how many threads count columns; more than one needs :meth:`close` (or ``with``).
    """

    def __init__(self, plan: ProfilePlan, *, threads: int = 1) -> None:
        self._plan = plan
        self._counters = [
            ColumnCounter(
                ColumnBuilder(
                    column, buckets=plan.histogram_buckets, level_cap=plan.level_cap, level_names=plan.level_names
                ),
                column.kind,
                plan.timestamp_timezone,
            )
            for column in plan.columns
        ]
        self._names = frozenset(column.name for column in plan.columns)
        scored = plan.target is not None and plan.target.prediction_columns
        self._target = TargetBuilder(plan.target, plan.histogram_buckets) if plan.target and scored else None
        self._rows = 0
        self._statuses = np.zeros(len(RowStatus), np.int64)
        self._earliest: int | None = None
        self._latest: int | None = None
        self._lags = HistogramBuilder(plan.histogram_buckets) if plan.actual_time_column is not None else None
        self._segments = [_Segments(segment, plan) for segment in plan.segments]
        self._repeated = WholeRowsBuilder() if plan.whole_rows else None
        self._ranking = RankingBuilder(plan.ranking) if plan.ranking and self._target is not None else None
        self._series = SeriesBuilder(plan.series.lag) if plan.series is not None else None
        self._embeddings = {each.name: EmbeddingBuilder(each.dimensions) for each in plan.embeddings}
        self._pool = concurrent.futures.ThreadPoolExecutor(threads) if threads > 1 else None
        self._counted: tuple[Stretch, RowHashes | None, list[concurrent.futures.Future[None]]] | None = None

    @property
    def row_columns(self) -> tuple[str, ...]:
        """The columns that :meth:`see` needs together, row by row: at least one, so that there are rows to see."""
        target = self._plan.target if self._target is not None else None
        columns = [self._plan.timestamp_column, self._plan.actual_time_column]
        if target is not None:
            columns += [*target.read_columns, target.actual_column]
        if self._ranking is not None and self._plan.ranking is not None:
            columns.append(self._plan.ranking.query_column)
        if self._plan.series is not None:
            columns += self._plan.series.columns
        columns += [name for embedding in self._plan.embeddings for name in embedding.columns]
        # A segment's builder sees the same rows and knows of no column but these.
        own = [name for name in columns if name is not None] or [column.name for column in self._plan.columns[:1]]
        return tuple(dict.fromkeys([*own, *(name for segment in self._plan.segments for name in segment.columns)]))

    def update(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Add the rows of a batch.

        :param batch: at least the plan's columns, in any order.
        :param statuses: (rows,) of :class:`RowStatus`; says where each row counts.
        :raises SourceError: a planned column is not in the batch.
        """
        self.see(batch, statuses)
        self.count(BatchStretch(batch), statuses)

    def see(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Add what needs several columns of a row; :meth:`count` adds the columns of the same rows.

        :param batch: at least :attr:`row_columns`.
        """
        if statuses.size != len(batch):
            raise ValueError(f"{statuses.size} statuses for {len(batch)} rows")
        self._rows += len(batch)
        if statuses.any():
            self._statuses += np.bincount(statuses, minlength=len(RowStatus))
        else:
            self._statuses[0] += statuses.size  # the usual case, at a tenth of the cost
        if not len(batch):
            return
        if self._target is not None:
            scored = _where(statuses, SCORED, inside=True)
            self._target.update(batch, scored)
            if self._ranking is not None:
                self._ranking.update(*queries_of(batch, self._plan, scored))
        present = _where(statuses, EXCLUDED, inside=False)
        for embedding in (each for each in self._plan.embeddings if each.columns):
            add_vectors(self._embeddings[embedding.name], batch, embedding, present)
        if self._plan.timestamp_column is not None:
            self._see_times(batch, self._plan.timestamp_column, present)
        for segments in self._segments:
            segments.see(batch, statuses)

    def count(self, stretch: Stretch, statuses: StatusArray) -> None:
        """Add every column of a stretch, which is closed afterwards.

        With threads it returns while they still count this one, after they counted the one before.

        :param statuses: of all rows of the stretch.
        :raises SourceError: a planned column cannot be read.
        :raises SourceUnavailable: the rows changed since they were seen.
        """
        present = _where(statuses, EXCLUDED, inside=False)
        scored, rows = _where(statuses, SCORED, inside=True), statuses.size
        hashes = RowHashes(rows, self._plan.timestamp_timezone) if self._repeated is not None else None
        sortings = [segments.sorting() for segments in self._segments]
        jobs = [
            _ColumnJob(
                counter,
                column.name,
                column.kind,
                stretch,
                self._names,
                present if column.role is ColumnRole.FEATURE else scored,
                rows,
                [
                    (sorting, segments.counters(place, sorting))
                    for segments, sorting in zip(self._segments, sortings, strict=True)
                ],
                hashes,
            )
            for place, (counter, column) in enumerate(zip(self._counters, self._plan.columns, strict=True))
        ]
        if self._pool is None:
            for job in jobs:
                job.count()
            stretch.close()
            self._add_hashes(hashes)
            return
        self._wait()
        # Numbers first: they take three times as long as texts, and all threads wait for what one began last.
        jobs.sort(key=lambda job: job.kind is not ColumnKind.NUMERIC)
        self._counted = (stretch, hashes, [self._pool.submit(job.count) for job in jobs])

    def finish(self) -> Profile:
        """The profile of everything so far."""
        self._wait()
        profiles = [counter.finish() for counter in self._counters]
        return Profile(
            plan=self._plan,
            rows=self._rows,
            status_counts={s.text: n for s, n in zip(RowStatus, self._statuses.tolist(), strict=True) if n},
            columns={profile.name: profile for profile in sorted(profiles, key=lambda profile: profile.name)},
            target=self._target.finish() if self._target is not None else None,
            earliest=self._earliest,
            latest=self._latest,
            segments=dict(sorted(pair for segments in self._segments for pair in segments.finish())),
            label_lag=self._lags.finish() if self._lags is not None else None,
            whole_rows=self._repeated.finish() if self._repeated is not None else None,
            ranking=self._ranking.finish() if self._ranking is not None else None,
            series=self._series.finish() if self._series is not None else None,
            embeddings={name: builder.finish() for name, builder in sorted(self._embeddings.items())},
        )

    def close(self) -> None:
        """End the threads; what they have not begun is not counted."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> ProfileBuilder:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _wait(self) -> None:
        """Until everything handed to the threads is counted; the first error of theirs is raised here."""
        if self._counted is None:
            return
        stretch, hashes, futures = self._counted
        concurrent.futures.wait(futures)
        self._counted = None
        stretch.close()
        for future in futures:
            future.result()
        self._add_hashes(hashes)

    def _add_hashes(self, hashes: RowHashes | None) -> None:
        if hashes is not None and self._repeated is not None:
            self._repeated.add(hashes.keys, hashes.filled)

    def _see_times(self, batch: pa.RecordBatch, column: str, keep: BoolArray | None) -> None:
        instants = read_instants(column_of(batch, column), self._plan.timestamp_timezone)
        if self._series is not None:
            self._series.update(*series_of(batch, self._plan, instants, keep))
        if self._lags is not None and self._plan.actual_time_column is not None:
            known = read_instants(column_of(batch, self._plan.actual_time_column), self._plan.timestamp_timezone)
            both = np.ones(len(batch), np.bool_)
            for flags in (instants.valid, known.valid, keep):
                both &= True if flags is None else flags
            self._lags.update((known.microseconds[both] - instants.microseconds[both]) / 1e6)
        chosen = keep if instants.valid is None else instants.valid if keep is None else keep & instants.valid
        times = instants.microseconds if chosen is None else instants.microseconds[chosen]
        if times.size:
            low, high = int(times.min()), int(times.max())
            self._earliest = low if self._earliest is None else min(self._earliest, low)
            self._latest = high if self._latest is None else max(self._latest, high)


def scored_rows(statuses: StatusArray) -> BoolArray:
    """(rows,), True where a row counts in predictions and performance."""
    table = np.zeros(len(RowStatus), np.bool_)
    table[list(SCORED)] = True
    return table[statuses]


def usable_cores() -> int:
    """How many threads are worth their while: the cores that this process may use, at most eight."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, _MOST_THREADS)


def profile_batches(plan: ProfilePlan, batches: Iterable[pa.RecordBatch], *, threads: int = 1) -> Profile:
    """The profile of rows that are all to be counted."""
    with ProfileBuilder(plan, threads=threads) as builder:
        for batch in batches:
            builder.update(batch, np.zeros(len(batch), np.uint8))
        return builder.finish()


class _Segments:
    """The profiles of the segments of one way to group rows."""

    def __init__(self, segment: SegmentPlan, plan: ProfilePlan) -> None:
        self._ids = segment.ids
        self._reader = SegmentReader(segment, plan.level_names)
        self._plan = plan.of_segment()
        self._builders: dict[int, ProfileBuilder] = {}
        self._codes: list[CodeArray] = []

    def see(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """See :meth:`ProfileBuilder.see`."""
        codes = self._reader.codes(batch)
        self._codes.append(codes)
        sorting = Sorted.of(codes)
        for code, (start, stop) in sorting.runs.items():
            builder = self._builders.setdefault(code, ProfileBuilder(self._plan))
            rows = sorting.rows[start:stop]
            columns = [sorted_array(column_of(batch, name), rows) for name in builder.row_columns]
            builder.see(pa.RecordBatch.from_arrays(columns, names=list(builder.row_columns)), statuses[rows])

    def sorting(self) -> Sorted:
        """The order of all rows seen since the last call."""
        codes = np.concatenate([np.zeros(0, np.int16), *self._codes])
        self._codes = []
        return Sorted.of(codes)

    def counters(self, place: int, sorting: Sorted) -> dict[int, ColumnCounter]:
        """Code -> what counts the column at this place of the plan."""
        return {code: self._builders[code]._counters[place] for code in sorting.runs}

    def finish(self) -> list[tuple[str, Profile]]:
        """Id and profile of each segment that has rows."""
        return [(self._ids[code], builder.finish()) for code, builder in self._builders.items()]


@dataclasses.dataclass(frozen=True, slots=True)
class _ColumnJob:
    """One column of a stretch, to be counted by one thread.

    :param keep: (rows,), where the rows count; None for everywhere.
    :param groups: for each way to group rows their order and the counters of the segments.
    :param hashes: what keys the rows by all their columns; None where nobody asks.
    """

    counter: ColumnCounter
    name: str
    kind: ColumnKind
    stretch: Stretch
    encoded: frozenset[str]
    keep: BoolArray | None
    rows: int
    groups: list[tuple[Sorted, dict[int, ColumnCounter]]]
    hashes: RowHashes | None

    def count(self) -> None:
        """Count it.

        :raises SourceUnavailable: the column has another number of rows than were seen.
        """
        at, kept = 0, []
        for batch in self.stretch.read([self.name], encoded=self.encoded):
            array, end = batch.column(0), at + len(batch)
            if end <= self.rows:
                self.counter.add(array, None if self.keep is None else self.keep[at:end])
                if self.hashes is not None:
                    self.hashes.add(self.name, self.kind, array, at)
                if self.groups:
                    kept.append(array)
            at = end
        if at != self.rows:
            raise SourceUnavailable(_CHANGED)
        if kept:
            self._count_segments(kept[0] if len(kept) == 1 else pa.concat_arrays(kept))

    def _count_segments(self, whole: pa.Array) -> None:
        if is_text(whole.type):
            whole = whole.dictionary_encode()  # the texts are then written out once a segment, not once a row
        for sorting, counters in self.groups:
            ordered = sorted_array(whole, sorting.rows)
            for code, (start, stop) in sorting.runs.items():
                keep = None if self.keep is None else self.keep[sorting.rows[start:stop]]
                counters[code].add(ordered.slice(start, stop - start), keep)


def _where(statuses: StatusArray, chosen: tuple[RowStatus, ...], *, inside: bool) -> BoolArray | None:
    """True where the status is one of the chosen (or none of them); None when everywhere."""
    table = np.full(len(RowStatus), not inside, np.bool_)
    table[list(chosen)] = inside
    if table[0] and not statuses.any():  # the usual case, at a tenth of the cost
        return None
    flags = table[statuses]
    return None if flags.all() else flags
