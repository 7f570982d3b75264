"""The three tasks of a job in parts: claim, profile a part, merge and commit; thin skins over ``jobs.parts``.

:func:`~airflow_monitoring_provider.dags.monitoring_task_group` puts them together. What they hand each other are
references; profiles and rows travel through the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.links import REPORT_URL_KEY, MonitoringReportLink, report_url
from airflow_monitoring_provider.operators.monitoring import MonitoringJobOperator, run_info, task_states

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_monitoring_provider.definitions import Partitions
    from airflow_monitoring_provider.jobs.parts import PartReference


class MonitoringClaimOperator(MonitoringJobOperator):
    """Claim a window and cut its rows into parts; all else is as for ``MonitoringJobOperator``.

    :param partitions: how to cut: a :class:`~airflow_monitoring_provider.definitions.Partitions`, a mapping, or the
        most parts there may be; None means the definition's ``partitions``, else its defaults.
    :returns: a reference to each part, to expand ``MonitoringPartOperator`` with; one at least.
    """

    operator_extra_links: tuple[Any, ...] = ()  # there is no report yet

    def __init__(self, *, partitions: Partitions | Mapping[str, Any] | int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.partitions = partitions

    def execute(self, context: Context) -> list[dict[str, Any]]:  # type: ignore[override]  # a list, not a summary
        """Claim the window of this run."""
        from airflow_monitoring_provider.definitions import with_partitions
        from airflow_monitoring_provider.hooks.ports import open_ports

        with task_states(), open_ports(self.monitoring_store_conn_id, self._is_cancelled) as ports:
            from airflow_monitoring_provider.jobs.parts import claim_job

            definition = with_partitions(self._load_definition(ports.store), self.partitions)
            parts = claim_job(
                definition,
                self._window(definition, context),
                ports,
                run=run_info(context),
                batch_name=self.batch_name or None,
                batch_id=self.batch_id or None,
                cancelled=self._is_cancelled,
                on_claim=self._claimed,
            )
        return [part.to_dict() for part in parts]


class _PartTask(BaseOperator):
    """What goes on with a claim: it is killed without the claim's end, since it may run again under it."""

    ui_color = "#e8f1f2"

    def __init__(self, *, monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.monitoring_store_conn_id = monitoring_store_conn_id
        self._cancelled = False

    def on_kill(self) -> None:
        """Ask the running loop to end."""
        self._cancelled = True

    def _is_cancelled(self) -> bool:
        return self._cancelled


class MonitoringPartOperator(_PartTask):
    """Profile one part of a claimed job and stage the result below the store's storage root.

    :param part: one of the references that ``MonitoringClaimOperator`` returns.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: ``{"part": 0, "rows": 100}``.
    """

    template_fields: Sequence[str] = ("part", "monitoring_store_conn_id")

    def __init__(self, *, part: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.part = part

    def execute(self, context: Context) -> dict[str, Any]:
        """Read the part."""
        from airflow_monitoring_provider.hooks.ports import open_ports

        with task_states(), open_ports(self.monitoring_store_conn_id, self._is_cancelled) as ports:
            from airflow_monitoring_provider.jobs.parts import profile_part

            return profile_part(_reference(self.part, self.task_id), ports, cancelled=self._is_cancelled)


class MonitoringMergeOperator(_PartTask):
    """Merge the staged parts of a claimed job, write the output and commit.

    :param parts: what ``MonitoringClaimOperator`` returned.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: the summary that ``MonitoringJobOperator`` returns.
    """

    template_fields: Sequence[str] = ("parts", "monitoring_store_conn_id")
    operator_extra_links = (MonitoringReportLink(),)

    def __init__(self, *, parts: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.parts = parts

    def execute(self, context: Context) -> dict[str, Any]:
        """Merge and commit."""
        from airflow_monitoring_provider.hooks.ports import open_ports

        with task_states(), open_ports(self.monitoring_store_conn_id, self._is_cancelled) as ports:
            from airflow_monitoring_provider.jobs.parts import merge_and_commit

            first = self.parts[0] if isinstance(self.parts, Sequence) and self.parts else None
            reference = _reference(first, self.task_id)
            summary = merge_and_commit(reference, ports, run=run_info(context), cancelled=self._is_cancelled)
        context["ti"].xcom_push(key=REPORT_URL_KEY, value=report_url(summary.job_id))
        return summary.to_dict()


def _reference(value: Any, task_id: str) -> PartReference:
    from airflow_monitoring_provider.jobs.parts import PartReference

    try:
        return PartReference(**value)
    except TypeError:
        raise ConfigurationError(
            f"task {task_id!r} needs what a MonitoringClaimOperator returned, not {type(value).__name__}"
        ) from None
