"""The two tasks of a monitoring DAG: run the job, then evaluate its monitors. Both are thin skins over ``jobs``."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from airflow_monitoring_provider.exceptions import DefinitionError, RetryableError, Superseded, TerminalError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.assets import deployment_asset
from airflow_monitoring_provider.operators.links import REPORT_URL_KEY, MonitoringReportLink, report_url

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_monitoring_provider.definitions import JobDefinition, Window
    from airflow_monitoring_provider.store.records import Claim
    from airflow_monitoring_provider.store.store import MonitoringStore

ABORT_TIMEOUT_SECONDS = 1.0
_SCHEDULER_RUNS = frozenset({"scheduled", "backfill"})
_OF_ASSETS = "asset_triggered"


class MonitoringOperator(BaseOperator):
    """What both operators share: where the definition comes from, and how errors become task states."""

    ui_color = "#e8f1f2"

    def __init__(
        self,
        *,
        definition: JobDefinition | Mapping[str, Any] | None = None,
        definition_id: str | None = None,
        monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.definition = definition
        self.definition_id = definition_id
        self.monitoring_store_conn_id = monitoring_store_conn_id

    def _load_definition(self, store: MonitoringStore) -> JobDefinition:
        """The definition handed over, or the stored one of ``definition_id``."""
        from airflow_monitoring_provider.definitions import load_definition

        if (self.definition is None) == (not self.definition_id):
            raise DefinitionError(
                f"task {self.task_id!r}: give either definition= (a JobDefinition or a mapping) or definition_id="
            )
        if self.definition is not None:
            return load_definition(self.definition)
        _, payload = store.definition(str(self.definition_id))
        return load_definition(payload)


class MonitoringJobOperator(MonitoringOperator):
    """Run one monitoring job: read a window, profile and compare it, write a status per row, commit a snapshot.

    :param definition: what to monitor: a :class:`~airflow_monitoring_provider.definitions.JobDefinition`, or a mapping
        in camelCase or snake_case. Never a template field: its text reaches the job as it stands.
    :param definition_id: instead of ``definition``, the id of a definition in the store (templated).
    :param window_start: start of the window, ISO 8601 (templated); empty means the run's data interval, then its
        partition key, then the last complete interval of the schedule.
    :param window_end: end of the window, exclusive (templated).
    :param batch_name: name of the job's batch (templated); empty means prefix and window.
    :param batch_id: an existing batch to add the rows to (templated); empty means one of the job's own.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: JSON-clean summary: ``job_id``, ``batch_id``, ``batch_name``, window, ``rows``, ``status_counts``, …
    """

    template_fields: Sequence[str] = (
        "definition_id",
        "window_start",
        "window_end",
        "batch_name",
        "batch_id",
        "monitoring_store_conn_id",
    )
    operator_extra_links = (MonitoringReportLink(),)

    def __init__(
        self,
        *,
        window_start: str | None = None,
        window_end: str | None = None,
        batch_name: str | None = None,
        batch_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.window_start = window_start
        self.window_end = window_end
        self.batch_name = batch_name
        self.batch_id = batch_id
        self._cancelled = False
        self._claim: Claim | None = None

    def execute(self, context: Context) -> dict[str, Any]:
        """Run the job over the window of this run."""
        from airflow_monitoring_provider.hooks.ports import open_ports

        with task_states(), open_ports(self.monitoring_store_conn_id, self._is_cancelled) as ports:
            from airflow_monitoring_provider.jobs.run import run_job

            definition = self._load_definition(ports.store)
            summary = run_job(
                definition,
                self._window(definition, context),
                ports,
                run=run_info(context),
                batch_name=self.batch_name or None,
                batch_id=self.batch_id or None,
                cancelled=self._is_cancelled,
                on_claim=self._claimed,
            )
        ti = context["ti"]
        ti.xcom_push(key=REPORT_URL_KEY, value=report_url(summary.job_id))
        return summary.to_dict()

    def on_kill(self) -> None:
        """Ask the job to end: the running loop polls the flag, and readers of the store see the abort flag."""
        self._cancelled = True
        if self._claim is None:
            return
        # A signal handler may have interrupted the main thread inside a store transaction, so the flag is set from a
        # connection and a thread of its own, and never waited for longer than the supervisor's patience.
        worker = threading.Thread(target=self._request_abort, args=(self._claim,), daemon=True)
        worker.start()
        worker.join(ABORT_TIMEOUT_SECONDS)

    def _request_abort(self, claim: Claim) -> None:
        with MonitoringStoreHook(self.monitoring_store_conn_id).get_conn() as store:
            store.request_abort(claim.job_id, by="on_kill", token=claim.token)

    def _is_cancelled(self) -> bool:
        return self._cancelled

    def _claimed(self, claim: Claim) -> None:
        self._claim = claim

    def _window(self, definition: JobDefinition, context: Context) -> Window:
        from airflow_monitoring_provider.definitions import resolve_window

        params = {key: value for key in ("window_start", "window_end") if (value := getattr(self, key))}
        run = context.get("dag_run")
        start, end = context.get("data_interval_start"), context.get("data_interval_end")
        key, kind = getattr(run, "partition_key", None), getattr(run, "run_type", None)
        return resolve_window(
            definition,
            params=params,
            data_interval=(start, end) if start and end else None,
            partition_key=key,
            run_after=getattr(run, "run_after", None),
            # Partitions of assets tile time as a schedule's intervals do, and their keys come from no person.
            scheduled=kind in _SCHEDULER_RUNS or (kind == _OF_ASSETS and key is not None),
        )


class MonitoringEvaluationOperator(MonitoringOperator):
    """Evaluate the monitors of a finished job: statuses, monitor states, alerts, and an asset event.

    A changed threshold needs only this task again: nothing is read from intake.

    :param job_id: the job to evaluate (templated); usually the summary's ``job_id`` of a ``MonitoringJobOperator``.
    :param on_breach: ``record`` (default) succeeds whatever the status; ``fail`` fails the task when the batch is
        detected; ``skip`` skips it, and so what stands downstream of it.
    :returns: JSON-clean evaluation: ``job_id``, ``status``, ``drifted_columns``, ``worst``, ``explanation``, …

    The asset ``monitoring://<deployment id>`` gets an event whose ``extra`` holds the same, when the operator knows its
    deployment at parse time (``definition=`` given).
    """

    template_fields: Sequence[str] = ("definition_id", "job_id", "monitoring_store_conn_id")

    def __init__(self, *, job_id: Any, on_breach: str = "record", **kwargs: Any) -> None:
        definition = kwargs.get("definition")
        if definition is not None:
            kwargs["outlets"] = [*kwargs.get("outlets", ()), deployment_asset(_deployment_id(definition))]
        super().__init__(**kwargs)
        if on_breach not in ("record", "fail", "skip"):
            raise ValueError(f"on_breach is {on_breach!r}; use 'record', 'fail' or 'skip'")
        self.job_id = job_id
        self.on_breach = on_breach

    def execute(self, context: Context) -> dict[str, Any]:
        """Evaluate and emit the asset event."""
        from airflow_monitoring_provider.jobs.evaluate import evaluate_job

        with task_states(), MonitoringStoreHook(self.monitoring_store_conn_id).get_conn() as store:
            definition = self._load_definition(store)
            evaluation = evaluate_job(str(self.job_id), definition, store)
        result = evaluation.to_dict()
        for outlet in self.outlets or ():
            context["outlet_events"][outlet].extra = result
        if evaluation.breached and self.on_breach != "record":
            error = AirflowFailException if self.on_breach == "fail" else AirflowSkipException
            raise error(evaluation.explanation)
        return result


@contextmanager
def task_states() -> Iterator[None]:
    """Turn this package's errors into Airflow's: retry what can succeed, fail the rest at once, skip the superseded."""
    try:
        yield
    except Superseded as error:
        raise AirflowSkipException(f"superseded: {error}") from error
    except TerminalError as error:
        raise AirflowFailException(str(error)) from error
    except RetryableError as error:
        raise AirflowException(str(error)) from error


def run_info(context: Context) -> Any:
    """Which run and try a task is."""
    from airflow_monitoring_provider.store.records import RunInfo

    ti = context["ti"]
    return RunInfo(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        try_number=ti.try_number,
        map_index=ti.map_index if ti.map_index is not None else -1,
    )


def _deployment_id(definition: JobDefinition | Mapping[str, Any]) -> str:
    """The deployment of a definition in any form; the full check waits for ``execute``."""
    if isinstance(definition, Mapping):
        return str(definition.get("deploymentId") or definition.get("deployment_id") or "")
    return definition.deployment_id
