"""What windows reached whose late actuals have had their time is what later ones may be expected to reach."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.ui.job_page import render_job
from job_world import FIRST_DAY

ACTUALS = {"key": sa.BigInteger(), "paid": sa.String(), "known": sa.DateTime()}
WHOLE = dict.fromkeys(("output_settings", "passthrough_columns", "baseline"))
PREDICTIONS = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}], "association_id_column": "id"}
LATE = {"association_id_column": "key", "actuals_value_column": "paid", "actuals_timestamp_column": "known"}
REACHED = (0.50, 0.60, 0.70, 0.60, 0.10, 0.58, 0.56)
"""Of days that are three days old the median is 0.60: of it 95 % are 0.57."""


def world_of(world: Any, define: Any, tools: Any, minimums: dict[str, Any]) -> list[str]:
    """Seven days of predictions of which shares have late actuals; the ids of their jobs."""
    days = [tools.day_rows(day, 200, dirty=False) for day in range(len(REACHED))]
    world.table("scores", [row for day in days for row in day])
    definition = define(
        **WHOLE, monitoring_columns=PREDICTIONS, minimums={"labelled_rows": 1, "per_class": 1, **minimums}
    )
    jobs = [world.run(definition, day).job_id for day in range(len(REACHED))]
    known = FIRST_DAY.replace(tzinfo=None) + dt.timedelta(days=20)
    late = [
        {"key": row["id"], "paid": "yes" if place % 3 else "no", "known": known}
        for day, share in zip(days, REACHED, strict=True)
        for place, row in enumerate(day[: round(share * len(day))])
    ]
    world.table("late", late, ACTUALS)
    intake = {"type": "sql", "data_store_id": "db", "table": "late"}
    rest = {**WHOLE, "timestamp_column": None, "monitoring_output_settings": None, "features": []}
    for _ in range(2):  # windows are restated in the order of their starts, so that once would do
        world.run(define(**rest, name="late", intake_settings=intake, monitoring_columns=LATE), 9)
    return jobs


def test_a_window_is_held_to_what_mature_windows_reached(small_world: Any, define: Any, tools: Any) -> None:
    jobs = world_of(small_world, define, tools, {"maturity_age": "2d"})
    coverage = [small_world.value(job, "label_coverage") for job in jobs]
    assert list(REACHED) == pytest.approx([value.value for value in coverage])
    learnt = [(v.details.get("final_coverage"), v.details.get("final_coverage_windows")) for v in coverage]
    nothing = (None, None)  # fewer than three days are mature when the first four end
    assert [nothing, nothing, nothing, nothing, (0.6, 3), (0.6, 4), (0.6, 5)] == learnt
    assert [True, True, True, True, True, None, True] == [v.details.get("provisional") for v in coverage]
    for job, value in zip(jobs[3:], coverage[3:], strict=True):
        found = small_world.store.results(job, limit=1000).items
        page = render_job(small_world.store.job(job), found)
        said = (
            f"60 % is expected in the end, the median of {value.details.get('final_coverage_windows')} mature windows"
        )
        assert (2 if "final_coverage" in value.details else 0) == page.count(said)  # at its head and beside the value
        assert page.count("of the rows have an actual") == page.count(said) / 2
    accuracy = small_world.value(jobs[-1], "accuracy").details
    assert (True, coverage[-1].details["provisional_until"]) == (accuracy["provisional"], accuracy["provisional_until"])


def test_without_an_age_nobody_knows_which_are_final(small_world: Any, define: Any, tools: Any) -> None:
    jobs = world_of(small_world, define, tools, {})
    coverage = [small_world.value(job, "label_coverage").details for job in jobs]
    assert {True} == {details.get("provisional") for details in coverage}
    assert not any("final_coverage" in details for details in coverage)
