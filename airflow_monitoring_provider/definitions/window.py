"""Which rows a job speaks of: a half-open interval of instants in UTC, found from what the run says.

A window is the identity of a job: the same window always has the same key and the same job id, however it was asked
for. Scheduled windows tile time; any other window is ad hoc and never enters health, moving baselines or roll-ups.
"""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from airflow_monitoring_provider.definitions.duration import Duration
from airflow_monitoring_provider.definitions.instants import in_utc
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.periods import period_named
from airflow_monitoring_provider.definitions.schedule import Schedule
from airflow_monitoring_provider.definitions.terms import WindowKind
from airflow_monitoring_provider.exceptions import WindowError

WINDOW_PARAMS = ("window_start", "window_end")

_INTERVAL_NAMES = ("data_interval_start", "data_interval_end")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclasses.dataclass(frozen=True, slots=True)
class Window:
    """Rows from ``start`` on and before ``end``, both aware UTC.

    For a definition without timestamp column the rows are the whole table and the interval is a label only; then, and
    only without a schedule, ``start`` equals ``end``.

    :param label: the instant that names the window in lists and charts: its start.
    """

    start: datetime.datetime
    end: datetime.datetime
    kind: WindowKind
    label: datetime.datetime

    @classmethod
    def of(cls, start: datetime.datetime, end: datetime.datetime, kind: WindowKind = WindowKind.SCHEDULED) -> Window:
        """A window from two aware instants of any zone.

        :raises WindowError: an instant carries no zone or lies out of range, or the end lies before the start.
        """
        start, end = _own_instant(start, "the window's start"), _own_instant(end, "the window's end")
        if end < start:
            raise WindowError("the window's end must not lie before its start")
        return cls(start, end, kind, start)

    def key(self) -> str:
        """Stable text of the interval: ``2026-01-31T00:00:00.000000Z/2026-02-01T00:00:00.000000Z``.

        The kind is no part of it: the same rows asked for in another way are the same window.
        """
        return f"{_text(self.start)}/{_text(self.end)}"


def job_id(definition_id: str, window: Window) -> str:
    """The id of the job of one definition over one window: 32 hexadecimal digits, always the same."""
    identity = json.dumps([definition_id, window.key()], ensure_ascii=True)
    return hashlib.sha256(identity.encode()).hexdigest()[:32]


def resolve_window(
    definition: JobDefinition,
    *,
    params: Mapping[str, Any],
    data_interval: tuple[datetime.datetime, datetime.datetime] | None,
    partition_key: str | None,
    run_after: datetime.datetime | None,
    scheduled: bool,
) -> Window:
    """The window of a run: from its params, else its data interval, else its partition key, else the last complete
    interval of the schedule whose rows had arrived by ``run_after``, else (neither schedule nor timestamp column) the
    instant of the run.

    :param params: ``window_start`` and ``window_end``: ISO 8601 text or datetimes; without a zone they are in the
        definition's. Empty text and None mean absent; other members are ignored.
    :param data_interval: of the run, aware; an empty interval (Airflow gives one to manual runs of DAGs without a
        schedule) counts as the run's instant only.
    :param partition_key: the name of a calendar period (:mod:`.periods`: ``2026-03-01``, ``2026-03``, …), an ISO date
        and time (the schedule's interval that starts there), or ``start/end``.
    :param run_after: aware; when the run was due.
    :param scheduled: whether the scheduler or a backfill started the run; a person's or another program's run is
        scheduled work only when its window is exactly one interval of the schedule.
    :raises WindowError: nothing says which window is meant, or what says it is wrong; names the param.
    """
    asked = _from_params(definition, params)
    if asked is not None:
        return Window.of(*asked, _kind(definition, *asked))
    if data_interval is not None:
        interval = _run_interval(data_interval)
        if interval[0] < interval[1]:
            return Window.of(*interval, WindowKind.SCHEDULED if scheduled else _kind(definition, *interval))
        run_after = interval[0]
    if partition_key is not None:
        interval = _from_partition_key(definition, partition_key)
        return Window.of(*interval, WindowKind.SCHEDULED if scheduled else _kind(definition, *interval))
    if run_after is None:
        raise WindowError(_NOTHING_SAYS)
    run_after = _own_instant(run_after, "run_after")
    if definition.schedule is not None:
        arrived = run_after - definition.timeliness.waiting
        last = last_complete_window(definition.schedule, definition.timezone, arrived)
        return Window.of(last.start, last.end, _kind(definition, last.start, last.end))
    if definition.timestamp_column is None:
        return Window.of(run_after, run_after, WindowKind.AD_HOC)
    raise WindowError(_NOTHING_SAYS)


def due_at(definition: JobDefinition, window: Window) -> datetime.datetime:
    """When the rows of a window have arrived: its end and the definition's delay; aware UTC."""
    return window.end + definition.timeliness.waiting


def matures_at(definition: JobDefinition, window: Window) -> datetime.datetime | None:
    """From when on the actuals of a window that are not there count as never coming; aware UTC, None: nobody said."""
    age = definition.minimums.maturity_age
    return None if age is None else Duration.of(age).after(window.end, definition.timezone)


