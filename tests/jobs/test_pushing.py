"""A job whose profile the database computes is the job whose rows are read, without the rows."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from airflow_monitoring_provider.exceptions import ConfigurationError, SourceError, SourceUnavailable
from airflow_monitoring_provider.jobs import pushing
from airflow_monitoring_provider.outputs.tables import JOB_COLUMN
from job_world import COLUMNS

ONLY_COUNTED = {
    "output_settings": None,
    "passthrough_columns": None,
    "timestamp_column": None,
    "monitoring_columns": {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "actuals_value_column": "churned",
    },
}


def test_both_engines_commit_the_same_profile_and_values(world: Any, define: Any, tools: Any) -> None:
    rows = [
        *tools.day_rows(0, dirty=False),
        {"id": None, "score": 0.5},
        {"id": 9999, "score": None},
        {"id": 9998, "score": 2.0},
    ]
    world.table("scores", [dict.fromkeys(tools.COLUMNS) | row for row in rows])
    read = world.run(define(**ONLY_COUNTED, name="read", engine="arrow"))
    pushed = world.run(define(**ONLY_COUNTED, name="pushed", engine="sql"))

    assert 403 == pushed.rows
    assert {"monitored": 400, "rejected:missing_identifier": 1, "rejected:missing_prediction": 1,
            "rejected:invalid_prediction": 1} == pushed.status_counts  # fmt: skip
    assert read.content_hash == pushed.content_hash
    for name in ("accuracy", "log_loss"):
        expected = world.value(read.job_id, name).value
        assert expected == pytest.approx(world.value(pushed.job_id, name).value, rel=1e-9)


def test_segments_are_counted_where_their_rows_are(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0, dirty=False))
    counted = ONLY_COUNTED | {"segments": ["region", {"column": "amount", "edges": [0]}]}
    read = world.run(define(**counted, name="read", engine="arrow"))
    pushed = world.run(define(**counted, name="pushed", engine="sql"))

    assert any("computes the profile" in line.line for line in world.store.job(pushed.job_id).log)
    assert read.content_hash == pushed.content_hash


def test_the_log_says_which_way_auto_took_and_why(
    world: Any, define: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.table("scores", tools.day_rows(0, dirty=False))

    def told(**changes: Any) -> str:
        summary = world.run(define(**ONLY_COUNTED | changes, name=f"auto {changes}", engine="auto"))
        return "\n".join(line.line for line in world.store.job(summary.job_id).log)

    monkeypatch.setattr(pushing, "SLOW", 10.0)
    assert re.search(r"rows are read, because the first of them arrive .*\nread 400 rows", told())
    monkeypatch.setattr(pushing, "SLOW", 0.0)
    assert re.search(r"the database of table 'scores' .* computes the profile\ncounted 400 rows", told())
    later = ONLY_COUNTED["monitoring_columns"] | {"association_id_column": "id"}
    assert "rows are read, because predictions are kept for actuals that come later" in told(monitoring_columns=later)
    monkeypatch.setattr(pushing, "PROVEN", frozenset())
    assert f"rows are read, because {world.engine.dialect.name} was never asked" in told(features=["amount"])


def test_repeated_identifiers_are_read_by_auto_and_an_error_of_sql(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))

    assert 1 == world.run(define(**ONLY_COUNTED)).status_counts["rejected:duplicate_identifier"]
    with pytest.raises(ConfigurationError, match=r"engine: the database cannot profile .*identifiers repeat"):
        world.run(define(**ONLY_COUNTED, name="pushed", engine="sql"))


def test_decimals_that_no_double_holds_are_read_by_auto_and_an_error_of_sql(
    postgres_world: Any, define: Any, tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushing, "SLOW", 0.0)
    columns = tools.COLUMNS | {"amount": sa.Numeric()}
    postgres_world.table(
        "scores", [dict.fromkeys(columns) | {"id": 1, "amount": Decimal("1e400"), "score": 0.5}], columns
    )

    assert {"monitored": 1} == postgres_world.run(define(**ONLY_COUNTED, engine="auto")).status_counts
    with pytest.raises(SourceError, match=r"SQLSTATE 22003\); .* engine: arrow reads them"):
        postgres_world.run(define(**ONLY_COUNTED, name="pushed", engine="sql"))


# What both databases can copy by themselves, with everything that is odd in it.
COPIED: dict[str, Any] = {
    "id": sa.BigInteger(),
    "amount": sa.Float(),
    "region": sa.Text(),
    "score": sa.Float(),
    "churned": sa.Text(),
    "ratio": sa.Double(),
    "flag": sa.Boolean(),
    "raw": sa.LargeBinary(),
    "single": sa.REAL(),  # and yet of eight bytes in SQLite
}
ON_POSTGRES: dict[str, Any] = {
    "day": sa.Date(),
    "seen": sa.DateTime(),
    "seen_zone": sa.DateTime(timezone=True),
    "price": sa.Numeric(12, 4),
    "code": sa.CHAR(5),
    "short": sa.REAL(),
    "tags": postgresql.JSONB(),
    "place": postgresql.INET(),
    "span": postgresql.INTERVAL(),
    "whole": sa.Numeric(10, 0),
}
WRITTEN = ONLY_COUNTED | {
    "output_settings": {
        "type": "sql",
        "data_store_id": "db",
        "table": "read",
        "statement_type": "insert",
        "create_table_if_not_exists": True,
    },
}


def odd_rows(tools: Any) -> list[dict[str, Any]]:
    rows = [
        {"id": None, "score": 0.5, "region": "", "ratio": -0.0},
        {"id": 9999, "score": None, "region": "a\\b\"c'\n\t, (x)", "ratio": 1e308},
        {"id": 9998, "score": 2.0, "region": "Straße \U0001f600", "ratio": 5e-324},
        {"id": 2**63 - 1, "score": 0.25, "flag": True, "raw": b"\x00\xff"},
        {"id": -(2**63), "score": 0.75, "flag": False, "raw": b"", "ratio": 0.1},
        {"id": 7_000_001, "score": 0.5, "ratio": math.inf, "single": 1 / 3},
    ]
    known = [row for row in tools.day_rows(0, dirty=False) if row.pop("at")]
    return [dict.fromkeys(COPIED) | row for row in [*known, *rows]]


def same_rows(world: Any, one: str, other: str) -> None:
    """A difference in anything, types and nulls included, but for the job's own id."""
    tables = [[{k: v for k, v in row.items() if k != JOB_COLUMN} for row in world.rows(name)] for name in (one, other)]
    expected, found = (Counter(repr(sorted(row.items())) for row in table) for table in tables)
    assert expected == found
    assert sum(expected.values())


