"""The same windows in order, one after the other, in a fresh store and without Airflow: what must come out."""

from __future__ import annotations

import datetime as dt
import shutil
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.definitions import load_definition, resolve_window
from airflow_monitoring_provider.intake.source import open_source
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.outputs.output import open_writer
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore
from system.ledger import Ledger


def undisturbed(payload: Mapping[str, Any], days: Iterable[int], intake: Path, folder: Path) -> Ledger:
    """Run and evaluate days of March 2026 in an empty folder; the definition's data store is a copy of ``intake``."""
    database = folder / "scores.sqlite"
    shutil.copy(intake, database)
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE pace SET rounds = 1")
    connection.close()
    definition = load_definition(payload)
    output = definition.output_settings
    assert output is not None
    settings = definition.monitoring_output_settings
    engine = sa.create_engine(f"sqlite:///{database}")
    storage = Storage.local(folder / "storage")
    with MonitoringStore(open_engine(f"sqlite:///{folder / 'store.sqlite'}"), storage=storage, embedded=True) as store:
        ports = Ports(
            store=store,
            source=lambda definition, intake, order_by: open_source(intake, engine=engine, order_by=order_by),
            writer=lambda definition: open_writer(
                output,
                identifiers=settings.unique_row_identifier_columns,
                status_column=settings.monitored_status_column,
                csv=definition.csv_settings,
                engine=engine,
            ),
        )
        for day in sorted(days):
            start = dt.datetime(2026, 3, day, tzinfo=dt.UTC)
            interval = (start, start + dt.timedelta(days=1))
            window = resolve_window(
                definition, params={}, data_interval=interval, partition_key=None, run_after=None, scheduled=True
            )
            evaluate_job(run_job(definition, window, ports).job_id, definition, store)
    engine.dispose()
    return Ledger(store=folder / "store.sqlite", output=database, definition=definition.id)
