"""What is true after a fault: read from databases, files and history alone, with none of the package's code.

The rows and numbers expected come from the slow oracle; an undisturbed run of the same rows says what every stored
byte must be. The promises are those of the commit protocol:

I1 one committed snapshot per window, and the output holds every intake row once. I2 nobody sees part of a job. I3 the
same input gives the same bytes. I4 the newest claim wins. I5 locked and deleted batches stay as they are. I7 each alert
once. I9 every attempt that did not complete says why.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime as dt
import hashlib
import importlib.util
import json
import math
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from faults.history import History
from faults.world import FIRST_DAY, KEPT, Case, World, day_rows

LIVE = ("claimed", "running")
# Everything a value says, statuses included; the revision counts commits and is left out.
VALUE = ("name", "column_name", "value", "reason", "n", "m", "p_value", "adjusted_p_value", "critical_value")
VALUE += ("is_primary", "low", "high", "direction", "kind", "binning")
VERDICT = ("status", "status_reason", "warning", "critical")


class Violation(AssertionError):
    """A promise was broken."""


def _oracle() -> ModuleType:
    path = Path(__file__).parents[1] / "oracles" / "slow_job.py"
    spec = importlib.util.spec_from_file_location("slow_job", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracle = _oracle()


@dataclasses.dataclass(frozen=True)
class Seen:
    """What anybody can see of one day.

    :param output: rows (id, region, status) of the whole output, None where there is neither table nor file.
    :param marker: token, state and rows of the day's marker, None where there is none.
    :param job: the store's row, None where the window was never claimed.
    :param facts: everything committed that must be the same whatever happened on the way.
    """

    output: Counter[tuple[Any, ...]] | None
    marker: tuple[int, str, int | None] | None
    job: dict[str, Any] | None
    attempts: dict[int, dict[str, Any]]
    snapshot: dict[str, Any] | None
    facts: dict[str, Any]
    revisions: dict[int, dict[str, Any]]
    batch: dict[str, Any] | None
    leftovers: list[str]

    @property
    def committed(self) -> bool:
        """The store shows a snapshot."""
        return self.job is not None and self.job["snapshot_revision"] > 0 and not self.job["results_deleted"]


def look(world: World, day: int = 1) -> Seen:
    """Read everything there is to see of a day."""
    with _reader(world.store_url) as store:
        job = next((j for j in store.rows("monitoring_jobs") if _is_day(j["window_start"], day)), None)
        mine = job["id"] if job else None
        attempts = {a["token"]: a for a in store.rows("monitoring_job_attempts") if a["job_id"] == mine}
        snapshot = next((s for s in store.rows("monitoring_snapshots") if s["job_id"] == mine), None)
        revisions = {r["revision"]: r["payload"] for r in store.rows("monitoring_definition_revisions")}
        batch = next((b for b in store.rows("monitoring_batches") if b["job_id"] == mine), None)
        watching = {m["id"] for m in store.rows("monitoring_monitors") if m["deleted_at"] is None}
        facts = {
            "profile": [
                hashlib.sha256(bytes(p["profile"])).hexdigest()
                for p in store.rows("monitoring_profiles")
                if p["job_id"] == mine
            ],
            "values": _values(store, mine),
            "content_hash": snapshot["content_hash"] if snapshot else None,
            "predictions": _predictions(world, store, mine),
            "alerts": sorted(a["key"] for a in store.rows("monitoring_alerts") if a["job_id"] == mine),
            "states": sorted(
                (s["monitor_id"], s["status"], str(s["reason"]), s["value"])
                for s in store.rows("monitoring_monitor_states")
                if s["job_id"] == mine and s["monitor_id"] in watching
            ),
        }
    return Seen(
        output=_output(world),
        marker=_marker(world, mine),
        job=job,
        attempts=attempts,
        snapshot=snapshot,
        facts=facts,
        revisions=revisions,
        batch=batch,
        leftovers=_leftovers(world),
    )


def expected_output(case: Case, editions: dict[int, int]) -> Counter[tuple[Any, ...]]:
    """Rows that the output must hold when the days were written in these editions."""
    written = [row for day, edition in editions.items() for row in _results(case, day, edition)]
    if not case.has_own_table:
        return Counter(written)
    theirs: dict[Any, tuple[Any, ...]] = {KEPT + n: (KEPT + n, "theirs", None) for n in range(3)}
    if case.output == "update":
        known = [(row["id"], "known", None) for day in (0, 1) for row in day_rows(case, day, 2)]
        statuses = {row[0]: row[2] for row in written}
        return Counter([*theirs.values(), *((i, region, statuses.get(i)) for i, region, _ in known)])
    return Counter([*theirs.values(), *written])


def _results(case: Case, day: int, edition: int) -> list[tuple[Any, ...]]:
    rows = day_rows(case, day, edition)
    statuses = oracle.statuses(rows, ["score"], ["id"])
    return [(row["id"], row["region"], status) for row, status in zip(rows, statuses, strict=True)]


def check_numbers(case: Case, seen: Seen, editions: dict[int, int]) -> None:
    """Hold the committed values of the second day against a recomputation from its rows and the first day's."""
    days = [day_rows(case, 0, editions[0]), day_rows(case, 1, editions[1])]
    counted, scored = [], []
    for rows in days:
        statuses = list(zip(rows, oracle.statuses(rows, ["score"], ["id"]), strict=True))
        counted.append([row for row, status in statuses if status != "rejected:duplicate_identifier"])
        scored.append([row for row, status in statuses if status in ("monitored", "rejected:missing_identifier")])
    labelled = [row for row in scored[1] if row["churned"] is not None]
    hits = [(row["score"] >= 0.5) == (row["churned"] == "yes") for row in labelled]
    wanted = {
        ("psi", "amount"): oracle.psi_of_numbers(*([row["amount"] for row in rows] for rows in counted)),
        ("psi", "region"): oracle.psi_of_levels(*([row["region"] for row in rows] for rows in counted)),
        ("accuracy", None): sum(hits) / len(hits),
        ("roc_auc", None): oracle.auc([r["churned"] == "yes" for r in labelled], [r["score"] for r in labelled]),
        ("label_coverage", None): len(labelled) / len(scored[1]),
        ("row_count", None): float(len(days[1])),
    }
    found = {(name, column): value for name, column, value, *_ in seen.facts["values"]}
    watched = seen.revisions[seen.snapshot["definition_revision"]]["features"] if seen.snapshot else []
    for key, value in wanted.items():
        if key[1] not in (None, *watched):
            continue
        if key not in found or found[key] is None or not math.isclose(found[key], value, rel_tol=1e-9, abs_tol=1e-12):
            raise Violation(f"I1: {key} is {found.get(key)}, and {value} by recomputation")
    counts = Counter(status for _, _, status in _results(case, 1, editions[1]))
    if seen.snapshot is None or dict(counts) != seen.snapshot["status_counts"]:
        raise Violation(f"I1: statuses {seen.snapshot and seen.snapshot['status_counts']}, and {dict(counts)} expected")


