"""Data quality of a batch as a whole: rows, rejections, repetitions, columns and how late it is."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from airflow_monitoring_provider.definitions.checks import NOT_ALLOWED, OUT_OF_BOUNDS
from airflow_monitoring_provider.definitions.metric_terms import METRICS, OF_WHOLE_ROWS
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.engines.arrow import profile_batches
from airflow_monitoring_provider.metrics.batch_quality import batch_quality
from airflow_monitoring_provider.metrics.quality import column_quality
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.timeliness import COMPLETENESS, LATE_ROWS
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan, SchemaChanges
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def batch(rows: int, statuses: dict[str, int] | None = None) -> Profile:
    return Profile(ProfilePlan(()), rows, statuses if statuses is not None else {"monitored": rows})


def quality(current: Profile, **options: Any) -> dict[str, MetricValue]:
    values = batch_quality(current, None, SchemaChanges(), **options)
    assert {ResultKind.DATA_QUALITY} == {value.kind for value in values}
    assert all((value.value is None) == (value.reason is not None) for value in values)
    return {value.name: value for value in values}


def test_the_batch_counts_rows_rejections_and_null_timestamps() -> None:
    current = batch(50, {"monitored": 40, "rejected:bad_type": 3, "rejected:missing_prediction": 7})

    values = {v.name: v for v in batch_quality(current, batch(200), SchemaChanges(), null_timestamps=4)}

    assert (50.0, 0.25, 0.2, 4.0) == tuple(
        values[name].value for name in ("row_count", "row_count_ratio", "rejected_rate", "null_timestamps")
    )
    assert {"rejected:bad_type": 3, "rejected:missing_prediction": 7} == values["rejected_rate"].details["by_reason"]
    assert 200 == values["row_count"].details["baseline_value"]


def test_changed_columns_are_counted_and_named() -> None:
    changes = SchemaChanges(("age",), ("height", "weight"), (("city", "categorical", "numeric"),))

    values = {v.name: v for v in batch_quality(batch(1), None, changes)}

    assert (1.0, [{"column": "age"}]) == (values["missing_columns"].value, values["missing_columns"].details["columns"])
    assert 2.0 == values["new_columns"].value
    retyped = {"column": "city", "from": "categorical", "to": "numeric", "unreadable": None}
    assert [retyped] == values["retyped_columns"].details["columns"]


def test_a_batch_without_rows_or_baseline_has_reasons() -> None:
    values = {v.name: v for v in batch_quality(batch(0), None, SchemaChanges())}

    assert Reason.NO_DATA == values["rejected_rate"].reason
    assert Reason.BASELINE_MISSING == values["row_count_ratio"].reason
    assert Reason.NO_DATA == values["empty_columns"].reason
    assert Reason.ZERO_DENOMINATOR == batch_quality(batch(1), batch(0), SchemaChanges())[1].reason


def test_columns_without_any_value_are_counted_and_named() -> None:
    columns = [ColumnProfile.of([None, None], "gone"), ColumnProfile.of([None, 1.0], "half")]
    current = Profile(ProfilePlan(()), 2, columns={column.name: column for column in columns})

    empty = quality(current)["empty_columns"]

    assert (1.0, [{"column": "gone"}]) == (empty.value, empty.details["columns"])


def test_repeated_identifiers_are_counted_where_they_were_looked_for() -> None:
    ids = pd.DataFrame({"id": [1, 2, 2, 3, 3, 3]})
    repeated = int(ids.duplicated("id").sum())
    current = batch(6, {"monitored": 6 - repeated, "rejected:duplicate_identifier": repeated})

    assert 3.0 == quality(current, identified=True)["duplicate_keys"].value
    assert 0.0 == quality(batch(6), identified=True)["duplicate_keys"].value
    assert Reason.NOT_RECORDED == quality(current)["duplicate_keys"].reason


@pytest.mark.parametrize(("hours", "seconds"), [(3, 10_800.0), (0, 0.0), (-1, 0.0)])
def test_freshness_runs_from_the_newest_event_to_when_rows_were_due(hours: int, seconds: float) -> None:
    latest = int((NOON - dt.timedelta(hours=hours)).timestamp() * 1e6)
    current = Profile(ProfilePlan((), timestamp_column="at"), 2, earliest=0, latest=latest)

    fresh = quality(current, as_of=NOON)["freshness"]

    assert (seconds, NOON.isoformat()) == (fresh.value, fresh.details["as_of"])


def test_freshness_without_times_has_a_reason() -> None:
    timed = ProfilePlan((), timestamp_column="at")

    assert Reason.NO_DATA == quality(Profile(timed, 2), as_of=NOON)["freshness"].reason
    assert Reason.NOT_RECORDED == quality(Profile(timed, 2, latest=1))["freshness"].reason
    assert Reason.NOT_RECORDED == quality(batch(2), as_of=NOON)["freshness"].reason


def test_the_page_of_metrics_lists_every_quality_metric() -> None:
    page = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text("utf-8").split("# Data quality metrics")[1]
    listed = {name for row in re.findall(r"^\| (`.*?`) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)}
    kinds = [ColumnProfile.of([], kind=kind) for kind in ColumnKind]
    computed = {value.name for column in kinds for value in column_quality(column, column)}

    assert (
        computed
        | quality(batch(1)).keys()
        | {
            *OF_WHOLE_ROWS,
            COMPLETENESS,
            LATE_ROWS,
            "label_coverage",
            "label_lag_p50",
            "label_lag_p95",
            OUT_OF_BOUNDS,
            NOT_ALLOWED,
        }
        == listed
    )
    assert listed <= METRICS.keys()


def test_repeated_and_empty_rows_are_counted_where_a_threshold_asks_for_them() -> None:
    plan = ProfilePlan((ColumnPlan("x", ColumnKind.NUMERIC),), whole_rows=True)
    rows = pa.record_batch({"x": pa.array([1.0, 1.0, 2.0, None, None], pa.float64())})

    values = quality(profile_batches(plan, [rows]))

    assert (2.0, 2.0) == (values["duplicate_rows"].value, values["empty_rows"].value)
    assert {"exact": True, "share": 0.4} == values["duplicate_rows"].details
    assert Reason.NO_DATA == quality(Profile(plan))["duplicate_rows"].reason
    assert Reason.NOT_RECORDED == quality(Profile(plan, 3))["empty_rows"].reason
    assert quality(batch(3)).keys().isdisjoint({"duplicate_rows", "empty_rows"})
