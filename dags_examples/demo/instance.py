"""``make up`` and ``make down``: a whole Airflow on the demo's home, UI included.

It listens on this machine only, because the demo's Airflow asks for no password.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from home import DEMO, SCRIPTS, Home

START_SECONDS = 180
STOP_SECONDS = 30
PROC = Path("/proc")
PARTS = ("metadatabase", "scheduler", "triggerer", "dag_processor")


def up(home: Home, port: int) -> tuple[str, subprocess.Popen[bytes]]:
    """Start ``airflow standalone``, wait until all of it is healthy, and return its address and its first process.

    :param port: of the UI and the API; 0 takes a free one. The servers that only hand out logs take free ones always.
    """
    if not home.database.exists():
        raise SystemExit("There is no demo yet: run `make demo` first.")
    if (leader := _leader(home)) and _members(leader):
        raise SystemExit(f"It is up already (process {leader}); `make down` stops it.")
    port = _free_port(port)
    address = f"http://localhost:{port}"
    settings = home.environment(
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=str(port),
        AIRFLOW__API__BASE_URL=address,
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{port}/execution/",
        AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(_free_port(0)),
        AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT=str(_free_port(0)),
    )
    with _log_file(home).open("w") as log:
        process = subprocess.Popen(
            [str(SCRIPTS / "airflow"), "standalone"],
            env=settings,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    _pid_file(home).write_text(str(process.pid))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit(f"Airflow ended at once with {process.returncode}; see {_log_file(home)}")
        if _healthy(address):
            return address, process
        time.sleep(0.5)
    down(home)
    raise SystemExit(f"Airflow was not healthy after {START_SECONDS} seconds; see {_log_file(home)}")


def down(home: Home) -> bool:
    """Stop it, wait until all of its processes are gone, and say whether there was one."""
    leader = _leader(home)
    running = bool(leader and _members(leader))
    if running:
        _signal(leader, signal.SIGTERM)
        if not _gone(leader):
            _signal(leader, signal.SIGKILL)
            _gone(leader)
    _pid_file(home).unlink(missing_ok=True)
    return running


def _pid_file(home: Home) -> Path:
    return home.folder / "standalone.pid"


def _log_file(home: Home) -> Path:
    return home.folder / "standalone.log"


def _leader(home: Home) -> int:
    """The process that started all others of the instance, alive or not; 0 where none was started."""
    try:
        return int(_pid_file(home).read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _members(leader: int) -> list[int]:
    """Living processes of the instance: those of its session, for a task's process has a group of its own.

    One that has ended stays in the list of processes until its parent asks for it, and after a restart of the machine
    the leader's number may be somebody else's, so both are looked at. Where there is no ``/proc``, only the leader's
    group is known.
    """
    if (PROC / "self" / "stat").exists():
        return [int(folder.name) for folder in PROC.glob("[0-9]*") if _is_member(folder, leader)]
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return []
    return [leader]


def _is_member(folder: Path, leader: int) -> bool:
    try:
        state, _, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
        return session == str(leader) and state not in "ZX" and b"airflow" in (folder / "cmdline").read_bytes()
    except OSError:
        return False


def _signal(leader: int, number: signal.Signals) -> None:
    """To the components, which end their tasks themselves; and when it is the last resort, to every process."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, number)
    if number == signal.SIGKILL:
        for member in _members(leader):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, number)


def _gone(leader: int) -> bool:
    deadline = time.monotonic() + STOP_SECONDS
    while _members(leader):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _free_port(wanted: int) -> int:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
        except OSError:
            raise SystemExit(f"Port {wanted} is taken; choose another, as in `make up PORT=8090`.") from None
        port: int = listener.getsockname()[1]
        return port


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 - own address
            health = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in PARTS)


def main(command: list[str]) -> None:
    """``up`` or ``down`` of the demo's instance; the environment variable PORT chooses the port."""
    if command == ["up"]:
        address, _ = up(DEMO, int(os.environ.get("PORT", "8080")))
        print(f"Airflow is up: {address}  (no password; `make down` stops it; log: {_log_file(DEMO)})")
    elif command == ["down"]:
        print("Airflow is down." if down(DEMO) else "Airflow was not up.")
    else:
        raise SystemExit("usage: instance.py up | down")


if __name__ == "__main__":
    main(sys.argv[1:])
