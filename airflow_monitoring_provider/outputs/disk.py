"""A window's file on a disk: written under another name, forced to the disk, then renamed.

The final name therefore never holds a part of a file. A lock file keeps attempts of one window apart for the two
moments that count: when an attempt announces itself in the marker, and when it renames. In between an attempt may
freeze without holding anybody up; when it wakes beside a newer one, the marker tells it to stop.

Every step goes through the folder's descriptor, reached from the root one part at a time without following symbolic
links, so that a link swapped in later leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from airflow_monitoring_provider.exceptions import ConfigurationError, OutputError, OutputUnavailable
from airflow_monitoring_provider.outputs.files import LOCK_WAIT, Fill, Marker, refuse_other
from airflow_monitoring_provider.outputs.output import Attempt, Receipt

_PAUSE = 0.02
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class DiskPlace:
    """See :class:`~airflow_monitoring_provider.outputs.files.Place`.

    :param root: folder that the file must lie under, symbolic links followed.
    :param folder: the file's, absolute or below the root, or as a ``file://`` URL; made when it is missing.
    :param wait: seconds to wait for another attempt's lock.
    """

    def __init__(self, root: str, folder: str, name: str, *, wait: float = LOCK_WAIT) -> None:
        self._root = Path(root or "/").expanduser().resolve()
        self._parts = _parts_below(self._root, folder)
        self._name = name
        self._wait = wait
        self.location = "/".join((*self._parts, name))

    def marker(self) -> Marker | None:
        """See :meth:`~airflow_monitoring_provider.outputs.files.Place.marker`."""
        with self._faults():
            try:
                with self._folder(make=False) as folder:
                    return self._marker(folder)
            except FileNotFoundError:
                return None

    def write(self, attempt: Attempt, fill: Fill) -> Receipt:
        """See :meth:`~airflow_monitoring_provider.outputs.files.Place.write`."""
        temporary = f".{self._name}.{attempt.token}.{os.getpid()}.tmp"
        with self._faults(), self._folder() as folder:
            with self._lock(folder):
                refuse_other(self._marker(folder), attempt, self.location)
                self._sweep(folder)
                self._put_marker(folder, Marker(attempt.job_id, attempt.store_id, attempt.token, "writing"))
            try:
                rows, checksum = _filled(folder, temporary, fill)
                with self._lock(folder):
                    refuse_other(self._marker(folder), attempt, self.location)
                    attempt.confirm()
                    os.replace(temporary, self._name, src_dir_fd=folder, dst_dir_fd=folder)
                    os.fsync(folder)
                    self._put_marker(
                        folder, Marker(attempt.job_id, attempt.store_id, attempt.token, "complete", rows, checksum)
                    )
            finally:
                _forget(folder, temporary)
        return Receipt(rows, checksum, self.location)

    @contextlib.contextmanager
    def _folder(self, *, make: bool = True) -> Iterator[int]:
        """A descriptor of the file's folder, which is made when it is missing."""
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in self._parts:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                below = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = below
            yield folder
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _lock(self, folder: int) -> Iterator[None]:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(f".{self._name}.lock", flags, 0o666, dir_fd=folder)
        try:
            deadline = time.monotonic() + self._wait
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= deadline:
                        raise OutputUnavailable(f"{self.location} is locked by another attempt") from None
                time.sleep(_PAUSE)
            yield
        finally:
            os.close(lock)

    def _marker(self, folder: int) -> Marker | None:
        try:
            descriptor = os.open(self._marker_name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
            return Marker.from_json(file.read(), self.location)

    def _put_marker(self, folder: int, marker: Marker) -> None:
        temporary = f"{self._marker_name}.{marker.token}.{os.getpid()}.tmp"
        try:
            with open(os.open(temporary, _NEW, 0o666, dir_fd=folder), "wb") as file:  # noqa: PTH123
                file.write(marker.to_json())
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self._marker_name, src_dir_fd=folder, dst_dir_fd=folder)
            os.fsync(folder)
        finally:
            _forget(folder, temporary)

    def _sweep(self, folder: int) -> None:
        """Remove what killed attempts left; a living one that is older will be refused anyway."""
        for name in os.listdir(folder):
            if name.startswith((f".{self._name}.", f"{self._marker_name}.")) and name.endswith(".tmp"):
                _forget(folder, name)

    @property
    def _marker_name(self) -> str:
        return f".{self._name}.marker"

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            if error.errno in _FULL:
                raise OutputUnavailable(
                    f"{self.location} could not be written: the disk is full or the file too large ({reason}); "
                    "free space and run the job again"
                ) from None
            if error.errno in _FORBIDDEN:
                raise ConfigurationError(f"{self.location} may not be written ({reason}); check permissions") from None
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise OutputError(f"a part of the folder of {self.location} is a symbolic link or no folder") from None
            if error.errno == errno.ENAMETOOLONG:
                raise OutputError(f"the name of {self.location} is too long for its file system") from None
            if error.errno == errno.ENOENT:
                raise OutputUnavailable(f"the folder of {self.location} has gone, or its root is not there") from None
            raise OutputUnavailable(f"{self.location} could not be written: {reason}") from None


def _filled(folder: int, name: str, fill: Fill) -> tuple[int, str]:
    with open(os.open(name, _NEW, 0o666, dir_fd=folder), "wb") as file:  # noqa: PTH123 - a descriptor, not a path
        rows, checksum = fill(file)
        file.flush()
        os.fsync(file.fileno())
    return rows, checksum


def _forget(folder: int, name: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _parts_below(root: Path, folder: str) -> tuple[str, ...]:
    """The parts of the folder's real path below the root."""
    path = unquote(folder.removeprefix("file://")) if folder.startswith("file://") else folder
    path = path.removeprefix("local://")
    if "\0" in path:
        raise OutputError("outputSettings.url must not hold NUL")
    try:
        real = (root / path).resolve()
        return real.relative_to(root).parts
    except (ValueError, RuntimeError, OSError):
        raise OutputError(
            "outputSettings.url leads out of the connection's root folder, by itself or through a symbolic link; "
            "choose a folder below the root"
        ) from None
