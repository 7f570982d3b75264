"""Baselines that are merges of windows: what jobs are compared with, and how they follow what becomes of batches."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import job_world
from airflow_monitoring_provider.definitions import JobDefinition, job_id
from airflow_monitoring_provider.exceptions import DefinitionError, NotFound
from airflow_monitoring_provider.jobs.baseline import with_settings
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.reevaluating import reevaluate
from airflow_monitoring_provider.jobs.selection import select_batches
from airflow_monitoring_provider.metrics.timeliness import of_the_job
from airflow_monitoring_provider.store.tables import profiles

MOVING = {"type": "moving_window", "length": "3d"}
QUICK = {"output_settings": None, "passthrough_columns": None, "monitoring_output_settings": None}
SMALL = {**QUICK, "minimums": {"reference_rows": 20, "current_rows": 20}}


def rows_of(tools: Any, days: int, shifted: tuple[int, ...] = (), count: int = 400) -> list[dict[str, Any]]:
    return [row for day in range(days) for row in tools.day_rows(day, count, shift=2.0 * (day in shifted), dirty=False)]


def members(world: Any, job: str) -> list[str]:
    """Ids of what the job was compared with, by the version that it pins."""
    record = world.store.job(job)
    version = world.store.baseline_version(record.definition_id, record.snapshot.baseline_version)
    assert version.key == record.snapshot.baseline_key
    return [name for name, _ in version.members]


def values(world: Any, job: str) -> dict[tuple[str, str | None], Any]:
    return {(v.name, v.column): (v.value, v.reason, v.n, v.m) for v in world.store.load_values(job)}


def alerts(world: Any) -> int:
    return len(world.store.pending_alerts(limit=1000))


def test_a_moving_baseline_says_what_the_same_rows_read_at_once_say(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", rows_of(tools, 5))
    moving = define(baseline=MOVING, **QUICK)
    jobs = [world.run(moving, day).job_id for day in range(5)]
    intake = {"type": "sql", "data_store_id": "db", "table": "scores"}
    reference = {"type": "reference", "intake_settings": intake, "start": "2026-03-02", "end": "2026-03-05"}
    read = world.run(define(name="read", baseline=reference, **QUICK), 4)
    assert values(world, read.job_id) == values(world, jobs[4])
    assert jobs[1:4] == members(world, jobs[4])
    assert [(None, "baseline_missing"), *[(number + 1, None) for number in range(4)]] == [
        (world.store.job(job).snapshot.baseline_version, world.value(job, "psi", "amount").reason) for job in jobs
    ]
    (newest, *_) = world.store.baseline_versions(moving.id)
    start = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    assert ("moving_window", 1200, start, start + dt.timedelta(days=3)) == (
        newest.kind,
        newest.rows,
        newest.window_start,
        newest.window_end,
    )


def test_a_retry_pins_the_same_version_and_a_job_in_parts_too(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 3))
    definition = define(baseline=MOVING, **QUICK)
    for day in range(3):
        world.run(definition, day)
    once = world.run(definition, 2)
    cut = world.run_in_parts(definition, {"by": "time", "count": 2}, 2)
    assert [2, 2] == [once.baseline_version, cut.baseline_version]
    assert world.store.job(once.job_id).snapshot.baseline_key is not None


def test_a_deleted_batch_leaves_every_baseline_and_the_results_that_it_made(
    world: Any, define: Any, tools: Any
) -> None:
    world.table("scores", rows_of(tools, 5, shifted=(1,)))
    definition = define(baseline=MOVING, **QUICK)
    done = [world.run(definition, day) for day in range(5)]
    for job in done:
        world.evaluate(definition, job)
    before, told = [world.store.job(job.job_id).snapshot_revision for job in done], alerts(world)
    world.store.delete_batch(done[1].batch_id)
    world.table("scores", [])
    world.wrap = lambda source: pytest.fail("rows were opened")
    changed = reevaluate(definition, world.store).changed
    assert [job.job_id for job in done[2:]] == list(changed)
    assert [[done[0].job_id], [done[0].job_id, done[2].job_id], [done[2].job_id, done[3].job_id]] == [
        members(world, job.job_id) for job in done[2:]
    ]
    assert [revision + 1 for revision in before[2:]] == [
        world.store.job(job.job_id).snapshot_revision for job in done[2:]
    ]
    assert ["no_detection"] * 3 == [world.store.job(job.job_id).overall_status.text for job in done[2:]]
    assert told == alerts(world), "nobody is told of the past"
    assert ((), 4) == ((again := reevaluate(definition, world.store)).changed, again.unchanged)


def test_the_next_evaluation_lets_past_jobs_follow(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 4))
    definition = define(baseline=MOVING, **QUICK)
    done = [world.run(definition, day) for day in range(3)]
    world.store.delete_batch(done[0].batch_id)
    world.evaluate(definition, world.run(definition, 3))
    assert [done[1].job_id] == members(world, done[2].job_id)
    assert None is world.store.job(done[1].job_id).snapshot.baseline_version


def test_a_locked_batch_keeps_its_results_and_counts_in_other_baselines(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 4))
    definition = define(baseline=MOVING, **QUICK)
    done = [world.run(definition, day) for day in range(4)]
    world.store.lock_batch(done[2].batch_id)
    world.store.delete_batch(done[0].batch_id)
    found = reevaluate(definition, world.store)
    assert (1, 2) == (found.locked, len(found.changed))
    assert [done[0].job_id, done[1].job_id] == members(world, done[2].job_id)
    assert [done[1].job_id, done[2].job_id] == members(world, done[3].job_id)


def test_drifted_windows_can_be_left_out(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 5, shifted=(2,)))
    definition = define(baseline={**MOVING, "exclude_drifted": True}, **QUICK)
    done = []
    for day in range(5):
        done.append(world.run(definition, day))
        world.evaluate(definition, done[-1])
    assert [done[1].job_id, done[3].job_id] == members(world, done[4].job_id)
    version = world.store.baseline_version(definition.id, done[4].baseline_version)
    assert {done[2].job_id: "drifted"} == version.details["left_out"]
    # evaluated late, it leaves the baselines that it was in
    late = define(name="late", baseline={**MOVING, "exclude_drifted": True}, **QUICK)
    unevaluated = [world.run(late, day) for day in range(5)]
    assert unevaluated[2].job_id in members(world, unevaluated[4].job_id)
    for job in unevaluated:
        world.evaluate(late, job)
    assert values(world, done[4].job_id) == values(world, unevaluated[4].job_id)


@pytest.mark.parametrize(
    ("asked", "details"),
    [
        ({"minimum_windows": 3}, {"windows": 2, "minimum_windows": 3}),
        ({"minimum_rows": 1000}, {"rows": 800, "minimum_rows": 1000}),
    ],
)
def test_a_baseline_that_is_too_small_is_never_ok(
    small_world: Any, define: Any, tools: Any, asked: dict[str, int], details: dict[str, int]
) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 3))
    definition = define(baseline=MOVING | asked, **QUICK)
    done = [world.run(definition, day) for day in range(3)]
    found = world.value(done[2].job_id, "psi", "amount")
    assert (None, "baseline_too_small", details) == (found.value, found.reason, found.details["baseline"])
    evaluation = world.evaluate(definition, done[2])
    assert ("irrelevant", "baseline_too_small") == (evaluation.status, evaluation.reason)
    assert any("no baseline" in line.line for line in world.store.job(done[2].job_id).log)


def test_a_fixed_range_before_the_first_job_is_read_once(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 5))
    opened: list[str] = []
    world.wrap = lambda source: opened.append(source.label) or source
    fixed = {"type": "fixedRange", "start": "2026-03-01", "end": "2026-03-04"}
    definition = define(baseline=fixed, **QUICK)
    done = [world.run(definition, day) for day in (3, 4)]
    assert (3, [1, 1]) == (len(opened), [job.baseline_version for job in done])
    assert (
        1200 - sum(row["amount"] is None for row in rows_of(tools, 3))
        == world.value(done[1].job_id, "wasserstein_norm", "amount").n
    )
    # a batch of the range that was run, and deleted, counts no more: then stored profiles alone do
    inside = [world.run(definition, day) for day in (0, 1)]
    world.store.delete_batch(inside[0].batch_id)
    assert [done[0].job_id, done[1].job_id] == list(reevaluate(definition, world.store).changed)[-2:]
    assert [inside[1].job_id] == members(world, done[1].job_id)


def test_a_fixed_range_of_windows_that_ran_reads_nothing(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 4))
    fixed = {"type": "fixed_range", "start": "2026-03-01", "end": "2026-03-03"}
    definition = define(baseline=fixed, **QUICK)
    done = [world.run(definition, day) for day in range(4)]
    assert [done[0].job_id, done[1].job_id] == members(world, done[3].job_id)
    assert [done[1].job_id] == (reevaluate(definition, world.store), members(world, done[0].job_id))[1]


def test_a_new_column_is_told_once_and_then_part_of_a_moving_baseline(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    definition = define(baseline={"type": "previous_window"}, features=None, **QUICK)
    world.table("scores", rows_of(tools, 1))
    world.run(definition, 0)
    chance = random.Random(1)
    wider = [row | {"tenure": chance.gauss(0, 1)} for row in rows_of(tools, 3)]
    world.table("scores", wider, {**tools.COLUMNS, "tenure": sa.Float()})
    done = [world.run(definition, day) for day in (1, 2)]
    assert [1.0, 0.0] == [world.value(job.job_id, "new_columns").value for job in done]
    assert ["column_new", None] == [world.value(job.job_id, "psi", "tenure").reason for job in done]


def test_windows_without_a_baseline_cut_the_same_segments(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 6, shifted=(1, 2)))
    segments = [{"name": "amounts", "column": "amount", "bins": 2}]
    definition = define(baseline={**MOVING, "delay": "2d"}, segments=segments, **QUICK)
    done = [world.run(definition, day) for day in range(6)]
    plans = {tuple(segment for segment in _segments(world, job.job_id)) for job in done}
    assert 1 == len(plans)
    found = [
        v for v in world.store.load_values(done[5].job_id) if v.segment and v.name == "psi" and v.value is not None
    ]
    assert {segment for segment in next(iter(plans)) if "missing" not in segment} <= {v.segment for v in found}


def _segments(world: Any, job: str) -> list[str]:
    return sorted({v.segment for v in world.store.load_values(job) if v.segment is not None})


def test_an_edit_that_contradicts_older_windows_leaves_them_out_and_says_so(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 4))
    before = define(baseline=MOVING, **QUICK)
    old = [world.run(before, day) for day in range(2)]
    after = define(baseline=MOVING, prediction_threshold=0.7, **QUICK)
    new = [world.run(after, day) for day in (2, 3)]
    assert [new[0].job_id] == members(world, new[1].job_id)
    version = world.store.baseline_version(after.id, new[1].baseline_version)
    assert {job.job_id: "has other columns" for job in old} == version.details["left_out"]
    assert () == reevaluate(after, world.store).changed


@pytest.mark.parametrize("kind", ["damaged", "healed"])
def test_a_damaged_member_is_left_out_until_it_runs_again(small_world: Any, define: Any, tools: Any, kind: str) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 3))
    definition = define(baseline=MOVING, **QUICK)
    done = [world.run(definition, day) for day in range(2)]
    engine = sa.create_engine(world.store_url)
    with engine.begin() as connection:
        connection.execute(profiles.update().where(profiles.c.job_id == done[0].job_id).values(profile=b"no profile"))
    engine.dispose()
    if kind == "healed":
        world.run(definition, 0)
    third = world.run(definition, 2)
    expected = [done[1].job_id] if kind == "damaged" else [done[0].job_id, done[1].job_id]
    assert expected == members(world, third.job_id)
    assert () == reevaluate(definition, world.store).changed


def test_a_chosen_name_beats_the_definition_and_the_past_follows_on_request(
    world: Any, define: Any, tools: Any
) -> None:
    world.table("scores", rows_of(tools, 4, shifted=(3,)))
    definition = define(**QUICK)
    done = [world.run(definition, day) for day in range(4)]
    for job in done:
        world.evaluate(definition, job)
    before, told = [values(world, job.job_id) for job in done], alerts(world)
    assert told > 0
    assert world.store.named_baselines(definition.id) == ()
    payload = {"type": "previousWindow"}
    named = [world.store.create_baseline(definition.id, "yesterday", payload, by="ann") for _ in range(2)]
    assert [1, 1] == [each.version for each in named]
    batches = {"type": "batches", "batchIds": [done[3].batch_id]}
    assert 2 == world.store.create_baseline(definition.id, "yesterday", batches).version
    with pytest.raises(NotFound, match="has no baseline named 'today'"):
        world.store.use_baseline(definition.id, "today")
    world.store.use_baseline(definition.id, "yesterday", version=1, by="ann")
    assert ("yesterday", 1, "ann") == (
        (choice := world.store.baseline_choice(definition.id)).name,
        choice.version,
        choice.chosen_by,
    )
    world.wrap = lambda source: pytest.fail("rows were opened")
    assert 4 == len(reevaluate(definition, world.store).changed)
    assert [[done[day].job_id] for day in range(3)] == [members(world, job.job_id) for job in done[1:]]
    assert "baseline_missing" == world.value(done[0].job_id, "psi", "amount").reason
    world.store.use_baseline(definition.id, "yesterday")
    found = reevaluate(definition, world.store, start=dt.datetime(2026, 3, 3, tzinfo=dt.UTC))
    assert (2, [done[3].job_id]) == (len(found.changed), members(world, done[2].job_id))
    assert "detected" == world.store.job(done[2].job_id).overall_status.text
    assert told == alerts(world)
    world.store.use_baseline(definition.id, None)
    reevaluate(definition, world.store)
    assert before == [values(world, job.job_id) for job in done]


def test_a_definition_may_name_a_baseline_of_the_store(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 3))
    definition = define(baseline={"type": "named", "name": "usual"}, **QUICK)
    with pytest.raises(NotFound, match="airflow monitoring baselines"):
        world.run(definition, 0)
    world.store.create_baseline(definition.id, "usual", {"type": "expanding"})
    done = [world.run(definition, day) for day in range(3)]
    assert [done[0].job_id, done[1].job_id] == members(world, done[2].job_id)
    with pytest.raises(DefinitionError, match="cannot stand for another name"):
        with_settings(definition, {"type": "named", "name": "usual"})


def test_the_newest_window_is_told_of_when_asked(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 3, shifted=(2,)))
    quiet = {"type": "batches", "batch_ids": ["none"]}
    definition = define(baseline=quiet, **QUICK)
    done = [world.run(definition, day) for day in range(3)]
    for job in done:
        world.evaluate(definition, job)
    assert 0 == alerts(world)
    changed = define(baseline=MOVING, **QUICK)
    reevaluate(changed, world.store)
    assert (0, "detected") == (alerts(world), world.store.job(done[2].job_id).overall_status.text)
    reevaluate(changed, world.store, every=True, tell=True)
    assert 0 < alerts(world)


def test_batches_looked_at_together_are_compared_with_what_came_before(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    world.table("scores", rows_of(tools, 5, shifted=(3, 4)))
    definition = define(baseline=MOVING, **QUICK)
    done = [world.run(definition, day) for day in range(5)]
    (part,) = select_batches(world.store, "churn-model", [job.batch_id for job in done[3:]]).parts
    found = next(each for each in part.evaluation.results if (each.name, each.column) == ("row_count_ratio", None))
    assert ("detected", 800, 1200) == (part.evaluation.status.text, part.profile.rows, found.metric.n)


def test_late_actuals_reach_the_baselines_that_hold_their_batches(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", [row | {"churned": None} for row in rows_of(tools, 3)])
    columns = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}], "association_id_column": "id"}
    definition = define(baseline={"type": "previous_window"}, monitoring_columns=columns, **QUICK)
    done = [world.run(definition, day) for day in range(3)]
    for job in done:
        world.evaluate(definition, job)
    world.table("outcomes", [row for row in rows_of(tools, 3) if row["churned"] is not None])
    actuals = define(
        name="outcomes",
        intake_settings={"type": "sql", "data_store_id": "db", "table": "outcomes"},
        timestamp_column=None,
        features=None,
        target_type="Binary",
        positive_class="yes",
        baseline=None,
        monitoring_columns={"association_id_column": "id", "actuals_value_column": "churned"},
        **QUICK,
    )
    world.evaluate(actuals, world.run(actuals, 0))
    found = [world.value(job.job_id, "roc_auc") for job in done]
    assert None not in [value.value for value in found]
    assert [found[0].value, found[1].value] == [value.details["baseline_value"] for value in found[1:]]


ACTIONS = st.one_of(
    st.tuples(st.just("run"), st.integers(0, 4), st.booleans()),
    st.tuples(st.sampled_from(["delete", "evaluate", "lock"]), st.integers(0, 4), st.just(False)),
    st.tuples(st.just("reevaluate"), st.just(0), st.just(False)),
)


@given(actions=st.lists(ACTIONS, min_size=4, max_size=12), excluding=st.booleans())
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_runs_deletes_locks_and_restatements_ends_in_a_one_shot_recomputation(
    tmp_path_factory: Any, actions: list[tuple[str, int, bool]], excluding: bool
) -> None:
    folder = tmp_path_factory.mktemp("world")
    urls = [f"sqlite:///{folder / name}" for name in ("database.sqlite", "store.sqlite")]
    with job_world.open_world(*urls, folder) as world:
        state, seen = _play(world, actions, excluding)
        expected = _one_shot(world, state, seen, excluding)
        assert expected == {
            day: _outcome(world, job_world.define(**_moving("played", excluding)), day) for day in expected
        }


def _moving(name: str, excluding: bool) -> dict[str, Any]:
    return {"name": name, "baseline": {**MOVING, "length": "2d", "exclude_drifted": excluding}, **SMALL}


def _rows(state: dict[int, bool]) -> list[dict[str, Any]]:
    return [
        row for day, drifted in state.items() for row in job_world.day_rows(day, 60, shift=4.0 * drifted, dirty=False)
    ]


def _play(world: Any, actions: list[tuple[str, int, bool]], excluding: bool) -> tuple[dict[int, bool], set[int]]:
    """Do what the actions say: the rows that each surviving day has in the end, and the days that are locked."""
    definition = job_world.define(**_moving("played", excluding))
    state: dict[int, bool] = {}
    locked: set[int] = set()
    deleted: set[int] = set()
    batches: dict[int, str] = {}
    for action, day, drifted in actions:
        if action == "run" and day not in locked | deleted:
            world.table("scores", _rows({day: drifted}))
            batches[day] = world.run(definition, day).batch_id
            state[day] = drifted
        elif action == "delete" and day in state:
            world.store.delete_batch(batches[day])
            deleted.add(day)
            locked.discard(day)
            del state[day]
        elif action == "lock" and day in state and not excluding:
            world.store.lock_batch(batches[day])
            locked.add(day)
        elif action == "evaluate" and day in state:
            _evaluate(world, definition, day)
        elif action == "reevaluate":
            reevaluate(definition, world.store)
    for day in sorted(state):
        _evaluate(world, definition, day)
    reevaluate(definition, world.store)
    return state, locked


def _evaluate(world: Any, definition: JobDefinition, day: int) -> None:
    evaluate_job(job_id(definition.id, job_world.window(day)), definition, world.store)


def _one_shot(world: Any, state: dict[int, bool], locked: set[int], excluding: bool) -> dict[int, Any]:
    """Run what is left once, in order, as another definition; a locked day keeps results of its own time."""
    definition = job_world.define(**_moving("once", excluding))
    world.table("scores", _rows(state))
    expected = {}
    for day in sorted(state):
        world.evaluate(definition, world.run(definition, day))
        expected[day] = _outcome(world, definition, day)
        inside = [each for each in range(day - 2, day) if each in state]
        if not excluding:  # held against counting, too
            assert (60 * len(inside) or None) == (
                world.value(job_id(definition.id, job_world.window(day)), "row_count_ratio").n or None
            )
    return {day: found for day, found in expected.items() if day not in locked}


def _outcome(world: Any, definition: JobDefinition, day: int) -> Any:
    job = world.store.job(job_id(definition.id, job_world.window(day)))
    own = {
        v.name for v in world.store.load_values(job.id) if of_the_job(v)
    }  # how often it ran is no matter of baselines
    return {key: found for key, found in values(world, job.id).items() if key[0] not in own}, job.overall_status
