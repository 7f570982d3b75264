"""From a file URL and a connection to the place that an export is written to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.hooks.connections import FileRoot, open_files
from airflow_monitoring_provider.hooks.ports import open_ports

if TYPE_CHECKING:
    from airflow_monitoring_provider.store.storage import Storage


def export_to_file(
    source: str, url: str, file_conn_id: str, *, store_conn_id: str, file_format: str | None, **wanted: Any
) -> dict[str, Any]:
    """Export rows to a file below the root of a connection, as :func:`~airflow_monitoring_provider.jobs.export` does.

    :param file_format: ``csv`` or ``parquet``; None: as the file's name ends.
    :param wanted: the other members of :class:`~airflow_monitoring_provider.jobs.export.Export`.
    """
    with open_ports(store_conn_id) as ports:
        from airflow_monitoring_provider.definitions import FileFormat
        from airflow_monitoring_provider.jobs.export import Export, ExportSource, export

        ending = file_format or url.rpartition(".")[2].lower()
        if ending not in ("csv", "parquet"):
            raise ConfigurationError("the export's file must end in .csv or .parquet, or its format must be one")
        if source not in {known.value for known in ExportSource}:
            raise ConfigurationError(f"source must be one of {', '.join(ExportSource)}, not {source!r}")
        place, path = _place(open_files(url, file_conn_id, purpose="export"), url)
        return export(Export(ExportSource(source), form=FileFormat(ending), **wanted), ports, place, path).to_dict()


def _place(files: FileRoot, url: str) -> tuple[Storage, str]:
    """The root as a place for files, and the file's path below it."""
    from pathlib import Path
    from urllib.parse import unquote

    from fsspec.implementations.local import LocalFileSystem

    from airflow_monitoring_provider.store.storage import Storage

    if isinstance(files.filesystem, LocalFileSystem):
        root = str(Path(files.root).expanduser().resolve())
        path = unquote(url.removeprefix("file://")) if url.startswith("file://") else url
    else:
        root = str(files.filesystem._strip_protocol(files.root)).rstrip("/") if files.root else ""
        path = str(files.filesystem._strip_protocol(url)) if "://" in url else url
    if path.startswith(root + "/") and root:
        path = path[len(root) + 1 :]
    elif "://" in url and root:
        raise ConfigurationError("the export's url leads out of the connection's root; choose a file below it")
    return Storage(files.filesystem, root), path
