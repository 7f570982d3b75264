"""Canonical texts of every Arrow type."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.profiles.canonical import canonical_array, canonical_dictionary

EAST = dt.timezone(dt.timedelta(hours=2))
CASES: list[tuple[pa.Array, list[str | None]]] = [
    (pa.array([1, None, -20]), ["1", None, "-20"]),
    (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
    (pa.array([9, -128, None, 127, 127, -128], pa.int8())[1:], ["-128", None, "127", "127", "-128"]),
    (pa.array([1.0, 1e20, -0.0, float("nan"), float("-inf")]), ["1.0", "1e+20", "0.0", None, "-inf"]),
    (pa.array([0.1], pa.float32()), ["0.1"]),
    (pa.array([Decimal("1.10"), Decimal("100.00"), Decimal("-0.00")]), ["1.1", "100", "0"]),
    (pa.array([Decimal("1E-10")]), ["0.0000000001"]),
    (pa.array([True, False, None]), ["true", "false", None]),
    (pa.array(["1", " a ", "", None, "é", "é"]), ["1", " a ", "", None, "é", "é"]),
    (pa.array(["x"], pa.string_view()), ["x"]),
    (pa.array(["x", "y"], pa.large_string()), ["x", "y"]),
    (pa.array([b"\x00\xff", None]), ["0x00ff", None]),
    (pa.array([dt.date(2024, 1, 31)]), ["2024-01-31"]),
    (pa.array([dt.date(2024, 1, 31)], pa.date64()), ["2024-01-31"]),
    (pa.array([dt.time(1, 2, 3), dt.time(1, 2, 3, 5)]), ["01:02:03", "01:02:03.000005"]),
    (pa.array(["2024-01-31T13:05:00"]).cast(pa.timestamp("s")), ["2024-01-31T13:05:00"]),
    (pa.array(["1960-01-01T00:00:00.000001"]).cast(pa.timestamp("us")), ["1960-01-01T00:00:00.000001"]),
    (pa.array([1], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001"]),
    (pa.array([dt.datetime(2024, 1, 31, 13, 5, tzinfo=EAST)]), ["2024-01-31T11:05:00+00:00"]),
    (pa.array([dt.timedelta(seconds=-1), dt.timedelta(seconds=90.5)]), ["-PT1S", "PT90.5S"]),
    (pa.array([{"b": 1, "a": "é"}, None]), ['{"a":"é","b":1}', None]),
    (pa.array([[1, None]]), ["[1,null]"]),
    (pa.nulls(2), [None, None]),
    (pa.array(["u", None, "u"]).dictionary_encode(), ["u", None, "u"]),
    (pa.array([1.0, None]).dictionary_encode(), ["1.0", None]),
]


@pytest.mark.parametrize(
    ("array", "expected"), CASES, ids=[f"{array.type}-{number}" for number, (array, _) in enumerate(CASES)]
)
def test_each_type_has_one_text_per_value(array: pa.Array, expected: list[str | None]) -> None:
    assert expected == canonical_array(array).to_pylist()
    assert expected[1:] == canonical_array(array.slice(1)).to_pylist()
    assert [] == canonical_array(array.slice(0, 0)).to_pylist()
    encoded = canonical_dictionary(array)
    assert expected == encoded.dictionary.take(encoded.indices).to_pylist()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_do_not_depend_on_their_unit(unit: str) -> None:
    stamps = pa.array(["2024-02-29T23:59:58"]).cast(pa.timestamp(unit))
    assert ["2024-02-29T23:59:58"] == canonical_array(stamps).to_pylist()


def test_decimals_do_not_depend_on_their_scale() -> None:
    expected = ["1.5"]
    for scale in (1, 2, 9):
        assert expected == canonical_array(pa.array([Decimal("1.5")], pa.decimal128(20, scale))).to_pylist()


@given(st.lists(st.floats() | st.none(), max_size=20))
def test_floats_read_back_as_themselves(values: list[Any]) -> None:
    expected = [None if v is None or v != v else repr(v + 0.0) for v in values]
    assert expected == canonical_array(pa.array(values, pa.float64())).to_pylist()


@given(st.lists(st.text(max_size=5) | st.none(), max_size=20))
def test_texts_are_kept_byte_for_byte(values: list[Any]) -> None:
    assert values == canonical_array(pa.array(values, pa.string())).to_pylist()
