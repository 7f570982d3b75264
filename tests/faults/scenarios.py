"""The faults by name. Each scenario takes a :class:`Bench`, does its harm, has the outcome checked and counts.

F numbers are those of the fault table in README.md. A scenario that finds something raises :class:`Violation` with the
case, the seed and the step that show it again.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from faults import checker, nemesis
from faults.checker import Seen, Violation
from faults.history import History
from faults.nemesis import Child, Server
from faults.world import FEATURES, Case, World

SQLITE, POSTGRES = "sqlite", "postgres"

# Every intake, every kind of output on both databases, and every store, in few combinations.
CASES = (
    Case("sqlite", "insert", SQLITE, SQLITE, fresh=True),
    Case("postgres", "insert", POSTGRES, POSTGRES, fresh=True),
    Case("csv", "create_table", POSTGRES, SQLITE),
    Case("parquet", "create_table", SQLITE, POSTGRES, fresh=True),
    Case("jsonl", "keyed", POSTGRES, POSTGRES),
    Case("sqlite", "keyed", SQLITE, SQLITE),
    Case("postgres", "update", POSTGRES, SQLITE),
    Case("csv", "update", SQLITE, POSTGRES),
    Case("postgres", "upsert", POSTGRES, POSTGRES),
    Case("parquet", "upsert", SQLITE, SQLITE),
    Case("jsonl", "upsert_unique", SQLITE, SQLITE),
    Case("sqlite", "upsert_unique", POSTGRES, SQLITE),
    Case("jsonl", "unmarked", POSTGRES, SQLITE),
    Case("postgres", "interval", POSTGRES, POSTGRES),
    Case("csv", "interval", SQLITE, SQLITE),
    Case("sqlite", "keyed_interval", POSTGRES, POSTGRES),
    Case("postgres", "parquet", "-", POSTGRES),
    Case("jsonl", "csv", "-", SQLITE, fresh=True),
    Case("parquet", "none", "-", POSTGRES),
    Case("postgres", "pushed", POSTGRES, SQLITE),
)
BY_NAME = {case.name: case for case in CASES}

Output = Counter[tuple[Any, ...]]
Editions = tuple[tuple[int, int], ...]  # day, edition of its rows
AS_PREPARED: Editions = ((0, 0), (1, 0))
CHANGED: Editions = ((0, 0), (1, 1))
Changes = dict[str, Any]
NO_CHANGES: Changes = {}
LATER = ("OutputUnavailable", "StoreUnavailable", "SourceUnavailable", "OutcomeUnknown")


class Bench:
    """Templates of cases, made when they are first asked for, and copies of them.

    :ivar faults: how many have been injected.
    """

    def __init__(self, folder: Path, server: Callable[[], Server]) -> None:
        self._folder = folder
        self.server = server
        self._numbers = itertools.count()
        self.faults = 0
        self._templates: dict[Case, World] = {}
        self._facts: dict[tuple[Case, Editions, str], dict[str, Any]] = {}
        self._steps: dict[Case, list[str]] = {}

    def template(self, case: Case) -> World:
        """The world in which only the first window was run."""
        if case not in self._templates:
            url = self.server().url if case.servers else None
            self._templates[case] = nemesis.template(case, self._folder / f"template-{next(self._numbers)}", url)
        return self._templates[case]

    @contextlib.contextmanager
    def world(self, case: Case) -> Iterator[World]:
        """A copy of the template; it stays where it is when something was found in it."""
        world = self.template(case).copy(self._folder / f"world-{next(self._numbers)}")
        yield world
        world.remove()

    def facts(self, case: Case, editions: Editions = AS_PREPARED, definition: Changes = NO_CHANGES) -> dict[str, Any]:
        """What undisturbed runs of these editions commit for the second day; held against the oracle."""
        key = (case, editions, repr(definition))
        if key not in self._facts:
            with self.world(case) as world:
                world.fill(dict(editions))
                if dict(editions)[0] and not case.fresh:
                    nemesis.run(world, "undisturbed-0", day=0)
                nemesis.run(world, "undisturbed", definition=definition, told=True)
                seen = checker.look(world)
                checker.check_final(world, seen, facts=seen.facts, output=self.output(case, editions))
                if not case.fresh:
                    checker.check_numbers(case, seen, dict(editions))
                self._facts[key] = seen.facts
                if editions == AS_PREPARED and not definition:  # other rows and other features take other steps
                    told = History(world.history).events("step", "undisturbed")
                    self._steps[case] = [event["before"] for event in told]
        return self._facts[key]

    def steps(self, case: Case, of: str = "") -> list[int]:
        """Numbers of the steps of an undisturbed attempt whose description begins with ``of``."""
        self.facts(case)
        return [number for number, what in enumerate(self._steps[case], 1) if what.startswith(of)]

    def told(self, case: Case, step: int) -> str:
        """What a step is."""
        return self._steps[case][step - 1]

    def output_steps(self, case: Case) -> list[int]:
        """Those of writing the output, after the store was told that it begins."""
        steps = self.steps(case, "output" if case.is_table else "file")
        begun = max(step for step in self.steps(case, "store: COMMIT") if step < steps[-1])
        return [step for step in steps if step > begun]

    def commit_steps(self, case: Case) -> list[int]:
        """Those between the output and the end of the store's commit."""
        begun = self.output_steps(case)[-1] if case.output != "none" else 0
        commits = [step for step in self.steps(case, "store: COMMIT") if step > begun]
        told, ended = commits[0], commits[1]  # that the commit begins, and the commit itself
        return [step for step in self.steps(case, "store") if told < step <= ended]

    def output(self, case: Case, editions: Editions = AS_PREPARED) -> Output:
        """What the output must hold when these days were written; of a fresh case the first was not."""
        return checker.expected_output(case, {d: e for d, e in editions if d or not case.fresh})

    def before(self, case: Case) -> list[Output | None]:
        """What the output may hold before anything of the second day is in it."""
        before: list[Output | None] = [self.output(case, ((0, 0),))]
        if case.fresh:
            before.append(None)
        return before

    def remove(self) -> None:
        """Everything goes."""
        for world in self._templates.values():
            world.remove()


