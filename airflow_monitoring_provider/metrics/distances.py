"""How far apart two distributions lie, from counts in the same cells. Pure array functions.

Every function takes two integer arrays of shape ``(B,)`` over the same cells: ``reference`` (n rows in all) and
``current`` (m rows). The order of cells matters only for :func:`binned_ks`. Both sides must hold at least one row;
a :class:`ValueError` says which one does not, because a distance to nothing is not zero. Logarithms are natural
unless a base is given. p are the reference shares, q the current shares.

PSI and the KL divergences need a rule for cells that are empty on one side; the others need none and get none.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import rel_entr

from airflow_monitoring_provider.definitions.drift import ZeroCells

Counts = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]

_FLOOR = 1e-4
_SMALLEST_SPREAD = 0.001


def psi(reference: Counts, current: Counts, zero_cells: ZeroCells = ZeroCells.ADD_ONE) -> float:
    """Population stability index ``sum (q - p) ln(q / p)``, in [0, inf), symmetric.

    Source: credit-scoring practice; Yurdakul and Naranjo (2020) for its distribution. Both KL divergences added up,
    which is all that ``scale`` can be applied to (MLRun's ``KullbackLeiblerDivergence``).
    """
    if zero_cells is ZeroCells.SCALE:
        return kl_cr(reference, current, zero_cells) + kl_rc(reference, current, zero_cells)
    p, q = smoothed_shares(reference, current, zero_cells)
    return float(((q - p) * np.log(q / p)).sum())


def kl_cr(reference: Counts, current: Counts, zero_cells: ZeroCells = ZeroCells.ADD_ONE) -> float:
    """KL divergence of current relative to reference, ``sum q ln(q / p)``; ``scipy.stats.entropy(q, p)``.

    In [0, inf) where no cell is empty; ``add_one`` and ``scale`` do not renormalise and can take it slightly below 0.
    ``floor`` renormalises here and not for PSI, as Evidently does by calling SciPy.
    """
    if zero_cells is ZeroCells.SCALE:
        p, q = shares(reference, current)
        p, q = p[q > 0], q[q > 0]
        return float(np.sum(q * np.log(q / np.where(p > 0, p, _FLOOR))))
    p, q = smoothed_shares(reference, current, zero_cells)
    if zero_cells is ZeroCells.FLOOR:
        p, q = p / p.sum(), q / q.sum()
    return float(np.sum(q * np.log(q / p)))


def kl_rc(reference: Counts, current: Counts, zero_cells: ZeroCells = ZeroCells.ADD_ONE) -> float:
    """KL divergence of reference relative to current, ``sum p ln(p / q)``; ``scipy.stats.entropy(p, q)``."""
    return kl_cr(current, reference, zero_cells)


def js_divergence(reference: Counts, current: Counts, base: float = np.e) -> float:
    """Jensen-Shannon divergence ``(KL(p, M) + KL(q, M)) / 2`` with ``M = (p + q) / 2``; in [0, ln 2] for base e."""
    p, q = shares(reference, current)
    middle = (p + q) / 2
    nats = float(rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return max(nats, 0.0) / math.log(base)


def js_distance(reference: Counts, current: Counts, base: float = 2.0) -> float:
    """Square root of :func:`js_divergence`; in [0, 1] for base 2. ``scipy.spatial.distance.jensenshannon``."""
    return math.sqrt(js_divergence(reference, current, base))


def hellinger(reference: Counts, current: Counts) -> float:
    """Hellinger distance ``norm2(sqrt p - sqrt q) / sqrt 2``, in [0, 1]."""
    p, q = shares(reference, current)
    return float(min(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2), 1.0))


def tvd(reference: Counts, current: Counts) -> float:
    """Total variation distance ``sum |p - q| / 2``, in [0, 1]: the share of rows that would have to move."""
    p, q = shares(reference, current)
    return min(float(np.abs(p - q).sum()) / 2, 1.0)


def hellinger_tvd(reference: Counts, current: Counts) -> float:
    """The mean of :func:`hellinger` and :func:`tvd`, in [0, 1]: what MLRun calls a feature's drift."""
    return (hellinger(reference, current) + tvd(reference, current)) / 2


def l_inf(reference: Counts, current: Counts) -> float:
    """Largest difference of one cell's share, in [0, 1]."""
    p, q = shares(reference, current)
    return float(np.max(np.abs(p - q)))


def binned_ks(reference: Counts, current: Counts) -> float:
    """Kolmogorov-Smirnov statistic of counts in ordered cells: the largest gap of the cumulated shares, in [0, 1].

    Off from the statistic of the raw values by no more than the largest cell's share.
    """
    n, m = totals(reference, current)
    return float(np.abs(reference.cumsum() / n - current.cumsum() / m).max())


def wasserstein(reference: Counts, current: Counts, positions: Shares) -> float:
    """First Wasserstein distance, ``integral |F_R - F_C| dx``, in the unit of the values.

    :param positions: the value that each cell stands for, ascending, shape ``(B,)``.
    """
    n, m = totals(reference, current)
    gap = np.abs(reference.cumsum() / n - current.cumsum() / m)[:-1]
    # Halves are subtracted and doubled so that the step from -1.7e308 to 1.7e308 does not overflow by itself.
    halves = positions / 2
    with np.errstate(over="ignore"):
        return float(2 * (gap * (halves[1:] - halves[:-1])).sum())


def energy(reference: Counts, current: Counts, positions: Shares) -> float:
    """Energy distance ``sqrt(2 E|X - Y| - E|X - X'| - E|Y - Y'|)``, in the square root of the values' unit.

    The root of twice the integral of the squared gap between both distribution functions (Szekely 2002);
    ``scipy.stats.energy_distance``.

    :param positions: the value that each cell stands for, ascending, shape ``(B,)``.
    """
    n, m = totals(reference, current)
    gap = (np.cumsum(reference) / n - np.cumsum(current) / m)[:-1]
    steps = np.diff(positions / 2)
    with np.errstate(over="ignore"):
        return float(2 * np.sqrt(np.sum(np.square(gap) * steps)))


def wasserstein_norm(distance: float, spread: float) -> float:
    """:func:`wasserstein` in units of the reference's population standard deviation (at least 0.001, as Evidently)."""
    return distance / max(spread, _SMALLEST_SPREAD)


def shares(reference: Counts, current: Counts) -> tuple[Shares, Shares]:
    """``(p, q)``: each side's counts over its total."""
    n, m = totals(reference, current)
    return reference / n, current / m


def smoothed_shares(reference: Counts, current: Counts, zero_cells: ZeroCells) -> tuple[Shares, Shares]:
    """``(p, q)`` without a zero, by the given rule; cells that are empty on both sides are left out.

    :raises ValueError: for ``scale``, which fills zeros only where they are divided by.
    """
    if zero_cells is ZeroCells.SCALE:
        raise ValueError("scale fills zero cells of one side at a time")
    n, m = totals(reference, current)
    used = (reference > 0) | (current > 0)
    reference, current = reference[used], current[used]
    if zero_cells is ZeroCells.JEFFREYS:
        half = 0.5 * reference.size
        return _quotient(reference + 0.5, n + half), _quotient(current + 0.5, m + half)
    if zero_cells is ZeroCells.FLOOR:
        return _floored(reference / n), _floored(current / m)
    one = ((reference == 0) | (current == 0)).astype(np.int64)
    return _quotient(reference + one, n + one), _quotient(current + one, m + one)


def totals(reference: Counts, current: Counts) -> tuple[int, int]:
    """``(n, m)``; :class:`ValueError` where the cells do not match or a side holds no rows."""
    if reference.shape != current.shape or reference.ndim != 1:
        raise ValueError(f"counts must cover the same cells, found shapes {reference.shape} and {current.shape}")
    n, m = int(reference.sum()), int(current.sum())
    if n == 0 or m == 0:
        raise ValueError(f"a distance needs rows on both sides, found n={n} and m={m}")
    return n, m


def _floored(values: Shares) -> Shares:
    smallest = float(np.min(values[values > 0]))
    return np.where(values > 0, values, _FLOOR if smallest > _FLOOR else smallest / 1e6)


def _quotient(above: npt.NDArray[Any], below: npt.NDArray[Any] | float) -> Shares:
    return np.asarray(above / below, np.float64)
