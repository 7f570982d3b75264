"""Rows of SQLite as Arrow batches, where any column may hold any value.

The declared type decides (:mod:`relation`; NUMERIC with a scale is float64, a date or timestamp is text as it stands).
A column without a declared type, and every column of a free query, gets the narrowest of int64, float64, binary and
text that holds its first 10 000 rows. Before rows are read the database is asked, in the same transaction, whether a
column holds a value that does not fit: then the whole column is delivered as text, so that no value is lost and no
batch differs from the next. Text that is not UTF-8 arrives with U+FFFD in place of the broken bytes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.intake.blocks import blocks
from airflow_monitoring_provider.intake.prefilter import sqlite_condition
from airflow_monitoring_provider.intake.relation import Relation, SqlType, arrow_type
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.profiles.arrays import as_texts, from_bytes, from_truth, from_values

SAMPLE_ROWS = 10_000

_FITTING = {"int64": ("integer",), "double": ("integer", "real"), "bool": ("integer",), "binary": ("blob", "text")}


@contextlib.contextmanager
def transaction(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction that sees one moment; it takes no lock before the first row is asked for."""
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        before, driver.isolation_level = driver.isolation_level, None
        try:
            with connection.begin():
                if not driver.in_transaction:
                    connection.exec_driver_sql("BEGIN")
                yield connection
        finally:
            driver.isolation_level = before


def prepare(_connection: sa.Connection) -> None:
    """Make texts of a transaction be those of every other one: they always are."""


def resolved(connection: sa.Connection, relation: Relation) -> Relation:
    """The relation with a type for every column, by the rules above."""
    unknown = [name for name, kind in relation.types.items() if isinstance(kind, sa.types.NullType)]
    decided = _sampled(connection, relation, unknown) if unknown else {}
    types = {name: decided.get(name) or _declared(kind) for name, kind in relation.types.items()}
    return Relation(relation.label, relation.source, types)


def condition(relation: Relation, window: TimeFilter) -> sa.ColumnElement[bool] | None:
    """What the database can leave out; see :mod:`prefilter`."""
    return sqlite_condition(relation.column(window.column), window)


def read_batches(
    connection: sa.Connection, relation: Relation, names: Sequence[str], rows: sa.Select[Any], most: int | None
) -> Iterator[pa.RecordBatch]:
    """The rows of a statement whose WHERE and ORDER BY are set, as batches of ``names`` in that order."""
    schema = _delivered(connection, relation, names, rows)
    statement = rows.with_only_columns(*(relation.column(name) for name in names))
    made = [pa.RecordBatch.from_arrays([], names=[])]

    def weight(block: Sequence[Any]) -> int:
        """Of a block when its batch is made: numbers weigh the same everywhere, what grows are texts and blobs."""
        return 64 * len(block) * len(names) + int(made[0].nbytes)

    with _text_as_bytes(connection), contextlib.closing(connection.execute(statement)) as result:
        cursor: Any = result.cursor  # the driver's: SQLAlchemy's own rows cost as much again as reading them
        for block in blocks(cursor.fetchmany, weight, most):
            values = zip(*block, strict=True)
            columns = [_typed(column, kind) for column, kind in zip(values, schema.types, strict=True)]
            made[0] = pa.RecordBatch.from_arrays(columns, schema=schema)
            yield made[0]


def texts(connection: sa.Connection, relation: Relation, names: Sequence[str], rows: sa.Select[Any]) -> list[str]:
    """The columns that :func:`read_batches` of these rows delivers as text although their type is another."""
    kinds = {name: arrow_type(relation.types[name]) for name in names}
    delivered = _delivered(connection, relation, names, rows)
    return [n for n in names if str(kinds[n]) in _FITTING and pa.types.is_string(delivered.field(n).type)]


@contextlib.contextmanager
def _text_as_bytes(connection: sa.Connection) -> Iterator[None]:
    """Text arrives as it is stored: the driver would end the read at the first character that is not UTF-8."""
    driver: Any = connection.connection.driver_connection
    before, driver.text_factory = driver.text_factory, bytes
    try:
        yield
    finally:
        driver.text_factory = before


