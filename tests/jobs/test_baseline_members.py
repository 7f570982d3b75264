"""Which windows make a baseline: days of the calendar in every zone, held against counting hours one by one."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import Window, WindowKind
from airflow_monitoring_provider.definitions.baseline import (
    BatchesBaseline,
    ExpandingBaseline,
    FixedRangeBaseline,
    MovingWindowBaseline,
    PreviousBatchBaseline,
    PreviousWindowBaseline,
    SamePeriodBaseline,
)
from airflow_monitoring_provider.jobs.baseline_members import Members, members_of
from airflow_monitoring_provider.store.baseline_records import Candidate

UTC, HOUR, DAY = dt.UTC, dt.timedelta(hours=1), dt.timedelta(days=1)
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana"]


def at(text: str, zone: str = "UTC") -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def candidate(
    start: dt.datetime, end: dt.datetime, *, kind: WindowKind = WindowKind.SCHEDULED, **more: Any
) -> Candidate:
    facts = {"id": f"{start:%Y%m%dT%H%M}-{end:%Y%m%dT%H%M}", "batch_id": f"b{start:%Y%m%d}", "revision": 1, "rows": 10}
    return Candidate(window=Window.of(start, end, kind), **(facts | {"content_hash": str(start)} | more))


def days(first: str, count: int, zone: str = "UTC") -> list[Candidate]:
    """Windows from midnight to midnight by a zone's clock."""
    date = dt.date.fromisoformat(first)
    edges = [at(f"{date + n * DAY}T00:00", zone) for n in range(count + 1)]
    return [candidate(a, b) for a, b in itertools.pairwise(edges)]


def starts(members: Members, zone: str = "UTC") -> list[str]:
    found = [each.window.start.astimezone(ZoneInfo(zone)) for each in members.chosen if each.window is not None]
    return [f"{start:%m-%d}" for start in found]


@given(
    zone=st.sampled_from(ZONES),
    first=st.dates(dt.date(2024, 1, 1), dt.date(2027, 1, 1)),
    ran=st.sets(st.integers(0, 39), max_size=40),
    own=st.integers(0, 39),
    length=st.integers(1, 30),
    delay=st.integers(0, 10),
)
def test_a_moving_baseline_is_what_counting_calendar_days_says(
    zone: str, first: dt.date, ran: set[int], own: int, length: int, delay: int
) -> None:
    every = days(first.isoformat(), 40, zone)
    baseline = MovingWindowBaseline(type="moving_window", length=f"{length}d", delay=f"{delay}d")
    expected = [every[day].id for day in range(own - delay - length, own - delay) if day in ran]
    found = members_of(baseline, every[own].window, [every[day] for day in sorted(ran, reverse=True)], zone)
    assert expected == [each.id for each in found.chosen]


@given(
    zone=st.sampled_from(ZONES),
    first=st.integers(0, 3 * 8766).map(lambda hours: at("2024-01-01T00:00") + hours * HOUR),
    length=st.integers(1, 100),
    delay=st.integers(0, 50),
)
def test_hours_are_elapsed_time_whatever_clocks_do(zone: str, first: dt.datetime, length: int, delay: int) -> None:
    hours = [candidate(first + n * HOUR, first + (n + 1) * HOUR) for n in range(160)]
    baseline = MovingWindowBaseline(type="moving_window", length=f"{length}h", delay=f"{delay * 60}m")
    found = members_of(baseline, hours[-1].window, hours, zone)
    assert [each.id for each in hours[159 - delay - length : 159 - delay]] == [each.id for each in found.chosen]


def test_seventeen_days_without_being_told() -> None:
    every = days("2026-01-01", 60)
    found = members_of(MovingWindowBaseline(type="movingWindow"), every[40].window, every, "UTC")
    assert [each.id for each in every[23:40]] == [each.id for each in found.chosen]


