"""The registry of drift metrics: what each is computed from, and how.

A metric is one entry of :data:`DRIFT_METRICS` (and its id, range and direction in ``definitions.metric_terms``);
comparing loops over ids and knows none by name. A distance borrows the p-value of its column's test; a test brings its
own. The value of a test is its statistic, without its sign where it is two-sided (``details["statistic"]`` has it).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from scipy.special import chdtri, ndtri, stdtrit

from airflow_monitoring_provider.metrics import chance, contingency, distances, kernel, rank_tests
from airflow_monitoring_provider.metrics.cells import Cells
from airflow_monitoring_provider.metrics.chance import Dealt, Distance
from airflow_monitoring_provider.metrics.choice import Choice
from airflow_monitoring_provider.metrics.distances import Counts, Shares
from airflow_monitoring_provider.metrics.precision import shared_codes, shared_positions
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.significance import TestResult, chi_square, ks_p_value, two_proportions
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.profile import ColumnProfile


class Needs(StrEnum):
    """What a metric is computed from.

    - ``cells``: counts of both sides in the same cells.
    - ``values``: both histograms, so numbers only.
    """

    CELLS = "cells"
    VALUES = "values"


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """What a metric found: a number, or a reason why there is none.

    :param p_value: of its own test; None for a distance.
    :param critical_value: what chance alone exceeds with probability alpha, where a formula says so.
    """

    value: float | None = None
    p_value: float | None = None
    critical_value: float | None = None
    reason: Reason | None = None
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)


class Sides:
    """Both sides of one column, in every form that a metric may need; each is made once, when it is asked for.

    :param cells: counts of both sides in the chosen cells.
    :param alpha: level of the critical values.
    """

    def __init__(
        self, reference: ColumnProfile, current: ColumnProfile, cells: Cells, choice: Choice, alpha: float
    ) -> None:
        self.reference, self.current = reference, current
        self.cells, self.choice, self.alpha = cells, choice, alpha

    @functools.cached_property
    def histograms(self) -> tuple[Histogram, Histogram] | None:
        """Both histograms; None for levels, or where a side has no values."""
        a, b = _histogram(self.reference), _histogram(self.current)
        return (a, b) if a is not None and b is not None and a.total and b.total else None

    @functools.cached_property
    def buckets(self) -> tuple[Counts, Counts]:
        """Counts of both sides per value at their common precision, in order."""
        return self._shared[1:]

    @functools.cached_property
    def positions(self) -> tuple[Counts, Counts, Shares]:
        """Counts of both sides over the values that their own buckets stand for, and those values."""
        reference, current = self._both
        if reference.shift != current.shift:
            return shared_positions(reference, current)
        codes, a, b = self._shared
        return a, b, reference.middles(codes)

    @functools.cached_property
    def moments(self) -> tuple[Moments, Moments]:
        """Moments of the values (of the lengths of a text)."""
        a, b = (side.moments if side.moments is not None else side.lengths for side in (self.reference, self.current))
        return a or Moments(), b or Moments()

    @functools.cached_property
    def ks(self) -> tuple[float, float] | None:
        """Kolmogorov and Smirnov's statistic and its p; None where there are no values."""
        if self.histograms is None:
            return None
        statistic = distances.binned_ks(*self.buckets)
        return statistic, ks_p_value(statistic, *(side.total for side in self.histograms))

    @functools.cached_property
    def dealt_cells(self) -> Dealt:
        """The cells that tests are asked of, and tables dealt of them."""
        return Dealt.of(*self.cells.tested)

    @functools.cached_property
    def dealt_values(self) -> tuple[Dealt, Shares]:
        """The values in groups, tables dealt of them, and where the groups stand."""
        a, b, positions = chance.grouped(*self.positions)
        return Dealt.of(a, b, ordered=True), positions

    @functools.cached_property
    def rate(self) -> float:
        """``1 / n + 1 / m`` of the cells: how far chance alone spreads the distances."""
        return 1 / self.cells.n + 1 / self.cells.m

    @functools.cached_property
    def chi(self) -> float:
        """What chance alone exceeds with probability alpha of a chi-square with a degree less than there are cells."""
        degrees = self.cells.used - 1
        return float(chdtri(degrees, self.alpha)) if degrees > 0 else 0.0

    @functools.cached_property
    def _shared(self) -> tuple[Counts, Counts, Counts]:
        return shared_codes(*self._both)

    @property
    def _both(self) -> tuple[Histogram, Histogram]:
        if self.histograms is None:
            raise ValueError("one side has no numbers")
        return self.histograms


