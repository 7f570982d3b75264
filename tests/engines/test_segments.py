"""Profiles of segments: those of the rows picked by hand, however the rows are split, in ids that say which."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import RowStatus, TargetType
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, profile_batches
from airflow_monitoring_provider.engines.segments import SegmentReader, fulfils
from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.intake.source import BatchStretch
from airflow_monitoring_provider.profiles.plan import (
    ColumnPlan,
    ColumnRole,
    ConditionPlan,
    ProfilePlan,
    SegmentPlan,
    TargetPlan,
)
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes

BY_REGION = SegmentPlan("region", "region", limit=100, levels=("EU", "US"))
BY_AGE = SegmentPlan("age", "age", edges=(18.0, 65.0))
VIP = SegmentPlan("vip", where=(ConditionPlan("age", "ge", (18.0,)), ConditionPlan("region", "ne", ("US",))))
PLAN = ProfilePlan(
    columns=(
        ColumnPlan("n", ColumnKind.NUMERIC),
        ColumnPlan("region", ColumnKind.CATEGORICAL),
        ColumnPlan("score", ColumnKind.NUMERIC, ColumnRole.PREDICTION, mirrored=True),
        ColumnPlan("actual", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL),
    ),
    target=TargetPlan(TargetType.BINARY, (("yes", "score"),), "actual", ("", "yes"), "yes"),
    segments=(BY_REGION, BY_AGE, VIP),
)
PLAIN = dataclasses.replace(PLAN, segments=())


def rows(count: int, seed: int = 0) -> pa.RecordBatch:
    random = np.random.default_rng(seed)
    regions = random.choice(["EU", "US", "größe=1", None], count)
    ages = [None if age % 7 == 0 else float(age) for age in random.integers(0, 90, count).tolist()]
    return pa.record_batch(
        {
            "n": pa.array(random.normal(size=count), mask=random.random(count) < 0.1),
            "region": pa.array(regions.tolist(), pa.string()),
            "age": pa.array(ages, pa.float64()),
            "score": random.random(count),
            "actual": random.choice(["yes", "no"], count),
        }
    )


def expected_ids(row: dict[str, Any]) -> list[str]:
    region, age = row["region"], row["age"]
    ids = [f"region={'__missing__' if region is None else region if region in ('EU', 'US') else '__other__'}"]
    if age is None:
        ids.append("age=__missing__")
    else:
        ids.append(f"age={'[-inf,18)' if age < 18 else '[18,65)' if age < 65 else '[65,inf)'}")
    if age is not None and age >= 18 and region is not None and region != "US":
        ids.append("vip")
    return ids


def test_rows_without_predictions_and_times_have_segments_too() -> None:
    """Reading only the columns that group rows, as a job does, left the segments' own profiles without any."""
    builder, batch = ProfileBuilder(ProfilePlan(columns=PLAN.columns[:1], segments=(BY_REGION,))), rows(90)
    builder.see(batch.select(list(builder.row_columns)), np.zeros(90, np.uint8))
    builder.count(BatchStretch(batch), np.zeros(90, np.uint8))

    assert 90 == sum(profile.columns["n"].rows for profile in builder.finish().segments.values())


@pytest.mark.parametrize("threads", [1, 3])
def test_a_segment_has_the_profile_of_its_rows(threads: int) -> None:
    batch = rows(900)
    found = profile_batches(PLAN, [batch.slice(0, 333), batch.slice(333)], threads=threads)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(batch.to_pylist()):
        for name in expected_ids(row):
            places.setdefault(name, []).append(place)
    assert places.keys() == found.segments.keys()
    for name, chosen in places.items():
        expected = profile_batches(PLAIN, [batch.take(pa.array(chosen))])
        assert expected.content_hash() == found.segments[name].content_hash(), name
    whole = profile_batches(PLAIN, [batch])
    assert whole.content_hash() == dataclasses.replace(found, plan=PLAIN, segments={}).content_hash()


@given(seed=st.integers(0, 10_000), count=st.integers(0, 60), at=st.integers(0, 60))
@settings(max_examples=40, deadline=None)
def test_segments_of_parts_merge_to_those_of_the_whole(seed: int, count: int, at: int) -> None:
    batch = rows(count, seed)
    whole = profile_batches(PLAN, [batch])
    parts = profile_batches(PLAN, [batch.slice(0, at)]).merge(profile_batches(PLAN, [batch.slice(at)]))
    assert whole.content_hash() == parts.content_hash()
    assert whole.segments.keys() == parts.segments.keys()


def test_statuses_count_in_segments_as_they_do_in_all_rows() -> None:
    batch = rows(400)
    statuses = np.zeros(400, np.uint8)
    statuses[::3] = RowStatus.DUPLICATE_IDENTIFIER
    statuses[1::3] = RowStatus.BAD_TYPE
    with ProfileBuilder(PLAN) as builder:
        builder.update(batch, statuses)
        found = builder.finish()
    by_region = [profile for name, profile in found.segments.items() if name.startswith("region=")]
    assert found.status_counts == by_region[0].merge(*by_region[1:]).status_counts
    assert found.columns["n"].rows == sum(profile.columns["n"].rows for profile in by_region)
    assert found.columns["score"].rows == sum(profile.columns["score"].rows for profile in by_region)


