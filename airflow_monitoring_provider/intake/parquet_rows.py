"""Rows of one Parquet file, without the row groups that its statistics place outside a window.

Text is delivered as it is stored, also where it is not UTF-8; a nested value as its canonical JSON text, but lists of
numbers as they are where a definition reads them as vectors.
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
_BUFFER = 1 << 17
"""Bytes read at a time of each open column: every reader holds as many, and more of them read no faster."""
_CALENDAR_SKEW = timedelta(hours=25)  # by which wall-clock order and order of instants can disagree in any zone


class ParquetRows:
    """One open file.

    :param like: the same file opened before: its footer is not read again.
    :param encoded: columns of ``like`` whose texts come as dictionaries.
    :raises SourceError: it is no Parquet file, or damaged.
    """

    def __init__(
        self, stream: IO[bytes], name: str, *, like: ParquetRows | None = None, encoded: frozenset[str] = frozenset()
    ) -> None:
        self._name = name
        known = () if like is None else like.schema
        texts = [field.name for field in known if field.name in encoded and _is_text(field.type)]
        metadata: Any = None if like is None else like.metadata
        try:
            self._file: Any = pq.ParquetFile(
                stream, metadata=metadata, read_dictionary=texts or None, pre_buffer=False, buffer_size=_BUFFER
            )
            self.metadata: Any = self._file.metadata
            self.schema: pa.Schema = self._file.schema_arrow if like is None else like.schema
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
            raise self._damaged() from None
        self._places: dict[str, list[int]] = {} if like is None else like._places

    def batches(
        self, columns: Sequence[str], window: TimeFilter | None, only: Sequence[int] | None = None
    ) -> tuple[Iterator[pa.RecordBatch], list[int]]:
        """The rows that may lie in the window, and for each row group that is left out its null timestamps.

        :param only: row groups to look at; all when None.
        """
        groups, nulls = self.groups(window, only)
        return self.read(columns, list(groups)), nulls

    def weights(self, window: TimeFilter | None) -> list[int]:
        """Bytes of each row group; 0 for those that statistics place outside the window."""
        kept = self.groups(window)[0]
        every = range(self.metadata.num_row_groups)
        return [int(self.metadata.row_group(n).total_byte_size) if n in kept else 0 for n in every]

    def read(
        self, columns: Sequence[str], groups: Sequence[int], most_rows: int = BATCH_ROWS
    ) -> Iterator[pa.RecordBatch]:
        """Columns of some row groups.

        :raises SourceError: the file is damaged.
        """
        try:
            for group in groups:
                size = min(self._batch_rows(group, columns), most_rows)
                for batch in self._file.iter_batches(
                    size, row_groups=[group], columns=list(columns), use_threads=len(columns) > 1
                ):
                    # The file's own order may be another.
                    yield batch if batch.schema.names == list(columns) else batch.select(list(columns))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
            raise self._damaged() from None

    def groups(self, window: TimeFilter | None, only: Sequence[int] | None = None) -> tuple[dict[int, bool], list[int]]:
        """The row groups that may hold rows of the window, in order, and whether all their rows surely lie in it; then
        for each row group that is left out its null timestamps.

        :param only: row groups to look at; all when None.
        """
        every = range(self.metadata.num_row_groups) if only is None else only
        if window is None:
            return dict.fromkeys(every, True), []
        kept: dict[int, bool] = {}
        nulls: list[int] = []
        for group in every:
            statistics = self._statistics(group, window.column)
            bounds = None if statistics is None else self._bounds(statistics, window)
            start = None if window.start is None else microseconds(window.start)
            end = None if window.end is None else microseconds(window.end)
            if bounds is None or statistics is None:
                kept[group] = False
            elif (start is not None and bounds[1] < start) or (end is not None and bounds[0] >= end):
                nulls.append(int(statistics.null_count))
            else:
                inside = (start is None or bounds[0] >= start) and (end is None or bounds[1] < end)
                kept[group] = inside and not statistics.null_count
        return kept, nulls

    def rows_of(self, group: int) -> int:
        """Rows of a row group."""
        return int(self.metadata.row_group(group).num_rows)

    def close(self) -> None:
        """Close the stream, too."""
        self._file.close(force=True)

    def _batch_rows(self, group: int, columns: Sequence[str]) -> int:
        """How many rows make a batch: of wide rows fewer, by the average of the row group."""
        metadata = self.metadata.row_group(group)
        if not self._places:
            places: dict[str, list[int]] = {}
            for position in range(metadata.num_columns):
                path = metadata.column(position).path_in_schema
                for name in dict.fromkeys((path, path.partition(".")[0])):
                    places.setdefault(name, []).append(position)
            self._places = places  # at once: readers in other threads share it
        chunks = {position for name in columns for position in self._places.get(name, ())}
        weight = sum(int(metadata.column(position).total_uncompressed_size) for position in chunks)
        row_bytes = max(1, weight // max(1, int(metadata.num_rows)))
        return max(1, min(BATCH_ROWS, BATCH_BYTES // row_bytes))

    def _statistics(self, group: int, column: str) -> Any:
        metadata = self.metadata.row_group(group)
        for position in range(metadata.num_columns):
            if metadata.column(position).path_in_schema == column:
                return metadata.column(position).statistics
        return None

    def _bounds(self, statistics: Any, window: TimeFilter) -> tuple[int, int] | None:
        """First and last instant of a row group in microseconds; only timestamps and dates have a safe order."""
        if not statistics.has_min_max or not statistics.has_null_count:
            return None
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


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def plain_type(kind: pa.DataType, *, vectors: bool = False) -> pa.DataType:
    """The type a column is delivered in: dictionaries decoded, nested values as JSON text.

    :param vectors: lists of numbers are delivered as they are.
    """
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type, vectors=vectors)
    if vectors and is_vector(kind):
        return kind
    if pa.types.is_nested(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind) or pa.types.is_binary_view(kind):
        return pa.binary()
    return pa.float64() if pa.types.is_float16(kind) else kind


def is_vector(kind: pa.DataType) -> bool:
    """A type of lists of numbers."""
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
        return False
    inner = kind.value_type
    return bool(pa.types.is_floating(inner) or pa.types.is_integer(inner) or pa.types.is_decimal(inner))


def common_type(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """The type that holds a column which two files store differently; None where there is none."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    vectors = [is_vector(one), is_vector(other)]
    if any(vectors):
        return pa.list_(pa.float64()) if all(vectors) else pa.string() if pa.string() in (one, other) else None
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
    if pa.types.is_nested(column.type) and not is_vector(kind):
        return canonical_array(column).cast(pa.string())
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(kind):
        return instants(column).view(kind)
    return column.cast(kind)


def conformed_batch(
    batch: pa.RecordBatch, types: dict[str, pa.DataType], name: str, *, encoded: frozenset[str] = frozenset()
) -> pa.RecordBatch:
    """A batch in the types that every file of an intake delivers; the batch itself where it has them.

    :param encoded: columns whose texts may stay dictionaries.
    :raises SourceError: a value does not fit; names file and column.
    """
    arrays, columns = batch.columns, []
    for field, column in zip(batch.schema, arrays, strict=True):
        try:
            as_it_is = field.name in encoded and pa.types.is_dictionary(field.type) and _is_text(field.type.value_type)
            columns.append(column if as_it_is else conformed(column, types[field.name]))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise SourceError(
                f"file {name!r} stores column {field.name!r} as {field.type}, and a value of it does not fit "
                f"{types[field.name]}, which the files of this intake have in common"
            ) from None
    if all(column is before for column, before in zip(columns, arrays, strict=True)):
        return batch
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)
