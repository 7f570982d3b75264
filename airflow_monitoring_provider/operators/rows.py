"""Tasks that forget the rows that the store keeps, and that hand them out as files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.operators.monitoring import task_states

if TYPE_CHECKING:
    import datetime as dt

    from airflow.sdk import Context

_ROWS = ("retained", "predictions", "actuals")


class MonitoringPurgeOperator(BaseOperator):
    """Forget rows, or results, by age, batch or deployment; at least one of these three is given.

    :param deployment_id: only of this deployment (templated).
    :param batch_ids: only of these batches (templated).
    :param older_than: only of windows that ended so long before the end of the run's data interval, or before its
        ``run_after`` where it has none.
    :param what: some of ``retained``, ``predictions``, ``actuals`` (these by default) and ``results``.
    :param locked: of locked batches, too.
    :param dry_run_only: only say what would go.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: JSON-clean counts: ``batches``, ``locked``, ``files``, ``rows``, ``bytes``, ``results``, ``orphans``.
    """

    template_fields: Sequence[str] = ("deployment_id", "batch_ids", "monitoring_store_conn_id")
    ui_color = "#e8f1f2"

    def __init__(
        self,
        *,
        deployment_id: str | None = None,
        batch_ids: Sequence[str] = (),
        older_than: timedelta | None = None,
        what: Sequence[str] = _ROWS,
        locked: bool = False,
        dry_run_only: bool = False,
        monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not what or set(what) - {*_ROWS, "results"}:
            raise ValueError(f"what must be some of {', '.join(_ROWS)} and results")
        if older_than is not None and older_than < timedelta(0):
            raise ValueError("older_than must not be negative: rows of the future are not old")
        self.deployment_id = deployment_id
        self.batch_ids = batch_ids
        self.older_than = older_than
        self.what = what
        self.locked = locked
        self.dry_run_only = dry_run_only
        self.monitoring_store_conn_id = monitoring_store_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Purge."""
        from airflow_monitoring_provider.jobs.purge import purge
        from airflow_monitoring_provider.store.retention_records import Purged, PurgePolicy

        before: dt.datetime | None = None
        if self.older_than is not None:
            run = context["dag_run"]
            before = (run.data_interval_end or run.run_after) - self.older_than
        policy = PurgePolicy(
            deployment_id=self.deployment_id or None,
            batch_ids=tuple(self.batch_ids),
            before=before,
            what=frozenset(Purged(name) for name in self.what),
            locked=self.locked,
        )
        with task_states(), MonitoringStoreHook(self.monitoring_store_conn_id).get_conn() as store:
            return purge(store, policy, by=context["ti"].dag_id, dry_run=self.dry_run_only).to_dict()


class MonitoringExportOperator(BaseOperator):
    """Write predictions, actuals, retained rows or training data to one CSV or Parquet file, as a whole or not at all.

    :param source: ``predictions``, ``actuals``, ``retained`` or ``training``.
    :param url: the file, below the root of the connection (templated); .csv or .parquet, unless ``file_format``.
    :param file_conn_id: connection of the files (templated); its root is never left.
    :param deployment_id: of the deployment (templated); required unless ``batch_ids`` or ``definition_id`` is given.
    :param definition_id: of ``training``: the definition whose baseline it is (templated).
    :param batch_ids: only of these batches (templated).
    :param start: only of windows that begin from then on, ISO 8601 (templated); empty means from the first.
    :param end: only of windows that begin before (templated); empty means to the last.
    :param file_format: ``csv`` or ``parquet``.
    :param exact: write CSV texts as they are, also those that a spreadsheet would take for formulas.
    :param monitoring_store_conn_id: connection of type ``monitoring_store`` (templated).
    :returns: JSON-clean: ``rows``, ``bytes``, ``location``.
    """

    template_fields: Sequence[str] = (
        "url",
        "file_conn_id",
        "deployment_id",
        "definition_id",
        "batch_ids",
        "start",
        "end",
        "monitoring_store_conn_id",
    )
    ui_color = "#e8f1f2"

    def __init__(
        self,
        *,
        source: str,
        url: str,
        file_conn_id: str,
        deployment_id: str | None = None,
        definition_id: str | None = None,
        batch_ids: Sequence[str] = (),
        start: str | None = None,
        end: str | None = None,
        file_format: str | None = None,
        exact: bool = False,
        monitoring_store_conn_id: str = MonitoringStoreHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source = source
        self.url = url
        self.file_conn_id = file_conn_id
        self.deployment_id = deployment_id
        self.definition_id = definition_id
        self.batch_ids = batch_ids
        self.start = start
        self.end = end
        self.file_format = file_format
        self.exact = exact
        self.monitoring_store_conn_id = monitoring_store_conn_id

    def execute(self, context: Context) -> dict[str, Any]:
        """Export."""
        from airflow_monitoring_provider.hooks.exporting import export_to_file

        with task_states():
            if not self.url or not self.file_conn_id:
                raise ConfigurationError(f"task {self.task_id!r}: url or file_conn_id is empty")
            return export_to_file(
                self.source,
                self.url,
                self.file_conn_id,
                store_conn_id=self.monitoring_store_conn_id,
                deployment_id=self.deployment_id or None,
                definition_id=self.definition_id or None,
                batch_ids=tuple(self.batch_ids),
                start=_instant(self.start, "start"),
                end=_instant(self.end, "end"),
                file_format=self.file_format,
                exact=self.exact,
            )


def _instant(text: str | None, field: str) -> dt.datetime | None:
    from datetime import UTC, datetime

    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise DefinitionError(f"{field} must be ISO 8601, such as 2026-01-31T00:00:00Z", field=field) from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
