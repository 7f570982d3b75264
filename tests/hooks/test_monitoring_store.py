"""The store's hook: embedded by default, PostgreSQL through a connection, and never a half-configured store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import ConfigurationError, StoreSchemaError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook, refuse_remote_executor


@pytest.fixture
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    return tmp_path


def test_embedded_store_makes_itself(own_home: Path) -> None:
    with MonitoringStoreHook().get_conn() as store:
        assert [] == list(store.jobs())
    assert (own_home / "monitoring" / "store.sqlite").exists()


def test_a_deployment_is_read_and_changed_in_one_call(own_home: Path) -> None:
    hook = MonitoringStoreHook()
    with hook.get_conn() as store:
        store.create_deployment("dep-1", model_id="m-1")
    changed = hook.change_deployment("dep-1", model_id="m-2", by="retrain")
    assert ("m-2", changed) == (changed.model_id, hook.get_deployment("dep-1"))


def test_a_batch_is_made_reported_into_and_judged_through_the_hook(own_home: Path) -> None:
    hook = MonitoringStoreHook()
    with hook.get_conn() as store:
        store.create_deployment("dep-1")
    definition = {
        "name": "d",
        "deployment_id": "dep-1",
        "intake_settings": {"type": "sql", "data_store_id": "db", "table": "t"},
        "monitoring_columns": {"predictions_columns": "prediction"},
        "enabled": False,
    }
    batch = hook.create_batch("dep-1", "b", by="ada")
    rows = [{"prediction": 0.5, "x": 1.0}, {"prediction": None, "x": 2.0}]
    assert hook.report_predictions(rows, definition, batch_id=batch.id)
    assert hook.report_deployment_stats(1, 5.0, batch.id, server_errors=1)
    selected = hook.select_batches("dep-1", [batch.id])
    assert (2, 1, 5.0) == (
        selected.service.rows,
        selected.service.rejected_rows,
        selected.service.execution_time_ms,
    )
    assert ("failing", "1 requests, 1 broke, 0 were refused") == (
        hook.deployment_health("dep-1").service.status,
        hook.deployment_health("dep-1").service.message,
    )
    assert hook.lock_batch(batch.id).locked
    hook.delete_batch(batch.id)
    assert "unknown" == hook.deployment_health("dep-1").worst


def test_named_connection_must_exist(own_home: Path) -> None:
    with pytest.raises(ConfigurationError, match="monitoring store: there is no Airflow connection 'mine'"):
        MonitoringStoreHook("mine").get_conn()


def test_postgres_store_asks_for_its_migration_and_then_works(
    set_connection: Callable[..., None], postgres_url: str
) -> None:
    url = sa.make_url(postgres_url)
    set_connection(
        "store_pg", conn_type="monitoring_store", login=url.username, schema=url.database, host=url.query["host"]
    )
    hook = MonitoringStoreHook("store_pg")
    ok, message = hook.test_connection()
    assert not ok
    assert "airflow monitoring db migrate" in message
    with hook.get_conn() as store:
        with pytest.raises(StoreSchemaError):
            store.jobs()
        assert store.migrate()
        assert not store.migrate()
    assert (True, "The store answers and its tables are up to date.") == hook.test_connection()


def test_sqlite_path_through_a_connection(set_connection: Callable[..., None], tmp_path: Path) -> None:
    set_connection("store_file", conn_type="monitoring_store", extra={"path": str(tmp_path / "deep" / "s.sqlite")})
    with MonitoringStoreHook("store_file").get_conn() as store:
        store.check()
    assert (tmp_path / "deep" / "s.sqlite").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "names neither"),
        ({"host": "db", "extra": {"path": "/x"}}, "names both"),
    ],
)
def test_half_configured_connection_is_refused(
    set_connection: Callable[..., None], fields: dict[str, object], message: str
) -> None:
    set_connection("half", conn_type="monitoring_store", **fields)
    with pytest.raises(ConfigurationError, match=message):
        MonitoringStoreHook("half").get_conn()


def test_unreachable_store_is_told_without_its_password(set_connection: Callable[..., None]) -> None:
    set_connection(
        "away", conn_type="monitoring_store", host="127.0.0.1", port=1, login="u", password="canary-p4ss", schema="s"
    )
    ok, message = MonitoringStoreHook("away").test_connection()
    assert not ok
    assert message
    assert "canary-p4ss" not in message


@pytest.mark.parametrize("executor", ["LocalExecutor", "airflow.executors.local_executor.LocalExecutor", ""])
def test_local_executors_may_use_the_embedded_store(executor: str) -> None:
    refuse_remote_executor(executor)


@pytest.mark.parametrize("executor", ["CeleryExecutor", "LocalExecutor,KubernetesExecutor", "my.module.Executor"])
def test_remote_executors_may_not(executor: str) -> None:
    with pytest.raises(ConfigurationError, match="monitoring_store_default"):
        refuse_remote_executor(executor)
