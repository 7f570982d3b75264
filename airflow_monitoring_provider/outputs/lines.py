"""Batches as lines of text, for PostgreSQL's COPY and for CSV: row by row in C, else column by column in Arrow."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.kernels.library import library
from airflow_monitoring_provider.kernels.lines import LineColumn, LineKind, join_lines
from airflow_monitoring_provider.outputs.values import repeated
from airflow_monitoring_provider.profiles.arrays import fixed_width, from_texts, valid_bits

_MARKS_IN_NUMBERS = " .:-+"
_PART_BYTES = 32 * 1024 * 1024
# COPY's text format: PostgreSQL documentation, COPY, "Text Format". Backslash first.
_COPY_ESCAPES = {"\\": "\\", "\n": "n", "\r": "r", "\t": "t"}
_BYTE_ESCAPES = {character.encode(): escape.encode() for character, escape in _COPY_ESCAPES.items()}


def copy_lines(batch: pa.RecordBatch) -> Iterator[memoryview]:
    """The batch in PostgreSQL's COPY text format, where no value can end the data or the row."""
    for part in _parts(batch):
        lines = _compiled_copy(part)
        if lines is None:
            lines = _joined([_copy_column(column) for column in map(_decoded, part)], "\t", "\\N")
        yield lines


def csv_lines(batch: pa.RecordBatch, delimiter: str, quote: str) -> Iterator[memoryview]:
    """The batch as CSV in UTF-8: text is always quoted and null never is, so an empty text stays one.

    Nothing is added to cells that a spreadsheet might take for a formula: these files are for machines.
    """
    # A delimiter or quote that numbers and instants are written with: then they are quoted as well.
    everything = any(mark.isalnum() or mark in _MARKS_IN_NUMBERS for mark in (delimiter, quote))
    for part in _parts(batch):
        columns = [texts(column) if everything else column for column in map(_decoded, part)]
        lines = _compiled_csv(columns, part.num_rows, delimiter, quote)
        if lines is None:
            lines = _joined([_csv_column(column, quote) for column in columns], delimiter, "")
        yield lines


def csv_header(names: list[str], delimiter: str, quote: str) -> bytes:
    """The first line of a CSV file."""
    cells = [quote + name.replace(quote, quote * 2) + quote for name in names]
    return (delimiter.join(cells) + "\n").encode("utf-8", "replace")


def texts(column: pa.Array) -> pa.StringArray:
    """Any column of :func:`~airflow_monitoring_provider.outputs.values.storable` as text; null stays null."""
    if pa.types.is_binary(column.type):
        return from_texts([None if value is None else value.hex() for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Pieces whose text stays far from the 2 GiB that one Arrow array holds."""
    count = max(1, batch.nbytes // _PART_BYTES)
    step = max(1, batch.num_rows // count)
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _compiled_copy(part: pa.RecordBatch) -> memoryview | None:
    """The lines by compiled kernels; None where there are none."""
    if library() is None:
        return None
    columns = [_line_column(column, _copy_column) for column in part]
    return join_lines(columns, part.num_rows, separator=b"\t", none=b"\\N", mark=b"\\", escapes=_BYTE_ESCAPES)


def _compiled_csv(columns: list[pa.Array], rows: int, delimiter: str, quote: str) -> memoryview | None:
    """The lines by compiled kernels; None where there are none, or a mark has more than one byte."""
    if library() is None or not (delimiter.isascii() and quote.isascii()):
        return None
    mark = quote.encode()
    return join_lines(
        [_line_column(column, texts) for column in columns],
        rows,
        separator=delimiter.encode(),
        none=b"",
        mark=mark,
        escapes={mark: mark},
        quote=mark,
    )


def _line_column(column: pa.Array, write: Callable[[pa.Array], pa.StringArray]) -> LineColumn:
    """A column as compiled kernels take it.

    :param write: makes texts, which need no quotes or escapes, of columns that are no text.
    """
    valid = valid_bits(column)
    if pa.types.is_int64(column.type):
        return LineColumn(LineKind.WHOLE, valid, fixed_width(column, np.int64))
    if pa.types.is_dictionary(column.type):
        codes = fixed_width(column.indices.cast(pa.int32()), np.int32)
        return LineColumn(LineKind.CODED, valid, codes, _text_buffers(write(column.dictionary)))
    if pa.types.is_string(column.type):
        return LineColumn(LineKind.TEXT, valid, texts=_text_buffers(column))
    return LineColumn(LineKind.PLAIN, valid, texts=_text_buffers(write(column)))


def _text_buffers(written: pa.StringArray) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]:
    """Where each text begins, and the bytes of all."""
    _, offsets, data = written.buffers()
    if not len(written) or offsets is None:
        return np.zeros(1, np.int32), np.zeros(0, np.uint8)
    begins = np.frombuffer(offsets, np.int32, len(written) + 1, written.offset * 4)
    return begins, np.zeros(0, np.uint8) if data is None else np.frombuffer(data, np.uint8)


def _decoded(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _copy_column(column: pa.Array) -> pa.StringArray:
    if pa.types.is_binary(column.type):
        return _joined_columns([_text_scalar("\\\\x"), texts(column)], "")
    if not pa.types.is_string(column.type):
        return texts(column)
    if pc.any(pc.match_substring_regex(column, r"[\\\n\r\t]")).as_py():
        for character, escape in _COPY_ESCAPES.items():
            column = pc.replace_substring(column, character, "\\" + escape)
    return column


def _csv_column(column: pa.Array, quote: str) -> pa.StringArray:
    if not pa.types.is_string(column.type):
        return texts(column)
    return _joined_columns(
        [_text_scalar(quote), pc.replace_substring(column, quote, quote * 2), _text_scalar(quote)], ""
    )


def _joined(columns: list[pa.StringArray], separator: str, null: str) -> memoryview:
    lines = _joined_columns(columns, separator, null_handling="replace", null_replacement=null)
    ended = _joined_columns([lines, _text_scalar("")], "\n")
    _validity, offsets, data = ended.buffers()
    ends = memoryview(offsets).cast("i")
    return memoryview(data)[ends[ended.offset] : ends[ended.offset + len(ended)]]


def _joined_columns(parts: list[pa.Array | pa.Scalar], separator: str, **nulls: str) -> pa.StringArray:
    return pc.binary_join_element_wise(*parts, _text_scalar(separator), **nulls)


def _text_scalar(text: str) -> pa.Scalar:
    return repeated(text, 1)[0]  # pa.scalar would import pandas
