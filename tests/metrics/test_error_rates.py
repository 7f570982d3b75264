"""How often the default verdict is wrong: seeded simulations of the table that its defaults were chosen to beat.

One hundred normal columns a batch, ten quantile cells, PSI with the add-one rule, guard at alpha 0.05. "Flagged" is a
potential detection or worse.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest

from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.monitors.evaluate import evaluate
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

COLUMNS = 100
ANY_SIZE = ComparisonSettings(reference_rows=1, current_rows=1)


@functools.cache
def batch(seed: int, rows: int, shift: float = 0.0, moved: int = COLUMNS) -> Profile:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(COLUMNS, rows))
    values[:moved] += shift
    columns = {f"x{i:03d}": ColumnProfile.of(column, f"x{i:03d}") for i, column in enumerate(values)}
    return Profile(ProfilePlan(()), rows, {"monitored": rows}, columns)


def flagged(seed: int, n: int, m: int, shift: float = 0.0, moved: int = COLUMNS) -> int:
    values = compare(batch(2 * seed + 1, m, shift, moved), batch(2 * seed, n), ANY_SIZE)
    evaluation = evaluate([value for value in values if value.primary], Rules())
    return len(evaluation.drifted_columns) + len(evaluation.suspected_columns)


@pytest.mark.parametrize(("n", "m"), [(100, 100), (200, 100), (1000, 100), (1000, 1000)])
def test_unchanged_batches_stay_silent(n: int, m: int) -> None:
    found = [flagged(seed, n, m) for seed in range(4)]

    assert 1 >= sum(count > 0 for count in found)
    assert 0.01 >= sum(found) / (4 * COLUMNS)


@pytest.mark.parametrize(("least", "shift"), [(0.97, 0.4), (0.99, 0.5)])
def test_shifts_are_found_in_a_thousand_rows(least: float, shift: float) -> None:
    assert least <= sum(flagged(seed, 1000, 1000, shift) for seed in range(3)) / (3 * COLUMNS)


def test_a_few_shifted_columns_are_found_in_few_rows() -> None:
    found = sum(flagged(seed, 300, 300, 0.5, moved=10) for seed in range(4))

    assert 0.94 <= found / 40 <= 1.1


def test_without_the_guard_an_unchanged_small_batch_is_flagged_almost_everywhere() -> None:
    values = compare(batch(1, 100), batch(0, 100), ANY_SIZE)
    unguarded = evaluate([value for value in values if value.primary], Rules(guard=False))

    assert 60 <= len(unguarded.drifted_columns) + len(unguarded.suspected_columns)
