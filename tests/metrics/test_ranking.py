"""Ranking values: a number over queries or the reason why there is none, and what is said of both on the page."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.metrics.ranking import ranking_values
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.profiles.plan import ProfilePlan, RankingPlan
from airflow_monitoring_provider.profiles.profile import Profile, RegressionProfile
from airflow_monitoring_provider.profiles.ranking import RankingBuilder, RankingProfile

PLAN = RankingPlan("session", (2,))
FEW = ComparisonSettings(labelled_rows=1)


def profile(rows: list[tuple[int, float, float]], plan: RankingPlan = PLAN, **changes: Any) -> Profile:
    """Of (query, score, relevance) rows."""
    builder = RankingBuilder(plan)
    table = np.array(rows, np.float64).reshape(-1, 3)
    builder.update(table[:, 0].astype(np.uint64), np.ones(len(table), np.bool_), table[:, 1], table[:, 2])
    target = RegressionProfile.of(table[:, 1], table[:, 2])
    found = dataclasses.replace(builder.finish(), **changes)
    return Profile(ProfilePlan((), ranking=plan), target=target, ranking=found)


GOOD = profile([(1, 0.9, 1), (1, 0.5, 0), (2, 0.9, 0), (2, 0.5, 1), (3, 0.5, 0)])


def reasons(current: Profile, settings: ComparisonSettings = FEW) -> set[Reason | str | None]:
    return {value.reason for value in ranking_values(current, None, settings)}


def test_each_undefined_value_has_its_reason() -> None:
    nothing = dataclasses.replace(GOOD, target=RegressionProfile(), ranking=RankingProfile())
    assert {None} == reasons(GOOD)
    assert {Reason.NOT_RECORDED} == reasons(dataclasses.replace(GOOD, ranking=None))
    assert {Reason.TOO_MANY_ROWS} == reasons(profile([(1, 1, 1)], beyond=True, scores={}))
    assert {Reason.NO_PREDICTIONS} == reasons(nothing)
    assert {Reason.NO_ACTUALS} == reasons(dataclasses.replace(GOOD, ranking=RankingProfile()))
    assert {Reason.NO_DATA} == reasons(dataclasses.replace(GOOD, ranking=RankingProfile(without_query=9)))
    assert {Reason.INSUFFICIENT_DATA} == reasons(GOOD, ComparisonSettings())
    assert {Reason.ZERO_DENOMINATOR} == reasons(profile([(1, 0.9, 0), (2, 0.5, 0)]))
    negative = {value.name: value.reason for value in ranking_values(profile([(1, 1, -1), (1, 2, 1)]), None, FEW)}
    assert {"ndcg_at_2": Reason.OUT_OF_DOMAIN} == {name: why for name, why in negative.items() if why is not None}
    assert [] == ranking_values(Profile(ProfilePlan(())), None, FEW)


def test_queries_without_a_relevant_row_are_left_out_and_counted() -> None:
    values = {value.name: value for value in ranking_values(GOOD, None, FEW)}
    assert (0.75, 5) == (values["mrr"].value, values["mrr"].m)
    assert {"queries": 2, "undefined_queries": 1, "rows_without_query": 0} == values["mrr"].details
    one = ranking_values(profile([(1, 0.9, 1)]), None, FEW)
    assert {(1.0, None, None)} == {(v.value, v.low, v.high) for v in one if v.name != "precision_at_2"}


def test_a_baseline_that_ranked_otherwise_is_not_compared_with() -> None:
    deeper = RankingPlan("session", (2, 7))
    same, other = (profile([(1, 0.9, 1)] * 3, plan) for plan in (deeper, RankingPlan("user", (2,))))
    compared = {value.name: value.details for value in ranking_values(GOOD, same, FEW)}
    assert (1.0, -0.25) == (compared["mrr"]["baseline_value"], compared["mrr"]["change"])
    assert all("baseline_value" not in value.details for value in ranking_values(GOOD, other, FEW))
    newer = {value.name: value for value in ranking_values(dataclasses.replace(same), GOOD, FEW, provisional=True)}
    assert "baseline_value" not in newer["ndcg_at_7"].details
    assert newer["ndcg_at_2"].details["provisional"]


def test_the_page_of_metrics_lists_every_ranking_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    table = page[page.index("| ranking |") :].split("\n\n")[0]
    listed = [name for row in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    assert [value.name.replace("_at_2", "_at_k") for value in ranking_values(GOOD, None, FEW)] == listed
    for value in ranking_values(GOOD, None, FEW):
        term = METRICS[value.name]
        assert [term.low, value.low, value.value, value.high, term.high] == sorted(
            [term.low, value.low, value.value, value.high, term.high]
        )
    assert pytest.approx(0.5) == {v.name: v.value for v in ranking_values(GOOD, None, FEW)}["precision_at_2"]
