"""A definition's schedule as the scheduler has it: exactly the windows of :mod:`definitions.schedule`, a delay, an end.

Airflow's ``CronDataIntervalTimetable`` asks "what comes next" and "what came before" separately, and beside a clock
change the two answers disagree (3.3.2): of several firings in an hour that the clock skips it leaves an interval out,
so that its rows are in no window; on the half-hour change of Australia/Lord_Howe an hourly DAG raises "did not advance"
and is never scheduled again. Windows must tile time, so here both answers come from the schedule itself.

A DAG's own ``end_date`` would also end runs that are started by hand: a run whose logical date is later gets no task
from Airflow, and is a success. Here only the scheduler stops.

A run comes ``delay`` after its window has ended, because rows arrive late; its data interval stays the window.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime, instance

from airflow_monitoring_provider.definitions import Schedule

_TICK = timedelta(microseconds=1)


class WindowTimetable(CronDataIntervalTimetable):
    """Data intervals that are the windows of a schedule; the last one starts at ``end`` or before.

    :param cron: five fields, as :meth:`~airflow_monitoring_provider.definitions.Schedule.cron` writes them.
    :param timezone: IANA name.
    :param end: aware; None where the schedule has no end.
    :param delay: from the end of a window to its run.
    """

    def __init__(self, cron: str, timezone: str, end: datetime | None = None, delay: timedelta = timedelta(0)) -> None:
        super().__init__(cron, timezone)
        self._schedule = Schedule.model_validate(cron)
        self._zone = timezone
        self._end = None if end is None else instance(end)
        self._delay = delay

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> WindowTimetable:
        """From what ``serialize`` gave."""
        end = data["end"]
        # A DAG that an older version serialized has no delay.
        delay = timedelta(seconds=data.get("delay", 0))
        return cls(data["expression"], data["timezone"], None if end is None else datetime.fromisoformat(end), delay)

    def serialize(self) -> dict[str, Any]:
        """JSON-clean form, kept with the serialized DAG."""
        end = None if self._end is None else self._end.isoformat()
        delay = {"delay": self._delay.total_seconds()} if self._delay else {}
        return {"expression": self._expression, "timezone": self._zone, "end": end, **delay}

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next interval, or None once the end is passed."""
        latest = [bound for bound in (self._end, restriction.latest) if bound is not None]
        following = super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval,
            restriction=TimeRestriction(restriction.earliest, min(latest, default=None), restriction.catchup),
        )
        if following is None or not self._delay:
            return following
        return following._replace(run_after=following.run_after + self._delay)

    def infer_manual_data_interval(self, *, run_after: DateTime) -> DataInterval:
        """The last interval whose rows had arrived."""
        return super().infer_manual_data_interval(run_after=run_after - self._delay)

    def _skip_to_latest(self, earliest: DateTime | None) -> DateTime:
        """Without catchup: the start of the last interval that is due or, exactly at a due time, of the one before.

        Airflow's own goes by the intervals that have ended, and would drop those that still wait for their rows.
        """
        now = instance(datetime.now(UTC)) - self._delay
        start = self._get_prev(self._align_to_prev(now))
        return start if earliest is None else max(start, self._align_to_next(earliest))

    # What Airflow's timetable is built on: firings after, before, at or after, and at or before an instant.

    def _get_next(self, current: DateTime) -> DateTime:
        return instance(self._schedule.next_after(current, self._zone))

    def _get_prev(self, current: DateTime) -> DateTime:
        return self._align_to_prev(current - _TICK)

    def _align_to_next(self, current: DateTime) -> DateTime:
        return self._get_next(current - _TICK)

    def _align_to_prev(self, current: DateTime) -> DateTime:
        return instance(self._schedule.previous_at_or_before(current, self._zone))
