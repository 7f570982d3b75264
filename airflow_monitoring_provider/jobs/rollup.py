"""Days, weeks, months as merges of the profiles that a definition's windows left in the store. No row is read.

A roll-up is made when it is asked for and never kept, so it always is what the store holds: a deleted batch is out of
it, a restated or repeated window is in it as it is now. Its profile is that of all its rows in one go, by the law of
profiles; its values are those of a job over the whole period against the baseline that the definition has now.

Periods are those of the calendar on the definition's clock (:mod:`~airflow_monitoring_provider.definitions.periods`). A
window belongs to the period it starts in, so every scheduled window is in one day, one week and one month, and both are
merges of the same windows: weeks and months do not nest, days nest in both. Segments are left out of a period in which
they changed.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from airflow_monitoring_provider.definitions import (
    JobDefinition,
    Period,
    PeriodLength,
    Window,
    load_definition,
    period_of,
)
from airflow_monitoring_provider.definitions.periods import periods
from airflow_monitoring_provider.exceptions import ConfigurationError, CorruptData
from airflow_monitoring_provider.jobs.baseline import stored_reference
from airflow_monitoring_provider.jobs.custom import profile_values
from airflow_monitoring_provider.jobs.timeliness import is_kept_incomplete
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.timeliness import completeness
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.monitors.evaluate import Evaluation, evaluate
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.replan import under
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.store.store import MonitoringStore
from airflow_monitoring_provider.store.window_store import WindowRecord

log = logging.getLogger(__name__)

MOST_PERIODS = 1000
_OF_ONE_TABLE = "null_timestamps"  # counted over the whole source by each job, so it is no sum over them


@dataclasses.dataclass(frozen=True, slots=True)
class RollUp:
    """One period of a definition.

    :param windows: how many committed windows it holds, ``expected`` by the schedule (None without one).
    :param incomplete: windows are missing, left out, not over yet, or were read before their rows had arrived.
    :param left_out: windows whose profile is damaged, or cannot be counted with the newest ones since the definition
        was edited.
    :param profile: None where it holds no window; then there is no evaluation.
    """

    period: Period
    windows: int
    expected: int | None
    incomplete: bool
    left_out: int
    profile: Profile | None
    evaluation: Evaluation | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form, without profile and single results."""
        evaluation = self.evaluation
        return {
            "period": self.period.name,
            "start": self.period.start.isoformat(),
            "end": self.period.end.isoformat(),
            "windows": self.windows,
            "expected_windows": self.expected,
            "incomplete": self.incomplete,
            "left_out": self.left_out,
            "rows": 0 if self.profile is None else self.profile.rows,
            "status": None if evaluation is None else evaluation.status.text,
            "drifted_columns": [] if evaluation is None else list(evaluation.drifted_columns),
            "content_hash": None if self.profile is None else self.profile.content_hash(),
        }


def roll_up(
    store: MonitoringStore,
    definition: JobDefinition | str,
    length: PeriodLength | str,
    start: datetime,
    end: datetime,
    *,
    now: datetime,
) -> Iterator[RollUp]:
    """Every period that has an instant in ``[start, end)``, the oldest first; at most 1000. One is in memory at a time.

    :param definition: or the id or name of one in the store.
    :param now: aware; a period is incomplete until its rows have arrived.
    :raises NotFound: there is no such definition.
    :raises ConfigurationError: its rows have no time, its windows are longer than the period, or there are too many.
    """
    if not isinstance(definition, JobDefinition):
        definition = load_definition(store.definition(definition)[1])
    if definition.timestamp_column is None:
        raise ConfigurationError(
            "without timestampColumn each job reads the whole table; jobs cannot be rolled up: rows would count twice"
        )
    asked = []
    for period in periods(start, end, PeriodLength(length), definition.timezone):
        asked.append(period)
        if len(asked) > MOST_PERIODS:
            raise ConfigurationError(f"these are more than {MOST_PERIODS} periods; ask for fewer or longer ones")
    return (_rolled(store, definition, period, now) for period in asked)


