"""``airflow monitoring purge`` and ``export``: what they remove and write, and what they say of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

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


def files() -> tuple[Any, ...]:
    """The files of logged predictions that count."""
    with MonitoringStoreHook().get_conn() as store:
        return store.row_files(FileKind.PREDICTIONS)
