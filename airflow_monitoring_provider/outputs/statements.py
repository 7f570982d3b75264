"""How row results meet the rows of the output table, one class for each way.

Each removes first what an earlier attempt at the same job wrote, then takes batches, and settles what it holds back
before every commit. All of it happens in the transactions of :mod:`sql`, after the marker was taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from airflow_monitoring_provider.definitions import RowStatus
from airflow_monitoring_provider.exceptions import OutputError
from airflow_monitoring_provider.outputs.loading import load
from airflow_monitoring_provider.outputs.stage import Stage
from airflow_monitoring_provider.outputs.tables import JOB_COLUMN, Target
from airflow_monitoring_provider.outputs.values import repeated
from airflow_monitoring_provider.profiles.arrays import from_truth, from_values, truth_values


class Statement(Protocol):
    """One way to write.

    :ivar unmatched: rows that found no row to update; ``skipped``: rows that repeat another's identifiers.
    """

    unmatched: int
    skipped: int

    def clear(self, connection: sa.Connection) -> None:
        """Remove what an earlier attempt at this job wrote; in the first transaction."""

    def add(self, connection: sa.Connection, batch: pa.RecordBatch) -> None:
        """Take a batch."""

    def settle(self, connection: sa.Connection) -> None:
        """Write what is held back; before each commit."""


class Append:
    """Insert rows that carry their job's id, by which they are replaced."""

    unmatched = skipped = 0

    def __init__(self, target: Target, job_id: str, label: str) -> None:
        self._table = target.table
        self._job_id = job_id
        self._label = label

    def clear(self, connection: sa.Connection) -> None:
        """See :class:`Statement`."""
        connection.execute(sa.delete(self._table).where(self._table.c[JOB_COLUMN] == self._job_id))

    def add(self, connection: sa.Connection, batch: pa.RecordBatch) -> None:
        """See :class:`Statement`."""
        codes = from_values(np.zeros(batch.num_rows, np.int32), pa.int32())
        job = pa.DictionaryArray.from_arrays(codes, repeated(self._job_id, 1))
        owned = batch.append_column(JOB_COLUMN, job)
        load(connection, self._table, owned, self._label)

    def settle(self, connection: sa.Connection) -> None:
        """See :class:`Statement`."""


