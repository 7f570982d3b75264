"""The rows of a window as PostgreSQL and SQLite see them, for aggregates that equal those of rows read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_monitoring_provider.intake.copied import copied_column
from airflow_monitoring_provider.intake.prefilter import skew
from airflow_monitoring_provider.intake.relation import Relation, SqlType, arrow_type
from airflow_monitoring_provider.intake.source import CannotPushDown, TimeFilter
from airflow_monitoring_provider.intake.sqlite import texts
from airflow_monitoring_provider.profiles.arrays import fixed_width, valid_flags
from airflow_monitoring_provider.profiles.instants import instants

Expression = sa.ColumnElement[Any]

_WITHOUT_EQUALITY = (postgresql.JSON, postgresql.CITEXT)


@dataclasses.dataclass(frozen=True)
class SqlSelection:
    """A :class:`~airflow_monitoring_provider.intake.source.Selection`.

    :param reader: the intake's module for this database (:mod:`postgres`, :mod:`sqlite`).
    """

    connection: sa.Connection
    relation: Relation
    reader: Any
    condition: sa.ColumnElement[bool] | None
    timezone: str

    @property
    def types(self) -> pa.Schema:
        """See ``Selection``."""
        return pa.schema([(name, arrow_type(kind)) for name, kind in self.relation.types.items()])

    def column(self, name: str) -> Expression:
        """See ``Selection``."""
        return self.relation.column(name)

    def rows(self, *columns: Expression) -> sa.Select[Any]:
        """See ``Selection``."""
        rows = sa.select(*columns).select_from(self.relation.source)
        return rows if self.condition is None else rows.where(self.condition)

    def check_values(self, names: Sequence[str]) -> None:
        """See ``Selection``: PostgreSQL's columns hold what they say, SQLite's are asked."""
        if self.connection.dialect.name != "sqlite":
            return
        odd = texts(self.connection, self.relation, list(dict.fromkeys(names)), self.rows())
        if odd:
            kind = arrow_type(self.relation.types[odd[0]])
            raise CannotPushDown(f"column {odd[0]!r} holds values that are no {kind}")

    def first(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """See ``Selection``."""
        yield from self.reader.read_batches(self.connection, self.relation, names, self.rows().limit(rows), None)

    def grouped(self, rows: sa.FromClause, name: str) -> Iterator[pa.RecordBatch]:
        """See ``Selection``."""
        column: Expression = rows.c[name]
        kind = self.relation.types[name]
        keys = [column]
        if self.connection.dialect.name == "sqlite":
            # 1 and 1.0 are equal there and not the same text; a column may compare without regard to case.
            keys = [sa.collate(column, "BINARY"), sa.func.typeof(column)]
        elif isinstance(kind, _WITHOUT_EQUALITY):
            column, kind = sa.cast(column, sa.Text()), sa.Text()
            keys = [column]
        inner = sa.select(column.label("value"), sa.func.count().label("rows")).select_from(rows).group_by(*keys)
        counted = inner.subquery("grouped")
        source = sa.select(sa.column("value"), sa.column("rows")).select_from(counted).subquery("levels")
        types = {"value": kind, "rows": sa.BigInteger()}
        relation = Relation(self.relation.label, source, types)
        yield from self.reader.read_batches(
            self.connection, relation, ["value", "rows"], sa.select().select_from(source), None
        )

    def double(self, column: Expression) -> Expression:
        """See ``Selection``."""
        kind = self._kind(column)
        if isinstance(kind, sa.Boolean):
            column = sa.cast(column, sa.Integer())
        if isinstance(kind, sa.REAL):
            column = sa.cast(column, sa.Text())
        return sa.cast(column, sa.Double())

    def is_nan(self, double: Expression) -> sa.ColumnElement[bool]:
        """See ``Selection``; SQLite stores none."""
        if self.connection.dialect.name == "sqlite":
            return sa.false()
        nan: sa.ColumnElement[bool] = double.in_([sa.literal(math.nan, sa.Double())])
        return nan

    def is_whole(self, name: str) -> bool:
        """See ``Selection``."""
        return bool(pa.types.is_integer(arrow_type(self.relation.types[name])))

    def equals(self, column: Expression, value: Any, kind: pa.DataType) -> sa.ColumnElement[bool]:
        """See ``Selection``."""
        if not (pa.types.is_string(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
            raise CannotPushDown(f"actuals arrive as {kind}, which is compared as text")
        sql: Any = {bool: sa.Boolean(), int: sa.BigInteger()}.get(type(value), sa.Text())
        if self.connection.dialect.name == "sqlite":
            column = sa.collate(column, "BINARY")
        elif pa.types.is_string(kind) and not isinstance(self._kind(column), sa.Text):
            column = sa.cast(column, sa.Text())
        same: sa.ColumnElement[bool] = column == sa.literal(value, sql)
        return same

    def logarithm(self, double: Expression) -> Expression:
        """See ``Selection``; not every SQLite is built with one, so it gets Python's."""
        if self.connection.dialect.name != "sqlite":
            return sa.func.ln(double)
        driver: Any = self.connection.connection.driver_connection
        driver.create_function("monitoring_ln", 1, math.log, deterministic=True)
        return sa.func.monitoring_ln(double, type_=sa.Double())

    def copied(self, name: str) -> tuple[Expression, sa.ColumnElement[bool] | None]:
        """See ``Selection``."""
        return copied_column(self.column(name), self.relation.types[name], self.connection.dialect.name)

    def check_copied(self, names: Sequence[str]) -> None:
        """See ``Selection``."""
        for name in names:
            self.copied(name)
        self.check_values(names)
        if self.connection.dialect.name != "sqlite":
            return
        texts = [name for name in names if pa.types.is_string(self.types.field(name).type)]
        odd = [sa.func.count(sa.case((sa.func.typeof(self.column(n)).not_in(["text", "null"]), 1))) for n in texts]
        for name, count in zip(texts, self.connection.execute(self.rows(*odd)).one() if odd else (), strict=True):
            if count:
                raise CannotPushDown(f"column {name!r} is text and holds values that are none")

    def prepare(self, connection: sa.Connection) -> None:
        """See ``Selection``."""
        self.reader.prepare(connection)

    def instants(self, bounds: sa.Select[Any], name: str) -> tuple[int | None, int | None]:
        """See ``Selection``."""
        source = bounds.subquery("bounds")
        kind = self.relation.types[name]
        relation = Relation(self.relation.label, source, {"low": kind, "high": kind})
        read = self.reader.read_batches(
            self.connection, relation, ["low", "high"], sa.select().select_from(source), None
        )
        found: list[int | None] = []
        for batch in read:
            for column in batch.columns:
                times = instants(column, self.timezone)
                (instant,), (there,) = fixed_width(times, np.int64).tolist(), valid_flags(times).tolist()
                found.append(instant if there else None)
        return found[0], found[1]

    def _kind(self, column: Any) -> SqlType:
        return self.relation.types[str(column.name)]


def exact_condition(relation: Relation, window: TimeFilter | None, reader: Any, dialect: str) -> Any:
    """The window as the database can cut it, to the row.

    :raises CannotPushDown: it cannot, so that each row's time would have to be looked at.
    """
    if window is None:
        return None
    kind = relation.types[window.column]
    bounds = [window.start, window.end]
    exact = isinstance(kind, sa.DateTime) and dialect == "postgresql" and None not in bounds
    if exact and not kind.timezone:  # type: ignore[attr-defined]
        exact = not any(skew(window.timezone, bound) for bound in bounds if bound is not None)
    if not exact:
        raise CannotPushDown(
            f"timestamp column {window.column!r} ({arrow_type(kind)} in {dialect}) cannot be cut to the row there"
        )
    return reader.condition(relation, window)
