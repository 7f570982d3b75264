"""The output's rows: the copied columns of the intake rows, and the status of each.

Copied are the unique row identifiers and the passthrough columns. Text sources (CSV, JSON lines) deliver text for every
column, so each is cast to the type that was decided for it; a value that the type cannot hold becomes null and its row
says ``rejected:unstorable_value``, unless it was rejected for another reason already.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.definitions import JobDefinition, RowStatus
from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.outputs.values import unstorable_rows
from airflow_monitoring_provider.profiles.arrays import from_texts, from_truth, from_values, is_text, truth_values
from airflow_monitoring_provider.profiles.instants import instants

_STATUS_TEXTS = from_texts([status.text for status in RowStatus]).cast(pa.string())


class CopiedColumns:
    """Which columns are copied, in the order of the output, and with which types.

    :param schema: the source's decided types.
    """

    def __init__(self, definition: JobDefinition, schema: pa.Schema) -> None:
        settings = definition.monitoring_output_settings
        passthrough = (
            tuple(name for name in schema.names if name != settings.monitored_status_column)
            if definition.passthrough_columns_set == "all"
            else definition.passthrough_columns
        )
        wanted = (*settings.unique_row_identifier_columns, *passthrough) if definition.output_settings else ()
        self.names: tuple[str, ...] = tuple(dict.fromkeys(wanted))
        fields = [pa.field(name, plain(schema.field(name).type)) for name in self.names]
        self.schema = pa.schema([*fields, pa.field(settings.monitored_status_column, pa.string())])

    def take(self, batch: pa.RecordBatch, statuses: StatusArray) -> tuple[pa.RecordBatch, StatusArray]:
        """The output rows of an intake batch, with their statuses as a dictionary, which tell of unstorable values.

        The second are the same statuses as numbers.
        """
        arrays = []
        unstorable = np.zeros(len(batch), np.bool_)
        for field in list(self.schema)[:-1]:
            array = batch.column(batch.schema.get_field_index(field.name))
            cast = cast_to(array, field.type)
            if cast.null_count > array.null_count:
                unstorable |= truth_values(pc.and_(pc.is_null(cast), pc.is_valid(array)))
            arrays.append(cast)
        if arrays:
            unstorable |= unstorable_rows(pa.RecordBatch.from_arrays(arrays, names=list(self.names)))
        if unstorable.any():
            told = np.where(unstorable & (statuses == RowStatus.MONITORED), RowStatus.UNSTORABLE_VALUE, statuses)
            statuses = told.astype(np.uint8)
        coded = pa.DictionaryArray.from_arrays(from_values(statuses, pa.uint8()), _STATUS_TEXTS, safe=False)
        return pa.RecordBatch.from_arrays([*arrays, coded], names=self.schema.names), statuses


def plain(kind: pa.DataType) -> pa.DataType:
    """Dictionary encoding is how values travel, not what they are."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def cast_to(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values in the type that was decided for their column; null where it cannot hold one."""
    if array.type == kind:
        return array
    if pa.types.is_timestamp(kind) and is_text(array.type):
        return instants(array, kind.tz or "UTC").cast(kind)
    try:
        return array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        fitting = np.fromiter((_fits(value, kind) for value in array), np.bool_, len(array))
        return pc.if_else(from_truth(fitting), array, pa.nulls(len(array), array.type)).cast(kind)


def _fits(value: pa.Scalar, kind: pa.DataType) -> bool:
    """One value can be cast: the slow way, for batches that hold one that cannot."""
    try:
        value.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True
