"""Rows that are read once and written later wait in a private file, so that memory does not grow with their number.

A spool is a file of Arrow IPC streams, one a batch, in a job's scratch folder, whose name says which process on which
machine made it. A killed worker cannot remove its folder; the next job on the machine sweeps the folders of processes
that are gone. Machines that share a temporary folder leave each other's alone.

Arrow's streams carry no checksum: a changed byte is another value, and a file that was cut off is a shorter one. So the
size and SHA-256 of each batch are kept in memory, and a batch is handed out only when it is what was put in.

An output whose file can be made beforehand (:mod:`~airflow_monitoring_provider.outputs.encoding`) has its bytes wait in
place of the rows, while the next are read; they are copied when it is time to write, under a SHA-256 of all of them.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, Self

import pyarrow as pa

from airflow_monitoring_provider.engines.temporary import temporary_folder
from airflow_monitoring_provider.exceptions import OutputUnavailable
from airflow_monitoring_provider.outputs.encoding import EncodingWriter, RowEncoder
from airflow_monitoring_provider.outputs.output import RowWriter

_PREFIX = "airflow-monitoring-spool-"
_CHUNK_BYTES = 1 << 20


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

    :param schema: theirs; a column of it may come as a dictionary.
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
        block = packed(batch)
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


class EncodedSpool:
    """Append record batches, which become the bytes of their output's file at once; in the end these are copied there.

    :param encoded: makes the bytes, and writes them to ``file``.
    """

    def __init__(self, encoded: AbstractContextManager[RowEncoder], file: _HashedFile) -> None:
        self._file = file
        self._encoding = ExitStack()
        with temporary_folder():
            self._encoder = self._encoding.enter_context(encoded)

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch; errors as those of :class:`Spool`."""
        with temporary_folder():
            self._encoder.append(batch)

    def finish(self) -> None:
        """End appending; the file is whole from now on."""
        with temporary_folder():
            self._encoding.close()
            self._file.close()

    def fill(self, sink: IO[bytes]) -> tuple[int, str]:
        """See :class:`~airflow_monitoring_provider.outputs.files.Fill`.

        :raises OutputUnavailable: the file is no longer what was written; what is in ``sink`` must not be used.
        """
        digest = hashlib.sha256()
        for chunk in _chunks(self._file.path):
            digest.update(chunk)
            sink.write(chunk)
        if digest.digest() != self._file.digest.digest():
            raise _damaged(None)
        return self._encoder.rows, self._encoder.checksum()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        """Make no more of a file that is not whole: its end cannot be written where its middle could not."""
        ended = _EndedEarly()
        self._encoding.__exit__(_EndedEarly, ended, None)


class _EndedEarly(Exception):
    """Tells whoever encodes rows that no more of them will come."""


@contextmanager
def open_spool(writer: RowWriter | None, schema: pa.Schema, folder: Path) -> Iterator[Spool | EncodedSpool]:
    """Where rows wait: as the bytes of their file, where the output's writer makes these beforehand, else as rows.

    :param folder: a :func:`scratch_folder`, which removes the file in the end.
    """
    with ExitStack() as resources:
        if writer is None or not isinstance(writer, EncodingWriter) or not writer.encodes:
            spool = Spool(schema, folder)
            resources.callback(spool.finish)
            yield spool
            return
        with temporary_folder():
            file = resources.enter_context(_HashedFile(folder / "rows.encoded"))
        encoded = writer.encoded(file, schema)  # type: ignore[arg-type]  # it takes bytes
        yield resources.enter_context(EncodedSpool(encoded, file))


class _HashedFile(io.RawIOBase):
    """A file that is being written, and knows the SHA-256 of what went into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.digest = hashlib.sha256()
        self._file = path.open("wb")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._file.write(view)
        self.digest.update(view)
        return view.nbytes

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        try:
            self._file.close()
        finally:
            super().close()

    def __exit__(self, *_error: object) -> None:
        """What still waits in memory of a file that is not whole is lost: on a full disk it would fail once more, and
        hide the error that says so.
        """
        with contextlib.suppress(OSError):
            self.close()


def _chunks(path: Path) -> Iterator[bytes]:
    """The bytes of a file of the temporary folder, whose errors are told as such, and no other's."""
    try:
        with path.open("rb") as source:
            chunk = source.read(_CHUNK_BYTES)
            while chunk:
                yield chunk
                chunk = source.read(_CHUNK_BYTES)
    except OSError as error:
        raise _damaged(error) from None


def packed(batch: pa.RecordBatch) -> pa.Buffer:
    """A batch as a block of bytes that stands by itself."""
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, batch.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
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
