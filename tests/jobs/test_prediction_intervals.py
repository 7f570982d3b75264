"""Prediction intervals through whole jobs: read or pushed down, in parts, in segments, and met by late actuals."""

from __future__ import annotations

import random
from typing import Any

import pytest
import sqlalchemy as sa
from scipy import stats

from airflow_monitoring_provider.metrics.reasons import Reason
from job_world import COLUMNS, FIRST_DAY

SALES = {**COLUMNS, **dict.fromkeys(("guess", "low", "high", "sold"), sa.Float())}
NUMBERS = {"predictions_columns": "guess", "actuals_value_column": "sold"}
NINETY = {"lower_column": "low", "upper_column": "high", "level": 0.9}


def sales(tools: Any, day: int = 0, *, half_width: float = 1.6449) -> list[dict[str, Any]]:
    """A day of normal errors with intervals of a width; some rows lack an end, an actual, or have crossed ends."""
    rows = tools.day_rows(day, dirty=False)
    chance = random.Random(day)
    for place, row in enumerate(rows):
        row["guess"] = chance.gauss(100, 10)
        row["sold"] = None if place % 13 == 5 else row["guess"] + chance.gauss(0, 1)
        row["low"], row["high"] = row["guess"] - half_width, row["guess"] + half_width
        if place % 17 == 3:
            row["low"] = None
        if place % 50 == 9:
            row["low"], row["high"] = row["high"], row["low"]
    return rows


def covered(rows: list[dict[str, Any]]) -> tuple[int, int, float]:
    """How many actuals lie inside, of how many, and the mean width, row by row."""
    usable = [row for row in rows if None not in (row["sold"], row["low"], row["high"]) and row["low"] <= row["high"]]
    inside = sum(row["low"] <= row["sold"] <= row["high"] for row in usable)
    return inside, len(usable), sum(row["high"] - row["low"] for row in usable) / len(usable)


@pytest.mark.parametrize("way", ["arrow", "sql", "parts"])
def test_values_are_those_of_a_slow_recomputation(world: Any, define: Any, tools: Any, way: str) -> None:
    rows = sales(tools)
    world.table("scores", rows, SALES)
    definition = define(
        monitoring_columns=NUMBERS,
        prediction_interval=NINETY,
        engine="sql" if way == "sql" else None,
        segments=["region"] if way == "arrow" else None,
        minimums={"labelled_rows": 20},
        output_settings=None,
        passthrough_columns=None,
    )
    done = world.run_in_parts(definition, {"by": "time", "count": 3}) if way == "parts" else world.run(definition)
    inside, usable, width = covered(rows)
    value = of(world, done, "interval_coverage")
    assert inside / usable == pytest.approx(value.value, abs=1e-12)
    assert (usable, 0.9) == (value.details["rows"], value.details["nominal"])
    expected = stats.binomtest(inside, usable).proportion_ci(method="wilson")
    assert (expected.low, expected.high) == pytest.approx((value.low, value.high), abs=1e-9)
    mean = of(world, done, "mean_interval_width")
    assert width == pytest.approx(mean.value, rel=1e-9)
    if way == "arrow":
        north = [row for row in rows if row["region"] == "north"]
        part = of(world, done, "interval_coverage", "region=north")
        assert covered(north)[0] == part.details["rows"] - part.details["below"] - part.details["above"]


def of(world: Any, done: Any, name: str, segment: str | None = None) -> Any:
    found = [v for v in world.store.load_values(done.job_id) if (v.name, v.segment) == (name, segment)]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("half_width", "status"), [(1.6449, "no_detection"), (0.9, "detected"), (4.0, "potential_detection")]
)
def test_coverage_is_judged_by_its_distance_from_the_level(
    small_world: Any, define: Any, tools: Any, half_width: float, status: str
) -> None:
    small_world.table("scores", sales(tools, half_width=half_width), SALES)
    definition = define(monitoring_columns=NUMBERS, prediction_interval=NINETY, output_settings=None)
    done = small_world.run(definition)
    evaluation = small_world.evaluate(definition, done)
    results = {result.value.name: result for result in small_world.store.results(done.job_id, limit=1000)}
    assert status == results["interval_coverage"].status.text
    found = [sentence for sentence in evaluation.findings if "prediction intervals" in sentence]
    assert (status != "no_detection") == bool(found)


def test_late_actuals_meet_the_intervals_that_were_logged(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, sales(tools)
    world.table("scores", rows, SALES)
    columns = {"predictions_columns": "guess", "association_id_column": "id"}
    whole = dict.fromkeys(("passthrough_columns", "baseline", "output_settings"))
    done = world.run(define(**whole, monitoring_columns=columns, prediction_interval=NINETY))
    assert [] == [v for v in world.store.load_values(done.job_id) if v.name == "interval_coverage"]
    known = FIRST_DAY.replace(tzinfo=None)
    late = [{"key": row["id"], "sold": row["sold"], "known": known} for row in rows if row["sold"] is not None]
    world.table("late", late, {"key": sa.BigInteger(), "sold": sa.Float(), "known": sa.DateTime()})
    names = {"association_id_column": "key", "actuals_value_column": "sold", "actuals_timestamp_column": "known"}
    intake = {"type": "sql", "data_store_id": "db", "table": "late"}
    rest = {**whole, "timestamp_column": None, "monitoring_output_settings": None}
    world.run(define(**rest, name="late", intake_settings=intake, monitoring_columns=names, features=[]), 9)
    inside, usable, width = covered(rows)
    assert inside / usable == pytest.approx(world.value(done.job_id, "interval_coverage").value, abs=1e-12)
    assert width == pytest.approx(world.value(done.job_id, "mean_interval_width").value, rel=1e-9)


def test_too_few_intervals_are_no_value(small_world: Any, define: Any, tools: Any) -> None:
    rows = sales(tools)
    for place, row in enumerate(rows):
        row["low"] = row["low"] if place < 40 else None
    small_world.table("scores", rows, SALES)
    done = small_world.run(define(monitoring_columns=NUMBERS, prediction_interval=NINETY, output_settings=None))
    value = small_world.value(done.job_id, "interval_coverage")
    assert (None, Reason.INSUFFICIENT_DATA) == (value.value, value.reason)
    assert small_world.value(done.job_id, "mae").value is not None
