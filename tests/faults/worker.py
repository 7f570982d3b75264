"""What a child process does: one attempt at one window, as a task would, with the plan's harm built in.

A *step* is a moment at which the process can be killed, frozen or told to stop: before each statement and each COMMIT
of its databases, before each batch of rows, and before each change of a file's name. ``plan["at"]`` is the number of
the step and ``plan["do"]`` the signal that the process sends itself there; 0 means never.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Forked children must not pay for what they all import.
import fsspec
import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import sqlalchemy as sa

import airflow_monitoring_provider.outputs.disk
import airflow_monitoring_provider.outputs.sql
from airflow_monitoring_provider.definitions import FileOutput, JobDefinition, SqlOutput
from airflow_monitoring_provider.exceptions import JobInterrupted
from airflow_monitoring_provider.intake.source import open_source, select_in
from airflow_monitoring_provider.jobs import progress, pushing
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.parts import PartReference, claim_job, merge_and_commit, profile_part
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.reporting_actuals import report_actuals
from airflow_monitoring_provider.jobs.run import JobSummary, run_job
from airflow_monitoring_provider.outputs.files import FileWriter
from airflow_monitoring_provider.outputs.sql import SqlWriter
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.records import RunInfo
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore
from faults.history import History
from faults.world import WRITER, World, window

# A report with each batch, not with each second: the same attempt has the same steps however slow the machine is.
progress.SECONDS_BETWEEN_REPORTS = -1.0
pushing.SECONDS_BETWEEN_LOOKS = 3600.0
# A module that is imported late would be compiled into a file of its own: a step that no other attempt has.
sys.dont_write_bytecode = True

FILE_EVENTS = {"os.rename", "os.remove", "os.mkdir", "fcntl.flock"}
CHUNK = 25  # rows of a batch, so that a day has several
__all__ = ["airflow_monitoring_provider", "attempt", "psycopg", "pyarrow"]


class Steps:
    """Counts an attempt's steps and sends the process a signal at one of them."""

    def __init__(self, plan: dict[str, Any], history: History) -> None:
        self._at: int = plan.get("at", 0)
        self._signal = getattr(signal, f"SIG{plan.get('do', 'KILL')}")
        self._again: bool = plan.get("again", False)
        self._told: bool = plan.get("told", False)
        self._who: str = plan["who"]
        self._history = history
        self.count = 0

    def step(self, what: str) -> None:
        """The next thing to happen is ``what``."""
        self.count += 1
        if self._told:
            self._history.note(self._who, "step", before=what)
        if self.count == self._at or (self._again and self.count > self._at):
            self._history.note(self._who, "fault", step=self.count, before=what, signal=self._signal.name)
            os.kill(os.getpid(), self._signal)

    def watch(self, engine: sa.Engine, name: str) -> None:
        """Count what an engine does."""

        def statement(_c: Any, _cursor: Any, text: str, *_rest: Any) -> None:
            self.step(f"{name}: {' '.join(text.split()[:3])}")

        sa.event.listen(engine, "before_cursor_execute", statement)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", lambda connection, _record: self._trace(connection, name))
        else:
            sa.event.listen(engine, "commit", lambda _connection: self.step(f"{name}: COMMIT"))

    def _trace(self, connection: sqlite3.Connection, name: str) -> None:
        # A process dies here and not the machine, so nobody needs to wait for the disk.
        connection.execute("PRAGMA synchronous = OFF")
        connection.set_trace_callback(lambda text: self.step(f"{name}: COMMIT") if text.startswith("COMMIT") else None)

    def audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Count what happens to files of the output and of the prediction log; the private spool has hundreds."""
        if event in FILE_EVENTS and (event != "os.remove" or str(arguments[0]).endswith(".tmp")):
            self.step(f"file: {event}")


class Chunked:
    """A source in small batches, each of them a step."""

    def __init__(self, inner: Any, steps: Steps) -> None:
        self._inner = inner
        self._steps = steps
        self.label: str = inner.label
        self.ordered_by: tuple[str, ...] = inner.ordered_by

    def schema(self) -> pa.Schema:
        return self._inner.schema()

    def null_timestamps(self, column: str) -> int:
        found: int = self._inner.null_timestamps(column)
        return found

    def parts(self, *arguments: Any) -> Any:
        self._steps.step("intake: cut")
        return self._inner.parts(*arguments)

    def part(self, *arguments: Any) -> Any:
        return Chunked(self._inner.part(*arguments), self._steps)

    def seen(self) -> Any:
        return self._inner.seen()

    @contextmanager
    def selection(self, window: Any) -> Iterator[Any]:
        with select_in(self._inner, window) as selection:
            yield selection

    @contextmanager
    def read(self, columns: Sequence[str], window: Any) -> Iterator[Iterator[pa.RecordBatch]]:
        with self._inner.read(columns, window) as batches:
            yield self._chunks(batches)

    def _chunks(self, batches: Any) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for start in range(0, batch.num_rows, CHUNK):
                self._steps.step("intake: batch")
                yield batch.slice(start, CHUNK)


class Doors:
    """The ports of a world, with every step counted."""

    def __init__(self, world: World, plan: dict[str, Any], steps: Steps) -> None:
        self._world = world
        self._plan = plan
        self._steps = steps
        urls = {"store": world.store_url} | plan.get("urls", {})
        engine = open_engine(urls["store"], wait=plan.get("wait", 3.0), idle_timeout=plan.get("idle", 60.0))
        if world.case.store == "sqlite" and plan.get("store_pages"):
            sa.event.listen(engine, "connect", lambda c, _r: c.execute(f"PRAGMA max_page_count={plan['store_pages']}"))
        steps.watch(engine, "store")
        self.store = MonitoringStore(
            engine, storage=Storage.local(world.folder / "storage"), embedded=world.case.store == "sqlite"
        )
        self._urls = urls
        self._engines: dict[str, sa.Engine] = {}

    def ports(self) -> Ports:
        """For ``run_job``."""
        return Ports(store=self.store, source=self._source, writer=self._writer)

    def _engine(self, role: str, kind: str) -> sa.Engine:
        """One engine for intake and one for output, as two Airflow connections would give."""
        if role not in self._engines:
            url = sa.make_url(self._urls.get(role) or self._world.url(kind))
            if role == "output" and self._world.case.output == "unmarked":
                url = url.set(username=WRITER)
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            pages = self._plan.get("pages")
            if kind == "sqlite" and pages:
                sa.event.listen(engine, "connect", lambda c, _r: c.execute(f"PRAGMA max_page_count={pages}"))
            self._steps.watch(engine, role)
            self._engines[role] = engine
        return self._engines[role]

    def _source(self, definition: JobDefinition, intake: Any, order_by: tuple[str, ...]) -> Any:
        kind = self._world.case.intake
        engine = self._engine("intake", kind) if kind in ("sqlite", "postgres") else None
        source = open_source(
            intake,
            engine=engine,
            filesystem=fsspec.filesystem("file"),
            root=str(self._world.folder / "files"),
            csv=definition.csv_settings,
            order_by=order_by,
        )
        return Chunked(source, self._steps)

    def _writer(self, definition: JobDefinition) -> Any:
        settings, output = definition.monitoring_output_settings, definition.output_settings
        assert output is not None
        names = settings.unique_row_identifier_columns
        if isinstance(output, SqlOutput):
            ticks = itertools.count()  # each look at the clock is a second later, so an interval ends with each batch
            return SqlWriter(
                self._engine("output", self._world.case.database),
                output,
                identifiers=names,
                status_column=settings.monitored_status_column,
                wait=self._plan.get("wait", 3.0),
                idle=self._plan.get("idle", 60.0),
                clock=lambda: float(next(ticks)),
            )
        assert isinstance(output, FileOutput)
        return FileWriter(
            fsspec.filesystem("file"),
            str(self._world.folder / "files"),
            output,
            definition.csv_settings,
            status_column=settings.monitored_status_column,
            wait=self._plan.get("wait", 3.0),
        )


def attempt(plan: dict[str, Any]) -> None:
    """Run and evaluate one window; the outcome is in the history, and nothing is returned.

    :param plan: ``world`` (a :meth:`World.spec`), ``who``, ``day``, and optionally ``at``, ``do``, ``again``, ``told``,
        ``definition`` (changed members), ``urls`` (of ``store``, ``intake``, ``output``), ``wait``, ``idle``,
        ``group``, ``limits`` (of ``resource``), ``megabytes`` (of memory from now on), ``pages`` and
        ``store_pages`` (of SQLite).
    """
    logging.disable(logging.CRITICAL)
    world = World.of(plan["world"])
    os.environ["TMPDIR"] = str(world.folder / "tmp")
    history = History(world.history)
    who = plan["who"]
    steps = Steps(plan, history)
    doors = Doors(world, plan, steps)
    for name, limit in plan.get("limits", {}).items():
        kind = getattr(resource, name)
        resource.setrlimit(kind, (limit, resource.getrlimit(kind)[1]))
    if "megabytes" in plan:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + plan["megabytes"] * 2**20, resource.RLIM_INFINITY))
    signal.signal(signal.SIGTERM, _interrupted)
    signal.signal(signal.SIGALRM, _timed_out)
    sys.addaudithook(steps.audit)
    definition = world.case.definition(**plan.get("definition", {}))
    history.note(who, "started", pid=os.getpid(), day=plan["day"])
    told: Callable[[Any], None] = lambda claim: history.note(who, "claimed", token=claim.token, day=plan["day"])  # noqa: E731
    try:
        run = RunInfo(dag_id="faults", run_id=who)
        if definition.partitions is None:
            summary = run_job(definition, window(plan["day"]), doors.ports(), run=run, on_claim=told)
        else:
            summary = in_parts(definition, plan, doors.ports(), run, told)
        history.note(who, "committed", revision=summary.snapshot_revision, rows=summary.rows)
        evaluation = evaluate_job(summary.job_id, definition, doors.store)
        history.note(who, "evaluated", status=evaluation.status, alerts=evaluation.alerts)
    except BaseException as error:
        history.note(who, "raised", error=type(error).__name__, text=str(error))
    steps.step("end")
    history.note(who, "ended", steps=steps.count)


def in_parts(
    definition: JobDefinition, plan: dict[str, Any], ports: Ports, run: RunInfo, told: Callable[[Any], None]
) -> JobSummary:
    """The tasks of a group, one after the other; ``plan["group"]`` is the run that they belong to.

    Where a process of the same run died before, its claim goes on, as it does when Airflow runs a task again. What
    counts as the attempt is the merge.
    """
    kept = Path(plan["world"]["folder"]) / f"group-{plan.get('group', plan['who'])}.json"
    if kept.exists():
        parts = [PartReference(**part) for part in json.loads(kept.read_text())]
    else:
        parts = list(claim_job(definition, window(plan["day"]), ports, run=run))
        kept.write_text(json.dumps([part.to_dict() for part in parts]))
    for part in parts:
        if {p.part: p.state for p in ports.store.parts(part.job_id, part.token)}.get(part.part) != "staged":
            profile_part(part, ports)
    return merge_and_commit(parts[0], ports, run=run, on_claim=told)


class TaskTimeout(BaseException):
    """What Airflow raises wherever the task stands when its ``execution_timeout`` has passed."""


def _timed_out(_signal: int, _frame: Any) -> None:
    raise TaskTimeout("the task took too long")


def _interrupted(_signal: int, _frame: Any) -> None:
    # What the operator's on_kill does with Airflow's SIGTERM.
    raise JobInterrupted("the task was told to stop")


def prepare(plan: dict[str, Any]) -> None:
    """Make the store's tables and, unless the case is fresh, run and evaluate the first window."""
    world = World.of(plan["world"])
    store = Doors(world, plan, Steps(plan, History(world.history))).store
    store.migrate()
    if not world.case.fresh:
        attempt(plan | {"day": 0})


