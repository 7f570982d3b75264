"""Tasks that make, lock and delete batches, and a gate that looks at a deployment's health."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.monitoring import task_states

if TYPE_CHECKING:
    from airflow.sdk import Context

_INDICATORS = ("service", "drift", "accuracy")


class _StoreTask(BaseOperator):
    """A task that asks the store one thing."""

    ui_color = "#e8f1f2"

    def __init__(self, *, monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.monitoring_store_conn_id = monitoring_store_conn_id


class MonitoringCreateBatchOperator(_StoreTask):
    """Make an empty batch that later tasks add predictions to; a retry or a cleared task gives the same batch again.

    :param deployment_id: the deployment, whose batch monitoring must be on (templated).
    :param batch_name: name shown to people (templated).
    :param description: what the batch is (templated).
    :param external_url: where more is said about it (templated); empty means none.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: the batch's id, for ``batch_id`` of ``MonitoringJobOperator``.
    """

    template_fields: Sequence[str] = (
        "deployment_id",
        "batch_name",
        "description",
        "external_url",
        "monitoring_store_conn_id",
    )

    def __init__(
        self,
        *,
        deployment_id: str,
        batch_name: str,
        description: str | None = None,
        external_url: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deployment_id = deployment_id
        self.batch_name = batch_name
        self.description = description
        self.external_url = external_url

    def execute(self, context: Context) -> str:
        """Make it, or find the one that an earlier try made."""
        ti = context["ti"]
        key = "/".join(str(part) for part in (ti.dag_id, ti.run_id, ti.task_id, ti.map_index))
        with task_states():
            batch = MonitoringStoreHook(self.monitoring_store_conn_id).create_batch(
                self.deployment_id,
                self.batch_name,
                description=self.description or None,
                external_url=self.external_url or None,
                key=key,
                by=ti.dag_id,
            )
        return batch.id


class MonitoringLockBatchOperator(_StoreTask):
    """Let a batch take no more predictions.

    :param batch_id: the batch (templated).
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: how many predictions it holds.
    """

    template_fields: Sequence[str] = ("batch_id", "monitoring_store_conn_id")
    locked = True

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def execute(self, context: Context) -> int:
        """Lock or unlock."""
        hook = MonitoringStoreHook(self.monitoring_store_conn_id)
        with task_states():
            return hook.lock_batch(self.batch_id, locked=self.locked, by=context["ti"].dag_id).predictions


class MonitoringUnlockBatchOperator(MonitoringLockBatchOperator):
    """Let a batch take predictions again; all else is as for ``MonitoringLockBatchOperator``."""

    locked = False


class MonitoringDeleteBatchOperator(_StoreTask):
    """Remove a batch's predictions from everything, for good; deleting it again does nothing.

    Jobs whose baselines held them are compared anew.

    :param batch_id: the batch (templated).
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    """

    template_fields: Sequence[str] = ("batch_id", "monitoring_store_conn_id")

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    def execute(self, context: Context) -> None:
        """Delete; a retry goes on where the task before it ended."""
        from airflow_monitoring_provider.jobs.deleting import delete_batch, follow_deleted

        with task_states(), MonitoringStoreHook(self.monitoring_store_conn_id).get_conn() as store:
            if store.batch(self.batch_id).deleted_at is None:
                delete_batch(store, self.batch_id, by=context["ti"].dag_id)
            else:
                follow_deleted(store, self.batch_id)


class MonitoringHealthGateOperator(_StoreTask):
    """Look at a deployment's health and let it decide how the run goes on.

    :param deployment_id: the deployment (templated).
    :param on_breach: ``fail`` (default) fails the task at once, ``skip`` skips it and what stands downstream,
        ``record`` succeeds and only says what it found.
    :param breach_at: ``failing`` (default) or ``warning``: from which status on it is a breach. What is unknown or
        unavailable is none.
    :param indicators: which of ``service``, ``drift`` and ``accuracy`` count; all by default.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: JSON-clean health: ``status`` and, for each indicator, status, message and time.
    """

    template_fields: Sequence[str] = ("deployment_id", "monitoring_store_conn_id")

    def __init__(
        self,
        *,
        deployment_id: str,
        on_breach: str = "fail",
        breach_at: str = "failing",
        indicators: Sequence[str] = _INDICATORS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if on_breach not in ("fail", "skip", "record"):
            raise ValueError(f"on_breach is {on_breach!r}; use 'fail', 'skip' or 'record'")
        if breach_at not in ("failing", "warning"):
            raise ValueError(f"breach_at is {breach_at!r}; use 'failing' or 'warning'")
        if not indicators or set(indicators) - set(_INDICATORS):
            raise ValueError(f"indicators must be some of {', '.join(_INDICATORS)}")
        self.deployment_id = deployment_id
        self.on_breach = on_breach
        self.breach_at = breach_at
        self.indicators = indicators

    def execute(self, context: Context) -> dict[str, Any]:
        """Judge the deployment now."""
        with task_states():
            if not self.deployment_id:
                raise ConfigurationError(f"task {self.task_id!r}: deployment_id is empty")
            found = MonitoringStoreHook(self.monitoring_store_conn_id).deployment_health(self.deployment_id).to_dict()
        breaching = ("failing",) if self.breach_at == "failing" else ("warning", "failing")
        broken = [name for name in self.indicators if found[name]["status"] in breaching]
        found["breached"] = broken
        if broken and self.on_breach != "record":
            told = "; ".join(f"{name} is {found[name]['status']}: {found[name]['message']}" for name in broken)
            error = AirflowFailException if self.on_breach == "fail" else AirflowSkipException
            raise error(f"deployment {self.deployment_id}: {told}")
        return found
