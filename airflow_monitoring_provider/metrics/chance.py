"""What chance alone gives the distances that no formula speaks of: critical values and p-values from dealt tables.

A column's rows are shared out between both sides anew (:mod:`.permutation`), and the distance is computed of each
table. Of numbers that takes the values in order: they are put into at most 128 groups first, narrow where rows or
distance are, which moves a Wasserstein or energy distance of chance by less than the draws do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from airflow_monitoring_provider.metrics.distances import Counts, Shares, totals
from airflow_monitoring_provider.metrics.permutation import PERMUTATIONS, Floats, dealt, seeded

GROUPS = 128
_SAME = 1e-9

Distance = Callable[[Counts, Counts], Floats]
"""Of reference and current counts ``(N, B)`` of N tables: ``(N,)``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dealt:
    """One table and the 999 that were dealt of its margins.

    :param reference, current: ``(1 + N, B)``, the table that was seen first.
    """

    reference: Counts
    current: Counts

    @classmethod
    def of(cls, reference: Counts, current: Counts, *, ordered: bool = False) -> Dealt:
        """:param ordered: the order of the cells says something, so it has to stay; else none of it matters."""
        n, _ = totals(reference, current)
        if not ordered:
            order = np.lexsort((reference, reference + current))
            reference, current = reference[order], current[order]
        together = reference + current
        reference, together = reference[together > 0], together[together > 0]
        tables = np.vstack((reference, dealt(together, n, PERMUTATIONS, seeded(reference, together))))
        return cls(tables, together - tables)

    def chance(self, distance: Distance, alpha: float) -> tuple[float | None, float]:
        """What chance exceeds with probability alpha (None where that is no finite number), and p of what was seen."""
        with np.errstate(over="ignore", invalid="ignore"):
            seen, *others = distance(self.reference, self.current)
        far = np.count_nonzero(np.array(others) >= seen - _SAME * abs(seen))
        critical = float(np.quantile(others, 1 - alpha, method="higher"))
        return critical if np.isfinite(critical) else None, float((far + 1) / (len(others) + 1))


def tvd(reference: Counts, current: Counts) -> Floats:
    """:func:`.distances.tvd`, the same whether or not new levels are put together."""
    return np.asarray(np.abs(_gaps(reference, current)).sum(axis=1) / 2)


def l_inf(reference: Counts, current: Counts, *, unseen: bool = False) -> Floats:
    """:func:`.distances.l_inf`; ``unseen`` puts together what a table's reference side does not have."""
    gaps = np.abs(_gaps(reference, current))
    if not unseen:
        return np.asarray(gaps.max(axis=1))
    new = reference == 0
    return np.asarray(np.maximum(np.where(new, 0.0, gaps).max(axis=1), np.where(new, gaps, 0.0).sum(axis=1)))


def hellinger_tvd(reference: Counts, current: Counts) -> Floats:
    """:func:`.distances.hellinger_tvd`, the same whether or not new levels are put together."""
    n, m = reference[0].sum(), current[0].sum()
    alike = np.sqrt(reference / n * (current / m)).sum(axis=1)
    return np.asarray((np.sqrt(np.maximum(1 - alike, 0.0)) + tvd(reference, current)) / 2)


def wasserstein(positions: Shares) -> Distance:
    """:func:`.distances.wasserstein` of values that stand at ``positions``."""
    steps = np.diff(positions / 2)
    return lambda a, b: np.asarray(2 * (np.abs(_cumulated(a, b)) @ steps))


def energy(positions: Shares) -> Distance:
    """:func:`.distances.energy` of values that stand at ``positions``."""
    steps = np.diff(positions / 2)
    return lambda a, b: np.asarray(2 * np.sqrt(np.square(_cumulated(a, b)) @ steps))


def grouped(
    reference: Counts, current: Counts, positions: Shares, groups: int = GROUPS
) -> tuple[Counts, Counts, Shares]:
    """Neighbouring values put together until there are at most so many, at the mean of their rows; fewer stay.

    A cut falls where so much of the rows, or of what chance makes of the distance, has passed: the root of the share
    below a step times the one above, times its length.
    """
    if positions.size <= groups:
        return reference, current, positions
    together = reference + current
    share = np.cumsum(together) / together.sum()
    scale = float(np.max(np.abs(positions))) or 1.0
    steps = np.append(0.0, np.sqrt(share * (1 - share))[:-1] * np.diff(positions / scale))
    passed = share / 2 + np.cumsum(steps) / (2 * steps.sum())
    starts = np.flatnonzero(np.diff(np.floor(passed * (groups - 1) * (1 - _SAME)), prepend=-1))
    sizes = np.add.reduceat(together, starts)
    middles = np.add.reduceat(positions / scale * together, starts) / sizes * scale
    return np.add.reduceat(reference, starts), np.add.reduceat(current, starts), np.asarray(middles)


def _gaps(reference: Counts, current: Counts) -> Floats:
    return np.asarray(reference / reference[0].sum() - current / current[0].sum())


def _cumulated(reference: Counts, current: Counts) -> Floats:
    return np.cumsum(_gaps(reference, current), axis=1)[:, :-1]
