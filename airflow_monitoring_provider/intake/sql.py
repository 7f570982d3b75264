"""Rows of a table, view or query of any database that an Airflow connection leads to.

Identifiers go through SQLAlchemy's quoting and must exist; values are bound. A free query is the author's own text: it
is wrapped as ``SELECT … FROM (<query>) AS intake``, so it must be one SELECT, and it runs in the same read-only
transaction as everything else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import Partitions, SqlIntake
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake import adbc, generic, postgres, sqlite
from airflow_monitoring_provider.intake.adbc_dialect import is_sqlite
from airflow_monitoring_provider.intake.faults import translated
from airflow_monitoring_provider.intake.parts import PartSource, SourcePart, SourceParts
from airflow_monitoring_provider.intake.prefilter import unreadable_text
from airflow_monitoring_provider.intake.query import checked_query
from airflow_monitoring_provider.intake.relation import Relation, arrow_type, find_table
from airflow_monitoring_provider.intake.selection import SqlSelection, select_window
from airflow_monitoring_provider.intake.source import (
    CannotPushDown,
    Selection,
    TimeFilter,
    checked_columns,
    gathered,
    listed,
)
from airflow_monitoring_provider.intake.window_cut import WindowCut
from airflow_monitoring_provider.intake.words import COMPILED, PROVEN, cannot

_MOST_COUNTED = 1001  # one more than a categorical metric may have
_READERS: dict[str, Any] = {"postgresql": postgres, "sqlite": sqlite, "adbc": adbc}
_READ_ONLY = ("postgresql", "sqlite")  # whose transactions are

_SORTED = (sa.Boolean, sa.Numeric, sa.Float, sa.Integer, sa.DateTime, sa.Date, sa.String, sa.LargeBinary)


class SqlSource:
    """A :class:`~airflow_monitoring_provider.intake.source.RowSource` over a database.

    Memory: one batch. On SQLite a read holds a shared lock until its context ends: outside of WAL mode nobody can
    commit to the same file meanwhile.

    :param engine: of the intake's connection; it is not disposed.
    :param order_by: columns to sort by, so that equal ones are adjacent; of equal ones the earliest comes first, then
        the one whose other values are smaller, so that every reading gives one order. Without, rows come as the
        database stores them, which is the same order as long as nobody changes the table.
    """

    def __init__(self, engine: sa.Engine, intake: SqlIntake, order_by: Sequence[str] = ()) -> None:
        self._engine = engine
        self._intake = intake
        self._reader: Any = _READERS.get(engine.dialect.name, generic)
        self._relation: Relation | None = None
        what = "the query" if intake.query is not None else f"table {intake.table!r}"
        self.label = f"{what} of connection {intake.connection_id!r}"
        self.ordered_by = tuple(order_by)

    def schema(self) -> pa.Schema:
        """Every column with its decided type (:mod:`relation`, :mod:`sqlite`).

        :raises SourceError: the table does not exist, or the query is not one SELECT.
        :raises SourceUnavailable: the database cannot be reached or is locked.
        """
        with translated(self.label), self._reader.transaction(self._engine) as connection:
            types = self._resolved(connection).types
        return pa.schema([(name, arrow_type(kind)) for name, kind in types.items()])

    @contextlib.contextmanager
    def read(self, columns: Sequence[str], window: TimeFilter | None) -> Iterator[Iterator[pa.RecordBatch]]:
        """See :meth:`RowSource.read`."""
        with contextlib.ExitStack() as session:
            with translated(self.label):
                connection = session.enter_context(self._reader.transaction(self._engine))
                relation = self._resolved(connection)
            needed = [*columns, *self.ordered_by, *([window.column] if window else [])]
            checked_columns(needed, list(relation.types), self.label)
            rows = self._batches(connection, relation, list(columns), window)
            batches = gathered(rows)
            try:
                yield batches
            finally:
                with translated(self.label):
                    batches.close()
                    # A signal that raised while rows were gathered keeps them open by its traceback, and with them the
                    # lock of psycopg's connection, for which the end of the transaction would wait for ever.
                    rows.close()
                    session.close()

    @contextlib.contextmanager
    def selection(self, window: TimeFilter | None) -> Iterator[SqlSelection]:
        """See :meth:`Selectable.selection`.

        :raises CannotPushDown: the window cannot be cut exactly, or it is a database that no statement is made for.
        """
        if self._engine.dialect.name not in (*PROVEN, *COMPILED):
            raise CannotPushDown(str(cannot(self._engine.dialect)))
        moment = generic.moment if self._reader is generic else self._reader.transaction
        with translated(self.label), moment(self._engine) as connection:
            relation = self._resolved(connection)
            checked_columns([window.column] if window else [], list(relation.types), self.label)
            yield select_window(connection, relation, window, self._reader)

    def null_timestamps(self, column: str) -> int:
        """Rows whose ``column`` is null, or holds text that does not look like a time.

        :raises SourceError: the column does not exist.
        """
        with translated(self.label), self._reader.transaction(self._engine) as connection:
            relation = self._resolved(connection)
            checked_columns([column], list(relation.types), self.label)
            stamp = relation.column(column)
            lost = sa.or_(stamp.is_(None), unreadable_text(stamp, relation.types[column], connection.dialect.name))
            count = self._rows(relation, None).with_only_columns(sa.func.count()).where(lost)
            return int(connection.scalar(count) or 0)

    def parts(self, partitions: Partitions, columns: Sequence[str], window: TimeFilter | None) -> SourceParts:
        """See :meth:`RowSource.parts` and :mod:`sql_parts`."""
        from airflow_monitoring_provider.intake.sql_parts import as_parts, cut_column, find_parts

        by = cut_column(partitions, window, self.ordered_by, self.label)
        with translated(self.label), self._reader.transaction(self._engine) as connection:
            relation = self._resolved(connection)
            names = list(dict.fromkeys([*columns, *self.ordered_by, *([window.column] if window else [])]))
            checked_columns([*names, *([by] if by else [])], list(relation.types), self.label)
            rows = self._rows(relation, window)
            texts = self._reader.texts(connection, relation, names, rows)
            key = self._sort_key(relation.column(by or names[0]))
            # ADBC drivers take a bound value only as the column's own type.
            whole = not by or self._reader is adbc
            most = partitions.model_copy(update={"count": 1}) if whole else partitions
            bounds, count = find_parts(connection, key, rows, most, self.label)
        return as_parts(by, bounds, texts, count)

    def part(self, part: SourcePart, schema: pa.Schema) -> PartSource:
        """See :meth:`RowSource.part`."""
        from airflow_monitoring_provider.intake.sql_parts import SqlPart

        return SqlPart(self, part, schema)

    def _resolved(self, connection: sa.Connection) -> Relation:
        if self._relation is None:
            if self._intake.query is not None:
                found = _find_query(connection, self._intake.query, self.label)
            else:
                found = _find_table(connection, self._intake, self.label)
            self._relation = self._reader.resolved(connection, found)
        return self._relation

    def _batches(
        self, connection: sa.Connection, relation: Relation, columns: list[str], window: TimeFilter | None
    ) -> Generator[pa.RecordBatch]:
        names = columns if window is None or window.column in columns else [*columns, window.column]
        rows = self._rows(relation, window).order_by(*self._order(relation, names, window))
        cut = None if window is None else WindowCut(window)
        with translated(self.label):
            arriving = self._reader.read_batches(connection, relation, names, rows, self._intake.fetch_size)
            with contextlib.closing(arriving):
                for batch in self._arriving(arriving):
                    yield batch if cut is None else cut.cut(batch).select(columns)
            self._judge(connection, relation, cut)

    def _rows(self, relation: Relation, window: TimeFilter | None) -> sa.Select[Any]:
        """Of the rows of this source those that may lie in the window."""
        rows = sa.select().select_from(relation.source)
        for condition in (None if window is None else self._reader.condition(relation, window), self._range(relation)):
            if condition is not None:
                rows = rows.where(condition)
        return rows

    def _range(self, relation: Relation) -> sa.ColumnElement[bool] | None:
        """Which rows are of this source; None for all."""
        return None

    def _arriving(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return batches

    def _order(
        self, relation: Relation, names: Sequence[str], window: TimeFilter | None
    ) -> list[sa.ColumnElement[Any]]:
        if not self.ordered_by:
            return []
        order = [self._sort_key(relation.column(name)) for name in self.ordered_by]
        for name in dict.fromkeys([*([window.column] if window else []), *names]):
            if name not in self.ordered_by:
                column, kind = relation.column(name), relation.types[name]
                # Not every type has an order (PostgreSQL's json has none), and all have a text.
                order.append(self._sort_key(column if isinstance(kind, _SORTED) else sa.cast(column, sa.Text)))
        return order

    def _sort_key(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        # SQLite compares by the column's declared collation; NOCASE would let other rows come between equal ones.
        return sa.collate(column, "BINARY") if is_sqlite(self._engine.dialect) else column

    def _judge(self, connection: sa.Connection, relation: Relation, cut: WindowCut | None) -> None:
        """Nothing that arrived is a time: an error, unless the database left out rows because it could read theirs."""
        if cut is not None and cut.nothing_readable and not self._leaves_out(connection, relation, cut.window):
            raise cut.unreadable_error(self.label, arrow_type(relation.types[cut.window.column]))

    def _leaves_out(self, connection: sa.Connection, relation: Relation, window: TimeFilter) -> bool:
        """Whether there are rows whose time the database could place outside the window."""
        condition = self._reader.condition(relation, window)
        if condition is None:
            return False
        column = relation.column(window.column)
        others = self._rows(relation, None).with_only_columns(column).where(column.is_not(None), sa.not_(condition))
        return connection.execute(others.limit(1)).first() is not None


def aggregated(selection: Selection, expression: str, samples: str | None, label: str) -> tuple[Any, int]:
    """What an author's aggregate expression gives over a window's rows, and how many samples are behind it.

    :param samples: an aggregate that counts them; None: all rows.
    :raises SourceError: it is not one expression, gives a value for each row, or the database refuses it.
    """
    with translated(label):
        answers = selection.connection.execute(selection.rows(_expression(selection, expression)).limit(2)).all()
        if len(answers) != 1:
            raise SourceError("the expression of a custom metric must be an aggregate: it gives one value for each row")
        counter: sa.ColumnElement[Any] = sa.func.count() if samples is None else _expression(selection, samples)
        count = selection.connection.execute(selection.rows(counter)).all()
    if len(count) != 1 or isinstance(count[0][0], bool) or not isinstance(count[0][0], int) or count[0][0] < 0:
        raise SourceError("sampleCountSql of a custom metric must be an aggregate that gives a whole number")
    return answers[0][0], count[0][0]


def counted(selection: Selection, expression: str, label: str) -> dict[str, int]:
    """How many rows an author's expression gives each text for; null is none. Errors as :func:`aggregated`."""
    value = sa.cast(_expression(selection, expression), sa.Text).label("value")
    with translated(label):
        grouped = selection.rows(value).subquery("valued")
        query = (
            sa.select(grouped.c.value, sa.func.count()).where(grouped.c.value.is_not(None)).group_by(grouped.c.value)
        )
        return {str(name): int(rows) for name, rows in selection.connection.execute(query.limit(_MOST_COUNTED))}


