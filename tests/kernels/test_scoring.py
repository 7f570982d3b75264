"""Scores of two classes met their actuals as NumPy's passes say, whatever is missing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.kernels.library import VARIABLE
from airflow_monitoring_provider.kernels.scoring import score_classes
from airflow_monitoring_provider.profiles.classification import ClassificationBuilder, ClassificationProfile

scores = st.sampled_from([0.0, -0.0, 1.0, 0.5, 0.1, 0.3, 0.7, 0.9, 5e-324, 1 - 2**-53]) | st.floats(0, 1)
rows = st.lists(st.tuples(scores, st.integers(-2, 1)), max_size=120)
EXACT = ("scored", "labelled", "invalid_actual", "scores_when", "scores_otherwise")
ARRAYS = ("predicted", "confusion", "calibration_counts", "calibration_positives", "top_k_hits")
TASK: dict[str, Any] = {"positive": 1, "threshold": 0.5, "least": 1e-16}


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "compiled")
        yield


def profile(how: str, blocks: list[list[tuple[float, int]]], wide: bool, **options: Any) -> ClassificationProfile:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, how)
        builder = ClassificationBuilder(("no", "yes"), buckets=8, **options)
        for block in blocks:
            score, actual = np.array([s for s, _ in block], np.float64), np.array([a for _, a in block], np.int64)
            builder.update(np.stack([score, score], axis=1) if wide else score, actual)
        return builder.finish()


@given(st.lists(rows, max_size=3), st.booleans(), st.sampled_from(["no", "yes"]), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_any_rows_have_numpy_s_counts(
    blocks: list[list[tuple[float, int]]], wide: bool, positive: str, threshold: float
) -> None:
    options: dict[str, Any] = {"wide": wide, "positive_class": positive, "threshold": threshold}
    expected, found = (profile(how, blocks, **options) for how in ("numpy", "compiled"))

    assert [getattr(expected, name) for name in EXACT] == [getattr(found, name) for name in EXACT]
    assert [getattr(expected, name).tolist() for name in ARRAYS] == [getattr(found, name).tolist() for name in ARRAYS]
    assert math.isclose(expected.log_loss_sum, found.log_loss_sum, rel_tol=1e-9, abs_tol=1e-12)
    assert math.isclose(expected.brier_sum, found.brier_sum, rel_tol=1e-9, abs_tol=1e-12)
    assert np.allclose(expected.calibration_scores, found.calibration_scores, rtol=1e-12, atol=1e-300)


def test_the_logarithm_of_many_small_probabilities_does_not_vanish() -> None:
    score, actual = np.full(5000, 1e-15), np.ones(5000, np.int64)
    found = score_classes(score, actual, np.empty((2, 5000)), **TASK)

    assert found is not None
    assert math.isclose(5000 * math.log(1e-15), found.log_sum, rel_tol=1e-12)


@pytest.mark.parametrize(("score", "actual"), [(math.nan, 1), (1.5, 1), (-0.1, 0), (0.5, 2)])
def test_what_is_no_probability_or_class_is_left_to_others(score: float, actual: int) -> None:
    assert score_classes(np.array([0.5, score]), np.array([1, actual]), np.empty((2, 2)), **TASK) is None


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="2 scores cannot be split into arrays of"):
        score_classes(np.zeros(2), np.zeros(2, np.int64), np.empty((2, 1)), **TASK)
    with pytest.raises(ValueError, match="expected 2 contiguous int64, not 3 int64"):
        score_classes(np.zeros(2), np.zeros(3, np.int64), np.empty((2, 2)), **TASK)
