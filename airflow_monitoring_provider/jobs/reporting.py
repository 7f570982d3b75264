"""Predictions that running code reports into a batch: profiled and logged as a job would, without a window."""

from __future__ import annotations

import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition, RowStatus, load_definition
from airflow_monitoring_provider.engines.arrow import ProfileBuilder
from airflow_monitoring_provider.engines.plans import current_plan
from airflow_monitoring_provider.engines.segment_plans import with_segments
from airflow_monitoring_provider.exceptions import MonitoringError, SourceError, TerminalError
from airflow_monitoring_provider.intake.handed import HandedRows
from airflow_monitoring_provider.jobs.actuals import join_actuals
from airflow_monitoring_provider.jobs.baseline import stored_reference
from airflow_monitoring_provider.jobs.finishing import instant_of
from airflow_monitoring_provider.jobs.named_columns import named_wrongly
from airflow_monitoring_provider.jobs.predictions import PredictionLog
from airflow_monitoring_provider.jobs.reading import screen_of
from airflow_monitoring_provider.profiles.instants import instants
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, to_bytes
from airflow_monitoring_provider.store.actual_records import report_id
from airflow_monitoring_provider.store.custom_records import CustomReport
from airflow_monitoring_provider.store.report_records import Report, ReportOwner
from airflow_monitoring_provider.store.store import MonitoringStore

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


def report_predictions(
    store: MonitoringStore,
    frame: pa.Table | pa.RecordBatch | pd.DataFrame | Sequence[Mapping[str, Any]],
    definition: JobDefinition | Mapping[str, Any] | str,
    *,
    batch_id: str,
    key: str | None = None,
    model_id: str | None = None,
) -> bool:
    """Add rows with their predictions to a batch; False where ``key`` was taken before.

    The rows are profiled as a job would; of those with an association id the predictions are logged, so that actuals
    join them whenever they come. Both are committed as one, once a ``key``: a call that failed is made again with the
    same key and rows. What was committed by a process that died right after is labelled by its next call, or with the
    deployment's next actuals.

    :param frame: the rows, with the columns that the definition names; those of actuals may be absent, as nobody knows
        them yet.
    :param definition: says what the columns are; or the id or name of one in the store.
    :param key: the caller's own name of this report in its batch. None: each call counts.
    :param model_id: of the model that predicted, where it is not the definition's.
    :raises SourceError: a column that the definition needs is not there, or the rows are no table.
    :raises BatchLocked: the batch is locked or was deleted.
    :raises NotFound: there is no such batch or definition.
    """
    chosen = reported_by(store, definition)
    table = _without_actuals(reported_table(frame), chosen)
    batch = store.batch(batch_id)
    owner = ReportOwner(batch.deployment_id, batch_id, uuid.uuid4().hex if key is None else key)
    try:
        report = _profiled(store, chosen, table, owner, model_id)
        added = store.add_report(batch_id, report, key=owner.key)
    except TerminalError:
        _sweep(store, owner)
        raise
    _sweep(store, owner)
    log.info("Reported %d rows into batch %s%s", report.rows, batch_id, "" if added else ", which had them already")
    if report.logged is not None and store.actual_files(owner.deployment_id):
        join_actuals(store, owner.deployment_id, only=report_id(batch_id, owner.key))
    return added


def _without_actuals(table: pa.Table, definition: JobDefinition) -> pa.Table:
    """The rows with what the definition calls the actuals, as unknown where they do not bring it."""
    named = definition.monitoring_columns
    if named.predictions_columns is not None and table.num_columns:
        for name in (named.actuals_value_column, named.actuals_timestamp_column):
            if name is not None and name not in table.column_names:
                table = table.append_column(name, pa.nulls(table.num_rows))
    return table


