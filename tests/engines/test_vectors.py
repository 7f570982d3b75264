"""Vectors from every form in which rows bring them, against NumPy."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from airflow_monitoring_provider.definitions.terms import RowStatus
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, profile_batches
from airflow_monitoring_provider.profiles.embeddings import EmbeddingPlan, EmbeddingProfile
from airflow_monitoring_provider.profiles.plan import ProfilePlan

WHOLE = [[0.5, -1.0, 2.0], [1.5, 0.25, -3.0], [2.5, 8.0, 1.0]]
ROWS = [WHOLE[0], None, WHOLE[1], [1.0], [1.0, None, 2.0], [1.0, float("nan"), 2.0], WHOLE[2], []]
LISTS = [pa.list_(pa.float64()), pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float16())]


def read(column: pa.Array, dimensions: int = 3) -> EmbeddingProfile:
    plan = ProfilePlan(columns=(), embeddings=(EmbeddingPlan("v", ("v",), dimensions),))
    return profile_batches(plan, [pa.RecordBatch.from_arrays([column], names=["v"])]).embeddings["v"]


def counts(found: EmbeddingProfile) -> tuple[int, int, int, int]:
    return found.rows, found.missing, found.invalid, found.other_length


def assert_whole(found: EmbeddingProfile) -> None:
    assert np.mean(WHOLE, axis=0) == pytest.approx(found.mean)
    assert np.var(WHOLE, axis=0, ddof=1) == pytest.approx(found.variance())


@pytest.mark.parametrize("kind", LISTS, ids=str)
def test_lists_are_vectors(kind: pa.DataType) -> None:
    column = pa.array([None if row is None else [None if x is None else np.float16(x) for x in row] for row in ROWS])
    found = read(column.cast(kind))
    assert (8, 1, 4, 2) == counts(found)
    assert_whole(found)
    sliced = read(column.cast(kind).slice(2, 5))
    assert (5, 0, 3, 1) == counts(sliced)


def test_lists_of_a_fixed_size_are_vectors() -> None:
    rows = [row for row in ROWS if row is None or len(row) == 3]
    column = pa.array(rows, pa.list_(pa.float32(), 3))
    assert (6, 1, 2, 0) == counts(read(column))
    assert_whole(read(column))
    assert (6, 1, 5, 5) == counts(read(column, 4))
    assert (4, 0, 2, 0) == counts(read(column.slice(2)))


@pytest.mark.parametrize("form", ["json", "postgres", "spaced", "dictionary"])
def test_texts_are_vectors(form: str) -> None:
    texts = [None if row is None else json.dumps(row) for row in ROWS]
    if form == "postgres":
        texts = [t and t.replace("[", "{").replace("]", "}").replace(" ", "").replace("null", "NULL") for t in texts]
    if form == "spaced":
        texts = [t and f"  {t.replace(',', ' , ')}\n" for t in texts]
    column = pa.array([*texts, "", "  ", "no vector", "[1, x, 2]", "1, 2, 3", "[[1, 2, 3]]"])
    found = read(column.dictionary_encode() if form == "dictionary" else column)
    assert (14, 3, 8, 2) == counts(found)
    assert_whole(found)


@pytest.mark.parametrize("column", [pa.nulls(3), pa.array([1.0, 2.0, None]), pa.array([b"[1, 2, 3]", None, None])])
def test_what_is_no_list_is_no_vector(column: pa.Array) -> None:
    assert (3, column.null_count, 3 - column.null_count, 0) == counts(read(column))


def test_a_column_for_each_dimension_makes_vectors() -> None:
    columns: list[Any] = [
        pa.array([0.5, None, 1.5, 1.0, 2.5, None]),
        pa.array(["-1.0", None, " 0.25", "x", "8", None]),
        pa.array([2, None, -3, 1, 1, 7], pa.int64()),
    ]
    plan = ProfilePlan(columns=(), embeddings=(EmbeddingPlan("v", ("a", "b", "c"), 3, split=True),))
    found = profile_batches(plan, [pa.RecordBatch.from_arrays(columns, names=["a", "b", "c"])]).embeddings["v"]
    assert (6, 1, 2, 0) == counts(found)
    assert_whole(found)


def test_excluded_rows_do_not_count_and_batches_are_the_whole() -> None:
    column = pa.array(ROWS[:3], pa.list_(pa.float64()))
    plan = ProfilePlan(columns=(), embeddings=(EmbeddingPlan("v", ("v",), 3),))
    builder = ProfileBuilder(plan)
    statuses = np.array([RowStatus.MONITORED, RowStatus.MONITORED, RowStatus.DUPLICATE_IDENTIFIER], np.uint8)
    for part in (column, column):
        builder.update(pa.RecordBatch.from_arrays([part], names=["v"]), statuses)
    found = builder.finish().embeddings["v"]
    assert (4, 2, 0, 0) == counts(found)
    assert WHOLE[0] == found.mean.tolist()
