"""Jobs whose rows come from files and go to files."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_monitoring_provider.exceptions import SourceError

UNSAFE = ['say "hi"', "a,b", "line\nbreak", "žluťoučký kůň", "数据", "=1+1", " spaced ", "semi;colon"]


def write(path: Path, rows: list[dict[str, Any]], form: str) -> None:
    """Rows as one file; times end in Z."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
        return
    texts = [row | {"at": row["at"].isoformat() + "Z"} for row in rows]
    if form == "jsonl":
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in texts), encoding="utf-8")
        return
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(texts)


def written(world: Any) -> list[dict[str, Any]]:
    """The rows of the only file in the output folder."""
    (path,) = (p for p in (world.files / "out").rglob("*") if p.is_file() and not p.name.startswith("."))
    if path.suffix == ".parquet":
        return pq.read_table(path, partitioning=None).to_pylist()
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def places(url: str, form: str = "parquet") -> dict[str, Any]:
    """Intake and output of a definition."""
    return {
        "intake_settings": {"type": "file", "url": url},
        "output_settings": {"type": "file", "url": "out", "format": form},
    }


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize("url", ["in", "in/*", "in/rows.{}"])
def test_rows_of_files_end_as_rows_of_a_file(
    small_world: Any, define: Any, tools: Any, oracle: Any, form: str, url: str
) -> None:
    world, rows = small_world, tools.day_rows(0)
    parts = [rows] if "{}" in url else [rows[:150], rows[150:]]
    names = ["rows"] if "{}" in url else ["a", "b"]
    for name, part in zip(names, parts, strict=True):
        write(world.files / "in" / f"{name}.{form}", part, form)
    summary = world.run(define(**places(url.format(form))))
    statuses = oracle.statuses(rows, ["score"], ["id"])
    expected = [(row["id"], row["region"], status) for row, status in zip(rows, statuses, strict=True)]
    assert expected == [(row["id"], row["region"], row["status"]) for row in written(world)]
    assert (dict(Counter(statuses)), 400) == (summary.status_counts, summary.output_rows)


def test_all_forms_of_the_same_rows_give_the_same_statuses_and_values(
    small_world: Any, define: Any, tools: Any
) -> None:
    world, found = small_world, []
    for form in ("csv", "parquet", "jsonl"):
        write(world.files / form / f"rows.{form}", tools.day_rows(0) + tools.day_rows(1, shift=0.4), form)
        definition = define(name=form, **{**places(form), "output_settings": None})
        world.run(definition)
        job = world.run(definition, 1).job_id
        found.append({(v.name, v.column): v.value for v in world.store.load_values(job)})
    assert found[0] == found[1] == found[2]


