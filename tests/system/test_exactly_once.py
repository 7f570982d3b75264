"""Exactly once in a whole Airflow: tasks cleared, runs repeated and overlapping, processes killed, the API server away.

Whatever happens, when all is quiet store and output hold what an undisturbed run of the same windows leaves, each
attempt that ended says why, and nothing is there twice.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable

import pytest

from system import parts
from system.ledger import Attempt
from system.paced import ENDLESS, LONGEST, SHORTEST, SLOW, STAGES, Paced

pytestmark = pytest.mark.system

DRIFTED = 3
DAYS = range(1, 4)
Step = Callable[[Paced, random.Random], None]


def _states(attempts: list[Attempt]) -> list[str]:
    return [attempt.state for attempt in attempts]


def _clear(paced: Paced, name: str, day: int) -> None:
    body = {"dry_run": False, "dag_run_id": f"day-{day}", "task_ids": ["run_job"], "only_failed": False}
    body |= {"only_running": False, "include_downstream": True}
    answer = paced.instance.rest("POST", f"/dags/{paced.dag_id(name)}/clearTaskInstances", body)
    assert answer["total_entries"] >= 1


def _try(paced: Paced, name: str, day: int) -> int:
    return int(paced.instance.tasks(paced.dag_id(name), f"day-{day}")["run_job"]["try_number"])


def _begun(paced: Paced, name: str, day: int = DRIFTED, rounds: int = ENDLESS) -> int:
    """The process of a job that has long to read, while every later attempt is quick."""
    paced.set_pace(name, rounds)
    paced.start(name, day)
    pid = paced.process(name, day)
    assert paced.is_in(name, day, "read")
    paced.set_pace(name, 1)
    return pid


def _ended_well(paced: Paced, name: str, day: int = DRIFTED) -> None:
    paced.instance.succeeded(paced.dag_id(name), f"day-{day}", seconds=480)


def _task_cleared_once_is_done_again_and_leaves_the_same(paced: Paced, random: random.Random) -> None:
    paced.start("cleared", 1)
    _ended_well(paced, "cleared", 1)
    _clear(paced, "cleared", 1)
    paced.instance.until(lambda: _try(paced, "cleared", 1) == 2, "the second try")
    _ended_well(paced, "cleared", 1)
    attempts = paced.ledger("cleared").attempts(1)
    assert ["completed", "completed"] == _states(attempts)
    assert [1, 2] == [attempt.try_number for attempt in attempts]
    _nothing_is_broken(paced, "cleared", [1])


def _task_cleared_while_it_runs_is_ended_and_done_again(paced: Paced, random: random.Random) -> None:
    pid = _begun(paced, "cleared")
    _clear(paced, "cleared", DRIFTED)
    paced.instance.until(lambda: not parts.lives(pid), "the end of the cleared attempt")
    paced.instance.until(lambda: _try(paced, "cleared", DRIFTED) == 2, "the second try")
    _ended_well(paced, "cleared")
    attempts = paced.ledger("cleared").attempts(DRIFTED)
    assert ["aborted", "completed"] == _states(attempts)
    assert "cancelled by Airflow" in str(attempts[0].reason)
    _nothing_is_broken(paced, "cleared", [1, DRIFTED])


def _killed_task_worker_and_machine_are_made_good(paced: Paced, random: random.Random) -> None:
    """A task alone, a worker whose task wakes up when its work is done, and both at once."""
    task = _begun(paced, "task_killed")
    orphan = _begun(paced, "machine_killed")
    zombie = _begun(paced, "worker_killed", rounds=12 * SLOW)  # a log that comes late must not outlast its reading
    parts.send(zombie, signal.SIGSTOP)
    parts.send(parts.parent(zombie), signal.SIGKILL)
    supervisor = parts.parent(orphan)
    parts.send(supervisor, signal.SIGKILL)
    parts.send(orphan, signal.SIGKILL)
    parts.send(task, signal.SIGKILL)
    for name in ("task_killed", "worker_killed", "machine_killed"):
        _ended_well(paced, name)
    parts.send(zombie, signal.SIGCONT)
    paced.instance.until(lambda: not parts.lives(zombie), "the end of the attempt that woke up late")
    for name in ("task_killed", "worker_killed", "machine_killed"):
        attempts = paced.ledger(name).attempts(DRIFTED)
        assert (name, ["superseded", "completed"]) == (name, _states(attempts))
        assert "claimed the window" in str(attempts[0].reason) or "newer attempt" in str(attempts[0].reason)
        _nothing_is_broken(paced, name, [DRIFTED])


def _killed_scheduler_forgets_its_tasks_and_they_are_done_once(paced: Paced, random: random.Random) -> None:
    """Its workers live on: the new scheduler starts over while the old attempt still reads."""
    home = paced.instance.home
    pid = _begun(paced, "scheduler_killed")
    living = parts.processes(home)
    workers = parts.descendants(living, parts.find(living, "scheduler").pid)
    parts.kill(home, "scheduler").start()
    _ended_well(paced, "scheduler_killed")
    paced.instance.until(lambda: not parts.lives(pid), "the end of the forgotten attempt")
    states = _states(paced.ledger("scheduler_killed").attempts(DRIFTED))
    assert states in (["superseded", "completed"], ["aborted", "completed"])
    for worker in workers:  # they would wait for work for ever
        parts.send(worker.pid, signal.SIGKILL)
    _nothing_is_broken(paced, "scheduler_killed", [DRIFTED])


def _host_that_dies_with_all_its_tasks_is_made_good(paced: Paced, random: random.Random) -> None:
    pid = _begun(paced, "host_killed")
    parts.kill(paced.instance.home, "scheduler", with_children=True).start()
    paced.instance.until(lambda: not parts.lives(pid), "the end of the task")
    _ended_well(paced, "host_killed")
    assert ["superseded", "completed"] == _states(paced.ledger("host_killed").attempts(DRIFTED))
    _nothing_is_broken(paced, "host_killed", [DRIFTED])


def _api_server_is_away(stage: str, seconds: int) -> Step:
    """The shortest time it hangs and the task survives; else it is killed, and after the longest the task is, too."""

    def step(paced: Paced, random: random.Random) -> None:
        name, instance = f"away_{stage}_{seconds}", paced.instance
        early = stage in ("start", "read")
        if not early:
            paced.start(name, 1)
            _ended_well(paced, name, 1)
        rounds = ENDLESS if seconds == LONGEST else 2 * SLOW
        if stage != "start":
            paced.set_pace(name, rounds if early else 250 * rounds, stage)
        paced.start(name, DRIFTED)
        pid = paced.task_process(name, DRIFTED) if stage == "start" else paced.process(name, DRIFTED)
        instance.until(lambda: paced.is_in(name, DRIFTED, stage), f"stage {stage}")
        parts.send(pid, signal.SIGSTOP)
        assert paced.is_in(name, DRIFTED, stage)
        restore = _away(paced, hangs=seconds == SHORTEST)
        parts.send(pid, signal.SIGCONT)
        time.sleep(seconds)  # so long it is away
        restore()
        instance.until(paced.answers, "the API server")
        if seconds == LONGEST:
            instance.until(lambda: not parts.lives(pid), "the end of the task that could not tell that it lives")
        if stage != "start":
            paced.set_pace(name, 1, stage)
        _ended_well(paced, name)
        attempts = paced.ledger(name).attempts(DRIFTED)
        print(f"{name}: {[(attempt.try_number, attempt.state, attempt.reason) for attempt in attempts]}")
        assert "completed" == attempts[-1].state
        assert not any("there is no Airflow connection" in str(attempt.reason) for attempt in attempts)
        if seconds == SHORTEST:
            assert 1 == _try(paced, name, DRIFTED) == len(attempts)
        if seconds == LONGEST:
            assert _try(paced, name, DRIFTED) > 1
        _nothing_is_broken(paced, name, [DRIFTED] if early else [1, DRIFTED])

    step.__name__ = f"_api_server_is_away_for_{seconds}_s_in_stage_{stage}"
    return step


def _away(paced: Paced, *, hangs: bool) -> Callable[[], None]:
    if hangs:
        pid = parts.freeze(paced.instance.home, "api-server")
        return lambda: parts.send(pid, signal.SIGCONT)
    return parts.kill(paced.instance.home, "api-server").start


def _backfills_in_any_order_and_at_once_end_as_one_in_order(paced: Paced, random: random.Random) -> None:
    """Three days by two DAGs of one definition: a backfill, another of the same days, and runs by hand at random."""
    instance, (dag, twin) = paced.instance, ("monitoring__shuffled", "again__shuffled")
    order = random.sample(DAYS, len(DAYS))
    backwards, by_hand = random.choice([True, False]), random.choice(DAYS)
    print(f"order {order}, backwards first: {backwards}, by hand: {by_hand}")
    paced.set_pace("shuffled", SLOW // 2)  # long enough to meet each other
    _backfill(paced, dag, backwards, "none")
    for day in order[:2]:
        _run_at(paced, twin, day)
    paced.start("shuffled", by_hand)
    instance.until(lambda: _none_is_active(paced, dag), "the end of the first backfill", 900)
    assert _backfill(paced, dag, not backwards, "completed")
    for day in order[2:]:
        _run_at(paced, twin, day)
    instance.until(lambda: _all_ended(paced, dag, len(DAYS) + 1), f"all runs of {dag}", 900)
    instance.until(lambda: _all_ended(paced, twin, len(DAYS)), f"all runs of {twin}", 900)
    states = Counter(attempt.state for day in DAYS for attempt in paced.ledger("shuffled").attempts(day))
    print(f"attempts: {dict(states)}")
    assert states["completed"] >= len(DAYS)
    _nothing_is_broken(paced, "shuffled", DAYS)


def _backfill(paced: Paced, dag_id: str, backwards: bool, reprocess: str) -> bool:
    """Whether Airflow took it: one backfill of a DAG is active at a time."""
    days = {"from_date": f"2026-03-{DAYS[0]:02d}T00:00:00Z", "to_date": f"2026-03-{DAYS[-1]:02d}T00:00:00Z"}
    body = {"dag_id": dag_id, **days, "run_backwards": backwards, "reprocess_behavior": reprocess, "max_active_runs": 3}
    answer = paced.instance.rest("POST", "/backfills", body)
    assert answer.get("status") in (None, 409), answer
    return "status" not in answer


def _none_is_active(paced: Paced, dag_id: str) -> bool:
    """To ask is to read: asking for another one until it is taken would keep the tasks from Airflow's database."""
    found = paced.instance.rest("GET", f"/backfills?dag_id={dag_id}")["backfills"]
    return all(backfill["completed_at"] for backfill in found)


