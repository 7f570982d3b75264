"""A window's object in an object store: filled in a private file of this machine, then put as a whole.

Limits: stores that fsspec speaks to offer no common conditional write, so the marker is looked at just before the
object is put and not in the same step. Of two attempts that put within the same moment the last one stands, whole in
either case. A retry after the earlier attempt has ended, the usual case, is exact. The marker is put after the object.
"""

from __future__ import annotations

import posixpath
import tempfile
from pathlib import Path
from typing import Any

from airflow_monitoring_provider.exceptions import ConfigurationError, MonitoringError, OutputError, OutputUnavailable
from airflow_monitoring_provider.outputs.files import Fill, Marker, refuse_older
from airflow_monitoring_provider.outputs.output import Attempt, Receipt


class ObjectPlace:
    """See :class:`~airflow_monitoring_provider.outputs.files.Place`.

    :param root: prefix that the object must lie under; ``""`` for none.
    """

    def __init__(self, filesystem: Any, root: str, folder: str, name: str) -> None:
        self._filesystem = filesystem
        base = str(filesystem._strip_protocol(root)).rstrip("/") if root else ""
        path = str(filesystem._strip_protocol(folder)).rstrip("/")
        inside = path == base or path.startswith(base + "/")
        if not inside and "://" not in folder and not folder.startswith("/"):  # relative to the root
            path, inside = posixpath.join(base, path.lstrip("/")), True
        if (base and not inside) or ".." in path.split("/") or "\0" in folder:
            raise OutputError("outputSettings.url leads out of the connection's root; choose a place below it")
        self._folder = path
        self._path = posixpath.join(path, name)
        self._marker_path = posixpath.join(path, f".{name}.marker")
        self.location = self._path.removeprefix(base).lstrip("/")

    def write(self, attempt: Attempt, fill: Fill) -> Receipt:
        """See :meth:`~airflow_monitoring_provider.outputs.files.Place.write`."""
        with tempfile.TemporaryDirectory(prefix="airflow-monitoring-output-") as private:
            whole = Path(private, "rows")
            try:
                refuse_older(self._marker(), attempt, self.location)
                with whole.open("wb") as file:
                    rows, checksum = fill(file)
                refuse_older(self._marker(), attempt, self.location)
                self._filesystem.makedirs(self._folder, exist_ok=True)
                self._filesystem.put_file(str(whole), self._path)
                marker = Marker(attempt.job_id, attempt.token, "complete", rows, checksum)
                self._filesystem.pipe_file(self._marker_path, marker.to_json())
            except MonitoringError:
                raise
            except PermissionError:
                raise ConfigurationError(f"{self.location} may not be written; check the connection's rights") from None
            except OSError as error:
                raise OutputUnavailable(
                    f"{self.location} could not be written ({type(error).__name__}); the store or the temporary "
                    "folder of this machine failed or is full"
                ) from None
        return Receipt(rows, checksum, self.location)

    def _marker(self) -> Marker | None:
        self._filesystem.invalidate_cache(self._folder)
        try:
            content = self._filesystem.cat_file(self._marker_path)
        except FileNotFoundError:
            return None
        return Marker.from_json(content, self.location)
