"""Rows that running code hands over: a table in memory, read whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa

from airflow_monitoring_provider.definitions import Partitions
from airflow_monitoring_provider.intake.parts import PartSource, SourcePart, SourceParts
from airflow_monitoring_provider.intake.source import BATCH_ROWS, TimeFilter, checked_columns


class HandedRows:
    """A :class:`~airflow_monitoring_provider.intake.source.RowSource` of a table; it has no window and no parts."""

    ordered_by: tuple[str, ...] = ()

    def __init__(self, table: pa.Table, label: str) -> None:
        self.label = label
        self._table = table

    def schema(self) -> pa.Schema:
        """The table's own types."""
        return self._table.schema

    @contextmanager
    def read(self, columns: Sequence[str], window: TimeFilter | None) -> Iterator[Iterator[pa.RecordBatch]]:
        """All rows.

        :raises SourceError: the table has no such column.
        """
        if window is not None:
            raise ValueError("rows that are handed over are not cut by a window")
        checked_columns(columns, self._table.column_names, self.label)
        rows = self._table.select(list(columns)).to_batches(max_chunksize=BATCH_ROWS)
        yield (batch for batch in rows if batch.num_rows)

    def null_timestamps(self, column: str) -> int:
        """None: there is no window that a row could be outside of."""
        return 0

    def parts(self, partitions: Partitions, columns: Sequence[str], window: TimeFilter | None) -> SourceParts:
        """One part: the rows live in this process alone."""
        return SourceParts((SourcePart({}),))

    def part(self, part: SourcePart, schema: pa.Schema) -> PartSource:
        """Refused, for the same reason."""
        raise ValueError("rows that are handed over cannot be read by another task")
