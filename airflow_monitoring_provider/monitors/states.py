"""Where a monitor stands from window to window, and when that is worth telling: once per incident.

An incident opens with the first detection or potential detection, escalates when it turns from potential to detected
for the first time, and is resolved by the first window without a detection. A window that could not be judged neither
opens nor resolves anything, and a window older than the newest one evaluated (a backfill) changes nothing. The key of
an event is made of the monitor, the window in which the incident began and what happened: whoever evaluates again,
after a crash or with another threshold, finds the same key for the same event.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from airflow_monitoring_provider.definitions.terms import ResultStatus


class Change(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    ESCALATED = "escalated"
    RESOLVED = "resolved"


@dataclasses.dataclass(frozen=True, slots=True)
class MonitorState:
    """Where a monitor stands. Times are starts of windows, aware UTC.

    :param status: of the newest window evaluated, which started at ``window_start``.
    :param since: the window in which that status began.
    :param opened: the window in which the open incident began; None while there is none.
    :param worst: the worst status of the open incident.
    """

    status: ResultStatus
    since: dt.datetime
    window_start: dt.datetime
    opened: dt.datetime | None = None
    worst: ResultStatus = ResultStatus.NO_DETECTION

    def incident(self) -> dict[str, str]:
        """What a store has to keep beside status and times; :meth:`restore` reads it back."""
        return {} if self.opened is None else {"opened": self.opened.isoformat(), "worst": self.worst.text}

    @classmethod
    def restore(
        cls, status: ResultStatus, since: dt.datetime, window_start: dt.datetime, incident: Mapping[str, Any]
    ) -> MonitorState:
        """A stored state."""
        if "opened" not in incident:
            return cls(status, since, window_start)
        opened = dt.datetime.fromisoformat(incident["opened"])
        return cls(status, since, window_start, opened, ResultStatus[incident["worst"].upper()])


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something to tell people.

    :param key: the same each time the same event is found; 32 hex digits.
    :param status: that of the window in which it happened.
    :param opened: the window in which the incident began.
    """

    key: str
    monitor_id: str
    change: Change
    status: ResultStatus
    opened: dt.datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Transition:
    """A monitor's state after a window, the status before it, and what to tell, if anything."""

    state: MonitorState
    previous: ResultStatus | None
    event: Event | None


def advance(
    previous: MonitorState | None, status: ResultStatus, *, monitor_id: str, window_start: dt.datetime
) -> Transition:
    """Take one window's status into account.

    :param previous: None for a monitor that has never been evaluated.
    :param window_start: start of the window judged, aware UTC.
    """
    if previous is None:
        previous_status = None
        state = MonitorState(status, window_start, window_start)
    elif window_start < previous.window_start:
        return Transition(previous, previous.status, None)
    else:
        previous_status = previous.status
        since = previous.since if status is previous.status else window_start
        state = dataclasses.replace(previous, status=status, since=since, window_start=window_start)
    state, change, opened = _incident(state, status, window_start)
    if change is None or opened is None:
        return Transition(state, previous_status, None)
    event = Event(_key(monitor_id, opened, change), monitor_id, change, status, opened)
    return Transition(state, previous_status, event)


def _incident(
    state: MonitorState, status: ResultStatus, window_start: dt.datetime
) -> tuple[MonitorState, Change | None, dt.datetime | None]:
    if status is ResultStatus.IRRELEVANT:
        return state, None, None
    if state.opened is None:
        if status is ResultStatus.NO_DETECTION:
            return state, None, None
        return dataclasses.replace(state, opened=window_start, worst=status), Change.OPENED, window_start
    if status is ResultStatus.NO_DETECTION:
        return dataclasses.replace(state, opened=None, worst=status), Change.RESOLVED, state.opened
    if status > state.worst:
        return dataclasses.replace(state, worst=status), Change.ESCALATED, state.opened
    return state, None, None


def _key(monitor_id: str, opened: dt.datetime, change: Change) -> str:
    instant = opened.astimezone(dt.UTC).isoformat()
    return hashlib.sha256(f"{len(monitor_id)}:{monitor_id}|{instant}|{change}".encode()).hexdigest()[:32]
