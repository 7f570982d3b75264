"""Whether a job's profile is computed by the database that holds the rows, and the way of such a job.

========== =========================================================================================
``engine`` the profile comes from
========== =========================================================================================
arrow      rows that are read
sql        the database; an error that gives the reason where it cannot
auto       the database, where it can, its profiles were compared with those of rows that are read
           (:data:`~airflow_monitoring_provider.intake.words.PROVEN`), and the first 20 000 rows take more
           than 2 us a value to read
========== =========================================================================================

The limit is what counting cost PostgreSQL on a busy machine: 2.1 to 3.1 us a value for 1 million rows of 21 columns,
where reading and profiling the same rows took 0.4 to 1.2 us. The first rows are timed because they tell size, distance
and driver at once.

``auto`` says in the job's log which way it took, and why. It looks at a clock, so two runs over the same rows may go
both ways; counts, histograms and content hash are then equal, moments, log loss and the like to 1e-9 only. That is why
it has to be asked for.

An output in the same database is filled by it as well, by ``INSERT … SELECT``
(:mod:`~airflow_monitoring_provider.outputs.selected`). Rows that are not read leave nothing for another output, or for
the prediction log: a definition with an association id, whose predictions wait for actuals, reads them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.engines.sql import check_plan, profile_in_database
from airflow_monitoring_provider.engines.sql_rows import ProfiledRows, SelectedRows
from airflow_monitoring_provider.exceptions import ConfigurationError, SourceError
from airflow_monitoring_provider.intake.source import CannotPushDown, RowSource, Selection, TimeFilter, select_in
from airflow_monitoring_provider.intake.words import PROVEN
from airflow_monitoring_provider.jobs.custom import row_metric_columns
from airflow_monitoring_provider.jobs.progress import Progress
from airflow_monitoring_provider.outputs.output import RowWriter
from airflow_monitoring_provider.outputs.selected import SelectingWriter
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile

SAMPLE_ROWS = 20_000
SECONDS_BETWEEN_LOOKS = 0.2
SLOW = 2e-6
"""Seconds a value from which on reading rows costs more than having the database count them."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pushed:
    """What the database computed.

    :param rows: the row results that it can select; None where the definition has no output.
    """

    profile: Profile
    rows: ProfiledRows | None


def pushed_profile(
    definition: JobDefinition,
    plan: ProfilePlan,
    copied: pa.Schema,
    source: RowSource,
    window: TimeFilter | None,
    writer: RowWriter | None,
    progress: Progress,
) -> Pushed | None:
    """The profile that the database computed; None where rows are to be read.

    :param copied: the output's columns, where the definition has an output.
    :raises ConfigurationError: the definition says ``sql`` and the database cannot; the message gives the reason.
    """
    if definition.engine == "arrow":
        return None
    identifiers = definition.monitoring_output_settings.unique_row_identifier_columns
    try:
        with _selected(definition, source, window) as selection:
            check_plan(plan, selection)
            rows = None
            if writer is not None:
                _check_output(writer, copied, selection)
                rows = SelectedRows(plan, selection, identifiers, copied)
            names = [column.name for column in plan.columns]
            if definition.engine == "auto":
                _check_worth(selection, names)
            progress.note(f"the database of {source.label} computes the profile")
            with watched(selection, progress):
                profile = profile_in_database(plan, selection, identifiers, rows.copied if rows else ())
                return Pushed(profile, ProfiledRows.of(rows) if rows else None)
    except CannotPushDown as reason:
        if definition.engine == "sql":
            raise ConfigurationError(
                f"engine: the database cannot profile {source.label}: {reason}; use engine: arrow, which reads the "
                "rows, or auto"
            ) from None
        progress.note(f"rows are read, because {reason}")
        return None
    except SourceError as reason:  # a decimal that no double of the database holds: read, it is infinite
        if definition.engine == "sql":
            raise type(reason)(f"{reason}; where it is no fault of the rows, engine: arrow reads them") from None
        progress.note(f"rows are read, because {reason}")
        return None


class Running(Protocol):
    """Statements that may take long."""

    def cancel(self) -> None:
        """Tell the database to end the one that runs."""


@contextmanager
def watched(running: Running, progress: Progress, *, commits: bool = False) -> Iterator[None]:
    """Cancel what runs in the database where the job is asked to end, or was superseded, and raise that.

    No row comes by at which this thread could ask, and a statement may run for hours on a server that nobody told.

    :param commits: what ended well is in the database, whoever asked for its end meanwhile, and the job goes on.
    """
    done, reasons = threading.Event(), list[BaseException]()

    def watch() -> None:
        while not done.wait(SECONDS_BETWEEN_LOOKS):
            if reasons:  # again, since it may have come between two statements
                with contextlib.suppress(Exception):  # of the driver: the statement may have ended meanwhile
                    running.cancel()
                continue
            try:
                progress.still_wanted()
            except Exception as reason:
                reasons.append(reason)

    watcher = threading.Thread(target=watch, name="monitoring-watch-statement", daemon=True)
    watcher.start()
    try:
        yield
    except Exception:
        if reasons:
            raise reasons[0] from None
        raise
    finally:
        done.set()
        watcher.join()
    if reasons and not commits:
        raise reasons[0]


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
    columns = definition.monitoring_columns
    if columns.predictions_columns is None and columns.actuals_value_column is not None:
        raise CannotPushDown("actuals join predictions row by row")
    if definition.monitoring_aggregation is not None:
        if definition.monitoring_aggregation.retains:
            raise CannotPushDown("monitoringAggregation retains a sample of the rows, for which rows are read")
    elif columns.association_id_column is not None:
        raise CannotPushDown("predictions are kept for actuals that come later, for which rows are read")
    if row_metric_columns(definition):
        raise CannotPushDown("a function of customMetrics is given rows")
    with select_in(source, window) as selection:
        yield selection


def _check_worth(selection: Selection, names: list[str]) -> None:
    """What only ``auto`` asks.

    :raises CannotPushDown: the database's profiles are not proven, or its rows arrive faster than it counts them.
    """
    dialect = selection.connection.dialect.name
    if dialect not in PROVEN:
        raise CannotPushDown(f"{dialect} was never asked for the profiles of rows that were read, too")
    found = seconds_a_value(selection, names)
    if found < SLOW:
        told = f"arrive in {found * 1e6:.2g} µs a value" if found else "arrive together"
        raise CannotPushDown(f"the first of them {told}, and the database counts from {SLOW * 1e6:g} µs on")


def _check_output(writer: RowWriter, copied: pa.Schema, selection: Selection) -> None:
    if not isinstance(writer, SelectingWriter):
        raise CannotPushDown("each row's status is written to files, for which rows are read")
    reason = writer.cannot_select(copied, selection.connection)
    if reason is not None:
        raise CannotPushDown(reason)
    selection.check_copied(copied.names[:-1])
