"""A definition's schedule as the scheduler has it: exactly the windows of :mod:`definitions.schedule`, and an end.

Airflow's ``CronDataIntervalTimetable`` asks "what comes next" and "what came before" separately, and beside a clock
change the two answers disagree (3.3.2): of several firings in an hour that the clock skips it leaves an interval out,
so that its rows are in no window; on the half-hour change of Australia/Lord_Howe an hourly DAG raises "did not advance"
and is never scheduled again. Windows must tile time, so here both answers come from the schedule itself.

A DAG's own ``end_date`` would also end runs that are started by hand: a run whose logical date is later gets no task
from Airflow, and is a success. Here only the scheduler stops.
"""

from __future__ import annotations

from datetime import datetime, timedelta
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
    """

    def __init__(self, cron: str, timezone: str, end: datetime | None = None) -> None:
        super().__init__(cron, timezone)
        self._schedule = Schedule.model_validate(cron)
        self._zone = timezone
        self._end = None if end is None else instance(end)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> WindowTimetable:
        """From what ``serialize`` gave."""
        end = data["end"]
        return cls(data["expression"], data["timezone"], None if end is None else datetime.fromisoformat(end))

    def serialize(self) -> dict[str, Any]:
        """JSON-clean form, kept with the serialized DAG."""
        end = None if self._end is None else self._end.isoformat()
        return {"expression": self._expression, "timezone": self._zone, "end": end}

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next interval, or None once the end is passed."""
        latest = [bound for bound in (self._end, restriction.latest) if bound is not None]
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval,
            restriction=TimeRestriction(restriction.earliest, min(latest, default=None), restriction.catchup),
        )

    # What Airflow's timetable is built on: firings after, before, at or after, and at or before an instant.

    def _get_next(self, current: DateTime) -> DateTime:
        return instance(self._schedule.next_after(current, self._zone))

    def _get_prev(self, current: DateTime) -> DateTime:
        return self._align_to_prev(current - _TICK)

    def _align_to_next(self, current: DateTime) -> DateTime:
        return self._get_next(current - _TICK)

    def _align_to_prev(self, current: DateTime) -> DateTime:
        return instance(self._schedule.previous_at_or_before(current, self._zone))
