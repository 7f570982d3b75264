"""What becomes of values before they are written: anything that Arrow can carry, as every output can hold it."""

from __future__ import annotations

import csv
import datetime as dt
import decimal
import io
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import FileOutput, SqlOutput
from airflow_monitoring_provider.outputs.checksum import RowChecksum
from airflow_monitoring_provider.outputs.output import Attempt, open_writer
from airflow_monitoring_provider.outputs.python_values import batch_from_python
from airflow_monitoring_provider.outputs.sql import SqlWriter
from airflow_monitoring_provider.outputs.values import storable, stored_type, told, unstorable_rows

KINDS = [
    *(pa.int8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_()),
    *(pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "UTC", "Asia/Tokyo")),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns"), pa.duration("s"), pa.duration("ns")),
]


LOST = object()
NEAR = st.integers(-(2**40), 2**40).map(lambda number: number % 2**64)  # else hardly any instant is one of Python's

_tables = itertools.count()


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _column_of(kind: pa.DataType) -> sa.types.TypeEngine[Any]:
    """How SQLAlchemy reads a column: SQLite has texts for instants and numbers for truth."""
    if pa.types.is_boolean(kind):
        return sa.Boolean()
    if pa.types.is_date(kind):
        return sa.Date()
    return sa.DateTime() if pa.types.is_timestamp(kind) else sa.types.NullType()


def _plain_again(value: Any, wanted: Any) -> Any:
    """SQLite holds instants in UTC without saying so, and decimals of many digits as text."""
    if isinstance(wanted, dt.datetime) and wanted.tzinfo is not None and isinstance(value, dt.datetime):
        return value if value.tzinfo is not None else value.replace(tzinfo=dt.UTC)
    if isinstance(wanted, decimal.Decimal) and isinstance(value, str):
        return decimal.Decimal(value)
    return bytes(value) if isinstance(value, memoryview) else value


def _from_csv(text: str, kind: pa.DataType, expected: Any, row: int, name: str) -> Any:
    """A cell in its own type; the module csv cannot tell an empty text from no text, so null is taken as agreed."""
    if text == "":
        return expected[name][row] if expected[name][row] in (None, "", b"") else LOST
    if pa.types.is_boolean(kind):
        return {"true": True, "false": False}[text]
    if pa.types.is_integer(kind):
        return int(text)
    if pa.types.is_floating(kind):
        return float(text)
    if pa.types.is_decimal(kind):
        return decimal.Decimal(text)
    if pa.types.is_binary(kind):
        return bytes.fromhex(text)
    if pa.types.is_date(kind):
        return dt.date.fromisoformat(text)
    return dt.datetime.fromisoformat(text) if pa.types.is_timestamp(kind) else text


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


def _exactly(kind: pa.DataType, number: int) -> Any:
    """What the bits mean, told with Python's integers alone; ``LOST`` where Python has no such value."""
    if kind == pa.bool_():
        return bool(number & 1)
    width = kind.bit_width
    bits = number % 2**width
    if pa.types.is_floating(kind):
        value = float(np.array([bits], f"<u{width // 8}").view(f"<f{width // 8}")[0])
        return value if math.isfinite(value) else None
    signed = bits - 2**width if bits >= 2 ** (width - 1) else bits
    if kind == pa.uint64():
        return bits if bits < 2**63 else LOST
    if pa.types.is_integer(kind):
        return signed
    if pa.types.is_date(kind):
        day = signed if kind == pa.date32() else signed // 86_400_000
        return _or_lost(lambda: dt.date(1970, 1, 1) + dt.timedelta(days=day))
    micros = signed * 1_000_000 // {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 10**9}[kind.unit]
    if pa.types.is_timestamp(kind):
        zone = None if kind.tz is None else dt.UTC
        return _or_lost(lambda: dt.datetime(1970, 1, 1, tzinfo=zone) + dt.timedelta(microseconds=micros))
    if pa.types.is_time(kind):
        if not 0 <= micros < 86_400_000_000:
            return LOST
        return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)).time().isoformat()
    return _or_lost(lambda: str(dt.timedelta(microseconds=micros)))


