"""Monitoring DAGs over the same rows whose reading, writing and committing can be made slow, one definition at a time.

Everything is slow because a database is: views, and triggers that the databases themselves run, count to a number that
a row of the table ``pace`` gives. The values are the same at every pace.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sqlite3
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from system import parts
from system.instance import Instance
from system.ledger import Ledger, difference, is_locked
from system.undisturbed import undisturbed

STAGES = ("read", "write", "commit")
SHORTEST, LONGEST = 5, 60  # seconds without API server
NAMES = (
    "cleared",
    "shuffled",
    "task_killed",
    "worker_killed",
    "machine_killed",
    "scheduler_killed",
    "host_killed",
    f"away_start_{LONGEST}",
    *(f"away_{stage}_{seconds}" for stage in STAGES for seconds in (SHORTEST, 20, LONGEST)),
)
# A living task on a busy machine must not be taken for dead: it would be begun again, which keeps the machine busy.
SETTINGS = """
[scheduler]
task_instance_heartbeat_timeout = 45
task_instance_heartbeat_timeout_detection_interval = 2
scheduler_health_check_threshold = 25
orphaned_tasks_check_interval = 3
"""
ENDLESS = 2_000_000  # counts per row: minutes for a day of rows
SLOW = 20_000  # counts per row: more than a second
_COUNT = "WITH RECURSIVE count(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM count WHERE n < {}) SELECT max(n) FROM count"
_DAG_FILE = '''"""A DAG for every definition, and a second one that works on the same windows; retries come soon."""

import json
import time
from datetime import timedelta
from pathlib import Path

from airflow_monitoring_provider.dags import monitoring_dag


def wait(context):
    """Hold a task of ``away_start_...`` when all is ready and its operator is not yet called."""
    dag_id = context["dag"].dag_id
    if "__away_start_" in dag_id:
        (Path(__file__).parent / f"{dag_id}.ready").touch()
        time.sleep(4)


for path in sorted((Path(__file__).parent / "definitions").glob("*.json")):
    for name in ("monitoring__" + path.stem, *(["again__shuffled"] if path.stem == "shuffled" else [])):
        # An Airflow that is away spends retries: a task that cannot tell that it starts has failed.
        seconds = int(path.stem.rpartition("_")[2]) // 3 if path.stem.startswith("away_") else 1
        arguments = {"retries": 3, "retry_delay": timedelta(seconds=seconds), "on_execute_callback": wait}
        globals()[name] = monitoring_dag(
            json.loads(path.read_text()), dag_id=name, max_active_runs=4, default_args=arguments
        )
'''


def definition(name: str) -> dict[str, Any]:
    """The definition called ``name``; ``shuffled`` compares with its first window, the others with a data set."""
    table = {"type": "sql", "data_store_id": "scores_db"}
    reference = {
        "type": "reference",
        "intake_settings": {**table, "table": "scores"},
        "start": "2026-03-01T00:00:00Z",
        "end": "2026-03-02T00:00:00Z",
    }
    return {
        "name": name,
        "deployment_id": name,
        "intake_settings": {**table, "table": f"{name}_scores"},
        "timestamp_column": "at",
        "monitoring_columns": {
            "predictions_columns": [{"class_name": "yes", "column_name": "churn_probability"}],
            "actuals_value_column": "churned",
            "association_id_column": "id",
        },
        "features": ["amount", "region"],
        "baseline": {"type": "first_window"} if name == "shuffled" else reference,
        "output_settings": {
            **table,
            "table": f"{name}_monitoring",
            "statement_type": "insert",
            "create_table_if_not_exists": True,
        },
        "monitoring_output_settings": {"unique_row_identifier_columns": ["id"], "monitored_status_column": "status"},
        "schedule": "0 0 * * *",
        "start_date": "2026-03-01T00:00:00Z",
        "end_date": "2026-03-07T00:00:00Z",  # long ago: the scheduler itself starts nothing
    }


def create_paces(database: Path) -> None:
    """A view of the rows for every definition, each with a pace of its own."""
    with contextlib.closing(sqlite3.connect(database)) as connection:
        connection.execute("CREATE TABLE pace (name TEXT PRIMARY KEY, rounds INTEGER NOT NULL)")
        for name in NAMES:
            connection.execute("INSERT INTO pace VALUES (?, 1)", (name,))
            # The row's id keeps SQLite from counting once for all rows.
            count = _COUNT.format(f"(SELECT rounds FROM pace WHERE name = '{name}') + 0 * scores.id")
            connection.execute(f"CREATE VIEW {name}_scores AS SELECT * FROM scores WHERE ({count}) > 0")
        connection.commit()


def _create_brake(database: Path, table: str, name: str, condition: str) -> None:
    """A trigger that counts, inside the writer's own transaction, before a row of a table is written.

    A trigger's statement may not begin with WITH, so a view counts.
    """
    count = _COUNT.format("pace.rounds + 0 * length(pace.name)")
    with contextlib.closing(sqlite3.connect(database, timeout=30)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS pace (name TEXT PRIMARY KEY, rounds INTEGER NOT NULL)")
        connection.execute("INSERT OR IGNORE INTO pace VALUES (?, 1)", (f"brake_{name}",))
        connection.execute(f"CREATE VIEW IF NOT EXISTS brake AS SELECT name, ({count}) AS n FROM pace")
        connection.execute(
            f"CREATE TRIGGER IF NOT EXISTS brake_{name} BEFORE {table} WHEN {condition}"
            f" BEGIN SELECT n FROM brake WHERE name = 'brake_{name}'; END"
        )
        connection.commit()


def create_dags(folder: Path) -> None:
    """The DAG file and its definitions."""
    (folder / "definitions").mkdir(parents=True)
    for name in NAMES:
        (folder / "definitions" / f"{name}.json").write_text(json.dumps(definition(name)))
    (folder / "paced.py").write_text(_DAG_FILE)


@dataclasses.dataclass(frozen=True)
class Paced:
    """The instance, the paces, and what its definitions left.

    :param untouched: the intake as it was before any job.
    """

    instance: Instance
    untouched: Path

    @property
    def store(self) -> Path:
        """The SQLite file of the store."""
        return self.instance.home / "monitoring" / "store.sqlite"

    def ledger(self, name: str) -> Ledger:
        """What store and output say of a definition."""
        return Ledger(store=self.store, output=self.instance.intake, definition=name)

    def dag_id(self, name: str) -> str:
        """The DAG of a definition."""
        return f"monitoring__{name}"

    def answers(self) -> bool:
        """Whether the API server does."""
        try:
            return bool(self.instance.page("/api/v2/version")[0] == 200)
        except OSError:
            return False

    def set_pace(self, name: str, rounds: int, stage: str = "read") -> None:
        """How slowly a definition's jobs read, write or commit from the next statement or transaction on.

        Writing is slow at the marker's completion, when all rows are written and none is committed; committing is slow
        at the profile. Both need the tables that a first job makes.
        """
        database, entry = self.instance.intake, name
        if stage == "write":
            entry = f"brake_{name}"
            condition = f"NEW.definition_id = '{name}' AND NEW.state = 'complete'"
            _create_brake(database, "UPDATE ON monitoring_output_markers", name, condition)
        elif stage == "commit":
            database, entry = self.store, f"brake_{name}"
            condition = f"NEW.job_id IN (SELECT id FROM monitoring_jobs WHERE definition_id = '{name}')"
            _create_brake(database, "INSERT ON monitoring_profiles", name, condition)
        with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
            assert 1 == connection.execute("UPDATE pace SET rounds = ? WHERE name = ?", (rounds, entry)).rowcount
            connection.commit()

    def start(self, name: str, day: int) -> str:
        """Start a run of a definition's DAG over a day; its run id."""
        window = {"window_start": f"2026-03-{day:02d}T00:00:00Z", "window_end": f"2026-03-{day + 1:02d}T00:00:00Z"}
        self.instance.start(self.dag_id(name), f"day-{day}", **window)
        return f"day-{day}"

    def process(self, name: str, day: int) -> int:
        """The process of the job over a day, once the job has begun to read."""
        self.instance.until(lambda: self.ledger(name).lines(day), f"the first report of {name}")
        return self.task_process(name, day)

    def task_process(self, name: str, day: int) -> int:
        """The process of a task that runs, whatever it does by now."""

        def pid() -> int | None:
            task = self.instance.tasks(self.dag_id(name), f"day-{day}").get("run_job", {})
            return task["pid"] if task.get("state") == "running" else None

        found = int(self.instance.until(pid, f"the process of {name}"))
        assert parts.lives(found)
        return found

    def is_in(self, name: str, day: int, stage: str) -> bool:
        """Whether a job is in a stage, and if that is one that writes, inside its transaction."""
        told = "".join(self.ledger(name).lines(day))
        if stage == "start":
            return (self.instance.home.parent / "dags" / f"{self.dag_id(name)}.ready").exists() and not told
        if stage == "read":
            return "reading" in told and "compared:" not in told
        if stage == "write":
            return "compared:" in told and "wrote" not in told and is_locked(self.instance.intake)
        return "wrote" in told and is_locked(self.store)

    def broken(self, name: str, days: Iterable[int]) -> list[str]:
        """Which promises are broken, and how store and output differ from those of an undisturbed run."""
        folder = Path(tempfile.mkdtemp(prefix=name, dir=self.untouched.parent))
        calm = undisturbed(definition(name), days, self.untouched, folder)
        assert [] == calm.violations()
        expected, found = calm.facts(), self.ledger(name).facts()
        if name == "shuffled":  # an incident begins with the first of its windows that is evaluated
            del expected["monitoring_alerts"]
        return self.ledger(name).violations() + difference(expected, found)
