"""One instant: aware, in UTC, of the standard library's own class, within years that every database can hold.

Whole columns of them are read in ``profiles/instants.py``.
"""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

FIRST_YEAR, LAST_YEAR = 1900, 2200


def in_utc(instant: datetime.datetime, timezone: str | None = None) -> datetime.datetime:
    """The same instant in UTC.

    :param instant: of any subclass (Airflow hands out pendulum's, whose arithmetic differs) and any zone.
    :param timezone: IANA zone of instants that carry none.
    :raises ValueError: the instant carries no zone and ``timezone`` is None, or its year is not in 1900..2199: nothing
        is monitored there, and arithmetic would overflow.
    """
    if not FIRST_YEAR <= instant.year < LAST_YEAR:
        raise ValueError(f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}")
    if instant.tzinfo is None:
        if timezone is None:
            raise ValueError("must carry a time zone")
        instant = instant.replace(tzinfo=ZoneInfo(timezone))
    there = instant.astimezone(datetime.UTC)
    fields = (there.year, there.month, there.day, there.hour, there.minute, there.second, there.microsecond)
    return datetime.datetime(*fields, tzinfo=datetime.UTC)