def _expression(selection: Selection, text: str) -> sa.ColumnElement[Any]:
    """An author's expression in parentheses that nothing leaves; the line break ends a comment in its last line.

    :raises CannotPushDown: the database's transaction is not read-only.
    """
    dialect = selection.connection.dialect.name
    if dialect not in _READ_ONLY:
        raise CannotPushDown(
            f"SQL of custom metrics runs inside {' and '.join(_READ_ONLY)} only, and this is {dialect}"
        )
    checked = checked_query(f"SELECT {text}", dialect).removeprefix("SELECT ")
    return sa.literal_column(f"({checked}\n)").label("value")


def _everything() -> sa.ColumnElement[Any]:
    return sa.literal_column("*")


def _find_table(connection: sa.Connection, intake: SqlIntake, label: str) -> Relation:
    if connection.dialect.name == "adbc":
        return adbc.find_table(connection, intake, _everything(), label)
    return find_table(connection, intake, label)


def _find_query(connection: sa.Connection, query: str, label: str) -> Relation:
    """The columns of a query, without running it for a row."""
    text = checked_query(query, connection.dialect.name)
    # A colon would be a bound parameter to SQLAlchemy; the line break ends a comment in the query's last line.
    body = sa.text(text.replace(":", "\\:") + "\n")
    if connection.dialect.name == "adbc":
        return adbc.find_query(connection, body, _everything(), label)
    probe: sa.Select[Any] = sa.select(_everything()).select_from(body.columns().subquery("intake")).where(sa.false())
    result = connection.execute(probe)
    description = result.cursor.description if result.cursor is not None else ()
    names = [column[0] for column in description]
    described = getattr(_READERS.get(connection.dialect.name), "described_type", lambda _column: sa.types.NullType())
    types = {column[0]: described(column) for column in description}
    result.close()
    if len(types) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise SourceError(f"{listed('the query gives two columns one name:', twice)}; rename them with AS")
    return Relation(label, body.columns(*map(sa.column, names)).subquery("intake"), types)