@dataclasses.dataclass(frozen=True, slots=True)
class DriftMetric:
    """One metric.

    :param name: its id.
    :param compute: the number; never NaN or infinite values with a reason missing.
    :param per_cell: it adds up one noise term per cell, so it needs rows in each.
    """

    name: str
    needs: Needs
    compute: Callable[[Sides], Found]
    per_cell: bool = False


def _histogram(column: ColumnProfile) -> Histogram | None:
    if column.levels is not None:
        return None
    return column.histogram if column.histogram is not None else column.length_histogram


def _chance(sides: Sides, factor: float) -> float:
    """``factor (1/n + 1/m) chi2.ppf(1 - alpha, B - 1)``: see ``significance.psi_critical_value``."""
    return factor * sides.rate * sides.chi


def _counted(
    function: Callable[..., float], chance: Callable[[Sides], float] | None = None, *, zero_cells: bool = False
) -> Callable[[Sides], Found]:
    def compute(sides: Sides) -> Found:
        arguments = (sides.choice.zero_cells,) if zero_cells else ()
        value = function(sides.cells.reference, sides.cells.current, *arguments)
        details = {"zero_cells": sides.choice.zero_cells.value} if zero_cells else {}
        return Found(value, critical_value=chance(sides) if chance is not None else None, details=details)

    return compute


def _dealt(
    name: str, function: Callable[..., float], distance: Callable[[Sides], Distance]
) -> Callable[[Sides], Found]:
    """A distance in cells of which no formula knows what chance makes: where it is asked for, that is drawn."""

    def compute(sides: Sides) -> Found:
        value = function(sides.cells.reference, sides.cells.current)
        if name not in sides.choice.asked:
            return Found(value)
        return _by_chance(value, *sides.dealt_cells.chance(distance(sides), sides.alpha))

    return compute


def _by_chance(value: float, critical: float | None, p_value: float, **details: Any) -> Found:
    """A value beside what chance makes of it, which may lie beyond the largest number where the value does not."""
    known = critical if critical is not None and math.isfinite(critical) else None
    return Found(value, critical_value=known, details={**details, "permutation_p": p_value})


def _l_inf_by_chance(sides: Sides) -> Distance:
    return functools.partial(chance.l_inf, unseen=sides.cells.binning.edges is None)


def _of_values(sides: Sides, name: str, distance: Callable[[Shares], Distance]) -> tuple[float | None, float] | None:
    """Critical value and p of a distance between values, where it is asked for."""
    if name not in sides.choice.asked:
        return None
    tables, positions = sides.dealt_values
    return tables.chance(distance(positions), sides.alpha)


def _js_divergence(sides: Sides) -> Found:
    base = sides.choice.base_of(math.e)
    value = distances.js_divergence(sides.cells.reference, sides.cells.current, base)
    details = {"base": "e" if base == math.e else "2"}
    return Found(value, critical_value=_chance(sides, 0.125) / math.log(base), details=details)


def _js_distance(sides: Sides) -> Found:
    base = sides.choice.base_of(2.0)
    value = distances.js_distance(sides.cells.reference, sides.cells.current, base)
    details = {"base": "e" if base == math.e else "2"}
    return Found(value, critical_value=math.sqrt(_chance(sides, 0.125) / math.log(base)), details=details)


