"""``airflow monitoring rollups``: periods and their results, of windows that are in the store."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.usefixtures("completed_job")
def test_periods_and_the_results_of_one(command: Callable[..., Any]) -> None:
    span = ("--start", "2026-02-28", "--end", "2026-03-03")
    days = json.loads(command("rollups", "list", "churn", "--by", "day", *span, "-o", "json").out)
    assert [("2026-02-28", 0), ("2026-03-01", 400), ("2026-03-02", 0)] == [(d["period"], d["rows"]) for d in days]
    assert [(0, 0, False), (1, 1, False), (0, 1, True)] == [
        (d["windows"], d["expected_windows"], d["incomplete"]) for d in days
    ]
    results = json.loads(command("rollups", "show", "churn", "2026-03", "-o", "json").out)
    assert [400.0] == [row["value"] for row in results if row["metric"] == "row_count"]
    assert "2026-03-01" in command("rollups", "list", "churn", "--by", "day", *span, "-o", "plain").out


@pytest.mark.usefixtures("completed_job")
@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (("show", "churn", "March"), "period must be a name such as"),
        (("show", "churn", "2026-13"), "period must be a name such as"),
        (("show", "none", "2026-03"), "no definition"),
        (("list", "churn", "--start", "2026-03-02", "--end", "2026-03-01"), "--end must lie after --start"),
    ],
)
def test_what_is_wrong_is_one_sentence(command: Callable[..., Any], line: tuple[str, ...], sentence: str) -> None:
    answer = command("rollups", *line)
    assert str(answer.code).startswith("airflow monitoring: ")
    assert sentence in answer.code
