"""``make demo``: twelve monthly monitoring jobs over real flight predictions, each as a real Airflow DAG run.

Everything it makes is in ``.airflow/`` of the checkout. Running it again repeats the twelve jobs and changes no count.
"""

from __future__ import annotations

import time
import warnings
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import flights
from home import CHECKOUT, DEMO

DAG_ID = "monitoring__flights_late_arrival"
FLIGHTS = DEMO.folder / "flights.sqlite"
ZONE = ZoneInfo("America/New_York")
MONTHS = range(1, 13)


def main() -> None:
    """Prepare the home and the data, run the DAG twelve times, print what was found."""
    started = time.monotonic()
    DEMO.enter()
    DEMO.prepare()
    rows = flights.create_database(FLIGHTS)
    print(f"{rows:,} flights of 2013, scored with a model fitted on January, are in {_short(FLIGHTS)}")
    _create_connection()
    dag = _load_dag()
    states = {month: _run_month(dag, month) for month in MONTHS}
    failed = [month for month, state in states.items() if state != "success"]
    _print_table()
    print(f"\nTwelve DAG runs of {DAG_ID} in {time.monotonic() - started:.0f} s.")
    _print_where_to_look()
    if failed:
        raise SystemExit(f"These months failed: {failed}")


def _create_connection() -> None:
    from airflow import settings
    from airflow.models.connection import Connection

    session = settings.Session()
    try:
        if session.query(Connection).filter(Connection.conn_id == "flights_db").first() is None:
            session.add(Connection(conn_id="flights_db", conn_type="sqlite", host=str(FLIGHTS)))
            session.commit()
    finally:
        session.close()


def _load_dag() -> Any:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DEMO.dags / "from_yaml_folder.py"))
    if bag.import_errors:
        raise SystemExit(f"The DAG file does not import: {bag.import_errors}")
    return bag.dags[DAG_ID]


def _run_month(dag: Any, month: int) -> str:
    """One DAG run whose data interval is the month; the logical date of a manual run is the end of its interval."""
    end = _month(month)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = dag.test(logical_date=end)
    print(f"  {2013}-{month:02d}: {run.state}", flush=True)
    return str(run.state)


def _month(month: int) -> tuple[datetime, datetime]:
    """From midnight to midnight in New York."""
    return datetime(2013, month, 1, tzinfo=ZONE), datetime(2013 + month // 12, month % 12 + 1, 1, tzinfo=ZONE)


def _print_table() -> None:
    from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

    heading = ("month", "rows", "rejected", "drifted", "worst column", "PSI", "AUC", "status")
    lines = [heading]
    months = {_month(month) for month in MONTHS}  # whoever triggers other windows in the UI finds them there
    with MonitoringStoreHook().get_conn() as store:
        jobs = store.jobs(definition_id="flights_late_arrival", order="window", limit=1000)
        lines += [_line(store, job) for job in jobs if (job.window.start, job.window.end) in months]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
    right = {1, 2, 3, 5, 6}
    print()
    for line in lines:
        cells = (
            cell.rjust(w) if i in right else cell.ljust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _line(store: Any, job: Any) -> tuple[str, ...]:
    snapshot = job.snapshot
    drift = [r for r in store.results(job.id, name="psi") if r.value.primary and r.value.value is not None]
    worst = max(drift, key=lambda result: result.value.value).value
    drifted = sum(result.status is not None and result.status.text == "detected" for result in drift)
    auc = next(result.value.value for result in store.results(job.id, name="roc_auc"))
    return (
        f"{job.window.start.astimezone(ZONE):%Y-%m}",
        f"{snapshot.rows:,}",
        f"{snapshot.failed:,}",
        str(drifted),
        worst.column if worst.value else "-",
        f"{worst.value:.3f}" if worst.value else "-",
        "-" if auc is None else f"{auc:.3f}",
        job.overall_status.text,
    )


def _print_where_to_look() -> None:
    print(f"""
The rows:    table flight_monitoring in {_short(FLIGHTS)}, one row a flight, each with a status
The store:   {_short(DEMO.folder / "monitoring" / "store.sqlite")}
On the shell:
  AIRFLOW_HOME={_short(DEMO.folder)} .venv/bin/airflow monitoring jobs list
In the Airflow UI: make up""")


def _short(path: Any) -> str:
    return str(path.relative_to(CHECKOUT))


if __name__ == "__main__":
    main()
