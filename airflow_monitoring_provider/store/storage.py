"""Files of the store: the prediction log, Parquet files that late actuals join, the actuals themselves, and
the staged parts of running jobs.

A file has its final name only when it is whole; it counts only when the manifest in the store lists it, which happens
in the job's commit. So a killed attempt leaves garbage, never a lie. File names carry the attempt's token: an older
attempt cannot touch a newer one's file. Memory is that of one record batch.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import posixpath
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from airflow_monitoring_provider.exceptions import ConfigurationError, CorruptData, StoreUnavailable
from airflow_monitoring_provider.store.file_names import folder as folder_of
from airflow_monitoring_provider.store.file_names import owner
from airflow_monitoring_provider.store.log_columns import DICTIONARY, encoding_of, repeating_columns, told, told_schema
from airflow_monitoring_provider.store.records import FileKind, PredictionFile


class Storage:
    """A folder of a filesystem; everything is written below ``root`` and nothing outside it."""

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str) -> None:
        self._filesystem = filesystem
        self._local = isinstance(filesystem, LocalFileSystem)
        self._root = str(Path(root).absolute()) if self._local else root.rstrip("/")

    @classmethod
    def local(cls, root: str | os.PathLike[str]) -> Storage:
        """A folder of this machine."""
        return cls(LocalFileSystem(), os.fspath(root))

    def write_predictions(
        self,
        *,
        deployment_id: str,
        batch_id: str,
        job_id: str,
        token: int,
        schema: pa.Schema,
        part: int = 0,
        kind: FileKind = FileKind.PREDICTIONS,
    ) -> PredictionWriter:
        """Open a file for one attempt's predictions or actuals (its ``part``, where several tasks write)."""
        # Several tasks' names are used once each: a part that is run again must not replace a file that counts.
        name = self.file_name(job_id, token, f"{part}-{secrets.token_hex(8)}" if part else "", "parquet")
        file = self.create((kind, deployment_id, batch_id), name)
        if kind is FileKind.RETAINED:
            return PredictionWriter(file, schema, {})
        texts = [name for name in repeating_columns(schema) if schema.field(name).type == pa.string()]
        return PredictionWriter(file, schema, encoding_of(schema), texts)

    def file_name(self, job_id: str, token: int, rest: str, suffix: str) -> str:
        """The name of a file that belongs to an attempt, as :meth:`sweep` knows it."""
        return f"{owner(job_id)}-{token}" + (f"-{rest}" if rest else "") + f".{suffix}"

    def create(self, folders: tuple[str, str, str], name: str) -> NewFile:
        """A new file in a folder of its kind, deployment and batch; nobody sees it before it is published."""
        return self.new_file(posixpath.join(folder_of(*folders), name))

    def new_file(self, path: str) -> NewFile:
        """A new file below the root. Raises :class:`ConfigurationError` for a path that leads out of it."""
        if any(part in {"", ".", ".."} for part in path.split("/")) or "\0" in path:
            raise ConfigurationError("the file's path leads out of its root, or names no file; choose one below it")
        folder = posixpath.dirname(path)
        self._require_inside(folder)  # before anything is made there
        with self.translated("write"):
            self._filesystem.makedirs(self._absolute(folder), exist_ok=True)
            self._require_inside(folder)
            return NewFile(self, path)

    def listed(self, kind: FileKind, deployment_id: str) -> list[str]:
        """Paths of every file of a kind and deployment, hidden and unfinished ones too."""
        folder = self._absolute(folder_of(kind, deployment_id))
        with self.translated("list"):
            if not self._filesystem.isdir(folder):
                return []
            found = self._filesystem.find(folder)
        stem = str(self._filesystem._strip_protocol(folder)).rstrip("/")
        return sorted(posixpath.join(folder_of(kind, deployment_id), path[len(stem) + 1 :]) for path in found)

    def remove(self, path: str) -> None:
        """Remove a file below the root; one that is gone already is no error."""
        self._require_inside(posixpath.dirname(path))
        with self.translated("clean"), contextlib.suppress(FileNotFoundError):
            self._filesystem.rm_file(self._absolute(path))

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[IO[bytes]]:
        """A file below the root, for reading.

        Raises :class:`StoreUnavailable` where it is not there, :class:`CorruptData` for a path out of the root.
        """
        if any(part in {"", ".", ".."} for part in path.split("/")):
            raise CorruptData("a path in the store leaves the storage root")
        self._require_inside(path)
        with self.translated("read"), self._filesystem.open(self._absolute(path), "rb") as stream:
            yield stream

    def read_predictions(self, file: PredictionFile, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """The rows of a listed file, at most 65 536 a batch, after its checksum was verified.

        :param columns: those to read; all when None.

        Raises :class:`CorruptData` where the file is missing or is not what was committed.
        """
        if any(part in {"", ".", ".."} for part in file.path.split("/")):
            raise CorruptData("a path in the prediction log's manifest leaves the storage root")
        self._require_inside(file.path)
        path = self._absolute(file.path)
        with self.translated("read"):
            try:
                if self._digest(path) != file.sha256:
                    raise CorruptData(f"prediction file {file.path} does not match its checksum")
                stream = self._filesystem.open(path, "rb")
            except FileNotFoundError:
                raise CorruptData(f"prediction file {file.path} is listed, but gone") from None
        with stream, pq.ParquetFile(stream) as parquet:
            for batch in parquet.iter_batches(batch_size=65_536, columns=columns):
                yield told(batch) if _holds_predictions(file) else batch

    def schema_of(self, file: PredictionFile) -> pa.Schema:
        """The columns that :meth:`read_predictions` gives; errors as :meth:`opened`."""
        with self.opened(file.path) as stream:
            schema = pq.read_schema(stream).remove_metadata()
        return told_schema(schema) if _holds_predictions(file) else schema

    def sweep(
        self,
        *,
        deployment_id: str,
        batch_id: str,
        job_id: str,
        token: int,
        keep: Iterable[str],
        kind: FileKind = FileKind.PREDICTIONS,
    ) -> int:
        """Remove this job's files of attempts up to ``token`` that are not among ``keep``; how many went.

        Files of a newer attempt stay: it may be writing them.
        """
        folder = folder_of(kind, deployment_id, batch_id)
        own = re.compile(rf"\.?{re.escape(owner(job_id))}-(\d+)(-\d+)?(-[0-9a-f]+)?\.(parquet|part)(\.[0-9a-f]+\.tmp)?")
        kept = {posixpath.basename(path) for path in keep}
        removed = 0
        with self.translated("clean"):
            if not self._filesystem.isdir(self._absolute(folder)):
                return 0
            for path in self._filesystem.ls(self._absolute(folder), detail=False):
                name = posixpath.basename(path.rstrip("/"))
                match = own.fullmatch(name)
                if match and int(match[1]) <= token and name not in kept:
                    with contextlib.suppress(FileNotFoundError):
                        self._filesystem.rm_file(path)
                        removed += 1
        return removed

    @staticmethod
    def translated(verb: str) -> AbstractContextManager[None]:
        """Raises this package's errors instead of the operating system's."""
        return _translated(verb)

    def _absolute(self, path: str) -> str:
        return posixpath.join(self._root, path)

    def _require_inside(self, path: str) -> None:
        """Refuse a path that a symbolic link leads out of the root."""
        if self._local and not Path(self._absolute(path)).resolve().is_relative_to(Path(self._root).resolve()):
            raise ConfigurationError("a symbolic link leads out of the monitoring store's storage root; remove it")

    def _digest(self, path: str) -> str:
        with self._filesystem.open(path, "rb") as stream:
            digest = hashlib.sha256()
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
        return digest.hexdigest()

    def begin(self, path: str) -> tuple[IO[bytes], str | None]:
        """The stream to write ``path`` through, and the temporary name it has until it is whole (local files)."""
        absolute = self._absolute(path)
        if not self._local:
            return self._filesystem.open(absolute, "wb"), None  # an object appears when it is closed, not before
        folder, name = posixpath.split(absolute)
        temporary = posixpath.join(folder, f".{name}.{secrets.token_hex(8)}.tmp")
        return Path(temporary).open("xb"), temporary

    def publish(self, stream: IO[bytes], path: str, temporary: str | None) -> None:
        """Give a file its name, once it is whole."""
        if temporary is None:
            stream.close()
            return
        stream.flush()
        os.fsync(stream.fileno())
        stream.close()
        final = Path(self._absolute(path))
        Path(temporary).replace(final)
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the new name itself must survive a power cut
        finally:
            os.close(folder)

    def abandon(self, stream: IO[bytes], path: str, temporary: str | None) -> None:
        """Leave nothing of a file."""
        if temporary is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()  # fails on a full disk, with what was not written yet
            with contextlib.suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
            return
        with contextlib.suppress(OSError, ValueError):
            if hasattr(stream, "discard"):
                stream.discard()
            stream.close()
        with contextlib.suppress(OSError):
            self._filesystem.rm_file(self._absolute(path))


class PredictionWriter:
    """Writes one file batch by batch; :meth:`close` makes it final, leaving a ``with`` block early discards it.

    :param repeating: columns of texts that are handed to Parquet as dictionaries: it would look up every row's text
        to find out that there are two of them. The file says nothing of it, so readers get texts.
    """

    def __init__(
        self, file: NewFile, schema: pa.Schema, layout: Mapping[str, Any], repeating: Iterable[str] = ()
    ) -> None:
        self.path = file.path
        self.schema = schema
        self._file = file
        self._encoded = [schema.get_field_index(name) for name in repeating]
        self._stored = schema
        for place in self._encoded:
            self._stored = self._stored.set(place, schema.field(place).with_type(DICTIONARY))
        layout = {"compression": "zstd", **layout}
        self._writer = pq.ParquetWriter(file, self._stored, store_schema=not self._encoded, **layout)
        self._rows = 0
        self._open = True

    def append(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch whose schema is the file's; repeating texts may come as dictionaries of themselves.

        Their dictionary holds no null and no text twice, as ``Array.dictionary_encode`` makes it.
        """
        columns = batch.columns
        for place in self._encoded:
            column = columns[place]
            columns[place] = column if column.type == DICTIONARY else column.dictionary_encode()
        with _translated("write"):
            self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=self._stored))
        self._rows += batch.num_rows

    def close(self) -> PredictionFile | None:
        """Make the file final and return its manifest entry; None, and no file, where no row was appended."""
        if not self._open:
            raise ValueError("the prediction file is closed already")
        if not self._rows:
            self.discard()
            return None
        with _translated("write"):
            self._writer.close()
        path, size = self._file.publish()
        self._open = False
        return PredictionFile(path, self._rows, size, self._file.digest.hexdigest())

    def discard(self) -> None:
        """Leave nothing behind; does nothing after :meth:`close`."""
        if not self._open:
            return
        self._open = False
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):
            self._writer.close()
        self._file.abandon()

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()


class NewFile(io.RawIOBase):
    """A file that is being written, without seeking, and knows the size and SHA-256 of what went through it."""

    def __init__(self, storage: Storage, path: str) -> None:
        self.path = path
        self.size = 0
        self.digest = hashlib.sha256()
        self._storage = storage
        self._stream, self._temporary = storage.begin(path)
        self._open = True

    def publish(self) -> tuple[str, int]:
        """Make it whole under its name: path and size."""
        with _translated("write"):
            self._storage.publish(self._stream, self.path, self._temporary)
        self._open = False
        return self.path, self.size

    def abandon(self) -> None:
        """Leave nothing behind; does nothing after :meth:`publish`."""
        if self._open:
            self._open = False
            self._storage.abandon(self._stream, self.path, self._temporary)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._stream.write(view)
        self.digest.update(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.size


def _holds_predictions(file: PredictionFile) -> bool:
    """Not actuals or retained rows, whose columns are those of their source."""
    return file.path.startswith(f"{FileKind.PREDICTIONS}/")


@contextlib.contextmanager
def _translated(verb: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise StoreUnavailable(f"could not {verb} the monitoring store's files: its folder or file is gone") from None
    except PermissionError:
        raise ConfigurationError(
            f"could not {verb} the monitoring store's files: permission denied at the storage root"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise StoreUnavailable(f"could not {verb} the monitoring store's files: {reason}") from None
