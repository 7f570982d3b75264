"""How a job's values are to be compared, and how many of its actuals may be expected in the end.

Actuals that come late restate the windows they belong to, so that a window's label coverage is final once its actuals
have had their time (``minimums.maturity_age``). What earlier windows reached by then is what a window may be expected
to reach: the median of the last of them. Where rows bring their actuals themselves nothing says whether a window was
looked at again after its actuals came, and the baseline's coverage is expected.
"""

from __future__ import annotations

import dataclasses
import statistics

from airflow_monitoring_provider.definitions import JobDefinition, Window, WindowKind
from airflow_monitoring_provider.definitions.window import matures_at
from airflow_monitoring_provider.jobs.timeliness import is_kept_incomplete
from airflow_monitoring_provider.metrics.labels import FinalCoverage
from airflow_monitoring_provider.metrics.settings import ComparisonSettings
from airflow_monitoring_provider.store.window_store import WindowStore

MOST_WINDOWS = 14
LEAST_WINDOWS = 3


def settings_of(definition: JobDefinition, window: Window, store: WindowStore) -> ComparisonSettings:
    """What the comparison of a window is told; a function of the definition and of what the store has by now."""
    settings = ComparisonSettings.from_definition(definition, window)
    return dataclasses.replace(settings, final_coverage=learnt_coverage(definition, window, store))


def learnt_coverage(definition: JobDefinition, window: Window, store: WindowStore) -> FinalCoverage | None:
    """What earlier windows reached that were mature when this one ended; None with fewer than three of them, where
    nobody says when a window is, or where actuals do not come late.
    """
    mature, columns = matures_at(definition, window), definition.monitoring_columns
    late = columns.predictions_columns is not None and columns.actuals_value_column is None
    if mature is None or not late or window.kind is WindowKind.AD_HOC:
        return None
    ended_by = window.end - (mature - window.end)
    earlier = [
        each.job_id
        for each in store.earlier_windows(definition.id, ended_by, 2 * MOST_WINDOWS)
        if not is_kept_incomplete(each.details)
    ]
    shares = store.earlier_values(earlier, "label_coverage").get((None, None), ())[:MOST_WINDOWS]
    share = statistics.median(shares) if len(shares) >= LEAST_WINDOWS else 0.0
    return FinalCoverage(share, len(shares)) if share > 0 else None
