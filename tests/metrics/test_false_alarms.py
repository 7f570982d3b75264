"""The promise on false alarms, held by the simulation that ``make calibration`` prints: a small grid of it, seeded.

A batch has one hundred columns of ten kinds; an alarm is anything raised in a clean one: any column, any metric.
"""

from __future__ import annotations

import functools
import importlib
from pathlib import Path
from types import ModuleType

import pytest
from scipy import stats

PROMISED = 0.05
GRID = {(200, 100): 6, (1000, 100): 6, (1000, 1000): 6}
"""Baseline and batch rows: batches."""
POWER = {(200, 100): 0.8, (1000, 100): 0.938, (1000, 1000): 0.999}
"""The share of drifting columns found, as the same simulation published it."""
COLUMNS = 100
BY_CHANCE = 0.001
"""How often the test fails while the promise is kept to the letter."""


@pytest.fixture(scope="module")
def calibration() -> ModuleType:
    """The script, imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))
        return importlib.import_module("calibration")


@functools.cache
def tallied(calibration: ModuleType) -> dict[tuple[int, int], tuple[int, int, int]]:
    """Alarms in clean batches, drifting columns found and drifting columns in all, at each size."""
    found = {}
    for (n, m), batches in GRID.items():
        setting = calibration.Setting(n, m, COLUMNS, rivals=False)
        tallies = [calibration.simulate(setting, 1000 + seed)["default verdict"] for seed in range(batches)]
        alarms, detected, moved = (sum(getattr(t, what) for t in tallies) for what in ("alarms", "found", "moved"))
        found[n, m] = alarms, detected, moved
    return found


def test_at_most_one_clean_batch_in_twenty_raises_anything(calibration: ModuleType) -> None:
    alarms = sum(raised for raised, _, _ in tallied(calibration).values())
    assert alarms <= stats.binom.ppf(1 - BY_CHANCE, sum(GRID.values()), PROMISED)


def test_the_bound_is_one_that_usual_rules_do_not_keep(calibration: ModuleType) -> None:
    """A rule that raises something in nearly every clean batch, as 0.05 a column does, is told from one in twenty."""
    batches = sum(GRID.values())
    most = stats.binom.ppf(1 - BY_CHANCE, batches, PROMISED)
    assert stats.binom.cdf(most, batches, 1 - (1 - PROMISED) ** COLUMNS) < 1e-9
    tallies = calibration.simulate(calibration.Setting(200, 100), 0)
    assert (1, 1) == (tallies["psi >= 0.1"].alarms, tallies["KS or chi2, p < 0.05"].alarms)


@pytest.mark.parametrize("size", GRID)
def test_silence_is_not_bought_with_blindness(size: tuple[int, int], calibration: ModuleType) -> None:
    """As much is found as the table of RESULTS.md says, but for chance."""
    _, found, moved = tallied(calibration)[size]
    assert stats.binom.ppf(BY_CHANCE, moved, POWER[size]) <= found


def test_more_is_found_than_by_the_usual_tests_with_the_same_correction(calibration: ModuleType) -> None:
    ours, theirs = 0, 0
    for seed in range(4):
        tallies = calibration.simulate(calibration.Setting(200, 100), seed)
        ours += tallies["default verdict"].found
        theirs += tallies["KS or chi2 + BH"].found
    assert 0 < theirs < ours
