"""Migrations that are killed, frozen or doubled, and stores that this version must not write (F25)."""

from __future__ import annotations

import datetime as dt
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from os import kill
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from airflow_monitoring_provider.definitions.load import load_definition
from airflow_monitoring_provider.exceptions import CorruptData, MonitoringError, StoreSchemaError
from airflow_monitoring_provider.store import migrations, schema, tables
from airflow_monitoring_provider.store.engine import open_engine, reading, writing
from airflow_monitoring_provider.store.schema import SchemaState
from airflow_monitoring_provider.store.storage import Storage
from airflow_monitoring_provider.store.store import MonitoringStore

EMPTY = "an empty database"
STARTS = (EMPTY, *migrations.REVISIONS[:-1])
ENDS = (STARTS[0], STARTS[1], STARTS[-1])
PATIENCE = 60.0
VERSION = sa.table(migrations.VERSION_TABLE, sa.column("version_num", sa.String))
SOMETHING = {  # a value of each type, for columns of whatever version
    bool: False,
    int: 0,
    str: "x",
    dict: {},
    object: {},  # JSON, as it is reflected
    dt.datetime: dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
}
DEFINITION = {
    "name": "Flights",
    "deploymentId": "dep-1",
    "intakeSettings": {"type": "jdbc", "dataStoreId": "flights_db", "table": "flights"},
    "monitoringColumns": {"predictionsColumns": "prediction", "associationIdColumn": "id"},
    "enabled": False,
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Of each version with ``--sweep``, else of none, the first and the last: there is one more with each migration."""
    if "start" in metafunc.fixturenames:
        metafunc.parametrize("start", STARTS if metafunc.config.getoption("--sweep") else ENDS)


class Migrator:
    """Starts processes of ``migrator.py``."""

    def __init__(self) -> None:
        script = str(Path(__file__).with_name("migrator.py"))
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, url: str, at: int = 0, do: str = "KILL", **more: Any) -> int:
        """A process that migrates; its id."""
        pid = self._ask({"url": url, "at": at, "do": do, **more})
        assert isinstance(pid, int)
        return pid

    def wait(self, pid: int) -> int:
        """How it ended: 0 or minus a signal's number."""
        deadline = time.monotonic() + PATIENCE
        while (ended := self._ask({"reap": pid})) is None:
            assert time.monotonic() < deadline, f"process {pid} did not end"
            time.sleep(0.002)
        return ended

    def lives(self, pid: int) -> bool:
        """Whether it has not ended."""
        return self._ask({"reap": pid}) is None

    def _ask(self, question: dict[str, Any]) -> int | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def close(self) -> None:
        """Let the parent of all go."""
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()
        self._process.wait(PATIENCE)


@pytest.fixture(scope="module")
def migrator() -> Iterator[Migrator]:
    made = Migrator()
    yield made
    made.close()


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    made = open_engine(database_url)
    yield made
    made.dispose()


@pytest.fixture
def begin(engine: sa.Engine) -> Callable[[str], None]:
    """Bring the database to a version, with a row in it that must survive."""

    def begin_(start: str) -> None:
        if start == EMPTY:
            return
        with writing(engine) as connection:
            schema._upgrade(connection, start)
            table = sa.Table("monitoring_deployments", sa.MetaData(), autoload_with=connection)
            needed = [column for column in table.columns if not column.nullable and column.name != "id"]
            values = {column.name: SOMETHING[column.type.python_type] for column in needed}
            connection.execute(table.insert().values(id="dep-1", **values))

    return begin_


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Callable[..., MonitoringStore]]:
    """Open stores as this version of the code."""
    stores: list[MonitoringStore] = []

    def open_(url: str, **options: Any) -> MonitoringStore:
        stores.append(MonitoringStore(open_engine(url), storage=Storage.local(tmp_path / "storage"), **options))
        return stores[-1]

    yield open_
    for store in stores:
        store.close()


def picture(engine: sa.Engine) -> dict[str, Any]:
    """Every table of the database: its columns, indexes and rows."""
    with reading(engine) as connection:
        inspector = sa.inspect(connection)
        found: dict[str, Any] = {}
        for name in sorted(inspector.get_table_names()):
            columns = [(column["name"], str(column["type"])) for column in inspector.get_columns(name)]
            indexes = sorted(str(index["name"]) for index in inspector.get_indexes(name))
            plain = sa.table(name, *(sa.column(column) for column, _ in columns))
            rows = sorted(map(str, connection.execute(sa.select(plain)).all()))
            found[name] = (columns, indexes, rows)
        return found


def wipe(engine: sa.Engine) -> None:
    """Drop everything."""
    with writing(engine) as connection:
        tables.metadata.drop_all(connection)
        connection.exec_driver_sql(f"DROP TABLE {migrations.VERSION_TABLE}")
    assert {} == picture(engine)


