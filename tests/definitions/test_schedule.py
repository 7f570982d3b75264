"""Five lists are one cron expression, and fire when Airflow fires, clock changes included."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow._shared.timezones.timezone import coerce_datetime
from airflow.timetables.interval import CronDataIntervalTimetable
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import JobDefinition, Schedule, dump_definition
from airflow_monitoring_provider.exceptions import DefinitionError

UTC = datetime.UTC
DAY, MOMENT = datetime.timedelta(days=1), datetime.timedelta(microseconds=1)
START = datetime.datetime(2026, 1, 10, 5, 7, tzinfo=UTC)
EVERY = ["*"]
ZONES = [
    "UTC",
    "Europe/Zurich",
    "America/New_York",
    "America/St_Johns",  # half an hour from everybody
    "Australia/Lord_Howe",  # changes its clock by half an hour
    "Antarctica/Troll",  # changes its clock by two hours
]


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def lists(**members: list[Any]) -> Schedule:
    every = dict.fromkeys(["minute", "hour", "day_of_month", "month", "day_of_week"], EVERY)
    return Schedule(**{**every, **members})  # type: ignore[arg-type]


def cron(text: str) -> Schedule:
    return Schedule.model_validate(text)


@pytest.mark.parametrize(
    ("schedule", "expression"),
    [
        (lists(), "* * * * *"),
        (lists(minute=[0], hour=[17]), "0 17 * * *"),
        (lists(minute=[30, 0, 15, 0], hour=["6", 18]), "0,15,30 6,18 * * *"),
        (lists(minute=[0], hour=[0], month=["Jan", "FEBRUARY", "dec", 6]), "0 0 * 1,2,6,12 *"),
        (lists(minute=[0], hour=[0], day_of_week=["sun", "Saturday", "WED"]), "0 0 * * 0,3,6"),
        (lists(minute=[0], hour=[0], day_of_month=[13], day_of_week=[5]), "0 0 13 * 5"),
        (lists(minute=list(range(60)), hour=list(range(24))), "* * * * *"),
        (lists(minute=[0], hour=[0], day_of_month=[1], day_of_week=list(range(7))), "0 0 * * *"),
        (lists(minute=[0], hour=[0], day_of_month=list(range(1, 32)), day_of_week=[1]), "0 0 * * *"),
        (lists(minute=[0], hour=[0], day_of_month=[31], month=["feb", "mar"]), "0 0 31 2,3 *"),
        (lists(minute=[0], hour=[0], day_of_month=[31], month=["feb"], day_of_week=[1]), "0 0 31 2 1"),
        (lists(minute=[0], hour=[0], day_of_month=[29], month=[2]), "0 0 29 2 *"),
    ],
)
def test_five_lists_are_one_cron_expression(schedule: Schedule, expression: str) -> None:
    assert expression == schedule.cron()


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@quarterly", "0 0 1 1,4,7,10 *"),
        ("@yearly", "0 0 1 1 *"),
        ("@Daily ", "0 0 * * *"),
        ("  5   4 * * *  ", "5 4 * * *"),
        ("*/15 9-17 * * mon-fri", "0,15,30,45 9,10,11,12,13,14,15,16,17 * * 1,2,3,4,5"),
        ("0 0 1,15 jan,July *", "0 0 1,15 1,7 *"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0-23/6 * * *", "0 0,6,12,18 * * *"),
        ("0 20/2 * * *", "0 20,22 * * *"),
        ("*/1 */1 */1 */1 */1", "* * * * *"),
        ("0 0 */10 * 1", "0 0 1,11,21,31 * 1"),
        ("0 0 1 * 0-6", "0 0 * * *"),
    ],
)
def test_cron_text_and_presets_are_written_out(text: str, expression: str) -> None:
    assert expression == cron(text).cron()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must have the five fields of cron"),
        ("0 0 * *", "the five fields of cron (minute hour day month weekday), not 4"),
        ("0 0 0 * * *", "not 6"),
        ("@fortnightly", "knows the presets @hourly"),
        ("@once", "not '@once'"),
        ("60 0 * * *", "a minute that is not 0 to 59: '60'"),
        ("0 24 * * *", "an hour"),
        ("0 0 0 * *", "a day of month that is not 1 to 31"),
        ("0 0 * 13 *", "a month that is not 1 to 12 or a name"),
        ("0 0 * * 8", "a day of week that is not 0 to 6 or a name"),
        ("0 0 * * tues", "'tues'"),
        ("0 0 * * fri-mon", "a range that ends before it starts: 'fri-mon'"),
        ("*/0 * * * *", "a step of 0"),
        ("0 0 L * *", "a day of month"),
        ("0 0 * * mon#2", "a day of week that is not a number, list, range or step"),
        ("0 0 ? * *", "not a number, list, range or step"),
        ("H * * * *", "a minute"),
        ("1,, 0 * * *", "a minute"),
        ("0 0 30 2 *", "never comes: day 30"),
        ("٣ 0 * * *", "a minute that is not 0 to 59"),
    ],
)
def test_cron_text_that_nothing_can_run_is_refused(
    text: str, words: str, problems_of: Callable[[Any], dict[str, str]], changed: Callable[[Any], dict[str, Any]]
) -> None:
    problems = problems_of(changed({"schedule": text}))

    field = "schedule.dayOfMonth" if "never" in words else "schedule"
    assert [field] == list(problems)
    assert words.removeprefix("a ").removeprefix("an ") in problems[field]


def test_a_cron_text_comes_back_as_five_lists(define: Callable[[Any], JobDefinition]) -> None:
    expected = {"minute": [0, 30], "hour": [6], "dayOfMonth": ["*"], "month": ["*"], "dayOfWeek": [1, 2]}

    assert expected == dump_definition(define({"schedule": "*/30 6 * * mon,tue"}), "payload")["schedule"]


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 * * *", [1, 2, 3, 4, 5, 6, 7]),
        ("0 0 3 * *", [3]),
        ("0 0 * * 1", [1]),  # 1 June 2026 is a Monday
        ("0 0 3 * 1", [1, 3]),  # either
    ],
)
def test_the_day_rule_is_classic_crons(expression: str, days: list[int]) -> None:
    schedule, found, now = cron(expression), [], at("2026-05-31T23:59:59Z")
    while (now := schedule.next_after(now)) < at("2026-06-08T00:00Z"):
        found.append(now.day)

    assert days == found


def test_days_that_do_not_exist_are_skipped() -> None:
    schedule = lists(minute=[0], hour=[0], day_of_month=[31])

    assert at("2026-03-31T00:00Z") == schedule.next_after(at("2026-01-31T00:00Z"))
    assert at("2028-02-29T00:00Z") == cron("0 0 29 2 *").next_after(at("2026-01-01T00:00Z"))


@pytest.mark.parametrize(
    ("expression", "zone", "before", "after"),
    [
        # Spring: 02:30 does not exist and fires an hour later on the clock.
        ("30 2 * * *", "Europe/Zurich", "2026-03-28T01:30Z", "2026-03-29T01:30Z"),
        ("30 2 * * *", "Europe/Zurich", "2026-03-29T01:30Z", "2026-03-30T00:30Z"),
        # Autumn: 02:30 comes twice and fires the second time.
        ("30 2 * * *", "Europe/Zurich", "2026-10-24T00:30Z", "2026-10-25T01:30Z"),
        ("30 2 * * *", "Europe/Zurich", "2026-10-25T00:31Z", "2026-10-25T01:30Z"),
        # A schedule of every hour counts real hours.
        ("0 * * * *", "Europe/Zurich", "2026-10-25T00:00Z", "2026-10-25T01:00Z"),
        ("0 * * * *", "Europe/Zurich", "2026-03-29T00:00Z", "2026-03-29T01:00Z"),
        # A day has 23 and 25 hours.
        ("0 0 * * *", "America/New_York", "2026-03-08T05:00Z", "2026-03-09T04:00Z"),
        ("0 0 * * *", "America/New_York", "2026-11-01T04:00Z", "2026-11-02T05:00Z"),
    ],
)
def test_clock_changes_are_followed(expression: str, zone: str, before: str, after: str) -> None:
    assert at(after) == cron(expression).next_after(at(before), zone)


SPARSE = ["0 0 * * *", "30 2 * * *", "30 1 * * *", "0 17 * * 1-5", "0 0 13 * 5", "0 0 1 * *", "15,45 2 * * *"]
DENSE = ["0 * * * *", "*/15 * * * *", "0 */6 * * *", "15,45 1-3 * * *", "10 0-22 * * *"]


def airflows_firings(expression: str, zone: str, start: datetime.datetime, days: int) -> Iterator[datetime.datetime]:
    """What the scheduler makes of the expression: each firing computed from the one before."""
    timetable = CronDataIntervalTimetable(expression, zone)
    firing = timetable._align_to_prev(coerce_datetime(start))
    while firing < start + days * DAY:
        yield at(firing.isoformat())
        firing = timetable._get_next(firing)


def assert_fires_like_airflow(expression: str, zone: str, start: datetime.datetime, days: int) -> None:
    schedule = cron(expression)
    for firing, following in itertools.pairwise(airflows_firings(expression, zone, start, days)):
        assert following == schedule.next_after(firing, zone)
        assert firing == schedule.previous_at_or_before(firing, zone)
        middle = firing + (following - firing) / 2
        assert (firing, following) == (schedule.previous_at_or_before(middle, zone), schedule.next_after(middle, zone))
        assert firing == schedule.previous_at_or_before(following - MOMENT, zone)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", SPARSE)
def test_windows_are_airflows_and_tile_400_days(expression: str, zone: str) -> None:
    assert_fires_like_airflow(expression, zone, START, 400)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("expression", DENSE)
def test_windows_are_airflows_and_tile_the_days_around_a_clock_change(expression: str, zone: str) -> None:
    offsets = [(START + day * DAY).astimezone(ZoneInfo(zone)).utcoffset() for day in range(400)]
    changes = [day for day in range(1, 400) if offsets[day] != offsets[day - 1]] or [100]

    for day in changes[:2]:
        assert_fires_like_airflow(expression, zone, START + (day - 2) * DAY, 3)


@given(
    minute=st.lists(st.integers(0, 59), min_size=1, max_size=3),
    hour=st.lists(st.integers(0, 23), min_size=1, max_size=3),
    day_of_month=st.just(EVERY) | st.lists(st.integers(1, 31), min_size=1, max_size=3),
    month=st.just(EVERY) | st.lists(st.integers(1, 12), min_size=1, max_size=3),
    day_of_week=st.just(EVERY) | st.lists(st.integers(0, 6), min_size=1, max_size=3),
    now=st.datetimes(datetime.datetime(2026, 1, 1), datetime.datetime(2032, 1, 1)),  # noqa: DTZ001
)
@settings(deadline=None, max_examples=100)
def test_firings_are_those_of_a_plain_search(now: datetime.datetime, **members: list[Any]) -> None:
    try:
        schedule = lists(**members)
    except DefinitionError:
        assert all(not _matches(START.date() + day * DAY, members) for day in range(4 * 366))
        return

    instant = now.replace(tzinfo=UTC)
    assert _search(instant, members) == schedule.next_after(instant)


def _search(instant: datetime.datetime, members: dict[str, list[Any]]) -> datetime.datetime:
    for day in itertools.count():
        date = instant.date() + day * DAY
        if _matches(date, members):
            for hour, minute in itertools.product(sorted(members["hour"]), sorted(members["minute"])):
                firing = datetime.datetime.combine(date, datetime.time(hour, minute, tzinfo=UTC))
                if firing > instant:
                    return firing
    raise AssertionError


def _matches(date: datetime.date, members: dict[str, list[Any]]) -> bool:
    days, weekdays = members["day_of_month"], members["day_of_week"]
    by_day = days == EVERY or date.day in days
    by_weekday = weekdays == EVERY or date.isoweekday() % 7 in weekdays
    restricted = days != EVERY and weekdays != EVERY
    right_month = members["month"] == EVERY or date.month in members["month"]
    return right_month and (by_day or by_weekday if restricted else by_day and by_weekday)


def test_instants_without_a_zone_or_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="must carry a time zone"):
        cron("@daily").next_after(datetime.datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(ValueError, match="between the years 1900 and 2200"):
        cron("@daily").next_after(datetime.datetime.max.replace(tzinfo=UTC))


def test_instants_of_airflows_own_class_are_taken_and_plain_ones_given() -> None:
    found = cron("@daily").next_after(coerce_datetime(START), "Europe/Zurich")

    assert (datetime.datetime, UTC, at("2026-01-10T23:00Z")) == (type(found), found.tzinfo, found)
