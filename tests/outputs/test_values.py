"""What becomes of values before they are written: anything that Arrow can carry, as every output can hold it."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.outputs.checksum import RowChecksum
from airflow_monitoring_provider.outputs.output import Attempt
from airflow_monitoring_provider.outputs.python_values import batch_from_python
from airflow_monitoring_provider.outputs.sql import SqlWriter
from airflow_monitoring_provider.outputs.values import storable, stored_type, unstorable_rows

KINDS = [
    *(pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_()),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Tokyo")),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns"), pa.duration("s"), pa.duration("ns")),
]


def _of_bits(kind: pa.DataType, numbers: list[int], nulls: list[bool]) -> pa.Array:
    """An array of any fixed-width type from random bits, which no constructor would let through."""
    if kind == pa.bool_():
        words = np.packbits(np.array([number & 1 for number in numbers], np.uint8), bitorder="little")
    else:
        words = np.array(numbers, np.uint64).astype(f"<u{kind.bit_width // 8}")
    valid = np.packbits(~np.array(nulls, np.bool_), bitorder="little")
    return pa.Array.from_buffers(kind, len(numbers), [pa.py_buffer(valid), pa.py_buffer(words)])


def _of_bytes(parts: list[bytes]) -> pa.Array:
    """A text array of any bytes, as a damaged Parquet file has them."""
    offsets = np.cumsum([0, *map(len, parts)]).astype(np.int32)
    return pa.Array.from_buffers(pa.string(), len(parts), [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(parts))])


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(rows=st.lists(st.tuples(st.integers(0, 2**64 - 1), st.booleans()), min_size=1, max_size=20))
def test_any_bits_become_a_value_of_python_or_null_and_only_lost_values_are_told(
    kind: pa.DataType, rows: list[tuple[int, bool]]
) -> None:
    if pa.types.is_time(kind):  # a time beyond its day is none that Arrow itself can write
        rows = [(number % 86_400, null) for number, null in rows]
    array = _of_bits(kind, [number for number, _null in rows], [null for _number, null in rows])
    stored, lost = storable(pa.RecordBatch.from_arrays([array], names=["column"]))

    assert stored_type(kind) == stored.schema.field(0).type
    stored.validate(full=True)
    values = stored.column(0).to_pylist()
    for (_number, null), value, told in zip(rows, values, lost, strict=True):
        assert not (null and told)
        assert not told or value is None
        if value is None and not null and not told:
            assert pa.types.is_floating(kind)  # NaN and infinities are null, and nothing is lost
    assert [] == [value for value in values if isinstance(value, float) and not np.isfinite(value)]


@given(parts=st.lists(st.binary(max_size=8), min_size=1, max_size=20))
def test_text_that_is_not_utf8_or_holds_nul_is_lost_and_all_other_text_is_kept(parts: list[bytes]) -> None:
    def expected(part: bytes) -> str | None:
        try:
            return None if b"\0" in part else part.decode()
        except UnicodeDecodeError:
            return None

    stored, lost = storable(pa.RecordBatch.from_arrays([_of_bytes(parts)], names=["text"]))

    assert [expected(part) for part in parts] == stored.column(0).to_pylist()
    assert [expected(part) is None for part in parts] == lost.tolist()


def test_a_day_far_away_is_lost_and_never_another_day() -> None:
    far = np.array([0, 86_400_000 * (2**32 + 5), -(2**63)], np.int64)
    array = pa.Array.from_buffers(pa.date64(), 3, [None, pa.py_buffer(far)])
    stored, lost = storable(pa.RecordBatch.from_arrays([array], names=["day"]))

    assert ([dt.date(1970, 1, 1), None, None], [False, True, True]) == (stored.column(0).to_pylist(), lost.tolist())


def test_a_nested_value_that_python_does_not_have_is_lost() -> None:
    moments = pa.array([[0], [10**18], None], pa.list_(pa.timestamp("us")))
    texts = pa.ListArray.from_arrays(pa.array([0, 1, 2, 2], pa.int32()), _of_bytes([b"ok", b"\xed\xa0\x80"]))
    batch = pa.RecordBatch.from_arrays([moments, texts], names=["moments", "texts"])

    assert [False, True, False] == unstorable_rows(batch).tolist()


def test_broken_text_of_a_parquet_file_costs_its_value_and_not_the_job(
    sql_writer: Callable[..., SqlWriter], attempt: Callable[..., Attempt], read: Callable[..., Any]
) -> None:
    columns = {"id": pa.array([1, 2]), "text": _of_bytes([b"fine", b"half \xed\xa0\x80"])}
    file = io.BytesIO()
    pq.write_table(pa.table(columns | {"monitored_status": pa.array(["monitored"] * 2)}), file)
    batches = pq.ParquetFile(io.BytesIO(file.getvalue())).iter_batches()

    sql_writer(create_table_if_not_exists=True).write(batches, attempt())

    expected = [(1, "fine", "monitored"), (2, None, "rejected:unstorable_value")]
    assert expected == read("id", "text", "monitored_status")


def test_values_of_python_numpy_and_pandas_arrive_as_plain_ones() -> None:
    stamp = pd.Timestamp("2026-01-01T00:00:00.000001", tz="UTC")
    batch, lost = batch_from_python(
        {
            "whole": [np.int64(1), pd.NA, 2**64],
            "number": [np.float32(0.5), float("nan"), None],
            "moment": [stamp, pd.NaT, stamp.to_pydatetime()],
            "text": [np.str_("a"), "half \ud800", pd.NA],
            "raw": [b"a", bytearray(b"b"), memoryview(b"c")],
        }
    )

    expected = {
        "whole": [1, None, None],
        "number": [0.5, None, None],
        "moment": [stamp.to_pydatetime(), None, stamp.to_pydatetime()],
        "text": ["a", None, None],
        "raw": [b"a", b"b", b"c"],
    }
    assert expected == batch.to_pydict()
    assert [False, True, True] == lost.tolist()


@given(
    texts=st.lists(st.one_of(st.none(), st.text(max_size=5)), min_size=1, max_size=20),
    cut=st.integers(0, 20),
    other=st.integers(0, 19),
)
def test_a_checksum_knows_every_value_and_no_cut(texts: list[str | None], cut: int, other: int) -> None:
    def checksum(values: list[str | None], at: int) -> str:
        columns = {"text": pa.array(values, pa.string()), "n": pa.array([1.5] * len(values))}
        whole = pa.RecordBatch.from_pydict(columns)
        made = RowChecksum()
        for part in (whole.slice(0, at), whole.slice(at)):
            made.update(part)
        return made.hexdigest()

    changed = [*texts]
    changed[other % len(texts)] = "" if changed[other % len(texts)] is None else None

    assert checksum(texts, 0) == checksum(texts, min(cut, len(texts)))
    assert checksum(texts, 0) != checksum(changed, 0)
