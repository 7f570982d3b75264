"""``airflow monitoring``: each command as Airflow's own parser calls it, and one as a person types it."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

from airflow_monitoring_provider.definitions import load_definition, resolve_window
from airflow_monitoring_provider.hooks.ports import open_ports
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.run import run_job

Command = Callable[..., str]


@pytest.fixture
def command(airflow_home: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """``command("jobs", "list", …)`` gives what it printed; a command that fails raises ``SystemExit``."""

    def call(*words: str) -> str:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Airflow's own
            from airflow.cli import cli_parser

            arguments = cli_parser.get_parser().parse_args(["monitoring", *words])
            capsys.readouterr()
            arguments.func(arguments)
        return capsys.readouterr().out

    return call


@pytest.fixture
def job_id(scores: Path, churn_payload: dict[str, Any], set_connection: Callable[..., None], tmp_path: Path) -> str:
    """One job that has run over the second day, evaluated, in a store that the default connection leads to."""
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    definition = load_definition(churn_payload)
    params = {"window_start": "2026-03-01", "window_end": "2026-03-02"}
    window = resolve_window(
        definition, params=params, data_interval=None, partition_key=None, run_after=None, scheduled=False
    )
    with open_ports("monitoring_store_default") as ports:
        job = run_job(definition, window, ports).job_id
        evaluate_job(job, definition, ports.store)
    return job


def test_jobs_as_json(command: Command, job_id: str) -> None:
    [job] = json.loads(command("jobs", "list", "-o", "json"))
    assert (job_id, "completed", "no_detection", "400", "3") == (
        job["job_id"],
        job["state"],
        job["status"],
        str(job["rows"]),
        str(job["rejected"]),
    )


def test_jobs_as_yaml_and_as_a_table(command: Command, job_id: str) -> None:
    assert job_id == yaml.safe_load(command("jobs", "list", "-o", "yaml"))[0]["job_id"]
    assert job_id in command("jobs", "list", "-o", "table")


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        (["--definition", "churn"], 1),
        (["--deployment", "churn-model"], 1),
        (["--state", "completed"], 1),
        (["--state", "failed"], 0),
        (["--deployment", "other"], 0),
    ],
)
def test_jobs_filtered(command: Command, job_id: str, filters: list[str], found: int) -> None:
    assert found == len(json.loads(command("jobs", "list", "-o", "json", *filters)))


def test_a_job_with_its_counts_and_log(command: Command, job_id: str) -> None:
    [job] = json.loads(command("jobs", "show", job_id, "-o", "json"))
    text = json.dumps(job)
    assert "rejected:duplicate_identifier" in text
    assert "read 400 rows, 3 of them rejected" in text
    assert "rejected:duplicate_identifier: 1" in command("jobs", "show", job_id)


def test_results_filtered(command: Command, job_id: str) -> None:
    psi = json.loads(command("results", "show", job_id, "--metric", "psi", "-o", "json"))
    assert {"amount", "region", "churn_probability", "churned"} == {result["column"] for result in psi}
    amount = json.loads(command("results", "show", job_id, "--metric", "psi", "--column", "amount", "-o", "json"))
    assert ["no_detection"] == [result["status"] for result in amount]
    assert [] == json.loads(command("results", "show", job_id, "--status", "detected", "-o", "json"))


def test_definitions_of_the_store(command: Command, job_id: str) -> None:
    [definition] = json.loads(command("definitions", "list", "-o", "json"))
    assert ("churn", "1") == (definition["id"], str(definition["revision"]))


def test_definitions_of_a_folder(command: Command, tmp_path: Path, churn_payload: dict[str, Any]) -> None:
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(churn_payload))
    [definition] = json.loads(command("definitions", "list", "--folder", str(tmp_path), "-o", "json"))
    assert "monitoring__churn" == definition["dag_id"]


def test_valid_definition_files(command: Command, tmp_path: Path, churn_payload: dict[str, Any]) -> None:
    (tmp_path / "churn.yaml").write_text(yaml.safe_dump(churn_payload))
    assert ["true"] == [
        row["valid"] for row in json.loads(command("definitions", "validate", str(tmp_path), "-o", "json"))
    ]


def test_broken_definition_files_fail_the_command_and_name_every_field(
    command: Command, tmp_path: Path, churn_payload: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(yaml.safe_dump(churn_payload | {"prediction_threshold": 2, "colour": "red"}))
    with pytest.raises(SystemExit) as ended:
        command("definitions", "validate", str(file), "-o", "json")
    assert 1 == ended.value.code
    assert {"prediction_threshold", "colour"} <= {row["field"] for row in json.loads(capsys.readouterr().out)}


def test_abort_of_a_job_that_does_not_run(command: Command, job_id: str) -> None:
    assert "The job is not running; nothing to do.\n" == command("jobs", "abort", job_id)


@pytest.mark.parametrize("words", [("jobs", "show"), ("results", "show"), ("jobs", "abort")])
def test_an_unknown_job_is_a_sentence(command: Command, job_id: str, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match=r"^airflow monitoring: no job has this id"):
        command(*words, "nowhere")


def test_migration_of_a_postgres_store(
    command: Command, set_connection: Callable[..., None], postgres_url: str
) -> None:
    url = sa.make_url(postgres_url)
    set_connection("pg", conn_type="monitoring_store", login=url.username, schema=url.database, host=url.query["host"])
    with pytest.raises(SystemExit, match="airflow monitoring db migrate"):
        command("jobs", "list", "--store-conn-id", "pg")
    assert "The store's tables are up to date now.\n" == command("db", "migrate", "--store-conn-id", "pg")
    assert "The store's tables were up to date already.\n" == command("db", "migrate", "--store-conn-id", "pg")
    assert "The store answers and its tables are up to date.\n" == command("db", "check", "--store-conn-id", "pg")


def test_as_a_person_types_it(airflow_home: Path, job_id: str) -> None:
    airflow = str(Path(sys.executable).parent / "airflow")
    done = subprocess.run(
        [airflow, "monitoring", "jobs", "list", "-o", "json"], capture_output=True, text=True, check=False
    )
    assert 0 == done.returncode, done.stderr
    assert [job_id] == [job["job_id"] for job in json.loads(done.stdout)]
    wrong = subprocess.run(
        [airflow, "monitoring", "jobs", "show", "nowhere"], capture_output=True, text=True, check=False
    )
    assert (1, "Traceback" in wrong.stderr) == (wrong.returncode, False)
    assert "no job has this id" in wrong.stderr
