"""Evidently 0.7.23 and ``parity: evidently`` choose the same metric, find the same value and say the same of it."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest

from airflow_monitoring_provider.definitions import JobDefinition, load_definition
from airflow_monitoring_provider.definitions.terms import ColumnKind, ResultStatus
from airflow_monitoring_provider.metrics.compare import ComparisonSettings
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.monitors.evaluate import judge
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.profile import ColumnProfile
from parity.peer import ask

# Evidently's test -> our metric, and whether Evidently's score is the p-value.
ON_NUMBERS = {
    "psi_stat_test": ("psi", False),
    "kl_div_stat_test": ("kl_rc", False),
    "jensenshannon_stat_test": ("js_distance", False),
    "wasserstein_stat_test": ("wasserstein_norm", False),
    "energy_dist_test": ("energy", False),
    "ks_stat_test": ("ks", True),
    "epps_singleton_test": ("epps_singleton", True),
    "anderson_darling_test": ("anderson_k", True),
}
ON_LEVELS = {
    "psi_stat_test": ("psi", False),
    "kl_div_stat_test": ("kl_rc", False),
    "jensenshannon_stat_test": ("js_distance", False),
    "hellinger_stat_test": ("hellinger", False),
    "chi_stat_test": ("chi_square", True),
}
DEFAULTS = {
    "ks": "ks",
    "chisquare": "chi_square",
    "z": "z_test",
    "wasserstein": "wasserstein_norm",
    "jensenshannon": "js_distance",
}


def _holes(values: Any, rng: np.random.Generator) -> Any:
    values[rng.random(values.size) < 0.1] = math.nan
    return values


def cases() -> dict[str, tuple[list[Any], list[Any], bool]]:
    rng = np.random.default_rng(20)
    words = np.array(["red", "green", "blue", "black", "white"])
    found: dict[str, tuple[Any, Any, bool]] = {}
    for rows in (800, 1500):
        found |= {
            f"normal {rows}": (rng.normal(size=rows), rng.normal(0.15, 1, rows - 300), True),
            f"same {rows}": (rng.normal(size=rows), rng.normal(size=rows), True),
            f"lognormal {rows}": (rng.lognormal(size=rows), rng.lognormal(0.1, 1.2, 500), True),
            f"counts {rows}": (rng.poisson(9, rows).astype(float), rng.poisson(10, 600).astype(float), True),
            f"few {rows}": (rng.integers(0, 4, rows).astype(float), rng.integers(0, 5, 400).astype(float), True),
            f"flag {rows}": (rng.integers(0, 2, rows).astype(float), (rng.random(400) < 0.42).astype(float), True),
            f"holes {rows}": (_holes(rng.normal(size=rows), rng), _holes(rng.normal(0.3, 1, 500), rng), True),
            f"words {rows}": (words[rng.integers(0, 4, rows)], words[rng.integers(0, 4, 350)], False),
            f"unseen {rows}": (words[rng.integers(0, 3, rows)], words[rng.integers(0, 5, 350)], False),
            f"pair {rows}": (words[rng.integers(0, 2, rows)], words[(rng.random(500) < 0.6).astype(int)], False),
        }
    return {name: (a.tolist(), b.tolist(), numeric) for name, (a, b, numeric) in found.items()}


CASES = cases()


@functools.cache
def answers() -> dict[str, dict[str, Any]]:
    asked = [
        {
            "reference": [None if v != v else v for v in a],
            "current": [None if v != v else v for v in b],
            "kind": "num" if numeric else "cat",
            "tests": list(ON_NUMBERS if numeric else ON_LEVELS),
        }
        for a, b, numeric in CASES.values()
    ]
    return dict(zip(CASES, ask("evidently", "evidently_values.py", asked), strict=True))


def _tolerance(metric: str) -> float:
    """What is accepted to differ.

    SciPy counts the lattice paths of KS up to 10 000 rows; here the expansion takes over much earlier. Evidently fills
    cells that are empty on both sides, too, before SciPy renormalises. Its Mann-Whitney test is one-sided, so it is
    not compared.
    """
    return {"ks": 0.02, "kl_rc": 5e-5}.get(metric, 1e-7)


def definition(**drift: Any) -> JobDefinition:
    return load_definition(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "drift": {"parity": "evidently", **drift},
            # The metric that decides has to have a limit; one that a limit names is measured, too.
            "thresholds": {"energy": {"critical": 0.1}} if "metrics" in drift else {},
        }
    )


def drift(name: str, **said: Any) -> dict[str, MetricValue]:
    a, b, numeric = CASES[name]
    kind = ColumnKind.NUMERIC if numeric else ColumnKind.CATEGORICAL
    sides = (ColumnProfile.of(values, kind=kind, buckets=1 << 20) for values in (a, b))
    settings = ComparisonSettings.from_definition(definition(**said))
    return {value.name: value for value in column_drift(*sides, settings)}  # type: ignore[misc]


@pytest.mark.parametrize("name", CASES)
def test_every_metric_has_evidentlys_value(name: str) -> None:
    mapped = ON_NUMBERS if CASES[name][2] else ON_LEVELS
    found = drift(name, metrics=[metric for metric, _ in mapped.values()])

    for test, (metric, is_p_value) in mapped.items():
        value = found[metric]
        assert answers()[name][test][0] == pytest.approx(
            value.p_value if is_p_value else value.value, rel=1e-6, abs=_tolerance(metric)
        ), test


@pytest.mark.parametrize("name", CASES)
def test_the_default_metric_is_evidentlys_with_its_value_and_verdict(name: str) -> None:
    chosen, score, drifted = answers()[name]["default"]

    (value,) = drift(name).values()

    assert DEFAULTS[chosen] == value.name
    by_p_value = chosen in ("ks", "chisquare", "z")
    tolerance = _tolerance(value.name) if by_p_value else 1e-8
    assert score == pytest.approx(value.p_value if by_p_value else value.value, abs=tolerance)
    status = judge(value, Rules.from_definition(definition())).status
    assert (ResultStatus.DETECTED if drifted else ResultStatus.NO_DETECTION) is status
