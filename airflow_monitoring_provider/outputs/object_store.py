"""A window's object in an object store: filled in a private file of this machine, then put as a whole.

The object-store form of the protocol that :mod:`airflow_monitoring_provider.jobs.run` tells: an attempt announces
itself in the marker first; before it puts the object it looks whether the marker is still its own and asks the store
whether it still owns the job.

Limits: stores that fsspec speaks to offer no common conditional write, so looking and putting are two steps. An attempt
that freezes between these two, while a newer one does all its work, puts its stale object when it wakes. An object is
whole in every case, and a retry after the earlier attempt has ended, the usual case, is exact.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from airflow_monitoring_provider.exceptions import ConfigurationError, MonitoringError, OutputError, OutputUnavailable
from airflow_monitoring_provider.outputs.files import Fill, Marker, refuse_other
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

    def marker(self) -> Marker | None:
        """See :meth:`~airflow_monitoring_provider.outputs.files.Place.marker`."""
        with self._faults():
            return self._marker()

    def write(self, attempt: Attempt, fill: Fill) -> Receipt:
        """See :meth:`~airflow_monitoring_provider.outputs.files.Place.write`."""
        with tempfile.TemporaryDirectory(prefix="airflow-monitoring-output-") as private:
            whole = Path(private, "rows")
            with self._faults():
                refuse_other(self._marker(), attempt, self.location)
                self._filesystem.makedirs(self._folder, exist_ok=True)
                self._put_marker(Marker(attempt.job_id, attempt.store_id, attempt.token, "writing"))
            rows, checksum = _filled(whole, fill)
            with self._faults():
                refuse_other(self._marker(), attempt, self.location)
                attempt.confirm()
                self._filesystem.put_file(str(whole), self._path)
                self._put_marker(Marker(attempt.job_id, attempt.store_id, attempt.token, "complete", rows, checksum))
        return Receipt(rows, checksum, self.location)

    def _marker(self) -> Marker | None:
        self._filesystem.invalidate_cache(self._folder)
        try:
            content = self._filesystem.cat_file(self._marker_path)
        except FileNotFoundError:
            return None
        return Marker.from_json(content, self.location)

    def _put_marker(self, marker: Marker) -> None:
        self._filesystem.pipe_file(self._marker_path, marker.to_json())

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except MonitoringError:
            raise
        except PermissionError:
            raise ConfigurationError(f"{self.location} may not be written; check the connection's rights") from None
        except Exception as error:  # each storage library has errors of its own, and their texts hold addresses
            raise OutputUnavailable(
                f"{self.location} could not be reached, or the write broke off ({type(error).__name__})"
            ) from None


def _filled(path: Path, fill: Fill) -> tuple[int, str]:
    try:
        with path.open("wb") as file:
            return fill(file)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise OutputUnavailable(
            f"rows could not be kept in the temporary folder: {reason}; free space there or set TMPDIR to a larger disk"
        ) from None
