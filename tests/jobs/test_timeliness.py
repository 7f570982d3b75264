"""Windows that are read too early, that grow later, and that hold fewer rows than they should."""

from __future__ import annotations

import datetime as dt
import statistics
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.exceptions import DefinitionError
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.store import MonitoringStore

FIRST_DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def at(world: Any, hours: float) -> None:
    """Set the store's clock to so many hours after the first day began."""
    moment = FIRST_DAY + dt.timedelta(hours=hours)
    world.store.close()
    world.store = MonitoringStore(open_engine(world.store_url), storage=world.storage, clock=lambda: moment)


def test_a_window_is_incomplete_until_its_delay_is_over_and_then_counts_late_rows(
    world: Any, define: Any, tools: Any
) -> None:
    definition = define(timeliness={"delay": "PT6H"}, output_settings=None)
    seen = []
    for hours, count in ((25, 300), (29.9, 350), (30, 380), (40, 380), (50, 400), (60, 390)):
        at(world, hours)
        world.table("scores", tools.day_rows(0, 400)[:count])
        summary = world.run(definition)
        world.evaluate(definition, summary)
        seen.append((summary.incomplete, summary.late_rows, bool(world.store.monitor_states(definition.id))))
    assert [
        (True, None, False),
        (True, None, False),
        (False, None, True),
        (False, 0, True),
        (False, 20, True),
        (False, 10, True),
    ] == seen
    late = world.value(summary.job_id, "late_rows")
    assert (10.0, {"rows_on_time": 380}) == (late.value, late.details)


def test_completeness_is_rows_over_expected_rows_and_has_a_status(world: Any, define: Any, tools: Any) -> None:
    definition = define(
        timeliness={"expected_rows": 500},
        thresholds={"completeness": {"warning": 0.9, "critical": 0.5}},
        output_settings=None,
    )
    world.table("scores", tools.day_rows(0, 400))
    summary = world.run(definition)
    evaluation = world.evaluate(definition, summary)
    assert 400 / 500 == world.value(summary.job_id, "completeness").value
    assert ("potential_detection", "completeness") == (evaluation.status, evaluation.worst["metric"])
    assert ("completeness is 0.8, limit 0.9.",) == evaluation.findings


def test_expected_rows_are_the_median_of_whole_windows_before(small_world: Any, define: Any, tools: Any) -> None:
    definition = define(timeliness={"expected_rows": "median"}, output_settings=None)
    counts = [100, 400, 130, 110, 60]
    small_world.table("scores", [row for day, count in enumerate(counts) for row in tools.day_rows(day, count)])
    values = [small_world.value(small_world.run(definition, day).job_id, "completeness") for day in range(5)]
    expected = [statistics.median(counts[:day]) for day in (3, 4)]
    assert ["insufficient_data"] * 3 + [None, None] == [value.reason for value in values]
    assert [110 / expected[0], 60 / expected[1]] == [value.value for value in values[3:]]
    small_world.store.delete_batch(small_world.store.job(tools_job(definition, tools, 1)).batch_id)
    again = small_world.value(small_world.run(definition, 4).job_id, "completeness")
    assert 60 / statistics.median([100, 130, 110]) == again.value


def tools_job(definition: Any, tools: Any, day: int) -> str:
    """The id of a day's job."""
    from airflow_monitoring_provider.definitions import job_id

    return job_id(definition.id, tools.window(day))


def test_completeness_stays_when_a_job_is_compared_later(small_world: Any, define: Any, tools: Any) -> None:
    definition = define(timeliness={"expected_rows": 800}, output_settings=None)
    small_world.table("scores", [row for day in range(2) for row in tools.day_rows(day)])
    second = small_world.run(definition, 1)
    small_world.evaluate(definition, second)
    first = small_world.run(definition, 0)
    small_world.evaluate(definition, first)
    compared = small_world.store.job(second.job_id).snapshot
    assert compared is not None
    assert 1 == compared.baseline_version
    assert 0.5 == small_world.value(second.job_id, "completeness").value


@pytest.mark.parametrize(
    ("timeliness", "field"),
    [
        ({"delay": "6h"}, "delay"),
        ({"delay": -1}, "delay"),
        ({"delay": "P1M"}, "delay"),
        ({"delay": 1.5}, "delay"),
        ({"delay": "PT"}, "delay"),
        ({"expected_rows": 0}, "expected_rows"),
        ({"expected_rows": "mean"}, "expected_rows"),
        ({"history": 2}, "history"),
    ],
)
def test_wrong_timeliness_names_the_field(define: Any, timeliness: dict[str, Any], field: str) -> None:
    with pytest.raises(DefinitionError, match=rf"timeliness\.{field}"):
        define(timeliness=timeliness)


def test_durations_are_seconds(define: Any) -> None:
    spelt = [define(timeliness={"delay": delay}) for delay in ("P1DT2H", 93_600, "PT26H", "PT1560M")]
    assert {93_600} == {each.timeliness.delay for each in spelt}
    assert 1 == len({load_definition(each) for each in spelt[1:2]})
