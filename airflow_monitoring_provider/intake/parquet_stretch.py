"""Row groups of one Parquet file, read a few columns at a time by several threads."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from airflow_monitoring_provider.intake.parquet_rows import ParquetRows, conformed_batch
from airflow_monitoring_provider.intake.paths import SharedFile
from airflow_monitoring_provider.intake.source import BATCH_ROWS
from airflow_monitoring_provider.profiles.arrays import BoolArray, from_truth

WORTH_COLUMNS = 100_000
"""Files with fewer rows of a window are read row by row: opening a stream for each column costs more than it saves."""
STRETCH_ROWS = 1 << 19
"""Neighbouring row groups are joined to about so many rows."""
STRETCH_MOST = 1 << 24
"""A status is kept of each row of a stretch, so a larger row group is no stretch."""
_COLUMN_ROWS = 1 << 15
"""Rows of one column that stay in a core's cache with all that is computed of them."""


class ParquetStretch:
    """See :class:`~airflow_monitoring_provider.intake.source.Stretch`.

    :param shared: released by :meth:`close`.
    :param rows: the file, for its metadata.
    :param types: of the columns as they are delivered.
    :param chosen: which rows belong to it; None for all.
    """

    def __init__(
        self,
        shared: SharedFile,
        rows: ParquetRows,
        groups: list[int],
        types: dict[str, pa.DataType],
        chosen: BoolArray | None,
    ) -> None:
        self._shared = shared
        self._rows = rows
        self._groups = groups
        self._types = types
        self._chosen = chosen
        self._readers: dict[frozenset[str], list[ParquetRows]] = {}
        self._lock = threading.Lock()
        self.closed = False

    def read(self, columns: Sequence[str], *, encoded: frozenset[str] = frozenset()) -> Iterator[pa.RecordBatch]:
        """See :meth:`Stretch.read`."""
        reader = self._reader(encoded)
        at, as_it_is = 0, False  # types are the stream's, so what its first batch says is true of all
        most = _COLUMN_ROWS if len(columns) == 1 else BATCH_ROWS
        try:
            for batch in reader.read(columns, self._groups, most):
                whole = batch
                if not as_it_is:
                    whole = conformed_batch(batch, self._types, self._shared.name, encoded=encoded)
                    as_it_is = whole is batch
                if self._chosen is not None:
                    chosen = self._chosen[at : at + len(whole)]
                    at += len(whole)
                    whole = whole if chosen.all() else whole.filter(from_truth(chosen))
                if len(whole):
                    yield whole
        finally:
            with self._lock:
                self._readers.setdefault(encoded, []).append(reader)

    def close(self) -> None:
        """See :meth:`Stretch.close`."""
        if not self.closed:
            self.closed = True
            for reader in itertools.chain.from_iterable(self._readers.values()):
                reader.close()
            self._shared.release()

    def _reader(self, encoded: frozenset[str]) -> ParquetRows:
        """One that nobody uses: a file of thousands of columns is not opened for each."""
        with self._lock:
            if free := self._readers.get(encoded):
                return free.pop()
        return ParquetRows(self._shared.reader(), self._shared.name, like=self._rows, encoded=encoded)


def joined_groups(rows: ParquetRows, groups: Mapping[int, bool]) -> Iterator[tuple[list[int], bool]]:
    """Neighbouring row groups as stretches, and whether all their rows surely lie in the window."""
    run: list[int] = []
    count, inside = 0, True
    for group, whole in groups.items():
        size = rows.rows_of(group)
        if run and (count + size > STRETCH_ROWS or whole != inside):
            yield run, inside
            run, count = [], 0
        run.append(group)
        count, inside = count + size, whole
    if run:
        yield run, inside
