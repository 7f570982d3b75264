"""Means and spreads of vectors in pieces against NumPy and SciPy on the whole."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from airflow_monitoring_provider.profiles.embeddings import EmbeddingBuilder, EmbeddingPlan, EmbeddingProfile
from airflow_monitoring_provider.profiles.plan import ProfilePlan, merge_plans
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes

REVIEW = EmbeddingPlan("review", ("review",), 3)


def profile(vectors: np.ndarray, **left_out: int) -> EmbeddingProfile:
    builder = EmbeddingBuilder(vectors.shape[1])
    builder.update(vectors, **left_out)
    return builder.finish()


@given(
    st.integers(0, 10**6),
    st.integers(0, 50),
    st.integers(1, 6),
    st.sampled_from([0.0, 1.0, -1e6, 1e9]),
    st.sampled_from([1.0, 1e-4, 1e40]),
    st.lists(st.integers(0, 50), max_size=4),
)
def test_pieces_are_the_whole(
    seed: int, rows: int, dimensions: int, centre: float, scale: float, cuts: list[int]
) -> None:
    chance = np.random.default_rng(seed)
    whole = centre * scale + scale * chance.gamma(2.0, size=(rows, dimensions))
    parts = [profile(piece, missing=1, other_length=2, unreadable=1) for piece in np.split(whole, sorted(cuts))]
    chance.shuffle(parts)
    found = parts[0].merge(*parts[1:])
    pieces = len(cuts) + 1
    assert (rows + 4 * pieces, pieces, 3 * pieces, 2 * pieces) == (
        found.rows,
        found.missing,
        found.invalid,
        found.other_length,
    )
    assert rows == found.count
    if rows > 1:
        exact = whole.astype(np.longdouble)
        apart = exact - exact.mean(axis=0)
        assert exact.mean(axis=0).astype(float) == pytest.approx(found.mean, rel=1e-15, abs=1e-300)
        assert (apart**2).sum(axis=0).astype(float) / (rows - 1) == pytest.approx(found.variance(), rel=1e-9)
        sizes = (np.abs(apart) ** 3).sum(axis=0).astype(float)
        assert (np.abs((apart**3).sum(axis=0).astype(float) - found.cubes) <= 1e-9 * sizes).all()


def test_the_skew_is_scipys() -> None:
    vectors = np.column_stack([np.random.default_rng(0).exponential(size=(500, 2)), np.ones(500)])
    expected = [*stats.skew(vectors[:, :2], axis=0), 0.0]
    assert expected == pytest.approx(profile(vectors).skew(), rel=1e-9)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf, 1e91])
def test_a_vector_counts_whole_or_not_at_all(broken: float) -> None:
    vectors = np.arange(12.0).reshape(4, 3)
    vectors[2, 1] = broken
    found = profile(vectors)
    assert (4, 0, 1, 0, 3) == (found.rows, found.missing, found.invalid, found.other_length, found.count)
    assert np.delete(vectors, 2, axis=0).mean(axis=0) == pytest.approx(found.mean)


def test_large_parts_are_seen_in_blocks_and_give_the_same() -> None:
    vectors = np.random.default_rng(1).normal(5, 2, size=(1200, 1000))
    found = profile(vectors)
    assert vectors.mean(axis=0) == pytest.approx(found.mean, rel=1e-12)
    assert vectors.var(axis=0, ddof=1) == pytest.approx(found.variance(), rel=1e-9)


def test_what_is_stored_is_read_back_and_plans_without_embeddings_are_what_they_were() -> None:
    whole = profile(np.random.default_rng(2).normal(size=(50, 3)), missing=2, other_length=1)
    rows = Profile(ProfilePlan(columns=(), embeddings=(REVIEW,)), rows=53, embeddings={"review": whole})
    again = from_bytes(to_bytes(rows), rows.content_hash())
    assert rows == again
    assert REVIEW == again.plan.embeddings[0]
    assert "embeddings" not in ProfilePlan(columns=()).to_dict()


def test_profiles_share_the_embeddings_that_both_have_alike() -> None:
    other = EmbeddingPlan("title", ("title",), 2)
    longer = EmbeddingPlan("review", ("review",), 4)
    plans = [ProfilePlan(columns=(), embeddings=each) for each in ((REVIEW, other), (REVIEW,), (longer, other), ())]
    assert ((REVIEW,), (other,), ()) == tuple(merge_plans(plans[0], plan).embeddings for plan in plans[1:])
    vectors = np.ones((2, 3))
    sides = [
        Profile(plans[0], rows=2, embeddings={"review": profile(vectors), "title": profile(vectors[:, :2])}),
        Profile(plans[1], rows=2, embeddings={"review": profile(vectors * 3)}),
    ]
    merged = sides[0].merge(sides[1])
    assert ["review"] == list(merged.embeddings)
    assert (4, [2.0, 2.0, 2.0]) == (merged.embeddings["review"].count, merged.embeddings["review"].mean.tolist())
    with pytest.raises(ValueError, match="of 3 and of 2 numbers"):
        profile(vectors).merge(profile(vectors[:, :2]))


LACKING = EmbeddingPlan("review", (), 3)
WIDE, RENAMED = EmbeddingPlan("review", ("review",), 4), EmbeddingPlan("review", ("text",), 3)


@pytest.mark.parametrize(
    ("expected", "plans"),
    [
        ((REVIEW,), (REVIEW, LACKING)),
        ((LACKING,), (LACKING, LACKING)),
        ((REVIEW,), (LACKING, REVIEW, LACKING, REVIEW)),
        ((), (LACKING, WIDE)),
        ((), (LACKING, REVIEW, RENAMED)),
        ((), (REVIEW, None, LACKING)),
    ],
)
def test_rows_without_the_columns_take_nothing_from_what_others_know(
    expected: tuple[EmbeddingPlan, ...], plans: tuple[EmbeddingPlan | None, ...]
) -> None:
    for order in itertools.permutations(plans):
        merged = functools.reduce(merge_plans, [ProfilePlan((), embeddings=(p,) if p else ()) for p in order])
        assert expected == merged.embeddings
