"""F10: between two batches columns come, go, are renamed and change their type, in real tables and files.

A feature that changed is a quality result and stops nothing. A column that the job cannot do without is an error that
names it, and trying again does not help.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

import job_world
from airflow_monitoring_provider.definitions import JobState
from airflow_monitoring_provider.exceptions import OutputError, SourceError, TerminalError
from faults import routes

INTAKES = ("sqlite", "postgres", "csv", "parquet", "jsonl")
START = dt.datetime(2026, 3, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
SQL_TYPES = {int: sa.BigInteger(), float: sa.Float(), str: sa.Text(), bool: sa.Boolean(), dt.datetime: sa.DateTime()}
NEEDED = ("id", "at", "score", "churned", "region")

# The second batch: what becomes of its columns, and what must be said of them.
CHANGES: dict[str, tuple[dict[str, Any], dict[str, list[str]]]] = {
    "nothing": ({}, {}),
    "added": ({"colour": "red"}, {"new_columns": ["colour"]}),
    "dropped": ({"amount": None}, {"missing_columns": ["amount"]}),
    "renamed": ({"amount": None, "Amount": 2.5}, {"missing_columns": ["amount"], "new_columns": ["Amount"]}),
    "number to text": ({"amount": "much"}, {"retyped_columns": ["amount"]}),
    "number to truth": ({"amount": True}, {"retyped_columns": ["amount"]}),
    "number to time": ({"amount": START}, {"retyped_columns": ["amount"]}),
    "text to number": ({"plan": 7}, {"retyped_columns": ["plan"]}),
    "text to time": ({"plan": START}, {"retyped_columns": ["plan"]}),
    "time to text": ({"since": "long ago"}, {"retyped_columns": ["since"]}),
    "truth to number": ({"open": 12}, {"retyped_columns": ["open"]}),
    "whole to fraction": ({"count": 1.5}, {}),
    "all at once": (
        {"amount": None, "plan": 7, "colour": "red", "open": "maybe"},
        {"missing_columns": ["amount"], "new_columns": ["colour"], "retyped_columns": ["open", "plan"]},
    ),
}


def rows(day: int, **changes: Any) -> list[dict[str, Any]]:
    """A day's rows; a change to None takes the column away."""
    found = []
    for place in range(120):
        plain = {
            "id": f"{day} {place}",
            "at": START + dt.timedelta(days=day, seconds=place),
            "amount": place / 7,
            "plan": "ab"[place % 2],
            "count": place % 5,
            "open": place % 3 == 0,
            "since": START - dt.timedelta(days=place),
            "region": "north",
            "score": (place % 10) / 10,
            "churned": "yes" if place % 2 else "no",
        }
        found.append({name: value for name, value in (plain | changes).items() if value is not None})
    return found


class Bench:
    """One intake whose columns can change."""

    def __init__(self, intake: str, world: job_world.World) -> None:
        self.intake, self.world = intake, world
        (world.files / "in").mkdir()

    def fill(self, batch: list[dict[str, Any]]) -> None:
        if self.intake in ("sqlite", "postgres"):
            self.world.table("scores", batch, {name: SQL_TYPES[type(value)] for name, value in batch[0].items()})
            return
        path = self.world.files / "in" / f"rows.{self.intake}"
        if self.intake == "parquet":
            pq.write_table(pa.Table.from_pylist(batch), path)
        else:
            (routes.write_csv if self.intake == "csv" else routes.write_jsonl)(path, batch)

    def define(self, **changes: Any) -> Any:
        given: dict[str, Any] = {"features": None, "passthrough_columns": ["region"]}
        if self.intake not in ("sqlite", "postgres"):
            given["intake_settings"] = {"type": "file", "url": "in"}
        return job_world.define(**(given | changes))

    def changes(self, job_id: str) -> dict[str, list[str]]:
        """What the quality results say of columns."""
        found = {}
        for name in ("missing_columns", "new_columns", "retyped_columns"):
            value = self.world.value(job_id, name)
            columns = [entry["column"] for entry in value.details["columns"]]
            assert len(columns) == value.value
            found[name] = columns
        return {name: columns for name, columns in found.items() if columns}


@pytest.fixture
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    urls = {"data": f"sqlite:///{tmp_path / 'data.sqlite'}", "store": f"sqlite:///{tmp_path / 'store.sqlite'}"}
    if request.param == "postgres":
        urls = dict.fromkeys(urls, request.getfixturevalue("postgres_url"))
    with job_world.open_world(urls["data"], urls["store"], tmp_path) as world:
        yield Bench(request.param, world)


