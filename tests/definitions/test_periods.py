"""Calendar periods on any clock: each instant is in one, they follow each other, and partition keys name them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import PeriodLength, period_named, period_of
from airflow_monitoring_provider.definitions.periods import periods

ZONES = ["UTC", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]
FIRST = dt.datetime(2015, 1, 1, tzinfo=dt.UTC)
instants = st.integers(0, 13 * 366 * 86_400_000).map(lambda ms: FIRST + dt.timedelta(milliseconds=ms))
CALENDAR = [each for each in PeriodLength if each is not PeriodLength.HOUR]


def label(instant: dt.datetime, length: PeriodLength, zone: str) -> object:
    """What a person reads off a wall calendar."""
    wall = instant.astimezone(ZoneInfo(zone))
    return {
        PeriodLength.DAY: wall.date(),
        PeriodLength.WEEK: tuple(wall.isocalendar())[:2],
        PeriodLength.MONTH: (wall.year, wall.month),
        PeriodLength.QUARTER: (wall.year, (wall.month - 1) // 3),
        PeriodLength.YEAR: wall.year,
    }[length]


@given(instants, st.sampled_from(CALENDAR), st.sampled_from(ZONES))
def test_a_period_is_what_the_wall_calendar_calls_one(instant: dt.datetime, length: PeriodLength, zone: str) -> None:
    found = period_of(instant, length, zone)
    tick = dt.timedelta(microseconds=1)
    assert found.start <= instant < found.end
    assert {label(instant, length, zone)} == {
        label(at, length, zone) for at in (found.start, instant, found.end - tick)
    }
    assert label(found.end, length, zone) != label(found.end - tick, length, zone)
    assert found == period_named(found.name, zone)


@given(instants, st.sampled_from(list(PeriodLength)), st.sampled_from(ZONES))
def test_periods_follow_each_other_without_gap_or_overlap(start: dt.datetime, length: PeriodLength, zone: str) -> None:
    span = {PeriodLength.HOUR: dt.timedelta(hours=5)}.get(length, dt.timedelta(days=70))
    found = list(periods(start, start + span, length, zone))
    assert [each.end for each in found[:-1]] == [each.start for each in found[1:]]
    assert found[0].start <= start < found[0].end
    assert found[-1].start < start + span <= found[-1].end


@pytest.mark.parametrize(
    ("zone", "day", "hours"), [("Europe/Zurich", "2026-03-29", 23), ("Europe/Zurich", "2026-10-25", 25)]
)
def test_days_of_a_clock_change_have_their_own_length(zone: str, day: str, hours: int) -> None:
    found = period_named(day, zone)
    assert found is not None
    assert dt.timedelta(hours=hours) == found.end - found.start


@pytest.mark.parametrize("length", ["Hour", "Day", "Week", "Month", "Quarter", "Year"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Zurich"])
def test_the_keys_of_airflows_mappers_name_periods(length: str, zone: str) -> None:
    from airflow.partition_mappers import temporal

    mapper = getattr(temporal, f"StartOf{length}Mapper")(timezone=zone)
    key = mapper.to_downstream("2026-05-20T13:45:00")
    instant = dt.datetime(2026, 5, 20, 13, 45, tzinfo=ZoneInfo(zone))
    assert period_of(instant, PeriodLength(length.lower()), zone) == period_named(key, zone)


@pytest.mark.parametrize("name", ["eu-west", "2026-3", "2026-Q5", "2026-03-01T06:00", "20260301", ""])
def test_other_names_are_no_periods(name: str) -> None:
    assert period_named(name, "UTC") is None


@pytest.mark.parametrize("name", ["2026-02-30", "2026-13", "2026-W60", "2026-03-01T25", "0001"])
def test_periods_that_do_not_exist_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        period_named(name, "UTC")
