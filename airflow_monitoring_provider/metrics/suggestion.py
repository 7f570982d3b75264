"""Checks and thresholds for a definition, read off a baseline profile, to be looked over and kept by people.

What is suggested for every feature, as SageMaker's constraint suggestion does: its kind; how much may be missing; no
negative numbers where the baseline has none; the list of levels where there are at most 100. Bounds are not: the
extremes of some rows are passed by the next ones.

A limit leaves room for chance. Of a baseline with k breaking values among n, the share p that breaks in truth is at
most what Beta(k + 1, n - k) allows (Clopper and Pearson 1934), so the breaking values of the next m rows are
beta-binomial; the limit is the smallest number that chance reaches with a probability of no more than ``chance`` over
the number of limits (Bonferroni). Levels seen once stand for those not seen yet (Good and Turing). So if nothing
changes, all limits together are reached in at most about ``chance`` of the batches; where a rule is known to hold
without exception, a limit of 0 says so.
"""

from __future__ import annotations

import collections
import dataclasses
import math
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from scipy.special import betaln

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.profiles.plan import ColumnRole
from airflow_monitoring_provider.profiles.profile import ColumnProfile, Profile

CHANCE = 0.001
"""A tenth of what the defaults of data quality have at a level of 5 %."""
MOST_LEVELS = 100
LOOSEST = 0.2
"""A list or a sign that chance breaks more often says nothing of the column."""

_MOST_ROWS = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class _Rule:
    """One limit to be set.

    :param check: members of the column's check; None for its share of missing values.
    :param hits: baseline values that break it, or stand for such; of ``n``.
    :param m: values of a batch.
    """

    column: str
    check: dict[str, Any] | None
    hits: int
    n: int
    m: int

    def limit(self, chance: float) -> float:
        """The share that is reached by chance with at most this probability; above 1 where there is none."""
        m, a, b = min(self.m, _MOST_ROWS), self.hits + 1, max(self.n - self.hits, 1)
        k = np.arange(m + 1)
        logs = betaln(k + a, m - k + b) - betaln(a, b) - np.log(m + 1) - betaln(k + 1, m - k + 1)  # beta-binomial
        at_least = np.exp(logs)[::-1].cumsum()[::-1]
        hits = int(np.count_nonzero(at_least > chance))
        return math.ceil(1e6 * hits / m) / 1e6 if hits <= m else math.inf


def suggest_checks(
    baseline: Profile, rows: int | None = None, *, declared: Collection[str] = (), chance: float = CHANCE
) -> dict[str, Any]:
    """``checks`` and ``thresholds`` of a definition, as plain data in snake_case.

    :param rows: of the smallest batch to expect; as many as the baseline has without it.
    :param declared: columns whose kind the definition states, since they may arrive as another.
    :param chance: how often an unchanged batch may reach any of the limits, 0..1.
    """
    features = [column for _, column in sorted(baseline.columns.items()) if column.role is ColumnRole.FEATURE]
    scale = 1.0 if rows is None or not baseline.rows else rows / baseline.rows
    rules = [rule for column in features for rule in _rules(column, scale)]
    checks: dict[str, dict[str, Any]] = {
        column.name: {"kind": column.kind.value} for column in features if column.name not in declared
    }
    missing: dict[str, dict[str, float]] = {}
    for rule in rules:
        limit = rule.limit(chance / len(rules))
        if rule.check is None:
            if limit <= 1:
                missing[rule.column] = {"critical": limit}
        elif limit <= LOOSEST:
            checks[rule.column] = {**checks.get(rule.column, {}), **rule.check, "critical": limit}
    return {
        **({"checks": checks} if checks else {}),
        **({"thresholds": {"missing_rate": {"columns": missing}}} if missing else {}),
    }


def _rules(column: ColumnProfile, scale: float) -> Iterator[_Rule]:
    if column.rows:
        yield _Rule(column.name, None, column.missing, column.rows, _scaled(column.rows, scale))
    if not column.count:
        return
    m = _scaled(column.count, scale)
    if column.kind is ColumnKind.NUMERIC and not column.negative and not column.negative_inf:
        yield _Rule(column.name, {"minimum": 0}, 0, column.count, m)
    levels = column.levels
    if column.kind is not ColumnKind.CATEGORICAL or levels is None or levels.truncated or levels.names != "keep":
        return
    if len(levels.counts) <= MOST_LEVELS:
        once = collections.Counter(levels.counts.values())[1]
        yield _Rule(column.name, {"allowed_values": sorted(levels.counts)}, once, column.count, m)


def _scaled(rows: int, scale: float) -> int:
    return max(round(rows * scale), 1)