def test_texts_survive_quoting_in_both_directions(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    for i, row in enumerate(rows):
        row["region"] = UNSAFE[i % len(UNSAFE)]
    write(world.files / "in" / "rows.csv", rows, "csv")
    world.run(define(**places("in", "csv")))
    assert [(str(r["id"]), r["region"]) for r in rows] == [(r["id"], r["region"]) for r in written(world)]
    assert set(UNSAFE) == {level for row in rows for level in [row["region"]]}


def test_csv_columns_are_copied_in_the_type_that_was_decided_for_them(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    rows = [r | {"seen": r["at"].isoformat() + "+02:00"} for r in tools.day_rows(0, dirty=False)]
    write(world.files / "in" / "rows.csv", rows, "csv")
    world.run(define(**places("in"), passthrough_columns=["at", "seen", "amount"]))
    for row, found in zip(rows, written(world), strict=True):
        assert row["at"].replace(tzinfo=dt.UTC) == found["at"]
        assert row["at"].replace(tzinfo=dt.UTC) - dt.timedelta(hours=2) == found["seen"]
        assert (row["id"], row["amount"]) == (found["id"], found["amount"])


def test_poison_past_the_sampled_rows_of_a_csv_file_is_told_row_by_row(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    rows = [r | {"note": "fine", "big": 1} for r in tools.day_rows(0, count=12_000, dirty=False)]
    rows[11_500]["note"], rows[11_600]["big"], rows[11_700]["score"] = "a\0b", 10**30, "not a number"
    write(world.files / "in" / "rows.csv", rows, "csv")
    summary = world.run(define(**places("in"), passthrough_columns=["note", "big"]))
    found = {row["id"]: row for row in written(world)}
    assert (12_000, 12_000) == (len(found), summary.rows)
    assert "rejected:bad_type" == found[11_700]["status"]
    assert (None, "rejected:unstorable_value") == (found[11_500]["note"], found[11_500]["status"])
    assert "monitored" == found[11_501]["status"]
    assert (None, "rejected:unstorable_value") == (found[11_600]["big"], found[11_600]["status"])
    expected = {"monitored": 11_997, "rejected:unstorable_value": 2, "rejected:bad_type": 1}
    assert expected == summary.status_counts


def test_the_first_of_equal_identifiers_counts_in_files(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = tools.day_rows(0, dirty=False)
    rows += [dict(row, amount=99.0) for row in rows[::2]]
    write(world.files / "in" / "a.parquet", rows[:300], "parquet")
    write(world.files / "in" / "b.parquet", rows[300:], "parquet")
    summary = world.run(define(**places("in")))
    assert {"monitored": 400, "rejected:duplicate_identifier": 200} == summary.status_counts
    statuses = [row["status"] for row in written(world)]
    assert ["monitored"] * 400 + ["rejected:duplicate_identifier"] * 200 == statuses
    assert 0.0 == world.value(summary.job_id, "psi", "amount").value


def test_the_snapshot_does_not_depend_on_the_order_of_rows(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, tools.day_rows(0, count=5000, dirty=False)
    found = set()
    for name, ordered in (("one", rows), ("two", rows[::-1]), ("three", rows[2500:] + rows[:2500])):
        write(world.files / name / "rows.parquet", ordered, "parquet")
        found.add(world.run(define(**{**places(name), "output_settings": None})).content_hash)
    assert 1 == len(found)


def test_running_again_replaces_the_file(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    write(world.files / "in" / "rows.parquet", tools.day_rows(0), "parquet")
    first = world.run(define(**places("in")))
    write(world.files / "in" / "rows.parquet", tools.day_rows(0, count=50, dirty=False), "parquet")
    again = world.run(define(**places("in")))
    assert (400, 50, 50) == (first.output_rows, again.output_rows, len(written(world)))


def test_an_empty_window_leaves_a_file_without_rows(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    write(world.files / "in" / "rows.parquet", tools.day_rows(0), "parquet")
    summary = world.run(define(**places("in")), 5)
    assert (0, 0, []) == (summary.rows, summary.output_rows, written(world))


def test_no_file_is_an_error_that_names_the_place(small_world: Any, define: Any) -> None:
    with pytest.raises(SourceError, match="nowhere"):
        small_world.run(define(**places("nowhere/*.csv")))


def test_every_column_can_be_copied(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, tools.day_rows(0, dirty=False)
    write(world.files / "in" / "rows.parquet", rows, "parquet")
    world.run(define(**places("in"), passthrough_columns=None, passthrough_columns_set="all"))
    assert rows == [{k: v for k, v in row.items() if k != "status"} for row in written(world)]


def test_a_column_that_has_the_name_of_the_status_is_no_second_status(
    small_world: Any, define: Any, tools: Any
) -> None:
    world = small_world
    rows = [row | {"status": "theirs"} for row in tools.day_rows(0, dirty=False)]
    write(world.files / "in" / "rows.parquet", rows, "parquet")
    world.run(define(**places("in"), passthrough_columns=None, passthrough_columns_set="all"))
    assert {"monitored"} == {row["status"] for row in written(world)}