def _named(world: World, what: str) -> Callable[[Violation | AssertionError], Violation]:
    return lambda error: Violation(f"{world.case.name}, {what}: {error} (see {world.folder})")


@contextlib.contextmanager
def told(world: World, what: str) -> Iterator[None]:
    """Say in every violation which case and fault show it."""
    try:
        yield
    except AssertionError as error:
        raise _named(world, what)(error) from error


def finish(
    bench: Bench,
    world: World,
    editions: Editions = AS_PREPARED,
    *,
    definition: Changes = NO_CHANGES,
    history: bool = False,
) -> Seen:
    """Retry until an attempt ends well (the first may meet what a dying one still holds), and check everything.

    :param history: something else was truly found on the way, and its alert stays.
    """
    for number in range(1, 6):
        winner = f"retry{number}"
        nemesis.run(world, winner, definition=definition)
        error = raised(world, winner)
        if error is None:
            break
        if error["error"] not in LATER:
            raise Violation(f"I1: a retry ended with {error['error']}: {error['text']}")
        time.sleep(0.3)
    else:
        raise Violation(f"I1: five retries failed: {error['error']}: {error['text']}")
    seen = checker.look(world)
    facts = bench.facts(world.case, editions, definition)
    if history:
        facts = {name: fact for name, fact in facts.items() if name != "alerts"}
    checker.check_final(world, seen, facts=facts, output=bench.output(world.case, editions), winner=winner)
    return seen


def raised(world: World, who: str) -> dict[str, Any] | None:
    """What an attempt raised: ``error`` and ``text``."""
    found = History(world.history).events("raised", who)
    return found[0] if found else None


def frozen(world: World, who: str, step: int, **plan: Any) -> Child | None:
    """Start an attempt that freezes at a step; None where it ended before, which it must have done well."""
    child = Child(_plan(world, who, at=step, do="STOP", **plan))
    if child.wait_until_frozen():
        return child
    ended, error = child.wait(), raised(world, who)
    if ended != 0 or error is not None:
        raise Violation(f"I1: before its step {step}, undisturbed, an attempt ended with {ended}: {error}")
    return None


