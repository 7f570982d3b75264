"""A profile as it would be under a later plan, where its counts can tell: so that windows before and after merge.

The first window of a definition is profiled before there is a baseline whose levels keep their names and whose segments
are frozen. Names matter only to columns with more levels than a profile keeps apart.
"""

from __future__ import annotations

import dataclasses

from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile


def under(profile: Profile, plan: ProfilePlan) -> Profile:
    """The profile with the named levels of ``plan``, and without segments where its segments are others.

    What cannot be had from the counts stays as it is, and merging will refuse it.
    """
    if profile.plan == plan:
        return profile
    wanted = {column.name: column for column in plan.columns}
    columns, plans = dict(profile.columns), []
    for column in profile.plan.columns:
        found = _renamed(column, wanted.get(column.name, column), columns.get(column.name))
        plans.append(column if found is None else wanted[column.name])
        if found is not None:
            columns[column.name] = found
    changed = dataclasses.replace(profile.plan, columns=tuple(plans))
    if changed.segments != plan.segments:
        changed = dataclasses.replace(changed, segments=())
        return dataclasses.replace(profile, plan=changed, columns=columns, segments={})
    segments = {name: under(each, dataclasses.replace(plan, segments=())) for name, each in profile.segments.items()}
    return dataclasses.replace(profile, plan=changed, columns=columns, segments=segments)


def _renamed(column: ColumnPlan, wanted: ColumnPlan, profile: ColumnProfile | None) -> ColumnProfile | None:
    """The profile of a column with other named levels; None where it cannot be had or is what it was."""
    if column == wanted or dataclasses.replace(column, named_levels=wanted.named_levels) != wanted:
        return None
    if profile is None or profile.levels is None:
        return profile
    levels = profile.levels
    if levels.truncated or levels.names != "keep":
        return None
    named = LevelCounts.of(levels.counts, levels.cap, named=wanted.named_levels, names=levels.names)
    return dataclasses.replace(profile, levels=named)
