"""Weeks and months are what one job over all their rows would have found, whatever became of the windows."""

from __future__ import annotations

import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import Window, job_id
from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.jobs.rollup import roll_up
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.profiles.serialise import from_bytes

FIRST_DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
PLAIN = {
    "output_settings": None,
    "monitoring_output_settings": None,
    "monitoring_columns": {"predictions_columns": [{"class_name": "yes", "column_name": "score"}]},
}
FIXED = PLAIN | {
    "baseline": None,
    "segments": [{"name": "north", "where": [{"column": "region", "op": "eq", "value": "north"}]}],
}


def days(count: int) -> tuple[dt.datetime, dt.datetime]:
    return FIRST_DAY, FIRST_DAY + dt.timedelta(days=count)


def one_go(world: Any, definition: Any, start: dt.datetime, end: dt.datetime) -> str:
    """The content hash of the profile of one job over all rows."""
    summary = run_job(definition, Window.of(start, end), world.ports())
    stored = world.store.load_profile(summary.job_id)
    assert stored is not None
    return from_bytes(stored.data).content_hash()


def test_a_roll_up_is_the_profile_of_all_rows_in_one_go(world: Any, define: Any, tools: Any) -> None:
    definition = define(**FIXED)
    world.table("scores", [row for day in range(9) for row in tools.day_rows(day, 60, shift=day / 3, dirty=False)])
    for day in (4, 0, 8, 1, 7, 2, 3, 5, 6):
        world.run(definition, day)
    start, end = days(9)
    for length in ("week", "month"):
        other = define(**FIXED, id=f"other-{length}", name=f"other {length}")
        for rolled in roll_up(world.store, definition, length, start, end, now=LATER):
            assert rolled.profile is not None
            low, high = max(rolled.period.start, start), min(rolled.period.end, end)
            assert 60 * (high - low).days == rolled.profile.rows
            assert one_go(world, other, low, high) == rolled.profile.content_hash()


def test_deleted_batches_are_out_and_repeated_windows_are_in_as_they_are_now(
    world: Any, define: Any, tools: Any
) -> None:
    definition = define(**PLAIN)
    rows = {day: tools.day_rows(day, 50, dirty=False) for day in range(3)}
    world.table("scores", [row for day in rows.values() for row in day])
    for day in range(3):
        world.run(definition, day)

    def rolled() -> Any:
        return next(iter(roll_up(world.store, "churn", "month", *days(3), now=LATER)))

    before = rolled()
    assert (3, 31, True, 150) == (before.windows, before.expected, before.incomplete, before.profile.rows)
    world.store.delete_batch(world.store.job(job_id(definition.id, tools.window(1))).batch_id)
    assert (2, 100) == (rolled().windows, rolled().profile.rows)
    world.table("scores", [*rows[0], *tools.day_rows(2, 70, dirty=False)])
    world.run(definition, 2)
    assert (2, 120) == (rolled().windows, rolled().profile.rows)


def test_a_whole_week_is_complete_and_an_unfinished_or_early_one_is_not(
    small_world: Any, define: Any, tools: Any
) -> None:
    definition = define(**PLAIN, timeliness={"delay": "PT6H"})
    small_world.table("scores", [row for day in range(1, 8) for row in tools.day_rows(day, 30, dirty=False)])
    for day in range(1, 8):
        small_world.run(definition, day)
    week_end = FIRST_DAY + dt.timedelta(days=8)
    found = {}
    for name, now in (("after", week_end + dt.timedelta(hours=6)), ("before", week_end + dt.timedelta(hours=5))):
        (week,) = roll_up(small_world.store, definition, "week", *(FIRST_DAY + dt.timedelta(days=1), week_end), now=now)
        found[name] = (week.period.name, week.windows, week.expected, week.incomplete)
    assert {"after": ("2026-W10", 7, 7, False), "before": ("2026-W10", 7, 7, True)} == found


def test_the_window_that_became_the_baseline_merges_with_those_after_it(
    small_world: Any, define: Any, tools: Any
) -> None:
    definition = define(**PLAIN, segments=[{"column": "region", "name": "region"}])
    small_world.table("scores", [row for day in range(3) for row in tools.day_rows(day, 40, dirty=False)])
    for day in range(3):
        small_world.run(definition, day)
    (month,) = roll_up(small_world.store, definition, "month", *days(3), now=LATER)
    assert (0, 120) == (month.left_out, month.profile.rows if month.profile else 0)
    regions = month.profile.columns["region"].levels.counts if month.profile else {}
    counted = [row["region"] for day in range(3) for row in tools.day_rows(day, 40, dirty=False)]
    assert {level: counted.count(level) for level in set(counted) - {None}} == regions


def test_evaluation_is_against_the_baseline_and_sees_what_single_days_cannot(
    small_world: Any, define: Any, tools: Any
) -> None:
    definition = define(**PLAIN)
    rows = tools.day_rows(0, 400, dirty=False)
    rows += [row for day in range(1, 15) for row in tools.day_rows(day, 30, shift=1.0, dirty=False)]
    small_world.table("scores", rows)
    for day in range(15):
        small_world.run(definition, day)
    daily, weekly = (
        [each.to_dict() for each in roll_up(small_world.store, definition, length, *days(15), now=LATER)]
        for length in ("day", "week")
    )
    assert {"irrelevant"} == {each["status"] for each in daily[1:]}  # fewer rows than the minimum
    assert ["detected", "detected"] == [each["status"] for each in weekly[1:]]
    assert {"amount"} <= set(weekly[1]["drifted_columns"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    zone=st.sampled_from(["Europe/Zurich", "America/New_York", "Asia/Kathmandu"]),
    start=st.dates(dt.date(2026, 1, 1), dt.date(2026, 12, 20)),
    length=st.sampled_from(["day", "week", "month"]),
)
def test_every_window_is_in_the_one_period_that_the_wall_calendar_says(
    define: Any, zone: str, start: dt.date, length: str
) -> None:
    """Expected windows of consecutive periods, against a count of local midnights."""
    from airflow_monitoring_provider.definitions.periods import periods
    from airflow_monitoring_provider.jobs.rollup import _expected_windows

    definition = define(**PLAIN, timezone=zone, start_date="2020-01-01T00:00:00Z")
    local = dt.datetime.combine(start, dt.time(), ZoneInfo(zone))
    for period in periods(local, local + dt.timedelta(days=40), length, zone):
        first = period.start.astimezone(ZoneInfo(zone)).date()
        last = period.end.astimezone(ZoneInfo(zone)).date()
        assert (last - first).days == _expected_windows(definition, period)


def test_windows_longer_than_the_period_are_refused(small_world: Any, define: Any, tools: Any) -> None:
    definition = define(**PLAIN, schedule="0 0 1 * *")
    small_world.table("scores", tools.day_rows(0, 30, dirty=False))
    run_job(definition, Window.of(FIRST_DAY, dt.datetime(2026, 4, 1, tzinfo=dt.UTC)), small_world.ports())
    with pytest.raises(ConfigurationError, match="longer than a week"):
        list(roll_up(small_world.store, definition, "week", *days(1), now=LATER))


def test_whole_tables_are_not_rolled_up(small_world: Any, define: Any) -> None:
    definition = define(**PLAIN, timestamp_column=None)
    with pytest.raises(ConfigurationError, match="rows would count twice"):
        roll_up(small_world.store, definition, "week", *days(1), now=LATER)
