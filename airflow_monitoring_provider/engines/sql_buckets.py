"""Histograms from buckets that a database counts, exactly those of all values.

How fine the buckets are to be is found on the first rows (:mod:`sql_sample`), so that the whole table is grouped once,
into somewhat more buckets than the histogram keeps; the rest of the way is the histogram's own coarsening. Groups of
rows that fill too few buckets so are grouped again, finer: dropping one bit less at most doubles the buckets, so none
asks for many more than a histogram holds. Groups of no more different values than that are counted as they are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from airflow_monitoring_provider.engines.sql_bits import bucket_code
from airflow_monitoring_provider.engines.sql_moments import Value
from airflow_monitoring_provider.engines.sql_part import Part
from airflow_monitoring_provider.engines.sql_sample import guessed, histogram_of
from airflow_monitoring_provider.profiles.histogram import Histogram

Expression = sa.ColumnElement[Any]
IntArray = npt.NDArray[np.int64]

MOST_BUCKETS = 1 << 16
"""Buckets that leave the database of one column; twice as many end a statement, and a coarser one follows."""
_COARSEST = 52  # the exponent alone
_ROWS_AT_ONCE = 1 << 14


def bucketed(
    part: Part, value: Value, buckets: int, *, mirrored: bool, whole: int | None = None
) -> dict[int, Histogram]:
    """Group -> the histogram of its values; groups without any are absent.

    :param whole: the shift of a histogram of more values than these.
    """
    if whole is None:
        there = sa.select(part.group(), value.double.label("value")).select_from(part.rows)
        inner = there.where(*part.where(value.there)).subquery("there")
        only = Value(inner.c.value, inner.c.value.is_not(None))
        guess = guessed(Part(part.selection, inner), {"": only}, {"": mirrored}, buckets).get("")
        shift = 0 if guess is None else guess.shift
    else:
        shift = max(0, whole - 1)
    too_fine = -1
    while True:
        limit = None if whole is not None or shift >= _COARSEST else 2 * MOST_BUCKETS
        found = _groups(part, value, {None: shift}, mirrored=mirrored, limit=limit)
        if limit is None or found.shape[0] <= MOST_BUCKETS:
            break
        too_fine = shift if part.code is None else too_fine
        shift = min(_COARSEST, shift + max(1, (found.shape[0] // MOST_BUCKETS).bit_length()))
    return refined(part, value, found, shift, buckets, mirrored=mirrored, too_fine=too_fine)


def refined(
    part: Part, value: Value, found: IntArray, shift: int, buckets: int, *, mirrored: bool, too_fine: int = -1
) -> dict[int, Histogram]:
    """Group -> its histogram, once those that fill too few buckets were grouped again.

    :param found: (n, 3): group, key and count of all values at a shift.
    :param too_fine: a shift at which there are too many buckets.
    """
    seen = {group: (shift, rows) for group, rows in by_group(found).items()}
    for step in itertools.count():
        finer: dict[int | None, int] = {}
        for group, (coarse, rows) in seen.items():
            if len(rows) <= buckets and coarse > too_fine + 1:
                more = math.ceil(math.log2((buckets + 1) / len(rows)))
                finer[group] = 0 if rows[:, 2].sum() <= buckets else max(0, coarse - max(1, more))
        if not finer:
            break
        if step == 1:  # nearly as many values as buckets may take a look at all rows for each bit
            few = [group for group, values in _distinct(part, value, finer).items() if values <= buckets]
            finer |= dict.fromkeys(few, 0)
        again = by_group(_groups(part, value, finer, mirrored=mirrored))
        seen |= {group: (finer[group], rows) for group, rows in again.items()}
    return {group: histogram_of(rows, coarse, buckets, mirrored=mirrored) for group, (coarse, rows) in seen.items()}


def by_group(found: IntArray) -> dict[int, IntArray]:
    """Group -> its rows of (n, 3): group, key, count."""
    ordered = found[np.argsort(found[:, 0], kind="stable")]
    groups, starts = np.unique(ordered[:, 0], return_index=True)
    return dict(zip(groups.tolist(), np.split(ordered, starts[1:]), strict=True)) if groups.size else {}


def _distinct(part: Part, value: Value, groups: Iterable[int | None]) -> dict[int, int]:
    """How many values each of these groups has."""
    inner = _values(part, value, groups).distinct().subquery("once")
    counted = sa.select(inner.c.monitoring_code, sa.func.count()).group_by(inner.c.monitoring_code)
    return {int(group): int(values) for group, values in part.selection.connection.execute(counted)}


def _values(part: Part, value: Value, groups: Iterable[int | None]) -> sa.Select[Any]:
    """The group and the value of each row of the groups that are named, or of all (None)."""
    conditions = part.where(value.there)
    chosen = [group for group in groups if group is not None]
    if part.code is not None and chosen:
        conditions = (part.code.in_(chosen), *conditions)
    columns = [part.group().label("monitoring_code"), value.double.label("value")]
    return sa.select(*columns).select_from(part.rows).where(*conditions)


def _groups(
    part: Part, value: Value, shifts: dict[int | None, int], *, mirrored: bool, limit: int | None = None
) -> IntArray:
    """(n, 3): group, code, count, of the groups that are named, or of all (None)."""
    inner = _values(part, value, shifts).subquery("codes")
    by_shift: dict[int, list[int]] = {}
    for group, shift in shifts.items():
        by_shift.setdefault(shift, []).extend([] if group is None else [group])
    codes = {shift: bucket_code(inner.c.value, shift, mirrored=mirrored) for shift in by_shift}
    (_, code), *others = codes.items()
    if others:
        code = sa.case(
            *((inner.c.monitoring_code.in_(by_shift[s]), sa.cast(one, sa.BigInteger())) for s, one in codes.items())
        )
    coded = sa.select(inner.c.monitoring_code, code.label("code")).select_from(inner).subquery("coded")
    keys = [coded.c.code] if part.code is None else [coded.c.monitoring_code, coded.c.code]
    shown = [sa.literal(0, sa.Integer()) if part.code is None else coded.c.monitoring_code, coded.c.code]
    grouped = sa.select(*shown, sa.func.count()).group_by(*keys).limit(limit)
    with part.selection.connection.execute(grouped) as result:
        blocks = [np.array([tuple(row) for row in rows], np.int64) for rows in result.partitions(_ROWS_AT_ONCE)]
    return np.concatenate([np.zeros((0, 3), np.int64), *blocks])