def report(plan: dict[str, Any]) -> None:
    """Report ``plan["rows"]`` as actuals, under the reporter's own name as key."""
    logging.disable(logging.CRITICAL)
    world = World.of(plan["world"])
    os.environ["TMPDIR"] = str(world.folder / "tmp")
    store = Doors(world, plan, Steps(plan, History(world.history))).store
    columns = {"association_id": "key", "value": "paid"}
    report_actuals(store, plan["rows"], world.case.definition(), key=plan["who"], columns=columns)


def take(plan: dict[str, Any]) -> None:
    """What a person does to a batch: ``plan["action"]`` is ``lock``, ``unlock`` or ``delete``."""
    world = World.of(plan["world"])
    history = History(world.history)
    store = Doors(world, plan | {"wait": 20.0}, Steps(plan, history)).store
    try:
        if plan["action"] == "delete":
            store.delete_batch(plan["batch"], by="a person")
        else:
            store.lock_batch(plan["batch"], locked=plan["action"] == "lock", by="a person")
        history.note(plan["who"], "took", batch=plan["batch"])
    except Exception as error:
        history.note(plan["who"], "raised", error=type(error).__name__, text=str(error))


def hold(plan: dict[str, Any]) -> None:
    """Hold a SQLite file's write lock until killed; a file beside it says when. Ends where another has it."""
    connection = sqlite3.connect(plan["path"], isolation_level=None, timeout=0.2)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return
    Path(f"{plan['path']}.held").touch()
    signal.pause()