def test_a_stored_profile_keeps_its_segments_and_one_without_is_stored_as_before() -> None:
    found = profile_batches(PLAN, [rows(200)])
    assert found == from_bytes(to_bytes(found), found.content_hash())
    plain = profile_batches(PLAIN, [rows(200)])
    assert b"segments" not in to_bytes(plain)
    assert "segments" not in plain.plan.to_dict()
    with pytest.raises(CorruptData):
        from_bytes(to_bytes(found), plain.content_hash())


def test_ids_never_meet_and_read_as_what_they_are() -> None:
    levels = ("a", "a=b", "a%3Db", "__other__", "", "größe", "x\ny", " ")
    ids = SegmentPlan("c", "c", limit=10, levels=levels).ids
    assert len(levels) + 2 == len(set(ids))
    assert ("c=a", "c=a%3Db", "c=a%253Db", "c=%5F_other__", "c=", "c=größe", "c=x%0Ay", "c= ") == ids[:-2]
    assert ("c=__other__", "c=__missing__") == ids[-2:]
    assert ("v=[-inf,0.1)", "v=[0.1,inf)", "v=__missing__") == SegmentPlan("v", "v", edges=(0.1,)).ids


def test_names_that_are_hashed_are_hashed_in_ids_too() -> None:
    plan = ProfilePlan((ColumnPlan("region", ColumnKind.CATEGORICAL),), level_names="hash")
    levels = profile_batches(plan, [rows(50)]).columns["region"].levels
    assert levels is not None
    segment = SegmentPlan("region", "region", limit=2, levels=levels.top(2))
    found = profile_batches(dataclasses.replace(plan, segments=(segment,)), [rows(50)])
    assert not any("EU" in name or "US" in name for name in found.segments)
    assert sum(levels.counts[level] for level in levels.top(2)) == sum(
        profile.rows for name, profile in found.segments.items() if "#" in name
    )


VALUES = [None, -1.0, 0.0, -0.0, 1.0, 2.5, math.nan, math.inf, 2.0**53 + 2]


@pytest.mark.parametrize("op", ["lt", "le", "gt", "ge", "eq", "ne", "in", "not_in", "is_null", "not_null"])
@pytest.mark.parametrize("value", [0.0, 1.0, 2.5])
def test_a_condition_on_numbers_is_that_of_python_and_a_missing_value_fulfils_none(op: str, value: float) -> None:
    compare: dict[str, Any] = {
        "lt": lambda x: x < value,
        "le": lambda x: x <= value,
        "gt": lambda x: x > value,
        "ge": lambda x: x >= value,
        "eq": lambda x: x == value,
        "ne": lambda x: x != value,
        "in": lambda x: x == value,
        "not_in": lambda x: x != value,
    }
    missing = [x is None or math.isnan(x) for x in VALUES]
    if op in compare:
        expected = [not absent and compare[op](x) for x, absent in zip(VALUES, missing, strict=True)]
    else:
        expected = [absent == (op == "is_null") for absent in missing]
    values = () if op in ("is_null", "not_null") else (value,)
    found = fulfils(pa.array(VALUES, pa.float64()), ConditionPlan("x", op, values))
    assert expected == found.tolist()


def test_a_text_equals_the_number_that_it_spells_as_it_is_compared_by_size() -> None:
    texts = pa.array(["1000", " 1e3 ", "1_000", "１０００", "old", "", None], pa.string())
    same = [True, True, False, False, False, False, False]
    assert same == fulfils(texts, ConditionPlan("x", "eq", (1000.0,))).tolist()
    assert same == fulfils(texts, ConditionPlan("x", "ge", (1000.0,))).tolist()
    assert [False, False, True, True, True, True, False] == fulfils(texts, ConditionPlan("x", "ne", (1000.0,))).tolist()
    mixed = fulfils(texts, ConditionPlan("x", "in", (1000.0, "old")))
    assert [True, True, False, False, True, False, False] == mixed.tolist()


def test_an_id_means_the_same_where_it_stands_for_the_same_rows() -> None:
    fewer = dataclasses.replace(BY_REGION, limit=1, levels=("EU",))
    ours, theirs = BY_REGION.meanings(), fewer.meanings()
    assert ours["region=EU"] == theirs["region=EU"]
    assert ours["region=__missing__"] == theirs["region=__missing__"]
    assert ours["region=__other__"] != theirs["region=__other__"]
    by_number = dataclasses.replace(BY_AGE, name="region", column="region").meanings()
    assert ours["region=__missing__"] != by_number["region=__missing__"]
    turned = dataclasses.replace(VIP, where=VIP.where[::-1])
    assert VIP.meanings() == turned.meanings() != dataclasses.replace(VIP, where=VIP.where[:1]).meanings()


def test_ranges_are_half_open_and_what_is_no_number_is_missing() -> None:
    batch = pa.record_batch({"age": pa.array(["17.999", "18", "65", "", None, "old", "inf", "-inf"], pa.string())})
    codes = SegmentReader(BY_AGE, "keep").codes(batch)
    assert [0, 1, 2, 3, 3, 3, 2, 0] == codes.tolist()


def test_a_column_without_any_value_is_one_segment() -> None:
    batch = pa.record_batch({"region": pa.nulls(3, pa.string()), "age": pa.nulls(3, pa.float64())})
    assert [3, 3, 3] == SegmentReader(BY_REGION, "keep").codes(batch).tolist()
    assert [3, 3, 3] == SegmentReader(BY_AGE, "keep").codes(batch).tolist()
