"""Windows, timestamps and clocks in every zone (F15): schedules tile UTC, each row is in one window, no clock decides.

The scheduler's side is Airflow's own: a definition's DAG, serialized as the scheduler has it, and its timetable walked
interval by interval. The other side is arithmetic on the calendar with ``zoneinfo``, which knows neither croniter nor
this package.
"""

from __future__ import annotations

import ast
import bisect
import csv
import datetime as dt
import itertools
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import airflow_monitoring_provider
from airflow_monitoring_provider.dags import monitoring_dag
from airflow_monitoring_provider.definitions import (
    JobDefinition,
    JobState,
    WindowKind,
    first_window,
    load_definition,
    resolve_window,
)
from airflow_monitoring_provider.definitions.intake import FileIntake, SqlIntake
from airflow_monitoring_provider.definitions.window import Window
from airflow_monitoring_provider.exceptions import Superseded
from airflow_monitoring_provider.intake.source import TimeFilter, open_source
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind
from airflow_monitoring_provider.store import schema
from airflow_monitoring_provider.store.engine import open_engine
from airflow_monitoring_provider.store.records import Snapshot
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

UTC = dt.UTC
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)
Interval = tuple[dt.datetime, dt.datetime]

FROM = {
    "UTC": "2026-01-10",
    "Europe/Berlin": "2026-01-10",
    "America/New_York": "2026-01-10",
    "America/St_Johns": "2026-01-10",  # half an hour from everybody
    "Australia/Lord_Howe": "2026-01-10",  # changes its clock by half an hour
    "Asia/Kolkata": "2026-01-10",  # never changes it
    "Africa/Casablanca": "2026-01-10",  # is an hour behind its standard time during Ramadan
    "Pacific/Apia": "2011-05-05",  # had no 30 December 2011
}

# A schedule as the definition has it, and what it means: minutes, hours, and on which days.
SPARSE: dict[str, tuple[Any, str]] = {
    "@daily": ("@daily", "0 0 * * *"),
    "@weekly": ("@weekly", "0 0 * * 0"),
    "@monthly": ("@monthly", "0 0 1 * *"),
    "@quarterly": ("@quarterly", "0 0 1 1,4,7,10 *"),
    "@yearly": ("@yearly", "0 0 1 1 *"),
    "in the skipped hour": ("30 2 * * *", "30 2 * * *"),
    "in the repeated hour": ("45 1 * * *", "45 1 * * *"),
    "odd minutes around both": ("7,53 1-3 * * *", "7,53 1,2,3 * * *"),
    "at the half hour of Lord Howe": ("*/30 1,2 * * *", "0,30 1,2 * * *"),
    "working days by name": ("15 17 * * mon-fri", "15 17 * * 1,2,3,4,5"),
    "day of month or day of week": ("0 0 13,29 * fri", "0 0 13,29 * 5"),
    "months by name": ("59 23 31 jan,Mar,october *", "59 23 31 1,3,10 *"),
    "Sunday as 7": ("0 3 * * 7", "0 3 * * 0"),
    "five lists": (
        {"minute": [37], "hour": [0, 12], "dayOfMonth": ["*"], "month": ["*"], "dayOfWeek": ["sun", "Wednesday", 5]},
        "37 0,12 * * 0,3,5",
    ),
    "five lists with every day of one and some of the other": (
        {
            "minute": [0],
            "hour": [2],
            "dayOfMonth": list(range(1, 32)),
            "month": ["Mar", "apr", "oct", "november", 12],
            "dayOfWeek": [1],
        },
        "0 2 * 3,4,10,11,12 *",
    ),
}
DENSE: dict[str, tuple[Any, str]] = {
    "@hourly": ("@hourly", "0 * * * *"),
    "every quarter": ("*/15 * * * *", "0,15,30,45 * * * *"),
    "odd minutes": ("1,17,41 * * * *", "1,17,41 * * * *"),
    "every other hour": ("5 */2 * * *", "5 0,2,4,6,8,10,12,14,16,18,20,22 * * *"),
    "not at night": ("0,20,40 6-22 * * *", "0,20,40 6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22 * * *"),
    "five lists of everything but a minute": (
        {"minute": [11], "hour": list(range(24)), "dayOfMonth": ["*"], "month": ["*"], "dayOfWeek": ["*"]},
        "11 * * * *",
    ),
}


