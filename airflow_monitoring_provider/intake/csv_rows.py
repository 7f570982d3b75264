"""Rows of one CSV file: every column as the text that is there, in blocks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import IO

import pyarrow as pa
import pyarrow.csv as pacsv

from airflow_monitoring_provider.definitions import CsvSettings
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.profiles.arrays import as_texts

# One row must fit into a block.
BLOCK_BYTES = 16 * 1024 * 1024
_BLOCKS_AHEAD = 3
# Seconds in which a block is parsed, however busy the machine is; and what a block without a row then costs.
_LONGEST_PARSE = 2.0
_MOMENT = 0.02


def read_header(stream: IO[bytes], csv: CsvSettings, name: str) -> list[str]:
    """The column names of a file.

    :raises SourceError: the file is empty or no CSV of these settings.
    """
    with _Reading(stream, csv, name) as reading:
        return reading.header


def read_texts(stream: IO[bytes], csv: CsvSettings, name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These columns as text; an empty cell is null unless it is quoted.

    :raises SourceError: a row has more or fewer cells than the header, or is longer than 16 MiB; never its text.
    """
    with _Reading(stream, csv, name, columns) as reading:
        schema = pa.schema([(column, pa.string()) for column in columns])
        for batch in reading.batches():
            yield pa.RecordBatch.from_arrays([as_texts(column) for column in batch.columns], schema=schema)


class _Held:
    """A stream that Arrow's reader cannot run ahead of: on its own it keeps 32 blocks, half a gigabyte, in memory.

    The reader's thread reads block after block, and the consumer takes one batch from about each; where the thread is
    a few blocks ahead it waits for the consumer. Blocks of empty lines give no batch, so a consumer that has waited for
    one for long is given block after block.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._changed = threading.Condition()
        self._ahead = 0
        self._wanted = False
        self._patience = _LONGEST_PARSE
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """Called by the reader's thread."""
        with self._changed:
            while self._ahead >= _BLOCKS_AHEAD and not self.closed:
                if not self._changed.wait(self._patience) and self._wanted:
                    self._patience = _MOMENT
                    break
            self._ahead += 1
            if self.closed:
                return b""
        return self._stream.read(size)

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def close(self) -> None:
        """Let the reader's thread go; the stream itself is its owner's."""
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    @contextlib.contextmanager
    def taking(self) -> Iterator[None]:
        """The consumer waits for a batch, and has taken it."""
        with self._changed:
            self._wanted = True
        try:
            yield
        finally:
            with self._changed:
                self._wanted = False
                self._patience = _LONGEST_PARSE
                self._ahead = max(0, self._ahead - 1)
                self._changed.notify_all()


class _Reading:
    def __init__(self, stream: IO[bytes], csv: CsvSettings, name: str, columns: Sequence[str] | None = None) -> None:
        self._name = name
        self._held = _Held(stream)
        self._bad_row: pacsv.InvalidRow | None = None
        try:
            self._parse = pacsv.ParseOptions(
                delimiter=csv.delimiter_character,
                quote_char=csv.quotechar,
                newlines_in_values=True,
                invalid_row_handler=self._refuse,
            )
        except ValueError:
            raise SourceError("csvSettings: delimiter and quotechar must be ASCII characters to read CSV") from None
        self._options = pacsv.ReadOptions(use_threads=False, block_size=BLOCK_BYTES, encoding=csv.encoding)
        # As bytes, so that a character that is not in the encoding does not end the read; columns that are not asked
        # for are not converted.
        wanted = list(columns or ())
        convert = pacsv.ConvertOptions(
            column_types=dict.fromkeys(wanted, pa.binary()),
            include_columns=wanted or None,
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            check_utf8=False,
        )
        try:
            with self._held.taking():
                self._reader = pacsv.open_csv(self._held, self._options, self._parse, convert)
            self.header: list[str] = list(self._reader.schema.names)
        except BaseException as error:
            self._held.close()
            if isinstance(error, pa.ArrowInvalid | pa.ArrowKeyError | UnicodeDecodeError):
                raise self._problem(error) from None
            raise

    def __enter__(self) -> _Reading:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._held.close()
        self._reader.close()

    def batches(self) -> Iterator[pa.RecordBatch]:
        while True:
            try:
                with self._held.taking():
                    batch = self._reader.read_next_batch()
            except StopIteration:
                return
            except (pa.ArrowInvalid, UnicodeDecodeError) as error:
                raise self._problem(error) from None
            yield batch

    def _refuse(self, row: pacsv.InvalidRow) -> str:
        self._bad_row = row
        return "error"

    def _problem(self, error: Exception) -> SourceError:
        """The driver's text holds the row, so it is not passed on."""
        if self._bad_row is not None:
            row, where = self._bad_row, "a row" if self._bad_row.number is None else f"row {self._bad_row.number}"
            return SourceError(
                f"{where} of {self._name!r} has {row.actual_columns} cells where the header has "
                f"{row.expected_columns}; check csvSettings (delimiter, quotechar) and unquoted delimiters"
            )
        text = str(error)
        if "Empty CSV" in text:
            return SourceError(f"{self._name!r} is empty: a CSV file needs a header")
        if "straddling" in text:
            return SourceError(
                f"{self._name!r} has a row longer than {BLOCK_BYTES >> 20} MiB, or a quote that stays open"
            )
        if isinstance(error, UnicodeDecodeError):
            return SourceError(f"{self._name!r} is not in the encoding of csvSettings ({error.encoding})")
        return SourceError(f"{self._name!r} cannot be read as CSV; check csvSettings and the file")
