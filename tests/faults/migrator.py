"""Migrates stores in processes that are killed or frozen on the way: tests start it as a script.

It answers one JSON line with one: ``{"url": ..., "at": n, "do": "KILL"}`` starts a process that migrates and sends
itself that signal at its nth step (0: never), and gets its id; ``{"reap": pid}`` gets the way it ended, or null while
it lives. A step is a statement, the COMMIT, or the return of the connection after it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa
from alembic import command

from airflow_monitoring_provider.exceptions import MonitoringError
from airflow_monitoring_provider.store import schema
from airflow_monitoring_provider.store.engine import open_engine

__all__ = ["command", "psycopg"]  # loaded once, not by every fork


def migrate(url: str, at: int, do: str, told: str | None = None, **limits: float) -> None:
    """Migrate; the file ``told`` says ``done``, ``nothing to do`` or the error, and how many steps there were."""
    engine, count = open_engine(url, **limits), 0

    def step(*_: Any) -> None:
        nonlocal count
        count += 1
        if count == at:
            os.kill(os.getpid(), signal.Signals[f"SIG{do}"])

    for event in ("before_cursor_execute", "commit", "checkin"):
        sa.event.listen(engine, event, step)
    try:
        text = "done" if schema.migrate(engine) else "nothing to do"
    except MonitoringError as error:
        text = f"{type(error).__name__}: {error}"
    if told is not None:
        Path(told).write_text(json.dumps([text, count]))


def main() -> None:
    """Serve until the other end closes."""
    for line in iter(sys.stdin.readline, ""):
        asked = json.loads(line)
        if "reap" in asked:
            pid, status = os.waitpid(asked["reap"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif (answer := os.fork()) == 0:
            migrate(**asked)
            os._exit(0)
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
