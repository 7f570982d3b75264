"""A job in parts is the job in one task: the same profile, rows, values and predictions, whatever happens to a part."""

from __future__ import annotations

import csv
import dataclasses
import datetime as dt
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import JobState, with_partitions
from airflow_monitoring_provider.exceptions import (
    CorruptData,
    JobAborted,
    JobInterrupted,
    PartMissing,
    SourceError,
    Superseded,
    TooManyRejectedRows,
)
from airflow_monitoring_provider.jobs.parts import PartReference, claim_job, merge_and_commit, profile_part
from airflow_monitoring_provider.profiles.serialise import from_bytes

FILES = {"intake_settings": {"type": "file", "url": "in"}}


def cut(world: Any, definition: Any, tools: Any, day: int = 0, **partitions: Any) -> tuple[PartReference, ...]:
    """Claim a day and cut it."""
    return claim_job(with_partitions(definition, partitions), tools.window(day), world.ports())


def told(world: Any, job: str) -> dict[str, Any]:
    """Everything that readers see of a job, but for names and times; moments to nine digits."""
    record, stored = world.store.job(job), world.store.load_profile(job)
    profile = from_bytes(stored.data, stored.content_hash)
    values = {
        (v.name, v.column): (v.reason, None if v.value is None else pytest.approx(v.value, rel=1e-9, abs=1e-12))
        for v in world.store.load_values(job)
    }
    predictions = [
        {name: value for name, value in row.items() if name != "batch_id"}
        for file in world.store.prediction_files(job)
        for batch in world.storage.read_predictions(file)
        for row in batch.to_pylist()
    ]
    return {
        "hash": stored.content_hash,
        "rows": profile.rows,
        "statuses": record.snapshot.status_counts,
        "null timestamps": record.snapshot.null_timestamps,
        "span": (record.snapshot.earliest, record.snapshot.latest),
        "values": values,
        "predictions": Counter(tuple(sorted(row.items())) for row in predictions),
    }


def output(world: Any, table: str) -> Counter[Any]:
    """The rows of an output table without their job, as a multiset."""
    return Counter(
        tuple(sorted((k, v) for k, v in row.items() if k != "monitoring_job_id")) for row in world.rows(table)
    )


def both(world: Any, define: Callable[..., Any], partitions: dict[str, Any], **changes: Any) -> tuple[Any, Any]:
    """A day as one task and in parts: what is told of each, with its output rows."""
    found = []
    for name in ("one", "many"):
        place = {
            "type": "sql",
            "data_store_id": "db",
            "table": f"results_{name}",
            "statement_type": "insert",
            "create_table_if_not_exists": True,
        }
        definition = define(name=name, **{"output_settings": place, **changes})
        summary = world.run(definition) if name == "one" else world.run_in_parts(definition, partitions)
        rows = output(world, f"results_{name}") if definition.output_settings else Counter()
        found.append((told(world, summary.job_id), rows, summary.output_rows))
    return found[0], found[1]


def repeated_rows(tools: Any) -> list[dict[str, Any]]:
    """A day in which identifiers come again later, earlier, and in the same instant, and times are missing."""
    rows: list[dict[str, Any]] = tools.day_rows(0, 300)
    for place, other, hours in ((40, 200, 0), (220, 10, 0), (150, 151, 0), (290, 100, 3), (299, 5, 0)):
        rows[place] = rows[place] | {"id": rows[other]["id"], "at": rows[place]["at"] + dt.timedelta(minutes=hours)}
    rows[60]["at"] = rows[61]["at"] = None
    return rows


