"""What chance alone does to counts: tables with the same margins, dealt out anew, seeded by the table itself.

If a column did not change, its rows could as well be shared out between the two sides at random. Such a sharing needs
no rows: given how many rows each cell holds in all, the baseline's part is one multivariate hypergeometric draw. A
p-value or a quantile over such draws is right for any statistic, however few rows a cell has; it is that of
``scipy.stats.permutation_test(permutation_type="independent")`` on the rows laid out one by one.

Draws are seeded with the counts: the same table has the same p whenever and wherever it is judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.metrics.distances import Counts

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Counts], Floats]
"""Of reference counts ``(N, B)`` of N tables with the same margins, how far apart their sides lie: ``(N,)``."""

PERMUTATIONS = 999
MOST_PERMUTATIONS = 99_999
ENOUGH = 20
"""Tables at least as far apart as the one seen, after which a p-value is known to a fifth and drawing ends."""

_DRAWS = 5_000_000  # of single cells, that a p-value may take: 50 ms
_AT_ONCE = 500_000
_MOST_ROWS = 10**9  # of NumPy's hypergeometric draws
_DEALT_ROWS = 1_000_000  # that are dealt one by one
_ROWS_A_CELL = 16  # that are dealt in the time a hypergeometric number takes
_SAME = 1e-9


def seeded(*parts: npt.NDArray[np.int64] | Floats) -> np.random.Generator:
    """Randomness that is a function of the numbers alone, in their order."""
    digest = hashlib.sha256(b"".join(part.astype(part.dtype.newbyteorder("<")).tobytes() for part in parts))
    return np.random.default_rng(int.from_bytes(digest.digest()[:16], "big"))


def dealt(together: Counts, taken: int, tables: int, rng: np.random.Generator) -> Counts:
    """So many tables' reference counts, ``(tables, B)``: ``taken`` of the rows, of which each cell has ``together``.

    Of 10^9 rows and more, all cells but the largest are binomial: NumPy draws no larger hypergeometric numbers, and
    with so many rows to draw from there is no telling them apart.
    """
    rows = int(together.sum())
    if rows < _MOST_ROWS:
        few = rows <= _DEALT_ROWS and min(taken, rows - taken) <= _ROWS_A_CELL * together.size
        method: Literal["count", "marginals"] = "count" if few else "marginals"
        return rng.multivariate_hypergeometric(together, taken, size=tables, method=method)
    largest = int(np.argmax(together))
    found: Counts = rng.binomial(together, taken / rows, size=(tables, together.size))
    found[:, largest] = 0
    found[:, largest] = taken - found.sum(axis=1)
    return found


def permutation_p_value(
    statistic: Statistic, reference: Counts, current: Counts, limit: int = MOST_PERMUTATIONS
) -> float:
    """Share of the tables with these margins that are at least as far apart as the one seen, one-sided.

    Drawn until :data:`ENOUGH` are: p is those over the draws that it took. Where N draws do not hold so many, p is
    ``(k + 1) / (N + 1)``. Both are valid, P(p <= t) <= t, and draws are spent where p is small, which alone needs them
    (Besag and Clifford 1991). N is ``limit`` up to 50 cells, less of more: 5 000 of a thousand.
    """
    together = reference + current
    used = together > 0
    reference, together = reference[used], together[used]
    rng, taken, cells = seeded(reference, together), int(reference.sum()), together.size
    least = float(statistic(reference[None, :])[0])
    least -= _SAME * max(abs(least), 1.0)
    most = max(min(limit, _DRAWS // cells), PERMUTATIONS)
    far, drawn, size = 0, 0, 4 * ENOUGH
    while drawn < most:
        size = min(size, most - drawn, max(_AT_ONCE // cells, ENOUGH))
        hits = np.flatnonzero(statistic(dealt(together, taken, size, rng)) >= least)
        if far + hits.size >= ENOUGH:
            return ENOUGH / (drawn + int(hits[ENOUGH - far - 1]) + 1)
        far, drawn, size = far + int(hits.size), drawn + size, 2 * size
    return (far + 1) / (most + 1)
