"""Compute the user's own metrics of a job: SQL in the intake's database, functions over the profile or over rows.

An error in one makes that metric null with reason ``failed`` and never ends the job; only a database that cannot be
reached does, because then the retry can. Of an error type and place are kept, not its message: that may hold values.

A function over ``rows`` is given record batches of the monitored rows' ``columns``. It is either a function, called
with each record batch, whose answers are combined by the metric's type; or a class whose object takes all of them::

    class Revenue:
        def update(self, batch: pyarrow.RecordBatch) -> None: ...
        def result(self) -> float: ...
        def state(self) -> object: ...       # JSON-ready; both only where windows are cut into parts
        def merge(self, state: object) -> None: ...
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import logging
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import ColumnKind, JobDefinition, RowStatus
from airflow_monitoring_provider.definitions.custom import CustomMetric, MetricType
from airflow_monitoring_provider.engines.numbers import read_doubles
from airflow_monitoring_provider.engines.screen import StatusArray
from airflow_monitoring_provider.exceptions import MonitoringError, RetryableError, TerminalError
from airflow_monitoring_provider.intake.source import RowSource, TimeFilter, column_of
from airflow_monitoring_provider.metrics.custom import CUSTOM, Outcome, combined, custom_values, failed, outcome
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.arrays import from_truth, from_values, is_text
from airflow_monitoring_provider.profiles.instants import instants
from airflow_monitoring_provider.profiles.profile import Profile

log = logging.getLogger(__name__)


def metrics_over(definition: JobDefinition, source: str) -> dict[str, CustomMetric]:
    """The metrics whose values come from ``sql``, ``profile``, ``rows`` or are ``reported``."""
    return {name: metric for name, metric in definition.custom_metrics.items() if metric.source == source}


def row_metric_columns(definition: JobDefinition) -> tuple[str, ...]:
    """The columns that functions over rows are given."""
    found = metrics_over(definition, "rows").values()
    return tuple(dict.fromkeys(column for metric in found for column in metric.columns))


class RowMetrics:
    """Functions over rows, fed while the rows are read once.

    :param schema: the decided type of every column, which is what the functions get, however rows arrive.
    """

    def __init__(self, definition: JobDefinition, schema: pa.Schema) -> None:
        self._schema = schema
        self._timezone = definition.timestamp_timezone
        self._kinds = definition.column_types
        self._metrics = metrics_over(definition, "rows")
        self._states = {name: _State(metric, schema.names) for name, metric in self._metrics.items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that have to be read; one that is not there fails the metrics that want it."""
        wanted = dict.fromkeys(column for metric in self._metrics.values() for column in metric.columns)
        return tuple(column for column in wanted if column in self._schema.names)

    def see(self, batch: pa.RecordBatch, statuses: StatusArray) -> None:
        """Hand the monitored rows of a batch on."""
        if not self._states or not len(batch):
            return
        keep = statuses == RowStatus.MONITORED
        if not keep.any():
            return
        typed: dict[str, pa.Array] = {}
        for name, metric in self._metrics.items():
            if self._states[name].over:
                continue
            for column in metric.columns:
                if column not in typed:
                    array = self._typed(column_of(batch, column), self._wanted(column))
                    typed[column] = array if keep.all() else array.filter(from_truth(keep))
            columns = list(metric.columns)
            self._states[name].update(pa.RecordBatch.from_arrays([typed[column] for column in columns], names=columns))

    def states(self) -> dict[str, Any]:
        """What a part found, JSON-ready, for :meth:`merge` of the task that puts parts together."""
        return {name: state.dump() for name, state in self._states.items()}

    def merge(self, states: Mapping[str, Any]) -> None:
        """Add what a later part found."""
        for name, state in self._states.items():
            state.merge(states[name])

    def outcomes(self) -> dict[str, Outcome]:
        """The value of each."""
        return {name: state.result() for name, state in self._states.items()}

    def _wanted(self, column: str) -> pa.DataType:
        """The type that the definition says, else the one that was decided from the rows."""
        decided = self._schema.field(column).type
        return pa.float64() if self._kinds.get(column) is ColumnKind.NUMERIC and is_text(decided) else decided

    def _typed(self, array: pa.Array, wanted: pa.DataType) -> pa.Array:
        """A column as its decided type; text that does not spell it is null."""
        if pa.types.is_dictionary(array.type):
            array = array.dictionary_decode()
        if array.type == wanted or not is_text(array.type):
            return array
        if pa.types.is_integer(wanted) or pa.types.is_floating(wanted) or pa.types.is_decimal(wanted):
            read = read_doubles(array)
            mask = np.isnan(read.values) if read.valid is None else np.isnan(read.values) | ~read.valid
            return from_values(read.values, pa.float64(), ~mask)
        return instants(array, self._timezone) if pa.types.is_timestamp(wanted) else array


