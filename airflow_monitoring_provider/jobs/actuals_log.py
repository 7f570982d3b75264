"""The log of late actuals: which actual a job's rows bring for which association id, kept for every later join.

Logged are rows that have both, as far as they can be stored; the same rows are logged by every attempt.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.engines.arrow import scored_rows
from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.jobs.predictions import (
    PredictionLog,
    logged_actuals,
    logged_instants,
    named_rows,
    unreadable_instants,
)
from airflow_monitoring_provider.jobs.retention import RetainedRows, retained_schema
from airflow_monitoring_provider.profiles.arrays import from_truth, valid_flags
from airflow_monitoring_provider.profiles.canonical import canonical_array
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.store.log_columns import ACTUALS_SCHEMA
from airflow_monitoring_provider.store.records import Claim, FileKind, PredictionFile
from airflow_monitoring_provider.store.storage import Storage


class RowLog(Protocol):
    """Writes what is logged of rows to a file.

    :ivar eligible: rows that a sample could have been made of; 0 where none is made.
    :ivar unreadable_times: logged actuals beside which something stands that is no time.
    """

    eligible: int
    unreadable_times: int

    def append(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Log the rows of a batch that can be logged."""

    def close(self) -> PredictionFile | None:
        """Make the log whole; None where nothing was logged."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class ActualsLog:
    """Writes the actuals of one attempt, or of a part of it (from 1); they count once the job's commit lists them."""

    def __init__(self, definition: JobDefinition, storage: Storage, claim: Claim, part: int = 0) -> None:
        columns = definition.monitoring_columns
        self.eligible = self.unreadable_times = 0
        self._id, self._actual = str(columns.association_id_column), str(columns.actuals_value_column)
        self._timestamp = columns.actuals_timestamp_column
        self._timezone = definition.timestamp_timezone
        self._writer = storage.write_predictions(
            deployment_id=claim.deployment_id,
            batch_id=claim.batch_id,
            job_id=claim.job_id,
            token=claim.token,
            schema=ACTUALS_SCHEMA,
            part=part,
            kind=FileKind.ACTUALS,
        )

    def append(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Log the rows of a batch that can be logged."""
        keep = scored_rows(statuses) & named_rows(column_of(batch, self._id))
        texts, textual = logged_actuals(column_of(batch, self._actual))
        keep &= valid_flags(texts)
        if not keep.any():
            return
        self.unreadable_times += unreadable_instants(batch, self._timestamp, self._timezone, keep)
        arrays = [
            canonical_array(column_of(batch, self._id)),
            texts,
            textual,
            logged_instants(batch, self._timestamp, self._timezone),
        ]
        rows = pa.RecordBatch.from_arrays(
            [array.cast(field.type) for array, field in zip(arrays, ACTUALS_SCHEMA, strict=True)], schema=ACTUALS_SCHEMA
        )
        self._writer.append(rows if keep.all() else rows.filter(from_truth(keep)))

    def close(self) -> PredictionFile | None:
        """Make the log whole; None where nothing was logged."""
        return self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.discard()


def open_log(
    definition: JobDefinition, plan: ProfilePlan, schema: pa.Schema, storage: Storage, claim: Claim, part: int = 0
) -> RowLog:
    """What an attempt (or a part of it, from 1) logs of its rows, whose source has a schema."""
    if definition.monitoring_aggregation is not None:
        return RetainedRows(definition, retained_schema(definition, plan, schema), storage, claim, part)
    if definition.monitoring_columns.brings_late_actuals:
        return ActualsLog(definition, storage, claim, part)
    return PredictionLog(definition, plan, storage, claim, part)


def logged_columns(definition: JobDefinition, plan: ProfilePlan, schema: pa.Schema) -> tuple[str, ...]:
    """The columns that :func:`open_log` needs row by row, beside those of predictions and segments."""
    columns, aggregation = definition.monitoring_columns, definition.monitoring_aggregation
    if aggregation is not None:
        return tuple(retained_schema(definition, plan, schema).names) if aggregation.retains else ()
    if columns.association_id_column is None:
        return ()
    names = (columns.association_id_column, columns.actuals_value_column, columns.actuals_timestamp_column)
    return tuple(dict.fromkeys(name for name in names if name is not None))


def written_columns(definition: JobDefinition, logged: Sequence[str]) -> tuple[str, ...]:
    """Of :func:`logged_columns` those that are written row by row, so that texts are of no use as dictionaries."""
    if definition.monitoring_aggregation is not None:
        return tuple(logged)
    return tuple(name for name in logged if name == definition.monitoring_columns.association_id_column)
