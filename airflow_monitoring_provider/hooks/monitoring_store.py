"""The monitoring store behind an Airflow connection of type ``monitoring_store``.

Without such a connection the store is embedded: a SQLite file and a storage folder under ``AIRFLOW_HOME/monitoring``,
for one machine. Executors that run tasks on other machines refuse it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from airflow_monitoring_provider.exceptions import ConfigurationError, ConnectionUnavailable, MonitoringError

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from sqlalchemy.engine import URL, Engine

    from airflow_monitoring_provider.jobs.finishing import JobSummary
    from airflow_monitoring_provider.jobs.health import DeploymentHealth
    from airflow_monitoring_provider.jobs.reevaluating import Reevaluation
    from airflow_monitoring_provider.jobs.selection import Selection
    from airflow_monitoring_provider.store.batch_store import BatchStore
    from airflow_monitoring_provider.store.deployment_records import DeploymentRecord
    from airflow_monitoring_provider.store.records import BatchRecord
    from airflow_monitoring_provider.store.store import MonitoringStore

_LOCAL_EXECUTORS = ("LocalExecutor", "SequentialExecutor", "DebugExecutor", "InProcessExecutor")


class MonitoringStoreHook(BaseHook):
    """Opens the monitoring store.

    :param monitoring_store_conn_id: id of a connection of type ``monitoring_store``. When it is the default id and no
        such connection exists, the embedded store is opened.
    """

    conn_name_attr = "monitoring_store_conn_id"
    default_conn_name = "monitoring_store_default"
    conn_type = "monitoring_store"
    hook_name = "Monitoring store"

    def __init__(self, monitoring_store_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.monitoring_store_conn_id = monitoring_store_conn_id

    def get_conn(self) -> MonitoringStore:
        """Open the store; close it when done (it is a context manager).

        :raises ConfigurationError: the connection is missing or incomplete.
        :raises StoreUnavailable: the database cannot be reached.
        """
        from airflow_monitoring_provider.store.storage import Storage
        from airflow_monitoring_provider.store.store import MonitoringStore

        connection = self._connection()
        engine, embedded = _open_database(connection)
        files = _local_storage(embedded_home() / "storage") if connection is None else _storage_of(connection)
        return MonitoringStore(engine, storage=Storage(*files), embedded=embedded)

    async def aget_reader(self) -> BatchStore:
        """Open the store's database without its files, from a trigger; close it when done.

        :raises ConfigurationError: the connection is incomplete.
        :raises ConnectionUnavailable: there is no such connection, or nobody could say; a trigger cannot tell which.
        """
        from airflow.sdk.exceptions import AirflowNotFoundException

        from airflow_monitoring_provider.store.batch_store import BatchStore

        connection: Connection | None = None
        try:
            connection = await self.aget_connection(self.monitoring_store_conn_id)
        except AirflowNotFoundException:
            default = self.monitoring_store_conn_id == self.default_conn_name
            if not (default and (embedded_home() / "store.sqlite").exists()):
                raise ConnectionUnavailable(
                    f"monitoring store: no connection {self.monitoring_store_conn_id!r} was found"
                ) from None
        engine, embedded = _open_database(connection)
        return BatchStore(engine, embedded=embedded)

    def test_connection(self) -> tuple[bool, str]:
        """Whether the store answers and its tables fit this version, with a sentence that says so."""
        try:
            with self.get_conn() as store:
                store.check()
        except MonitoringError as error:
            return False, str(error)
        return True, "The store answers and its tables are up to date."

    def get_deployment(self, deployment_id: str) -> DeploymentRecord:
        """A deployment with its settings. Raises :class:`NotFound`."""
        with self.get_conn() as store:
            return store.deployment(deployment_id)

    def change_deployment(self, deployment_id: str, **changes: Any) -> DeploymentRecord:
        """Change what is given (``label``, ``model_id``, ``settings``, …), as the store's own method does."""
        with self.get_conn() as store:
            return store.change_deployment(deployment_id, **changes)

    def create_batch(self, deployment_id: str, name: str, **described: Any) -> BatchRecord:
        """An empty batch that jobs and running code can add predictions to, as the store's own method makes it."""
        with self.get_conn() as store:
            return store.create_batch(deployment_id, name, **described)

    def lock_batch(self, batch_id: str, *, locked: bool = True, by: str | None = None) -> BatchRecord:
        """Let a batch take no more predictions, or take them again."""
        with self.get_conn() as store:
            return store.lock_batch(batch_id, locked=locked, by=by)

    def delete_batch(self, batch_id: str, *, by: str | None = None) -> None:
        """Remove a batch's predictions from everything, for good; what was compared with them follows."""
        from airflow_monitoring_provider.jobs.deleting import delete_batch

        with self.get_conn() as store:
            delete_batch(store, batch_id, by=by)

    def use_baseline(
        self, definition_id: str, name: str | None, *, version: int | None = None, by: str | None = None
    ) -> None:
        """Compare a definition's jobs with a named baseline from now on; None: with its own."""
        with self.get_conn() as store:
            store.use_baseline(definition_id, name, version=version, by=by)

    def reevaluate(self, definition: str, **options: Any) -> Reevaluation:
        """Compare and evaluate the past jobs of a definition (id or name) with the baseline in use; no row is read.

        Options are those of :func:`~airflow_monitoring_provider.jobs.reevaluating.reevaluate`.
        """
        from airflow_monitoring_provider.definitions import load_definition
        from airflow_monitoring_provider.jobs.reevaluating import reevaluate

        with self.get_conn() as store:
            return reevaluate(load_definition(store.definition(definition)[1]), store, **options)

    def deployment_health(self, deployment_id: str) -> DeploymentHealth:
        """How a deployment does now: service, drift, accuracy."""
        from airflow_monitoring_provider.jobs.health import deployment_health

        with self.get_conn() as store:
            return deployment_health(store, deployment_id, datetime.now(UTC))

    def select_batches(self, deployment_id: str, batch_ids: Sequence[str]) -> Selection:
        """Several batches as one: a merge of their profiles, compared and judged."""
        from airflow_monitoring_provider.jobs.selection import select_batches

        with self.get_conn() as store:
            return select_batches(store, deployment_id, batch_ids)

    def report_predictions(self, frame: Any, definition: Any, *, batch_id: str, **options: Any) -> bool:
        """Add rows with their predictions to a batch, as :func:`~airflow_monitoring_provider.jobs.reporting` does."""
        from airflow_monitoring_provider.jobs.reporting import report_predictions

        with self.get_conn() as store:
            return report_predictions(store, frame, definition, batch_id=batch_id, **options)

    def report_actuals(self, frame: Any, definition: Any, **options: Any) -> JobSummary:
        """Say what really was, as :func:`~airflow_monitoring_provider.jobs.reporting_actuals.report_actuals` does."""
        from airflow_monitoring_provider.jobs.reporting_actuals import report_actuals

        with self.get_conn() as store:
            return report_actuals(store, frame, definition, **options)

    def report_deployment_stats(
        self, count: int, execution_time_ms: float | None, batch_id: str, **options: Any
    ) -> bool:
        """Say how the service did while it made ``count`` predictions of a batch, as the store's own method does."""
        with self.get_conn() as store:
            return store.report_deployment_stats(count, execution_time_ms, batch_id, **options)

    def _connection(self) -> Connection | None:
        from airflow_monitoring_provider.hooks.connections import find_connection

        try:
            return find_connection(self.monitoring_store_conn_id, purpose="monitoring store")
        except ConfigurationError:
            if self.monitoring_store_conn_id == self.default_conn_name:
                return None
            raise


