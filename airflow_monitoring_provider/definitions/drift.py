"""How drift is measured: which metrics, which one decides, and the cells that values are counted in.

Everything has a default, by kind of column; ``parity`` takes the defaults of another tool instead. What is said of a
column counts before what is said of all, and both before a tool's defaults.
"""

from __future__ import annotations

import itertools
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.metric_terms import DRIFT_METRICS
from airflow_monitoring_provider.definitions.part import (
    Column,
    FrozenDict,
    Number,
    Part,
    PartPath,
    Whole,
    breaches,
    did_you_mean,
    only_list,
    shortened,
)
from airflow_monitoring_provider.definitions.wording import type_found

DEFAULT_LIMITS = frozenset({"psi", "js_distance", "wasserstein_norm"})
"""Distances that are judged without a threshold of the definition; tests are judged by their p-value."""


class Scheme(StrEnum):
    """How cells of a numeric column are cut; levels are always a cell each.

    - ``quantile``: B cells of equal baseline mass with open ends (``numpy.quantile``, linear; an edge belongs to the
      cell above it). A value that holds at least 1/B of the baseline is a cell of its own, and the quantiles are cut
      from the rest: cutting them from everything would leave one cell for a column that is 95 % zero, and a PSI of 0
      when the zeros fall to 85 %.
    - ``uniform``: B cells of equal width from the baseline's least value to its greatest (moved up by
      ``|max| 1e-10 + 1e-23``), one below and one above (DataRobot's stats-aggregator, B = 10).
    - ``hist20``: ``numpy.histogram(R, 20)``, one cell below and one above (MLRun).
    - ``median``: eight cells of a third of the baseline's standard deviation around its median, open cells beyond them
      where the baseline has values there (Arize).
    - ``sturges_combined``: ``numpy.histogram_bin_edges`` with ``sturges`` over baseline and current rows together where
      the baseline has more than 20 distinct values, else one cell per value of either side (Evidently). The current
      rows move its edges, so its values cannot be compared over time.
    - ``doane``: ``numpy.histogram_bin_edges(R, "doane")`` and one cell for all that lies outside (NannyML).
    - ``discrete``: one cell per baseline value; what the baseline does not have is one cell, ``__unseen__``.
    - ``custom``: between given edges, with open ends.
    """

    QUANTILE = "quantile"
    UNIFORM = "uniform"
    HIST20 = "hist20"
    MEDIAN = "median"
    STURGES_COMBINED = "sturges_combined"
    DOANE = "doane"
    DISCRETE = "discrete"
    CUSTOM = "custom"


class ZeroCells(StrEnum):
    """What PSI and the KL divergences do with a cell that is empty on one side.

    - ``add_one``: a cell empty on both sides is left out; in a cell empty on one side both counts and both totals grow
      by one, ``p = (r + 1) / (n + 1)``, and nothing is renormalised (the rule of DataRobot's stats-aggregator).
    - ``floor``: on each side by itself a zero share becomes 1e-4, or a millionth of the smallest share above zero where
      that is not above 1e-4 (the rule of Evidently).
    - ``scale``: a zero share becomes 1e-4 where it is divided by, and its own term is left out (the rule of MLRun).
    - ``jeffreys``: ``(count + 0.5) / (total + 0.5 B)`` in every cell.
    """

    ADD_ONE = "add_one"
    FLOOR = "floor"
    SCALE = "scale"
    JEFFREYS = "jeffreys"


class Missing(StrEnum):
    """What becomes of missing values: a cell, left out, or a cell only where their share grew."""

    BIN = "bin"
    DROP = "drop"
    IF_INCREASED = "if_increased"


class Parity(StrEnum):
    """Tools whose defaults can be taken over, as ``metrics.parity`` lists them."""

    DATAROBOT = "datarobot"
    ARIZE = "arize"
    EVIDENTLY = "evidently"
    MLRUN = "mlrun"
    NANNYML = "nannyml"


