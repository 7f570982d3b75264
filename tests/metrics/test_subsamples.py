"""Standard deviations of five draws, held against formulas and against drawing rows."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sklearn.metrics as sk

from airflow_monitoring_provider.metrics.performance import performance
from airflow_monitoring_provider.metrics.scaled_error import Scale
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.profiles.classification import ClassificationProfile
from airflow_monitoring_provider.profiles.regression import RegressionProfile

ROWS, DRAWN, SETS = 400, 320, 60
SUBSAMPLED = ComparisonSettings(subsampled=True, scale=Scale(2.0))


def deviations(
    target: ClassificationProfile | RegressionProfile, settings: ComparisonSettings = SUBSAMPLED
) -> dict[str, float]:
    values = performance(target, None, settings)
    return {v.name: v.details["standard_deviation"] for v in values if "standard_deviation" in v.details}


def binary(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    scores = chance.random(rows)
    return scores, (chance.random(rows) < scores).astype(int)


def of_binary(scores: np.ndarray, actual: np.ndarray) -> ClassificationProfile:
    return ClassificationProfile.of(("no", "yes"), scores, actual, positive_class="yes")


def numbers(seed: int, rows: int = ROWS) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    actual = chance.normal(10, 3, rows)
    return actual + chance.normal(0, 1, rows), actual


def of_a_mean(values: np.ndarray) -> float:
    """Variance of the mean of rows drawn without putting back (Cochran 1977)."""
    return float(values.var(ddof=1) / DRAWN * (1 - DRAWN / values.size))


def calibration_error(scores: np.ndarray, actual: np.ndarray) -> float:
    tenths = np.minimum((scores * 10).astype(int), 9)
    return float(sum(abs(scores[tenths == k].sum() - actual[tenths == k].sum()) for k in range(10)) / scores.size)


def test_means_vary_as_those_of_rows_drawn_without_putting_back() -> None:
    ratios: dict[str, list[float]] = {}
    for seed in range(SETS):
        scores, actual = binary(seed)
        found = deviations(of_binary(scores, actual))
        expected = {
            "accuracy": of_a_mean(((scores >= 0.5) == actual).astype(float)),
            "brier": of_a_mean((scores - actual) ** 2),
            "log_loss": of_a_mean(-np.log(np.where(actual, scores, 1 - scores))),
        }
        predicted, truth = numbers(seed)
        found |= deviations(RegressionProfile.of(predicted, truth))
        errors = np.abs(predicted - truth)
        expected |= {"mae": of_a_mean(errors), "mse": of_a_mean(errors**2), "mase": of_a_mean(errors / 2)}
        expected |= {"mape": of_a_mean(errors / np.abs(truth)), "mean_error": of_a_mean(predicted - truth)}
        for name, variance in expected.items():
            ratios.setdefault(name, []).append(found[name] ** 2 / variance)
    # A variance of five draws over the true one is chi-square(4) / 4: sd 0.71 of one, 0.09 of the mean of sixty.
    assert dict.fromkeys(ratios, 1.0) == pytest.approx({name: np.mean(each) for name, each in ratios.items()}, abs=0.37)


def test_curves_and_ratios_vary_as_those_of_rows_that_are_drawn() -> None:
    ratios: dict[str, list[float]] = {name: [] for name in ("roc_auc", "r2", "rmsle", "gamma_deviance", "medae", "ece")}
    for seed in range(6):
        (scores, actual), (predicted, truth) = binary(seed), numbers(seed)
        chance = np.random.default_rng(1000 + seed)
        draws = [chance.permutation(ROWS)[:DRAWN] for _ in range(40)]
        raw = {
            "roc_auc": np.var([sk.roc_auc_score(actual[d], scores[d]) for d in draws], ddof=1),
            "r2": np.var([sk.r2_score(truth[d], predicted[d]) for d in draws], ddof=1),
            "medae": np.var([sk.median_absolute_error(truth[d], predicted[d]) for d in draws], ddof=1),
            "ece": np.var([calibration_error(scores[d], actual[d]) for d in draws], ddof=1),
        }
        predicted, truth = np.abs(predicted) + 1, np.abs(truth) + 1
        raw |= {
            "rmsle": np.var([sk.root_mean_squared_log_error(truth[d], predicted[d]) for d in draws], ddof=1),
            "gamma_deviance": np.var([sk.mean_gamma_deviance(truth[d], predicted[d]) for d in draws], ddof=1),
        }
        positive = deviations(RegressionProfile.of(predicted, truth))
        predicted, truth = numbers(seed)
        found = deviations(of_binary(scores, actual)) | deviations(RegressionProfile.of(predicted, truth))
        found |= {name: positive[name] for name in ("rmsle", "gamma_deviance")}
        for name, variance in raw.items():
            ratios[name].append(found[name] ** 2 / variance)
    for name in ("r2", "rmsle", "gamma_deviance"):
        assert np.mean(ratios[name]) == pytest.approx(1.0, abs=0.35), name
    for name in ("roc_auc", "medae", "ece"):
        assert np.mean(ratios[name]) == pytest.approx(1.0, abs=0.9), name


def test_there_is_none_below_two_hundred_rows_or_where_nobody_asked() -> None:
    assert {} == deviations(of_binary(*binary(1, 199)))
    assert {} != deviations(of_binary(*binary(1, 200)))
    assert {} == deviations(of_binary(*binary(1)), dataclasses.replace(SUBSAMPLED, subsampled=False))
    assert {} == deviations(RegressionProfile.of(*numbers(1, 199)))


def test_the_order_of_rows_changes_nothing_and_undefined_scores_have_none() -> None:
    scores, actual = binary(3)
    assert deviations(of_binary(scores, actual)) == pytest.approx(deviations(of_binary(scores[::-1], actual[::-1])))
    one_class = deviations(of_binary(scores, np.ones(ROWS, int)))
    assert "accuracy" in one_class
    assert "roc_auc" not in one_class


def test_several_classes_and_intervals_have_them() -> None:
    chance = np.random.default_rng(2)
    probabilities = chance.dirichlet(np.ones(3), ROWS)
    actual = np.array([chance.choice(3, p=each) for each in probabilities])
    found = deviations(ClassificationProfile.of(("a", "b", "c"), probabilities, actual))
    assert {"accuracy", "macro_f1", "weighted_recall", "mcc", "log_loss"} <= found.keys()
    predicted, truth = numbers(2)
    with_ends = RegressionProfile.of(predicted, truth, ends=(predicted - 1, predicted + 1))
    own = deviations(with_ends, dataclasses.replace(SUBSAMPLED, interval_level=0.7))
    assert 0 < own["interval_coverage"] < 0.06


def test_errors_whose_squares_overflow_leave_out_what_is_not_finite() -> None:
    predicted, actual = numbers(1)
    huge, plain = (deviations(RegressionProfile.of(predicted * by, actual * by)) for by in (1e300, 1.0))
    assert plain["mape"] == pytest.approx(huge["mape"])
    assert "mse" not in huge
    assert all(np.isfinite(list(huge.values())))
