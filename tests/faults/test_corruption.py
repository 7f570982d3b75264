"""Damage to what a job keeps beside its rows: spools, markers and output files (F26).

Damaged profiles, baselines and prediction logs are in ``tests/jobs/test_damage.py``.
"""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.outputs.files import Marker
from faults import checker, nemesis, scenarios
from faults.history import History
from faults.nemesis import Child, Server
from faults.scenarios import BY_NAME, Bench
from faults.world import Case, World

TABLE = BY_NAME["postgres-insert@postgres-postgres-fresh"]
SQLITE_TABLE = BY_NAME["sqlite-insert@sqlite-sqlite-fresh"]
INTERVAL = BY_NAME["csv-interval@sqlite-sqlite"]
KEYED = BY_NAME["jsonl-keyed@postgres-postgres"]
CSV = BY_NAME["jsonl-csv-sqlite-fresh"]
PARQUET = BY_NAME["postgres-parquet-postgres"]


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Worlds of this module, and a PostgreSQL server of its own."""
    folder = Path(tempfile.mkdtemp(prefix="damage-"))
    server = functools.cache(Server)
    made = Bench(folder, server)
    yield made
    made.remove()
    if server.cache_info().currsize:
        server().close()
    shutil.rmtree(folder)


def flipped(place: float) -> Callable[[bytes], bytes]:
    """One bit of the byte at a share of the length."""

    def flip(data: bytes) -> bytes:
        at = min(int(place * len(data)), len(data) - 1)
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]

    return flip


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "first byte": flipped(0.0),
    "a byte at a third": flipped(0.33),
    "a byte near the end": flipped(0.9),
    "last byte": flipped(1.0),
    "cut in half": lambda data: data[: len(data) // 2],
    "cut by a byte": lambda data: data[:-1],
    "empty": lambda data: b"",
    "gone": lambda data: None,
}


def share(items: dict[str, Any], of: int, request: pytest.FixtureRequest) -> dict[str, Any]:
    """A few of the items, others for other numbers; all of them in the long form."""
    every = bool(request.config.getoption("--sweep"))
    return {name: item for number, (name, item) in enumerate(items.items()) if every or number % 4 == of % 4}


def put(path: Path, data: bytes | None) -> None:
    """These bytes, or no file."""
    path.unlink() if data is None else path.write_bytes(data)


def raised(world: World, who: str) -> str:
    """The error with which an attempt ended; empty where it ended well."""
    events = History(world.history).events("raised", who)
    return f"{events[0]['error']}: {events[0]['text']}" if events else ""


# --- the spool, between the reading and the writing -----------------------------------------------------------------


@pytest.mark.parametrize("case", [TABLE, INTERVAL, KEYED, CSV, PARQUET], ids=str)
def test_a_spool_damaged_between_reading_and_writing_ends_the_attempt_and_nothing_wrong_is_written(
    bench: Bench, case: Case, request: pytest.FixtureRequest
) -> None:
    step = bench.output_steps(case)[0] - 1  # the store hears that the rows will be written
    damages = DAMAGE | {"another day's": lambda _: _spool_of(bench, case, day=0, step=step)}
    turn = [TABLE, INTERVAL, KEYED, CSV, PARQUET].index(case)
    for what, damage in share(damages, turn, request).items():
        with bench.world(case) as world:
            victim = Child({"world": world.spec(), "who": "victim", "day": 1, "at": step, "do": "STOP"})
            assert victim.wait_until_frozen()
            (spool,) = world.folder.glob("tmp/airflow-monitoring-spool-*/rows.*")
            put(spool, damage(spool.read_bytes()))
            victim.thaw()
            victim.wait()

            assert "OutputUnavailable: rows kept in the temporary folder cannot be read back" in raised(world, "victim")
            seen = checker.look(world)
            assert ["failed"] == [attempt["state"] for attempt in seen.attempts.values()], what
            assert "the next attempt reads them anew" in seen.attempts[1]["reason"]
            checker.check_visible(world, seen, [*bench.before(case), bench.output(case)])
            scenarios.finish(bench, world)


def _spool_of(bench: Bench, case: Case, *, day: int, step: int) -> bytes:
    """The whole spool of another day's job."""
    with bench.world(case) as world:
        other = Child({"world": world.spec(), "who": "other", "day": day, "at": step, "do": "STOP"})
        assert other.wait_until_frozen()
        (spool,) = world.folder.glob("tmp/airflow-monitoring-spool-*/rows.*")
        data = spool.read_bytes()
        other.thaw()
        other.wait()
        return data


# --- the output, after it was completed -----------------------------------------------------------------------------