def _too_short(bench: Bench, world: World, step: int) -> Violation:
    took = History(world.history).events("ended")[-1]["steps"]
    return Violation(f"step {step} never came: of {len(bench.steps(world.case))} steps the attempt took {took}")


def killed_at_every_step(bench: Bench, case: Case, *, every: int = 1, do: str = "KILL", first: int = 1) -> None:
    """F1 (``KILL``) and F2 (``TERM``, ``ALRM``): an attempt ends at its 1st, 2nd, … step; then comes a retry.

    :param every: only every so many-th step, from ``first`` on.
    """
    bench.facts(case)
    for step in itertools.count(first, every):
        with bench.world(case) as world, told(world, f"{do} at step {step}"):
            ended = nemesis.run(world, "first", at=step, do=do)
            hurt = bool(History(world.history).events("fault"))
            bench.faults += hurt
            if do == "KILL" and ended != (-signal.SIGKILL if hurt else 0):
                raise Violation(f"the attempt ended with {ended}")
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            if hurt and do != "KILL":
                _check_told(world, seen)
            finish(bench, world)
        if not hurt:
            return


def _check_told(world: World, seen: Seen) -> None:
    """I9: an attempt that had the time said why it ended."""
    claimed = History(world.history).events("claimed", "first")
    if claimed and seen.attempts[claimed[0]["token"]]["state"] in checker.LIVE:
        raise Violation("I9: the attempt was told to stop and is still running for the store")


def frozen_at_every_step(
    bench: Bench, case: Case, *, every: int = 1, first: int = 1, at: Iterable[int] | None = None
) -> None:
    """F3 and F21: an attempt freezes at a step; the source changes; a retry runs beside it; then it wakes.

    The rows differ, so it shows who wrote last: the retry's must stand, whatever the sleeper still tries.

    :param at: these steps and no others.
    """
    if at is not None and not (at := list(at)):
        raise Violation("there is no step to freeze at")
    for step in itertools.count(first, every) if at is None else at:
        with bench.world(case) as world, told(world, f"frozen at step {step}"):
            sleeper = frozen(world, "sleeper", step, idle=60.0, wait=3.0)
            if sleeper is None:
                if at is not None:
                    raise _too_short(bench, world, step)
                return
            bench.faults += 1
            # Where the sleeper holds a lock on its own source, nobody can change that.
            editions = CHANGED if world.fill(dict(CHANGED)) else AS_PREPARED
            nemesis.run(world, "beside", wait=0.3)
            sleeper.thaw()
            sleeper.wait()
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case), bench.output(case, editions)])
            _check_newest(bench, world, seen, editions)
            _check_passed_over(bench, world, seen, step)
            finish(bench, world, editions)


def _check_newest(bench: Bench, world: World, seen: Seen, editions: Editions) -> None:
    """I4: when the attempt that ran beside a frozen one was the newest and ended well, nothing of it was undone."""
    events = History(world.history)
    tokens = {event["who"]: event["token"] for event in events.events("claimed")}
    ended = bool(events.events("evaluated", "beside"))
    if ended and tokens["beside"] > tokens.get("sleeper", 0):
        facts, output = bench.facts(world.case, editions), bench.output(world.case, editions)
        checker.check_final(world, seen, facts=facts, output=output, winner="beside")


def _check_passed_over(bench: Bench, world: World, seen: Seen, step: int) -> None:
    """I4: an older attempt writes nothing, also where the newer one gave up at its lock."""
    newer = History(world.history).events("claimed", "beside")
    if not newer or not world.case.has_marker:
        return
    if step > bench.output_steps(world.case)[-3 if world.case.is_table else -5]:
        return  # frozen after its last question to the store, it commits what the retry replaces
    if seen.marker is not None and seen.marker[1] == "complete" and seen.marker[0] < newer[0]["token"]:
        raise Violation("I4: an attempt wrote its output after a newer one had claimed the window")


