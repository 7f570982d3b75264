"""Incidents: one telling when they open, one when they get worse, one when they end, however often it is evaluated."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.monitors.states import Change, Event, MonitorState, Transition, advance

DETECTED, POTENTIAL = ResultStatus.DETECTED, ResultStatus.POTENTIAL_DETECTION
QUIET, IRRELEVANT = ResultStatus.NO_DETECTION, ResultStatus.IRRELEVANT
FIRST = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def day(number: int) -> dt.datetime:
    return FIRST + dt.timedelta(days=number)


def run(*statuses: ResultStatus) -> list[Transition]:
    """One status a day."""
    state: MonitorState | None = None
    transitions = []
    for number, status in enumerate(statuses):
        transitions.append(advance(state, status, monitor_id="m", window_start=day(number)))
        state = transitions[-1].state
    return transitions


def told(*statuses: ResultStatus) -> list[str | None]:
    return [t.event.change.value if t.event is not None else None for t in run(*statuses)]


def test_an_incident_is_told_once_when_it_opens_and_once_when_it_ends() -> None:
    expected = [None, "opened", None, None, "resolved", None]

    assert expected == told(QUIET, DETECTED, DETECTED, DETECTED, QUIET, QUIET)


def test_getting_worse_is_told_once_an_incident() -> None:
    expected = ["opened", "escalated", None, None, "resolved", "opened"]

    assert expected == told(POTENTIAL, DETECTED, POTENTIAL, DETECTED, QUIET, DETECTED)


def test_a_window_that_could_not_be_judged_neither_opens_nor_resolves() -> None:
    assert ["opened", None, None, "resolved", None] == told(DETECTED, IRRELEVANT, DETECTED, QUIET, IRRELEVANT)
    assert [None, None] == told(IRRELEVANT, QUIET)


def test_a_status_holds_since_the_window_it_began_in() -> None:
    states = [t.state for t in run(QUIET, DETECTED, DETECTED, QUIET)]

    assert [day(0), day(1), day(1), day(3)] == [state.since for state in states]
    assert [None, day(1), day(1), None] == [state.opened for state in states]
    assert [None, QUIET, DETECTED, DETECTED] == [t.previous for t in run(QUIET, DETECTED, DETECTED, QUIET)]


def test_an_older_window_changes_nothing() -> None:
    state = run(QUIET, QUIET, DETECTED)[-1].state

    assert Transition(state, DETECTED, None) == advance(state, QUIET, monitor_id="m", window_start=day(1))


def test_evaluating_a_window_again_tells_nothing_new() -> None:
    before, after = run(QUIET, DETECTED)

    again = advance(after.state, DETECTED, monitor_id="m", window_start=day(1))
    lost = advance(before.state, DETECTED, monitor_id="m", window_start=day(1))

    assert (after.state, None) == (again.state, again.event)
    assert after == lost


def test_events_have_a_key_of_monitor_incident_and_change() -> None:
    opened, escalated, resolved = (t.event for t in run(POTENTIAL, DETECTED, QUIET))
    other = advance(None, POTENTIAL, monitor_id="n", window_start=day(0)).event
    assert opened is not None
    assert escalated is not None
    assert resolved is not None
    assert other is not None

    assert 4 == len({opened.key, escalated.key, resolved.key, other.key})
    assert Event(opened.key, "m", Change.OPENED, POTENTIAL, day(0)) == opened
    assert (DETECTED, QUIET, day(0)) == (escalated.status, resolved.status, resolved.opened)


def test_a_key_does_not_depend_on_how_an_instant_is_written() -> None:
    east = day(0).astimezone(dt.timezone(dt.timedelta(hours=5)))

    events = [advance(None, DETECTED, monitor_id="m", window_start=start).event for start in (day(0), east)]

    assert 1 == len({event.key for event in events if event is not None})


@given(st.lists(st.sampled_from(ResultStatus), max_size=20))
def test_a_state_survives_the_store_and_tellings_alternate(statuses: list[ResultStatus]) -> None:
    transitions = run(*statuses)
    changes = [t.event.change for t in transitions if t.event is not None and t.event.change is not Change.ESCALATED]

    assert [Change.OPENED, Change.RESOLVED] * (len(changes) // 2) == changes[: len(changes) // 2 * 2]
    for state in (t.state for t in transitions):
        restored = MonitorState.restore(state.status, state.since, state.window_start, state.incident())
        assert state == restored
