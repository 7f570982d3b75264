"""How the drift of many columns becomes one verdict on the model."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from airflow_monitoring_provider.definitions.part import (
    Column,
    Columns,
    FrozenDict,
    Number,
    Part,
    PartPath,
    Whole,
    breaches,
)


class ModelRule(StrEnum):
    """How features count.

    - ``importance_weighted``: the mean of the features' drift, weighted by importance; a feature that has not drifted
      significantly counts as 0.
    - ``importance_counts``: how many features drift, those of high and of low importance apart (DataRobot's rule).
    - ``drift_mean``: the mean of the features' drift, all alike (MLRun's rule); likewise 0 without significance.
    - ``drift_share``: the share of features that drift (Evidently's rule).
    """

    IMPORTANCE_WEIGHTED = "importance_weighted"
    IMPORTANCE_COUNTS = "importance_counts"
    DRIFT_MEAN = "drift_mean"
    DRIFT_SHARE = "drift_share"


_COUNTS = (
    "low_importance_warning_count",
    "low_importance_failing_count",
    "high_importance_warning_count",
    "high_importance_failing_count",
)
_IMPORTANCE = ("importance_threshold", "starred_features", *_COUNTS)
_Count = Annotated[Whole, Field(ge=0)]


class ModelScore(Part):
    """One verdict for all features; with it no feature alone turns the batch's status, and each still has its own.

    A count of 0 switches its rule off. Predictions and actuals go on deciding by themselves.
    """

    rule: ModelRule
    importances: Annotated[dict[Column, Annotated[Number, Field(ge=0)]], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), description="Feature -> importance on any scale; a feature left out has none."
    )
    excluded_features: Columns = Field(default=(), description="Never count.")
    importance_threshold: Number = Field(
        default=0.5,
        ge=0,
        le=1,
        description="From this share of the largest importance on a feature is of high importance.",
    )
    starred_features: Columns = Field(default=(), description="Of high importance whatever their importance.")
    low_importance_warning_count: _Count = 1
    low_importance_failing_count: _Count = 0
    high_importance_warning_count: _Count = 0
    high_importance_failing_count: _Count = 1
    warning: Number | None = Field(default=None, ge=0, description="Score or share from which on it is a warning.")
    critical: Number | None = Field(default=None, ge=0, description="Score or share from which on it is critical.")

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems = [*self._about_importance(), *self._about_limits()]
        both = sorted(set(self.starred_features) & set(self.excluded_features))
        if both:
            problems.append((("starred_features",), f"names {both[0]!r}, which `excluded_features` names too"))
        if problems:
            raise breaches(*problems)
        return self

    def _about_importance(self) -> list[tuple[PartPath, str]]:
        given = self.model_fields_set
        if self.rule is ModelRule.IMPORTANCE_COUNTS:
            if not any(getattr(self, name) for name in _COUNTS):
                return [((_COUNTS[-1],), "must be over 0, or another count: with none of them nothing is ever found")]
            return []
        problems: list[tuple[PartPath, str]] = [
            ((name,), f"is for importance_counts, not for {self.rule.value}") for name in _IMPORTANCE if name in given
        ]
        counting = [value for name, value in self.importances.items() if name not in self.excluded_features]
        if self.rule is ModelRule.IMPORTANCE_WEIGHTED and not any(counting):
            problems.append((("importances",), "must give a feature that counts an importance over 0"))
        return problems

    def _about_limits(self) -> list[tuple[PartPath, str]]:
        limits = {name: getattr(self, name) for name in ("warning", "critical") if getattr(self, name) is not None}
        if self.rule is ModelRule.IMPORTANCE_COUNTS:
            return [((name,), "is not for importance_counts: its counts are the limits") for name in limits]
        problems: list[tuple[PartPath, str]] = []
        if self.rule is ModelRule.DRIFT_SHARE:
            problems = [((n,), "can never be reached: a share runs from 0 to 1") for n, v in limits.items() if v > 1]
        if len(limits) == 2 and limits["warning"] > limits["critical"]:
            problems.append((("warning",), "must be at or under `critical`: higher values are worse"))
        return problems
