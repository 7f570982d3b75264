"""Baselines in a definition: both spellings are one, durations are read, instants get their zone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import Duration, JobDefinition, dump_definition, load_definition

UTC = dt.UTC
Define = Callable[[dict[str, Any]], JobDefinition]


@pytest.mark.parametrize(
    ("snake", "camel"),
    [
        ({"type": "moving_window", "length": "2w", "delay": "1d", "exclude_drifted": True, "minimum_windows": 3},
         {"type": "movingWindow", "length": "2w", "delay": "1d", "excludeDrifted": True, "minimumWindows": 3}),
        ({"type": "moving_window", "windows": 5, "minimum_rows": 9},
         {"type": "movingWindow", "windows": 5, "minimumRows": 9}),
        ({"type": "fixed_range", "start": "2026-01-01", "end": "2026-02-01"},
         {"type": "fixedRange", "start": "2025-12-31T23:00:00Z", "end": "2026-01-31T23:00:00Z"}),
        ({"type": "batches", "batch_ids": ["a", "b"]}, {"type": "batches", "batchIds": ["a", "b"]}),
        ({"type": "previous_window"}, {"type": "previousWindow"}),
        ({"type": "previous_batch"}, {"type": "previousBatch"}),
        ({"type": "same_period", "ago": "year", "periods": 2}, {"type": "samePeriod", "ago": "year", "periods": 2}),
        ({"type": "expanding", "start": "2026-07-01"}, {"type": "expanding", "start": "2026-06-30T22:00:00+00:00"}),
        ({"type": "named", "name": "n", "version": 2}, {"type": "named", "name": "n", "version": 2}),
    ],
)  # fmt: skip
def test_both_spellings_are_one_baseline_and_survive_being_written(
    snake: dict[str, Any], camel: dict[str, Any], define: Define
) -> None:
    one, other = (define({"baseline": each, "timezone": "Europe/Berlin"}) for each in (snake, camel))
    assert one.baseline == other.baseline
    assert one.baseline == load_definition(dump_definition(one, "payload")).baseline


@pytest.mark.parametrize(
    ("text", "days", "seconds"),
    [
        ("17d", 17, 0),
        ("2w", 14, 0),
        ("1w2d3h4m5s", 9, 3 * 3600 + 4 * 60 + 5),
        ("604800s", 0, 604_800),
        ("P17D", 17, 0),
        ("P1W", 7, 0),
        ("PT12H30M", 0, 45_000),
        ("0d", 0, 0),
    ],
)
def test_a_duration_is_days_of_the_calendar_and_seconds_of_the_clock(text: str, days: int, seconds: int) -> None:
    assert Duration(days, seconds) == Duration.of(text)


@pytest.mark.parametrize("text", ["", "P", "PT", "d", "1", "1x", "-1d", "1.5d", "1d 2h", "PT1D", "1h1d", "1M"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as"):
        Duration.of(text)


@given(
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kolkata"]),
    date=st.dates(dt.date(2020, 1, 1), dt.date(2030, 1, 1)),
    days=st.integers(0, 400),
)
def test_days_before_a_midnight_is_a_midnight(zone: str, date: dt.date, days: int) -> None:
    def midnight(day: dt.date) -> dt.datetime:  # the first instant of a day, by looking
        instant = dt.datetime.combine(day, dt.time(), UTC) - dt.timedelta(hours=15)
        while instant.astimezone(ZoneInfo(zone)).date() < day:
            instant += dt.timedelta(minutes=30)
        return instant

    assert midnight(date - dt.timedelta(days=days)) == Duration(days).before(midnight(date), zone)
