"""From a definition and the schema of its rows to the plan of a profile, and how a later schema differs from it."""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Iterable

import pyarrow as pa

from airflow_monitoring_provider.definitions.metric_terms import OF_WHOLE_ROWS
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.named_columns import awaited_columns
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.profiles.arrays import is_text
from airflow_monitoring_provider.profiles.embeddings import EmbeddingPlan
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.plan import (
    ColumnPlan,
    ColumnRole,
    ProfilePlan,
    RankingPlan,
    SchemaChanges,
    SeriesPlan,
    TargetPlan,
)
from airflow_monitoring_provider.profiles.profile import Profile

NAMED_LEVELS = 1000
"""Most levels of a baseline that keep their names in later profiles past the level cap."""
_SHOWN_NAMES = 50


def column_kind(arrow_type: pa.DataType) -> ColumnKind:
    """How a column of this type is summarised unless the definition says otherwise.

    Numbers are numeric, booleans boolean, dates and timestamps timestamps; all else (texts, dictionaries) categorical.
    """
    types = pa.types
    if types.is_boolean(arrow_type):
        return ColumnKind.BOOLEAN
    if types.is_integer(arrow_type) or types.is_floating(arrow_type) or types.is_decimal(arrow_type):
        return ColumnKind.NUMERIC
    if types.is_timestamp(arrow_type) or types.is_date(arrow_type):
        return ColumnKind.TIMESTAMP
    return ColumnKind.CATEGORICAL


def build_plan(definition: JobDefinition, schema: pa.Schema, source: str = "the source") -> ProfilePlan:
    """The plan of a definition over rows of this schema.

    Features are the definition's, else every column without a role (:func:`feature_columns`), by name.

    :param source: names the source in messages, such as ``table flights of connection flights_db``.
    :raises SourceError: columns the definition names are absent, or a name stands twice; all are listed.
    """
    check_columns(definition, schema, source)
    target = _target(definition)
    roles = _special_columns(definition, schema, target)
    features = [
        ColumnPlan(name, _kind(definition, schema, name))
        for name in feature_columns(definition, schema)
        if name not in roles
    ]
    columns = [*features, *roles.values()]
    return ProfilePlan(
        columns=tuple(counted_exactly(definition, column) for column in sorted(columns, key=lambda c: c.name)),
        target=target,
        timestamp_column=definition.timestamp_column,
        level_names=definition.level_names,
        timestamp_timezone=definition.timestamp_timezone,
        actual_time_column=_actual_time(definition),
        ranking=_ranking(definition),
        series=_series(definition),
        embeddings=_embeddings(definition, schema, source),
        whole_rows=not {*definition.thresholds, *definition.history}.isdisjoint(OF_WHOLE_ROWS),
    )


def check_columns(definition: JobDefinition, schema: pa.Schema, source: str = "the source") -> None:
    """Check that every column the definition names is there once.

    :raises SourceError: names all that are not.
    """
    has = _what_it_has(schema)
    absent = sorted(set(_named_columns(definition)).difference(schema.names))
    if absent:
        raise SourceError(f"{_listed(absent)} not in {source}; {has}")
    twice = sorted(name for name, times in collections.Counter(schema.names).items() if times > 1)
    if twice:
        raise SourceError(f"{_listed(twice)} more than once in {source}; {has}")


def feature_columns(definition: JobDefinition, schema: pa.Schema) -> tuple[str, ...]:
    """The columns that are features, sorted by name: the definition's own list, else every column that has no role, is
    no identifier and is not merely passed through.
    """
    if definition.features is not None:
        return tuple(sorted(definition.features))
    taken = {*role_columns(definition), *definition.passthrough_columns}
    return tuple(sorted(name for name in schema.names if name not in taken))


