"""What goes wrong while rows go into tables: killed workers, late ones, locks, lost answers, missing rights."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlOutput
from airflow_monitoring_provider.exceptions import (
    ConfigurationError,
    OutcomeUnknown,
    OutputError,
    OutputUnavailable,
    Superseded,
)
from airflow_monitoring_provider.outputs.output import Attempt
from airflow_monitoring_provider.outputs.sql import SqlWriter

CHILD = Path(__file__).with_name("child.py")
Write = Callable[..., SqlWriter]
Rows = Callable[..., list[pa.RecordBatch]]
Attempts = Callable[..., Attempt]
Read = Callable[..., list[tuple[Any, ...]]]
Made = Callable[..., sa.Table]
Connect = Callable[..., sa.Engine]
Swept = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def swept(request: pytest.FixtureRequest, database_url: str) -> Swept:
    """Kill an attempt at its steps: at all of them with ``--sweep``, else at every second or third one."""
    every = 1 if request.config.getoption("--sweep") else 2 if database_url.startswith("sqlite") else 3

    def sweep(settings: dict[str, Any], **plan: Any) -> list[dict[str, Any]]:
        plan = {"table": None, "there": [], "before": None, "rows": [1, 2, 3, 4, 5], "every": every} | plan
        told = json.dumps({"url": database_url, "settings": settings} | plan)
        arguments = [sys.executable, str(CHILD), "sweep", told]
        ended = subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=False)
        assert (0, "") == (ended.returncode, ended.stderr)
        rounds = [json.loads(line) for line in ended.stdout.splitlines()]
        assert len(rounds) > 10 // every
        assert {0, 9} == {found["signal"] for found in rounds}
        return rounds

    return sweep


def _rows(ids: list[int], status: str | None) -> list[list[Any]]:
    return sorted(([n, status] for n in ids), key=repr)


@pytest.mark.parametrize(
    "settings",
    [
        {"statement_type": "insert", "create_table_if_not_exists": True},
        {"statement_type": "create_table"},
    ],
)
@pytest.mark.parametrize("before", [None, [1, 2, 9]])
def test_a_worker_killed_at_any_step_of_an_insert_leaves_all_rows_or_none_and_a_retry_is_exact(
    settings: dict[str, Any], before: list[int] | None, swept: Swept
) -> None:
    old = _rows(before or [], "first")
    new = _rows([1, 2, 3, 4, 5], "second")
    for found in swept(settings, before=before):
        assert (found["after_kill"]["rows"] or []) in (old, new)
        assert new == found["after_retry"]["rows"]
        assert [[3, "complete", 5]] == found["after_retry"]["marker"]


def test_a_worker_killed_at_any_step_into_a_table_without_job_ids_loses_and_repeats_nothing(swept: Swept) -> None:
    theirs = _rows([100], None)
    old = sorted(theirs + _rows([1, 2, 9], "first"), key=repr)
    new = sorted(theirs + _rows([1, 2, 3, 4, 5], "second"), key=repr)
    for found in swept({"statement_type": "insert"}, table="plain", there=[100], before=[1, 2, 9]):
        assert found["after_kill"]["rows"] in (old, new)
        assert new == found["after_retry"]["rows"]


@pytest.mark.parametrize("table", ["plain", "unique"])
def test_a_worker_killed_at_any_step_of_an_upsert_leaves_all_rows_or_none(table: str, swept: Swept) -> None:
    settings = {"statement_type": "insert_update", "where_columns": ["id"]}
    old = _rows([1, 2, 100], None)
    new = sorted(_rows([100], None) + _rows([1, 2, 3, 4, 5], "second"), key=repr)
    for found in swept(settings, table=table, there=[1, 2, 100]):
        assert found["after_kill"]["rows"] in (old, new)
        assert new == found["after_retry"]["rows"]


def test_a_worker_killed_at_any_step_of_an_update_leaves_all_rows_changed_or_none(swept: Swept) -> None:
    settings = {"statement_type": "update", "where_columns": ["id"]}
    old = _rows([1, 2, 100], None)
    new = sorted(_rows([100], None) + _rows([1, 2], "second"), key=repr)
    for found in swept(settings, table="plain", there=[1, 2, 100]):
        assert found["after_kill"]["rows"] in (old, new)
        assert new == found["after_retry"]["rows"]


@pytest.mark.parametrize("table", [None, "plain"])
def test_with_commit_interval_a_killed_worker_leaves_a_prefix_that_says_so_and_a_retry_is_exact(
    table: str | None, swept: Swept
) -> None:
    settings = {"statement_type": "insert", "create_table_if_not_exists": True, "commit_interval": 1}
    old = _rows([1, 2, 9], "first")
    prefixes = [_rows([1, 2, 3, 4, 5][:count], "second") for count in (0, 2, 4, 5)]
    met = []
    for found in swept(settings, table=table, before=[1, 2, 9]):
        rows, marker = found["after_kill"]["rows"], found["after_kill"]["marker"]
        assert rows == old or rows in prefixes
        if rows != old:
            met.append(len(rows))
            complete = [[2, "complete", 5]] if len(rows) == 5 else []
            assert marker in ([[2, "writing", None]], complete)
        assert prefixes[-1] == found["after_retry"]["rows"]
        assert [[3, "complete", 5]] == found["after_retry"]["marker"]
    assert {2, 4, 5} <= set(met)


def test_an_attempt_that_is_overtaken_between_two_commits_stops_and_leaves_the_newer_rows(
    engine: sa.Engine, database_url: str, connect: Connect, writer_on: Write, rows: Rows, attempt: Attempts
) -> None:
    clock = iter(range(1000))
    settings: dict[str, Any] = {"type": "jdbc", "data_store_id": "warehouse", "table": "results"}
    settings |= {"statement_type": "insert", "create_table_if_not_exists": True, "commit_interval": 1}
    slow = SqlWriter(engine, SqlOutput(**settings), clock=lambda: float(next(clock)))
    other = connect(database_url)
    writer_on(other, create_table_if_not_exists=True).write(rows([1]), attempt(day=2))
    asked, overtaken = [], []

    @sa.event.listens_for(engine, "commit")
    def _count(_connection: sa.Connection) -> None:
        asked.append("commit")

    @sa.event.listens_for(engine, "checkin")  # a transaction is over, and the next one has not begun
    def _overtake(_connection: object, _record: object) -> None:
        if asked and not overtaken:
            overtaken.append(True)
            writer_on(other).write(rows([7], status="newer"), attempt(token=2))

    with pytest.raises(Superseded, match="newer attempt"):
        slow.write(rows([1, 2, 3, 4]), attempt(token=1))

    assert ["commit"] == asked
    with other.connect() as connection:
        table = sa.table("results", sa.column("id"), sa.column("monitored_status"), sa.column("monitoring_job_id"))
        mine = table.c.monitoring_job_id == attempt().job_id
        found = [tuple(row) for row in connection.execute(sa.select(table.c.id, table.c.monitored_status).where(mine))]
    assert [(7, "newer")] == found


def test_readers_see_the_rows_of_the_earlier_attempt_until_the_last_moment(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, database_url: str
) -> None:
    writer = sql_writer(create_table_if_not_exists=True)
    writer.write(rows([1, 2]), attempt())
    seen = []

    def slowly() -> Iterator[pa.RecordBatch]:
        for batch in rows([3, 4, 5, 6]):
            yield batch
            seen.append(read("id"))

    writer.write(slowly(), attempt(token=2))

    assert [[(1,), (2,)]] * 2 == seen
    assert [(3,), (4,), (5,), (6,)] == read("id")


def test_of_two_attempts_at_once_the_newer_one_stays_whoever_comes_first(
    connect: Connect, postgres_url: str, rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    engine = connect(postgres_url)
    table = sa.table("results", sa.column("id"), sa.column("monitored_status"))
    for first, second in ((1, 2), (4, 3)):
        inside, go_on, ended = threading.Event(), threading.Event(), {}

        def held(inside: threading.Event = inside, go_on: threading.Event = go_on, token: int = first) -> Any:
            yield from rows([1], status=f"attempt {token}")
            inside.set()
            assert go_on.wait(20)

        def write(batches: Any, token: int, ended: dict[int, Any] = ended) -> None:
            try:
                ended[token] = writer_on(engine, create_table_if_not_exists=True).write(batches, attempt(token))
            except Superseded as error:
                ended[token] = error

        threads = [threading.Thread(target=write, args=(held(), first))]
        threads[0].start()
        assert inside.wait(20)
        threads.append(threading.Thread(target=write, args=(rows([1], status=f"attempt {second}"), second)))
        threads[1].start()
        time.sleep(0.3)
        assert threads[1].is_alive()  # it waits for the first one's marker
        go_on.set()
        for thread in threads:
            thread.join(20)

        newest = max(first, second)
        assert isinstance(ended[second], Superseded) == (second < first)
        with engine.connect() as connection:
            assert [(1, f"attempt {newest}")] == [tuple(row) for row in connection.execute(sa.select(*table.c))]


def test_of_many_attempts_at_once_on_an_empty_database_the_newest_one_stays(
    connect: Connect, postgres_url: str, rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    engine = connect(postgres_url, pool_size=8)
    ended: list[Any] = []

    def write(token: int) -> None:
        try:
            writer = writer_on(engine, create_table_if_not_exists=True)
            ended.append(writer.write(rows(range(20), status=str(token)), attempt(token)))
        except Superseded as error:
            ended.append(error)
        except Exception as error:
            ended.append(repr(error))

    threads = [threading.Thread(target=write, args=(token,)) for token in (5, 3, 8, 1, 7, 2, 6, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [] == [end for end in ended if isinstance(end, str)]
    table = sa.table("results", sa.column("id"), sa.column("monitored_status"))
    with engine.connect() as connection:
        found = sorted(tuple(row) for row in connection.execute(sa.select(*table.c)))
    assert [(n, "8") for n in range(20)] == found


def test_a_frozen_attempt_makes_the_next_one_wait_for_a_while_and_then_say_so(
    connect: Connect, postgres_url: str, rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    engine = connect(postgres_url)
    writer_on(engine, create_table_if_not_exists=True).write(rows([1]), attempt())
    markers = sa.table("monitoring_output_markers", sa.column("token"))
    with engine.connect() as frozen:
        frozen.execute(sa.update(markers).values(token=1))

        with pytest.raises(OutputUnavailable, match="another transaction holds the rows"):
            writer_on(engine, wait=0.3).write(rows([2]), attempt(token=2))


def test_a_file_that_another_process_has_locked_is_told_after_a_while(
    connect: Connect, tmp_path: Path, rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    url = f"sqlite:///{tmp_path / 'locked.sqlite'}"
    engine = connect(url, connect_args={"timeout": 0.05})
    writer_on(engine, create_table_if_not_exists=True).write(rows([1]), attempt())
    with _child("lock", url=url) as child:
        assert child.stdout is not None
        assert '"locked"' == child.stdout.readline().strip()
        begun = time.monotonic()
        with pytest.raises(OutputUnavailable, match="the SQLite file is locked"):
            writer_on(engine, wait=0.5).write(rows([2]), attempt(token=2))
        assert 0.4 < time.monotonic() - begun < 5

    writer_on(engine).write(rows([2]), attempt(token=2))


def test_a_full_disk_is_told_and_leaves_the_old_rows(
    connect: Connect, tmp_path: Path, rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    engine = connect(f"sqlite:///{tmp_path / 'full.sqlite'}")
    writer = writer_on(engine, create_table_if_not_exists=True)
    writer.write(rows([1]), attempt())

    @sa.event.listens_for(engine, "checkout")
    def _cap(connection: Any, _record: object, _proxy: object) -> None:
        connection.execute("PRAGMA max_page_count = 30")

    with pytest.raises(OutputUnavailable, match="the disk is full"):
        writer.write(rows(range(20_000), size=5000), attempt(token=2))

    with engine.connect() as connection:
        assert [(1,)] == [
            tuple(row) for row in connection.execute(sa.select(sa.table("results", sa.column("id")).c.id))
        ]


def test_a_lost_connection_is_told_and_leaves_the_old_rows(
    connect: Connect, postgres_url: str, rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    engine = connect(postgres_url)
    writer = writer_on(engine, create_table_if_not_exists=True)
    writer.write(rows([1]), attempt())
    killer = connect(postgres_url)

    def cut() -> Iterator[pa.RecordBatch]:
        yield from rows([2])
        activity = sa.table("pg_stat_activity", sa.column("pid"), sa.column("datname"))
        others = sa.and_(activity.c.datname == sa.func.current_database(), activity.c.pid != sa.func.pg_backend_pid())
        with killer.connect() as connection:
            connection.execute(sa.select(sa.func.pg_terminate_backend(activity.c.pid)).where(others))
        yield from rows([3])

    with pytest.raises(OutputUnavailable, match=r"shutting down|broke off"):
        writer.write(cut(), attempt(token=2))

    table = sa.table("results", sa.column("id"))
    with killer.connect() as connection:
        assert [(1,)] == [tuple(row) for row in connection.execute(sa.select(table.c.id))]
    writer.write(rows([2, 3]), attempt(token=3))


@pytest.mark.parametrize(
    ("forward", "reconnect", "expected"),
    [(True, True, "written"), (True, False, "unknown"), (False, True, "unknown")],
)
def test_a_lost_answer_to_commit_is_looked_up_and_never_written_twice(
    connect: Connect,
    forward: bool,
    reconnect: bool,
    expected: str,
    postgres_url: str,
    rows: Rows,
    attempt: Attempts,
    writer_on: Write,
) -> None:
    direct = connect(postgres_url)
    writer_on(direct, create_table_if_not_exists=True).write(rows([1]), attempt())
    with _Cutter(postgres_url, forward=forward, reconnect=reconnect) as cutter:
        engine = connect(cutter.url)
        writer = writer_on(engine)
        cutter.armed.set()
        if expected == "written":
            assert 2 == writer.write(rows([2, 3]), attempt(token=2)).rows
        else:
            with pytest.raises(OutcomeUnknown, match="outcome is unknown"):
                writer.write(rows([2, 3]), attempt(token=2))
        assert not cutter.armed.is_set()
    table = sa.table("results", sa.column("id"))
    with direct.connect() as connection:
        found = sorted(tuple(row) for row in connection.execute(sa.select(table.c.id)))
    assert ([(2,), (3,)] if forward else [(1,)]) == found

    writer_on(direct).write(rows([2, 3]), attempt(token=3))
    with direct.connect() as connection:
        assert [(2,), (3,)] == sorted(tuple(row) for row in connection.execute(sa.select(table.c.id)))


@pytest.fixture
def role(connect: Connect, postgres_url: str) -> Iterator[tuple[sa.Engine, sa.Engine]]:
    """The owner of a database, and a login that may write rows there but make nothing."""
    owner = connect(postgres_url)
    name = f"writer_{sa.make_url(postgres_url).database}"
    with owner.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
        connection.exec_driver_sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        connection.exec_driver_sql(f"ALTER DEFAULT PRIVILEGES GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {name}")
    yield owner, connect(sa.make_url(postgres_url).set(username=name))
    with owner.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name}")
        connection.exec_driver_sql(f"DROP ROLE {name}")


@pytest.fixture
def keyed(role: tuple[sa.Engine, sa.Engine]) -> Callable[[], list[tuple[Any, ...]]]:
    """A table ``keyed`` with a primary key, and the rows in it."""
    table = sa.table("keyed", sa.column("id"), sa.column("monitored_status"))
    with role[0].begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE keyed (id bigint PRIMARY KEY, carrier text, monitored_status text, note text)"
        )

    def rows_of() -> list[tuple[Any, ...]]:
        with role[0].connect() as connection:
            return sorted(tuple(row) for row in connection.execute(sa.select(*table.c)))

    return rows_of


def test_a_login_without_create_may_only_upsert_on_unique_columns(
    role: tuple[sa.Engine, sa.Engine], keyed: Callable[[], Any], rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    owner, engine = role
    with owner.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE loose (id bigint, carrier text, monitored_status text)")
        connection.exec_driver_sql("CREATE UNIQUE INDEX some_only ON loose (id) WHERE carrier IS NOT NULL")
    upsert: dict[str, Any] = {"where_columns": ("id",)}
    for statement, more in (("insert", {}), ("create_table", {}), ("update", upsert)):
        with pytest.raises(ConfigurationError, match="may not create the tables that keep attempts apart"):
            writer_on(engine, statement, table="keyed", **more).write(rows([1]), attempt())
    with pytest.raises(ConfigurationError, match="no unique constraint on exactly 'id'"):
        writer_on(engine, "insert_update", table="loose", **upsert).write(rows([1]), attempt())
    with owner.begin() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX all_of_them ON loose (id)")
    writer = writer_on(engine, "insert_update", table="loose", **upsert)
    for token in (1, 2):
        assert 3 == writer.write(rows([1, 2, 3]), attempt(token)).rows
    with owner.connect() as connection:
        assert 3 == connection.exec_driver_sql("SELECT count(*) FROM loose").scalar()


@pytest.mark.parametrize(
    ("ids", "says"),
    [([1, 2, 3, 2], "several rows have the same 'id'"), ([1, None], "a row has no 'id'")],
)
def test_without_markers_rows_that_no_retry_could_replace_are_refused_before_anything_is_written(
    role: tuple[sa.Engine, sa.Engine],
    keyed: Callable[[], Any],
    rows: Rows,
    attempt: Attempts,
    writer_on: Write,
    ids: list[Any],
    says: str,
) -> None:
    writer = writer_on(role[1], "insert_update", table="keyed", where_columns=("id",), commit_interval=1)
    writer.write(rows([1]), attempt())

    with pytest.raises(OutputError, match=says):
        writer.write(rows(ids, status="second"), attempt(2))

    assert [(1, "monitored")] == keyed()


def test_without_markers_a_stale_attempt_is_refused_by_the_store_just_before_its_commit(
    role: tuple[sa.Engine, sa.Engine], keyed: Callable[[], Any], rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    writer = writer_on(role[1], "insert_update", table="keyed", where_columns=("id",))
    newest = []

    def confirm() -> None:
        if newest != [1]:
            raise Superseded("a newer attempt owns this window")

    def overtaken() -> Iterator[pa.RecordBatch]:
        yield from rows([1, 9], status="stale")
        writer.write(rows([1, 2], status="newer"), attempt(2))
        newest.append(2)

    with pytest.raises(Superseded):
        writer.write(overtaken(), attempt(1, confirm=confirm))
    assert [(1, "newer"), (2, "newer")] == keyed()

    newest[:] = [1]
    writer.write(rows([3]), attempt(3, confirm=confirm))
    assert (3, "monitored") in keyed()


def test_without_markers_an_attempt_frozen_before_its_commit_keeps_the_next_one_waiting(
    role: tuple[sa.Engine, sa.Engine], keyed: Callable[[], Any], rows: Rows, attempt: Attempts, writer_on: Write
) -> None:
    writer = writer_on(role[1], "insert_update", table="keyed", where_columns=("id",))

    def meanwhile() -> None:
        with pytest.raises(OutputUnavailable, match="another transaction holds the rows"):
            writer_on(role[1], "insert_update", table="keyed", where_columns=("id",), wait=0.2).write(
                rows([1, 2], status="newer"), attempt(2)
            )

    writer.write(rows([1], status="frozen"), attempt(1, confirm=meanwhile))
    writer.write(rows([1, 2], status="newer"), attempt(2))
    assert [(1, "newer"), (2, "newer")] == keyed()


def test_what_others_note_on_a_row_that_was_there_before_outlives_every_retry_of_an_upsert(
    engine: sa.Engine, table: Made, sql_writer: Write, rows: Rows, attempt: Attempts, read: Read
) -> None:
    made = table(
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text) for name in ("carrier", "monitored_status", "monitoring_job_id", "note")),
    )
    with engine.begin() as connection:
        connection.execute(sa.insert(made), [{"id": 1, "note": "theirs"}])
    writer = sql_writer("insert_update", where_columns=("id",))
    writer.write(rows([1, 2, 3]), attempt(1))
    with engine.begin() as connection:
        connection.execute(sa.update(made).where(made.c.id == 2).values(note="on a row of the job's"))

    writer.write(rows([1, 2]), attempt(2))

    assert [(1, "theirs"), (2, None)] == read("id", "note")


@pytest.mark.parametrize("where", ["between two batches", "inside a statement"])
def test_a_killed_worker_lets_go_of_its_marker_even_inside_a_long_statement(
    connect: Connect, postgres_url: str, rows: Rows, attempt: Attempts, writer_on: Write, where: str
) -> None:
    engine = connect(postgres_url)
    writer_on(engine, create_table_if_not_exists=True).write(rows([1]), attempt())
    inside = where == "inside a statement"
    name, event = ("slow", "PgSleep") if inside else ("quick", "ClientRead")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF current_setting('application_name') = 'slow' THEN PERFORM pg_sleep(600); END IF; RETURN NULL; END $$"
        )
        connection.exec_driver_sql("CREATE TRIGGER slow BEFORE INSERT ON results EXECUTE FUNCTION slow()")
    with _child("stall", url=postgres_url, name=name, token=2) as child:
        activity = sa.table("pg_stat_activity", *map(sa.column, ("application_name", "state", "wait_event", "query")))
        busy = sa.select(activity.c.query).where(
            activity.c.application_name == name, activity.c.wait_event == event, activity.c.query.like("COPY%")
        )
        with engine.connect() as connection:
            while connection.execute(busy).first() is None:
                assert child.poll() is None
                connection.rollback()
                time.sleep(0.05)
        child.kill()
        child.wait(20)

        writer_on(engine, wait=60).write(rows([7]), attempt(3))  # else the statement would last for ten minutes

    table = sa.table("results", sa.column("id"))
    with engine.connect() as connection:
        assert [(7,)] == [tuple(row) for row in connection.execute(sa.select(table.c.id))]


def test_no_message_holds_a_value_an_address_or_a_password(
    connect: Connect, postgres_url: str, attempt: Attempts, writer_on: Write
) -> None:
    engine = connect(postgres_url)
    schema = pa.schema([("id", pa.int64()), ("carrier", pa.string()), ("monitored_status", pa.string())])
    secret = [pa.RecordBatch.from_pylist([{"id": 2**40, "carrier": "canary: x"}], schema=schema)]
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE small (id int, carrier text, monitored_status text, monitoring_job_id text)"
        )
        connection.exec_driver_sql(
            "CREATE TABLE dates (id bigint, carrier date, monitored_status text, monitoring_job_id text)"
        )
    for table, column in (("small", "id"), ("dates", "carrier")):
        with pytest.raises(Exception, match=f"column '{column}'") as caught:
            writer_on(engine, table=table).write(secret, attempt())
        assert not re.search(rf"canary|{2**40}|/tmp|postgresql", str(caught.value))
        assert caught.value.__cause__ is None


@contextlib.contextmanager
def _child(command: str, **plan: Any) -> Iterator[subprocess.Popen[str]]:
    arguments = [sys.executable, str(CHILD), command, json.dumps(plan)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(20)


class _Cutter:
    """A socket before PostgreSQL's that cuts a connection at its COMMIT.

    :param forward: whether the server gets the COMMIT; its answer is lost in any case.
    :param reconnect: whether connections are taken afterwards.
    """

    def __init__(self, url: str, *, forward: bool, reconnect: bool) -> None:
        target = sa.make_url(url)
        self._folder = tempfile.mkdtemp(prefix="cut")
        self.url = target.set(query={**target.query, "host": self._folder})
        self._server = f"{target.query['host']}/.s.PGSQL.{target.port or 5432}"
        self._forward, self._reconnect = forward, reconnect
        self._open = True
        self.armed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder}/.s.PGSQL.{target.port or 5432}")
        self._listener.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def __enter__(self) -> _Cutter:
        return self

    def __exit__(self, *_error: object) -> None:
        self._open = False
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
        shutil.rmtree(self._folder)

    def _accept(self) -> None:
        while self._open:
            try:
                client, _address = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server:
            if not self._open:
                return
            server.connect(self._server)
            lost = threading.Event()
            back = threading.Thread(target=_pump, args=(server, client, lost))
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(65536):
                    if self.armed.is_set() and b"COMMIT\0" in data:
                        self._cut(server, data, lost)
                        break
                    server.sendall(data)
            for end in (server, client):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            back.join(10)

    def _cut(self, server: socket.socket, data: bytes, lost: threading.Event) -> None:
        """Everything is settled before the client learns of it."""
        self.armed.clear()
        if not self._reconnect:
            self._open = False
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        lost.set()
        if self._forward:
            server.sendall(data)
            time.sleep(0.3)


def _pump(source: socket.socket, target: socket.socket, lost: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            if not lost.is_set():
                target.sendall(data)
