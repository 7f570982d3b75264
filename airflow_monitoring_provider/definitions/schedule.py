"""When a job runs: five lists, one cron expression, and the instants it fires at in a time zone.

The day rule is classic cron's: when ``dayOfMonth`` and ``dayOfWeek`` are both restricted, the job runs on either.
The instants are those that Airflow's ``CronDataIntervalTimetable`` reaches step by step for the same expression and
zone. Between a clock change and itself it may disagree with its own steps, so the DAG's timetable
(``dags/timetable.py``) answers from here, and a window computed here is the data interval a scheduled run gets:

- a wall time that a clock change skips fires as much later as the clock was put forward (of several, those that this
  has not passed);
- a wall time that happens twice fires the second time, except that schedules covering every hour count real hours;
- the next instant is always found from the one before, so windows tile time without gap or overlap.
"""

from __future__ import annotations

import datetime
from functools import lru_cache, partial
from typing import Annotated, Any, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.cron import EVERY, FIELDS, CronField, Occurrences, read_cron, read_list
from airflow_monitoring_provider.definitions.instants import in_utc
from airflow_monitoring_provider.definitions.part import Part, breaches

_LONGEST_MONTH = dict.fromkeys((1, 3, 5, 7, 8, 10, 12), 31) | dict.fromkeys((4, 6, 9, 11), 30) | {2: 29}
_DAY = datetime.timedelta(days=1)
_HOUR = datetime.timedelta(hours=1)


def _list_schema(field: CronField) -> dict[str, Any]:
    number: dict[str, Any] = {"type": "integer", "minimum": field.low, "maximum": field.high}
    return {"type": "array", "minItems": 1, "items": {"anyOf": [number, {"type": "string"}]}}


_MINUTE, _HOUR_FIELD, _DAY_OF_MONTH, _MONTH, _DAY_OF_WEEK = FIELDS


class Schedule(Part):
    """Five lists of numbers; ``("*",)`` means every.

    Also read from one cron expression (``"0 17 * * mon-fri"``) or preset (``"@daily"``).
    """

    minute: Annotated[
        Occurrences, BeforeValidator(partial(read_list, _MINUTE)), WithJsonSchema(_list_schema(_MINUTE))
    ] = Field(description="0 to 59.")
    hour: Annotated[
        Occurrences, BeforeValidator(partial(read_list, _HOUR_FIELD)), WithJsonSchema(_list_schema(_HOUR_FIELD))
    ] = Field(description="0 to 23.")
    day_of_month: Annotated[
        Occurrences, BeforeValidator(partial(read_list, _DAY_OF_MONTH)), WithJsonSchema(_list_schema(_DAY_OF_MONTH))
    ] = Field(description="1 to 31.")
    month: Annotated[Occurrences, BeforeValidator(partial(read_list, _MONTH)), WithJsonSchema(_list_schema(_MONTH))] = (
        Field(description="1 to 12, or names.")
    )
    day_of_week: Annotated[
        Occurrences, BeforeValidator(partial(read_list, _DAY_OF_WEEK)), WithJsonSchema(_list_schema(_DAY_OF_WEEK))
    ] = Field(description="0 (Sunday) to 6, or names.")

    @model_validator(mode="before")
    @classmethod
    def _from_cron(cls, data: Any) -> Any:
        return read_cron(data) if isinstance(data, str) else data

    @model_validator(mode="after")
    def _fires(self) -> Self:
        if self.day_of_week == EVERY and self.day_of_month != EVERY:
            first_day = min(int(day) for day in self.day_of_month)
            months = range(1, 13) if self.month == EVERY else [int(month) for month in self.month]
            if all(first_day > _LONGEST_MONTH[month] for month in months):
                raise breaches((("day_of_month",), f"never comes: day {first_day} is in none of the months of `month`"))
        return self

    def cron(self) -> str:
        """The schedule as one cron expression of numbers.

        A list of every possible value is written ``*``; where it is one of two day lists, so is the other, because
        "on either" is then every day (left as ``*`` alone it would read as unrestricted, and the other list decide).
        """
        texts = {field.name: _cron_text(field, getattr(self, field.name)) for field in FIELDS}
        restricted = self.day_of_month != EVERY and self.day_of_week != EVERY
        if restricted and "*" in (texts["day_of_month"], texts["day_of_week"]):
            texts["day_of_month"] = texts["day_of_week"] = "*"
        return " ".join(texts[field.name] for field in FIELDS)

    def next_after(self, instant: datetime.datetime, timezone: str = "UTC") -> datetime.datetime:
        """The first instant after ``instant`` at which the schedule fires, in aware UTC.

        :param instant: an aware instant.
        :param timezone: IANA zone of the schedule's clock.
        """
        return _around(self.cron(), timezone, in_utc(instant))[1]

    def previous_at_or_before(self, instant: datetime.datetime, timezone: str = "UTC") -> datetime.datetime:
        """The last instant at or before ``instant`` at which the schedule fired, in aware UTC."""
        return _around(self.cron(), timezone, in_utc(instant))[0]