def definition(schedule: Any, zone: str, start: dt.datetime, **more: Any) -> JobDefinition:
    """A definition with this schedule."""
    payload = {
        "name": "zones",
        "deployment_id": "zones",
        "intake_settings": {"type": "sql", "data_store_id": "db", "table": "scores"},
        "timestamp_column": "at",
        "monitoring_columns": {"predictions_columns": "score"},
        "schedule": schedule,
        "timezone": zone,
        "start_date": start.isoformat(),
        "catchup": True,
    }
    return load_definition(payload | more)


def timetable(made: JobDefinition) -> Any:
    """The timetable of the definition's DAG, as the scheduler has it: serialized and read again."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.serialization.serialized_objects import DagSerialization

        return DagSerialization.from_dict(DagSerialization.to_dict(monitoring_dag(made))).timetable


def scheduled(made: JobDefinition, until: dt.datetime) -> list[Interval]:
    """The data intervals of the runs that the scheduler would make, up to an instant."""
    from airflow.timetables.base import TimeRestriction
    from pendulum import instance

    walked, last, found = timetable(made), None, []
    assert made.start_date is not None
    restriction = TimeRestriction(instance(made.start_date), None, True)
    while (info := walked.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)) is not None:
        last = info.data_interval
        start, end = (dt.datetime.fromisoformat(bound.isoformat()).astimezone(UTC) for bound in (last.start, last.end))
        found.append((start, end))
        assert info.run_after == last.end
        if end >= until:
            break
    return found


# --- the oracle -----------------------------------------------------------------------------------------------------


def offset(zone: ZoneInfo, instant: dt.datetime) -> dt.timedelta:
    return instant.astimezone(zone).utcoffset() or dt.timedelta()


def matches(wall: dt.datetime, meaning: str) -> bool:
    """Whether a wall-clock minute is one of the expression's, by classic cron's rules."""
    minute, hour, day, month, weekday = (
        None if field == "*" else {int(number) for number in field.split(",")} for field in meaning.split()
    )
    if minute is not None and wall.minute not in minute:
        return False
    if hour is not None and wall.hour not in hour:
        return False
    if month is not None and wall.month not in month:
        return False
    by_day, by_weekday = day is None or wall.day in day, weekday is None or wall.isoweekday() % 7 in weekday
    return by_day or by_weekday if day is not None and weekday is not None else by_day and by_weekday


def minutes_of(meaning: str, first: dt.datetime, days: int) -> Iterator[dt.datetime]:
    """Every wall-clock minute that the expression means: each minute of a day tried, and each day."""
    minute, hour, *daily = meaning.split()
    anywhere = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - a wall clock
    tried = [n * MINUTE for n in range(1440) if matches(anywhere + n * MINUTE, f"{minute} {hour} * * *")]
    for day in range(days):
        if matches(first + day * DAY, " ".join(["*", "*", *daily])):
            yield from (first + day * DAY + time for time in tried)


def oracle(meaning: str, zone: str, begin: dt.datetime, until: dt.datetime) -> list[Interval]:
    """Each firing from the one before: the next minute of the wall clock that is meant, as an instant.

    Of two instants it is the second, and a skipped minute is as much later as the clock jumped; schedules of every hour
    count real time instead.
    """
    there, every_hour = ZoneInfo(zone), meaning.split()[1] == "*"
    rare = meaning.split()[2:] != ["*", "*", "*"]
    first = wall_of(begin, there)
    walls = list(minutes_of(meaning, first.replace(hour=0, minute=0), (until - begin).days + (400 if rare else 6)))
    instants = [instant_of(walls[bisect.bisect_left(walls, first)], there)]
    while len(instants) < 2 or instants[-1] < until:
        wall = wall_of(instants[-1], there)
        following = walls[bisect.bisect_right(walls, wall)]
        instants.append(instants[-1] + (following - wall) if every_hour else instant_of(following, there))
    return list(itertools.pairwise(instants))


def wall_of(instant: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    return instant.astimezone(zone).replace(tzinfo=None, fold=0)


def instant_of(wall: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    return max(wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def changes(zone: str, begin: dt.datetime, days: int = 400) -> list[dt.datetime]:
    """Days after which the zone's clock is another."""
    there = ZoneInfo(zone)
    found = [begin + day * DAY for day in range(days)]
    return [one for one in found if offset(there, one) != offset(there, one + DAY)]


