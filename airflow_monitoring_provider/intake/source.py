"""What every place that rows come from promises, and which of its rows a window holds.

The window is half-open in UTC on one column. A source may leave out rows early by whatever it can compare cheaply,
but the last word has :meth:`TimeFilter.mask`, which is the same for every source, so a row at a window's edge belongs
to one window and to the same one wherever it is stored.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import CsvSettings, FileIntake, IntakeSettings, Partitions, SqlIntake
from airflow_monitoring_provider.exceptions import ConfigurationError, SourceError, WindowError
from airflow_monitoring_provider.intake.parts import PartSource, SourcePart, SourceParts
from airflow_monitoring_provider.profiles.arrays import fixed_width, from_truth, valid_flags
from airflow_monitoring_provider.profiles.instants import instants, microseconds

if TYPE_CHECKING:
    import fsspec
    import sqlalchemy as sa

BATCH_ROWS = 65_536
BATCH_BYTES = 32 * 1024 * 1024
"""A batch is no larger, unless a single block of its source is: rows may hold texts of 10 MB."""


@dataclasses.dataclass(frozen=True, slots=True)
class TimeFilter:
    """Rows whose ``column`` lies at or after ``start`` and before ``end``.

    :param column: any column that :func:`~airflow_monitoring_provider.profiles.instants.instants` can read.
    :param start: aware, or None for no lower bound.
    :param end: aware, or None for no upper bound.
    :param timezone: IANA zone of values that carry none.
    :raises WindowError: a bound is naive, the end lies before the start, or the zone is unknown.
    """

    column: str
    start: datetime | None
    end: datetime | None
    timezone: str = "UTC"

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            bound = getattr(self, name)
            if bound is not None:
                if bound.tzinfo is None:
                    raise WindowError(f"the window's {name} has no time zone")
                object.__setattr__(self, name, bound.astimezone(UTC))
        if self.start is not None and self.end is not None and self.end < self.start:
            raise WindowError("the window ends before it starts")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise WindowError(f"{self.timezone!r} is not a time zone of this machine's time zone database") from None

    def mask(self, column: pa.Array) -> pa.BooleanArray:
        """True for values inside; a null or unreadable value is in no window.

        :raises SourceError: the column's type cannot hold times; names column and type.
        """
        return self.inside(self.times(column))

    def times(self, column: pa.Array) -> pa.Array:
        """The column as instants, null where it is null or unreadable; errors as :meth:`mask`."""
        try:
            return instants(column, self.timezone)
        except SourceError as error:
            raise SourceError(f"timestamp column {self.column!r}: {error}") from None

    def inside(self, times: pa.Array) -> pa.BooleanArray:
        """:meth:`mask` of instants that :meth:`times` gave."""
        values, inside = fixed_width(times, np.int64), valid_flags(times)
        if self.start is not None:
            inside &= values >= microseconds(self.start)
        if self.end is not None:
            inside &= values < microseconds(self.end)
        return from_truth(inside)


class RowSource(Protocol):
    """Rows to monitor.

    ``schema`` reports the type that was decided for each column; ``read`` may deliver a column as text all the same:
    always for CSV and JSON lines (where the text is what is there), for dates and times of SQLite, and for a column of
    SQLite that holds a value its type cannot hold. Whoever summarises a column of a numeric, boolean or timestamp type
    must therefore accept text, and can count what does not parse. Within one read all batches have the same types.

    :ivar label: for messages: ``table flights of connection flights_db``; never a secret or an address.
    :ivar ordered_by: columns the rows come sorted by, so that equal ones are adjacent; ``()`` otherwise.
    """

    label: str
    ordered_by: tuple[str, ...]

    def schema(self) -> pa.Schema:
        """Every column with its decided type.

        :raises SourceError: the table, query or files are not what the definition says.
        :raises SourceUnavailable: they could not be reached.
        """

    def read(
        self, columns: Sequence[str], window: TimeFilter | None
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """The rows of a window (None: all) in a stable order: exactly these columns, batches of 1 to 65 536 rows.

        Memory is bounded by the size of a batch. Leaving the context early ends the read at once. Errors as
        :meth:`schema`, also while iterating.
        """

    def null_timestamps(self, column: str) -> int:
        """Rows whose timestamp is null or cannot be read as a time: they are in no window."""

    def parts(self, partitions: Partitions, columns: Sequence[str], window: TimeFilter | None) -> SourceParts:
        """Cut the rows of a window into parts that can be read by themselves; one where there is nothing to cut.

        :param columns: those that will be read.
        :raises SourceError: these rows cannot be cut as ``partitions`` says.
        """

    def part(self, part: SourcePart, schema: pa.Schema) -> PartSource:
        """A source of one part's rows, in any process.

        :param schema: :meth:`schema` of the source that was cut: one part alone might decide otherwise.
        """


class Stretch(Protocol):
    """Consecutive rows of a window, of which a few columns can be read at a time, by several threads at once."""

    def read(self, columns: Sequence[str], *, encoded: frozenset[str] = frozenset()) -> Iterator[pa.RecordBatch]:
        """These columns of all its rows, in the order of the rows; errors as :meth:`RowSource.read`.

        :param encoded: columns whose texts may come as dictionaries, which is how they are counted fastest. The same
            set for many reads lets them share an open stream.
        """

    def close(self) -> None:
        """Nobody reads it any more."""


@runtime_checkable
class ColumnSource(Protocol):
    """A row source that stores each column by itself."""

    def stretches(self, columns: Sequence[str], window: TimeFilter | None) -> AbstractContextManager[Iterator[Stretch]]:
        """The rows that :meth:`RowSource.read` gives, as stretches of these columns, which may be read after the next
        one was taken, until they are closed. Leaving the context closes them all: no thread may read one any more.
        """


class BatchStretch:
    """A :class:`Stretch` of one batch in memory."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def read(self, columns: Sequence[str], *, encoded: frozenset[str] = frozenset()) -> Iterator[pa.RecordBatch]:
        """See :meth:`Stretch.read`."""
        yield pa.RecordBatch.from_arrays([column_of(self._batch, name) for name in columns], names=list(columns))

    def close(self) -> None:
        """See :meth:`Stretch.close`."""


