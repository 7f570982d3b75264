"""Which rows are ranked together, and how far down the metrics of ranking look."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from airflow_monitoring_provider.definitions.metric_terms import MOST_K, OF_RANKINGS
from airflow_monitoring_provider.definitions.part import Column, Number, Part, PartPath, breaches
from airflow_monitoring_provider.definitions.terms import TargetType

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition


def _listed(value: Any) -> Any:
    """One number stands for a list of it."""
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if not isinstance(value, list | tuple) or not value:
        raise breaches(((), "must be a whole number, or a list of at least one"))
    return tuple(value)


def _different(ks: tuple[int, ...]) -> tuple[int, ...]:
    problems: list[tuple[PartPath, str]] = [
        ((place,), f"is {k} again: keep one of them") for place, k in enumerate(ks) if k in ks[:place]
    ]
    if problems:
        raise breaches(*problems)
    return tuple(sorted(ks))


_Depth = {"type": "integer", "minimum": 1, "maximum": MOST_K}
Depths = Annotated[
    tuple[Annotated[int, Strict(), Field(ge=1, le=MOST_K)], ...],
    BeforeValidator(_listed),
    AfterValidator(_different),
    WithJsonSchema({"anyOf": [_Depth, {"type": "array", "items": _Depth, "minItems": 1}]}),
]


class Ranking(Part):
    """Rows of one query (a search, session or user) are ranked by their score; the actuals are their relevance."""

    query_column: Column = Field(description="Rows with the same value are ranked together.")
    k: Depths = Field(default=(10,), description="How many of the first rows count; one number or several.")
    relevant_from: Number | None = Field(
        default=None, description="The least relevance that is relevant, of a regression; absent: all above 0."
    )


def ranking_problems(definition: JobDefinition) -> Iterator[tuple[PartPath, str]]:
    """What is in the way of ranking metrics: a score, a relevance, and all rows of a query in one part."""
    ranking, columns = definition.ranking, definition.monitoring_columns
    known = set() if ranking is None else {"mrr", *(f"{name}_at_{k}" for name in OF_RANKINGS for k in ranking.k)}
    for metric in definition.thresholds:
        if _RANKED.fullmatch(metric) is not None and metric not in known:
            wanted = "`ranking`" if ranking is None else "its number in `ranking.k`"
            yield ("thresholds", metric), f"is not computed for this definition: give {wanted}"
    if ranking is None:
        return
    for name in ("predictions_columns", "actuals_value_column"):
        if getattr(columns, name) is None:
            yield ("monitoring_columns", name), "is required where `ranking` is given: it ranks scores by actuals"
    kind = definition.resolved_target_type
    if kind is TargetType.MULTICLASS:
        yield ("ranking",), "needs one score a row: it cannot be used where the target is Multiclass"
    if kind is TargetType.BINARY and ranking.relevant_from is not None:
        yield ("ranking", "relevant_from"), "is for a regression: of a binary target the positive class is relevant"
    partitions = definition.partitions
    identifiers = definition.monitoring_output_settings.unique_row_identifier_columns
    if partitions is not None:
        cut = partitions.column or (identifiers[0] if identifiers else None)
        if partitions.by != "key":
            reason = f"must be key where `ranking` is given, with `column: {ranking.query_column}`"
            yield ("partitions", "by"), f"{reason}, so that the rows of a query are in one part"
        elif cut != ranking.query_column:
            yield ("partitions", "column"), f"must be {ranking.query_column}, as `ranking.query_column`: see `by`"


_RANKED = re.compile(rf"mrr|(?:{'|'.join(OF_RANKINGS)})_at_[0-9]+")
