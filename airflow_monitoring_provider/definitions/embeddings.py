"""Vectors that a model works with, watched by where their mean lies: declared by name, never guessed from a column."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from airflow_monitoring_provider.definitions.metric_terms import OF_EMBEDDINGS
from airflow_monitoring_provider.definitions.part import (
    Column,
    FrozenDict,
    Name,
    Part,
    PartPath,
    Whole,
    did_you_mean,
    only_list,
)

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition

MOST_DIMENSIONS = 4096
"""Numbers of a vector: a profile keeps four doubles for each, in every segment."""
MOST_EMBEDDINGS = 50

Problems = Iterator[tuple[PartPath, str]]


class Embedding(Part):
    """Where the vectors of one embedding stand in the rows."""

    column: Column | None = Field(
        default=None,
        description="A column of vectors: lists of numbers, or their text, such as [0.1, 0.2]; absent: the column that "
        "has the embedding's name.",
    )
    columns: Annotated[tuple[Column, ...], Field(min_length=1, max_length=MOST_DIMENSIONS), only_list] | None = Field(
        default=None, description="In place of `column`: a column of numbers for each dimension, in their order."
    )
    dimensions: Whole | None = Field(
        default=None,
        ge=1,
        le=MOST_DIMENSIONS,
        description="How many numbers a vector has; required unless `columns` says it. Other vectors are invalid.",
    )
    primary: Literal["centroid_euclidean", "centroid_cosine"] | None = Field(
        default=None,
        description="The distance that decides; absent: centroid_euclidean, unless only centroid_cosine has limits.",
    )

    def vector_column(self, name: str) -> str | None:
        """The column of whole vectors of the embedding of this name; None where each dimension has a column."""
        return None if self.columns is not None else self.column or name

    def read_columns(self, name: str) -> tuple[str, ...]:
        """Every column that the embedding of this name is made of."""
        return self.columns if self.columns is not None else (self.column or name,)

    @property
    def length(self) -> int:
        """How many numbers a vector has."""
        return len(self.columns) if self.columns is not None else self.dimensions or 0


Embeddings = Annotated[dict[Name, Embedding], Field(max_length=MOST_EMBEDDINGS), AfterValidator(FrozenDict)]


def primary_of(definition: JobDefinition, name: str) -> str:
    """The distance that decides whether an embedding drifted: the one stated, else the first that has limits."""
    stated = definition.embeddings[name].primary
    limited = [metric for metric in OF_EMBEDDINGS if _has_limits(definition, metric, name)]
    return stated or next(iter([*limited, *OF_EMBEDDINGS]))


def vector_columns(definition: JobDefinition) -> frozenset[str]:
    """Columns whose values are whole vectors."""
    found = (own.vector_column(name) for name, own in definition.embeddings.items())
    return frozenset(column for column in found if column is not None)


def embedding_paths(definition: JobDefinition) -> Problems:
    """Every column that an embedding is made of, with the path of the field that names it."""
    for name, own in definition.embeddings.items():
        if own.columns is None:
            yield ("embeddings", name, *(("column",) if own.column else ())), own.column or name
        for index, column in enumerate(own.columns or ()):
            yield ("embeddings", name, "columns", index), column


def embedding_problems(definition: JobDefinition) -> Problems:
    """What is in the way of comparing vectors, and what is said of embeddings that only columns have."""
    for name, own in definition.embeddings.items():
        yield from _shape(name, own)
        if own.primary is not None and not _has_limits(definition, own.primary, name):
            reason = f"decides, but nothing says from where on: give `thresholds` for {own.primary}"
            yield ("embeddings", name, "primary"), reason
    yield from _names(definition)
    for metric in OF_EMBEDDINGS:
        threshold = definition.thresholds.get(metric)
        if threshold is not None and not definition.embeddings:
            yield ("thresholds", metric), "is not computed for this definition: give `embeddings`"
        for column in () if threshold is None or not definition.embeddings else threshold.columns:
            if column not in definition.embeddings:
                hint = did_you_mean(column, definition.embeddings)
                yield ("thresholds", metric, "columns", column), f"is no embedding of this definition{hint}"


def _shape(name: str, own: Embedding) -> Problems:
    path = ("embeddings", name)
    if own.columns is None and own.dimensions is None:
        yield (*path, "dimensions"), "is required: how many numbers a vector has (or `columns`, one for each dimension)"
    seen: dict[str, int] = {}
    for index, column in enumerate(own.columns or ()):
        if seen.setdefault(column, index) != index:
            yield (*path, "columns", index), f"repeats item {seen[column]}"
    if own.columns is not None and own.column is not None:
        yield (*path, "columns"), "must not be given together with `column`: keep one of them"
    if own.columns is not None and own.dimensions not in (None, len(own.columns)):
        yield (*path, "dimensions"), f"must be {len(own.columns)}, the number of `columns`, or absent"


def _names(definition: JobDefinition) -> Problems:
    """Results of an embedding stand under its name, so no other column may have it; and it has no cells or levels."""
    parts = {column for name, own in definition.embeddings.items() for column in own.read_columns(name)}
    others = {*(definition.features or ()), *definition.monitoring_columns.prediction_column_names}
    others.add(definition.monitoring_columns.actuals_value_column or "")
    for name, own in definition.embeddings.items():
        if name in (others | parts) - {*own.read_columns(name)}:
            yield ("embeddings", name), "has the name of a column with results of its own: name it otherwise"
        for field, said in (("checks", definition.checks), ("drift", definition.drift.columns)):
            if name in said:
                path = ("checks", name) if field == "checks" else ("drift", "columns", name)
                yield path, "names an embedding, whose vectors have neither cells nor bounds: give `thresholds`"
    for name in sorted(parts & {*definition.column_types}):
        yield ("column_types", name), "must be absent: the column is read as a part of an embedding"


def _has_limits(definition: JobDefinition, metric: str, name: str) -> bool:
    threshold = definition.thresholds.get(metric)
    if threshold is None:
        return False
    return threshold.warning is not None or threshold.critical is not None or name in threshold.columns
