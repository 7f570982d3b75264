"""``airflow monitoring purge`` and ``export``: what they remove and write, and what they say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.store.records import FileKind

TO_LAKE = ("--file-conn-id", "lake", "--deployment", "churn-model")


def test_commands_export_and_purge(
    command: Callable[..., Any],
    completed_job: str,
    set_connection: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "lake").mkdir()
    set_connection("lake", conn_type="fs", extra={"path": str(tmp_path / "lake")})
    (rows,) = (file.rows for file in files())
    told = json.loads(command("export", "predictions", "out.parquet", *TO_LAKE, "-o", "json").out)[0]
    assert (rows, (tmp_path / "lake" / "out.parquet").stat().st_size) == (told["rows"], told["bytes"])
    assert "leads out of its root" in command("export", "predictions", "../out.csv", *TO_LAKE).code
    tried = json.loads(command("purge", "--older-than", "30", "--dry-run", "-o", "json").out)[0]
    assert (1, rows) == (tried["files"], tried["rows"])
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert "Nothing was purged." == command("purge", "--deployment", "churn-model").code
    assert 1 == len(files())
    assert 1 == json.loads(command("purge", "--before", "2026-03-02", "-y", "-o", "json").out)[0]["files"]
    assert () == files()
    assert "needs a deployment, a batch or an age" in command("purge", "-y").code
    for days in ("-5", "nan", "1e9"):
        assert "--older-than must be a number of days" in command("purge", f"--older-than={days}", "-y").code
    assert "not both" in command("purge", "--older-than", "5", "--before", "2026-03-02", "-y").code


def test_a_file_of_actuals_restates_the_batches_it_touches(
    command: Callable[..., Any], completed_job: str, set_connection: Callable[..., None], tmp_path: Path
) -> None:
    assert completed_job
    set_connection("lake", conn_type="fs", extra={"path": str(tmp_path)})
    command("export", "predictions", "out.parquet", *TO_LAKE)
    known = pq.read_table(tmp_path / "out.parquet")["association_id"].drop_null().to_pylist()[:7]
    lines = [json.dumps({"customer": str(name), "left": "yes"}) for name in [*known, "nobody"]]
    (tmp_path / "known.jsonl").write_text("\n".join(lines))
    report = ("actuals", "report", "churn", "known.jsonl", "--file-conn-id", "lake", "--key", "may", "-o", "json")
    named = ("--association-id", "customer", "--value", "left")

    told = json.loads(command(*report, *named).out)[0]
    again = json.loads(command(*report, *named).out)[0]

    assert (8, 7, 1, 1) == (told["rows"], told["matched"], told["orphans"], told["restated"])
    assert told | {"restated": 0, "unchanged": 1} == again
    assert "customers are not in files" in command(*report, "--association-id", "customers").code


def files() -> tuple[Any, ...]:
    """The files of logged predictions that count."""
    with MonitoringStoreHook().get_conn() as store:
        return store.row_files(FileKind.PREDICTIONS)
