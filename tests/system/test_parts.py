"""Jobs in parts on Airflow's executors: real processes on Celery, with PostgreSQL and Redis; on LocalExecutor it is a
step of ``test_instance.py``.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import Window, load_definition
from airflow_monitoring_provider.intake.source import open_source
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.store import schema
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore
from system.celery_instance import WORKERS, on_celery
from system.instance import Instance, alone

pytestmark = pytest.mark.system

ROWS = 40_000
WINDOW = Window.of(dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 3, 3, tzinfo=dt.UTC))
DEFINITION = {
    "name": "wide",
    "deployment_id": "wide",
    "intake_settings": {"type": "sql", "data_store_id": "scores_db", "table": "scores"},
    "timestamp_column": "at",
    "monitoring_columns": {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "association_id_column": "id",
    },
    "features": ["amount", "region"],
    "output_settings": {
        "type": "sql",
        "data_store_id": "scores_db",
        "table": "results",
        "statement_type": "insert",
        "create_table_if_not_exists": True,
    },
    "monitoring_output_settings": {"unique_row_identifier_columns": ["id"], "monitored_status_column": "status"},
    "partitions": {"by": "key", "count": 4},
    "schedule": None,
    "retries": 2,
}
DAG_FILE = """\
from pathlib import Path
from airflow_monitoring_provider.dags import load_monitoring_dags

globals().update(load_monitoring_dags(Path(__file__).parent / "definitions"))
"""


class Wide:
    """The instance, its intake and output, and its store."""

    def __init__(self, instance: Instance, data: str, store: str, storage: Path) -> None:
        self.instance = instance
        self.data = sa.create_engine(data, poolclass=sa.NullPool)
        self.store = MonitoringStore(open_engine(store), storage=Storage.local(storage))
        self.storage = storage

    def parts(self, run: str) -> list[dict[str, Any]]:
        """The mapped tasks of a run."""
        found = self.instance.rest("GET", f"/dags/monitoring__wide/dagRuns/{run}/taskInstances?limit=50")
        tasks = [task for task in found["task_instances"] if task["task_id"] == "run_job.profile_part"]
        return sorted(tasks, key=lambda task: task["map_index"])

    def rows(self) -> dict[str, int]:
        """Statuses in the output."""
        results = sa.table("results", sa.column("status"))
        with self.data.connect() as connection:
            found = connection.execute(sa.select(results.c.status, sa.func.count()).group_by(results.c.status))
            return {row[0]: row[1] for row in found}


@pytest.fixture(scope="module")
def wide(
    demo_scripts: tuple[Any, Any], postgres_server: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Wide]:
    folder = Path(tempfile.mkdtemp(prefix="celery-"))
    admin = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    server = sa.make_url(postgres_server)
    with admin.connect() as connection:
        for name in ("airflow", "monitoring", "scores"):
            connection.exec_driver_sql(f'CREATE DATABASE "{name}"')
    urls = {
        n: server.set(database=n).render_as_string(hide_password=False) for n in ("airflow", "monitoring", "scores")
    }
    (folder / "dags" / "definitions").mkdir(parents=True)
    (folder / "dags" / "definitions" / "wide.json").write_text(json.dumps(DEFINITION))
    (folder / "dags" / "monitoring.py").write_text(DAG_FILE)
    _fill(urls["scores"])
    store = open_engine(urls["monitoring"])
    schema.migrate(store)
    store.dispose()
    host = {"host": server.query["host"], "login": server.username, "password": server.password or ""}
    connections = {
        "AIRFLOW_CONN_SCORES_DB": {"conn_type": "postgres", "schema": "scores", **host},
        "AIRFLOW_CONN_MONITORING_STORE_DEFAULT": {
            "conn_type": "monitoring_store",
            "schema": "monitoring",
            **host,
            "extra": {"storage_root": str(folder / "storage")},
        },
    }
    environment = {name: json.dumps(value) for name, value in connections.items()}
    try:
        lock = tmp_path_factory.getbasetemp().parent / "instance.lock"
        with alone(lock), on_celery(demo_scripts, folder, urls["airflow"], environment) as instance:
            instance.knows("monitoring__wide")
            made = Wide(instance, urls["scores"], urls["monitoring"], folder / "storage")
            yield made
            made.store.close()
    finally:
        with admin.connect() as connection:
            for name in urls:
                connection.exec_driver_sql(f'DROP DATABASE "{name}" WITH (FORCE)')
        shutil.rmtree(folder, ignore_errors=True)


def _fill(url: str) -> None:
    """The table ``scores``: rows that repeat the identifier of an earlier one, and some without a score."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE scores AS SELECT CASE WHEN mod(n, 1000) = 7 THEN n - 1 ELSE n END AS id,"
            " timestamp '2026-03-01' + n * interval '2 seconds' AS at, sin(n) AS amount,"
            " (ARRAY['north', 'south', 'west'])[1 + mod(n, 3)] AS region,"
            " CASE WHEN mod(n, 500) = 3 THEN NULL ELSE (1 + cos(n)) / 2 END AS score"
            f" FROM generate_series(1, {ROWS}) AS n"
        )