def check_visible(world: World, seen: Seen, outputs: list[Counter[tuple[Any, ...]] | None]) -> None:
    """I2, at any moment: what is committed is whole, and the output is one of those that may be seen.

    :param outputs: how the output may look; None stands for no table or file.
    """
    case = world.case
    if case.output != "none" and seen.output not in outputs and not _is_told_prefix(case, seen, outputs):
        raise Violation(f"I2: the output holds {_summary(seen.output)}, which is no whole job")
    if not seen.committed:
        if seen.facts["values"] or seen.facts["profile"] or (seen.snapshot is not None):
            raise Violation("I2: results are visible and their job is not committed")
        return
    job, snapshot = seen.job, seen.snapshot
    assert job is not None
    if snapshot is None or len(seen.facts["profile"]) != 1 or not seen.facts["values"]:
        raise Violation("I2: a committed job lacks its snapshot, profile or values")
    if snapshot["revision"] != job["snapshot_revision"] or snapshot["token"] != job["committed_token"]:
        raise Violation("I2: job and snapshot speak of different commits")
    if seen.attempts[job["committed_token"]]["state"] != "completed":
        raise Violation("I2: the attempt that committed is not completed")
    if case.has_marker and (seen.marker is None or seen.marker[0] < job["committed_token"]):
        raise Violation("I2: a job is committed whose output is not")


