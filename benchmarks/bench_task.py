"""What a job costs as an Airflow task: a DAG of a monitoring job over 1000 rows and of a task that does nothing.

Both run in the same ``dag.test``, several times in one process; the first run, which imports what a job needs, is
told by itself. A task's seconds are those of its task instance, from start to end: claim, profile, comparison,
statuses, commit and Airflow's own work for the one, Airflow's own work alone for the other.

    python benchmarks/bench_task.py --runs 5
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import measure

ROWS = 1000
DAG = """
from airflow.sdk import DAG, task
from airflow_monitoring_provider.operators import MonitoringJobOperator

with DAG("bench_task", schedule=None):

    @task
    def nothing():
        return None

    nothing() >> MonitoringJobOperator(
        task_id="job",
        definition={definition!r},
        window_start="{{{{ dag_run.conf.window_start }}}}",
        window_end="{{{{ dag_run.conf.window_end }}}}",
    )
"""


def runs(folder: str, count: str) -> dict[str, Any]:
    """Seconds of both tasks, run by run."""
    home = Path(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(home / "dags"))
        if bag.import_errors:
            raise RuntimeError(str(bag.import_errors))
        found: dict[str, list[float]] = {"nothing": [], "job": []}
        for number in range(int(count)):
            window = {"window_start": f"2026-03-{number + 1:02d}T00:00:00+00:00"}
            window["window_end"] = f"2026-03-{number + 2:02d}T00:00:00+00:00"
            run = bag.dags["bench_task"].test(run_conf=window)
            for instance in run.get_task_instances():
                if instance.state != "success":
                    raise RuntimeError(f"task {instance.task_id} ended as {instance.state}")
                found[instance.task_id].append((instance.end_date - instance.start_date).total_seconds())
    return {"tasks": found}


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs besides the first one")
    options = parser.parse_args()
    print(measure.machine(), flush=True)
    with tempfile.TemporaryDirectory(prefix="bench-task-") as folder:
        _prepare(Path(folder), options.runs + 1)
        tasks = measure.run(measure.child("runs", folder, options.runs + 1)).more["tasks"]
    lines = [
        [name, f"{first:.3f}", measure.spread((statistics.median(rest), min(rest), max(rest)))]
        for name, (first, *rest) in tasks.items()
    ]
    measure.table(["task", "first run, s", "later runs, s"], lines)
    overhead = [job - nothing for job, nothing in zip(tasks["job"][1:], tasks["nothing"][1:], strict=True)]
    measure.verdict(f"a job of {ROWS} rows beyond a task that does nothing", statistics.median(overhead), 1, unit=" s")


def _prepare(home: Path, days: int) -> None:
    """An Airflow of its own, a table of ``ROWS`` rows a day, and the DAG."""
    from airflow_monitoring_provider.definitions import load_definition

    (home / "dags").mkdir()
    definition = {
        "name": "bench",
        "deploymentId": "bench",
        "intakeSettings": {"type": "sql", "dataStoreId": "bench_db", "table": "scores"},
        "outputSettings": {
            "type": "sql",
            "dataStoreId": "bench_db",
            "table": "results",
            "statementType": "insert",
            "createTableIfNotExists": True,
        },
        "timestampColumn": "at",
        "monitoringColumns": {
            "predictionsColumns": [{"className": "yes", "columnName": "score"}],
            "actualsValueColumn": "churned",
            "associationIdColumn": "id",
        },
        "monitoringOutputSettings": {"uniqueRowIdentifierColumns": ["id"]},
        "baseline": {"type": "firstWindow"},
        "schedule": "0 0 * * *",
        "startDate": "2026-03-01T00:00:00+00:00",
    }
    load_definition(definition)
    (home / "dags" / "bench_task.py").write_text(DAG.format(definition=definition), "utf-8")
    with sqlite3.connect(home / "data.sqlite") as connection:
        connection.execute("CREATE TABLE scores (id INTEGER, at TIMESTAMP, amount REAL, score REAL, churned TEXT)")
        rows = [
            (
                day * ROWS + n,
                f"2026-03-{day + 1:02d} {n * 24 // ROWS:02d}:00:00",
                n * 37 % 100 / 7,
                n % 97 / 97,
                "yn"[n % 2],
            )
            for day in range(days)
            for n in range(ROWS)
        ]
        connection.executemany("INSERT INTO scores VALUES (?, ?, ?, ?, ?)", rows)
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW_CONN_BENCH_DB": json.dumps({"conn_type": "sqlite", "host": str(home / "data.sqlite")}),
    }
    airflow = Path(sys.executable).parent / "airflow"
    subprocess.run([str(airflow), "db", "migrate"], check=True, capture_output=True)


if __name__ == "__main__":
    if not measure.work({"runs": runs}):
        main()
