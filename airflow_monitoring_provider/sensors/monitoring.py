"""Sensors that hold no worker slot: a batch has actuals, a job is finished, a deployment's health is as wished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.monitoring import task_states

if TYPE_CHECKING:
    from airflow.sdk import Context

_STATUSES = ("passing", "warning", "failing", "unknown", "unavailable")
_INDICATORS = ("worst", "service", "drift", "accuracy")


class _StoreSensor(BaseSensorOperator):
    """Ask once, then wait in the triggerer (or, with ``deferrable=False``, as Airflow's sensors do)."""

    ui_color = "#e8f1f2"
    question = ""

    def __init__(
        self,
        *,
        monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name,
        deferrable: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.monitoring_store_conn_id = monitoring_store_conn_id
        self.deferrable = deferrable

    def arguments(self) -> dict[str, Any]:
        """Of the question, ready for JSON."""
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Answer at once where that is possible, else wait."""
        if not self.deferrable:
            return super().execute(context)
        try:
            answer = self._ask()
        except AirflowFailException as error:
            # Airflow sees to these two where it pokes and where a trigger wakes the task, and not here.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        if answer is None:
            self._wait()
        return answer

    def poke(self, context: Context) -> Any:
        """The answer, if there is one yet."""
        from airflow.sdk import PokeReturnValue

        answer = self._ask()
        return PokeReturnValue(is_done=answer is not None, xcom_value=answer)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> dict[str, Any]:
        """What the trigger found."""
        if "error" in event:
            raise AirflowFailException(event["error"])
        answer: dict[str, Any] = event["answer"]
        return answer

    def _wait(self) -> NoReturn:
        from airflow_monitoring_provider.triggers.monitoring_store import MonitoringStoreTrigger

        self.defer(
            trigger=MonitoringStoreTrigger(
                question=self.question,
                arguments=self.arguments(),
                monitoring_store_conn_id=self.monitoring_store_conn_id,
                poll_interval=self.poke_interval,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=self.timeout),
        )

    def _ask(self) -> dict[str, Any] | None:
        from airflow_monitoring_provider.jobs.questions import QUESTIONS

        with task_states(), MonitoringStoreHook(self.monitoring_store_conn_id).get_conn() as store:
            return QUESTIONS[self.question](store, **self.arguments())


class MonitoringActualsSensor(_StoreSensor):
    """Wait until a batch has actuals.

    :param batch_id: the batch (templated).
    :param min_coverage: share of its predictions that must have one, 0 (default: any at all) to 1.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :param deferrable: wait in the triggerer (default), else as Airflow's sensors do.
    :returns: ``batch_id``, ``labelled`` and ``predictions``.
    """

    template_fields: Sequence[str] = ("batch_id", "monitoring_store_conn_id")
    question = "batch_has_actuals"

    def __init__(self, *, batch_id: str, min_coverage: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= min_coverage <= 1:
            raise ValueError(f"min_coverage is {min_coverage!r}; it is a share from 0 to 1")
        self.batch_id = batch_id
        self.min_coverage = min_coverage

    def arguments(self) -> dict[str, Any]:
        """Of the question."""
        return {"batch_id": str(self.batch_id), "min_coverage": float(self.min_coverage)}


class MonitoringJobSensor(_StoreSensor):
    """Wait until a job is committed; the task fails where the job ends otherwise.

    :param job_id: the job (templated); one that has not begun yet is waited for.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :param deferrable: wait in the triggerer (default), else as Airflow's sensors do.
    :returns: ``job_id``, ``batch_id`` and ``snapshot_revision``.
    """

    template_fields: Sequence[str] = ("job_id", "monitoring_store_conn_id")
    question = "job_finished"

    def __init__(self, *, job_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job_id = job_id

    def arguments(self) -> dict[str, Any]:
        """Of the question."""
        return {"job_id": str(self.job_id)}


class MonitoringHealthSensor(_StoreSensor):
    """Wait until a deployment's health is one of some statuses.

    :param deployment_id: the deployment (templated).
    :param statuses: some of ``passing warning failing unknown unavailable``; passing by default.
    :param indicator: ``worst`` of all (default), ``service``, ``drift`` or ``accuracy``.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :param deferrable: wait in the triggerer (default), else as Airflow's sensors do.
    :returns: the whole health, as ``MonitoringHealthGateOperator`` returns it.
    """

    template_fields: Sequence[str] = ("deployment_id", "monitoring_store_conn_id")
    question = "health_is"

    def __init__(
        self, *, deployment_id: str, statuses: Sequence[str] = ("passing",), indicator: str = "worst", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(statuses, str) or not statuses or set(statuses) - set(_STATUSES):
            raise ValueError(f"statuses must be a list of some of {', '.join(_STATUSES)}")
        if indicator not in _INDICATORS:
            raise ValueError(f"indicator is {indicator!r}; use one of {', '.join(_INDICATORS)}")
        self.deployment_id = deployment_id
        self.statuses = statuses
        self.indicator = indicator

    def arguments(self) -> dict[str, Any]:
        """Of the question."""
        if not self.deployment_id:
            raise ConfigurationError(f"task {self.task_id!r}: deployment_id is empty")
        return {
            "deployment_id": str(self.deployment_id),
            "indicator": self.indicator,
            "statuses": list(self.statuses),
        }
