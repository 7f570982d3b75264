"""Performance: the golden numbers, scikit-learn as oracle, and the reason wherever there is no number."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sk

from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.terms import TargetType
from airflow_monitoring_provider.metrics.performance import performance
from airflow_monitoring_provider.metrics.predictions import predicted_shares
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.scaled_error import Scale
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.profiles.plan import TargetPlan
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

ANY_SIZE = ComparisonSettings(reference_rows=1, current_rows=1, labelled_rows=1, per_class=1)
DEFAULT = ComparisonSettings()
CLASSES = ("no", "yes")
Target = ClassificationProfile | RegressionProfile


def binary(scores: npt.ArrayLike, actual: npt.ArrayLike, threshold: float = 0.5) -> ClassificationProfile:
    return ClassificationProfile.of(CLASSES, scores, actual, positive_class="yes", threshold=threshold)


def found(
    target: Target, baseline: Target | None = None, settings: ComparisonSettings = ANY_SIZE
) -> dict[str, MetricValue]:
    values = performance(target, baseline, settings)
    assert all((value.value is None) == (value.reason is not None) for value in values)
    assert {ResultKind.MODEL_PERFORMANCE} == {v.kind for v in values if v.name != "label_coverage"}
    return {value.name: value for value in values}


def numbers(values: dict[str, MetricValue]) -> dict[str, float | None]:
    return {name: value.value for name, value in values.items()}


def test_a_binary_target_gives_the_golden_numbers() -> None:
    values = found(binary([0.9, 0.4, 0.65, 0.3, 0.2, 0.55, 0.8, 0.1], [1, 0, 1, 1, 0, 0, 1, 0]))

    expected = {
        **dict.fromkeys(("accuracy", "precision", "recall", "f1", "balanced_accuracy", "specificity"), 0.75),
        "roc_auc": 0.875,
        "average_precision": 0.91666667,
        "log_loss": 0.45013715,
        "brier": 0.146875,
        "mcc": 0.5,
        "kappa": 0.5,
        "ece": 0.325,
        "gini": 0.75,
        "fpr": 0.25,
        "fnr": 0.25,
    }
    assert expected == pytest.approx({name: values[name].value for name in expected}, abs=1e-8)
    assert {"tn": 3, "fp": 1, "fn": 1, "tp": 3, "threshold": 0.5} == values["accuracy"].details
    assert 0.0 == values["roc_auc"].details["bound"]


def test_the_page_of_metrics_lists_every_score_and_no_other() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    targets = [
        binary([0.9, 0.4], [1, 0]),
        ClassificationProfile.of(tuple("abc"), np.eye(3), [0, 1, 2]),
        RegressionProfile.of([1.0, 2.0], [1.0, 3.0]),
    ]
    everything = dataclasses.replace(ANY_SIZE, interval_level=0.9, scale=Scale(1.0))
    for heading, target in zip(("binary", "multiclass", "regression"), targets, strict=True):
        table = page[page.index(f"| {heading} |") :].split("\n\n")[0]
        listed = [name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
        assert found(target, None, everything).keys() - {"label_coverage"} == set(listed)
        assert len(listed) == len(set(listed))
        assert set(listed) <= METRICS.keys()


def test_a_regression_gives_the_golden_numbers() -> None:
    values = found(RegressionProfile.of([2.5, 0, 2, 8], [3, -0.5, 2, 7]))

    expected = {
        "mean_error": 0.25,
        "mae": 0.5,
        "mse": 0.375,
        "rmse": 0.61237244,
        "mape": 0.32738095,
        "r2": 0.94860814,
        "medae": 0.5,
        "max_error": 1,
        "wape": 0.16,
        "smape": 0.57878788,
    }
    assert expected == pytest.approx({name: values[name].value for name in expected}, abs=1e-8)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_binary_scores_agree_with_scikit_learn(seed: int, threshold: float) -> None:
    rng = np.random.default_rng(seed)
    rows = int(rng.integers(50, 1500))
    actual = (rng.random(rows) < 0.3).astype(int)
    scores = np.clip(np.round(rng.beta(1.5 + actual, 3), 2 + seed), 0, 1)
    predicted = (scores >= threshold).astype(int)

    values = numbers(found(binary(scores, actual, threshold)))

    (tn, fp), (fn, tp) = sk.confusion_matrix(actual, predicted)
    fprs, tprs, _ = sk.roc_curve(actual, scores)
    expected = {
        "accuracy": sk.accuracy_score(actual, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(actual, predicted),
        "precision": sk.precision_score(actual, predicted),
        "recall": sk.recall_score(actual, predicted),
        "specificity": tn / (tn + fp),
        "fpr": fp / (tn + fp),
        "fnr": fn / (fn + tp),
        "tpr": sk.recall_score(actual, predicted),
        "tnr": tn / (tn + fp),
        "npv": sk.precision_score(actual, predicted, pos_label=0),
        "f1": sk.f1_score(actual, predicted),
        "f0.5": sk.fbeta_score(actual, predicted, beta=0.5),
        "f2": sk.fbeta_score(actual, predicted, beta=2),
        "mcc": sk.matthews_corrcoef(actual, predicted),
        "kappa": sk.cohen_kappa_score(actual, predicted),
        "roc_auc": sk.roc_auc_score(actual, scores),
        "gini": 2 * sk.roc_auc_score(actual, scores) - 1,
        "average_precision": sk.average_precision_score(actual, scores),
        "ks_score": np.max(tprs - fprs),
        "log_loss": sk.log_loss(actual, scores, labels=[0, 1]),
        "brier": sk.brier_score_loss(actual, scores),
        "calibration": scores.mean() / actual.mean(),
        "label_coverage": 1.0,
    }
    assert expected == pytest.approx({name: values[name] for name in expected}, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("digits", [1, 6])
def test_the_best_scored_rows_hold_what_the_mean_over_orders_of_their_ties_says(seed: int, digits: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 237
    actual = (rng.random(rows) < 0.3).astype(int)
    scores = np.round(rng.beta(1 + actual, 2), digits)

    values = numbers(found(binary(scores, actual)))

    for share in (5, 10):
        wanted, hits = rows * share / 100, []
        for _ in range(400 if digits == 1 else 1):
            order = np.lexsort((rng.random(rows), -scores))
            whole = int(wanted)
            hits.append(actual[order[:whole]].sum() + (wanted - whole) * actual[order[whole]])
        expected = np.mean(hits)
        tolerance = 4 * np.std(hits) / 20 + 1e-9
        assert expected == pytest.approx((values[f"rate_top_{share}"] or 0) * wanted, abs=tolerance)
        assert expected == pytest.approx((values[f"gain_top_{share}"] or 0) * actual.sum(), abs=tolerance)
        lift = (values[f"rate_top_{share}"] or 0) / actual.mean()
        assert lift == pytest.approx(values[f"lift_top_{share}"])


def test_the_expected_calibration_error_follows_its_definition() -> None:
    rng = np.random.default_rng(0)
    scores, actual = rng.random(700), rng.integers(0, 2, 700)
    tenth = np.minimum(9, np.floor(10 * scores))
    expected = sum(np.mean(tenth == k) * abs(scores[tenth == k].mean() - actual[tenth == k].mean()) for k in range(10))

    assert expected == pytest.approx(found(binary(scores, actual))["ece"].value, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_coarse_score_histogram_keeps_the_area_within_its_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    actual = (rng.random(20_000) < 0.2).astype(int)
    scores = rng.beta(1 + actual, 4)

    area = found(binary(scores, actual))["roc_auc"]

    assert 0 < area.details["bound"] < 1e-3
    assert sk.roc_auc_score(actual, scores) == pytest.approx(area.value, abs=area.details["bound"])


def test_the_positive_class_may_be_the_first_one() -> None:
    scores, actual = np.array([0.9, 0.2, 0.7, 0.4]), np.array([0, 1, 0, 0])
    profile = ClassificationProfile.of(("yes", "no"), np.stack([scores, 1 - scores], 1), actual, positive_class="yes")

    values = numbers(found(profile))

    assert (1.0, 2 / 3, 1.0) == (values["precision"], values["recall"], values["specificity"])
    assert 1.0 == values["roc_auc"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [3, 7])
def test_multiclass_scores_agree_with_scikit_learn(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    rows = 800
    actual = rng.integers(0, classes, rows)
    logits = rng.normal(size=(rows, classes)) + 1.5 * (actual[:, None] == np.arange(classes))
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    predicted = scores.argmax(axis=1)
    profile = ClassificationProfile.of(tuple("abcdefg"[:classes]), scores, actual)

    results = found(profile)
    values = numbers(results)

    expected = {
        "accuracy": sk.accuracy_score(actual, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(actual, predicted),
        "mcc": sk.matthews_corrcoef(actual, predicted),
        "kappa": sk.cohen_kappa_score(actual, predicted),
        "macro_roc_auc": sk.roc_auc_score(actual, scores, multi_class="ovr"),
        "log_loss": sk.log_loss(actual, scores),
        "top_k_accuracy": sk.top_k_accuracy_score(actual, scores, k=2),
        "brier": sk.brier_score_loss(actual, scores, labels=range(classes), scale_by_half=False),
    }
    for average in ("macro", "micro", "weighted"):
        three = sk.precision_recall_fscore_support(actual, predicted, average=average)[:3]
        expected |= dict(zip((f"{average}_precision", f"{average}_recall", f"{average}_f1"), three, strict=True))
    assert expected == pytest.approx({name: values[name] for name in expected}, abs=1e-9)
    rows_of_classes = results["accuracy"].details["classes"]
    each = sk.precision_recall_fscore_support(actual, predicted, average=None)
    for name, scores_of_classes in zip(("precision", "recall", "f1"), each, strict=False):
        assert list(scores_of_classes) == pytest.approx([row[name] for row in rows_of_classes]), name
    assert list("abcdefg"[:classes]) == [row["class"] for row in results["accuracy"].details["classes"]]


@pytest.mark.parametrize("seed", range(5))
def test_regression_scores_agree_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    actual = rng.lognormal(1, 1, 900)
    predicted = actual * rng.lognormal(0, 0.3, 900)

    values = numbers(found(RegressionProfile.of(predicted, actual)))

    expected = {
        "mean_error": np.mean(predicted - actual),
        "mae": sk.mean_absolute_error(actual, predicted),
        "mse": sk.mean_squared_error(actual, predicted),
        "rmse": sk.root_mean_squared_error(actual, predicted),
        "rmsle": sk.root_mean_squared_log_error(actual, predicted),
        "medae": sk.median_absolute_error(actual, predicted),
        "max_error": sk.max_error(actual, predicted),
        "r2": sk.r2_score(actual, predicted),
        "wape": np.abs(predicted - actual).sum() / np.abs(actual).sum(),
        "smape": np.mean(2 * np.abs(predicted - actual) / (np.abs(actual) + np.abs(predicted))),
        "mape": sk.mean_absolute_percentage_error(actual, predicted),
        "pinball": sk.mean_pinball_loss(actual, predicted, alpha=0.5),
        "poisson_deviance": sk.mean_poisson_deviance(actual, predicted),
        "tweedie_deviance": sk.mean_tweedie_deviance(actual, predicted, power=1.5),
        "gamma_deviance": sk.mean_gamma_deviance(actual, predicted),
    }
    assert expected == pytest.approx({name: values[name] for name in expected}, rel=1e-9)


@pytest.mark.parametrize("quantile", [0.1, 0.5, 0.95])
def test_the_pinball_loss_is_of_the_quantile_that_predictions_aim_at(quantile: float) -> None:
    rng = np.random.default_rng(2)
    actual, predicted = rng.normal(size=300), rng.normal(0.3, 1, 300)
    value = found(RegressionProfile.of(predicted, actual), None, dataclasses.replace(ANY_SIZE, quantile=quantile))

    assert sk.mean_pinball_loss(actual, predicted, alpha=quantile) == pytest.approx(value["pinball"].value)
    assert {"quantile": quantile} == value["pinball"].details


def test_deviances_are_undefined_where_a_row_has_none() -> None:
    below, zero = found(RegressionProfile.of([1.0, -1.0], [1.0, 1.0])), found(RegressionProfile.of([1.0], [0.0]))

    for name in ("poisson_deviance", "tweedie_deviance", "gamma_deviance"):
        assert (None, Reason.OUT_OF_DOMAIN) == (below[name].value, below[name].reason)
        assert 1 == below[name].details["rows_out_of_domain"]
    assert (2.0, Reason.OUT_OF_DOMAIN) == (zero["poisson_deviance"].value, zero["gamma_deviance"].reason)


def test_a_profile_of_an_older_version_lacks_what_it_did_not_record() -> None:
    old = dataclasses.replace(RegressionProfile.of([1.0, 2.0, 3.0], [1.5, 2.5, 2.0]), sums=None)
    values = found(old)

    assert Reason.NOT_RECORDED == values["gamma_deviance"].reason
    assert values["r2"].value is not None
    assert values["r2"].low is None
    assert values["mae"].low is not None


def test_undefined_regression_scores_have_reasons() -> None:
    values = found(RegressionProfile.of([1.0, -2.0], [0.0, 0.0]))

    assert Reason.ZERO_DENOMINATOR == values["r2"].reason == values["mape"].reason == values["wape"].reason
    assert Reason.NEGATIVE_VALUES == values["rmsle"].reason
    assert 2 == values["mape"].details["zero_actuals"]
    assert 2.0 == values["smape"].value


def test_errors_too_large_for_a_double_have_a_reason() -> None:
    values = found(RegressionProfile.of([1e308, 1.0], [-1e308, 2.0]))

    assert Reason.NOT_FINITE == values["mse"].reason


@pytest.mark.parametrize("actual", [[0, 0, 0], [1, 1, 1]])
def test_one_class_leaves_rates_within_classes_undefined(actual: list[int]) -> None:
    values = found(binary([0.2, 0.6, 0.9], actual))

    curve = ("roc_auc", "gini", "average_precision", "ks_score", "rate_top_5", "gain_top_5", "lift_top_10")
    for name in ("balanced_accuracy", *curve):
        assert Reason.ONE_CLASS == values[name].reason
    assert values["accuracy"].value is not None
    assert values["log_loss"].value is not None


def test_no_predicted_positive_leaves_precision_undefined_and_not_zero() -> None:
    values = found(binary([0.1, 0.2, 0.3], [0, 1, 0]))

    assert Reason.ZERO_DENOMINATOR == values["precision"].reason == values["mcc"].reason
    assert (0.0, 0.0) == (values["recall"].value, values["f1"].value)


def test_too_few_rows_or_rows_of_a_class_give_no_number() -> None:
    rng = np.random.default_rng(0)
    scores = rng.random(99)
    few = found(binary(scores, rng.integers(0, 2, 99)), settings=DEFAULT)
    rare = found(binary(np.append(scores, 0.5), [1] * 9 + [0] * 91), settings=DEFAULT)
    enough = found(binary(np.append(scores, 0.5), [1] * 10 + [0] * 90), settings=DEFAULT)

    assert {Reason.INSUFFICIENT_DATA} == {v.reason for name, v in few.items() if name != "label_coverage"}
    insufficient = {name for name, value in rare.items() if value.reason is Reason.INSUFFICIENT_DATA}
    assert {"recall", "precision", "roc_auc", "f1", "mcc", "ks_score"} <= insufficient
    assert {"accuracy", "log_loss", "brier", "ece", "calibration"}.isdisjoint(insufficient)
    assert all(value.value is not None for value in enough.values())


def test_rows_of_no_known_class_are_in_no_score_and_told_with_each() -> None:
    known = found(binary([0.1, 0.9, 0.8, 0.2], [0, 0, 1, 1]))
    told = found(binary([0.1, 0.9, 0.5, 0.8, 0.2, 0.99], [0, 0, -2, 1, 1, -2]))

    assert known["label_coverage"].value == 1.0
    assert (4 / 6, 2) == (told["label_coverage"].value, told["label_coverage"].details["invalid_actuals"])
    for name in known.keys() - {"label_coverage"}:
        assert known[name].value == told[name].value, name
        assert (told[name].value is None) or 2 == told[name].details["invalid_actuals"], name


def test_no_actuals_and_no_predictions_are_told_apart() -> None:
    unlabelled = found(binary([0.1, 0.9], [-1, -2]))
    unscored = found(RegressionProfile.of([], []))

    assert {Reason.INVALID_ACTUALS} == {v.reason for name, v in unlabelled.items() if name != "label_coverage"}
    assert (0.0, 1) == (unlabelled["label_coverage"].value, unlabelled["label_coverage"].details["invalid_actuals"])
    assert {Reason.NO_PREDICTIONS} == {value.reason for value in unscored.values()}


def test_a_baselines_performance_stands_beside_and_its_change() -> None:
    good = binary([0.1, 0.2, 0.8, 0.9], [0, 0, 1, 1])
    bad = binary([0.1, 0.9, 0.8, 0.2], [0, 0, 1, 1])

    accuracy = found(bad, good)["accuracy"]

    assert (0.5, 1.0, -0.5, 4) == (
        accuracy.value,
        accuracy.details["baseline_value"],
        accuracy.details["change"],
        accuracy.n,
    )
    assert "baseline_value" not in found(bad, RegressionProfile.of([1.0], [1.0]))["accuracy"].details


def test_performance_is_provisional_while_actuals_are_missing_that_the_baseline_has() -> None:
    scores = np.tile([0.1, 0.9], 50)
    before = binary(scores, np.where(np.arange(100) < 80, np.tile([0, 1], 50), -1))  # 80 of 100 have actuals

    def provisional(labelled: int, settings: ComparisonSettings = ANY_SIZE) -> set[str]:
        now = binary(scores, np.where(np.arange(100) < labelled, np.tile([0, 1], 50), -1))
        return {name for name, value in found(now, before, settings).items() if "provisional" in value.details}

    assert {"label_coverage", "accuracy", "roc_auc", "log_loss"} < provisional(75)
    assert set() == provisional(76)
    assert set() == provisional(60, dataclasses.replace(ANY_SIZE, maturity_coverage=0.75))
    assert {"label_coverage"} == {
        n for n, v in found(binary([0.1], [-1]), before).items() if "provisional" in v.details
    }
    assert "provisional" not in found(before)["accuracy"].details


def test_shares_have_intervals_and_directions_say_what_is_worse() -> None:
    values = found(binary([0.1, 0.9, 0.8, 0.2], [0, 0, 1, 1]))

    assert (0.15, 0.85) == pytest.approx((values["accuracy"].low, values["accuracy"].high), abs=0.01)
    assert Direction.HIGHER_IS_BETTER == values["roc_auc"].direction
    assert Direction.LOWER_IS_BETTER == values["log_loss"].direction
    assert Direction.TWO_SIDED == values["calibration"].direction


def test_probabilities_that_do_not_sum_to_one_are_reported() -> None:
    scores = np.array([[0.2, 0.2, 0.2], [0.1, 0.1, 0.8], [1.0, 0.0, 0.0]])

    assert {"renormalised": 1} == found(ClassificationProfile.of(("a", "b", "c"), scores, [0, 2, 0]))[
        "log_loss"
    ].details


def test_macro_averages_run_over_the_classes_that_are_defined() -> None:
    scores = np.eye(4)[[0, 0, 1, 1]]
    values = found(ClassificationProfile.of(tuple("abcd"), scores, [0, 1, 1, 2]))

    assert (2, 3) == (values["macro_precision"].details["classes"], values["macro_recall"].details["classes"])
    assert (0.5 + 0.5) / 2 == values["macro_precision"].value
    assert (1 + 0.5 + 0) / 3 == pytest.approx(values["macro_recall"].value)


def test_the_share_of_each_predicted_class_is_tested_against_the_baseline() -> None:
    plan = TargetPlan(TargetType.BINARY, (("yes", "score"),), None, CLASSES, "yes")
    before = binary([0.9] * 300 + [0.1] * 700, [-1] * 1000)
    after = binary([0.9] * 60 + [0.1] * 60, [-1] * 120)

    (share,) = predicted_shares(plan, after, before, DEFAULT)

    assert ("predicted_share", "score", 0.5) == (share.name, share.column, share.value)
    assert (0.3, 0.2) == pytest.approx((share.details["baseline_value"], share.details["change"]))
    assert 1e-4 > (share.p_value or 1)
    assert not share.primary
    assert Reason.INSUFFICIENT_DATA == predicted_shares(plan, binary([0.1], [-1]), before, DEFAULT)[0].reason
    assert Reason.NO_PREDICTIONS == predicted_shares(plan, binary([], []), None, DEFAULT)[0].reason


def test_every_class_with_a_column_has_its_predicted_share() -> None:
    plan = TargetPlan(TargetType.MULTICLASS, tuple((c, f"p_{c}") for c in "cab"), None, tuple("abc"))
    target = ClassificationProfile.of(tuple("abc"), np.eye(3)[[0, 1, 1, 1]], [-1] * 4)

    shares = predicted_shares(plan, target, None, ANY_SIZE)

    assert [("p_a", 0.25), ("p_b", 0.75), ("p_c", 0.0)] == [(share.column, share.value) for share in shares]
    assert all(math.isfinite(share.low or 0) for share in shares)


def test_a_baseline_whose_squares_overflow_leaves_details_that_can_be_stored() -> None:
    chance = np.random.default_rng(4)
    actual = chance.normal(0, 1, 300) * 1e200
    wide, exact = RegressionProfile.of(actual * 1.1, actual), RegressionProfile.of(actual, actual)
    for current, baseline in ((wide, wide), (exact, wide), (exact, exact)):
        for value in performance(current, baseline, ComparisonSettings()):
            json.dumps(value.details, allow_nan=False)
    mse = next(v for v in performance(exact, wide, ComparisonSettings()) if v.name == "mse")
    assert (mse.value, "baseline_value" in mse.details) == (0.0, False)
