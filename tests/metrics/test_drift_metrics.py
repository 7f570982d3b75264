"""The registry: golden numbers through whole profiles, SciPy as oracle for every test, and what a choice changes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.drift import Parity
from airflow_monitoring_provider.definitions.metric_terms import DRIFT_METRICS as IDS
from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.choice import (
    DISCRETE_DEFAULT,
    NUMERIC_DEFAULT,
    ON_NUMBERS,
    DriftChoices,
    by_size,
)
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.drift_metrics import DRIFT_METRICS, Needs
from airflow_monitoring_provider.metrics.rank_tests import anderson_k_critical_value, cvm_critical_value
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.profile import ColumnProfile

EVERY = sorted(IDS)
F1 = {"a": 200, "b": 300, "c": 500}, {"a": 10, "b": 40, "c": 50}
F2 = {"a": 200, "b": 300, "c": 500}, {"a": 10, "b": 40, "c": 45, "d": 5}


def numbers(values: object) -> ColumnProfile:
    return ColumnProfile.of(np.asarray(values, np.float64))


def levels(counts: dict[str | None, int]) -> ColumnProfile:
    return ColumnProfile.of([name for name, rows in counts.items() for _ in range(rows)], kind=ColumnKind.CATEGORICAL)


def settings(**drift: Any) -> ComparisonSettings:
    limit = {"critical": 0.5}
    limits: dict[str, Any] = dict.fromkeys((*(drift.get("metrics") or ()), *_primary(drift)), limit)
    for column, said in drift.get("columns", {}).items():
        limits |= {name: {"columns": {column: limit}} for name in (*said.get("metrics", ()), *_primary(said))}
    definition = load_definition(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "drift": drift,
            "thresholds": limits,
            "minimums": {"referenceRows": 1, "currentRows": 1},
        }
    )
    return ComparisonSettings.from_definition(definition)


def _primary(said: dict[str, Any]) -> list[str]:
    return [said["primary"]] if "primary" in said else []


def drift(reference: ColumnProfile, current: ColumnProfile, **said: Any) -> dict[str, MetricValue]:
    return {value.name: value for value in column_drift(reference, current, settings(**{"metrics": EVERY, **said}))}


def values(found: dict[str, MetricValue], *names: str) -> list[float | None]:
    return [found[name].value for name in names]


def test_the_registry_holds_every_metric_that_a_definition_may_name() -> None:
    assert set(DRIFT_METRICS) == IDS
    assert {name for name, metric in DRIFT_METRICS.items() if metric.needs is Needs.VALUES} == ON_NUMBERS


def test_the_page_of_metrics_lists_every_one_with_its_range() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    drift = page.split("# Performance metrics")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", drift, re.MULTILINE))

    assert {name: _range(name) for name in IDS} == {name: text.strip() for name, text in rows.items()}


def test_f1_through_whole_profiles() -> None:
    found = drift(levels(F1[0]), levels(F1[1]))

    names = ("psi", "kl_cr", "kl_rc", "js_distance", "js_divergence", "hellinger", "tvd", "l_inf", "chi_square")
    expected = [0.09808293, 0.04575811, 0.05232481, 0.13200673, 0.01207863, 0.11031084, 0.1, 0.1, 7.70308123]
    assert expected == pytest.approx(values(found, *names), abs=1e-8)
    assert 0.02124698 == pytest.approx(found["chi_square"].p_value, abs=1e-8)
    assert 0.10990281 == pytest.approx(drift(levels(F1[0]), levels(F1[1]), logBase="e")["js_distance"].value, abs=1e-8)
    assert 0.01207863 / np.log(2) == pytest.approx(
        drift(levels(F1[0]), levels(F1[1]), logBase=2)["js_divergence"].value, abs=1e-8
    )
    missing = drift(levels({**F1[0], None: 50}), levels({**F1[1], None: 20}))
    assert 0.25299996 == pytest.approx(missing["psi"].value, abs=1e-8)


def test_f1_and_f2_in_evidentlys_way() -> None:
    f1 = drift(levels(F1[0]), levels(F1[1]), parity="evidently", metrics=["chi_square", "js_distance", "psi"])
    f2 = drift(levels(F2[0]), levels(F2[1]), parity="evidently", metrics=["chi_square", "js_distance", "psi"])

    assert (8.33333333, 0.01550385) == pytest.approx((f1["chi_square"].value, f1["chi_square"].p_value), abs=1e-8)
    assert 0.0 == f2["chi_square"].p_value
    assert (0.17339408, 0.41345990) == pytest.approx((f2["js_distance"].value, f2["psi"].value), abs=1e-8)


def test_f2_through_whole_profiles() -> None:
    found = drift(levels(F2[0]), levels(F2[1]))

    expected = [0.34196630, 0.20826751, 0.03006551, 0.15]
    assert expected == pytest.approx(values(found, "psi", "js_distance", "js_divergence", "tvd"), abs=1e-8)
    table = np.array([[200, 300, 500, 0], [10, 40, 45, 5]])
    assert stats.chi2_contingency(table, correction=False).statistic == pytest.approx(found["chi_square"].value)


def test_f3_through_whole_profiles() -> None:
    found = drift(numbers(range(100)), numbers(range(10, 110)))

    expected = [0.1, 10.0, 10 / np.arange(100).std(), 1.39068329, 0.30673009, 13.33333333]
    names = ("ks", "wasserstein", "wasserstein_norm", "energy", "psi", "chi_square")
    assert expected == pytest.approx(values(found, *names), abs=1e-8)
    assert 0.70205698 == pytest.approx(found["ks"].p_value, abs=1e-8)
    assert (0.14809420, 0.33837955) == pytest.approx(
        (found["chi_square"].p_value, found["psi"].critical_value), abs=1e-8
    )


@pytest.mark.parametrize(
    ("parity", "expected"),
    [("datarobot", {"psi": 0.47483075}), ("mlrun", {"tvd": 0.1, "hellinger": 0.31622777, "psi": 1.31223634}),
     ("nannyml", {"js_distance": 0.27258580, "hellinger": 0.25990387, "wasserstein": 10.0, "ks": 0.1}),
     ("evidently", {"psi": 0.29326741})],
)  # fmt: skip
def test_f3_in_the_way_of_other_tools(parity: str, expected: dict[str, float]) -> None:
    chosen = {"metrics": list(expected)} if parity == "evidently" else {"metrics": None}

    found = drift(numbers(range(100)), numbers(range(10, 110)), parity=parity, **chosen)

    assert expected == pytest.approx({name: found[name].value for name in expected}, abs=1e-8)


def test_f6_through_whole_profiles() -> None:
    both = levels({"a": 50, "b": 50}), levels({"a": 100})

    found = [drift(*both, zeroCells=rule)["psi"].value for rule in ("add_one", "floor", "scale")]

    assert [2.29302192, 4.60431847, 4.60517019] == pytest.approx(found, abs=1e-8)


def test_f9_one_outlier_moves_psi_by_less_than_a_hundredth() -> None:
    rng = np.random.default_rng(1)
    reference, current = rng.normal(0, 1, 10_000), rng.normal(1, 1, 10_000)

    plain = drift(numbers(reference), numbers(current), metrics=["psi"])["psi"].value
    outlier = drift(numbers(reference), numbers([*current, 1e6]), metrics=["psi"])["psi"].value

    assert plain == pytest.approx(outlier, rel=0.01)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [(6, 9), (15, 18), (30, 24), (400, 250)])
@pytest.mark.parametrize("draw", ["normal", "ties"])
def test_tests_agree_with_scipy(seed: int, sizes: tuple[int, int], draw: str) -> None:
    rng = np.random.default_rng(seed)
    a, b = (
        rng.normal(shift, 1, size) if draw == "normal" else rng.poisson(6 + 2 * shift, size).astype(float)
        for shift, size in zip((0, 0.3), sizes, strict=True)
    )

    found = drift(numbers(a), numbers(b))

    rank = stats.mannwhitneyu(b, a)
    expected = {
        "mannwhitney": (abs(2 * rank.statistic / (a.size * b.size) - 1), rank.pvalue),
        "cvm": _pair(stats.cramervonmises_2samp(a, b)),
        "epps_singleton": _pair(stats.epps_singleton_2samp(a, b)),
        "t_test": (
            abs(stats.ttest_ind(b, a, equal_var=False).statistic),
            stats.ttest_ind(b, a, equal_var=False).pvalue,
        ),
        "energy": (stats.energy_distance(a, b), found["psi"].p_value),
        "wasserstein": (stats.wasserstein_distance(a, b), found["psi"].p_value),
    }
    for name, pair in expected.items():
        assert pair == pytest.approx((found[name].value, found[name].p_value), rel=1e-7, abs=1e-8), name
    assert rank.statistic == found["mannwhitney"].details["statistic"]


@pytest.mark.parametrize("draw", ["normal", "ties"])
def test_a_test_exceeds_its_critical_value_where_its_p_value_is_below_alpha(draw: str) -> None:
    rng = np.random.default_rng(4)
    for step in range(40):
        a, b = (
            rng.normal(shift, 1, size) if draw == "normal" else rng.poisson(6 + 3 * shift, size).astype(float)
            for shift, size in ((0, 300), (step / 150, 200))
        )
        found = drift(numbers(a), numbers(b), metrics=["mannwhitney", "cvm", "anderson_k", "epps_singleton", "t_test"])
        for name in ("mannwhitney", "cvm", "anderson_k", "epps_singleton", "t_test"):
            value = found[name]
            assert value.value is not None
            assert value.critical_value is not None
            assert value.p_value is not None
            if abs(value.p_value - 0.05) > 0.005:
                assert (value.p_value < 0.05) is (value.value > value.critical_value), (name, step)


def test_critical_values_are_those_of_the_tables() -> None:
    counts = np.ones(100_000, np.int64)

    assert 0.46136 == pytest.approx(cvm_critical_value(counts, counts, 0.05), abs=2e-5)  # Anderson, Darling (1952)
    assert [1.961, 6.546] == pytest.approx([anderson_k_critical_value(level) for level in (0.05, 0.001)])
    assert anderson_k_critical_value(0.5) is None


def test_a_metric_with_a_threshold_is_measured_beside_what_decides() -> None:
    def measured(thresholds: dict[str, Any], column: ColumnProfile, **said: Any) -> tuple[str, ...]:
        definition = load_definition(
            {
                "deploymentId": "d",
                "monitoringColumns": {"predictionsColumns": "p"},
                "drift": said,
                "thresholds": thresholds,
            }
        )
        return DriftChoices.from_definition(definition).of(column).metrics

    limit, column = {"critical": 0.5}, numbers(range(50))
    assert (*NUMERIC_DEFAULT, "energy") == measured({"energy": limit, "psi": limit}, column)
    assert ("ks", "energy") == measured({"energy": limit, "rmse": limit}, column, metrics=["ks"])
    assert ("ks",) == measured({"energy": {"columns": {"other": limit}}}, column, metrics=["ks"])
    assert DISCRETE_DEFAULT == measured({"energy": limit}, levels({"a": 5}))
    assert () == measured({"psi": limit}, levels({"a": 5}), metrics=["ks"])


@pytest.mark.parametrize("shift", [0.0, 0.05, 0.12, 0.2, 1.0])
@pytest.mark.filterwarnings("ignore:p-value (floored|capped)", "ignore:Parameter `variant`")
def test_anderson_darling_agrees_with_scipy(shift: float) -> None:
    rng = np.random.default_rng(5)
    for a, b in (
        (rng.normal(size=300), rng.normal(shift, 1, 200)),
        (rng.poisson(5, 300).astype(float), rng.poisson(5 + shift, 150).astype(float)),
    ):
        expected, found = stats.anderson_ksamp([a, b]), drift(numbers(a), numbers(b))["anderson_k"]

        assert _pair(expected) == pytest.approx((found.value, found.p_value), rel=1e-9)


def test_anderson_darlings_deviation_has_its_limit_where_it_is_no_longer_summed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from airflow_monitoring_provider.metrics import rank_tests

    counts = np.full(50, 2000), np.full(50, 1000)
    expected = rank_tests.anderson_k(*counts).statistic
    monkeypatch.setattr(rank_tests, "_AD_SUMMED", 0)

    assert expected == pytest.approx(rank_tests.anderson_k(*counts).statistic, rel=1e-3)


def test_tests_of_cells_agree_with_scipy() -> None:
    table = np.array([[30, 50, 70], [45, 40, 60]])
    found = drift(levels(dict(zip("abc", table[0], strict=True))), levels(dict(zip("abc", table[1], strict=True))))
    two = drift(levels({"a": 60, "b": 40}), levels({"a": 33, "b": 67}))

    g = stats.chi2_contingency(table, lambda_="log-likelihood", correction=False)
    assert (g.statistic, g.pvalue) == pytest.approx((found["g_test"].value, found["g_test"].p_value))
    assert Reason.NOT_APPLICABLE == found["z_test"].reason
    plain = stats.chi2_contingency([[60, 40], [33, 67]], correction=False)
    assert (plain.statistic**0.5, plain.pvalue) == pytest.approx((two["z_test"].value, two["z_test"].p_value))


def test_missingness_of_f1_in_the_z_test() -> None:
    found = drift(levels({"a": 1000, None: 50}), levels({"a": 100, None: 20}))["z_test"]

    assert 5.20899037 == pytest.approx(found.value, abs=1e-8)


def test_a_small_table_of_many_levels_is_permuted_and_agrees_with_scipy() -> None:
    reference, current = {f"l{i}": 1 for i in range(9)}, {"l0": 1, "m0": 1, "m1": 1}

    found = drift(levels(reference), levels(current), missing="drop")["chi_square"]

    names = [*reference, *(name for name in current if name not in reference)]
    rows = np.array([names.index(name) for side in (reference, current) for name in side])

    def statistic(a: Any, b: Any, axis: int = 0) -> Any:
        counts = np.stack([np.bincount(x, minlength=11) for x in (a, b)])
        return stats.chi2_contingency(counts, correction=False).statistic

    expected = stats.permutation_test(
        (rows[:9], rows[9:]), statistic, alternative="greater", n_resamples=np.inf, vectorized=False
    )
    assert "permutation" == found.details["test"]
    assert expected.pvalue == pytest.approx(found.p_value, abs=0.2)  # a fifth: 20 tables of about 23
    assert found.p_value == drift(levels(reference), levels(current), missing="drop")["chi_square"].p_value


def test_a_column_has_the_metrics_of_its_kind_and_its_own_choice_first() -> None:
    said: dict[str, Any] = {
        "metrics": ["ks", "psi", "tvd"],
        "primary": "tvd",
        "columns": {"x": {"metrics": ["energy", "hellinger"]}},
    }
    chosen = settings(**said).drift

    assert ("tvd", "ks", "psi") == chosen.of(ColumnProfile.of([1.0, 2.0], name="y")).metrics
    assert ("tvd", "psi") == chosen.of(ColumnProfile.of(["a"], name="y", kind=ColumnKind.CATEGORICAL)).metrics
    assert ("tvd", "energy", "hellinger") == chosen.of(ColumnProfile.of([1.0, 2.0], name="x")).metrics


def test_a_column_that_can_have_none_of_the_metrics_says_so() -> None:
    found = column_drift(levels(F1[0]), levels(F1[1]), settings(metrics=["ks", "energy"]))

    assert [("psi", None, Reason.NOT_APPLICABLE, True)] == [(v.name, v.value, v.reason, v.primary) for v in found]


def test_own_edges_are_counted_between() -> None:
    found = drift(
        ColumnProfile.of(np.arange(100.0), name="x"),
        ColumnProfile.of(np.arange(10.0, 110), name="x"),
        metrics=["tvd"],
        columns={"x": {"binning": "custom", "edges": [50.0]}},
    )["tvd"]

    assert 0.1 == pytest.approx(found.value)
    assert str(found.binning).startswith("custom-")


@pytest.mark.parametrize(
    ("expected", "rows", "distinct", "numeric"),
    [
        ("ks", 1000, 6, True), ("chi_square", 1000, 5, True), ("chi_square", 1000, 3, True), ("z_test", 1000, 2, True),
        ("wasserstein_norm", 1001, 6, True), ("js_distance", 1001, 5, True), ("chi_square", 1000, 3, False),
        ("z_test", 1000, 2, False), ("js_distance", 1001, 2, False),
    ],
)  # fmt: skip
def test_evidentlys_metric_goes_by_rows_and_distinct_values(
    expected: str, rows: int, distinct: int, numeric: bool
) -> None:
    values = [i % distinct for i in range(rows)]
    column = numbers(values) if numeric else ColumnProfile.of([str(v) for v in values], kind=ColumnKind.CATEGORICAL)

    assert expected == by_size(column, column)
    assert expected == column_drift(column, column, settings(parity=Parity.EVIDENTLY.value))[0].name


def test_every_value_says_how_it_was_made() -> None:
    rng = np.random.default_rng(0)
    for value in drift(numbers(rng.normal(size=300)), numbers(rng.normal(size=200))).values():
        if value.value is None:
            assert value.reason is not None
            continue
        assert (300, 200) == (value.n, value.m)
        assert value.precision is not None
        assert value.p_value is not None
        assert (value.binning is None) == (value.name in ON_NUMBERS)
        assert value.direction.value == METRICS[value.name].direction
        assert (0.0, 0.0) == (value.missing_reference, value.missing_current)
        assert "test" in value.details


def test_the_default_metrics_do_not_import_scipys_distributions() -> None:
    program = (
        "import sys, numpy as np\n"
        "from airflow_monitoring_provider.metrics.drift import column_drift\n"
        "from airflow_monitoring_provider.metrics.settings import ComparisonSettings\n"
        "from airflow_monitoring_provider.profiles.profile import ColumnProfile\n"
        "a, b = (ColumnProfile.of(np.arange(500.0) + s) for s in (0, 9))\n"
        "assert column_drift(a, b, ComparisonSettings())[0].value is not None\n"
        "assert 'scipy.stats' not in sys.modules\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


def _pair(result: Any) -> tuple[float, float]:
    return float(result.statistic), float(result.pvalue)


def _range(name: str) -> str:
    term = METRICS[name]
    left, right = ("(" if term.low == -np.inf else "["), (")" if term.high == np.inf else "]")
    return f"{left}{term.low:g}, {term.high:g}{right}"