def both(world: Any, define: Any, **changes: Any) -> tuple[Any, Any]:
    """The summaries of a job whose rows are read, and of one whose rows stay, into tables ``read`` and ``pushed``."""
    output = WRITTEN["output_settings"] | changes.pop("output_settings", {})
    definition = WRITTEN | changes
    read = world.run(define(**definition | {"output_settings": output | {"table": "read"}}, name="r", engine="arrow"))
    pushed = world.run(define(**definition | {"output_settings": output | {"table": "pushed"}}, name="p", engine="sql"))
    assert read.content_hash == pushed.content_hash
    assert read.status_counts == pushed.status_counts
    assert read.output_rows == pushed.output_rows == read.rows
    return read, pushed


def test_rows_that_stay_get_the_statuses_of_rows_that_are_read(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", odd_rows(tools), COPIED)

    summary, _ = both(world, define, passthrough_columns=["region", "ratio", "flag", "raw", "churned", "single"])

    assert {"monitored": 403, "rejected:missing_identifier": 1, "rejected:missing_prediction": 1,
            "rejected:invalid_prediction": 1} == summary.status_counts  # fmt: skip
    same_rows(world, "read", "pushed")
    assert [("complete", 406, 64), ("complete", 406, 41)] == sorted(
        ((m["state"], m["row_count"], len(m["checksum"])) for m in world.rows("monitoring_output_markers")),
        key=lambda marker: -marker[2],
    )


def test_postgres_copies_its_own_types_as_they_are_read(postgres_world: Any, define: Any, tools: Any) -> None:
    rows = odd_rows(tools)
    world = postgres_world
    world.table("scores", [row | dict.fromkeys(ON_POSTGRES) for row in rows], COPIED | ON_POSTGRES)
    odd = [
        ("'infinity'", "'-infinity'", "'infinity'", "'NaN'", "'ab'", "0.1", "'{\"a\": [1, null]}'", "'10.0.0.1/8'"),
        ("'0001-01-01'", "'9999-12-31 23:59:59.999999'", "'2026-03-29 02:30+01'", "-1.5", "''", "'NaN'", "'1'",
         "'::1'"),
        ("'0044-03-15 BC'", "'2026-03-01 12:00:00.000001'", "'294276-12-31'", "99999999.9999", "'x'", "1e-40", "'\"\"'",
         "'1.2.3.4'"),
    ]  # fmt: skip
    spans, wholes = ("'1 mon 2 days 03:04:05.6'", "'-1 day'", "'0'"), ("'NaN'", "'9999999999'", "'-3'")
    with world.engine.begin() as connection:
        for number, (values, span, whole) in enumerate(zip(odd, spans, wholes, strict=True)):
            named = zip(ON_POSTGRES, [*values, span, whole], strict=True)
            sets = ", ".join(f"{name} = {value}" for name, value in named)
            connection.exec_driver_sql(f"UPDATE scores SET {sets} WHERE id = {number + 10}")

    summary, _ = both(world, define, passthrough_columns=list(ON_POSTGRES))

    assert 2 == summary.status_counts["rejected:unstorable_value"]
    same_rows(world, "read", "pushed")


def test_a_retry_replaces_rows_that_stay_and_other_windows_keep_theirs(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", odd_rows(tools), COPIED)
    definition = define(**WRITTEN, name="pushed", engine="sql")
    world.run(definition)
    world.run(definition, 1)
    world.table("scores", odd_rows(tools)[:100], COPIED)
    world.run(definition, 1)

    assert [100, 406] == sorted(Counter(row[JOB_COLUMN] for row in world.rows("read")).values())


@pytest.mark.parametrize("day", [None, 1])
def test_a_window_without_rows_gets_an_output_without_rows(
    world: Any, define: Any, tools: Any, day: int | None
) -> None:
    world.table("scores", [] if day is None else tools.day_rows(day, dirty=False))
    timed = WRITTEN | {"timestamp_column": "at"}
    read = world.run(define(**timed, name="read", engine="arrow"))
    pushed = world.run(define(**timed, name="pushed", engine="sql"))

    assert (0, 0, read.content_hash) == (pushed.rows, pushed.output_rows, pushed.content_hash)


def test_rows_that_changed_since_their_profile_are_not_written(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", odd_rows(tools), COPIED)
    definition = define(**WRITTEN | {"passthrough_columns": ["region"]}, name="pushed", engine="sql")

    class Later(tools.Source):  # type: ignore[misc,name-defined]
        @contextlib.contextmanager
        def selection(self, window: Any) -> Iterator[Any]:
            with self.inner.selection(window) as selection:
                yield selection
            with world.engine.begin() as connection:
                connection.execute(sa.text("UPDATE scores SET region = 'elsewhere' WHERE id = 5"))

    world.wrap = Later
    with pytest.raises(SourceUnavailable, match="rows changed between their profile and their statuses"):
        world.run(definition)
    assert [] == world.rows("read")
    world.wrap = lambda source: source
    assert 406 == world.run(definition).output_rows


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output_settings": WRITTEN["output_settings"] | {"table": "theirs"}}, "has no column 'monitoring_job_id'"),
        ({"passthrough_columns": ["region", "at"]}, r"'at' is .* in sqlite|$"),
        ({"passthrough_columns": ["odd"]}, "text and holds values that are none|text that is not UTF-8|$"),
    ],
)
def test_what_a_database_would_copy_otherwise_is_refused(
    world: Any, define: Any, tools: Any, changes: dict[str, Any], reason: str
) -> None:
    world.table("scores", [row | {"odd": "x"} for row in tools.day_rows(0, dirty=False)], COLUMNS | {"odd": sa.Text()})
    world.table("theirs", [], {"id": sa.BigInteger(), "region": sa.Text(), "status": sa.Text()})
    if world.engine.dialect.name == "sqlite":
        with world.engine.begin() as connection:
            connection.execute(sa.text("UPDATE scores SET odd = CAST(X'ff61' AS TEXT) WHERE id = 7"))
    elif reason.endswith("$"):
        assert 400 == world.run(define(**WRITTEN | changes, engine="sql")).output_rows
        return
    changes = WRITTEN | {"passthrough_columns": ["region"]} | changes

    with pytest.raises(ConfigurationError, match=reason):
        world.run(define(**changes, engine="sql"))
    assert 400 == world.run(define(**changes, name="read", engine="auto")).output_rows


def test_an_output_with_another_login_or_database_is_filled_from_rows_that_are_read(
    database_url: str, tmp_path: Path, define: Any, tools: Any
) -> None:
    stores = [f"sqlite:///{tmp_path / name}" for name in ("store.sqlite", "elsewhere.sqlite")]
    with tools.open_world(database_url, stores[0], tmp_path, stores[1]) as world:
        world.table("scores", odd_rows(tools), COPIED)

        with pytest.raises(ConfigurationError, match="the output is in another database, or has another login"):
            world.run(define(**WRITTEN, engine="sql"))
        assert 406 == world.run(define(**WRITTEN, name="auto", engine="auto")).output_rows
