"""Whether a job ran before the rows of its window had arrived, and how many came after the first one that did not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_monitoring_provider.definitions import JobDefinition, Window, due_at
from airflow_monitoring_provider.definitions.timeliness import MEDIAN
from airflow_monitoring_provider.metrics.timeliness import completeness, late_rows, median_rows
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.store.records import SnapshotRecord
from airflow_monitoring_provider.store.store import MonitoringStore

_KEY = "timeliness"


@dataclasses.dataclass(frozen=True, slots=True)
class Timing:
    """When a snapshot was taken, as its ``details`` keep it.

    :param due: when the rows of the window have arrived: its end and the definition's delay.
    :param incomplete: the job began before.
    :param rows_on_time: rows that the first job found that did not; None where there is none yet, or where the
        definition has no delay.
    :param late: how many more there are by now; None on that first job and before.
    """

    due: datetime
    incomplete: bool
    rows_on_time: int | None = None
    late: int | None = None

    def to_details(self) -> dict[str, Any]:
        """JSON-clean form."""
        return {_KEY: dataclasses.asdict(self) | {"due": self.due.isoformat()}}


def is_incomplete(snapshot: SnapshotRecord | None) -> bool:
    """Whether a snapshot was taken before its rows had arrived; of one that an older version took nobody knows."""
    return bool(snapshot is not None and _kept(snapshot.details).get("incomplete"))


def late_rows_of(snapshot: SnapshotRecord) -> int | None:
    """How many rows a window has gained since they should all have been there."""
    late: int | None = _kept(snapshot.details).get("late")
    return late


def timing(
    definition: JobDefinition, window: Window, rows: int, began: datetime, before: SnapshotRecord | None
) -> Timing:
    """When rows of a window were read.

    :param began: when the job did, aware.
    :param before: what an earlier job over the same window had committed.
    """
    due = due_at(definition, window)
    on_time = None if before is None else _kept(before.details).get("rows_on_time")
    if definition.timestamp_column is None or began < due:
        return Timing(due, definition.timestamp_column is not None, on_time)
    if not definition.timeliness.delay:  # a window run again leaves what it leaves when it is run once
        return Timing(due, incomplete=False)
    if on_time is None:
        return Timing(due, incomplete=False, rows_on_time=rows)
    return Timing(due, incomplete=False, rows_on_time=on_time, late=max(rows - on_time, 0))


def timeliness_values(
    definition: JobDefinition, window: Window, rows: int, timed: Timing, store: MonitoringStore
) -> list[MetricValue]:
    """``completeness`` where the definition says what to expect, ``late_rows`` where it says that rows come late."""
    values, expected = [], definition.timeliness.expected_rows
    if expected == MEDIAN:
        earlier = store.earlier_windows(definition.id, window.start, definition.timeliness.history)
        whole = [(each.end - each.start, each.rows) for each in earlier if not is_kept_incomplete(each.details)]
        values.append(completeness(rows, median_rows(whole, window.end - window.start), len(whole)))
    elif expected is not None:
        values.append(completeness(rows, float(expected)))
    if timed.late is not None and timed.rows_on_time is not None:
        values.append(late_rows(rows, timed.rows_on_time))
    return values


def is_kept_incomplete(details: Mapping[str, Any]) -> bool:
    """:func:`is_incomplete` of a snapshot's details."""
    return bool(_kept(details).get("incomplete"))


def _kept(details: Mapping[str, Any]) -> Mapping[str, Any]:
    kept = details.get(_KEY)
    return kept if isinstance(kept, Mapping) else {}
