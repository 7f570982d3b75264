"""How often the 95 % intervals of performance hold the true value: a seeded simulation.

    make coverage                           # about 5 minutes on processors; prints the tables of RESULTS.md
    make coverage COVERAGE_ARGS="--samples 100 --rows 100 1000"

Samples are drawn from a population of two million rows, whose own score is the true value: three models (a score of two
classes with 30 % positives, three classes, a regression with skewed errors), profiled and scored by a job's own
functions. An interval that promises 95 % holds the truth in 95 of 100 samples; how far chance moves that share is
printed beside.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import itertools
import math
import os
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import measure
import numpy as np

from airflow_monitoring_provider.metrics.performance import performance
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, RegressionProfile

ROWS = (100, 300, 1_000, 10_000, 100_000)
LARGE = 10_000
POPULATION = 2_000_000
CLASSES = ("low", "middle", "high")
PROMISED = 0.95

Target = ClassificationProfile | RegressionProfile
SETTINGS = ComparisonSettings(labelled_rows=1)


def binary(rng: np.random.Generator, rows: int) -> Target:
    """30 % positives; calibrated probabilities of a logistic model whose classes lie 1.5 deviations apart."""
    actual = (rng.random(rows) < 0.3).astype(np.int64)
    logit = math.log(3 / 7) + 1.5 * (rng.normal(1.5 * actual, 1, rows) - 0.75)
    return ClassificationProfile.of(("no", "yes"), 1 / (1 + np.exp(-logit)), actual, positive_class="yes")


def multiclass(rng: np.random.Generator, rows: int) -> Target:
    """Shares of 60, 30 and 10 %; softmax of scores that are one deviation higher for the actual class."""
    actual = rng.choice(3, rows, p=[0.6, 0.3, 0.1])
    scores = rng.normal(size=(rows, 3)) + np.log([0.6, 0.3, 0.1])
    scores[np.arange(rows), actual] += 1.5
    shares = np.exp(scores)
    return ClassificationProfile.of(CLASSES, shares / shares.sum(axis=1, keepdims=True), actual)


def regression(rng: np.random.Generator, rows: int) -> Target:
    """Lognormal actuals, predictions off by a factor: errors are skewed, and larger for larger actuals."""
    actual = rng.lognormal(1, 0.6, rows)
    return RegressionProfile.of(actual * rng.lognormal(-0.02, 0.25, rows), actual)


MODELS: dict[str, Callable[[np.random.Generator, int], Target]] = {
    "binary": binary,
    "multiclass": multiclass,
    "regression": regression,
}


@functools.cache
def truth(model: str) -> dict[str, float]:
    """Score -> its value in the population, where it has an interval."""
    rng = np.random.default_rng([list(MODELS).index(model), POPULATION])
    values = performance(MODELS[model](rng, POPULATION), None, SETTINGS)
    return {v.name: v.value for v in values if v.value is not None and v.low is not None and v.name != "label_coverage"}


def held(model: str, rows: int, seed: int) -> dict[str, int]:
    """Score -> whether the interval of one sample holds the population's value; only scores that have an interval."""
    rng = np.random.default_rng([list(MODELS).index(model), rows, seed])
    values = performance(MODELS[model](rng, rows), None, SETTINGS)
    true = truth(model)
    return {
        value.name: int(value.low <= true[value.name] <= value.high)
        for value in values
        if value.name in true and value.low is not None and value.high is not None
    }


def covered(model: str, rows: int, samples: int, processes: int) -> dict[str, tuple[int, int]]:
    """Score -> samples whose interval holds the truth, and samples that have an interval."""
    hits: Counter[str] = Counter()
    had: Counter[str] = Counter()
    with concurrent.futures.ProcessPoolExecutor(processes) as pool:
        jobs = (itertools.repeat(model, samples), itertools.repeat(rows, samples), range(samples))
        for sample in pool.map(held, *jobs, chunksize=10):
            hits.update(sample)
            had.update(sample.keys())
    return {name: (hits[name], had[name]) for name in truth(model)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=400, help="of a size (400); an eighth of the largest")
    parser.add_argument("--rows", type=int, nargs="*", default=ROWS)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options: Any = parser.parse_args(arguments)
    print(f"{measure.machine()}; the share of samples whose interval holds the true value, %")
    for model in MODELS:
        of_size = {n: max(1, options.samples // (8 if n > LARGE else 1)) for n in options.rows}
        found = {n: covered(model, n, samples, options.processes) for n, samples in of_size.items()}
        rows = [
            [name, f"{value:.4g}", *(_share(*found[n][name]) for n in options.rows)]
            for name, value in truth(model).items()
        ]
        print(f"\n{model}: samples of each size {', '.join(f'{of_size[n]}' for n in options.rows)}")
        measure.table(["score", "true value", *(f"{n:,} rows".replace(",", " ") for n in options.rows)], rows)
    for samples in sorted({options.samples, max(1, options.samples // 8)}):
        print(f"Chance alone: {100 * _margin(samples):.1f} points on both sides of 95 with {samples} samples.")


def _margin(samples: int) -> float:
    return 1.96 * math.sqrt(PROMISED * (1 - PROMISED) / samples)


def _share(hits: int, samples: int) -> str:
    return "-" if not samples else f"{100 * hits / samples:.3g}"


if __name__ == "__main__":
    main()
