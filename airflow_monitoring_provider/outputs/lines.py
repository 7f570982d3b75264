"""Batches as lines of text, made column by column in Arrow: for PostgreSQL's COPY and for CSV files."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.outputs.values import repeated

_MARKS_IN_NUMBERS = " .:-+"
_PART_BYTES = 32 * 1024 * 1024
# COPY's text format: PostgreSQL documentation, COPY, "Text Format". Backslash first.
_COPY_ESCAPES = (("\\", "\\\\"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))


def copy_lines(batch: pa.RecordBatch) -> Iterator[memoryview]:
    """The batch in PostgreSQL's COPY text format, where no value can end the data or the row."""
    for part in _parts(batch):
        yield _joined([_copy_column(column) for column in part.columns], "\t", "\\N")


def csv_lines(batch: pa.RecordBatch, delimiter: str, quote: str) -> Iterator[memoryview]:
    """The batch as CSV in UTF-8: text is always quoted and null never is, so an empty text stays one.

    Nothing is added to cells that a spreadsheet might take for a formula: these files are for machines.
    """
    # A delimiter or quote that numbers and instants are written with: then they are quoted as well.
    everything = any(mark.isalnum() or mark in _MARKS_IN_NUMBERS for mark in (delimiter, quote))
    for part in _parts(batch):
        columns = [texts(column) if everything else column for column in part.columns]
        yield _joined([_csv_column(column, quote) for column in columns], delimiter, "")


def csv_header(names: list[str], delimiter: str, quote: str) -> bytes:
    """The first line of a CSV file."""
    cells = [quote + name.replace(quote, quote * 2) + quote for name in names]
    return (delimiter.join(cells) + "\n").encode("utf-8", "replace")


def texts(column: pa.Array) -> pa.StringArray:
    """Any column of :func:`~airflow_monitoring_provider.outputs.values.storable` as text; null stays null."""
    if pa.types.is_binary(column.type):
        return pa.array([None if value is None else value.hex() for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def _parts(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Pieces whose text stays far from the 2 GiB that one Arrow array holds."""
    count = max(1, batch.nbytes // _PART_BYTES)
    step = max(1, batch.num_rows // count)
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _copy_column(column: pa.Array) -> pa.StringArray:
    if pa.types.is_binary(column.type):
        return _joined_columns([_text_scalar("\\\\x"), texts(column)], "")
    if not pa.types.is_string(column.type):
        return texts(column)
    if pc.any(pc.match_substring_regex(column, r"[\\\n\r\t]")).as_py():
        for character, escape in _COPY_ESCAPES:
            column = pc.replace_substring(column, character, escape)
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