def interleaved(bench: Bench, case: Case, *, every: int = 1, first: int = 0, last: int | None = None) -> None:
    """F3: an older and a newer attempt stand at the same step of their output; the older goes on, then the newer.

    If both could be inside the output's transaction together, a window would be doubled: the marker is taken first.

    :param first: of the output's steps, counted from 0 (from the end where it is negative); ``last`` is not done.
    """
    output = bench.output_steps(case)
    for inside in output[first:last:every]:
        with bench.world(case) as world, told(world, f"two at step {inside}"):
            older = frozen(world, "older", inside, wait=0.5, idle=60.0)
            if older is None:
                raise _too_short(bench, world, inside)
            newer = Child(_plan(world, "newer", at=inside, do="STOP", wait=0.5, idle=60.0))
            bench.faults += 1 + newer.wait_until_frozen()
            older.thaw()
            older.wait()
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            newer.thaw()
            newer.wait()
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            finish(bench, world)


def watched_at_every_step(bench: Bench, case: Case) -> None:
    """I2 without harm: an attempt stops at each of its steps, and somebody looks."""
    with bench.world(case) as world, told(world, "watched"):
        watched = Child(_plan(world, "watched", at=1, do="STOP", again=True, idle=60.0))
        states = []
        while watched.wait_until_frozen():
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            states.append(seen.committed)
            watched.thaw()
        if states != sorted(states):
            raise Violation("I2: a commit was seen and then not")
        seen = checker.look(world)
        checker.check_final(world, seen, facts=bench.facts(case), output=bench.output(case), winner="watched")


def raced(bench: Bench, case: Case, *, processes: int = 8) -> None:
    """F4: one window, many processes at once: the newest claim wins, the others say so, and nothing is doubled."""
    with bench.world(case) as world, told(world, f"{processes} at once"):
        racers = [Child(_plan(world, f"racer{n}", wait=30.0)) for n in range(processes)]
        for racer in racers:
            if racer.wait() != 0:
                raise Violation("an attempt died")
        bench.faults += processes - 1
        events = History(world.history)
        for event in events.events("raised"):
            if event["error"] != "Superseded":
                raise Violation(f"F4: {event['who']} ended with {event['error']}: {event['text']}")
        newest = max(events.events("claimed"), key=lambda event: event["token"] * event["day"])
        seen = checker.look(world)
        facts, output = bench.facts(case), bench.output(case)
        checker.check_final(world, seen, facts=facts, output=output, winner=newest["who"])
        finish(bench, world)


def harmed_at_every_step(
    bench: Bench,
    case: Case,
    harm: Callable[[World, Server | None], Callable[[], None] | None],
    what: str,
    *,
    every: int = 1,
    first: int = 1,
) -> None:
    """An attempt stands still at its 1st, 2nd, … step while something happens to what it uses; then it goes on.

    :param harm: does it, and may return what undoes it once the attempt has ended.
    """
    bench.facts(case)
    for step in itertools.count(first, every):
        with bench.world(case) as world, told(world, f"{what} at step {step}"):
            victim = frozen(world, "victim", step, wait=2.0)
            if victim is None:
                return
            bench.faults += 1
            undo = harm(world, bench.server() if case.servers else None)
            victim.thaw()
            victim.wait()
            if undo is not None:
                undo()
            error = raised(world, "victim")
            if error is not None and error["error"] not in (*LATER, "Superseded"):
                raise Violation(f"{what}: {error['error']}: {error['text']}")
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            finish(bench, world)


def end_sessions(world: World, server: Server | None) -> None:
    """F5, F6: the server ends every session of the data and of the store."""
    assert server is not None
    for database in filter(None, world.databases.values()):
        nemesis.end_sessions(server.url, database)


def restart_server(world: World, server: Server | None, *, mode: str = "immediate") -> None:
    """F7: the server is stopped as by a power failure, and comes back."""
    assert server is not None
    server.stop(mode)
    server.start()


def stop_server(world: World, server: Server | None) -> Callable[[], None]:
    """F7: the server stays away until the attempt has ended."""
    assert server is not None
    server.stop("fast")
    return server.start


def hold_store(world: World, server: Server | None) -> Callable[[], None]:
    """F7: somebody else holds the SQLite store's write lock until the attempt has ended."""
    return _hold(world.folder / "store.sqlite")