def check_final(
    world: World,
    seen: Seen,
    *,
    facts: dict[str, Any],
    output: Counter[tuple[Any, ...]],
    winner: str | None = None,
) -> None:
    """What must hold when the last attempt has ended well and nobody is left.

    :param facts: of an undisturbed run of the same rows.
    :param winner: who committed last; None where it does not matter.
    """
    check_visible(world, seen, [output])
    job = seen.job
    if job is None or not seen.committed or job["state"] != "completed":
        raise Violation(f"I1: the job is {job and job['state']!r} after an attempt that ended well")
    if job["committed_token"] != job["token"]:
        raise Violation("I4: the snapshot is not the newest attempt's")
    if world.case.output != "none" and seen.output != output:
        raise Violation(f"I1: the output holds {_summary(seen.output)} instead of {_summary(output)}")
    rows = sum(seen.snapshot["status_counts"].values()) if seen.snapshot else 0
    if world.case.has_marker and seen.marker is not None:
        token, state, written = seen.marker
        if (token, state) != (job["token"], "complete") or written != rows:
            raise Violation(f"I1: the marker says {seen.marker} of {rows} rows of attempt {job['token']}")
    for name, value in facts.items():
        if seen.facts[name] != value:
            raise Violation(f"I3: {name} differs from an undisturbed run")
    _check_attempts(world, seen, winner)
    if seen.leftovers:
        raise Violation(f"files were left behind: {', '.join(seen.leftovers[:3])}")


def _check_attempts(world: World, seen: Seen, winner: str | None) -> None:
    history = History(world.history)
    claims = [event for event in history.events("claimed") if event["day"] == 1]
    tokens = [event["token"] for event in claims]
    if len(tokens) != len(set(tokens)):
        raise Violation(f"I4: two attempts were given one token: {tokens}")
    if not set(tokens) <= set(seen.attempts):
        raise Violation("I9: an attempt is missing in the store")
    assert seen.job is not None
    for token, attempt in seen.attempts.items():
        if attempt["state"] in LIVE and token < seen.job["token"]:
            raise Violation(f"I9: attempt {token} still counts as {attempt['state']}")
        if attempt["state"] not in ("completed", *LIVE) and not attempt["reason"]:
            raise Violation(f"I9: attempt {token} ended {attempt['state']} and nobody knows why")
    if winner is not None:
        mine = [event["token"] for event in claims if event["who"] == winner]
        if mine != [seen.job["committed_token"]]:
            raise Violation(f"I4: attempt {seen.job['committed_token']} stands, and {winner} has {mine}")


def _is_told_prefix(case: Case, seen: Seen, outputs: list[Counter[tuple[Any, ...]] | None]) -> bool:
    """With ``commitInterval`` a part of the rows may be seen while the marker says ``writing``."""
    if case.one_transaction or seen.marker is None or seen.marker[1] != "writing":
        return False
    found = seen.output or Counter()
    return any(found <= whole for whole in outputs if whole is not None)


def _summary(rows: Counter[tuple[Any, ...]] | None) -> str:
    if rows is None:
        return "nothing at all"
    twice = sum(1 for count in rows.values() if count > 1)
    return f"{sum(rows.values())} rows ({twice} of them more than once)"


def _is_day(text: Any, day: int) -> bool:
    return str(text)[:10] == f"{FIRST_DAY + dt.timedelta(days=day):%Y-%m-%d}"


