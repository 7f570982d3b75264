"""How long actuals took: measured row by row where both times are known, merged and stored like everything else."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import RowStatus, load_definition
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, profile_batches
from airflow_monitoring_provider.engines.kinds import build_plan, read_columns
from airflow_monitoring_provider.engines.plans import reference_plan
from airflow_monitoring_provider.metrics.batch_quality import batch_quality
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.profiles.plan import ProfilePlan, SchemaChanges
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes

PLAN = ProfilePlan((), timestamp_column="at", actual_time_column="known_at")
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
SCHEMA = pa.schema({"at": pa.timestamp("us"), "known_at": pa.timestamp("us"), "p": pa.float64(), "y": pa.float64()})


def rows(lags: list[float | None]) -> pa.RecordBatch:
    at = [START + dt.timedelta(minutes=i) for i in range(len(lags))]
    known = [None if lag is None else a + dt.timedelta(seconds=lag) for a, lag in zip(at, lags, strict=True)]
    return pa.RecordBatch.from_pydict(
        {"at": at, "known_at": known}, schema=pa.schema([SCHEMA.field(0), SCHEMA.field(1)])
    )


def lag_values(current: Profile, baseline: Profile | None = None) -> dict[str, Any]:
    found = batch_quality(current, baseline, SchemaChanges())
    return {value.name: value for value in found if value.name.startswith("label_lag")}


def definition(**members: Any) -> Any:
    columns = {"predictionsColumns": "p", "actualsValueColumn": "y", "actualsTimestampColumn": "known_at"}
    payload = {
        "deploymentId": "d",
        "timestampColumn": "at",
        "intakeSettings": {"type": "sql", "dataStoreId": "db", "table": "t"},
        "monitoringColumns": columns,
    }
    return load_definition(payload | members)


@given(st.lists(st.none() | st.integers(-1000, 10**7), min_size=1, max_size=60), st.integers(0, 60))
@settings(deadline=None)
def test_quantiles_are_pandas_whatever_the_split_and_survive_the_store(lags: list[float | None], cut: int) -> None:
    whole = profile_batches(PLAN, [rows(lags)])
    batch = rows(lags)
    merged = profile_batches(PLAN, [batch.slice(cut)]).merge(profile_batches(PLAN, [batch.slice(0, cut)]))

    assert whole.content_hash() == merged.content_hash()
    assert whole == from_bytes(to_bytes(merged))
    found = lag_values(whole)
    known = pd.Series(lags, dtype=float).dropna()
    if known.empty:
        assert {Reason.NO_DATA} == {value.reason for value in found.values()}
        return
    assert known.quantile(0.5) == pytest.approx(found["label_lag_p50"].value)
    assert known.quantile(0.95) == pytest.approx(found["label_lag_p95"].value)
    assert len(known) == found["label_lag_p50"].m


def test_rows_that_repeat_an_identifier_do_not_count() -> None:
    builder = ProfileBuilder(PLAN)
    statuses = np.array([0, RowStatus.DUPLICATE_IDENTIFIER, 0], np.uint8)
    builder.update(rows([10, 1000, 30]), statuses)

    found = lag_values(builder.finish(), profile_batches(PLAN, [rows([1, 3])]))["label_lag_p50"]

    assert (20.0, 2, 2, 2.0) == (found.value, found.m, found.n, found.details["baseline_value"])


def test_what_is_no_time_is_left_out() -> None:
    words = pa.RecordBatch.from_pydict(
        {"at": [START] * 3, "known_at": ["2026-03-01T00:00:09", "soon", None]},
        schema=pa.schema([SCHEMA.field(0), ("known_at", pa.string())]),
    )

    assert 9.0 == lag_values(profile_batches(PLAN, [words]))["label_lag_p95"].value


def test_the_lag_is_planned_where_there_are_two_times() -> None:
    plan = build_plan(definition(), SCHEMA)

    assert "known_at" == plan.actual_time_column
    assert plan == ProfilePlan.from_dict(plan.to_dict())
    assert "known_at" in read_columns(plan)
    assert None is build_plan(definition(engine="sql"), SCHEMA).actual_time_column
    assert None is build_plan(definition(timestampColumn="known_at"), SCHEMA).actual_time_column
    assert None is build_plan(definition(timestampColumn=None), SCHEMA).actual_time_column
    without = pa.schema([field for field in SCHEMA if field.name != "known_at"])
    assert None is reference_plan(definition(), without, "the source").actual_time_column
    assert {} == lag_values(Profile(ProfilePlan(())))


def test_plans_without_it_keep_their_digest() -> None:
    assert "actual_time_column" not in ProfilePlan(()).to_dict()