def _or_lost(make: Callable[[], Any]) -> Any:
    try:
        return make()
    except OverflowError:
        return LOST


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(rows=st.lists(st.tuples(st.one_of(st.integers(0, 2**64 - 1), NEAR), st.booleans()), min_size=1, max_size=20))
def test_any_bits_become_just_what_they_mean_or_null_and_only_lost_values_are_told(
    kind: pa.DataType, rows: list[tuple[int, bool]]
) -> None:
    array = _of_bits(kind, [number for number, _null in rows], [null for _number, null in rows])
    stored, lost = storable(pa.RecordBatch.from_arrays([array], names=["column"]))

    assert stored_type(kind) == stored.schema.field(0).type
    stored.validate(full=True)
    expected = [None if null else _exactly(kind, number) for number, null in rows]
    assert [value is LOST for value in expected] == lost.tolist()
    found = stored.column(0).to_pylist()
    if pa.types.is_time(kind):  # Arrow writes as many decimals as the type has
        found = [value if value is None else dt.time.fromisoformat(value).isoformat() for value in found]
    assert [None if value is LOST else value for value in expected] == found


DECIMALS = st.integers(1, 76).flatmap(
    lambda digits: st.tuples(
        st.just(digits), st.integers(-5, digits), st.lists(st.none() | st.integers(1 - 10**digits, 10**digits - 1))
    )
)


@given(case=DECIMALS)
@example(case=(76, -5, [10**76 - 1, None]))
def test_a_decimal_is_itself_to_its_last_digit(case: tuple[int, int, list[int | None]]) -> None:
    digits, scale, numbers = case
    with decimal.localcontext(prec=100):
        values = [None if number is None else decimal.Decimal(number).scaleb(-scale) for number in numbers]
        whole = pa.array([None if n is None else decimal.Decimal(n) for n in numbers], pa.decimal256(76, 0))
        array = pa.Array.from_buffers(pa.decimal256(digits, scale), len(whole), whole.buffers())
        stored, lost = storable(pa.RecordBatch.from_arrays([array], names=["column"]))
        found = [None if value is None else decimal.Decimal(value) for value in stored.column(0).to_pylist()]

    assert values == found
    assert not lost.any()
    assert stored_type(array.type) == stored.schema.field(0).type


EVERYWHERE = (*KINDS, pa.string(), pa.binary(), pa.decimal128(38, 10), pa.decimal256(76, 0), pa.list_(pa.float64()))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_arrives_is_in_every_output_what_the_table_of_values_says(
    data: st.DataObject, engine: sa.Engine, tmp_path: Path, attempt: Callable[..., Attempt]
) -> None:
    numbers = data.draw(st.lists(st.one_of(st.integers(0, 2**64 - 1), NEAR), min_size=1, max_size=8))
    nulls = data.draw(st.lists(st.booleans(), min_size=len(numbers), max_size=len(numbers)))
    texts = data.draw(st.lists(st.binary(max_size=6) | st.text().map(_encoded), min_size=len(nulls), max_size=9))
    columns = [pa.array(range(len(nulls)))]
    for kind in EVERYWHERE:
        if pa.types.is_string(kind):
            columns.append(_of_bytes(texts[: len(nulls)]))
        elif pa.types.is_binary(kind):
            columns.append(pa.array(texts[: len(nulls)], kind))
        elif pa.types.is_decimal(kind):
            values = [decimal.Decimal(number * (1 - 2 * (number % 2))) for number in numbers]
            columns.append(pa.array([None if null else v for v, null in zip(values, nulls, strict=True)], kind))
        elif pa.types.is_list(kind):
            columns.append(pa.array([[float(n), math.inf] for n in numbers], kind))
        else:
            columns.append(_of_bits(kind, numbers, nulls))
    columns.append(pa.array(["monitored"] * len(nulls)))
    names = ["id", *(f"c{position}" for position in range(len(EVERYWHERE))), "monitored_status"]
    batch = pa.RecordBatch.from_arrays(columns, names=names)
    stored, lost = storable(batch)
    stored = told(stored, lost, "monitored_status")
    expected = stored.to_pydict()
    assert ["rejected:unstorable_value" if row else "monitored" for row in lost] == expected["monitored_status"]

    name = f"results_{next(_tables)}"
    settings_ = {"type": "jdbc", "data_store_id": "db", "table": name, "statement_type": "create_table"}
    SqlWriter(engine, SqlOutput(**settings_)).write([batch], attempt())
    as_made = {field.name: _column_of(field.type) for field in stored.schema}
    table = sa.table(name, *(sa.column(n, as_made[n]) for n in names))
    with engine.connect() as connection:
        found = connection.execute(sa.select(*table.c).order_by(table.c.id)).all()
    rows = list(zip(*expected.values(), strict=True))
    assert rows == [tuple(map(_plain_again, row, wanted)) for row, wanted in zip(found, rows, strict=True)]

    for url in ("rows.parquet", "rows.csv"):
        place = FileOutput(type="fileSystem", url=f"{name}/{url}")
        writer = open_writer(place, filesystem=fsspec.filesystem("file"), root=str(tmp_path))
        path = tmp_path / writer.write([batch], attempt()).location
        if url.endswith("parquet"):
            assert expected == pq.read_table(path).to_pydict()
            continue
        with path.open(newline="", encoding="utf-8") as file:
            read = list(csv.reader(file))
        assert names == read[0]
        for position, kind in enumerate(stored.schema.types):
            assert expected[names[position]] == [
                _from_csv(row[position], kind, expected, i, names[position]) for i, row in enumerate(read[1:])
            ]


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
    coded=st.booleans(),
)
def test_a_checksum_knows_every_value_and_no_cut(texts: list[str | None], cut: int, other: int, coded: bool) -> None:
    def checksum(values: list[str | None], at: int) -> str:
        text = pa.array(values, pa.string())
        columns = {"text": text.dictionary_encode() if coded else text, "n": pa.array([1.5] * len(values))}
        whole = pa.RecordBatch.from_pydict(columns)
        made = RowChecksum()
        for part in (whole.slice(0, at), whole.slice(at)):
            made.update(part.set_column(0, "text", _reversed(part.column(0))) if coded and at % 2 else part)
        return made.hexdigest()

    changed = [*texts]
    changed[other % len(texts)] = "" if changed[other % len(texts)] is None else None

    assert checksum(texts, 0) == checksum(texts, min(cut, len(texts)))
    assert checksum(texts, 0) != checksum(changed, 0)