def _run_at(paced: Paced, dag_id: str, day: int) -> None:
    """A run by hand whose data interval is the day: the last one that is complete at its logical date."""
    body = {"logical_date": f"2026-03-{day + 1:02d}T00:00:00Z", "dag_run_id": f"at-{day}"}
    assert paced.instance.rest("POST", f"/dags/{dag_id}/dagRuns", body).get("status") in (None, 409)


def _all_ended(paced: Paced, dag_id: str, count: int) -> bool:
    runs = paced.instance.rest("GET", f"/dags/{dag_id}/dagRuns?limit=100")["dag_runs"]
    for run in runs:
        if run["state"] == "failed":
            _clear_what_airflow_lost(paced, dag_id, run["dag_run_id"])
    return len(runs) == count and {"success"} == {run["state"] for run in runs}


def _clear_what_airflow_lost(paced: Paced, dag_id: str, run_id: str) -> None:
    """Airflow calls a task failed that ended well where its SQLite database is locked as it takes the asset event.

    It is cleared, as a person would do it. A task that failed of itself is not.
    """
    for name, task in paced.instance.tasks(dag_id, run_id).items():
        if task["state"] == "failed":
            log = paced.instance.log(dag_id, run_id, name, task["try_number"])
            assert "Pushing xcom" in log, log
            assert '"error"' not in log, log
    body = {"dry_run": False, "dag_run_id": run_id, "only_failed": True, "include_downstream": True}
    paced.instance.rest("POST", f"/dags/{dag_id}/clearTaskInstances", body)


