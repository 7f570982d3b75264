"""A cron schedule with data intervals that ends, while runs started by hand go on.

A DAG's own ``end_date`` would end both: a run whose logical date is later gets no task from Airflow, and is a success.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable
from pendulum import DateTime, instance


class EndingCronTimetable(CronDataIntervalTimetable):
    """Airflow's ``CronDataIntervalTimetable`` whose last data interval starts at ``end`` or before.

    :param end: aware.
    """

    def __init__(self, cron: str, timezone: Any, end: datetime) -> None:
        super().__init__(cron, timezone)
        self._end = instance(end)

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> EndingCronTimetable:
        """From what ``serialize`` gave."""
        plain: Any = CronDataIntervalTimetable.deserialize(data)
        return cls(data["expression"], plain._timezone, datetime.fromisoformat(data["end"]))

    def serialize(self) -> dict[str, Any]:
        """JSON-clean form, kept with the serialized DAG."""
        return {**super().serialize(), "end": self._end.isoformat()}

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        """The next interval, or None once the end is passed."""
        latest: DateTime = self._end if restriction.latest is None else min(restriction.latest, self._end)
        return super().next_dagrun_info(
            last_automated_data_interval=last_automated_data_interval,
            restriction=TimeRestriction(restriction.earliest, latest, restriction.catchup),
        )