def _reversed(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same texts by a dictionary in another order."""
    last = len(column.dictionary) - 1
    codes = pa.array([None if code is None else last - code for code in column.indices.to_pylist()], pa.int32())
    return pa.DictionaryArray.from_arrays(codes, column.dictionary[::-1])


class _Stubborn:
    def __str__(self) -> str:
        raise RuntimeError("no text today")


OBJECTS = st.one_of(
    st.none(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.decimals(),
    st.text(st.characters(), max_size=5),
    st.binary(max_size=5),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC)),
    st.timedeltas(),
    st.booleans(),
    st.lists(st.integers(), max_size=2),
    st.sampled_from([pd.NA, pd.NaT, np.int64(-1), np.uint64(2**64 - 1), np.float16(0.1), np.bool_(True)]),
    st.sampled_from([np.datetime64("NaT"), np.timedelta64(1_500, "ns"), np.longdouble("0.1"), 2**53 + 1, _Stubborn()]),
    st.sampled_from([np.datetime64("2026-01-01T00:00:00.000001999", "ns"), np.datetime64(10**15, "s"), 1j]),
)


@given(values=st.lists(OBJECTS, max_size=8))
@example(values=[2**53 + 1, 0.5])
@example(values=[decimal.Decimal("0.1"), 0.5])
@example(values=[decimal.Decimal("1E+70"), decimal.Decimal("1E-70")])
def test_objects_of_any_kind_become_a_column_that_changes_none_of_them(values: list[Any]) -> None:
    batch, lost = batch_from_python({"column": values})
    stored, lost_later = storable(batch)

    for value, found, gone in zip(values, stored.column(0).to_pylist(), lost | lost_later, strict=True):
        absent = (
            value is None or value is pd.NA or value is pd.NaT or (isinstance(value, np.generic) and value != value)
        )
        if isinstance(value, float):
            absent = not math.isfinite(value)
        if isinstance(value, decimal.Decimal):
            absent = not value.is_finite()
        assert (found is None) == (absent or bool(gone))
        if found is None or not isinstance(value, int | float | decimal.Decimal | bytes) or isinstance(found, str):
            continue
        assert type(value)(found) == value