def assert_whole(engine: sa.Engine, start: str) -> None:
    """The current schema, exactly, and the rows that were there."""
    assert SchemaState.CURRENT is schema.schema_state(engine)
    with reading(engine) as connection:
        context = MigrationContext.configure(connection, opts={"version_table": migrations.VERSION_TABLE})
        assert [] == compare_metadata(context, tables.metadata)
        rows = connection.execute(sa.select(tables.deployments.c.id)).scalars().all()
        assert ([] if start == EMPTY else ["dep-1"]) == rows
        assert 1 == connection.execute(sa.select(sa.func.count()).select_from(tables.stores)).scalar_one()


# --- killed and frozen --------------------------------------------------------------------------------------------


def test_a_migration_killed_at_any_step_changed_nothing_or_everything(
    engine: sa.Engine,
    database_url: str,
    begin: Callable[[str], None],
    migrator: Migrator,
    start: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    begin(start)
    migrator.wait(migrator.start(database_url, told=str(tmp_path / "told")))
    outcome, steps = json.loads((tmp_path / "told").read_text())
    assert "done" == outcome
    wipe(engine)
    begin(start)
    before = picture(engine)

    # The last two are the COMMIT and the return of the connection; catalogue queries make steps many on PostgreSQL.
    few = range(max(1, steps - (10 if start == EMPTY else 2)), steps)
    every = request.config.getoption("--sweep") or steps < 30
    for at in range(1, steps) if every else (*range(1, few.start, 11), *few):
        assert -signal.SIGKILL == migrator.wait(migrator.start(database_url, at))
        assert before == picture(engine), f"killed at step {at} of {steps}"
    assert -signal.SIGKILL == migrator.wait(migrator.start(database_url, steps))
    assert_whole(engine, start)


def test_a_migration_killed_at_any_moment_changed_nothing_or_everything(
    engine: sa.Engine, database_url: str, migrator: Migrator, request: pytest.FixtureRequest
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for _ in range(80 if request.config.getoption("--sweep") else 6):
        pid = migrator.start(database_url)
        time.sleep(chance.uniform(0, 0.4))
        if migrator.lives(pid):
            kill(pid, signal.SIGKILL)
            migrator.wait(pid)
        if schema.schema_state(engine) is SchemaState.CURRENT:
            assert_whole(engine, EMPTY)
            wipe(engine)
        assert {} == picture(engine)
    migrator.wait(migrator.start(database_url))
    assert_whole(engine, EMPTY)


def test_who_waits_for_a_migration_that_is_killed_does_its_work(
    engine: sa.Engine,
    database_url: str,
    begin: Callable[[str], None],
    migrator: Migrator,
    start: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    begin(start)
    at, steps = 9, 10  # how many there are is known after the first turn
    while at < steps:
        first = migrator.start(database_url, at, "STOP")
        _wait_until_stopped(first)
        told = tmp_path / f"told-{at}"
        second = migrator.start(database_url, told=str(told))
        time.sleep(0.3)
        assert migrator.lives(second), "two migrations must not run side by side"
        kill(first, signal.SIGKILL)
        assert -signal.SIGKILL == migrator.wait(first)
        assert 0 == migrator.wait(second)
        outcome, count = json.loads(told.read_text())
        assert "done" == outcome
        assert_whole(engine, start)
        wipe(engine)
        begin(start)
        at, steps = at + 19, count if request.config.getoption("--sweep") else 0


def test_who_waits_for_a_migration_that_ends_has_nothing_to_do(
    engine: sa.Engine, database_url: str, migrator: Migrator, tmp_path: Path
) -> None:
    first = migrator.start(database_url, 9, "STOP", told=str(tmp_path / "first"))
    _wait_until_stopped(first)
    second = migrator.start(database_url, told=str(tmp_path / "second"))
    time.sleep(0.3)
    kill(first, signal.SIGCONT)

    assert [0, 0] == [migrator.wait(first), migrator.wait(second)]
    assert ["done", "nothing to do"] == [json.loads((tmp_path / name).read_text())[0] for name in ("first", "second")]
    assert_whole(engine, EMPTY)


def test_a_frozen_migration_holds_postgresql_up_no_longer_than_its_idle_limit(
    postgres_url: str, migrator: Migrator, tmp_path: Path
) -> None:
    first = migrator.start(postgres_url, 9, "STOP", told=str(tmp_path / "first"), idle_timeout=0.5)
    _wait_until_stopped(first)
    second = migrator.start(postgres_url, told=str(tmp_path / "second"))
    assert 0 == migrator.wait(second)
    kill(first, signal.SIGCONT)
    migrator.wait(first)

    assert "done" == json.loads((tmp_path / "second").read_text())[0]
    assert json.loads((tmp_path / "first").read_text())[0].startswith("StoreUnavailable: ")
    engine = open_engine(postgres_url)
    assert_whole(engine, EMPTY)
    engine.dispose()


def test_a_frozen_migration_of_a_sqlite_file_is_told_to_others(migrator: Migrator, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'store.sqlite'}"
    first = migrator.start(url, 9, "STOP")
    _wait_until_stopped(first)
    assert 0 == migrator.wait(migrator.start(url, told=str(tmp_path / "second"), wait=0.2))
    kill(first, signal.SIGCONT)
    migrator.wait(first)

    assert "locked by another process; try again" in (tmp_path / "second").read_text()
    engine = open_engine(url)
    assert_whole(engine, EMPTY)
    engine.dispose()


# --- stores of another version, and damaged ones ----------------------------------------------------------------


def test_a_process_that_runs_on_stops_writing_once_a_newer_version_has_migrated(
    engine: sa.Engine, database_url: str, opened: Callable[..., MonitoringStore]
) -> None:
    schema.migrate(engine)
    store = opened(database_url)
    store.register_definition(load_definition(DEFINITION))
    before = picture(engine)
    newer = f"{int(migrations.REVISIONS[-1]) + 1:04d}"
    with writing(engine) as connection:
        connection.execute(sa.update(VERSION).values(version_num=newer))

    with pytest.raises(StoreSchemaError, match="newer than this version; upgrade airflow-monitoring-provider"):
        store.register_definition(load_definition(DEFINITION | {"chunkSize": 77}))

    with writing(engine) as connection:
        connection.execute(sa.update(VERSION).values(version_num=migrations.REVISIONS[-1]))
    assert before == picture(engine)
    assert 2 == store.register_definition(load_definition(DEFINITION | {"chunkSize": 77})).revision


@pytest.mark.parametrize("versions", [(), ("0001", "0002"), ("",), ("ab12cd34ef56",), ("1",), ("00001",)])
def test_a_version_table_that_no_migration_leaves_is_not_written_over(
    engine: sa.Engine, database_url: str, opened: Callable[..., MonitoringStore], versions: tuple[str, ...]
) -> None:
    schema.migrate(engine)
    with writing(engine) as connection:
        connection.execute(sa.delete(VERSION))
        for version in versions:
            connection.execute(sa.insert(VERSION).values(version_num=version))
    before = picture(engine)

    for attempt in (
        lambda: opened(database_url, embedded=True).register_definition(load_definition(DEFINITION)),
        lambda: opened(database_url).jobs(),
        lambda: schema.migrate(engine),
    ):
        with pytest.raises(StoreSchemaError, match="version cannot be told; give the store a database of its own"):
            attempt()
    assert before == picture(engine)


@pytest.mark.parametrize("lost", ["version table", "version column"])
def test_a_lost_version_is_told_and_nothing_is_written(
    engine: sa.Engine, database_url: str, opened: Callable[..., MonitoringStore], lost: str
) -> None:
    schema.migrate(engine)
    with writing(engine) as connection:
        connection.exec_driver_sql(f"DROP TABLE {migrations.VERSION_TABLE}")
        if lost == "version column":
            connection.exec_driver_sql(f"CREATE TABLE {migrations.VERSION_TABLE} (something text)")
    before = picture(engine)

    with pytest.raises(StoreSchemaError, match="run: airflow monitoring db migrate"):
        opened(database_url, embedded=True).register_definition(load_definition(DEFINITION))
    with pytest.raises(StoreSchemaError):
        schema.migrate(engine)
    assert before == picture(engine)


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "another file": lambda data: b"this is no database at all, but a text of some length\n" * 200,
    "the header's magic": lambda data: b"\xff" * 16 + data[16:],
    "the page size": lambda data: data[:16] + b"\x12\x34" + data[18:],
    "the first page": lambda data: data[:100] + b"\xff" * 3996 + data[4096:],
    "all pages but the first": lambda data: data[:4096] + b"\xa5" * (len(data) - 4096),
    "the end cut off": lambda data: data[: len(data) // 2],
    "cut to a part of a page": lambda data: data[:1000],
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_sqlite_file_is_told_and_not_made_anew(
    tmp_path: Path, opened: Callable[..., MonitoringStore], what: str
) -> None:
    path = tmp_path / "store.sqlite"
    with opened(f"sqlite:///{path}", embedded=True) as store:
        for number in range(20):
            store.register_definition(load_definition(DEFINITION | {"name": f"Flights {number}"}))
    for rest in tmp_path.glob("store.sqlite-*"):  # the write-ahead log, where closing left it
        rest.unlink()
    damaged = DAMAGE[what](path.read_bytes())
    path.write_bytes(damaged)

    with pytest.raises(MonitoringError) as raised:
        opened(f"sqlite:///{path}", embedded=True).register_definition(load_definition(DEFINITION))
    assert isinstance(raised.value, CorruptData | StoreSchemaError), repr(raised.value)
    assert any(word in str(raised.value) for word in ("damaged", "not a SQLite database", "run: airflow monitoring"))
    assert damaged == path.read_bytes()


def _wait_until_stopped(pid: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        assert time.monotonic() < deadline, f"process {pid} did not stop"
        time.sleep(0.002)