def _chi_square(sides: Sides) -> Found:
    a, b = sides.cells.reference, sides.cells.current
    if sides.choice.gof:
        return _of_table(sides, contingency.goodness_of_fit(a, b), contingency.goodness_of_fit(a, b))
    return _of_table(sides, chi_square(a, b), contingency.guarded_chi_square(*sides.cells.tested))


def _g_test(sides: Sides) -> Found:
    a, b = sides.cells.reference, sides.cells.current
    return _of_table(sides, contingency.g_test(a, b), contingency.guarded_g_test(*sides.cells.tested))


def _of_table(sides: Sides, plain: TestResult, guarded: TestResult) -> Found:
    """The statistic of all cells, and the p-value that small expected counts cannot spoil."""
    details: dict[str, Any] = {"test": guarded.test, "degrees": plain.degrees, **guarded.of_rare_cells}
    degrees = plain.degrees or 0
    critical = float(chdtri(degrees, sides.alpha)) if degrees else 0.0
    return Found(plain.statistic, guarded.p_value, critical, details=details)


def _z_test(sides: Sides) -> Found:
    a, b = sides.cells.reference, sides.cells.current
    used = np.flatnonzero(a + b)
    if used.size > 2:
        return Found(reason=Reason.NOT_APPLICABLE)
    first = int(used[0])
    found = two_proportions(int(a[first]), sides.cells.n, int(b[first]), sides.cells.m)
    critical = float(-ndtri(sides.alpha / 2))
    details = {"test": found.test, "statistic": found.statistic, "cell": sides.cells.binning.labels[first]}
    return Found(abs(found.statistic or 0.0), found.p_value, critical, details=details)


def _ks(sides: Sides) -> Found:
    if sides.ks is None:
        return Found(reason=Reason.NO_DATA)
    n, m = (side.total for side in sides.histograms or ())
    critical = min(math.sqrt(-math.log(sides.alpha / 2) / 2 * (1 / n + 1 / m)), 1.0)
    return Found(*sides.ks, critical, details={"test": "ks"})


def _wasserstein(sides: Sides) -> Found:
    value = distances.wasserstein(*sides.positions)
    by_chance = _of_values(sides, "wasserstein", chance.wasserstein)
    return Found(value) if by_chance is None else _by_chance(value, *by_chance)


def _wasserstein_norm(sides: Sides) -> Found:
    distance, spread = distances.wasserstein(*sides.positions), sides.moments[0].std(ddof=0)
    value = distances.wasserstein_norm(distance, spread)
    if not all(
        map(math.isfinite, (distance, spread, value))
    ):  # 1.8e305 units are finite, and as many thousandths are not
        return Found(reason=Reason.NOT_FINITE)
    details = {"wasserstein": distance, "unit": spread}
    by_chance = _of_values(sides, "wasserstein_norm", chance.wasserstein)
    if by_chance is None:
        return Found(value, details=details)
    critical = None if by_chance[0] is None else distances.wasserstein_norm(by_chance[0], spread)
    return _by_chance(value, critical, by_chance[1], **details)


def _energy(sides: Sides) -> Found:
    value = distances.energy(*sides.positions)
    by_chance = _of_values(sides, "energy", chance.energy)
    return Found(value) if by_chance is None else _by_chance(value, *by_chance)


def _mannwhitney(sides: Sides) -> Found:
    found, (n, m) = rank_tests.mannwhitney(*sides.buckets), (int(side.sum()) for side in sides.buckets)
    effect = 2 * (found.statistic or 0.0) / (n * m) - 1
    critical = rank_tests.mannwhitney_critical_value(*sides.buckets, sides.alpha)
    return Found(abs(effect), found.p_value, critical, details={"test": found.test, "statistic": found.statistic})


