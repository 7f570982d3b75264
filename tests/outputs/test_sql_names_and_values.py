"""Names and values that break statements elsewhere: they arrive as they are, or are refused with a sentence."""

from __future__ import annotations

import datetime as dt
import decimal
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import MonitoringError, OutputError
from airflow_monitoring_provider.outputs.output import Attempt
from airflow_monitoring_provider.outputs.sql import SqlWriter

Write = Callable[..., SqlWriter]
Attempts = Callable[..., Attempt]
Read = Callable[..., list[tuple[Any, ...]]]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
HOSTILE = [
    "select",
    "nothing",
    "returning",
    "excluded",
    "with space ",
    " leading",
    'double"quote',
    "single'quote",
    "back`tick",
    "back\\slash",
    "percent%s",
    "percent%(name)s",
    ":colon",
    "dollar$1",
    "?",
    "x; DROP TABLE results --",
    "comma, and (paren)",
    "[bracket]",
    "Ünïcödé",
    "表",
    "😀",
    "עברית",
    "UPPER",
    "a.b",
    "c0",
    "ı" * 31,
    "n" * 63,
]


def _quoted(name: str) -> str:
    return sa.sql.quoted_name(name, quote=True)


@pytest.mark.parametrize("statement", ["insert", "insert_update", "update"])
def test_hostile_names_of_columns_arrive_as_they_are(
    statement: str, sql_writer: Write, attempt: Attempts, engine: sa.Engine
) -> None:
    schema = pa.schema([*((name, pa.int64()) for name in HOSTILE), ("monitored_status", pa.string())])
    row = {name: number for number, name in enumerate(HOSTILE)} | {"monitored_status": "monitored"}
    batches = [pa.RecordBatch.from_pylist([row], schema=schema)]
    where = () if statement == "insert" else ('double"quote', "x; DROP TABLE results --")
    settings = {"where_columns": where, "create_table_if_not_exists": True}
    for token in (1, 2):
        sql_writer(statement, **settings).write(batches, attempt(token))

    table = sa.table("results", *(sa.column(_quoted(name)) for name in row))
    with engine.connect() as connection:
        found = [tuple(found) for found in connection.execute(sa.select(*table.c))]
    assert ([] if statement == "update" else [tuple(row.values())]) == found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_of_a_table_or_key_names_that_table_and_no_other(
    name: str, sql_writer: Write, attempt: Attempts, engine: sa.Engine
) -> None:
    with engine.begin() as connection:
        bystander = sa.Table("bystander", sa.MetaData(), sa.Column("id", sa.Integer))
        bystander.create(connection)
        connection.execute(sa.insert(bystander), [{"id": 1}])
        columns = [sa.Column(_quoted(name), sa.BigInteger), sa.Column("monitored_status", sa.Text)]
        own = sa.Table(_quoted(name), sa.MetaData(), *columns)
        own.create(connection)
    schema = pa.schema([(name, pa.int64()), ("monitored_status", pa.string())])
    batches = [pa.RecordBatch.from_pylist([{name: 1, "monitored_status": "monitored"}], schema=schema)]
    for token in (1, 2):  # without a column for the job: by the key alone
        sql_writer(table=name, identifiers=(name,)).write(batches, attempt(token))

    with engine.connect() as connection:
        assert [(1, "monitored")] == [tuple(row) for row in connection.execute(sa.select(own))]
        assert [(1,)] == [tuple(row) for row in connection.execute(sa.select(bystander))]
    made = {"bystander", name, "monitoring_output_markers", "monitoring_output_keys"}
    assert made == set(sa.inspect(engine).get_table_names())


@pytest.mark.parametrize("name", ["", "nul\0", "line\nend", "tab\t", "del\x7f", "n" * 64, "ı" * 32, "half \ud800"])
def test_names_that_no_quoting_helps_are_refused_before_any_statement(
    name: str, sql_writer: Write, attempt: Attempts, engine: sa.Engine
) -> None:
    asked: list[object] = []
    sa.event.listen(engine, "before_cursor_execute", lambda *args: asked.append(args))
    try:
        schema = pa.schema([(name, pa.int64()), ("monitored_status", pa.string())])
    except UnicodeEncodeError:  # Arrow has no such name either
        return
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array(["monitored"])], schema=schema)
    if engine.dialect.name == "sqlite" and len(name) > 30:
        sql_writer(create_table_if_not_exists=True).write([batch], attempt())  # it has no such limit
        return

    with pytest.raises(OutputError, match="output column 1 must"):
        sql_writer(create_table_if_not_exists=True).write([batch], attempt())

    assert [] == asked


