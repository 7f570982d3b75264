"""The status of every row."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from airflow_monitoring_provider.definitions.terms import ColumnKind, RowStatus, TargetType
from airflow_monitoring_provider.engines.duplicates import AdjacentDuplicates
from airflow_monitoring_provider.engines.screen import Screen
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, TargetPlan

NAN, INF = float("nan"), float("inf")
ACTUAL = ColumnPlan("y", ColumnKind.NUMERIC, ColumnRole.ACTUAL)
REGRESSION = ProfilePlan((ACTUAL,), TargetPlan(TargetType.REGRESSION, (("", "p"),), "y"))
BINARY = ProfilePlan((), TargetPlan(TargetType.BINARY, (("no", "p0"), ("yes", "p1")), "y", ("no", "yes"), "yes"))


def names(statuses: Any) -> list[str]:
    return [RowStatus(status).name.lower() for status in statuses.tolist()]


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        (pa.array([1.0, -5.0, None, NAN, INF, -INF]),
         ["monitored", "monitored", "missing_prediction", "missing_prediction", "invalid_prediction",
          "invalid_prediction"]),
        (pa.array([1, None]), ["monitored", "missing_prediction"]),
        (pa.array(["1.5", "x", "", None, "inf"]),
         ["monitored", "bad_type", "missing_prediction", "missing_prediction", "invalid_prediction"]),
        (pa.array([[1.0], None]), ["bad_type", "missing_prediction"]),
    ],
)  # fmt: skip
def test_regression_predictions_are_finite_numbers(predictions: pa.Array, expected: list[str]) -> None:
    batch = pa.record_batch({"p": predictions})
    assert expected == names(Screen(REGRESSION).statuses(batch))


def test_probabilities_lie_between_zero_and_one_in_every_class() -> None:
    batch = pa.record_batch(
        {"p0": [0.0, 1.0, -0.1, 0.5, None, 0.9, NAN], "p1": [1.0, 0.9, 0.5, 1.0001, 2.0, INF, None]}
    )
    expected = [
        "monitored",
        "monitored",  # a sum that is not 1 is renormalised, not rejected
        "invalid_prediction",
        "invalid_prediction",
        "missing_prediction",  # comes before the invalid other one
        "invalid_prediction",
        "missing_prediction",
    ]
    assert expected == names(Screen(BINARY).statuses(batch))


def test_the_first_reason_in_order_is_given_and_duplicates_win() -> None:
    batch = pa.record_batch({"id": [1, 1, None, 2, 2], "p": [1.0, None, INF, 3.0, 4.0]})
    screen = Screen(REGRESSION, ["id"], duplicates=AdjacentDuplicates())
    expected = ["monitored", "duplicate_identifier", "invalid_prediction", "monitored", "duplicate_identifier"]
    assert expected == names(screen.statuses(batch))
    assert ["duplicate_identifier", "missing_identifier"] == names(
        screen.statuses(pa.record_batch({"id": [2, None], "p": [1.0, 1.0]}))
    )


def test_actuals_only_jobs_need_an_actual_and_an_id() -> None:
    batch = pa.record_batch({"y": [1.0, None, NAN, 2.0, None], "a": ["x", "x", "x", None, None]})
    screen = Screen(REGRESSION, (), "a", actuals_only=True)
    expected = ["monitored", "missing_actual", "missing_actual", "missing_association_id", "missing_actual"]
    assert expected == names(screen.statuses(batch))


def test_other_jobs_do_not_need_an_association_id() -> None:
    batch = pa.record_batch({"p": [1.0], "a": pa.array([None], pa.string())})
    assert ["monitored"] == names(Screen(REGRESSION, (), "a").statuses(batch))


def test_a_lacking_column_is_a_source_error() -> None:
    with pytest.raises(SourceError, match="Column 'p' is not in the rows that were read"):
        Screen(REGRESSION).statuses(pa.record_batch({"q": [1.0]}))
