"""The ways rows can take through a job: every intake, every kind of output, either store.

A frame is a list of rows (column -> Python value). Each intake stores what it can hold of it, byte for byte; what it
stored is what the oracle is asked about.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime as dt
import json
import shutil
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

import job_world
from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.store import tables
from airflow_monitoring_provider.store.types import Json
from airflow_monitoring_provider.ui.job_page import render_job
from job_world import World

Row = dict[str, Any]

SQLITE_TYPES = {
    "id": "TEXT",
    "at": "TIMESTAMP",
    "amount": "REAL",
    "kind": "TEXT",
    "score": "REAL",
    "churned": "TEXT",
    "note": "TEXT",
    "big": "BIGINT",
    "seen": "DATE",
    "nested": "TEXT",
}
POSTGRES_TYPES = SQLITE_TYPES | {"amount": "NUMERIC", "score": "FLOAT8", "big": "NUMERIC", "nested": "JSONB"}
ARROW_TYPES = {
    "id": pa.binary(),
    "at": pa.timestamp("us"),
    "amount": pa.float64(),
    "kind": pa.binary(),
    "score": pa.float64(),
    "churned": pa.string(),
    "note": pa.binary(),
    "big": pa.uint64(),
    "seen": pa.timestamp("us"),
}
NAMES = tuple(SQLITE_TYPES)
OUTPUTS = {
    "id": sa.Text(),
    "note": sa.Text(),
    "big": sa.Text(),
    "seen": sa.Text(),
    "nested": sa.Text(),
    "status": sa.Text(),
    "monitoring_job_id": sa.Text(),  # so that rows without an id can be written, too
}
START = dt.datetime(2026, 3, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def row(place: int = 0, **changes: Any) -> Row:
    """A row that nothing is wrong with, but for the changes."""
    plain = {
        "id": f"row {place}",
        "at": START + dt.timedelta(seconds=place),
        "amount": 1.5,
        "kind": "north",
        "score": 0.5,
        "churned": "yes",
        "note": "fine",
        "big": 7,
        "seen": dt.date(2026, 3, 1),
        "nested": [1, 2],
    }
    return plain | changes


@dataclasses.dataclass(frozen=True)
class Route:
    """One way: ``intake`` is a database or a file format, ``output`` one of these with a statement, ``store``."""

    intake: str
    output: str
    statement: str
    store: str

    @property
    def name(self) -> str:
        """For the test's id."""
        return "-".join(filter(None, (self.intake, "to", self.output, self.statement, "store", self.store)))


