"""Columns that a definition names are held against the first rows; one that is gone later is a finding and no error."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import job_world
from airflow_monitoring_provider.definitions import JobDefinition, JobState
from airflow_monitoring_provider.exceptions import DefinitionError, SourceError

Define = Callable[..., JobDefinition]
OPEN: dict[str, Any] = {"features": None, "passthrough_columns": None, "output_settings": None}
NAMED = {
    "thresholds": {"psi": {"columns": {"amuont": {"critical": 0.3}}}},
    "history": {"missing_rate": {"columns": ["amuont"]}},
    "drift": {"columns": {"amuont": {"primary": "ks"}, "region": {"binning": "custom", "edges": [1.0]}}},
    "model_score": {"rule": "importance_counts", "importances": {"amuont": 1.0}, "starred_features": ["REGION"]},
    "column_types": {"amuont": "numeric"},
}
CLOSE = "names no column of the rows or the baseline; did you mean amount?"
EXPECTED = {
    "thresholds.psi.columns.amuont": CLOSE,
    "history.missing_rate.columns[0]": CLOSE,
    "drift.columns.amuont": CLOSE,
    "model_score.importances.amuont": CLOSE,
    "model_score.starred_features[0]": "names no column of the rows or the baseline; did you mean region?",
    "column_types.amuont": CLOSE,
    "drift.columns.region.binning": "is for numbers, but the column is categorical, and levels are a cell each",
    "drift.columns.region.edges": "is for numbers, but the column is categorical, and levels are a cell each",
}


@pytest.mark.parametrize("baseline", [None, {"type": "first_window"}])
@pytest.mark.parametrize("parts", [False, True])
def test_a_name_that_no_column_has_ends_the_first_job(
    small_world: job_world.World, define: Define, tools: ModuleType, baseline: Any, parts: bool
) -> None:
    small_world.table("scores", tools.day_rows(0, 60, dirty=False))
    definition = define(**OPEN, **NAMED, baseline=baseline)
    with pytest.raises(DefinitionError) as caught:
        small_world.run_in_parts(definition, {"count": 2}) if parts else small_world.run(definition)
    found = {field: text.removeprefix(f"{field}: ") for field, text in caught.value.problems}
    assert EXPECTED.keys() == found.keys()
    assert all(found[field].startswith(said) for field, said in EXPECTED.items())
    (job,) = small_world.store.jobs()
    assert ("failed", None) == (job.state.value, job.snapshot)


@pytest.mark.parametrize("baseline", [None, {"type": "first_window"}, {"type": "moving_window", "windows": 2}])
@pytest.mark.parametrize("engine", ["arrow", "auto"])
def test_a_named_column_that_is_gone_later_is_a_finding(
    small_world: job_world.World, define: Define, tools: ModuleType, baseline: Any, engine: str
) -> None:
    definition = define(
        **OPEN,
        baseline=baseline,
        engine=engine,
        monitoring_columns={"predictions_columns": [{"class_name": "yes", "column_name": "score"}]},
        monitoring_output_settings=None,
        segments=["region", {"name": "large", "where": [{"column": "amount", "op": "ge", "value": 1}]}],
        thresholds={"psi": {"columns": {"amount": {"critical": 0.3}}}},
        column_types={"amount": "numeric"},
        drift={"columns": {"amount": {"binning": "custom", "edges": [0.0]}}},
    )
    world = small_world
    world.table("scores", [row for day in (0, 1) for row in tools.day_rows(day, dirty=False)])
    world.run(definition, 0)
    world.run(definition, 1)
    kept = {name: kind for name, kind in tools.COLUMNS.items() if name not in ("amount", "region")}
    rows = [{name: row[name] for name in kept} for row in tools.day_rows(2, dirty=False)]
    world.table("scores", rows, kept)
    if baseline is None:  # nothing remembers how rows were grouped
        with pytest.raises(SourceError, match="column 'amount', which segments name, is not in"):
            world.run(definition, 2)
        return
    summary = world.run(definition, 2)
    missing = world.value(summary.job_id, "missing_columns")
    assert (2.0, [{"column": "amount"}, {"column": "region"}]) == (missing.value, missing.details["columns"])
    counts = {v.segment: v.value for v in world.store.load_values(summary.job_id) if v.name == "row_count"}
    assert (400.0, 400.0, 0.0) == (counts[None], counts["region=__missing__"], counts["region=north"])
    assert "detected" == world.evaluate(definition, summary).status
    world.table("scores", tools.day_rows(3, dirty=False))  # and back again
    assert 0.0 == world.value(world.run(definition, 3).job_id, "missing_columns").value


def test_a_later_revision_is_held_against_its_own_first_rows(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    small_world.table("scores", [row for day in (0, 1) for row in tools.day_rows(day, 60, dirty=False)])
    small_world.run(define(**OPEN))
    with pytest.raises(DefinitionError, match="did you mean amount"):
        small_world.run(define(**OPEN, **NAMED), 1)


def test_failed_jobs_do_not_hide_that_a_revision_ran_before(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    world, store = small_world, small_world.store
    definition = define(**OPEN, baseline=None, thresholds={"missing_rate": {"columns": {"amount": {"critical": 0.5}}}})
    world.table("scores", tools.day_rows(0, 60, dirty=False))
    world.run(definition, 0)
    record, _ = store.definition(definition.id)
    for day in range(2, 103):
        store.fail(store.claim(record, tools.window(day), batch_name=f"day {day}"), JobState.FAILED, "no rows yet")
    kept = {name: kind for name, kind in tools.COLUMNS.items() if name != "amount"}
    world.table("scores", [{n: row[n] for n in kept} for row in tools.day_rows(1, 60, dirty=False)], kept)
    assert 1.0 == world.value(world.run(definition, 1).job_id, "missing_columns").value
    assert [True, False] == [store.has_committed(definition.id, revision) for revision in (1, 2)]
    assert not store.has_committed("another", 1)


def test_without_a_baseline_a_named_column_is_missed(
    small_world: job_world.World, define: Define, tools: ModuleType
) -> None:
    definition = define(**OPEN, baseline=None, thresholds={"missing_rate": {"columns": {"amount": {"critical": 0.5}}}})
    small_world.table("scores", tools.day_rows(0, 60, dirty=False))
    small_world.run(definition, 0)
    kept = {name: kind for name, kind in tools.COLUMNS.items() if name != "amount"}
    small_world.table("scores", [{n: row[n] for n in kept} for row in tools.day_rows(1, 60, dirty=False)], kept)
    summary = small_world.run(definition, 1)
    found = small_world.value(summary.job_id, "missing_columns")
    assert [{"column": "amount"}] == found.details["columns"]
    log = [line.line for line in small_world.store.job(summary.job_id).log]
    assert any("without effect on this batch: thresholds.missing_rate.columns.amount" in line for line in log)
