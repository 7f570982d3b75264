"""The rows of a window as a database sees them, for aggregates that equal those of rows read."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, oracle, postgresql

from airflow_monitoring_provider.intake import words
from airflow_monitoring_provider.intake.copied import copied_column, shown_text
from airflow_monitoring_provider.intake.level_sets import AT_ONCE, level_sets, levels_of, of_few_levels
from airflow_monitoring_provider.intake.prefilter import exact_condition, skew
from airflow_monitoring_provider.intake.relation import Relation, SqlType, arrow_type
from airflow_monitoring_provider.intake.source import CannotPushDown, TimeFilter
from airflow_monitoring_provider.intake.sqlite import texts
from airflow_monitoring_provider.intake.sqlite_times import StoredTimes, check_zone, stored_times
from airflow_monitoring_provider.profiles.arrays import fixed_width, valid_flags
from airflow_monitoring_provider.profiles.instants import instants

Expression = sa.ColumnElement[Any]

_LITERALS: tuple[tuple[type, Any], ...] = (
    (bool, sa.Boolean()),
    (int, sa.BigInteger()),
    (Decimal, sa.Numeric()),
    (datetime, sa.DateTime()),
    (date, sa.Date()),
    (bytes, sa.LargeBinary()),
)
_WITHOUT_EQUALITY = (postgresql.JSON, postgresql.CITEXT)
_OWN_READERS = ("postgresql", "sqlite")  # others deliver what a driver makes of a value
_COMPARED = (sa.Boolean, sa.Integer, sa.Numeric, sa.Float, sa.DateTime, sa.Date, sa.String)
# A CLOB cannot be grouped; MySQL shows a FLOAT with six digits, and calculates with what it stores.
_NOT_COMPARED: dict[str, tuple[Any, ...]] = {
    "oracle": (oracle.CLOB, oracle.NCLOB, oracle.LONG),
    "mysql": (mysql.FLOAT, mysql.BIT),
    "mariadb": (mysql.FLOAT, mysql.BIT),
}
# Drivers of others lose the zone of a bound time, or columns are in the session's zone.
_ZONED = ("duckdb", "mssql")


@dataclasses.dataclass(frozen=True)
class SqlSelection:
    """A :class:`~airflow_monitoring_provider.intake.source.Selection`.

    :param reader: the intake's module for this database (:mod:`postgres`, :mod:`sqlite`).
    :param times: how SQLite's columns store their times, as far as it was asked.
    """

    connection: sa.Connection
    relation: Relation
    reader: Any
    condition: sa.ColumnElement[bool] | None
    times: dict[str, StoredTimes] = dataclasses.field(default_factory=dict)

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
        """See ``Selection``: columns hold what they say, and SQLite's are asked."""
        if self._is_generic:
            self._check_kinds(names)
        if self.connection.dialect.name != "sqlite":
            return
        odd = texts(self.connection, self.relation, list(dict.fromkeys(names)), self.rows())
        if odd:
            kind = arrow_type(self.relation.types[odd[0]])
            raise CannotPushDown(f"column {odd[0]!r} holds values that are no {kind}")

    def _check_kinds(self, names: Sequence[str]) -> None:
        dialect = self.connection.dialect.name
        for name in names:
            kind = self.relation.types[name]
            if not isinstance(kind, _COMPARED) or isinstance(kind, _NOT_COMPARED.get(dialect, ())):
                raise CannotPushDown(f"column {name!r} is {kind!s} in {dialect}, whose values are compared once read")

    def first(self, names: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
        """See ``Selection``."""
        yield from self.reader.read_batches(self.connection, self.relation, names, self.rows().limit(rows), None)

    def grouped(
        self, rows: sa.FromClause, names: Sequence[str], code: Expression | None = None
    ) -> Iterator[tuple[str, pa.RecordBatch]]:
        """See ``Selection``."""
        together: list[str] = []
        if self.connection.dialect.name == "postgresql":
            together = of_few_levels(self.connection, rows, names, self.relation.types)
        for start in range(0, len(together), AT_ONCE):
            some = together[start : start + AT_ONCE]
            for batch in self._fetched(*level_sets(rows, some, self.relation.types, code)):
                yield from levels_of(batch, some)
        for name in names:
            if name not in together:
                yield from ((name, batch) for batch in self._levels(rows, name, code))

    def _levels(self, rows: sa.FromClause, name: str, code: Expression | None) -> Iterator[pa.RecordBatch]:
        column: Expression = rows.c[name]
        kind = self.relation.types[name]
        keys = [column]
        if self.connection.dialect.name == "sqlite":
            # 1 and 1.0 are equal there and not the same text; a column may compare without regard to case.
            keys = [sa.collate(column, "BINARY"), sa.func.typeof(column)]
        elif isinstance(kind, _WITHOUT_EQUALITY):
            column, kind = sa.cast(column, sa.Text()), sa.Text()
            keys = [column]
        elif self._is_generic and isinstance(kind, sa.String):
            rows, code = self._told_apart(rows, column, code)
            column, keys = rows.c.value, [key for key in rows.c if key.key != "code"]
        group = sa.literal(0, sa.BigInteger()) if code is None else sa.cast(code, sa.BigInteger())
        inner = sa.select(column.label("value"), sa.func.count().label("rows"), group.label("code")).select_from(rows)
        if code is not None:
            inner, keys = inner.where(code.is_not(None)), [code, *keys]
        types = {"value": kind, "rows": sa.BigInteger(), "code": sa.BigInteger()}
        yield from self._fetched(inner.group_by(*keys), types)

    def key(self, name: str) -> list[Expression]:
        """See ``Selection``."""
        column, dialect = self.column(name), self.connection.dialect.name
        if not self._is_generic or not isinstance(self.relation.types[name], sa.String):
            return [column]
        text = words.exact_text(column, dialect)
        size = words.text_size(text, dialect)
        return [text] if size is None else [text, size]

    def _told_apart(
        self, rows: sa.FromClause, column: Expression, code: Expression | None
    ) -> tuple[sa.FromClause, Expression | None]:
        """Rows with a text as ``value``, by which and by ``size``, where there is one, its texts differ."""
        dialect = self.connection.dialect.name
        text = words.exact_text(column, dialect)
        size = words.text_size(text, dialect)
        columns = [text.label("value"), *([] if size is None else [size.label("size")])]
        columns += [] if code is None else [code.label("code")]
        told = sa.select(*columns).select_from(rows).subquery("told")
        return told, None if code is None else told.c.code

    @property
    def _is_generic(self) -> bool:
        return self.connection.dialect.name not in _OWN_READERS

    def _fetched(self, asked: sa.Select[*tuple[Any, ...]], types: dict[str, SqlType]) -> Iterator[pa.RecordBatch]:
        inner = asked.subquery("asked")
        source = sa.select(*map(sa.column, types)).select_from(inner).subquery("fetched")
        relation = Relation(self.relation.label, source, types)
        yield from self.reader.read_batches(
            self.connection, relation, list(types), sa.select().select_from(source), None
        )

    def double(self, column: Expression) -> Expression:
        """See ``Selection``."""
        kind = self._kind(column)
        if isinstance(kind, sa.Boolean):
            column = sa.cast(column, sa.Integer())
        if isinstance(kind, sa.REAL) and not self._is_generic:
            column = sa.cast(column, sa.Text())
        return sa.cast(column, words.DOUBLE)

    def is_nan(self, double: Expression) -> sa.ColumnElement[bool]:
        """See ``Selection``."""
        return words.is_nan(double, self.connection.dialect.name)

    def is_infinite(self, double: Expression, sign: int) -> sa.ColumnElement[bool]:
        """See ``Selection``."""
        return words.is_infinite(double, sign, self.connection.dialect.name)

    def is_finite(self, double: Expression) -> sa.ColumnElement[bool]:
        """See ``Selection``."""
        return words.is_finite(double, self.connection.dialect.name)

    def is_missing(self, name: str, column: Expression | None = None) -> sa.ColumnElement[bool]:
        """See ``Selection``."""
        column = self.column(name) if column is None else column
        if not isinstance(self.relation.types[name], sa.Numeric | sa.Float) or self.connection.dialect.name == "sqlite":
            return column.is_(None)
        return sa.or_(column.is_(None), self.is_nan(self.double(column)))

    def is_whole(self, name: str) -> bool:
        """See ``Selection``."""
        return bool(pa.types.is_integer(arrow_type(self.relation.types[name])))

    def check_compared(self, name: str) -> None:
        """See ``Selection``."""
        self.check_values([name])
        kind = arrow_type(self.relation.types[name])
        if pa.types.is_nested(kind) or pa.types.is_null(kind):
            raise CannotPushDown(f"column {name!r} arrives as {kind}, which is compared as text")
        self._check_texts([name])

    def equals(self, column: Expression, value: Any, kind: pa.DataType) -> sa.ColumnElement[bool]:
        """See ``Selection``."""
        if isinstance(value, float):
            double = self.double(column)
            return self.is_nan(double) if math.isnan(value) else self._is_number(double, value)
        sql: Any = next((made for python, made in _LITERALS if isinstance(value, python)), words.TEXT)
        if isinstance(value, datetime) and value.tzinfo is not None:
            sql = sa.DateTime(timezone=True)
        if isinstance(value, str) and "\ufffd" in value:
            raise CannotPushDown(f"column {column.key!r} holds the text {value!r}, which may stand for broken bytes")
        if isinstance(value, str) and self._is_generic:
            return words.same_text(column, value, self.connection.dialect.name)
        if self.connection.dialect.name == "sqlite":
            column = sa.collate(column, "BINARY") if isinstance(value, str) else column
        elif isinstance(value, str):
            column = shown_text(column, self._kind(column), self.connection.dialect.name)
        same: sa.ColumnElement[bool] = column == sa.literal(value, sql)
        return same

    def _is_number(self, double: Expression, value: float) -> sa.ColumnElement[bool]:
        if math.isinf(value):
            return self.is_infinite(double, 1 if value > 0 else -1)
        same: sa.ColumnElement[bool] = double == sa.literal(value, words.DOUBLE)
        return same

    def logarithm(self, double: Expression) -> Expression:
        """See ``Selection``."""
        dialect = self.connection.dialect.name
        return words.logarithm(double, dialect) if self._is_generic else self._function("ln", math.log, double)

    def root(self, double: Expression) -> Expression:
        """See ``Selection``."""
        return self._function("sqrt", math.sqrt, double)

    def greatest(self, doubles: Sequence[Expression]) -> Expression:
        """See ``Selection``."""
        return words.greatest(doubles)

    def _function(self, name: str, python: Callable[[float], float], double: Expression) -> Expression:
        """Not every SQLite is built with mathematics, so it gets Python's."""
        if self.connection.dialect.name != "sqlite":
            return getattr(sa.func, name)(double, type_=words.DOUBLE)  # type: ignore[no-any-return]
        driver: Any = self.connection.connection.driver_connection
        driver.create_function(f"monitoring_{name}", 1, _of_null(python), deterministic=True)
        return getattr(sa.func, f"monitoring_{name}")(double, type_=sa.Double())  # type: ignore[no-any-return]

    def copied(self, name: str) -> tuple[Expression, sa.ColumnElement[bool] | None]:
        """See ``Selection``."""
        return copied_column(self.column(name), self.relation.types[name], self.connection.dialect.name)

    def check_copied(self, names: Sequence[str]) -> None:
        """See ``Selection``."""
        for name in names:
            self.copied(name)
        self.check_values(names)
        self._check_texts(names)

    def _check_texts(self, names: Sequence[str]) -> None:
        if self.connection.dialect.name != "sqlite":
            return
        texts = [name for name in names if pa.types.is_string(arrow_type(self.relation.types[name]))]
        odd = [sa.func.count(sa.case((sa.func.typeof(self.column(n)).not_in(["text", "null"]), 1))) for n in texts]
        for name, count in zip(texts, self.connection.execute(self.rows(*odd)).one() if odd else (), strict=True):
            if count:
                raise CannotPushDown(f"column {name!r} is text and holds values that are none")

    def cancel(self) -> None:
        """See ``Selection``."""
        words.cancel(self.connection)

    def prepare(self, connection: sa.Connection) -> None:
        """See ``Selection``."""
        self.reader.prepare(connection)

    def instants(
        self, rows: sa.FromClause, name: str, zone: str, code: Expression | None = None
    ) -> dict[int, tuple[int | None, int | None]]:
        """See ``Selection``."""
        times: StoredTimes | None = None
        column: Expression = rows.c[name]
        if self.connection.dialect.name == "sqlite":
            times = self._stored_times(name)
            column = times.key(column)
        group = sa.literal(0, sa.BigInteger()) if code is None else sa.cast(code, sa.BigInteger())
        bounds = sa.select(group.label("code"), sa.func.min(column).label("low"), sa.func.max(column).label("high"))
        bounds = bounds.select_from(rows)
        if code is not None:
            bounds = bounds.where(code.is_not(None)).group_by(code)
        found: dict[int, tuple[int | None, int | None]] = {}
        if times is not None:
            for group_of, *keys in self.connection.execute(bounds):
                found[int(group_of)] = (times.instant(keys[0], zone), times.instant(keys[1], zone))
            return found
        kind = self.relation.types[name]
        if self._is_generic and isinstance(kind, sa.String):
            raise CannotPushDown(f"timestamp column {name!r} is text, whose times have another order than their texts")
        for batch in self._fetched(bounds, {"code": sa.BigInteger(), "low": kind, "high": kind}):
            ends = []
            for bound in batch.columns[1:]:
                read = instants(bound, zone)
                valid = valid_flags(read).tolist()
                ticks = fixed_width(read, np.int64).tolist()
                ends.append([n if there else None for n, there in zip(ticks, valid, strict=True)])
            groups = fixed_width(batch.column(0), np.int64).tolist()
            found |= dict(zip(groups, zip(*ends, strict=True), strict=True))
        return found

    def _stored_times(self, name: str) -> StoredTimes:
        if name not in self.times:
            self.times[name] = stored_times(self.connection, self.relation, name, self.condition)
        return self.times[name]

    def _kind(self, column: Any) -> SqlType:
        return self.relation.types[str(column.name)]


def select_window(
    connection: sa.Connection, relation: Relation, window: TimeFilter | None, reader: Any
) -> SqlSelection:
    """The selection of a window's rows, cut by the database to the row.

    :raises CannotPushDown: it cannot, so that each row's time would have to be looked at.
    """
    if window is None:
        return SqlSelection(connection, relation, reader, None)
    dialect, kind = connection.dialect.name, relation.types[window.column]
    if dialect == "sqlite":
        column = relation.column(window.column)
        times = stored_times(connection, relation, window.column, reader.condition(relation, window))
        check_zone(times, window)
        condition = times.inside(column, window)
        return SqlSelection(connection, relation, reader, condition, {window.column: times})
    bounds = [bound for bound in (window.start, window.end) if bound is not None]
    exact = isinstance(kind, sa.DateTime) and len(bounds) == 2
    if exact and not kind.timezone:  # type: ignore[attr-defined]
        exact = not any(skew(window.timezone, bound) for bound in bounds)
    if dialect == "oracle" and any(bound.microsecond for bound in bounds):
        exact = False  # a time is bound as a DATE there, to the second
    if not exact:
        raise CannotPushDown(
            f"timestamp column {window.column!r} ({arrow_type(kind)} in {dialect}) cannot be cut to the row there"
        )
    if dialect not in _OWN_READERS:
        if kind.timezone and dialect not in _ZONED:  # type: ignore[attr-defined]
            raise CannotPushDown(
                f"timestamp column {window.column!r} has a zone, and a time that is bound in {dialect} has none"
            )
        return SqlSelection(connection, relation, reader, exact_condition(relation.column(window.column), kind, window))
    return SqlSelection(connection, relation, reader, reader.condition(relation, window))


def _of_null(python: Callable[[float], float]) -> Callable[[float | None], float | None]:
    return lambda value: None if value is None else python(value)
