"""Distances of mean vectors against NumPy and SciPy, and how often chance alone is called drift."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from airflow_monitoring_provider.definitions.metric_terms import METRICS, OF_EMBEDDINGS
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.embeddings import centroid_cosine, centroid_euclidean, centroid_test
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.embeddings import EmbeddingBuilder, EmbeddingPlan, EmbeddingProfile
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile

SETTINGS = ComparisonSettings(embeddings={"v": "centroid_euclidean"})


def side(vectors: np.ndarray, **left_out: int) -> EmbeddingProfile:
    builder = EmbeddingBuilder(vectors.shape[1])
    builder.update(vectors, **left_out)
    return builder.finish()


def rows(vectors: np.ndarray, columns: tuple[str, ...] = ("v",), **left_out: int) -> Profile:
    own = side(vectors, **left_out)
    plan = EmbeddingPlan("v", columns, vectors.shape[1], split=len(columns) > 1)
    return Profile(ProfilePlan(columns=(), embeddings=(plan,)), rows=own.rows, embeddings={"v": own})


def values(current: Profile, baseline: Profile | None, settings: Any = SETTINGS) -> dict[str, MetricValue]:
    return {value.name: value for value in compare(current, baseline, settings) if value.column == "v"}


@given(st.integers(0, 10**6), st.integers(1, 40), st.floats(0, 3))
def test_distances_are_numpys_and_scipys(seed: int, dimensions: int, shift: float) -> None:
    chance = np.random.default_rng(seed)
    before = chance.normal(1, 1, size=(300, dimensions))
    now = chance.normal(1, 1, size=(150, dimensions)) + shift * chance.normal(size=dimensions)
    found = values(rows(now), rows(before))
    means = before.mean(axis=0), now.mean(axis=0)
    assert np.linalg.norm(means[1] - means[0]) == pytest.approx(found["centroid_euclidean"].value, rel=1e-9)
    assert distance.cosine(*means) == pytest.approx(found["centroid_cosine"].value, rel=1e-9, abs=1e-14)
    assert (300, 150) == (found["centroid_euclidean"].n, found["centroid_euclidean"].m)
    assert ["centroid_euclidean"] == [value.name for value in found.values() if value.primary]


def test_the_value_is_beside_what_chance_brings_and_what_moved() -> None:
    chance = np.random.default_rng(4)
    before, now = chance.normal(size=(1000, 6)), chance.normal(size=(500, 6))
    now[:, 3] += 2
    now[:, 1] -= 1
    value = values(rows(now, tuple("abcdef")), rows(before, tuple("abcdef")))["centroid_euclidean"]
    errors = before.var(axis=0, ddof=1) / 1000 + now.var(axis=0, ddof=1) / 500
    assert np.sqrt(errors.sum()) == pytest.approx(value.details["expected_by_chance"])
    assert np.sqrt(before.var(axis=0, ddof=1).sum()) == pytest.approx(value.details["baseline_spread"])
    assert ["d", "b"] == [each["dimension"] for each in value.details["moved_dimensions"][:2]]
    first, apart = value.details["moved_dimensions"][0], (now.mean(axis=0) - before.mean(axis=0)) ** 2
    assert (before[:, 3].mean(), now[:, 3].mean()) == pytest.approx((first["reference"], first["current"]))
    assert apart[3] / apart.sum() == pytest.approx(first["share"])
    assert value.p_value is not None
    assert value.p_value < 1e-12


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_of_one_dimension_the_test_is_a_permutation_test(shift: float) -> None:
    chance = np.random.default_rng(5)
    before, now = chance.exponential(size=400), chance.exponential(size=60) + shift
    expected = stats.permutation_test(
        (now, before), lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis), n_resamples=20_000, vectorized=True,
        rng=chance, batch=2000,
    ).pvalue  # fmt: skip
    found, z = centroid_test(side(before[:, None]), side(now[:, None]))
    assert expected == pytest.approx(found, abs=0.015)
    together = np.concatenate([before, now])
    error = together.std(ddof=1) * np.sqrt(1 / 400 + 1 / 60)
    assert (now.mean() - before.mean()) / error == pytest.approx(z[0])


@pytest.mark.parametrize("kind", ["independent", "correlated", "rectified"])
def test_chance_alone_is_seldom_called_drift(kind: str) -> None:
    chance = np.random.default_rng(6)
    weights = chance.normal(size=(8, 32))

    def draw(count: int) -> np.ndarray:
        if kind == "independent":
            return chance.normal(size=(count, 32))
        mixed = chance.normal(size=(count, 8)) @ weights
        return np.maximum(mixed - 1, 0) if kind == "rectified" else mixed

    found = [centroid_test(side(draw(400)), side(draw(100)))[0] for _ in range(400)]
    assert 0.02 <= np.mean(np.array(found) <= 0.1) <= 0.14
    assert np.mean(np.array(found) <= 0.01) <= 0.025


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_neither_the_order_of_rows_nor_a_dimension_that_never_varies_changes_the_p_value(seed: int) -> None:
    chance = np.random.default_rng(seed)
    before, now = chance.normal(size=(200, 3)), chance.normal(0.1, 1, size=(120, 3))
    expected, _ = centroid_test(side(before), side(now))
    wider = [np.column_stack([chance.permutation(rows), np.full(len(rows), 0.1)]) for rows in (before, now)]
    assert expected == pytest.approx(centroid_test(*map(side, wider))[0], rel=1e-9)


def test_dimensions_that_stand_still_hide_no_shift() -> None:
    before, now = np.zeros((300, 50)), np.zeros((100, 50))
    before[:, 0] = np.random.default_rng(0).normal(size=300)
    now[:, 0] = np.random.default_rng(1).normal(3, 1, size=100)
    before[::2, 1:40] = now[::2, 1:40] = 1.0  # the same mean on both sides: p-values of 1
    assert centroid_test(side(before), side(now))[0] < 1e-6
    flat = side(np.full((300, 4), 0.1))
    assert centroid_test(flat, side(np.full((100, 4), 0.1)))[0] == 1.0
    assert centroid_test(flat, side(np.full((100, 4), 0.2)))[0] < 1e-12


def test_what_cannot_be_compared_says_why() -> None:
    whole = np.random.default_rng(7).normal(size=(300, 3))
    gone = np.zeros((0, 3))
    other = Profile(ProfilePlan(columns=()), rows=300)
    cases = {
        Reason.BASELINE_MISSING: values(rows(whole), None),
        Reason.COLUMN_NEW: values(rows(whole), other),
        Reason.COLUMN_RETYPED: values(rows(whole), rows(whole[:, :2])),
        Reason.NO_DATA: values(rows(gone, missing=300), rows(whole)),
        Reason.INSUFFICIENT_DATA: values(rows(whole[:60]), rows(whole)),
    }
    for reason, found in cases.items():
        for name in ("centroid_euclidean", "centroid_cosine"):
            assert (None, None, reason) == (found[name].value, found[name].p_value, found[name].reason), reason
    assert {"reference_rows": 200, "current_rows": 100} == found["centroid_cosine"].details["needed"]
    still = values(rows(np.zeros((300, 3))), rows(whole))
    assert Reason.ZERO_DENOMINATOR is still["centroid_cosine"].reason
    assert still["centroid_euclidean"].value is not None


def test_vectors_of_another_length_are_a_matter_of_quality() -> None:
    whole = np.random.default_rng(8).normal(size=(300, 3))
    found = values(rows(whole[:150], missing=10, other_length=40), rows(whole, missing=100))
    assert (10 / 200, 40 / 200) == (found["missing_rate"].value, found["type_mismatch_share"].value)
    assert 10 / 200 - 100 / 400 == pytest.approx(found["missing_rate_change"].value)
    assert (40, 40) == tuple(found["centroid_euclidean"].details[name] for name in ("invalid", "other_length"))


def test_unit_vectors_at_opposite_ends_are_two_apart() -> None:
    one = np.array([0.6, 0.8])
    assert centroid_cosine(one, -one) == pytest.approx(2.0)
    assert centroid_cosine(one, 3 * one) == pytest.approx(0.0, abs=1e-15)
    assert centroid_euclidean(one, -one) == pytest.approx(2.0)


def test_the_page_of_metrics_lists_every_distance_with_its_range() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    table = page[page.index("| embeddings |") :].split("\n\n")[0]
    listed = dict(re.findall(r"^\| `(\w+)` \| \[0, ([^|]+) \|", table, re.MULTILINE))
    ends = {"centroid_euclidean": "inf)", "centroid_cosine": "2]"}
    assert ends == listed
    assert list(ends) == list(OF_EMBEDDINGS)
    assert {name: float(end[:-1]) for name, end in ends.items()} == {name: METRICS[name].high for name in OF_EMBEDDINGS}