def schema_changes(definition: JobDefinition, plan: ProfilePlan, schema: pa.Schema) -> SchemaChanges:
    """What changed since the plan was frozen, for the quality results; a type counts where it no longer suggests the
    planned kind, or is not of the kind that a check asks for.
    """
    planned, checked = {column.name: column for column in plan.columns}, checked_columns(definition, schema)
    there, told = frozenset(schema.names), {name for name, _, _ in checked.retyped}
    retyped = [
        (name, column.kind.value, str(schema.field(name).type))
        for name, column in planned.items()
        if name in there
        and name not in told
        and not _suits(
            column.kind,
            schema.field(name).type,
            # The target decides the kind of predictions and actuals, not their type: classes may be whole numbers.
            declared=name in definition.column_types or column.role is not ColumnRole.FEATURE,
        )
    ]
    return SchemaChanges(
        missing=tuple(sorted({*(planned.keys() - there), *checked.missing})),
        new=tuple(name for name in feature_columns(definition, schema) if name not in planned and name in there),
        retyped=tuple(sorted([*retyped, *checked.retyped])),
    )


def checked_columns(definition: JobDefinition, schema: pa.Schema) -> SchemaChanges:
    """What the definition says of the columns, with or without a baseline: checks, and whatever else names one."""
    there = frozenset(schema.names)
    asked = {name: check for name, check in definition.checks.items() if name in there}
    declared = {*definition.column_types, *role_columns(definition)}
    return SchemaChanges(
        missing=tuple(sorted(awaited_columns(definition) - there)),
        retyped=tuple(
            (name, check.asked_kind.value, str(schema.field(name).type))
            for name, check in sorted(asked.items())
            if check.asked_kind is not None
            # What is read as numbers whatever its type can be held to bounds.
            and not _suits(check.asked_kind, schema.field(name).type, declared=check.kind is None and name in declared)
        ),
    )


def restrict_plan(plan: ProfilePlan, schema: pa.Schema, source: str = "the source") -> ProfilePlan:
    """The plan without the features that this schema lacks, whose profiles will be absent, and with embeddings of no
    column in place of those that lack one, whose profiles will hold no row.

    :raises SourceError: a prediction, actual or timestamp column is lacking: without it the rows cannot be judged.
    """
    there = frozenset(schema.names)  # every look at the schema's own names makes a list of them
    lacking = {column.name: column.role for column in plan.columns if column.name not in there}
    needed = [name for name, role in lacking.items() if role is not ColumnRole.FEATURE]
    if plan.timestamp_column is not None and plan.timestamp_column not in there:
        needed.append(plan.timestamp_column)
    if plan.ranking is not None and plan.ranking.query_column not in there:
        needed.append(plan.ranking.query_column)
    if plan.series is not None:
        needed += [name for name in plan.series.columns if name not in there]
    if plan.target is not None:
        needed += [name for name in plan.target.interval_columns or () if name not in there]
    if needed:
        raise SourceError(f"{_listed(sorted(set(needed)))} not in {source}; {_what_it_has(schema)}")
    return dataclasses.replace(
        plan,
        columns=tuple(c for c in plan.columns if c.name not in lacking),
        embeddings=tuple(
            each if there.issuperset(each.columns) else dataclasses.replace(each, columns=())
            for each in plan.embeddings
        ),
    )


def name_levels(plan: ProfilePlan, baseline: Profile, most: int = NAMED_LEVELS) -> ProfilePlan:
    """The plan with the baseline's most frequent levels named, so they keep exact counts past the level cap."""
    return dataclasses.replace(
        plan,
        columns=tuple(
            column
            if (found := baseline.columns.get(column.name)) is None or found.levels is None
            else dataclasses.replace(
                column, named_levels=tuple(sorted({*column.named_levels, *found.levels.top(most)}))
            )
            for column in plan.columns
        ),
    )


