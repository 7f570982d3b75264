"""How far the mean of the current vectors lies from the baseline's, and whether chance alone could have moved it.

Two distances between the mean vectors (centroids), Arize's for embeddings: ``centroid_euclidean``, the norm of their
difference (``numpy.linalg.norm``), in the unit of the vectors, and ``centroid_cosine``, one less the cosine of the
angle between them (``scipy.spatial.distance.cosine``). Both see a moved mean and nothing else: not vectors that only
spread further, nor two groups that drift apart around one mean.

The p-value asks whether any dimension's mean moved, by the permutation test of the difference of means: what it would
be if rows were shuffled between the sides, approximated by its first three moments (Pearson type III, Mielke and Berry
2001), since the numbers of a layer after a rectifier are far too skewed for a t test. Those of all dimensions are
combined as by Liu and Xie (2020), which holds for small p however the dimensions depend on each other. It assumes that
rows are independent. Dimensions that have one value on both sides say nothing. Simulated at level 0.05 with 128
dimensions, 100 rows against 1000: independent ones 0.048, equally correlated by 0.5 0.062, rectified of rank 8 0.048,
one in fifteen rows above zero 0.003, log-normal 0.087, unit vectors 0.060; Welch's t test rejects 0.25 of the rectified
and 0.54 of the log-normal ones.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import gammainc, gammaincc, ndtr

from airflow_monitoring_provider.definitions.metric_terms import OF_EMBEDDINGS
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.column_test import combine
from airflow_monitoring_provider.metrics.quality import column_quality
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.profiles.embeddings import EmbeddingPlan, EmbeddingProfile
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

FloatArray = npt.NDArray[np.float64]

_MOVED = 5
_STRAIGHT = 1e-4
_ROUNDING = 1e-13


def embedding_values(
    current: Profile, baseline: Profile | None, settings: ComparisonSettings, *, reason: Reason | None = None
) -> list[MetricValue]:
    """Of each embedding of the current plan: its distances, the deciding one first, then which rows have no vector;
    nothing of the rows where they lack its columns.

    :param reason: why there is nothing to compare, where the caller knows.
    """
    values: list[MetricValue] = []
    for plan in current.plan.embeddings:
        found = current.embeddings.get(plan.name, EmbeddingProfile.empty(plan.dimensions))
        before = None if baseline is None else baseline.embeddings.get(plan.name)
        why = reason or _incomparable(plan, baseline)
        values += _distances(plan, found, before, settings, why)
        if plan.columns:
            reference = None if before is None else _as_column(plan.name, before)
            values += column_quality(_as_column(plan.name, found), reference)
    return values


def centroid_euclidean(reference: FloatArray, current: FloatArray) -> float:
    """``numpy.linalg.norm(current - reference)`` of two mean vectors."""
    return float(np.linalg.norm(current - reference))


def centroid_cosine(reference: FloatArray, current: FloatArray) -> float | None:
    """``scipy.spatial.distance.cosine`` of two mean vectors, without its loss of digits where they nearly agree; None
    where one of them has no direction.
    """
    lengths = float(np.linalg.norm(reference)), float(np.linalg.norm(current))
    if not all(lengths):
        return None
    apart = current / lengths[1] - reference / lengths[0]
    return min(float(apart @ apart) / 2, 2.0)


def centroid_test(reference: EmbeddingProfile, current: EmbeddingProfile) -> tuple[float, FloatArray]:
    """The p-value of the means of two sets of vectors, and each dimension's standardised difference (0 where nothing
    varies): current less reference, in standard deviations of what shuffled rows give.
    """
    together = reference.merge(current)
    n, m, rows = reference.count, current.count, together.count
    # What summing leaves of a dimension that has one value is no spread.
    varies = together.squares > rows * (_ROUNDING * together.mean) ** 2
    apart = (current.mean_high - reference.mean_high) + (current.mean_low - reference.mean_low)
    z = np.zeros_like(apart)
    z[varies] = apart[varies] / np.sqrt(together.squares[varies] / (rows - 1) * (1 / n + 1 / m))
    if not varies.any():
        return 1.0, z
    skew = together.skew()[varies] * ((n - m) / math.sqrt(n * m * rows))
    p_values = _both_tails(z[varies], skew)
    tested = int(p_values.size)
    if tested == 1:
        return float(p_values[0]), z
    # A p-value of 1 would outweigh any number of small ones.
    return combine(np.minimum(p_values, 1 - 0.5 / tested).tolist(), [1.0] * tested), z


def _both_tails(z: FloatArray, skew: FloatArray) -> FloatArray:
    """Twice the smaller tail of a Pearson type III distribution of mean 0 and variance 1
    (``scipy.stats.pearson3(skew)``); of the normal one where it is hardly skewed.
    """
    bent = np.abs(skew) > _STRAIGHT
    shape = 4 / np.where(bent, skew, 1.0) ** 2
    towards = np.where(skew > 0, z, -z)  # a gamma distribution's long tail is the upper one
    place = np.maximum(shape + towards * np.sqrt(shape), 0.0)
    tails = np.minimum(gammainc(shape, place), gammaincc(shape, place))
    found: FloatArray = np.minimum(2 * np.where(bent, tails, ndtr(-np.abs(z))), 1.0)
    return found


def _incomparable(plan: EmbeddingPlan, baseline: Profile | None) -> Reason | None:
    """Why the baseline's vectors are none to compare with."""
    if baseline is None:
        return Reason.BASELINE_MISSING
    same = next((each for each in baseline.plan.embeddings if each.name == plan.name), None)
    if same is None:
        return Reason.COLUMN_NEW
    if not plan.columns:
        return Reason.COLUMN_MISSING
    return None if same.common(plan) is not None else Reason.COLUMN_RETYPED


