"""Retained rows: which ones, by an oracle of hashlib alone, whatever the order, split, retry or database."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from airflow_monitoring_provider.definitions import JobState
from airflow_monitoring_provider.engines.row_digests import below, limit_of, row_digests
from airflow_monitoring_provider.exceptions import ConfigurationError, Superseded
from airflow_monitoring_provider.store.records import FileKind

REGRESSION = {
    "name": "prices",
    "monitoring_columns": {"predictions_columns": "score"},
    "monitoring_output_settings": {"monitored_status_column": "status"},
}


def kept(world: Any, summary: Any) -> list[dict[str, Any]]:
    """The retained rows of a job."""
    files = listed(world, summary)
    return [row for file in files for batch in world.storage.read_predictions(file) for row in batch.to_pylist()]


def listed(world: Any, summary: Any) -> list[Any]:
    """The files of retained rows that count, of a job's batch."""
    return list(world.store.row_files(FileKind.RETAINED, batch_ids=[summary.batch_id]))


def place(key: str) -> int:
    """Where a key stands among all, by the words of the rule."""
    return int(hashlib.sha256(key.encode()).hexdigest(), 16)


def sample(policy: str, value: int, **more: Any) -> dict[str, Any]:
    """The member of a definition."""
    return {"monitoring_aggregation": {"retention_policy": policy, "retention_value": value, **more}}


def test_the_digest_is_the_published_one() -> None:
    digests = row_digests([pa.array(["id-1", "id-2", "A17"])])
    fractions = [int.from_bytes(row.astype(">u8").tobytes(), "big") / 2**256 for row in digests]
    assert [0.919536956, 0.835291969, 0.456024560] == pytest.approx(fractions, abs=1e-9)
    assert [False, False, True] == below(digests, limit_of(50, 100)).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=5), max_size=40), st.integers(0, 100), st.randoms())
def test_a_share_is_that_of_the_rule_in_any_order(ids: list[str], percent: int, chance: random.Random) -> None:
    expected = Counter(text for text in ids if place(text) * 100 < percent * 2**256)
    chance.shuffle(ids)
    keep = below(row_digests([pa.array(ids, pa.string())]), limit_of(percent, 100))
    assert expected == Counter(text for text, there in zip(ids, keep, strict=True) if there)


@pytest.mark.parametrize("percent", [1, 10, 50, 99])
def test_about_that_share_of_the_rows_is_kept(percent: int) -> None:
    keep = below(row_digests([pa.array(range(20_000))]), limit_of(percent, 100))
    low, high = binom.interval(1 - 1e-6, 20_000, percent / 100)
    assert low <= int(keep.sum()) <= high


POLICIES = [
    ("percentage", 30, {}),
    ("percentage", 100, {"target_rows": 40}),
    ("percentage", 5, {"target_rows": 400}),
    ("samples", 25, {}),
    ("samples", 5_000, {}),
    ("samples", 0, {}),
]


@pytest.mark.parametrize(("policy", "value", "more"), POLICIES)
def test_one_task_and_parts_keep_what_the_rule_says(
    small_world: Any, define: Callable[..., Any], tools: Any, policy: str, value: int, more: dict[str, int]
) -> None:
    world, rows = small_world, tools.day_rows(0, 300)
    world.table("scores", rows)
    # Of the first rows one lacks its score, one has 1.5, one repeats the identifiers of another, one has none.
    usable = {str(row["id"]): row for row in rows[3:] if row["id"] is not None}
    ordered = sorted(usable, key=place)
    share = value / 100 if "target_rows" not in more else min(value / 100, more["target_rows"] / len(usable))
    expected = {key for key in ordered if place(key) < share * 2**256}
    if policy == "samples":
        expected = set(ordered[:value])
    summary = world.run(define(**sample(policy, value, **more)))
    found = kept(world, summary)
    assert expected == {str(row["id"]) for row in found}
    assert len(expected) == len(found)
    assert [usable[str(row["id"])] for row in found] == found
    facts = world.store.job(summary.job_id).snapshot.details["retention"]
    assert (len(usable) if value else 0, len(expected)) == (facts["eligible"], facts["retained"])
    assert () == world.store.prediction_files(summary.job_id)

    parts = world.run_in_parts(define(**sample(policy, value, **more)), {"by": "key", "count": 4})
    key = lambda row: row["id"]  # noqa: E731
    assert sorted(found, key=key) == sorted(kept(world, parts), key=key)
    assert summary.job_id == parts.job_id
    paths = [file.path for file in listed(world, parts)]
    on_disk = sorted(str(p.relative_to(world.folder / "storage")) for p in world.folder.rglob("retained/**/*.parquet"))
    assert sorted(paths) == on_disk