@pytest.mark.parametrize(
    ("baseline", "own", "expected"),
    [
        (MovingWindowBaseline(type="moving_window", windows=3), 9, ["01-05", "01-07", "01-09"]),
        (MovingWindowBaseline(type="moving_window", windows=2, delay="4d"), 9, ["01-03", "01-05"]),
        (MovingWindowBaseline(type="moving_window", windows=99), 4, ["01-01", "01-03"]),
        (PreviousWindowBaseline(type="previous_window"), 9, ["01-09"]),
        (PreviousWindowBaseline(type="previous_window"), 8, ["01-07"]),
        (PreviousWindowBaseline(type="previous_window"), 0, []),
        (ExpandingBaseline(type="expanding"), 6, ["01-01", "01-03", "01-05"]),
        (ExpandingBaseline(type="expanding", start=at("2026-01-02T00:00"), delay="2d"), 6, ["01-03"]),
        (FixedRangeBaseline(type="fixed_range", start=at("2026-01-03T00:00"), end=at("2026-01-08T00:00")), 0,
         ["01-03", "01-05", "01-07"]),
        (FixedRangeBaseline(type="fixed_range", start=at("2026-01-03T01:00"), end=at("2026-01-08T00:00")), 4,
         ["01-07"]),
        (BatchesBaseline(type="batches", batch_ids=("b20260109", "b20260101", "other")), 2, ["01-01", "01-09"]),
        (SamePeriodBaseline(type="same_period", ago="day", periods=5), 9, ["01-05", "01-07", "01-09"]),
        (SamePeriodBaseline(type="same_period", ago="week"), 9, ["01-03"]),
        (SamePeriodBaseline(type="same_period", ago="week"), 8, []),
    ],
)  # fmt: skip
def test_only_windows_that_ran_are_members(baseline: Any, own: int, expected: list[str]) -> None:
    every = days("2026-01-01", 10)  # the odd days ran
    assert expected == starts(members_of(baseline, every[own].window, every[::2], "UTC"))


def test_a_window_is_never_in_its_own_baseline_and_ad_hoc_ones_are_in_none() -> None:
    every = days("2026-01-01", 5)
    hand = candidate(at("2026-01-02T06:00"), at("2026-01-02T07:00"), kind=WindowKind.AD_HOC, batch_id="by hand")
    fixed = FixedRangeBaseline(type="fixed_range", start=at("2026-01-01T00:00"), end=at("2026-01-04T00:00"))
    assert ["01-01", "01-03"] == starts(members_of(fixed, every[1].window, [*every, hand], "UTC"))
    assert ["01-01"] == starts(members_of(ExpandingBaseline(type="expanding"), every[1].window, [*every, hand], "UTC"))
    named = BatchesBaseline(type="batches", batch_ids=("by hand",))
    assert (hand,) == members_of(named, every[4].window, [*every, hand], "UTC").chosen


def test_reports_count_only_where_their_batch_is_named() -> None:
    told = Candidate("report:b/1", None, "b20260102", 0, "x", 5)
    every = days("2026-01-01", 5)
    baseline = BatchesBaseline(type="batches", batch_ids=("b20260102",))
    assert [every[1], told] == list(members_of(baseline, every[4].window, [told, *every], "UTC").chosen)
    assert told not in members_of(ExpandingBaseline(type="expanding"), every[4].window, [told, *every], "UTC").chosen


def test_windows_that_overlap_count_once() -> None:
    daily, week = days("2026-01-01", 9), candidate(at("2026-01-01T00:00"), at("2026-01-08T00:00"))
    found = members_of(ExpandingBaseline(type="expanding"), daily[8].window, [week, *daily[4:]], "UTC")
    assert [each.id for each in daily[4:8]] == [each.id for each in found.chosen]
    assert (week,) == members_of(ExpandingBaseline(type="expanding"), daily[7].window, [week], "UTC").chosen


def test_the_previous_batch_is_all_of_it_before_the_own_one() -> None:
    every = [
        candidate(at(f"2026-01-0{n + 1}T00:00"), at(f"2026-01-0{n + 2}T00:00"), batch_id=f"b{n // 3}") for n in range(8)
    ]
    baseline = PreviousBatchBaseline(type="previous_batch")
    assert ["01-04", "01-05", "01-06"] == starts(members_of(baseline, every[6].window, every, "UTC", own_batch="b2"))
    assert ["01-04", "01-05", "01-06"] == starts(members_of(baseline, every[7].window, every, "UTC", own_batch="b2"))
    assert [] == starts(members_of(baseline, every[0].window, every, "UTC", own_batch="b0"))