def _routes() -> Iterator[Route]:
    """Every intake with every kind of output; each statement on both databases, each of them with both stores."""
    statements = ("insert", "insert_update", "update", "create_table")
    for i, intake in enumerate(("sqlite", "postgres", "csv", "parquet", "jsonl")):
        for o, output in enumerate(("sqlite", "postgres", "csv", "parquet")):
            statement = statements[(i + o) % 4] if o < 2 else ""
            yield Route(intake, output, statement, "sqlite" if (i + o // 2) % 2 else "postgres")


ROUTES = tuple(_routes())


class Trip:
    """A route with its databases, files and store."""

    def __init__(self, route: Route, world: World) -> None:
        self.route = route
        self.world = world

    def fill(self, rows: Sequence[Row], day: int = 0) -> None:
        """Store the rows of a frame, replacing those of the frame before."""
        if self.route.intake in ("sqlite", "postgres"):
            self._fill_table(rows)
            return
        folder = self.world.files / "in"
        folder.mkdir(exist_ok=True)
        path = folder / f"rows.{self.route.intake}"
        {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}[self.route.intake](path, rows)

    def define(self, **changes: Any) -> JobDefinition:
        """A definition over the frame, that copies its poisonous columns."""
        given: dict[str, Any] = {
            "intake_settings": {"type": "sql", "data_store_id": "db", "table": "scores"},
            "passthrough_columns": ["note", "big", "seen", "nested"],
            "features": ["amount", "kind"],
            "column_types": {"amount": "numeric", "kind": "categorical"},
        }
        if self.route.intake not in ("sqlite", "postgres"):
            given["intake_settings"] = {"type": "file", "url": "in"}
        if self.route.output in ("sqlite", "postgres"):
            given["output_settings"] = {"type": "sql", "data_store_id": "out", "table": "results"} | self._statement()
        else:
            given["output_settings"] = {"type": "file", "url": "out", "format": self.route.output}
        return job_world.define(**(given | changes))

    def prepare(self, ids: Sequence[str] = ()) -> None:
        """No results yet, but what the statement needs to be there: for updates the rows of these ids."""
        if self.route.output not in ("sqlite", "postgres"):
            shutil.rmtree(self.world.files / "out", ignore_errors=True)
            return
        columns = [sa.Column(n, kind, unique=n == "id") for n, kind in OUTPUTS.items()]
        made = sa.Table("results", sa.MetaData(), *columns)
        with self.world.output_engine.begin() as connection:
            made.drop(connection, checkfirst=True)
            if self.route.statement in ("insert", "create_table"):
                return
            made.create(connection)
            if self.route.statement == "update" and ids:
                connection.execute(made.insert(), [{"id": name} for name in dict.fromkeys(ids)])

    def written(self) -> list[Row]:
        """The rows of the output; empty where nothing was written."""
        if self.route.output in ("sqlite", "postgres"):
            return self.world.rows("results") if self.world.has_table("results") else []
        folder = self.world.files / "out"
        paths = [p for p in folder.rglob(f"*.{self.route.output}") if not p.name.startswith(".")]
        if not paths:
            return []
        (path,) = paths
        if path.suffix == ".parquet":
            found: list[Row] = pq.read_table(path, partitioning=None).to_pylist()
            return found
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def _statement(self) -> dict[str, Any]:
        statement = self.route.statement
        if statement in ("insert", "create_table"):
            return {"statement_type": statement, "create_table_if_not_exists": True}
        columns = (
            {"update_columns": ["note", "big", "seen", "nested", "status"]} if statement == "insert_update" else {}
        )
        return {"statement_type": statement, "where_columns": ["id"], **columns}

    def _fill_table(self, rows: Sequence[Row]) -> None:
        types = SQLITE_TYPES if self.route.intake == "sqlite" else POSTGRES_TYPES
        driver = self.world.engine.raw_connection()
        try:
            cursor = driver.cursor()
            cursor.execute("DROP TABLE IF EXISTS scores")
            cursor.execute(f"CREATE TABLE scores ({', '.join(f'{n} {kind}' for n, kind in types.items())})")
            mark = "?" if self.route.intake == "sqlite" else "%s"
            statement = f"INSERT INTO scores VALUES ({', '.join([mark] * len(NAMES))})"
            write = _for_sqlite if self.route.intake == "sqlite" else _for_postgres
            cursor.executemany(statement, [[write(row[name]) for name in NAMES] for row in rows])
            driver.commit()
        finally:
            driver.close()


@contextlib.contextmanager
def open_trip(route: Route, folder: Path, postgres_url: str) -> Iterator[Trip]:
    """A route, made ready."""
    urls = {"sqlite": f"sqlite:///{folder / 'data.sqlite'}", "postgres": postgres_url}
    store = f"sqlite:///{folder / 'store.sqlite'}" if route.store == "sqlite" else postgres_url
    output = f"sqlite:///{folder / 'out.sqlite'}" if route.output == "sqlite" else postgres_url
    with job_world.open_world(urls.get(route.intake, urls["sqlite"]), store, folder, output) as world:
        yield Trip(route, world)


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """As bytes: every value in quotes, null as nothing."""
    names = list(rows[0]) if rows else list(NAMES)
    lines = [b",".join(_quoted(name) for name in names)]
    lines += [b",".join(_quoted(row[name]) for name in names) for row in rows]
    path.write_bytes(b"\n".join([*lines, b""]))


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    """Numbers of any size, NaN and lone surrogates as JSON can spell them; bytes as they are."""
    path.write_bytes(b"".join(b"{" + b", ".join(_member(n, v) for n, v in row.items()) + b"}\n" for row in rows))


def write_parquet(path: Path, rows: Sequence[Row]) -> None:
    """Typed columns: texts are laid out as they are, whether or not they are UTF-8."""
    columns = {}
    for name in list(rows[0]) if rows else NAMES:
        values = [row[name] for row in rows]
        if name == "nested":
            columns[name] = pa.StructArray.from_arrays(
                [
                    pa.array([_depth(value) for value in values], pa.list_(pa.float64())),
                    pa.array([_ticks(value) for value in values], pa.int64()).view(pa.timestamp("us")),
                ],
                names=["list", "moment"],
            )
        elif name in ("at", "seen"):
            columns[name] = pa.array([_micro(value) for value in values], pa.int64()).view(pa.timestamp("us"))
        elif ARROW_TYPES.get(name) == pa.binary():
            column = pa.array([value.encode() if isinstance(value, str) else value for value in values], pa.binary())
            columns[name] = pa.Array.from_buffers(pa.string(), len(column), column.buffers())
        else:
            columns[name] = pa.array(values, ARROW_TYPES.get(name))
    pq.write_table(pa.table(columns), path, write_batch_size=1 if _is_wide(rows) else None)


def assert_shown(world: World, job_id: str) -> str:
    """The page of a job can be shown, and everything that the store keeps as JSON is JSON. Returns the page."""
    job = world.store.job(job_id)
    page = render_job(job, world.store.results(job_id, limit=1000).items)
    assert page.encode().startswith(b"<!doctype html>")
    assert '<td class="number">nan</td>' not in page
    assert '<td class="number">inf</td>' not in page
    engine = sa.create_engine(world.store_url)
    with engine.connect() as connection:
        for table in tables.metadata.sorted_tables:
            for column in table.c:
                if isinstance(column.type, Json):
                    for (text,) in connection.execute(sa.select(sa.cast(column, sa.Text)).where(column.is_not(None))):
                        json.loads(text, parse_constant=_refuse)
    engine.dispose()
    return page


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _quoted(value: Any) -> bytes:
    if value is None:
        return b""
    if isinstance(value, dt.date):
        value = value.isoformat()
    if isinstance(value, bool | list | dict):
        value = json.dumps(value)
    text = value if isinstance(value, bytes) else str(value).encode()
    return b'"' + text.replace(b'"', b'""') + b'"'


def _member(name: str, value: Any) -> bytes:
    if isinstance(value, bytes):
        value = b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    elif isinstance(value, Decimal):
        value = str(value).encode()
    else:
        value = json.dumps(value.isoformat() if isinstance(value, dt.date) else value).encode()
    return json.dumps(name).encode() + b": " + value


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)  # a column of integers makes a double of it
    if isinstance(value, dt.date | Decimal):
        return str(value)
    return json.dumps(value) if isinstance(value, list | dict) else value


def _for_postgres(value: Any) -> Any:
    return (
        json.dumps(value).replace("NaN", "null").replace("Infinity", "null")
        if isinstance(value, list | dict)
        else value
    )


def _depth(value: Any) -> list[float] | None:
    return [float(item) for item in value if isinstance(item, int | float)] if isinstance(value, list) else None


def _ticks(value: Any) -> int | None:
    return value["moment"] if isinstance(value, dict) else None


def _micro(value: Any) -> int | None:
    if value is None or isinstance(value, int):
        return value
    if not isinstance(value, dt.datetime):
        value = dt.datetime.combine(value, dt.time())
    return (value.replace(tzinfo=dt.UTC) - EPOCH) // dt.timedelta(microseconds=1)


def _is_wide(rows: Sequence[Row]) -> bool:
    """A page of a Parquet file must be held whole, and writers look at its size once in so many values."""
    return bool(rows) and isinstance(rows[0].get("note"), str) and len(rows[0]["note"]) > 1 << 20