@contextmanager
def open_stretches(
    source: RowSource | PartSource, columns: Sequence[str], window: TimeFilter | None
) -> Iterator[Iterator[Stretch]]:
    """The rows of any source as stretches; of one that stores rows each is a batch."""
    if isinstance(source, ColumnSource):
        with source.stretches(columns, window) as stretches:
            yield stretches
    else:
        with source.read(columns, window) as batches:
            yield map(BatchStretch, batches)


def column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column of a batch.

    :raises SourceError: the batch has none of that name, or several.
    """
    index = batch.schema.get_field_index(name)
    if index < 0:
        raise SourceError(
            f"Column {name!r} is not in the rows that were read, or is there twice; "
            f"they have: {', '.join(batch.schema.names)}."
        )
    return batch.column(index)


class CannotPushDown(ConfigurationError):
    """The database cannot compute what rows that are read would give; the message is the reason."""


class Selection(Protocol):
    """The rows of a window as a database sees them, for aggregates instead of rows; lives as long as its transaction.

    :ivar connection: the read's own: read-only, of one moment.
    :ivar types: every column as rows would deliver it.
    """

    connection: sa.Connection
    types: pa.Schema

    def column(self, name: str) -> sa.ColumnElement[Any]:
        """A column of :meth:`rows`."""

    def key(self, name: str) -> list[sa.ColumnElement[Any]]:
        """What to group the rows by, so that two are together only where their values of a column are the same."""

    def rows(self, *columns: sa.ColumnElement[Any]) -> sa.Select[Any]:
        """A selection of the window's rows."""

    def check_values(self, names: Sequence[str]) -> None:
        """Refuse columns that would be delivered in another type than :attr:`types` says.

        :raises CannotPushDown: names the first one.
        """

    def first(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """Columns of the first rows, as they would be read."""

    def grouped(
        self, rows: sa.FromClause, names: Sequence[str], code: sa.ColumnElement[Any] | None = None
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """Every distinct value of each column as rows would deliver it, (int64) how many rows hold it, and (int64) the
        group that ``code`` puts these rows in (0 without); rows whose code is null are left out.
        """

    def double(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """A column of numbers or booleans as the double that rows would deliver."""

    def is_nan(self, double: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Whether a double is NaN."""

    def is_infinite(self, double: sa.ColumnElement[Any], sign: int) -> sa.ColumnElement[bool]:
        """Whether a double is the infinity of a sign."""

    def is_finite(self, double: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Whether a double is a finite number."""

    def is_whole(self, name: str) -> bool:
        """Whether a column holds integers."""

    def equals(self, column: sa.ColumnElement[Any], value: Any, kind: pa.DataType) -> sa.ColumnElement[bool]:
        """Whether the column holds exactly a value that :meth:`grouped` gave."""

    def is_missing(self, name: str, column: sa.ColumnElement[Any] | None = None) -> sa.ColumnElement[bool]:
        """Whether a column (``column``, where it is one of a subquery) holds no value: null or NaN."""

    def check_compared(self, name: str) -> None:
        """Refuse a column whose values :meth:`equals` could not tell apart.

        :raises CannotPushDown: names it.
        """

    def root(self, double: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The square root; null of null."""

    def greatest(self, doubles: Sequence[sa.ColumnElement[Any]]) -> sa.ColumnElement[Any]:
        """The greatest of several doubles of a row, none of them null."""

    def logarithm(self, double: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """The natural logarithm; null of null."""

    def copied(self, name: str) -> tuple[sa.ColumnElement[Any], sa.ColumnElement[bool] | None]:
        """A column as an output of the same database takes it, and where a value is lost because no output holds it.

        :raises CannotPushDown: the database would copy something else than rows that are read bring.
        """

    def check_copied(self, names: Sequence[str]) -> None:
        """Refuse columns with values of other types than :meth:`copied` looks for.

        :raises CannotPushDown: names the first one.
        """

    def cancel(self) -> None:
        """Tell the database to end the statement that runs, from any thread; where none runs nothing happens."""

    def prepare(self, connection: sa.Connection) -> None:
        """Let expressions of this selection mean the same in another transaction of its database."""

    def instants(
        self, rows: sa.FromClause, name: str, zone: str, code: sa.ColumnElement[Any] | None = None
    ) -> dict[int, tuple[int | None, int | None]]:
        """Group -> the earliest and latest time of a column, in microseconds since 1970 UTC; groups as
        :meth:`grouped`.

        :param zone: IANA zone of times that carry none.
        :raises CannotPushDown: the database cannot put them in order.
        """


@runtime_checkable
class Selectable(Protocol):
    """A row source that can be asked for aggregates."""

    def selection(self, window: TimeFilter | None) -> AbstractContextManager[Selection]:
        """The rows of a window.

        :raises CannotPushDown: the database cannot tell them apart exactly.
        """


def select_in(source: object, window: TimeFilter | None) -> AbstractContextManager[Selection]:
    """The selection of a source.

    :raises CannotPushDown: it is no database, or cannot tell the window's rows apart.
    """
    if isinstance(source, Selectable):
        return source.selection(window)
    raise CannotPushDown("files have no database that could count")


def open_source(
    intake: IntakeSettings,
    *,
    engine: sa.Engine | None = None,
    filesystem: fsspec.AbstractFileSystem | None = None,
    root: str = "",
    csv: CsvSettings | None = None,
    vectors: Collection[str] = (),
    order_by: tuple[str, ...] = (),
) -> RowSource:
    """The row source of an intake.

    :param engine: for SQL intake.
    :param filesystem: for file intake, with ``root``, the folder in it that no path may leave.
    :param vectors: columns of files that hold vectors: lists of numbers come as lists, where elsewhere they are texts.
    :param order_by: columns to sort SQL rows by; files keep their order.
    :raises ConfigurationError: the intake's connection was not given, or no job can read this type.
    """
    if isinstance(intake, SqlIntake):
        from airflow_monitoring_provider.intake.sql import SqlSource

        if engine is None:
            raise ConfigurationError(f"intake of type {intake.type} needs a database connection; set dataStoreId")
        return SqlSource(engine, intake, order_by)
    if isinstance(intake, FileIntake):
        from airflow_monitoring_provider.intake.files import FileSource

        if filesystem is None:
            raise ConfigurationError(f"intake of type {intake.type} needs a file connection; set dataStoreId")
        return FileSource(filesystem, root, intake, csv or CsvSettings.model_validate({}), vectors)
    raise ConfigurationError(f"intake of type {intake.type} is known but not served; use a database or file type")


def checked_columns(columns: Sequence[str], available: Sequence[str], label: str) -> None:
    """Refuse columns that the source does not have.

    :raises SourceError: names the first missing column and what there is.
    """
    known = set(available)
    missing = [name for name in columns if name not in known]
    if missing:
        raise SourceError(f"column {missing[0]!r} is not in {label}; {listed('it has', available)}")


def listed(lead: str, names: Sequence[str], limit: int = 20) -> str:
    """``it has a, b, c and 12 more``."""
    shown = ", ".join(repr(name) for name in names[:limit])
    rest = len(names) - limit
    return f"{lead} {shown or 'none'}" + (f" and {rest} more" if rest > 0 else "")


def merged(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    """Several batches of one schema as one."""
    if len(batches) == 1:
        return batches[0]
    table = pa.Table.from_batches(batches).combine_chunks()
    return table.to_batches(max_chunksize=None)[0]


def gathered(batches: Iterable[pa.RecordBatch], rows: int = BATCH_ROWS) -> Generator[pa.RecordBatch]:
    """Small batches merged until the next one would not fit, empty ones left out."""
    waiting: list[pa.RecordBatch] = []
    count = weight = 0
    for batch in batches:
        if batch.num_rows == 0:
            continue
        if waiting and (count + batch.num_rows > rows or weight + batch.nbytes > BATCH_BYTES):
            yield merged(waiting)
            waiting, count, weight = [], 0, 0
        waiting.append(batch)
        count += batch.num_rows
        weight += batch.nbytes
    if waiting:
        yield merged(waiting)
