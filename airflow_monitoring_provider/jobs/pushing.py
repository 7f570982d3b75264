"""Whether a job's profile is computed by the database that holds the rows, and the way of such a job.

========== =========================================================================================
``engine`` the profile comes from
========== =========================================================================================
arrow      rows that are read
sql        the database; an error that gives the reason where it cannot
auto       the database, where it can and the first 20 000 rows take more than 2 us a value to read
========== =========================================================================================

The limit is what counting cost PostgreSQL on a busy machine: 2.1 to 3.1 us a value for 1 million rows of 21 columns,
where reading and profiling the same rows took 0.4 to 1.2 us. The first rows are timed because they tell size, distance
and driver at once.

``auto`` looks at a clock, so two runs over the same rows may go both ways; counts, histograms and content hash are then
equal, moments, log loss and the like to 1e-9 only. That is why it has to be asked for.

Rows that are not read leave nothing to write: a definition with an output or with an association id, whose predictions
wait for actuals, reads them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.engines.sql import check_plan, profile_in_database
from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.intake.source import CannotPushDown, RowSource, Selection, TimeFilter, select_in
from airflow_monitoring_provider.jobs.progress import Progress
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile

SAMPLE_ROWS = 20_000
SLOW = 2e-6
"""Seconds a value from which on reading rows costs more than having the database count them."""


def pushed_profile(
    definition: JobDefinition, plan: ProfilePlan, source: RowSource, window: TimeFilter | None, progress: Progress
) -> Profile | None:
    """The profile that the database computed; None where rows are to be read.

    :raises ConfigurationError: the definition says ``sql`` and the database cannot; the message gives the reason.
    """
    if definition.engine == "arrow":
        return None
    identifiers = definition.monitoring_output_settings.unique_row_identifier_columns
    try:
        with _selected(definition, source, window) as selection:
            check_plan(plan, selection)
            names = [column.name for column in plan.columns]
            if definition.engine == "auto" and seconds_a_value(selection, names) < SLOW:
                return None
            progress.note(f"the database of {source.label} computes the profile")
            return profile_in_database(plan, selection, identifiers)
    except CannotPushDown as reason:
        if definition.engine == "sql":
            raise ConfigurationError(
                f"engine: the database cannot profile {source.label}: {reason}; use auto"
            ) from None
        return None


def seconds_a_value(selection: Selection, names: list[str]) -> float:
    """How long the first rows take to arrive, from the first batch on; 0 where there are too few to tell."""
    started, rows = 0.0, 0
    for batch in selection.first(names, SAMPLE_ROWS):
        if started:
            rows += len(batch)
        else:
            started = time.perf_counter()
    return (time.perf_counter() - started) / (rows * max(1, len(names))) if rows else 0.0


@contextmanager
def _selected(definition: JobDefinition, source: RowSource, window: TimeFilter | None) -> Iterator[Selection]:
    if definition.output_settings is not None:
        raise CannotPushDown("each row's status is written to the output, for which rows are read")
    columns = definition.monitoring_columns
    if columns.predictions_columns is None and columns.actuals_value_column is not None:
        raise CannotPushDown("actuals join predictions row by row")
    if columns.association_id_column is not None:
        raise CannotPushDown("predictions are kept for actuals that come later, for which rows are read")
    with select_in(source, window) as selection:
        yield selection
