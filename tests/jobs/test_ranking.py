"""Ranking metrics through whole jobs: in one task and in parts, judged by thresholds, silent after late actuals."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sqlalchemy as sa
from scipy import stats

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.metrics.reasons import Reason
from job_world import COLUMNS, FIRST_DAY
from oracles import slow_ranking

SHOWN = {**COLUMNS, "session": sa.String(), "grade": sa.Float()}
BINARY = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}], "actuals_value_column": "churned"}
GRADED = {"predictions_columns": "score", "actuals_value_column": "grade"}
LATE = {"key": sa.BigInteger(), "paid": sa.String(), "known": sa.DateTime()}


def shown(tools: Any, day: int = 0) -> list[dict[str, Any]]:
    """A dirty day whose rows belong to sessions, in no order; some to none."""
    rows = tools.day_rows(day)
    chance = random.Random(day)
    for place, row in enumerate(rows):
        row["session"] = None if place % 50 == 49 else f"session {chance.randrange(60)}"
        row["grade"] = None if place % 11 == 3 else float(chance.randrange(4))
    rows[2] = dict(rows[3])
    return rows


def ranking_rows(rows: list[dict[str, Any]], actual: str) -> list[slow_ranking.Row]:
    """What counts of them: usable scores, no repetitions, with a query and an actual."""
    found: list[slow_ranking.Row] = []
    seen = set()
    for row in rows:
        score, repeated = row["score"], row["id"] is not None and (row["id"], row["session"]) in seen
        seen.add((row["id"], row["session"]))
        usable = score is not None and (actual == "grade" or 0 <= score <= 1)
        if usable and not repeated and row["session"] is not None and row[actual] is not None:
            relevance = float(row[actual] == "yes") if actual == "churned" else row[actual]
            found.append((row["session"], score, relevance))
    return found


@pytest.mark.parametrize(("columns", "parts"), [(BINARY, 0), (GRADED, 0), (GRADED, 3)])
def test_values_are_those_of_a_slow_recomputation(
    world: Any, define: Any, tools: Any, columns: dict[str, Any], parts: int
) -> None:
    rows = shown(tools)
    world.table("scores", rows, SHOWN)
    graded = columns is GRADED
    ranking = {"query_column": "session", "k": [2, 5]} | ({"relevant_from": 2} if graded else {})
    definition = define(
        monitoring_columns=columns,
        ranking=ranking,
        monitoring_output_settings={"unique_row_identifier_columns": ["session", "id"]},
        thresholds={"ndcg_at_5": {"critical": 0.99}, "mrr": {"critical": 0.01}},
        output_settings=None,
    )
    cut = {"by": "key", "column": "session", "count": parts}
    done = world.run_in_parts(definition, cut) if parts else world.run(definition)
    wanted = ranking_rows(rows, columns["actuals_value_column"])
    for k in (2, 5):
        for name, (count, mean) in slow_ranking.mean_scores(wanted, k, 2 if graded else None).items():
            value = world.value(done.job_id, name if name == "mrr" else f"{name}_at_{k}")
            assert (count, len(wanted)) == (value.details["queries"], value.m)
            assert mean == pytest.approx(value.value, abs=1e-9)
    assert len({query for query, _, _ in wanted}) == value.details["queries"] + value.details["undefined_queries"]
    evaluation = world.evaluate(definition, done)
    results = {result.value.name: result.status.text for result in world.store.results(done.job_id, limit=1000)}
    assert ("detected", "no_detection") == (results["ndcg_at_5"], results["mrr"])
    assert "detected" == evaluation.status


def test_the_interval_is_students_t_over_queries(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, shown(tools)
    world.table("scores", rows, SHOWN)
    done = world.run(define(monitoring_columns=GRADED, ranking={"query_column": "session"}))
    queries: dict[Any, list[tuple[float, float]]] = {}
    for query, score, grade in ranking_rows(rows, "grade"):
        queries.setdefault(query, []).append((score, grade))
    each = [score for of in queries.values() if (score := slow_ranking.query_scores(of, 10)["ndcg"]) is not None]
    value = world.value(done.job_id, "ndcg_at_10")
    expected = stats.t.interval(0.95, len(each) - 1, sum(each) / len(each), stats.sem(each))
    assert expected == pytest.approx((value.low, value.high), abs=1e-9)
    assert (
        sum(row["session"] is None and row["grade"] is not None for row in rows) >= value.details["rows_without_query"]
    )
    assert value.details["rows_without_query"] > 0


def test_a_later_day_is_compared_with_the_first(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", shown(tools) + shown(tools, 1), SHOWN)
    definition = define(monitoring_columns=GRADED, ranking={"query_column": "session", "k": 3})
    first, second = world.run(definition), world.run(definition, 1)
    before, after = (world.value(job.job_id, "map_at_3") for job in (first, second))
    assert before.value == pytest.approx(after.details["baseline_value"], abs=1e-12)
    assert after.value - before.value == pytest.approx(after.details["change"], abs=1e-12)


def test_a_query_column_that_is_not_there_is_named(small_world: Any, define: Any, tools: Any) -> None:
    small_world.table("scores", tools.day_rows())
    with pytest.raises(SourceError, match="Column session is not in"):
        small_world.run(define(monitoring_columns=BINARY, ranking={"query_column": "session"}))


@pytest.mark.parametrize("segments", [None, ["region"]])
def test_an_engine_that_may_choose_reads_the_rows(small_world: Any, define: Any, tools: Any, segments: Any) -> None:
    rows = shown(tools)
    small_world.table("scores", rows, SHOWN)
    ranking = {"query_column": "session", "k": 4}
    done = small_world.run(
        define(monitoring_columns=GRADED, ranking=ranking, engine="auto", segments=segments, output_settings=None)
    )
    expected = slow_ranking.mean_scores(ranking_rows(rows, "grade"), 4)["precision"][1]
    found = {v.segment: v.value for v in small_world.store.load_values(done.job_id) if v.name == "precision_at_4"}
    assert expected == pytest.approx(found[None], abs=1e-9)
    grouped = {f"region={row['region'] or '__missing__'}" for row in rows} if segments else set()
    assert {None} | grouped == set(found)


def test_late_actuals_leave_no_ranking_of_older_ones(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, shown(tools)
    world.table("scores", rows, SHOWN)
    done = world.run(
        define(
            monitoring_columns={**BINARY, "association_id_column": "id"},
            ranking={"query_column": "session"},
            minimums={"labelled_rows": 1, "per_class": 1},
        )
    )
    assert world.value(done.job_id, "mrr").reason is None
    known = FIRST_DAY.replace(tzinfo=None)
    world.table("late", [{"key": row["id"], "paid": "no", "known": known} for row in rows if row["id"]], LATE)
    names = {"association_id_column": "key", "actuals_value_column": "paid", "actuals_timestamp_column": "known"}
    whole = dict.fromkeys(
        ("timestamp_column", "monitoring_output_settings", "output_settings", "passthrough_columns", "baseline")
    )
    intake = {"type": "sql", "data_store_id": "db", "table": "late"}
    world.run(define(**whole, name="late", intake_settings=intake, monitoring_columns=names, features=[]), 9)
    value = world.value(done.job_id, "mrr")
    assert (None, Reason.NOT_RECORDED) == (value.value, value.reason)
