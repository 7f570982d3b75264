"""whylogs 1.6.4 counts what a profile counts; what its sketches estimate lies within their error of ours.

Up to 1024 values its sketch of quantiles keeps every one, and so do ours up to 2048.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.compare import ComparisonSettings
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.profile import ColumnProfile
from parity.peer import ask

SIDES = ("reference", "current")


def _holes(values: Any, rng: np.random.Generator) -> list[float | None]:
    return [None if gone else float(value) for value, gone in zip(values, rng.random(len(values)) < 0.1, strict=True)]


def cases() -> dict[str, tuple[list[Any], list[Any]]]:
    rng = np.random.default_rng(31)
    words = np.array(["red", "green", "blue", "black", "white"])
    return {
        "normal": (rng.normal(size=900).tolist(), rng.normal(0.3, 1.2, 700).tolist()),
        "lognormal": (rng.lognormal(size=800).tolist(), rng.lognormal(0.2, 1, 500).tolist()),
        "counts": (rng.poisson(9, 1000).astype(float).tolist(), rng.poisson(11, 600).astype(float).tolist()),
        "holes": (_holes(rng.normal(size=900), rng), _holes(rng.normal(0.5, 1, 700), rng)),
        "large": (rng.normal(size=40_000).tolist(), rng.normal(0.6, 1, 30_000).tolist()),
        "large lognormal": (rng.lognormal(size=40_000).tolist(), rng.lognormal(0.6, 1, 30_000).tolist()),
        "words": (words[rng.integers(0, 4, 900)].tolist(), [*words[rng.integers(1, 5, 350)].tolist(), None]),
    }


CASES = cases()
NUMERIC = [name for name in CASES if name != "words"]


@functools.cache
def asked() -> dict[str, Any]:
    questions = [dict(zip(SIDES, sides, strict=True), numeric=name in NUMERIC) for name, sides in CASES.items()]
    found = ask("whylogs", "whylogs_values.py", questions)
    return {"shares": found["shares"], **dict(zip(CASES, found["answers"], strict=True))}


def profiles(name: str) -> list[ColumnProfile]:
    kind = ColumnKind.NUMERIC if name in NUMERIC else ColumnKind.CATEGORICAL
    return [ColumnProfile.of(values, kind=kind) for values in CASES[name]]


def drift(name: str) -> dict[str, MetricValue]:
    definition = load_definition(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "drift": {
                "metrics": ["ks", "hellinger"],
                "binning": "custom",
                "edges": asked()[name]["edges"],
                "missing": "drop",
            },
        }
    )
    # As many buckets as values: what is compared is the formula, not the histogram's precision.
    sides = (ColumnProfile.of(values, kind=ColumnKind.NUMERIC, buckets=1 << 20) for values in CASES[name])
    return {v.name: v for v in column_drift(*sides, ComparisonSettings.from_definition(definition))}  # type: ignore[misc]


@pytest.mark.parametrize("name", CASES)
def test_counts_are_whylogs(name: str) -> None:
    for side, found in zip(SIDES, profiles(name), strict=True):
        expected = asked()[name][side]
        assert (expected["rows"], expected["null"]) == (found.rows, found.missing)
        estimate, low = expected["distinct"]["est"], expected["distinct"]["lower_1"]
        if found.distinct_exact:
            assert estimate == pytest.approx(found.distinct, abs=4 * (estimate - low) + 1e-3)
        if name not in NUMERIC:
            assert found.levels is not None
            assert expected["frequent"] == found.levels.counts


@pytest.mark.parametrize("name", NUMERIC)
def test_moments_and_bounds_are_whylogs(name: str) -> None:
    for side, found in zip(SIDES, profiles(name), strict=True):
        expected = asked()[name][side]
        assert found.moments is not None
        assert (expected["min"], expected["max"]) == (found.minimum, found.maximum)
        assert expected["mean"] == pytest.approx(found.moments.mean, rel=1e-9, abs=1e-12)
        assert expected["stddev"] == pytest.approx(math.sqrt(found.moments.variance(ddof=1)), rel=1e-9)


@pytest.mark.parametrize("name", NUMERIC)
def test_quantiles_of_its_sketch_have_ranks_within_its_error_of_ours(name: str) -> None:
    for side, found in zip(SIDES, profiles(name), strict=True):
        assert found.histogram is not None
        expected = asked()[name][side]
        exact = found.count <= 1024
        error = 1 / found.count if exact else 2 * expected["rank_error"] + found.histogram.largest_share
        for share, quantile in zip(asked()["shares"], expected["quantiles"], strict=True):
            low, high = (found.histogram.quantile(min(max(q, 0.0), 1.0)) for q in (share - error, share + error))
            assert low <= quantile <= high, (side, share)


@pytest.mark.parametrize("name", NUMERIC)
def test_hellinger_of_its_cells_is_whylogs(name: str) -> None:
    # A sketch of more values than it keeps scatters like a sample of some thousand of them, and thirty cells of such a
    # sample are by themselves about 0.04 from their source: in quadrature with a distance of 0.2 that is 0.01.
    error = 0.02 if len(CASES[name][0]) > 1024 else 1e-9

    assert asked()[name]["hellinger"] == pytest.approx(drift(name)["hellinger"].value, abs=error)


@pytest.mark.parametrize("name", NUMERIC)
def test_its_ks_is_ours_as_far_as_a_hundred_quantiles_of_each_side_tell(name: str) -> None:
    statistic, p_value = asked()[name]["ks"]
    found = drift(name)["ks"]
    error = 2 * asked()[name]["reference"]["rank_error"] if len(CASES[name][0]) > 1024 else 0

    assert found.value is not None
    assert -2 * error - 1e-12 <= found.value - statistic <= 1 / 99 + 2 * error
    assert (p_value < 1e-3) == (found.p_value is not None and found.p_value < 1e-3)
