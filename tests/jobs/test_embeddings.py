"""Embeddings through whole jobs: from files and tables, in parts, segments and merged baselines, to findings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
from scipy.spatial import distance

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.jobs.comparing import compare_again
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.profiles.serialise import from_bytes
from job_world import COLUMNS

FAR = {"centroid_euclidean": {"warning": 0.5, "critical": 1.0}, "centroid_cosine": {"warning": 0.2}}
WHOLE = dict.fromkeys(("passthrough_columns", "output_settings"))
DEPTH = 4
FEW = {"reference_rows": 50, "current_rows": 50}


def reviews(tools: Any, day: int = 0, *, shift: float = 0.0) -> list[dict[str, Any]]:
    """Rows of a day with vectors around (1, 1, 1, 1), the last number shifted; every fiftieth row has none."""
    rows, chance = tools.day_rows(day, dirty=False), np.random.default_rng(day)
    for place, row in enumerate(rows):
        vector = chance.normal(1, 0.5, DEPTH)
        vector[-1] += shift
        row["review"] = None if place % 50 == 3 else vector.tolist()
    return rows


def centre(rows: list[dict[str, Any]]) -> np.ndarray:
    return np.mean([row["review"] for row in rows if row["review"] is not None], axis=0)


def split(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A column for each dimension in place of the vectors."""
    found = []
    for row in rows:
        vector = row["review"] or [None] * DEPTH
        found.append({k: v for k, v in row.items() if k != "review"} | {f"r{i}": x for i, x in enumerate(vector)})
    return found


def as_texts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"review": None if row["review"] is None else json.dumps(row["review"])} for row in rows]


def write(path: Path, rows: list[dict[str, Any]], kind: pa.DataType | None) -> None:
    """Rows as a Parquet file, their vectors of this type; None: as texts."""
    if kind is None:
        pq.write_table(pa.Table.from_pylist(as_texts(rows)), path)
        return
    table = pa.Table.from_pylist(rows)
    vectors = table["review"].cast(kind)
    pq.write_table(table.set_column(table.schema.get_field_index("review"), "review", vectors), path)


@pytest.mark.parametrize(("form", "parts"), [("texts", None), ("columns", {"by": "key", "column": "id", "count": 2})])
def test_a_moved_mean_is_found_in_tables(
    world: Any, define: Any, tools: Any, form: str, parts: dict[str, Any] | None
) -> None:
    first, second = reviews(tools), reviews(tools, 1, shift=1.5)
    if form == "texts":
        world.table("scores", as_texts(first + second), {**COLUMNS, "review": sa.Text()})
        embedding: dict[str, Any] = {"dimensions": DEPTH}
    else:
        numbers = {f"r{i}": sa.Double() for i in range(DEPTH)}
        world.table("scores", split(first + second), {**COLUMNS, **numbers})
        embedding = {"columns": list(numbers)}
    definition = define(**WHOLE, embeddings={"review": embedding}, thresholds=FAR, segments=["region"], minimums=FEW)
    jobs = [world.run_in_parts(definition, parts, day) if parts else world.run(definition, day) for day in (0, 1)]
    value = world.store.load_values(jobs[1].job_id)
    found = {(v.name, v.segment): v for v in value if v.column == "review"}
    expected = np.linalg.norm(centre(second) - centre(first))
    assert expected == pytest.approx(found["centroid_euclidean", None].value, rel=1e-9)
    assert distance.cosine(centre(first), centre(second)) == pytest.approx(found["centroid_cosine", None].value)
    assert (392, 392) == (found["centroid_euclidean", None].n, found["centroid_euclidean", None].m)
    north = [[row for row in rows if row["region"] == "north"] for rows in (first, second)]
    of_north = found["centroid_euclidean", "region=north"].value
    assert np.linalg.norm(centre(north[1]) - centre(north[0])) == pytest.approx(of_north, rel=1e-9)
    evaluation = world.evaluate(definition, jobs[1])
    assert "detected" == evaluation.status
    assert ("review",) == evaluation.drifted_columns
    (sentence,) = (said for said in evaluation.findings if said.startswith("review: "))
    last = "r3" if form == "columns" else "dimension 3"
    assert f"{last} rose from" in sentence
    assert "chance alone brings about" in sentence
    assert 5 == evaluation.alerts  # of all rows and of each region
    assert 0 == world.evaluate(definition, jobs[1]).alerts


