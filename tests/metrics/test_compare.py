"""The whole comparison: what comes out, in which order, adjusted how, whatever the order of what goes in."""

from __future__ import annotations

import dataclasses
import json
import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from airflow_monitoring_provider.definitions.checks import ColumnCheck
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.definitions.verdict import Adjustment
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, SchemaChanges, TargetPlan
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, ColumnProfile, Profile

DEFAULT = ComparisonSettings()


def batch(
    seed: int, rows: int = 1000, shift: float = 0.0, *, labelled: bool = True, level_names: str = "keep"
) -> Profile:
    """Three features of every form, a score and an actual."""
    rng = np.random.default_rng(seed)
    amount = rng.normal(shift, 1, rows)
    city = rng.choice(list("abcd"), rows).tolist()
    scores = 1 / (1 + np.exp(-amount))
    actual = np.where(rng.random(rows) < scores, 1, 0) if labelled else np.full(rows, -1)
    words = [("no", "yes")[int(a)] if a >= 0 else None for a in actual]
    columns = [
        ColumnProfile.of(amount, "amount"),
        ColumnProfile.of(city, "city", ColumnKind.CATEGORICAL, level_names=level_names),
        ColumnProfile.of(["x" * int(n) for n in rng.integers(1, 9, rows)], "note", ColumnKind.TEXT),
        ColumnProfile.of(rng.integers(0, 10**15, rows), "seen_at", ColumnKind.TIMESTAMP),
        ColumnProfile.of(scores, "score", role=ColumnRole.PREDICTION, mirrored=True),
        ColumnProfile.of(words, "churned", ColumnKind.CATEGORICAL, ColumnRole.ACTUAL, level_names=level_names),
    ]
    return Profile(
        plan=ProfilePlan(
            tuple(ColumnPlan(c.name, c.kind, c.role) for c in columns),
            TargetPlan(TargetType.BINARY, (("yes", "score"),), "churned", ("no", "yes"), "yes"),
            level_names=level_names,
        ),
        rows=rows,
        status_counts={"monitored": rows},
        columns={column.name: column for column in columns},
        target=ClassificationProfile.of(("no", "yes"), scores, actual, positive_class="yes"),
    )


def by_key(values: list[MetricValue]) -> dict[tuple[str | None, str], MetricValue]:
    return {(value.column, value.name): value for value in values}


def test_a_comparison_speaks_of_batch_columns_classes_and_performance_in_a_fixed_order() -> None:
    values = compare(batch(1), batch(0), DEFAULT)

    columns = list(dict.fromkeys(value.column for value in values[:-20]))
    assert [None, "amount", "city", "note", "seen_at", "score", "churned"] == columns
    assert ["row_count", "row_count_ratio", "rejected_rate", "null_timestamps"] == [v.name for v in values[:4]]
    assert ["psi", "wasserstein_norm", "ks"] == [v.name for v in values if v.column == "amount"][:3]
    assert "predicted_share" == [v.name for v in values if v.column == "score"][-1]
    assert "calibration" == values[-1].name
    assert len(values) == len({(v.name, v.column, v.segment) for v in values})


def test_kinds_tell_drift_of_data_and_of_concept_apart() -> None:
    values = by_key(compare(batch(1), batch(0), DEFAULT))

    assert ResultKind.DATA_DRIFT == values["amount", "psi"].kind == values["score", "psi"].kind
    assert ResultKind.CONCEPT_DRIFT == values["churned", "psi"].kind
    assert ResultKind.DATA_QUALITY == values["amount", "missing_rate"].kind
    assert ResultKind.MODEL_PERFORMANCE == values[None, "roc_auc"].kind


def test_every_column_with_a_distribution_has_one_primary_value() -> None:
    primaries = [value for value in compare(batch(1), batch(0), DEFAULT) if value.primary]

    assert {"psi"} == {value.name for value in primaries}
    assert ["amount", "city", "note", "score", "churned"] == [value.column for value in primaries]
    assert ["feature"] * 3 + ["prediction", "actual"] == [value.details["role"] for value in primaries]


def test_p_values_are_adjusted_over_all_values_of_one_metric() -> None:
    values = [v for v in compare(batch(1, shift=0.3), batch(0), DEFAULT) if v.name == "psi"]

    expected = stats.false_discovery_control([v.p_value or 0 for v in values]) / 0.64  # the rest is data quality's

    assert 5 == len(values)
    assert list(np.minimum(expected, 1)) == pytest.approx([v.adjusted_p_value for v in values])


def test_the_adjustment_is_the_definitions_choice() -> None:
    plain = compare(batch(1), batch(0), dataclasses.replace(DEFAULT, adjustment=Adjustment.NONE))

    assert all(v.p_value == v.adjusted_p_value for v in plain)


def test_values_without_a_number_have_no_p_value_in_the_family() -> None:
    values = compare(batch(1, rows=50), batch(0), DEFAULT)

    assert {Reason.INSUFFICIENT_DATA} == {v.reason for v in values if v.primary}
    assert all(v.adjusted_p_value is None for v in values if v.value is None)


def test_without_a_baseline_drift_has_a_reason_and_the_rest_is_computed() -> None:
    values = compare(batch(1), None, DEFAULT)

    drift = [v for v in values if v.kind in (ResultKind.DATA_DRIFT, ResultKind.CONCEPT_DRIFT)]
    assert {Reason.BASELINE_MISSING} == {v.reason for v in drift if v.name != "predicted_share"}
    keyed = by_key(values)
    assert 0.0 == keyed["amount", "missing_rate"].value
    assert 0.7 < (keyed[None, "roc_auc"].value or 0)
    assert keyed["score", "predicted_share"].value is not None
    assert ("amount", "missing_rate_change") not in keyed
    assert len([v for v in drift if v.primary]) == 5


