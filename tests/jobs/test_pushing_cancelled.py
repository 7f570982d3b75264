"""A job that is told to end while the database counts has the database stop counting."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import JobInterrupted
from job_world import COLUMNS, open_world

# Hours of work for either database, none of which gives a row before its end.
SLOW = (
    "SELECT (SELECT count(*) FROM generate_series(1, 1000000) counted CROSS JOIN generate_series(1, 1000000)) AS id, "
    "CAST(0.5 AS float8) AS score, CAST(1.5 AS float8) AS amount, CAST('north' AS text) AS region, "
    "CAST('yes' AS text) AS churned"
)
QUERIED: dict[str, Any] = {
    "intake_settings": {"type": "sql", "data_store_id": "db", "query": SLOW},
    "timestamp_column": None,
    "output_settings": None,
    "passthrough_columns": None,
    "features": ["amount", "region"],
    "monitoring_columns": {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "actuals_value_column": "churned",
    },
    "engine": "sql",
}


@contextmanager
def terminated(ready: Callable[[], Any] = lambda: time.sleep(2.0)) -> Iterator[list[int]]:
    """This process gets SIGTERM in a while; yields the signals that were handled.

    :param ready: returns when it may.
    """

    def terminate() -> None:
        ready()
        os.kill(os.getpid(), signal.SIGTERM)

    handled: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: handled.append(number))
    timer = threading.Thread(target=terminate)
    timer.start()
    try:
        yield handled
    finally:
        timer.join()
        signal.signal(signal.SIGTERM, before)


def test_sigterm_ends_a_statement_of_hours(world: Any, define: Any) -> None:
    if world.engine.dialect.name == "sqlite":
        # Its columns are asked for their types before the profile, so a view over a table keeps that quick.
        world.table("scores", [dict.fromkeys(COLUMNS) | {"id": 1, "score": 0.5, "amount": 1.0, "region": "n"}])
        with world.engine.begin() as connection:
            connection.execute(sa.text("CREATE VIEW slow AS " + _slow_view()))
        settings = QUERIED["intake_settings"] | {"query": None, "table": "slow"}
        definition = define(**QUERIED | {"intake_settings": {k: v for k, v in settings.items() if v}})
    else:
        definition = define(**QUERIED)
    if world.engine.dialect.name == "sqlite":  # signals are heard, as where hooks.connections opens it
        world.engine.dispose()
        sa.event.listen(world.engine, "connect", lambda c, _: c.set_progress_handler(lambda: 0, 50_000))
    with terminated() as handled, pytest.raises(JobInterrupted, match="cancelled by Airflow"):
        world.run(definition, cancelled=lambda: bool(handled))

    assert [signal.SIGTERM] == handled
    if world.engine.dialect.name == "postgresql":
        assert [] == running(world.engine)


def test_sigterm_ends_the_insert_of_statuses(postgres_url: str, tmp_path: Path, define: Any, tools: Any) -> None:
    output = {"type": "sql", "data_store_id": "db", "table": "statuses", "statement_type": "insert"}
    changes = QUERIED | {"intake_settings": {"type": "sql", "data_store_id": "db", "table": "scores"}}
    definition = define(**changes | {"output_settings": output | {"create_table_if_not_exists": True}})
    with open_world(postgres_url, postgres_url, tmp_path) as world:
        rows = tools.day_rows(0, dirty=False)
        world.table("scores", rows)
        assert len(rows) == world.run(definition).output_rows  # makes the table
        with world.engine.begin() as connection:
            connection.exec_driver_sql(
                "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(3600); RETURN NEW; END $$"
            )
            connection.exec_driver_sql(
                "CREATE TRIGGER waits BEFORE INSERT ON statuses FOR EACH ROW EXECUTE FUNCTION wait()"
            )
        inserting = "wait_event = 'PgSleep'"  # the text of the statement is cut off before INSERT
        ended = pytest.raises(JobInterrupted, match="cancelled by Airflow")
        seen: list[str] = []
        with terminated(lambda: seen.extend(running(world.engine, inserting, until=True))) as handled, ended:
            world.run(definition, 1, cancelled=lambda: bool(handled))
        assert 1 == len(seen)
        assert [signal.SIGTERM] == handled
        assert [] == running(world.engine, inserting)
        assert len(rows) == len(world.rows("statuses"))


def _slow_view() -> str:
    return (
        "WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 100000000000) "
        "SELECT id, score, amount, region, churned FROM scores WHERE id < (SELECT max(n) FROM counted)"
    )


def running(engine: sa.Engine, which: str = "query LIKE '%counted%'", *, until: bool = False) -> list[str]:
    """Statements that the server still works on after a while, or has begun to work on in it (``until``)."""
    asked = sa.text(
        f"SELECT query FROM pg_stat_activity WHERE state = 'active' AND {which} AND pid <> pg_backend_pid()"
    )
    for _ in range(600 if until else 50):
        with engine.connect() as connection:
            found = list(connection.execute(asked).scalars())
        if bool(found) is until:
            break
        time.sleep(0.1)
    return found
