"""A column that a definition names is one that it watches: a misspelt one is refused by its place, with the closest."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import JobDefinition

Problems = Callable[[Mapping[str, Any]], dict[str, str]]
Change = Callable[[Mapping[str, Any]], dict[str, Any]]
Define = Callable[[Mapping[str, Any]], JobDefinition]

LISTED = {"features": ["distance", "carrier"]}
CLOSE = "is not profiled: name the column in features, too; did you mean distance?"


@pytest.mark.parametrize(
    ("member", "field"),
    [
        ({"thresholds": {"psi": {"columns": {"distanc": {"critical": 0.3}}}}}, "thresholds.psi.columns.distanc"),
        ({"history": {"missing_rate": {"columns": ["carrier", "distanc"]}}}, "history.missing_rate.columns[1]"),
        ({"drift": {"columns": {"distanc": {"primary": "ks"}}}}, "drift.columns.distanc"),
        ({"checks": {"distanc": {"minimum": 0}}}, "checks.distanc"),
        (
            {"modelScore": {"rule": "importance_weighted", "importances": {"Distanc": 1.0}}},
            "modelScore.importances.Distanc",
        ),
        (
            {"modelScore": {"rule": "importance_counts", "starredFeatures": ["distanc"]}},
            "modelScore.starredFeatures[0]",
        ),
        ({"modelScore": {"rule": "drift_mean", "excludedFeatures": ["distanc"]}}, "modelScore.excludedFeatures[0]"),
    ],
)
def test_a_misspelt_column_is_refused_where_features_are_listed(
    member: dict[str, Any], field: str, changed: Change, problems_of: Problems, define: Define
) -> None:
    assert {field: f"{field}: {CLOSE}"} == problems_of(changed({**LISTED, **member}))
    define(member)  # without a list of features the rows say which columns there are


def test_a_type_of_a_column_that_nobody_reads_is_refused(
    changed: Change, problems_of: Problems, define: Define
) -> None:
    given = {**LISTED, "columnTypes": {"carier": "text", "was_late": "categorical", "flight_id": "text"}}
    expected = {
        "columnTypes.carier": "columnTypes.carier: is no column that this definition reads; did you mean carrier?"
    }
    assert expected == problems_of(changed(given))
    define({**given, "passthroughColumnsSet": "all"})


def test_predictions_and_actuals_have_limits_and_no_importance(
    changed: Change, problems_of: Problems, define: Define
) -> None:
    define({**LISTED, "thresholds": {"psi": {"columns": {"p_late": {"critical": 0.3}, "was_late": {"critical": 0.3}}}}})
    starred = {"modelScore": {"rule": "importance_counts", "starredFeatures": ["p_late"]}}
    (said,) = problems_of(changed(starred)).values()
    assert "names the column of monitoringColumns.predictionsColumns, which decides by itself" in said
    timed = {"timestampColumn": "at", "drift": {"columns": {"at": {"bins": 5}}}}
    assert "whose values are not profiled" in problems_of(changed(timed))["drift.columns.at"]


@pytest.mark.parametrize(
    ("own", "types", "member"),
    [
        ({"binning": "custom", "edges": [1.0]}, {"carrier": "categorical"}, ["binning", "edges"]),
        ({"binning": "quantile", "bins": 5}, {"carrier": "boolean"}, ["binning", "bins"]),
        ({"bins": 5}, {"carrier": "timestamp"}, ["bins"]),
    ],
)
def test_cells_of_numbers_are_refused_for_levels(
    own: dict[str, Any],
    types: dict[str, str],
    member: list[str],
    changed: Change,
    problems_of: Problems,
    define: Define,
) -> None:
    given = {"drift": {"columns": {"carrier": own}}, "columnTypes": types}
    found = problems_of(changed(given))
    assert [f"drift.columns.carrier.{name}" for name in member] == list(found)
    assert all(f"is for numbers, but the column is {types['carrier']}" in said for said in found.values())
    define({**given, "columnTypes": {"carrier": "numeric"}})
    define({**given, "columnTypes": {}})


def test_cells_of_numbers_are_refused_for_actual_classes(changed: Change, problems_of: Problems) -> None:
    given = {"drift": {"columns": {"was_late": {"binning": "custom", "edges": [1.0]}}}}
    assert "drift.columns.was_late.edges" in problems_of(changed(given))


def test_metrics_of_all_rows_have_no_columns(changed: Change, problems_of: Problems) -> None:
    given = {
        "thresholds": {"row_count": {"columns": {"distance": {"critical": 5}}}},
        "history": {"freshness": {"columns": ["distance"]}},
    }
    found = problems_of(changed({**LISTED, **given}))
    assert {"thresholds.row_count.columns", "history.freshness.columns"} == set(found)
    assert all("the metric is of all rows and of no column" in said for said in found.values())


def test_metrics_of_groups_are_under_the_column_that_makes_them(
    changed: Change, problems_of: Problems, define: Define
) -> None:
    limits = {"columns": {"origin": {"critical": 0.5}}}
    define({**LISTED, "segments": ["origin"], "thresholds": {"group_auc": limits}})
    found = problems_of(changed({**LISTED, "segments": ["origin"], "thresholds": {"missing_rate": limits}}))
    assert ["thresholds.missing_rate.columns.origin"] == list(found)


@pytest.mark.parametrize(
    ("drift", "field", "words"),
    [
        ({"primary": 5}, "drift.primary", "must be one of anderson_k, .*, z_test, not a whole number$"),
        ({"binning": "custom"}, "drift.edges", "is required where binning is custom: a list of increasing numbers"),
        (
            {"binning": "custom", "edges": ["1"]},
            "drift.edges[0]",
            "must be a number, not text; write it without quotes",
        ),
    ],
)
def test_messages_say_the_type_and_what_to_do(
    drift: dict[str, Any], field: str, words: str, changed: Change, problems_of: Problems
) -> None:
    assert re.search(words, problems_of(changed({"drift": drift}))[field])
