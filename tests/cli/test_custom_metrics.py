"""``airflow monitoring custom-metrics``: from making one to its history."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook


@pytest.fixture(autouse=True)
def _store(set_connection: Callable[..., None], tmp_path: Path) -> None:
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    with MonitoringStoreHook().get_conn() as store:
        store.create_deployment("dep")


def test_a_metric_from_its_making_to_its_history(command: Callable[..., Any]) -> None:
    said = json.dumps({"type": "sum", "units": "EUR", "baselineValue": 4, "critical": 9})
    assert "The metric is known.\n" == command("custom-metrics", "create", "dep", "cost", "--metric", said).out
    batch_id = command("batches", "create", "dep", "Run 7").out.strip()
    first = command("custom-metrics", "report", "dep", "cost", "7.5", "--batch", batch_id, "--key", "k").out
    again = command("custom-metrics", "report", "dep", "cost", "7.5", "--batch", batch_id, "--key", "k").out
    command("custom-metrics", "report", "dep", "cost", "2.5", "--timestamp", "2026-03-01T05:00:00Z")
    assert ("The value was added.\n", "A value with this key was there already; nothing was added.\n") == (first, again)
    (listed,) = json.loads(command("custom-metrics", "list", "dep", "-o", "json").out)
    assert ("cost", "sum", "EUR", 4.0, "reported") == tuple(
        listed[name] for name in ("id", "type", "units", "baseline_value", "source")
    )
    (shown,) = json.loads(command("custom-metrics", "show", "dep", "cost", "-o", "json").out)
    assert (10.0, 150.0, "detected") == (shown["value"], shown["percent_change"], shown["status"])
    assert "cost rose from 4 to 10, limit 9." == shown["finding"]
    (of_batch,) = json.loads(command("custom-metrics", "history", "dep", "cost", "-o", "json").out)
    assert (batch_id, 7.5) == (of_batch["of"], of_batch["value"])
    days = json.loads(command("custom-metrics", "history", "dep", "cost", "--by", "day", "-o", "json").out)
    assert ("2026-03-01", 2.5) == (days[0]["of"], days[0]["value"])


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("list", "none"), "no deployment has this id"),
        (("show", "dep", "none"), "no custom metric of this id"),
        (("create", "dep", "m", "--metric", "sum"), "--metric must be JSON"),
        (("create", "dep", "m", "--metric", '{"type": "total"}'), "type"),
        (("report", "dep", "none", "1"), "no custom metric of this id"),
    ],
)
def test_what_is_wrong_is_one_sentence(command: Callable[..., Any], line: tuple[str, ...], sentence: str) -> None:
    answer = command("custom-metrics", *line)
    assert str(answer.code).startswith("airflow monitoring: ")
    assert sentence in answer.code
