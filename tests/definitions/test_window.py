"""Which rows a run speaks of, however it was started, and that asking differently for the same rows is the same job."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import (
    JobDefinition,
    Window,
    WindowKind,
    first_window,
    job_id,
    resolve_window,
)
from airflow_monitoring_provider.exceptions import WindowError

Define = Callable[[dict[str, Any]], JobDefinition]
UTC = datetime.UTC
SCHEDULED, AD_HOC = WindowKind.SCHEDULED, WindowKind.AD_HOC

DAILY = {"schedule": "@daily", "timestampColumn": "at"}
ZURICH = {**DAILY, "timezone": "Europe/Zurich"}
UNSCHEDULED = {"timestampColumn": "at"}
WHOLE_TABLE: dict[str, Any] = {}


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def window(start: str, end: str, kind: WindowKind) -> Window:
    return Window.of(at(start), at(end), kind)


def resolve(definition: JobDefinition, **asked: Any) -> Window:
    nothing: dict[str, Any] = {
        "params": {},
        "data_interval": None,
        "partition_key": None,
        "run_after": None,
        "scheduled": False,
    }
    return resolve_window(definition, **{**nothing, **asked})


def params(start: Any, end: Any) -> dict[str, Any]:
    return {"window_start": start, "window_end": end, "batch_name": "anything"}


@pytest.mark.parametrize(
    ("changes", "asked", "expected"),
    [
        # params
        (DAILY, {"params": params("2026-01-01", "2026-01-02")}, ("2026-01-01T00Z", "2026-01-02T00Z", SCHEDULED)),
        (DAILY, {"params": params("2026-01-01", "2026-01-03")}, ("2026-01-01T00Z", "2026-01-03T00Z", AD_HOC)),
        (
            DAILY,
            {"params": params("2026-01-01T06:00", "2026-01-02T06:00")},
            ("2026-01-01T06Z", "2026-01-02T06Z", AD_HOC),
        ),
        (
            DAILY,
            {"params": params("2026-01-01T02:00+02:00", "2026-01-01T19:00:00-05:00")},
            ("2026-01-01T00Z", "2026-01-02T00Z", SCHEDULED),
        ),
        (ZURICH, {"params": params("2026-03-29", "2026-03-30")}, ("2026-03-28T23Z", "2026-03-29T22Z", SCHEDULED)),
        (
            ZURICH,
            {"params": params("2026-10-25T00:00", "2026-10-26T00:00")},
            ("2026-10-24T22Z", "2026-10-25T23Z", SCHEDULED),
        ),
        (
            UNSCHEDULED,
            {"params": params(at("2026-01-01T00Z"), at("2026-01-02T00Z"))},
            ("2026-01-01T00Z", "2026-01-02T00Z", AD_HOC),
        ),
        (
            UNSCHEDULED,
            {"params": params(datetime.date(2026, 1, 1), datetime.date(2026, 1, 2))},
            ("2026-01-01T00Z", "2026-01-02T00Z", AD_HOC),
        ),
        (WHOLE_TABLE, {"params": params("2026-01-01", "2026-01-02")}, ("2026-01-01T00Z", "2026-01-02T00Z", AD_HOC)),
        (
            DAILY,
            {
                "params": params("2026-01-01", "2026-01-02"),
                "data_interval": (at("2026-02-01T00Z"), at("2026-02-02T00Z")),
                "partition_key": "2026-03-01",
                "run_after": at("2026-04-01T00Z"),
                "scheduled": True,
            },
            ("2026-01-01T00Z", "2026-01-02T00Z", SCHEDULED),
        ),
        # data interval
        (
            DAILY,
            {
                "params": params("", None),
                "data_interval": (at("2026-02-01T00Z"), at("2026-02-02T00Z")),
                "partition_key": "2026-03-01",
                "run_after": at("2026-04-01T00Z"),
            },
            ("2026-02-01T00Z", "2026-02-02T00Z", SCHEDULED),
        ),
        (
            DAILY,
            {"data_interval": (at("2026-02-01T01Z"), at("2026-02-02T01Z"))},
            ("2026-02-01T01Z", "2026-02-02T01Z", AD_HOC),
        ),
        (
            UNSCHEDULED,
            {"data_interval": (at("2026-02-01T01Z"), at("2026-02-02T01Z")), "scheduled": True},
            ("2026-02-01T01Z", "2026-02-02T01Z", SCHEDULED),
        ),
        # partition key
        (
            DAILY,
            {"partition_key": "2026-03-01", "run_after": at("2026-04-01T00Z")},
            ("2026-03-01T00Z", "2026-03-02T00Z", SCHEDULED),
        ),
        (ZURICH, {"partition_key": "2026-03-29"}, ("2026-03-28T23Z", "2026-03-29T22Z", SCHEDULED)),
        (UNSCHEDULED, {"partition_key": "2026-03-01"}, ("2026-03-01T00Z", "2026-03-02T00Z", AD_HOC)),
        (
            UNSCHEDULED,
            {"partition_key": "2026-03-01", "scheduled": True},
            ("2026-03-01T00Z", "2026-03-02T00Z", SCHEDULED),
        ),
        (
            {**DAILY, "schedule": "0 */6 * * *"},
            {"partition_key": "2026-03-01T06:00:00"},
            ("2026-03-01T06Z", "2026-03-01T12Z", SCHEDULED),
        ),
        (
            UNSCHEDULED,
            {"partition_key": "2026-03-01T06:00/2026-03-01T08:00Z"},
            ("2026-03-01T06Z", "2026-03-01T08Z", AD_HOC),
        ),
        # the last complete interval
        (DAILY, {"run_after": at("2026-04-01T13:30Z")}, ("2026-03-31T00Z", "2026-04-01T00Z", SCHEDULED)),
        (DAILY, {"run_after": at("2026-04-01T00:00Z")}, ("2026-03-31T00Z", "2026-04-01T00Z", SCHEDULED)),
        (
            {"schedule": "@daily"},
            {"run_after": at("2026-04-01T13:30Z"), "scheduled": True},
            ("2026-03-31T00Z", "2026-04-01T00Z", SCHEDULED),
        ),
        (ZURICH, {"run_after": at("2026-03-30T00:00Z")}, ("2026-03-28T23Z", "2026-03-29T22Z", SCHEDULED)),
        (
            {**ZURICH, "schedule": "30 2 * * *"},
            {"run_after": at("2026-03-29T01:30Z")},
            ("2026-03-28T01:30Z", "2026-03-29T01:30Z", SCHEDULED),
        ),
        # the instant of the run
        (WHOLE_TABLE, {"run_after": at("2026-04-01T13:30Z")}, ("2026-04-01T13:30Z", "2026-04-01T13:30Z", AD_HOC)),
        (
            WHOLE_TABLE,
            {
                "data_interval": (at("2026-02-01T01Z"), at("2026-02-01T01Z")),
                "run_after": at("2026-04-01T13:30Z"),
            },
            ("2026-02-01T01Z", "2026-02-01T01Z", AD_HOC),
        ),
        (
            DAILY,
            {"data_interval": (at("2026-02-01T01Z"), at("2026-02-01T01Z"))},
            ("2026-01-31T00Z", "2026-02-01T00Z", SCHEDULED),
        ),
    ],
)
def test_the_window_is_what_the_run_says_first(
    changes: dict[str, Any], asked: dict[str, Any], expected: tuple[str, str, WindowKind], define: Define
) -> None:
    assert window(*expected) == resolve(define(changes), **asked)


@pytest.mark.parametrize(
    ("changes", "asked", "words"),
    [
        (DAILY, {"params": {"window_start": "2026-01-01"}}, "param window_end is missing"),
        (DAILY, {"params": {"window_end": "2026-01-01", "window_start": ""}}, "param window_start is missing"),
        (DAILY, {"params": params("2026-01-02", "2026-01-01")}, "param window_end must lie after"),
        (DAILY, {"params": params("2026-01-01", "2026-01-01T00:00Z")}, "param window_end must lie after"),
        (DAILY, {"params": params("yesterday", "2026-01-01")}, "param window_start must be an ISO 8601 date"),
        (DAILY, {"params": params("2026-02-30", "2026-03-01")}, "param window_start must be an ISO 8601 date"),
        (DAILY, {"params": params("2026-W03", "2026-03-01")}, "param window_start must be an ISO 8601 date"),
        (DAILY, {"params": params("20260101", "2026-03-01")}, "param window_start must be an ISO 8601 date"),
        (DAILY, {"params": params("2026-01-01", "10000-01-01")}, "param window_end must be an ISO 8601 date"),
        (DAILY, {"params": params("{{ ds }}", "2026-01-01")}, "param window_start must be an ISO 8601 date"),
        (DAILY, {"params": params(5, "2026-01-01")}, "param window_start must be an ISO 8601 date.*not int"),
        (DAILY, {"params": params("0001-01-01", "2026-01-01")}, "param window_start must lie between the years 1900"),
        (DAILY, {"params": params("2026-01-01", "9999-12-31")}, "param window_end must lie between the years 1900"),
        (DAILY, {"params": params("0001-01-01T00:00+14:00", "2026-01-01")}, "param window_start must lie between"),
        (
            DAILY,
            {"data_interval": (at("2026-01-02T00Z"), at("2026-01-01T00Z"))},
            "data_interval_end must not lie before",
        ),
        (DAILY, {"data_interval": (at("2026-01-02T00"), at("2026-01-03T00Z"))}, "data_interval_start must carry"),
        (DAILY, {"partition_key": "eu-west"}, "partition key must be an ISO 8601 date"),
        (DAILY, {"partition_key": "2026-01-02/2026-01-01"}, "partition key must lie after"),
        (DAILY, {"partition_key": "2026-01-01/"}, "partition key must be an ISO 8601 date"),
        (DAILY, {"partition_key": "2026-01-01T06:00"}, "at which no interval of the schedule starts"),
        (UNSCHEDULED, {"partition_key": "2026-01-01T06:00"}, "nothing says how long its window is"),
        (UNSCHEDULED, {"run_after": at("2026-01-01T00Z")}, "nothing says which window is meant: give the params"),
        (UNSCHEDULED, {"data_interval": (at("2026-01-01T00Z"), at("2026-01-01T00Z"))}, "nothing says which window"),
        (WHOLE_TABLE, {}, "nothing says which window"),
        (DAILY, {}, "nothing says which window"),
        (DAILY, {"run_after": at("2026-01-01T00")}, "run_after must carry a time zone"),
    ],
)
def test_a_window_that_nothing_or_something_wrong_says_is_an_error(
    changes: dict[str, Any], asked: dict[str, Any], words: str, define: Define
) -> None:
    with pytest.raises(WindowError, match=words):
        resolve(define(changes), **asked)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({**DAILY, "startDate": "2026-01-01"}, ("2026-01-01T00Z", "2026-01-02T00Z", SCHEDULED)),
        ({**DAILY, "startDate": "2026-01-01T00:00:01"}, ("2026-01-02T00Z", "2026-01-03T00Z", SCHEDULED)),
        ({**ZURICH, "startDate": "2026-03-29"}, ("2026-03-28T23Z", "2026-03-29T22Z", SCHEDULED)),
    ],
)
def test_the_first_window_starts_at_or_after_the_start_date(
    changes: dict[str, Any], expected: tuple[str, str, WindowKind], define: Define
) -> None:
    assert window(*expected) == first_window(define(changes))


@pytest.mark.parametrize("changes", [DAILY, {"startDate": "2026-01-01"}])
def test_without_start_date_or_schedule_there_is_no_first_window(changes: dict[str, Any], define: Define) -> None:
    with pytest.raises(WindowError, match="needs start_date and schedule"):
        first_window(define(changes))


def test_a_window_key_is_stable_text() -> None:
    found = window("2026-01-31T01:00+01:00", "2026-02-01T00:00:00.000001Z", AD_HOC)

    assert "2026-01-31T00:00:00.000000Z/2026-02-01T00:00:00.000001Z" == found.key()


def test_a_window_is_labelled_by_its_start() -> None:
    assert at("2026-01-31T00Z") == window("2026-01-31T00Z", "2026-02-01T00Z", SCHEDULED).label


def test_a_job_id_names_definition_and_interval_and_nothing_else() -> None:
    day = window("2026-01-31T00Z", "2026-02-01T00Z", SCHEDULED)

    expected = job_id("flights", day)
    assert re.fullmatch("[0-9a-f]{32}", expected)
    assert "29644467cf47d0d32f0b55b3bd824bb1" == expected  # stored in tables: must never change
    assert expected == job_id("flights", window("2026-01-31T01+01:00", "2026-02-01T00Z", AD_HOC))
    assert expected != job_id("flight", day)
    assert expected != job_id("flights", window("2026-01-31T00Z", "2026-02-01T01Z", SCHEDULED))


@given(st.tuples(st.text(max_size=5), st.integers(0, 3)), st.tuples(st.text(max_size=5), st.integers(0, 3)))
def test_different_jobs_have_different_ids(first: tuple[str, int], second: tuple[str, int]) -> None:
    def of(definition_id: str, days: int) -> str:
        start = at("2026-01-01T00Z")
        return job_id(definition_id, Window.of(start, start + datetime.timedelta(days=days)))

    assert (of(*first) == of(*second)) == (first == second)


def test_a_window_cannot_be_made_backwards_or_without_a_zone() -> None:
    with pytest.raises(WindowError, match="end must not lie before its start"):
        window("2026-02-01T00Z", "2026-01-31T00Z", AD_HOC)
    with pytest.raises(WindowError, match="end must carry a time zone"):
        Window.of(at("2026-02-01T00Z"), at("2026-02-01T00"), AD_HOC)


def test_airflows_instants_become_plain_ones(define: Define) -> None:
    interval = (pendulum.datetime(2026, 1, 1, tz="Europe/Zurich"), pendulum.datetime(2026, 1, 2, tz="Europe/Zurich"))

    found = resolve(define(ZURICH), data_interval=interval)

    assert window("2025-12-31T23Z", "2026-01-01T23Z", SCHEDULED) == found
    assert {datetime.datetime} == {type(found.start), type(found.end), type(found.label)}
    assert (UTC, UTC) == (found.start.tzinfo, found.end.tzinfo)


@given(st.integers(0, 24 * 400))
def test_last_complete_windows_tile_time(hours: int) -> None:
    definition = JobDefinition(
        deployment_id="d",
        monitoring_columns={"predictions_columns": "p"},  # type: ignore[arg-type]
        schedule="0 3 * * *",  # type: ignore[arg-type]
        timezone="America/New_York",
    )
    now = at("2026-01-01T00Z") + datetime.timedelta(hours=hours)

    found = resolve(definition, run_after=now)
    before = resolve(definition, run_after=found.end - datetime.timedelta(microseconds=1))

    assert found.start < found.end <= now
    assert before.end == found.start


def test_a_window_before_the_start_or_after_the_end_is_ad_hoc() -> None:
    from airflow_monitoring_provider.definitions import load_definition

    definition = load_definition(
        {
            "name": "d",
            "deployment_id": "m",
            "intake_settings": {"type": "sql", "data_store_id": "db", "table": "t"},
            "timestamp_column": "at",
            "monitoring_columns": {"predictions_columns": "p"},
            "schedule": "0 0 * * *",
            "start_date": "2026-03-01",
            "end_date": "2026-03-10",
        }
    )
    kinds = [
        resolve_window(
            definition,
            params={},
            data_interval=None,
            partition_key=None,
            run_after=datetime.datetime(2026, 3, day, 5, tzinfo=datetime.UTC),
            scheduled=False,
        ).kind
        for day in (1, 2, 11, 12)
    ]
    assert ["ad_hoc", "scheduled", "scheduled", "ad_hoc"] == kinds
