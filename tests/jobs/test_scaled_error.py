"""Scaled errors through whole jobs: the scale is the baseline's, learnt in any way, or given."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.metrics.reasons import Reason
from job_world import COLUMNS, FIRST_DAY

SALES = {**COLUMNS, "guess": sa.Float(), "sold": sa.Float(), "shop": sa.String()}
NUMBERS = {"predictions_columns": "guess", "actuals_value_column": "sold"}
WHOLE = dict.fromkeys(("passthrough_columns", "output_settings"))


def sales(tools: Any, day: int = 0, *, error: float = 1.0) -> list[dict[str, Any]]:
    """A day of rows of three shops in no order; some lack a shop, an actual or a guess."""
    rows = tools.day_rows(day, dirty=False)
    chance = random.Random(100 + day)
    for place, row in enumerate(rows):
        row["shop"] = None if place % 40 == 7 else f"shop {chance.randrange(3)}"
        sold = chance.gauss(100, 4)
        row["sold"] = None if place % 13 == 5 else sold
        row["guess"] = None if place % 29 == 11 else sold + chance.gauss(0, error)
    chance.shuffle(rows)
    return rows


def scale_of(rows: list[dict[str, Any]], lag: int, *, by_shop: bool) -> tuple[int, float]:
    """How many differences there are, and their mean, by pandas."""
    frame = pd.DataFrame(rows).dropna(subset=["sold", "shop"] if by_shop else ["sold"]).sort_values("at")
    series = frame.groupby("shop").sold if by_shop else frame.sold
    found = series.diff(lag).abs().dropna()
    return len(found), float(found.mean())


def mae(rows: list[dict[str, Any]]) -> float:
    errors = [abs(row["guess"] - row["sold"]) for row in rows if None not in (row["guess"], row["sold"])]
    return float(np.mean(errors))


@pytest.mark.parametrize(
    ("naive", "parts"),
    [
        ({"lag": 7, "series_column": "shop"}, None),
        ({}, {"by": "time", "count": 3}),
        ({"lag": 3, "series_column": "shop"}, {"by": "key", "column": "shop", "count": 2}),
    ],
)
def test_the_scale_is_the_first_windows(
    world: Any, define: Any, tools: Any, naive: dict[str, Any], parts: dict[str, Any] | None
) -> None:
    first, second = sales(tools), sales(tools, 1, error=9.0)
    world.table("scores", first + second, SALES)
    identifiers = {"unique_row_identifier_columns": ["shop", "id"]} if parts else {"unique_row_identifier_columns": []}
    definition = define(
        **WHOLE,
        monitoring_columns=NUMBERS,
        monitoring_output_settings=identifiers,
        naive_forecast=naive,
        segments=["region"],
        minimums={"labelled_rows": 20},
        thresholds={"mase": {"critical": 1.0}},
    )
    jobs = [world.run_in_parts(definition, parts, day) if parts else world.run(definition, day) for day in (0, 1)]
    differences, scale = scale_of(first, naive.get("lag", 1), by_shop="series_column" in naive)
    for job, rows, status in zip(jobs, (first, second), ("no_detection", "detected"), strict=True):
        values = {v.segment: v for v in world.store.load_values(job.job_id) if v.name == "mase"}
        assert mae(rows) / scale == pytest.approx(values[None].value, rel=1e-9)
        assert (differences, scale) == (
            values[None].details["differences"],
            pytest.approx(values[None].details["scale"]),
        )
        north = mae([row for row in rows if row["region"] == "north"])
        assert north / scale == pytest.approx(values["region=north"].value, rel=1e-9)
        of_mae = world.store.load_values(job.job_id)
        ends = next((v.low, v.high) for v in of_mae if v.name == "mae" and v.segment is None)
        assert (ends[0] / scale, ends[1] / scale) == pytest.approx((values[None].low, values[None].high), rel=1e-9)
        world.evaluate(definition, job)
        results = {
            r.value.name: r.status.text for r in world.store.results(job.job_id, limit=1000) if r.value.segment is None
        }
        assert status == results["mase"]
    assert mae(first) / scale == pytest.approx(values[None].details["baseline_value"], rel=1e-9)


def test_windows_that_are_merged_are_one_series(small_world: Any, define: Any, tools: Any) -> None:
    world, days = small_world, [sales(tools, day) for day in range(4)]
    world.table("scores", [row for day in days for row in day], SALES)
    definition = define(
        **WHOLE,
        monitoring_columns=NUMBERS,
        naive_forecast={"series_column": "shop", "lag": 2},
        baseline={"type": "moving_window", "windows": 3},
    )
    done = [world.run(definition, day) for day in range(4)][-1]
    value = world.value(done.job_id, "mase")
    expected = scale_of(days[0] + days[1] + days[2], 2, by_shop=True)
    assert expected == (value.details["differences"], pytest.approx(value.details["scale"], rel=1e-9))


def test_reference_data_need_no_predictions(small_world: Any, define: Any, tools: Any) -> None:
    world, past, now = small_world, sales(tools), sales(tools, 1)
    columns = {name: kind for name, kind in SALES.items() if name not in ("guess", "score", "churned")}
    world.table("past", [{name: row[name] for name in columns} for row in past], columns)
    world.table("scores", now, SALES)
    intake = {"type": "sql", "data_store_id": "db", "table": "past"}
    rest = {**WHOLE, "monitoring_columns": NUMBERS, "baseline": {"type": "reference", "intake_settings": intake}}
    before = world.run(define(**rest), 1)
    assert [] == [v for v in world.store.load_values(before.job_id) if v.name == "mase"]
    done = world.run(define(**rest, naive_forecast={"series_column": "shop"}), 1)  # the baseline is made again
    assert mae(now) / scale_of(past, 1, by_shop=True)[1] == pytest.approx(world.value(done.job_id, "mase").value)


@pytest.mark.parametrize(
    ("naive", "reason"),
    [
        ({}, Reason.UNORDERED_ROWS),
        ({"lag": 500}, Reason.INSUFFICIENT_DATA),
        ({"series_column": "id"}, Reason.INSUFFICIENT_DATA),
    ],
)
def test_what_has_no_scale_says_why(
    small_world: Any, define: Any, tools: Any, naive: dict[str, Any], reason: Reason
) -> None:
    rows = sales(tools)
    if reason is Reason.UNORDERED_ROWS:
        for row in rows[::2]:
            row["at"] = FIRST_DAY.replace(tzinfo=None)
    small_world.table("scores", rows, SALES)
    plain = {"unique_row_identifier_columns": []}
    definition = define(**WHOLE, monitoring_columns=NUMBERS, naive_forecast=naive, monitoring_output_settings=plain)
    value = small_world.value(small_world.run(definition).job_id, "mase")
    assert (None, reason) == (value.value, value.reason)


def test_a_scale_that_is_given_needs_no_baseline_and_works_in_the_database(world: Any, define: Any, tools: Any) -> None:
    rows = sales(tools)
    world.table("scores", rows, SALES)
    rest = {**WHOLE, "monitoring_columns": NUMBERS, "baseline": None}
    done = world.run(define(**rest, naive_forecast={"scale": 2.5}, engine="sql"))
    assert mae(rows) / 2.5 == pytest.approx(world.value(done.job_id, "mase").value, rel=1e-9)
    other = world.run(define(**rest, name="other", naive_forecast={"lag": 2}, engine="auto"))
    value = world.value(other.job_id, "mase")
    assert (None, Reason.BASELINE_MISSING) == (value.value, value.reason)
