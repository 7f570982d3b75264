"""What a model without features would score: scikit-learn's dummies, fitted on the baseline, as oracle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from sklearn import metrics as sk
from sklearn.dummy import DummyClassifier, DummyRegressor

from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.metrics.compare import compare
from airflow_monitoring_provider.metrics.performance import performance
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, TargetPlan
from airflow_monitoring_provider.profiles.profile import (
    ClassificationProfile,
    ColumnProfile,
    Profile,
    RegressionProfile,
)

ANY_SIZE = ComparisonSettings(labelled_rows=1, per_class=1)


def dummies(
    current: ClassificationProfile | RegressionProfile, baseline: ClassificationProfile | RegressionProfile | None
) -> dict[str, float]:
    values = performance(current, baseline, ANY_SIZE)
    return {value.name: value.details["dummy"] for value in values if "dummy" in value.details}


@pytest.mark.parametrize("classes", [2, 4])
def test_a_classifiers_dummy_is_scikit_learns(classes: int) -> None:
    rng = np.random.default_rng(classes)
    shares = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    before, now = rng.choice(classes, 500, p=shares), rng.choice(classes, 300, p=shares[::-1])
    names = tuple("abcd"[:classes])

    def profile(actual: npt.NDArray[np.int64]) -> ClassificationProfile:
        scores = rng.dirichlet(np.ones(classes), actual.size)
        return ClassificationProfile.of(names, scores, actual, positive_class="b" if classes == 2 else None)

    features = np.zeros((500, 1))
    frequent = DummyClassifier(strategy="most_frequent").fit(features, before).predict(features[:300])
    prior = DummyClassifier(strategy="prior").fit(features, before).predict_proba(features[:300])
    one_hot = np.eye(classes)[now]
    brier = sk.brier_score_loss(now, prior[:, 1]) if classes == 2 else np.square(prior - one_hot).sum(axis=1).mean()

    expected = {
        "accuracy": sk.accuracy_score(now, frequent),
        "log_loss": sk.log_loss(now, prior),
        "brier": brier,
    }
    assert expected == pytest.approx(dummies(profile(now), profile(before)))


def batch(predicted: npt.NDArray[np.float64], actual: npt.NDArray[np.float64]) -> Profile:
    columns = [
        ColumnProfile.of(predicted, "p", role=ColumnRole.PREDICTION),
        ColumnProfile.of(actual, "y", role=ColumnRole.ACTUAL),
    ]
    plan = ProfilePlan(
        tuple(ColumnPlan(c.name, ColumnKind.NUMERIC, c.role) for c in columns),
        TargetPlan(TargetType.REGRESSION, (("", "p"),), "y"),
    )
    target = RegressionProfile.of(predicted, actual)
    return Profile(plan, predicted.size, {}, {c.name: c for c in columns}, target)


@pytest.mark.parametrize("quantile", [0.5, 0.8])
def test_a_regressions_dummies_are_scikit_learns(quantile: float) -> None:
    rng = np.random.default_rng(3)
    before, now = rng.normal(5, 2, 700), rng.normal(6, 1, 400)
    settings = ComparisonSettings(quantile=quantile)

    values = compare(batch(now + 1, now), batch(before - 1, before), settings)

    found = {value.name: value.details["dummy"] for value in values if "dummy" in value.details}
    features = np.zeros((700, 1))
    mean, median, aimed = (
        DummyRegressor(strategy=strategy, quantile=q).fit(features, before).predict(features[:400])
        for strategy, q in (("mean", None), ("median", None), ("quantile", quantile))
    )
    expected = {
        "mean_error": np.mean(mean - now),
        "mse": sk.mean_squared_error(now, mean),
        "rmse": sk.root_mean_squared_error(now, mean),
        "r2": sk.r2_score(now, mean),
        "mae": sk.mean_absolute_error(now, median),
        "wape": np.abs(now - median).sum() / np.abs(now).sum(),
        "pinball": sk.mean_pinball_loss(now, aimed, alpha=quantile),
    }
    assert expected == pytest.approx(found, rel=1e-9)


def test_actuals_of_other_rows_than_the_predictions_make_no_dummy_of_the_median() -> None:
    now = batch(np.arange(200.0), np.arange(200.0))
    missing = np.where(np.arange(200) < 50, np.nan, np.arange(200.0))
    unscored = batch(np.arange(200.0), missing)
    unscored.columns["y"] = now.columns["y"]

    found = {v.name for v in compare(unscored, now, ANY_SIZE) if "dummy" in v.details}

    assert {"mean_error", "mse", "rmse", "r2"} == found


def test_there_is_no_dummy_without_a_baseline_or_its_actuals() -> None:
    target = ClassificationProfile.of(("a", "b"), [0.2, 0.7], [0, 1], positive_class="b")

    assert {} == dummies(target, None)
    assert {} == dummies(target, ClassificationProfile.of(("a", "b"), [0.2], [-1], positive_class="b"))