class Update:
    """Set columns of the rows whose where-columns are equal; never add a row.

    Equal where-columns in several results are written in turn: the last one stays.

    :param where: columns that find the row; a null finds none.
    :param changes: columns that are set.
    """

    def __init__(self, target: Target, where: Sequence[str], changes: Sequence[str], status: str, label: str) -> None:
        self._target = target
        self._where = list(where)
        self._changes = list(changes)
        self._status = status
        self._label = label
        self._stage: Stage | None = None
        self.unmatched = self.skipped = 0

    def clear(self, connection: sa.Connection) -> None:
        """See :class:`Statement`: an update replaces itself."""

    def add(self, connection: sa.Connection, batch: pa.RecordBatch) -> None:
        """See :class:`Statement`."""
        kept = first_of_duplicates(batch, self._status)
        self.skipped += batch.num_rows - kept.num_rows
        names = self._columns(batch.schema.names)
        if self._stage is None:
            types = {name: self._target.table.c[name].type for name in names}
            self._stage = Stage(connection, types, self._where, self._label)
        self._stage.add(kept.select(names))

    def settle(self, connection: sa.Connection) -> None:
        """See :class:`Statement`."""
        if self._stage is None:
            return
        stage, self._stage = self._stage, None
        stage.keep_last(self._where)
        self._merge(connection, stage)
        stage.drop()

    def _columns(self, _names: Sequence[str]) -> list[str]:
        return [*self._where, *self._changes]

    def _merge(self, connection: sa.Connection, stage: Stage) -> None:
        unmatched = sa.select(sa.func.count()).select_from(stage.table).where(sa.not_(self._matched(stage)))
        self.unmatched += int(connection.scalar(unmatched) or 0)
        self._update(connection, stage)

    def _matched(self, stage: Stage) -> sa.ColumnElement[bool]:
        table = self._target.table
        return sa.exists(sa.select(table.c[self._where[0]]).where(stage.matches(table, self._where)))

    def _update(self, connection: sa.Connection, stage: Stage) -> None:
        values: dict[Any, Any] = {self._target.table.c[name]: stage.table.c[name] for name in self._changes}
        values |= self._ownership()
        if values:
            connection.execute(
                sa.update(self._target.table).values(values).where(stage.matches(self._target.table, self._where))
            )

    def _ownership(self) -> dict[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
        """What else an update sets, so that a row belongs to the job that wrote it last."""
        return {}


class Upsert(Update):
    """Update the rows that are there, insert the rest.

    A unique constraint on exactly the where-columns makes it one statement that also holds against other writers;
    without one it is an update and then an insert of what found no row.

    :param job_id: what inserted rows carry, where the table has a column for it; they are removed by :meth:`clear`.
    :param once: refuse results with equal where-columns (where no marker keeps attempts apart).
    """

    def __init__(
        self,
        target: Target,
        where: Sequence[str],
        changes: Sequence[str],
        status: str,
        label: str,
        *,
        job_id: str,
        once: bool = False,
    ) -> None:
        super().__init__(target, where, changes, status, label)
        self._job_id = job_id if target.has_job_column else None
        self._once = once

    def clear(self, connection: sa.Connection) -> None:
        """See :class:`Statement`: rows that this job inserted go, and come again with what is written now.

        Only so do rows leave that the intake no longer has. What others put into further columns of such a row goes
        with it; rows that were there before the job, it never removes.
        """
        if self._job_id is not None:
            table = self._target.table
            connection.execute(sa.delete(table).where(table.c[JOB_COLUMN] == self._job_id))

    def add(self, connection: sa.Connection, batch: pa.RecordBatch) -> None:
        """See :class:`Statement`.

        :raises OutputError: a where-column is null and the table has no column for the job, so the row could never be
            replaced; or identifiers repeat and no marker keeps attempts apart.
        """
        if self._job_id is None:
            refuse_nulls(batch, self._where, self._label)
        super().add(connection, batch)
        if self._once and self.skipped:
            raise OutputError(
                f"{self._label}: {self.skipped} rows or more repeat the identifiers of an earlier one; the login may "
                "not create the tables that keep attempts apart, so each row must be there once. Remove the "
                "duplicates, or grant CREATE once"
            )

    def _columns(self, names: Sequence[str]) -> list[str]:
        return list(names)

    def _merge(self, connection: sa.Connection, stage: Stage) -> None:
        names = [column.name for column in stage.table.c if column.name in self._target.table.c]
        rows = sa.select(*(stage.table.c[name] for name in names)).order_by(stage.in_order)
        if self._job_id is not None:
            names, rows = [*names, JOB_COLUMN], rows.add_columns(sa.literal(self._job_id, sa.Text()))
        if frozenset(self._where) in self._target.unique:
            connection.execute(self._insert_or_update(connection, names, rows))
            return
        self._update(connection, stage)
        connection.execute(sa.insert(self._target.table).from_select(names, rows.where(sa.not_(self._matched(stage)))))

    def _insert_or_update(self, connection: sa.Connection, names: list[str], rows: sa.Select[Any]) -> Any:
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        # SQLite's grammar needs a WHERE here to tell ON CONFLICT from a join's ON.
        insert = dialect.insert(self._target.table).from_select(names, rows.where(sa.true()))
        keys = [self._target.table.c[name] for name in self._where]
        changes: dict[Any, Any] = {name: insert.excluded[name] for name in self._changes}
        changes |= self._ownership()
        if not changes:
            return insert.on_conflict_do_nothing(index_elements=keys)
        return insert.on_conflict_do_update(index_elements=keys, set_=changes)

    def _ownership(self) -> dict[sa.ColumnElement[Any], sa.ColumnElement[Any]]:
        """A row that a job made goes over to this job; a row that no job made stays nobody's, and is never removed."""
        if self._job_id is None:
            return {}
        owner = self._target.table.c[JOB_COLUMN]
        return {owner: sa.case((owner.is_(None), sa.null()), else_=sa.literal(self._job_id, sa.Text()))}

    def settle(self, connection: sa.Connection) -> None:
        """See :class:`Statement`.

        :raises OutputError: two results have equal where-columns and nothing keeps attempts apart.
        """
        if self._once and self._stage is not None and self._stage.keep_last(self._where):
            raise OutputError(
                f"{self._label}: several rows have the same {', '.join(map(repr, self._where))}; without marker tables "
                "each row must be the only one with its where-columns"
            )
        super().settle(connection)


def first_of_duplicates(batch: pa.RecordBatch, status_column: str) -> pa.RecordBatch:
    """The batch without rows whose status says that their identifiers were seen on an earlier row."""
    position = batch.schema.get_field_index(status_column)
    if position < 0:
        return batch
    again = truth_values(pc.is_in(batch.column(position), value_set=repeated(RowStatus.DUPLICATE_IDENTIFIER.text, 1)))
    return batch.filter(from_truth(~again)) if again.any() else batch


def refuse_nulls(batch: pa.RecordBatch, columns: Sequence[str], label: str) -> None:
    """Refuse rows that could never be found again.

    :raises OutputError: names the column.
    """
    for name in columns:
        if batch.column(batch.schema.get_field_index(name)).null_count:
            raise OutputError(
                f"{label}: a row has no {name!r}, so a retry could not replace it; add a text column {JOB_COLUMN!r} to "
                "the table, or leave such rows out of the intake"
            )
