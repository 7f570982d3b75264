"""Jobs in parts, killed and frozen in a part and in the merge: what one task promises holds for three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faults import checker, nemesis, scenarios
from faults.history import History
from faults.nemesis import Child
from faults.scenarios import BY_NAME, Bench

TABLE = BY_NAME["sqlite-insert@sqlite-sqlite-fresh"]
SERVER = BY_NAME["postgres-insert@postgres-postgres-fresh"]
FILE = BY_NAME["jsonl-csv-sqlite-fresh"]
PARTS: dict[str, Any] = {"partitions": {"count": 3}}


@pytest.mark.parametrize(("case", "every"), [(TABLE, 67), (SERVER, 89), (FILE, 47)], ids=str)
def test_killed_at_a_step_and_gone_on_with(bench: Bench, case: scenarios.Case, every: int) -> None:
    """A part or the merge dies and is run again under the same claim, then the group is run anew."""
    bench.facts(case, definition=PARTS)
    for step in range(29, 10_000, every):
        with bench.world(case) as world, scenarios.told(world, f"killed at step {step}"):
            nemesis.run(world, "first", at=step, group="run", definition=PARTS)
            if not History(world.history).events("fault"):
                assert bench.faults > 3
                return
            bench.faults += 1
            checker.check_visible(world, checker.look(world), [*bench.before(case), bench.output(case)])
            nemesis.run(world, "second", group="run", definition=PARTS)
            assert scenarios.raised(world, "second") is None
            seen = checker.look(world)
            checker.check_final(world, seen, facts=bench.facts(case, definition=PARTS), output=bench.output(case))
            scenarios.finish(bench, world, definition=PARTS)
            assert [] == _staged(world.folder)


@pytest.mark.parametrize("case", [TABLE, FILE], ids=str)
def test_frozen_beside_its_own_retry(bench: Bench, case: scenarios.Case) -> None:
    """Another run claims the window while a part, or the merge, stands still; then that one wakes up."""
    for moment, step in _moments(bench, case).items():
        with bench.world(case) as world, scenarios.told(world, f"frozen when {moment}, at step {step}"):
            plan = {"world": world.spec(), "who": "sleeper", "day": 1, "definition": PARTS}
            sleeper = Child(plan | {"at": step, "do": "STOP", "idle": 60.0, "wait": 3.0})
            assert sleeper.wait_until_frozen()
            bench.faults += 1
            nemesis.run(world, "beside", definition=PARTS)
            assert scenarios.raised(world, "beside") is None
            sleeper.thaw()
            sleeper.wait()
            # Its unfinished file may have been swept: then its own retry is told.
            assert (scenarios.raised(world, "sleeper") or {}).get("error") in ("Superseded", "StoreUnavailable")
            seen = checker.look(world)
            checker.check_final(world, seen, facts=bench.facts(case, definition=PARTS), output=bench.output(case))
            assert [] == _staged(world.folder)


def _moments(bench: Bench, case: scenarios.Case) -> dict[str, int]:
    """Steps of an undisturbed run in parts at which nothing is locked."""
    with bench.world(case) as world:
        nemesis.run(world, "undisturbed", definition=PARTS, told=True)
        steps = [event["before"] for event in History(world.history).events("step", "undisturbed")]
    merge = max(i for i, what in enumerate(steps) if what.startswith("store: INSERT INTO monitoring_job_attempts"))
    written = max(i for i, what in enumerate(steps) if what.startswith(("output: COMMIT", "file: ")))
    return {
        "a part is to be staged": max(i for i, what in enumerate(steps[:merge]) if what == "file: os.rename") + 1,
        "the merge has begun": steps.index("store: BEGIN DEFERRED", merge) + 1,
        "the output is written": steps.index("store: BEGIN IMMEDIATE", written) + 1,
    }


def _staged(folder: Path) -> list[Path]:
    return [path for path in (folder / "storage" / "staged").rglob("*") if path.is_file()]
