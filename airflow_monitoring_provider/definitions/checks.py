"""What the values of a column must be, whatever the baseline holds: their kind, bounds, a closed list.

Each check is a metric of the column: ``out_of_bounds_share``, ``not_allowed_share``, and for ``kind`` (and bounds of
what is no number) the count of ``retyped_columns``; a checked column that is not there counts in ``missing_columns``. A
broken check is critical from the first row on, unless the check or ``thresholds`` says otherwise. What needs no more
than a limit (missing values, repeated keys, rows, freshness) is no check: ``thresholds`` names its metric.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.part import (
    Column,
    FrozenDict,
    Number,
    PartPath,
    breaches,
    only_list,
)
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.definitions.verdict import Limits
from airflow_monitoring_provider.definitions.wording import type_found

OUT_OF_BOUNDS, NOT_ALLOWED = "out_of_bounds_share", "not_allowed_share"
MOST_VALUES = 1000

AllowedValue = Annotated[Any, WithJsonSchema({"type": ["string", "number", "boolean"]})]
_LISTED = (None, ColumnKind.CATEGORICAL, ColumnKind.BOOLEAN, ColumnKind.NUMERIC)


def _found(value: Any) -> str:
    return "one without end or value" if isinstance(value, float) else type_found(value)


def _values(values: tuple[Any, ...]) -> tuple[Any, ...]:
    problems: list[tuple[PartPath, str]] = []
    first: dict[tuple[type, Any], int] = {}
    for index, value in enumerate(values):
        if not isinstance(value, str | int | float) or (isinstance(value, float) and not math.isfinite(value)):
            problems.append(((index,), f"must be a text, a finite number or a boolean, not {_found(value)}"))
            continue
        key = (type(value) if isinstance(value, str | bool) else float, value)
        if first.setdefault(key, index) != index:
            problems.append(((index,), f"repeats item {first[key]}"))
    if problems:
        raise breaches(*problems)
    return values


class ColumnCheck(Limits):
    """What one column must hold; ``warning`` and ``critical`` are shares of its values that may break a check.

    A limit of 0, and the default of both checks, means any value at all.
    """

    kind: ColumnKind | None = Field(
        default=None, description="The column must arrive as this kind: numeric, categorical, boolean, timestamp, text."
    )
    minimum: Number | None = Field(default=None, description="No number may be less.")
    maximum: Number | None = Field(default=None, description="No number may be more.")
    allowed_values: Annotated[tuple[AllowedValue, ...], only_list, AfterValidator(_values)] | None = Field(
        default=None,
        min_length=1,
        max_length=MOST_VALUES,
        description="Texts, numbers or booleans; no other may occur.",
    )

    @property
    def bounded(self) -> bool:
        """There are bounds."""
        return self.minimum is not None or self.maximum is not None

    @property
    def asked_kind(self) -> ColumnKind | None:
        """The kind that the column must be of: bounds ask for numbers."""
        return ColumnKind.NUMERIC if self.kind is None and self.bounded else self.kind

    @property
    def limited(self) -> bool:
        """It has limits of its own."""
        return self.warning is not None or self.critical is not None

    @property
    def levels(self) -> tuple[str, ...]:
        """The canonical texts of the allowed values, sorted; a number has one as a whole and one as a double."""
        found: set[str] = set()
        for value in self.allowed_values or ():
            if isinstance(value, bool):
                found.add("true" if value else "false")
            elif isinstance(value, str):
                found.add(value)
            else:
                found |= {str(float(value) + 0.0), *([str(int(value))] if value == int(value) else [])}
        return tuple(sorted(found))

    @property
    def numbers(self) -> tuple[float, ...]:
        """The allowed values of a numeric column, sorted: true is 1, and a text is the number it spells."""
        return tuple(sorted({n for n in map(_number, self.allowed_values or ()) if n is not None}))

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems: list[tuple[PartPath, str]] = []
        measured = self.bounded or self.allowed_values is not None
        limits = {name: getattr(self, name) for name in ("warning", "critical") if getattr(self, name) is not None}
        if self.kind is None and not measured:
            problems.append(((), "must give `kind`, `minimum`, `maximum` or `allowed_values`"))
        elif limits and not measured:
            problems.append(
                ((next(iter(limits)),), "is for bounds and allowed values; a wrong kind is always critical")
            )
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            problems.append((("maximum",), "must be at or over `minimum`"))
        if self.bounded and self.kind not in (None, ColumnKind.NUMERIC):
            problems.append((("kind",), "must be numeric where there are bounds"))
        if self.allowed_values is not None and self.kind not in _LISTED:
            problems.append((("kind",), "must be categorical, boolean or numeric where values are listed"))
        problems += [
            ((n,), "can never be reached: a share runs from 0 to 1") for n, v in limits.items() if not 0 <= v <= 1
        ]
        if len(limits) == 2 and limits["warning"] > limits["critical"]:
            problems.append((("warning",), "must be at or under `critical`: higher values are worse"))
        if problems:
            raise breaches(*problems)
        return self


def _number(value: Any) -> float | None:
    try:
        number = float(value) + 0.0
    except ValueError:
        return None
    return number if math.isfinite(number) else None


Checks = Annotated[dict[Column, ColumnCheck], AfterValidator(FrozenDict)]
