"""Queries ranked from rows in any order: scikit-learn and a slow definition agree, ties included."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score, ndcg_score

from airflow_monitoring_provider.profiles import ranking
from airflow_monitoring_provider.profiles.plan import ProfilePlan, RankingPlan
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.ranking import RankingBuilder, RankingProfile
from airflow_monitoring_provider.profiles.serialise import content_hash, from_bytes, to_bytes
from oracles import slow_ranking


def ranked(rows: Any, plan: RankingPlan, cuts: tuple[int, ...] = ()) -> RankingProfile:
    """The profile of (query, score, relevance) rows that come in batches."""
    builder = RankingBuilder(plan)
    table = np.array(rows, np.float64).reshape(-1, 3)
    for part in np.split(table, [cut for cut in cuts if cut <= len(table)]):
        keys = (part[:, 0].astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        builder.update(keys, np.ones(len(part), np.bool_), part[:, 1], part[:, 2])
    return builder.finish()


def test_a_ranking_by_hand() -> None:
    # By score: 1 0 1, then 0 1 of one score.
    rows = [(7, 0.9, 1), (7, 0.8, 0), (7, 0.7, 1), (8, 0.5, 0), (8, 0.5, 1), (9, 0.1, 0)]
    found = ranked(rows, RankingPlan("q", (2,)))
    first, both = 1 / (1 + 1 / math.log2(3)), (1 + 1 / math.log2(3)) / 2
    expected = {
        "ndcg_at_2": (first + both) / 2,
        "map_at_2": (0.5 + 0.75) / 2,
        "recall_at_2": (0.5 + 1) / 2,
        "precision_at_2": 0.5,
        "mrr": (1 + 0.75) / 2,
    }
    assert expected == pytest.approx({name: moments.mean for name, moments in found.scores.items()}, abs=1e-12)
    assert (6, 3, 0) == (found.rows, found.queries, found.negative)
    assert {2} == {moments.count for moments in found.scores.values()}


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(-1, 3)), max_size=16).filter(
        lambda rows: all(sum(1 for q, s, _ in rows if (q, s) == pair) < 6 for pair in {(q, s) for q, s, _ in rows})
    ),
    st.integers(1, 6),
    st.sampled_from([None, 2.0]),
)
@settings(max_examples=60, deadline=None)
def test_ties_are_the_mean_over_all_their_orders(rows: Any, k: int, relevant_from: float | None) -> None:
    whole = [(query, score, max(r, 0)) for query, score, r in rows]
    found = ranked(whole, RankingPlan("q", (k,), relevant_from))
    for name, (count, mean) in slow_ranking.mean_scores(whole, k, relevant_from).items():
        moments = found.scores[name if name == "mrr" else f"{name}_at_{k}"]
        assert count == moments.count
        assert mean is None or mean == pytest.approx(moments.mean, abs=1e-9)


@pytest.mark.parametrize("levels", [3, 1000])
def test_scikit_learn_agrees(levels: int) -> None:
    chance = np.random.default_rng(levels)
    scores = chance.integers(0, levels, (40, 25)) / levels
    if levels > 3:
        scores += chance.random((40, 25)) * 1e-6  # no ties: average precision treats them otherwise
    graded = chance.integers(0, 4, (40, 25)).astype(float)
    graded[0] = 0
    rows = np.stack([np.repeat(np.arange(40), 25), scores.ravel(), graded.ravel()], axis=1)
    found = ranked(chance.permutation(rows), RankingPlan("q", (1, 5, 25)), (100, 101, 700))
    for k in (1, 5, 25):
        assert ndcg_score(graded[1:], scores[1:], k=k) == pytest.approx(found.scores[f"ndcg_at_{k}"].mean, abs=1e-12)
    if levels > 3:
        truth = graded[1:] > 0
        mean = np.mean([average_precision_score(y, s) for y, s in zip(truth, scores[1:], strict=True)])
        assert mean == pytest.approx(found.scores["map_at_25"].mean, abs=1e-12)
        assert label_ranking_average_precision_score(truth, scores[1:]) == pytest.approx(mean, abs=1e-12)


def test_order_and_batches_do_not_show() -> None:
    chance = np.random.default_rng(3)
    rows = np.stack([chance.integers(0, 300, 2000), chance.integers(0, 50, 2000), chance.random(2000)], axis=1)
    plan = RankingPlan("q", (3, 10))
    assert ranked(rows, plan) == ranked(chance.permutation(rows), plan, (1, 1, 777, 1500))


def test_parts_that_share_no_query_merge_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = np.random.default_rng(4)
    rows = np.stack([chance.integers(0, 90, 900), chance.random(900), chance.integers(0, 3, 900)], axis=1)
    plan = RankingPlan("q", (5,))
    whole = ranked(rows, plan)
    parts = [ranked(rows[rows[:, 0] % 3 == rest], plan) for rest in range(3)]
    monkeypatch.setattr(ranking, "_SHARED", 64)
    for found in (parts[0].merge(*parts[1:]), ranked(rows, plan)):
        assert (whole.rows, whole.queries) == (found.rows, found.queries)
        for name, moments in whole.scores.items():
            assert (moments.count, pytest.approx(moments.mean, rel=1e-9)) == (
                found.scores[name].count,
                found.scores[name].mean,
            )
            assert moments.variance() == pytest.approx(found.scores[name].variance(), rel=1e-9)


def test_rows_past_the_limit_give_nothing_rather_than_a_part() -> None:
    builder = RankingBuilder(RankingPlan("q", (1,)), limit=10)
    for batch in range(4):
        builder.update(np.full(3, batch, np.uint64), np.ones(3, np.bool_), np.arange(3.0), np.ones(3))
        found = builder.finish()
        assert (3 * (batch + 1), batch == 3) == (found.rows, found.beyond)
    assert ({}, 0) == (found.scores, found.queries)
    assert RankingProfile(12 + 3, beyond=True) == found.merge(ranked([(0, 1, 1)] * 3, RankingPlan("q", (1,))))


def test_rows_without_a_query_or_an_actual_are_in_no_query() -> None:
    builder = RankingBuilder(RankingPlan("q", (1,)))
    named, relevance = np.array([True, True, False, False]), np.array([1, np.nan, -1, np.nan])
    builder.update(np.zeros(4, np.uint64), named, np.arange(4.0), relevance)
    found = builder.finish()
    assert (1, 1, 1, 0) == (found.rows, found.without_query, found.queries, found.negative)
    assert 1.0 == found.scores["mrr"].mean


@pytest.mark.parametrize("scale", [5e-324, 1e308])
def test_relevances_of_any_size_have_a_finite_gain(scale: float) -> None:
    found = ranked([(1, 0.5, 0), (1, 0.4, scale), (1, 0.3, scale)], RankingPlan("q", (2,))).scores["ndcg_at_2"]
    log = 1 / math.log2(3)
    assert log / (1 + log) == pytest.approx(found.mean, abs=1e-12)


def test_many_rows_of_one_score_keep_their_digits() -> None:
    size, relevant = 5000, 40
    rows = [(1, 0.5, float(place < relevant)) for place in range(size)]
    found = ranked(rows, RankingPlan("q", (10,)))
    chance, left = 0.0, 1.0
    for place in range(size - relevant + 1):
        chance += left * relevant / (size - place) / (place + 1)
        left *= 1 - relevant / (size - place)
    assert chance == pytest.approx(found.scores["mrr"].mean, rel=1e-9)
    assert relevant / size == pytest.approx(found.scores["precision_at_10"].mean, rel=1e-9)


def test_the_stored_form_reads_back_and_older_plans_keep_theirs() -> None:
    plan = ProfilePlan((), ranking=RankingPlan("q", (1, 5), 2.0))
    profile = Profile(plan, ranking=ranked([(1, 0.5, 1), (1, 0.4, 2), (2, 0.4, 3)], RankingPlan("q", (1, 5), 2.0)))
    assert profile == from_bytes(to_bytes(profile), content_hash(profile))
    assert plan == ProfilePlan.from_dict(plan.to_dict())
    assert "ranking" not in ProfilePlan(()).to_dict()
    merged = profile.merge(Profile(ProfilePlan(())))
    assert (None, None) == (merged.ranking, merged.plan.ranking)