def assert_tiles(intervals: list[Interval], made: JobDefinition, *, every: int) -> None:
    """Half-open intervals without gap or overlap, which every way of asking finds again."""
    assert made.schedule is not None
    assert intervals
    assert all(start < end for start, end in intervals)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(intervals))
    nothing: dict[str, Any] = {"params": {}, "data_interval": None, "partition_key": None, "run_after": None}
    for number, (start, end) in enumerate(intervals):
        assert end == made.schedule.next_after(start, made.timezone)
        if number % every:
            continue
        window = Window.of(start, end)
        ways: list[dict[str, Any]] = [
            {"data_interval": (start, end), "scheduled": True},
            {"data_interval": (start, end), "scheduled": False},
            {"params": {"window_start": start.isoformat(), "window_end": end.isoformat()}, "scheduled": False},
            {"partition_key": start.isoformat(), "scheduled": True},
            {"run_after": end, "scheduled": False},
            {"run_after": end + (made.schedule.next_after(end, made.timezone) - end) / 2, "scheduled": False},
        ]
        for way in ways:
            found = resolve_window(made, **(nothing | way))
            assert (window.key(), WindowKind.SCHEDULED) == (found.key(), found.kind), way
        moved = resolve_window(made, **(nothing | {"data_interval": (start, end - (end - start) / 7)}), scheduled=False)
        assert WindowKind.AD_HOC is moved.kind


