"""What store and output say of a definition, read from their files with sqlite3 and none of the package's code.

``facts`` is everything that must be the same whatever happened on the way: tokens, revisions, tries and clock times are
how it happened, and are left out. ``violations`` are promises broken, whatever the facts are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]
LIVE = ("claimed", "running")
HISTORY = {
    "monitoring_jobs": "token reason dag_id run_id task_id try_number map_index origin created_at started_at"
    " progress_at finished_at snapshot_revision committed_token committed_at evaluated_at",
    "monitoring_snapshots": "revision token committed_at baseline_version",
    "monitoring_profiles": "",
    "monitoring_metrics": "snapshot_revision evaluated_at",
    "monitoring_prediction_files": "token path created_at",
    "monitoring_batches": "created_at created_by updated_at",
    "monitoring_monitors": "created_at updated_at",
    # Since when, and after what: told in the order in which windows were evaluated; a later window's state stands.
    "monitoring_monitor_states": "previous_status since snapshot_revision details updated_at",
    "monitoring_baselines": "token dag_id run_id task_id try_number map_index started_at finished_at",
    "monitoring_baseline_versions": "token created_at",
    "monitoring_alerts": "created_at delivered_at attempts last_error state",
    "monitoring_output_markers": "token created_table updated_at store_id",
}


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt at a job, as the store tells it."""

    token: int
    state: str
    reason: str | None
    run_id: str | None
    try_number: int | None


@dataclasses.dataclass(frozen=True)
class Ledger:
    """A definition in a store and in its output.

    :param store: SQLite file of the store; its storage is the folder ``storage`` beside it.
    :param output: SQLite file that holds the table ``<definition>_monitoring``.
    """

    store: Path
    output: Path
    definition: str

    def jobs(self) -> list[Row]:
        """Its jobs, by window."""
        return sorted(self._of_definition("monitoring_jobs"), key=lambda job: job["window_start"])

    def job(self, day: int) -> Row | None:
        """The job over a day of March 2026, None where nobody has claimed it."""
        return next((job for job in self.jobs() if job["window_start"].startswith(f"2026-03-{day:02d}")), None)

    def attempts(self, day: int) -> list[Attempt]:
        """The attempts at a day, by token."""
        job = self.job(day)
        if job is None:
            return []
        rows = [row for row in _rows(self.store, "monitoring_job_attempts") if row["job_id"] == job["id"]]
        names = [field.name for field in dataclasses.fields(Attempt)]
        found = [Attempt(**{name: row[name] for name in names}) for row in rows]
        return sorted(found, key=lambda attempt: attempt.token)

    def lines(self, day: int) -> list[str]:
        """What the newest attempt at a day has reported."""
        job = self.job(day)
        if job is None:
            return []
        rows = [row for row in _rows(self.store, "monitoring_job_log") if row["job_id"] == job["id"]]
        return [row["line"] for row in sorted(rows, key=lambda row: row["id"]) if row["token"] == job["token"]]

    def facts(self) -> dict[str, Counter[tuple[Any, ...]]]:
        """Per table, the rows that concern the definition without their history, as they stand in the file."""
        mine = {job["id"] for job in self.jobs()}
        found: dict[str, Counter[tuple[Any, ...]]] = {}
        for table, left_out in HISTORY.items():
            rows = _rows(self.output if table == "monitoring_output_markers" else self.store, table)
            own = [row for row in rows if _concerns(row, self.definition, mine)]
            found[table] = Counter(_plain(row, set(left_out.split())) for row in own)
        found["output"] = Counter(_plain(row, set()) for row in self._output())
        return found

    def violations(self) -> list[str]:
        """Promises broken: each job committed once, its output whole and once, every attempt's end told."""
        jobs = self.jobs()
        windows = Counter(job["window_key"] for job in jobs)
        found = [f"{count} jobs of window {window}" for window, count in windows.items() if count > 1]
        identifiers = Counter(row["id"] for row in self._output())
        found += [f"output row {identifier} is there {n} times" for identifier, n in identifiers.items() if n > 1]
        strays = {row["monitoring_job_id"] for row in self._output()} - {job["id"] for job in jobs}
        found += [f"output rows of {stray}, which is no job" for stray in strays]
        return found + [f"{job['window_key']}: {problem}" for job in jobs for problem in self._broken(job)]

    def _broken(self, job: Row) -> Iterator[str]:
        if (job["state"], job["evaluation_due"], job["abort_requested"]) != ("completed", 0, 0):
            yield f"the job is {job['state']}: {job['reason']}, evaluation due: {job['evaluation_due']}"
        if job["committed_token"] != job["token"]:
            yield f"attempt {job['token']} has the window, and {job['committed_token']} committed"
        token, rows = job["committed_token"], None
        snapshots = [row for row in _rows(self.store, "monitoring_snapshots") if row["job_id"] == job["id"]]
        if [(row["revision"], row["token"]) for row in snapshots] != [(job["snapshot_revision"], token)]:
            yield f"{len(snapshots)} snapshots, and not the one of revision {job['snapshot_revision']}"
        else:
            rows = snapshots[0]["rows"]
        written = sum(row["monitoring_job_id"] == job["id"] for row in self._output())
        markers = [row for row in _rows(self.output, "monitoring_output_markers") if row["job_id"] == job["id"]]
        told = [(row["token"], row["state"], row["row_count"]) for row in markers]
        if told != [(token, "complete", written)] or written != rows:
            yield f"{rows} rows were read, {written} are in the output, and the markers say {told}"
        yield from self._broken_attempts(job)
        yield from self._broken_files(job)

    def _broken_attempts(self, job: Row) -> Iterator[str]:
        rows = [row for row in _rows(self.store, "monitoring_job_attempts") if row["job_id"] == job["id"]]
        if sorted(row["token"] for row in rows) != list(range(1, job["token"] + 1)):
            yield f"attempts {sorted(row['token'] for row in rows)}, and the newest token is {job['token']}"
        for row in rows:
            if row["state"] in LIVE or row["finished_at"] is None:
                yield f"attempt {row['token']} still counts as {row['state']}"
            elif row["state"] != "completed" and not row["reason"]:
                yield f"attempt {row['token']} ended {row['state']}, and nobody knows why"

    def _broken_files(self, job: Row) -> Iterator[str]:
        storage = self.store.parent / "storage"
        listed = [row for row in _rows(self.store, "monitoring_prediction_files") if row["job_id"] == job["id"]]
        for row in listed:
            path = storage / row["path"]
            if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != row["sha256"]:
                yield f"the prediction log {path.name} is not what was committed"
        if len(listed) != 1:
            yield f"{len(listed)} prediction logs"
            return
        folder = (storage / listed[0]["path"]).parent
        garbage = {path.name for path in folder.iterdir()} - {Path(row["path"]).name for row in listed}
        if garbage:
            yield f"files were left behind: {sorted(garbage)}"

    def _output(self) -> list[Row]:
        return _rows(self.output, f"{self.definition}_monitoring")

    def _of_definition(self, table: str) -> list[Row]:
        return [row for row in _rows(self.store, table) if row["definition_id"] == self.definition]


