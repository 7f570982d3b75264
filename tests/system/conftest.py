"""A real instance in a home of its own, started by the code behind ``make up``; its REST API, store and a browser."""

from __future__ import annotations

import base64
import contextlib
import importlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from websockets.sync.client import ClientConnection, connect

from system.instance import Instance, running
from system.paced import NAMES, SETTINGS, Paced, create_dags, create_paces

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHECKOUT = Path(__file__).parents[2]
FIRST_DAY = datetime(2026, 3, 1)  # noqa: DTZ001 - as the table has it: UTC, not said
ROWS_A_DAY = 250
DAYS = 6
DEFINITION = {
    "name": "churn",
    "deployment_id": "nyc-flights-2013",  # whose results the shipped retraining DAG waits for
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
    "start_date": "2026-03-01T00:00:00Z",
    "end_date": "2026-03-07T00:00:00Z",  # long ago: the scheduler itself starts nothing
    "retries": 2,
}
SLOW_DEFINITION = DEFINITION | {
    "name": "slow",
    "deployment_id": "slow",
    "intake_settings": {"type": "sql", "data_store_id": "scores_db", "table": "endless_scores"},
    "output_settings": DEFINITION["output_settings"] | {"table": "slow_monitoring"},  # type: ignore[operator]
}
IN_PARTS = DEFINITION | {
    "name": "parts",
    "deployment_id": "parts",
    "output_settings": DEFINITION["output_settings"] | {"table": "parts_monitoring"},  # type: ignore[operator]
    "partitions": {"by": "time", "count": 3},
}


class Browser:
    """A page of headless Chromium, driven through its DevTools protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._calls = 0

    def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol, and its answer."""
        self._calls += 1
        self._connection.send(json.dumps({"id": self._calls, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(timeout=30))).get("id") != self._calls:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def read(self, expression: str) -> Any:
        """The value of a JavaScript expression; None where it fails, for example because an element is missing."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return None if "exceptionDetails" in result else result["result"].get("value")

    def wait(self, expression: str, seconds: float = 40) -> Any:
        """The first true value of an expression."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if value := self.read(expression):
                return value
            time.sleep(0.2)
        raise AssertionError(f"not seen within {seconds:.0f} s: {expression}\n{self.read('document.body.innerText')}")

    def click(self, element: str) -> None:
        """Click an element once it is there, where it is, as a mouse does."""
        self.wait(f"!!({element})")
        self.read(f"({element}).scrollIntoView({{block: 'center'}})")
        time.sleep(0.3)  # the form moves while it opens
        x, y = self.wait(f"(b => [b.x + b.width / 2, b.y + b.height / 2])(({element}).getBoundingClientRect())")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, element: str, text: str) -> None:
        """Put text into an input."""
        self.click(element)
        self.call("Input.insertText", text=text)

    def escape(self) -> None:
        """Press the escape key."""
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Escape", code="Escape", windowsVirtualKeyCode=27)

    def picture(self, path: Path) -> None:
        """Save what is seen as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser | None]:
    """An empty page of a browser with a profile of its own; None where there is no browser, and it is no CI."""
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("chromium is not installed; .ci/run installs it")
        yield None
        return
    profile = tmp_path_factory.mktemp("profile")
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1300,1100"]
    process = subprocess.Popen(
        [CHROMIUM, *flags, "--remote-debugging-port=0", f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_page_address(profile / "DevToolsActivePort"), max_size=None) as connection:
            opened = Browser(connection)
            yield opened
            with contextlib.suppress(Exception):
                opened.call("Browser.close")
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()


def _page_address(port_file: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, StopIteration, IndexError):
            port = port_file.read_text().splitlines()[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=5) as answer:
                pages = json.load(answer)
            return str(next(page for page in pages if page["type"] == "page")["webSocketDebuggerUrl"])
        time.sleep(0.2)
    raise AssertionError("the browser did not start within 60 s")


TRIGGERER = """
[triggerer]
triggerer_health_check_threshold = 12
"""
WAITING = """\
from airflow.sdk import DAG
from airflow_monitoring_provider.sensors import MonitoringHealthSensor

