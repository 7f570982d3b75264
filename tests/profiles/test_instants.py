"""Times are read the same way whatever form they are stored in; the oracle is Python's own calendar."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.profiles.instants import EPOCH, instants, is_time_text, microseconds

NOON = datetime(2013, 7, 4, 12, tzinfo=UTC)
NEW_YORK = "America/New_York"
calmly = settings(deadline=None)  # the first example pays for imports
moments = st.integers(-(10**16), 10**16).map(lambda microsecond: EPOCH + timedelta(microseconds=microsecond))


def read(values: list[object], kind: pa.DataType, zone: str = "UTC") -> list[datetime | None]:
    return instants(pa.array(values, kind), zone).to_pylist()  # type: ignore[no-any-return]


@calmly
@given(moments)
def test_one_instant_is_the_same_in_every_form(moment: datetime) -> None:
    naive = moment.replace(tzinfo=None)
    east = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    text = naive.isoformat(" ", "microseconds")
    forms: list[tuple[object, pa.DataType]] = [
        (moment, pa.timestamp("us", "UTC")),
        (moment, pa.timestamp("us", NEW_YORK)),
        (naive, pa.timestamp("us")),
        (text, pa.string()),
        (text, pa.large_string()),
        (text + "789", pa.string()),
        (text + "Z", pa.string()),
        (text + " UTC", pa.string()),
        (f"  {text.replace(' ', 'T')}+00 ", pa.string()),
        (east.isoformat(), pa.string()),
        (Decimal(microseconds(moment)).scaleb(-6), pa.decimal128(20, 6)),
    ]
    if moment.year > 1980:  # before, milliseconds and microseconds look like seconds
        forms.append((microseconds(moment), pa.int64()))
        forms.append((str(microseconds(moment)), pa.string()))
    for value, kind in forms:
        assert [moment] == read([value], kind), (value, kind)


@calmly
@given(st.lists(st.one_of(st.none(), moments), max_size=8), st.integers(0, 8))
def test_the_form_of_other_rows_changes_nothing(values: list[datetime | None], cut: int) -> None:
    texts = [
        None if value is None else value.isoformat() if position % 2 else value.replace(tzinfo=None).isoformat(" ")
        for position, value in enumerate(values)
    ]
    column = pa.array(texts, pa.string())

    alone = [read([text], pa.string())[0] for text in texts]
    assert values == alone == instants(column).to_pylist()
    assert alone == instants(column.slice(0, cut)).to_pylist() + instants(column.slice(cut)).to_pylist()


@calmly
@given(st.text(alphabet="0123456789-:.TZ +aez", max_size=24))
def test_a_text_alone_reads_as_it_does_among_others(text: str) -> None:
    among = ["2013-01-01", "2013-01-01T00:00Z", "5", "?", text]

    assert read([text], pa.string()) == read([*among], pa.string())[-1:]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2013-01-01", datetime(2013, 1, 1, tzinfo=UTC)),
        ("2013-01-01T05", datetime(2013, 1, 1, 5, tzinfo=UTC)),
        ("2013-01-01 05:30", datetime(2013, 1, 1, 5, 30, tzinfo=UTC)),
        ("2013-01-01 05:00:00,25", datetime(2013, 1, 1, 5, 0, 0, 250_000, tzinfo=UTC)),
        ("2013-01-01 05:00:00 +05:30", datetime(2012, 12, 31, 23, 30, tzinfo=UTC)),
        ("2013-01-01 05:00:00-0500", datetime(2013, 1, 1, 10, tzinfo=UTC)),
        ("1e9", datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)),
        ("20130101", datetime(1970, 8, 21, 23, 41, 41, tzinfo=UTC)),
        ("2013-02-30", None),
        ("2013-02-30T00:00Z", None),
        ("2013-01-01T24:00", None),
        ("2013-01-01T23:59:60", None),
        ("0000-01-01", None),
        ("2013-01-01T05:00+99", None),
        ("yesterday", None),
        ("", None),
        ("NaN", None),
    ],
)
def test_what_text_is_a_time(value: str, expected: datetime | None) -> None:
    assert [expected] == read([value], pa.string())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (1_357_016_400, datetime(2013, 1, 1, 5, tzinfo=UTC)),
        (1_357_016_400_000, datetime(2013, 1, 1, 5, tzinfo=UTC)),
        (1_357_016_400_000_000, datetime(2013, 1, 1, 5, tzinfo=UTC)),
        (1_357_016_400_000_000_999, datetime(2013, 1, 1, 5, tzinfo=UTC)),
        (-1, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (-(2**63), datetime(1677, 9, 21, 0, 12, 43, 145_224, tzinfo=UTC)),
        (2**63 - 1, datetime(2262, 4, 11, 23, 47, 16, 854_775, tzinfo=UTC)),
    ],
)
def test_numbers_say_their_unit_by_their_size(value: int, expected: datetime) -> None:
    assert [expected] == read([value], pa.int64())


def test_a_double_just_below_a_boundary_stays_below() -> None:
    below = 1_357_016_399.9999998

    assert [datetime(2013, 1, 1, 4, 59, 59, 999_999, tzinfo=UTC)] == read([below], pa.float64())
    assert [None, None, None] == read([float("nan"), float("inf"), 1e300], pa.float64())


def test_nanoseconds_and_times_before_1970_are_floored() -> None:
    assert [datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)] == instants(
        pa.array([-1], pa.int64()).cast(pa.timestamp("ns"))
    ).to_pylist()


def test_dates_are_midnight_in_the_declared_zone() -> None:
    for kind in (pa.date32(), pa.date64()):
        assert [datetime(2013, 7, 4, 4, tzinfo=UTC)] == read([date(2013, 7, 4)], kind, NEW_YORK)


def test_an_hour_shown_twice_is_the_earlier_and_one_skipped_is_the_moment_after() -> None:
    texts = ["2013-11-03 01:30:00", "2013-03-10 02:30:00"]
    expected = [datetime(2013, 11, 3, 5, 30, tzinfo=UTC), datetime(2013, 3, 10, 7, tzinfo=UTC)]

    assert expected == instants(pa.array(texts), NEW_YORK).to_pylist()
    assert expected == instants(pa.array(texts).cast(pa.timestamp("us")), NEW_YORK).to_pylist()


def test_instants_outside_the_calendar_are_unreadable() -> None:
    column = pa.array([2**60, -(2**60)], pa.int64()).cast(pa.timestamp("s"))

    assert [None, None] == instants(column).to_pylist()


def test_dictionary_and_null_columns_are_read() -> None:
    encoded = pa.array(["2013-07-04 12:00", None, "2013-07-04 12:00"]).dictionary_encode()

    assert [NOON, None, NOON] == instants(encoded).to_pylist()
    assert [None, None] == instants(pa.nulls(2)).to_pylist()


def test_time_texts_are_told_from_numbers() -> None:
    column = pa.array(["2013-07-04", "2013-07-04T12:00Z", "20130704", "x", None])

    assert [True, True, False, False, False] == is_time_text(column).tolist()
