"""Cut batches down to a window, and count what was seen of its timestamps."""

from __future__ import annotations

import pyarrow as pa

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.profiles.arrays import BoolArray, from_truth, truth_values


class WindowCut:
    """Cuts batches down to a window and counts what it saw of the timestamp column.

    :ivar seen: rows seen; ``nulls``: rows without a timestamp; ``unreadable``: timestamps that are not times.
    """

    def __init__(self, window: TimeFilter) -> None:
        self.window = window
        self.seen = self.nulls = self.unreadable = 0

    @property
    def readable(self) -> int:
        """How many timestamps are times."""
        return self.seen - self.nulls - self.unreadable

    @property
    def nothing_readable(self) -> bool:
        """There were timestamps, and none of them is a time: the wrong column, or a form nobody can read."""
        return 0 < self.unreadable == self.seen - self.nulls

    def cut(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch that lie in the window; the batch must hold the window's column."""
        inside = self.inside(batch.column(batch.schema.get_field_index(self.window.column)))
        return batch if inside.all() else batch.filter(from_truth(inside))

    def inside(self, column: pa.Array) -> BoolArray:
        """(n,), True for the values of the window's column that lie in the window."""
        times = self.window.times(column)
        nulls = column.null_count
        self.seen += len(column)
        self.nulls += nulls
        self.unreadable += times.null_count - nulls
        return truth_values(self.window.inside(times))

    def unreadable_error(self, label: str, kind: pa.DataType) -> SourceError:
        """What to say when :attr:`nothing_readable`."""
        return SourceError(
            f"timestamp column {self.window.column!r} of {label} has type {kind} and none of its {self.unreadable} "
            "values is a time; name another column, or store ISO 8601 text, a timestamp, or seconds since 1970"
        )
