"""The profile of a plan from aggregates that a database computes: no row leaves it.

The same counts, levels, buckets and confusion as :mod:`~airflow_monitoring_provider.engines.arrow` gives for the same
rows, so the same content hash; moments and sums to 1e-9. What leaves the database of a column is its distinct levels,
or up to 65 536 buckets, with their counts; of segments twice as many buckets as each histogram keeps. All segments of
one way to group rows are counted by the same statements.

What it cannot do, it refuses with :class:`~airflow_monitoring_provider.intake.source.CannotPushDown` before anything
is counted: databases that :mod:`~airflow_monitoring_provider.intake.words` does not know, numbers or times that are
stored as text, and level names that a database cannot make.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ColumnKind, RowStatus, TargetType
from airflow_monitoring_provider.engines.arrow import SCORED, profile_batches
from airflow_monitoring_provider.engines.columns import add_counted
from airflow_monitoring_provider.engines.segments import sorted_array
from airflow_monitoring_provider.engines.sql_bits import prepare
from airflow_monitoring_provider.engines.sql_classes import MOST_CLASSES, class_code, class_profiles, distinct_classes
from airflow_monitoring_provider.engines.sql_errors import error_profiles
from airflow_monitoring_provider.engines.sql_numbers import is_numeric, number_profiles
from airflow_monitoring_provider.engines.sql_part import Part, check_bound
from airflow_monitoring_provider.engines.sql_rows import status_of
from airflow_monitoring_provider.engines.sql_segments import check_segment, segment_code
from airflow_monitoring_provider.engines.targets import TargetBuilder
from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.intake.words import cannot
from airflow_monitoring_provider.profiles.arrays import fixed_width, is_text
from airflow_monitoring_provider.profiles.classification import ClassificationProfile
from airflow_monitoring_provider.profiles.column import ColumnBuilder, ColumnProfile
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, TargetPlan
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.regression import RegressionProfile

_STATUS = "monitoring_row_status"
_SEGMENT = "monitoring_segment_"

Target = ClassificationProfile | RegressionProfile


def check_plan(plan: ProfilePlan, selection: Selection) -> None:
    """Refuse a plan that the database cannot compute exactly.

    :raises CannotPushDown: names the column or what else is in the way, and why.
    """
    reason = cannot(selection.connection.dialect)
    if reason is not None:
        raise CannotPushDown(reason)
    if plan.actual_time_column is not None:
        raise CannotPushDown("the time until actuals are known is measured row by row")
    if plan.whole_rows:
        raise CannotPushDown("whole rows are told apart by keys of all their values")
    if plan.ranking is not None:
        raise CannotPushDown("the rows of a query are ranked one by one")
    if plan.series is not None:
        raise CannotPushDown("the rows of a series are put in the order of their times")
    if plan.embeddings:
        raise CannotPushDown("the vectors of embeddings are read row by row")
    for column in plan.columns:
        arrives = selection.types.field(column.name).type
        if column.kind is ColumnKind.NUMERIC and not is_numeric(arrives):
            raise CannotPushDown(f"column {column.name!r} is numeric and arrives as {arrives}")
        if column.kind is ColumnKind.TIMESTAMP:
            raise CannotPushDown(f"column {column.name!r} is a timestamp feature, whose seconds are counted from rows")
        if column.kind is ColumnKind.TEXT and not is_text(arrives):
            raise CannotPushDown(f"column {column.name!r} is measured as text and arrives as {arrives}")
    if plan.target is not None:
        _check_target(plan.target, selection)
    for segment in plan.segments:
        check_segment(segment, selection)


def _check_target(target: TargetPlan, selection: Selection) -> None:
    numbers = [*target.read_columns]
    if target.target_type is TargetType.REGRESSION and target.actual_column is not None:
        numbers.append(target.actual_column)
    for name in numbers:
        arrives = selection.types.field(name).type
        if not is_numeric(arrives):
            raise CannotPushDown(f"column {name!r} is predicted or actual as a number and arrives as {arrives}")
    if len(target.classes) > MOST_CLASSES:
        raise CannotPushDown(f"the target has more than {MOST_CLASSES} classes, each to be compared with all others")


def profile_in_database(
    plan: ProfilePlan, selection: Selection, identifiers: Sequence[str] = (), copied: Sequence[str] = ()
) -> Profile:
    """The profile of the selected rows.

    :param identifiers: columns that tell rows apart; a null in one gives the row its status.
    :param copied: columns that go to an output; so does a value that no output can hold.
    :raises CannotPushDown: :func:`check_plan`'s reasons; or identifiers repeat, so that the order of rows decides.
    """
    check_plan(plan, selection)
    names = dict.fromkeys([column.name for column in plan.columns])
    names |= dict.fromkeys(name for segment in plan.segments for name in segment.columns)
    selection.check_values([*names, *_target_columns(plan.target)])
    prepare(selection.connection)
    _refuse_duplicates(selection, identifiers)
    rows = _with_status(plan, selection, identifiers, copied)
    plain = dataclasses.replace(plan, segments=())
    classes = {} if plan.target is None else distinct_classes(selection, rows, plan.target)
    check_bound(Part(selection, rows))
    profile = _Counting(plain, Part(selection, rows), classes).profiles().get(0)
    if profile is None:  # there are no rows
        return profile_batches(plan, ())
    segments: dict[str, Profile] = {}
    for place, segment in enumerate(plan.segments):
        part = Part(selection, rows, rows.c[f"{_SEGMENT}{place}"])
        found = _Counting(plain, part, classes, profile).profiles()
        segments |= {segment.ids[code]: one for code, one in found.items()}
    return dataclasses.replace(profile, plan=plan, segments=dict(sorted(segments.items())))


class _Counting:
    """Counts the rows of a part.

    :param classes: what :func:`distinct_classes` found.
    :param whole: the profile of more rows, which says how fine buckets have to be at most.
    """

    def __init__(self, plan: ProfilePlan, part: Part, classes: dict[Any, int], whole: Profile | None = None) -> None:
        self._plan, self._part, self._classes, self._whole = plan, part, classes, whole

    def profiles(self) -> dict[int, Profile]:
        """Group -> profile of its rows, of the groups that have any."""
        part = self._part
        statuses: dict[int, dict[int, int]] = {}
        status = part.rows.c[_STATUS]
        for group, number, count in part.keyed([status], [sa.func.count()]):
            statuses.setdefault(int(group), {})[int(number)] = int(count)
        scored = self._scored({number for counts in statuses.values() for number in counts})
        columns: dict[int, dict[str, ColumnProfile]] = {group: {} for group in statuses}
        targets = self._targets(scored)
        for of_part, is_feature in ((part, True), (scored, False)):
            chosen = [c for c in self._plan.columns if (c.role is ColumnRole.FEATURE) is is_feature]
            for group, found in self._columns(of_part, chosen, list(statuses)).items():
                columns[group] |= found
        times = {} if self._plan.timestamp_column is None else self._times()
        return {
            group: Profile(
                plan=self._plan,
                rows=sum(counts.values()),
                status_counts={s.text: counts[s] for s in RowStatus if s in counts},
                columns=dict(sorted(columns[group].items())),
                target=targets.get(group, self._no_target()),
                earliest=times.get(group, (None, None))[0],
                latest=times.get(group, (None, None))[1],
            )
            for group, counts in statuses.items()
        }

    def _scored(self, statuses: set[int]) -> Part:
        """The rows that count in predictions and performance."""
        rejected = sorted(statuses - set(map(int, SCORED)))
        if not rejected:
            return self._part
        rows = self._part.rows
        inner = sa.select(rows).where(rows.c[_STATUS].not_in(rejected)).subquery("scored")
        code = None if self._part.code is None else inner.c[self._part.code.key or ""]
        return Part(self._part.selection, inner, code)

    def _columns(
        self, part: Part, plans: Sequence[ColumnPlan], groups: list[int]
    ) -> dict[int, dict[str, ColumnProfile]]:
        numeric = [column for column in plans if column.kind is ColumnKind.NUMERIC]
        whole = None if self._whole is None else self._whole.columns
        numbers = number_profiles(part, numeric, self._plan.histogram_buckets, whole)
        found = {group: dict(numbers.get(group, {})) for group in groups}
        others = [column for column in plans if column.kind is not ColumnKind.NUMERIC]
        levels = self._levels(part, others)
        for column in others:
            for group in groups:
                found[group][column.name] = (levels[column.name].get(group) or self._builder(column)).finish()
        for column in numeric:  # of a group without any row that counts
            for group in groups:
                if column.name not in found[group]:
                    found[group][column.name] = self._builder(column).finish()
        return found

    def _levels(self, part: Part, columns: Sequence[ColumnPlan]) -> dict[str, dict[int, ColumnBuilder]]:
        plans = {column.name: column for column in columns}
        builders: dict[str, dict[int, ColumnBuilder]] = {name: {} for name in plans}
        for name, batch in part.selection.grouped(part.rows, list(plans), part.code):
            values, rows = batch.column(0), fixed_width(batch.column(1), np.int64)
            groups = fixed_width(batch.column(2), np.int64)
            for group in np.unique(groups).tolist():
                own = np.flatnonzero(groups == group)
                builder = builders[name].setdefault(group, self._builder(plans[name]))
                add_counted(builder, plans[name].kind, sorted_array(values, own), rows[own])
        return builders

    def _builder(self, column: ColumnPlan) -> ColumnBuilder:
        plan = self._plan
        return ColumnBuilder(
            column, buckets=plan.histogram_buckets, level_cap=plan.level_cap, level_names=plan.level_names
        )

    def _targets(self, scored: Part) -> dict[int, Target]:
        target, buckets = self._plan.target, self._plan.histogram_buckets
        if target is None or not target.prediction_columns:
            return {}
        whole = None if self._whole is None else self._whole.target
        if target.target_type is TargetType.REGRESSION:
            errors = whole if isinstance(whole, RegressionProfile) else None
            return dict(error_profiles(scored, target, buckets, errors))
        whole = whole if isinstance(whole, ClassificationProfile) else None
        return dict(class_profiles(scored, target, class_code(scored, target, self._classes), buckets, whole))

    def _no_target(self) -> Target | None:
        """What a group has whose rows were all rejected."""
        target = self._plan.target
        if target is None or not target.prediction_columns:
            return None
        return TargetBuilder(target, self._plan.histogram_buckets).finish()

    def _times(self) -> dict[int, tuple[int | None, int | None]]:
        plan = self._plan
        name, zone = str(plan.timestamp_column), plan.timestamp_timezone
        return self._part.selection.instants(self._part.rows, name, zone, self._part.code)


def _target_columns(target: TargetPlan | None) -> list[str]:
    if target is None or not target.prediction_columns:
        return []
    actual = target.actual_column if target.target_type is TargetType.REGRESSION else None
    return [*target.read_columns, *([actual] if actual is not None else [])]


def _refuse_duplicates(selection: Selection, identifiers: Sequence[str]) -> None:
    if not identifiers:
        return
    present = [selection.column(name).is_not(None) for name in identifiers]
    keys = [key for name in identifiers for key in selection.key(name)]
    again = selection.rows(*keys).where(*present).group_by(*keys)
    if selection.connection.execute(again.having(sa.func.count() > 1).limit(1)).first() is not None:
        raise CannotPushDown(
            "identifiers repeat, and which of such rows comes first is the order in which they are read"
        )


def _with_status(
    plan: ProfilePlan, selection: Selection, identifiers: Sequence[str], copied: Sequence[str]
) -> sa.Subquery:
    """The rows, the status of each, and in which segments it is."""
    status = status_of(plan, selection, identifiers, copied)
    names = dict.fromkeys(column.name for column in plan.columns)
    if plan.target is not None:
        names |= dict.fromkeys(plan.target.read_columns)
        names |= dict.fromkeys([plan.target.actual_column] if plan.target.actual_column else [])
    names |= dict.fromkeys([plan.timestamp_column] if plan.timestamp_column else [])
    codes = [segment_code(segment, selection, plan.level_names) for segment in plan.segments]
    segments = [code.label(f"{_SEGMENT}{place}") for place, code in enumerate(codes)]
    columns = [selection.column(name) for name in names]
    return selection.rows(*columns, status.label(_STATUS), *segments).subquery("counted")
