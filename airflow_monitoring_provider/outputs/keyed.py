"""Inserts into a table that was there before and has no ``monitoring_job_id``: its rows are known by their identifiers.

What was written is remembered in ``monitoring_output_keys``, in the same transaction; a retry removes the rows of those
keys. So a key may belong to one job only, and a row with it must not have been there before: both are refused, because
a retry would remove rows that this job did not write.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from airflow_monitoring_provider.exceptions import OutputError
from airflow_monitoring_provider.outputs.loading import cells
from airflow_monitoring_provider.outputs.stage import Stage
from airflow_monitoring_provider.outputs.statements import refuse_nulls
from airflow_monitoring_provider.outputs.tables import JOB_COLUMN, Target

_PAGE = 10_000


class Keyed:
    """A :class:`~airflow_monitoring_provider.outputs.statements.Statement` for such a table.

    :param keys: the side table.
    :param identifiers: unique row identifier columns.
    """

    unmatched = skipped = 0

    def __init__(self, target: Target, keys: sa.Table, identifiers: Sequence[str], job_id: str, label: str) -> None:
        self._target = target
        self._keys = keys
        self._identifiers = list(identifiers)
        self._job_id = job_id
        self._label = label
        self._rows: Stage | None = None
        self._names: Stage | None = None

    def clear(self, connection: sa.Connection) -> None:
        """See :class:`Statement`."""
        table, mine = self._target.table, self._mine()
        last = ""
        while page := self._page(connection, last):
            stage = Stage(connection, self._identifier_types(), self._identifiers, self._label)
            stage.add(_from_json([identifiers for _hash, identifiers in page], self._identifiers, connection))
            written = sa.exists(sa.select(stage.in_order).where(stage.matches(table, self._identifiers)))
            connection.execute(sa.delete(table).where(written))
            stage.drop()
            last = page[-1][0]
        connection.execute(sa.delete(self._keys).where(mine))

    def add(self, connection: sa.Connection, batch: pa.RecordBatch) -> None:
        """See :class:`Statement`.

        :raises OutputError: a row lacks an identifier.
        """
        refuse_nulls(batch, self._identifiers, self._label)
        if self._rows is None or self._names is None:
            types = {name: self._target.table.c[name].type for name in batch.schema.names}
            self._rows = Stage(connection, types, self._identifiers, self._label)
            named = {"key_hash": sa.String(64), "identifiers": sa.Text()}
            self._names = Stage(connection, named, ["key_hash"], self._label)
        self._rows.add(batch)
        self._names.add(_to_json(batch.select(self._identifiers)))

    def settle(self, connection: sa.Connection) -> None:
        """See :class:`Statement`.

        :raises OutputError: rows with these identifiers are there already, or another job wrote them.
        """
        if self._rows is None or self._names is None:
            return
        rows, names = self._rows, self._names
        self._rows = self._names = None
        self._refuse_known(connection, rows, names)
        self._remember(connection, names)
        columns = [column.name for column in rows.table.c if column.name in self._target.table.c]
        ordered = sa.select(*(rows.table.c[name] for name in columns)).order_by(rows.in_order)
        connection.execute(sa.insert(self._target.table).from_select(columns, ordered))
        rows.drop()
        names.drop()

    def _refuse_known(self, connection: sa.Connection, rows: Stage, names: Stage) -> None:
        advice = f"add a text column {JOB_COLUMN!r} to the table, or use statementType insert_update"
        others = sa.select(self._keys.c.key_hash).where(
            self._keys.c.output_table == self._target.table.name,
            self._keys.c.key_hash == names.table.c.key_hash,
            self._keys.c.job_id != self._job_id,
        )
        if connection.execute(others.limit(1)).first() is not None:
            raise OutputError(f"{self._label}: another job wrote rows with the same identifiers; {advice}")
        # Rows of this transaction's own earlier chunks have their keys remembered already.
        mine = sa.exists(
            sa.select(self._keys.c.key_hash).where(self._mine(), self._keys.c.key_hash == names.table.c.key_hash)
        )
        known = sa.select(rows.in_order).where(
            rows.matches(self._target.table, self._identifiers), rows.in_order == names.in_order, sa.not_(mine)
        )
        if connection.execute(known.limit(1)).first() is not None:
            raise OutputError(f"{self._label} holds rows with the same identifiers that no job wrote; {advice}")

    def _remember(self, connection: sa.Connection, names: Stage) -> None:
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        rows = sa.select(
            sa.literal(self._target.table.name, sa.Text()),
            names.table.c.key_hash,
            sa.literal(self._job_id, sa.Text()),
            sa.func.min(names.table.c.identifiers),
        ).group_by(names.table.c.key_hash)
        columns = ["output_table", "key_hash", "job_id", "identifiers"]
        insert = dialect.insert(self._keys).from_select(columns, rows.where(sa.true()))
        connection.execute(insert.on_conflict_do_nothing())

    def _page(self, connection: sa.Connection, after: str) -> list[tuple[str, str]]:
        page = (
            sa.select(self._keys.c.key_hash, self._keys.c.identifiers)
            .where(self._mine(), self._keys.c.key_hash > after)
            .order_by(self._keys.c.key_hash)
            .limit(_PAGE)
        )
        return [(row[0], row[1]) for row in connection.execute(page)]

    def _mine(self) -> sa.ColumnElement[bool]:
        return sa.and_(self._keys.c.output_table == self._target.table.name, self._keys.c.job_id == self._job_id)

    def _identifier_types(self) -> dict[str, sa.types.TypeEngine[Any]]:
        return {name: self._target.table.c[name].type for name in self._identifiers}


def _to_json(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The identifiers of each row as JSON text, and its SHA-256."""
    texts = [json.dumps([_jsonable(v) for v in row]) for row in zip(*map(cells, batch.columns), strict=True)]
    hashes = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    return pa.RecordBatch.from_arrays([pa.array(hashes), pa.array(texts)], names=["key_hash", "identifiers"])


def _from_json(texts: list[str], names: list[str], connection: sa.Connection) -> pa.RecordBatch:
    columns = zip(*(map(_from_jsonable, json.loads(text)) for text in texts), strict=True)
    return pa.RecordBatch.from_arrays([_column(list(values)) for values in columns], names=names)


def _jsonable(value: Any) -> Any:
    return {"hex": value.hex()} if isinstance(value, bytes) else value


def _from_jsonable(value: Any) -> Any:
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value


def _column(values: list[Any]) -> pa.Array:
    """The values of one identifier; of mixed types only where SQLite's untyped columns hold them, then as text."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([str(value) for value in values])