def _in_one_task(wide: Wide) -> Any:
    """The job as one call, in a store of its own and without output."""
    definition = load_definition({**DEFINITION, "partitions": None, "output_settings": None})
    storage = Storage.local(wide.storage.parent / "one")
    store = MonitoringStore(open_engine(f"sqlite:///{wide.storage.parent}/one.sqlite"), storage=storage, embedded=True)
    ports = Ports(
        store=store,
        source=lambda _definition, intake, order_by: open_source(intake, engine=wide.data, order_by=order_by),
        writer=lambda _definition: pytest.fail("there is no output"),
    )
    with store:
        return run_job(definition, WINDOW, ports)


def _clear(instance: Instance, run: str, *tasks: Any) -> None:
    """Clear tasks and what stands after them."""
    body = {"dry_run": False, "dag_run_id": run, "task_ids": tasks, "only_failed": False, "include_downstream": True}
    assert instance.rest("POST", "/dags/monitoring__wide/clearTaskInstances", body)["total_entries"] > 1


def test_parts_on_two_celery_workers(wide: Wide, subtests: pytest.Subtests) -> None:
    instance, window = wide.instance, {"window_start": WINDOW.start.isoformat(), "window_end": WINDOW.end.isoformat()}
    instance.start("monitoring__wide", "first", **window)
    instance.succeeded("monitoring__wide", "first", 150)
    summary = instance.returned("monitoring__wide", "first", "run_job.merge_and_commit")
    with subtests.test("parts are tasks, and both workers ran some"):
        assert [(part, "success") for part in range(4)] == [(t["map_index"], t["state"]) for t in wide.parts("first")]
        logs = [(wide.storage.parent / f"worker-{name}.log").read_text() for name in WORKERS]
        assert all("succeeded in" in log for log in logs)
    with subtests.test("the result is that of one task"):
        one = _in_one_task(wide)
        assert (one.content_hash, one.status_counts, ROWS) == (
            summary["content_hash"],
            summary["status_counts"],
            summary["output_rows"],
        )
        assert wide.rows() == one.status_counts
        assert ROWS // 1000 == one.status_counts["rejected:duplicate_identifier"]
    with subtests.test("references travel through Airflow, and nothing is left below the storage root"):
        references = instance.returned("monitoring__wide", "first", "run_job.claim")
        assert [{"job_id", "token", "part", "parts"}] * 4 == [set(reference) for reference in references]
        assert [] == [path for path in (wide.storage / "staged").rglob("*") if path.is_file()]
    with subtests.test("a part that is cleared by itself changes nothing, the group runs anew"):
        _clear(instance, "first", ["run_job.profile_part", 1])
        instance.succeeded("monitoring__wide", "first", 240)
        assert 1 == wide.store.job(summary["job_id"]).snapshot_revision
        _clear(instance, "first", "run_job.claim")
        instance.succeeded("monitoring__wide", "first", 240)
        job = wide.store.job(summary["job_id"])
        assert (2, summary["content_hash"]) == (job.snapshot_revision, job.snapshot.content_hash)
        assert wide.rows() == summary["status_counts"]