class _State:
    """One function over rows, and what it has seen; after its first error nothing more."""

    def __init__(self, metric: CustomMetric, there: Sequence[str]) -> None:
        self._metric = metric
        missing = [column for column in metric.columns if column not in there]
        self._answers: list[Outcome] = []
        self._object: Any = None
        self._error: Outcome | None = None
        if missing:
            self._error = failed(f"column {missing[0]!r} is not there")
            return
        with self._guarded():
            made = _imported(str(metric.function))
            self._object = made() if inspect.isclass(made) else None
            self._function: Callable[..., Any] = made
            if self._object is None and metric.type is MetricType.GAUGE:
                raise TerminalError("a gauge over rows needs a class: nobody chooses the last record batch")

    @property
    def over(self) -> bool:
        """It has failed."""
        return self._error is not None

    def update(self, batch: pa.RecordBatch) -> None:
        if self._error is not None:
            return
        with self._guarded():
            if self._object is not None:
                self._object.update(batch)
                return
            found = outcome(self._metric, self._function(batch), len(batch))
            if found.error is not None:
                self._error = found
            # Answers are combined as they come, so that memory does not grow with the rows.
            self._answers = [combined(self._metric.type, [*self._answers, found])]

    def dump(self) -> Any:
        state: Any = None
        if self._error is None:
            with self._guarded():
                state = None if self._object is None else json.loads(json.dumps(self._object.state(), allow_nan=False))
        answers = [each.to_dict() for each in self._answers]
        return {"error": None if self._error is None else self._error.to_dict(), "state": state, "answers": answers}

    def merge(self, other: Mapping[str, Any]) -> None:
        if self._error is not None:
            return
        if other["error"] is not None:
            self._error = Outcome.from_dict(other["error"])
            return
        with self._guarded():
            if self._object is not None:
                self._object.merge(other["state"])
            else:
                answers = [*self._answers, *(Outcome.from_dict(each) for each in other["answers"])]
                self._answers = [combined(self._metric.type, answers)] if answers else []

    def result(self) -> Outcome:
        found = None
        if self._error is None:
            with self._guarded():
                if self._object is None:
                    found = combined(self._metric.type, self._answers)
                else:
                    found = outcome(self._metric, self._object.result())
        return found if found is not None else self._error or failed("gave nothing")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # the user's own code may raise anything
            self._error = _told(error, str(self._metric.function))


def profile_values(definition: JobDefinition, profile: Profile) -> list[MetricValue]:
    """The metrics that functions make of a profile."""
    values: list[MetricValue] = []
    for name, metric in metrics_over(definition, "profile").items():
        try:
            answer = _imported(str(metric.function))(profile)
            found = outcome(metric, answer, profile.status_counts.get(RowStatus.MONITORED.text, 0))
        except Exception as error:  # the user's own code may raise anything
            found = _told(error, str(metric.function))
        values += custom_values(name, metric, found)
    return values


def read_values(definition: JobDefinition, outcomes: Mapping[str, Outcome]) -> list[MetricValue]:
    """The metrics that were computed while rows were read."""
    return [
        value
        for name, metric in definition.custom_metrics.items()
        if name in outcomes
        for value in custom_values(name, metric, outcomes[name])
    ]


def kept_values(definition: JobDefinition, before: Sequence[MetricValue], profile: Profile) -> list[MetricValue]:
    """A job's own metrics where it is compared without its rows: of SQL and rows as they were, others made anew."""
    kept = [value for value in before if value.details.get(CUSTOM) in ("sql", "rows")]
    return [*kept, *profile_values(definition, profile)]


def sql_outcomes(definition: JobDefinition, source: RowSource, window: TimeFilter | None) -> dict[str, Outcome]:
    """The metrics that the intake's database computes, each in a read-only transaction of its own.

    :raises RetryableError: the database cannot be reached.
    """
    from airflow_monitoring_provider.intake.source import select_in
    from airflow_monitoring_provider.intake.sql import aggregated, counted

    found: dict[str, Outcome] = {}
    for name, metric in metrics_over(definition, "sql").items():
        try:
            with select_in(source, window) as selection:
                if metric.type is MetricType.CATEGORICAL:
                    found[name] = outcome(metric, counted(selection, str(metric.sql), source.label))
                else:
                    value, samples = aggregated(selection, str(metric.sql), metric.sample_count_sql, source.label)
                    found[name] = outcome(metric, value, samples)
        except RetryableError:
            raise
        except MonitoringError as error:  # these sentences hold no values
            log.warning("Custom metric %s: %s", name, error)
            found[name] = failed(str(error))
    return found


def _imported(path: str) -> Any:
    """What an import path names."""
    module, _, name = path.replace(":", ".").rpartition(".")
    return getattr(importlib.import_module(module), name)


def _told(error: Exception, path: str) -> Outcome:
    """The error of a user's function without its message, which may hold values of rows."""
    frames = traceback.extract_tb(error.__traceback__)
    place = "" if not frames or frames[-1].filename == __file__ else f" at line {frames[-1].lineno}"
    log.warning("Custom metric function %s ended with %s%s", path, type(error).__name__, place)
    message = f": {error}" if isinstance(error, TerminalError | ImportError) else ""
    return failed(f"{type(error).__name__} in {path}{place}{message}")
