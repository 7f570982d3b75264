"""How long something takes: days of the calendar and hours of the clock, as text such as ``17d`` or ``P1DT12H``.

Days and weeks are those of a calendar, so that three days before midnight is a midnight, whatever clocks did meanwhile;
hours, minutes and seconds are elapsed time.
"""

from __future__ import annotations

import dataclasses
import datetime
import re
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, Strict, WithJsonSchema

from airflow_monitoring_provider.definitions.instants import in_utc
from airflow_monitoring_provider.definitions.part import breaches

LONGEST_DAYS = 36_500

_SHORT = r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?"
_ISO = r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?"
_FORMS = tuple(re.compile(form) for form in (_SHORT, _ISO))
_PATTERN = rf"^(?=.*\d)(?:{_SHORT}|{_ISO})$"


@dataclasses.dataclass(frozen=True, slots=True)
class Duration:
    """Days of the calendar and seconds of the clock; both from 0."""

    days: int = 0
    seconds: int = 0

    def __bool__(self) -> bool:
        return bool(self.days or self.seconds)

    def __add__(self, other: Duration) -> Duration:
        return Duration(self.days + other.days, self.seconds + other.seconds)

    @classmethod
    def of(cls, text: str) -> Duration:
        """Read ``17d``, ``2w``, ``1d12h``, ``90m``, ``604800s``, or ISO 8601's ``P17D`` and ``PT12H``.

        :raises ValueError: the text is none of them, or longer than a hundred years.
        """
        found = next((match for form in _FORMS if (match := form.fullmatch(text)) is not None), None)
        if found is None or not any(found.groups()):
            raise ValueError("must be a duration such as 17d, 2w, 12h, 90m, 604800s or P17D")
        weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        made = cls(7 * weeks + days, 3600 * hours + 60 * minutes + seconds)
        if made.days + made.seconds // 86_400 > LONGEST_DAYS:
            raise ValueError(f"must not be longer than {LONGEST_DAYS} days")
        return made

    def before(self, instant: datetime.datetime, timezone: str) -> datetime.datetime:
        """The instant so long before another one, in aware UTC.

        :param instant: aware.
        :param timezone: IANA zone of the calendar.
        """
        day = _days_before(in_utc(instant), self.days, ZoneInfo(timezone)) if self.days else in_utc(instant)
        return day - datetime.timedelta(seconds=self.seconds)

    def after(self, instant: datetime.datetime, timezone: str) -> datetime.datetime:
        """The instant so long after another one, in aware UTC; parameters as of :meth:`before`."""
        day = _days_before(in_utc(instant), -self.days, ZoneInfo(timezone)) if self.days else in_utc(instant)
        return day + datetime.timedelta(seconds=self.seconds)


def at_wall(wall: datetime.datetime, zone: ZoneInfo, *, late: bool) -> datetime.datetime:
    """The instant of a wall time in UTC: one that a clock change skips lies as much later as the clock was put forward;
    of one that happens twice it is the first, or with ``late`` the second.
    """
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(datetime.UTC) for fold in (0, 1))
    return max(first, second) if late else first


def _days_before(instant: datetime.datetime, days: int, zone: ZoneInfo) -> datetime.datetime:
    there = instant.astimezone(zone)
    wall = there.replace(tzinfo=None, fold=0) - datetime.timedelta(days=days)
    return at_wall(wall, zone, late=bool(there.fold))


def _checked(text: str) -> str:
    try:
        Duration.of(text)
    except ValueError as error:
        raise breaches(((), str(error))) from None
    return text


def _positive(text: str) -> str:
    if not Duration.of(text):
        raise breaches(((), "must be longer than nothing"))
    return text


DurationText = Annotated[
    str,
    Strict(),
    Field(min_length=1, max_length=64),
    AfterValidator(_checked),
    WithJsonSchema({"type": "string", "pattern": _PATTERN}),
]
Length = Annotated[DurationText, AfterValidator(_positive)]
