"""Vectors of rows as a matrix of doubles: from lists, from their texts, or from a column for each dimension.

A list's elements and the columns of dimensions are read as any numbers are (:mod:`.numbers`). A text is a vector where
it is one in brackets or braces with commas between its numbers: JSON, PostgreSQL's arrays, pgvector. A row without a
vector (null, a blank text; of columns: none of them has a value) is missing; what lacks a number is invalid.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.engines.numbers import read_doubles
from airflow_monitoring_provider.intake.source import column_of
from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    fixed_width,
    from_truth,
    is_text,
    truth_values,
    whole_texts,
)
from airflow_monitoring_provider.profiles.embeddings import BLOCK, EmbeddingBuilder, EmbeddingPlan

FloatArray = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True, slots=True)
class Vectors:
    """What some rows hold.

    :param matrix: (k, dimensions); NaN where a number is lacking or is none.
    :param missing, other_length, unreadable: rows that are not in it, see :meth:`EmbeddingBuilder.update`.
    """

    matrix: FloatArray
    missing: int = 0
    other_length: int = 0
    unreadable: int = 0


def add_vectors(builder: EmbeddingBuilder, batch: pa.RecordBatch, plan: EmbeddingPlan, keep: BoolArray | None) -> None:
    """Add the rows of a batch where ``keep`` is True (all of them when None)."""
    columns = [column_of(batch, name) for name in plan.columns]
    if keep is not None:
        columns = [column.filter(from_truth(keep)) for column in columns]
    rows = max(1, BLOCK // plan.dimensions)
    for start in range(0, len(columns[0]), rows):
        parts = [column.slice(start, rows) for column in columns]
        found = _from_columns(parts) if plan.split else _from_column(parts[0], plan.dimensions)
        builder.update(
            found.matrix, missing=found.missing, other_length=found.other_length, unreadable=found.unreadable
        )


def _from_columns(columns: list[pa.Array]) -> Vectors:
    """One number of each column."""
    matrix = np.empty((len(columns[0]), len(columns)))
    absent = np.zeros(len(columns[0]), np.int64)
    for place, column in enumerate(columns):
        matrix[:, place] = _doubles(column)
        absent += read_doubles(column).missing()
    there = absent < len(columns)
    return Vectors(matrix[there], missing=int(np.count_nonzero(~there)))


def _from_column(column: pa.Array, dimensions: int) -> Vectors:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    missing = column.null_count
    if is_text(column.type):
        return _from_texts(column.drop_null(), dimensions, missing)
    lists = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
    if lists or pa.types.is_fixed_size_list(column.type):
        return _from_lists(column.drop_null(), dimensions, missing)
    return Vectors(np.zeros((0, dimensions)), missing=missing, unreadable=len(column) - missing)


def _from_lists(lists: pa.Array, dimensions: int, missing: int, unreadable: int = 0) -> Vectors:
    """Lists without nulls."""
    lengths = pc.list_value_length(lists)
    whole = fixed_width(lengths, np.int64 if pa.types.is_int64(lengths.type) else np.int32) == dimensions
    other = len(lists) - int(np.count_nonzero(whole))
    values = (lists.filter(from_truth(whole)) if other else lists).flatten()
    return Vectors(_doubles(values).reshape(-1, dimensions), missing, other, unreadable)


def _from_texts(column: pa.Array, dimensions: int, missing: int) -> Vectors:
    """Texts without nulls."""
    texts = pc.utf8_trim_whitespace(whole_texts(column.cast(pa.large_string())))
    blank = truth_values(pc.equal(texts, ""))
    enclosed = np.zeros(len(texts), np.bool_)
    for opening, closing in ("[]", "{}"):
        enclosed |= truth_values(pc.starts_with(texts, opening)) & truth_values(pc.ends_with(texts, closing))
    inner = pc.utf8_slice_codeunits(texts.filter(from_truth(enclosed)), 1, -1)
    pieces = pc.split_pattern(inner, ",")
    found = int(np.count_nonzero(blank))
    return _from_lists(pieces, dimensions, missing + found, len(texts) - found - len(inner))


def _doubles(array: pa.Array) -> FloatArray:
    """(n,), NaN where there is no number."""
    if is_text(array.type):
        array = pc.utf8_trim_whitespace(array)
    numbers = read_doubles(array)
    lacking = None if numbers.valid is None else ~numbers.valid
    if numbers.invalid is not None:
        lacking = numbers.invalid if lacking is None else lacking | numbers.invalid
    if lacking is None or not lacking.any():
        return numbers.values
    return np.where(lacking, np.nan, numbers.values)
