"""Metrics of the user's own in jobs: their values, what errors in them do, and where they stay through restatements."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import custom_functions
from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError
from airflow_monitoring_provider.jobs.custom_history import history, summary

FUNCTIONS = "custom_functions"
OWN = {
    "mean_sql": {"sql": "avg(amount)", "sample_count_sql": "count(amount)", "units": "EUR", "baseline_value": 2.0},
    "total_sql": {"type": "sum", "sql": "sum(amount) -- of all rows"},
    "by_region": {
        "type": "categorical",
        "sql": "region",
        "categories": {"north": {"baseline_value": 0.25, "warning": 0.1, "critical": 0.9}},
    },
    "scored": {
        "type": "sum",
        "function": f"{FUNCTIONS}:scored_rows",
        "directionality": "higherIsBetter",
        "critical": 1e6,
    },
    "mean_rows": {"function": f"{FUNCTIONS}:mean_amount", "over": "rows", "columns": ["amount"]},
    "largest": {"type": "gauge", "function": f"{FUNCTIONS}:Largest", "over": "rows", "columns": ["amount"]},
    "regions_rows": {"type": "categorical", "function": f"{FUNCTIONS}:regions", "over": "rows", "columns": ["region"]},
}


BY_FUNCTIONS = {name: metric for name, metric in OWN.items() if "function" in metric}
WHOLE_TABLE = dict.fromkeys(("timestamp_column", "schedule", "start_date", "baseline", "output_settings"))


@pytest.fixture
def on_postgres(postgres_url: str, tmp_path: Path, tools: Any) -> Iterator[Any]:
    """A world on PostgreSQL."""
    with tools.open_world(postgres_url, postgres_url, tmp_path) as made:
        yield made


def close(expected: float, value: float | None) -> bool:
    return value is not None and abs(expected - value) <= 1e-9 * max(1.0, abs(expected))


def check_sql(world: Any, job_id: str, rows: list[dict[str, Any]]) -> None:
    """What the database computed, against pandas."""
    frame = pd.DataFrame(rows)
    values = {name: world.value(job_id, name) for name in ("mean_sql", "total_sql", "by_region", "by_region[north]")}
    assert close(frame["amount"].mean(), values["mean_sql"].value)
    assert frame["amount"].count() == values["mean_sql"].m
    assert close(frame["amount"].sum(), values["total_sql"].value)
    assert frame["region"].value_counts().to_dict() == values["by_region"].details["counts"]
    assert close((frame["region"].dropna() == "north").mean(), values["by_region[north]"].value)
    assert ("custom", "EUR", 2.0) == (
        values["mean_sql"].kind.value,
        values["mean_sql"].details["units"],
        values["mean_sql"].details["baseline_value"],
    )


def check_functions(world: Any, job_id: str, rows: list[dict[str, Any]]) -> None:
    """What functions over profile and rows gave, against pandas."""
    frame = pd.DataFrame(rows)
    values = {name: world.value(job_id, name) for name in BY_FUNCTIONS}
    # Functions see monitored rows only: not the two without a usable score, nor the one that repeats an id.
    usable = frame["score"].between(0, 1) & ~frame["id"].duplicated() & frame["id"].notna()
    monitored = frame[usable]
    assert len(monitored) == values["scored"].value
    assert close(monitored["amount"].mean(), values["mean_rows"].value)
    assert monitored["amount"].count() == values["mean_rows"].m
    assert monitored["amount"].max() == values["largest"].value
    assert monitored["region"].value_counts().to_dict() == values["regions_rows"].details["counts"]


@pytest.mark.parametrize("parts", [0, 3])
def test_values_are_those_of_pandas_in_one_task_and_in_parts(world: Any, define: Any, tools: Any, parts: int) -> None:
    definition = define(custom_metrics=OWN, output_settings=None)
    rows = tools.day_rows(0)
    world.table("scores", rows)
    done = world.run_in_parts(definition, {"by": "time", "count": parts}) if parts else world.run(definition)
    check_functions(world, done.job_id, rows)
    evaluation = world.evaluate(definition, done)
    results = {result.value.name: result for result in world.store.results(done.job_id, limit=1000)}
    assert ("detected", "scored") == (evaluation.status, evaluation.worst["metric"])
    assert any(sentence.startswith("scored is 39") for sentence in evaluation.findings)
    assert "Custom metrics beyond its limits: scored" in evaluation.explanation
    check_sql(world, done.job_id, rows)
    assert "potential_detection" == results["by_region[north]"].status.text


def test_the_database_computes_over_whole_tables(world: Any, define: Any, tools: Any) -> None:
    sql = {name: metric for name, metric in OWN.items() if "sql" in metric}
    rows = tools.day_rows(0)
    world.table("scores", rows)
    check_sql(world, world.run(define(custom_metrics=sql, **WHOLE_TABLE)).job_id, rows)


@pytest.mark.parametrize("over", ["profile", "rows"])
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("broken", "failed"),
        ("not_a_number", "not_finite"),
        ("endless", "not_finite"),
        ("nothing", "no_data"),
        ("a_text", "wrong_type"),
        ("a_flag", "wrong_type"),
        ("is_not_there", "failed"),
    ],
)
def test_a_broken_function_is_null_with_a_reason_and_fails_nothing_else(
    small_world: Any, define: Any, tools: Any, over: str, name: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    own = {"type": "sum", "function": f"{FUNCTIONS}.{name}", "over": over, "critical": 1.0}
    own |= {"columns": ["amount"]} if over == "rows" else {}
    definition = define(custom_metrics={"own": own, "scored": OWN["scored"]}, output_settings=None)
    small_world.table("scores", tools.day_rows(0, 50))
    caplog.set_level(logging.DEBUG)
    done = small_world.run(definition)
    found = small_world.value(done.job_id, "own")
    assert (None, reason) == (found.value, found.reason)
    assert small_world.value(done.job_id, "scored").value
    kept = str(found) + caplog.text
    assert custom_functions.SECRET not in kept
    small_world.evaluate(definition, done)
    statuses = {r.value.name: r.status.text for r in small_world.store.results(done.job_id, limit=1000)}
    assert "irrelevant" == statuses["own"]


@pytest.mark.parametrize(
    "expression",
    [
        "amount",  # a value for each row
        "avg(no_such_column)",
        "avg(amount) FROM scores; DROP TABLE scores",
        "avg(amount)) FROM scores --",
        "1), (2",
        "avg(:x)",
        "max(region) || 'x'",  # a text where a number has to be
        "avg(amount), count(*)",
    ],
)
def test_sql_that_is_no_aggregate_number_is_null_with_a_reason(
    world: Any, define: Any, tools: Any, expression: str
) -> None:
    definition = define(custom_metrics={"own": {"sql": expression}}, **WHOLE_TABLE)
    world.table("scores", tools.day_rows(0, 50))
    done = world.run(definition)
    found = world.value(done.job_id, "own")
    assert None is found.value
    assert found.reason in ("failed", "wrong_type")
    assert 50 == world.value(done.job_id, "row_count").value
    assert world.has_table("scores")


def test_sql_cannot_write(on_postgres: Any, define: Any, tools: Any) -> None:
    # SQLite has no expression that writes.
    definition = define(custom_metrics={"own": {"sql": "nextval('counter') + count(*)"}}, output_settings=None)
    on_postgres.table("scores", tools.day_rows(0, 5))
    with on_postgres.engine.begin() as connection:
        connection.exec_driver_sql("CREATE SEQUENCE counter")
    found = on_postgres.value(on_postgres.run(definition).job_id, "own")
    assert (None, "failed") == (found.value, found.reason)


def test_metrics_survive_a_later_comparison(small_world: Any, define: Any, tools: Any) -> None:
    definition = define(custom_metrics=BY_FUNCTIONS, output_settings=None)
    rows = [tools.day_rows(day) for day in range(2)]
    small_world.table("scores", [row for day in rows for row in day])
    second = small_world.run(definition, 1)
    small_world.evaluate(definition, second)
    first = small_world.run(definition, 0)
    small_world.evaluate(definition, first)
    compared = small_world.store.job(second.job_id).snapshot
    assert 1 == compared.baseline_version
    check_functions(small_world, second.job_id, rows[1])


def test_functions_over_the_profile_follow_late_actuals_and_others_stay(
    small_world: Any, define: Any, tools: Any
) -> None:
    own = {"labelled": {"type": "sum", "function": f"{FUNCTIONS}:labelled_rows"}, "largest": OWN["largest"]}
    predictions = {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "association_id_column": "id",
    }
    shared = {"output_settings": None, "baseline": None, "passthrough_columns": None}
    rows = tools.day_rows(0, dirty=False)
    small_world.table("scores", rows)
    job = small_world.run(define(custom_metrics=own, monitoring_columns=predictions, **shared)).job_id
    before = {name: small_world.value(job, name).value for name in own}
    late = {"association_id_column": "id", "actuals_value_column": "churned"}
    known = [row for row in rows if row["churned"] is not None]
    small_world.table("late", known)
    actuals = define(
        name="late",
        intake_settings={"type": "sql", "data_store_id": "db", "table": "late"},
        timestamp_column=None,
        monitoring_columns=late,
        monitoring_output_settings=None,
        features=[],
        **shared,
    )
    small_world.run(actuals, 9)
    after = {name: small_world.value(job, name).value for name in own}
    largest = max(row["amount"] for row in rows if row["amount"] is not None)
    assert {"labelled": 0.0, "largest": largest} == before
    assert {"labelled": float(len(known)), "largest": largest} == after


def test_summary_and_history_combine_batches_by_the_metrics_type(on_postgres: Any, define: Any, tools: Any) -> None:
    world = on_postgres
    definition = define(custom_metrics=OWN, output_settings=None)
    rows = {day: tools.day_rows(day, 100 + 50 * day) for day in range(3)}
    world.table("scores", [row for day in rows.values() for row in day])
    jobs = [world.run(definition, day) for day in range(3)]
    frames = [pd.DataFrame(each) for each in rows.values()]

    def of(metric: str, **asked: Any) -> Any:
        return summary(world.store, "churn-model", metric, **asked).results[0]

    whole = pd.concat(frames)
    assert close(whole["amount"].mean(), of("mean_sql").value)
    assert close(whole["amount"].sum(), of("total_sql").value)
    assert whole["region"].value_counts().to_dict() == of("by_region").metric.details["counts"]
    assert world.value(jobs[2].job_id, "largest").value == of("largest").value
    day = dt.timedelta(days=1)
    found = of("total_sql", start=tools.FIRST_DAY + day, end=tools.FIRST_DAY + 2 * day)
    assert close(frames[1]["amount"].sum(), found.value)
    assert close(frames[2]["amount"].sum(), of("total_sql", batch_ids=[jobs[2].batch_id]).value)
    by_batch = history(world.store, "churn-model", "total_sql")
    assert [each["amount"].sum() for each in frames] == pytest.approx([h.results[0].value for h in by_batch])
    assert [job.batch_id for job in jobs] == [each.name for each in by_batch]
    world.store.delete_batch(jobs[0].batch_id)
    (month,) = history(world.store, "churn-model", "total_sql", by="month")
    assert close(pd.concat(frames[1:])["amount"].sum(), month.results[0].value)
    (row,) = summary(world.store, "churn-model", "mean_sql", batch_ids=[jobs[1].batch_id]).rows()
    mean = frames[1]["amount"].mean()
    assert close((mean - 2) / 2 * 100, row["percent_change"])
    with pytest.raises(ConfigurationError, match="by must be batch or one of"):
        history(world.store, "churn-model", "total_sql", by="fortnight")
    with pytest.raises(ConfigurationError, match="timezone must be an IANA time zone"):
        history(world.store, "churn-model", "total_sql", by="day", timezone="Mars/Olympus")


def test_files_hand_functions_typed_columns(small_world: Any, define: Any) -> None:
    frame = pd.DataFrame({"id": np.arange(6), "score": 0.5, "amount": ["1", "2.5", "", "oops", "4", "-1"]})
    (small_world.files / "rows.csv").write_text(frame.to_csv(index=False))
    definition = define(
        custom_metrics={name: OWN[name] for name in ("mean_rows", "largest")},
        intake_settings={"type": "file", "data_store_id": "files", "url": "rows.csv"},
        monitoring_columns={"predictions_columns": "score"},
        column_types={"amount": "numeric"},
        features=["amount"],
        **WHOLE_TABLE,
        passthrough_columns=None,
        monitoring_output_settings=None,
    )
    done = small_world.run(definition)
    values = [small_world.value(done.job_id, name) for name in ("mean_rows", "largest")]
    assert [(1.625, None), (4.0, None)] == [(value.value, value.details.get("error")) for value in values]


@pytest.mark.parametrize(
    ("metrics", "field"),
    [
        ({"psi": {}}, r"custom_metrics\.psi: is the id of a metric"),
        ({"a b": {}}, r"a b.*: must be made of"),
        ({"x": {"sql": "1", "function": "a:b"}}, r"custom_metrics\.x\.function"),
        ({"x": {"function": "no path"}}, r"custom_metrics\.x\.function: must be an import path"),
        ({"x": {"function": "a:b", "over": "rows"}}, r"custom_metrics\.x\.columns: is required"),
        ({"x": {"columns": ["a"]}}, r"custom_metrics\.x\.columns: has a meaning only"),
        ({"x": {"type": "median"}}, r"custom_metrics\.x\.type"),
        ({"x": {"warning": 2, "critical": 1}}, r"custom_metrics\.x\.warning: must be at or under"),
        ({"x": {"warning": 1, "critical": 2, "directionality": "higherIsBetter"}}, r"at or over `?critical"),
        ({"x": {"type": "categorical", "critical": 1}}, r"custom_metrics\.x\.critical: is given for each"),
        ({"x": {"categories": {"a": {}}}}, r"custom_metrics\.x\.categories: belong"),
        ({"x": {"sample_count_sql": "1"}}, r"custom_metrics\.x\.sample_count_sql"),
        ({"x": {"kind": "data_drift"}}, r"custom_metrics\.x\.kind"),
    ],
)
def test_wrong_metrics_name_the_field(define: Any, metrics: dict[str, Any], field: str) -> None:
    with pytest.raises(DefinitionError, match=field):
        define(custom_metrics=metrics)


def test_the_database_cannot_count_for_functions_over_rows(define: Any) -> None:
    with pytest.raises(DefinitionError, match=r"engine: cannot be sql: a function is given rows"):
        define(
            custom_metrics={"own": OWN["mean_rows"]},
            engine="sql",
            monitoring_columns={"predictions_columns": "score"},
        )