def roll_up_period(store: MonitoringStore, definition: JobDefinition | str, period: Period, *, now: datetime) -> RollUp:
    """One period; errors as :func:`roll_up`."""
    return next(iter(roll_up(store, definition, period.length, period.start, period.end, now=now)))


def _rolled(store: MonitoringStore, definition: JobDefinition, period: Period, now: datetime) -> RollUp:
    held = store.windows_with_profiles(definition.id, period.start, period.end)
    _check_lengths([window for window, _, _ in held], period, definition)
    profiles = [profile for window, data, digest in held if (profile := _read(window, data, digest)) is not None]
    profile, merged = _newest_together(profiles)
    expected = _expected_windows(definition, period)
    incomplete = (
        now < period.end + definition.timeliness.waiting
        or merged < max(len(held), expected or 0)
        or any(is_kept_incomplete(window.details) for window, _, _ in held)
    )
    evaluation = None
    if profile is not None:
        values = _values(store, definition, profile, period, expected)
        evaluation = evaluate(values, Rules.from_definition(definition))
    return RollUp(period, len(held), expected, incomplete, len(held) - merged, profile, evaluation)


def _values(
    store: MonitoringStore, definition: JobDefinition, profile: Profile, period: Period, expected: int | None
) -> list[MetricValue]:
    own = Window.of(period.start, period.end)
    others = [each for each in store.baseline_candidates(definition.id) if not _lies_in(each.window, own)]
    baseline = stored_reference(definition, store, own, candidates=others).profile
    values = compare(profile, baseline, ComparisonSettings.from_definition(definition), as_of=period.end)
    values = [value for value in values if value.name != _OF_ONE_TABLE]
    values += profile_values(definition, profile)
    rows = definition.timeliness.expected_rows
    if isinstance(rows, int) and expected is not None:
        values.append(completeness(profile.rows, float(rows * expected)))
    return values


def _lies_in(window: Window | None, period: Window) -> bool:
    return window is not None and period.start <= window.start < period.end


def _read(window: WindowRecord, data: bytes, digest: str) -> Profile | None:
    try:
        return from_bytes(data, digest)
    except CorruptData as error:  # the next run of its job heals it; the others must be seen meanwhile
        log.warning("The profile of job %s is left out: %s", window.job_id, error)
        return None


def _newest_together(profiles: Sequence[Profile]) -> tuple[Profile | None, int]:
    """The merge of all, and how many they are; of profiles that contradict each other that of the newest ones."""
    if not profiles:
        return None, 0
    newest = profiles[-1].plan
    profiles = [under(profile, newest) for profile in profiles]
    if not all(profile.plan.segments == newest.segments for profile in profiles):
        profiles = [under(profile, dataclasses.replace(newest, segments=())) for profile in profiles]
    try:
        return profiles[0].merge(*profiles[1:]), len(profiles)
    except ValueError as error:
        log.warning("Windows before the definition's last change are left out: %s", error)
    merged, count = profiles[-1], 1
    for profile in reversed(profiles[:-1]):
        try:
            merged = profile.merge(merged)
        except ValueError:
            break
        count += 1
    return merged, count


def _expected_windows(definition: JobDefinition, period: Period) -> int | None:
    """How many intervals of the schedule start in the period, from the definition's start to its end."""
    schedule, zone = definition.schedule, definition.timezone
    if schedule is None:
        return None
    count, at = 0, period.start
    if schedule.previous_at_or_before(at, zone) != at:
        at = schedule.next_after(at, zone)
    while at < period.end and (definition.end_date is None or at <= definition.end_date):
        count += definition.start_date is None or at >= definition.start_date
        at = schedule.next_after(at, zone)
    return count


def _check_lengths(windows: Sequence[WindowRecord], period: Period, definition: JobDefinition) -> None:
    """Refuse windows that reach past the period after theirs: they are longer than it."""
    following = period_of(period.end, period.length, definition.timezone)
    if any(window.end > following.end for window in windows):
        raise ConfigurationError(
            f"the windows of definition {definition.id!r} are longer than a {period.length}; roll up by a longer period"
        )
