"""Whether the rows of a window are all there: ``completeness`` against what is expected, and ``late_rows``.

``completeness`` is rows over expected rows, 1 where nothing is missing. Expected is what the definition says, or the
median over the windows before, each scaled to the length of this one (a day has 23 or 25 hours where clocks change).

``late_rows`` is how many rows a window has gained since the first job that ran when they should have been there. A
profile counts rows and does not know them, so this is the net gain: rows that came while others were removed are not
seen. It is given from the second such job on.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from datetime import timedelta

from airflow_monitoring_provider.metrics.quality import plain
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue

COMPLETENESS, LATE_ROWS = "completeness", "late_rows"
LEAST_WINDOWS = 3


def of_the_job(value: MetricValue) -> bool:
    """Whether a value comes from when and over what its job ran, so that no comparison of profiles makes it anew."""
    return value.name in (COMPLETENESS, LATE_ROWS)


def median_rows(before: Sequence[tuple[timedelta, int]], length: timedelta) -> float | None:
    """Rows to expect of a window.

    :param before: lengths and rows of earlier windows.
    :param length: of this window; where it or an earlier one is 0 (whole tables), nothing is scaled.
    :returns: None with fewer than three of them.
    """
    if len(before) < LEAST_WINDOWS:
        return None
    if not length or not all(each for each, _ in before):
        return float(statistics.median(rows for _, rows in before))
    return float(statistics.median(rows * (length / each) for each, rows in before))


def completeness(rows: int, expected: float | None, windows: int | None = None) -> MetricValue:
    """Rows over expected rows.

    :param expected: None where the windows before are too few to tell.
    :param windows: how many windows ``expected`` is the median of; None where the definition says it.
    """
    blank = plain(COMPLETENESS, None, None, m=rows)
    details: dict[str, float] = {} if windows is None else {"windows": windows}
    if expected is None:
        return dataclasses.replace(blank, reason=Reason.INSUFFICIENT_DATA, details=details)
    details = {**details, "expected_rows": expected}
    if not expected:
        return dataclasses.replace(blank, reason=Reason.ZERO_DENOMINATOR, details=details)
    return dataclasses.replace(blank, value=rows / expected, details=details)


def late_rows(rows: int, on_time: int) -> MetricValue:
    """Rows gained since the first job that ran when all should have been there; 0 where there are fewer now."""
    found = plain(LATE_ROWS, None, float(max(rows - on_time, 0)), m=rows)
    return dataclasses.replace(found, details={"rows_on_time": on_time})
