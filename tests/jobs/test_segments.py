"""Segments through whole jobs: levels frozen with the baseline, results of each, and where there is none to compare."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import job_world
from airflow_monitoring_provider.definitions import JobDefinition, ResultStatus
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.jobs.judging import _monitor_id
from airflow_monitoring_provider.metrics.distances import psi
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.monitors.evaluate import Result

Define = Callable[..., JobDefinition]
SEGMENTS = [
    "region",
    {"column": "amount", "bins": 3},
    {
        "name": "likely",
        "where": [{"column": "score", "op": "ge", "value": 0.5}, {"column": "region", "op": "not_null"}],
    },
]


def results(world: job_world.World, job: str, column: str, name: str = "psi") -> dict[str | None, Any]:
    return {v.segment: v for v in world.store.load_values(job) if (v.name, v.column) == (name, column)}


def test_every_segment_is_compared_with_its_own_baseline(
    world: job_world.World, define: Define, tools: ModuleType
) -> None:
    first, second = tools.day_rows(0, 1600, dirty=False), tools.day_rows(1, 1600, dirty=False)
    for row in second:
        if row["region"] == "west":
            row["amount"] = None if row["amount"] is None else row["amount"] + 2  # one region drifts
    second[5]["region"] = "elsewhere"
    world.table("scores", [*first, *second])
    definition = define(segments=SEGMENTS)
    world.run(definition, 0)
    summary = world.run(definition, 1)
    found = results(world, summary.job_id, "amount")
    regions = {"north", "south", "west", "far east"}
    assert {None, "likely", *(f"region={r}" for r in regions)} < found.keys()
    west, north = found["region=west"], found["region=north"]
    assert west.value > 1 > 0.2 > north.value
    assert west.adjusted_p_value < 1e-6 < 0.05 < north.adjusted_p_value
    assert (sum(r["region"] == "west" and r["amount"] is not None for r in first)) <= west.n
    assert Reason.NO_DATA == found["region=__other__"].reason  # nobody was elsewhere on the first day
    assert Reason.INSUFFICIENT_DATA == found["region=__missing__"].reason  # 69 rows, and drift needs 100
    ranges = sorted(name for name in found if name and name.startswith("amount="))
    assert 4 == len(ranges)  # three ranges, and the missing ones
    auc = results(world, summary.job_id, None, "roc_auc")  # type: ignore[arg-type]
    assert auc["region=west"].value == pytest.approx(_auc([r for r in second if r["region"] == "west"]), abs=1e-9)
    rates = [
        sum(r["score"] is not None and r["score"] >= 0.5 for r in rows) / sum(r["score"] is not None for r in rows)
        for rows in ([r for r in second if r["region"] == region] for region in sorted(regions))
    ]
    (selection,) = results(world, summary.job_id, "region", "selection_rate_ratio").values()
    assert selection.value == pytest.approx(min(rates) / max(rates))
    evaluation = world.evaluate(definition, summary)
    assert evaluation.status == "detected"
    page = list(world.store.results(summary.job_id, segment="region=west", column="amount"))
    assert ["psi"] == [result.value.name for result in page]
    assert "detected" == getattr(page[0].status, "text", None)


def test_few_rows_are_said_to_be_too_few(small_world: job_world.World, define: Define, tools: ModuleType) -> None:
    rows = [*tools.day_rows(0, 900, dirty=False), *tools.day_rows(1, 900, dirty=False)]
    for place, row in enumerate(rows):
        row["region"] = "rare" if place % 60 == 0 else "common"
    small_world.table("scores", rows)
    definition = define(segments=["region"])
    small_world.run(definition, 0)
    found = results(small_world, small_world.run(definition, 1).job_id, "amount")
    assert (None, Reason.INSUFFICIENT_DATA) == (found["region=rare"].value, found["region=rare"].reason)
    assert found["region=common"].value is not None


def test_segments_named_later_have_no_baseline_yet(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    small_world.table("scores", [*tools.day_rows(0, 600, dirty=False), *tools.day_rows(1, 600, dirty=False)])
    small_world.run(define(), 0)
    found = results(small_world, small_world.run(define(segments=["region"]), 1).job_id, "amount")
    assert found[None].value is not None
    assert {Reason.BASELINE_MISSING} == {value.reason for name, value in found.items() if name is not None}


def test_a_condition_that_was_edited_is_not_compared_with_what_it_was(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    small_world.table("scores", [*tools.day_rows(0, 900, dirty=False), *tools.day_rows(1, 900, dirty=False)])

    def likely(score: float) -> JobDefinition:
        return define(segments=[{"name": "likely", "where": [{"column": "score", "op": "ge", "value": score}]}])

    small_world.run(likely(0.1), 0)
    edited = small_world.run(likely(0.6), 1)
    assert Reason.BASELINE_MISSING == results(small_world, edited.job_id, "score")["likely"].reason
    same = small_world.run(likely(0.1), 1)
    assert results(small_world, same.job_id, "score")["likely"].value is not None


def test_a_segment_that_is_gone_says_so(small_world: job_world.World, define: Define, tools: ModuleType) -> None:
    first, second = tools.day_rows(0, 900, dirty=False), tools.day_rows(1, 900, dirty=False)
    small_world.table("scores", [*first, *(row for row in second if row["region"] != "west")])
    definition = define(segments=["region"])
    small_world.run(definition, 0)
    job = small_world.run(definition, 1).job_id
    assert Reason.NO_DATA == results(small_world, job, "amount")["region=west"].reason
    counts = results(small_world, job, None, "row_count")  # type: ignore[arg-type]
    assert 0 == counts["region=west"].value
    assert sum(row["region"] == "west" for row in first) == counts["region=west"].n
    assert sum(row["region"] == "north" for row in second) == counts["region=north"].value


def test_alerts_and_the_explanation_say_which_segment(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    second = tools.day_rows(1, 1600, dirty=False)
    for row in second:
        if row["region"] == "west" and row["amount"] is not None:
            row["amount"] += 3
    small_world.table("scores", [*tools.day_rows(0, 1600, dirty=False), *second])
    definition = define(segments=["region"], features=["amount"])
    small_world.run(definition, 0)
    evaluation = small_world.evaluate(definition, small_world.run(definition, 1))
    assert ("amount", "region=west") == (evaluation.worst["column"], evaluation.worst["segment"])
    assert " columns of segments drifted: amount in region=west psi " in evaluation.explanation
    titles = [alert.title for alert in small_world.store.pending_alerts()]
    assert 1 == sum("psi of amount in region=west is" in title for title in titles)


def test_monitors_are_told_apart_whatever_columns_and_segments_hold() -> None:
    pairs = [("a/b", "c=d"), ("a", "b/c=d"), ("a%2Fb", "c=d"), ("a/b/c=d", None), ("a", None)]
    results = [
        Result(
            MetricValue("psi", ResultKind.DATA_DRIFT, Direction.LOWER_IS_BETTER, 0.1, column=column, segment=segment),
            ResultStatus.DETECTED,
        )
        for column, segment in pairs
    ]
    assert len(pairs) == len({_monitor_id("d", result) for result in results})
    assert "d/psi/a/" == _monitor_id("d", results[-1])  # as it was before there were segments


def test_a_reference_that_lacks_the_column_leaves_the_segments_without_a_baseline(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    columns = {name: kind for name, kind in job_world.COLUMNS.items() if name != "region"}
    rows = [{k: v for k, v in row.items() if k != "region"} for row in tools.day_rows(0, 600, dirty=False)]
    small_world.table("training", rows, columns)
    small_world.table("scores", tools.day_rows(1, 600, dirty=False))
    baseline = {"type": "reference", "intake_settings": {"type": "sql", "data_store_id": "db", "table": "training"}}
    definition = define(segments=["region"], features=["amount"], baseline=baseline, passthrough_columns=None)
    found = results(small_world, small_world.run(definition, 1).job_id, "amount")
    assert found[None].value is not None
    assert {Reason.BASELINE_MISSING} == {value.reason for name, value in found.items() if name is not None}


def test_a_reference_is_profiled_again_for_segments_that_a_definition_gets_later(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    small_world.table("training", tools.day_rows(0, 1600, dirty=False))
    small_world.table("scores", tools.day_rows(1, 1600, dirty=False))
    baseline = {"type": "reference", "intake_settings": {"type": "sql", "data_store_id": "db", "table": "training"}}
    small_world.run(define(features=["amount"], baseline=baseline), 1)
    definition = define(segments=["region"], features=["amount"], baseline=baseline)
    found = results(small_world, small_world.run(definition, 1).job_id, "amount")
    assert found["region=north"].value is not None


def test_parts_give_the_segments_of_the_whole(small_world: job_world.World, define: Define, tools: ModuleType) -> None:
    small_world.table("scores", [*tools.day_rows(0, 600), *tools.day_rows(1, 600)])
    definition = define(segments=SEGMENTS)
    small_world.run(definition, 0)
    whole = small_world.run(definition, 1)
    parts = small_world.run_in_parts(definition, {"by": "time", "count": 3}, 1)
    assert whole.content_hash == parts.content_hash


def test_a_column_that_is_gone_is_an_error_that_names_it(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    small_world.table("scores", tools.day_rows(0, 100))
    with pytest.raises(SourceError, match="column 'country', which segments name, is not in table"):
        small_world.run(define(segments=["country"]), 0)


def test_psi_of_a_segment_is_that_of_its_counts(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    days = [tools.day_rows(day, 2000, dirty=False) for day in (0, 1)]
    small_world.table("scores", [*days[0], *days[1]])
    definition = define(segments=[{"name": "likely", "where": [{"column": "score", "op": "gt", "value": 0.25}]}])
    small_world.run(definition, 0)
    found = results(small_world, small_world.run(definition, 1).job_id, "region")["likely"]
    chosen = [[row["region"] for row in day if row["score"] > 0.25] for day in days]
    levels = sorted({level for day in chosen for level in day}, key=str)
    counts = [[day.count(level) for level in levels] for day in chosen]
    assert found.value == pytest.approx(psi(*map(np.array, counts)), rel=1e-12)
    assert (len(chosen[0]), len(chosen[1])) == (found.n, found.m)


def _auc(rows: list[dict[str, Any]]) -> float:
    """Share of pairs in the right order, by looking at each pair."""
    known = [row for row in rows if row["churned"] is not None]
    yes = [row["score"] for row in known if row["churned"] == "yes"]
    no = [row["score"] for row in known if row["churned"] == "no"]
    return sum((a > b) + 0.5 * (a == b) for a in yes for b in no) / (len(yes) * len(no))
