"""Columns and values that real tables have and tidy ones have not."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import SourceError, SourceUnavailable


def test_empty_constant_and_infinite_columns_have_reasons_and_no_errors(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    columns = {**tools.COLUMNS, "empty": sa.Float(), "void": sa.String(), "constant": sa.Float(), "wild": sa.Float()}
    rows = tools.day_rows(0) + tools.day_rows(1)
    for i, row in enumerate(rows):
        wild = [math.inf, -math.inf, 1.5, 1e308][i % 4]
        row.update(empty=None, void=None, constant=3.0, wild=wild)
    world.table("scores", rows, columns)
    definition = define(features=["empty", "void", "constant", "wild"])
    world.run(definition)
    summary = world.run(definition, 1)
    assert "no_data" == world.value(summary.job_id, "psi", "empty").reason
    assert 1.0 == world.value(summary.job_id, "missing_rate", "void").value
    assert 0.0 == world.value(summary.job_id, "psi", "constant").value
    assert 0.5 == pytest.approx(world.value(summary.job_id, "inf_rate", "wild").value, abs=0.01)
    assert "no_detection" == world.evaluate(definition, summary).status
    for value in world.store.load_values(summary.job_id):
        assert (value.value is None) == (value.reason is not None) or value.reason is not None
        assert value.value is None or math.isfinite(value.value)


def test_not_a_number_is_missing_and_infinite_predictions_are_invalid(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    rows[0]["score"], rows[1]["score"], rows[2]["score"] = math.inf, -math.inf, math.nan
    world.table("scores", rows)
    counts = world.run(define()).status_counts
    expected = {"rejected:invalid_prediction": 2, "rejected:missing_prediction": 1, "monitored": 397}
    assert expected == counts


@pytest.mark.parametrize(("count", "reason"), [(1, "insufficient_data"), (99, "insufficient_data"), (100, None)])
def test_too_few_rows_are_irrelevant(small_world: Any, define: Any, tools: Any, count: int, reason: str | None) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0) + tools.day_rows(1, count=count, dirty=False))
    world.run(define())
    summary = world.run(define(), 1)
    assert reason == world.value(summary.job_id, "psi", "amount").reason
    assert ("irrelevant" if reason else "no_detection") == world.evaluate(define(), summary).status


def test_a_lacking_role_column_is_named_with_its_table(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))
    columns = define().monitoring_columns.model_dump(mode="json", exclude_none=True) | {"actuals_value_column": "truth"}
    with pytest.raises(
        SourceError, match=r"Column truth is not in table 'scores' of connection 'db'; it has: id, at, "
    ):
        world.run(define(monitoring_columns=columns))
    assert not world.has_table("results")


def test_features_that_go_come_and_change_are_findings(world: Any, define: Any, tools: Any) -> None:
    columns = {**tools.COLUMNS, "tenure": sa.Integer(), "plan": sa.String()}
    world.table("scores", [row | {"tenure": 1, "plan": "a"} for row in tools.day_rows(0)], columns)
    definition = define(features=None, passthrough_columns=None)
    world.run(definition)
    later = {k: v for k, v in columns.items() if k != "tenure"} | {"plan": sa.Integer(), "colour": sa.String()}
    world.table("scores", [row | {"plan": 7, "colour": "red"} for row in tools.day_rows(1)], later)
    job = world.run(definition, 1).job_id
    found = {
        name: [entry["column"] for entry in world.value(job, name).details["columns"]]
        for name in ("missing_columns", "new_columns", "retyped_columns")
    }
    assert {"missing_columns": ["tenure"], "new_columns": ["colour"], "retyped_columns": ["plan"]} == found
    assert "column_missing" == world.value(job, "psi", "tenure").reason
    assert "column_retyped" == world.value(job, "psi", "plan").reason
    assert world.value(job, "psi", "amount").value is not None


def test_repeated_identifiers_count_once_however_rows_come(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    repeated = rows + [dict(row) for row in rows[::3]] + [dict(rows[0])]
    world.table("scores", repeated)
    expected = world.run(define())
    assert 135 == expected.status_counts["rejected:duplicate_identifier"]

    class Unsorted(tools.Source):
        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            self.ordered_by = ()

    world.wrap = Unsorted
    found = world.run(define(name="unsorted", output_settings=None))
    assert (expected.status_counts, expected.content_hash) == (found.status_counts, found.content_hash)


def test_rows_that_vanish_between_two_readings_are_noticed(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))

    class Shrinking(tools.Source):
        reads = 0

        def __init__(self, inner: Any) -> None:
            super().__init__(inner)
            self.ordered_by = ()

        def batches(self, batches: Any) -> Any:
            Shrinking.reads += 1
            for batch in batches:
                yield batch if Shrinking.reads % 2 else batch.slice(0, batch.num_rows - 1)

    world.wrap = Shrinking
    with pytest.raises(SourceUnavailable, match="changed between the two readings"):
        world.run(define())
    assert not world.has_table("results")


def test_the_snapshot_is_the_same_whatever_order_and_size_of_batches(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, count=3000, dirty=False)
    found = set()
    for step, turned in ((65_536, False), (7, False), (1000, True)):
        world.table("scores", rows[::-1] if turned else rows)

        class Sliced(tools.Source):
            size = step

            def batches(self, batches: Any) -> Any:
                for batch in batches:
                    for start in range(0, batch.num_rows, self.size):
                        yield batch.slice(start, self.size)

        world.wrap = Sliced
        found.add(world.run(define()).content_hash)
    assert 1 == len(found)


def test_copied_values_that_no_output_holds_are_told_and_the_row_kept(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)

    class Poisoned(tools.Source):
        def schema(self) -> pa.Schema:
            return self.inner.schema().append(pa.field("note", pa.string())).append(pa.field("big", pa.uint64()))

        def batches(self, batches: Any) -> Any:
            return batches

        def read(self, columns: Any, window: Any) -> Any:
            return self._read(columns, window)

        def _read(self, columns: Any, window: Any) -> Any:
            import contextlib

            @contextlib.contextmanager
            def opened() -> Any:
                with self.inner.read([c for c in columns if c not in ("note", "big")], window) as batches:
                    yield (self._extended(batch, columns) for batch in batches)

            return opened()

        def _extended(self, batch: pa.RecordBatch, columns: Any) -> pa.RecordBatch:
            ids = batch.column("id").to_pylist()
            notes = ["a\0b" if i == 5 else "fine" for i in ids]
            big = [2**63 if i == 6 else 2**63 - 1 for i in ids]
            extra = {"note": pa.array(notes), "big": pa.array(big, pa.uint64())}
            made = {name: extra[name] if name in extra else batch.column(name) for name in columns}
            return pa.RecordBatch.from_arrays(list(made.values()), names=list(made))

    world.wrap = Poisoned
    summary = world.run(define(passthrough_columns=["note", "big"]))
    assert {"monitored": 398, "rejected:unstorable_value": 2} == summary.status_counts
    found = {row["id"]: row for row in world.rows("results")}
    assert (400, None, "rejected:unstorable_value") == (len(found), found[5]["note"], found[5]["status"])
    assert (None, "rejected:unstorable_value") == (found[6]["big"], found[6]["status"])
    assert (2**63 - 1, "fine", "monitored") == (found[7]["big"], found[7]["note"], found[7]["status"])


def test_instants_of_text_tables_are_copied_as_instants(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, count=200, dirty=False)
    with world.engine.begin() as connection:
        connection.exec_driver_sql(
            "CREATE TABLE scores (id INTEGER, at TIMESTAMP, amount REAL, region TEXT, score REAL, churned TEXT, "
            "seen TIMESTAMP)"
        )
        for row in rows:
            at = row["at"].isoformat() + "Z"
            values = (row["id"], at, row["amount"], row["region"], row["score"], row["churned"], at)
            connection.exec_driver_sql("INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", values)
    summary = world.run(define(passthrough_columns=["seen"]))
    assert {"monitored": 200} == summary.status_counts
    expected = {row["id"]: row["at"].replace(tzinfo=dt.UTC) for row in rows}

    def instant(value: Any) -> dt.datetime:
        read = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        return read.replace(tzinfo=dt.UTC) if read.tzinfo is None else read

    assert expected == {row["id"]: instant(row["seen"]) for row in world.rows("results")}


@pytest.mark.parametrize("unreadable", ["garbage", "2026/03/01 01:00:00", "01.03.2026"])
def test_rows_whose_time_cannot_be_read_are_counted(world: Any, define: Any, tools: Any, unreadable: str) -> None:
    columns = {**tools.COLUMNS, "at": sa.String()}
    rows = [row | {"at": row["at"].isoformat()} for row in tools.day_rows(0, dirty=False)]
    rows[5]["at"], rows[6]["at"] = unreadable, None
    world.table("scores", rows, columns)
    summary = world.run(define())
    assert (398, 2) == (summary.rows, summary.null_timestamps)


def test_an_update_reports_what_it_changed(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    world.table("scores", rows)
    world.table(
        "results",
        [{"id": row["id"], "status": None} for row in rows[:100]],
        {"id": sa.BigInteger(), "status": sa.String()},
    )
    output = {
        "type": "sql",
        "data_store_id": "db",
        "table": "results",
        "statement_type": "update",
        "where_columns": ["id"],
    }
    summary = world.run(define(output_settings=output, passthrough_columns=[]))
    assert (400, 100) == (summary.rows, summary.output_rows)
    assert any("300 rows matched no row" in line.line for line in world.store.job(summary.job_id).log)


def test_a_limit_on_the_drift_share_is_a_monitor_of_its_own(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0) + tools.day_rows(1, shift=3.0))
    definition = define(thresholds={"drift_share": {"critical": 0.4}})
    world.evaluate(definition, world.run(definition, 0))
    late = world.run(definition, 1)
    world.evaluate(definition, late)
    assert any("drift_share" in alert.title for alert in world.store.pending_alerts(job_id=late.job_id))


def test_the_model_score_is_a_result_a_monitor_and_an_alert(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0) + tools.day_rows(1, shift=3.0))
    counted = define(model_score={"rule": "importance_counts", "low_importance_failing_count": 1})
    world.evaluate(counted, world.run(counted, 0))
    late = world.run(counted, 1)

    first, again = world.evaluate(counted, late), world.evaluate(counted, late)

    results = list(world.store.results(late.job_id, limit=1000))
    found = {result.value.name: result for result in results if result.value.column is None}
    assert "detected" == again.status
    assert (first.status, first.worst) == (again.status, again.worst)
    assert "detected" == found["drifted_features"].status.text
    assert 1 <= found["drifted_features"].value.value
    assert "drift_share" in found
    assert len(found) == sum(result.value.column is None for result in results)
    assert "drifted_features" not in {value.name for value in world.store.load_values(late.job_id)}
    titles = [alert.title for alert in world.store.pending_alerts(job_id=late.job_id)]
    assert any("drifted_features" in title for title in titles)
    assert not any("psi of distance" in title for title in titles)