@pytest.mark.parametrize("case", [CSV, PARQUET], ids=str)
@pytest.mark.parametrize("part", ["marker", "rows"])
def test_a_damaged_file_or_marker_is_made_again_by_a_new_run(
    bench: Bench, case: Case, part: str, request: pytest.FixtureRequest
) -> None:
    turn = [CSV, PARQUET].index(case) + 2 * (part == "rows")
    for what, damage in share(DAMAGE, turn, request).items():
        with bench.world(case) as world:
            nemesis.run(world, "first")
            path = _file_of(world, part)
            put(path, damage(path.read_bytes()))
            nemesis.run(world, "again")

            assert "" == raised(world, "again"), what
            checker.check_final(
                world, checker.look(world), facts=bench.facts(case), output=bench.output(case), winner="again"
            )


def test_every_damaged_bit_of_a_files_marker_is_noticed() -> None:
    marker = Marker("a" * 32, "b" * 32, 17, "complete", 400, "c" * 64)
    data = marker.to_json()
    assert marker == Marker.from_json(data, "x")
    for place in range(len(data)):
        for bit in range(8):
            damaged = data[:place] + bytes([data[place] ^ (1 << bit)]) + data[place + 1 :]
            assert None is Marker.from_json(damaged, "x"), damaged
    for length in range(len(data)):
        assert None is Marker.from_json(data[:length], "x")


def test_another_jobs_marker_is_told_and_nothing_is_overwritten(bench: Bench) -> None:
    with bench.world(PARQUET) as world:
        nemesis.run(world, "first")
        path = _file_of(world, "marker")
        (theirs,) = [other for other in path.parent.glob(".*.marker") if other != path]
        before = _file_of(world, "rows").read_bytes()
        path.write_bytes(theirs.read_bytes())
        nemesis.run(world, "again")

        assert "OutputError: " in raised(world, "again")
        assert "is written by another job" in raised(world, "again")
        assert before == _file_of(world, "rows").read_bytes()
        path.unlink()
        nemesis.run(world, "healed")
        checker.check_final(
            world, checker.look(world), facts=bench.facts(PARQUET), output=bench.output(PARQUET), winner="healed"
        )


def _file_of(world: World, part: str) -> Path:
    """The file of the second day, or its marker."""
    (path,) = [
        path
        for path in world.folder.glob("files/out/**/*20260302T000000Z_*")
        if not path.name.endswith(".lock") and path.name.endswith(".marker") == (part == "marker")
    ]
    return path


MARKERS: dict[str, dict[str, Any]] = {
    "older token": {"token": 0},
    "newer token": {"token": 12},
    "state": {"state": "what?"},
    "half": {"state": "writing", "row_count": None, "checksum": None},
    "position": {"position": -5},
    "rows and checksum": {"row_count": 99, "checksum": "0" * 64},
    "window": {"window_start": "never", "window_end": ""},
}


@pytest.mark.parametrize("case", [TABLE, SQLITE_TABLE, INTERVAL, KEYED], ids=str)
def test_an_altered_marker_row_never_changes_the_rows_of_a_new_run(
    bench: Bench, case: Case, request: pytest.FixtureRequest
) -> None:
    turn = [TABLE, SQLITE_TABLE, INTERVAL, KEYED].index(case)
    for what, changes in share(MARKERS, turn, request).items():
        with bench.world(case) as world:
            nemesis.run(world, "first")
            _alter(world, changes)
            nemesis.run(world, "again")

            assert "" == raised(world, "again"), what
            checker.check_final(
                world, checker.look(world), facts=bench.facts(case), output=bench.output(case), winner="again"
            )


def test_a_marker_that_names_another_store_is_told_and_nothing_is_written(bench: Bench) -> None:
    with bench.world(TABLE) as world:
        nemesis.run(world, "first")
        _alter(world, {"store_id": "f" * 32})
        nemesis.run(world, "again")

        assert "ConfigurationError: " in raised(world, "again")
        assert "airflow monitoring db adopt" in raised(world, "again")
        assert bench.output(TABLE) == checker.look(world).output


def test_a_token_that_is_no_number_is_told(bench: Bench) -> None:
    with bench.world(SQLITE_TABLE) as world:
        nemesis.run(world, "first")
        _alter(world, {"token": "x7"})
        nemesis.run(world, "again")

        assert "OutputError: " in raised(world, "again")
        assert "this job's row in monitoring_output_markers is damaged" in raised(world, "again")
        assert bench.output(SQLITE_TABLE) == checker.look(world).output


def _alter(world: World, changes: dict[str, Any]) -> None:
    """Change the second day's marker."""
    engine = sa.create_engine(world.url(world.case.database), poolclass=sa.NullPool)
    markers = sa.table("monitoring_output_markers", *(sa.column(name) for name in (*changes, "window_start")))
    with engine.begin() as connection:
        day = sa.cast(markers.c.window_start, sa.String).like("2026-03-02%")
        assert 1 == connection.execute(markers.update().where(day).values(changes)).rowcount
    engine.dispose()


def test_a_marker_file_without_a_checksum_counts_as_damaged() -> None:
    plain = {"job_id": "j", "store_id": "s", "token": 3, "state": "complete", "rows": 1, "checksum": "c"}
    assert None is Marker.from_json(json.dumps(plain).encode(), "x")
