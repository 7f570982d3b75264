"""Groups: rates counted by hand, SciPy's test, scikit-learn's areas, and when there is no number."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from sklearn import metrics as sk

from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.terms import ResultStatus, TargetType
from airflow_monitoring_provider.metrics.compare import compare
from airflow_monitoring_provider.metrics.groups import group_values
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.monitors.evaluate import judge
from airflow_monitoring_provider.monitors.thresholds import Limits, Rules
from airflow_monitoring_provider.profiles.plan import ConditionPlan, ProfilePlan, SegmentPlan, TargetPlan
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, Profile

SMALL = ComparisonSettings(labelled_rows=1, per_class=1, segment_rows=1)
WAY = SegmentPlan("sex", "sex", limit=2, levels=("f", "m"))
BINARY = TargetPlan(TargetType.BINARY, (("yes", "score"),), "y", ("no", "yes"), "yes")
Rows = tuple[npt.ArrayLike, npt.ArrayLike]


def batch(groups: dict[str, Rows], *ways: SegmentPlan, target: TargetPlan = BINARY) -> Profile:
    """Scores and actuals of each group."""
    parts = {
        name: ClassificationProfile.of(("no", "yes"), scores, actual, positive_class="yes")
        for name, (scores, actual) in groups.items()
    }
    first, *rest = parts.values()
    whole = first.merge(*rest)
    plan = ProfilePlan((), target)
    segments = {f"sex={name}": Profile(plan, part.scored, target=part) for name, part in parts.items()}
    return Profile(dataclasses.replace(plan, segments=ways or (WAY,)), whole.scored, target=whole, segments=segments)


def found(
    profile: Profile, settings: ComparisonSettings = SMALL, before: Profile | None = None
) -> dict[str, MetricValue]:
    values = group_values(profile, before, settings)
    assert all((value.value is None) == (value.reason is not None) for value in values)
    return {value.name: value for value in values}


F = ([0.9, 0.8, 0.7, 0.2, 0.1], [1, 1, 0, 1, 0])  # selected 3/5, tpr 2/3, fpr 1/2
M = ([0.6, 0.4, 0.3, 0.2], [1, 1, 0, 0])  # selected 1/4, tpr 1/2, fpr 0


def test_rates_of_two_groups_counted_by_hand() -> None:
    values = found(batch({"f": F, "m": M}))

    expected = {
        "selection_rate_difference": 3 / 5 - 1 / 4,
        "selection_rate_ratio": (1 / 4) / (3 / 5),
        "tpr_difference": 2 / 3 - 1 / 2,
        "fpr_difference": 1 / 2,
    }
    assert expected == pytest.approx({name: values[name].value for name in expected})
    ratio = values["selection_rate_ratio"]
    assert ("sex=m", "sex=f", "sex") == (ratio.details["lowest"], ratio.details["highest"], ratio.column)
    assert [{"group": "sex=f", "rows": 5, "rate": 0.6}, {"group": "sex=m", "rows": 4, "rate": 0.25}] == ratio.details[
        "groups"
    ]
    assert (9, ResultKind.MODEL_PERFORMANCE) == (ratio.m, ratio.kind)
    assert Direction.HIGHER_IS_BETTER == ratio.direction
    assert Direction.LOWER_IS_BETTER == values["tpr_difference"].direction
    assert values.keys() <= METRICS.keys()


def test_the_page_of_metrics_lists_every_value_of_groups() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8")
    table = page[page.index("| groups of a binary target |") :].split("\n\n")[0]

    listed = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split(" | ")[0])}
    assert found(batch({"f": F, "m": M})).keys() == listed


def test_the_p_value_is_that_of_equal_rates() -> None:
    rng = np.random.default_rng(0)
    scores = {name: rng.beta(a, 2, 300) for name, a in (("f", 2), ("m", 2.6), ("__other__", 2))}
    profile = batch({name: (s, np.zeros(300, int)) for name, s in scores.items()})
    selected = [int(np.sum(s >= 0.5)) for s in scores.values()]

    value = found(profile)["selection_rate_difference"]

    table = [selected, [300 - hits for hits in selected]]
    assert stats.chi2_contingency(table, correction=False).pvalue == pytest.approx(value.p_value)
    assert (max(selected) - min(selected)) / 300 == pytest.approx(value.value)


def test_a_difference_of_small_groups_is_no_finding_by_itself() -> None:
    limits = Rules({"selection_rate_ratio": Limits(0.9, 0.8)})
    small = found(batch({"f": F, "m": M}))["selection_rate_ratio"]
    large = found(batch({"f": tuple(np.tile(x, 200) for x in F), "m": tuple(np.tile(x, 200) for x in M)}))

    assert ResultStatus.NO_DETECTION is judge(small, limits).status
    assert ResultStatus.DETECTED is judge(large["selection_rate_ratio"], limits).status
    assert small.value == pytest.approx(large["selection_rate_ratio"].value)


@pytest.mark.parametrize("seed", range(3))
def test_the_area_within_groups_is_the_mean_of_theirs_by_rows(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, areas, variances, sizes = {}, [], [], []
    for name, rows, shift in (("f", 400, 0.0), ("m", 150, 0.3), ("__other__", 90, 0.5), ("__missing__", 70, 0.1)):
        actual = (rng.random(rows) < 0.4).astype(int)
        scores = np.clip(0.3 * rng.random(rows) + 0.1 * actual + shift, 0, 1)
        groups[name] = (scores, actual)
        if not name.startswith("__"):
            won = np.sign(scores[actual == 1][:, None] - scores[actual == 0]) / 2 + 0.5
            areas.append(sk.roc_auc_score(actual, scores))
            variances.append(sum(np.var(won.mean(axis=k), ddof=1) / won.shape[1 - k] for k in (0, 1)))
            sizes.append(rows)
    weights = np.array(sizes) / sum(sizes)

    value = found(batch(groups))["group_auc"]

    half = 1.959963984540054 * np.sqrt(np.square(weights) @ variances)
    assert weights @ areas == pytest.approx(value.value)
    assert (weights @ areas - half, weights @ areas + half) == pytest.approx((value.low, value.high))
    assert sum(sizes) == value.m


def test_rows_without_the_column_are_no_group_and_small_groups_do_not_count() -> None:
    nobody = ([0.1] * 9, [0] * 9)
    values = found(batch({"f": F, "m": M, "__missing__": nobody}))
    assert 0.25 == values["selection_rate_difference"].details["groups"][1]["rate"]
    assert 2 == len(values["selection_rate_difference"].details["groups"])

    alone = found(batch({"f": F, "m": M}), dataclasses.replace(SMALL, segment_rows=5))
    assert {Reason.INSUFFICIENT_DATA} == {v.reason for name, v in alone.items() if name != "group_auc"}
    assert {"sex=f"} == {group["group"] for group in alone["group_auc"].details["groups"]}
    scarce = found(batch({"f": F, "m": M}), dataclasses.replace(SMALL, per_class=3))
    assert scarce["selection_rate_ratio"].value is not None
    assert Reason.INSUFFICIENT_DATA == scarce["tpr_difference"].reason == scarce["group_auc"].reason


def test_nobody_selected_leaves_the_ratio_undefined_and_not_zero() -> None:
    values = found(batch({"f": ([0.1, 0.2], [0, 1]), "m": ([0.3, 0.1], [0, 1])}))

    assert Reason.ZERO_DENOMINATOR == values["selection_rate_ratio"].reason
    assert (0.0, 1.0) == (values["selection_rate_difference"].value, values["selection_rate_difference"].p_value)
    some = found(batch({"f": ([0.9, 0.2], [0, 1]), "m": ([0.3, 0.1], [0, 1])}))
    assert 0.0 == some["selection_rate_ratio"].value


def test_the_baselines_value_stands_beside_where_its_groups_are_the_same() -> None:
    now, then = batch({"f": F, "m": M}), batch({"f": M, "m": F})
    other = batch({"f": M, "m": F}, dataclasses.replace(WAY, levels=("f",)))

    beside = found(now, SMALL, then)["tpr_difference"]

    assert (2 / 3 - 1 / 2, 0.0) == pytest.approx((beside.details["baseline_value"], beside.details["change"]))
    assert "baseline_value" not in found(now, SMALL, other)["tpr_difference"].details


def test_only_ways_to_group_by_one_column_make_groups() -> None:
    condition = SegmentPlan("rich", where=(ConditionPlan("income", "gt", (1.0,)),))
    again = dataclasses.replace(WAY, name="gender")

    assert {} == found(batch({"f": F, "m": M}, condition))
    values = group_values(batch({"f": F, "m": M}, WAY, again), None, SMALL)
    assert 5 == len(values) == len({(value.column, value.name) for value in values})


def test_without_actuals_there_are_selection_rates_only() -> None:
    blind = dataclasses.replace(BINARY, actual_column=None)
    rows = {"f": ([0.9, 0.1], [-1, -1]), "m": ([0.1, 0.2], [-1, -1])}

    assert {"selection_rate_difference", "selection_rate_ratio"} == found(batch(rows, target=blind)).keys()


def test_the_order_of_groups_does_not_matter_and_a_comparison_holds_them_once() -> None:
    one, two = batch({"f": F, "m": M}), batch({"m": M, "f": F}, dataclasses.replace(WAY, levels=("m", "f")))
    for name, value in found(one).items():
        assert value.value == pytest.approx(found(two)[name].value)

    values = [v for v in compare(one, None, SMALL) if v.name in found(one)]
    assert [None] * 5 == [value.segment for value in values]
    assert all(v.adjusted_p_value is not None for v in values if v.name != "group_auc")
