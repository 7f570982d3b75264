"""A changed value is the same value but for what was changed."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind, changed

VALUE = MetricValue(
    *("psi", ResultKind.DATA_DRIFT, Direction.LOWER_IS_BETTER, 0.3, "amount", "city=a", None, 200, 100, "quantile-1"),
    *({"shift": 40.0}, 0.01, 0.02, 0.1, True, 0.5, 0.6, 0.2, 0.4, {"role": "feature"}),
)


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(MetricValue)])
def test_changing_a_field_is_replacing_it(field: str) -> None:
    changes: dict[str, Any] = {field: object()}

    assert dataclasses.replace(VALUE, **changes) == changed(VALUE, **changes)


def test_a_field_that_a_value_does_not_have_cannot_be_changed() -> None:
    with pytest.raises(KeyError, match="adjusted"):
        changed(VALUE, adjusted=0.1)
