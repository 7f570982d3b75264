"""Row results on their way into the bytes of a file: what :mod:`values` makes of them, counted and fingerprinted.

A file whose bytes do not depend on what becomes of the attempt can be encoded while rows are still being read; to write
the output is to copy them then. Nothing else changes: until it is written, nobody but the attempt sees a byte.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import IO, Protocol, runtime_checkable

import pyarrow as pa

from airflow_monitoring_provider.outputs.files import Fill
from airflow_monitoring_provider.outputs.output import Attempt, Receipt


class RowEncoder(Protocol):
    """Takes row results in their order.

    :ivar rows: how many it took.
    """

    rows: int

    def append(self, batch: pa.RecordBatch) -> None:
        """Take a batch of the schema that was told, or of its stored types."""

    def checksum(self) -> str:
        """See :class:`~airflow_monitoring_provider.outputs.output.Receipt`; of all rows taken until now."""


@runtime_checkable
class EncodingWriter(Protocol):
    """A :class:`~airflow_monitoring_provider.outputs.output.RowWriter` whose bytes can be made beforehand.

    :ivar encodes: whether they should be; rows as they are take less room than lines of text.
    """

    encodes: bool

    def encoded(self, sink: IO[bytes], schema: pa.Schema) -> AbstractContextManager[RowEncoder]:
        """Encodes rows into a binary file, which is whole when the context ends without an error."""

    def write_encoded(self, fill: Fill, attempt: Attempt) -> Receipt:
        """As :meth:`RowWriter.write`, of bytes that :meth:`encoded` made; what ``fill`` raises is passed on."""
