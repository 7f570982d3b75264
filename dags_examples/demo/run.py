"""``make demo``: twelve monthly monitoring jobs over real flight predictions, each as a real Airflow DAG run.

Then the arrivals come, late and by a DAG of their own, and restate the accuracy of all twelve months; and a batch is
locked, so that its month run again ends with a reason. Everything that is made is in ``.airflow/`` of the checkout.
Running it again repeats the jobs and changes no count.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import flights
from home import CHECKOUT, DEMO

PREDICTIONS, ARRIVALS = "flights_late_arrival", "flights_arrivals"
DEPLOYMENT = "nyc-flights-2013"
ACCURACY = {"metric": "roc_auc", "measurement": "value", "warningThreshold": 0.7, "failingThreshold": 0.65}
LOCKED_MONTH = 11
FLIGHTS = DEMO.folder / "flights.sqlite"
ZONE = ZoneInfo("America/New_York")
MONTHS = range(1, 13)


def main() -> None:
    """Prepare the home and the data, run the DAGs, print what was found."""
    started = time.monotonic()
    DEMO.enter()
    DEMO.prepare()
    rows = flights.create_database(FLIGHTS)
    print(f"{rows:,} flights of 2013, scored with a model fitted on January, are in {_short(FLIGHTS)}")
    _create_connection()
    dags = _load_dags()
    _unlock()  # it is locked where this is not the first time
    states = {month: _run_month(dags[PREDICTIONS], month) for month in MONTHS}
    failed = [month for month, state in states.items() if state != "success"]
    _tell_the_rest(dags)
    print(f"\nFourteen DAG runs in {time.monotonic() - started:.0f} s.")
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


def _load_dags() -> dict[str, Any]:
    """The DAG of each definition."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(DEMO.dags / "from_yaml_folder.py"))
    if bag.import_errors:
        raise SystemExit(f"The DAG file does not import: {bag.import_errors}")
    return {name: bag.dags[f"monitoring__{name}"] for name in (PREDICTIONS, ARRIVALS)}


def _run(dag: Any, end: datetime) -> str:
    """One DAG run over the interval that ends then, which is the logical date of a manual run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = dag.test(logical_date=end)
    return str(run.state)


def _run_month(dag: Any, month: int) -> str:
    state = _run(dag, _month(month)[1])
    print(f"  2013-{month:02d}: {state}", flush=True)
    return state


def _month(month: int) -> tuple[datetime, datetime]:
    """From midnight to midnight in New York."""
    return datetime(2013, month, 1, tzinfo=ZONE), datetime(2013 + month // 12, month % 12 + 1, 1, tzinfo=ZONE)


def _tell_the_rest(dags: Mapping[str, Any]) -> None:
    """The arrivals come, a batch is locked, and both are told with what was found."""
    from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

    with MonitoringStoreHook().get_conn() as store:
        jobs = _jobs(store)
        before = {month: _auc(store, job) for month, job in jobs.items()}
        state = _run(dags[ARRIVALS], _month(12)[1])
        restated = sum(job.snapshot_revision > jobs[month].snapshot_revision for month, job in _jobs(store).items())
        found = store.jobs(definition_id=ARRIVALS, limit=1).items[0].snapshot.details["actuals"]
        told = f"{found['matched']:,} joined, {found['orphans']:,} without a prediction"
        print(f"  arrivals: {state} ({told}; {restated} batches restated)")
        store.lock_batch(jobs[LOCKED_MONTH].batch_id, by="demo")
        with _quiet() as log:
            state = _run(dags[PREDICTIONS], _month(LOCKED_MONTH)[1])
        why = log.read_text().rpartition("AirflowFailException: ")[2].partition("\n")[0]
        print(f"  2013-{LOCKED_MONTH} again, its batch locked: {state} ({why})")
        _print_table(store, before)
        _print_health(store)


def _unlock() -> None:
    from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

    with MonitoringStoreHook().get_conn() as store:
        locked = _jobs(store).get(LOCKED_MONTH)
        if locked is not None:
            store.lock_batch(locked.batch_id, locked=False, by="demo")


def _jobs(store: Any) -> dict[int, Any]:
    """The job of each month; whoever triggers other windows in the UI finds them there."""
    months = {_month(month): month for month in MONTHS}
    jobs = store.jobs(definition_id=PREDICTIONS, order="window", limit=1000)
    return {months[window]: job for job in jobs if (window := (job.window.start, job.window.end)) in months}


def _auc(store: Any, job: Any) -> float | None:
    return next((result.value.value for result in store.results(job.id, name="roc_auc")), None)


def _print_table(store: Any, before: Mapping[int, float | None]) -> None:
    heading = ("month", "rows", "rejected", "drifted", "worst column", "PSI", "AUC at first", "AUC", "status")
    lines = [heading, *(_line(store, month, job, before.get(month)) for month, job in _jobs(store).items())]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]
    left = {0, 4, 8}
    print()
    for line in lines:
        cells = (
            cell.ljust(w) if i in left else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        print("  ".join(cells).rstrip())


def _line(store: Any, month: int, job: Any, before: float | None) -> tuple[str, ...]:
    snapshot, batch = job.snapshot, store.batch(job.batch_id)
    drift = [r for r in store.results(job.id, name="psi") if r.value.primary and r.value.value is not None]
    worst = max(drift, key=lambda result: result.value.value).value
    drifted = sum(result.status is not None and result.status.text == "detected" for result in drift)
    after = _auc(store, job)
    return (
        f"2013-{month:02d}",
        f"{snapshot.rows:,}",
        f"{snapshot.failed:,}",
        str(drifted),
        worst.column if worst.value else "-",
        f"{worst.value:.3f}" if worst.value else "-",
        "-" if before is None else f"{before:.3f}",
        "-" if after is None else f"{after:.3f}",
        job.overall_status.text + (", locked" if batch.locked else ""),
    )


def _print_health(store: Any) -> None:
    from airflow_monitoring_provider.jobs.health import deployment_health

    store.change_deployment(DEPLOYMENT, settings={"health": {"accuracy": ACCURACY}})
    health = deployment_health(store, DEPLOYMENT, datetime.now(UTC))
    print(f"\n{DEPLOYMENT}, the last {health.drift.batches} batches together")
    for name in ("service", "drift", "accuracy"):
        indicator = getattr(health, name)
        print(f"  {name:<9} {indicator.status:<8} {indicator.message}")


@contextlib.contextmanager
def _quiet() -> Iterator[Path]:
    """What Airflow prints of a task that is to fail goes to a file of the home."""
    sys.stdout.flush()
    kept = [os.dup(number) for number in (1, 2)]
    path = DEMO.folder / "locked.log"
    with path.open("w") as log:
        try:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield path
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, own in zip((1, 2), kept, strict=True):
                os.dup2(own, number)
                os.close(own)


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
