"""The columns that a definition names, each with its path: what has a role, and what something is said of.

Something may be said of features, predictions and actuals alone, since nothing else is profiled. Where ``features``
lists them, a name that none of them has is refused when the definition is read; else when its rows are first seen
(:func:`unknown_columns`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from airflow_monitoring_provider.definitions.drift import ColumnDrift, Scheme
from airflow_monitoring_provider.definitions.embeddings import embedding_paths
from airflow_monitoring_provider.definitions.metric_terms import OF_GROUPS
from airflow_monitoring_provider.definitions.part import PartPath, did_you_mean
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition
    from airflow_monitoring_provider.definitions.segments import Segment

Problems = Iterator[tuple[PartPath, str]]

_CUT = (None, ColumnKind.NUMERIC, ColumnKind.TEXT)
"""Kinds whose values (of a text: its length) are cut into cells; None: nobody knows yet."""


def role_paths(definition: JobDefinition) -> Iterator[tuple[PartPath, str]]:
    """Every column that has a role of its own."""
    columns = definition.monitoring_columns
    if definition.timestamp_column is not None:
        yield ("timestamp_column",), definition.timestamp_column
    predictions = columns.predictions_columns
    if isinstance(predictions, str):
        yield ("monitoring_columns", "predictions_columns"), predictions
    for index, pair in enumerate(predictions if isinstance(predictions, tuple) else ()):
        yield ("monitoring_columns", "predictions_columns", index, "column_name"), pair.column_name
    for name in ("association_id_column", "actuals_value_column", "actuals_timestamp_column", "acted_upon_column"):
        column = getattr(columns, name)
        if column is not None:
            yield ("monitoring_columns", name), column
    if definition.ranking is not None:
        yield ("ranking", "query_column"), definition.ranking.query_column
    interval = definition.prediction_interval
    if interval is not None:
        yield ("prediction_interval", "lower_column"), interval.lower_column
        if interval.upper_column != interval.lower_column:
            yield ("prediction_interval", "upper_column"), interval.upper_column
    yield from embedding_paths(definition)


def said_of(definition: JobDefinition) -> Iterator[tuple[PartPath, str]]:
    """Every column that ``checks``, ``thresholds``, ``history``, ``drift`` or ``model_score`` say something of."""
    for column in definition.checks:
        yield ("checks", column), column
    for metric, threshold in definition.thresholds.items():
        for column in threshold.columns:
            yield ("thresholds", metric, "columns", column), column
    for metric, history in definition.history.items():
        for index, column in enumerate(history.columns or ()):
            yield ("history", metric, "columns", index), column
    for column in definition.drift.columns:
        yield ("drift", "columns", column), column
    if (score := definition.model_score) is not None:
        for column in score.importances:
            yield ("model_score", "importances", column), column
        for name in ("starred_features", "excluded_features"):
            for index, column in enumerate(getattr(score, name)):
                yield ("model_score", name, index), column


def awaited_columns(definition: JobDefinition) -> frozenset[str]:
    """The columns that rows have to bring for what the definition says of them, and for embeddings; their absence is a
    finding.
    """
    said = {column for path, column in said_of(definition) if "excluded_features" not in path}
    grouped = {column for segment in definition.segments for column in _segment_columns(segment)}
    vectors = {column for _, column in embedding_paths(definition)}
    return frozenset(said.difference(definition.embeddings) | grouped | vectors)


def misnamed_columns(definition: JobDefinition) -> Problems:
    """Names that no watched column has, as far as the definition tells by itself."""
    columns = definition.monitoring_columns
    roles = {column: ".".join(str(step) for step in path[:2]) for path, column in role_paths(definition)}
    judged = {*columns.prediction_column_names, columns.actuals_value_column} - {None}
    features = definition.features
    grouped = {column for segment in definition.segments for column in _segment_columns(segment)}
    aside = {*definition.passthrough_columns, *definition.monitoring_output_settings.unique_row_identifier_columns}
    for path, name in said_of(definition):
        if (features is not None and name in features) or (name in grouped and OF_GROUPS.intersection(path[:2])):
            continue
        if name in definition.embeddings:
            continue
        if path[0] == "model_score" and name in judged:
            yield path, f"names the column of `{roles[name]}`, which decides by itself: a score is made of features"
        elif name in roles and name not in judged:
            yield path, f"names the column of `{roles[name]}`, whose values are not profiled"
        elif name not in judged and (features is not None or name in aside):
            named = [*(features or ()), *definition.embeddings, *(column for column in judged if column is not None)]
            hint = did_you_mean(name, named)
            yield path, f"is not profiled: name the column in `features`, too{hint}"
    if features is not None and definition.passthrough_columns_set is None:
        known = set(_everything(definition, roles))
        for name in definition.column_types:
            if name not in known:
                yield ("column_types", name), f"is no column that this definition reads{did_you_mean(name, known)}"


def _everything(definition: JobDefinition, roles: Iterable[str]) -> Iterator[str]:
    """Every column that is read, whatever for."""
    yield from (*roles, *(definition.features or ()), *definition.passthrough_columns)
    yield from definition.monitoring_output_settings.unique_row_identifier_columns
    for segment in definition.segments:
        yield from _segment_columns(segment)
    for metric in definition.custom_metrics.values():
        yield from metric.columns
    if definition.partitions is not None and definition.partitions.column is not None:
        yield definition.partitions.column


def _segment_columns(segment: Segment) -> Iterator[str]:
    if segment.column is not None:
        yield segment.column
    yield from (condition.column for condition in segment.where)


def unknown_columns(definition: JobDefinition, known: Collection[str]) -> Problems:
    """Names that no column has, of the rows or of what they are compared with; a check's own finding is that its column
    is missing.
    """
    there = frozenset(known) | definition.embeddings.keys()
    for path, name in (*said_of(definition), *((("column_types", name), name) for name in definition.column_types)):
        if name not in there and path[0] != "checks":
            hint = did_you_mean(name, there) or f"; there are {_listed(there)}"
            yield path, f"names no column of the rows or the baseline{hint}"


def declared_kinds(definition: JobDefinition) -> dict[str, ColumnKind]:
    """The kinds of columns that are known before any row is."""
    columns, target = definition.monitoring_columns, definition.resolved_target_type
    found = dict(definition.column_types)
    found |= {name: check.kind for name, check in definition.checks.items() if check.kind is not None}
    found |= dict.fromkeys(columns.prediction_column_names, ColumnKind.NUMERIC)
    if columns.actuals_value_column is not None and target is not None:
        classes = target is not TargetType.REGRESSION
        found[columns.actuals_value_column] = ColumnKind.CATEGORICAL if classes else ColumnKind.NUMERIC
    return found


def misfit_cells(definition: JobDefinition, kinds: Mapping[str, ColumnKind]) -> Problems:
    """Cells for numbers that are asked of columns of another kind."""
    for name, own in definition.drift.columns.items():
        kind = kinds.get(name)
        if kind in _CUT:
            continue
        why = "levels are a cell each" if kind is not ColumnKind.TIMESTAMP else "times are not compared"
        for member in _cells_of_numbers(own):
            reason = f"is for numbers, but the column is {kind}, and {why}: leave it out"
            yield (
                ("drift", "columns", name, member),
                f"{reason}, or set `column_types` to numeric where it holds numbers",
            )


def _cells_of_numbers(own: ColumnDrift) -> Iterator[str]:
    if own.binning not in (None, Scheme.DISCRETE):
        yield "binning"
    yield from (name for name in ("bins", "edges") if getattr(own, name) is not None)


def _listed(names: Collection[str], most: int = 20) -> str:
    shown = sorted(names)[:most]
    return ", ".join(map(repr, shown)) + (f" and {len(names) - most} more" if len(names) > most else "")