def test_names_that_sqlite_cannot_tell_apart_and_the_jobs_own_are_refused(
    sql_writer: Write, attempt: Attempts, engine: sa.Engine
) -> None:
    for names in (("ID", "id"), ("monitoring_job_id", "x")):
        batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array(["a"])], names=list(names))
        if names[0] == "ID" and engine.dialect.name == "postgresql":
            sql_writer(create_table_if_not_exists=True).write([batch], attempt())
            continue
        with pytest.raises(OutputError):
            sql_writer(create_table_if_not_exists=True).write([batch], attempt())


def _poison() -> pa.RecordBatch:
    big = 2**63
    columns = {
        "id": pa.array([1, 2, 3]),
        "number": pa.array([1.5, float("nan"), float("inf")]),
        "text": pa.array(["", "nul\0inside", "q\"uo'te\\N\t\n\r,😀"]),
        "unsigned": pa.array([1, big, None], pa.uint64()),
        "day": pa.array([0, 10**7, -(10**6)], pa.int32()).cast(pa.date32()),
        "moment": pa.array([0, 10**15, None], pa.timestamp("s", "UTC")),
        "naive": pa.array([1_999, None, -1], pa.timestamp("ns")),
        "nested": pa.array([{"a": [1.0, float("nan")]}, None, {"a": []}]),
        "money": pa.array([decimal.Decimal("12345678901234.56"), None, decimal.Decimal("-0.01")], pa.decimal128(20, 2)),
        "raw": pa.array([b"\x00\xff", b"", None]),
        "flag": pa.array([True, False, None]),
        "level": pa.array(["x", None, "y"]).dictionary_encode(),
        "empty": pa.nulls(3),
        "monitored_status": pa.array(["monitored", "monitored", "rejected:bad_type"]),
    }
    return pa.RecordBatch.from_pydict(columns)


def test_poison_is_written_as_null_or_exactly_and_its_row_says_so(
    sql_writer: Write, attempt: Attempts, read: Read, engine: sa.Engine
) -> None:
    sql_writer(create_table_if_not_exists=True).write([_poison()], attempt())

    statuses = [(1, "monitored"), (2, "rejected:unstorable_value"), (3, "rejected:bad_type")]
    assert statuses == read("id", "monitored_status")
    assert [(1, 1.5), (2, None), (3, None)] == read("id", "number")
    assert [(1, ""), (2, None), (3, "q\"uo'te\\N\t\n\r,😀")] == read("id", "text")
    assert [(1, 1), (2, None), (3, None)] == read("id", "unsigned")
    assert [(1, '{"a":[1.0,null]}'), (2, None), (3, '{"a":[]}')] == read("id", "nested")
    assert [(1, b"\x00\xff"), (2, b""), (3, None)] == [(n, v and bytes(v)) for n, v in read("id", "raw")]
    assert [(1, True), (2, False), (3, None)] == read("id", "flag")
    assert [(1, "x"), (2, None), (3, "y")] == read("id", "level")
    assert [(1, None), (2, None), (3, None)] == read("id", "empty")
    money = [(n, v if v is None else decimal.Decimal(str(v))) for n, v in read("id", "money")]
    assert [(1, decimal.Decimal("12345678901234.56")), (2, None), (3, decimal.Decimal("-0.01"))] == money
    columns = [sa.column("day", sa.Date), sa.column("moment", sa.DateTime), sa.column("naive", sa.DateTime)]
    table = sa.table("results", sa.column("id"), *columns)
    with engine.connect() as connection:
        first, second, third = connection.execute(sa.select(*table.c).order_by(table.c.id))
    assert (dt.date(1970, 1, 1), None, None) == (first.day, second.day, third.day)
    assert _EPOCH == first.moment.replace(tzinfo=None)
    assert (None, None) == (second.moment, third.moment)
    assert (_EPOCH + dt.timedelta(microseconds=1), None) == (first.naive, second.naive)
    assert _EPOCH - dt.timedelta(microseconds=1) == third.naive