def _metric(value: Any) -> Any:
    if isinstance(value, str) and value in DRIFT_METRICS:
        return value
    found = f"{shortened(value)}{did_you_mean(value, DRIFT_METRICS)}" if isinstance(value, str) else type_found(value)
    raise breaches(((), f"must be one of {', '.join(sorted(DRIFT_METRICS))}, not {found}"))


def _some(values: tuple[str, ...]) -> tuple[str, ...]:
    repeated = [((i,), "is listed twice") for i, value in enumerate(values) if value in values[:i]]
    if repeated:
        raise breaches(*repeated)
    return values


def _edges(values: tuple[float, ...]) -> tuple[float, ...]:
    for place, (a, b) in enumerate(itertools.pairwise(values), 1):
        if a >= b:
            raise breaches(((place,), "must be more than the edge before it"))
    return values


def _base(value: Any) -> Any:
    return str(value) if type(value) is int else value


DriftMetricId = Annotated[
    str, BeforeValidator(_metric), WithJsonSchema({"type": "string", "enum": sorted(DRIFT_METRICS)})
]
DriftMetricIds = Annotated[tuple[DriftMetricId, ...], only_list, Field(min_length=1), AfterValidator(_some)]
Edges = Annotated[tuple[Number, ...], only_list, Field(min_length=1, max_length=200), AfterValidator(_edges)]
LogBase = Annotated[Literal["e", "2"], BeforeValidator(_base), WithJsonSchema({"enum": ["e", "2", 2]})]


class ColumnDrift(Part):
    """How the drift of a column is measured; what is absent is as for all columns, or by default."""

    metrics: DriftMetricIds | None = Field(
        default=None, description="Metric ids, those that a column's kind does not have are left out for it."
    )
    primary: DriftMetricId | None = Field(
        default=None, description="The metric that decides; the first of `metrics` that the column has when absent."
    )
    binning: Scheme | None = Field(
        default=None, description="How numbers are cut into cells; quantile, or discrete up to ten values, when absent."
    )
    bins: Whole | None = Field(default=None, ge=2, le=1000, description="Cells of quantile and uniform; 10.")
    edges: Edges | None = Field(default=None, description="Increasing inner edges of custom; counted exactly.")
    zero_cells: ZeroCells | None = Field(default=None, description="What PSI and KL do with an empty cell; add_one.")
    missing: Missing | None = Field(default=None, description="Missing values: bin, drop or if_increased; bin.")
    log_base: LogBase | None = Field(
        default=None, description="Base of the Jensen-Shannon metrics; 2 for js_distance, e for js_divergence."
    )

    @model_validator(mode="after")
    def _cells(self) -> Self:
        problems: list[tuple[PartPath, str]] = []
        if self.binning is Scheme.CUSTOM and self.edges is None:
            problems.append((("edges",), "is required where `binning` is custom: a list of increasing numbers"))
        if self.edges is not None and self.binning is not Scheme.CUSTOM:
            problems.append((("edges",), "has a meaning only where `binning` is custom: set it, or leave `edges` out"))
        if self.bins is not None and self.binning not in (None, Scheme.QUANTILE, Scheme.UNIFORM):
            problems.append((("bins",), "has a meaning only where `binning` is quantile or uniform"))
        if self.primary is not None and self.metrics is not None and self.primary not in self.metrics:
            problems.append((("primary",), "must be one of `metrics`"))
        if problems:
            raise breaches(*problems)
        return self


class Drift(ColumnDrift):
    """How drift is measured, and differently for some columns."""

    parity: Parity | None = Field(
        default=None, description="Take metrics, cells, limits and significance from the defaults of another tool."
    )
    columns: Annotated[dict[Column, ColumnDrift], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), description="Otherwise for the columns named."
    )

    def deciding(self) -> list[tuple[PartPath, str]]:
        """Every metric that is named to decide, with its path."""
        parts: list[tuple[PartPath, ColumnDrift]] = [((), self)]
        parts += [(("columns", name), part) for name, part in self.columns.items()]
        found: list[tuple[PartPath, str]] = []
        for path, part in parts:
            if part.primary is not None:
                found.append(((*path, "primary"), part.primary))
            elif part.metrics is not None:
                found.append(((*path, "metrics", 0), part.metrics[0]))
        return found
