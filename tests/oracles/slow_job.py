"""What a job must find, recomputed one row at a time from the documented rules, with none of the package's code.

Rows are mappings of column -> Python value, in the order in which the source gives them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Row = Mapping[str, Any]


def missing(value: Any) -> bool:
    """None, NaN, or an empty text where a number is expected."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def status(row: Row, predictions: Sequence[str], identifiers: Sequence[str], *, probabilities: bool) -> str:
    """The status of a row that repeats no other."""
    numbers: list[float] = []
    if any(missing(row[name]) for name in predictions):
        return "rejected:missing_prediction"
    bad = False
    for name in predictions:
        try:
            numbers.append(float(row[name]))
        except ValueError:
            bad = True
    if any(not math.isfinite(n) or (probabilities and not 0 <= n <= 1) for n in numbers):
        return "rejected:invalid_prediction"
    if bad:
        return "rejected:bad_type"
    if any(row[name] is None for name in identifiers):
        return "rejected:missing_identifier"
    return "monitored"


def statuses(
    rows: Iterable[Row], predictions: Sequence[str], identifiers: Sequence[str], *, probabilities: bool = True
) -> list[str]:
    """The status of every row; of equal identifiers the first row counts."""
    seen: set[tuple[Any, ...]] = set()
    found = []
    for row in rows:
        key = tuple(row[name] for name in identifiers)
        whole = bool(key) and None not in key
        found.append(
            "rejected:duplicate_identifier"
            if whole and key in seen
            else status(row, predictions, identifiers, probabilities=probabilities)
        )
        seen.add(key)
    return found


def psi(reference: Sequence[int], current: Sequence[int]) -> float:
    """Population stability index; a cell empty on one side gets one row more on both, in count and total."""
    n, m, total = sum(reference), sum(current), 0.0
    for r, c in zip(reference, current, strict=True):
        if r == 0 and c == 0:
            continue
        if r == 0 or c == 0:
            p, q = (r + 1) / (n + 1), (c + 1) / (m + 1)
        else:
            p, q = r / n, c / m
        total += (q - p) * math.log(q / p)
    return total


def psi_of_numbers(reference: Sequence[float | None], current: Sequence[float | None]) -> float:
    """PSI over ten cells of equal baseline mass with open ends, and one for missing values."""
    known = [v for v in reference if not missing(v) and math.isfinite(v or 0.0)]
    edges = [float(e) for e in np.quantile(np.array(known, float), np.arange(1, 10) / 10)]

    def counts(values: Sequence[float | None]) -> list[int]:
        cells = [0] * 11
        for value in values:
            if value is None or not math.isfinite(value):
                cells[10] += 1
            else:
                cells[sum(value >= edge for edge in edges)] += 1
        return cells

    return psi(counts(reference), counts(current))


def psi_of_levels(reference: Sequence[Hashable], current: Sequence[Hashable]) -> float:
    """PSI over the baseline's levels, one cell for all others, and one for missing values."""
    levels = sorted({str(v) for v in reference if v is not None})

    def counts(values: Sequence[Hashable]) -> list[int]:
        found = Counter("missing" if v is None else f"level {v}" if str(v) in levels else "unseen" for v in values)
        return [found[f"level {level}"] for level in levels] + [found["unseen"], found["missing"]]

    return psi(counts(reference), counts(current))


def auc(labels: Sequence[bool], scores: Sequence[float]) -> float:
    """Area under the ROC curve, by scikit-learn."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))
