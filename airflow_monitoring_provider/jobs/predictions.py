"""The prediction log of a job: what was predicted for which association id, kept for actuals that come later.

Logged are rows whose prediction is usable and whose association id can be stored (:mod:`outputs.values`) and is not
null: no late actual could ever name another. Repeated row identifiers are not. Where the rows bring actuals of their
own, these are logged beside, also of rows without an id: accuracy is made anew from the log alone. So are the segments
of each row. A definition without an association id or without predictions logs nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.definitions import JobDefinition, TargetType
from airflow_monitoring_provider.engines.arrow import scored_rows
from airflow_monitoring_provider.engines.instants import read_instants
from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.engines.segments import SegmentReader
from airflow_monitoring_provider.engines.targets import read_predictions
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.outputs.values import unstorable_rows
from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    from_texts,
    from_truth,
    from_values,
    is_text,
    valid_flags,
)
from airflow_monitoring_provider.profiles.canonical import canonical_array, canonical_dictionary
from airflow_monitoring_provider.profiles.instants import instants
from airflow_monitoring_provider.profiles.plan import ProfilePlan, TargetPlan
from airflow_monitoring_provider.store.log_columns import prediction_schema
from airflow_monitoring_provider.store.records import FileOwner, PredictionFile
from airflow_monitoring_provider.store.storage import PredictionWriter, Storage


class PredictionLog:
    """Writes the log of one attempt (or of a part of it, from 1) or of a report; it counts once the commit lists it.

    Readers are handed association ids as canonical texts, so that an integer key joins whether actuals come from a
    database or a CSV file; whole numbers are logged as they are.
    """

    def __init__(
        self, definition: JobDefinition, plan: ProfilePlan, storage: Storage, claim: FileOwner, part: int = 0
    ) -> None:
        self.eligible = self.unreadable_times = 0
        self._association_id = definition.monitoring_columns.association_id_column
        self._timestamp = plan.timestamp_column
        self._timezone = definition.timestamp_timezone
        self._batch_id = claim.batch_id
        self._target: TargetPlan | None = plan.target
        self._actual = plan.target.actual_column if plan.target is not None else None
        self._actual_timestamp = definition.monitoring_columns.actuals_timestamp_column
        self._segments = [(segment, SegmentReader(segment, plan.level_names)) for segment in plan.segments]
        self._logs = plan.target is not None and bool(plan.target.prediction_columns)
        self._writer: PredictionWriter | None = None
        self._about = storage, claim, part

    def append(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Log the rows of a batch that can be logged."""
        if not self._logs or self._target is None or self._association_id is None:
            return
        keep = scored_rows(statuses)
        named = named_rows(column_of(batch, self._association_id))
        if self._actual is None:
            keep &= named
        elif not named.all():
            keep &= named | valid_flags(column_of(batch, self._actual))
        rows = batch if keep.all() else batch.filter(from_truth(keep))
        if not rows.num_rows:
            return
        scores, predicted = read_predictions(rows, self._target)
        ids = _logged_ids(column_of(rows, self._association_id))
        if not named[keep].all():
            ids = pc.if_else(from_truth(named[keep]), ids, pa.nulls(len(ids), ids.type))
        values: dict[str, Any] = {"association_id": ids}
        if self._target.target_type is TargetType.REGRESSION:
            names = ("prediction", *(("lower", "upper") if scores.shape[1] > 1 else ()))
            values |= {name: from_values(scores[:, place], pa.float64()) for place, name in enumerate(names)}
        else:
            for place, name in enumerate(_classes(self._target)):
                values[f"probability:{name}"] = from_values(scores[:, place], pa.float64())
            values["predicted_class"] = coded_texts(self._target.classes, predicted)
        values["timestamp"] = logged_instants(rows, self._timestamp, self._timezone)
        values["batch_id"] = coded_texts((self._batch_id,), np.zeros(rows.num_rows, np.int32))
        if self._actual is not None:
            values["actual"], values["actual_is_text"] = logged_actuals(column_of(rows, self._actual))
            known = valid_flags(values["actual"])
            self.unreadable_times += unreadable_instants(rows, self._actual_timestamp, self._timezone, known)
            values["actual_timestamp"] = logged_instants(rows, self._actual_timestamp, self._timezone)
        for segment, reader in self._segments:
            values[f"segment:{segment.name}"] = coded_texts(segment.ids, reader.codes(rows))
        writer = self._writer = self._writer or self._open(self._target, ids.type)
        arrays = [_stored(values[field.name], field.type) for field in writer.schema]
        writer.append(pa.RecordBatch.from_arrays(arrays, names=writer.schema.names))

    def _open(self, target: TargetPlan, identifier: pa.DataType) -> PredictionWriter:
        """The file, once the first rows have told the type of ids, which is that of all others."""
        storage, claim, part = self._about
        return storage.write_predictions(
            deployment_id=claim.deployment_id,
            batch_id=claim.batch_id,
            job_id=claim.job_id,
            token=claim.token,
            schema=prediction_schema(
                classes=_classes(target),
                identifier=identifier,
                segments=[segment.name for segment, _ in self._segments],
                actuals=self._actual is not None,
                intervals=target.interval_columns is not None,
            ),
            part=part,
        )

    def close(self) -> PredictionFile | None:
        """Make the log whole; None where nothing was logged."""
        return None if self._writer is None else self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.discard()


