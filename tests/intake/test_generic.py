"""The reader for databases nobody tests against gives what the tested readers give, shown on databases we have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake import generic
from airflow_monitoring_provider.intake.relation import Relation, find_table
from airflow_monitoring_provider.intake.source import TimeFilter

START = dt.datetime(2013, 1, 1, 5, tzinfo=dt.UTC)
HOUR = TimeFilter("at", START, START + dt.timedelta(hours=1), "America/New_York")


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = sa.create_engine(database_url)
    yield engine
    engine.dispose()


def relation(connection: sa.Connection) -> Relation:
    found = find_table(connection, SqlIntake(type="jdbc", data_store_id="x", table="t"), "table 't'")
    return generic.resolved(connection, found)


def read(connection: sa.Connection, found: Relation, *names: str, window: TimeFilter | None = None) -> list[Any]:
    rows = sa.select().select_from(found.source)
    if window is not None and (condition := generic.condition(found, window)) is not None:
        rows = rows.where(condition)
    batches = generic.read_batches(connection, found, names, rows, 2)
    return [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]


def test_values_arrive_in_their_declared_types(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (i bigint, d double precision, s text, n numeric(12, 0))")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 1.5, 'a', 7), (2, 2, 'b', 8), (NULL, NULL, NULL, NULL)")
    with generic.transaction(engine) as connection:
        found = relation(connection)

        assert [(1, 1.5, "a", 7), (2, 2.0, "b", 8), (None,) * 4] == read(connection, found, "i", "d", "s", "n")


def test_columns_of_an_unknown_type_take_it_from_a_sample(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (i bigint, s text)")
        connection.exec_driver_sql("INSERT INTO t VALUES (1, 'a')")
    with generic.transaction(engine) as connection:
        found = relation(connection)
        unknown = Relation(found.label, found.source, dict.fromkeys(found.types, sa.types.NullType()))
        types = generic.resolved(connection, unknown).types

        assert [sa.BigInteger, sa.Text] == [type(kind) for kind in types.values()]


def test_the_condition_never_leaves_out_a_row_of_the_window(engine: sa.Engine) -> None:
    stamps = [dt.datetime.fromisoformat("2012-12-25") + dt.timedelta(hours=hour) for hour in range(400)]
    table = sa.Table("t", sa.MetaData(), sa.Column("at", sa.DateTime))
    table.create(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(table), [{"at": stamp} for stamp in stamps])
    with generic.transaction(engine) as connection:
        found = relation(connection)
        kept = generic.condition(found, HOUR)
        assert kept is not None
        arrived = {
            dt.datetime.fromisoformat(str(at)) for at in connection.scalars(sa.select(found.column("at")).where(kept))
        }

    inside = {stamp for stamp in stamps if START <= stamp.replace(tzinfo=dt.UTC) + dt.timedelta(hours=5) < HOUR.end}  # type: ignore[operator]
    assert 1 == len(inside)
    assert inside < arrived < set(stamps)


def test_a_value_that_does_not_fit_is_an_error_that_names_the_column(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (s text)")
        connection.exec_driver_sql("INSERT INTO t VALUES ('s3cret')")
    with generic.transaction(engine) as connection:
        found = relation(connection)
        wrong = Relation(found.label, found.source, {"s": sa.BigInteger()})

        with pytest.raises(
            SourceError, match=r"column 's' of table 't' holds values \(str\) that do not fit"
        ) as caught:
            read(connection, wrong, "s")
    assert "s3cret" not in str(caught.value)
