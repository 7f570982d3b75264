"""The long sweep of ``make faults``: scenarios on cases, by worker processes, counted at the end.

There are several thousand faults; a run takes them in an order that its seed decides and begins nothing new after
``--faults``, 1200 where nothing is said and all of them for 0. ``--seed 7`` repeats a run; ``--only TEXT`` keeps the
items whose label holds the text, which is how a violation is looked at again. The last line is
``faults N, violations M``; with violations the exit status is 1.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from faults import scenarios
from faults.nemesis import Server
from faults.scenarios import BY_NAME, CASES, SQLITE, Bench

# Killed at every single step, and every COMMIT lost in every way, whatever the seed; of the others it takes a part.
EVERY_STEP = {
    "sqlite-insert@sqlite-sqlite-fresh",
    "postgres-insert@postgres-postgres-fresh",
    "csv-create_table@postgres-sqlite",
    "sqlite-keyed@sqlite-sqlite",
    "postgres-interval@postgres-postgres",
    "jsonl-csv-sqlite-fresh",
    "postgres-pushed@postgres-sqlite",
}


@dataclasses.dataclass(frozen=True)
class Item:
    """Some faults of one kind on one case; what one worker does at a time."""

    label: str
    work: Callable[[Bench], None]


def items(seed: int) -> Iterator[Item]:
    """Everything there is to do."""
    chance = random.Random(seed)
    for case in CASES:
        name = case.name
        # Each step is in one of three items, so that workers share a case; of most cases a seed takes one of the three.
        for first in (1, 2, 3) if name in EVERY_STEP else (chance.randint(1, 3),):
            yield _item(f"F1 killed {name} {first}", scenarios.killed_at_every_step, case, every=3, first=first)
        yield _item(
            f"F2 interrupted {name}",
            scenarios.killed_at_every_step,
            case,
            do="TERM",
            every=15,
            first=chance.randint(1, 15),
        )
        first = chance.randint(1, 19)
        yield _item(f"F2 timed out {name}", scenarios.killed_at_every_step, case, do="ALRM", every=19, first=first)
        yield _item(f"F2 starved {name}", scenarios.starved, case, megabytes=(0, 1, 3, 8, 20, 50))
        first = chance.randint(1, 15)
        yield _item(f"F3 F21 frozen {name}", scenarios.frozen_at_every_step, case, every=15, first=first)
        if case.has_marker:
            yield _item(f"F3 interleaved {name}", scenarios.interleaved, case, every=5, first=chance.randint(0, 4))
        yield _item(f"I2 watched {name}", scenarios.watched_at_every_step, case)
        yield _item(f"F4 raced {name}", scenarios.raced, case)
        yield _item(f"F8 full disk {name}", scenarios.full_disks, case, sizes=(1, 500, 4_096, 20_000, 100_000, 400_000))
        for action in ("lock", "delete"):
            first = chance.randint(1, 20)
            taken = scenarios.batch_taken_at_every_step
            yield _item(f"F16 {action} {name}", taken, case, action, every=20, first=first)
        yield _item(
            f"F19 edited {name}", scenarios.edited_between_attempts, case, every=25, first=chance.randint(1, 25)
        )
        if not case.fresh:
            first = chance.randint(1, 25)
            yield _item(f"F20 baseline {name}", scenarios.baseline_replaced, case, every=25, first=first)
        for number in (chance.randrange(10**6) for _ in range(2)):
            yield _item(f"schedule {number} {name}", scenarios.scheduled, case, seed=number)
        yield from _databases(case, chance)
    yield from _races()


def _databases(case: scenarios.Case, chance: random.Random) -> Iterator[Item]:
    name = case.name
    parts = [part for part in ("intake", "output", "store") if {"intake": "data"}.get(part, part) in case.servers]
    for part in parts:
        yield _item(
            f"F5 F6 F7 cut {part} {name}", scenarios.cut_wires, case, part, seed=chance.randrange(10**6), times=4
        )
        if part != "intake":
            ways = [(lose, blackout) for lose in ("before", "after") for blackout in (False, True)]
            for lose, blackout in ways if name in EVERY_STEP else [chance.choice(ways)]:
                label = f"F6 {part} commit lost {lose}{' for good' if blackout else ''} {name}"
                yield _item(label, scenarios.lost_commits, case, part, lose=lose, blackout=blackout)
    harmed = functools.partial(_harmed, case, chance)
    if parts:
        yield harmed("F5 F6 F7 sessions ended", scenarios.end_sessions, 30)
        yield harmed("F7 server killed", scenarios.restart_server, 40)
        yield harmed("F7 server away", scenarios.stop_server, 40)
    if case.store == SQLITE:
        yield harmed("F7 store held", scenarios.hold_store, 40)
    if SQLITE in (case.intake, case.database):
        yield harmed("F7 data held", scenarios.hold_data, 40)


def _races() -> Iterator[Item]:
    """F4: the same window a hundred times on each database."""
    for name in ("sqlite-insert@sqlite-sqlite-fresh", "postgres-insert@postgres-postgres-fresh"):
        for part in range(5):
            yield Item(f"F4 20 races {name} {part}", functools.partial(_race, BY_NAME[name]))


def _race(case: scenarios.Case, bench: Bench) -> None:
    for _ in range(20):
        scenarios.raced(bench, case)


def _harmed(case: scenarios.Case, chance: random.Random, what: str, harm: Any, every: int) -> Item:
    first = chance.randint(1, every)
    label = f"{what} {case.name}"
    return _item(label, scenarios.harmed_at_every_step, case, harm, what, every=every, first=first)


def _item(label: str, work: Callable[..., None], *arguments: Any, **options: Any) -> Item:
    return Item(label, lambda bench: work(bench, *arguments, **options))


def _work(seed: int) -> None:
    """A worker: labels come in, results go out, a line each."""
    known = {item.label: item for item in items(seed)}
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    server = functools.cache(Server)
    bench = Bench(folder, server)
    found = 0
    for line in iter(sys.stdin.readline, ""):
        label, before, begun, violation = json.loads(line), bench.faults, time.monotonic(), None
        try:
            known[label].work(bench)
        except AssertionError as error:
            violation = str(error)
            found += 1
        seconds = round(time.monotonic() - begun, 1)
        faults = bench.faults - before
        print(json.dumps({"label": label, "faults": faults, "violation": violation, "seconds": seconds}), flush=True)
    bench.remove()
    if server.cache_info().currsize:
        server().close()
    if not found:
        shutil.rmtree(folder)


def _manage(waiting: queue.SimpleQueue[str], seed: int, done: Callable[[dict[str, Any]], None]) -> None:
    """Feed one worker until nothing waits."""
    command = [sys.executable, "-m", "faults.sweep", "--worker", "--seed", str(seed)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        while True:
            try:
                label = waiting.get_nowait()
            except queue.Empty:
                break
            worker.stdin.write(json.dumps(label) + "\n")
            worker.stdin.flush()
            answer = worker.stdout.readline()
            if not answer:
                done({"label": label, "faults": 0, "violation": "the worker died; see above", "seconds": 0})
                return
            done(json.loads(answer))
        worker.stdin.close()


def main() -> int:
    """See the module."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seed", type=int, default=random.randrange(10**6))
    options.add_argument("--only", default="", help="keep the items whose label holds this text")
    options.add_argument("--faults", type=int, default=1200, help="begin nothing new after so many; 0: no end")
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    asked = options.parse_args()
    if asked.worker:
        _work(asked.seed)
        return 0
    labels = [item.label for item in items(asked.seed) if asked.only in item.label]
    if not labels:
        options.error(f"no item has {asked.only!r} in its label")
    random.Random(asked.seed).shuffle(labels)  # long items of one kind do not come at the end
    print(f"seed {asked.seed}: {len(labels)} items on {asked.workers} workers", flush=True)
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for label in labels:
        waiting.put(label)
    results: list[dict[str, Any]] = []
    left: list[int] = []
    lock = threading.Lock()

    def done(result: dict[str, Any]) -> None:
        with lock:
            results.append(result)
            faults = sum(r["faults"] for r in results)
            print(f"{len(results):4d} {faults:6d} {result['seconds']:6.1f} s  {result['label']}", flush=True)
            if result["violation"]:
                print(f"     VIOLATION {result['violation']}", flush=True)
            with contextlib.suppress(queue.Empty):
                while asked.faults and faults >= asked.faults:
                    waiting.get_nowait()
                    left.append(1)

    managers = [threading.Thread(target=_manage, args=(waiting, asked.seed, done)) for _ in range(asked.workers)]
    for manager in managers:
        manager.start()
    for manager in managers:
        manager.join()
    violations = sum(1 for result in results if result["violation"])
    violations += len(labels) - len(left) - len(results)  # those of a worker that died
    print(f"faults {sum(result['faults'] for result in results)}, violations {violations}")
    return 1 if violations else 0


if __name__ == "__main__":
    raise SystemExit(main())
