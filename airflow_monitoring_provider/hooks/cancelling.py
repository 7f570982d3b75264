"""A source whose failure, once its task has been killed, is told for what it is: the job was aborted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, TypeVar

from airflow_monitoring_provider.exceptions import JobInterrupted, RetryableError, SourceError

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_monitoring_provider.definitions import Partitions
    from airflow_monitoring_provider.intake.parts import PartSeen, PartSource, SourcePart, SourceParts
    from airflow_monitoring_provider.intake.source import RowSource, Selection, Stretch, TimeFilter

Inner = TypeVar("Inner", bound="RowSource | PartSource")


class _Cancellable(Generic[Inner]):
    def __init__(self, source: Inner, cancelled: Callable[[], bool]) -> None:
        self._source = source
        self._cancelled = cancelled
        self.label = source.label
        self.ordered_by = source.ordered_by

    def schema(self) -> pa.Schema:
        """See ``RowSource.schema``."""
        with self._told():
            return self._source.schema()

    @contextmanager
    def read(self, columns: Sequence[str], window: TimeFilter | None) -> Iterator[Iterator[pa.RecordBatch]]:
        """See ``RowSource.read``."""
        with self._told(), self._source.read(columns, window) as batches:
            yield batches

    @contextmanager
    def stretches(self, columns: Sequence[str], window: TimeFilter | None) -> Iterator[Iterator[Stretch]]:
        """See ``ColumnSource.stretches``."""
        from airflow_monitoring_provider.intake.source import open_stretches

        with self._told(), open_stretches(self._source, columns, window) as stretches:
            yield stretches

    @contextmanager
    def selection(self, window: TimeFilter | None) -> Iterator[Selection]:
        """See ``Selectable.selection``."""
        from airflow_monitoring_provider.intake.source import select_in

        with self._told(), select_in(self._source, window) as selection:
            yield selection

    def null_timestamps(self, column: str) -> int:
        """See ``RowSource.null_timestamps``."""
        with self._told():
            return self._source.null_timestamps(column)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (RetryableError, SourceError) as error:
            if not self._cancelled():
                raise
            raise JobInterrupted(
                f"reading {self.label} was cancelled by Airflow; nothing of this attempt is kept"
            ) from error


class CancellableSource(_Cancellable["RowSource"]):
    """The ``RowSource`` given, with errors of a cancelled task turned into ``JobInterrupted``.

    A killed task interrupts the statement that it waits for, and the database reports that as an error of its own.
    """

    def parts(self, partitions: Partitions, columns: Sequence[str], window: TimeFilter | None) -> SourceParts:
        """See ``RowSource.parts``."""
        with self._told():
            return self._source.parts(partitions, columns, window)

    def part(self, part: SourcePart, schema: pa.Schema) -> PartSource:
        """See ``RowSource.part``."""
        with self._told():
            return CancellablePart(self._source.part(part, schema), self._cancelled)


class CancellablePart(_Cancellable["PartSource"]):
    """The same of a part."""

    def seen(self) -> PartSeen:
        """See ``PartSource.seen``."""
        return self._source.seen()
