"""Intervals of performance: SciPy's formulas, pairs of rows counted one by one, and rows drawn again as oracles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.metrics.intervals import delong_interval, delong_variance, t_interval
from airflow_monitoring_provider.metrics.performance import performance
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

ANY_SIZE = ComparisonSettings(reference_rows=1, current_rows=1, labelled_rows=1, per_class=1)
Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]


def binary(scores: npt.ArrayLike, actual: npt.ArrayLike) -> ClassificationProfile:
    return ClassificationProfile.of(("no", "yes"), scores, actual, positive_class="yes")


def found(target: ClassificationProfile | RegressionProfile) -> dict[str, MetricValue]:
    return {value.name: value for value in performance(target, None, ANY_SIZE)}


def ends(value: MetricValue) -> tuple[float, float]:
    assert value.low is not None
    assert value.high is not None
    return value.low, value.high


def some_scores(seed: int, rows: int = 600, digits: int = 2) -> tuple[Array, Labels]:
    rng = np.random.default_rng(seed)
    actual = (rng.random(rows) < 0.3).astype(np.int64)
    return np.clip(np.round(rng.beta(1.5 + 2 * actual, 3), digits), 0, 1), actual


def delong_by_pairs(scores: Array, actual: Labels) -> float:
    """The variance from every pair of a positive and a negative row, as in the paper."""
    positives, negatives = scores[actual == 1], scores[actual == 0]
    won = (positives[:, None] > negatives) + 0.5 * (positives[:, None] == negatives)
    of_positives, of_negatives = won.mean(axis=1), won.mean(axis=0)
    return float(np.var(of_positives, ddof=1) / positives.size + np.var(of_negatives, ddof=1) / negatives.size)


def test_the_variance_of_the_golden_area_is_delongs() -> None:
    scores, actual = [0.9, 0.4, 0.65, 0.3, 0.2, 0.55, 0.8, 0.1], [1, 0, 1, 1, 0, 0, 1, 0]
    buckets = np.array(sorted(scores))
    counts = [
        np.array([sum(s == b and a == k for s, a in zip(scores, actual, strict=True)) for b in buckets]) for k in (0, 1)
    ]
    half = 1.959963984540054 * 0.020833333333333332**0.5

    assert 0.02083333 == pytest.approx(delong_variance(counts[0], counts[1]), abs=1e-8)
    assert (0.875 - half, 1.0) == pytest.approx(ends(found(binary(scores, actual))["roc_auc"]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [1, 8])
def test_the_areas_interval_is_that_of_all_pairs_of_rows(seed: int, digits: int) -> None:
    scores, actual = some_scores(seed, digits=digits)
    half = stats.norm.ppf(0.975) * np.sqrt(delong_by_pairs(scores, actual))
    area = sk.roc_auc_score(actual, scores)

    values = found(binary(scores, actual))

    assert (area - half, area + half) == pytest.approx(ends(values["roc_auc"]), abs=1e-12)
    assert (2 * (area - half) - 1, 2 * (area + half) - 1) == pytest.approx(ends(values["gini"]), abs=1e-12)


def test_an_area_without_variance_claims_no_certainty() -> None:
    perfect = found(binary([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1]))["roc_auc"]

    assert (1.0, None, None) == (perfect.value, perfect.low, perfect.high)
    assert delong_interval(np.array([1, 0]), np.array([0, 5])) is None


@pytest.mark.parametrize("seed", range(4))
def test_means_have_students_interval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    actual = rng.normal(3, 2, 400)
    predicted = actual + rng.normal(-0.2, 1, 400)
    errors = predicted - actual

    values = found(RegressionProfile.of(predicted, actual))

    def expected(x: Array) -> tuple[float, float]:
        low, high = stats.t.interval(0.95, x.size - 1, x.mean(), stats.sem(x))
        return float(low), float(high)

    assert expected(errors) == pytest.approx(ends(values["mean_error"]), rel=1e-9)
    assert expected(np.abs(errors)) == pytest.approx(ends(values["mae"]), rel=1e-9)
    assert expected(errors**2) == pytest.approx(ends(values["mse"]), rel=1e-9)
    assert np.sqrt(expected(errors**2)) == pytest.approx(ends(values["rmse"]), rel=1e-9)
    low, high = expected(np.abs(errors / actual))
    assert (max(low, 0), high) == pytest.approx(ends(values["mape"]), rel=1e-9)
    smape = 2 * np.abs(errors) / (np.abs(actual) + np.abs(predicted))
    assert expected(smape) == pytest.approx(ends(values["smape"]), rel=1e-7)
    assert expected(np.abs(errors) / 2) == pytest.approx(ends(values["pinball"]), rel=1e-7)


def test_means_of_positive_targets_have_students_interval() -> None:
    rng = np.random.default_rng(5)
    actual = rng.gamma(2, 3, 500)
    predicted = actual * rng.lognormal(0, 0.3, 500)
    unit = {
        "poisson_deviance": [sk.mean_poisson_deviance(actual[i : i + 1], predicted[i : i + 1]) for i in range(500)],
        "gamma_deviance": [sk.mean_gamma_deviance(actual[i : i + 1], predicted[i : i + 1]) for i in range(500)],
    }
    logs = np.square(np.log1p(predicted) - np.log1p(actual))

    values = found(RegressionProfile.of(predicted, actual))

    for name, losses in unit.items():
        expected = stats.t.interval(0.95, 499, np.mean(losses), stats.sem(losses))
        assert expected == pytest.approx(ends(values[name]), rel=1e-7)
    expected = np.sqrt(stats.t.interval(0.95, 499, logs.mean(), stats.sem(logs)))
    assert expected == pytest.approx(ends(values["rmsle"]), rel=1e-7)


@pytest.mark.parametrize("centre", [0.5, 290.0])
def test_ratios_of_means_have_the_interval_of_rows_drawn_again(centre: float) -> None:
    rng = np.random.default_rng(6)
    rows = 800
    actual = rng.normal(centre, 2, rows)
    predicted = centre + 0.8 * (actual - centre) + rng.normal(0, 1, rows)
    drawn = []
    for _ in range(2000):
        place = rng.integers(0, rows, rows)
        y, p = actual[place], predicted[place]
        error = p - y
        r2 = 1 - np.square(error).sum() / np.square(y - y.mean()).sum()
        drawn.append((r2, np.abs(error).sum() / np.abs(y).sum()))

    values = found(RegressionProfile.of(predicted, actual))

    for name, sample in zip(("r2", "wape"), np.transpose(drawn), strict=True):
        expected = np.quantile(sample, [0.025, 0.975])
        assert expected == pytest.approx(ends(values[name]), abs=0.35 * np.std(sample)), name


def test_the_largest_error_has_no_interval() -> None:
    rng = np.random.default_rng(7)
    values = found(RegressionProfile.of(rng.gamma(2, 1, 200), rng.gamma(2, 1, 200)))

    assert {"max_error"} == {name for name, value in values.items() if value.low is None}


def test_losses_have_students_interval_over_rows() -> None:
    scores, actual = some_scores(3)
    scores = np.clip(scores, 0.01, 0.99)
    own = np.where(actual == 1, scores, 1 - scores)
    values = found(binary(scores, actual))

    for name, losses in (("log_loss", -np.log(own)), ("brier", (1 - own) ** 2)):
        expected = stats.t.interval(0.95, losses.size - 1, losses.mean(), stats.sem(losses))
        assert expected == pytest.approx(ends(values[name]), rel=1e-9)


def test_the_log_loss_of_many_classes_has_students_interval_over_rows() -> None:
    rng = np.random.default_rng(4)
    actual = rng.integers(0, 4, 700)
    scores = rng.dirichlet(np.ones(4), 700)
    losses = -np.log(scores[np.arange(700), actual])

    value = found(ClassificationProfile.of(tuple("abcd"), scores, actual))["log_loss"]

    expected = stats.t.interval(0.95, 699, losses.mean(), stats.sem(losses))
    assert expected == pytest.approx(ends(value), rel=1e-9)


def test_drawing_counts_is_drawing_rows() -> None:
    scores, actual = some_scores(1)
    score_of: dict[str, Callable[[Labels, Array], float]] = {
        "f2": lambda y, s: sk.fbeta_score(y, s >= 0.5, beta=2),
        "mcc": lambda y, s: sk.matthews_corrcoef(y, s >= 0.5),
        "average_precision": sk.average_precision_score,
        "gain_top_10": _gain_top_10,
    }
    rng = np.random.default_rng(100)
    drawn: dict[str, list[float]] = {name: [] for name in score_of}
    for _ in range(200):
        rows = rng.integers(0, actual.size, actual.size)
        for name, score in score_of.items():
            drawn[name].append(float(score(actual[rows], scores[rows])))

    values = found(binary(scores, actual))

    for name, sample in drawn.items():
        low, high = ends(values[name])
        spread = np.std(sample)
        # Percentiles of 200 and 500 draws: their standard errors are near 0.19 and 0.12 standard deviations.
        assert np.quantile(sample, [0.025, 0.975]) == pytest.approx([low, high], abs=0.6 * spread), name


def test_the_largest_gap_is_corrected_for_the_bias_of_its_resamples() -> None:
    """SciPy's BCa interval without its acceleration, which is Efron's bias correction, from rows drawn by itself."""
    scores, actual = some_scores(1)
    rng = np.random.default_rng(101)
    sample = np.array([_largest_gap(actual[rows], scores[rows]) for rows in rng.integers(0, 600, (400, 600))])
    shift = 2 * stats.norm.ppf(np.mean(sample < _largest_gap(actual, scores)))

    low, high = ends(found(binary(scores, actual))["ks_score"])

    assert np.quantile(sample, stats.norm.cdf(shift + np.array([-1.96, 1.96]))) == pytest.approx(
        [low, high], abs=0.6 * np.std(sample)
    )
    assert np.quantile(sample, 0.975) > high + 0.5 * np.std(sample)


def test_a_rate_among_the_best_is_never_certain() -> None:
    scores, actual = np.linspace(0, 1, 100), np.repeat([0, 1], 50)

    low, high = ends(found(binary(scores, actual))["rate_top_5"])

    expected = stats.binomtest(5, 5).proportion_ci(method="wilson")
    assert (expected.low, expected.high) == pytest.approx((low, high))


def _largest_gap(actual: Labels, scores: Array) -> float:
    above = scores >= np.unique(scores)[:, None]
    return float(np.max(np.abs(above[:, actual == 1].mean(axis=1) - above[:, actual == 0].mean(axis=1))))


def _gain_top_10(actual: Labels, scores: Array) -> float:
    """Of ties at the border each order is as likely: the share that fits."""
    wanted = actual.size / 10
    border = np.sort(scores)[::-1][int(np.ceil(wanted)) - 1]
    above, at = scores > border, scores == border
    hits = actual[above].sum() + (wanted - above.sum()) / at.sum() * actual[at].sum()
    return float(hits / actual.sum())


def test_drawing_tables_of_many_classes_is_drawing_rows() -> None:
    rng = np.random.default_rng(8)
    actual = rng.integers(0, 3, 500)
    scores = rng.dirichlet(np.ones(3), 500)
    scores[np.arange(500), actual] += 0.4
    scores /= scores.sum(axis=1, keepdims=True)
    predicted = scores.argmax(axis=1)
    values = found(ClassificationProfile.of(tuple("abc"), scores, actual))
    drawn = []
    for _ in range(150):
        rows = rng.integers(0, 500, 500)
        y, p = actual[rows], predicted[rows]
        macro = sk.f1_score(y, p, average="macro"), sk.precision_score(y, p, average="weighted")
        drawn.append((*macro, sk.matthews_corrcoef(y, p), sk.balanced_accuracy_score(y, p)))

    for name, sample in zip(
        ("macro_f1", "weighted_precision", "mcc", "balanced_accuracy"), np.transpose(drawn), strict=True
    ):
        expected = np.quantile(sample, [0.025, 0.975])
        assert expected == pytest.approx(ends(values[name]), abs=0.6 * np.std(sample)), name


def test_a_mean_of_areas_has_an_interval_that_is_never_too_narrow() -> None:
    rng = np.random.default_rng(9)
    actual = rng.integers(0, 3, 400)
    scores = rng.dirichlet(np.ones(3), 400)
    scores[np.arange(400), actual] += 0.2
    scores /= scores.sum(axis=1, keepdims=True)
    value = found(ClassificationProfile.of(tuple("abc"), scores, actual))["macro_roc_auc"]
    drawn = []
    for _ in range(100):
        rows = rng.integers(0, 400, 400)
        drawn.append(sk.roc_auc_score(actual[rows], scores[rows], multi_class="ovr"))

    low, high = ends(value)
    assert (low + high) / 2 == pytest.approx(value.value)
    assert np.std(drawn) < (high - low) / 2 / 1.96 < 3 * np.std(drawn)


def test_the_medians_interval_is_that_of_drawn_rows() -> None:
    rng = np.random.default_rng(10)
    actual = rng.normal(size=301)
    predicted = actual + rng.exponential(1, 301)
    absolute = np.abs(predicted - actual)
    medians = np.median(rng.choice(absolute, (4000, 301)), axis=1)

    assert np.quantile(medians, [0.025, 0.975]) == pytest.approx(
        ends(found(RegressionProfile.of(predicted, actual))["medae"]), abs=0.15 * np.std(medians)
    )


def test_the_calibrations_interval_covers_what_drawn_rows_show() -> None:
    scores, actual = some_scores(11, digits=6)
    rng = np.random.default_rng(11)
    drawn = []
    for _ in range(1000):
        rows = rng.integers(0, scores.size, scores.size)
        drawn.append(scores[rows].mean() / actual[rows].mean())

    assert np.quantile(drawn, [0.025, 0.975]) == pytest.approx(
        ends(found(binary(scores, actual))["calibration"]), abs=0.4 * np.std(drawn)
    )


def test_delongs_interval_holds_the_true_area_in_95_of_100_samples() -> None:
    rng = np.random.default_rng(12)
    truth = float(stats.norm.cdf(1 / np.sqrt(2)))  # positives shifted by one standard deviation
    held = 0
    for _ in range(400):
        scores = np.concatenate((rng.normal(0, 1, 80), rng.normal(1, 1, 60)))
        place = np.argsort(np.argsort(scores))
        negatives = np.bincount(place[:80], minlength=140)
        interval = delong_interval(negatives, 1 - negatives)
        held += interval is not None and interval[0] <= truth <= interval[1]

    assert 0.95 == pytest.approx(held / 400, abs=0.035)


def test_the_same_rows_have_the_same_intervals_in_any_order_and_any_parts() -> None:
    scores, actual = some_scores(13)
    order = np.random.default_rng(0).permutation(scores.size)
    parts = [binary(part, labels) for part, labels in zip(np.split(scores, 3), np.split(actual, 3), strict=True)]

    whole = found(binary(scores, actual))
    shuffled = found(binary(scores[order], actual[order]))
    merged = found(parts[2].merge(parts[0], parts[1]))

    assert {"ece"} == {name for name, value in whole.items() if value.low is None}
    for name, value in whole.items():
        for other in (shuffled[name], merged[name]):
            three = (other.value, other.low or 0.0, other.high or 0.0)
            assert (value.value, value.low or 0.0, value.high or 0.0) == pytest.approx(three, rel=1e-9)


def test_a_single_row_has_no_interval_of_a_mean() -> None:
    assert t_interval(1.0, float("nan"), 5) is t_interval(1.0, 0.0, 1) is None
    values = found(RegressionProfile.of([1.0], [2.0]))
    assert all(value.low is None for name, value in values.items() if name != "label_coverage")


rows = st.lists(st.tuples(st.sampled_from([0.0, 1e-300, 0.1, 0.25, 0.5, 0.75, 1 - 1e-16, 1.0]), st.integers(0, 1)))


@given(rows=rows)
@settings(max_examples=60, deadline=None)
def test_an_interval_is_ordered_within_its_range_and_around_what_has_a_formula(rows: list[tuple[float, int]]) -> None:
    values = found(binary([score for score, _ in rows], np.array([actual for _, actual in rows], np.int64)))

    for name, value in values.items():
        term = METRICS[name]
        if value.value is None:
            assert (None, None) == (value.low, value.high)
            continue
        assert term.low <= value.value <= term.high
        if value.low is not None and value.high is not None:
            assert term.low <= value.low <= value.high <= term.high
            if name in ("accuracy", "precision", "recall", "roc_auc", "gini", "log_loss", "brier"):
                assert value.low - 1e-12 <= value.value <= value.high + 1e-12


numbers = st.sampled_from([-1e308, -1e160, -2.0, -1.0, -1e-300, 0.0, 1e-300, 0.1, 1.0, 1.5, 3.0, 1e160, 1.7e308])


@given(rows=st.lists(st.tuples(numbers, numbers)))
@settings(max_examples=60, deadline=None)
def test_any_numbers_have_scores_and_intervals_in_range_or_a_reason(rows: list[tuple[float, float]]) -> None:
    values = found(RegressionProfile.of([p for p, _ in rows], [y for _, y in rows]))

    for name, value in values.items():
        term = METRICS[name]
        assert (value.value is None) == (value.reason is not None)
        assert value.value is None or term.low <= value.value <= term.high
        if value.low is not None and value.high is not None:
            assert term.low <= value.low <= value.high <= term.high