def _open_database(connection: Connection | None) -> tuple[Engine, bool]:
    """The database of a connection, None for the embedded store; and whether the store migrates itself."""
    from airflow_monitoring_provider.store.engine import open_engine

    if connection is None:
        refuse_remote_executor(_executor())
        embedded_home().mkdir(parents=True, exist_ok=True)
        return open_engine(f"sqlite:///{embedded_home() / 'store.sqlite'}"), True
    url = store_url(connection)
    embedded = url.get_backend_name() == "sqlite"
    if embedded:
        refuse_remote_executor(_executor())
        Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
    return open_engine(url), embedded


def embedded_home() -> Path:
    """The folder of the embedded store: ``AIRFLOW_HOME/monitoring``."""
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser() / "monitoring"


def refuse_remote_executor(executor: str) -> None:
    """Refuse the embedded store where tasks run on other machines, each of which would see a store of its own.

    :param executor: the value of ``[core] executor``: one name, path or alias, or several separated by commas.
    :raises ConfigurationError: one of them is not local.
    """
    remote = [name for name in executor.split(",") if name.strip() and not name.strip().endswith(_LOCAL_EXECUTORS)]
    if remote:
        raise ConfigurationError(
            f"the embedded SQLite store serves one machine, but [core] executor is {executor!r}; create a connection "
            f"{MonitoringStoreHook.default_conn_name!r} of type 'monitoring_store' that points to PostgreSQL"
        )


def store_url(connection: Connection) -> URL:
    """The SQLAlchemy URL of a ``monitoring_store`` connection: PostgreSQL when it has a host, else a SQLite file."""
    import sqlalchemy as sa

    extra = connection.extra_dejson
    path = extra.get("path")
    if path and connection.host:
        raise ConfigurationError(
            f"monitoring store {connection.conn_id!r} names both a host and a SQLite path; clear one of them"
        )
    if path:
        return sa.URL.create("sqlite", database=str(Path(str(path)).expanduser()))
    if not connection.host and not connection.schema:
        raise ConfigurationError(
            f"monitoring store {connection.conn_id!r} names neither a PostgreSQL host and database nor a SQLite path"
        )
    query = {key: str(extra[key]) for key in ("sslmode", "sslrootcert", "options") if extra.get(key)}
    return sa.URL.create(
        "postgresql+psycopg",
        username=connection.login or None,
        password=connection.password or None,
        host=connection.host or None,
        port=connection.port,
        database=connection.schema or "monitoring",
        query=query,
    )


def _storage_of(connection: Connection) -> tuple[Any, str]:
    """Where the prediction log lives: ``storage_root`` of the connection, else beside the embedded store."""
    from airflow_monitoring_provider.hooks.connections import open_files

    extra, url = connection.extra_dejson, store_url(connection)
    root = str(extra.get("storage_root") or "")
    if "://" in root and not root.startswith("file://"):
        files = open_files(root, extra.get("storage_conn_id") or None, purpose="monitoring store, storage root")
        return files.filesystem, root
    if root:
        return _local_storage(Path(root.removeprefix("file://")).expanduser())
    if url.get_backend_name() == "sqlite":
        return _local_storage(Path(url.database or "").resolve().parent / "storage")
    return _local_storage(embedded_home() / "storage")


def _local_storage(root: Path) -> tuple[Any, str]:
    import fsspec

    return fsspec.filesystem("file"), str(root)


def _executor() -> str:
    from airflow.sdk.configuration import conf

    return conf.get("core", "executor", fallback="LocalExecutor") or "LocalExecutor"
