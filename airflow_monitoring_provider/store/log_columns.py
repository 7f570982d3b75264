"""Columns of the logs of predictions and of late actuals, and how Parquet encodes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from airflow_monitoring_provider.profiles.canonical import canonical_array

DICTIONARY = pa.dictionary(pa.int32(), pa.string())
"""What Parquet's writer is handed for texts that repeat."""
_ID = "association_id"
_INSTANT = pa.timestamp("us", "UTC")
_CLASSES = {"predicted_class", "actual", "actual_is_text"}
_REPEATING = {"batch_id", *_CLASSES}  # columns of the logs


def prediction_schema(
    *,
    classes: Sequence[str] = (),
    identifier: pa.DataType | None = None,
    segments: Sequence[str] = (),
    actuals: bool = False,
    intervals: bool = False,
) -> pa.Schema:
    """Columns of the prediction log.

    :param classes: class names of a classification, one ``probability:<class>`` column each; empty for a regression,
        which has one ``prediction`` column.
    :param identifier: Arrow type of the association id; text unless given. Whole numbers take a seventh of the time
        and less room than their texts, which readers are handed all the same (:func:`told_schema`).
    :param segments: names of ways to group rows, each a column ``segment:<name>`` with the id of the row's segment.
    :param intervals: each predicted number comes with an interval, ``lower`` to ``upper`` (NaN: it has no such end).
    :param actuals: the rows bring actuals of their own, kept as in :data:`ACTUALS_SCHEMA`.
    """
    fields = [pa.field(_ID, identifier or pa.string())]
    fields += [pa.field(f"probability:{name}", pa.float64()) for name in classes]
    fields += [pa.field("predicted_class", pa.string())] if classes else [pa.field("prediction", pa.float64())]
    fields += [pa.field(name, pa.float64()) for name in ("lower", "upper") if intervals]
    fields += [pa.field("timestamp", _INSTANT), pa.field("batch_id", pa.string())]
    if actuals:
        fields += [pa.field("actual", pa.string()), pa.field("actual_is_text", pa.bool_())]
        fields += [pa.field("actual_timestamp", _INSTANT)]
    fields += [pa.field(f"segment:{name}", pa.string()) for name in segments]
    return pa.schema(fields)


ACTUALS_SCHEMA = pa.schema(
    [
        pa.field(_ID, pa.string()),
        pa.field("actual", pa.string()),
        pa.field("actual_is_text", pa.bool_()),
        pa.field("timestamp", _INSTANT),
    ]
)
"""Columns of the log of late actuals: the actual as canonical text, whether its column held text, and when it became
known (null where the definition names no column for that)."""


def told_schema(schema: pa.Schema) -> pa.Schema:
    """The columns of a prediction log as its readers are handed them: every association id is a text, so that whole
    numbers join whether actuals come from a database or a CSV file."""
    place = schema.get_field_index(_ID)
    if place < 0 or not pa.types.is_integer(schema.field(place).type):
        return schema
    return schema.set(place, schema.field(place).with_type(pa.string()))


def told(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Logged rows with the columns of :func:`told_schema`."""
    schema = told_schema(batch.schema)
    if schema == batch.schema:
        return batch
    columns = batch.columns
    place = schema.get_field_index(_ID)
    columns[place] = canonical_array(columns[place]).cast(pa.string())
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def repeating_columns(schema: pa.Schema) -> list[str]:
    """The columns of a log whose values repeat in many rows."""
    return [name for name in schema.names if name in _REPEATING or name.startswith("segment:")]


def encoding_of(schema: pa.Schema) -> dict[str, Any]:
    """How Parquet's writer encodes the columns of a log: at half the time of the defaults, in half the space.

    Identifiers, scores and instants hardly repeat, so dictionaries of them would be made and thrown away. Numbers of 64
    random bits are a tenth smaller by Zstandard than by Snappy, in four times the time. Bounds of a row group are kept
    for what a reader may leave groups out by: instants and segments; a file has one batch, and nearly every group all
    classes.
    """
    repeating = repeating_columns(schema)
    numbers = {field.name for field in schema if pa.types.is_floating(field.type)}
    textual = schema.field(_ID).type == pa.string()
    encodings = {
        _ID: "DELTA_BYTE_ARRAY" if textual else "DELTA_BINARY_PACKED",
        "timestamp": "DELTA_BINARY_PACKED",
    }
    return {
        "use_dictionary": repeating,
        "column_encoding": encodings,
        "compression": {name: "snappy" if name in numbers else "zstd" for name in schema.names},
        "write_statistics": ["timestamp", *(name for name in repeating if name.startswith("segment:"))],
    }