@pytest.mark.parametrize("kind", [pa.list_(pa.float64()), pa.list_(pa.float32()), pa.list_(pa.float64(), DEPTH), None])
def test_lists_of_parquet_files_are_vectors(small_world: Any, define: Any, tools: Any, kind: Any) -> None:
    world, days = small_world, [reviews(tools), reviews(tools, 1)]
    (world.files / "in").mkdir(parents=True)
    for day, rows in enumerate(days):
        write(world.files / "in" / f"{day}.parquet", rows, kind)
    definition = define(
        **{**WHOLE, "passthrough_columns": ["review"]},
        intake_settings={"type": "file", "url": "in"},
        embeddings={"review": {"dimensions": DEPTH}},
        thresholds=FAR,
        history={"centroid_euclidean": {"columns": ["review"]}},
    )
    jobs = [world.run(definition, day) for day in (0, 1)]
    value = world.value(jobs[1].job_id, "centroid_euclidean", "review")
    past = world.value(jobs[1].job_id, "history_z[centroid_euclidean]", "review")
    assert (value.value, Reason.INSUFFICIENT_DATA) == (past.details["observed"], past.reason)
    assert np.linalg.norm(centre(days[1]) - centre(days[0])) == pytest.approx(value.value, rel=1e-5)
    assert "no_detection" == world.evaluate(definition, jobs[1]).status


def test_files_may_store_vectors_differently(small_world: Any, define: Any, tools: Any) -> None:
    world, rows = small_world, reviews(tools)
    (world.files / "in").mkdir(parents=True)
    for place, kind in enumerate((pa.list_(pa.float32()), pa.list_(pa.float64(), DEPTH))):
        write(world.files / "in" / f"{place}.parquet", rows[place * 200 : place * 200 + 200], kind)
    definition = define(
        **WHOLE, intake_settings={"type": "file", "url": "in"}, embeddings={"review": {"dimensions": DEPTH}}
    )
    done = world.run(definition)
    assert 392 == world.value(done.job_id, "centroid_cosine", "review").m


def test_windows_that_are_merged_have_one_mean(small_world: Any, define: Any, tools: Any) -> None:
    world, days = small_world, [reviews(tools, day, shift=0.1 * day) for day in range(4)]
    world.table("scores", as_texts([row for day in days for row in day]), {**COLUMNS, "review": sa.Text()})
    definition = define(
        **WHOLE, embeddings={"review": {"dimensions": DEPTH}}, baseline={"type": "moving_window", "windows": 3}
    )
    done = [world.run(definition, day) for day in range(4)][-1]
    value = world.value(done.job_id, "centroid_euclidean", "review")
    assert np.linalg.norm(centre(days[3]) - centre(days[0] + days[1] + days[2])) == pytest.approx(value.value, rel=1e-9)
    before = world.run(define(**WHOLE, baseline={"type": "moving_window", "windows": 3}), 3)
    assert "review" not in {v.column for v in world.store.load_values(before.job_id) if v.name.startswith("centroid")}


def test_a_model_with_longer_vectors_is_a_finding(small_world: Any, define: Any, tools: Any) -> None:
    world, first, second = small_world, reviews(tools), reviews(tools, 1)
    for row in second:
        row["review"] = row["review"] and [*row["review"], 0.5]
    world.table("scores", as_texts(first + second), {**COLUMNS, "review": sa.Text()})
    definition = define(**WHOLE, embeddings={"review": {"dimensions": DEPTH}}, thresholds=FAR)
    jobs = [world.run(definition, day) for day in (0, 1)]
    value = world.value(jobs[1].job_id, "centroid_euclidean", "review")
    assert (None, Reason.NO_DATA) == (value.value, value.reason)
    assert {"invalid": 392, "other_length": 392} == {k: value.details[k] for k in ("invalid", "other_length")}
    evaluation = world.evaluate(definition, jobs[1])
    assert "detected" == evaluation.status
    assert any("review: values of another type" in said for said in evaluation.findings)


def test_a_column_that_is_not_there_or_has_the_embeddings_name_is_an_error(
    small_world: Any, define: Any, tools: Any
) -> None:
    small_world.table("scores", tools.day_rows(), COLUMNS)
    with pytest.raises(SourceError, match="Column review is not in"):
        small_world.run(define(**WHOLE, embeddings={"review": {"dimensions": DEPTH}}))
    with pytest.raises(SourceError, match="'region' has the name of a column"):
        small_world.run(define(**WHOLE, features=None, embeddings={"region": {"columns": ["amount"]}}))


def said_of(values: list[Any]) -> set[tuple[Any, ...]]:
    return {(value.name, value.segment, value.value, value.reason) for value in values}


def run_with(
    world: Any, definition: Any, tools: Any, day: int, form: str = "lists", without: tuple[str, ...] = ()
) -> Any:
    """Run the job of a day whose rows are all that the folder holds."""
    rows = split(reviews(tools, day)) if form == "columns" else reviews(tools, day)
    table = pa.Table.from_pylist([{name: value for name, value in row.items() if name not in without} for row in rows])
    if form == "fixed" and "review" not in without:
        vectors = table["review"].cast(pa.list_(pa.float64(), DEPTH))
        table = table.set_column(table.schema.get_field_index("review"), "review", vectors)
    (world.files / "in").mkdir(exist_ok=True)
    pq.write_table(table, world.files / "in" / "rows.parquet")
    return world.run(definition, day)


