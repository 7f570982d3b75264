"""A process that writes and dies: ``child.py sweep {json}`` kills an attempt at its Nth step, for each N or some.

Each round has a database of its own (an SQLite file, or a schema of PostgreSQL) and forks for every attempt, so that
the process which looks has never held a connection of the one that died. Prints one JSON line a round.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlOutput
from airflow_monitoring_provider.outputs.output import Attempt
from airflow_monitoring_provider.outputs.sql import SqlWriter

SCHEMA = pa.schema([("id", pa.int64()), ("carrier", pa.string()), ("monitored_status", pa.string())])
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def engine_of(url: str) -> sa.Engine:
    """An engine that does not wait for the disk: processes die here, and the machine does not."""
    if url.startswith("postgresql"):
        return sa.create_engine(url, connect_args={"options": "-c synchronous_commit=off"})
    engine = sa.create_engine(url)

    @sa.event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

    return engine


class Steps:
    """Counts the steps of an attempt and kills the process at one of them; 0 for none."""

    def __init__(self, fatal: int) -> None:
        self._fatal = fatal
        self._count = 0

    def step(self, *_args: Any, **_options: Any) -> None:
        self._count += 1
        if self._count == self._fatal:
            os.kill(os.getpid(), signal.SIGKILL)


class Round:
    """One database and the attempts at one window in it."""

    def __init__(self, plan: dict[str, Any], number: int) -> None:
        self._plan = plan
        postgres = plan["url"].startswith("postgresql")
        self.schema = f"round_{number}" if postgres else None
        self.url = plan["url"] if postgres else plan["url"] + f".{number}"

    def prepare(self) -> None:
        engine = engine_of(self.url)
        with engine.begin() as connection:
            if self.schema:
                connection.execute(sa.schema.CreateSchema(self.schema))
            if self._plan["table"]:
                columns = [
                    sa.Column("id", sa.BigInteger, primary_key=self._plan["table"] == "unique", autoincrement=False),
                    sa.Column("carrier", sa.Text),
                    sa.Column("monitored_status", sa.Text),
                ]
                table = sa.Table("results", sa.MetaData(), *columns, schema=self.schema)
                table.create(connection)
                if self._plan["there"]:
                    connection.execute(sa.insert(table), [{"id": n, "carrier": "kept"} for n in self._plan["there"]])
        engine.dispose()

    def attempt(self, token: int, ids: list[int], status: str, *, fatal: int = 0) -> int:
        """Write in a child; the number of the signal that ended it, or 0."""
        child = os.fork()
        if child == 0:
            try:
                self._write(token, ids, status, Steps(fatal))
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
                os._exit(3)
            os._exit(0)
        _pid, ended = os.waitpid(child, 0)
        if os.WIFEXITED(ended) and os.WEXITSTATUS(ended):
            raise SystemExit(f"attempt {token} failed")
        return os.WTERMSIG(ended) if os.WIFSIGNALED(ended) else 0

    def _write(self, token: int, ids: list[int], status: str, steps: Steps) -> None:
        engine = engine_of(self.url)
        for event in ("before_cursor_execute", "commit"):  # after a step is before the next one
            sa.event.listen(engine, event, steps.step)
        clock = iter(range(10_000))
        settings = {"type": "jdbc", "data_store_id": "warehouse", "table": "results"} | self._plan["settings"]
        output = SqlOutput(**settings, **({"schema": self.schema} if self.schema else {}))
        writer = SqlWriter(engine, output, identifiers=("id",), wait=20, clock=lambda: float(next(clock)))
        attempt = Attempt("flights", "job-of-the-window", START, START + dt.timedelta(days=1), token, "a store")
        writer.write(_batches(ids, status, steps), attempt)
        steps.step()  # after the last commit
        engine.dispose()

    def seen(self) -> dict[str, Any]:
        """What a reader sees: rows and marker; None where there is no table."""
        engine = engine_of(self.url)
        inspector = sa.inspect(engine)

        def rows(table: str, *columns: str) -> Any:
            if not inspector.has_table(table, schema=self.schema):
                return None
            found = sa.table(table, *map(sa.column, columns), schema=self.schema)
            with engine.connect() as connection:
                return sorted([list(row) for row in connection.execute(sa.select(*found.c))], key=repr)

        state = {
            "rows": rows("results", "id", "monitored_status"),
            "marker": rows("monitoring_output_markers", "token", "state", "row_count"),
        }
        engine.dispose()
        return state


def sweep(plan: dict[str, Any]) -> None:
    """Kill at step 1, 1 + every, … until an attempt ends by itself; after each, look, retry and look again."""
    warm = Round(plan, 0)  # what forks inherit need not be imported and compiled in each of them again
    warm.prepare()
    warm._write(1, plan["rows"], "first", Steps(0))
    warm.seen()
    for fatal in range(1, 1000, plan["every"]):
        round_ = Round(plan, fatal)
        round_.prepare()
        if plan["before"] is not None:
            round_.attempt(1, plan["before"], "first")
        ended = round_.attempt(2, plan["rows"], "second", fatal=fatal)
        after_kill = round_.seen()
        round_.attempt(3, plan["rows"], "second")
        print(json.dumps({"signal": ended, "after_kill": after_kill, "after_retry": round_.seen()}), flush=True)
        if not ended:
            return


def lock(plan: dict[str, Any]) -> None:
    """Hold an SQLite file's write lock until the pipe closes."""
    engine = sa.create_engine(plan["url"])
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        print(json.dumps("locked"), flush=True)
        sys.stdin.read()


