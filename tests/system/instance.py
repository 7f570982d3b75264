"""A real instance in a home of its own, started by the code behind ``make up``, and its REST API."""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import fcntl
import json
import signal
import sqlite3
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


@dataclasses.dataclass(frozen=True)
class Instance:
    """A running Airflow and the things it works on."""

    address: str
    home: Path
    intake: Path

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """One call of ``/api/v2``; the answer, or ``{"status": code, …}`` where it is an error.

        SQLite lets one writer in at a time, and Airflow answers 500 or 503 to the one that has waited for long.
        """
        for _ in range(10):
            answer = self._call(method, f"{self.address}/api/v2{urllib.parse.quote(path, safe='/?=&')}", body)
            if answer.get("status") not in (500, 503):
                return answer
            time.sleep(1)
        raise AssertionError(f"{method} {path} keeps answering {answer}")

    @staticmethod
    def until(condition: Callable[[], Any], what: str, seconds: float = 240) -> Any:
        """Ask again until there is an answer, and return it."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if answer := condition():
                return answer
            time.sleep(0.3)
        raise AssertionError(f"{what} did not come within {seconds:.0f} seconds")

    def _call(self, method: str, url: str, body: Any) -> Any:
        request = urllib.request.Request(url, method=method)  # noqa: S310 - own address
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        request.add_header("Accept", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                text = answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return {"status": error.code, "detail": error.read().decode()}
        return json.loads(text) if text else {}

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of a page."""
        with urllib.request.urlopen(self.address + path, timeout=30) as answer:  # noqa: S310
            return answer.status, answer.read().decode()

    def succeeded(self, dag_id: str, run_id: str, seconds: float = 240) -> dict[str, Any]:
        """The run once it has ended, which must be well; else the failed tasks' logs tell why."""
        run = self.finished(dag_id, run_id, seconds)
        if run["state"] != "success":
            logs = {
                name: self.log(dag_id, run_id, name, task["try_number"])
                for name, task in self.tasks(dag_id, run_id).items()
                if task["state"] == "failed"
            }
            raise AssertionError(f"run {run_id} of {dag_id} ended as {run['state']}: {logs}")
        return run

    def knows(self, *dag_ids: str) -> None:
        """Wait until it has read these DAGs."""
        wanted = set(dag_ids)

        def known() -> bool:
            return wanted <= {dag["dag_id"] for dag in self.rest("GET", "/dags?limit=100")["dags"]}

        self.until(known, f"the DAGs {', '.join(dag_ids)}")

    def start(self, dag_id: str, run_id: str, **conf: str) -> None:
        """Start a run without a logical date."""
        body = {"logical_date": None, "dag_run_id": run_id, "conf": conf}
        answer = self.rest("POST", f"/dags/{dag_id}/dagRuns", body)
        assert answer.get("status") in (None, 409), answer

    def finished(self, dag_id: str, run_id: str, seconds: float = 240) -> dict[str, Any]:
        """The run once it has ended."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        run: dict[str, Any] = self.until(
            lambda: (run := self.rest("GET", path)).get("state") in ("success", "failed") and run,
            f"the end of run {run_id}",
            seconds,
        )
        return run

    def tasks(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """The task instances of a run, by task id."""
        found = self.rest("GET", f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task for task in found}

    def returned(self, dag_id: str, run_id: str, task_id: str = "run_job") -> dict[str, Any]:
        """What a task returned."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value?deserialize=true"
        answer = self.rest("GET", path)
        assert "value" in answer, answer
        value: dict[str, Any] = answer["value"]
        return value

    def log(self, dag_id: str, run_id: str, task_id: str, try_number: int = 1) -> str:
        """What one try of a task logged: the messages, and whole records of errors."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}?full_content=true"
        records = self.rest("GET", path)["content"]
        return "\n".join(json.dumps(r) if r.get("level") == "error" else r["event"] for r in records)

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds in the intake's database, where outputs are written too."""
        with contextlib.closing(sqlite3.connect(self.intake)) as connection:
            return connection.execute(query).fetchall()

    def store(self) -> Any:
        """The instance's own store, opened beside it."""
        import fsspec

        from airflow_monitoring_provider.store.engine import open_engine
        from airflow_monitoring_provider.store.storage import Storage
        from airflow_monitoring_provider.store.store import MonitoringStore

        folder = self.home / "monitoring"
        storage = Storage(fsspec.filesystem("file"), str(folder / "storage"))
        return MonitoringStore(open_engine(f"sqlite:///{folder / 'store.sqlite'}"), storage=storage, embedded=True)


@contextlib.contextmanager
def running(
    modules: tuple[Any, Any], folder: Path, intake: Path, *, rescan_seconds: int, settings: str = ""
) -> Iterator[Instance]:
    """A whole healthy instance that knows the DAGs in ``dags`` of a folder; gone afterwards, whatever happens.

    :param modules: ``home`` and ``instance`` of the demo.
    :param intake: the SQLite file that connection ``scores_db`` names.
    :param settings: more sections for ``airflow.cfg``.
    """
    home_module, instance_module = modules
    home = home_module.Home(folder=folder / "home", dags=folder / "dags", rescan_seconds=rescan_seconds)
    home.prepare()
    with (home.folder / "airflow.cfg").open("a") as config:
        config.write(settings)
    with alone(folder.parents[1] / "instance.lock"), _ended(home.folder, instance_module):
        address, process = instance_module.up(home, 0)
        started = Instance(address=address, home=home.folder, intake=intake)
        connection = {"connection_id": "scores_db", "conn_type": "sqlite", "host": str(intake)}
        assert started.rest("POST", "/connections", connection).get("status") in (None, 409)
        yield started
    process.wait()


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One instance at a time, whichever of pytest's workers wants one: each is enough for a small machine."""
    faulthandler.cancel_dump_traceback_later()  # to wait for another's end is no hang; all that follows has its limits
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def _ended(home: Path, instance_module: Any) -> Iterator[None]:
    """Stop the instance in any case: a shell waits for this process to end, should it be killed before it can.

    Parts that a test started anew have sessions of their own, which it wrote into files beside the first one's.
    """
    script = 'read -r _; for f in "$1"/*.pid; do [ -f "$f" ] && kill -KILL $(ps -o pid= -s "$(cat "$f")"); done; true'
    watch = subprocess.Popen(
        ["sh", "-c", script, "sh", str(home)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        sessions = []
        for file in sorted(home.glob("*.pid")):
            sessions.append(int(file.read_text()))
            _stop(instance_module, sessions[-1])
        assert watch.stdin is not None
        watch.stdin.close()
        watch.wait()
        assert [] == [member for session in sessions for member in instance_module._members(session)]


def _stop(instance_module: Any, session: int) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        instance_module._signal(session, number)
        if instance_module._gone(session):
            return
