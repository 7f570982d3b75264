"""Row results into one file a window: CSV or Parquet, on a disk or in an object store.

======================= =========================================================================
``url``                 file of a window
======================= =========================================================================
``/data/results``       ``/data/results/<definition id>/<start>_<end>.parquet`` (or ``.csv``)
``/data/results.csv``   ``/data/results_<start>_<end>.csv``
======================= =========================================================================

A folder whose name has a suffix is written with a ``/`` at its end; any other suffix is refused with the definition.
Instants in names are UTC: ``20260131T000000Z``, with microseconds only where there are any. The format is
``format``, else the suffix's, else Parquet. Two definitions that write to the same file name need two folders.
Beside each file lies ``.<name>.marker``: JSON with the job's id, the attempt's store and token, the state (``writing``,
``complete``), rows and checksum, under a checksum of its own; it is how a late attempt learns that a newer one was here
(:mod:`airflow_monitoring_provider.jobs.run`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any, Protocol
from urllib.parse import quote

import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from airflow_monitoring_provider.definitions import CsvSettings, FileFormat, FileOutput
from airflow_monitoring_provider.definitions.places import suffix_of
from airflow_monitoring_provider.exceptions import ConfigurationError, MonitoringError, OutputError
from airflow_monitoring_provider.outputs.checksum import RowChecksum
from airflow_monitoring_provider.outputs.formats import RowFile, open_rows
from airflow_monitoring_provider.outputs.output import DEFAULT_STATUS_COLUMN, Attempt, Receipt
from airflow_monitoring_provider.outputs.values import storable, stored_type, told

log = logging.getLogger(__name__)

LOCK_WAIT = 10.0  # seconds
_LONGEST_PART = 180  # of the 255 bytes of a name; the rest is for the ends of temporary names


@dataclasses.dataclass(frozen=True, slots=True)
class Marker:
    """What lies beside a file; ``rows`` and ``checksum`` are None while it is being written."""

    job_id: str
    store_id: str
    token: int
    state: str
    rows: int | None = None
    checksum: str | None = None

    def to_json(self) -> bytes:
        """The marker's file, with the SHA-256 of its members among them: a changed digit would be another token."""
        members = dataclasses.asdict(self)
        digest = hashlib.sha256(json.dumps(members, sort_keys=True).encode()).hexdigest()
        return json.dumps(members | {"sha256": digest}, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, content: bytes, location: str) -> Marker | None:
        """The marker, or None where the file is damaged: then nothing is known of earlier attempts."""
        try:
            read = json.loads(content)
            marker = cls(**{field.name: read[field.name] for field in dataclasses.fields(cls)})
        except (ValueError, TypeError, KeyError, RecursionError):
            marker = None
        if marker is not None and marker.to_json() == content:
            return marker
        log.warning("The marker of %s is damaged and counts as absent", location)
        return None


class Fill(Protocol):
    """Writes the rows of an attempt into an open binary file; says how many there were, and their checksum."""

    def __call__(self, sink: IO[bytes]) -> tuple[int, str]:
        """Called once at most."""


class Place(Protocol):
    """Where the file of one window goes.

    :ivar location: its path below the root, for messages.
    """

    location: str

    def marker(self) -> Marker | None:
        """The marker beside the file; makes nothing."""

    def write(self, attempt: Attempt, fill: Fill) -> Receipt:
        """Have the file filled under another name, and give it its own when it is whole."""