def stall(plan: dict[str, Any]) -> None:
    """Take the marker, write a batch, and wait to be killed."""
    engine = sa.create_engine(plan["url"], connect_args={"application_name": plan["name"]})
    output = SqlOutput(type="jdbc", data_store_id="warehouse", table="results", statement_type="insert")
    attempt = Attempt("flights", "job-of-flights-1", START, START + dt.timedelta(days=1), plan["token"], "a store")

    def rows() -> Iterator[pa.RecordBatch]:
        yield from _batches([1, 2], "stale", Steps(0))
        sys.stdin.read()

    SqlWriter(engine, output).write(rows(), attempt)


def file(plan: dict[str, Any]) -> None:
    """Write a file; die in the middle of its rows, or with a limit on the size of files."""
    import resource

    import fsspec

    from airflow_monitoring_provider.definitions import FileOutput
    from airflow_monitoring_provider.outputs.output import open_writer

    if plan.get("limit"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (plan["limit"], plan["limit"]))
    output = FileOutput(type="fileSystem", url=plan["url"])
    writer = open_writer(output, filesystem=fsspec.filesystem("file"), root=plan["root"])
    attempt = Attempt("flights", "job-of-flights-1", START, START + dt.timedelta(days=1), plan["token"], "a store")
    batches = _batches(list(range(plan["count"])), "second", Steps(plan.get("fatal", 0)), size=1000)
    try:
        writer.write(batches, attempt)
    except Exception as error:
        print(json.dumps([type(error).__name__, str(error)]), flush=True)
    else:
        print(json.dumps(["written", ""]), flush=True)


def _batches(ids: list[int], status: str, steps: Steps, size: int = 2) -> Iterator[pa.RecordBatch]:
    for begin in range(0, len(ids), size):
        steps.step()
        part = ids[begin : begin + size]
        rows = [{"id": n, "carrier": f"carrier {n}", "monitored_status": status} for n in part]
        yield pa.RecordBatch.from_pylist(rows, schema=SCHEMA)
    steps.step()


if __name__ == "__main__":
    commands: dict[str, Callable[[dict[str, Any]], None]] = {"sweep": sweep, "lock": lock, "stall": stall, "file": file}
    commands[sys.argv[1]](json.loads(sys.argv[2]))
