"""Rows that are read once and written later wait in a private file, so that memory does not grow with their number.

A spool is a file of Arrow IPC streams, one a batch, in a job's scratch folder, whose name says which process on which
machine made it. A killed worker cannot remove its folder; the next job on the machine sweeps the folders of processes
that are gone. Machines that share a temporary folder leave each other's alone.

Arrow's streams carry no checksum: a changed byte is another value, and a file that was cut off is a shorter one. So the
size and SHA-256 of each batch are kept in memory, and a batch is handed out only when it is what was put in.
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

from airflow_monitoring_provider.engines.temporary import temporary_folder
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
    with temporary_folder():
        folder = Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-", dir=base))
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
        with temporary_folder():
            self._sink = pa.OSFile(str(self._path), "wb")
        self._blocks: list[tuple[int, bytes]] = []
        self.schema = schema
        self.rows = 0

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch.

        :raises OutputUnavailable: the disk is full or the folder is gone.
        """
        block = packed(batch, self.schema)
        with temporary_folder():
            self._sink.write(block)
        self._blocks.append((block.size, hashlib.sha256(block).digest()))
        self.rows += batch.num_rows

    def finish(self) -> None:
        """End appending; the rows can be read from now on."""
        with temporary_folder():
            self._sink.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The batches in the order in which they were appended.

        :raises OutputUnavailable: the file is no longer what was written; the batches until then are right.
        """
        try:
            source = pa.OSFile(str(self._path), "rb")
        except OSError as error:
            raise _damaged(error) from None
        with source:
            for size, digest in self._blocks:
                try:
                    block = source.read_buffer(size)
                except OSError as error:
                    raise _damaged(error) from None
                if block.size != size or hashlib.sha256(block).digest() != digest:
                    raise _damaged(None)
                yield unpacked(block)


def packed(batch: pa.RecordBatch, schema: pa.Schema) -> pa.Buffer:
    """A batch as a block of bytes that stands by itself."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(batch)
    return stream.getvalue()


def unpacked(block: pa.Buffer | bytes) -> pa.RecordBatch:
    """The batch of a block that :func:`packed` made."""
    with pa.ipc.open_stream(block) as reader:
        return reader.read_next_batch()


def _damaged(error: OSError | None) -> OutputUnavailable:
    reason = "they are no longer what was written" if error is None else os.strerror(error.errno or 0)
    return OutputUnavailable(
        f"rows kept in the temporary folder cannot be read back: {reason}; the next attempt reads them anew. If this "
        "lasts, check the disk that holds TMPDIR, and what cleans it"
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
