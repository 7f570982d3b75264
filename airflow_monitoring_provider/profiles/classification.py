"""Where class probabilities met actuals: what accuracy, AUC, log loss, Brier score and calibration are made of.

Counts and histograms merge exactly, sums of non-negative terms to 1e-9 relative to scale.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.scoring import score_classes
from airflow_monitoring_provider.profiles import scratch
from airflow_monitoring_provider.profiles.histogram import DEFAULT_BUCKETS, Histogram, HistogramBuilder

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MISSING_ACTUAL = -1
UNKNOWN_ACTUAL = -2
TOP_K = 5
CURVE_CLASSES = 20
"""Multiclass targets keep score histograms per class up to this many classes."""

_BLOCK = 1 << 14  # rows whose intermediate arrays stay in the cache
_EPS = float(np.finfo(np.float64).eps)


@dataclasses.dataclass(frozen=True, eq=False)
class ClassificationProfile:
    """K classes in the order of the plan; *scored* rows have a valid prediction, *labelled* ones an actual as well.

    :param classes: class names; binary: negative, positive.
    :param positive_class: binary only, else None.
    :param threshold: binary: positive is predicted iff its probability is at or above it.
    :param scored: rows with a valid prediction.
    :param predicted: int64 (K,), scored rows per predicted class.
    :param labelled: scored rows whose actual is one of the classes.
    :param invalid_actual: scored rows whose actual is none of the classes.
    :param confusion: int64 (K, K), labelled rows; row = actual class, column = predicted class (as scikit-learn).
    :param scores_when: class -> histogram (mirrored) of its probability over labelled rows whose actual it is.
    :param scores_otherwise: class -> the same over labelled rows whose actual it is not. Both hold the positive class
        of a binary target, every class of a multiclass target of at most 20 classes, and nothing beyond.
    :param log_loss_sum: of ``-ln p(actual)`` over labelled rows; probabilities clipped to [eps, 1 - eps] of float64.
    :param brier_sum: over labelled rows: binary ``(p - y)**2``; multiclass the sum of it over the classes.
    :param renormalised: labelled rows whose multiclass probabilities did not sum to 1 within 1e-6.
    :param calibration_counts: int64 (10,), labelled rows per tenth ``min(9, floor(10 s))`` of the score ``s``: of the
        positive class where binary, of the predicted class where multiclass.
    :param calibration_scores: float64 (10,), sums of the scores per tenth.
    :param calibration_positives: int64 (10,), rows per tenth whose actual is the class the score speaks of.
    :param top_k_hits: int64 (5,), labelled rows whose actual is among the k most probable classes, k = 1..5 (ties
        count against the model).
    """

    classes: tuple[str, ...]
    positive_class: str | None
    threshold: float
    scored: int
    predicted: IntArray
    labelled: int
    invalid_actual: int
    confusion: IntArray
    scores_when: dict[str, Histogram]
    scores_otherwise: dict[str, Histogram]
    log_loss_sum: float
    brier_sum: float
    renormalised: int
    calibration_counts: IntArray
    calibration_scores: FloatArray
    calibration_positives: IntArray
    top_k_hits: IntArray

    def __post_init__(self) -> None:
        for array in (getattr(self, field.name) for field in dataclasses.fields(self)):
            if isinstance(array, np.ndarray):
                array.flags.writeable = False

    @classmethod
    def of(
        cls,
        classes: tuple[str, ...],
        scores: npt.ArrayLike,
        actual: npt.ArrayLike,
        *,
        positive_class: str | None = None,
        threshold: float = 0.5,
        buckets: int = DEFAULT_BUCKETS,
    ) -> ClassificationProfile:
        """Profile scored rows.

        :param scores: (n, K) probabilities, or (n,) of the positive class of a binary target (the last class).
        :param actual: (n,) class indices; -1 is no actual, -2 one that is none of the classes.
        """
        builder = ClassificationBuilder(classes, positive_class=positive_class, threshold=threshold, buckets=buckets)
        builder.update(np.asarray(scores, np.float64), np.asarray(actual, np.int64))
        return builder.finish()

    @property
    def actual(self) -> IntArray:
        """int64 (K,), labelled rows per actual class."""
        return np.asarray(self.confusion.sum(axis=1), np.int64)

    def merge(self, *others: ClassificationProfile) -> ClassificationProfile:
        """The profile of all sets of rows.

        :raises ValueError: classes, positive class or threshold differ.
        """
        same = ("classes", "positive_class", "threshold")
        if any(getattr(self, field) != getattr(other, field) for field in same for other in others):
            raise ValueError("profiles of different classes, positive class or threshold cannot be merged")
        summed: dict[str, Any] = {
            field: sum((getattr(other, field) for other in others), start=getattr(self, field)) for field in _SUMMED
        }
        curves: dict[str, Any] = {
            field: {
                name: h.merge(*(getattr(other, field)[name] for other in others))
                for name, h in getattr(self, field).items()
            }
            for field in ("scores_when", "scores_otherwise")
        }
        return dataclasses.replace(self, **summed, **curves)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ClassificationProfile):
            return NotImplemented
        return all(
            np.array_equal(mine, theirs) if isinstance(mine, np.ndarray) else mine == theirs
            for mine, theirs in (
                (getattr(self, f.name), getattr(other, f.name)) for f in dataclasses.fields(ClassificationProfile)
            )
        )

    __hash__ = None  # type: ignore[assignment]


_SUMMED = (
    "scored",
    "predicted",
    "labelled",
    "invalid_actual",
    "confusion",
    "log_loss_sum",
    "brier_sum",
    "renormalised",
    "calibration_counts",
    "calibration_scores",
    "calibration_positives",
    "top_k_hits",
)


def predicted_classes(scores: FloatArray, positive_index: int, threshold: float) -> IntArray:
    """The class each row predicts, as its index.

    :param scores: (n,) probabilities of the positive class of a binary target: it is predicted from ``threshold`` on;
        or (n, K) of every class: the most probable one, of equals the first.
    """
    if scores.ndim == 1:
        reached = scores >= threshold
        return (reached if positive_index else ~reached).astype(np.int64)
    return np.argmax(scores, axis=1) if scores.size else np.zeros(0, np.int64)


class ClassificationBuilder:
    """Collects scored rows batch by batch."""

    def __init__(
        self,
        classes: tuple[str, ...],
        *,
        positive_class: str | None = None,
        threshold: float = 0.5,
        buckets: int = DEFAULT_BUCKETS,
    ) -> None:
        k = len(classes)
        if k < 2:
            raise ValueError("a classification needs at least two classes")
        self._classes = classes
        self._binary = k == 2
        self._positive = positive_class if positive_class is not None or not self._binary else classes[1]
        if self._binary and self._positive not in classes:
            raise ValueError("the positive class must be one of the classes")
        self._positive_index = classes.index(self._positive) if self._binary and self._positive is not None else 1
        self._threshold = threshold
        curves = (self._positive_index,) if self._binary else tuple(range(k)) if k <= CURVE_CLASSES else ()
        self._when = {i: HistogramBuilder(buckets, mirrored=True) for i in curves}
        self._otherwise = {i: HistogramBuilder(buckets, mirrored=True) for i in curves}
        self._scored = self._labelled = self._invalid_actual = self._renormalised = 0
        self._predicted = np.zeros(k, np.int64)
        self._confusion = np.zeros((k, k), np.int64)
        self._log_loss_sum = self._brier_sum = 0.0
        self._tenths = (np.zeros(10, np.int64), np.zeros(10), np.zeros(10, np.int64))
        self._top_k_hits = np.zeros(TOP_K, np.int64)

    def update(self, scores: FloatArray, actual: IntArray) -> None:
        """Add rows with valid predictions.

        :param scores: (n, K) probabilities in [0, 1], or (n,) of the positive class of a binary target.
        :param actual: (n,) class indices; -1 is no actual, -2 one that is none of the classes.
        :raises ValueError: their numbers differ.
        """
        if len(scores) != actual.size:
            raise ValueError(f"{len(scores)} rows of scores, but {actual.size} actuals")
        for start in range(0, actual.size, _BLOCK):
            self._update(scores[start : start + _BLOCK], actual[start : start + _BLOCK])

    def _update(self, scores: FloatArray, actual: IntArray) -> None:
        score = scores[:, self._positive_index] if self._binary and scores.ndim == 2 else scores
        if self._binary and self._add_scored(score, actual):
            return
        predicted = predicted_classes(score, self._positive_index, self._threshold)
        k = len(self._classes)
        self._scored += predicted.size
        self._predicted += np.bincount(predicted, minlength=k)
        self._invalid_actual += int(np.count_nonzero(actual == UNKNOWN_ACTUAL))
        labelled = actual >= 0
        n = int(np.count_nonzero(labelled))
        if not n:
            return
        if n < labelled.size:
            score, predicted, actual = score[labelled], predicted[labelled], actual[labelled]
        self._labelled += n
        self._confusion += np.bincount(actual * k + predicted, minlength=k * k).reshape(k, k)
        if self._binary:
            self._add_binary(score, predicted, actual == self._positive_index, actual)
        else:
            self._add_multiclass(score, predicted, actual)

    def finish(self) -> ClassificationProfile:
        """The profile of everything so far."""
        return ClassificationProfile(
            classes=self._classes,
            positive_class=self._positive if self._binary else None,
            threshold=self._threshold,
            scored=self._scored,
            predicted=self._predicted.copy(),
            labelled=self._labelled,
            invalid_actual=self._invalid_actual,
            confusion=self._confusion.copy(),
            scores_when={self._classes[i]: builder.finish() for i, builder in self._when.items()},
            scores_otherwise={self._classes[i]: builder.finish() for i, builder in self._otherwise.items()},
            log_loss_sum=self._log_loss_sum,
            brier_sum=self._brier_sum,
            renormalised=self._renormalised,
            calibration_counts=self._tenths[0].copy(),
            calibration_scores=self._tenths[1].copy(),
            calibration_positives=self._tenths[2].copy(),
            top_k_hits=self._top_k_hits.copy(),
        )

    def _add_scored(self, score: FloatArray, actual: IntArray) -> bool:
        """Add rows of two classes in one reading by a compiled kernel; False where it cannot."""
        found = score_classes(
            score, actual, scratch.split(), positive=self._positive_index, threshold=self._threshold, least=_EPS
        )
        if found is None:
            return False
        self._scored += score.size
        self._predicted += found.predicted
        self._invalid_actual += int(np.count_nonzero(actual == UNKNOWN_ACTUAL))
        self._labelled += int(found.tenths.sum())
        self._confusion += found.confusion
        self._when[self._positive_index].update(found.when)
        self._otherwise[self._positive_index].update(found.otherwise)
        self._log_loss_sum -= found.log_sum
        self._brier_sum += found.brier_sum
        counts, sums, positives = self._tenths
        counts += found.tenths
        sums += found.scores
        positives += found.positives
        self._top_k_hits[0] += int(np.trace(found.confusion))
        self._top_k_hits[1:] += int(found.tenths.sum())
        return True

    def _add_binary(
        self, score: FloatArray, predicted: IntArray, positive: npt.NDArray[np.bool_], actual: IntArray
    ) -> None:
        negative = ~positive
        # Places first: a mask that follows no pattern takes NumPy four times as long.
        self._when[self._positive_index].update(score.take(np.flatnonzero(positive)))
        self._otherwise[self._positive_index].update(score.take(np.flatnonzero(negative)))
        own = np.abs(score - negative)
        self._log_loss_sum -= float(np.log(np.clip(own, _EPS, 1.0 - _EPS)).sum())
        self._brier_sum += float(np.square(1.0 - own).sum())
        self._add_tenths(score, positive)
        self._top_k_hits[0] += int(np.count_nonzero(predicted == actual))
        self._top_k_hits[1:] += score.size

    def _add_multiclass(self, scores: FloatArray, predicted: IntArray, actual: IntArray) -> None:
        n, k = scores.shape
        rows = np.arange(n)
        sums = scores.sum(axis=1)
        off = np.abs(sums - 1.0) > 1e-6
        self._renormalised += int(np.count_nonzero(off))
        if off.any():
            proper = np.where((sums > 0)[:, None], scores / np.where(sums > 0, sums, 1.0)[:, None], 1.0 / k)
            scores = np.where(off[:, None], proper, scores)
        own = scores[rows, actual]
        self._log_loss_sum -= float(np.log(np.clip(own, _EPS, 1.0 - _EPS)).sum())
        self._brier_sum += float((np.square(scores).sum(axis=1) - 2.0 * own + 1.0).sum())
        self._add_tenths(scores[rows, predicted], predicted == actual)
        rank = np.count_nonzero(scores >= own[:, None], axis=1)
        self._top_k_hits += np.array([np.count_nonzero(rank <= place) for place in range(1, TOP_K + 1)])
        for i in self._when:
            is_it = actual == i
            self._when[i].update(scores[is_it, i])
            self._otherwise[i].update(scores[~is_it, i])

    def _add_tenths(self, score: FloatArray, hit: npt.NDArray[np.bool_]) -> None:
        tenth = np.minimum((10.0 * score).astype(np.int64), 9)
        counts, sums, positives = self._tenths
        sums += np.bincount(tenth, score, minlength=10)
        missed, met = np.bincount(tenth + 10 * hit, minlength=20).reshape(2, 10)
        counts += missed + met
        positives += met
