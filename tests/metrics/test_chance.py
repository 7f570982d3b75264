"""What chance alone gives a distance: SciPy's permutation test of the raw rows as oracle, brute force for MMD."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.chance import GROUPS, grouped, wasserstein
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.kernel import bandwidth, mmd2
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.profile import ColumnProfile

BY_CHANCE = ["tvd", "l_inf", "hellinger_tvd", "wasserstein", "wasserstein_norm", "energy", "mmd2"]


def drift(a: Any, b: Any, **said: Any) -> dict[str, MetricValue]:
    """Every metric of two columns of raw values."""
    definition = load_definition(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "drift": said,
            "thresholds": {name: {"critical": 0.5} for name in said.get("metrics", ())},
            "minimums": {"referenceRows": 1, "currentRows": 1},
        }
    )
    kind = ColumnKind.NUMERIC if np.asarray(a).dtype.kind == "f" else ColumnKind.CATEGORICAL
    sides = [ColumnProfile.of(side, name="x", kind=kind) for side in (a, b)]
    return {v.name: v for v in column_drift(*sides, ComparisonSettings.from_definition(definition))}


def by_scipy(a: Any, b: Any, distance: Any) -> tuple[float, float]:
    """Critical value at 0.05 and p of the rows, permuted one by one."""
    found = stats.permutation_test(
        (a, b), distance, vectorized=False, alternative="greater", n_resamples=700, rng=np.random.default_rng(8)
    )
    return float(np.quantile(found.null_distribution, 0.95)), float(found.pvalue)


@pytest.mark.parametrize(("draw", "shift"), [("normal", 0.0), ("lognormal", 0.0), ("poisson", 0.2)])
def test_distances_of_numbers_have_the_critical_value_and_p_of_permuted_rows(shift: float, draw: str) -> None:
    rng = np.random.default_rng(3)
    a, b = (
        {
            "normal": rng.normal(s, 1, k),
            "lognormal": rng.lognormal(s, 1, k),
            "poisson": 1.0 * rng.poisson(5 + 2 * s, k),
        }[draw]
        for s, k in ((0, 300), (shift, 150))
    )
    found = drift(a, b, metrics=["wasserstein", "wasserstein_norm", "energy"])

    critical, p_value = by_scipy(a, b, stats.wasserstein_distance)
    assert critical == pytest.approx(found["wasserstein"].critical_value, rel=0.15)
    assert critical / a.std() == pytest.approx(found["wasserstein_norm"].critical_value, rel=0.15)
    assert p_value == pytest.approx(found["wasserstein"].details["permutation_p"], abs=0.06)
    critical, p_value = by_scipy(a, b, stats.energy_distance)
    assert critical == pytest.approx(found["energy"].critical_value, rel=0.15)
    assert p_value == pytest.approx(found["energy"].details["permutation_p"], abs=0.06)


@pytest.mark.parametrize("shares", [(0.5, 0.3, 0.2), (0.9, 0.04, 0.03, 0.01, 0.01, 0.005, 0.005)])
def test_distances_of_levels_have_the_critical_value_and_p_of_permuted_rows(shares: tuple[float, ...]) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.choice(len(shares), 200, p=shares), rng.choice(len(shares), 120, p=shares)
    found = drift(a.astype(str), b.astype(str), metrics=["tvd", "l_inf", "hellinger_tvd"])

    def cells(x: Any, y: Any) -> tuple[Any, Any]:
        """Shares of the levels that the first side has, and of all others together."""
        p, q = (np.bincount(side.astype(int), minlength=len(shares)) / side.size for side in (x, y))
        return np.append(p[p > 0], 0), np.append(q[p > 0], q[p == 0].sum())

    def tvd(x: Any, y: Any, axis: int = 0) -> float:
        p, q = cells(x, y)
        return float(np.abs(p - q).sum() / 2)

    def l_inf(x: Any, y: Any, axis: int = 0) -> float:
        p, q = cells(x, y)
        return float(np.abs(p - q).max())

    def mean(x: Any, y: Any, axis: int = 0) -> float:
        p, q = cells(x, y)
        return float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2) + tvd(x, y)) / 2

    for name, distance in (("tvd", tvd), ("l_inf", l_inf), ("hellinger_tvd", mean)):
        critical, p_value = by_scipy(a, b, distance)
        assert distance(a, b) == pytest.approx(found[name].value)
        assert critical == pytest.approx(found[name].critical_value, rel=0.15), name
        assert p_value == pytest.approx(found[name].details["permutation_p"], abs=0.06), name


def test_what_is_drawn_is_a_function_of_the_counts_alone() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=300), rng.normal(size=200)
    once, again = drift(a, b, metrics=BY_CHANCE), drift(a[::-1], rng.permutation(b), metrics=BY_CHANCE)

    assert [v.critical_value for v in once.values()] == [v.critical_value for v in again.values()]
    assert all(value.critical_value is not None for value in once.values())


def test_nothing_is_drawn_for_metrics_that_nobody_named() -> None:
    rng = np.random.default_rng(1)
    found = drift(rng.normal(size=300), rng.normal(size=200))

    assert [None, None] == [found[name].critical_value for name in ("tvd", "wasserstein_norm")]
    assert "permutation_p" not in found["tvd"].details
    assert found["psi"].p_value == found["tvd"].p_value


@pytest.mark.parametrize("draw", ["normal", "cauchy", "zeros"])
def test_grouping_hardly_moves_what_chance_gives(draw: str) -> None:
    rng = np.random.default_rng(2)
    rows = {"normal": rng.normal(size=3000), "cauchy": rng.standard_cauchy(3000)}.get(draw)
    rows = rng.exponential(size=3000) * (rng.random(3000) < 0.3) if rows is None else rows
    positions, inverse = np.unique(rows, return_inverse=True)
    exact, rough = [], []
    for _ in range(100):
        side = rng.permutation(3000) < 2000
        a, b = (np.bincount(inverse[where], minlength=positions.size) for where in (side, ~side))
        ours, theirs, middles = grouped(a, b, positions)
        exact.append(stats.wasserstein_distance(rows[side], rows[~side]))
        rough.append(float(wasserstein(middles)(ours[None, :], theirs[None, :])[0]))

    assert GROUPS >= middles.size
    assert np.quantile(exact, [0.5, 0.95]) == pytest.approx(np.quantile(rough, [0.5, 0.95]), rel=0.03)


def brute_force(a: Any, b: Any) -> float:
    """Gretton's unbiased estimate, row by row."""
    rows = np.concatenate((a, b))
    apart = np.sort(pdist(rows[:, None]))
    middle = apart[(apart.size - 1) // 2]
    if middle == 0:
        apart = apart[apart > 0]
        middle = apart[(apart.size - 1) // 2]

    def alike(x: Any, y: Any) -> Any:
        return np.exp(-cdist(x[:, None], y[:, None], "sqeuclidean") / (2 * middle**2))

    n, m = len(a), len(b)
    own, other = (alike(a, a).sum() - n) / (n * (n - 1)), (alike(b, b).sum() - m) / (m * (m - 1))
    return float(own + other - 2 * alike(a, b).mean())


@pytest.mark.parametrize("draw", ["normal", "ties", "zeros"])
@pytest.mark.parametrize("seed", range(2))
def test_mmd_is_that_of_the_raw_rows(draw: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=401), rng.normal(0.2, 1, 220)
    if draw == "ties":
        a, b = a.round(), b.round()
    if draw == "zeros":
        a, b = a * (rng.random(a.size) < 0.2), b * (rng.random(b.size) < 0.2)

    found = drift(a, b, metrics=["mmd2"])["mmd2"]

    assert brute_force(a, b) == pytest.approx(found.value, rel=1e-9, abs=1e-12)
    assert "mmd2" == found.details["test"]


def test_mmd_has_the_p_and_critical_value_of_permuted_rows() -> None:
    rng = np.random.default_rng(4)
    a, b = rng.normal(size=120), rng.normal(0, 1.4, 80)
    rows = np.concatenate((a, b))
    kernel = np.exp(-cdist(rows[:, None], rows[:, None], "sqeuclidean") / (2 * np.median(pdist(rows[:, None])) ** 2))

    def statistic(x: Any, y: Any, axis: int = 0) -> float:
        i, j = x.astype(int), y.astype(int)
        own, other = (kernel[np.ix_(k, k)].sum() - k.size for k in (i, j))
        n, m = i.size, j.size
        return float(own / (n * (n - 1)) + other / (m * (m - 1)) - 2 * kernel[np.ix_(i, j)].mean())

    critical, p_value = by_scipy(np.arange(120), np.arange(120, 200), statistic)
    found = drift(a, b, metrics=["mmd2"])["mmd2"]

    assert critical == pytest.approx(found.critical_value, rel=0.2)
    assert p_value == pytest.approx(found.p_value, rel=0.6, abs=0.003)


def test_mmd_of_one_value_is_zero_and_of_one_row_undefined() -> None:
    one = np.array([5], np.int64)

    assert (0.0, 1.0) == (mmd2(one, one + 1, np.array([3.0])).statistic, mmd2(one, one + 1, np.array([3.0])).p_value)
    with pytest.raises(ValueError, match="two rows on both sides, found n=1 and m=5"):
        mmd2(one // 5, one, np.array([3.0]))


def test_the_bandwidth_is_found_beside_an_outlier() -> None:
    positions = np.array([0.0, 1.0, 3.0, 1e300])

    # Distances: 5 of 0, 4 of 1, 6 of 2, 6 of 3, 7 huge.
    assert 2.0 == pytest.approx(bandwidth(np.array([2, 2, 3, 1]), positions))


def test_unchanged_numbers_have_mmds_p_evenly() -> None:
    rng = np.random.default_rng(6)
    positions = np.arange(12.0)
    tables = rng.multinomial(60, rng.dirichlet(np.ones(12)), (300, 2))

    p_values = np.array([mmd2(a, b, positions).p_value for a, b in tables])

    assert np.mean(p_values <= 0.05) <= 0.05 + 3.5 * np.sqrt(0.05 * 0.95 / 300)
    assert 0.3 == pytest.approx(np.mean(p_values <= 0.3), abs=0.09)