def read_columns(
    plan: ProfilePlan,
    identifiers: Iterable[str] = (),
    copied: Iterable[str] = (),
) -> tuple[str, ...]:
    """The columns a job has to read: identifiers, the plan's, then logged and copied ones, each once.

    Where several are missing, the first is the one that is told.
    """
    extra = [plan.timestamp_column, plan.actual_time_column, *copied]
    extra += [name for segment in plan.segments for name in segment.columns]
    if plan.ranking is not None:
        extra.append(plan.ranking.query_column)
    if plan.series is not None:
        extra += plan.series.columns
    extra += [name for embedding in plan.embeddings for name in embedding.columns]
    if plan.target is not None:
        extra += plan.target.read_columns
    planned = (column.name for column in plan.columns)
    return tuple(dict.fromkeys([*identifiers, *planned, *(name for name in extra if name)]))


def _actual_time(definition: JobDefinition) -> str | None:
    """The column with the time of actuals, where rows have another time of their own and are read."""
    column = definition.monitoring_columns.actuals_timestamp_column
    timed = definition.timestamp_column not in (None, column) and definition.engine != "sql"
    return column if timed else None


def _ranking(definition: JobDefinition) -> RankingPlan | None:
    own = definition.ranking
    return None if own is None else RankingPlan(own.query_column, own.k, own.relevant_from)


def _series(definition: JobDefinition) -> SeriesPlan | None:
    own, actual = definition.naive_forecast, definition.monitoring_columns.actuals_value_column
    return None if own is None or not own.learnt or actual is None else SeriesPlan(actual, own.lag, own.series_column)


def _embeddings(definition: JobDefinition, schema: pa.Schema, source: str) -> tuple[EmbeddingPlan, ...]:
    there = frozenset(schema.names)
    for name, own in definition.embeddings.items():
        if name in there.difference(own.read_columns(name)):
            raise SourceError(
                f"embedding {name!r} has the name of a column of {source} that it is not made of; name it otherwise"
            )
    return tuple(
        EmbeddingPlan(name, own.read_columns(name), own.length, split=own.columns is not None)
        for name, own in sorted(definition.embeddings.items())
    )


def _target(definition: JobDefinition) -> TargetPlan | None:
    kind, columns = definition.resolved_target_type, definition.monitoring_columns
    if kind is None:
        return None
    pairs = columns.predictions_columns
    if kind is TargetType.REGRESSION:
        name = columns.prediction_column_names
        own = definition.prediction_interval
        interval = None if own is None else (own.lower_column, own.upper_column)
        return TargetPlan(
            kind, (("", name[0]),) if name else (), columns.actuals_value_column, interval_columns=interval
        )
    positive = definition.resolved_positive_class
    named: tuple[tuple[str, str], ...] = ()
    if isinstance(pairs, str):
        named = ((positive or "", pairs),)
    elif pairs is not None:
        named = tuple((pair.class_name, pair.column_name) for pair in pairs)
    classes = tuple(name for name, _ in named)
    if kind is TargetType.BINARY and (named or positive is not None):
        negative = next((name for name in classes if name != positive), definition.negative_class or "")
        classes = (negative, positive or "")
    return TargetPlan(
        kind,
        named,
        columns.actuals_value_column,
        classes,
        positive if kind is TargetType.BINARY else None,
        definition.prediction_threshold,
    )


def _special_columns(definition: JobDefinition, schema: pa.Schema, target: TargetPlan | None) -> dict[str, ColumnPlan]:
    """The plans of prediction columns and of the actuals."""
    found: dict[str, ColumnPlan] = {}
    probable = target is not None and target.target_type is not TargetType.REGRESSION
    for name, column in target.prediction_columns if target is not None else ():
        decides = target is not None and target.positive_class is not None and name == target.positive_class
        edges = (target.threshold,) if target is not None and decides else ()
        found[column] = ColumnPlan(column, ColumnKind.NUMERIC, ColumnRole.PREDICTION, probable, edges)
    actual = definition.monitoring_columns.actuals_value_column
    if actual is not None and actual not in found:
        kind = ColumnKind.CATEGORICAL if probable else ColumnKind.NUMERIC
        kind = kind if target is not None else _kind(definition, schema, actual)
        found[actual] = ColumnPlan(actual, kind, ColumnRole.ACTUAL)
    return found


