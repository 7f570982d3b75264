"""``make up`` and ``make down``: a whole Airflow on the demo's home, UI included."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import home

PID_FILE = home.HOME / "standalone.pid"
LOG_FILE = home.HOME / "standalone.log"
START_SECONDS = 180
STOP_SECONDS = 30


def up(port: int) -> None:
    """Start ``airflow standalone`` and wait until all of it is healthy."""
    if not (home.HOME / "airflow.db").exists():
        raise SystemExit("There is no demo yet: run `make demo` first.")
    if _running():
        raise SystemExit(f"It is up already (process {PID_FILE.read_text()}); `make down` stops it.")
    address = f"http://localhost:{port}"
    settings = home.environment(
        AIRFLOW__API__PORT=str(port),
        AIRFLOW__API__BASE_URL=address,
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{address}/execution/",
    )
    command = [str(Path(sys.executable).parent / "airflow"), "standalone"]
    with LOG_FILE.open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - a fixed command
            command, env=settings, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    PID_FILE.write_text(str(process.pid))
    for _ in range(START_SECONDS):
        if process.poll() is not None:
            raise SystemExit(f"Airflow ended at once with {process.returncode}; see {LOG_FILE}")
        if _healthy(address):
            print(f"Airflow is up: {address}  (no password; `make down` stops it; log: {LOG_FILE})")
            return
        time.sleep(1)
    down()
    raise SystemExit(f"Airflow was not healthy after {START_SECONDS} seconds; see {LOG_FILE}")


def down() -> None:
    """Stop it and wait until all of its processes are gone."""
    group = _running()
    if group:
        os.killpg(group, signal.SIGTERM)
        for _ in range(STOP_SECONDS * 10):
            if not _running():
                break
            time.sleep(0.1)
        else:
            os.killpg(group, signal.SIGKILL)
    PID_FILE.unlink(missing_ok=True)
    print("Airflow is down." if group else "Airflow was not up.")


def _running() -> int:
    """The process group of a running instance, or 0."""
    if not PID_FILE.exists():
        return 0
    group = int(PID_FILE.read_text())
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return 0
    return group


def _healthy(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/api/v2/monitor/health", timeout=5) as answer:  # noqa: S310 - own address
            health = json.load(answer)
    except (OSError, urllib.error.URLError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "triggerer", "dag_processor"))


if __name__ == "__main__":
    if sys.argv[1:] == ["up"]:
        up(int(os.environ.get("PORT", "8080")))
    elif sys.argv[1:] == ["down"]:
        down()
    else:
        raise SystemExit("usage: instance.py up | down")
