"""Which columns a baseline freezes, and what the plan of later rows makes of them."""

from __future__ import annotations

import dataclasses

import pyarrow as pa

from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.engines.kinds import (
    build_plan,
    checked_columns,
    counted_exactly,
    name_levels,
    restrict_plan,
    role_columns,
    schema_changes,
)
from airflow_monitoring_provider.profiles.plan import ColumnRole, ProfilePlan, SchemaChanges
from airflow_monitoring_provider.profiles.profile import Profile


def reference_plan(definition: JobDefinition, schema: pa.Schema, source: str) -> ProfilePlan:
    """The plan of a reference data set: all features, and of the other roles what it has (training data often has no
    predictions).

    :raises SourceError: a feature that the definition names is not there.
    """
    full = build_plan(definition, _with_absent(schema, role_columns(definition)), source)
    target, there = full.target, frozenset(schema.names)
    if target is not None and any(column not in there for _, column in target.prediction_columns):
        target = None
    elif target is not None and target.actual_column not in there:
        target = dataclasses.replace(target, actual_column=None)
    if target is not None and not there.issuperset(target.interval_columns or ()):
        target = dataclasses.replace(target, interval_columns=None)
    timed = full.timestamp_column in there
    return dataclasses.replace(
        full,
        whole_rows=False,  # how often a reference repeats itself is nothing that rows are compared with
        columns=tuple(column for column in full.columns if column.name in there),
        target=target,
        series=full.series if timed and full.series is not None and there.issuperset(full.series.columns) else None,
        ranking=full.ranking if full.ranking is not None and full.ranking.query_column in there else None,
        embeddings=tuple(each for each in full.embeddings if there.issuperset(each.columns)),
        timestamp_column=full.timestamp_column if timed else None,
        actual_time_column=full.actual_time_column if timed and full.actual_time_column in there else None,
    )


def current_plan(
    definition: JobDefinition, schema: pa.Schema, source: str, baseline: Profile | None, *, adopts: bool = False
) -> tuple[ProfilePlan, SchemaChanges]:
    """The plan of a job's rows, and how their columns differ from the frozen ones.

    Features and their kinds come from the baseline, where there is one: a feature that is gone is a finding and no
    error, and so is an embedding's column. Where the definition names its features, those are watched alone, also the
    ones that it names since.
    Predictions, actuals and what else has a role come from the definition and must be there.

    :param adopts: the baseline moves: a new column is a finding, and watched from now on; a kind that the definition
        declares since holds.
    :raises SourceError: a column that has a role is not there.
    """
    if baseline is None:
        return build_plan(definition, schema, source), checked_columns(definition, schema)
    named = definition.features
    frozen = [
        counted_exactly(definition, column)
        for column in baseline.plan.columns
        if column.role is ColumnRole.FEATURE
        and (named is None or column.name in named)
        and not (adopts and definition.column_types.get(column.name, column.kind) is not column.kind)
    ]
    expected = [*(column.name for column in frozen), *_vectors(definition, baseline.plan)]
    present = build_plan(definition, _with_absent(schema, expected), source)
    known = {column.name for column in frozen}
    others = [
        column
        for column in present.columns
        if column.role is not ColumnRole.FEATURE or (named is not None and column.name not in known)
    ]
    planned = dataclasses.replace(present, columns=tuple(sorted([*frozen, *others], key=lambda column: column.name)))
    changes = schema_changes(definition, planned, schema)
    if adopts and named is None:
        new = [column for column in present.columns if column.name in changes.new]
        columns = sorted([*planned.columns, *new], key=lambda column: column.name)
        planned = dataclasses.replace(planned, columns=tuple(columns))
    return restrict_plan(name_levels(planned, baseline), schema, source), changes


def _vectors(definition: JobDefinition, frozen: ProfilePlan) -> list[str]:
    """The columns of the definition's embeddings that are made of what they were made of when the plan was frozen."""
    known = {each.name: each.columns for each in frozen.embeddings}
    named = {name: own.read_columns(name) for name, own in definition.embeddings.items()}
    return [column for name, columns in named.items() if known.get(name) in (columns, ()) for column in columns]


def _with_absent(schema: pa.Schema, names: list[str]) -> pa.Schema:
    """The schema, and a column without a type for each name that it lacks."""
    there = frozenset(schema.names)
    absent = [name for name in dict.fromkeys(names) if name not in there]
    return pa.schema([*schema, *(pa.field(name, pa.null()) for name in absent)])
