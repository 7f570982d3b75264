"""Groups of rows that get results of their own: by the levels of a column, by bins of numbers, or by conditions."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.part import (
    Column,
    Name,
    Number,
    Part,
    PartPath,
    Whole,
    breaches,
    only_list,
)
from airflow_monitoring_provider.definitions.wording import type_found

MOST_SEGMENTS = 1000
"""Of one entry."""
MOST_ENTRIES = 100
MOST_CONDITIONS = 100

_ORDERED = ("lt", "le", "gt", "ge")
_LISTED = ("in", "not_in")
_BARE = ("is_null", "not_null")
_CAMEL = {"notIn": "not_in", "isNull": "is_null", "notNull": "not_null"}
Operand = Annotated[
    Any, WithJsonSchema({"anyOf": [{"type": kind} for kind in ("string", "number", "boolean", "array")]})
]


class Condition(Part):
    """One comparison of a column with a value.

    ``lt le gt ge`` compare numbers; a row without a number does not fulfil them. ``eq ne in not_in`` compare numbers as
    numbers (doubles; a text is the number it spells, or none), texts and booleans as the canonical text of the level. A
    missing value fulfils none of them, as in SQL, and what is no number differs from each.
    """

    column: Column
    op: Annotated[
        Literal["eq", "ne", "lt", "le", "gt", "ge", "in", "not_in", "is_null", "not_null"],
        BeforeValidator(lambda value: _CAMEL.get(value, value) if isinstance(value, str) else value),
        WithJsonSchema({"enum": ["eq", "ne", *_ORDERED, "in", "not_in", "notIn", *_BARE, "isNull", "notNull"]}),
    ]
    value: Operand = Field(default=None, description="Text, number or boolean; a list of them for `in` and `not_in`.")

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.op in _BARE:
            if self.value is not None:
                raise breaches((("value",), f"must be absent: `{self.op}` compares with nothing"))
            return self
        values = self.value if self.op in _LISTED else [self.value]
        if self.op in _LISTED and (not isinstance(values, list | tuple) or not values):
            raise breaches((("value",), f"must be a list of at least one value for `{self.op}`, such as [1, 2]"))
        kinds = (int, float) if self.op in _ORDERED else (str, int, float)
        for value in values:
            wrong = not isinstance(value, kinds) or (self.op in _ORDERED and isinstance(value, bool))
            if wrong or value != value or value in (float("inf"), float("-inf")):
                wanted = "a finite number" if self.op in _ORDERED else "a text, a finite number or a boolean"
                raise breaches((("value",), f"must be {wanted} for `{self.op}`, not {_found(value)}"))
        return self


def _found(value: Any) -> str:
    """What a value is that a condition cannot compare with, and what to do."""
    if isinstance(value, float):
        return "one without end or value"
    return f"{type_found(value)}; write it without quotes" if isinstance(value, str) else type_found(value)


class Segment(Part):
    """One way to group rows; a bare column name means ``{column: name}``.

    Give ``column`` alone for its levels, ``column`` with ``edges`` or ``bins`` for ranges of numbers, or ``name`` with
    ``where`` for the rows that fulfil every condition.
    """

    name: Name = Field(default="", description="Names the group in results; the column where there is one.")
    column: Column | None = None
    limit: Whole = Field(
        default=100, ge=1, le=MOST_SEGMENTS, description="Levels of the baseline that are kept apart, by frequency."
    )
    edges: Annotated[tuple[Number, ...], only_list] = Field(
        default=(), max_length=MOST_SEGMENTS, description="Where one range ends, increasing."
    )
    bins: Whole | None = Field(default=None, ge=2, le=MOST_SEGMENTS, description="Ranges of equal frequency instead.")
    where: Annotated[tuple[Condition, ...], only_list] = Field(
        default=(), max_length=MOST_CONDITIONS, description="All of them must hold."
    )

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems: list[tuple[PartPath, str]] = [
            ((name,), "must not be empty: leave it out, or say what it is to hold")
            for name in ("edges", "where")
            if name in self.model_fields_set and not getattr(self, name)
        ]
        if "limit" in self.model_fields_set and not self.by_level:
            problems.append((("limit",), "is for levels: leave it out with `edges`, `bins` or `where`"))
        if self.where:
            if self.column is not None:
                problems.append((("column",), "must not be given together with `where`: conditions name their columns"))
            if not self.name:
                problems.append((("name",), "is required with `where`: results need a name for these rows"))
        elif self.column is None and "where" not in self.model_fields_set:
            problems.append((("column",), "is required without `where`"))
        if self.edges and self.bins is not None:
            problems.append((("bins",), "must not be given together with `edges`: keep one of them"))
        if self.where and (self.edges or self.bins is not None):
            problems.append((("where",), "must not be given together with `edges` or `bins`"))
        if any(a >= b for a, b in zip(self.edges, self.edges[1:], strict=False)):
            problems.append((("edges",), "must increase"))
        if "=" in self.name:
            problems.append((("name",), "must not hold =, which parts a segment's name from its level"))
        if problems:
            raise breaches(*problems)
        if not self.name:
            object.__setattr__(self, "name", (self.column or "").replace("%", "%25").replace("=", "%3D"))
        return self

    @property
    def by_level(self) -> bool:
        """Its segments are the levels of a column."""
        return not self.where and not self.edges and self.bins is None


def _from_name(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _named_once(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    first: dict[str, int] = {}
    problems: list[tuple[PartPath, str]] = [
        ((index, "name"), f"is the name of item {first[segment.name]}: give one of them another")
        for index, segment in enumerate(segments)
        if first.setdefault(segment.name, index) != index
    ]
    if problems:
        raise breaches(*problems)
    return segments


Segments = Annotated[
    tuple[Annotated[Segment, BeforeValidator(_from_name, json_schema_input_type=Column | Segment)], ...],
    Field(max_length=MOST_ENTRIES),
    only_list,
    AfterValidator(_named_once),
]
