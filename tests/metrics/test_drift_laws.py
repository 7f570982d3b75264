"""What must hold for every drift metric and all data: identity, symmetry, ranges, order, merging, missing values."""

from __future__ import annotations

import functools
import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.metric_terms import DRIFT_METRICS, METRICS
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.choice import ON_NUMBERS
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.profile import ColumnProfile

EVERY = sorted(DRIFT_METRICS)
MODES = ["datarobot", "arize", "evidently", "mlrun", "nannyml"]
SYMMETRIC = DRIFT_METRICS - {"kl_cr", "kl_rc", "wasserstein_norm"}
# Of what is cut from the baseline the cells change when the sides do, unless they are given.
ZERO_RULES = ["add_one", "floor", "scale", "jeffreys"]
NOT_ZERO_AT_IDENTITY = {"cvm", "anderson_k", "mmd2"}  # zero is what chance gives on average, not their least value

few_numbers = st.lists(st.integers(-30, 30).map(float), min_size=8, max_size=60)
any_numbers = st.lists(st.floats(-1e9, 1e9), min_size=8, max_size=60)
odd_numbers = st.lists(st.one_of(st.floats(), st.integers(-3, 3).map(float)), max_size=40)
texts = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh"), st.text(max_size=3)), max_size=40)
quick = settings(deadline=None, max_examples=20)


def chosen(**said: Any) -> ComparisonSettings:
    return _chosen(json.dumps(said))


@functools.cache
def _chosen(said: str) -> ComparisonSettings:
    definition = load_definition(
        {
            "deploymentId": "d",
            "monitoringColumns": {"predictionsColumns": "p"},
            "drift": {"metrics": EVERY, **json.loads(said)},
            "thresholds": {name: {"critical": 0.5} for name in EVERY},
            "minimums": {"referenceRows": 1, "currentRows": 1},
        }
    )
    return ComparisonSettings.from_definition(definition)


ALL = chosen()
FIXED = chosen(binning="custom", edges=[-10.0, -1.0, 0.0, 4.5, 20.0])


def numbers(values: object) -> ColumnProfile:
    return ColumnProfile.of(np.asarray(values, np.float64))


def levels(values: list[str | None]) -> ColumnProfile:
    return ColumnProfile.of(values, kind=ColumnKind.CATEGORICAL)


def drift(a: ColumnProfile, b: ColumnProfile, how: ComparisonSettings = ALL) -> dict[str, MetricValue]:
    return {value.name: value for value in column_drift(a, b, how)}


def same(expected: dict[str, MetricValue], found: dict[str, MetricValue], *, rel: float = 1e-7) -> None:
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        other = found[name]
        assert value.reason == other.reason, name
        for field in ("value", "p_value"):
            wanted, got = getattr(value, field), getattr(other, field)
            assert (wanted is None) == (got is None), name
            assert wanted is None or wanted == pytest.approx(got, rel=rel, abs=1e-7), (name, field)


@given(any_numbers)
@quick
def test_a_column_is_at_no_distance_from_itself(values: list[float]) -> None:
    for value in drift(numbers(values), numbers(values)).values():
        if value.value is None:
            assert value.reason in (Reason.INSUFFICIENT_DATA, Reason.NOT_APPLICABLE, Reason.NOT_FINITE), value.name
        elif value.name in NOT_ZERO_AT_IDENTITY:
            assert (value.p_value or 0) >= 0.25
        else:
            assert 0.0 == pytest.approx(value.value, abs=1e-6), value.name


@given(texts.filter(lambda t: any(x is not None for x in t)))
@quick
def test_levels_are_at_no_distance_from_themselves(values: list[str | None]) -> None:
    for name, value in drift(levels(values), levels(values)).items():
        assert name not in ON_NUMBERS
        if value.value is not None:
            assert 0.0 == pytest.approx(value.value, abs=1e-9), name


@given(few_numbers, few_numbers)
@quick
def test_symmetric_metrics_are_symmetric(a: list[float], b: list[float]) -> None:
    there, back = drift(numbers(a), numbers(b), FIXED), drift(numbers(b), numbers(a), FIXED)

    for name in SYMMETRIC:
        wanted, got = there[name].value, back[name].value
        assert (wanted is None) == (got is None), name
        assert wanted is None or wanted == pytest.approx(got, rel=1e-6, abs=1e-8), name


