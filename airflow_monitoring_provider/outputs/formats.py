"""Rows as the bytes of a file: CSV as the definition's ``csvSettings`` say, or Parquet.

CSV has a header row, texts in quotes and NULL as nothing; Parquet is compressed with Zstandard in row groups of two
hundred thousand rows, of wide ones 8 MB. Memory is bounded by that: a group is held plain and encoded at once.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import IO, Any, Protocol

import pyarrow as pa

from airflow_monitoring_provider.definitions import CsvSettings, FileFormat
from airflow_monitoring_provider.exceptions import OutputError
from airflow_monitoring_provider.outputs.lines import csv_header, csv_lines
from airflow_monitoring_provider.outputs.values import CODED

_GROUP_BYTES = 8 * 2**20
_GROUP_ROWS = 3 * 65_536


class RowFile(Protocol):
    """An open file of rows."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Add a batch of :func:`~airflow_monitoring_provider.outputs.values.storable`."""


def open_rows(
    sink: IO[bytes],
    form: FileFormat,
    schema: pa.Schema,
    csv: CsvSettings,
    *,
    distinct: str | None = None,
    coded: str | None = None,
) -> AbstractContextManager[RowFile]:
    """Rows of a stored schema into an open binary file; the file is whole when the block ends without an error.

    :param distinct: a column that hardly has a value twice, if one is known: Parquet gets no dictionary of it, which
        would hold a whole row group once more.
    :param coded: a column of few texts, which may come as a dictionary of them; readers of the file find texts.
    """
    return _parquet(sink, schema, distinct, coded) if form is FileFormat.PARQUET else _csv(sink, schema, csv)


@contextmanager
def _parquet(sink: IO[bytes], schema: pa.Schema, distinct: str | None, coded: str | None) -> Iterator[RowFile]:
    import pyarrow.parquet as pq

    place = schema.get_field_index(coded) if coded is not None else -1
    if place >= 0 and pa.types.is_string(schema.field(place).type):
        schema = schema.set(place, schema.field(place).with_type(CODED))
    else:
        place = -1
    writer = pq.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=[name for name in schema.names if name != distinct] if distinct else True,
        # Bounds of few texts: half of what encoding them takes, of a column that takes next to no time to read.
        write_statistics=[name for name in schema.names if name != coded] if place >= 0 else True,
        store_schema=place < 0,  # it would tell readers of dictionaries
    )
    rows = _ParquetRows(writer, place)
    try:
        yield rows
        rows.flush()
    except BaseException:
        # Closing writes the footer: on a full disk that fails again, and would hide the first error.
        writer.is_open = False
        raise
    writer.close()


class _ParquetRows:
    """Gathers batches to row groups: a group for each batch would be a hundred times as many."""

    def __init__(self, writer: Any, coded: int) -> None:
        self._writer = writer
        self._coded = coded
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = self._rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self._bytes += batch.nbytes
        self._rows += batch.num_rows
        if self._bytes >= _GROUP_BYTES or self._rows >= _GROUP_ROWS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches([self._encoded(batch) for batch in self._waiting]).unify_dictionaries()
            self._writer.write_table(table, row_group_size=table.num_rows)
        self._waiting, self._bytes, self._rows = [], 0, 0

    def _encoded(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with its column of few texts as Parquet's writer takes it."""
        if self._coded < 0:
            return batch
        column = batch.column(self._coded)
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        elif column.type != CODED:  # fewer bytes a row, as long as it waits
            column = pa.DictionaryArray.from_arrays(column.indices.cast(pa.int32()), column.dictionary)
        return batch.set_column(self._coded, batch.schema.names[self._coded], column)


@contextmanager
def _csv(sink: IO[bytes], schema: pa.Schema, csv: CsvSettings) -> Iterator[RowFile]:
    rows = _CsvRows(sink, csv)
    rows.begin(schema.names)
    yield rows
    rows.end()


class _CsvRows:
    def __init__(self, sink: IO[bytes], csv: CsvSettings) -> None:
        self._sink = sink
        self._delimiter, self._quote, self._encoding = csv.delimiter_character, csv.quotechar, csv.encoding
        # One encoder for the whole file: some encodings begin with a mark that belongs there once.
        utf8 = codecs.lookup(csv.encoding).name == "utf-8"
        self._encoder = None if utf8 else codecs.getincrementalencoder(csv.encoding)()

    def begin(self, names: list[str]) -> None:
        self._put(csv_header(names, self._delimiter, self._quote), None)

    def write(self, batch: pa.RecordBatch) -> None:
        for lines in csv_lines(batch, self._delimiter, self._quote):
            self._put(lines, batch)

    def end(self) -> None:
        if self._encoder is not None:
            self._sink.write(self._encoder.encode("", final=True))

    def _put(self, lines: bytes | memoryview, batch: pa.RecordBatch | None) -> None:
        if self._encoder is None:
            self._sink.write(lines)
            return
        try:
            encoded = self._encoder.encode(bytes(lines).decode())
        except UnicodeEncodeError:
            raise OutputError(
                f"csvSettings.encoding {self._encoding!r} has no form for a character of {self._culprit(batch)}; "
                "use utf-8"
            ) from None
        self._sink.write(encoded)

    def _culprit(self, batch: pa.RecordBatch | None) -> str:
        for name, column in zip(batch.schema.names, batch.columns, strict=True) if batch is not None else ():
            try:
                "".join(str(value) for value in column.to_pylist()).encode(self._encoding)
            except UnicodeEncodeError:
                return f"column {name!r}"
        return "a column's name"