class _Rows:
    """Rows of tables, as dictionaries."""

    def __init__(self, connection: Any, *, postgres: bool) -> None:
        self._connection = connection
        self._postgres = postgres

    def has(self, table: str) -> bool:
        """Whether there is such a table."""
        catalog = (
            "SELECT 1 FROM information_schema.tables WHERE table_schema = 'public' AND table_name = %s"
            if self._postgres
            else "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
        )
        return self._connection.execute(catalog, (table,)).fetchone() is not None

    def rows(self, table: str) -> list[dict[str, Any]]:
        """All of them; of a table that is not there none."""
        if not self.has(table):
            return []
        cursor = self._connection.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in cursor.description]
        found = [dict(zip(names, row, strict=True)) for row in cursor]
        for row in found:
            for name, value in row.items():
                if name in ("status_counts", "details", "payload") and isinstance(value, str):
                    row[name] = json.loads(value)
        return found


@contextlib.contextmanager
def _reader(url: str) -> Iterator[_Rows]:
    """One moment of a database."""
    if url.startswith("sqlite"):
        path = url.removeprefix("sqlite:///")
        if not Path(path).exists():
            path = ":memory:"  # what has not been made holds nothing
        connection: Any = sqlite3.connect(path, timeout=30, isolation_level=None)
        try:
            connection.execute("BEGIN")
            yield _Rows(connection, postgres=False)
        finally:
            connection.close()
        return
    import psycopg

    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        yield _Rows(connection, postgres=True)


def _values(store: _Rows, job: str | None) -> list[tuple[Any, ...]]:
    """The committed values and what the evaluation made of them, in order."""
    found = [row for row in store.rows("monitoring_metrics") if row["job_id"] == job]
    return [tuple(row[name] for name in (*VALUE, *VERDICT)) for row in sorted(found, key=lambda row: row["position"])]


def _predictions(world: World, store: _Rows, job: str | None) -> list[tuple[Any, ...]]:
    """The prediction log's listed files: rows and bytes, which must be on the disk."""
    found = []
    for row in store.rows("monitoring_prediction_files"):
        if row["job_id"] == job:
            path = world.folder / "storage" / row["path"]
            content = path.read_bytes() if path.exists() else b""
            if hashlib.sha256(content).hexdigest() != row["sha256"]:
                raise Violation("I2: a listed file of the prediction log is not what was listed")
            found.append((row["position"], row["rows"], row["sha256"]))
    return found


def _output(world: World) -> Counter[tuple[Any, ...]] | None:
    case = world.case
    if case.output == "none":
        return None
    if case.is_table:
        with _reader(world.url(case.database)) as data:
            if not data.has("results"):
                return None
            return Counter((row["id"], row["region"], row["status"]) for row in data.rows("results"))
    files = [path for path in (world.folder / "files" / "out").rglob("*") if _is_final(path)]
    if not files:
        return None
    return Counter(row for path in files for row in _file_rows(path))


def _is_final(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


def _file_rows(path: Path) -> list[tuple[Any, ...]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return [(row["id"], row["region"], row["status"]) for row in pq.read_table(path).to_pylist()]
    with path.open(newline="") as file:
        return [
            (int(float(row["id"])) if row["id"] else None, row["region"] or None, row["status"])
            for row in csv.DictReader(file)
        ]


def _marker(world: World, job: str | None) -> tuple[int, str, int | None] | None:
    case = world.case
    if job is None or case.output == "none":
        return None
    if case.is_table:
        with _reader(world.url(case.database)) as data:
            for row in data.rows("monitoring_output_markers"):
                if row["job_id"] == job:
                    return row["token"], row["state"], row["row_count"]
        return None
    for path in (world.folder / "files" / "out").rglob(".*.marker"):
        content = json.loads(path.read_text())
        if content["job_id"] == job:
            return content["token"], content["state"], content["rows"]
    return None


def _leftovers(world: World) -> list[str]:
    """Temporary files of outputs, storage and spools."""
    places = [*(world.folder / "files" / "out").rglob("*.tmp"), *(world.folder / "tmp").iterdir()]
    return sorted(str(path.relative_to(world.folder)) for path in places)
