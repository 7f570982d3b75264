"""A window that SQLite cuts holds the rows of a window that is cut from rows which are read, or it is refused."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.intake.source import CannotPushDown, TimeFilter
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan
from conformance import assert_same, pushed, read, table

DAY = dt.datetime(2026, 3, 1, 5, 30, 0, 250_001, tzinfo=dt.UTC)
COLUMNS = (ColumnPlan("n", ColumnKind.NUMERIC),)
PLAN = ProfilePlan(COLUMNS, timestamp_column="at")
FORMS: dict[str, Callable[[dt.datetime], Any]] = {
    "date": lambda at: at.strftime("%Y-%m-%d"),
    "minute": lambda at: at.strftime("%Y-%m-%dT%H:%M"),
    "second": lambda at: at.strftime("%Y-%m-%d %H:%M:%S"),
    "tenth": lambda at: at.isoformat(" ", "microseconds")[:21],
    "micro": lambda at: at.replace(tzinfo=None).isoformat(" ", "microseconds"),
    "nano": lambda at: at.replace(tzinfo=None).isoformat("T", "microseconds") + "999Z",
    "zone": lambda at: at.astimezone(dt.timezone(dt.timedelta(hours=-7, minutes=-30))).isoformat("T", "microseconds"),
    "seconds": lambda at: int(at.timestamp()),
    "units": lambda at: int(at.timestamp() * 10 ** (3 * (at.microsecond % 4))),
    "real": lambda at: at.timestamp(),
}
AROUND = [
    dt.timedelta(microseconds=m) for m in (-90_000_000_000, -250_002, -250_001, -1, 0, 1, 49_999, 50_000, 749_999)
]


def times(make: Callable[[dt.datetime], Any]) -> list[Any]:
    near = [end + away for end in (DAY, DAY + dt.timedelta(days=1)) for away in AROUND]
    random = np.random.default_rng(4)
    spread = [DAY + dt.timedelta(seconds=float(s)) for s in random.uniform(-2e5, 2e5, 200)]
    return [make(at) for at in [*near, *spread]]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
@pytest.mark.parametrize("form", list(FORMS))
def test_a_window_is_cut_to_the_row(tmp_path: Path, form: str, zone: str) -> None:
    stored = [*times(FORMS[form]), None]
    kind: Any = sa.Double() if form == "real" else sa.BigInteger() if isinstance(stored[0], int) else sa.Text()
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    source = table(engine, [{"n": n, "at": at} for n, at in enumerate(stored)], n=sa.Integer(), at=kind)
    for window in (
        TimeFilter("at", DAY, DAY + dt.timedelta(days=1), zone),
        TimeFilter("at", DAY, None, zone),
        TimeFilter("at", None, DAY + dt.timedelta(days=1), zone),
    ):
        plan = ProfilePlan(COLUMNS, timestamp_column="at", timestamp_timezone=zone)
        expected, found = read(plan, source, window=window), pushed(plan, source, window=window)
        assert_same(expected, found)
        assert 0 < found.rows < len(stored)
    engine.dispose()


@pytest.mark.parametrize(
    ("kind", "others"),
    [
        (sa.Text(), ["2026-03-01T12:00:00"]),
        (sa.Text(), ["2026-03-01 12:00:00Z"]),
        (sa.Text(), ["2026-02-30 12:00:00"]),
        (sa.Text(), ["2026-03-01 24:00:00"]),
        (sa.Text(), ["yesterday"]),
        (sa.String(), ["2026-03-01 12:00"]),
        (sa.types.NullType(), [1772366400]),
    ],
)
def test_times_of_several_forms_are_refused(tmp_path: Path, kind: Any, others: list[Any]) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    with engine.begin() as connection:
        affinity = "" if isinstance(kind, sa.types.NullType) else "TEXT"
        connection.exec_driver_sql(f"CREATE TABLE t (n INTEGER, at {affinity})")
        for n, at in enumerate(["2026-03-01 12:00:00", "2026-03-01 13:00:00", *others]):
            connection.exec_driver_sql("INSERT INTO t VALUES (?, ?)", (n, at))
    source = table(engine, [], make=False)
    with pytest.raises(CannotPushDown, match="ISO 8601 texts of one form"):
        pushed(PLAN, source, window=TimeFilter("at", DAY, DAY + dt.timedelta(days=1)))
    engine.dispose()


def test_a_window_whose_edge_is_where_clocks_change_is_refused(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'x.sqlite'}")
    source = table(engine, [{"n": 1, "at": "2026-03-29 02:30:00"}], n=sa.Integer(), at=sa.Text())
    start = dt.datetime(2026, 3, 29, tzinfo=dt.UTC)
    with pytest.raises(CannotPushDown, match="clocks of Europe/Berlin change"):
        pushed(PLAN, source, window=TimeFilter("at", start, start + dt.timedelta(days=1), "Europe/Berlin"))
    engine.dispose()
