"""A job's values against those of the windows before: z, its limits, and the windows that count."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from scipy import stats

from airflow_monitoring_provider.exceptions import DefinitionError

COUNTS = np.random.default_rng(16).integers(40, 61, 16).tolist()
"""Rows of 16 days; the last is set by each test."""


def rows_of(tools: Any, counts: list[int], *, every: int = 5) -> list[dict[str, Any]]:
    """Days of clean rows; each ``every``th amount (one more with every day) is missing."""
    found = []
    for day, count in enumerate(counts):
        rows = tools.day_rows(day, count, dirty=False)
        for row in rows[: count // every + day % 4]:
            row["amount"] = None
        found += rows
    return found


def z_of(x: float, before: Sequence[float], *, robust: bool = False) -> float:
    """By SciPy."""
    if robust:
        return float((x - np.median(before)) / stats.median_abs_deviation(before, scale="normal"))
    return float(stats.zmap([x], before, ddof=1)[0])


def test_z_is_of_the_windows_before_and_is_judged_found_and_told(world: Any, define: Any, tools: Any) -> None:
    counts = [*COUNTS[:15], 10]
    definition = define(
        features=None,
        history={
            "row_count": {"direction": "drop", "warning": 2, "critical": 3},
            "missing_rate": {"columns": ["amount", "gone"], "robust": True},
        },
        output_settings=None,
    )
    rows = rows_of(tools, counts)
    world.table("scores", [row | {"gone": 1.5} for row in rows], tools.COLUMNS | {"gone": sa.Float()})
    jobs = [world.run(definition, 0)]
    world.table("scores", rows)
    jobs += [world.run(definition, day) for day in range(1, 16)]
    evaluation = world.evaluate(definition, jobs[-1])
    rates = [world.value(job.job_id, "missing_rate", "amount").value for job in jobs]
    found = [world.value(job.job_id, "history_z[row_count]") for job in jobs]
    robust = [world.value(job.job_id, "history_z[missing_rate]", "amount") for job in jobs]
    assert ["insufficient_data"] * 14 == [value.reason for value in found[:14]] == [v.reason for v in robust[:14]]
    expected = [z_of(counts[day], counts[day - 14 : day]) for day in (14, 15)]
    assert pytest.approx(expected, rel=1e-12) == [value.value for value in found[14:]]
    expected_rates = [z_of(rates[day], rates[day - 14 : day], robust=True) for day in (14, 15)]
    assert pytest.approx(expected_rates, rel=1e-12) == [value.value for value in robust[14:]]
    assert "column_missing" == world.value(jobs[-1].job_id, "history_z[missing_rate]", "gone").reason
    result = world.store.results(jobs[-1].job_id, name="history_z[row_count]").items[0]
    assert ("detected", -2.0, -3.0) == (result.status.text, result.warning, result.critical)
    assert "detected" == evaluation.status
    mean = np.mean(counts[1:15])
    told = f"row_count is 10, {-expected[1]:.3g} standard deviations under {mean:.3g}, the mean of 14 windows before."
    assert told in evaluation.findings


def test_deleted_windows_do_not_count_and_rerun_ones_count_as_they_are_now(
    small_world: Any, define: Any, tools: Any
) -> None:
    definition = define(history={"row_count": {}}, output_settings=None)
    small_world.table("scores", rows_of(tools, COUNTS))
    jobs = [small_world.run(definition, day) for day in range(16)]
    small_world.table("scores", rows_of(tools, [*COUNTS[:7], 90, *COUNTS[8:]]))
    small_world.run(definition, 7)
    again = small_world.value(small_world.run(definition, 15).job_id, "history_z[row_count]")
    changed = [*COUNTS[:7], 90, *COUNTS[8:15]]
    assert pytest.approx(z_of(COUNTS[15], changed[1:]), rel=1e-12) == again.value
    small_world.store.delete_batch(small_world.store.job(jobs[7].job_id).batch_id)
    again = small_world.value(small_world.run(definition, 15).job_id, "history_z[row_count]")
    left = changed[:7] + changed[8:]
    assert pytest.approx(z_of(COUNTS[15], left), rel=1e-12) == again.value
    small_world.store.delete_batch(small_world.store.job(jobs[8].job_id).batch_id)
    again = small_world.value(small_world.run(definition, 15).job_id, "history_z[row_count]")
    assert ("insufficient_data", 13) == (again.reason, again.details["points"])


def test_the_same_values_have_no_spread(small_world: Any, define: Any, tools: Any) -> None:
    definition = define(history={"row_count": {}, "inf_rate": {}, "completeness": {}}, output_settings=None)
    small_world.table("scores", rows_of(tools, [30] * 14 + [20]))
    last = [small_world.run(definition, day) for day in range(15)][-1].job_id
    assert "zero_denominator" == small_world.value(last, "history_z[row_count]").reason
    assert "zero_denominator" == small_world.value(last, "history_z[inf_rate]", "amount").reason
    assert "not_recorded" == small_world.value(last, "history_z[completeness]").reason


def test_a_season_is_the_same_time_of_the_same_weekday_over_a_change_of_clocks(
    small_world: Any, define: Any, tools: Any
) -> None:
    from zoneinfo import ZoneInfo

    from airflow_monitoring_provider.definitions import Window
    from airflow_monitoring_provider.jobs.run import run_job

    zone = ZoneInfo("Europe/Zurich")
    weeks = [dt.datetime(2026, 3, 1, tzinfo=zone) + dt.timedelta(weeks=week) for week in range(8)]  # clocks: March 29
    counts = [11, 14, 12, 19, 15, 13, 18, 40]
    others = [start + dt.timedelta(days=1) for start in weeks[:7]]
    rows = []
    for start, count in [*zip(weeks, counts, strict=True), *((other, 5) for other in others)]:
        for row in tools.day_rows(0, count, dirty=False):
            rows.append(row | {"id": f"{start:%m%d}-{row['id']}", "at": start + dt.timedelta(hours=5)})
    as_utc = [row | {"at": row["at"].astimezone(dt.UTC).replace(tzinfo=None)} for row in rows]
    small_world.table("scores", as_utc)
    definition = define(
        timezone="Europe/Zurich",
        start_date=weeks[0].isoformat(),
        history={"row_count": {"season": "weekly", "window": 7, "direction": "spike"}},
        output_settings=None,
    )
    for start in sorted([*weeks, *others]):
        window = Window.of(start, start + dt.timedelta(days=1))
        summary = run_job(definition, window, small_world.ports())
    value = small_world.value(summary.job_id, "history_z[row_count]")
    assert 7 == value.details["points"]
    assert pytest.approx(z_of(40, counts[:7]), rel=1e-12) == value.value
    assert "detected" == small_world.evaluate(definition, summary).status


def test_a_comparison_from_profiles_holds_against_the_past_again(small_world: Any, define: Any, tools: Any) -> None:
    definition = define(history={"row_count": {}, "row_count_ratio": {}}, output_settings=None)
    small_world.table("scores", rows_of(tools, COUNTS))
    jobs = [small_world.run(definition, day) for day in range(1, 16)]
    for job in jobs:
        small_world.evaluate(definition, job)
    assert "baseline_missing" == small_world.value(jobs[-1].job_id, "history_z[row_count_ratio]").reason
    small_world.evaluate(definition, small_world.run(definition, 0))
    expected = z_of(COUNTS[15], COUNTS[1:15])
    for metric in ("row_count", "row_count_ratio"):
        found = small_world.value(jobs[-1].job_id, f"history_z[{metric}]")
        assert pytest.approx(expected, rel=1e-9) == found.value, metric


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ({"row_cuont": {}}, r"history\.row_cuont.*did you mean row_count"),
        ({"psi": {}}, r"history\.psi.*quality or volume"),
        ({"label_coverage": {}}, r"history\.label_coverage"),
        ({"row_count": {"window": 13}}, r"history\.row_count\.window.*14 or more"),
        ({"row_count": {"window": 6, "season": "weekly"}}, r"history\.row_count\.window.*7 or more"),
        ({"row_count": {"season": "daily"}}, r"history\.row_count\.season"),
        ({"row_count": {"direction": "up"}}, r"history\.row_count\.direction"),
        ({"row_count": {"critical": -3}}, r"history\.row_count\.critical.*over 0"),
        ({"row_count": {"warning": 4, "critical": 3}}, r"history\.row_count\.warning"),
        ({"missing_rate": {"columns": []}}, r"history\.missing_rate\.columns"),
    ],
)
def test_wrong_histories_name_the_field(define: Any, history: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError, match=message):
        define(history=history)