every_intake = pytest.mark.parametrize("bench", INTAKES, indirect=True)


@every_intake
def test_every_change_of_a_feature_is_a_finding_and_stops_nothing(bench: Bench) -> None:
    world, definition = bench.world, bench.define()
    bench.fill(rows(0))
    first = world.run(definition)
    assert {} == bench.changes(first.job_id)
    for what, (changes, expected) in CHANGES.items():
        bench.fill(rows(1, **changes))
        summary = world.run(definition, 1)
        assert {"monitored": 120} == summary.status_counts, what
        assert expected == bench.changes(summary.job_id), what
        for name in expected.get("missing_columns", []):
            assert "column_missing" == world.value(summary.job_id, "psi", name).reason, what
        for name in set(expected.get("retyped_columns", [])) - {"since"}:  # times have no distribution
            assert "column_retyped" == world.value(summary.job_id, "psi", name).reason, what
    world.evaluate(definition, summary)
    routes.assert_shown(world, summary.job_id)


@every_intake
def test_a_lacking_needed_column_is_terminal_and_named(bench: Bench) -> None:
    world, definition = bench.world, bench.define()
    bench.fill(rows(0))
    world.run(definition)
    before = world.rows("results")
    for column in NEEDED:
        bench.fill(rows(1, **{column: None}))
        with pytest.raises(SourceError, match=rf"Column {column} is not in .*; it has: ") as caught:
            world.run(definition, 1)
        assert isinstance(caught.value, TerminalError)
        (job,) = world.store.jobs(state=JobState.FAILED)
        assert f"Column {column} is not in" in str(job.reason)
    assert before == world.rows("results")


@every_intake
def test_a_needed_column_of_another_type_costs_the_rows_and_not_the_job(bench: Bench) -> None:
    world, definition = bench.world, bench.define()
    bench.fill(rows(0))
    world.run(definition)
    bench.fill(rows(1, score="high"))
    summary = world.run(definition, 1)
    assert {"rejected:bad_type": 120} == summary.status_counts
    assert 240 == len(world.rows("results"))


@every_intake
def test_an_identifier_of_another_type_is_an_error_before_anything_is_written(bench: Bench) -> None:
    world, definition = bench.world, bench.define()
    bench.fill([row | {"id": place} for place, row in enumerate(rows(0))])
    world.run(definition)
    before = world.rows("results")
    bench.fill(rows(1))
    with pytest.raises(OutputError, match=r"column 'id': the column is .* and cannot hold string"):
        world.run(definition, 1)
    assert before == world.rows("results")


@every_intake
def test_a_new_column_that_the_output_lacks_is_an_error_that_names_it(bench: Bench) -> None:
    world = bench.world
    definition = bench.define(passthrough_columns=None, passthrough_columns_set="all", features=["amount"])
    bench.fill(rows(0))
    world.run(definition)
    before = world.rows("results")
    bench.fill(rows(1, colour="red"))
    with pytest.raises(OutputError, match="has no column 'colour', which is to be written; it has "):
        world.run(definition, 1)
    assert before == world.rows("results")


@pytest.mark.parametrize("bench", ["csv", "parquet"], indirect=True)
def test_a_file_that_lacks_a_needed_column_among_others_is_named(bench: Bench) -> None:
    bench.fill(rows(0))
    path = bench.world.files / "in" / f"rows.{bench.intake}"
    path.rename(path.with_stem("a"))
    bench.fill(rows(0, score=None))
    with pytest.raises(SourceError, match=rf"file 'in/rows\.{bench.intake}' has no columns named 'score'"):
        bench.world.run(bench.define())
    assert not bench.world.has_table("results")


def test_files_that_store_a_column_in_types_of_nothing_in_common_are_named(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("data.sqlite", "store.sqlite")]
    with job_world.open_world(urls[0], urls[1], tmp_path) as world:
        bench = Bench("parquet", world)
        bench.fill(rows(0))
        path = world.files / "in" / "rows.parquet"
        path.rename(path.with_stem("a"))
        bench.fill(rows(0, amount="much"))
        with pytest.raises(SourceError, match=r"'in/rows\.parquet' stores column 'amount' as string, .* double"):
            world.run(bench.define())