def _declared(kind: SqlType) -> SqlType:
    """NUMERIC is a float here, as it is in the file, unless it is declared without fraction; REAL has eight bytes."""
    if isinstance(kind, sa.REAL):
        return sa.Double()
    if isinstance(kind, sa.Numeric) and not isinstance(kind, sa.Float):
        whole = kind.precision is not None and not kind.scale
        return sa.BigInteger() if whole else sa.Float()
    return kind


def _sampled(connection: sa.Connection, relation: Relation, names: Sequence[str]) -> dict[str, SqlType]:
    columns = [sa.func.typeof(relation.column(name)) for name in names]
    sample = sa.select(*columns).select_from(relation.source).limit(SAMPLE_ROWS)
    classes: list[set[str]] = [set() for _ in names]
    for row in connection.execute(sample):
        for found, stored in zip(classes, row, strict=True):
            found.add(stored)
    return {name: _narrowest(found - {"null"}) for name, found in zip(names, classes, strict=True)}


def _narrowest(classes: set[str]) -> SqlType:
    if not classes or "text" in classes:
        return sa.Text()
    if classes == {"blob"}:
        return sa.LargeBinary()
    if "blob" in classes:
        return sa.Text()
    return sa.BigInteger() if classes == {"integer"} else sa.Float()


def _delivered(connection: sa.Connection, relation: Relation, names: Sequence[str], rows: sa.Select[Any]) -> pa.Schema:
    """The types that every value of these rows fits."""
    kinds = {name: arrow_type(relation.types[name]) for name in names}
    wrong = {name: _misfit(relation.column(name), kind) for name, kind in kinds.items() if str(kind) in _FITTING}
    misfits: set[str] = set()
    unordered = rows.order_by(None)
    # Whether there is one at all is asked first: that costs a third of asking for each column. An OR of a thousand
    # columns would be deeper than SQLite takes.
    any_wrong = sa.case(*((question, 1) for question in wrong.values()), else_=0) == 1 if wrong else sa.false()
    one = unordered.with_only_columns(sa.literal(1, sa.Integer())).where(any_wrong).limit(1)
    if wrong and connection.execute(one).first() is not None:
        asked = [sa.func.max(sa.case((question, 1), else_=0)) for question in wrong.values()]
        answers = connection.execute(unordered.with_only_columns(*asked)).one()
        misfits = {name for name, answer in zip(wrong, answers, strict=True) if answer}
    temporal = {name for name, kind in kinds.items() if pa.types.is_temporal(kind)}
    return pa.schema([(n, pa.string() if n in misfits | temporal else kind) for n, kind in kinds.items()])


def _misfit(column: sa.ColumnElement[Any], kind: pa.DataType) -> sa.ColumnElement[bool]:
    """Where a value does not fit the type."""
    if pa.types.is_floating(kind):
        # Every text and every blob is greater than every number (SQLite's documentation, "Datatypes", 4.1), and a
        # comparison is several times as fast as asking for the type.
        wrong: sa.ColumnElement[bool] = sa.type_coerce(column, sa.Text()) >= sa.literal("", sa.Text())
        return wrong
    wrong = sa.func.typeof(column).not_in(["null", *_FITTING[str(kind)]])
    return sa.or_(wrong, column.not_in([0, 1])) if pa.types.is_boolean(kind) else wrong


def _typed(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_string(kind):
        return as_texts(_texts(values))
    if pa.types.is_binary(kind):
        return from_bytes(values, kind)
    if pa.types.is_floating(kind):
        doubles = np.array(values, dtype=np.float64)
        return from_values(doubles, kind, ~np.isnan(doubles))  # SQLite stores no NaN
    valid = None
    if None in values:
        valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
        values = [value or 0 for value in values]
    whole = np.array(values, dtype=np.int64)
    if pa.types.is_boolean(kind):
        return from_truth(whole != 0, valid)
    return from_values(whole, kind, valid)


def _texts(values: Sequence[Any]) -> pa.Array:
    """Stored values as bytes: texts and blobs as they are, numbers as Python writes them (``1``, ``1.0``)."""
    try:
        return from_bytes(values, pa.binary())
    except TypeError:
        return from_bytes([v if v is None or type(v) is bytes else repr(v).encode() for v in values], pa.binary())