def counted_exactly(definition: JobDefinition, column: ColumnPlan) -> ColumnPlan:
    """The column with what a definition names of it: a number's edges and bounds are counted beside the histogram, and
    allowed values keep their names past the level cap.
    """
    own, check = definition.drift.columns.get(column.name), definition.checks.get(column.name)
    if column.kind is ColumnKind.NUMERIC:
        edges = own.edges if own is not None and own.binning is not None else definition.drift.edges
        wanted = {*column.edges, *(edges or ())}
        if check is not None and check.minimum is not None:
            wanted.add(check.minimum)
        if check is not None and check.maximum is not None:
            wanted.add(math.nextafter(check.maximum, math.inf))
        return dataclasses.replace(column, edges=tuple(sorted(wanted)))
    if check is None or check.allowed_values is None or column.kind is not ColumnKind.CATEGORICAL:
        return column
    allowed = LevelCounts.of(check.levels, names=definition.level_names).counts
    return dataclasses.replace(column, named_levels=tuple(sorted({*column.named_levels, *allowed})))


def _kind(definition: JobDefinition, schema: pa.Schema, name: str) -> ColumnKind:
    declared = definition.column_types.get(name)
    return declared if declared is not None else column_kind(schema.field(name).type)


def _suits(kind: ColumnKind, arrow_type: pa.DataType, *, declared: bool) -> bool:
    """A declared kind suits every type it can be read from; another one the types that suggest it."""
    inner = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    if pa.types.is_null(inner) or column_kind(inner) is kind:
        return True
    if kind is ColumnKind.TEXT:
        return is_text(inner)
    if not declared:
        return False
    if kind is ColumnKind.NUMERIC:
        return is_text(inner) or pa.types.is_boolean(inner)
    if kind is ColumnKind.TIMESTAMP:
        return is_text(inner) or column_kind(inner) is ColumnKind.NUMERIC
    return True


def role_columns(definition: JobDefinition) -> list[str]:
    """Columns that the definition gives a role other than feature: predictions, identifiers, times, actuals, and those
    that embeddings are made of.
    """
    columns = definition.monitoring_columns
    optional = (
        definition.ranking.query_column if definition.ranking is not None else None,
        definition.timestamp_column,
        columns.association_id_column,
        columns.actuals_value_column,
        columns.actuals_timestamp_column,
        columns.acted_upon_column,
        columns.custom_metric_value_column,
        columns.custom_metric_timestamp_column,
    )
    identifiers = definition.monitoring_output_settings.unique_row_identifier_columns
    interval = definition.prediction_interval
    ends = () if interval is None else (interval.lower_column, interval.upper_column)
    vectors = (column for name, own in definition.embeddings.items() for column in own.read_columns(name))
    others = (name for name in optional if name is not None)
    return [*columns.prediction_column_names, *ends, *identifiers, *vectors, *others]


def _named_columns(definition: JobDefinition) -> list[str]:
    columns = definition.monitoring_columns
    unread = (columns.custom_metric_value_column, columns.custom_metric_timestamp_column)  # accepted, not served
    roles = [name for name in role_columns(definition) if name not in unread]
    series = _series(definition)
    return [
        *roles,
        *(series.columns if series is not None else ()),
        *(definition.features or ()),
        *definition.passthrough_columns,
    ]


def _what_it_has(schema: pa.Schema) -> str:
    if not schema.names:
        return "it has no columns."
    more = len(schema.names) - _SHOWN_NAMES
    return f"it has: {', '.join(schema.names[:_SHOWN_NAMES])}{f' and {more} more' if more > 0 else ''}."


def _listed(names: list[str]) -> str:
    return f"Column {names[0]} is" if len(names) == 1 else f"Columns {', '.join(names)} are"
