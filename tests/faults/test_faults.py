"""A short sample of the faults of README.md; ``make faults`` injects all of them.

What a longer run found stays here as a case of its own, with the step that showed it.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults import scenarios
from faults.scenarios import BY_NAME, Bench

INTO_SQLITE = BY_NAME["sqlite-insert@sqlite-sqlite-fresh"]
INTO_POSTGRES = BY_NAME["postgres-insert@postgres-postgres-fresh"]
CREATED = BY_NAME["csv-create_table@postgres-sqlite"]
KEYED = BY_NAME["sqlite-keyed@sqlite-sqlite"]
UPSERT = BY_NAME["postgres-upsert@postgres-postgres"]
UPDATE = BY_NAME["csv-update@sqlite-postgres"]
PUSHED = BY_NAME["postgres-pushed@postgres-sqlite"]
INTERVAL = BY_NAME["postgres-interval@postgres-postgres"]
PARQUET = BY_NAME["postgres-parquet-postgres"]
CSV = BY_NAME["jsonl-csv-sqlite-fresh"]
NOWHERE = BY_NAME["parquet-none-postgres"]
ONCE = 10_000  # a stride past the last step: only the step named is done


@pytest.fixture(autouse=True)
def injected(request: pytest.FixtureRequest, bench: Bench) -> Iterator[None]:
    """A test in which no fault got in has shown nothing."""
    before = bench.faults
    yield
    if request.node.originalname != "test_nobody_sees_a_part_of_a_job_at_any_step":
        assert bench.faults > before


@pytest.mark.parametrize(
    ("case", "every"), [(INTO_SQLITE, 17), (INTO_POSTGRES, 29), (UPDATE, 37), (CSV, 23), (PUSHED, 31)], ids=str
)
def test_killed_at_a_step_and_retried(bench: Bench, case: scenarios.Case, every: int) -> None:
    scenarios.killed_at_every_step(bench, case, every=every, first=7)
    assert bench.faults > 3


@pytest.mark.parametrize("case", [INTERVAL, KEYED], ids=str)
def test_told_to_stop_at_a_step(bench: Bench, case: scenarios.Case) -> None:
    scenarios.killed_at_every_step(bench, case, do="TERM", every=31, first=9)


def test_out_of_time_at_a_step_and_out_of_memory(bench: Bench) -> None:
    scenarios.killed_at_every_step(bench, CSV, do="ALRM", every=31, first=9)
    scenarios.starved(bench, CSV, megabytes=(0, 2, 10))


@pytest.mark.parametrize("case", [INTO_POSTGRES, KEYED, PARQUET, PUSHED], ids=str)
def test_frozen_beside_its_own_retry_over_a_changed_source(bench: Bench, case: scenarios.Case) -> None:
    scenarios.frozen_at_every_step(bench, case, every=43, first=20)


@pytest.mark.parametrize("case", [CREATED, CSV, PUSHED], ids=str)
def test_frozen_inside_of_its_output(bench: Bench, case: scenarios.Case) -> None:
    steps = bench.output_steps(case)[-8:-1]
    reads = {step for step in steps if bench.told(case, step).startswith("output: SELECT")}
    # Of questions in a row, which hold nothing in between, the last one stands for all.
    scenarios.frozen_at_every_step(bench, case, at=[step for step in steps if not {step, step + 1} <= reads])


@pytest.mark.parametrize("case", [INTO_SQLITE, PARQUET], ids=str)
def test_frozen_inside_of_its_commit(bench: Bench, case: scenarios.Case) -> None:
    scenarios.frozen_at_every_step(bench, case, at=bench.commit_steps(case)[:3])


@pytest.mark.parametrize("case", [CREATED, CSV], ids=str)
def test_two_attempts_inside_of_one_output(bench: Bench, case: scenarios.Case) -> None:
    scenarios.interleaved(bench, case, first=-5, last=-1)


@pytest.mark.parametrize("case", [INTO_SQLITE, NOWHERE], ids=str)
def test_nobody_sees_a_part_of_a_job_at_any_step(bench: Bench, case: scenarios.Case) -> None:
    scenarios.watched_at_every_step(bench, case)


@pytest.mark.parametrize("case", [INTO_SQLITE, INTO_POSTGRES, CSV], ids=str)
def test_eight_attempts_at_one_window(bench: Bench, case: scenarios.Case) -> None:
    scenarios.raced(bench, case)


@pytest.mark.parametrize("part", ["intake", "output", "store"])
def test_a_cut_connection(bench: Bench, part: str) -> None:
    scenarios.cut_wires(bench, INTO_POSTGRES, part, seed=7, times=3)


@pytest.mark.parametrize("part", ["output", "store"])
def test_a_lost_answer_to_commit(bench: Bench, part: str) -> None:
    """Of commits after the same statement (progress, the job's log) the first and the last one."""
    own, alike = bench.steps(UPSERT, part), dict[str, list[int]]()
    for number, step in enumerate(bench.steps(UPSERT, f"{part}: COMMIT"), 1):
        alike.setdefault(bench.told(UPSERT, own[own.index(step) - 1]), []).append(number)
    numbers = sorted({number for those in alike.values() for number in (those[0], those[-1])})
    scenarios.lost_commits(bench, UPSERT, part, lose="after", blackout=False, numbers=numbers)


def test_sessions_ended_by_the_server(bench: Bench) -> None:
    scenarios.harmed_at_every_step(bench, INTERVAL, scenarios.end_sessions, "sessions ended", every=35, first=30)


def test_a_server_that_is_killed_and_one_that_stays_away(bench: Bench) -> None:
    for harm in (scenarios.restart_server, scenarios.stop_server):
        scenarios.harmed_at_every_step(bench, PARQUET, harm, harm.__name__, every=50, first=40)


def test_a_store_that_somebody_else_holds(bench: Bench) -> None:
    scenarios.harmed_at_every_step(bench, CSV, scenarios.hold_store, "store held", every=45, first=5)


@pytest.mark.parametrize("case", [INTO_SQLITE, CSV], ids=str)
def test_a_full_disk(bench: Bench, case: scenarios.Case) -> None:
    scenarios.full_disks(bench, case, sizes=(1, 4_096, 60_000))


@pytest.mark.parametrize("action", ["lock", "delete"])
def test_a_batch_that_is_taken_during_the_run(bench: Bench, action: str) -> None:
    scenarios.batch_taken_at_every_step(bench, INTO_SQLITE, action, every=30, first=40)


def test_a_definition_that_is_edited_between_attempts(bench: Bench) -> None:
    scenarios.edited_between_attempts(bench, KEYED, every=45, first=5)


def test_a_baseline_that_is_replaced_during_the_run(bench: Bench) -> None:
    scenarios.baseline_replaced(bench, KEYED, every=45, first=20)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_schedule(bench: Bench, seed: int) -> None:
    for case in (INTO_SQLITE, UPSERT):
        scenarios.scheduled(bench, case, seed=seed)


def test_a_batch_deleted_before_its_evaluation_says_so(bench: Bench) -> None:
    """An evaluation that came after said that the job had committed nothing."""
    last = bench.steps(INTO_SQLITE, "store: COMMIT")[-1]
    scenarios.batch_taken_at_every_step(bench, INTO_SQLITE, "delete", every=ONCE, first=last - 20)


def test_features_that_are_no_longer_named_are_no_longer_compared(bench: Bench) -> None:
    """A first-window baseline kept features that the edited definition had left out."""
    scenarios.edited_between_attempts(bench, UPSERT, every=ONCE, first=1)


@pytest.mark.parametrize("case", [INTO_SQLITE, INTO_POSTGRES], ids=str)
def test_told_to_stop_at_a_commit_an_attempt_lets_go_of_its_locks(bench: Bench, case: scenarios.Case) -> None:
    """The connection went back to the pool with its transaction open, and the end could not be recorded."""
    commits = [step for step in bench.steps(case) if "COMMIT" in bench.told(case, step)]
    for step in commits[2::3]:
        scenarios.killed_at_every_step(bench, case, do="TERM", every=ONCE, first=step)


def test_a_full_temporary_folder_is_told_as_one(bench: Bench) -> None:
    """Looking for repeated identifiers, an attempt ended with the operating system's own error."""
    scenarios.full_disks(bench, BY_NAME["jsonl-keyed@postgres-postgres"], sizes=(1,))
