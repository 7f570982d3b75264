"""One column's drift: which values it has, what decides, and the reason wherever there is no number."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind
from airflow_monitoring_provider.profiles.plan import ColumnRole
from airflow_monitoring_provider.profiles.profile import ColumnProfile

CATEGORICAL = ColumnKind.CATEGORICAL
ANY_SIZE = ComparisonSettings(reference_rows=1, current_rows=1, rows_per_cell=0)
DEFAULT = ComparisonSettings()


def numbers(values: object, **options: object) -> ColumnProfile:
    return ColumnProfile.of(np.asarray(values, np.float64), **options)  # type: ignore[arg-type]


def levels(*values: str | None, **options: object) -> ColumnProfile:
    return ColumnProfile.of(values, kind=CATEGORICAL, **options)  # type: ignore[arg-type]


def drift(
    reference: ColumnProfile | None,
    current: ColumnProfile | None,
    settings: ComparisonSettings = ANY_SIZE,
    **options: bool,
) -> dict[str, MetricValue]:
    return {value.name: value for value in column_drift(reference, current, settings, **options)}  # type: ignore[arg-type]


def test_a_shifted_column_gives_the_golden_numbers() -> None:
    values = drift(numbers(range(100)), numbers(range(10, 110)))

    expected = {
        "psi": 0.30673009,
        "wasserstein_norm": 0.34642747,
        "ks": 0.1,
        "js_distance": 0.24951077,
        "hellinger": 0.24203025,
        "tvd": 0.1,
    }
    assert expected == pytest.approx({name: value.value for name, value in values.items()}, abs=2e-8)
    assert 10.0 == pytest.approx(values["wasserstein_norm"].details["wasserstein"])
    assert 0.70205698 == pytest.approx(values["ks"].p_value, abs=1e-8)
    rank_sum = stats.mannwhitneyu(range(100), range(10, 110), method="asymptotic", use_continuity=False)
    assert rank_sum.pvalue == pytest.approx(values["psi"].details["location_p"], rel=1e-9)
    assert 0.33837955 == pytest.approx(values["psi"].critical_value, abs=1e-8)
    assert (100, 100) == (values["psi"].n, values["psi"].m)


def test_a_categorical_column_gives_the_golden_numbers() -> None:
    values = drift(levels(*"a" * 200, *"b" * 300, *"c" * 500), levels(*"a" * 10, *"b" * 40, *"c" * 50))

    assert ("psi", "js_distance", "hellinger", "tvd", "chi_square") == tuple(values)
    assert 0.09808293 == pytest.approx(values["psi"].value, abs=1e-8)
    assert (7.70308123, 2) == pytest.approx((values["chi_square"].value, values["chi_square"].details["degrees"]))
    assert 0.02124698 == pytest.approx(values["chi_square"].p_value, abs=1e-8)
    assert 0.015578 == pytest.approx(values["psi"].p_value, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("make", ["normal", "lognormal", "standard_cauchy", "integers"])
def test_values_on_numbers_agree_with_scipy(seed: int, make: str) -> None:
    rng = np.random.default_rng(seed)
    draw = (
        (lambda size: rng.integers(0, 40, size)) if make == "integers" else lambda size: getattr(rng, make)(size=size)
    )
    reference, current = draw(1500).astype(float), draw(700).astype(float) * 1.1

    values = drift(numbers(reference), numbers(current))

    ks = stats.ks_2samp(reference, current, method="asymp")
    distance = stats.wasserstein_distance(reference, current)
    assert ks.statistic == pytest.approx(values["ks"].value, abs=1e-9)
    assert ks.pvalue == pytest.approx(values["ks"].p_value, abs=1e-4)
    assert distance == pytest.approx(values["wasserstein_norm"].details["wasserstein"], rel=1e-9)
    assert distance / reference.std() == pytest.approx(values["wasserstein_norm"].value, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_values_of_coarse_histograms_stay_within_their_stated_precision(seed: int) -> None:
    rng = np.random.default_rng(seed)
    reference, current = rng.normal(size=20_000), rng.normal(0.1, 1.1, size=6000)

    values = drift(numbers(reference), numbers(current))

    precision = values["ks"].precision
    assert precision is not None
    assert 0 < precision["shift"]
    bound = precision["largest_bucket"]
    assert stats.ks_2samp(reference, current).statistic == pytest.approx(values["ks"].value, abs=bound)
    distance = stats.wasserstein_distance(reference, current)
    assert distance == pytest.approx(values["wasserstein_norm"].details["wasserstein"], rel=0.01)


def test_the_primary_value_decides_and_carries_size_test_and_cells() -> None:
    rng = np.random.default_rng(0)
    values = drift(numbers(rng.normal(size=500)), numbers(rng.normal(1, 1, size=300)), DEFAULT)
    psi = values["psi"]

    assert ["psi"] == [name for name, value in values.items() if value.primary]
    assert psi.binning is not None
    assert psi.binning.startswith("quantile-")
    assert "likelihood_ratio_and_ranks" == psi.details["test"]
    parts = [psi.details[f"{part}_p"] for part in ("location", "spread", "cells")]
    scores = np.dot([0.5, 0.2, 0.3], 1 / (np.pi * np.array(parts)))  # tiny p-values: the Cauchy score is 1 / (pi p)
    assert 1 / (np.pi * scores) == pytest.approx(psi.p_value, rel=0.05)
    assert psi.p_value == values["js_distance"].p_value == values["wasserstein_norm"].p_value
    assert ("quantile", 10) == (psi.details["scheme"], psi.details["cells"])


def test_a_text_is_compared_by_its_length() -> None:
    texts = ["x" * (i % 30) for i in range(300)]
    values = drift(
        ColumnProfile.of(texts, kind=ColumnKind.TEXT), ColumnProfile.of([t * 2 for t in texts], kind=ColumnKind.TEXT)
    )

    assert 0.25 < (values["psi"].value or 0)
    assert {"length"} == {value.details["of"] for value in values.values()}


def test_a_timestamp_has_no_drift() -> None:
    assert {} == drift(ColumnProfile.of([1, 2], kind=ColumnKind.TIMESTAMP), None)


def test_missing_actuals_are_late_and_not_a_level() -> None:
    reference = levels(*"ab" * 200, role=ColumnRole.ACTUAL)
    current = levels(*"ab" * 100, *[None] * 700, role=ColumnRole.ACTUAL)

    psi = drift(reference, current, DEFAULT)["psi"]

    assert (0.0, ResultKind.CONCEPT_DRIFT, 200) == (psi.value, psi.kind, psi.m)
    assert 7 / 9 == pytest.approx(psi.missing_current)


def test_a_column_that_goes_missing_drifts() -> None:
    psi = drift(numbers(range(400)), numbers([np.nan] * 200), DEFAULT)["psi"]

    assert 1.0 < (psi.value or 0)
    assert 1e-6 > (psi.p_value or 1)
    assert {"cell": "__missing__", "reference": 0.0, "current": 1.0} == psi.details["moved"][0]


def test_a_movement_says_that_infinite_values_are_among_the_missing() -> None:
    psi = drift(numbers(range(400)), numbers([np.inf] * 200), DEFAULT)["psi"]

    assert {"cell": "__missing__", "reference": 0.0, "current": 1.0, "infinite": True} == psi.details["moved"][0]


def test_a_constant_column_that_stays_constant_does_not_drift() -> None:
    values = drift(numbers([3.0] * 300), numbers([3.0] * 150), DEFAULT)

    assert {0.0} == {value.value for value in values.values()}
    assert 1.0 == values["psi"].p_value


def test_too_few_rows_give_no_number() -> None:
    rng = np.random.default_rng(0)
    enough, few = numbers(rng.normal(size=200)), numbers(rng.normal(size=99))

    for values in (drift(enough, few, DEFAULT), drift(numbers(rng.normal(size=199)), enough, DEFAULT)):
        assert {(None, None, Reason.INSUFFICIENT_DATA)} == {(v.value, v.p_value, v.reason) for v in values.values()}
        assert {"reference_rows": 200, "current_rows": 100} == values["psi"].details["needed"]
    assert drift(enough, numbers(rng.normal(size=100)), DEFAULT)["psi"].value is not None


def test_psi_needs_five_rows_a_cell() -> None:
    names = [f"level {i}" for i in range(100)]
    values = drift(levels(*names * 5), levels(*names * 4), DEFAULT)

    assert (None, Reason.INSUFFICIENT_DATA) == (values["psi"].value, values["psi"].reason)
    assert {"current_rows": 500} == values["psi"].details["needed"]
    assert 0.0 == values["tvd"].value
    assert 0.0 == drift(levels(*names * 5), levels(*names * 5), DEFAULT)["psi"].value


@pytest.mark.parametrize(
    ("reason", "reference", "current"),
    [
        (Reason.COLUMN_MISSING, numbers([1.0]), None),
        (Reason.COLUMN_NEW, None, numbers([1.0])),
        (Reason.COLUMN_RETYPED, numbers([1.0]), levels("1")),
        (Reason.COLUMN_RETYPED, numbers([0.5]), numbers([0.5], mirrored=True)),
        (Reason.COLUMN_RETYPED, levels("a"), levels("a", level_names="hash")),
        (Reason.NO_DATA, numbers([]), numbers([1.0])),
        (Reason.NO_DATA, numbers([1.0]), numbers([])),
        (Reason.NO_DATA, numbers([np.nan]), numbers([1.0])),
        (Reason.NO_DATA, levels(), levels("a")),
    ],
)
def test_what_cannot_be_compared_has_a_reason(
    reason: Reason, reference: ColumnProfile | None, current: ColumnProfile | None
) -> None:
    values = drift(reference, current)

    assert values
    assert {(None, None, reason)} == {(value.value, value.p_value, value.reason) for value in values.values()}
    assert ["psi"] == [name for name, value in values.items() if value.primary]


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (numbers([1.0]), numbers([1.0])),
        (numbers([1.0]), numbers([np.inf])),
        (numbers([5.0] * 30), numbers(range(30))),
        (numbers(range(30)), numbers([1e308, -1e308])),
        (numbers([1e308, -1e308] * 10), numbers([5e-324])),
        (numbers(1.7e308 * np.linspace(-1, 1, 50)), numbers(np.linspace(0, 1, 50))),
        (numbers(1e9 + np.linspace(0, 1e-3, 5000)), numbers(1e9 + np.linspace(0, 2e-3, 5000))),
        (levels("a"), levels("b")),
        (levels(*"abc"), levels(None, None)),
        (levels("a", "\x00", "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace")), levels("🙂")),
    ],
)
def test_odd_columns_give_numbers_or_reasons_and_never_nan(reference: ColumnProfile, current: ColumnProfile) -> None:
    for value in drift(reference, current).values():
        assert (value.value is None) == (value.reason is not None)
        assert value.value is None or np.isfinite(value.value)
        assert value.p_value is None or 0 <= value.p_value <= 1
        assert json.dumps(value.details, allow_nan=False)


def test_a_million_levels_are_compared_in_bounded_cells() -> None:
    many = levels(*"ab" * 10_000, *(f"user {i}" for i in range(30_000)), named_levels=["a", "b"])

    values = drift(many, levels(*"a" * 20_000, *(f"guest {i}" for i in range(15_000)), named_levels=["a", "b"]))

    assert many.levels is not None
    assert many.levels.truncated
    assert 1.0 < (values["psi"].value or 0)
    assert {"cell": "a", "reference": 0.2, "current": 0.571429} == values["psi"].details["moved"][0]
    assert 1002 >= values["psi"].details["cells"]


def test_what_moved_most_comes_first_and_of_two_that_moved_as_much_the_first_label() -> None:
    before = {f"level {n:02d}": 10 for n in reversed(range(30))}
    after = {f"level {n:02d}": 10 + n % 4 for n in range(30)}
    n, m = sum(before.values()), sum(after.values())
    expected = sorted(before, key=lambda level: (-round(abs(after[level] / m - before[level] / n), 12), level))[:5]

    sides = [levels(*(level for level, rows in side.items() for _ in range(rows))) for side in (before, after)]
    moved = drift(sides[0], sides[1])["psi"].details["moved"]

    assert expected == [entry["cell"] for entry in moved]
    assert 1 == len({(entry["reference"], entry["current"]) for entry in moved})


def test_the_value_says_what_moved_and_names_levels_only_when_it_may() -> None:
    reference, current = levels(*"aaaabbbbccd"), levels(*"aaaaaaaaabx\n"[:11], "\n")

    named = drift(reference, current)["psi"].details["moved"]
    hidden = drift(reference, current, show_levels=False)["psi"].details["moved"]

    assert {"cell": "a", "reference": 0.363636, "current": 0.75} == named[0]
    assert 5 == len(named)
    assert {"__level__", "__unseen__"} == {entry["cell"] for entry in hidden}


def test_long_and_unprintable_levels_are_shown_safely() -> None:
    moved = drift(levels("x" * 500, "a\x00b"), levels("c", "c"))["psi"].details["moved"]

    assert {"__unseen__", "x" * 79 + "…", "a\\u0000b"} == {entry["cell"] for entry in moved}


def test_a_larger_shift_gives_a_larger_value() -> None:
    rng = np.random.default_rng(2)
    reference, noise = numbers(rng.normal(size=2000)), rng.normal(size=2000)

    for name in ("psi", "ks", "wasserstein_norm", "js_distance", "hellinger", "tvd"):
        found = [drift(reference, numbers(noise + shift))[name].value or 0.0 for shift in (0, 0.5, 1, 2)]
        assert sorted(found) == found
