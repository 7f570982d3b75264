"""How often the default quality limits are reached by chance: seeded simulations of a source that does not change."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.batch_quality import batch_quality
from airflow_monitoring_provider.metrics.multiplicity import adjusted
from airflow_monitoring_provider.metrics.quality import column_quality
from airflow_monitoring_provider.monitors.evaluate import evaluate
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.plan import ProfilePlan, SchemaChanges
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

REPETITIONS = 150


def source(rng: np.random.Generator, rows: int) -> Profile:
    """Everything a default limit looks at, close to where it looks: missing and rejected rows, values that cannot be
    read, levels that are always new, tails, and an event so rare that few rows have none of it.
    """
    rejected = int(rng.binomial(rows, 0.05))
    probabilities = np.where(rng.random(rows) < 0.01, 2.0, rng.random(rows))
    columns = [
        ColumnProfile.of(np.where(rng.random(rows) < 0.5, np.nan, rng.standard_cauchy(rows)), "half missing"),
        ColumnProfile.of((rng.random(rows) < 0.01).astype(float), "rare event"),
        ColumnProfile.of([f"n{n}" for n in rng.geometric(0.01, rows)], "names", ColumnKind.CATEGORICAL),
        ColumnProfile.of(probabilities, "share", mirrored=True),
    ]
    statuses = {"monitored": rows - rejected, "rejected:bad_type": rejected}
    return Profile(ProfilePlan(()), rows, statuses, {column.name: column for column in columns})


@pytest.mark.parametrize(("n", "m"), [(200, 100), (1000, 300)])
def test_an_unchanged_source_reaches_default_limits_within_the_fifth_of_quality(n: int, m: int) -> None:
    rng, rules = np.random.default_rng(n), Rules()

    flagged = 0
    for _ in range(REPETITIONS):
        current, baseline = source(rng, m), source(rng, n)
        values = batch_quality(current, baseline, SchemaChanges())
        for name, column in current.columns.items():
            values += column_quality(column, baseline.columns[name])
        flagged += evaluate(adjusted(values), rules).worst is not None

    assert flagged <= stats.binom.ppf(0.999, REPETITIONS, rules.alpha / 5)
