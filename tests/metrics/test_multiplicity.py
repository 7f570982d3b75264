"""p-values corrected over a batch: one alpha, shared by all that may raise something."""

from __future__ import annotations

import pytest
from scipy import stats

from airflow_monitoring_provider.definitions.verdict import Adjustment
from airflow_monitoring_provider.metrics.multiplicity import adjusted
from airflow_monitoring_provider.metrics.values import Direction, MetricValue, ResultKind

DRIFT, QUALITY = ResultKind.DATA_DRIFT, ResultKind.DATA_QUALITY


def value(
    name: str, column: str, p_value: float | None, kind: ResultKind = DRIFT, *, primary: bool = False, **rest: object
) -> MetricValue:
    rest = {"details": {"test": "t"}, **rest}
    return MetricValue(name, kind, Direction.LOWER_IS_BETTER, 0.5, column, p_value=p_value, primary=primary, **rest)  # type: ignore[arg-type]


def test_columns_and_segments_are_one_family_with_four_fifths_of_alpha() -> None:
    p_values = [0.001, 0.02, 0.03, 0.6]
    values = [
        value("psi", "a", 0.001, primary=True),
        value("psi", "b", 0.02, primary=True),
        value("psi", "a", 0.03, primary=True, segment="north"),
        value("psi", "b", 0.6, primary=True, segment="north"),
    ]

    expected = stats.false_discovery_control(p_values) / 0.64

    assert list(expected) == pytest.approx([v.adjusted_p_value for v in adjusted(values)])


def test_data_quality_is_one_family_with_a_part_of_alpha() -> None:
    values = [value("missing_rate_change", "a", 0.001, QUALITY), value("new_values_share", "b", 0.004, QUALITY)]

    expected = stats.false_discovery_control([0.001, 0.004]) / 0.16

    assert list(expected) == pytest.approx([v.adjusted_p_value for v in adjusted(values)])


def test_a_value_with_its_columns_test_is_not_a_second_question() -> None:
    values = [
        value("psi", "a", 0.01, primary=True),
        value("psi", "b", 0.5, primary=True),
        value("js_distance", "a", 0.01),
    ]

    psi, _, js = adjusted(values)

    assert psi.adjusted_p_value == js.adjusted_p_value == pytest.approx(0.01 * 2 / 0.64)


def test_a_value_with_a_test_of_its_own_is_a_family_of_its_own() -> None:
    values = [value("psi", "a", 0.5, primary=True), value("ks", "a", 0.01, details={"test": "ks"})]

    assert 0.01 == adjusted(values)[1].adjusted_p_value


def test_without_an_adjustment_p_values_stay_and_without_a_p_value_there_is_none() -> None:
    values = [value("psi", "a", 0.01, primary=True), value("psi", "b", None, primary=True)]

    assert [0.01, None] == [v.adjusted_p_value for v in adjusted(values, Adjustment.NONE)]
    assert [0.01 / 0.64, None] == pytest.approx([v.adjusted_p_value for v in adjusted(values)])


def test_no_adjusted_p_value_is_over_one() -> None:
    assert [1.0] == [v.adjusted_p_value for v in adjusted([value("missing_rate_change", "a", 0.9, QUALITY)])]