def hold_data(world: World, server: Server | None) -> Callable[[], None]:
    """F7: somebody else holds the SQLite data file's write lock until the attempt has ended."""
    return _hold(world.folder / "data.sqlite")


def _hold(path: Path) -> Callable[[], None]:
    holding = contextlib.ExitStack()
    # Where the victim stands inside a transaction of its own, it has the lock already.
    holding.enter_context(nemesis.held(path))
    return holding.close


def cut_wires(bench: Bench, case: Case, part: str, *, seed: int, times: int) -> None:
    """F5, F6, F7: the connection to a part (``intake output store``) is cut after a random number of bytes."""
    bench.facts(case)
    chance = random.Random(seed)
    with bench.world(case) as world:
        with nemesis.Wire(_part_url(world, part)) as wire:
            nemesis.run(world, "measured", urls=_through(wire, world, part))
        total = wire.passed
    for _ in range(times):
        after, blackout = chance.randrange(total), chance.random() < 0.5
        what = f"{part} cut after byte {after} of {total}{', no reconnection' if blackout else ''} (seed {seed})"
        with bench.world(case) as world, told(world, what):
            with nemesis.Wire(_part_url(world, part), cut_after=after, blackout=blackout) as wire:
                nemesis.run(world, "victim", urls=_through(wire, world, part), wait=2.0)
                bench.faults += wire.cut
            _check_cut(bench, world)


def lost_commits(
    bench: Bench, case: Case, part: str, *, lose: str, blackout: bool, numbers: Iterable[int] | None = None
) -> None:
    """F6: the answer to the 1st, 2nd, … COMMIT is lost (``after``), or the COMMIT itself (``before``).

    :param numbers: these and no others.
    """
    bench.facts(case)
    for number in itertools.count(1) if numbers is None else numbers:
        what = f"{part}: COMMIT {number} lost {lose} the server had it{', no reconnection' if blackout else ''}"
        with bench.world(case) as world, told(world, what):
            url = _part_url(world, part)
            with nemesis.Wire(url, lose_commit=lose, commit_number=number, blackout=blackout) as wire:
                nemesis.run(world, "victim", urls=_through(wire, world, part), wait=2.0)
                bench.faults += wire.cut
            if numbers is not None and not wire.cut:
                raise Violation("that COMMIT never came")
            _check_cut(bench, world)
        if not wire.cut:
            return


def _check_cut(bench: Bench, world: World) -> None:
    error = raised(world, "victim")
    if error is not None and error["error"] not in LATER:
        raise Violation(f"I9: {error['error']}: {error['text']}")
    seen = checker.look(world)
    checker.check_visible(world, seen, [*bench.before(world.case), bench.output(world.case)])
    finish(bench, world)


def _part_url(world: World, part: str) -> str:
    return world.store_url if part == "store" else world.url(POSTGRES)


def _through(wire: nemesis.Wire, world: World, part: str) -> dict[str, str]:
    """The URLs of an attempt whose part is behind a wire; a database that fills its own output is one for both."""
    both = world.case.output == "pushed" and part != "store"
    return dict.fromkeys(("intake", "output") if both else (part,), wire.url)


def full_disks(bench: Bench, case: Case, *, sizes: tuple[int, ...]) -> None:
    """F8: no file may grow past a size; SQLite files may have no more pages than now, and a few."""
    bench.facts(case)
    plans: list[dict[str, Any]] = [{"limits": {"RLIMIT_FSIZE": size}} for size in sizes]
    pages = {name: _pages(bench.template(case).folder / f"{name}.sqlite") for name in ("data", "store")}
    for more in (0, 1, 4):
        if pages["data"] and case.database == SQLITE:
            plans.append({"pages": pages["data"] + more})
        if pages["store"]:
            plans.append({"store_pages": pages["store"] + more})
    for plan in plans:
        with bench.world(case) as world, told(world, f"full disk {plan}"):
            nemesis.run(world, "victim", **plan)
            error = raised(world, "victim")
            bench.faults += error is not None
            if error is not None and error["error"] not in LATER:
                raise Violation(f"F8: {error['error']}: {error['text']}")
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            finish(bench, world)