@pytest.mark.parametrize("rule", ZERO_RULES)
@given(odd_numbers, odd_numbers)
@example([0.0], [0.0, 1.797693134862316e305])  # the value is a number, and what chance makes of it is not
@quick
def test_values_stay_in_their_ranges_and_are_numbers_or_have_a_reason(
    rule: str, a: list[float], b: list[float]
) -> None:
    for value in drift(numbers(a), numbers(b), chosen(zeroCells=rule)).values():
        _is_whole(value)


@given(texts, texts)
@quick
def test_values_of_levels_stay_in_their_ranges_or_have_a_reason(a: list[str | None], b: list[str | None]) -> None:
    for value in drift(levels(a), levels(b)).values():
        _is_whole(value)


@pytest.mark.parametrize("mode", MODES)
@given(odd_numbers, odd_numbers, texts, texts)
@example([0.0, 1.0, 1.0], [1.0, 1.0], [], [])  # the largest MMD^2 of all tables is 0, but for rounding
@quick
def test_other_tools_defaults_give_numbers_or_reasons(
    mode: str, a: list[float], b: list[float], c: list[str | None], d: list[str | None]
) -> None:
    how = chosen(parity=mode, metrics=None)
    for value in [*column_drift(numbers(a), numbers(b), how), *column_drift(levels(c), levels(d), how)]:
        _is_whole(value)


@given(any_numbers, any_numbers, st.randoms(use_true_random=False))
@quick
def test_the_order_of_rows_does_not_matter(a: list[float], b: list[float], random: Any) -> None:
    expected = drift(numbers(a), numbers(b))
    shuffled = random.sample(a, len(a)), random.sample(b, len(b))

    same(expected, drift(*(numbers(side) for side in shuffled)))


@given(st.lists(st.sampled_from("abcd"), min_size=1, max_size=60), st.lists(st.sampled_from("abcdef"), min_size=1))
@quick
def test_the_names_of_levels_do_not_matter(a: list[str], b: list[str]) -> None:
    renamed = dict(zip("abcdef", ["x9", "m", "ä", "", "z z", "0"], strict=True))

    expected = drift(levels([*a]), levels([*b]))
    found = drift(levels([renamed[v] for v in a]), levels([renamed[v] for v in b]))

    same(expected, found)


@given(any_numbers, any_numbers, any_numbers)
@quick
def test_merged_parts_give_what_the_whole_gives(a: list[float], b: list[float], c: list[float]) -> None:
    expected = drift(numbers(a), numbers([*b, *c]))

    same(expected, drift(numbers(a), numbers(b).merge(numbers(c))))
    same(expected, drift(numbers(a), numbers(c).merge(numbers(b))))


@given(few_numbers, few_numbers, st.sampled_from([0.5, 8.0, 1024.0]), st.integers(-100, 100))
@quick
def test_scale_and_shift_change_only_what_has_a_unit(a: list[float], b: list[float], scale: float, by: int) -> None:
    how = chosen(binning="discrete")
    expected = drift(numbers(a), numbers(b), how)
    found = drift(*(numbers(np.array(side) * scale + by) for side in (a, b)), how)

    for name in DRIFT_METRICS:
        unit = {"wasserstein": scale, "energy": math.sqrt(scale)}.get(name, 1.0)
        wanted, got = expected[name].value, found[name].value
        if name == "wasserstein_norm" and np.std(a) * min(scale, 1) < 0.001:
            continue  # its unit is at least a thousandth
        assert (wanted is None) == (got is None), name
        assert wanted is None or unit * wanted == pytest.approx(got, rel=1e-6, abs=1e-7), name


@given(st.lists(st.floats(-1e3, 1e3), min_size=8, max_size=60), st.lists(st.floats(-1e3, 1e3), min_size=8))
@quick
def test_ranks_follow_any_increasing_map(a: list[float], b: list[float]) -> None:
    together = sorted({*a, *b})
    place = {value: float(i) ** 3 for i, value in enumerate(together)}

    expected, found = drift(numbers(a), numbers(b)), drift(*(numbers([place[v] for v in s]) for s in (a, b)))

    for name in ("ks", "mannwhitney", "cvm", "anderson_k"):
        assert expected[name].value == pytest.approx(found[name].value, abs=1e-9), name
        assert expected[name].p_value == pytest.approx(found[name].p_value, abs=1e-9), name