def test_a_batch_without_rows_has_reasons_everywhere() -> None:
    values = compare(batch(1, rows=0), batch(0), DEFAULT)

    assert {Reason.NO_DATA} == {v.reason for v in values if v.primary}
    assert all(v.value is None for v in values if v.kind is ResultKind.MODEL_PERFORMANCE)


def test_schema_changes_become_results_and_reasons() -> None:
    changes = SchemaChanges(missing=("city",), new=("extra",), retyped=(("note", "text", "int64"),))
    values = by_key(compare(batch(1), batch(0), DEFAULT, schema_changes=changes, null_timestamps=3))

    assert Reason.COLUMN_MISSING == values["city", "psi"].reason
    assert ("city", "missing_rate") not in values
    assert Reason.COLUMN_RETYPED == values["note", "psi"].reason
    assert (1.0, 1.0, 1.0, 3.0) == tuple(
        values[None, name].value for name in ("missing_columns", "new_columns", "retyped_columns", "null_timestamps")
    )
    assert values["amount", "psi"].value is not None


def test_a_column_without_values_has_no_type_that_could_have_changed() -> None:
    def emptied(profile: Profile) -> Profile:
        empty = ColumnProfile.of(np.full(profile.rows, np.nan), "amount")
        return dataclasses.replace(profile, columns={**profile.columns, "amount": empty})

    changes = SchemaChanges(retyped=(("amount", "numeric", "string"), ("note", "text", "int64")))
    for current, before in ((emptied(batch(1)), batch(0)), (batch(1), emptied(batch(0))), (batch(1, 0), batch(0))):
        values = by_key(compare(current, before, DEFAULT, schema_changes=changes))
        retyped = [change["column"] for change in values[None, "retyped_columns"].details["columns"]]
        assert (["note"] if current.rows else []) == retyped
        assert Reason.COLUMN_RETYPED != values["amount", "psi"].reason

    asked = dataclasses.replace(DEFAULT, checks={"amount": ColumnCheck(kind=ColumnKind.NUMERIC)})
    values = by_key(compare(batch(1), emptied(batch(0)), asked, schema_changes=changes))
    assert 2.0 == values[None, "retyped_columns"].value  # a check asks for numbers whatever the baseline holds


def test_a_column_that_one_profile_lacks_has_a_reason() -> None:
    current, baseline = batch(1), batch(0)
    less = {name: column for name, column in current.columns.items() if name != "amount"}

    missing = by_key(compare(dataclasses.replace(current, columns=less), baseline, DEFAULT))
    new = by_key(compare(current, dataclasses.replace(baseline, columns=less), DEFAULT))

    assert Reason.COLUMN_MISSING == missing["amount", "psi"].reason
    assert Reason.COLUMN_NEW == new["amount", "psi"].reason


def test_performance_is_silent_where_no_actuals_are_expected() -> None:
    current = batch(1, labelled=False)
    assert current.plan.target is not None
    unlabelled = dataclasses.replace(current.plan, target=dataclasses.replace(current.plan.target, actual_column=None))

    awaited = compare(current, None, DEFAULT)
    none = compare(dataclasses.replace(current, plan=unlabelled), None, DEFAULT)

    assert {Reason.NO_ACTUALS} == {v.reason for v in awaited if v.kind is ResultKind.MODEL_PERFORMANCE}
    assert not [v for v in none if v.kind is ResultKind.MODEL_PERFORMANCE]
    assert not [v for v in compare(dataclasses.replace(current, target=None), None, DEFAULT) if v.name == "accuracy"]


@pytest.mark.parametrize("level_names", ["hash", "drop"])
def test_levels_are_named_only_where_the_plan_keeps_names(level_names: str) -> None:
    hidden = compare(batch(1, level_names=level_names), batch(0, level_names=level_names), DEFAULT)
    shown = compare(batch(1), batch(0), DEFAULT)

    def cells(values: list[MetricValue]) -> set[str]:
        return {entry["cell"] for entry in by_key(values)["city", "psi"].details["moved"]}

    assert {"__level__"} == cells(hidden)
    assert set("abcd") == cells(shown)
    assert by_key(shown)["city", "psi"].value == pytest.approx(by_key(hidden)["city", "psi"].value)


def test_nothing_depends_on_the_order_of_columns() -> None:
    current, baseline = batch(1, shift=0.2), batch(0)

    def shuffled(profile: Profile) -> Profile:
        items = list(profile.columns.items())
        random.Random(3).shuffle(items)
        return dataclasses.replace(profile, columns=dict(items))

    assert compare(current, baseline, DEFAULT) == compare(shuffled(current), shuffled(baseline), DEFAULT)


def test_comparing_twice_gives_the_same() -> None:
    assert compare(batch(1), batch(0), DEFAULT) == compare(batch(1), batch(0), DEFAULT)


@given(st.integers(0, 10**6), st.integers(0, 300), st.floats(-3, 3))
@settings(max_examples=20, deadline=None)
def test_every_value_is_a_finite_number_or_has_a_reason(seed: int, rows: int, shift: float) -> None:
    for value in compare(batch(seed, rows, shift), batch(seed + 1, 300), DEFAULT):
        assert (value.value is None) == (value.reason is not None)
        assert value.reason is None or value.reason in set(Reason)
        for number in (value.value, value.p_value, value.adjusted_p_value, value.critical_value, value.low, value.high):
            assert number is None or math.isfinite(number)
        assert json.dumps([value.details, value.precision], allow_nan=False)


def test_every_reason_is_one_sentence() -> None:
    for reason in Reason:
        assert reason.sentence.endswith(".")
        assert 1 == reason.sentence.count(".")