def _tested(
    function: Callable[..., TestResult], what: str, chance: Callable[[Sides, int], float | None]
) -> Callable[[Sides], Found]:
    """A test of ``rank_tests``.

    :param what: the form of both sides that it takes. :param chance: its critical value, from the degrees of freedom.
    """

    def compute(sides: Sides) -> Found:
        try:
            found = function(*getattr(sides, what))
        except ValueError:
            return Found(reason=Reason.INSUFFICIENT_DATA)
        statistic = found.statistic or 0.0
        details: dict[str, Any] = {"test": found.test, "statistic": statistic}
        if found.degrees is not None:
            details["degrees"] = found.degrees
        value = abs(statistic) if function is rank_tests.welch else statistic
        return Found(value, found.p_value, chance(sides, found.degrees or 0), details=details)

    return compute


def _cvm_critical(sides: Sides, _: int) -> float:
    return rank_tests.cvm_critical_value(*sides.buckets, sides.alpha)


def _anderson_critical(sides: Sides, _: int) -> float | None:
    return rank_tests.anderson_k_critical_value(sides.alpha)


def _mmd2_critical(sides: Sides, _: int) -> float:
    return kernel.mmd2_critical_value(*sides.positions, sides.alpha)


def _chi_critical(sides: Sides, degrees: int) -> float | None:
    return float(chdtri(degrees, sides.alpha)) if degrees else None


def _t_critical(sides: Sides, degrees: int) -> float | None:
    return float(-stdtrit(degrees, sides.alpha / 2)) if degrees else None


_CELLS: tuple[DriftMetric, ...] = (
    DriftMetric("psi", Needs.CELLS, _counted(distances.psi, lambda s: _chance(s, 1.0), zero_cells=True), per_cell=True),
    DriftMetric(
        "kl_cr", Needs.CELLS, _counted(distances.kl_cr, lambda s: _chance(s, 0.5), zero_cells=True), per_cell=True
    ),
    DriftMetric(
        "kl_rc", Needs.CELLS, _counted(distances.kl_rc, lambda s: _chance(s, 0.5), zero_cells=True), per_cell=True
    ),
    DriftMetric("js_distance", Needs.CELLS, _js_distance),
    DriftMetric("js_divergence", Needs.CELLS, _js_divergence),
    DriftMetric(
        "hellinger", Needs.CELLS, _counted(distances.hellinger, lambda s: min(math.sqrt(_chance(s, 0.125)), 1.0))
    ),
    DriftMetric("tvd", Needs.CELLS, _dealt("tvd", distances.tvd, lambda _: chance.tvd)),
    DriftMetric("l_inf", Needs.CELLS, _dealt("l_inf", distances.l_inf, _l_inf_by_chance)),
    DriftMetric(
        "hellinger_tvd", Needs.CELLS, _dealt("hellinger_tvd", distances.hellinger_tvd, lambda _: chance.hellinger_tvd)
    ),
    DriftMetric("chi_square", Needs.CELLS, _chi_square),
    DriftMetric("g_test", Needs.CELLS, _g_test),
    DriftMetric("z_test", Needs.CELLS, _z_test),
)
_VALUES: tuple[DriftMetric, ...] = (
    DriftMetric("ks", Needs.VALUES, _ks),
    DriftMetric("wasserstein", Needs.VALUES, _wasserstein),
    DriftMetric("wasserstein_norm", Needs.VALUES, _wasserstein_norm),
    DriftMetric("energy", Needs.VALUES, _energy),
    DriftMetric("mannwhitney", Needs.VALUES, _mannwhitney),
    DriftMetric("cvm", Needs.VALUES, _tested(rank_tests.cvm, "buckets", _cvm_critical)),
    DriftMetric("anderson_k", Needs.VALUES, _tested(rank_tests.anderson_k, "buckets", _anderson_critical)),
    DriftMetric("epps_singleton", Needs.VALUES, _tested(rank_tests.epps_singleton, "positions", _chi_critical)),
    DriftMetric("mmd2", Needs.VALUES, _tested(kernel.mmd2, "positions", _mmd2_critical)),
    DriftMetric("t_test", Needs.VALUES, _tested(rank_tests.welch, "moments", _t_critical)),
)

DRIFT_METRICS: Mapping[str, DriftMetric] = MappingProxyType({metric.name: metric for metric in (*_CELLS, *_VALUES)})
