"""Rows that are read once and written later wait in a private file, so that memory does not grow with their number.

A spool is an Arrow IPC file in a private temporary folder named by process id. A killed worker cannot remove its
folder; the next spool on the machine sweeps the folders of processes that are gone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from airflow_monitoring_provider.exceptions import OutputUnavailable

_PREFIX = "airflow-monitoring-spool-"


class Spool:
    """Append record batches of one schema, then read them back in order as often as needed."""

    def __init__(self, schema: pa.Schema, *, folder: Path | None = None) -> None:
        base = folder or Path(tempfile.gettempdir())
        _sweep(base)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=base))
        self._path = self._folder / "rows.arrow"
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

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _full(error: OSError) -> OutputUnavailable:
    reason = os.strerror(error.errno) if error.errno else type(error).__name__
    return OutputUnavailable(
        f"the spool file in the temporary folder could not be written: {reason}; free space there or set TMPDIR to a "
        "larger disk"
    )


def _sweep(base: Path) -> None:
    for folder in base.glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
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
