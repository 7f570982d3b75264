"""Secrets and row values stay where they belong: planted ones are looked for in everything a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
import yaml

PASSWORD = "canary-p4ssw0rd"
ROW_VALUE = "canary-r0w-value"
DAG_FILE = """\
from pathlib import Path
from airflow_monitoring_provider.dags import load_monitoring_dags

globals().update(load_monitoring_dags(Path(__file__).parent / "definitions"))
"""


@pytest.fixture
def planted(
    dags_folder: Path,
    postgres_url: str,
    churn_payload: dict[str, Any],
    set_connection: Callable[..., None],
    tmp_path: Path,
) -> Callable[..., None]:
    """A PostgreSQL table whose connection has the password and whose rows hold the value; call it to write the DAG."""
    url = sa.make_url(postgres_url)
    connection = {"login": url.username, "password": PASSWORD, "schema": url.database, "host": url.query["host"]}
    set_connection("scores_db", conn_type="postgres", **connection)
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    engine = sa.create_engine(postgres_url)
    table = sa.Table(
        "scores",
        sa.MetaData(),
        sa.Column("id", sa.BigInteger),
        sa.Column("at", sa.DateTime(timezone=True)),
        sa.Column("amount", sa.Double),
        sa.Column("region", sa.Text),
        sa.Column("churn_probability", sa.Text),
        sa.Column("churned", sa.Text),
        sa.Column("note", sa.Text),
    )
    rows = [
        {
            "id": i,
            "at": f"2026-03-01T0{i % 10}:00:00Z",
            "amount": i / 7,
            "region": "north",
            "churn_probability": ROW_VALUE if i == 5 else str(i / 400),
            "churned": "yes" if i % 3 else "no",
            "note": ROW_VALUE,
        }
        for i in range(300)
    ]
    with engine.begin() as database:
        table.create(database)
        database.execute(table.insert(), rows)
    engine.dispose()

    def write(**changes: Any) -> None:
        (dags_folder / "definitions").mkdir(exist_ok=True)
        (dags_folder / "definitions" / "churn.yaml").write_text(yaml.safe_dump(churn_payload | changes))
        (dags_folder / "monitoring.py").write_text(DAG_FILE)

    return write


def _traces(*folders: Path) -> list[str]:
    """Files that hold a planted text, in plain or UTF-16 bytes."""
    canaries = [text.encode(form) for text in (PASSWORD, ROW_VALUE) for form in ("utf-8", "utf-16-le")]
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and any(canary in path.read_bytes() for canary in canaries)
    ]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        pytest.param({}, "success", id="success"),
        pytest.param({"passthrough_columns": ["note"]}, "success", id="copied-to-the-output"),
        pytest.param({"features": ["amount", "nowhere"]}, "failed", id="missing-column"),
        pytest.param({"max_rejected_share": 0.0}, "failed", id="too-many-rejected"),
        pytest.param({"timestamp_column": "note"}, "failed", id="wrong-timestamp-column"),
        pytest.param(
            {
                "output_settings": {
                    "type": "sql",
                    "data_store_id": "scores_db",
                    "table": "nowhere",
                    "statement_type": "insert",
                }
            },
            "failed",
            id="missing-output-table",
        ),
    ],
)
def test_nothing_planted_is_left_behind(
    planted: Callable[..., None],
    run_dag: Callable[..., Any],
    airflow_home: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    changes: dict[str, Any],
    state: str,
) -> None:
    planted(**changes)
    conf = {"window_start": "2026-03-01T00:00:00Z", "window_end": "2026-03-02T00:00:00Z"}
    run = run_dag("monitoring__churn", logical_date=None, run_conf=conf)
    assert state == run.state
    assert (tmp_path / "s.sqlite").exists()
    assert [] == _traces(airflow_home, tmp_path)
    printed = capfd.readouterr()
    assert [] == [canary for canary in (PASSWORD, ROW_VALUE) if canary in printed.out + printed.err + caplog.text]