def first_window(definition: JobDefinition) -> Window:
    """The interval of the schedule that starts at the definition's start date, or the first one after it.

    :raises WindowError: the definition has no start date or no schedule, so nothing says which window is the first.
    """
    start, schedule = definition.start_date, definition.schedule
    if start is None or schedule is None:
        raise WindowError("a first_window baseline needs start_date and schedule: they say which window is the first")
    if schedule.previous_at_or_before(start, definition.timezone) != start:
        start = schedule.next_after(start, definition.timezone)
    return Window.of(start, schedule.next_after(start, definition.timezone), WindowKind.SCHEDULED)


def last_complete_window(schedule: Schedule, timezone: str, instant: datetime.datetime) -> Window:
    """The last interval of the schedule that ended at or before an instant."""
    end = schedule.previous_at_or_before(instant, timezone)
    start = schedule.previous_at_or_before(end - datetime.timedelta(microseconds=1), timezone)
    return Window.of(start, end, WindowKind.SCHEDULED)


_NOTHING_SAYS = (
    "nothing says which window is meant: give the params window_start and window_end, or give the definition a schedule"
)


def _kind(definition: JobDefinition, start: datetime.datetime, end: datetime.datetime) -> WindowKind:
    schedule, timezone = definition.schedule, definition.timezone
    if schedule is None or schedule.previous_at_or_before(start, timezone) != start:
        return WindowKind.AD_HOC
    first, last = definition.start_date, definition.end_date
    if (first is not None and start < first) or (last is not None and start > last):
        return WindowKind.AD_HOC  # the schedule had not begun, or was over
    return WindowKind.SCHEDULED if schedule.next_after(start, timezone) == end else WindowKind.AD_HOC


def _from_params(
    definition: JobDefinition, params: Mapping[str, Any]
) -> tuple[datetime.datetime, datetime.datetime] | None:
    given = [params.get(name) for name in WINDOW_PARAMS]
    missing = [name for name, value in zip(WINDOW_PARAMS, given, strict=True) if value is None or value == ""]
    if len(missing) == len(WINDOW_PARAMS):
        return None
    if missing:
        raise WindowError(f"param {missing[0]} is missing: a window needs window_start and window_end")
    start, end = (
        _instant(value, definition.timezone, f"param {n}") for n, value in zip(WINDOW_PARAMS, given, strict=True)
    )
    return _in_order(start, end, "param window_end")


def _from_partition_key(definition: JobDefinition, key: str) -> tuple[datetime.datetime, datetime.datetime]:
    name, timezone = "partition key", definition.timezone
    try:
        period = period_named(key, timezone)
    except ValueError as error:
        raise WindowError(f"{name} {key!r} is no period: {error}") from None
    if period is not None:
        return _in_order(period.start, period.end, name)
    first, slash, second = key.partition("/")
    start = _instant(first, timezone, name)
    if slash:
        return _in_order(start, _instant(second, timezone, name), name)
    schedule = definition.schedule
    if schedule is None:
        raise WindowError("partition key is an instant, but without a schedule nothing says how long its window is")
    if schedule.previous_at_or_before(start, timezone) != start:
        raise WindowError("partition key is an instant at which no interval of the schedule starts")
    return start, schedule.next_after(start, timezone)


def _instant(value: Any, timezone: str, name: str) -> datetime.datetime:
    if isinstance(value, str):
        value = _parsed(value.strip(), name)
    if not isinstance(value, datetime.date):
        raise WindowError(f"{name} must be an ISO 8601 date or date and time, not {type(value).__name__}")
    if not isinstance(value, datetime.datetime):
        value = datetime.datetime.combine(value, datetime.time())
    try:
        return in_utc(value, timezone)
    except ValueError as error:
        raise WindowError(f"{name} {error}") from None


def _parsed(text: str, name: str) -> datetime.datetime:
    if _DATE.match(text):
        try:
            return datetime.datetime.fromisoformat(text)
        except ValueError:
            pass
    raise WindowError(f"{name} must be an ISO 8601 date or date and time, such as 2026-01-31T00:00:00Z")


def _run_interval(
    interval: tuple[datetime.datetime, datetime.datetime],
) -> tuple[datetime.datetime, datetime.datetime]:
    start, end = (_own_instant(value, name) for value, name in zip(interval, _INTERVAL_NAMES, strict=True))
    if end < start:
        raise WindowError("data_interval_end must not lie before data_interval_start")
    return start, end


def _own_instant(instant: datetime.datetime, name: str) -> datetime.datetime:
    try:
        return in_utc(instant)
    except ValueError as error:
        raise WindowError(f"{name} {error}") from None


def _in_order(
    start: datetime.datetime, end: datetime.datetime, name: str
) -> tuple[datetime.datetime, datetime.datetime]:
    if end <= start:
        raise WindowError(f"{name} must lie after the window's start")
    return start, end


def _text(instant: datetime.datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
