"""The marker of a job in the output's own database: who owns its rows, and whether they are complete.

Table ``monitoring_output_markers``, one row a job and output table. The first statement of every output transaction is
a conditional write of that row: it changes nothing when a newer attempt or another store holds it, and it locks the
row, so two attempts never write side by side. ``state`` is ``writing`` until the transaction that writes the last row
makes it ``complete``. What for: :mod:`airflow_monitoring_provider.jobs.run`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from airflow_monitoring_provider.exceptions import MonitoringError, OutcomeUnknown, OutputError, Superseded
from airflow_monitoring_provider.outputs import faults
from airflow_monitoring_provider.outputs.output import Attempt
from airflow_monitoring_provider.outputs.transactions import Database

WRITING, COMPLETE = "writing", "complete"
MARKERS, KEYS = "monitoring_output_markers", "monitoring_output_keys"


@dataclasses.dataclass(frozen=True, slots=True)
class Progress:
    """What a committed transaction left in the marker."""

    state: str
    position: int


class Markers:
    """The marker of one job.

    :ivar keys: the side table of identifiers written (:mod:`keyed`), which is made together with the markers.
    """

    def __init__(self, database: Database, attempt: Attempt, schema: str | None, table: str) -> None:
        self._database = database
        self._attempt = attempt
        self._table_name = table
        metadata = sa.MetaData(schema=schema)
        self._table = _marker_table(metadata)
        self.keys = _key_table(metadata)
        self._metadata = metadata
        mine = self._table.c
        self._own_row = sa.and_(mine.job_id == attempt.job_id, mine.output_table == table)

    def exist_or_are_made(self) -> bool:
        """Whether the tables are there; False where the login may not make them."""
        with faults.translated(self._database.label):
            try:
                with self._database.transaction() as connection:
                    if all(self._exists(connection, table) for table in self._metadata.sorted_tables):
                        return True
                    self._database.lock(connection, MARKERS)  # two at once would both create
                    self._metadata.create_all(connection, checkfirst=True)
                    self._database.commit(connection)
            except sa.exc.DBAPIError as error:
                if not faults.lacks_right(error):
                    raise
                return False
        return True

    def last_token(self) -> int:
        """The token in the marker, 0 where there is none; :class:`ConfigurationError` where it is another store's."""
        with self._database.looking() as connection, faults.translated(self._database.label):
            if not self._exists(connection, self._table):
                return 0
            found = self._found(connection)
        if found is None:
            return 0
        self._attempt.refuse_marker_of(found.store_id, 0, self._database.label)
        return int(found.token)

    def claim(self, connection: sa.Connection, *, created_table: bool = False) -> None:
        """Take the marker for this attempt, unless a newer one has it; the first statement of a write.

        :param created_table: this transaction makes the output table; remembered for later attempts and windows.
        :raises Superseded: a newer attempt owns the job.
        :raises ConfigurationError: another store's attempt wrote it last.
        """
        row = self._row(created_table)
        if self._database.dialect in ("postgresql", "sqlite"):
            taken = self._upsert(connection, row)
        else:
            taken = self._update_or_insert(connection, row)
        if not taken:
            raise self._refusal(connection)

    def confirm(self, connection: sa.Connection) -> None:
        """Make sure that the marker is still this attempt's; the first statement of every further transaction.

        :raises Superseded: a newer attempt owns the job.
        """
        self._set(connection, updated_at=sa.func.current_timestamp())

    def advance(self, connection: sa.Connection, position: int) -> Progress:
        """Record how many rows this transaction completes."""
        self._set(connection, position=position, updated_at=sa.func.current_timestamp())
        return Progress(WRITING, position)

    def complete(self, connection: sa.Connection, rows: int, checksum: str) -> Progress:
        """Record that all rows are there."""
        self._set(
            connection,
            state=COMPLETE,
            position=rows,
            row_count=rows,
            checksum=checksum,
            updated_at=sa.func.current_timestamp(),
        )
        return Progress(COMPLETE, rows)

    def made_by_this_definition(self, connection: sa.Connection) -> bool:
        """Whether a job of this definition made the output table."""
        mine = self._table.c
        found = connection.execute(
            sa.select(mine.job_id)
            .where(
                mine.definition_id == self._attempt.definition_id,
                mine.output_table == self._table_name,
                mine.created_table.is_(sa.true()),
            )
            .limit(1)
        )
        return found.first() is not None

    def settle(self, doubt: OutcomeUnknown, expected: Progress) -> None:
        """After a commit whose answer was lost: look whether it happened.

        Returns when it did.

        :raises Superseded: a newer attempt has taken the job since.
        :raises OutcomeUnknown: it did not, or nobody can be asked.
        """
        try:
            self._database.engine.dispose()  # its other connections broke as well, as likely as not
            with self._database.transaction() as connection, faults.translated(self._database.label):
                found = self._found(connection)
        except MonitoringError:
            raise doubt from None
        if found is None:
            raise doubt from None
        self._attempt.refuse_marker_of(found.store_id, found.token, self._database.label)
        written = (self._attempt.store_id, self._attempt.token, expected.state, expected.position)
        if (found.store_id, found.token, found.state, found.position) != written:
            raise doubt from None

    def _row(self, created_table: bool) -> dict[str, Any]:
        attempt = self._attempt
        return {
            "job_id": attempt.job_id,
            "output_table": self._table_name,
            "definition_id": attempt.definition_id,
            "window_start": attempt.bound("start"),
            "window_end": attempt.bound("end"),
            "store_id": attempt.store_id,
            "token": attempt.token,
            "state": WRITING,
            "row_count": None,
            "checksum": None,
            "position": 0,
            "created_table": created_table,
            "updated_at": sa.func.current_timestamp(),
        }

    def _upsert(self, connection: sa.Connection, row: dict[str, Any]) -> bool:
        dialect: Any = postgresql if self._database.dialect == "postgresql" else sqlite
        insert = dialect.insert(self._table).values(row)
        changes = {name: insert.excluded[name] for name in row if name not in ("job_id", "output_table")}
        changes["created_table"] = sa.or_(self._table.c.created_table, insert.excluded.created_table)
        upsert = insert.on_conflict_do_update(
            index_elements=[self._table.c.job_id, self._table.c.output_table],
            set_=changes,
            where=self._may_be_taken(),
        ).returning(self._table.c.token)
        return connection.execute(upsert).first() is not None

    def _update_or_insert(self, connection: sa.Connection, row: dict[str, Any]) -> bool:
        """The same for databases without ON CONFLICT; the primary key keeps two inserts apart."""
        changes = {name: value for name, value in row.items() if name not in ("job_id", "output_table")}
        if not row["created_table"]:
            del changes["created_table"]
        update = sa.update(self._table).where(self._own_row, self._may_be_taken()).values(changes)
        if connection.execute(update).rowcount:
            return True
        if connection.execute(sa.select(self._table.c.token).where(self._own_row)).first() is not None:
            return False
        connection.execute(sa.insert(self._table).values(row))
        return True

    def _set(self, connection: sa.Connection, **changes: Any) -> None:
        mine = self._table.c
        held = sa.and_(mine.store_id == self._attempt.store_id, mine.token == self._attempt.token)
        if not connection.execute(sa.update(self._table).where(self._own_row, held).values(changes)).rowcount:
            raise self._refusal(connection)

    def _may_be_taken(self) -> sa.ColumnElement[bool]:
        """The SQL of :meth:`Attempt.refuse_marker_of`, so that looking and taking are one statement."""
        mine, attempt = self._table.c, self._attempt
        return sa.and_(mine.store_id.in_([attempt.store_id, *attempt.continues]), mine.token <= attempt.token)

    def _found(self, connection: sa.Connection) -> sa.Row[str, int, str, int] | None:
        mine = self._table.c
        wanted = sa.select(mine.store_id, mine.token, mine.state, mine.position).where(self._own_row)
        found = connection.execute(wanted).one_or_none()
        try:
            int(0 if found is None else found.token)
        except (TypeError, ValueError):  # SQLite keeps text in any column
            raise OutputError(
                f"{self._database.label}: this job's row in {MARKERS} is damaged: its token is no number; delete the "
                "row while no job of this output runs"
            ) from None
        return found

    def _refusal(self, connection: sa.Connection) -> MonitoringError:
        """Why the marker could not be written."""
        found = self._found(connection)
        try:
            if found is not None:
                self._attempt.refuse_marker_of(found.store_id, found.token, self._database.label)
        except MonitoringError as refused:
            return refused
        return Superseded(
            f"{self._database.label}: somebody removed this job's marker while attempt "
            f"{self._attempt.token} wrote; it wrote nothing more"
        )

    def _exists(self, connection: sa.Connection, table: sa.Table) -> bool:
        return sa.inspect(connection).has_table(table.name, schema=table.schema)


def _marker_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        MARKERS,
        metadata,
        sa.Column("job_id", sa.String(255), primary_key=True),
        sa.Column("output_table", sa.String(255), primary_key=True),
        sa.Column("definition_id", sa.String(255), nullable=False, index=True),
        sa.Column("window_start", sa.String(40), nullable=False),
        sa.Column("window_end", sa.String(40), nullable=False),
        sa.Column("store_id", sa.String(255), nullable=False),
        sa.Column("token", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("row_count", sa.BigInteger),
        sa.Column("checksum", sa.String(64)),
        sa.Column("position", sa.BigInteger, nullable=False),
        sa.Column("created_table", sa.Boolean, nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True)),
    )


def _key_table(metadata: sa.MetaData) -> sa.Table:
    return sa.Table(
        KEYS,
        metadata,
        sa.Column("output_table", sa.String(255), primary_key=True),
        sa.Column("key_hash", sa.String(64), primary_key=True),
        sa.Column("job_id", sa.String(255), nullable=False, index=True),
        sa.Column("identifiers", sa.Text, nullable=False),
    )
