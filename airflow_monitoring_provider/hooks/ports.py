"""A job's doors, opened from Airflow connections and closed when the task ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.hooks.cancelling import CancellableSource
from airflow_monitoring_provider.hooks.connections import FileRoot, database_url, open_database, open_files
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

if TYPE_CHECKING:
    from sqlalchemy.engine import Engine

    from airflow_monitoring_provider.definitions import FileOutput, IntakeSettings, JobDefinition
    from airflow_monitoring_provider.intake.source import RowSource
    from airflow_monitoring_provider.jobs.ports import Ports
    from airflow_monitoring_provider.outputs.output import RowWriter
    from airflow_monitoring_provider.store.store import MonitoringStore


@contextmanager
def open_ports(monitoring_store_conn_id: str, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Ports]:
    """The store, sources and writers of a task, in a process that is the task's own.

    :param cancelled: whether the task was killed; asked also while SQLite works on a long statement of the intake.
    :raises ConfigurationError: a connection that a definition names is missing or of the wrong kind; raised when the
        job asks for the source or writer.
    """
    from airflow_monitoring_provider.engines.lean_memory import use_lean_memory

    use_lean_memory()  # before anything imports Arrow
    from airflow_monitoring_provider.jobs.ports import Ports

    with ExitStack() as resources:
        store = resources.enter_context(MonitoringStoreHook(monitoring_store_conn_id).get_conn())

        def source(definition: JobDefinition, intake: IntakeSettings, order_by: tuple[str, ...]) -> RowSource:
            opened = _open_source(definition, intake, order_by, resources, cancelled, store)
            return CancellableSource(opened, cancelled)

        def writer(definition: JobDefinition) -> RowWriter:
            return _open_writer(definition, resources)

        yield Ports(store=store, source=source, writer=writer)


def _open_source(
    definition: JobDefinition,
    intake: IntakeSettings,
    order_by: tuple[str, ...],
    resources: ExitStack,
    cancelled: Callable[[], bool],
    store: MonitoringStore,
) -> RowSource:
    from airflow_monitoring_provider.definitions import FileIntake, SqlIntake
    from airflow_monitoring_provider.definitions.embeddings import vector_columns
    from airflow_monitoring_provider.intake.source import open_source

    if isinstance(intake, SqlIntake):
        engine = open_database(
            intake.data_store_id,
            intake.credential_id,
            purpose="intakeSettings.dataStoreId",
            cancelled=cancelled,
            arrow=True,
        )
        resources.callback(engine.dispose)
        if engine.dialect.name == "adbc":
            _refuse_shared_file(definition, intake.connection_id, engine, store)
        return open_source(intake, engine=engine, order_by=order_by)
    if isinstance(intake, FileIntake):
        files = open_files(intake.url, intake.connection_id, purpose="intakeSettings.dataStoreId")
        return open_source(
            intake,
            filesystem=files.filesystem,
            root=files.root,
            csv=definition.csv_settings,
            vectors=vector_columns(definition),
        )
    return open_source(intake)


def _refuse_shared_file(definition: JobDefinition, conn_id: str, engine: Engine, store: MonitoringStore) -> None:
    """Refuse to read an SQLite file through ADBC that ``sqlite3`` writes to in this process.

    The driver brings a SQLite of its own, and POSIX gives up all locks of a process on a file as soon as one of its
    openings is closed (sqlite.org, "How To Corrupt An SQLite Database File": several copies in one application).
    """
    from pathlib import Path

    from airflow_monitoring_provider.definitions import SqlOutput
    from airflow_monitoring_provider.intake.adbc_dialect import sqlite_file
    from airflow_monitoring_provider.intake.faults import translated

    with translated(f"connection {conn_id!r}"):
        read = sqlite_file(engine)
    output, written = definition.output_settings, [store.sqlite_file]
    if isinstance(output, SqlOutput):
        url = database_url(output.data_store_id, purpose="outputSettings.dataStoreId")
        written.append(url.database if url.drivername.startswith("sqlite") else None)
    if read is not None and Path(read).resolve() in {Path(path).resolve() for path in written if path}:
        raise ConfigurationError(
            f"connection {conn_id!r} reads an SQLite file through ADBC that this job also writes to, which breaks the "
            "file's locks; use a connection of type 'sqlite'"
        )


def _open_writer(definition: JobDefinition, resources: ExitStack) -> RowWriter:
    from airflow_monitoring_provider.definitions import FileOutput, SqlOutput
    from airflow_monitoring_provider.outputs.output import open_writer

    output, settings = definition.output_settings, definition.monitoring_output_settings
    if output is None:
        raise ConfigurationError(f"definition {definition.id!r} has no outputSettings")
    opened: dict[str, Any] = {}
    if isinstance(output, SqlOutput):
        opened["engine"] = open_database(
            output.data_store_id, output.credential_id, purpose="outputSettings.dataStoreId"
        )
        resources.callback(opened["engine"].dispose)
    elif isinstance(output, FileOutput):
        files = open_files(output.url, output.connection_id, purpose="outputSettings.dataStoreId")
        _refuse_own_results(definition.intake_settings, output, files)
        opened |= {"filesystem": files.filesystem, "root": files.root}
    return open_writer(
        output,
        identifiers=settings.unique_row_identifier_columns,
        status_column=settings.monitored_status_column,
        csv=definition.csv_settings,
        **opened,
    )


def _refuse_own_results(intake: IntakeSettings, output: FileOutput, files: FileRoot) -> None:
    """Refuse results where the job reads, which two connections or a link can hide from the definition's own check.

    A link below the intake's folder that leads to the output's is not looked for.
    """
    from fsspec.implementations.local import LocalFileSystem

    from airflow_monitoring_provider.definitions import FileIntake
    from airflow_monitoring_provider.definitions.places import real_parts, suffix_of, would_read

    if not isinstance(intake, FileIntake) or not isinstance(files.filesystem, LocalFileSystem):
        return
    read = open_files(intake.url, intake.connection_id, purpose="intakeSettings.dataStoreId")
    if not isinstance(read.filesystem, LocalFileSystem):
        return
    if would_read(real_parts(read.root, intake.url), real_parts(files.root, output.url), suffix_of(output.url)):
        raise ConfigurationError(
            "outputSettings.url leads to where the job reads: the next run would read its own results; choose a folder "
            "that intakeSettings.url does not cover"
        )
