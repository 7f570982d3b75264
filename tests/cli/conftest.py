"""``airflow monitoring`` called through Airflow's own parser, and a store that a real job has written to."""

from __future__ import annotations

import dataclasses
import datetime as dt
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import Window, load_definition
from airflow_monitoring_provider.hooks.ports import open_ports
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.run import run_job


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command printed, and how it ended: 0, or what ``sys.exit`` was given."""

    out: str
    err: str
    code: Any


@pytest.fixture
def command(airflow_home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """``command("jobs", "list", …)``: ``airflow monitoring jobs list …``."""

    def call(*arguments: str) -> Answer:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from airflow.cli import cli_parser

            parser = cli_parser.get_parser()
        capsys.readouterr()
        code: Any = 0
        try:
            args = parser.parse_args(["monitoring", *arguments])
            args.func(args)
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        return Answer(out=printed.out, err=printed.err, code=code)

    return call


@pytest.fixture
def completed_job(run_day: Callable[[int], str]) -> str:
    """Id of a job over the first day of ``scores``: 400 rows, 3 of them rejected; evaluated."""
    return run_day(0)


@pytest.fixture
def run_day(
    scores: Path, churn_payload: dict[str, Any], set_connection: Callable[..., None], tmp_path: Path
) -> Callable[[int], str]:
    """Run and evaluate the job over a day of ``scores``, and give its id; the first day is the baseline."""
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})

    def run(day: int) -> str:
        definition = load_definition(churn_payload)
        start = dt.datetime(2026, 3, 1 + day, tzinfo=dt.UTC)
        with open_ports("monitoring_store_default") as ports:
            job_id = run_job(definition, Window.of(start, start + dt.timedelta(days=1)), ports).job_id
            evaluate_job(job_id, definition, ports.store)
        return job_id

    return run
