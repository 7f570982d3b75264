"""One line a quality value: which columns changed, which values are not allowed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.monitors.naming import named


def value(name: str, number: float | None, **details: Any) -> MetricValue:
    return MetricValue(name, ResultKind.DATA_QUALITY, direction_of(name), number, details=details)


AMOUNT = {"column": "amount", "from": "numeric", "to": "string", "unreadable": 0.0}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("amount (numeric to string, 0 % unreadable)", value("retyped_columns", 1.0, columns=[AMOUNT])),
        (
            "plan (text to int64)",
            value("retyped_columns", 1.0, columns=[{"column": "plan", "from": "text", "to": "int64"}]),
        ),
        ("a, b", value("missing_columns", 2.0, columns=[{"column": "a"}, {"column": "b"}])),
        ("a, a, a, a, a and 65 more", value("new_columns", 70.0, columns=[{"column": "a"}] * 50)),
        ("maybe", value("not_allowed_share", 0.1, values=["maybe"])),
        ("a, b, c, d, e and 1 more", value("not_allowed_share", 0.1, values=[*"abcdef"])),
        (None, value("new_columns", 0.0, columns=[])),
        (None, value("not_allowed_share", None)),
        (None, value("missing_rate", 0.5)),
        (None, value("drift_share", 0.5, columns=2)),
    ],
)
def test_what_was_counted_is_named(expected: str | None, found: MetricValue) -> None:
    assert expected == named(found)


def test_the_models_score_names_no_columns() -> None:
    share = MetricValue(
        "drift_share", ResultKind.DATA_DRIFT, direction_of("drift_share"), 0.5, details={"columns": 4, "judged": 4}
    )
    assert named(share) is None


def test_a_line_stays_short() -> None:
    assert 200 > len(named(value("new_columns", 9.0, columns=[{"column": "x" * 500}] * 9)) or "")
