"""One sentence a column: what its cells gained and lost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.monitors.movement import movement


def psi(*cells: tuple[str, float, float], column: str | None = "region", segment: str | None = None) -> MetricValue:
    moved = [{"cell": cell, "reference": before, "current": after} for cell, before, after in cells]
    details: dict[str, Any] = {"role": "feature", "moved": moved}
    kind = ResultKind.DATA_DRIFT
    return MetricValue("psi", kind, direction_of("psi"), 0.3, column=column, segment=segment, details=details)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("region: EU fell from 40 % to 22 %, APAC rose from 0 % to 9 %.", psi(("EU", 0.4, 0.22), ("APAC", 0, 0.09))),
        ("region: missing values rose from 0 % to 100 %.", psi(("__missing__", 0.0, 1.0))),
        ("region: a level fell from 50 % to 12.5 %.", psi(("__level__", 0.5, 0.125))),
        ("region in plan=a: EU rose from 1 % to 2 %.", psi(("EU", 0.01, 0.02), segment="plan=a")),
        (None, psi(("EU", 0.5, 0.500001))),
        (None, psi()),
    ],
)
def test_a_columns_movement_is_one_sentence(expected: str | None, value: MetricValue) -> None:
    assert expected == movement(value)


shares = st.floats(0, 1)


@given(st.lists(st.tuples(st.text(), shares, shares), max_size=5), st.text(min_size=1), st.none() | st.text())
def test_a_sentence_stays_short(cells: list[tuple[str, float, float]], column: str, segment: str | None) -> None:
    assert 200 >= len(movement(psi(*cells, column=column, segment=segment)) or "")