def wall_of(timezone: str, instant: datetime.datetime) -> datetime.datetime:
    """What the clock of a zone shows at an instant: naive."""
    return _wall(ZoneInfo(timezone), instant)


def instant_of_wall(timezone: str, wall: datetime.datetime) -> datetime.datetime:
    """When the clock of a zone shows a naive time: the second time of two, and a skipped one as much later."""
    return _instant(ZoneInfo(timezone), wall)


def _cron_text(field: CronField, occurrences: Occurrences) -> str:
    everything = occurrences == tuple(range(field.low, field.high + 1))
    return "*" if everything else ",".join(str(occurrence) for occurrence in occurrences)


@lru_cache(maxsize=256)
def _around(cron: str, timezone: str, instant: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    """The firing at or before ``instant`` and the one after it.

    Near a clock change an instant says too little about the firings around it (its wall time is ambiguous), so they
    are reached step by step from a firing before the change, the way the scheduler reaches them.
    """
    zone = ZoneInfo(timezone)
    previous = _anchor(cron, zone, instant)
    following = _step(cron, zone, previous)
    while following <= instant:
        previous, following = following, _step(cron, zone, following)
    return previous, following


def _anchor(cron: str, zone: ZoneInfo, instant: datetime.datetime) -> datetime.datetime:
    """A firing at or before ``instant``, and not among those that a clock change moves or drops."""
    previous = _previous(cron, zone, instant)
    change = _clock_change(zone, instant)
    if change is None:
        return previous
    moment, shift = change
    if instant < moment - shift or previous >= moment + 2 * shift:
        return previous
    return _previous(cron, zone, moment - 2 * shift - _HOUR)


def _clock_change(zone: ZoneInfo, instant: datetime.datetime) -> tuple[datetime.datetime, datetime.timedelta] | None:
    """When and by how much the zone's clock changes within two days of ``instant``."""
    low, high = instant - 2 * _DAY, instant + 2 * _DAY
    offset_low, offset_high = _offset(zone, low), _offset(zone, high)
    if offset_low == offset_high:
        return None
    while high - low > datetime.timedelta(seconds=1):
        middle = low + (high - low) / 2
        if _offset(zone, middle) == offset_low:
            low = middle
        else:
            high = middle
    return high, abs(offset_high - offset_low)


def _offset(zone: ZoneInfo, instant: datetime.datetime) -> datetime.timedelta:
    return instant.astimezone(zone).utcoffset() or datetime.timedelta()


def _step(cron: str, zone: ZoneInfo, firing: datetime.datetime) -> datetime.datetime:
    """The firing that the scheduler computes from ``firing``."""
    wall = _wall(zone, firing)
    iterator = _iterator(cron, wall)
    following: datetime.datetime = iterator.get_next(datetime.datetime)
    if _covers_every_hour(iterator):
        return firing + (following - wall)
    return _instant(zone, following)


def _previous(cron: str, zone: ZoneInfo, instant: datetime.datetime) -> datetime.datetime:
    wall = _wall(zone, instant)
    iterator = _iterator(cron, wall)
    earlier: datetime.datetime = iterator.get_prev(datetime.datetime)
    if _covers_every_hour(iterator):
        return instant - (wall - earlier)
    while (firing := _instant(zone, earlier)) > instant:  # a skipped or repeated wall time lies later than it looks
        earlier = iterator.get_prev(datetime.datetime)
    return firing


def _iterator(cron: str, wall: datetime.datetime) -> Any:
    from croniter import croniter  # costs more to import than this whole package

    return croniter(cron, start_time=wall)


def _covers_every_hour(iterator: Any) -> bool:
    return bool(iterator.expanded[1] == ["*"])


def _wall(zone: ZoneInfo, instant: datetime.datetime) -> datetime.datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def _instant(zone: ZoneInfo, wall: datetime.datetime) -> datetime.datetime:
    """The instant of a wall time: the second of two, and of a skipped one the time shifted forward."""
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1))
    return max(first, second)