def _distances(
    plan: EmbeddingPlan,
    current: EmbeddingProfile,
    reference: EmbeddingProfile | None,
    settings: ComparisonSettings,
    reason: Reason | None,
) -> list[MetricValue]:
    primary = settings.embeddings.get(plan.name, OF_EMBEDDINGS[0])
    blanks = [
        MetricValue(
            name=name,
            kind=ResultKind.DATA_DRIFT,
            direction=direction_of(name),
            value=None,
            column=plan.name,
            primary=name == primary,
            n=None if reference is None else reference.count,
            m=current.count,
            missing_reference=None if reference is None else _share(reference.missing, reference.rows),
            missing_current=_share(current.missing, current.rows),
            details={"role": "feature", "dimensions": plan.dimensions, **_left_out(current)},
        )
        for name in sorted(OF_EMBEDDINGS, key=lambda name: name != primary)
    ]
    if reason is None and (reference is None or not reference.count or not current.count):
        reason = Reason.NO_DATA
    if reason is not None or reference is None:
        return [dataclasses.replace(blank, reason=reason) for blank in blanks]
    needed = {"reference_rows": max(settings.reference_rows, 2), "current_rows": max(settings.current_rows, 2)}
    if reference.count < needed["reference_rows"] or current.count < needed["current_rows"]:
        return [
            dataclasses.replace(b, reason=Reason.INSUFFICIENT_DATA, details={**b.details, "needed": needed})
            for b in blanks
        ]
    return _measured(blanks, plan, reference, current)


def _measured(
    blanks: list[MetricValue], plan: EmbeddingPlan, reference: EmbeddingProfile, current: EmbeddingProfile
) -> list[MetricValue]:
    p_value, z = centroid_test(reference, current)
    described = {**_scale(reference, current), "moved_dimensions": _moved(plan, reference, current, z)}
    values = []
    for blank in blanks:
        of = centroid_euclidean if blank.name == OF_EMBEDDINGS[0] else centroid_cosine
        found = of(reference.mean, current.mean)
        details = {**blank.details, "test": "permuted_means", **(described if blank.primary else {})}
        if found is None:
            value = dataclasses.replace(blank, reason=Reason.ZERO_DENOMINATOR, details=details)
        else:
            value = dataclasses.replace(blank, value=found, p_value=p_value, details=details)
        values.append(value)
    return values


def _scale(reference: EmbeddingProfile, current: EmbeddingProfile) -> dict[str, float]:
    """What a distance of the means is to be held beside: the distance that chance alone brings (its root mean square
    where nothing changed), and how far the baseline's vectors lie from their mean (likewise).
    """
    spread = float(np.sum(reference.variance()))
    chance = spread / reference.count + float(np.sum(current.variance())) / current.count
    return {"expected_by_chance": math.sqrt(chance), "baseline_spread": math.sqrt(spread)}


def _moved(
    plan: EmbeddingPlan, reference: EmbeddingProfile, current: EmbeddingProfile, z: FloatArray
) -> list[dict[str, Any]]:
    """The at most five dimensions that moved most, with both means, :func:`centroid_test`'s z, and their part
    of the squared distance."""
    apart = (current.mean - reference.mean) ** 2
    total = float(np.sum(apart))
    order = np.argsort(-apart, kind="stable")[:_MOVED]
    return [
        {
            "dimension": plan.columns[place] if plan.split else place,
            "reference": float(reference.mean[place]),
            "current": float(current.mean[place]),
            "z": float(z[place]),
            "share": float(apart[place]) / total,
        }
        for place in order.tolist()
        if apart[place] > 0 and total > 0
    ]


def _left_out(current: EmbeddingProfile) -> dict[str, int]:
    """Rows whose vector could not be used, and how many of them had another length."""
    counts = {"invalid": current.invalid, "other_length": current.other_length}
    return {name: rows for name, rows in counts.items() if rows}


def _share(rows: int, of: int) -> float | None:
    return rows / of if of else None


def _as_column(name: str, vectors: EmbeddingProfile) -> ColumnProfile:
    """What quality looks at: which rows hold nothing, and which no vector. A text has nothing else to be judged."""
    return ColumnProfile(name, ColumnKind.TEXT, rows=vectors.rows, missing=vectors.missing, invalid=vectors.invalid)
