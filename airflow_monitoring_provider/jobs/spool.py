"""Rows that are read once and written later wait in a private file, so that memory does not grow with their number.

A spool is an Arrow IPC file in a job's scratch folder, whose name says which process on which machine made it. A killed
worker cannot remove its folder; the next job on the machine sweeps the folders of processes that are gone. Machines
that share a temporary folder leave each other's alone.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from airflow_monitoring_provider.exceptions import OutputUnavailable

_PREFIX = "airflow-monitoring-spool-"


@contextmanager
def scratch_folder(base: Path | None = None) -> Iterator[Path]:
    """A private folder that is gone when the context ends.

    :param base: where it lies; the system's temporary folder when None.
    :raises OutputUnavailable: there is no space or no right to make it.
    """
    base = base or Path(tempfile.gettempdir())
    _sweep(base)
    try:
        folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-", dir=base))
    except OSError as error:
        raise _full(error) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Spool:
    """Append record batches of one schema, then read them back in order as often as needed.

    :param folder: a :func:`scratch_folder`, which removes the file in the end.
    """

    def __init__(self, schema: pa.Schema, folder: Path) -> None:
        self._path = folder / "rows.arrow"
        self._sink = pa.OSFile(str(self._path), "wb")
        self._writer = pa.ipc.new_stream(self._sink, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))
        self.schema = schema
        self.rows = 0

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch.

        :raises OutputUnavailable: the disk is full or the folder is gone.
        """
        try:
            self._writer.write_batch(batch)
        except OSError as error:
            raise _full(error) from None
        self.rows += batch.num_rows

    def finish(self) -> None:
        """End appending; the rows can be read from now on."""
        try:
            self._writer.close()
            self._sink.close()
        except OSError as error:
            raise _full(error) from None

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches in the order in which they were appended."""
        with pa.OSFile(str(self._path), "rb") as source, pa.ipc.open_stream(source) as reader:
            yield from reader


def _full(error: OSError) -> OutputUnavailable:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return OutputUnavailable(
        f"rows could not be kept in the temporary folder: {reason}; free space there or set TMPDIR to a larger disk"
    )


def _prefix() -> str:
    """Of the folders made on this machine (or in this container, whose process ids are its own)."""
    return f"{_PREFIX}{hashlib.sha256(platform.node().encode()).hexdigest()[:12]}-"


def _sweep(base: Path) -> None:
    prefix = _prefix()
    for folder in base.glob(f"{prefix}*"):
        pid = folder.name.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
