"""Any Arrow type as doubles and instants."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.engines.instants import read_instants
from airflow_monitoring_provider.engines.numbers import read_doubles
from airflow_monitoring_provider.exceptions import ConfigurationError

MISSING, INVALID = "missing", "invalid"
NUMBERS: list[tuple[pa.Array, list[Any]]] = [
    (pa.array([1, None, -3], pa.int8()), [1.0, MISSING, -3.0]),
    (pa.array([2**64 - 1, 0], pa.uint64()), [2.0**64, 0.0]),
    (pa.array([1.5, None, float("nan"), float("inf")]), [1.5, MISSING, MISSING, float("inf")]),
    (pa.array([1.5, None], pa.float16()), [1.5, MISSING]),
    (pa.array([0.1], pa.float32()), [float(np.float32(0.1))]),
    (pa.array([True, None, False]), [1.0, MISSING, 0.0]),
    (pa.array([Decimal("100.01"), None]), [100.01, MISSING]),
    (pa.array([Decimal("12345678901234567890.1234567890")]), [12345678901234567890.123456789]),
    (pa.array([Decimal("1.5")], pa.decimal256(60, 3)), [1.5]),
    (pa.array(["1", "-2.5e3", None]), [1.0, -2500.0, MISSING]),
    (pa.array([" 1 ", "", "x", "nan", "+2", "1_0", "  ", "-inf", None, "0x1", "1,5", ".5", "5."]),
     [1.0, MISSING, INVALID, MISSING, 2.0, INVALID, MISSING, float("-inf"), MISSING, INVALID, INVALID, 0.5, 5.0]),
    (pa.array(["7", "z", None, "7"]).dictionary_encode(), [7.0, INVALID, MISSING, 7.0]),
    (pa.array([7, None]).dictionary_encode(), [7.0, MISSING]),
    (pa.array(["3"], pa.string_view()), [3.0]),
    (pa.array([dt.date(2024, 1, 1), None]), [INVALID, MISSING]),
    (pa.array([[1], None]), [INVALID, MISSING]),
    (pa.nulls(2), [MISSING, MISSING]),
]  # fmt: skip


@pytest.mark.parametrize(("array", "expected"), NUMBERS, ids=[f"{i}-{case[0].type}" for i, case in enumerate(NUMBERS)])
def test_each_type_is_read_as_the_table_says(array: pa.Array, expected: list[Any]) -> None:
    assert expected == told(array)
    assert expected[1:] == told(array.slice(1))
    assert [] == told(array.slice(0, 0))


def told(array: pa.Array) -> list[Any]:
    numbers = read_doubles(array)
    missing = numbers.missing().tolist()
    invalid = [False] * len(array) if numbers.invalid is None else numbers.invalid.tolist()
    assert not any(a and b for a, b in zip(missing, invalid, strict=True))
    return [
        MISSING if gone else INVALID if wrong else value
        for gone, wrong, value in zip(missing, invalid, numbers.values.tolist(), strict=True)
    ]


@given(st.lists(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**12), max_value=10**12, places=4)))
def test_decimals_become_the_nearest_double(values: list[Decimal]) -> None:
    expected = [float(value) for value in values]
    for kind in (pa.decimal128(30, 4), pa.decimal128(38, 18)):
        assert expected == read_doubles(pa.array(values, kind)).values.tolist()


@given(st.lists(st.floats(allow_nan=False).map(repr) | st.text(max_size=3), max_size=8))
def test_texts_are_numbers_where_python_agrees(texts: list[str]) -> None:
    for text, answer in zip(texts, told(pa.array(texts, pa.string())), strict=True):
        if answer not in (MISSING, INVALID):
            assert float(text) == answer
        elif answer == INVALID and text.isascii() and "_" not in text:  # Python reads 1_0 and other scripts' digits
            with pytest.raises(ValueError, match="could not convert"):
                float(text)


EPOCH_DAY = 86_400_000_000
INSTANTS: list[tuple[pa.Array, list[Any]]] = [
    (pa.array([1, None], pa.timestamp("s")), [1_000_000, MISSING]),
    (pa.array([-1], pa.timestamp("ms")), [-1000]),
    (pa.array([-1, 1999], pa.timestamp("ns")), [-1, 1]),
    (pa.array([5], pa.timestamp("us", "America/New_York")), [5]),
    (pa.array([2**62], pa.timestamp("s")), [INVALID]),
    (pa.array([dt.date(1970, 1, 2)]), [EPOCH_DAY]),
    (pa.array([dt.date(1970, 1, 2)], pa.date64()), [EPOCH_DAY]),
    (pa.array(["1970-01-02", "1970-01-02T00:00:01+01:00", "x", None, "1970-01-01 00:00:00.5Z"]),
     [EPOCH_DAY, EPOCH_DAY - 3_599_000_000, INVALID, MISSING, 500_000]),
    (pa.array(["1970-01-02", None]).dictionary_encode(), [EPOCH_DAY, MISSING]),
    (pa.array([1700000000, None, 1700000000_000, 1700000000_000_000, -1700000000_000_000_000]),
     [1700000000_000_000, MISSING, 1700000000_000_000, 1700000000_000_000, -1700000000_000_000]),
    (pa.array([1.5, float("nan"), float("inf"), -0.0000005]), [1_500_000, MISSING, INVALID, -1]),
    (pa.array([Decimal("1.5")]), [1_500_000]),
    (pa.array([2**64 - 1, 60], pa.uint64()), [INVALID, 60_000_000]),
    (pa.array(["60", "1.5", "20240101", "1970-01-01 00:00:01 UTC", "1970-W01-1", "24:00"]),
     [60_000_000, 1_500_000, 20240101_000_000, 1_000_000, INVALID, INVALID]),
    (pa.array(["0001-01-01", "9999-12-31T23:59:59.999999", "9999-12-31T23:59:59-01:00"]),
     [-62_135_596_800_000_000, 253_402_300_799_999_999, INVALID]),
    (pa.array([True, None]), [INVALID, MISSING]),
    (pa.array([dt.time(1)]), [INVALID]),
    (pa.nulls(1), [MISSING]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("array", "expected"), INSTANTS, ids=[f"{i}-{case[0].type}" for i, case in enumerate(INSTANTS)]
)
def test_instants_are_microseconds_utc(array: pa.Array, expected: list[Any]) -> None:
    def instants(part: pa.Array) -> list[Any]:
        read = read_instants(part)
        valid = [True] * len(part) if read.valid is None else read.valid.tolist()
        invalid = [False] * len(part) if read.invalid is None else read.invalid.tolist()
        return [
            INVALID if wrong else value if there else MISSING
            for wrong, there, value in zip(invalid, valid, read.microseconds.tolist(), strict=True)
        ]

    assert expected == instants(array)
    assert expected[1:] == instants(array.slice(1))


@pytest.mark.parametrize("kind", ["texts", "seconds", "nanoseconds"])
def test_wall_clock_times_are_read_in_their_zone(kind: str) -> None:
    texts = ["2024-01-15T12:00:00", "2024-07-15T12:00:00", "2024-11-03T01:30:00", "2024-03-10T02:30:00", None]
    expected = ["2024-01-15T17:00", "2024-07-15T16:00", "2024-11-03T05:30", "2024-03-10T07:00"]
    array = pa.array(texts)
    if kind != "texts":
        array = array.cast(pa.timestamp("s" if kind == "seconds" else "ns"))
    read = read_instants(array, "America/New_York")
    stamps = read.microseconds[:4].astype("datetime64[us]").astype("datetime64[m]").astype(str).tolist()
    assert expected == stamps
    assert read.valid is not None
    assert [True] * 4 + [False] == read.valid.tolist()
    day = read_instants(pa.array([dt.date(2024, 1, 15)]), "America/New_York").microseconds
    assert ["2024-01-15T05"] == day.astype("datetime64[us]").astype("datetime64[h]").astype(str).tolist()
    zoned = pa.array(["2024-01-15T12:00:00+01:00"])
    assert read_instants(zoned).microseconds.tolist() == read_instants(zoned, "Asia/Tokyo").microseconds.tolist()


def test_an_unknown_zone_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="Mars/Phobos"):
        read_instants(pa.array(["2024-01-15"]), "Mars/Phobos")