ROWS = st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 2)), min_size=1, max_size=12)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ROWS, st.integers(1, 6), st.integers(1, 4), st.randoms())
def test_rows_without_identifiers_are_told_apart_by_all_columns(
    small_world: Any, define: Callable[..., Any], tools: Any, drawn: Any, count: int, files: int, chance: random.Random
) -> None:
    world = small_world
    rows = [{"region": region, "score": float(score)} for region, score in drawn]
    key = lambda row: json.dumps([row["region"], str(row["score"])], separators=(",", ":"))  # noqa: E731
    expected = Counter(key(row) for row in sorted(rows, key=lambda row: place(key(row)))[:count])
    chance.shuffle(rows)
    folder = world.files / "in"
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number in range(files):
        table = pa.Table.from_pylist(rows[number::files], pa.schema([("region", pa.string()), ("score", pa.float64())]))
        pq.write_table(table, folder / f"{number}.parquet")
    changes = {
        "intake_settings": {"type": "file", "url": "in"},
        "timestamp_column": None,
        "output_settings": None,
        "passthrough_columns": None,
        "features": ["region"],
        **sample("samples", count),
        **REGRESSION,
    }
    one = world.run(define(**changes))
    assert expected == Counter(key(row) for row in kept(world, one))
    assert expected == Counter(key(row) for row in kept(world, world.run_in_parts(define(**changes), {"by": "file"})))


def test_of_rows_with_one_id_the_sample_takes_the_same_in_every_order(
    small_world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world, found = small_world, []
    rows = [row | {"id": 7} for row in tools.day_rows(0, 60, dirty=False)]
    changes = {"monitoring_output_settings": {"monitored_status_column": "status"}, **sample("samples", 9)}
    for turned in (rows, rows[::-1]):
        world.table("scores", turned)
        found.append(Counter(row["score"] for row in kept(world, world.run(define(**changes)))))
    assert 9 == found[0].total()
    assert found[0] == found[1]


def test_a_retry_replaces_and_a_superseded_attempt_changes_nothing(
    world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world.table("scores", tools.day_rows(0, 200))
    definition = define(**sample("samples", 20))
    first = world.run(definition)
    before = listed(world, first)

    def overtaken(claim: Any) -> None:
        record, _ = world.store.definition(claim.definition_id)
        world.store.claim(record, claim.window, batch_name="later")

    with pytest.raises(Superseded):
        world.run(definition, on_claim=overtaken)
    assert before == listed(world, first)
    again = world.run(definition)
    after = listed(world, again)
    assert [file.sha256 for file in before] == [file.sha256 for file in after]
    assert before != after
    assert 1 == len(list(world.folder.rglob("retained/**/*.parquet")))


def test_deleting_the_batch_removes_its_rows(world: Any, define: Callable[..., Any], tools: Any) -> None:
    world.table("scores", tools.day_rows(0, 100))
    summary = world.run(define(**sample("percentage", 100)))
    assert 96 == len(kept(world, summary))
    world.store.delete_batch(summary.batch_id)
    assert [] == listed(world, summary)
    assert [] == list(world.folder.rglob("retained/**/*.parquet"))


def test_the_database_profiles_alone_only_where_nothing_is_retained(
    world: Any, define: Callable[..., Any], tools: Any
) -> None:
    world.table("scores", tools.day_rows(0, 100, dirty=False))
    classes = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}]}
    plain = {"timestamp_column": None, "baseline": None, "schedule": None, "start_date": None}
    changes = {"engine": "sql", **REGRESSION, **plain, "monitoring_columns": classes}
    with pytest.raises(ConfigurationError, match="monitoringAggregation retains a sample"):
        world.run(define(**changes, **sample("samples", 5)))
    summary = world.run(define(**changes, **sample("samples", 0)))
    assert JobState.COMPLETED == world.store.job(summary.job_id).state
    assert [] == kept(world, summary)
