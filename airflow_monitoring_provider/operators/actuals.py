"""A task that says what really was of predictions that were made before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.links import REPORT_URL_KEY, MonitoringReportLink, report_url
from airflow_monitoring_provider.operators.monitoring import MonitoringOperator, run_info, task_states

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_monitoring_provider.jobs.finishing import JobSummary


class MonitoringReportActualsOperator(MonitoringOperator):
    """Report actuals: they join what the deployment predicted, and the batches they touch are restated and judged.

    Where actuals come by a schedule and a window, a definition of late actuals and ``MonitoringJobOperator`` do the
    same; this one is for what a task already has in its hands. A retry or a cleared task replaces what it said before.

    :param definition: of the predictions (or of late actuals): a
        :class:`~airflow_monitoring_provider.definitions.JobDefinition` or a mapping.
    :param definition_id: instead of ``definition``, the id or name of a definition in the store (templated).
    :param rows: a list of mappings, a pandas DataFrame or an Arrow table; often another task's output (templated).
    :param python_callable: instead of ``rows``, a function without parameters that returns them when the task runs.
    :param intake_settings: instead of ``rows``, where they are: settings as in a definition, such as
        ``{"type": "file", "data_store_id": "lake", "url": "actuals/{{ ds }}.csv"}`` (templated). All rows are read.
    :param columns: names of the columns ``association_id``, ``value`` and ``timestamp`` (when the actual became
        known); those absent are called as in the definition.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: JSON-clean summary of the report's job; its ``actuals`` counts rows, matched ids, orphans and restated
        batches.
    """

    template_fields: Sequence[str] = ("definition_id", "rows", "intake_settings", "monitoring_store_conn_id")
    operator_extra_links = (MonitoringReportLink(),)

    def __init__(
        self,
        *,
        rows: Any = None,
        python_callable: Callable[[], Any] | None = None,
        intake_settings: Mapping[str, Any] | None = None,
        columns: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.python_callable = python_callable
        self.intake_settings = intake_settings
        self.columns = columns

    def execute(self, context: Context) -> dict[str, Any]:
        """Report what there is now."""
        ti = context["ti"]
        key = "/".join(str(part) for part in (ti.dag_id, ti.run_id, ti.task_id, ti.map_index))
        with task_states():
            if [self.rows is None, self.python_callable is None, self.intake_settings is None].count(False) != 1:
                raise ConfigurationError(
                    f"task {self.task_id!r}: give one of rows=, python_callable= and intake_settings="
                )
            summary = self._report(key, context)
        ti.xcom_push(key=REPORT_URL_KEY, value=report_url(summary.job_id))
        return summary.to_dict()

    def _report(self, key: str, context: Context) -> JobSummary:
        from airflow_monitoring_provider.hooks.ports import open_ports
        from airflow_monitoring_provider.jobs.reporting_actuals import report_actuals, reported_actuals, run_report

        if self.intake_settings is not None:
            with open_ports(self.monitoring_store_conn_id) as ports:
                definition = self._load_definition(ports.store)
                late = reported_actuals(definition, self.columns, self.intake_settings)
                return run_report(late, ports, key=key, run=run_info(context))
        rows = self.rows if self.python_callable is None else self.python_callable()
        with MonitoringStoreHook(self.monitoring_store_conn_id).get_conn() as store:
            definition = self._load_definition(store)
            return report_actuals(store, rows, definition, key=key, columns=self.columns, run=run_info(context))
