"""The profile of a plan from aggregates that a database computes: no row leaves it.

The same counts, levels, buckets and confusion as :mod:`~airflow_monitoring_provider.engines.arrow` gives for the same
rows, so the same content hash, unless a histogram's rows are spread so unevenly that it comes out coarser; moments and
sums to 1e-9. What leaves the database of a column is its distinct levels, or up to 65 536 buckets, with their counts.

What it cannot do, it refuses with :class:`~airflow_monitoring_provider.intake.source.CannotPushDown` before anything
is counted: databases without exact bits of a double, targets that are not binary, numbers or times that are stored as
text, and level names that a database cannot make.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ColumnKind, RowStatus, TargetType
from airflow_monitoring_provider.engines.arrow import SCORED
from airflow_monitoring_provider.engines.columns import add_counted
from airflow_monitoring_provider.engines.sql_bits import EXACT, prepare
from airflow_monitoring_provider.engines.sql_numbers import number_columns, of_numbers
from airflow_monitoring_provider.engines.sql_rows import status_of
from airflow_monitoring_provider.engines.sql_target import binary_target
from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.profiles.arrays import fixed_width, is_text
from airflow_monitoring_provider.profiles.column import ColumnBuilder, ColumnProfile
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile

_STATUS = "monitoring_row_status"


def check_plan(plan: ProfilePlan, selection: Selection) -> None:
    """Refuse a plan that the database cannot compute exactly.

    :raises CannotPushDown: names the column or what else is in the way, and why.
    """
    dialect = selection.connection.dialect.name
    if dialect not in EXACT:
        raise CannotPushDown(f"{dialect} has no exact way to a double's bits, so its buckets would differ")
    if plan.segments:
        raise CannotPushDown("segments are told apart row by row")
    if plan.actual_time_column is not None:
        raise CannotPushDown("the time until actuals are known is measured row by row")
    if plan.whole_rows:
        raise CannotPushDown("whole rows are told apart by keys of all their values")
    target = plan.target
    if target is not None and (target.target_type is not TargetType.BINARY or not target.prediction_columns):
        raise CannotPushDown(f"a {target.target_type.value.lower()} target needs each row's errors")
    for column in plan.columns:
        arrives = selection.types.field(column.name).type
        numeric = pa.types.is_integer(arrives) or pa.types.is_floating(arrives) or pa.types.is_boolean(arrives)
        if column.kind is ColumnKind.NUMERIC and not numeric:
            raise CannotPushDown(f"column {column.name!r} is numeric and arrives as {arrives}")
        if column.kind is ColumnKind.TIMESTAMP:
            raise CannotPushDown(f"column {column.name!r} is a timestamp feature, whose seconds are counted from rows")
        if column.kind is ColumnKind.TEXT and not is_text(arrives):
            raise CannotPushDown(f"column {column.name!r} is measured as text and arrives as {arrives}")


def profile_in_database(
    plan: ProfilePlan, selection: Selection, identifiers: Sequence[str] = (), copied: Sequence[str] = ()
) -> Profile:
    """The profile of the selected rows.

    :param identifiers: columns that tell rows apart; a null in one gives the row its status.
    :param copied: columns that go to an output; so does a value that no output can hold.
    :raises CannotPushDown: :func:`check_plan`'s reasons; or identifiers repeat, so that the order of rows decides.
    """
    check_plan(plan, selection)
    selection.check_values([column.name for column in plan.columns])
    prepare(selection.connection)
    _refuse_duplicates(selection, identifiers)
    rows = _with_status(plan, selection, identifiers, copied)
    counted = sa.select(rows.c[_STATUS], sa.func.count()).group_by(rows.c[_STATUS])
    counts = {int(status): int(count) for status, count in selection.connection.execute(counted)}
    rejected = [int(s) for s in RowStatus if s in counts and s not in SCORED]
    scored = sa.select(rows).where(rows.c[_STATUS].not_in(rejected)).subquery("scored") if rejected else rows
    numeric = [column for column in plan.columns if column.kind is ColumnKind.NUMERIC]
    profiles: dict[str, ColumnProfile] = {}
    for part, of_part in ((rows, True), (scored, False)):
        chosen = [column for column in numeric if (column.role is ColumnRole.FEATURE) is of_part]
        numbers = number_columns(selection, part, chosen)
        profiles |= of_numbers(selection, part, numbers, plan.histogram_buckets)
    for column in plan.columns:
        if column.kind is not ColumnKind.NUMERIC:
            part = rows if column.role is ColumnRole.FEATURE else scored
            profiles[column.name] = _levels(selection, part, column, plan)
    earliest, latest = _times(selection, rows, plan.timestamp_column)
    return Profile(
        plan=plan,
        rows=sum(counts.values()),
        status_counts={status.text: counts[status] for status in RowStatus if status in counts},
        columns=dict(sorted(profiles.items())),
        target=binary_target(selection, scored, plan.target, plan.histogram_buckets) if plan.target else None,
        earliest=earliest,
        latest=latest,
    )


def _refuse_duplicates(selection: Selection, identifiers: Sequence[str]) -> None:
    if not identifiers:
        return
    keys = [selection.column(name) for name in identifiers]
    again = selection.rows(*keys).where(*(key.is_not(None) for key in keys)).group_by(*keys)
    if selection.connection.execute(again.having(sa.func.count() > 1).limit(1)).first() is not None:
        raise CannotPushDown(
            "identifiers repeat, and which of such rows comes first is the order in which they are read"
        )


def _with_status(
    plan: ProfilePlan, selection: Selection, identifiers: Sequence[str], copied: Sequence[str]
) -> sa.Subquery:
    """The rows and the status of each."""
    status = status_of(plan, selection, identifiers, copied)
    names = dict.fromkeys(column.name for column in plan.columns)
    if plan.target is not None:
        names |= dict.fromkeys(name for _, name in plan.target.prediction_columns)
    names |= dict.fromkeys([plan.timestamp_column] if plan.timestamp_column else [])
    return selection.rows(*(selection.column(name) for name in names), status.label(_STATUS)).subquery("counted")


def _levels(selection: Selection, rows: sa.FromClause, column: ColumnPlan, plan: ProfilePlan) -> ColumnProfile:
    builder = ColumnBuilder(
        column, buckets=plan.histogram_buckets, level_cap=plan.level_cap, level_names=plan.level_names
    )
    for batch in selection.grouped(rows, column.name):
        add_counted(builder, column.kind, batch.column(0), fixed_width(batch.column(1), np.int64))
    return builder.finish()


def _times(selection: Selection, rows: sa.FromClause, name: str | None) -> tuple[int | None, int | None]:
    if name is None:
        return None, None
    column = rows.c[name]
    bounds = sa.select(sa.func.min(column).label("low"), sa.func.max(column).label("high"))
    return selection.instants(bounds, name)