def test_drifted_windows_are_left_out_and_counted_ones_replaced_by_older() -> None:
    every = [
        candidate(each.window.start, each.window.end, drifted=day in (3, 6)) if each.window is not None else each
        for day, each in enumerate(days("2026-01-01", 9))
    ]
    moving = members_of(
        MovingWindowBaseline(type="moving_window", length="4d", exclude_drifted=True), every[8].window, every, "UTC"
    )
    assert (["01-05", "01-06", "01-08"], [every[6]]) == (starts(moving), list(moving.drifted))
    counted = members_of(
        MovingWindowBaseline(type="moving_window", windows=3, exclude_drifted=True), every[8].window, every, "UTC"
    )
    assert ["01-05", "01-06", "01-08"] == starts(counted)
    batches = BatchesBaseline(type="batches", batch_ids=("b20260104",), exclude_drifted=True)
    assert () == members_of(batches, every[8].window, every, "UTC").chosen


@pytest.mark.parametrize(
    ("ago", "own", "expected"),
    [
        ("year", "2024-02-29", ["02-28"]),
        ("year", "2025-02-28", ["02-28", "02-29"]),  # until 1 March
        ("year", "2025-03-01", ["03-01"]),
        ("month", "2026-03-31", ["02-28"]),
        ("month", "2026-03-29", ["02-28"]),
        ("month", "2026-03-15", ["02-15"]),
        ("week", "2026-04-02", ["03-26"]),  # the clock changed between them
        ("day", "2026-03-30", ["03-29"]),  # a day of 23 hours
    ],
)
def test_the_same_period_is_one_of_the_calendar(ago: Any, own: str, expected: list[str]) -> None:
    zone = "Europe/Berlin"
    (current,) = days(own, 1, zone)
    every = days((dt.date.fromisoformat(own) - 400 * DAY).isoformat(), 401, zone)
    found = members_of(SamePeriodBaseline(type="same_period", ago=ago), current.window, every, zone)
    assert expected == starts(found, zone)


def test_hours_that_the_clock_skipped_or_repeated_a_week_before() -> None:
    zone, weekly = "Europe/Berlin", SamePeriodBaseline(type="same_period", ago="week")
    first = at("2026-03-20T00:00", zone)
    hours = [candidate(first + n * HOUR, first + (n + 1) * HOUR) for n in range(24 * 20)]

    def found(start: str) -> list[dt.datetime]:
        own = Window.of(at(start, zone), at(start, zone) + HOUR)
        return [each.window.start for each in members_of(weekly, own, hours, zone).chosen if each.window is not None]

    assert [] == found("2026-04-05T02:00")  # there was no such hour on 29 March
    assert [at("2026-03-29T03:00", zone)] == found("2026-04-05T03:00")
    first = at("2026-10-20T00:00", zone)
    hours = [candidate(first + n * HOUR, first + (n + 1) * HOUR) for n in range(24 * 20)]
    assert [at("2026-10-25T00:00", zone) + n * HOUR for n in (2, 3)] == found("2026-11-01T02:00")
    assert [at("2026-10-25T03:00", zone)] == found("2026-11-01T03:00")


def test_the_key_is_of_contents_alone() -> None:
    every = days("2026-01-01", 5)
    first = members_of(ExpandingBaseline(type="expanding"), every[4].window, every, "UTC")
    again = members_of(MovingWindowBaseline(type="moving_window", windows=4), every[4].window, every[::-1], "UTC")
    assert first.key() == again.key()
    changed = [candidate(each.window.start, each.window.end, content_hash="other") for each in every[:1] if each.window]
    assert (
        first.key()
        != members_of(ExpandingBaseline(type="expanding"), every[4].window, [*changed, *every[1:]], "UTC").key()
    )
