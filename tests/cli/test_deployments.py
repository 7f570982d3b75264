"""``airflow monitoring deployments``: what it changes in the store, and what it says of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook


@pytest.fixture(autouse=True)
def _store(set_connection: Callable[..., None], tmp_path: Path) -> None:
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})


def test_a_deployment_is_created_changed_and_shown(command: Callable[..., Any]) -> None:
    settings = json.dumps({"health": {"dataDrift": {"batchCount": 4}}})
    made = command("deployments", "create", "dep-1", "--label", "Churn", "--model-id", "m-1", "--settings", settings)
    changed = command("deployments", "change", "dep-1", "--status", "inactive", "--model-id", "m-2")
    assert [(0, "The deployment was created.\n"), (0, "The deployment was changed.\n")] == [
        (answer.code, answer.out) for answer in (made, changed)
    ]
    (shown,) = json.loads(command("deployments", "show", "dep-1", "-o", "json").out)
    assert ("Churn", "inactive", "m-2", "true") == tuple(
        shown[name] for name in ("label", "status", "model", "batch_monitoring")
    )
    assert (4, 100) == (shown["settings"]["health"]["dataDrift"]["batchCount"], shown["settings"]["dailyBatchLimit"])
    assert [shown] == yaml.safe_load(command("deployments", "show", "dep-1", "-o", "yaml").out)
    table = command("deployments", "show", "dep-1", "-o", "plain").out
    assert ["health.dataDrift.batchCount", "4"] in [line.split() for line in table.splitlines()]
    assert ["dep-1"] == [row["id"] for row in json.loads(command("deployments", "list", "-o", "json").out)]
    assert [] == json.loads(command("deployments", "list", "--search", "x", "-o", "json").out)


def test_a_model_is_dated_back(command: Callable[..., Any]) -> None:
    command("deployments", "create", "dep-1", "--model-id", "m-1")
    answer = command("deployments", "move-model", "dep-1", "1", "--start-time", "2020-01-01")
    assert (0, "The model's time was changed.\n") == (answer.code, answer.out)
    (row,) = json.loads(command("deployments", "models", "dep-1", "-o", "json").out)
    assert ("m-1", "2020-01-01T00:00:00+00:00", None) == (row["model"], row["start_time"], row["end_time"])
    with MonitoringStoreHook().get_conn() as store:
        assert 2020 == store.model_history("dep-1")[0].start_time.year


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("show", "none"), "no deployment has this id"),
        (("change", "none", "--label", "x"), "no deployment has this id"),
        (("create", "dep-1"), "the id belongs to another deployment; ids are unique"),
        (("change", "dep-1", "--settings", '{"dailyBatchLimit": 0}'), "dailyBatchLimit: must be off or a whole"),
        (("change", "dep-1", "--settings", "{"), "JSON"),
        (("change", "dep-1", "--settings", "3"), "settings must be an object, not a whole number"),
        (("move-model", "dep-1", "1", "--end-time", "soon"), "end_time must be ISO 8601"),
        (("move-model", "dep-1", "9"), "has no such entry"),
    ],
)
def test_what_is_wrong_is_one_sentence(command: Callable[..., Any], line: tuple[str, ...], sentence: str) -> None:
    command("deployments", "create", "dep-1", "--model-id", "m-1")
    answer = command("deployments", *line)
    assert str(answer.code).startswith("airflow monitoring: ")
    assert sentence in answer.code
    assert "" == answer.out
