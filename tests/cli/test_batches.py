"""``airflow monitoring batches``: what it changes in the store, and what it says of it."""

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
        store.create_deployment("dep-1")


def test_a_batch_from_its_making_to_its_end(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    batch_id = command("batches", "create", "dep-1", "Run 7", "--external-url", "https://wiki/7").out.strip()
    said = [command("batches", *words).out for words in [("change", batch_id, "--name", "Run 8"), ("lock", batch_id)]]
    assert ["The batch was changed.\n", "The batch is locked.\n"] == said
    (shown,) = json.loads(command("batches", "show", batch_id, "-o", "json").out)
    assert ("Run 8", "true", 0, "https://wiki/7", [], {}) == tuple(
        shown[name] for name in ("name", "locked", "predictions", "external_url", "jobs", "models")
    )
    assert "Run 8" in command("batches", "show", batch_id, "-o", "plain").out
    assert "The batch is unlocked.\n" == command("batches", "unlock", batch_id).out
    limits = json.loads(command("batches", "limits", "dep-1", "-o", "json").out)[0]
    assert (100, 1) == (limits["daily_limit"], limits["created_today"])

    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert "Nothing was deleted." == command("batches", "delete", batch_id).code
    assert [batch_id] == [row["id"] for row in json.loads(command("batches", "list", "dep-1", "-o", "json").out)]
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert 0 == command("batches", "delete", batch_id).code
    assert [] == json.loads(command("batches", "list", "dep-1", "-o", "json").out)
    assert 1 == len(json.loads(command("batches", "list", "dep-1", "--deleted", "--search", "RUN", "-o", "json").out))
    assert "was deleted at" in command("batches", "lock", batch_id).code


def test_batches_are_shown_together_and_in_the_deployments_health(
    command: Callable[..., Any], completed_job: str
) -> None:
    with MonitoringStoreHook().get_conn() as store:
        batch_id = store.job(completed_job).batch_id
        store.report_deployment_stats(3, 30.0, batch_id, user_errors=1)
    rows = json.loads(command("batches", "results", batch_id, "-o", "json").out)
    found = {row["metric"]: row["value"] for row in rows if row["column"] is None}
    assert (400, 3, 2, 0.5) == tuple(found[name] for name in ("rows", "rejected_rows", "requests", "user_error_rate"))
    assert {"churn"} == {row["definition"] for row in rows if row["status"] is not None}
    health = json.loads(command("deployments", "health", "churn-model", "-o", "json").out)
    assert [("service", "warning"), ("drift", "passing")] == [(row["indicator"], row["status"]) for row in health[:2]]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("show", "none"), "no batch has this id"),
        (("delete", "none", "-y"), "no batch has this id"),
        (("results", "none"), "no batch has this id"),
        (("create", "none", "b"), "no deployment has this id"),
        (("list", "none"), "no deployment has this id"),
        (("list", "dep-1", "--created-after", "soon"), "created_after must be ISO 8601"),
        (("list", "dep-1", "--order", "size"), "order must be one of"),
        (("date", "none", "--start-time", "2020-01-01"), "no batch has this id"),
    ],
)
def test_what_is_wrong_is_one_sentence(command: Callable[..., Any], line: tuple[str, ...], sentence: str) -> None:
    answer = command("batches", *line)
    assert str(answer.code).startswith("airflow monitoring: ")
    assert sentence in answer.code