def _classes(target: TargetPlan) -> tuple[str, ...]:
    """The classes that have a probability column of their own; a single-column binary target has one."""
    if target.target_type is TargetType.REGRESSION:
        return ()
    return target.classes if len(target.prediction_columns) > 1 else (target.prediction_columns[0][0],)


def named_rows(ids: pa.Array) -> BoolArray:
    """(rows,), True where an actual could name the row: its association id is not null and can be stored."""
    return valid_flags(ids) & ~unstorable_rows(pa.RecordBatch.from_arrays([ids], names=["association_id"]))


def _logged_ids(ids: pa.Array) -> pa.Array:
    """Whole numbers of 64 bits as they are, everything else as canonical text."""
    if pa.types.is_integer(ids.type) and not pa.types.is_uint64(ids.type):
        return ids.cast(pa.int64())
    return canonical_array(ids).cast(pa.string())


def logged_actuals(array: pa.Array) -> tuple[pa.DictionaryArray, pa.Array]:
    """Actuals as a dictionary of canonical texts, each there once, and whether their column held text."""
    textual = is_text(array.type.value_type if pa.types.is_dictionary(array.type) else array.type)
    written = canonical_dictionary(array)
    distinct = written.dictionary.cast(pa.string()).dictionary_encode()  # two values may be written alike, or be null
    indices = written.indices
    if len(distinct.dictionary) < len(written.dictionary) or distinct.null_count:
        indices = distinct.indices.take(indices)
    texts = pa.DictionaryArray.from_arrays(indices.cast(pa.int32()), distinct.dictionary, safe=False)
    return texts, from_truth(np.full(len(array), textual))


def coded_texts(texts: Sequence[str], codes: npt.NDArray[Any]) -> pa.DictionaryArray:
    """(rows,), the text each code (rows,) stands for, null where it is below zero; the texts differ."""
    known = codes >= 0
    if known.all():
        indices = from_values(codes.astype(np.int32, copy=False), pa.int32())
    else:
        indices = from_values(np.maximum(codes, 0).astype(np.int32), pa.int32(), known)
    return pa.DictionaryArray.from_arrays(indices, from_texts(texts, pa.string()), safe=False)


def _stored(values: pa.Array, kind: pa.DataType) -> pa.Array:
    return values if pa.types.is_dictionary(values.type) else values.cast(kind)


def unreadable_instants(rows: pa.RecordBatch, column: str | None, timezone: str, keep: BoolArray) -> int:
    """How many of the rows kept have something in the column that is no time."""
    invalid = None if column is None else read_instants(column_of(rows, column), timezone).invalid
    return 0 if invalid is None else int(np.count_nonzero(invalid & keep))


def logged_instants(rows: pa.RecordBatch, column: str | None, timezone: str) -> pa.Array:
    """When rows happened, null where no column says so."""
    if column is None:
        return pa.nulls(rows.num_rows, pa.timestamp("us", "UTC"))
    return instants(column_of(rows, column), timezone).cast(pa.timestamp("us", "UTC"))