# --- schedules ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("zone", FROM)
def test_windows_of_every_form_of_schedule_tile_400_days(zone: str, request: pytest.FixtureRequest) -> None:
    begin = dt.datetime.fromisoformat(FROM[zone]).replace(tzinfo=UTC)
    until, sweep = begin + 400 * DAY, request.config.getoption("--sweep")
    # Each zone meets its share of the forms, each form some zones, and those that clock changes touch meet them all.
    turn = list(FROM).index(zone) % 4
    chosen = {name: form for number, (name, form) in enumerate(SPARSE.items()) if sweep or number % 4 == turn}
    chosen |= {name: SPARSE[name] for name in SPARSE if "hour" in name}
    for name, (form, meaning) in chosen.items():
        made = definition(form, zone, begin)
        intervals = scheduled(made, until)

        assert oracle(meaning, zone, begin, until) == intervals, name
        assert intervals[0] == (first_window(made).start, first_window(made).end)
        assert_tiles(intervals, made, every=1 if sweep else 29)


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("zone", FROM)
def test_windows_of_an_hour_or_less_tile_the_days_around_each_clock_change(
    zone: str, request: pytest.FixtureRequest
) -> None:
    begin, sweep = dt.datetime.fromisoformat(FROM[zone]).replace(tzinfo=UTC), request.config.getoption("--sweep")
    spans = [(one - 6 * HOUR, one + DAY + 6 * HOUR) for one in changes(zone, begin) or [begin + 50 * DAY]]
    # A firing beside a clock change is found from one before it, which takes long where a whole day was skipped.
    forms = list(DENSE.items()) if sweep or zone != "Pacific/Apia" else [("not at night", DENSE["not at night"])]
    for (name, (form, meaning)), (first, last) in itertools.product(forms, spans):
        made = definition(form, zone, first)
        intervals = scheduled(made, last)
        assert oracle(meaning, zone, first, last) == intervals, name
        assert_tiles(intervals, made, every=1 if sweep else 23)


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe"])
def test_windows_of_a_minute_tile_the_hours_around_each_clock_change(zone: str) -> None:
    begin = dt.datetime.fromisoformat(FROM[zone]).replace(tzinfo=UTC)
    for one in changes(zone, begin):
        middle = next(
            one + n * HOUR for n in range(25) if offset(ZoneInfo(zone), one + n * HOUR) != offset(ZoneInfo(zone), one)
        )
        made = definition("* * * * *", zone, middle - HOUR / 2)
        intervals = scheduled(made, middle + HOUR / 2)
        assert [MINUTE] * 60 == [end - start for start, end in intervals]
        assert_tiles(intervals, made, every=40)


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("zone", FROM)
def test_an_ending_schedule_makes_the_same_windows_and_stops(zone: str) -> None:
    begin = dt.datetime.fromisoformat(FROM[zone]).replace(tzinfo=UTC)
    for form in ("30 2 * * *", "@weekly", "0 0 13 * fri"):
        whole = scheduled(definition(form, zone, begin), begin + 300 * DAY)
        for end in (whole[5][0], whole[5][0] + MINUTE, whole[6][0] - MINUTE):
            assert whole[:6] == scheduled(
                definition(form, zone, begin, end_date=end.isoformat()), begin + 9000 * DAY
            ), form


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Pacific/Apia"])
def test_leap_days_have_a_window_and_other_years_none(zone: str) -> None:
    begin = dt.datetime(2024, 1, 1, tzinfo=UTC)
    leap = scheduled(definition("0 0 29 2 *", zone, begin), begin + 6000 * DAY)
    there = ZoneInfo(zone)
    assert [(2024, 2, 29), (2028, 2, 29), (2032, 2, 29), (2036, 2, 29)] == [
        tuple(start.astimezone(there).timetuple()[:3]) for start, _ in leap[:4]
    ]
    assert_tiles(leap, definition("0 0 29 2 *", zone, begin), every=1)

    daily = scheduled(definition("@daily", zone, dt.datetime(2028, 2, 26, 12, tzinfo=UTC)), begin + 1522 * DAY)
    starts = {start.astimezone(there).strftime("%m-%d") for start, _ in daily}
    assert {"02-28", "02-29", "03-01"} <= starts


# --- timestamps without a zone --------------------------------------------------------------------------------------

# Days on which wall-clock times come twice, are skipped, or both within the time that is looked at.
CHANGING = {
    "Europe/Berlin": ["2026-03-29", "2026-10-25"],
    "America/New_York": ["2026-03-08", "2026-11-01"],
    "Australia/Lord_Howe": ["2026-04-05", "2026-10-04"],
    "Africa/Casablanca": ["2026-02-15", "2026-03-22"],
    "Pacific/Apia": ["2011-12-30"],
}


