"""Rows of one Parquet file, without the row groups that its statistics place outside a window.

Text is delivered as it is stored, also where it is not UTF-8; a nested value as its canonical JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.source import BATCH_BYTES, BATCH_ROWS, TimeFilter
from airflow_monitoring_provider.profiles.arrays import fixed_width, from_values, valid_flags
from airflow_monitoring_provider.profiles.canonical import canonical_array
from airflow_monitoring_provider.profiles.instants import instants, microseconds

_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_CALENDAR_SKEW = timedelta(hours=25)  # by which wall-clock order and order of instants can disagree in any zone


class ParquetRows:
    """One open file.

    :raises SourceError: it is no Parquet file, or damaged.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self._name = name
        try:
            self._file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
            self.schema: pa.Schema = self._file.schema_arrow
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
            raise self._damaged() from None

    def batches(
        self, columns: Sequence[str], window: TimeFilter | None, only: Sequence[int] | None = None
    ) -> tuple[Iterator[pa.RecordBatch], list[int]]:
        """The rows that may lie in the window, and for each row group that is left out its null timestamps.

        :param only: row groups to look at; all when None.
        """
        groups, nulls = self._groups(window, range(self._file.num_row_groups) if only is None else only)
        return self._read(columns, groups), nulls

    def weights(self, window: TimeFilter | None) -> list[int]:
        """Bytes of each row group; 0 for those that statistics place outside the window."""
        every = range(self._file.num_row_groups)
        kept = set(self._groups(window, every)[0])
        return [int(self._file.metadata.row_group(n).total_byte_size) if n in kept else 0 for n in every]

    def _read(self, columns: Sequence[str], groups: list[int]) -> Iterator[pa.RecordBatch]:
        try:
            for group in groups:
                size = self._batch_rows(group, columns)
                for batch in self._file.iter_batches(size, row_groups=[group], columns=list(columns)):
                    yield batch.select(list(columns))  # the file's own order is another
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
            raise self._damaged() from None

    def _batch_rows(self, group: int, columns: Sequence[str]) -> int:
        """How many rows make a batch: of wide rows fewer, by the average of the row group."""
        metadata, wanted = self._file.metadata.row_group(group), set(columns)
        chunks = [metadata.column(position) for position in range(metadata.num_columns)]
        weight = sum(
            int(chunk.total_uncompressed_size)
            for chunk in chunks
            if not wanted.isdisjoint((chunk.path_in_schema, chunk.path_in_schema.partition(".")[0]))
        )
        row_bytes = max(1, weight // max(1, int(metadata.num_rows)))
        return max(1, min(BATCH_ROWS, BATCH_BYTES // row_bytes))

    def _groups(self, window: TimeFilter | None, every: Sequence[int]) -> tuple[list[int], list[int]]:
        if window is None:
            return list(every), []
        kept: list[int] = []
        nulls: list[int] = []
        for group in every:
            statistics = self._statistics(group, window.column)
            if statistics is None or not self._is_outside(statistics, window):
                kept.append(group)
            else:
                nulls.append(int(statistics.null_count))
        return kept, nulls

    def _statistics(self, group: int, column: str) -> Any:
        metadata = self._file.metadata.row_group(group)
        for position in range(metadata.num_columns):
            if metadata.column(position).path_in_schema == column:
                return metadata.column(position).statistics
        return None

    def _is_outside(self, statistics: Any, window: TimeFilter) -> bool:
        if not statistics.has_min_max or not statistics.has_null_count:
            return False
        bounds = self._bounds(statistics, window)
        if bounds is None:
            return False
        first, last = bounds
        return (window.start is not None and last < microseconds(window.start)) or (
            window.end is not None and first >= microseconds(window.end)
        )

    def _bounds(self, statistics: Any, window: TimeFilter) -> tuple[int, int] | None:
        """First and last instant of a row group in microseconds; only timestamps and dates have a safe order."""
        kind = json.loads(statistics.logical_type.to_json())
        raw = np.array([statistics.min_raw, statistics.max_raw])
        if kind["Type"] == "Timestamp":
            stamps = pa.timestamp(_UNITS[kind["timeUnit"]], "UTC" if kind["isAdjustedToUTC"] else None)
            column = from_values(raw.astype(np.int64), stamps)
        elif kind["Type"] == "Date":
            column = from_values(raw.astype(np.int32), pa.date32())
        else:
            return None
        times = instants(column, window.timezone)
        if not valid_flags(times).all():
            return None
        first, last = (int(value) for value in fixed_width(times, np.int64))
        wall_clock = not kind.get("isAdjustedToUTC") and window.timezone != "UTC"
        skew = _CALENDAR_SKEW // timedelta(microseconds=1) if wall_clock else 0
        return first - skew, last + skew

    def _damaged(self) -> SourceError:
        return SourceError(f"{self._name!r} is not a Parquet file that can be read: another format, or damaged")


def plain_type(kind: pa.DataType) -> pa.DataType:
    """The type a column is delivered in: dictionaries decoded, nested values as JSON text."""
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type)
    if pa.types.is_nested(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return pa.float64() if pa.types.is_float16(kind) else kind


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds a column which two files store differently; None where there is none."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_integer(one) and pa.types.is_integer(other):
        return pa.int64()
    numeric = [pa.types.is_integer(k) or pa.types.is_floating(k) or pa.types.is_decimal(k) for k in (one, other)]
    if all(numeric):
        return pa.float64()
    if pa.types.is_timestamp(one) and pa.types.is_timestamp(other) and (one.tz is None) == (other.tz is None):
        return pa.timestamp("us", one.tz and "UTC")
    return None


def conformed(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the type it is delivered in.

    :raises ArrowInvalid: a value does not fit.
    """
    if column.type == kind:
        return column
    if pa.types.is_dictionary(column.type):
        return conformed(column.dictionary_decode(), kind)
    if pa.types.is_nested(column.type):
        return canonical_array(column).cast(pa.string())
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(kind):
        return instants(column).view(kind)
    return column.cast(kind)
