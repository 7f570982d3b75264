"""A profile: everything remembered of some rows, and the one law all else rests on.

The law: ``profile(a).merge(profile(b)) == profile(a ++ b)``; counts, bounds, histograms and levels exactly (they make
the content hash), moments and sums to 1e-9 relative to scale.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Sequence

from airflow_monitoring_provider.profiles.classification import ClassificationProfile
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.embeddings import EmbeddingProfile
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.plan import ProfilePlan, merge_plans
from airflow_monitoring_provider.profiles.ranking import RankingProfile
from airflow_monitoring_provider.profiles.regression import RegressionProfile
from airflow_monitoring_provider.profiles.series import SeriesProfile
from airflow_monitoring_provider.profiles.whole_rows import WholeRows

__all__ = ["ClassificationProfile", "ColumnProfile", "Profile", "RegressionProfile", "merge", "merge_all"]


@dataclasses.dataclass(frozen=True)
class Profile:
    """What is remembered of some rows.

    :param rows: all rows of the source, whatever their status.
    :param status_counts: :attr:`RowStatus.text` -> rows; statuses no row has are absent.
    :param columns: name -> profile, of the plan's columns the rows had.
    :param target: where predictions met actuals; None without a target.
    :param earliest, latest: of the plan's timestamp column, microseconds since 1970 UTC.
    :param label_lag: seconds from a row's own time to that of its actual, over rows that have both; None where the plan
        names no time of actuals and no late ones were joined.
    :param segments: segment id -> profile of its rows, of the plan without segments; those without rows are absent.
    :param whole_rows: repetitions of whole rows; None where the plan or the engine does not count them.
    :param ranking: how well scores rank the rows of each query; None where the plan does not rank, or where late
        actuals have changed what is relevant.
    :param series: how far actuals lie from those before them; None where the plan does not ask, or where late ones have
        been joined.
    :param embeddings: name -> profile of the vectors, of all that the plan has.
    """

    plan: ProfilePlan
    rows: int = 0
    status_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    columns: dict[str, ColumnProfile] = dataclasses.field(default_factory=dict)
    target: ClassificationProfile | RegressionProfile | None = None
    earliest: int | None = None
    latest: int | None = None
    segments: dict[str, Profile] = dataclasses.field(default_factory=dict)
    label_lag: Histogram | None = None
    whole_rows: WholeRows | None = None
    ranking: RankingProfile | None = None
    series: SeriesProfile | None = None
    embeddings: dict[str, EmbeddingProfile] = dataclasses.field(default_factory=dict)

    def merge(self, *others: Profile) -> Profile:
        """The profile of all sets of rows; columns that only some of them have are merged of those.

        All at once is several times faster than one after the other.

        :raises ValueError: the plans contradict each other.
        """
        parts = (self, *others)
        statuses: collections.Counter[str] = collections.Counter()
        columns: dict[str, list[ColumnProfile]] = {}
        for part in parts:
            statuses.update(part.status_counts)
            for name, column in part.columns.items():
                columns.setdefault(name, []).append(column)
        lags = [part.label_lag for part in parts if part.label_lag is not None]
        repeated = [part.whole_rows for part in parts if part.whole_rows is not None]
        times = [t for part in parts for t in (part.earliest, part.latest) if t is not None]
        plan = functools.reduce(merge_plans, (part.plan for part in parts))
        ranked = [part.ranking for part in parts if part.ranking is not None and plan.ranking is not None]
        ordered = [part.series for part in parts if part.series is not None and plan.series is not None]
        return Profile(
            plan=plan,
            rows=sum(part.rows for part in parts),
            status_counts={status: statuses[status] for status in sorted(statuses)},
            columns={name: columns[name][0].merge(*columns[name][1:]) for name in sorted(columns)},
            target=_merge_targets([part.target for part in parts if part.target is not None]),
            earliest=min(times, default=None),
            latest=max(times, default=None),
            segments=_merge_segments(parts),
            label_lag=lags[0].merge(*lags[1:]) if lags else None,
            whole_rows=repeated[0].merge(*repeated[1:]) if len(repeated) == len(parts) else None,
            ranking=ranked[0].merge(*ranked[1:]) if len(ranked) == len(parts) else None,
            series=ordered[0].merge(*ordered[1:]) if len(ordered) == len(parts) else None,
            embeddings=_merge_embeddings(plan, parts),
        )

    def content_hash(self) -> str:
        """SHA-256, as hex, of what merges exactly: plan, counts, bounds, histograms, levels, confusion."""
        from airflow_monitoring_provider.profiles.serialise import content_hash

        return content_hash(self)


def merge(a: Profile, b: Profile) -> Profile:
    """The profile of both sets of rows."""
    return a.merge(b)


def merge_all(first: Profile, *others: Profile) -> Profile:
    """The profile of all sets of rows."""
    return first.merge(*others)


def _merge_embeddings(plan: ProfilePlan, parts: Sequence[Profile]) -> dict[str, EmbeddingProfile]:
    found = {each.name: [part.embeddings.get(each.name) for part in parts] for each in plan.embeddings}
    known = {name: [side for side in sides if side is not None] for name, sides in found.items()}
    return {name: sides[0].merge(*sides[1:]) for name, sides in sorted(known.items()) if sides}


def _merge_segments(parts: Sequence[Profile]) -> dict[str, Profile]:
    found: dict[str, list[Profile]] = {}
    for part in parts:
        for segment, profile in part.segments.items():
            found.setdefault(segment, []).append(profile)
    return {segment: found[segment][0].merge(*found[segment][1:]) for segment in sorted(found)}


def _merge_targets(
    parts: list[ClassificationProfile | RegressionProfile],
) -> ClassificationProfile | RegressionProfile | None:
    if not parts:
        return None
    classifications = [part for part in parts if isinstance(part, ClassificationProfile)]
    regressions = [part for part in parts if isinstance(part, RegressionProfile)]
    if classifications and regressions:
        raise ValueError("profiles of a classification and a regression cannot be merged")
    if classifications:
        return classifications[0].merge(*classifications[1:])
    return regressions[0].merge(*regressions[1:])
