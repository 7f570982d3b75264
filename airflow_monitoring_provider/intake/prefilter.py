"""Conditions that leave out rows far from a window inside the database, so that they never travel.

Each is a superset of the window: the exact test is :meth:`TimeFilter.mask` on what arrives. Bounds are bound values.
``None`` means that nothing safe can be said about the column, and every row travels.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.profiles.instants import microseconds

Condition = sa.ColumnElement[bool]
Column = sa.ColumnElement[Any]
SqlType = sa.types.TypeEngine[Any]

_DAY = timedelta(days=1)
_INT64 = 2**63 - 1
_MICROSECONDS_PER_UNIT = ((1_000_000, 1), (1_000, 1), (1, 1), (1, 1_000))  # s, ms, us; a microsecond is 1000 ns


def postgres_condition(column: Column, kind: SqlType, window: TimeFilter) -> Condition | None:
    """For a column of a reflected PostgreSQL type."""
    if isinstance(kind, sa.DateTime) and kind.timezone:
        return _between(column, _aware(window.start, timedelta()), _aware(window.end, timedelta()))
    if isinstance(kind, sa.String):
        # Texts that do not start like an ISO date (numbers among them) are left to the exact test.
        texts = sa.collate(column, "C")
        dates = _text_range(texts, window)
        return None if dates is None else sa.or_(sa.not_(column.regexp_match(r"^\d{4}-\d\d")), dates)
    return typed_condition(column, kind, window)


def sqlite_condition(column: Column, window: TimeFilter) -> Condition | None:
    """For any column of SQLite, where the declared type says little: each row is judged by what it really stores.

    A text is compared by its date only, a day wider on each side: ``T`` sorts after a space, ``Z`` after a digit, and
    ``05:00:00`` before ``05:00:00.000000``, which is the same time.
    """
    stored, dates, numbers = sa.func.typeof(column), _text_range(column, window), _epoch_range(column, window)
    if dates is None or numbers is None:
        return None
    iso = column.op("GLOB", is_comparison=True)(sa.literal("[0-9][0-9][0-9][0-9]-[0-9][0-9]*", sa.Text()))
    return sa.or_(
        stored == "blob",
        sa.and_(stored == "text", sa.or_(sa.not_(iso), dates)),
        sa.and_(stored.in_(["integer", "real"]), numbers),
    )


def other_condition(column: Column, kind: SqlType, window: TimeFilter) -> Condition | None:
    """For other databases, where it is not known what a driver makes of a zone: times are compared a day wider."""
    if isinstance(kind, sa.DateTime):
        margin = _DAY + timedelta(hours=2)
        return _between(column, _naive(window.start, "UTC", -margin), _naive(window.end, "UTC", margin))
    return typed_condition(column, kind, window)


def exact_condition(column: Column, kind: SqlType, window: TimeFilter) -> Condition | None:
    """For timestamps whose zone's clocks do not change near the window's ends: the window itself."""
    if isinstance(kind, sa.DateTime) and kind.timezone:
        return _between(column, _aware(window.start, timedelta()), _aware(window.end, timedelta()))
    return typed_condition(column, kind, window)


def typed_condition(column: Column, kind: SqlType, window: TimeFilter) -> Condition | None:
    """For timestamps without zone, dates and numbers."""
    zone = window.timezone
    if isinstance(kind, sa.DateTime):
        lower = None if window.start is None else _naive(window.start, zone, -skew(zone, window.start))
        upper = None if window.end is None else _naive(window.end, zone, skew(zone, window.end))
        return _between(column, lower, upper)
    if isinstance(kind, sa.Date):
        first, last = _naive(window.start, zone, -_DAY), _naive(window.end, zone, _DAY + _DAY)
        return _between(column, first and first.date(), last and last.date())
    if isinstance(kind, sa.Integer | sa.Numeric | sa.Float):
        return _epoch_range(column, window)
    return None


def skew(timezone: str, around: datetime) -> timedelta:
    """By how much wall-clock time near an instant can disagree with the zone's offset at that instant.

    Zero on ordinary days, an hour where clocks change, a day where a country crossed the date line.
    """
    zone = ZoneInfo(timezone)
    margin = timedelta(days=3)  # within the calendar, which an offset must not leave
    middle = min(max(around, datetime.min.replace(tzinfo=UTC) + margin), datetime.max.replace(tzinfo=UTC) - margin)
    near = [middle + timedelta(hours=hour) for hour in range(-26, 27)]
    offsets = [instant.astimezone(zone).utcoffset() or timedelta() for instant in near]
    return max(offsets) - min(offsets)


def _between(column: Column, lower: object, upper: object) -> Condition | None:
    bounds: list[Condition] = []
    if lower is not None:
        bounds.append(column >= lower)
    if upper is not None:
        bounds.append(column < upper)
    return sa.and_(*bounds) if bounds else None


def _shifted(read: Callable[[datetime], datetime], instant: datetime | None, by: timedelta) -> datetime | None:
    if instant is None:
        return None
    try:
        return read(instant + by)
    except OverflowError:  # at the ends of the calendar there is nothing to leave out
        return None


def _aware(instant: datetime | None, by: timedelta) -> datetime | None:
    return _shifted(lambda moved: moved.astimezone(UTC), instant, by)


def _naive(instant: datetime | None, zone: str, by: timedelta) -> datetime | None:
    return _shifted(lambda moved: moved.astimezone(ZoneInfo(zone)).replace(tzinfo=None), instant, by)


def _text_range(column: Column, window: TimeFilter) -> Condition | None:
    first, last = _naive(window.start, "UTC", -_DAY), _naive(window.end, "UTC", _DAY + _DAY)
    return _between(
        column,
        first and sa.literal(first.date().isoformat(), sa.Text()),
        last and sa.literal(last.date().isoformat(), sa.Text()),
    )


def _epoch_range(column: Column, window: TimeFilter) -> Condition | None:
    if window.start is None and window.end is None:
        return None
    ranges = []
    for divisor, factor in _MICROSECONDS_PER_UNIT:
        first, last = (
            None if bound is None else max(-_INT64, min(_INT64, microseconds(bound) * factor // divisor + margin))
            for bound, margin in ((window.start, -1), (window.end, 2))
        )
        part = _between(
            column,
            None if first is None else sa.literal(first, sa.BigInteger()),
            None if last is None else sa.literal(last, sa.BigInteger()),
        )
        if part is not None:
            ranges.append(part)
    return sa.or_(*ranges)


def unreadable_text(column: Column, kind: SqlType, dialect: str) -> Condition:
    """Text that starts with no date and is no number, so that it can be in no window; false for other types.

    SQLite columns may hold text whatever their type. Databases other than SQLite and PostgreSQL are not asked.
    """
    text = sa.type_coerce(column, sa.Text())
    if dialect == "sqlite":
        dated, *no_number = (
            text.op("GLOB", is_comparison=True)(pattern)
            for pattern in ("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*", "*[^0-9.+ -]*", "*.*.*", "*[0-9]-*")
        )
        blank = sa.func.trim(text) == ""
        return sa.and_(sa.func.typeof(column) == "text", sa.not_(dated), sa.or_(blank, *no_number))
    if dialect == "postgresql" and isinstance(kind, sa.String):
        time_or_number = "^ *([0-9]{4}-[0-9]{2}-[0-9]{2}|[+-]?[0-9]+[.]?[0-9]* *$)"
        return sa.not_(text.regexp_match(time_or_number))
    return sa.false()
