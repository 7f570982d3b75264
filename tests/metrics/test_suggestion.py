"""Suggested checks: what is said of which column, that it loads again, and how often chance alone reaches a limit."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from airflow_monitoring_provider.definitions import JobDefinition, load_definition
from airflow_monitoring_provider.definitions.terms import ColumnKind, ResultStatus
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.suggestion import CHANCE, suggest_checks
from airflow_monitoring_provider.monitors.evaluate import judge
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.plan import ColumnRole, ProfilePlan
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

CATEGORICAL = ColumnKind.CATEGORICAL
SUGGESTED = {"missing_rate", "out_of_bounds_share", "not_allowed_share"}


def profile(*columns: ColumnProfile) -> Profile:
    rows = max(column.rows for column in columns)
    return Profile(ProfilePlan(()), rows, {"monitored": rows}, {column.name: column for column in columns})


def loaded(part: dict[str, Any]) -> JobDefinition:
    return load_definition({"deploymentId": "d", "name": "n", "monitoringColumns": {"predictionsColumns": "p"}} | part)


def source(rng: np.random.Generator, rows: int) -> Profile:
    """Amounts that may be negative but seldom are, levels of which some are rare, a third of the notes missing."""
    amounts = np.where(rng.random(rows) < 0.002, -1.0, rng.exponential(size=rows))
    cities = [f"city {n}" for n in rng.geometric(0.2, rows)]
    notes = [None if absent else "x" for absent in rng.random(rows) < 1 / 3]
    return profile(
        ColumnProfile.of(amounts, "amount"),
        ColumnProfile.of(cities, "city", CATEGORICAL),
        ColumnProfile.of(notes, "note", CATEGORICAL),
    )


def reached(part: dict[str, Any], batch: Profile) -> bool:
    definition = loaded(part)
    rules = Rules.from_definition(definition)
    values = compare(batch, None, ComparisonSettings.from_definition(definition))
    judged = [judge(value, rules) for value in values if value.name in SUGGESTED]
    return any(result.status is ResultStatus.DETECTED for result in judged)


def test_each_column_gets_what_its_kind_allows() -> None:
    rng = np.random.default_rng(0)
    many = [f"n{i}" for i in range(4000)]
    suggested = suggest_checks(
        profile(
            ColumnProfile.of(rng.exponential(size=4000), "amount"),
            ColumnProfile.of(rng.normal(size=4000), "signed"),
            ColumnProfile.of(["yes", "no"] * 2000, "answer", CATEGORICAL),
            ColumnProfile.of(many, "name", CATEGORICAL),
            ColumnProfile.of(["true"] * 4000, "flag", ColumnKind.BOOLEAN),
            ColumnProfile.of(many, "note", ColumnKind.TEXT),
            ColumnProfile.of([None] * 4000, "empty"),
            ColumnProfile.of([0.5] * 4000, "score", role=ColumnRole.PREDICTION),
        ),
        declared=["note"],
    )

    checks, missing = suggested["checks"], suggested["thresholds"]["missing_rate"]["columns"]
    assert {"kind", "minimum", "critical"} == checks["amount"].keys()
    assert {"kind": "numeric"} == checks["signed"] == checks["empty"]
    assert ["no", "yes"] == checks["answer"]["allowed_values"]
    assert {"kind": "categorical"} == checks["name"]
    assert {"kind": "boolean"} == checks["flag"]
    assert {"amount", "signed", "answer", "name", "flag", "empty"} == checks.keys()
    assert {"amount", "signed", "answer", "name", "flag", "note"} == missing.keys()
    assert loaded(suggested).checks["amount"].minimum == 0


def test_a_limit_is_the_fewest_rows_that_chance_hardly_reaches() -> None:
    column = ColumnProfile.of(np.where(np.arange(1000) < 30, np.nan, -1.0))

    limit = suggest_checks(profile(column), rows=500)["thresholds"]["missing_rate"]["columns"]["x"]["critical"]

    model = stats.betabinom(500, 31, 970)
    hits = round(limit * 500)
    assert hits / 500 == pytest.approx(limit, abs=2e-6)
    assert model.sf(hits - 1) <= CHANCE < model.sf(hits - 2)


def test_secret_names_and_too_many_levels_make_no_list() -> None:
    for column in (
        ColumnProfile.of([*"ab"] * 500, kind=CATEGORICAL, level_names="hash"),
        ColumnProfile.of([*"ab"] * 500, kind=CATEGORICAL, level_names="drop"),
        ColumnProfile.of([f"n{i}" for i in range(101)] * 50, kind=CATEGORICAL),
        ColumnProfile.of([f"n{i}" for i in range(90)], kind=CATEGORICAL),
    ):
        assert {"x": {"kind": "categorical"}} == suggest_checks(profile(column))["checks"]


def test_a_baseline_without_rows_or_features_suggests_nothing_of_values() -> None:
    assert {"checks": {"x": {"kind": "numeric"}}} == suggest_checks(profile(ColumnProfile.of([])))
    assert {} == suggest_checks(profile(ColumnProfile.of([1.0], role=ColumnRole.ACTUAL)))


@given(st.lists(st.sampled_from([None, "a", "b", "c"]), min_size=1, max_size=200), st.integers(0, 200), st.randoms())
def test_suggestions_do_not_depend_on_the_order_or_split_of_rows(
    values: list[str | None], cut: int, random: Random
) -> None:
    rows = random.sample(values, len(values))
    parts = [ColumnProfile.of(part, kind=CATEGORICAL) for part in (rows[:cut], rows[cut:])]

    assert suggest_checks(profile(ColumnProfile.of(values, kind=CATEGORICAL))) == suggest_checks(
        profile(parts[0].merge(parts[1]))
    )


@pytest.mark.parametrize("rows", [200, 1000])
def test_an_unchanged_source_reaches_suggested_limits_no_more_often_than_asked(rows: int) -> None:
    rng, repetitions, chance = np.random.default_rng(rows), 150, 0.2

    broken = 0
    for _ in range(repetitions):
        part = suggest_checks(source(rng, 1000), rows=rows, chance=chance)
        broken += reached(part, source(rng, rows))

    assert broken <= stats.binom.ppf(0.999, repetitions, chance)


def test_what_changes_reaches_them() -> None:
    rng = np.random.default_rng(1)
    part = suggest_checks(source(rng, 1000))
    changed = source(rng, 1000)
    for column in (
        ColumnProfile.of([None] * 300 + [1.0] * 700, "amount"),
        ColumnProfile.of([-1.0] * 300 + [1.0] * 700, "amount"),
        ColumnProfile.of(["Atlantis"] * 300 + ["city 1"] * 700, "city", CATEGORICAL),
    ):
        assert reached(part, profile(*({**changed.columns, column.name: column}).values()))
