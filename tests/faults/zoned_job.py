"""A job over one window in a process with a zone of its own; says as JSON everything that must not depend on it.

Started as a script: ``zoned_job.py <PostgreSQL URL> <folder> fill|read``. ``TZ`` is the machine's zone, ``PGTZ`` that
of PostgreSQL's sessions. The same rows are in PostgreSQL, SQLite, CSV and Parquet.
"""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import load_definition, resolve_window
from airflow_monitoring_provider.intake.source import open_source
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.outputs.output import open_writer
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

ZONE = "America/New_York"
FIRST = dt.datetime(2026, 3, 7)  # noqa: DTZ001 - a wall clock; New York skips an hour on the 8th
COLUMNS: dict[str, Any] = {
    "id": sa.BigInteger(),
    "at": sa.DateTime(),
    "seen": sa.DateTime(timezone=True),
    "day": sa.Date(),
    "told": sa.Text(),
    "score": sa.Float(),
}


def rows() -> list[dict[str, Any]]:
    """Three days: naive, aware, date and text."""
    made = []
    for n in range(3 * 144):
        wall = FIRST + dt.timedelta(minutes=10 * n, microseconds=n)
        seen = dt.datetime(2026, 3, 7, tzinfo=dt.UTC) + dt.timedelta(minutes=11 * n)
        made.append(
            {"id": n, "at": wall, "seen": seen, "day": wall.date(), "told": wall.isoformat(" "), "score": n / 500}
        )
    return made


def fill(engine: sa.Engine) -> None:
    """The table ``rows``."""
    table = sa.Table("rows", sa.MetaData(), *(sa.Column(name, kind) for name, kind in COLUMNS.items()))
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(table.insert(), rows())


def plain(value: Any) -> Any:
    """A value of an output as text that shows its zone."""
    return value.isoformat() if isinstance(value, dt.date) else value


def facts(kind: str, engine: sa.Engine, folder: Path) -> dict[str, Any]:
    """What a job over the rows of one kind leaves behind."""
    database = kind in ("postgresql", "sqlite")
    payload = {
        "name": f"zones {kind}",
        "deployment_id": "zones",
        "intake_settings": {"type": "sql", "data_store_id": "db", "table": "rows"}
        if database
        else {"type": "file", "data_store_id": "files", "url": f"rows.{kind}"},
        "output_settings": {"type": "file", "data_store_id": "files", "url": f"out-{kind}", "format": "csv"},
        "timestamp_column": "at",
        "timestamp_timezone": ZONE,
        "timezone": ZONE,
        "column_types": {"seen": "timestamp", "day": "timestamp", "told": "timestamp"},
        "monitoring_columns": {"predictions_columns": "score", "association_id_column": "id"},
        "features": ["seen", "day", "told"],
        "passthrough_columns": ["at", "seen", "day", "told"],
        "monitoring_output_settings": {"unique_row_identifier_columns": ["id"], "monitored_status_column": "status"},
        "baseline": {"type": "first_window"},
        "schedule": "0 0 * * *",
        "start_date": "2026-03-07T00:00:00",
    }
    definition = load_definition(payload)
    window = resolve_window(
        definition,
        params={},
        data_interval=None,
        partition_key=None,
        run_after=dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC),
        scheduled=True,
    )
    files, root = fsspec.filesystem("file"), str(folder)
    store = MonitoringStore(
        open_engine(f"sqlite:///{folder / f'{kind}.store'}"), storage=Storage.local(folder / "storage"), embedded=True
    )
    ports = Ports(
        store=store,
        source=lambda made, intake, order_by: open_source(
            intake, engine=engine, filesystem=files, root=root, csv=made.csv_settings, order_by=order_by
        ),
        writer=lambda made: open_writer(
            made.output_settings,
            filesystem=files,
            root=root,
            csv=made.csv_settings,
            identifiers=("id",),
            status_column="status",
        ),
    )
    summary = run_job(definition, window, ports)
    stored = store.load_profile(summary.job_id)
    (file,) = store.prediction_files(summary.job_id)
    assert stored is not None
    job = store.job(summary.job_id)
    assert job.snapshot is not None
    (written,) = folder.glob(f"out-{kind}/**/*.csv")
    values = store.load_values(summary.job_id)
    log = pa.Table.from_batches(store.storage.read_predictions(file))
    store.close()
    return {
        "window": window.key(),
        "rows": summary.rows,
        "content_hash": summary.content_hash,
        "profile": hashlib.sha256(stored.data).hexdigest(),
        "values": [json.dumps(dataclasses.asdict(value), sort_keys=True) for value in values],
        "at_profile": [job.snapshot.earliest.isoformat(), job.snapshot.latest.isoformat()]
        if job.snapshot.earliest and job.snapshot.latest
        else None,
        "output": written.read_text(),
        "output_name": written.name,
        "log": [[plain(value) for value in row.values() if value is not None] for row in log.to_pylist()],
    }


def main(url: str, folder: Path, what: str) -> None:
    """Run the job over each kind of intake."""
    postgres, sqlite = sa.create_engine(url), sa.create_engine(f"sqlite:///{folder / 'rows.sqlite'}")
    fill(sqlite)
    if what == "fill":
        fill(postgres)
    with (folder / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(COLUMNS))
        writer.writeheader()
        writer.writerows(row | {"at": row["at"].isoformat(" "), "seen": row["seen"].isoformat()} for row in rows())
    pq.write_table(pa.Table.from_pylist(rows()), folder / "rows.parquet")
    found = {kind: facts(kind, postgres if kind == "postgresql" else sqlite, folder) for kind in KINDS}
    print(json.dumps(found))


KINDS = ("postgresql", "sqlite", "csv", "parquet")

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