def _nothing_is_broken(paced: Paced, name: str, days: Iterable[int]) -> None:
    broken = paced.broken(name, days)
    assert not broken, "\n".join(broken)


SAMPLE: tuple[Step, ...] = (
    _task_cleared_once_is_done_again_and_leaves_the_same,
    _task_cleared_while_it_runs_is_ended_and_done_again,
    _killed_task_worker_and_machine_are_made_good,
    _api_server_is_away("read", SHORTEST),
    _backfills_in_any_order_and_at_once_end_as_one_in_order,
    _killed_scheduler_forgets_its_tasks_and_they_are_done_once,
)
SWEEP: tuple[Step, ...] = (
    _host_that_dies_with_all_its_tasks_is_made_good,
    _api_server_is_away("start", LONGEST),
    *(
        _api_server_is_away(stage, seconds)
        for seconds in (SHORTEST, 20, LONGEST)
        for stage in STAGES
        if (stage, seconds) != ("read", SHORTEST)
    ),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test, because one instance is heavy enough; ``--sweep`` adds one for each of the faults that take long."""
    groups = {"sample": SAMPLE}
    if metafunc.config.getoption("--sweep"):
        groups |= {step.__name__.strip("_"): (step,) for step in SWEEP}
    metafunc.parametrize("steps", groups.values(), ids=groups.keys())


def test_exactly_once(paced: Paced, steps: tuple[Step, ...], subtests: pytest.Subtests) -> None:
    """Everything by chance is made of the seed, which is printed; ``FAULT_SEED`` repeats it."""
    seed = int(os.environ.get("FAULT_SEED") or random.SystemRandom().randrange(10**9))
    print(f"FAULT_SEED={seed}")
    for step in steps:
        with subtests.test(step.__name__.strip("_").replace("_", " ")):
            started = time.monotonic()
            try:
                step(paced, random.Random(f"{seed} {step.__name__}"))
            finally:
                print(f"{step.__name__}: {time.monotonic() - started:.0f} s", flush=True)
