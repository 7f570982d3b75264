"""The sample of raw rows that a definition with ``monitoring_aggregation`` keeps; nothing else of its rows is stored.

Which rows are kept is decided by their digests alone (:mod:`~airflow_monitoring_provider.engines.row_digests`), so the
same rows are kept in every order, retry and split:

============================  =====================================================================================
``percentage``                rows whose digest is below that share of all digests
``percentage``, target_rows   the same with the smaller of that share and ``target_rows`` / rows
``samples``                   the rows with the smallest digests; of equal ones, those whose whole rows have smaller
============================  =====================================================================================

A row's digest is that of its association id; without one, of its unique row identifiers; without these, of all its
columns by name. A row that lacks one of its identifiers is never kept, nor is one without a usable prediction or one
that repeats the identifiers of another. Values are kept in the types that were decided for their columns.

Rows wait in a private file while it is open which of them belong to the sample, so memory is that of a batch, and 32
bytes a row of ``samples``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition, MonitoringAggregation, RetentionPolicy
from airflow_monitoring_provider.engines.arrow import scored_rows
from airflow_monitoring_provider.engines.kinds import read_columns
from airflow_monitoring_provider.engines.row_digests import (
    WHOLE,
    Digests,
    below,
    limit_of,
    number_of,
    row_digests,
    smallest,
)
from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.jobs.copied import CopiedColumns, cast_to, plain
from airflow_monitoring_provider.jobs.spool import Spool, scratch_folder
from airflow_monitoring_provider.profiles.arrays import BoolArray, from_truth, valid_flags
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.store.records import Claim, FileKind, PredictionFile
from airflow_monitoring_provider.store.storage import Storage

_SLACK = 65_536  # digests that may wait before the largest are dropped


def retained_schema(definition: JobDefinition, plan: ProfilePlan, schema: pa.Schema) -> pa.Schema:
    """The columns of retained rows: all that the job reads, with the types decided for them."""
    columns, identifiers = definition.monitoring_columns, definition.monitoring_output_settings
    roles = (columns.association_id_column, columns.actuals_value_column, columns.actuals_timestamp_column)
    copied = (*(name for name in roles if name is not None), *CopiedColumns(definition, schema).names)
    names = read_columns(plan, identifiers.unique_row_identifier_columns, copied)
    there = frozenset(schema.names)  # a segment's column may be gone since the baseline was made
    return pa.schema([pa.field(name, plain(schema.field(name).type)) for name in names if name in there])


class RetainedRows:
    """Writes the sample of one attempt, or of a part of it (from 1); it counts once the job's commit lists it.

    :ivar eligible: rows that could have been kept.
    """

    def __init__(
        self, definition: JobDefinition, schema: pa.Schema, storage: Storage, claim: Claim, part: int = 0
    ) -> None:
        aggregation, ids = definition.monitoring_aggregation, definition.monitoring_columns.association_id_column
        if aggregation is None:
            raise ValueError("the definition retains no rows")
        self._asked: MonitoringAggregation = aggregation
        self._identifiers = (ids,) if ids else definition.monitoring_output_settings.unique_row_identifier_columns
        self._schema = schema
        self._storage, self._claim, self._part = storage, claim, part
        self._digests: list[Digests] = []
        self._waiting = 0
        self._limit = WHOLE
        self._resources = ExitStack()
        self.eligible = self.unreadable_times = 0

    def __enter__(self) -> Self:
        folder = self._resources.enter_context(scratch_folder())
        self._spool = Spool(pa.schema([*self._schema, pa.field("", pa.binary(32))]), folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spool.finish()
        self._resources.close()

    def append(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Look at the rows of a batch."""
        if not self._asked.retains:
            return
        keep = scored_rows(statuses)
        columns = [cast_to(column_of(batch, field.name), field.type) for field in self._schema]
        rows = pa.RecordBatch.from_arrays(columns, schema=self._schema)
        for name in self._identifiers:
            keep &= valid_flags(column_of(rows, name))
        self._add(rows if keep.all() else rows.filter(from_truth(keep)), count=True)

    def merge(self, samples: Sequence[PredictionFile], eligible: int) -> PredictionFile | None:
        """The sample of all rows from those of their parts, which had so many rows to choose from."""
        self.eligible = eligible
        for file in samples:
            for batch in self._storage.read_predictions(file):
                self._add(batch.cast(self._schema), count=False)
        return self.close()

    def close(self) -> PredictionFile | None:
        """Write the sample; None where no row is in it."""
        self._spool.finish()
        if not self._asked.retains:
            return None
        limit = self._last_limit()
        with self._storage.write_predictions(
            deployment_id=self._claim.deployment_id,
            batch_id=self._claim.batch_id,
            job_id=self._claim.job_id,
            token=self._claim.token,
            schema=self._schema,
            part=self._part,
            kind=FileKind.RETAINED,
        ) as writer:
            for rows, digests in self._chosen():
                keep = below(digests, limit)
                if keep.any():
                    writer.append(rows if keep.all() else rows.filter(from_truth(keep)))
            for rows in self._tied(limit):
                writer.append(rows)
            return writer.close()

    def _add(self, rows: pa.RecordBatch, *, count: bool) -> None:
        if count:
            self.eligible += rows.num_rows
        digests = row_digests([column_of(rows, name) for name in self._identifiers or sorted(self._schema.names)])
        keep = below(digests, self._limit_so_far())
        if not keep.any():
            return
        digests = digests[keep]
        told = pa.Array.from_buffers(pa.binary(32), len(digests), [None, pa.py_buffer(digests.astype(">u8").tobytes())])
        kept = rows if keep.all() else rows.filter(from_truth(keep))
        self._spool.append(pa.RecordBatch.from_arrays([*kept.columns, told], schema=self._spool.schema))
        if self._asked.retention_policy is RetentionPolicy.SAMPLES:
            self._digests.append(digests)
            self._waiting += len(digests)
            if self._waiting > 2 * self._asked.retention_value + _SLACK:
                self._drop_largest()

    def _limit_so_far(self) -> int:
        """No row of the sample is at or above it, whatever rows come."""
        asked = self._asked
        if asked.retention_policy is RetentionPolicy.SAMPLES:
            return self._limit
        share = limit_of(asked.retention_value, 100)
        return share if asked.target_rows is None else min(share, limit_of(asked.target_rows, max(1, self.eligible)))

    def _last_limit(self) -> int:
        """Every row below it is in the sample."""
        if self._asked.retention_policy is not RetentionPolicy.SAMPLES:
            return self._limit_so_far()
        found = self._drop_largest()
        return WHOLE if len(found) < self._asked.retention_value else number_of(found[-1])

    def _drop_largest(self) -> Digests:
        """The smallest digests: equal ones are alike, so which of them go matters to nobody here."""
        together = np.concatenate([np.zeros((0, 4), np.uint64), *self._digests])
        found = smallest(together, self._asked.retention_value)
        self._digests, self._waiting = [found], len(found)
        if len(found) == self._asked.retention_value:
            self._limit = number_of(found[-1]) + 1  # one with the same digest may have to take its place
        return found

    def _tied(self, limit: int) -> Iterator[pa.RecordBatch]:
        """Of the rows whose digest is the last one of ``samples``, those that the sample has room for."""
        if self._asked.retention_policy is not RetentionPolicy.SAMPLES or limit == WHOLE:
            return
        room = len(self._digests[0]) - int(np.count_nonzero(below(self._digests[0], limit)))
        contents: Digests = np.zeros((0, 4), np.uint64)
        for rows in self._equal_to(limit):
            contents = smallest(np.concatenate([contents, self._contents(rows)]), room)
        last = number_of(contents[-1])
        same = room - int(np.count_nonzero(below(contents, last)))
        for rows in self._equal_to(limit):
            found = self._contents(rows)
            keep = below(found, last)
            equal = below(found, last + 1) & ~keep  # rows that are the same in every column
            keep |= equal & (np.cumsum(equal) <= same)
            same -= int(np.count_nonzero(equal & keep))
            if keep.any():
                yield rows.filter(from_truth(keep))

    def _equal_to(self, limit: int) -> Iterator[pa.RecordBatch]:
        for rows, digests in self._chosen():
            equal: BoolArray = below(digests, limit + 1) & ~below(digests, limit)
            if equal.any():
                yield rows.filter(from_truth(equal))

    def _contents(self, rows: pa.RecordBatch) -> Digests:
        return row_digests([column_of(rows, name) for name in sorted(self._schema.names)])

    def _chosen(self) -> Iterator[tuple[pa.RecordBatch, Digests]]:
        """The rows that wait, and their digests."""
        for batch in self._spool.batches():
            told = batch.column(batch.num_columns - 1)
            digests = np.frombuffer(told.buffers()[1], ">u8", 4 * len(told), 32 * told.offset)
            rows = pa.RecordBatch.from_arrays(batch.columns[:-1], schema=self._schema)
            yield rows, digests.astype(np.uint64).reshape(-1, 4)


def merged_sample(
    definition: JobDefinition,
    schema: pa.Schema,
    storage: Storage,
    claim: Claim,
    samples: Sequence[PredictionFile],
    eligible: int,
) -> tuple[PredictionFile, ...]:
    """The files with the sample of all rows, made of those of their parts; a plain percentage has it in them already.

    :raises CorruptData: a part's sample is gone or damaged.
    """
    asked = definition.monitoring_aggregation
    if asked is None or (asked.retention_policy is RetentionPolicy.PERCENTAGE and asked.target_rows is None):
        return tuple(samples)
    with RetainedRows(definition, schema, storage, claim) as sample:
        file = sample.merge(samples, eligible)
    return () if file is None else (file,)


def told(definition: JobDefinition, eligible: int, files: Sequence[PredictionFile]) -> dict[str, object]:
    """What a snapshot says of its sample; JSON-clean."""
    asked = definition.monitoring_aggregation
    if asked is None:
        return {}
    facts = {
        "policy": asked.retention_policy.value,
        "value": asked.retention_value,
        "target_rows": asked.target_rows,
        "eligible": eligible,
        "retained": sum(file.rows for file in files),
    }
    return {"retention": facts}