@pytest.mark.parametrize("form", ["lists", "fixed", "columns"])
def test_a_column_that_is_gone_is_a_finding_and_what_is_left_is_compared(
    small_world: Any, define: Any, tools: Any, form: str
) -> None:
    world, lost = small_world, "r2" if form == "columns" else "review"
    embedding = {"columns": [f"r{i}" for i in range(DEPTH)]} if form == "columns" else {"dimensions": DEPTH}
    definition = define(
        **WHOLE,
        intake_settings={"type": "file", "url": "in"},
        embeddings={"review": embedding},
        thresholds=FAR,
        segments=["region"],
        minimums=FEW,
        history={"centroid_euclidean": {"columns": ["review"]}},
    )
    jobs = [run_with(world, definition, tools, day, form, without=(lost,) if day else ()) for day in (0, 1)]
    found = [value for value in world.store.load_values(jobs[1].job_id) if value.column == "review"]

    assert {Reason.COLUMN_MISSING} == {value.reason for value in found if value.segment is None}
    assert {None} == {value.value for value in found}
    assert {*FAR, "history_z[centroid_euclidean]"} == {value.name for value in found}  # nothing of rows that nobody has
    missing = world.value(jobs[1].job_id, "missing_columns")
    assert (1, [{"column": lost}]) == (missing.value, missing.details["columns"])
    others = [v for v in world.store.load_values(jobs[1].job_id) if (v.name, v.column) == ("psi", "amount")]
    assert [None] == [value.reason for value in others if value.segment is None]
    evaluation = world.evaluate(definition, jobs[1])
    assert "detected" == evaluation.status
    assert any(f"1 column is missing: {lost}" in said for said in evaluation.findings)
    stored = world.store.load_profile(jobs[0].job_id)
    reference = Reference(from_bytes(stored.data, stored.content_hash), version=1)
    assert compare_again(world.store.job(jobs[1].job_id), reference, definition, world.store)
    again = [value for value in world.store.load_values(jobs[1].job_id) if value.column == "review"]
    assert said_of(found) == said_of(again)
    assert missing.details == world.value(jobs[1].job_id, "missing_columns").details


def test_a_moving_baseline_keeps_the_vectors_that_its_windows_had(small_world: Any, define: Any, tools: Any) -> None:
    definition = define(
        **WHOLE,
        intake_settings={"type": "file", "url": "in"},
        embeddings={"review": {"dimensions": DEPTH}},
        thresholds=FAR,
        baseline={"type": "moving_window", "windows": 2},
    )
    gone = (2, 3, 4)
    jobs = [
        run_with(small_world, definition, tools, day, without=("review",) if day in gone else ()) for day in range(7)
    ]
    found = [small_world.value(job.job_id, "centroid_euclidean", "review") for job in jobs]

    reasons = [Reason.COLUMN_MISSING if day in gone else Reason.NO_DATA if day == 5 else None for day in range(1, 7)]
    assert reasons == [value.reason for value in found[1:]]  # day 5 has the vectors, and the two days before it none
    (before, now) = (centre(reviews(tools, day)) for day in (5, 6))
    assert np.linalg.norm(now - before) == pytest.approx(found[6].value, rel=1e-9)
    assert (392, 392) == (found[6].n, found[6].m)


def test_another_column_for_an_embedding_has_to_be_there(small_world: Any, define: Any, tools: Any) -> None:
    settings = {**WHOLE, "intake_settings": {"type": "file", "url": "in"}}
    run_with(small_world, define(**settings, embeddings={"review": {"dimensions": DEPTH}}), tools, 0)
    misspelt = define(**settings, embeddings={"review": {"column": "reveiw", "dimensions": DEPTH}})
    with pytest.raises(SourceError, match="Column reveiw is not in"):
        run_with(small_world, misspelt, tools, 1)


def test_an_empty_batch_says_so(small_world: Any, define: Any, tools: Any) -> None:
    small_world.table("scores", as_texts(reviews(tools)), {**COLUMNS, "review": sa.Text()})
    definition = define(**WHOLE, embeddings={"review": {"dimensions": DEPTH}}, thresholds=FAR)
    jobs = [small_world.run(definition, day) for day in (0, 1)]
    value = small_world.value(jobs[1].job_id, "centroid_cosine", "review")
    assert (None, Reason.NO_DATA) == (value.value, value.reason)
    assert "irrelevant" == small_world.evaluate(definition, jobs[1]).status
