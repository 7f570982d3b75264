"""A profile: everything remembered of some rows, and the one law all else rests on.

The law: ``profile(a).merge(profile(b)) == profile(a ++ b)``; counts, bounds, histograms and levels exactly (they make
the content hash), moments and sums to 1e-9 relative to scale.
"""

from __future__ import annotations

import dataclasses
import functools

from airflow_monitoring_provider.profiles.classification import ClassificationProfile
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.plan import ProfilePlan, merge_plans
from airflow_monitoring_provider.profiles.regression import RegressionProfile

__all__ = ["ClassificationProfile", "ColumnProfile", "Profile", "RegressionProfile", "merge", "merge_all"]


@dataclasses.dataclass(frozen=True)
class Profile:
    """What is remembered of some rows.

    :param rows: all rows of the source, whatever their status.
    :param status_counts: :attr:`RowStatus.text` -> rows; statuses no row has are absent.
    :param columns: name -> profile, of the plan's columns the rows had.
    :param target: where predictions met actuals; None without a target.
    :param earliest, latest: of the plan's timestamp column, microseconds since 1970 UTC.
    """

    plan: ProfilePlan
    rows: int = 0
    status_counts: dict[str, int] = dataclasses.field(default_factory=dict)
    columns: dict[str, ColumnProfile] = dataclasses.field(default_factory=dict)
    target: ClassificationProfile | RegressionProfile | None = None
    earliest: int | None = None
    latest: int | None = None

    def merge(self, other: Profile) -> Profile:
        """The profile of both sets of rows; a column that only one side has stays as it is.

        :raises ValueError: the plans contradict each other.
        """
        statuses = self.status_counts.keys() | other.status_counts.keys()
        columns = dict(other.columns)
        for name, column in self.columns.items():
            columns[name] = _merge_columns(column, columns.get(name))
        times = [t for t in (self.earliest, other.earliest, self.latest, other.latest) if t is not None]
        return Profile(
            plan=merge_plans(self.plan, other.plan),
            rows=self.rows + other.rows,
            status_counts={s: self.status_counts.get(s, 0) + other.status_counts.get(s, 0) for s in sorted(statuses)},
            columns={name: columns[name] for name in sorted(columns)},
            target=_merge_targets(self.target, other.target),
            earliest=min(times, default=None),
            latest=max(times, default=None),
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
    return functools.reduce(merge, others, first)


def _merge_columns(a: ColumnProfile, b: ColumnProfile | None) -> ColumnProfile:
    return a if b is None else a.merge(b)


def _merge_targets(
    a: ClassificationProfile | RegressionProfile | None, b: ClassificationProfile | RegressionProfile | None
) -> ClassificationProfile | RegressionProfile | None:
    if a is None or b is None:
        return a if b is None else b
    if isinstance(a, ClassificationProfile) and isinstance(b, ClassificationProfile):
        return a.merge(b)
    if isinstance(a, RegressionProfile) and isinstance(b, RegressionProfile):
        return a.merge(b)
    raise ValueError("profiles of a classification and a regression cannot be merged")
