"""Which committed profiles make the baseline of a window: a pure function of windows and the calendar.

Whole windows count: one that lies partly before a baseline's first instant or after its last is no part of it. So do
locked batches and windows whose actuals are not all there yet; what has not run, failed or was deleted is no candidate.
"""

from __future__ import annotations

import calendar
import dataclasses
import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from zoneinfo import ZoneInfo

from airflow_monitoring_provider.definitions import (
    BatchesBaseline,
    Duration,
    ExpandingBaseline,
    FixedRangeBaseline,
    MergedBaseline,
    MovingWindowBaseline,
    PreviousBatchBaseline,
    PreviousWindowBaseline,
    SamePeriodBaseline,
    Window,
    WindowKind,
)
from airflow_monitoring_provider.definitions.duration import at_wall
from airflow_monitoring_provider.store.baseline_records import Candidate

Span = tuple[dt.datetime | None, dt.datetime]


@dataclasses.dataclass(frozen=True, slots=True)
class Members:
    """The profiles that make a baseline, oldest window first.

    :param drifted: those left out because their own evaluation detected drift.
    """

    chosen: tuple[Candidate, ...]
    drifted: tuple[Candidate, ...] = ()

    @property
    def rows(self) -> int:
        """Rows behind the baseline."""
        return sum(each.rows for each in self.chosen)

    def key(self) -> str:
        """SHA-256, as hex, of the contents: equal for the same profiles, whenever they were committed."""
        parts = [[each.id, each.content_hash] for each in self.chosen]
        return hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).hexdigest()


def members_of(
    baseline: MergedBaseline,
    own: Window,
    candidates: Iterable[Candidate],
    timezone: str,
    *,
    own_batch: str | None = None,
) -> Members:
    """The members of a window's baseline.

    :param own: the window that is compared; never a member.
    :param timezone: IANA zone of the calendar: a day of a ``length`` is a day there.
    :param own_batch: the batch that the window is in; asked for by ``previous_batch`` alone.
    """
    others = [each for each in candidates if each.window is None or each.window.key() != own.key()]
    if isinstance(baseline, PreviousBatchBaseline):
        others = [each for each in others if each.batch_id != own_batch]
    every = _chosen(baseline, own, others, timezone)
    if not baseline.exclude_drifted:
        return Members(every)
    quiet = _chosen(baseline, own, [each for each in others if not each.drifted], timezone)
    return Members(quiet, tuple(each for each in every if each.drifted))


def span_of(baseline: FixedRangeBaseline | ExpandingBaseline, own: Window, timezone: str) -> Span:
    """From when to when whole windows count; None: from the first on."""
    if isinstance(baseline, FixedRangeBaseline):
        return baseline.start, baseline.end
    return baseline.start, Duration.of(baseline.delay).before(own.start, timezone)


def _chosen(
    baseline: MergedBaseline, own: Window, candidates: Sequence[Candidate], timezone: str
) -> tuple[Candidate, ...]:
    if isinstance(baseline, BatchesBaseline):
        wanted = set(baseline.batch_ids)
        return tuple(sorted((each for each in candidates if each.batch_id in wanted), key=_order))
    scheduled = [each for each in candidates if each.window is not None and each.window.kind is not WindowKind.AD_HOC]
    if isinstance(baseline, SamePeriodBaseline):
        counts = range(1, baseline.periods + 1)
        spans: list[Span] = [_same_period(own, baseline.ago, count, timezone) for count in counts]
        found = {each.id: each for span in spans for each in _within(scheduled, span)}
        return _apart(_within(found.values(), (None, own.start)))
    if isinstance(baseline, FixedRangeBaseline | ExpandingBaseline):
        return _apart(_within(scheduled, span_of(baseline, own, timezone)))
    if isinstance(baseline, MovingWindowBaseline):
        delay = Duration.of(baseline.delay)
        end = delay.before(own.start, timezone)
        start = None if baseline.span is None else (delay + Duration.of(baseline.span)).before(own.start, timezone)
        inside = _apart(_within(scheduled, (start, end)))
        return inside if baseline.windows is None else inside[-baseline.windows :]
    before = _apart(_within(scheduled, (None, own.start)))
    if isinstance(baseline, PreviousWindowBaseline):
        return before[-1:]
    if isinstance(baseline, PreviousBatchBaseline):
        return tuple(each for each in before if each.batch_id == before[-1].batch_id)
    raise TypeError(f"{type(baseline).__name__} is no merge of windows")


def _within(candidates: Iterable[Candidate], span: Span) -> list[Candidate]:
    start, end = span
    return [
        each
        for each in candidates
        if each.window is not None and each.window.end <= end and (start is None or start <= each.window.start)
    ]


def _apart(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    """Of windows that overlap (the schedule was changed), the one that ends later counts, else the shorter one."""
    kept: list[Candidate] = []
    free: dt.datetime | None = None
    for each in sorted(candidates, key=_latest_first):
        if each.window is not None and (free is None or each.window.end <= free):
            kept.append(each)
            free = each.window.start
    return tuple(reversed(kept))


def _latest_first(candidate: Candidate) -> tuple[float, float, str]:
    window = candidate.window
    return (
        (0.0, 0.0, candidate.id) if window is None else (-_seconds(window.end), -_seconds(window.start), candidate.id)
    )


def _order(candidate: Candidate) -> tuple[bool, float, str]:
    """Windows by their start, then reports."""
    window = candidate.window
    return window is None, 0.0 if window is None else _seconds(window.start), candidate.id


def _seconds(instant: dt.datetime) -> float:
    return (instant - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)).total_seconds()


def _same_period(own: Window, ago: str, count: int, timezone: str) -> Span:
    """The window as it lay on the calendar so many periods before; where a clock repeats an hour, both count."""
    zone = ZoneInfo(timezone)
    first, last = (instant.astimezone(zone).replace(tzinfo=None, fold=0) for instant in (own.start, own.end))
    start, end = (_earlier(wall, ago, count) for wall in (first, last))
    if end <= start:  # both are the last day of a shorter month
        end = start + (last - first)
    return at_wall(start, zone, late=False), at_wall(end, zone, late=True)


def _earlier(wall: dt.datetime, ago: str, count: int) -> dt.datetime:
    if ago in ("day", "week"):
        return wall - dt.timedelta(days=count * (7 if ago == "week" else 1))
    months = 12 * wall.year + wall.month - 1 - count * (12 if ago == "year" else 1)
    year, month = divmod(months, 12)
    return wall.replace(year=year, month=month + 1, day=min(wall.day, calendar.monthrange(year, month + 1)[1]))
