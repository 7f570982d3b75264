"""Every check of a batch on real rows: each fault of the data is told once and by its name, and clean rows by none."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import ResultStatus
from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.jobs.suggesting import with_suggested_checks
from airflow_monitoring_provider.metrics.values import ResultKind
from airflow_monitoring_provider.ui.job_page import render_job

WATCHED = {
    "passthrough_columns": None,
    "features": None,
    "output_settings": None,
    "checks": {
        "amount": {"kind": "numeric", "minimum": -100, "maximum": 100, "warning": 0, "critical": 0.01},
        "churned": {"allowed_values": ["yes", "no"]},
    },
    "thresholds": {
        "vanished_values": {"warning": 1},
        "duplicate_keys": {"critical": 1},
        "duplicate_rows": {"critical": 1},
        "empty_rows": {"critical": 1},
        "row_count_ratio": {"critical": 0.5},
        "freshness": {"critical": 6 * 3600},
        "label_coverage": {"critical": 0.5},
        "missing_rate": {"columns": {"score": {"critical": 0}}},
    },
}
Rows = list[dict[str, Any]]


def of_column(name: str, value: Callable[[int, Any], Any]) -> Callable[[Rows], Rows]:
    return lambda rows: [row | {name: value(i, row.get(name))} for i, row in enumerate(rows)]


def repeated(rows: Rows) -> Rows:
    return [*rows[:-3], *(dict(row) for row in rows[:3])]


def emptied(rows: Rows) -> Rows:
    return [*rows[:-1], {name: value if name in ("id", "at") else None for name, value in rows[-1].items()}]


def until_noon(rows: Rows) -> Rows:
    return [row | {"at": row["at"].replace(hour=row["at"].hour // 2)} for row in rows]


FAULTS: dict[str, tuple[Callable[[Rows], Rows], dict[str, Any], dict[tuple[str, str | None], str]]] = {
    "nothing": (lambda rows: rows, {}, {}),
    "a column is gone": (lambda rows: rows, {"amount": None}, {("missing_columns", None): "detected"}),
    "a column is new": (
        of_column("colour", lambda i, _: "red"),
        {"colour": sa.String()},
        {("new_columns", None): "potential_detection"},
    ),
    "numbers come as text": (
        of_column("amount", lambda i, value: None if value is None else f"{value:.3f}"),
        {"amount": sa.String()},
        {("retyped_columns", None): "detected"},
    ),
    "numbers become words": (
        of_column("amount", lambda i, value: None if value is None else "much"),
        {"amount": sa.String()},
        {("retyped_columns", None): "detected", ("type_mismatch_share", "amount"): "detected"},
    ),
    "a level is unseen": (
        of_column("region", lambda i, value: "the moon" if i % 4 == 0 else value),
        {},
        {("new_values_share", "region"): "detected"},
    ),
    "a level vanishes": (
        of_column("region", lambda i, value: "south" if value == "north" else value),
        {},
        {("vanished_values", "region"): "potential_detection"},
    ),
    "values leave the range": (
        of_column("amount", lambda i, value: 50.0 if i % 3 == 0 else value),
        {},
        {("out_of_range_share", "amount"): "detected"},
    ),
    "one value breaks its bounds": (
        of_column("amount", lambda i, value: 1000.0 if i == 9 else value),
        {},
        {("out_of_bounds_share", "amount"): "potential_detection"},
    ),
    "many values break their bounds": (
        of_column("amount", lambda i, value: -1000.0 if i < 9 else value),
        {},
        {("out_of_bounds_share", "amount"): "detected"},
    ),
    "one value is not allowed": (
        of_column("churned", lambda i, value: "maybe" if i == 9 else value),
        {},
        {("not_allowed_share", "churned"): "detected"},
    ),
    "values are missing": (
        of_column("amount", lambda i, value: None if i % 2 else value),
        {},
        {("missing_rate_change", "amount"): "detected"},
    ),
    "a column is constant": (
        of_column("amount", lambda i, value: 0.5),
        {},
        {("became_constant", "amount"): "potential_detection"},
    ),
    "identifiers repeat": (repeated, {}, {("duplicate_keys", None): "detected", ("duplicate_rows", None): "detected"}),
    "rows repeat under other identifiers": (
        lambda rows: [*rows[:-1], {**rows[0], "id": rows[-1]["id"]}],
        {},
        {("duplicate_rows", None): "detected"},
    ),
    "a row is empty": (emptied, {}, {("empty_rows", None): "detected"}),
    "rows are lost": (lambda rows: rows[::4] + rows[-1:], {}, {("row_count_ratio", None): "detected"}),
    "rows are late": (until_noon, {}, {("freshness", None): "detected"}),
    "labels are late": (
        of_column("churned", lambda i, value: value if i % 5 == 1 else None),
        {},
        {("label_coverage", None): "detected"},
    ),
}


def fired(world: Any, job: str) -> dict[tuple[str, str | None], str]:
    results = world.store.results(job, limit=1000)
    assert results.total < 1000
    return {
        (found.value.name, found.value.column): found.status.text
        for found in results
        if found.value.kind is ResultKind.DATA_QUALITY and found.status > ResultStatus.NO_DETECTION
    }


def test_each_fault_fires_its_own_check_and_a_clean_batch_none(small_world: Any, define: Any, tools: Any) -> None:
    world, definition = small_world, define(**WATCHED)
    world.table("scores", tools.day_rows(0, dirty=False))
    world.run(definition)

    found = {}
    for day, (fault, (change, types, _)) in enumerate(FAULTS.items(), 1):
        rows = change(tools.day_rows(day, dirty=False))
        columns = {name: kind for name, kind in (tools.COLUMNS | types).items() if kind is not None}
        world.table("scores", [{name: row[name] for name in columns} for row in rows], columns)
        summary = world.run(definition, day)
        world.evaluate(definition, summary)
        found[fault] = fired(world, summary.job_id)

    assert {fault: expected for fault, (_, _, expected) in FAULTS.items()} == found


@pytest.mark.parametrize("rows", [0, 400])
def test_an_empty_csv_column_is_missing_and_not_retyped(small_world: Any, define: Any, tools: Any, rows: int) -> None:
    world = small_world
    definition = define(
        intake_settings={"type": "file", "url": "in"}, output_settings=None, features=None, passthrough_columns=None
    )
    for day in (0, 1):
        found = tools.day_rows(day, dirty=False)[: 400 if day == 0 else rows]
        lines = [f"{r['id']},{r['at']}Z,{r['amount'] if day == 0 else ''},{r['score']},{r['churned']}" for r in found]
        folder = world.files / "in"
        folder.mkdir(exist_ok=True)
        (folder / "rows.csv").write_text("\n".join(["id,at,amount,score,churned", *lines, ""]))
        summary = world.run(definition, day)
    evaluation = world.evaluate(definition, summary)

    expected = {("missing_rate_change", "amount"): "detected"} if rows else {}
    assert (expected, 0.0) == (fired(world, summary.job_id), world.value(summary.job_id, "retyped_columns").value)
    assert (("detected", None) if rows else ("irrelevant", "no_data")) == (evaluation.status, evaluation.reason)


def test_actuals_that_have_not_come_are_no_fault(small_world: Any, define: Any, tools: Any) -> None:
    world, definition = small_world, define(output_settings=None)
    world.table("scores", tools.day_rows(0) + [row | {"churned": None} for row in tools.day_rows(1)])
    world.run(definition)
    summary = world.run(definition, 1)

    assert "no_detection" == world.evaluate(definition, summary).status
    assert 0.0 == world.value(summary.job_id, "label_coverage").value
    strict = define(output_settings=None, thresholds={"missing_rate_change": {"critical": 0.2}})
    assert "detected" == world.evaluate(strict, summary).status


def test_checks_of_values_need_no_baseline(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    checks = {"amount": {"kind": "categorical"}, "region": {"allowed_values": ["north"]}, "tenure": {"minimum": 0}}
    definition = define(baseline=None, checks=checks, features=None, passthrough_columns=None)
    world.table("scores", tools.day_rows(0, dirty=False))
    summary = world.run(definition)
    evaluation = world.evaluate(definition, summary)

    expected = {
        ("missing_columns", None): "detected",
        ("retyped_columns", None): "detected",
        ("not_allowed_share", "region"): "detected",
    }
    assert expected == fired(world, summary.job_id)
    assert "detected" == evaluation.status
    (retyped,) = world.value(summary.job_id, "retyped_columns").details["columns"]
    assert {"column": "amount", "from": "categorical", "to": "double", "unreadable": 0.0} == retyped
    page = render_job(world.store.job(summary.job_id), world.store.results(summary.job_id, limit=1000).items)
    assert "amount (categorical to double, 0 % unreadable)" in page
    strange = world.value(summary.job_id, "not_allowed_share", "region").details["values"]
    assert {"south", "west", "far east"} == set(strange)
    assert f": {', '.join(strange)})" in page


def test_bounds_of_what_is_no_number_are_told(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    checks = {"region": {"minimum": 0}, "amount": {"minimum": -100}, "code": {"maximum": 9}, "score": {"maximum": 1}}
    definition = define(checks=checks, column_types={"code": "numeric"}, features=None, passthrough_columns=None)
    rows = [row | {"code": "7"} for row in tools.day_rows(0, dirty=False) + tools.day_rows(1, dirty=False)]
    world.table("scores", rows, {**tools.COLUMNS, "code": sa.String()})
    early, first = world.run(definition, 1), world.run(definition)
    world.evaluate(definition, first)  # compares the earlier job anew

    for job in (early.job_id, first.job_id):
        (retyped,) = world.value(job, "retyped_columns").details["columns"]
        assert ("region", "numeric") == (retyped["column"], retyped["from"])
        assert "not_applicable" == world.value(job, "out_of_bounds_share", "region").reason
        assert 0.0 == world.value(job, "out_of_bounds_share", "code").value


def test_bounds_added_after_the_baseline_are_counted_exactly(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    chance = random.Random(5)
    days = [tools.day_rows(day, count=4000, dirty=False) for day in (0, 1)]
    for row in (row for rows in days for row in rows):
        row["amount"] = chance.gauss(0, 1)
    world.table("scores", days[0] + days[1])
    world.run(define(output_settings=None))
    bounded = define(output_settings=None, checks={"amount": {"minimum": -1.2345, "maximum": 1}})
    job = world.run(bounded, 1).job_id

    found = world.value(job, "out_of_bounds_share", "amount")
    hits = sum(not -1.2345 <= row["amount"] <= 1 for row in days[1])
    assert (hits, None) == (found.details["rows"], found.precision)


def test_jobs_compared_late_keep_their_checks(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    definition = define(
        checks={"amount": {"minimum": 100}, "gone": {"minimum": 0}}, output_settings=None, features=None
    )
    world.table("scores", tools.day_rows(0, dirty=False) + tools.day_rows(1, dirty=False))
    early = world.run(definition, 1)
    before = [world.value(early.job_id, name).value for name in ("freshness", "missing_columns")]
    first = world.run(definition)
    world.evaluate(definition, first)

    assert before == [world.value(early.job_id, name).value for name in ("freshness", "missing_columns")]
    assert 1.0 == before[1] == world.value(early.job_id, "out_of_bounds_share", "amount").value
    assert world.value(early.job_id, "psi", "amount").value is not None


@pytest.mark.parametrize("labels", [["0", "1"], ["1", "0"]])
def test_whole_numbers_as_classes_are_no_retyped_column(
    small_world: Any, define: Any, tools: Any, labels: list[str]
) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False) + tools.day_rows(1, dirty=False)
    for row in rows:
        row["churned"] = None if row["churned"] is None else int(row["churned"] == "yes")
    world.table("scores", rows, tools.COLUMNS | {"churned": sa.Integer()})
    columns = {
        "predictions_columns": [{"class_name": labels[0], "column_name": "score"}],
        "actuals_value_column": "churned",
    }
    definition = define(monitoring_columns=columns)
    world.run(definition)
    assert 0.0 == world.value(world.run(definition, 1).job_id, "retyped_columns").value


def test_freshness_is_the_time_to_the_windows_end(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0, dirty=False))
    job = world.run(define()).job_id
    latest = max(row["at"] for row in tools.day_rows(0, dirty=False)).replace(tzinfo=dt.UTC)
    assert (tools.window(0).end - latest).total_seconds() == world.value(job, "freshness").value


def test_suggested_checks_are_silent_on_clean_batches_and_tell_broken_ones(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    bare = define(output_settings=None, features=None, passthrough_columns=None)
    days = [tools.day_rows(day, dirty=False) for day in range(3)]
    days[2] = of_column("region", lambda i, value: "the moon" if i % 4 == 0 else value)(days[2])
    world.table("scores", [row for rows in days for row in rows])
    world.run(bare)

    watched = with_suggested_checks(bare, world.store)

    assert ("far east", "north", "south", "west") == watched.checks["region"].allowed_values
    assert {"amount", "region"} == watched.thresholds["missing_rate"].columns.keys()
    jobs = [world.run(watched, day) for day in (1, 2)]
    found = [(world.evaluate(watched, job), fired(world, job.job_id))[1] for job in jobs]
    assert [{}, {("new_values_share", "region"): "detected", ("not_allowed_share", "region"): "detected"}] == found
    of_job = with_suggested_checks(bare, world.store, job=jobs[0].job_id, rows=400)
    assert watched.checks["region"].allowed_values == of_job.checks["region"].allowed_values


def test_without_a_stored_profile_nothing_is_suggested(small_world: Any, define: Any, tools: Any) -> None:
    with pytest.raises(NotFound, match="run its job first"):
        with_suggested_checks(define(), small_world.store)
    with pytest.raises(NotFound, match="job"):
        with_suggested_checks(define(), small_world.store, job="nothing")


def test_late_labels_are_told_by_their_lag(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    columns = {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "actuals_value_column": "churned",
        "actuals_timestamp_column": "known_at",
    }
    limits = {"label_lag_p50": {"critical": 7200}, "label_lag_p95": {"critical": 7200}}
    definition = define(monitoring_columns=columns, thresholds=limits, segments=["region"])
    days = [tools.day_rows(day, dirty=False) for day in range(3)]
    for day, rows in enumerate(days):
        for i, row in enumerate(rows):
            hours = 1 if day < 2 or i % 11 else 50
            row["known_at"] = None if row["churned"] is None else row["at"] + dt.timedelta(hours=hours)
    types = tools.COLUMNS | {"known_at": sa.DateTime()}
    world.table("scores", [row for rows in days for row in rows], types)

    found = []
    for day in range(3):
        job = world.run(definition, day)
        world.evaluate(definition, job)
        found.append(fired(world, job.job_id))

    assert [{}, {}, {("label_lag_p95", None): "detected"}] == found
    assert 3600.0 == world.value(job.job_id, "label_lag_p50").value
    in_parts = world.run_in_parts(definition, {"by": "time", "count": 3}, 2)
    assert job.content_hash == in_parts.content_hash
