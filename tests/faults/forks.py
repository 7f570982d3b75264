"""The process that children are forked from: it has imported and built what they need, but has neither threads nor
connections.

It answers one line with one line: ``{"work": name, "plan": {…}}`` with the process id of a new child that runs
``worker.<name>(plan)``, and ``{"reap": pid}`` with the child's exit status (minus a signal's number), or null while it
lives.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

LATE = tuple(f"airflow_monitoring_provider.{room}" for room in ("intake", "outputs", "store", "engines", "jobs"))


class Forks:
    """The other end, for whoever starts children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "faults.forks"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def start(self, work: str, plan: dict[str, Any]) -> int:
        """Start a child; its process id."""
        pid = self._ask({"work": work, "plan": plan})
        assert isinstance(pid, int)
        return pid

    def reap(self, pid: int) -> int | None:
        """How a child ended, or None while it lives; afterwards it may not be asked for again."""
        return self._ask({"reap": pid})

    def _ask(self, question: dict[str, Any]) -> int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
            answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """No more children."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


def _serve() -> None:
    from faults import worker

    _prepare()
    for line in iter(sys.stdin.readline, ""):
        question = json.loads(line)
        if "reap" in question:
            pid, status = os.waitpid(question["reap"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _child(getattr(worker, question["work"]), question["plan"])
        print(json.dumps(answer), flush=True)


def _prepare() -> None:
    """Import what a task imports when it is first needed, and build the models of a definition: half of an attempt."""
    from faults.world import Case

    for package in LATE:
        for module in pkgutil.iter_modules(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    for module_name in ("alembic.command", "croniter"):
        importlib.import_module(module_name)
    for intake, output in (("sqlite", "insert"), ("csv", "csv")):
        Case(intake, output, "sqlite", "sqlite").definition()
    gc.freeze()  # a child's first collection would copy all of this


def _child(work: Any, plan: dict[str, Any]) -> None:
    os.close(0)
    os.dup2(2, 1)  # nothing that a child prints may look like an answer
    status = 1
    try:
        work(plan)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