class FileWriter:
    """A :class:`~airflow_monitoring_provider.outputs.output.RowWriter` for files.

    :param root: folder that every file must lie under, symbolic links followed; ``""`` is the whole filesystem.
    :param identifiers: unique row identifier columns.
    :param wait: seconds to wait for another attempt's lock; an object store has none.
    :raises ConfigurationError: a format or setting that is not written.
    """

    def __init__(
        self,
        filesystem: Any,
        root: str,
        output: FileOutput,
        csv: CsvSettings,
        *,
        status_column: str = DEFAULT_STATUS_COLUMN,
        identifiers: Sequence[str] = (),
        wait: float = LOCK_WAIT,
    ) -> None:
        self._form = output.format or FileFormat(suffix_of(output.url)[1:] or FileFormat.PARQUET)
        if self._form is FileFormat.JSONL:
            raise ConfigurationError("outputSettings.format: jsonl is read but not written; use csv or parquet")
        if output.partition_columns:
            raise ConfigurationError(
                "outputSettings.partitionColumns is not served: each window is one file; leave it out"
            )
        self._filesystem = filesystem
        self._root = root
        self._url = output.url
        self._csv = csv
        self._status = status_column
        self._distinct = identifiers[0] if len(identifiers) == 1 else None  # each of several may well repeat
        self._wait = wait
        self.encodes = self._form is FileFormat.PARQUET
        self.label = f"files of connection {output.connection_id!r}"

    def last_token(self, attempt: Attempt) -> int:
        """See :meth:`RowWriter.last_token`."""
        place = self._place(attempt)
        marker = place.marker()
        if marker is None:
            return 0
        refuse_other(dataclasses.replace(marker, token=0), attempt, place.location)
        return marker.token

    def write(self, batches: Iterable[pa.RecordBatch], attempt: Attempt, *, schema: pa.Schema | None = None) -> Receipt:
        """See :meth:`RowWriter.write`."""
        schema, rows = _with_schema(batches, schema, self._status)
        broken: list[BaseException] = []
        watched = _watched(rows, broken)
        return self._placed(attempt, lambda sink: self._filled(sink, watched, schema), broken)

    @contextlib.contextmanager
    def encoded(self, sink: IO[bytes], schema: pa.Schema) -> Iterator[_Encoder]:
        """See :meth:`EncodingWriter.encoded`."""
        stored = pa.schema([(field.name, stored_type(field.type)) for field in schema])
        with open_rows(sink, self._form, stored, self._csv, distinct=self._distinct, coded=self._status) as rows:
            yield _Encoder(rows, self._status)

    def write_encoded(self, fill: Fill, attempt: Attempt) -> Receipt:
        """See :meth:`EncodingWriter.write_encoded`."""
        return self._placed(attempt, fill, [])

    def _placed(self, attempt: Attempt, fill: Fill, broken: list[BaseException]) -> Receipt:
        try:
            receipt = self._place(attempt).write(attempt, fill)
        except MonitoringError:
            if broken:  # an error of whoever makes the batches is theirs: it says nothing about the output
                raise broken[0] from None
            raise
        log.info("Wrote %d rows to %s", receipt.rows, receipt.location)
        return receipt

    def _filled(self, sink: IO[bytes], batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> tuple[int, str]:
        with self.encoded(sink, schema) as encoder:
            for batch in batches:
                encoder.append(batch)
        return encoder.rows, encoder.checksum()

    def _place(self, attempt: Attempt) -> Place:
        folder, name = window_file(self._url, self._form, attempt)
        if isinstance(self._filesystem, LocalFileSystem):
            from airflow_monitoring_provider.outputs.disk import DiskPlace

            return DiskPlace(self._root, folder, name, wait=self._wait)
        from airflow_monitoring_provider.outputs.object_store import ObjectPlace

        return ObjectPlace(self._filesystem, self._root, folder, name)


class _Encoder:
    """See :class:`~airflow_monitoring_provider.outputs.encoding.RowEncoder`."""

    def __init__(self, file: RowFile, status_column: str) -> None:
        self._file = file
        self._status = status_column
        self._checksum = RowChecksum()
        self.rows = 0

    def append(self, batch: pa.RecordBatch) -> None:
        plain, lost = storable(batch, coded=self._status)
        plain = told(plain, lost, self._status)
        self._file.write(plain)
        self._checksum.update(plain)
        self.rows += plain.num_rows

    def checksum(self) -> str:
        return self._checksum.hexdigest()


def window_file(url: str, form: FileFormat, attempt: Attempt) -> tuple[str, str]:
    """Folder (as the URL says it) and name of a window's file."""
    window = f"{_instant(attempt.bound('start'))}_{_instant(attempt.bound('end'))}"
    if length := len(suffix_of(url)):
        head, slash, tail = url.rpartition("/")
        return head + slash, f"{tail[:-length]}_{window}{tail[-length:]}"
    return f"{url.rstrip('/')}/{_safe(attempt.definition_id)}", f"{window}.{form.value}"


def refuse_other(marker: Marker | None, attempt: Attempt, location: str) -> None:
    """Return where the marker lets the attempt write its file.

    :raises OutputError: the file is another job's.
    :raises Superseded: a newer attempt owns the job.
    :raises ConfigurationError: another store's attempt wrote it last.
    """
    if marker is None:
        return
    if marker.job_id != attempt.job_id:
        raise OutputError(
            f"{location} is written by another job; give each definition a folder or file name of its own"
        )
    attempt.refuse_marker_of(marker.store_id, marker.token, location)


def _instant(bound: str) -> str:
    """``20260131T000000Z`` of an ISO text in UTC; ``all`` where the job has no window."""
    if not bound:
        return "all"
    whole, _, fraction = bound.partition("+")[0].replace("-", "").replace(":", "").partition(".")
    return whole + (f".{fraction}" if fraction.strip("0") else "") + "Z"


def _safe(name: str) -> str:
    """The name as one part of a path: percent-encoded, never hidden, and short enough for every file system."""
    encoded = quote(name, safe="")
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) <= _LONGEST_PART:
        return encoded
    return f"{encoded[:_LONGEST_PART]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def _watched(batches: Iterator[pa.RecordBatch], broken: list[BaseException]) -> Iterator[pa.RecordBatch]:
    try:
        yield from batches
    except Exception as error:
        broken.append(error)
        raise


def _with_schema(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema | None, status_column: str
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The schema of the batches, and the batches; of no rows and no schema the file has the status column only."""
    schema = schema or getattr(batches, "schema", None)
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        return schema or pa.schema([(status_column, pa.string())]), iter(())
    return first.schema, itertools.chain([first], iterator)