def starved(bench: Bench, case: Case, *, megabytes: Iterable[int]) -> None:
    """F2: the attempt gets only so much more memory; it ends with an error, and the store says so where it can."""
    bench.facts(case)
    for more in megabytes:
        with bench.world(case) as world, told(world, f"{more} MB"):
            victim = Child(_plan(world, "victim", megabytes=more))
            ended = victim.wait()
            error = raised(world, "victim")
            bench.faults += error is not None or ended != 0
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            finish(bench, world)


def _pages(path: Path) -> int:
    if not path.exists():
        return 0
    connection = sqlite3.connect(path)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    return int(pages)


def batch_taken_at_every_step(bench: Bench, case: Case, action: str, *, every: int = 1, first: int = 1) -> None:
    """F16: somebody locks or deletes the batch while an attempt runs (``lock``, ``delete``)."""
    bench.facts(case)
    for step in itertools.count(first, every):
        with bench.world(case) as world, told(world, f"{action} at step {step}"):
            victim = frozen(world, "victim", step, wait=5.0)
            if victim is None:
                return
            before = checker.look(world)
            if before.batch is None:  # nothing to lock before the claim
                victim.thaw()
                victim.wait()
                continue
            bench.faults += 1
            taker = Child(
                {"world": world.spec(), "who": "taker", "batch": before.batch["id"], "action": action}, "take"
            )
            time.sleep(0.05)  # it may have to wait for the transaction in which the victim stands
            victim.thaw()
            victim.wait()
            if taker.wait() != 0 or raised(world, "taker"):
                raise Violation(f"I5: the batch could not be taken: {raised(world, 'taker')}")
            _check_taken(bench, world, action)
            if action == "lock":
                Child(
                    {"world": world.spec(), "who": "opener", "batch": before.batch["id"], "action": "unlock"}, "take"
                ).wait()
                finish(bench, world)


def _check_taken(bench: Bench, world: World, action: str) -> None:
    """I5: what was committed before the lock stays; nothing is after it; deletion beats what is committed late."""
    seen = checker.look(world)
    error = raised(world, "victim")
    # Deleting removes the folder of the prediction log under the attempt's feet; the next one learns why.
    expected = ("BatchLocked", "StoreUnavailable") if action == "delete" else ("BatchLocked",)
    if error is not None and error["error"] not in expected:
        raise Violation(f"F16: the attempt ended with {error['error']}: {error['text']}")
    if action == "delete" and (seen.facts["values"] or seen.facts["profile"] or seen.facts["predictions"]):
        raise Violation("I5: a deleted batch has results")
    nemesis.run(world, "later")
    late = raised(world, "later")
    if late is None or late["error"] != "BatchLocked":
        raise Violation(f"I5: an attempt at a {action}ed batch ended with {late}")
    after = checker.look(world)
    if (after.facts, after.snapshot, after.output) != (seen.facts, seen.snapshot, seen.output):
        raise Violation("I5: a taken batch changed")
    if after.job is None or (not after.job["reason"] and after.job["state"] != "completed"):
        raise Violation("I9: nobody knows why the job ended")


def edited_between_attempts(bench: Bench, case: Case, *, every: int = 1, first: int = 1) -> None:
    """F19: an attempt freezes; somebody edits the definition; the next attempt runs with the new one; then it wakes."""
    edited: Changes = {"features": ["amount"], "significance": {"alpha": 0.01}}
    bench.facts(case)
    for step in itertools.count(first, every):
        with bench.world(case) as world, told(world, f"edited at step {step}"):
            sleeper = frozen(world, "sleeper", step, idle=1.0, wait=3.0)
            if sleeper is None:
                return
            bench.faults += 1
            nemesis.run(world, "beside", wait=0.3, definition=edited)
            sleeper.thaw()
            sleeper.wait()
            seen = checker.look(world)
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            _check_revision(world, seen)
            seen = finish(bench, world, definition=edited, history=True)
            _check_revision(world, seen)
            if seen.snapshot is None or seen.revisions[seen.snapshot["definition_revision"]]["features"] != ["amount"]:
                raise Violation("F19: the snapshot does not name the edited definition")


