"""The distinct values of several columns in one statement of PostgreSQL, which reads a row once for all of them.

For columns of few levels alone: grouping sets of many are sorted where each by itself would be hashed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_monitoring_provider.intake.relation import SqlType
from airflow_monitoring_provider.profiles.arrays import fixed_width, from_values

Expression = sa.ColumnElement[Any]

AT_ONCE = 4
"""Columns of a statement: as many as have their counts in the processor's cache together."""
_SAMPLE = 20_000
_FEW = 2000
_HASHED = (sa.String, sa.Boolean, sa.Integer)
_UNLIKE = (postgresql.CITEXT, sa.Enum)


def of_few_levels(
    connection: sa.Connection, rows: sa.FromClause, names: Sequence[str], types: dict[str, SqlType]
) -> list[str]:
    """Those of which the first rows have few levels."""
    asked = [name for name in names if isinstance(types[name], _HASHED) and not isinstance(types[name], _UNLIKE)]
    if len(asked) < 2:
        return []
    sample = sa.select(*(rows.c[name] for name in asked)).select_from(rows).limit(_SAMPLE).subquery("sampled")
    columns = [sample.c[name] for name in asked]
    found: list[str] = []
    for start in range(0, len(columns), AT_ONCE):
        some = columns[start : start + AT_ONCE]
        shown = sa.func.grouping(*some).label("mask")
        sets = sa.func.grouping_sets(*map(sa.tuple_, some))
        inner = sa.select(shown).select_from(sample).group_by(sets).subquery("levels")
        counting = sa.select(inner.c.mask, sa.func.count()).group_by(inner.c.mask)
        counts = {int(mask): int(levels) for mask, levels in connection.execute(counting)}
        masks = [_mask(place, len(some)) for place in range(len(some))]
        found += [str(column.key) for column, own in zip(some, masks, strict=True) if counts.get(own, 0) <= _FEW]
    return found


def level_sets(
    rows: sa.FromClause, names: Sequence[str], types: dict[str, SqlType], code: Expression | None
) -> tuple[sa.Select[*tuple[Any, ...]], dict[str, SqlType]]:
    """A statement for the levels of these columns, and the types of what it selects: ``v0`` ..., ``rows``, ``code`` and
    ``mask``, for :func:`levels_of`.
    """
    columns: list[Expression] = [rows.c[name] for name in names]
    group = sa.literal(0, sa.BigInteger()) if code is None else sa.cast(code, sa.BigInteger())
    values = [column.label(f"v{place}") for place, column in enumerate(columns)]
    mask = sa.cast(sa.func.grouping(*columns), sa.BigInteger())
    asked = sa.select(*values, sa.func.count().label("rows"), group.label("code"), mask.label("mask"))
    asked = asked.select_from(rows).group_by(
        sa.func.grouping_sets(*(sa.tuple_(*([] if code is None else [code]), column) for column in columns))
    )
    selected: dict[str, SqlType] = {f"v{place}": types[name] for place, name in enumerate(names)}
    return (
        asked if code is None else asked.where(code.is_not(None)),
        selected | dict.fromkeys(("rows", "code", "mask"), sa.BigInteger()),
    )


def levels_of(batch: pa.RecordBatch, names: Sequence[str]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Name -> ``value``, ``rows`` and ``code`` of its levels."""
    masks = fixed_width(batch.column(len(names) + 2), np.int64)
    for place, name in enumerate(names):
        own = from_values(np.flatnonzero(masks == _mask(place, len(names))).astype(np.int64), pa.int64())
        if len(own):
            columns = [batch.column(which).take(own) for which in (place, len(names), len(names) + 1)]
            yield name, pa.RecordBatch.from_arrays(columns, names=["value", "rows", "code"])


def _mask(place: int, count: int) -> int:
    """What GROUPING gives of a row of one set: 0 in the column's bit, the last column's being the lowest."""
    return ((1 << count) - 1) ^ (1 << (count - 1 - place))