def test_a_larger_shift_gives_a_larger_value() -> None:
    rng = np.random.default_rng(2)
    reference, noise = numbers(rng.normal(size=2000)), rng.normal(size=2000)
    noise -= noise.mean()

    shifted = [drift(reference, numbers(noise + shift)) for shift in (0.1, 0.5, 1, 2)]

    for name in sorted(DRIFT_METRICS - {"z_test"}):
        found = [values[name].value or 0.0 for values in shifted]
        assert sorted(found) == found, name
        assert found[0] < found[-1], name


def test_one_row_more_moves_no_metric_far() -> None:
    rng = np.random.default_rng(4)
    reference, current = numbers(rng.normal(size=3000)), rng.normal(0.2, 1.1, size=2000)

    before, after = drift(reference, numbers(current)), drift(reference, numbers([*current, 40.0]))

    for name in sorted(DRIFT_METRICS - {"z_test"}):
        wanted = before[name].value
        assert wanted == pytest.approx(after[name].value, rel=0.2, abs=0.02), name


@given(few_numbers, few_numbers, st.integers(1, 20))
@quick
def test_missing_values_touch_only_what_counts_cells(a: list[float], b: list[float], nulls: int) -> None:
    whole, holes = drift(numbers(a), numbers(b)), drift(numbers(a), numbers([*b, *[math.nan] * nulls]))
    dropped = drift(numbers(a), numbers([*b, *[math.nan] * nulls]), chosen(missing="drop"))

    for name in ON_NUMBERS:
        assert whole[name].value == holes[name].value, name
    for name in DRIFT_METRICS:  # but for the order in which a cell more, which is empty, makes NumPy add
        wanted, found = whole[name].value, dropped[name].value
        assert (wanted is None) == (found is None), name
        assert wanted is None or wanted == pytest.approx(found, rel=1e-13, abs=1e-13), name


@pytest.mark.parametrize("mode", [None, *MODES])
@pytest.mark.parametrize(
    ("reference", "current", "reason"),
    [
        ([], [1.0], Reason.NO_DATA),
        ([1.0], [], Reason.NO_DATA),
        ([math.nan] * 3, [1.0], Reason.NO_DATA),
    ],
)
def test_no_rows_is_no_data(mode: str | None, reference: list[float], current: list[float], reason: Reason) -> None:
    how = ALL if mode is None else chosen(parity=mode, metrics=None)
    found = drift(numbers(reference), numbers(current), how)

    assert found
    assert {(None, None, reason)} == {(v.value, v.p_value, v.reason) for v in found.values()}


@pytest.mark.parametrize("mode", [None, *MODES])
@pytest.mark.parametrize(
    ("reference", "current"),
    [
        ([1.0], [1.0]),
        ([5.0] * 30, [5.0] * 20),
        ([5.0] * 30, list(range(30))),
        (list(range(30)), [math.nan] * 30),
        (list(range(30)), [1e308, -1e308] * 5),
        ([1.7e308, -1.7e308] * 20, [5e-324] * 20),
        (list(1e9 + np.linspace(0, 1e-3, 3000)), list(1e9 + np.linspace(0, 2e-3, 3000))),
        (list(range(30)), list(range(100, 130))),
    ],
)
def test_odd_columns_give_numbers_or_reasons(mode: str | None, reference: list[float], current: list[float]) -> None:
    how = ALL if mode is None else chosen(parity=mode, metrics=None)
    found = drift(numbers(reference), numbers(current), how)

    assert found
    for value in found.values():
        _is_whole(value)


def test_many_levels_are_compared_by_every_metric_of_cells() -> None:
    many = levels([f"user {i}" for i in range(30_000)] + ["a"] * 3000)
    found = drift(many, levels([f"guest {i}" for i in range(15_000)] + ["a"] * 3000))

    for value in found.values():
        _is_whole(value)
    assert (found["tvd"].value or 0) > 0.01


def _is_whole(value: MetricValue) -> None:
    term = METRICS[value.name]
    if value.value is None:
        assert value.reason is not None
        assert value.p_value is None
        return
    assert term.low - 1e-9 <= value.value <= term.high + 1e-9, value.name
    assert math.isfinite(value.value)
    assert value.p_value is not None
    assert 0 <= value.p_value <= 1, value.name
    assert value.critical_value is None or (math.isfinite(value.critical_value) and value.critical_value >= 0)
    assert json.dumps(dict(value.details), allow_nan=False)
