"""What is measured for each column, and in which cells: by default, by another tool's, and as a definition says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from airflow_monitoring_provider.definitions.drift import ColumnDrift, Drift, Missing, Scheme, ZeroCells
from airflow_monitoring_provider.definitions.metric_terms import DRIFT_METRICS
from airflow_monitoring_provider.definitions.parity import PARITY, ParityMode
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.binning import BinningRule, rows_by_level, values_of
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.plan import ColumnRole
from airflow_monitoring_provider.profiles.profile import ColumnProfile

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition

NUMERIC_DEFAULT = ("psi", "wasserstein_norm", "ks", "js_distance", "hellinger", "tvd")
DISCRETE_DEFAULT = ("psi", "js_distance", "hellinger", "tvd", "chi_square")

ON_NUMBERS = frozenset(
    {
        *("ks", "wasserstein", "wasserstein_norm", "energy", "mannwhitney", "cvm", "anderson_k", "epps_singleton"),
        *("t_test", "mmd2"),
    }
)
"""Metrics that compare the values themselves; every other one compares counts in cells."""

_EVIDENTLY_SMALL = 1000
_EVIDENTLY_FEW, _EVIDENTLY_TWO = 5, 2


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """What is measured for one column.

    :param metrics: ids, the primary first.
    :param rule: how numbers are cut into cells.
    :param zero_cells: what PSI and KL do with an empty cell.
    :param log_base: ``e`` or ``2`` of the Jensen-Shannon metrics; None: 2 for the distance, e for the divergence.
    :param gof: chi-square is the one-sample test.
    :param asked: metrics that the definition names, whose critical values may take draws.
    """

    metrics: tuple[str, ...] = NUMERIC_DEFAULT
    rule: BinningRule = dataclasses.field(default_factory=BinningRule)
    zero_cells: ZeroCells = ZeroCells.ADD_ONE
    log_base: str | None = None
    gof: bool = False
    asked: frozenset[str] = frozenset()

    @property
    def primary(self) -> str | None:
        """The metric that decides; None where the column has none."""
        return self.metrics[0] if self.metrics else None

    def base_of(self, default: float) -> float:
        """The base of a Jensen-Shannon metric."""
        return {None: default, "e": math.e, "2": 2.0}[self.log_base]


@dataclasses.dataclass(frozen=True)
class DriftChoices:
    """What a definition says of drift; ``columns`` where it says otherwise for one.

    ``limited`` are metrics that ``thresholds`` name, which are measured whatever else is, and the columns they are
    named for (None: all that have no metrics of their own).
    """

    all_columns: ColumnDrift = dataclasses.field(default_factory=Drift)
    columns: Mapping[str, ColumnDrift] = dataclasses.field(default_factory=dict)
    parity: ParityMode | None = None
    limited: Mapping[str, frozenset[str] | None] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_definition(cls, definition: JobDefinition) -> DriftChoices:
        """The choices that a definition's ``drift`` makes."""
        drift = definition.drift
        limited = {
            name: None if said.warning is not None or said.critical is not None else frozenset(said.columns)
            for name, said in definition.thresholds.items()
            if name in DRIFT_METRICS
        }
        return cls(drift, drift.columns, PARITY[drift.parity] if drift.parity is not None else None, limited)

    def of(self, reference: ColumnProfile, current: ColumnProfile | None = None) -> Choice:
        """What is measured for a column, decided on the baseline (in Evidently's way, on both sides)."""
        own = self.columns.get(reference.name)
        parts = [self.all_columns] if own is None else [own, self.all_columns]
        chosen = own is not None and own.metrics is not None
        limited = [n for n, of in self.limited.items() if (not chosen if of is None else reference.name in of)]
        metrics = _metrics(reference, current, parts, self.parity, limited)
        mode = self.parity
        binning = _said(parts, "binning") or (mode.binning if mode is not None else None)
        missing = _said(parts, "missing") or (mode.missing if mode is not None else Missing.BIN)
        if reference.role is ColumnRole.ACTUAL:
            missing = Missing.DROP  # a missing actual is a late one, not a value of its own
        rule = BinningRule(
            scheme=binning,
            bins=_said(parts, "bins") or 10,
            edges=_said(parts, "edges") or () if binning is Scheme.CUSTOM else (),
            missing=missing,
            combined=binning is Scheme.STURGES_COMBINED,
        )
        zero_cells = _said(parts, "zero_cells") or (mode.zero_cells if mode is not None else ZeroCells.ADD_ONE)
        log_base = _said(parts, "log_base") or (mode.log_base if mode is not None else None)
        said = (*(_said(parts, "metrics") or ()), *(part.primary for part in parts if part.primary), *limited)
        return Choice(metrics, rule, zero_cells, log_base, mode is not None and mode.gof, frozenset(said))


def by_size(reference: ColumnProfile, current: ColumnProfile | None) -> str:
    """The metric that Evidently takes for a column: by the baseline's rows and the distinct values of both sides."""
    numeric = isinstance(values_of(reference), Histogram)
    distinct = _distinct_together(reference, current)
    if reference.count > _EVIDENTLY_SMALL:
        return "wasserstein_norm" if numeric and distinct > _EVIDENTLY_FEW else "js_distance"
    if numeric and distinct > _EVIDENTLY_FEW:
        return "ks"
    return "chi_square" if distinct > _EVIDENTLY_TWO else "z_test"


def _metrics(
    reference: ColumnProfile,
    current: ColumnProfile | None,
    parts: list[ColumnDrift],
    mode: ParityMode | None,
    limited: Iterable[str],
) -> tuple[str, ...]:
    numeric = isinstance(values_of(reference), Histogram)
    if reference.kind is ColumnKind.TIMESTAMP:
        return ()
    named = _said(parts, "metrics")
    if named is None and mode is not None:
        named = mode.numeric if numeric else mode.discrete
        named = named or (by_size(reference, current),)
    named = named or (NUMERIC_DEFAULT if numeric else DISCRETE_DEFAULT)
    has = tuple(name for name in named if numeric or name not in ON_NUMBERS)
    primary = next((part.primary for part in parts if part.primary is not None), None)
    deciding = () if primary is None or (not numeric and primary in ON_NUMBERS) else (primary,)
    has = tuple(dict.fromkeys((*deciding, *has)))
    more = (name for name in limited if numeric or name not in ON_NUMBERS)
    return tuple(dict.fromkeys((*has, *more))) if has else ()  # a limit alone makes no metric decide


def _said(parts: list[ColumnDrift], field: str) -> Any:
    """What is said of the column, else of all."""
    return next((value for part in parts if (value := getattr(part, field)) is not None), None)


def _distinct_together(reference: ColumnProfile, current: ColumnProfile | None) -> int:
    sides = [values_of(side) for side in (reference, current) if side is not None]
    levels = [set(rows_by_level(side)) for side in sides if isinstance(side, LevelCounts)]
    if levels:
        return len(set().union(*levels))
    numbers = [side.lower_edges() for side in sides if isinstance(side, Histogram)]
    return int(np.unique(np.concatenate(numbers)).size) if numbers else 0
