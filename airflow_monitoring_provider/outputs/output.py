"""What every place that row results go to promises.

A row result is one intake row's copied columns (unique row identifiers, passthrough columns) and its monitored status.
Whoever writes them is one attempt at one job; the attempt with the highest token wins, and an attempt that finds a
higher one writes nothing more. Writing the same job again replaces what it wrote before, so rows are there once. How
each kind of output does that, and why it suffices, is told in :mod:`airflow_monitoring_provider.jobs.run`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from airflow_monitoring_provider.definitions import CsvSettings, FileOutput, OutputSettings, SqlOutput
from airflow_monitoring_provider.exceptions import ConfigurationError, Superseded

if TYPE_CHECKING:
    import fsspec
    import pyarrow as pa
    import sqlalchemy as sa

DEFAULT_STATUS_COLUMN = "monitored_status"


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One try at writing the rows of one job.

    :param job_id: the deterministic id of (definition, window): the name under which rows are replaced.
    :param window_start: for people who read the marker; None where the job has no window.
    :param token: of the job's claim; a newer attempt has a higher one.
    :param store_id: of the store that gave the token; ``continues`` are lost stores whose markers it takes over.
    :param confirm: asks that store whether the attempt still owns its job and raises :class:`Superseded` where it does
        not; called just before the commit of an output that cannot lock a marker.
    """

    definition_id: str
    job_id: str
    window_start: datetime | None
    window_end: datetime | None
    token: int
    store_id: str
    continues: tuple[str, ...] = ()
    confirm: Callable[[], None] = dataclasses.field(default=lambda: None, compare=False, repr=False)

    def bound(self, which: str) -> str:
        """``start`` or ``end`` of the window as ISO 8601 text in UTC, ``""`` for none."""
        instant = self.window_start if which == "start" else self.window_end
        return "" if instant is None else instant.astimezone(UTC).isoformat(timespec="microseconds")

    def refuse_marker_of(self, store_id: str, token: int, location: str) -> None:
        """Whether a marker lets this attempt write: it does where this method returns.

        :raises Superseded: it is a newer attempt's.
        :raises ConfigurationError: it is of a store whose tokens say nothing about this one's.
        """
        if store_id != self.store_id and store_id not in self.continues:
            raise ConfigurationError(
                f"{location} was written for this window by another monitoring store (id {store_id!r}; this one is "
                f"{self.store_id!r}). If that store is lost, run `airflow monitoring db adopt {store_id}` once; if it "
                "is in use, give this definition an output of its own, or let one of the two stores run it"
            )
        if token > self.token:
            raise Superseded(f"{location}: a newer attempt owns this job; attempt {self.token} wrote nothing more")


@dataclasses.dataclass(frozen=True, slots=True)
class Receipt:
    """What was written.

    :param rows: row results taken; an insert wrote that many rows.
    :param checksum: SHA-256, as hex, of the values in order; the same rows give the same one however they were batched.
        Of rows that a database selected: ``selected-`` and 128 bits, as hex, that do not depend on their order.
    :param location: ``table results of connection warehouse``, or the file's path below its root.
    :param unmatched: of an ``update``, rows that no row of the table matched; they were not added.
    :param skipped: of an ``update`` or ``insert_update``, rows that repeat the identifiers of an earlier one.
    """

    rows: int
    checksum: str
    location: str
    unmatched: int = 0
    skipped: int = 0

    @property
    def written(self) -> int:
        """Row results that are in the output now."""
        return self.rows - self.unmatched - self.skipped


class RowWriter(Protocol):
    """A place for row results.

    :ivar label: for messages; never a secret or an address.
    """

    label: str

    def last_token(self, attempt: Attempt) -> int:
        """The token of the attempt that wrote this job last, as far as the output remembers; 0 for none.

        :raises ConfigurationError: it was an attempt of another store.
        :raises OutputUnavailable: the output cannot be reached.
        """

    def write(self, batches: Iterable[pa.RecordBatch], attempt: Attempt, *, schema: pa.Schema | None = None) -> Receipt:
        """Write all rows of a job, replacing those an earlier attempt wrote.

        Memory is bounded by the size of a batch. Values that no database can hold are written as null, and their row's
        status becomes ``rejected:unstorable_value`` unless it was rejected already (:mod:`values`).

        :param batches: of one schema; the columns become the output's columns by name. Taken while the output is open:
            an error they raise undoes everything and is passed on.
        :param schema: of the batches; needed only to create a table for a job without rows.
        :raises Superseded: a newer attempt owns the job; nothing was changed.
        :raises ConfigurationError: another store wrote it last, or the login lacks a right; nothing was changed.
        :raises OutputError: the output cannot take these rows; nothing was changed.
        :raises OutputUnavailable: it cannot be reached or is locked; nothing was changed.
        :raises OutcomeUnknown: the connection broke while committing and it could not be seen whether that succeeded;
            the next attempt replaces the rows either way.
        """


def open_writer(
    output: OutputSettings,
    *,
    engine: sa.Engine | None = None,
    filesystem: fsspec.AbstractFileSystem | None = None,
    root: str = "",
    csv: CsvSettings | None = None,
    identifiers: tuple[str, ...] = (),
    status_column: str = DEFAULT_STATUS_COLUMN,
) -> RowWriter:
    """The writer of an output.

    :param engine: for SQL output.
    :param filesystem: for file output, with ``root``, the folder in it that no path may leave.
    :param identifiers: unique row identifier columns; an existing table without a ``monitoring_job_id`` column needs
        them for inserts.
    :param status_column: the column that holds the monitored status.
    :raises ConfigurationError: the output's connection was not given, or no job can write this type.
    """
    if isinstance(output, SqlOutput):
        from airflow_monitoring_provider.outputs.sql import SqlWriter

        if engine is None:
            raise ConfigurationError(f"output of type {output.type} needs a database connection; set dataStoreId")
        return SqlWriter(engine, output, identifiers=identifiers, status_column=status_column)
    if isinstance(output, FileOutput):
        from airflow_monitoring_provider.outputs.files import FileWriter

        if filesystem is None:
            raise ConfigurationError(f"output of type {output.type} needs a file connection; set dataStoreId")
        csv = csv or CsvSettings.model_validate({})
        return FileWriter(filesystem, root, output, csv, status_column=status_column, identifiers=identifiers)
    raise ConfigurationError(f"output of type {output.type} is known but not served; use a database or file type")