@pytest.mark.parametrize("partitions", [{"by": "key"}, {"by": "time"}, {"by": "auto", "count": 7}, {"count": 1}])
def test_a_table_in_parts_gives_what_one_task_gives(
    world: Any, define: Any, tools: Any, partitions: dict[str, Any]
) -> None:
    world.table("scores", repeated_rows(tools))
    one, many = both(world, define, partitions)
    assert one == many
    assert one[0]["null timestamps"] == 2
    assert one[0]["statuses"]["rejected:duplicate_identifier"] == 6


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("by", ["file", "auto"])
def test_files_in_parts_give_what_one_task_gives(small_world: Any, define: Any, tools: Any, form: str, by: str) -> None:
    world, rows = small_world, repeated_rows(tools)
    write(world.files / "in", rows, form, files=5)
    one, many = both(world, define, {"by": by, "count": 3}, **FILES)
    assert one == many
    assert one[0]["statuses"]["rejected:duplicate_identifier"] == 6


def test_row_groups_in_parts_give_what_one_task_gives(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, repeated_rows(tools)
    (world.files / "in").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), world.files / "in" / "a.parquet", row_group_size=40)
    parts = cut(world, define(name="cut", **FILES), tools, by="row_group", count=4)
    assert 4 == len(parts)
    one, many = both(world, define, {"by": "row_group", "count": 4}, **FILES)
    assert one == many


def test_a_query_without_identifiers_and_output_is_cut_by_a_column(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0, 300, dirty=False))
    query = {"type": "sql", "data_store_id": "db", "query": "SELECT * FROM scores WHERE region <> 'west'"}
    changes = {"intake_settings": query, "output_settings": None, "monitoring_output_settings": None}
    one, many = both(world, define, {"by": "key", "column": "amount", "count": 5}, **changes)
    assert one == many
    assert 0 < one[0]["rows"] < 300


def test_engine_auto_reads_parts_and_says_so(small_world: Any, define: Any, tools: Any) -> None:
    small_world.table("scores", tools.day_rows(0, 40, dirty=False))
    read = small_world.run_in_parts(define(), {"count": 2})
    done = small_world.run_in_parts(define(name="auto", engine="auto"), {"count": 2})
    told = [line.line for line in small_world.store.job(done.job_id).log]
    assert (1, read.content_hash) == (
        told.count("rows are read, because a database counts no parts"),
        done.content_hash,
    )


def test_a_key_that_the_database_puts_in_no_order_is_an_error(postgres_world: Any, define: Any, tools: Any) -> None:
    rows = [row | {"key": {"a": row["id"]}} for row in tools.day_rows(0, 40, dirty=False)]
    postgres_world.table("scores", rows, {**tools.COLUMNS, "key": sa.JSON()})
    definition = define(output_settings=None, passthrough_columns=None, monitoring_output_settings=None)
    with pytest.raises(SourceError, match=r"puts in no order; set partitions\.column to a column of numbers"):
        cut(postgres_world, definition, tools, by="key", column="key")


VALUES = st.one_of(st.none(), st.integers(-9, 9), st.sampled_from(["1", "x", "", "é"]), st.floats(-2, 2))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(VALUES, st.integers(0, 90_000), st.sampled_from("abc")), max_size=40),
    count=st.integers(1, 9),
    by=st.sampled_from(["key", "time"]),
)
def test_any_rows_in_any_parts_give_what_one_task_gives(
    small_world: Any, define: Any, tools: Any, rows: list[Any], count: int, by: str
) -> None:
    """Columns of SQLite hold anything, also identifiers: one part alone may hold integers only."""
    start = tools.FIRST_DAY.replace(tzinfo=None)
    world = small_world
    columns = {"id": sa.BigInteger(), "at": sa.DateTime(), "amount": sa.Float(), "region": sa.String()}
    world.table("scores", [], columns | {"score": sa.Float(), "churned": sa.String()})
    with world.engine.begin() as connection:
        for key, second, region in rows:
            connection.exec_driver_sql(
                "INSERT INTO scores VALUES (?, ?, ?, ?, ?, ?)",
                (key, str(start + dt.timedelta(seconds=second)), second, region, 0.5, "yes"),
            )
    one, many = both(world, define, {"by": by, "count": count}, output_settings=None)
    assert one == many


def test_an_empty_window_commits(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(1))
    summary = world.run_in_parts(define(), {"count": 4})
    assert (0, 0, JobState.COMPLETED) == (summary.rows, summary.output_rows, world.store.job(summary.job_id).state)