def _check_revision(world: World, seen: Seen) -> None:
    """A snapshot names the content that its own attempt pinned, and was computed with it."""
    if seen.snapshot is None:
        return
    pinned = seen.attempts[seen.snapshot["token"]]["definition_revision"]
    if seen.snapshot["definition_revision"] != pinned:
        raise Violation("F19: a snapshot names another revision than its attempt")
    features = {value[1] for value in seen.facts["values"] if value[0] == "missing_rate"} & set(FEATURES)
    if features != set(seen.revisions[pinned]["features"]):
        raise Violation(f"F19: values of {sorted(features)} under a definition of {seen.revisions[pinned]['features']}")


def baseline_replaced(bench: Bench, case: Case, *, every: int = 1, first: int = 1) -> None:
    """F20: the first window, which is the baseline, is run again with other rows while the second one is compared."""
    replaced: Editions = ((0, 1), (1, 0))
    known = {1: bench.facts(case)["values"], 2: bench.facts(case, replaced)["values"]}
    for step in itertools.count(first, every):
        with bench.world(case) as world, told(world, f"baseline replaced at step {step}"):
            victim = frozen(world, "victim", step, idle=1.0, wait=5.0)
            if victim is None:
                return
            bench.faults += 1
            changed = world.fill(dict(replaced))
            nemesis.run(world, "again", day=0, wait=0.3)
            victim.thaw()
            victim.wait()
            seen = checker.look(world)
            version = seen.snapshot["baseline_version"] if seen.snapshot else None
            if seen.committed and raised(world, "victim") is None and _values(seen) != _plain(known.get(version or 0)):
                raise Violation(f"F20: the values are not those of baseline version {version}")
            nemesis.run(world, "again2", day=0)
            if raised(world, "again2"):
                raise Violation(f"F20: the baseline's window ended with {raised(world, 'again2')}")
            finish(bench, world, replaced if changed else AS_PREPARED, history=True)


def scheduled(bench: Bench, case: Case, *, seed: int) -> None:
    """A random schedule: attempts are killed, stopped, frozen and woken in any order while the source changes."""
    chance = random.Random(seed)
    last = len(bench.steps(case))
    editions = AS_PREPARED
    with bench.world(case) as world, told(world, f"schedule {seed}"):
        sleepers: list[Child] = []
        seen_outputs = [*bench.before(case), bench.output(case), bench.output(case, CHANGED)]
        for number in range(chance.randint(2, 5)):
            what = chance.choice(["KILL", "KILL", "STOP", "TERM", "none"])
            plan = _plan(world, f"{number}", at=chance.randint(1, last), do=what, idle=1.0, wait=0.5)
            child = Child(plan | ({"at": 0, "do": "KILL"} if what == "none" else {}))
            if what == "STOP" and child.wait_until_frozen():
                sleepers.append(child)
            else:
                child.wait()
            bench.faults += what != "none"
            checker.check_visible(world, checker.look(world), seen_outputs)
            # Never back: an upsert leaves rows that the source no longer has, and an update their status.
            if chance.random() < 0.3 and world.fill(dict(CHANGED)):
                editions = CHANGED
            if sleepers and chance.random() < 0.5:
                _wake(sleepers.pop(chance.randrange(len(sleepers))), chance)
        for sleeper in sleepers:
            _wake(sleeper, chance)
        checker.check_visible(world, checker.look(world), seen_outputs)
        finish(bench, world, editions)


def _wake(sleeper: Child, chance: random.Random) -> None:
    if chance.random() < 0.3:
        sleeper.signal(signal.SIGKILL)
    sleeper.thaw()
    sleeper.wait()


def _values(seen: Seen) -> Any:
    return _plain(seen.facts["values"])


def _plain(values: Any) -> Any:
    """Values without what the evaluation says of them: that has its own moment."""
    return values and [value[: len(checker.VALUE)] for value in values]


def _plan(world: World, who: str, **more: Any) -> dict[str, Any]:
    return {"world": world.spec(), "who": who, "day": 1} | more