def read_as(wall: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """The documented rule: of two instants the earlier; of a skipped time the moment after the gap."""
    before, after = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if before.astimezone(zone).replace(tzinfo=None) == wall:
        return before
    low, high = min(before, after) - 2 * HOUR, max(before, after) + 2 * HOUR
    while high - low > dt.timedelta(microseconds=1):
        middle = low + (high - low) / 2
        low, high = (middle, high) if offset(zone, middle) == offset(zone, low) else (low, middle)
    return high


def walls(zone: str) -> list[dt.datetime]:
    """Wall-clock times every ten minutes, and beside each half hour, over the days around the zone's changes."""
    found = []
    for day in CHANGING[zone]:
        first = dt.datetime.fromisoformat(day) - DAY
        found += [first + n * 10 * MINUTE for n in range(3 * 144)]
        found += [first + n * 30 * MINUTE + step * dt.timedelta(microseconds=1) for n in range(144) for step in (-1, 1)]
    return sorted(set(found))


def stores(kind: str, folder: Path, url: str, times: list[dt.datetime]) -> Callable[[], Any]:
    """A source of rows (n, at), stored in one of the ways."""
    if kind in ("csv", "parquet"):
        if kind == "csv":
            with (folder / "rows.csv").open("w", newline="") as file:
                writer = csv.writer(file)
                writer.writerows([("n", "at"), *((n, at.isoformat(" ")) for n, at in enumerate(times))])
        else:
            rows = {"n": list(range(len(times))), "at": pa.array(times, pa.timestamp("us"))}
            pq.write_table(pa.table(rows), folder / "rows.parquet", row_group_size=50)
        intake = FileIntake.model_validate({"type": "file", "data_store_id": "files", "url": f"rows.{kind}"})
        return lambda: open_source(intake, filesystem=fsspec.filesystem("file"), root=str(folder))
    engine = sa.create_engine(url, poolclass=sa.NullPool)  # nothing stays open that the test would have to close
    declared = sa.Text() if kind == "text" else sa.DateTime()
    table = sa.Table("rows", sa.MetaData(), sa.Column("n", sa.Integer), sa.Column("at", declared))
    with engine.begin() as connection:
        table.create(connection)
        written = [{"n": n, "at": at.isoformat() if kind == "text" else at} for n, at in enumerate(times)]
        connection.execute(table.insert(), written)
    intake_sql = SqlIntake.model_validate({"type": "sql", "data_store_id": "db", "table": "rows"})
    return lambda: open_source(intake_sql, engine=engine)


def rows_in(source: Any, window: TimeFilter) -> list[int]:
    with source.read(["n"], window) as batches:
        return [n for batch in batches for n in batch.column(0).cast(pa.int64()).to_pylist()]


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("zone", CHANGING)
@pytest.mark.parametrize("kind", ["csv", "parquet", "table", "text"])
def test_each_wall_clock_time_is_in_one_window_of_files_and_sqlite(kind: str, zone: str, tmp_path: Path) -> None:
    times = walls(zone)
    open_ = stores(kind, tmp_path, f"sqlite:///{tmp_path / 'rows.sqlite'}", times)
    assert_each_row_is_in_its_window(open_, times, zone)


@pytest.mark.usefixtures("airflow_home")
@pytest.mark.parametrize("zone", CHANGING)
@pytest.mark.parametrize("session", ["UTC", "Asia/Kolkata", "America/New_York"])
def test_each_wall_clock_time_is_in_one_window_whatever_the_session_of_postgresql(
    session: str, zone: str, postgres_url: str, tmp_path: Path
) -> None:
    in_session = f"{postgres_url}&options=-c%20timezone%3D{session.replace('/', '%2F')}"
    engine = sa.create_engine(in_session)
    with engine.connect() as connection:
        assert session == connection.exec_driver_sql("SHOW timezone").scalar_one()
    engine.dispose()
    times = walls(zone)
    open_ = stores("table", tmp_path, in_session, times)
    assert_each_row_is_in_its_window(open_, times, zone)


def assert_each_row_is_in_its_window(open_: Callable[[], Any], times: list[dt.datetime], zone: str) -> None:
    """Windows of a schedule in the rows' own zone, and in another."""
    right = {n: read_as(at, ZoneInfo(zone)) for n, at in enumerate(times)}
    for day in CHANGING[zone]:
        begin = dt.datetime.fromisoformat(day).replace(tzinfo=UTC) - 2 * DAY
        for schedule, clock in (("30 */4 * * *", zone), ("@daily", "UTC")):
            windows = scheduled(definition(schedule, clock, begin), begin + 5 * DAY)
            seen: list[int] = []
            for start, end in windows:
                found = rows_in(open_(), TimeFilter("at", start, end, zone))
                assert sorted(n for n, at in right.items() if start <= at < end) == sorted(found)
                seen += found
            covered = [n for n, at in right.items() if windows[0][0] <= at < windows[-1][1]]
            assert len(covered) > 400
            assert sorted(covered) == sorted(seen)


@pytest.mark.parametrize("kind", ["csv", "parquet", "table", "text"])
def test_wall_clock_times_without_a_declared_zone_are_utc_whatever_the_machine_thinks(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    times = [dt.datetime(2026, 3, 8) + n * 10 * MINUTE for n in range(144)]  # noqa: DTZ001
    open_ = stores(kind, tmp_path, f"sqlite:///{tmp_path / 'rows.sqlite'}", times)
    made = definition("@hourly", "UTC", dt.datetime(2026, 3, 8, tzinfo=UTC))
    for hour in range(24):
        start = dt.datetime(2026, 3, 8, hour, tzinfo=UTC)
        window = TimeFilter("at", start, start + HOUR, made.timestamp_timezone)
        assert list(range(6 * hour, 6 * hour + 6)) == rows_in(open_(), window)


# --- the zone of the machine and of the session ---------------------------------------------------------------------


def test_neither_the_machines_zone_nor_the_sessions_shows_in_a_snapshot(postgres_url: str, tmp_path: Path) -> None:
    script, found = Path(__file__).with_name("zoned_job.py"), []
    processes = []
    for number, (machine, session) in enumerate(
        [
            ("UTC", "UTC"),
            ("Asia/Kolkata", "America/New_York"),
            ("America/New_York", "Asia/Kolkata"),
            ("Pacific/Apia", "Australia/Lord_Howe"),
            (":nowhere/at all", "Europe/Berlin"),
        ]
    ):
        environment = os.environ | {"TZ": machine, "PGTZ": session}
        folder = tmp_path / str(number)
        folder.mkdir()
        command = [sys.executable, str(script), postgres_url, str(folder), "fill" if number == 0 else "read"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        if number == 0:  # it also makes the rows
            found.append(json.loads(process.communicate(timeout=120)[0]))
        else:
            processes.append(process)
    found += [json.loads(process.communicate(timeout=120)[0]) for process in processes]

    assert found[0]["postgresql"]["rows"] > 100
    assert [found[0]] * len(found) == found
    for facts in found[0].values():
        assert found[0]["sqlite"]["at_profile"] == facts["at_profile"]


# --- clocks ---------------------------------------------------------------------------------------------------------

ALLOWED = {
    "store/reader.py": {"now"},  # the store's own clock, which is replaced below; only for what is recorded
    "store/migrations/versions/v0002_store_id.py": {"now"},  # when the store was made: a label
    "outputs/markers.py": {"current_timestamp"},  # when the marker changed: a label
    # "How does it do now?" is asked of a clock, and nothing of the answer is kept.
    "cli/deployments.py": {"now"},
    "cli/rollups.py": {"now"},
    "cli/rows.py": {"now"},  # which rows are older than so many days
    "dags/timetable.py": {"now"},  # the scheduler's question which run comes next, where nothing is caught up
    "hooks/monitoring_store.py": {"now"},
    "jobs/questions.py": {"now"},
}
CLOCKS = {"now", "utcnow", "today", "localtime", "fromtimestamp", "current_timestamp", "time_ns", "clock_gettime"}


def test_nothing_that_is_kept_but_labels_is_read_off_a_clock() -> None:
    root, found = Path(airflow_monitoring_provider.__file__).parent, {}
    for path in sorted(root.rglob("*.py")):
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of_time = isinstance(node.func.value, ast.Name) and node.func.value.id == "time"
                if node.func.attr in CLOCKS or (of_time and node.func.attr == "time"):
                    names.add(node.func.attr)
        if names:
            found[path.relative_to(root).as_posix()] = names

    assert ALLOWED == found


@pytest.fixture
def clocked(database_url: str, tmp_path: Path) -> Iterator[Callable[[str], MonitoringStore]]:
    """Open stores on one database, each by a clock that shows one instant and never moves."""
    engine = open_engine(database_url)
    schema.migrate(engine)
    engine.dispose()
    opened: list[MonitoringStore] = []

    def open_(instant: str) -> MonitoringStore:
        moment = dt.datetime.fromisoformat(instant)
        storage = Storage.local(tmp_path / "storage")
        opened.append(MonitoringStore(open_engine(database_url), storage=storage, clock=lambda: moment))
        return opened[-1]

    yield open_
    for store in opened:
        store.close()


def snapshot(rows: int) -> Snapshot:
    value = MetricValue("row_count", ResultKind.DATA_QUALITY, Direction.TWO_SIDED, float(rows))
    return Snapshot(b"profile", f"content-{rows}", "plan", 1, rows, {"monitored": rows}, [value], scored=rows)


def test_the_newer_attempt_wins_although_the_clock_went_back(clocked: Callable[[str], MonitoringStore]) -> None:
    ahead, behind = clocked("2031-05-05T00:00:00+00:00"), clocked("2011-01-01T00:00:00+05:30")
    begin = dt.datetime(2026, 1, 1, tzinfo=UTC)
    record = ahead.register_definition(definition("@daily", "UTC", begin))
    window = Window.of(begin, begin + DAY)
    first = ahead.claim(record, window, batch_name="b")
    ahead.commit(first, snapshot(1))
    frozen = ahead.claim(record, window, batch_name="b")

    second = behind.claim(behind.register_definition(definition("@daily", "UTC", begin)), window, batch_name="b")
    assert (frozen.token + 1, record.revision) == (second.token, second.revision)
    with pytest.raises(Superseded):
        ahead.progress(frozen, percent=50)
    assert not behind.progress(second, percent=50, message="read")
    assert 2 == behind.commit(second, snapshot(2))
    with pytest.raises(Superseded):
        ahead.commit(frozen, snapshot(3))

    job = ahead.job(first.job_id)
    assert (JobState.COMPLETED, 2, 2) == (job.state, job.snapshot_revision, job.snapshot and job.snapshot.rows)
    assert [2.0] == [value.value for value in ahead.load_values(first.job_id)]
    assert [(1, "completed"), (2, "superseded"), (3, "completed")] == [
        (attempt.token, attempt.state.value) for attempt in ahead.attempts(first.job_id)
    ]
    assert [line.token for line in job.log] == sorted(line.token for line in job.log)
    pending = behind.pending_evaluation(first.job_id)
    assert pending is not None
    assert (2, True) == (pending.snapshot_revision, pending.due)


def test_a_baseline_and_a_definition_change_although_the_clock_went_back(
    clocked: Callable[[str], MonitoringStore],
) -> None:
    ahead, behind = clocked("2031-05-05T00:00:00+00:00"), clocked("2011-01-01T00:00:00+00:00")
    begin = dt.datetime(2026, 1, 1, tzinfo=UTC)
    record = ahead.register_definition(definition("@daily", "UTC", begin))
    for version, store in enumerate((ahead, behind, ahead), 1):
        claim = store.claim_baseline(record.id, "key")
        made = store.commit_baseline(
            claim,
            profile_bytes=b"profile",
            content_hash=f"content-{version}",
            plan_hash="plan",
            plan={},
            format_version=1,
            rows=1,
        )
        assert version == made
        kept = behind.load_baseline(record.id, "key")
        assert kept is not None
        assert (version, f"content-{version}") == (kept.version, kept.content_hash)
    changed = definition("@hourly", "UTC", begin)
    assert 2 == behind.register_definition(changed).revision
    assert 2 == ahead.definition(record.id)[0].revision