def test_references_are_small_and_staged_files_go_with_the_commit(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=3)
    assert [0, 1, 2] == [part.part for part in parts]
    assert {"job_id", "token", "part", "parts"} == parts[0].to_dict().keys()
    for part in parts:
        profile_part(part, world.ports())
    assert 3 == len(staged(world))
    merge_and_commit(parts[0], world.ports())
    assert [] == staged(world)
    assert () == world.store.parts(parts[0].job_id, parts[0].token)


def test_a_missing_part_is_named_and_may_still_come(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=3)
    profile_part(parts[0], world.ports())
    profile_part(parts[2], world.ports())
    with pytest.raises(PartMissing, match=r"part 1 of 3 of job .* is not staged \(waiting\)"):
        merge_and_commit(parts[0], world.ports())
    assert JobState.FAILED == world.store.job(parts[0].job_id).state
    assert not world.has_table("results")
    profile_part(parts[1], world.ports())
    assert 400 == merge_and_commit(parts[0], world.ports()).output_rows


def test_a_staged_file_that_is_gone_or_damaged_is_named(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=2)
    for part in parts:
        profile_part(part, world.ports())
    path = world.folder / "storage" / world.store.parts(parts[0].job_id, parts[0].token)[1].file.path
    whole = path.read_bytes()
    path.unlink()
    with pytest.raises(PartMissing, match=r"part 1 of 2 .* cannot be read here"):
        merge_and_commit(parts[0], world.ports())
    for place in (10, len(whole) // 2, len(whole) - 5):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(CorruptData, match="part 1 of 2"):
            merge_and_commit(parts[0], world.ports())
        assert not world.has_table("results") or [] == world.rows("results")
    path.write_bytes(whole[:-1])
    with pytest.raises(CorruptData, match="part 1 of 2"):
        merge_and_commit(parts[0], world.ports())
    profile_part(parts[1], world.ports())
    assert 400 == merge_and_commit(parts[0], world.ports()).output_rows


def test_a_part_of_an_older_claim_is_superseded(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    old = cut(world, define(), tools, count=2)
    profile_part(old[0], world.ports())
    assert 1 == len(staged(world))
    new = cut(world, define(), tools, count=2)
    assert [] == staged(world)
    for run in (profile_part, merge_and_commit):
        with pytest.raises(Superseded):
            run(old[1], world.ports())
    for part in new:
        profile_part(part, world.ports())
    assert 400 == merge_and_commit(new[0], world.ports()).output_rows
    with pytest.raises(Superseded):
        profile_part(old[1], world.ports())


def test_a_part_that_wakes_up_after_a_newer_claim_stages_nothing(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    (old,) = cut(world, define(), tools, count=1)
    newer: list[PartReference] = []

    class Late(tools.Source):  # type: ignore[misc, name-defined]
        def batches(self, batches: Any) -> Any:
            yield from batches
            newer.extend(cut(world, define(), tools, count=1))

    world.wrap = Late
    with pytest.raises(Superseded):
        profile_part(old, world.ports())
    world.wrap = lambda source: source
    assert [] == staged(world)
    profile_part(newer[0], world.ports())
    assert 400 == merge_and_commit(newer[0], world.ports()).rows


def test_a_merge_that_wakes_up_beside_its_retry_writes_nothing(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=2)
    for part in parts:
        profile_part(part, world.ports())
    summaries: list[Any] = []

    def retry(_claim: Any) -> None:
        summaries.append(merge_and_commit(parts[0], world.ports()))

    with pytest.raises(Superseded):
        merge_and_commit(parts[0], world.ports(), on_claim=retry)
    (summary,) = summaries
    assert (400, 1) == (len(world.rows("results")), world.store.job(summary.job_id).snapshot_revision)
    assert JobState.COMPLETED == world.store.job(summary.job_id).state


def test_a_cleared_task_of_a_committed_job_changes_nothing(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=2)
    for part in parts:
        profile_part(part, world.ports())
    first = merge_and_commit(parts[0], world.ports())
    before = world.rows("results")
    profile_part(parts[1], world.ports())
    again = merge_and_commit(parts[0], world.ports())
    assert (first.content_hash, 1) == (again.content_hash, again.snapshot_revision)
    assert before == world.rows("results")
    assert [] == staged(world)


def test_a_part_that_failed_runs_again_under_the_same_claim(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=2)
    with pytest.raises(JobInterrupted):
        profile_part(parts[0], world.ports(), cancelled=lambda: True)
    job = world.store.job(parts[0].job_id)
    assert (JobState.FAILED, True) == (job.state, (job.reason or "").startswith("part 0 of 2: "))
    profile_part(parts[1], world.ports())
    job = world.store.job(parts[0].job_id)
    assert (JobState.FAILED, True) == (job.state, (job.reason or "").startswith("part 0 of 2: "))
    profile_part(parts[0], world.ports())
    assert JobState.RUNNING == world.store.job(parts[0].job_id).state
    assert 400 == merge_and_commit(parts[0], world.ports()).rows


def test_an_abort_reaches_all_parts(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=3)
    profile_part(parts[0], world.ports())
    world.store.request_abort(parts[0].job_id, by="somebody")
    for part in parts[1:]:
        with pytest.raises(JobAborted):
            profile_part(part, world.ports())
    with pytest.raises(JobAborted):
        merge_and_commit(parts[0], world.ports())
    assert JobState.ABORTED == world.store.job(parts[0].job_id).state
    assert not world.has_table("results")


def test_progress_counts_over_all_parts(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0, dirty=False))
    seen = []
    for part in cut(world, define(), tools, count=4):
        profile_part(part, world.ports())
        job = world.store.job(part.job_id)
        seen.append((job.percent, job.scored + job.failed))
    assert [(19.0, 100), (36.0, 200), (53.0, 300), (70.0, 400)] == seen


def test_too_many_rejected_rows_are_counted_over_all_parts(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, tools.day_rows(0, 100, dirty=False)
    for row in rows[:20]:
        row["score"] = None
    world.table("scores", rows)
    assert 100 == world.run_in_parts(define(max_rejected_share=0.2), {"count": 5}).rows
    with pytest.raises(TooManyRejectedRows, match="20 of 100 rows"):
        world.run_in_parts(define(name="strict", max_rejected_share=0.19), {"count": 5})


def test_a_file_that_is_replaced_between_parts_is_an_error(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    write(world.files / "in", tools.day_rows(0), "csv", files=2)
    parts = cut(world, define(**FILES), tools, count=2)
    profile_part(parts[0], world.ports())
    path = world.files / "in" / "1.csv"
    replaced = path.read_text()
    path.unlink()
    path.with_suffix(".new").write_text(replaced)
    path.with_suffix(".new").rename(path)
    with pytest.raises(SourceError, match=r"1\.csv' has changed since the job was claimed; clear the whole task group"):
        profile_part(parts[1], world.ports())


def test_rows_that_come_between_parts_are_an_error(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0, 200))
    parts = cut(world, define(), tools, count=2)
    profile_part(parts[0], world.ports())
    world.table("scores", tools.day_rows(0, 201))
    profile_part(parts[1], world.ports())
    with pytest.raises(SourceError, match=r"there were 200 when they were cut, and the parts read 20[01]"):
        merge_and_commit(parts[0], world.ports())
    assert not world.has_table("results")


def test_timestamps_that_are_no_times_are_an_error_only_where_no_part_has_one(
    small_world: Any, define: Any, tools: Any
) -> None:
    world, rows = small_world, tools.day_rows(0, 100, dirty=False)
    write(world.files / "in", [r | {"at": "later" if i < 50 else r["at"]} for i, r in enumerate(rows)], "csv", files=2)
    one, many = both(world, define, {"count": 2}, **FILES)
    assert one == many
    assert 50 == one[0]["null timestamps"]
    write(world.files / "none", [r | {"at": "later"} for r in rows], "csv", files=2)
    with pytest.raises(SourceError, match="none of its 50 values is a time"):
        world.run_in_parts(
            define(name="none", intake_settings={"type": "file", "url": "none"}, output_settings=None), {"count": 2}
        )


def test_the_definition_is_the_one_that_was_claimed(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    world.table("scores", tools.day_rows(0))
    parts = cut(world, define(), tools, count=2)
    profile_part(parts[0], world.ports())
    world.store.register_definition(define(features=["amount"]))
    profile_part(parts[1], world.ports())
    job = merge_and_commit(parts[0], world.ports()).job_id
    assert {"amount", "region"} <= {v.column for v in world.store.load_values(job)}


def test_later_windows_in_parts_are_compared_with_the_first(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0) + tools.day_rows(1, shift=1.0))
    found = []
    for name in ("one", "many"):
        definition = define(name=name, output_settings=None)
        world.run(definition)
        job = (world.run(definition, 1) if name == "one" else world.run_in_parts(definition, {"count": 3}, 1)).job_id
        found.append(told(world, job))
    assert found[0] == found[1]


def test_row_groups_of_other_files_are_an_error(small_world: Any, define: Any, tools: Any) -> None:
    write(small_world.files / "in", tools.day_rows(0), "csv", files=2)
    with pytest.raises(SourceError, match=r"partitions.by is 'row_group', but files 'in' are csv"):
        cut(small_world, define(**FILES), tools, by="row_group")


def write(folder: Path, rows: list[dict[str, Any]], form: str, files: int) -> None:
    """Rows in a row of files."""
    folder.mkdir(parents=True, exist_ok=True)
    size = -(-len(rows) // files)
    for number in range(files):
        part = rows[number * size : (number + 1) * size]
        if form == "parquet":
            schema = pa.Table.from_pylist(rows).schema
            pq.write_table(pa.Table.from_pylist(part, schema=schema), folder / f"{number}.parquet")
            continue
        with (folder / f"{number}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(part)


def staged(world: Any) -> list[Path]:
    """Staged files, also unfinished ones."""
    return [path for path in (world.folder / "storage" / "staged").rglob("*") if path.is_file()]


def test_a_try_that_wakes_beside_its_own_retry_leaves_what_the_retry_staged(
    small_world: Any, define: Callable[..., Any], tools: Any
) -> None:
    small_world.table("scores", tools.day_rows(0, 200, dirty=False))
    parts = cut(small_world, define(), tools, by="time", count=2)
    once: list[bool] = []

    class Waking(tools.Source):  # type: ignore[misc]
        """Stands still while another try reads the part, when every score has become 0.25."""

        def batches(self, batches: Any) -> Any:
            rows = list(batches)
            if not once:
                once.append(True)
                profile_part(parts[0], small_world.ports())
                yield from rows
                return
            for batch in rows:
                place = batch.schema.get_field_index("score")
                yield batch.set_column(place, "score", pa.array([0.25] * len(batch))) if place >= 0 else batch

    small_world.wrap = Waking
    with pytest.raises(Superseded, match="another try of part 0 has staged it meanwhile"):
        profile_part(parts[0], small_world.ports())
    profile_part(parts[1], small_world.ports())
    merge_and_commit(parts[0], small_world.ports())
    profile = from_bytes(small_world.store.load_profile(parts[0].job_id).data)
    assert 0.25 == profile.columns["score"].moments.mean


def test_a_part_is_not_read_again_while_its_job_is_merged(
    small_world: Any, define: Callable[..., Any], tools: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world.table("scores", tools.day_rows(0, 200, dirty=False))
    parts = cut(small_world, define(), tools, by="time", count=2)
    for part in parts:
        profile_part(part, small_world.ports())
    ports = small_world.ports()
    writer = ports.writer

    def disturbed(definition: Any) -> Any:
        with pytest.raises(Superseded, match="are being merged"):
            profile_part(parts[1], small_world.ports())
        return writer(definition)

    summary = merge_and_commit(parts[0], dataclasses.replace(ports, writer=disturbed))
    assert (200, 200) == (summary.rows, summary.output_rows)
