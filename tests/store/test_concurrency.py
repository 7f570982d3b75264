"""Real processes on one store: the newest claim wins, whatever the others do, and nobody waits for ever."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import store_tables
from airflow_monitoring_provider.definitions.terms import JobState
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import OutcomeUnknown, StoreUnavailable
from airflow_monitoring_provider.store import schema, tables
from airflow_monitoring_provider.store.engine import open_engine, reading
from airflow_monitoring_provider.store.records import DefinitionRecord
from airflow_monitoring_provider.store.store import MonitoringStore

Child = Callable[..., subprocess.Popen[str]]
Said = Callable[[subprocess.Popen[str]], Any]


def test_of_eight_processes_on_one_window_the_newest_claim_commits_and_no_other(
    store: MonitoringStore, store_url: str, record: DefinitionRecord, tmp_path: Path, child: Child, said: Said
) -> None:
    rounds = 12
    histories = said(child("compete", url=store_url, storage=str(tmp_path / "storage"), processes=8, rounds=rounds))

    for turn in range(rounds):
        outcomes = dict(history[turn] for history in histories)
        assert list(range(1, 9)) == sorted(outcomes)
        assert {8: "done"} | dict.fromkeys(range(1, 8), "Superseded") == outcomes
    jobs = store.jobs(definition_id=record.id, order="window")
    assert [1008] * rounds == [job.snapshot.rows for job in jobs if job.snapshot]
    assert [1] * rounds == [job.snapshot_revision for job in jobs]
    assert rounds == store.batches("dep-1").total


def test_eight_processes_that_register_one_definition_make_one_revision_each_time(
    store: MonitoringStore, store_url: str, tmp_path: Path, child: Child, said: Said
) -> None:
    histories = said(
        child("register_together", url=store_url, storage=str(tmp_path / "storage"), processes=8, rounds=6)
    )

    assert [[1, 2, 3, 4, 5, 6]] * 8 == histories


def test_eight_processes_that_migrate_do_it_once(database_url: str, child: Child, said: Said) -> None:
    answers = said(child("migrate_together", url=database_url, processes=8))

    assert [False] * 7 + [True] == sorted(answers)
    engine = open_engine(database_url)
    assert schema.SchemaState.CURRENT is schema.schema_state(engine)
    engine.dispose()


def test_an_attempt_that_was_stopped_can_not_commit_when_it_wakes(
    store: MonitoringStore,
    store_url: str,
    record: DefinitionRecord,
    day: Callable[[int], Window],
    snapshot: Any,
    tmp_path: Path,
    child: Child,
    said: Said,
) -> None:
    old = child("attempt", url=store_url, storage=str(tmp_path / "storage"), day=1, rows=1)
    assert 1 == said(old)
    os.kill(old.pid, signal.SIGSTOP)
    newer = store.claim(record, day(1), batch_name="b")
    store.commit(newer, snapshot(2))
    os.kill(old.pid, signal.SIGCONT)
    print("go", file=old.stdin, flush=True)

    assert "Superseded: a newer attempt owns this window; this attempt stopped without writing" == said(old)
    assert b"profile of 2 rows" == store.load_profile(newer.job_id).data
    assert [JobState.SUPERSEDED, JobState.COMPLETED] == [attempt.state for attempt in store.attempts(newer.job_id)]


def test_a_frozen_commit_gives_others_a_clear_error_and_then_the_window(
    postgres_url: str,
    open_store: Callable[..., MonitoringStore],
    definition: Any,
    day: Callable[[int], Window],
    snapshot: Any,
    tmp_path: Path,
    child: Child,
    said: Said,
) -> None:
    store_tables.make(postgres_url)
    store = open_store(postgres_url, wait=0.5)
    record = store.register_definition(definition)
    frozen = child(
        "frozen_commit", url=postgres_url, storage=str(tmp_path / "storage"), day=1, rows=1, statement=6, idle=4.0
    )
    assert 1 == said(frozen)
    os.waitid(os.P_PID, frozen.pid, os.WSTOPPED | os.WNOWAIT)
    rescue = threading.Timer(60, frozen.kill)  # without time limits the claim below would wait for ever
    rescue.daemon = True
    rescue.start()

    with pytest.raises(StoreUnavailable, match=r"locked.*try again"):
        store.claim(record, day(1), batch_name="b")

    deadline = time.monotonic() + 20
    while True:  # PostgreSQL ends the frozen transaction by itself
        try:
            claim = store.claim(record, day(1), batch_name="b")
            break
        except StoreUnavailable:
            assert time.monotonic() < deadline
    rescue.cancel()
    store.commit(claim, snapshot(2))
    os.kill(frozen.pid, signal.SIGCONT)
    assert said(frozen).startswith("StoreUnavailable")
    assert b"profile of 2 rows" == store.load_profile(claim.job_id).data


def test_a_sqlite_file_that_another_process_locks_is_an_error_with_a_sentence_and_can_be_read(
    tmp_path: Path, open_store: Callable[..., MonitoringStore], definition: Any, child: Child, said: Said
) -> None:
    file = tmp_path / "locked.sqlite"
    store = open_store(f"sqlite:///{file}", embedded=True, wait=0.3)
    record = store.register_definition(definition)
    holder = child("hold", path=str(file))
    assert "held" == said(holder)

    began = time.monotonic()
    with pytest.raises(StoreUnavailable) as refused:
        store.register_definition(definition.model_copy(update={"model_version": "2"}))
    assert 0.2 < time.monotonic() - began < 5
    assert "the monitoring store's SQLite file is locked by another process; try again" == str(refused.value)

    assert record == store.register_definition(definition), "what is registered already needs no lock"
    print("go", file=holder.stdin, flush=True)
    assert "free" == said(holder)
    assert 2 == store.register_definition(definition.model_copy(update={"model_version": "2"})).revision


@pytest.fixture
def swallowing_proxy(postgres_url: str) -> Iterator[tuple[str, threading.Event]]:
    """URL of the server behind a proxy that, once the event is set, passes a COMMIT on and hangs up."""
    url = sa.make_url(postgres_url)
    folder = str(url.query["host"]) if "host" in url.query else ""
    server = (f"{folder}/.s.PGSQL.{url.port or 5432}", socket.AF_UNIX) if folder else ((url.host, url.port), None)
    armed = threading.Event()
    front = socket.create_server(("127.0.0.1", 0))

    def connect_back() -> socket.socket:
        if server[1] is None:
            return socket.create_connection(server[0])
        back = socket.socket(socket.AF_UNIX)
        back.connect(server[0])
        return back

    def forward(source: socket.socket, target: socket.socket, hang_up: Callable[[bytes], bool]) -> None:
        try:
            while data := source.recv(65536):
                target.sendall(data)
                if hang_up(data):
                    time.sleep(0.5)  # the server does it, the answer is lost
                    break
        except OSError:
            pass
        for end in (source, target):
            end.close()

    def serve() -> None:
        while True:
            try:
                client, _ = front.accept()
            except OSError:
                return
            back = connect_back()
            mute = threading.Event()

            def swallows(data: bytes, mute: threading.Event = mute) -> bool:
                if armed.is_set() and b"COMMIT\0" in data:
                    mute.set()
                return mute.is_set()

            def answers(client: socket.socket, back: socket.socket, mute: threading.Event) -> None:
                try:
                    while data := back.recv(65536):
                        if mute.is_set():
                            break
                        client.sendall(data)
                except OSError:
                    pass
                client.close()

            threading.Thread(target=forward, args=(client, back, swallows), daemon=True).start()
            threading.Thread(target=answers, args=(client, back, mute), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    through = url.set(host="127.0.0.1", port=front.getsockname()[1], query={"sslmode": "disable"})
    yield through.render_as_string(hide_password=False), armed
    front.close()


def test_a_commit_whose_answer_is_lost_is_told_apart_and_found(
    swallowing_proxy: tuple[str, threading.Event],
    postgres_url: str,
    open_store: Callable[..., MonitoringStore],
    definition: Any,
    day: Callable[[int], Window],
    snapshot: Any,
) -> None:
    url, armed = swallowing_proxy
    store_tables.make(postgres_url)
    engine = open_engine(postgres_url)
    store = open_store(url)
    claim = store.claim(store.register_definition(definition), day(1), batch_name="b")
    armed.set()

    with pytest.raises(OutcomeUnknown) as unknown:
        store.commit(claim, snapshot(100))
    armed.clear()

    assert "127.0.0.1" not in str(unknown.value)
    assert store.committed(claim)
    assert 1 == store.commit(claim, snapshot(200)), "trying again finds the first one"
    assert b"profile of 100 rows" == store.load_profile(claim.job_id).data
    with reading(engine) as connection:
        assert 1 == connection.execute(sa.select(sa.func.count()).select_from(tables.profiles)).scalar_one()
    engine.dispose()
