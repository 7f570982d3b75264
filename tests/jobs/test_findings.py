"""What moved, told from the result of a real job: the numbers are those of the raw rows, in alerts as in the store."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import pytest
import sqlalchemy as sa

import job_world
from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.jobs.evaluate import EvaluationSummary
from airflow_monitoring_provider.ui.findings import sentence_of

Define = Callable[..., JobDefinition]
Rows = Sequence[dict[str, Any]]
CLAUSE = re.compile(r"(?:: |, )(.+?) (rose|fell) from ([\d.]+) % to ([\d.]+) %")
INTERVAL = re.compile(r"values in \[(.+), (.+)\)")


@pytest.fixture
def days(tools: ModuleType) -> tuple[Rows, Rows]:
    """Two days of 800 rows; on the second amounts and regions have moved, and actuals no longer meet the scores."""
    first, second = (tools.day_rows(day, 800, dirty=False) for day in (0, 1))
    for i, row in enumerate(second):
        row["region"] = "west" if row["region"] == "north" else row["region"]
        row["amount"] = None if i % 3 == 0 or row["amount"] is None else row["amount"] + 1.5
        row["churned"] = "no" if row["churned"] == "yes" else "yes" if row["churned"] == "no" else None
    for row in (*first, *second):
        row["amount"] = None if row["amount"] is None else round(row["amount"], 2)
    return first, second


@pytest.fixture
def evaluated(
    small_world: job_world.World, define: Define, days: tuple[Rows, Rows]
) -> tuple[job_world.World, EvaluationSummary]:
    """The second day compared with the first."""
    small_world.table("scores", [row for day in days for row in day])
    definition = define(thresholds={"accuracy": {"critical": 0.6}, "drift_share": {"critical": 0.5}})
    small_world.run(definition, 0)
    return small_world, small_world.evaluate(definition, small_world.run(definition, 1))


def share(rows: Rows, column: str, what: str) -> float:
    """The slow oracle: one pass over the raw rows for one cell of a sentence."""

    def holds(value: Any) -> bool:
        if what == "missing values" or value is None:
            return value is None and what == "missing values"
        if interval := INTERVAL.fullmatch(what):
            return float(interval[1]) <= value < float(interval[2])
        if what.startswith("values < "):
            return bool(value < float(what.removeprefix("values < ")))
        if what.startswith("values >= "):
            return bool(value >= float(what.removeprefix("values >= ")))
        return bool(value == what)

    return sum(holds(row[column]) for row in rows) / len(rows)


@pytest.mark.parametrize("column", ["amount", "region"])
def test_a_sentence_has_the_numbers_of_the_raw_rows(
    column: str, evaluated: tuple[job_world.World, EvaluationSummary], days: tuple[Rows, Rows]
) -> None:
    world, summary = evaluated
    (result,) = world.store.results(summary.job_id, name="psi", column=column, segment="").items
    clauses = CLAUSE.findall(f": {str(sentence_of(result)).partition(': ')[2]}")
    assert len(clauses) in (2, 3)
    assert {"rose", "fell"} == {verb for _, verb, _, _ in clauses}
    for what, verb, before, after in clauses:
        expected = [100 * share(day, column, what) for day in days]
        assert pytest.approx(expected, abs=0.051) == [float(before), float(after)]
        assert verb == ("rose" if expected[1] > expected[0] else "fell")


def test_missing_values_and_accuracy_are_told_from_the_raw_rows(
    evaluated: tuple[job_world.World, EvaluationSummary], days: tuple[Rows, Rows]
) -> None:
    world, summary = evaluated
    said = {(r.value.name, r.value.column): sentence_of(r) for r in world.store.results(summary.job_id, limit=500)}
    before, after = (100 * sum(row["amount"] is None for row in day) / len(day) for day in days)
    assert said["missing_rate_change", "amount"] == f"amount: missing values rose from {before:.1f} % to {after:.1f} %."
    hits = []
    for day in days:
        known = [row for row in day if row["churned"] is not None]
        hits.append(sum((row["score"] >= 0.5) == (row["churned"] == "yes") for row in known) / len(known))
    told = re.fullmatch(
        r"accuracy fell from ([\d.]+) to ([\d.]+) \(95 % interval ([\d.]+) to ([\d.]+)\), limit [\d.]+\.",
        str(said["accuracy", None]),
    )
    assert told is not None
    assert pytest.approx(hits, abs=0.0005) == [float(told[1]), float(told[2])]
    assert float(told[3]) < hits[1] < float(told[4])
    assert "100 % of the features drifted (2 of 2)." == said["drift_share", None]


def test_alerts_and_the_summary_say_what_moved(evaluated: tuple[job_world.World, EvaluationSummary]) -> None:
    world, summary = evaluated
    results = world.store.results(summary.job_id, limit=500).items
    said = {sentence for result in results if (sentence := sentence_of(result)) is not None}
    alerts = world.store.pending_alerts(job_id=summary.job_id)
    assert len(alerts) >= 5
    assert {alert.payload["finding"] for alert in alerts} <= said
    assert set(summary.findings) <= said
    assert set(summary.drifted_columns) <= {sentence.partition(": ")[0] for sentence in summary.findings}
    assert summary.worst["finding"] == summary.findings[0]
    assert list(summary.findings) == summary.to_dict()["findings"]


def test_only_what_reached_a_limit_has_a_sentence(evaluated: tuple[job_world.World, EvaluationSummary]) -> None:
    world, summary = evaluated
    for result in world.store.results(summary.job_id, limit=500):
        found = result.status is not None and result.status.text in ("potential_detection", "detected")
        described = result.value.kind.value == "data_drift" and result.value.column and not result.value.primary
        assert (found and not described) == (sentence_of(result) is not None)


def test_the_explanation_is_logged_and_so_names_no_level(
    evaluated: tuple[job_world.World, EvaluationSummary],
) -> None:
    _, summary = evaluated
    assert any("west" in sentence for sentence in summary.findings)
    assert "region" in summary.explanation
    assert "west" not in summary.explanation


def test_a_level_that_reads_like_missing_values_is_a_level(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    second = tools.day_rows(1, dirty=False)
    for row in second:
        row["region"] = "__missing__"
    small_world.table(
        "scores",
        [
            *[r | {"region": "__missing__"} if i % 9 == 0 else r for i, r in enumerate(tools.day_rows(0, dirty=False))],
            *second,
        ],
    )
    definition = define()
    small_world.run(definition, 0)
    summary = small_world.evaluate(definition, small_world.run(definition, 1))
    (sentence,) = [said for said in summary.findings if said.startswith("region: ") and "rose" in said]
    assert "\\u005f_missing__ rose from 1" in sentence
    assert "missing values rose" not in sentence


def test_hostile_names_reach_an_alert_as_one_line(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    column = "a\u202eb" + "x" * 40
    columns = {**tools.COLUMNS, column: sa.String()}
    rows = [
        row | {column: "new\n\x1b[31m\u202elevel" if day else row["region"]}
        for day in (0, 1)
        for row in tools.day_rows(day, dirty=False)
    ]
    small_world.table("scores", rows, columns)
    definition = define(features=[column])
    small_world.run(definition, 0)
    summary = small_world.evaluate(definition, small_world.run(definition, 1))
    alerts = small_world.store.pending_alerts(job_id=summary.job_id)
    texts = [
        *summary.findings,
        summary.explanation,
        *(a.title for a in alerts),
        *(a.payload["finding"] for a in alerts),
    ]
    assert any("a\\u202eb" in text for text in texts)
    assert [] == [text for text in texts if not text.isprintable()]
