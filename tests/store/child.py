"""Another process that uses the store: started by tests as a script, it says JSON lines and does what it reads.

Product code has no hooks for faults; they come from engine events and signals here.
"""

from __future__ import annotations

import datetime as dt
import json
import multiprocessing
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions.load import load_definition
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import MonitoringError
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.store import schema
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.log_columns import prediction_schema
from airflow_monitoring_provider.store.records import Claim, DefinitionRecord, Snapshot
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore


def say(what: Any) -> None:
    print(json.dumps(what), flush=True)


def heard() -> str:
    return sys.stdin.readline().strip()


def window(day: int) -> Window:
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day - 1)
    return Window.of(start, start + dt.timedelta(days=1))


def snapshot(rows: int, files: tuple[Any, ...] = ()) -> Snapshot:
    value = MetricValue("row_count", ResultKind.DATA_QUALITY, Direction.TWO_SIDED, float(rows))
    return Snapshot(
        profile_bytes=b"profile of %d rows" % rows,
        content_hash=f"content-{rows}",
        plan_hash="plan",
        format_version=1,
        rows=rows,
        status_counts={"monitored": rows},
        values=[value],
        scored=rows,
        prediction_files=files,
    )


def open_store(url: str, storage: str, **limits: float) -> MonitoringStore:
    return MonitoringStore(open_engine(url, **limits), storage=Storage.local(storage), embedded=True)


def registered(store: MonitoringStore, **members: Any) -> DefinitionRecord:
    payload = {
        "name": "Flights",
        "deploymentId": "dep-1",
        "intakeSettings": {"type": "jdbc", "dataStoreId": "flights_db", "table": "flights"},
        "monitoringColumns": {"predictionsColumns": "prediction", "associationIdColumn": "id"},
        "enabled": False,
    }
    return store.register_definition(load_definition(payload | members))


def outcome(work: Callable[[], Any]) -> str:
    try:
        work()
    except MonitoringError as error:
        return f"{type(error).__name__}: {error}"
    return "done"


def at_statement(engine: sa.Engine, number: int, what: Callable[[], None]) -> None:
    """Do ``what`` just before the engine's statement (or commit) with this number, counted from now."""
    seen = iter(range(1, number + 1))

    def count(*_: Any) -> None:
        if next(seen, 0) == number:
            what()

    sa.event.listen(engine, "before_cursor_execute", count)
    sa.event.listen(engine, "commit", count)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def attempt(url: str, storage: str, day: int, rows: int) -> None:
    """Claim, say the token, wait for a line, commit, say how that went."""
    store = open_store(url, storage)
    claim = store.claim(registered(store), window(day), batch_name="b")
    say(claim.token)
    heard()
    say(outcome(lambda: store.commit(claim, snapshot(rows))))


def frozen_commit(url: str, storage: str, day: int, rows: int, statement: int, idle: float) -> None:
    """Claim, say the token, and stop for good inside the commit."""
    store = open_store(url, storage, idle_timeout=idle)
    claim = store.claim(registered(store), window(day), batch_name="b")
    say(claim.token)
    at_statement(store._engine, statement, freeze)
    say(outcome(lambda: store.commit(claim, snapshot(rows))))


def killed_commits(url: str, storage: str) -> None:
    """For every number read: claim, write a prediction file, and be killed at that statement of the commit."""
    import pandas  # noqa: F401 - Arrow looks for it when it meets Python objects; once, not in every fork

    while line := heard():
        if (process := os.fork()) == 0:
            store = open_store(url, storage)
            claim = store.claim(registered(store), window(1), batch_name="b")
            at_statement(store._engine, int(line), die)
            store.commit(claim, snapshot(200, (prediction_file(store, claim),)))
            os._exit(0)
        say("done" if os.waitpid(process, 0)[1] == 0 else "killed")


def prediction_file(store: MonitoringStore, claim: Claim) -> Any:
    import pyarrow as pa

    columns = prediction_schema()
    rows = [{"association_id": str(n), "prediction": float(claim.token)} for n in range(3)]
    with store.storage.write_predictions(
        deployment_id=claim.deployment_id,
        batch_id=claim.batch_id,
        job_id=claim.job_id,
        token=claim.token,
        schema=columns,
    ) as writer:
        writer.append(pa.RecordBatch.from_pylist(rows, schema=columns))
        return writer.close()


def together(work: Callable[[int, Any], Any], processes: int) -> list[Any]:
    """What each of several processes gives, that start at the same moment; they may meet again at the barrier."""
    fork = multiprocessing.get_context("fork")
    barrier, answers = fork.Barrier(processes), fork.SimpleQueue()

    def run(number: int) -> None:
        try:
            barrier.wait(60)
            answers.put(work(number, barrier))
        except Exception as error:  # whoever waits must not wait for ever
            barrier.abort()
            answers.put(f"{type(error).__name__}: {error}")

    workers = [fork.Process(target=run, args=(number,)) for number in range(processes)]
    for worker in workers:
        worker.start()
    given = [answers.get() for _ in workers]
    for worker in workers:
        worker.join()
    return given


def compete(url: str, storage: str, processes: int, rounds: int) -> None:
    """Each round all processes claim one new window, and then all commit."""

    def work(number: int, barrier: Any) -> list[Any]:
        store = open_store(url, storage, wait=30)
        record = registered(store)
        history = []
        for day in range(1, rounds + 1):
            barrier.wait(60)
            claim = store.claim(record, window(day), batch_name="b")
            barrier.wait(60)
            result = outcome(lambda claim=claim: store.commit(claim, snapshot(1000 + claim.token)))  # type: ignore[misc]
            history.append([claim.token, result.partition(":")[0]])
        return history

    say(together(work, processes))


def register_together(url: str, storage: str, processes: int, rounds: int) -> None:
    """All processes register the same new definition, then all the same change of it, and so on."""

    def work(number: int, barrier: Any) -> list[int]:
        store = open_store(url, storage, wait=30)
        revisions = []
        for turn in range(rounds):
            barrier.wait(60)
            revisions.append(registered(store, chunkSize=1000 + turn).revision)
        return revisions

    say(together(work, processes))


def migrate_together(url: str, processes: int) -> None:
    """All processes migrate; whether each had something to do."""
    say(together(lambda _number, _barrier: schema.migrate(open_engine(url, wait=30)), processes))


def hold(path: str) -> None:
    """Lock a SQLite file, say so, wait for a line, let go."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    say("held")
    heard()
    connection.execute("ROLLBACK")
    say("free")


if __name__ == "__main__":
    COMMANDS: dict[str, Callable[..., None]] = {
        command.__name__: command
        for command in (
            attempt,
            compete,
            frozen_commit,
            hold,
            killed_commits,
            migrate_together,
            register_together,
        )
    }
    COMMANDS[sys.argv[1]](**json.loads(sys.argv[2]))
