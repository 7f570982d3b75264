"""Row results into a table of any database that an Airflow connection leads to, exactly once.

Step 4 of the protocol that :mod:`airflow_monitoring_provider.jobs.run` tells, in the output's own database (SQLite and
PostgreSQL are tested, others are best effort, and DuckDB is refused: its dialect cannot look tables up);
:class:`_Writing` holds its transactions. The marker tables are made once, and so is a missing output table if the
definition asks for it, in a transaction of its own that takes the marker and remembers who made the table: a worker
killed after it leaves an empty table that the retry knows as its own.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlOutput, StatementType
from airflow_monitoring_provider.exceptions import ConfigurationError, OutcomeUnknown, OutputError
from airflow_monitoring_provider.outputs import faults
from airflow_monitoring_provider.outputs.checksum import RowChecksum
from airflow_monitoring_provider.outputs.keyed import Keyed
from airflow_monitoring_provider.outputs.markers import Markers, Progress
from airflow_monitoring_provider.outputs.output import DEFAULT_STATUS_COLUMN, Attempt, Receipt
from airflow_monitoring_provider.outputs.selected import SelectedRows, insert_selected, unlike
from airflow_monitoring_provider.outputs.statements import Append, Statement, Update, Upsert
from airflow_monitoring_provider.outputs.tables import (
    JOB_COLUMN,
    Target,
    check_names,
    create_target,
    find_target,
    table_schema,
)
from airflow_monitoring_provider.outputs.transactions import Database
from airflow_monitoring_provider.outputs.values import storable, stored_type, told


class SqlWriter:
    """A :class:`~airflow_monitoring_provider.outputs.output.RowWriter` for a table.

    :param engine: of the output's connection; it is not disposed.
    :param identifiers: unique row identifier columns.
    :param status_column: what an ``update`` without ``updateColumns`` sets.
    :param wait: seconds to wait for a lock before :class:`OutputUnavailable`.
    :param clock: seconds that only go forward; measures ``commitInterval``.
    :param idle: seconds the output may stand still between batches before PostgreSQL ends the transaction.
    """

    def __init__(
        self,
        engine: sa.Engine,
        output: SqlOutput,
        *,
        identifiers: Sequence[str] = (),
        status_column: str = DEFAULT_STATUS_COLUMN,
        wait: float = 30.0,
        idle: float = 600.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output = output
        self._identifiers = tuple(identifiers)
        self._status = status_column
        self.label = f"table {output.table!r} of connection {output.connection_id!r}"
        self._clock = clock
        self._database = Database(engine, self.label, wait=wait, idle=idle)

    def last_token(self, attempt: Attempt) -> int:
        """See :meth:`RowWriter.last_token`."""
        if self._database.dialect == "duckdb":
            raise ConfigurationError(
                f"{self.label}: row results cannot be written to DuckDB, which is read only; name another database "
                "or files in output_settings"
            )
        check_names(self._output, (), self._database.engine.dialect)
        with self._database.looking() as connection, faults.translated(self.label):
            schema = table_schema(connection, self._output)
        return Markers(self._database, attempt, schema, str(self._output.table)).last_token()

    def write(self, batches: Iterable[pa.RecordBatch], attempt: Attempt, *, schema: pa.Schema | None = None) -> Receipt:
        """See :meth:`RowWriter.write`."""
        schema, batches = _with_schema(batches, schema)
        names = schema.names if schema is not None else []
        check_names(self._output, names, self._database.engine.dialect)
        markers = self._markers(attempt)
        target = self._target(markers, schema)
        if target is None:  # nothing to write, nothing to tell a table's columns from
            return Receipt(0, RowChecksum().hexdigest(), self.label)
        statement = self._statement(target, markers, attempt, schema)
        interval = self._output.commit_interval or 0
        writing = _Writing(self._database, markers, attempt, statement, interval, self._status, self._clock)
        return writing.write(batches)

    def cannot_select(self, schema: pa.Schema, connection: sa.Connection) -> str | None:
        """See :meth:`SelectingWriter.cannot_select`."""
        if connection.engine.url != self._database.engine.url:
            return "the output is in another database, or has another login"
        if self._output.statement_type not in (StatementType.INSERT, StatementType.CREATE_TABLE):
            return f"{self._output.statement_type.value} finds the output's rows one by one"
        if self._output.commit_interval:
            return "commitInterval asks for several transactions, and a database selects rows in one"
        target = find_target(connection, self._output)
        return None if target is None else unlike(target, schema)

    def write_selected(self, rows: SelectedRows, attempt: Attempt) -> Receipt:
        """See :meth:`SelectingWriter.write_selected`."""
        check_names(self._output, rows.schema.names, self._database.engine.dialect)
        markers = self._markers(attempt)
        target = self._target(markers, rows.schema)
        if target is None:
            raise OutputError(f"{self.label} does not exist, and its columns' types are not known")
        statement = self._statement(target, markers, attempt, rows.schema)
        writing = _Writing(self._database, markers, attempt, statement, 0, self._status, self._clock)
        return writing.select(rows, target, attempt.job_id)

    def _markers(self, attempt: Attempt) -> Markers | None:
        with self._database.transaction() as connection, faults.translated(self.label):
            schema = table_schema(connection, self._output)
        markers = Markers(self._database, attempt, schema, str(self._output.table))
        if markers.exist_or_are_made():
            return markers
        if self._output.statement_type is StatementType.INSERT_UPDATE:
            return None
        raise ConfigurationError(
            f"{self.label}: the login may not create the tables that keep attempts apart (monitoring_output_markers, "
            "monitoring_output_keys); grant CREATE once, or use statementType insert_update on columns with a unique "
            "constraint"
        )

    def _target(self, markers: Markers | None, schema: pa.Schema | None) -> Target | None:
        """The table, made if the definition asks for it; None where it is missing and there is nothing to write."""
        found = self._find(markers)
        if found is not None:
            return found
        creates = self._output.create_table_if_not_exists or self._output.statement_type is StatementType.CREATE_TABLE
        if not creates:
            raise OutputError(f"{self.label} does not exist; create it, or set createTableIfNotExists")
        if markers is None:
            raise ConfigurationError(f"{self.label} does not exist and the login may not create tables; grant CREATE")
        if schema is None:
            return None
        stored = pa.schema([(field.name, stored_type(field.type)) for field in schema])
        with self._database.transaction() as connection:
            with faults.translated(self.label):
                markers.claim(connection, created_table=True)
                self._database.lock(connection, f"table {self._output.table}")
                if find_target(connection, self._output) is None:
                    create_target(connection, self._output, stored)
            self._database.commit(connection)
        return self._find(None)

    def _find(self, markers: Markers | None) -> Target | None:
        """:param markers: to ask them whether ``create_table`` meets a table of its own."""
        with self._database.transaction() as connection, faults.translated(self.label):
            target = find_target(connection, self._output)
            if target is None or markers is None or self._output.statement_type is not StatementType.CREATE_TABLE:
                return target
            if not markers.made_by_this_definition(connection):
                raise OutputError(
                    f"{self.label} exists, and this definition did not create it; use statementType insert, or another "
                    "table"
                )
            return target

    def _statement(
        self, target: Target, markers: Markers | None, attempt: Attempt, schema: pa.Schema | None
    ) -> Statement:
        names = schema.names if schema is not None else []
        kind, where = self._output.statement_type, self._output.where_columns
        if kind in (StatementType.INSERT, StatementType.CREATE_TABLE):
            target.check(names, schema, self.label)
            if target.has_job_column:
                return Append(target, attempt.job_id, self.label)
            return self._keyed(target, markers, attempt, names)
        changes = self._output.update_columns or tuple(name for name in (self._status,) if name not in where)
        if kind is StatementType.INSERT_UPDATE and not self._output.update_columns:
            changes = tuple(name for name in names if name not in where)
        self._check_given([*where, *changes], names)
        if kind is StatementType.UPDATE:
            target.check([*where, *changes], schema, self.label)
            return Update(target, where, changes, self._status, self.label)
        target.check(names, schema, self.label)
        if markers is None and frozenset(where) not in target.unique:
            raise ConfigurationError(
                f"{self.label}: the login may not create the tables that keep attempts apart, and there is no unique "
                f"constraint on exactly {', '.join(map(repr, where))}; grant CREATE once, or add the constraint"
            )
        return Upsert(target, where, changes, self._status, self.label, job_id=attempt.job_id, once=markers is None)

    def _keyed(self, target: Target, markers: Markers | None, attempt: Attempt, names: list[str]) -> Keyed:
        if not self._identifiers or markers is None:
            raise OutputError(
                f"{self.label} has no column {JOB_COLUMN!r} and the definition no uniqueRowIdentifierColumns, so a "
                f"retry could not replace its rows; add a text column {JOB_COLUMN!r}, or name the identifiers"
            )
        if names:
            self._check_given(self._identifiers, names)
        return Keyed(target, markers.keys, self._identifiers, attempt.job_id, self.label)

    def _check_given(self, wanted: Sequence[str], names: Sequence[str]) -> None:
        missing = [name for name in wanted if name not in names]
        if names and missing:
            raise OutputError(
                f"{self.label}: column {missing[0]!r} is not among what is written ({', '.join(map(repr, names))}); "
                "add it to passthroughColumns"
            )


class _Writing:
    """The transactions of one write."""

    def __init__(
        self,
        database: Database,
        markers: Markers | None,
        attempt: Attempt,
        statement: Statement,
        interval: float,
        status: str,
        clock: Callable[[], float],
    ) -> None:
        self._database = database
        self._markers = markers
        self._attempt = attempt
        self._statement = statement
        self._interval = interval if markers is not None else 0  # without markers a prefix could not be told
        self._status = status
        self._clock = clock
        self._checksum = RowChecksum()
        self._rows = 0

    def write(self, batches: Iterator[pa.RecordBatch]) -> Receipt:
        first, more = True, True
        while more:
            with self._database.transaction() as connection:
                with faults.translated(self._database.label):
                    self._enter(connection, first=first)
                more = self._take(connection, batches)
                with faults.translated(self._database.label):
                    self._statement.settle(connection)
                    left = self._leave(connection, last=not more, checksum=self._checksum.hexdigest())
                self._commit(connection, left)
            first = False
        return Receipt(
            rows=self._rows,
            checksum=self._checksum.hexdigest(),
            location=self._database.label,
            unmatched=self._statement.unmatched,
            skipped=self._statement.skipped,
        )

    def select(self, rows: SelectedRows, target: Target, job_id: str) -> Receipt:
        """The same in one transaction, with rows that the database has already."""
        checksum = f"selected-{rows.checksum}"
        with self._database.transaction() as connection:
            with faults.translated(self._database.label):
                self._enter(connection, first=True)
                self._rows = insert_selected(connection, target, job_id, rows)
                left = self._leave(connection, last=True, checksum=checksum)
            self._commit(connection, left)
        return Receipt(self._rows, checksum, self._database.label)

    def _enter(self, connection: sa.Connection, *, first: bool) -> None:
        """The marker first: nobody else can write this job's rows until the transaction ends."""
        if self._markers is not None:
            if first:
                self._markers.claim(connection)
            else:
                self._markers.confirm(connection)
        if first:
            self._statement.clear(connection)

    def _take(self, connection: sa.Connection, batches: Iterator[pa.RecordBatch]) -> bool:
        """Write batches until it is time to commit; False when there are no more."""
        begun = self._clock()
        for batch in batches:  # an error of whoever makes them is theirs, so it is not translated
            plain, lost = storable(batch)
            plain = told(plain, lost, self._status)
            with faults.translated(self._database.label):
                self._statement.add(connection, plain)
            self._checksum.update(plain)
            self._rows += plain.num_rows
            if self._interval and self._clock() - begun >= self._interval:
                return True
        return False

    def _leave(self, connection: sa.Connection, *, last: bool, checksum: str) -> Progress | None:
        """Ask the store whether the rows may stay, then say in the marker how far they go.

        A newer attempt may have claimed the job and given up at this one's lock: then these rows are nobody's.
        """
        self._attempt.confirm()
        if self._markers is None:
            return None
        if last:
            return self._markers.complete(connection, self._rows, checksum)
        return self._markers.advance(connection, self._rows)

    def _commit(self, connection: sa.Connection, left: Progress | None) -> None:
        try:
            self._database.commit(connection)
        except OutcomeUnknown as doubt:
            if self._markers is None or left is None:
                raise
            self._markers.settle(doubt, left)


def _with_schema(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema | None
) -> tuple[pa.Schema | None, Iterator[pa.RecordBatch]]:
    """The schema of batches (of the first one, unless they or the caller know), and the batches."""
    schema = schema or getattr(batches, "schema", None)
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        return schema, iter(())
    return first.schema, itertools.chain([first], iterator)
