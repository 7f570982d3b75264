"""Classification profiles against scikit-learn on the raw rows."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics as sk

from airflow_monitoring_provider.profiles.classification import ClassificationBuilder, ClassificationProfile

Y = [1, 0, 1, 1, 0, 0, 1, 0]
S = [0.9, 0.4, 0.65, 0.3, 0.2, 0.55, 0.8, 0.1]


def test_golden_binary_fixture() -> None:
    profile = ClassificationProfile.of(("0", "1"), S, Y)
    assert [[3, 1], [1, 3]] == profile.confusion.tolist()
    assert profile.log_loss_sum / 8 == pytest.approx(0.45013715, abs=1e-8)
    assert profile.brier_sum / 8 == pytest.approx(0.146875, abs=1e-12)
    counts = profile.calibration_counts
    gaps = np.abs(profile.calibration_scores - profile.calibration_positives)[counts > 0]
    assert gaps.sum() / 8 == pytest.approx(0.325, abs=1e-12)
    assert area(profile, "1") == pytest.approx(0.875, abs=1e-12)


def test_binary_sums_equal_scikit_learn() -> None:
    rng = np.random.default_rng(11)
    scores = rng.beta(2, 3, 5000)
    scores[:5] = [0.0, 1.0, 0.5, 1.0, 0.0]
    actual = (rng.random(5000) < scores).astype(int)
    actual[:2] = [1, 0]  # certain and wrong: clipped at eps, as scikit-learn does
    profile = ClassificationProfile.of(("no", "yes"), scores, actual, threshold=0.4)
    assert sk.confusion_matrix(actual, scores >= 0.4).tolist() == profile.confusion.tolist()
    assert sk.log_loss(actual, scores) == pytest.approx(profile.log_loss_sum / 5000, rel=1e-12)
    assert sk.brier_score_loss(actual, scores) == pytest.approx(profile.brier_sum / 5000, rel=1e-12)
    bound = 0.5 * float(profile.scores_when["yes"].largest_share + profile.scores_otherwise["yes"].largest_share)
    assert sk.roc_auc_score(actual, scores) == pytest.approx(area(profile, "yes"), abs=bound)
    assert sk.roc_auc_score(actual, scores) == pytest.approx(area(profile, "yes"), abs=1e-4)


@pytest.mark.parametrize("classes", [2, 3])
def test_one_large_batch_gives_what_many_small_ones_give(classes: int) -> None:
    rng = np.random.default_rng(classes)
    names = tuple("abc"[:classes])
    scores = rng.dirichlet(np.ones(classes), 40_000)
    actual = rng.integers(-2, classes, 40_000)
    large, small = ClassificationBuilder(names), ClassificationBuilder(names)
    large.update(scores, actual)
    for start in range(0, 40_000, 999):
        small.update(scores[start : start + 999], actual[start : start + 999])
    one, many = large.finish(), small.finish()
    assert (40_000, int((actual == -2).sum())) == (one.scored, one.invalid_actual)
    assert one.scores_when == many.scores_when
    assert one.scores_otherwise == many.scores_otherwise
    assert one.confusion.tolist() == many.confusion.tolist()
    assert one.calibration_counts.tolist() == many.calibration_counts.tolist()
    assert one.calibration_positives.tolist() == many.calibration_positives.tolist()
    assert one.top_k_hits.tolist() == many.top_k_hits.tolist()
    assert one.log_loss_sum == pytest.approx(many.log_loss_sum, rel=1e-12)
    assert one.brier_sum == pytest.approx(many.brier_sum, rel=1e-12)
    assert one.calibration_scores == pytest.approx(many.calibration_scores, rel=1e-12)


def test_every_score_needs_an_actual() -> None:
    with pytest.raises(ValueError, match="2 rows of scores, but 1 actuals"):
        ClassificationBuilder(("no", "yes")).update(np.array([0.1, 0.2]), np.array([1]))


def test_a_score_at_the_threshold_is_positive() -> None:
    profile = ClassificationProfile.of(("no", "yes"), [0.5, 0.4999], [1, 1])
    assert [1, 1] == profile.predicted.tolist()


def test_positive_class_may_stand_first() -> None:
    profile = ClassificationProfile.of(("yes", "no"), [[0.9, 0.1], [0.2, 0.8]], [0, 1], positive_class="yes")
    assert [[1, 0], [0, 1]] == profile.confusion.tolist()
    assert [0.9] == profile.scores_when["yes"].representatives().tolist()


def test_rows_without_a_usable_actual_are_scored_only() -> None:
    profile = ClassificationProfile.of(("no", "yes"), [0.9, 0.1, 0.8], [-1, -2, 1])
    assert (3, 1, 1) == (profile.scored, profile.labelled, profile.invalid_actual)
    assert [1, 2] == profile.predicted.tolist()
    assert [0, 1] == profile.actual.tolist()


def test_multiclass_sums_equal_scikit_learn() -> None:
    rng = np.random.default_rng(4)
    scores = rng.dirichlet([1, 2, 3, 1, 1, 1], 3000)
    actual = np.array([rng.choice(6, p=row) for row in scores])
    names = tuple("abcdef")
    profile = ClassificationProfile.of(names, scores, actual)
    predicted = scores.argmax(axis=1)
    assert sk.confusion_matrix(actual, predicted, labels=range(6)).tolist() == profile.confusion.tolist()
    assert sk.log_loss(actual, scores, labels=range(6)) == pytest.approx(profile.log_loss_sum / 3000, rel=1e-10)
    onehot = np.eye(6)[actual]
    assert np.square(scores - onehot).sum() == pytest.approx(profile.brier_sum, rel=1e-10)
    for k in range(1, 6):
        expected = sk.top_k_accuracy_score(actual, scores, k=k, labels=range(6), normalize=False)
        assert expected == profile.top_k_hits[k - 1]
    for index, name in enumerate(names):
        expected_area = sk.roc_auc_score(actual == index, scores[:, index])
        assert expected_area == pytest.approx(area(profile, name), abs=1e-4)
    assert 0 == profile.renormalised
    assert 3000 == profile.calibration_counts.sum()
    assert (predicted == actual).sum() == profile.calibration_positives.sum()


def test_multiclass_rows_are_renormalised_and_counted() -> None:
    profile = ClassificationProfile.of(("a", "b", "c"), [[0.4, 0.4, 0.0], [0.0, 0.0, 0.0], [0.2, 0.3, 0.5]], [0, 1, 2])
    assert 2 == profile.renormalised
    expected = -np.log(0.5) - np.log(1 / 3) - np.log(0.5)
    assert expected == pytest.approx(profile.log_loss_sum)


def test_many_classes_keep_no_curves() -> None:
    names = tuple(f"c{i}" for i in range(21))
    profile = ClassificationProfile.of(names, np.full((3, 21), 1 / 21), [0, 5, 20])
    assert {} == profile.scores_when
    assert [0, 0, 0, 0, 0] == profile.top_k_hits.tolist()  # all tie: nobody is among the first


def test_profiles_of_different_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="different classes"):
        ClassificationProfile.of(("0", "1"), S, Y).merge(ClassificationProfile.of(("0", "1"), S, Y, threshold=0.3))
    with pytest.raises(ValueError, match="two classes"):
        ClassificationProfile.of(("a",), [], [])
    with pytest.raises(ValueError, match="one of the classes"):
        ClassificationProfile.of(("a", "b"), [], [], positive_class="c")


def area(profile: ClassificationProfile, name: str) -> float:
    """AUC from both histograms at their common shift: a bucket's pairs count one half."""
    positive, negative = profile.scores_when[name], profile.scores_otherwise[name]
    shift = max(positive.shift, negative.shift)
    positive, negative = positive.coarsen(shift), negative.coarsen(shift)
    lower = negative.counts_below(positive.lower_edges())
    _, own, other = np.intersect1d(positive.codes, negative.codes, return_indices=True)
    ties = float((positive.counts[own] * negative.counts[other]).sum())
    return (float((positive.counts * lower).sum()) + 0.5 * ties) / (positive.total * negative.total)
