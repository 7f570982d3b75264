"""Calendar periods on a zone's clock: an hour, day, ISO week, month, quarter or year, as half-open instants in UTC.

Their names are those that Airflow's temporal partition mappers give (``2026-03-01T05``, ``2026-03-01``,
``2026-03-02 (W10)``, ``2026-03``, ``2026-Q1``, ``2026``), so that a partition key names a period; weeks are also
written ``2026-W10``. Where a clock change skips or repeats the wall time of a bound, the bound is the instant that
schedules take there (:mod:`.schedule`): a day has 23 or 25 hours then, and periods still tile time.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType

from airflow_monitoring_provider.definitions.instants import in_utc
from airflow_monitoring_provider.definitions.schedule import instant_of_wall, wall_of


class PeriodLength(StrEnum):
    """How long a calendar period is."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


@dataclasses.dataclass(frozen=True, slots=True)
class Period:
    """A calendar period: instants from ``start`` on and before ``end``, both aware UTC."""

    name: str
    length: PeriodLength
    start: datetime.datetime
    end: datetime.datetime


def period_of(instant: datetime.datetime, length: PeriodLength, timezone: str) -> Period:
    """The period that an aware instant is in.

    :param timezone: IANA zone whose clock says where periods begin.
    """
    instant = in_utc(instant)
    first = _FLOOR[length](wall_of(timezone, instant))
    while instant_of_wall(timezone, first) > instant:  # a repeated wall time is read as its second time
        first = _FLOOR[length](first - datetime.timedelta(microseconds=1))
    while instant_of_wall(timezone, following := _following(first, length)) <= instant:
        first = following
    return _period(first, length, timezone)


def periods(start: datetime.datetime, end: datetime.datetime, length: PeriodLength, timezone: str) -> Iterator[Period]:
    """Every period that has an instant in ``[start, end)``, in order."""
    found = period_of(start, PeriodLength(length), timezone)
    while found.start < end:
        yield found
        found = period_of(found.end, found.length, timezone)


def period_named(name: str, timezone: str) -> Period | None:
    """The period of a name; None where it is the name of none.

    :raises ValueError: it looks like one, but there is no such day, week or hour.
    """
    for length, pattern in _NAMES.items():
        if (match := pattern.fullmatch(name)) is not None:
            wall = _first_wall(length, match)
            in_utc(wall, timezone)  # its year
            return _period(wall, length, timezone)
    return None


def _period(wall: datetime.datetime, length: PeriodLength, timezone: str) -> Period:
    ends = [instant_of_wall(timezone, each) for each in (wall, _following(wall, length))]
    return Period(_name(wall, length), length, *ends)


def _following(wall: datetime.datetime, length: PeriodLength) -> datetime.datetime:
    if length in _STEPS:
        return wall + _STEPS[length]
    months = {PeriodLength.MONTH: 1, PeriodLength.QUARTER: 3, PeriodLength.YEAR: 12}[length]
    count = wall.year * 12 + wall.month - 1 + months
    return wall.replace(year=count // 12, month=count % 12 + 1)


def _name(wall: datetime.datetime, length: PeriodLength) -> str:
    if length is PeriodLength.WEEK:
        year, week, _ = wall.isocalendar()
        return f"{year:04d}-W{week:02d}"
    if length is PeriodLength.QUARTER:
        return f"{wall.year:04d}-Q{(wall.month + 2) // 3}"
    return wall.strftime(_FORMATS[length])


_STEPS: Mapping[PeriodLength, datetime.timedelta] = MappingProxyType(
    {
        PeriodLength.HOUR: datetime.timedelta(hours=1),
        PeriodLength.DAY: datetime.timedelta(days=1),
        PeriodLength.WEEK: datetime.timedelta(days=7),
    }
)
_FORMATS: Mapping[PeriodLength, str] = MappingProxyType(
    {
        PeriodLength.HOUR: "%Y-%m-%dT%H",
        PeriodLength.DAY: "%Y-%m-%d",
        PeriodLength.MONTH: "%Y-%m",
        PeriodLength.YEAR: "%Y",
    }
)


def _midnight(wall: datetime.datetime) -> datetime.datetime:
    return wall.replace(hour=0, minute=0, second=0, microsecond=0)


_FLOOR: Mapping[PeriodLength, Callable[[datetime.datetime], datetime.datetime]] = MappingProxyType(
    {
        PeriodLength.HOUR: lambda wall: wall.replace(minute=0, second=0, microsecond=0),
        PeriodLength.DAY: _midnight,
        PeriodLength.WEEK: lambda wall: _midnight(wall) - datetime.timedelta(days=wall.weekday()),
        PeriodLength.MONTH: lambda wall: _midnight(wall).replace(day=1),
        PeriodLength.QUARTER: lambda wall: _midnight(wall).replace(day=1, month=wall.month - (wall.month - 1) % 3),
        PeriodLength.YEAR: lambda wall: _midnight(wall).replace(day=1, month=1),
    }
)


_NAMES: Mapping[PeriodLength, re.Pattern[str]] = MappingProxyType(
    {
        PeriodLength.HOUR: re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}"),
        PeriodLength.DAY: re.compile(r"\d{4}-\d{2}-\d{2}"),
        PeriodLength.WEEK: re.compile(r"(\d{4})-W(\d{2})|(\d{4}-\d{2}-\d{2}) \(W\d{2}\)"),
        PeriodLength.MONTH: re.compile(r"(\d{4})-(\d{2})"),
        PeriodLength.QUARTER: re.compile(r"(\d{4})-Q([1-4])"),
        PeriodLength.YEAR: re.compile(r"(\d{4})"),
    }
)


def _first_wall(length: PeriodLength, match: re.Match[str]) -> datetime.datetime:
    if length in (PeriodLength.HOUR, PeriodLength.DAY):
        return datetime.datetime.fromisoformat(match[0])
    if length is PeriodLength.WEEK and match[3] is not None:
        return _FLOOR[length](datetime.datetime.fromisoformat(match[3]))
    numbers = [int(group) for group in match.groups() if group is not None]
    if length is PeriodLength.WEEK:
        return datetime.datetime.fromisocalendar(numbers[0], numbers[1], 1)
    month = {PeriodLength.MONTH: numbers[-1], PeriodLength.QUARTER: 3 * numbers[-1] - 2}.get(length, 1)
    return datetime.datetime(numbers[0], month, 1)  # noqa: DTZ001  # a clock's own time
