"""Rows into tables: every statement type, on both databases, with retries and attempts that come too late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import ConfigurationError, OutputError, Superseded
from airflow_monitoring_provider.outputs.output import Attempt
from airflow_monitoring_provider.outputs.sql import SqlWriter

Write = Callable[..., SqlWriter]
Rows = Callable[..., list[pa.RecordBatch]]
Attempts = Callable[..., Attempt]
Read = Callable[..., list[tuple[Any, ...]]]
Made = Callable[..., sa.Table]


def _own_table(made: Made, *more: sa.Column[Any] | sa.Constraint, unique: bool = False) -> sa.Table:
    key: sa.Column[Any] = sa.Column("id", sa.BigInteger, primary_key=unique, autoincrement=False)
    return made(key, sa.Column("carrier", sa.Text), sa.Column("monitored_status", sa.Text), *more)


def _fill(engine: sa.Engine, table: sa.Table, rows: list[dict[str, Any]]) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(table), rows)


def test_a_missing_table_is_made_with_a_column_for_each_type_and_the_id_of_the_job(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read
) -> None:
    receipt = sql_writer(create_table_if_not_exists=True).write(rows([1, 2, 3]), attempt())

    assert 3 == receipt.rows
    assert "table 'results' of connection 'warehouse'" == receipt.location
    assert [(n, f"carrier {n}", "monitored", "job-of-flights-1") for n in (1, 2, 3)] == read(
        "id", "carrier", "monitored_status", "monitoring_job_id"
    )
    assert [("complete", 3, receipt.checksum, 1)] == read(
        "state", "row_count", "checksum", "token", table="monitoring_output_markers"
    )


def test_a_retry_replaces_the_rows_of_its_window_and_no_others(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read
) -> None:
    writer = sql_writer(create_table_if_not_exists=True)
    first = writer.write(rows([1, 2, 3]), attempt())
    writer.write(rows([1, 2]), attempt(day=2))
    again = writer.write(rows([1, 2, 3]), attempt(token=2))
    assert first.checksum == again.checksum
    assert 5 == len(read("id"))

    writer.write(rows([7]), attempt(token=3))
    assert [(1, "job-of-flights-2"), (2, "job-of-flights-2"), (7, "job-of-flights-1")] == read(
        "id", "monitoring_job_id"
    )


def test_no_rows_at_all_empty_the_window(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, schema: pa.Schema
) -> None:
    writer = sql_writer(create_table_if_not_exists=True)
    writer.write(rows([1, 2]), attempt())

    assert 0 == writer.write([], attempt(token=2), schema=schema).rows
    assert [] == read("id")


@pytest.mark.parametrize("statement", ["insert", "update", "insert_update"])
def test_an_attempt_that_comes_too_late_is_refused_and_changes_nothing(
    statement: str, sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    made = _own_table(table)
    if statement == "update":
        _fill(engine, made, [{"id": 1}])
    writer = sql_writer(statement, where_columns=() if statement == "insert" else ("id",))
    writer.write(rows([1], status="newer"), attempt(token=2))
    markers = read("token", "state", "checksum", table="monitoring_output_markers")

    with pytest.raises(Superseded, match="newer attempt"):
        writer.write(rows([1], status="older"), attempt(token=1))

    assert [(1, "newer")] == read("id", "monitored_status")
    assert markers == read("token", "state", "checksum", table="monitoring_output_markers")


def test_a_table_without_job_ids_is_replaced_by_the_rows_identifiers(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    _fill(engine, _own_table(table), [{"id": 100, "carrier": "somebody's"}])
    writer = sql_writer()
    writer.write(rows([1, 2, 3]), attempt())
    writer.write(rows([4]), attempt(day=2))
    writer.write(rows([2, 3, 5], status="second"), attempt(token=2))

    expected = [(2, "second"), (3, "second"), (4, "monitored"), (5, "second"), (100, None)]
    assert expected == read("id", "monitored_status")
    assert 4 == len(read("identifiers", table="monitoring_output_keys"))


def test_a_table_without_job_ids_takes_no_row_that_could_not_be_found_again(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    _fill(engine, _own_table(table), [{"id": 100, "carrier": "somebody's"}])

    with pytest.raises(OutputError, match=r"no column 'monitoring_job_id' .*uniqueRowIdentifierColumns"):
        sql_writer(identifiers=()).write(rows([1]), attempt())
    with pytest.raises(OutputError, match="a row has no 'id', so a retry could not replace it"):
        sql_writer().write(rows([1, None]), attempt())
    with pytest.raises(OutputError, match="holds rows with the same identifiers that no job wrote"):
        sql_writer().write(rows([1, 100]), attempt())

    assert [(100, "somebody's")] == read("id", "carrier")


def test_an_existing_column_for_job_ids_is_used(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made
) -> None:
    _own_table(table, sa.Column("monitoring_job_id", sa.Text))
    writer = sql_writer(identifiers=())
    writer.write(rows([1, 2]), attempt())
    writer.write(rows([1]), attempt(token=2))

    assert [(1, "job-of-flights-1")] == read("id", "monitoring_job_id")


def test_update_sets_the_status_of_rows_that_match_and_adds_none(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    _fill(engine, _own_table(table), [{"id": n, "carrier": "kept"} for n in (1, 2, 3)])
    writer = sql_writer("update", where_columns=("id",))

    first = writer.write(rows([2, 3, 4]), attempt())
    again = writer.write(rows([2, 3, 4]), attempt(token=2))
    assert (3, 1) == (first.rows, first.unmatched) == (again.rows, again.unmatched)

    expected = [(1, "kept", None), (2, "kept", "monitored"), (3, "kept", "monitored")]
    assert expected == read("id", "carrier", "monitored_status")


def test_update_sets_the_update_columns_where_there_are_any(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    made = table(sa.Column("id", sa.Integer), sa.Column("carrier", sa.Text))  # the status has no column at all
    _fill(engine, made, [{"id": 1, "carrier": "old"}])
    sql_writer("update", where_columns=("id",), update_columns=("carrier",)).write(rows([1]), attempt())

    assert [(1, "carrier 1")] == read("id", "carrier")


@pytest.mark.parametrize("unique", [True, False])
def test_insert_update_changes_rows_that_are_there_and_adds_the_rest(
    unique: bool, sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    made = _own_table(table, sa.Column("remark", sa.Text), unique=unique)
    _fill(engine, made, [{"id": 1, "carrier": "old", "remark": "kept"}, {"id": 9, "carrier": "other", "remark": None}])
    writer = sql_writer("insert_update", where_columns=("id",))

    assert 2 == writer.write(rows([1, 2]), attempt()).rows
    writer.write(rows([1, 2]), attempt(token=2))

    expected = [(1, "carrier 1", "monitored", "kept"), (2, "carrier 2", "monitored", None), (9, "other", None, None)]
    assert expected == read("id", "carrier", "monitored_status", "remark")


@pytest.mark.parametrize("statement", ["update", "insert_update"])
def test_of_equal_keys_the_last_row_counts_and_rejected_duplicates_never(
    statement: str, sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    _fill(engine, _own_table(table), [{"id": 1, "carrier": "old"}])
    batches = [*rows([1], status="first"), *rows([1], status="second")]
    batches += rows([1], status="rejected:duplicate_identifier")

    receipt = sql_writer(statement, where_columns=("id",)).write(batches, attempt())

    assert (3, 1) == (receipt.rows, receipt.skipped)
    assert [(1, "second")] == read("id", "monitored_status")


def test_insert_update_refuses_a_null_in_a_key(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made
) -> None:
    _own_table(table)

    with pytest.raises(OutputError, match="a row has no 'id', so a retry could not replace it"):
        sql_writer("insert_update", where_columns=("id",)).write(rows([1, None]), attempt())

    assert [] == read("id")


def test_create_table_makes_a_table_once_and_fills_it_in_every_window(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read
) -> None:
    writer = sql_writer("create_table")
    writer.write(rows([1, 2]), attempt())
    writer.write(rows([1, 2]), attempt(token=2))
    writer.write(rows([3]), attempt(day=2))

    assert [(1,), (2,), (3,)] == read("id")
    with pytest.raises(OutputError, match="exists, and this definition did not create it"):
        writer.write(rows([4]), attempt(definition_id="another"))
    assert [(1,), (2,), (3,)] == read("id")


def test_create_table_refuses_a_table_that_somebody_else_made(
    sql_writer: Write, rows: Rows, attempt: Attempts, table: Made
) -> None:
    _own_table(table)

    with pytest.raises(OutputError, match="this definition did not create it"):
        sql_writer("create_table").write(rows([4]), attempt())


def test_a_missing_table_or_column_or_a_type_that_cannot_fit_is_named(
    sql_writer: Write, rows: Rows, attempt: Attempts, table: Made
) -> None:
    with pytest.raises(OutputError, match=r"table 'results' .*does not exist.*createTableIfNotExists"):
        sql_writer().write(rows([1]), attempt())
    table(sa.Column("id", sa.Integer), sa.Column("monitored_status", sa.Text))
    with pytest.raises(OutputError, match=r"table 'results' .*has no column 'carrier'"):
        sql_writer().write(rows([1]), attempt())
    table(
        sa.Column("id", sa.Integer),
        sa.Column("carrier", sa.Float),
        sa.Column("monitored_status", sa.Text),
        name="other",
    )
    with pytest.raises(OutputError, match=r"table 'other' .*column 'carrier'.* string"):
        sql_writer(table="other").write(rows([1]), attempt())


def test_a_value_that_the_database_refuses_is_told_by_its_column_and_never_by_itself(
    sql_writer: Write, rows: Rows, attempt: Attempts, table: Made, read: Read
) -> None:
    table(
        sa.Column("id", sa.BigInteger),
        sa.Column("carrier", sa.String(20), sa.CheckConstraint("length(carrier) < 10")),
        sa.Column("monitored_status", sa.Text),
        sa.Column("must", sa.Integer, nullable=False),
        sa.Column("monitoring_job_id", sa.Text),
    )

    with pytest.raises(OutputError, match=r"constraint|null") as caught:
        sql_writer().write(rows([1, 2]), attempt())

    assert "carrier 1" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert [] == read("id")


def test_a_table_that_was_renamed_to_archive_it_does_not_keep_the_next_one_from_being_made(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, engine: sa.Engine
) -> None:
    writer = sql_writer(create_table_if_not_exists=True)
    writer.write(rows([1]), attempt())
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE results RENAME TO results_2025")

    writer.write(rows([2]), attempt(token=2))

    assert [(2,)] == read("id")
    assert [(1,)] == read("id", table="results_2025")


def test_update_by_the_status_column_itself_changes_nothing(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made, engine: sa.Engine
) -> None:
    _fill(engine, _own_table(table), [{"id": 1, "monitored_status": "monitored"}])

    sql_writer("update", where_columns=("monitored_status",)).write(rows([7]), attempt())

    assert [(1, "monitored")] == read("id", "monitored_status")


def test_the_checksum_knows_the_order_of_rows_and_not_how_they_were_cut(
    sql_writer: Write, rows: Rows, attempt: Attempts
) -> None:
    writer = sql_writer(create_table_if_not_exists=True)

    def checksum(ids: list[int], size: int, token: int) -> str:
        return writer.write(rows(ids, size=size), attempt(token=token)).checksum

    whole = checksum([1, 2, 3, 4, 5], 5, 1)
    assert whole == checksum([1, 2, 3, 4, 5], 2, 2)
    assert whole != checksum([2, 1, 3, 4, 5], 2, 3)


def test_an_error_of_whoever_makes_the_rows_is_passed_on_and_undoes_everything(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read
) -> None:
    writer = sql_writer(create_table_if_not_exists=True)
    writer.write(rows([1]), attempt())

    def broken() -> Any:
        yield from rows([2, 3])
        raise ZeroDivisionError("the source broke")

    with pytest.raises(ZeroDivisionError, match="the source broke"):
        writer.write(broken(), attempt(token=2))

    assert [(1,)] == read("id")


def test_a_plain_engine_is_left_as_it_was(sql_writer: Write, rows: Rows, attempt: Attempts, engine: sa.Engine) -> None:
    def state() -> Any:
        with engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            own = driver.isolation_level if engine.dialect.name == "sqlite" else None
            return own, connection.get_isolation_level()

    before = state()
    sql_writer(create_table_if_not_exists=True).write(rows([1]), attempt())

    assert before == state()


@pytest.mark.parametrize("unique", [True, False])
def test_an_upserted_row_goes_over_to_the_job_that_wrote_it_last(
    unique: bool, sql_writer: Write, rows: Rows, attempt: Attempts, read: Read, table: Made
) -> None:
    _own_table(table, sa.Column("monitoring_job_id", sa.Text), unique=unique)
    writer = sql_writer("insert_update", where_columns=("id",))
    writer.write(rows([1, 2]), attempt(day=1))
    writer.write(rows([2, 3]), attempt(day=2))
    writer.write(rows([1]), attempt(day=1, token=2))
    assert [(1,), (2,), (3,)] == read("id")


def test_what_another_store_wrote_is_taken_over_only_by_one_that_continues_it(
    sql_writer: Write, rows: Rows, attempt: Attempts, read: Read
) -> None:
    writer = sql_writer(create_table_if_not_exists=True)
    assert 0 == writer.last_token(attempt())
    writer.write(rows([1]), attempt(token=7))
    assert (7, 0) == (writer.last_token(attempt(token=1)), writer.last_token(attempt(day=2)))

    stranger = attempt(token=9, store_id="another store")
    for call in (lambda: writer.last_token(stranger), lambda: writer.write(rows([2]), stranger)):
        with pytest.raises(ConfigurationError, match="airflow monitoring db adopt a store"):
            call()
    assert [(1,)] == read("id")

    heir = attempt(token=8, store_id="another store", continues=("a store",))
    assert 7 == writer.last_token(heir)
    writer.write(rows([2]), heir)
    assert [(2,)] == read("id")
    with pytest.raises(ConfigurationError, match="another monitoring store"):
        writer.write(rows([3]), attempt(token=9))
    assert [(2,)] == read("id")


def test_an_output_in_duckdb_is_refused_before_anything_is_read(
    writer_on: Callable[..., SqlWriter], attempt: Attempts
) -> None:
    writer = writer_on(sa.create_engine("duckdb://"), create_table_if_not_exists=True)
    with pytest.raises(ConfigurationError, match=r"cannot be written to DuckDB.*another database or files"):
        writer.last_token(attempt())