def _profiled(
    store: MonitoringStore, definition: JobDefinition, table: pa.Table, owner: ReportOwner, model_id: str | None
) -> Report:
    source = HandedRows(table, "the reported rows")
    reference = stored_reference(definition, store)
    plan, _ = current_plan(definition, table.schema, source.label, reference.layout, adopts=reference.moves)
    plan = with_segments(definition, plan, source, table.schema, None, reference.layout)
    if (wrong := named_wrongly(definition, table.schema, plan, reference)) is not None:  # the rows count all the same
        log.warning("Definition %s: %s", definition.id, wrong)
    screen = screen_of(definition, plan, None)
    # Part 1: files of parts have names that are used once, so that two calls with one key cannot write to one file.
    with ProfileBuilder(plan) as builder, PredictionLog(definition, plan, store.storage, owner, part=1) as logged:
        scored = 0
        for batch in table.combine_chunks().to_batches():
            statuses = screen.statuses(batch)
            scored += int(np.count_nonzero(statuses == RowStatus.MONITORED))
            builder.update(batch, statuses)
            logged.append(batch, statuses)
        profile = builder.finish()
        file = logged.close()
    return Report(
        definition_id=definition.id,
        profile_bytes=to_bytes(profile),
        content_hash=profile.content_hash(),
        format_version=FORMAT_VERSION,
        rows=profile.rows,
        scored=scored,
        earliest=instant_of(profile.earliest),
        latest=instant_of(profile.latest),
        model_id=model_id or definition.model_id,
        logged=file,
    )


def report_custom_frame(
    store: MonitoringStore,
    frame: pa.Table | pa.RecordBatch | pd.DataFrame | Sequence[Mapping[str, Any]],
    deployment_id: str,
    metric_id: str,
) -> int:
    """Report a table of values of a custom metric, all or none; how many are new.

    :param frame: with the columns that the metric's ``mapping`` names; rows without a value are left out.
    :raises SourceError: a column is not there, or the rows are no table.
    :raises NotFound, BatchLocked, DefinitionError, ConfigurationError: as ``store.report_custom_metric``.
    """
    mapping, table = store.custom_metric(deployment_id, metric_id).metric.mapping, reported_table(frame)
    named = {
        "value": mapping.value,
        "at": mapping.timestamp,
        "batch_id": mapping.batch,
        "sample_count": mapping.sample_count,
        "association_id": mapping.association_id,
    }
    names = {field: column for field, column in named.items() if column is not None}
    missing = [column for column in names.values() if column not in table.column_names]
    if missing:
        raise SourceError(f"column {missing[0]!r} is not in the reported table; it has {', '.join(table.column_names)}")
    columns = [table.column(column).to_pylist() for column in names.values()]
    if mapping.timestamp is not None:
        times = instants(table.column(mapping.timestamp).combine_chunks(), "UTC").to_pylist()
        columns[list(names).index("at")] = times
    rows = [dict(zip(names, each, strict=True)) for each in zip(*columns, strict=True)]
    values = [
        CustomReport(**{field: _text_of(field, value) for field, value in row.items() if value is not None})
        for row in rows
        if row["value"] is not None
    ]
    return store.report_custom_values(deployment_id, metric_id, values)


def _text_of(field: str, value: Any) -> Any:
    return str(value) if field in ("batch_id", "association_id") else value


def _sweep(store: MonitoringStore, owner: ReportOwner) -> None:
    """Remove the files of this report that do not count: of a call that was refused, or died before its commit."""
    with contextlib.suppress(MonitoringError):
        counted = store.logged_report(owner.batch_id, owner.key)
        store.storage.sweep(
            deployment_id=owner.deployment_id,
            batch_id=owner.batch_id,
            job_id=owner.job_id,
            token=owner.token,
            keep=() if counted is None else (counted,),
        )


def reported_by(store: MonitoringStore, definition: JobDefinition | Mapping[str, Any] | str) -> JobDefinition:
    """The definition that says what reported rows are: of the store by its id or name, or handed over."""
    if isinstance(definition, str):
        return load_definition(store.definition(definition)[1])
    loaded = load_definition(definition)
    store.register_definition(loaded)
    return loaded


def reported_table(frame: object) -> pa.Table:
    """Reported rows as a table.

    :raises SourceError: they are none.
    """
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    try:
        if isinstance(frame, list | tuple):
            return pa.Table.from_pylist(list(frame))
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowTypeError, AttributeError, TypeError, ValueError) as error:  # ValueError: a name that stands twice
        raise SourceError(
            f"the reported rows are no table: give a pyarrow Table, a pandas DataFrame or a list of mappings with one "
            f"type a column, not {type(frame).__name__} ({type(error).__name__})"
        ) from None
