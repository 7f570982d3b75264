"""How many rows have each key, for the keys of several columns at once.

A database reads a row once for all the keys of a statement where it knows grouping sets, which costs half as much as a
statement for each of them; others are asked column by column.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from airflow_monitoring_provider.engines.sql_part import Part, once

Expression = sa.ColumnElement[Any]
IntArray = npt.NDArray[np.int64]

_WITH_SETS = ("postgresql",)
_AT_ONCE = 4
"""Keys of a statement: as many as have their counts in the processor's cache together."""
_ROWS_AT_ONCE = 1 << 14


def tallied(
    part: Part, keys: Mapping[str, Expression], most: int | None = None, *, at_once: int = _AT_ONCE
) -> dict[str, IntArray | None]:
    """Name -> (n, 3): group, key and number of rows, of every key that is not null.

    :param keys: whole numbers of 64 bits, in terms of the part's rows.
    :param most: how many keys a column should have; None stands for one that may have more.
    :param at_once: how many keys one statement counts, at most 31.
    """
    names, found = list(keys), dict[str, IntArray | None]()
    if part.selection.connection.dialect.name in _WITH_SETS:
        for start in range(0, len(names), at_once):
            chosen = names[start : start + at_once]
            found |= _together(part, {name: keys[name] for name in chosen}, most)
    else:
        found = {name: _alone(part, keys[name], most) for name in names}
    return found


def _together(part: Part, keys: Mapping[str, Expression], most: int | None) -> dict[str, IntArray | None]:
    """By grouping sets, whose mask has a 0 where the column is (SQL:1999, T431).

    The keys of a column cross the wire as one string of bytes: a thousand of them cost Python what one row does.
    """
    limit = None if most is None else most * len(keys)
    seen = once(part, {f"k{place}": key for place, key in enumerate(keys.values())})
    columns = [seen.rows.c[f"k{place}"] for place in range(len(keys))]
    group = [] if seen.code is None else [seen.code]
    key = sa.func.coalesce(*columns) if len(columns) > 1 else columns[0]
    sets = sa.func.grouping_sets(*(sa.tuple_(*group, column) for column in columns))
    mask = sa.func.grouping(*columns)
    asked = sa.select(mask.label("mask"), seen.group().label("code"), key.label("key"), sa.func.count().label("rows"))
    inner = asked.select_from(seen.rows).group_by(sets).limit(limit).subquery("tallied")
    sent = [sa.func.int8send(sa.cast(inner.c[name], sa.BigInteger())) for name in ("code", "key", "rows")]
    line = sent[0].op("||")(sent[1]).op("||")(sent[2])
    lines = sa.func.string_agg(line, sa.literal(b"", sa.LargeBinary()), type_=sa.LargeBinary())
    packed = sa.select(inner.c.mask, sa.func.count(), lines).group_by(inner.c.mask)
    answers = part.selection.connection.execute(packed).all()
    if limit is not None and sum(int(rows) for _, rows, _ in answers) >= limit:
        return dict.fromkeys(keys)
    by_mask = {int(mask): np.frombuffer(packed or b"", ">i8").astype(np.int64) for mask, _, packed in answers}
    whole = (1 << len(keys)) - 1
    masks = {name: whole ^ (1 << (len(keys) - 1 - place)) for place, name in enumerate(keys)}
    return {name: by_mask.get(mask, np.zeros(0, np.int64)).reshape(-1, 3) for name, mask in masks.items()}


def _alone(part: Part, key: Expression, most: int | None) -> IntArray | None:
    seen = once(part, {"key": key})
    keys = [seen.rows.c.key] if seen.code is None else [seen.code, seen.rows.c.key]
    asked = sa.select(seen.group(), seen.rows.c.key, sa.func.count()).select_from(seen.rows).group_by(*keys)
    with part.selection.connection.execute(asked.limit(most)) as result:
        blocks = [
            np.array([tuple(row) for row in rows if row[1] is not None], np.int64).reshape(-1, 3)
            for rows in result.partitions(_ROWS_AT_ONCE)
        ]
    found = np.concatenate([np.zeros((0, 3), np.int64), *blocks])
    return None if most is not None and found.shape[0] >= most - 1 else found
