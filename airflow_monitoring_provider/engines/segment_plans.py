"""How a definition's segments are frozen: the levels and ranges of the baseline, so that later rows get the same ids.

Where there is no baseline, or it was made before the definition named a way to group rows, the rows themselves decide:
the columns that group them are read once before all others.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.definitions.part import did_you_mean
from airflow_monitoring_provider.definitions.segments import Condition, Segment
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.arrow import ProfileBuilder
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.source import RowSource, TimeFilter
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ConditionPlan, ProfilePlan, SegmentPlan
from airflow_monitoring_provider.profiles.profile import Profile


def with_segments(
    definition: JobDefinition,
    plan: ProfilePlan,
    source: RowSource,
    schema: pa.Schema,
    window: TimeFilter | None,
    baseline: Profile | None = None,
    *,
    lacking: Literal["refuse", "leave out"] = "refuse",
) -> ProfilePlan:
    """The plan with the definition's segments.

    :param baseline: what the rows will be compared with: its levels and ranges are taken over, and with them a way to
        group rows by a column that is gone since: no row has a value there, and the quality results tell.
    :param lacking: what to do where the source has not all columns of any other way to group rows.
    :raises SourceError: a column that groups rows is not in the source.
    """
    if not definition.segments:
        return plan
    there = set(schema.names)
    drafts = [_draft(segment) for segment in definition.segments]
    frozen = {} if baseline is None else {_asked(segment): segment for segment in baseline.plan.segments}
    absent = sorted({name for draft in drafts if _asked(draft) not in frozen for name in draft.columns} - there)
    if absent and lacking == "refuse":
        raise SourceError(
            f"column {absent[0]!r}, which segments name, is not in {source.label}{did_you_mean(absent[0], there)}"
        )
    drafts = [draft for draft in drafts if _asked(draft) in frozen or there.issuperset(draft.columns)]
    found = [frozen.get(_asked(draft), draft) for draft in drafts]
    open_ones = [segment for segment in found if segment is not frozen.get(_asked(segment)) and _is_open(segment)]
    if open_ones:
        seen = _look(plan, open_ones, source, window)
        found = [_frozen(segment, seen, plan.level_names) if segment in open_ones else segment for segment in found]
    return dataclasses.replace(plan, segments=tuple(found))


def _draft(segment: Segment) -> SegmentPlan:
    return SegmentPlan(
        name=segment.name,
        column=segment.column or "",
        limit=segment.limit if segment.by_level else 0,
        bins=segment.bins or 0,
        edges=segment.edges,
        where=tuple(_condition(condition) for condition in segment.where),
    )


def _condition(condition: Condition) -> ConditionPlan:
    value = condition.value
    values = value if isinstance(value, list | tuple) else () if value is None else (value,)
    plain = (
        ("true" if v else "false") if isinstance(v, bool) else v if isinstance(v, str) else float(v) for v in values
    )
    return ConditionPlan(condition.column, condition.op, tuple(plain))


def _asked(segment: SegmentPlan) -> SegmentPlan:
    """A way to group rows as it was asked for, without what the rows decided."""
    return dataclasses.replace(segment, levels=(), edges=() if segment.bins else segment.edges)


def _is_open(segment: SegmentPlan) -> bool:
    return segment.by_level or segment.bins > 0


def _look(
    plan: ProfilePlan, segments: list[SegmentPlan], source: RowSource, window: TimeFilter | None
) -> dict[str, Profile]:
    """The profiles of the columns that decide: levels as categories, ranges as numbers."""
    found: dict[str, Profile] = {}
    for kind, chosen in (
        (ColumnKind.CATEGORICAL, [s.column for s in segments if s.by_level]),
        (ColumnKind.NUMERIC, [s.column for s in segments if s.bins]),
    ):
        names = sorted(set(chosen))
        if not names:
            continue
        looked = ProfilePlan(tuple(ColumnPlan(name, kind) for name in names), level_names=plan.level_names)
        builder = ProfileBuilder(looked)
        with source.read(names, window) as batches:
            for batch in batches:
                builder.update(batch, np.zeros(len(batch), np.uint8))
        found[kind.value] = builder.finish()
    return found


def _frozen(segment: SegmentPlan, seen: dict[str, Profile], level_names: str) -> SegmentPlan:
    if segment.by_level:
        levels = seen[ColumnKind.CATEGORICAL.value].columns[segment.column].levels
        return dataclasses.replace(segment, levels=() if levels is None else levels.top(segment.limit))
    histogram = seen[ColumnKind.NUMERIC.value].columns[segment.column].histogram
    if histogram is None or not histogram.total:
        return segment
    edges = np.unique(histogram.quantiles(np.arange(1, segment.bins) / segment.bins))
    return dataclasses.replace(segment, edges=tuple(edges.tolist()))