def test_a_table_that_is_made_has_the_widest_type_of_each_kind(
    postgres_url: str, writer_on: Write, attempt: Attempts, connect: Callable[..., sa.Engine]
) -> None:
    engine = connect(postgres_url)
    writer_on(engine, create_table_if_not_exists=True).write([_poison()], attempt())

    found = {column["name"]: str(column["type"]) for column in sa.inspect(engine).get_columns("results")}
    expected = {
        "id": "BIGINT",
        "number": "DOUBLE PRECISION",
        "text": "TEXT",
        "day": "DATE",
        "moment": "TIMESTAMP",
        "money": "NUMERIC(20, 2)",
        "raw": "BYTEA",
        "flag": "BOOLEAN",
        "nested": "TEXT",
        "monitored_status": "TEXT",
    }
    assert expected == {name: found[name] for name in expected}
    kinds = {column["name"]: column["type"] for column in sa.inspect(engine).get_columns("results")}
    assert (True, False) == (kinds["moment"].timezone, kinds["naive"].timezone)
    assert any(index["column_names"] == ["monitoring_job_id"] for index in sa.inspect(engine).get_indexes("results"))


def test_an_instant_without_zone_does_not_depend_on_the_servers_place(
    postgres_url: str, writer_on: Write, attempt: Attempts, connect: Callable[..., sa.Engine]
) -> None:
    engine = connect(postgres_url, connect_args={"options": "-c TimeZone=Asia/Tokyo"})
    columns = [sa.Column("at", sa.DateTime(timezone=True)), sa.Column("monitoring_job_id", sa.Text)]
    table = sa.Table("results", sa.MetaData(), *columns)
    table.create(engine)
    moment = _EPOCH
    batch = pa.RecordBatch.from_arrays([pa.array([moment], pa.timestamp("us"))], names=["at"])
    writer_on(engine).write([batch], attempt())

    with engine.connect() as connection:
        assert moment.replace(tzinfo=dt.UTC) == connection.scalar(sa.select(table.c.at))


def test_values_narrower_than_the_rows_are_refused_by_the_columns_name(
    sql_writer: Write, attempt: Attempts, engine: sa.Engine
) -> None:
    columns = [sa.Column("id", sa.Integer), sa.Column("monitoring_job_id", sa.Text)]
    sa.Table("results", sa.MetaData(), *columns).create(engine)
    fractions = pa.RecordBatch.from_pydict({"id": pa.array([1.0, 2.5])})
    whole = pa.RecordBatch.from_pydict({"id": pa.array([1.0, None, float("nan")])})

    with pytest.raises(MonitoringError, match="column 'id'"):
        sql_writer().write([fractions], attempt())
    assert 3 == sql_writer().write([whole], attempt()).rows


@pytest.mark.parametrize(
    "identifier",
    [
        pa.array([1, 2]),
        pa.array([1.5, 0.1]),
        pa.array(["a", "b\"'\\"]),
        pa.array([dt.date(2026, 1, 1), dt.date(2026, 1, 2)]),
        pa.array([0, 1], pa.timestamp("us", "UTC")),
        pa.array([0, 1], pa.timestamp("us")),
        pa.array([decimal.Decimal("1.10"), decimal.Decimal("2.00")]),
        pa.array([True, False]),
        pa.array([b"\x00", b"\xff"]),
    ],
    ids=lambda array: str(array.type),
)
def test_rows_are_found_again_by_identifiers_of_every_type(
    identifier: pa.Array, sql_writer: Write, attempt: Attempts, engine: sa.Engine
) -> None:
    kinds: dict[str, Any] = {
        "int64": sa.BigInteger,
        "double": sa.Double,
        "string": sa.Text,
        "date32[day]": sa.Date,
        "timestamp[us, tz=UTC]": sa.DateTime(timezone=True),
        "timestamp[us]": sa.DateTime,
        "bool": sa.Boolean,
        "binary": sa.LargeBinary,
    }
    kind = kinds.get(str(identifier.type), sa.Numeric(10, 2))
    columns = [sa.Column("key", kind), sa.Column("monitored_status", sa.Text)]
    table = sa.Table("results", sa.MetaData(), *columns)
    table.create(engine)
    writer = sql_writer(identifiers=("key",))
    for token, status in ((1, "first"), (2, "second")):
        rows = pa.RecordBatch.from_arrays([identifier, pa.array([status] * 2)], names=["key", "monitored_status"])
        writer.write([rows], attempt(token))

    with engine.connect() as connection:
        found = connection.execute(sa.select(table.c.monitored_status)).scalars().all()
    assert ["second", "second"] == list(found)
