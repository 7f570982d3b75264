"""Actuals that running code reports: a job of their own, which joins them with what the deployment has predicted.

The job's definition is derived from the one that says what the predictions are, so that reports have a history beside
its own: ``<id>.reported-actuals``.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa

from airflow_monitoring_provider.definitions import (
    IntakeSettings,
    JobDefinition,
    Window,
    WindowKind,
    load_definition,
)
from airflow_monitoring_provider.definitions.names import slug
from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError
from airflow_monitoring_provider.intake.handed import HandedRows
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.reporting import reported_by, reported_table
from airflow_monitoring_provider.jobs.run import JobSummary, run_job
from airflow_monitoring_provider.store.records import RunInfo
from airflow_monitoring_provider.store.store import MonitoringStore

if TYPE_CHECKING:
    import pandas as pd

_SUFFIX = ".reported-actuals"
_LONGEST_NAME = 200
_INSTANT = dt.timedelta(microseconds=1)


@dataclasses.dataclass(frozen=True, slots=True)
class ActualColumns:
    """What the columns of reported actuals are called; None: as in the definition of the predictions.

    :param timestamp: when the actual became known; where neither says, when it was reported.
    """

    association_id: str | None = None
    value: str | None = None
    timestamp: str | None = None


def report_actuals(
    store: MonitoringStore,
    frame: pa.Table | pa.RecordBatch | pd.DataFrame | Sequence[Mapping[str, Any]],
    definition: JobDefinition | Mapping[str, Any] | str,
    *,
    key: str | None = None,
    columns: ActualColumns | Mapping[str, str | None] | None = None,
    run: RunInfo | None = None,
) -> JobSummary:
    """Say what really was of predictions that were made before, or will be: every batch they touch is restated.

    Of several actuals for one association id the one that became known last counts, so nothing depends on the order of
    reports. The restated batches are evaluated at once.

    :param frame: the rows: an association id and an actual each, and when it became known.
    :param definition: of the predictions, or of late actuals; or its id or name in the store.
    :param key: the caller's own name of this report: sent again, it replaces what it said before, so that a report
        sent twice counts once. None: each call is a report of its own.
    :param columns: their names in the frame.
    :returns: of the report's own job; ``actuals`` says what became of its rows (matched, orphans, restated batches).
    :raises SourceError: a column is not there, or the rows are no table.
    :raises DefinitionError: nothing says which columns hold association id and actual.
    :raises NotFound: there is no such definition.
    """
    table = reported_table(frame)
    late = reported_actuals(reported_by(store, definition), columns)
    if not table.num_columns:  # of no mappings nobody can say which members they have
        named = late.monitoring_columns
        names = (named.association_id_column, named.actuals_value_column, named.actuals_timestamp_column)
        table = pa.table({name: pa.array([], pa.string()) for name in names if name is not None})
    source = HandedRows(table, "the reported actuals")
    return run_report(late, Ports(store, lambda *_: source, _no_output), key=key, run=run)


def run_report(late: JobDefinition, ports: Ports, *, key: str | None = None, run: RunInfo | None = None) -> JobSummary:
    """Run the job of a report whose definition :func:`reported_actuals` made; parameters as of :func:`report_actuals`.

    Raises what :func:`~airflow_monitoring_provider.jobs.run.run_job` raises.
    """
    store = ports.store
    store.register_definition(late)
    at = store.actual_report(late.id, uuid.uuid4().hex if key is None else key)
    summary = run_job(late, Window.of(at, at + _INSTANT, WindowKind.AD_HOC), ports, run=run)
    evaluate_job(summary.job_id, late, store)
    return summary


def reported_actuals(
    definition: JobDefinition,
    columns: ActualColumns | Mapping[str, str | None] | None = None,
    intake_settings: IntakeSettings | Mapping[str, Any] | None = None,
) -> JobDefinition:
    """The definition of reported actuals, derived from that of their predictions (or of late actuals).

    :param intake_settings: where a task reads them from; None: they are handed over.
    :raises DefinitionError: nothing says which columns hold association id and actual.
    """
    named = _columns(columns)
    known = definition.monitoring_columns
    association_id = named.association_id or known.association_id_column
    value = named.value or known.actuals_value_column
    missing = "association_id" if association_id is None else "value" if value is None else None
    if missing is not None:
        raise DefinitionError(
            f"columns.{missing}: the definition {definition.id} does not name this column either; give its name",
            field=f"columns.{missing}",
        )
    payload: dict[str, Any] = {
        "id": slug(definition.id.removesuffix(_SUFFIX) + _SUFFIX),
        "name": f"{definition.name[:_LONGEST_NAME]}, reported actuals",
        "deployment_id": definition.deployment_id,
        "monitoring_columns": {
            "association_id_column": association_id,
            "actuals_value_column": value,
            "actuals_timestamp_column": named.timestamp or known.actuals_timestamp_column,
        },
        "timestamp_timezone": definition.timestamp_timezone,
        "level_names": definition.level_names,
        "features": [],
        "enabled": False,
    }
    if intake_settings is not None:
        payload["intake_settings"] = intake_settings
    return load_definition(payload)


def _columns(given: ActualColumns | Mapping[str, str | None] | None) -> ActualColumns:
    if given is None or isinstance(given, ActualColumns):
        return given or ActualColumns()
    known = [field.name for field in dataclasses.fields(ActualColumns)]
    strange = sorted(set(given).difference(known))
    if strange:
        raise DefinitionError(f"columns: {strange[0]!r} is not one of {', '.join(known)}", field="columns")
    return ActualColumns(**given)


def _no_output(definition: JobDefinition) -> NoReturn:
    raise ConfigurationError(f"definition {definition.id} writes no output")
