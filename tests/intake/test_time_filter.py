"""Which rows are in a window: the half-open interval, whatever zone the times are in."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.exceptions import SourceError, WindowError
from airflow_monitoring_provider.intake.prefilter import skew
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.intake.window_cut import WindowCut
from airflow_monitoring_provider.profiles.instants import EPOCH, INSTANT

NOON = datetime(2013, 7, 4, 12, tzinfo=UTC)
NEW_YORK = "America/New_York"
calmly = settings(deadline=None)  # the first example pays for imports
moments = st.integers(-(10**16), 10**16).map(lambda microsecond: EPOCH + timedelta(microseconds=microsecond))


@pytest.mark.parametrize("kind", [pa.bool_(), pa.binary(), pa.list_(pa.int64()), pa.time64("us")])
def test_a_type_that_cannot_be_a_time_is_refused_by_name(kind: pa.DataType) -> None:
    window = TimeFilter("at", None, None)

    with pytest.raises(SourceError, match="timestamp column 'at': values of type"):
        window.mask(pa.nulls(1, kind))


def test_skew_is_zero_but_where_clocks_change() -> None:
    assert timedelta() == skew(NEW_YORK, NOON)
    assert timedelta(hours=1) == skew(NEW_YORK, datetime(2013, 3, 10, 7, tzinfo=UTC))
    assert timedelta(hours=24) == skew("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC))
    assert timedelta() == skew("UTC", datetime.max.replace(tzinfo=UTC))


@calmly
@given(st.lists(st.one_of(st.none(), moments), max_size=20), moments, st.integers(0, 10**12))
def test_the_mask_is_the_half_open_interval(values: list[datetime | None], start: datetime, length: int) -> None:
    end = start + timedelta(microseconds=length)
    values = [*values, start, end, start - timedelta(microseconds=1), end - timedelta(microseconds=1)]

    expected = [value is not None and start <= value < end for value in values]
    assert expected == TimeFilter("at", start, end).mask(pa.array(values, INSTANT)).to_pylist()
    assert [v is not None for v in values] == TimeFilter("at", None, None).mask(pa.array(values, INSTANT)).to_pylist()


def test_windows_tile_a_day_on_which_clocks_change() -> None:
    hours = [datetime(2013, 11, 3, tzinfo=UTC) + timedelta(minutes=15 * step) for step in range(-8, 140)]
    wall = pa.array([h.astimezone(ZoneInfo(NEW_YORK)).replace(tzinfo=None) for h in hours], pa.timestamp("us"))
    edges = [datetime(2013, 11, 2, 12, tzinfo=UTC) + timedelta(hours=hour) for hour in range(60)]

    seen = [0] * len(hours)
    for start, end in itertools.pairwise(edges):
        for row, inside in enumerate(TimeFilter("at", start, end, NEW_YORK).mask(wall).to_pylist()):
            seen[row] += inside
    assert [1] * len(hours) == seen


def test_a_cut_counts_what_it_saw() -> None:
    cut = WindowCut(TimeFilter("at", NOON, NOON + timedelta(hours=1)))
    batch = pa.record_batch({"at": ["2013-07-04 12:30", None, "noon", "2013-07-04 13:00"], "n": [1, 2, 3, 4]})

    assert [1] == cut.cut(batch).column("n").to_pylist()
    assert (4, 1, 1, False) == (cut.seen, cut.nulls, cut.unreadable, cut.nothing_readable)


@pytest.mark.parametrize(
    ("start", "end", "zone", "match"),
    [
        (NOON.replace(tzinfo=None), None, "UTC", "no time zone"),
        (NOON, NOON - timedelta(seconds=1), "UTC", "ends before it starts"),
        (NOON, None, "Mars/Olympus", "not a time zone"),
        (NOON, None, "../../etc/passwd", "not a time zone"),
    ],
)
def test_an_impossible_window_is_refused(start: datetime, end: datetime | None, zone: str, match: str) -> None:
    with pytest.raises(WindowError, match=match):
        TimeFilter("at", start, end, zone)
