"""A temporary table that holds rows until they meet the output's in one statement.

Client memory stays at one batch, and a job of any size is matched with the output by one join instead of row by row.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.outputs.loading import load
from airflow_monitoring_provider.outputs.tables import quoted

_numbers = itertools.count()


class Stage:
    """Rows of one transaction; gone at its end.

    :param columns: name and SQL type of each.
    :param keys: columns to look rows up by.
    """

    def __init__(
        self,
        connection: sa.Connection,
        columns: Mapping[str, sa.types.TypeEngine[Any]],
        keys: Sequence[str],
        label: str,
    ) -> None:
        self._connection = connection
        self._label = label
        self._count = 0
        suffix = f"{os.getpid()}_{next(_numbers)}"
        self._order = f"monitoring_order_{suffix}"
        self.table = sa.Table(
            f"monitoring_stage_{suffix}",
            sa.MetaData(),
            sa.Column(self._order, sa.BigInteger),
            *(sa.Column(quoted(name, connection), _plain(kind, connection)) for name, kind in columns.items()),
            prefixes=["TEMPORARY"],
            postgresql_on_commit="DROP",
        )
        self.table.create(connection, checkfirst=False)
        if connection.dialect.name == "sqlite" and keys:  # others join by hashing
            sa.Index(f"monitoring_index_{suffix}", *(self.table.c[key] for key in keys)).create(connection)

    def add(self, batch: pa.RecordBatch) -> None:
        """Hold the rows of a batch."""
        order = np.arange(self._count, self._count + batch.num_rows, dtype=np.int64)
        column = pa.Array.from_buffers(pa.int64(), batch.num_rows, [None, pa.py_buffer(order)])
        numbered = pa.RecordBatch.from_arrays([column, *batch.columns], names=[self._order, *batch.schema.names])
        load(self._connection, self.table, numbered, self._label)
        self._count += batch.num_rows

    @property
    def in_order(self) -> sa.ColumnElement[Any]:
        """What to sort by to get rows in the order in which they came."""
        return self.table.c[self._order]

    def keep_last(self, keys: Sequence[str]) -> int:
        """Of rows with equal keys keep the last, as if each had been written in turn; rows with a null key all stay.

        Returns how many went.
        """
        columns = [self.table.c[key] for key in keys]
        rank = sa.func.row_number().over(partition_by=columns, order_by=self.in_order.desc())
        ranked = sa.select(self.in_order.label("row"), rank.label("rank")).where(*(c.is_not(None) for c in columns))
        numbered = ranked.subquery("ranked")
        earlier = sa.select(numbered.c.row).where(numbered.c.rank > 1)
        return self._connection.execute(sa.delete(self.table).where(self.in_order.in_(earlier))).rowcount

    def matches(self, table: sa.Table, keys: Iterable[str]) -> sa.ColumnElement[bool]:
        """Equality of the keys with another table's."""
        return sa.and_(*(table.c[key] == self.table.c[key] for key in keys))

    def drop(self) -> None:
        """Remove it before its transaction ends (SQLite's outlive it)."""
        if self._connection.dialect.name != "postgresql":
            self.table.drop(self._connection, checkfirst=False)


def _plain(kind: sa.types.TypeEngine[Any], connection: sa.Connection) -> sa.types.TypeEngine[Any]:
    """A type for a copy of a column: of the same comparison rules, without sequences or defaults."""
    if isinstance(kind, sa.types.NullType):
        return sa.LargeBinary() if connection.dialect.name == "sqlite" else sa.Text()  # BLOB is SQLite's "any value"
    return kind
