"""What a profile of some rows is to hold: columns, kinds, roles and how predictions meet actuals.

A plan is a value: it is frozen with the baseline, pinned on every job by its digest, and says everything an engine
needs to know, so that the same plan gives the same profile on every engine.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Hashable
from enum import StrEnum
from typing import Any

from airflow_monitoring_provider.definitions.metric_terms import OF_RANKINGS
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.profiles.embeddings import EmbeddingPlan


class ColumnRole(StrEnum):
    """What a column is to the model."""

    FEATURE = "feature"
    PREDICTION = "prediction"
    ACTUAL = "actual"


@dataclasses.dataclass(frozen=True, slots=True)
class ColumnPlan:
    """One column to profile.

    :param mirrored: the values are probabilities: the histogram is kept of ``x`` below 0.5 and of ``1 - x`` above, so
        that both ends of [0, 1] have full relative precision.
    :param edges: values that matter by themselves (a decision threshold); counts below each are kept exactly.
    :param named_levels: levels that keep their names past the level cap (the baseline's top ones).
    """

    name: str
    kind: ColumnKind
    role: ColumnRole = ColumnRole.FEATURE
    mirrored: bool = False
    edges: tuple[float, ...] = ()
    named_levels: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class TargetPlan:
    """How predictions are read from the rows and meet the actuals.

    ``prediction_columns`` pairs a class name with the column of its probability; a regression has one pair whose class
    name is empty. A binary target may name one column only: the probability of ``positive_class``. ``classes`` are all
    class names in a fixed order (binary: negative, positive; the negative one of a single-column target is ``""``
    unless the definition names it: ``engines.targets.class_indices`` says which actuals belong to it).
    ``interval_columns`` hold the lower and upper end of the interval that comes with each predicted number.
    """

    target_type: TargetType
    prediction_columns: tuple[tuple[str, str], ...]
    actual_column: str | None = None
    classes: tuple[str, ...] = ()
    positive_class: str | None = None
    threshold: float = 0.5
    interval_columns: tuple[str, str] | None = None

    @property
    def read_columns(self) -> tuple[str, ...]:
        """What has to be read beside the actuals."""
        return (*(column for _, column in self.prediction_columns), *(self.interval_columns or ()))


@dataclasses.dataclass(frozen=True, slots=True)
class RankingPlan:
    """Rows with equal values of ``query_column`` are ranked together.

    :param k: increasing: how many of the first rows count.
    :param relevant_from: the least relevance that is relevant; None: every one above 0.
    """

    query_column: str
    k: tuple[int, ...]
    relevant_from: float | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics, in the order of results."""
        return (*(f"{name}_at_{k}" for name in OF_RANKINGS for k in self.k), "mrr")


@dataclasses.dataclass(frozen=True, slots=True)
class SeriesPlan:
    """Each actual is compared with that ``lag`` rows before it, in the order of the plan's timestamp column.

    :param series_column: rows with equal values of it are one series; None: all rows are.
    """

    actual_column: str
    lag: int = 1
    series_column: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read beside the time."""
        return (self.actual_column, *(() if self.series_column is None else (self.series_column,)))


@dataclasses.dataclass(frozen=True, slots=True)
class ConditionPlan:
    """A comparison that a row fulfils or not; see :class:`~airflow_monitoring_provider.definitions.segments.Condition`.

    :param values: what the column is compared with; numbers as numbers, else canonical texts.
    """

    column: str
    op: str
    values: tuple[str | float, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class SegmentPlan:
    """One way to group rows, frozen: of each way a row is in one segment at most.

    By level: ``levels``, then ``__other__`` and ``__missing__``. By range: ``edges`` part the numbers into ``[a, b)``,
    from minus to plus infinity, then ``__missing__``, where there is no number. By condition: the rows that fulfil all.

    :param limit, bins: how levels and edges were chosen from the baseline's rows; 0 where they were not.
    :param levels: canonical texts, most frequent first; their pseudonyms where names are hashed.
    """

    name: str
    column: str = ""
    limit: int = 0
    bins: int = 0
    levels: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    where: tuple[ConditionPlan, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """What has to be read."""
        return tuple(dict.fromkeys(c.column for c in self.where)) if self.where else (self.column,)

    @property
    def by_level(self) -> bool:
        """Rows are grouped by levels."""
        return self.limit > 0

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of its segments, in the order of their codes."""
        if self.where:
            return (self.name,)
        if self.by_level:
            return tuple(f"{self.name}={part}" for part in (*map(_escaped, self.levels), OTHER, MISSING))
        bounds = ["-inf", *(f"{edge:g}" if float(f"{edge:g}") == edge else repr(edge) for edge in self.edges)]
        ranges = [f"[{a},{b})" for a, b in zip(bounds, [*bounds[1:], "inf"], strict=True)]
        return tuple(f"{self.name}={part}" for part in (*ranges, MISSING))

    def meanings(self) -> dict[str, Hashable]:
        """Segment id -> what decides which rows are in it: equal in two plans exactly where these are the same rows."""
        if self.where:
            return {self.name: frozenset(self.where)}
        way = ("level" if self.by_level else "range", self.column)
        rest = f"{self.name}={OTHER}"
        return {name: (*way, frozenset(self.levels)) if self.by_level and name == rest else way for name in self.ids}


OTHER, MISSING = "__other__", "__missing__"


def _escaped(level: str) -> str:
    """A level as a part of an id: readable, and never the same as another's."""
    text = "".join(
        c if c.isprintable() and c not in "%=" else "".join(f"%{byte:02X}" for byte in c.encode()) for c in level
    )
    return f"%5F{text[1:]}" if text.startswith("__") else text


@dataclasses.dataclass(frozen=True, slots=True)
class ProfilePlan:
    """Everything a profile of some rows is to hold.

    :param timestamp_column: when a row happened; its earliest and latest instants are kept.
    :param level_names: what is kept of level names: ``keep``, ``hash`` or ``drop``.
    :param histogram_buckets: most buckets of a histogram.
    :param level_cap: most levels with a name of their own, then most hashed buckets.
    :param timestamp_timezone: IANA zone of timestamps that carry none.
    :param actual_time_column: when a row's actual became known; how long that took is kept.
    :param segments: groups of rows that have profiles of their own, of the same columns.
    :param whole_rows: repetitions of whole rows are counted, and rows without any value.
    :param ranking: how the rows of a query are ranked; in a segment, those of its rows that are in it.
    :param series: how far actuals lie from those before them; of all rows only.
    :param embeddings: vectors of which the mean is kept, by name; in a segment, those of its rows.
    """

    columns: tuple[ColumnPlan, ...]
    target: TargetPlan | None = None
    timestamp_column: str | None = None
    level_names: str = "keep"
    histogram_buckets: int = 2048
    level_cap: int = 10_000
    timestamp_timezone: str = "UTC"
    segments: tuple[SegmentPlan, ...] = ()
    actual_time_column: str | None = None
    whole_rows: bool = False
    ranking: RankingPlan | None = None
    series: SeriesPlan | None = None
    embeddings: tuple[EmbeddingPlan, ...] = ()

    def of_segment(self) -> ProfilePlan:
        """The plan of the profile that a segment of the rows has."""
        return dataclasses.replace(self, segments=(), whole_rows=False, series=None)

    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON, as hex."""
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """The plan as JSON-ready data; :meth:`from_dict` reads it back. Without segments, a time of actuals,
        whole rows, ranking, series, embeddings or intervals it is what it was before there were any.
        """
        data: dict[str, object] = json.loads(json.dumps(dataclasses.asdict(self)))
        for name in ("segments", "embeddings"):
            if not data[name]:
                del data[name]
        if self.actual_time_column is None:
            del data["actual_time_column"]
        if not self.whole_rows:
            del data["whole_rows"]
        for name in ("ranking", "series"):
            if data[name] is None:
                del data[name]
        target: Any = data["target"]
        if target is not None and target["interval_columns"] is None:
            del target["interval_columns"]
        return data

    @classmethod
    def from_dict(cls, data: dict[str, object]) -> ProfilePlan:
        """Read what :meth:`to_dict` wrote."""
        raw = dict(data)
        columns = tuple(
            ColumnPlan(
                name=c["name"],
                kind=ColumnKind(c["kind"]),
                role=ColumnRole(c["role"]),
                mirrored=c["mirrored"],
                edges=tuple(c["edges"]),
                named_levels=tuple(c["named_levels"]),
            )
            for c in raw.pop("columns")  # type: ignore[attr-defined]
        )
        target = raw.pop("target")
        segments = tuple(_segment(data) for data in raw.pop("segments", ()))  # type: ignore[attr-defined]
        ranking: Any = raw.pop("ranking", None)
        series: Any = raw.pop("series", None)
        embeddings: Any = raw.pop("embeddings", ())
        return cls(
            segments=segments,
            columns=columns,
            embeddings=tuple(EmbeddingPlan(**{**each, "columns": tuple(each["columns"])}) for each in embeddings),
            series=None if series is None else SeriesPlan(**series),
            ranking=None if ranking is None else RankingPlan(**{**ranking, "k": tuple(ranking["k"])}),
            target=None
            if target is None
            else TargetPlan(
                target_type=TargetType(target["target_type"]),  # type: ignore[index]
                prediction_columns=tuple((a, b) for a, b in target["prediction_columns"]),  # type: ignore[index]
                actual_column=target["actual_column"],  # type: ignore[index]
                classes=tuple(target["classes"]),  # type: ignore[index]
                positive_class=target["positive_class"],  # type: ignore[index]
                threshold=target["threshold"],  # type: ignore[index]
                interval_columns=_pair(target.get("interval_columns")),  # type: ignore[attr-defined]
            ),
            **raw,  # type: ignore[arg-type]
        )


def _pair(columns: list[str] | None) -> tuple[str, str] | None:
    return None if columns is None else (columns[0], columns[1])


def _segment(data: dict[str, Any]) -> SegmentPlan:
    return SegmentPlan(
        name=data["name"],
        column=data["column"],
        limit=data["limit"],
        bins=data["bins"],
        levels=tuple(data["levels"]),
        edges=tuple(data["edges"]),
        where=tuple(ConditionPlan(c["column"], c["op"], tuple(c["values"])) for c in data["where"]),
    )


@dataclasses.dataclass(frozen=True, slots=True)
class SchemaChanges:
    """How the columns found differ from the frozen ones; every tuple is sorted by column name, and nothing is false.

    :param missing: frozen columns that the rows do not have.
    :param new: columns without a role that the frozen list does not have.
    :param retyped: (column, frozen kind, type or kind found).
    """

    missing: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    retyped: tuple[tuple[str, str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.new or self.retyped)


def merge_plans(a: ProfilePlan, b: ProfilePlan) -> ProfilePlan:
    """One plan with the columns of both, sorted by name; the plans of merged profiles must agree in all else,
    but whole rows, ranking, series, embeddings and intervals are known only where both profiles know them (and alike,
    as far as the rows had the columns of an embedding).

    Of a shared column those edges and named levels are kept that both have: what was counted on one side only is not
    known of all rows.

    :raises ValueError: a shared column or the rest of the plans differ.
    """
    if a == b:
        return a
    columns = {column.name: column for column in a.columns}
    for column in b.columns:
        columns[column.name] = _common(columns.get(column.name, column), column)
    merged = tuple(columns[name] for name in sorted(columns))
    vectors = {each.name: each for each in b.embeddings}
    embeddings = (each.common(vectors.get(each.name)) for each in a.embeddings)
    shared: dict[str, Any] = {
        "columns": merged,
        "target": a.target
        if b.target is None
        else b.target
        if a.target is None
        else _common_target(a.target, b.target),
        "whole_rows": a.whole_rows and b.whole_rows,
        "ranking": a.ranking if a.ranking == b.ranking else None,
        "series": a.series if a.series == b.series else None,
        "embeddings": tuple(each for each in embeddings if each is not None),
    }
    if dataclasses.replace(a, **shared) != dataclasses.replace(b, **shared):
        raise ValueError("the plans of both profiles differ")
    return dataclasses.replace(a, **shared)


def _common_target(a: TargetPlan, b: TargetPlan) -> TargetPlan:
    if a == b:
        return a
    plain = dataclasses.replace(a, interval_columns=None)
    if plain != dataclasses.replace(b, interval_columns=None):
        raise ValueError("the targets of both profiles differ")
    return plain


def _common(a: ColumnPlan, b: ColumnPlan) -> ColumnPlan:
    if a == b:
        return a
    shared = dataclasses.replace(
        a,
        edges=tuple(sorted(set(a.edges) & set(b.edges))),
        named_levels=tuple(sorted(set(a.named_levels) & set(b.named_levels))),
    )
    if dataclasses.replace(b, edges=shared.edges, named_levels=shared.named_levels) != shared:
        raise ValueError(f"the plans of both profiles differ in column {a.name!r}")
    return shared