with DAG("wait_for_health", schedule=None, is_paused_upon_creation=False):
    MonitoringHealthSensor(
        task_id="wait", deployment_id="waited-for", statuses=["failing"], indicator="service", poke_interval=1
    )
"""


@pytest.fixture(scope="session")
def demo_scripts() -> Iterator[tuple[Any, Any]]:
    """The modules ``home`` and ``instance`` of the demo, which live beside their scripts and in no package."""
    folder = str(CHECKOUT / "dags_examples" / "demo")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("home"), importlib.import_module("instance")
    finally:
        sys.path.remove(folder)


@pytest.fixture(scope="module")
def instance(demo_scripts: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A whole healthy instance that knows the DAGs of a definitions folder; gone afterwards, whatever happens."""
    folder = tmp_path_factory.mktemp("instance")
    intake = folder / "scores.sqlite"
    _create_intake(intake)
    _create_dags(folder / "dags")
    with running(demo_scripts, folder, intake, rescan_seconds=2, settings=TRIGGERER) as started:
        started.knows(
            "monitoring__churn", "monitoring__slow", "monitoring__parts", "retrain_on_drift", "wait_for_health"
        )
        started.rest("PATCH", "/dags/retrain_on_drift", {"is_paused": False})
        yield started


def _create_intake(path: Path) -> None:
    """The table ``scores``: six days; the amount is higher from the third day on. One row a day has no prediction.

    The view ``endless_scores`` repeats the rows more often than a test has time for.
    """
    random = np.random.default_rng(7)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(
            "CREATE TABLE scores"
            " (id INTEGER, at TIMESTAMP, amount REAL, region TEXT, churn_probability REAL, churned TEXT)"
        )
        for day in range(DAYS):
            probabilities = random.uniform(0, 1, ROWS_A_DAY)
            rows = [
                (
                    day * 1000 + i,
                    str(FIRST_DAY + timedelta(days=day, seconds=300 * i)),
                    float(random.normal(day >= 2, 1)),
                    str(random.choice(["north", "south", "west"])),
                    float(probability) if i else None,
                    "yes" if random.uniform() < probability else "no",
                )
                for i, probability in enumerate(probabilities)
            ]
            connection.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.execute(
            "CREATE VIEW endless_scores AS WITH RECURSIVE times(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times"
            " WHERE n < 1000000) SELECT scores.* FROM times CROSS JOIN scores"
        )
        connection.commit()


def _create_dags(folder: Path) -> None:
    (folder / "definitions").mkdir(parents=True)
    for definition in (DEFINITION, SLOW_DEFINITION, IN_PARTS):
        (folder / "definitions" / f"{definition['name']}.yaml").write_text(yaml.safe_dump(definition))
    for example in ("from_yaml_folder.py", "retrain_on_drift.py"):
        shutil.copy(CHECKOUT / "dags_examples" / example, folder)
    (folder / "wait_for_health.py").write_text(WAITING)


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rows, and for every definition of :mod:`system.paced` a view of them."""
    path = tmp_path_factory.mktemp("untouched") / "scores.sqlite"
    _create_intake(path)
    create_paces(path)
    return path


@pytest.fixture(scope="module")
def paced(demo_scripts: tuple[Any, Any], untouched: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paced]:
    """An instance whose jobs are as slow as a test wants, and which notices dead workers within seconds."""
    folder = tmp_path_factory.mktemp("paced")
    intake = folder / "scores.sqlite"
    shutil.copy(untouched, intake)
    create_dags(folder / "dags")
    with running(demo_scripts, folder, intake, rescan_seconds=60, settings=SETTINGS) as started:
        started.knows(*(f"monitoring__{name}" for name in NAMES), "again__shuffled")
        yield Paced(started, untouched=untouched)