def difference(expected: dict[str, Counter[tuple[Any, ...]]], found: dict[str, Counter[tuple[Any, ...]]]) -> list[str]:
    """How two ledgers' facts differ; rows on one side only, a few of each table."""
    told = []
    for table, rows in expected.items():
        missing, added = rows - found[table], found[table] - rows
        if missing or added:
            told.append(f"{table}: {sum(missing.values())} rows missing, {sum(added.values())} added")
            told += [f"  - {row}"[:1500] for row in list(missing)[:2]] + [
                f"  + {row}"[:1500] for row in list(added)[:2]
            ]
    return told


def is_locked(database: Path) -> bool:
    """Whether somebody is writing to a SQLite file at this moment."""
    with contextlib.closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        connection.execute("ROLLBACK")
        return False


def _rows(database: Path, table: str) -> list[Row]:
    """All rows; of a table, or in a file, that is not there none."""
    if not database.exists():
        return []
    with contextlib.closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=30)) as connection:
        connection.row_factory = sqlite3.Row
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone():
            return []
        return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]


def _concerns(row: Row, definition: str, jobs: set[str]) -> bool:
    return bool(row["definition_id"] == definition if "definition_id" in row else row["job_id"] in jobs)


def _plain(row: Row, left_out: set[str]) -> tuple[Any, ...]:
    kept = {name: value for name, value in row.items() if name not in left_out}
    return tuple((name, hashlib.sha256(v).hexdigest() if isinstance(v, bytes) else v) for name, v in kept.items())
