"""Record batches to profiles: where each row counts, whatever the batches, the types and the threads."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ColumnKind, RowStatus, TargetType
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, profile_batches
from airflow_monitoring_provider.engines.targets import class_indices, read_predictions
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, TargetPlan
from airflow_monitoring_provider.profiles.profile import (
    ClassificationProfile,
    ColumnProfile,
    Profile,
    RegressionProfile,
    merge_all,
)

BINARY = TargetPlan(TargetType.BINARY, (("yes", "p"),), "y", ("", "yes"), "yes")
PLAN = ProfilePlan(
    (
        ColumnPlan("b", ColumnKind.BOOLEAN),
        ColumnPlan("c", ColumnKind.CATEGORICAL),
        ColumnPlan("n", ColumnKind.NUMERIC, edges=(0.0,)),
        ColumnPlan("p", ColumnKind.NUMERIC, ColumnRole.PREDICTION, True, (0.5,)),
        ColumnPlan("t", ColumnKind.TEXT),
        ColumnPlan("when", ColumnKind.TIMESTAMP),
        ColumnPlan("y", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL),
    ),
    BINARY,
    "when",
    histogram_buckets=64,
    level_cap=12,
)


def rows(n: int, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    gone = rng.random(n) < 0.1
    p = rng.random(n)
    return pa.record_batch(
        {
            "b": pa.array(rng.random(n) < 0.3, mask=gone),
            "c": pa.array([f"level {i}" for i in rng.zipf(1.5, n) % 40], mask=gone),
            "n": pa.array(rng.normal(size=n), mask=gone),
            "p": pa.array(p),
            "t": pa.array(["é" * int(i) for i in rng.integers(0, 9, n)]),
            "when": pa.array(rng.integers(0, 10**15, n), pa.int64()).cast(pa.timestamp("us", "UTC")),
            "y": pa.array(np.where(rng.random(n) < p, "yes", "no"), mask=gone),
        }
    )


@given(
    st.lists(st.integers(0, 300), max_size=5), st.lists(st.sampled_from(list(RowStatus)), min_size=300, max_size=300)
)
@settings(max_examples=25)
def test_batches_do_not_show_in_the_profile(cuts: list[int], reasons: list[RowStatus]) -> None:
    batch, statuses = rows(300), np.array(reasons, np.uint8)
    expected = profile(batch, statuses)
    ends = sorted({0, 300, *cuts})
    builder = ProfileBuilder(PLAN)
    parts = []
    for start, end in itertools.pairwise(ends):
        builder.update(batch.slice(start, end - start), statuses[start:end])
        parts.append(profile(batch.slice(start, end - start), statuses[start:end]))
    assert expected.content_hash() == builder.finish().content_hash()
    assert expected.content_hash() == merge_all(*parts).content_hash()


def test_each_status_counts_where_the_table_says() -> None:
    batch = pa.record_batch({"n": range(9), "p": [0.5] * 9, "y": ["yes"] * 9})
    plan = ProfilePlan(tuple(c for c in PLAN.columns if c.name in ("n", "p", "y")), BINARY)
    found = profile(batch, np.arange(9, dtype=np.uint8), plan)
    counted = [RowStatus.MONITORED, RowStatus.MISSING_IDENTIFIER, RowStatus.UNSTORABLE_VALUE]
    assert 9 == found.rows
    assert {status.text: 1 for status in RowStatus} == found.status_counts
    assert 9 - 1 == found.columns["n"].rows  # all but the duplicate
    assert len(counted) == found.columns["p"].rows == found.columns["y"].rows
    assert isinstance(found.target, ClassificationProfile)
    assert len(counted) == found.target.labelled


def test_columns_equal_the_profiles_of_plain_values() -> None:
    batch = rows(500)
    found = profile_batches(PLAN, [batch]).columns
    options: dict[str, Any] = {"buckets": 64, "cap": 12}
    assert ColumnProfile.of(batch["n"].to_pylist(), "n", edges=(0.0,), **options) == found["n"]
    assert ColumnProfile.of(batch["c"].to_pylist(), "c", ColumnKind.CATEGORICAL, **options) == found["c"]
    assert ColumnProfile.of(batch["t"].to_pylist(), "t", ColumnKind.TEXT, **options) == found["t"]
    words = [None if truth is None else str(truth).lower() for truth in batch["b"].to_pylist()]
    assert ColumnProfile.of(words, "b", ColumnKind.BOOLEAN, **options) == found["b"]
    instants = batch["when"].cast(pa.int64()).to_pylist()
    assert ColumnProfile.of(instants, "when", ColumnKind.TIMESTAMP, **options) == found["when"]
    whole = profile_batches(PLAN, [batch])
    assert (min(instants), max(instants)) == (whole.earliest, whole.latest)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.dictionary_encode(),
        lambda a: a.cast(pa.large_string()),
        lambda a: a.cast(pa.string_view()),
        lambda a: pa.concat_arrays([pa.array(["out of sight"]), a]).slice(1),
    ],
)
def test_layout_of_texts_does_not_show(change: Any) -> None:
    batch = rows(400)
    changed = batch.set_column(1, "c", change(batch["c"]))
    changed = changed.set_column(4, "t", change(batch["t"]))
    changed = changed.set_column(6, "y", change(batch["y"]))
    expected, actual = profile_batches(PLAN, [batch]), profile_batches(PLAN, [changed])
    assert expected.content_hash() == actual.content_hash()


def test_threads_do_not_show() -> None:
    batches = [rows(400, seed) for seed in range(4)]
    assert profile_batches(PLAN, batches) == profile_batches(PLAN, batches, threads=3)


@given(st.lists(st.tuples(st.integers(-(10**14), 10**14), st.integers(-14 * 60, 14 * 60)), min_size=1, max_size=30))
def test_the_zones_of_the_times_in_one_column_do_not_show(moments: list[tuple[int, int]]) -> None:
    plan = ProfilePlan((ColumnPlan("at", ColumnKind.TIMESTAMP),), timestamp_column="at")
    plain = [dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=moment) for moment, _ in moments]
    mixed = [
        when.astimezone(dt.timezone(dt.timedelta(minutes=offset))).isoformat()
        for when, (_, offset) in zip(plain, moments, strict=True)
    ]

    expected = profile_batches(plan, [pa.record_batch({"at": pa.array(plain, pa.timestamp("us", "UTC"))})])
    found = profile_batches(plan, [pa.record_batch({"at": pa.array(mixed)})])

    assert (min(m for m, _ in moments), max(m for m, _ in moments)) == (found.earliest, found.latest)
    assert expected == found


def test_whole_numbers_beyond_doubles_keep_their_bounds() -> None:
    plan = ProfilePlan((ColumnPlan("n", ColumnKind.NUMERIC),))
    low, high = -(2**63), 2**63 - 1
    column = profile_batches(plan, [pa.record_batch({"n": [low, 5, None, high]})]).columns["n"]
    assert (low, high) == (column.minimum, column.maximum)
    unsigned = pa.array([2**64 - 1, 1], pa.uint64())
    assert 2**64 - 1 == profile_batches(plan, [pa.record_batch({"n": unsigned})]).columns["n"].maximum


@pytest.mark.parametrize("kind", [ColumnKind.BOOLEAN, ColumnKind.CATEGORICAL, ColumnKind.TEXT])
def test_truth_values_are_counted_as_their_texts(kind: ColumnKind) -> None:
    values = [True, None, False, True, True, None, False, True]
    builder = ProfileBuilder(ProfilePlan((ColumnPlan("x", kind),)))
    for part in (values[:5], values[5:]):
        statuses = np.array([RowStatus.DUPLICATE_IDENTIFIER, *[RowStatus.MONITORED] * (len(part) - 1)], np.uint8)
        builder.update(pa.record_batch({"x": pa.array(part, pa.bool_())}), statuses)
    found = builder.finish().columns["x"]

    assert (6, 1) == (found.rows, found.missing)
    if kind is ColumnKind.TEXT:
        assert found.lengths is not None
        assert (5, 4.4) == (found.lengths.count, found.lengths.mean)
    else:
        assert found.levels is not None
        assert {"true": 3, "false": 2} == found.levels.counts
        assert found.lengths is None or found.lengths.count == 0


def test_values_of_another_type_are_invalid_and_missing_ones_are_not() -> None:
    plan = ProfilePlan(
        (
            ColumnPlan("b", ColumnKind.BOOLEAN),
            ColumnPlan("n", ColumnKind.NUMERIC),
            ColumnPlan("w", ColumnKind.TIMESTAMP),
        )
    )
    batch = pa.record_batch(
        {
            "b": ["Yes", "0", "maybe", None],
            "n": ["1", "", "many", "inf"],
            "w": ["2024-01-01", "yesterday", None, "2024-01-02T00:00:00Z"],
        }
    )
    found = profile_batches(plan, [batch]).columns
    assert {"true": 1, "false": 1} == levels_of(found["b"]).counts
    assert (1, 1, 2) == (found["b"].missing, found["b"].invalid, found["b"].count)
    assert (1, 1, 1, 1) == (found["n"].missing, found["n"].invalid, found["n"].positive_inf, found["n"].count)
    assert (1, 1, 2) == (found["w"].missing, found["w"].invalid, found["w"].count)
    assert int(dt.datetime(2024, 1, 2, tzinfo=dt.UTC).timestamp()) * 10**6 == found["w"].latest


def test_text_of_any_type_is_measured_and_not_kept() -> None:
    plan = ProfilePlan((ColumnPlan("t", ColumnKind.TEXT),))
    for values in (
        pa.array(["ab", "é", None]),
        pa.array([12, 7, None]),
        pa.array(["ab", "é", None]).dictionary_encode(),
    ):
        column = profile_batches(plan, [pa.record_batch({"t": values})]).columns["t"]
        assert column.lengths is not None
        assert (1.5, 1, None) == (column.lengths.mean, column.missing, column.levels)


def test_binary_target_equals_scikit_learn() -> None:
    batch = rows(3000)
    target = profile_batches(PLAN, [batch.slice(0, 1000), batch.slice(1000)]).target
    assert isinstance(target, ClassificationProfile)
    labelled = [y is not None for y in batch["y"].to_pylist()]
    actual = np.array([y == "yes" for y in batch["y"].to_pylist()])[labelled]
    scores = np.array(batch["p"].to_pylist())[labelled]
    assert sk.confusion_matrix(actual, scores >= 0.5).tolist() == target.confusion.tolist()
    assert sk.log_loss(actual, scores) == pytest.approx(target.log_loss_sum / sum(labelled))
    assert (3000, sum(labelled)) == (target.scored, target.labelled)


def test_multiclass_columns_are_put_in_the_order_of_the_classes() -> None:
    target = TargetPlan(TargetType.MULTICLASS, (("c", "pc"), ("a", "pa"), ("b", "pb")), "y", ("a", "b", "c"))
    batch = pa.record_batch({"pa": [0.7, 0.1], "pb": [0.2, 0.1], "pc": [0.1, 0.8], "y": ["a", "b"]})
    found = profile_batches(ProfilePlan((), target), [batch]).target
    assert isinstance(found, ClassificationProfile)
    assert [[1, 0, 0], [0, 0, 1], [0, 0, 0]] == found.confusion.tolist()
    scores, predicted = read_predictions(batch, target)
    assert [[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]] == scores.tolist()
    assert [0, 2] == predicted.tolist()


def test_regression_target_tells_missing_from_invalid_actuals() -> None:
    plan = ProfilePlan((), TargetPlan(TargetType.REGRESSION, (("", "p"),), "y"))
    batch = pa.record_batch({"p": [1.0, 2.0, 3.0, 4.0], "y": ["1.5", None, "high", "inf"]})
    found = profile_batches(plan, [batch]).target
    assert isinstance(found, RegressionProfile)
    assert (4, 1, 2) == (found.scored, found.labelled, found.invalid_actual)
    assert -0.5 == found.errors.mean


@pytest.mark.parametrize(
    ("actual", "classes", "expected"),
    [
        (pa.array(["True", "False", "true", None]), ("False", "True"), [1, 0, 1, -1]),
        (pa.array([True, False, None]), ("False", "True"), [1, 0, -1]),
        (pa.array([True, False]), ("0", "1"), [1, 0]),
        (pa.array([1, 0, 2]), ("False", "True"), [1, 0, -2]),
        (pa.array([1.0, 0.0, math.nan]), ("0", "1"), [1, 0, -1]),
        (pa.array([1, 0]), ("0.0", "1.0"), [1, 0]),
        (pa.array(["1.0", "1", "x"]), ("0", "1"), [1, 1, -2]),
        (pa.array(["1.0", "0.0", "NaN"]), ("", "1"), [1, 0, -2]),
        (pa.array([True, False]), ("", "yes"), [1, 0]),
        (pa.array([1, 0, None]), ("", "yes"), [1, 0, -1]),
        (pa.array(["Yes", "No", "maybe"]), ("", "yes"), [1, 0, -2]),
        (pa.array([True, False]), ("", "late"), [-2, -2]),
        (pa.array(["late", "on time"]), ("", "late"), [1, 0]),
        (pa.array(["y", "n", "t"]), ("y", "n", "t"), [0, 1, 2]),
        (pa.array(["x", "yes", None]), ("", "yes"), [-2, 1, -1]),
        (pa.array(["late", "on time", "x"]), ("on time", "late"), [1, 0, -2]),
        (pa.array([1, -1, 0, 3]), ("", "1"), [1, 0, 0, -2]),
        (pa.array([1, 2, 3]), ("", "2"), [0, 1, 0]),
        (pa.array([1, 7]), ("", "1"), [1, -2]),
        (pa.array([3, 10]), ("3", "10", "x"), [0, 1]),
        (pa.array(["a", None, "b"]).dictionary_encode(), ("a", "b"), [0, -1, 1]),
    ],
)
def test_actuals_find_their_class_whatever_the_driver(
    actual: pa.Array, classes: tuple[str, ...], expected: list[int]
) -> None:
    target = TargetPlan(TargetType.MULTICLASS, (), "y", classes)
    assert expected == class_indices(actual, target).tolist()
    assert expected[1:] == class_indices(actual.slice(1), target).tolist()


def test_a_lacking_column_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="Column 'y' is not in the rows that were read"):
        profile_batches(PLAN, [pa.record_batch({"n": [1.0]})])
    with pytest.raises(ValueError, match="2 statuses for 1 rows"):
        ProfileBuilder(ProfilePlan(())).update(pa.record_batch({"n": [1.0]}), np.zeros(2, np.uint8))


def test_no_rows_give_an_empty_profile() -> None:
    empty = ProfileBuilder(PLAN).finish()
    assert 0 == empty.rows
    assert {0} == {column.rows for column in empty.columns.values()}
    assert (
        profile_batches(PLAN, [rows(5)]).content_hash() == empty.merge(profile_batches(PLAN, [rows(5)])).content_hash()
    )


def test_profiling_does_not_import_pandas() -> None:
    script = """
        import sys
        import numpy as np, pyarrow as pa
        from airflow_monitoring_provider.definitions.terms import ColumnKind
        from airflow_monitoring_provider.engines.arrow import profile_batches
        from airflow_monitoring_provider.engines.duplicates import AdjacentDuplicates
        from airflow_monitoring_provider.engines.screen import Screen
        from airflow_monitoring_provider.profiles.arrays import from_texts, from_values
        from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan
        from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes

        numbers = np.arange(5.0)
        whole = numbers.astype(np.int64)
        texts = from_texts(["a", None, "b", "1", "2024-01-01"])
        sources = [from_values(numbers, pa.float64()), from_values(whole, pa.int64()), texts, texts.dictionary_encode(),
                   from_values(whole, pa.timestamp("us", "UTC"))]
        names = [f"{kind}{i}" for kind in ColumnKind for i in range(5)]
        plan = ProfilePlan(tuple(ColumnPlan(name, ColumnKind(name[:-1])) for name in names), level_cap=2)
        batch = pa.RecordBatch.from_arrays(sources * len(ColumnKind), names)
        Screen(plan, names[:5], duplicates=AdjacentDuplicates()).statuses(batch)
        profile = profile_batches(plan, [batch])
        assert from_bytes(to_bytes(profile)) == profile
        heavy = {"pandas", "scipy", "sklearn", "pyarrow.dataset", "airflow"} & set(sys.modules)
        assert not heavy, heavy
    """
    subprocess.run([sys.executable, "-W", "error", "-c", textwrap.dedent(script)], check=True)


def profile(batch: pa.RecordBatch, statuses: Any, plan: ProfilePlan = PLAN) -> Profile:
    builder = ProfileBuilder(plan)
    builder.update(batch, statuses)
    return builder.finish()


def levels_of(column: ColumnProfile) -> LevelCounts:
    assert column.levels is not None
    return column.levels
