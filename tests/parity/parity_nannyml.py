"""NannyML 0.13.1 and ``parity: nannyml`` find the same values, on made-up columns and on its car loan data."""

from __future__ import annotations

import functools
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

CONTINUOUS = {
    "jensen_shannon": "js_distance",
    "hellinger": "hellinger",
    "kolmogorov_smirnov": "ks",
    "wasserstein": "wasserstein",
}
CATEGORICAL = {"jensen_shannon": "js_distance", "hellinger": "hellinger", "chi2": "chi_square", "l_infinity": "l_inf"}
CHUNK = 5000


def cases() -> dict[str, tuple[list[Any], list[Any], bool]]:
    rng = np.random.default_rng(7)
    words = np.array(["red", "green", "blue", "black", "white"])
    found: dict[str, tuple[Any, Any, bool]] = {
        "normal": (rng.normal(size=1200), rng.normal(0.3, 1.4, 700), True),
        "lognormal": (rng.lognormal(size=900), rng.lognormal(0.2, 1, 500), True),
        "cauchy": (rng.standard_cauchy(900), rng.standard_cauchy(500), True),
        "small": (rng.normal(size=60), rng.normal(5, 1, 30), True),
        "counts": (rng.poisson(9, 1500).astype(float), rng.poisson(11, 600).astype(float), True),
        "many counts": (rng.integers(0, 60, 2000).astype(float), rng.integers(5, 80, 600).astype(float), True),
        "words": (words[rng.integers(0, 4, 900)], words[rng.integers(0, 4, 350)], False),
        "vanished": (words[rng.integers(0, 5, 900)], words[rng.integers(1, 5, 350)], False),
    }
    return {name: (a.tolist(), b.tolist(), numeric) for name, (a, b, numeric) in found.items()}


CASES = cases()


@functools.cache
def answers() -> dict[str, Any]:
    asked = [
        {
            "reference": a,
            "current": b,
            "kind": "continuous" if numeric else "categorical",
            "methods": list(CONTINUOUS if numeric else CATEGORICAL),
        }
        for a, b, numeric in CASES.values()
    ]
    return ask("nannyml", "nannyml_values.py", {"cases": asked, "loans": True})  # type: ignore[no-any-return]


def drift(reference: list[Any], current: list[Any], *, numeric: bool) -> dict[str, MetricValue]:
    definition = load_definition(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "drift": {"parity": "nannyml"},
            "minimums": {"referenceRows": 1, "currentRows": 1},
        }
    )
    kind = ColumnKind.NUMERIC if numeric else ColumnKind.CATEGORICAL
    # As many buckets as values: what is compared is the formula, not the histogram's precision.
    sides = (ColumnProfile.of(values, kind=kind, buckets=1 << 20) for values in (reference, current))
    settings = ComparisonSettings.from_definition(definition)
    return {value.name: value for value in column_drift(*sides, settings)}  # type: ignore[misc]


@pytest.mark.parametrize("name", CASES)
def test_every_metric_has_nannymls_value(name: str) -> None:
    reference, current, numeric = CASES[name]
    expected = answers()["answers"][list(CASES).index(name)]
    found = drift(reference, current, numeric=numeric)

    for method, metric in (CONTINUOUS if numeric else CATEGORICAL).items():
        assert expected[method] == pytest.approx(found[metric].value, rel=1e-8, abs=1e-8), method


def _ends(column: str) -> list[dict[str, MetricValue]]:
    """The first and the last chunk of the analysis rows against the reference."""
    reference, analysis = answers()["loans"][column]
    numeric = column == "car_value"
    return [drift(reference, chunk, numeric=numeric) for chunk in (analysis[:CHUNK], analysis[-CHUNK:])]


def test_f10_car_value() -> None:
    ends = _ends("car_value")

    assert [0.01310, 0.43850] == pytest.approx([end["ks"].value for end in ends], abs=1e-5)
    assert [0.02619345, 0.46782687] == pytest.approx([end["js_distance"].value for end in ends], abs=1e-8)
    assert [348.316, 19061.674] == pytest.approx([end["wasserstein"].value for end in ends], abs=1e-3)


def test_f10_salary_range() -> None:
    ends = _ends("salary_range")

    assert [1.03368, 474.8918] == pytest.approx([end["chi_square"].value for end in ends], rel=1e-5)
    assert [0.00616, 0.09356] == pytest.approx([end["l_inf"].value for end in ends], abs=1e-8)
