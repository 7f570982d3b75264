"""300 definitions become DAGs in under a second: ``load_monitoring_dags`` over a folder of YAML files.

Beside it stand 300 DAGs of two empty tasks with an Airflow schedule of their own: what Airflow takes by itself.
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import measure

FILES = 300
LIMIT_SECONDS = 1.0
RUNS = 3
DEFINITION = """\
name: churn {number}
deployment_id: churn-model-{number}
intake_settings: {{type: sql, data_store_id: warehouse, table: churn_scores_{number}}}
timestamp_column: scored_at
monitoring_columns:
  predictions_columns: [{{class_name: "yes", column_name: churn_probability}}]
  actuals_value_column: churned
  association_id_column: customer_id
baseline: {{type: first_window}}
output_settings: {{type: sql, data_store_id: warehouse, table: churn_monitoring_{number},
                  statement_type: insert, create_table_if_not_exists: true}}
monitoring_output_settings: {{unique_row_identifier_columns: [customer_id]}}
thresholds:
  psi: {{warning: 0.1, critical: 0.25}}
  roc_auc: {{warning: 0.75, critical: 0.70}}
schedule: "{minute} 3 * * *"
start_date: 2026-01-01
catchup: true
"""


def folder(path: str) -> dict[str, Any]:
    """Seconds of the folder."""
    from airflow_monitoring_provider.dags import load_monitoring_dags

    watch = measure.Stopwatch()
    dags = load_monitoring_dags(path)
    figures = watch.figures()
    if len(dags) != FILES or any(len(dag.tasks) != 2 for dag in dags.values()):
        raise RuntimeError(f"{len(dags)} DAGs of {FILES} definitions")
    return figures


def plain(_path: str) -> dict[str, Any]:
    """Seconds of DAGs without a definition."""
    from airflow.sdk import DAG, BaseOperator, CronDataIntervalTimetable

    watch = measure.Stopwatch()
    for number in range(FILES):
        schedule = CronDataIntervalTimetable(f"{number % 60} 3 * * *", "UTC")
        with DAG(dag_id=f"plain_{number}", schedule=schedule, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
            BaseOperator(task_id="run_job") >> BaseOperator(task_id="evaluate_monitors")
    return {**watch.figures()}


def main() -> None:
    """Measure and print both."""
    print(measure.machine(), flush=True)
    with tempfile.TemporaryDirectory() as home, tempfile.TemporaryDirectory() as path:
        os.environ["AIRFLOW_HOME"] = home
        for number in range(FILES):
            text = DEFINITION.format(number=number, minute=number % 60)
            (Path(path) / f"churn_{number:03d}.yaml").write_text(text, "utf-8")
        commands = {"definitions": measure.child("folder", path), "empty DAGs": measure.child("plain", path)}
        ours, theirs = measure.in_turn(commands, runs=RUNS).values()
    heads = ["300 definitions, s", "300 empty DAGs, s", "definitions / empty DAGs"]
    row = [
        f"{measure.median(ours, 'busy'):.2f}",
        f"{measure.median(theirs, 'busy'):.2f}",
        measure.spread(measure.ratio(ours, theirs, "busy")),
    ]
    measure.table(heads, [row])
    measure.verdict("300 definitions", measure.median(ours, "busy"), LIMIT_SECONDS, unit=" s")


if __name__ == "__main__":
    if not measure.work({"folder": folder, "plain": plain}):
        main()
