"""The prediction log of a job: what was predicted for which association id, kept for actuals that come later.

Logged are rows whose prediction is usable and whose association id can be stored (:mod:`outputs.values`) and is not
null: no actual could ever name another. Repeated row identifiers are not.
A definition without an association id or without predictions logs nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition, TargetType
from airflow_monitoring_provider.engines.arrow import SCORED
from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.engines.targets import read_predictions
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.outputs.values import repeated, unstorable_rows
from airflow_monitoring_provider.profiles.arrays import from_texts, from_truth, from_values, truth_values
from airflow_monitoring_provider.profiles.canonical import canonical_array
from airflow_monitoring_provider.profiles.instants import instants
from airflow_monitoring_provider.profiles.plan import ProfilePlan, TargetPlan
from airflow_monitoring_provider.store.records import Claim, PredictionFile
from airflow_monitoring_provider.store.storage import PredictionWriter, Storage, prediction_schema


class PredictionLog:
    """Writes the log of one attempt, or of a part of it (from 1); it counts once the job's commit lists it.

    Association ids are kept as canonical text, so that an integer key joins whether actuals come from a database or a
    CSV file.
    """

    def __init__(
        self, definition: JobDefinition, plan: ProfilePlan, storage: Storage, claim: Claim, part: int = 0
    ) -> None:
        self._association_id = definition.monitoring_columns.association_id_column
        self._timestamp = plan.timestamp_column
        self._timezone = definition.timestamp_timezone
        self._batch_id = claim.batch_id
        self._target: TargetPlan | None = plan.target
        self._writer: PredictionWriter | None = None
        if self._association_id is None or plan.target is None or not plan.target.prediction_columns:
            return
        self._writer = storage.write_predictions(
            deployment_id=claim.deployment_id,
            batch_id=claim.batch_id,
            job_id=claim.job_id,
            token=claim.token,
            schema=prediction_schema(classes=_classes(plan.target)),
            part=part,
        )

    def append(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Log the rows of a batch that can be logged."""
        if self._writer is None or self._target is None or self._association_id is None:
            return
        ids = column_of(batch, self._association_id)
        keep = np.isin(statuses, SCORED)
        if ids.null_count:
            keep &= truth_values(ids.is_valid())
        keep &= ~unstorable_rows(pa.RecordBatch.from_arrays([ids], names=["association_id"]))
        rows = batch if keep.all() else batch.filter(from_truth(keep))
        if not rows.num_rows:
            return
        scores, predicted = read_predictions(rows, self._target)
        values: dict[str, Any] = {"association_id": canonical_array(column_of(rows, self._association_id))}
        if self._target.target_type is TargetType.REGRESSION:
            values["prediction"] = from_values(scores[:, 0], pa.float64())
        else:
            for place, name in enumerate(_classes(self._target)):
                values[f"probability:{name}"] = from_values(scores[:, place], pa.float64())
            values["predicted_class"] = from_texts(self._target.classes).take(from_values(predicted, pa.int64()))
        values["timestamp"] = self._instants(rows)
        values["batch_id"] = repeated(self._batch_id, rows.num_rows)
        schema = self._writer.schema
        arrays = [values[field.name].cast(field.type) for field in schema]
        self._writer.append(pa.RecordBatch.from_arrays(arrays, schema=schema))

    def close(self) -> PredictionFile | None:
        """Make the log whole; None where nothing was logged."""
        return None if self._writer is None else self._writer.close()

    def __enter__(self) -> PredictionLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.discard()

    def _instants(self, rows: pa.RecordBatch) -> pa.Array:
        if self._timestamp is None:
            return pa.nulls(rows.num_rows, pa.timestamp("us", "UTC"))
        return instants(column_of(rows, self._timestamp), self._timezone).cast(pa.timestamp("us", "UTC"))


def _classes(target: TargetPlan) -> tuple[str, ...]:
    """The classes that have a probability column of their own; a single-column binary target has one."""
    if target.target_type is TargetType.REGRESSION:
        return ()
    return target.classes if len(target.prediction_columns) > 1 else (target.prediction_columns[0][0],)
