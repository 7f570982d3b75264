"""Predictions that running code reports into a batch: profiled as a job would, without a window; no row is kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition, RowStatus, load_definition
from airflow_monitoring_provider.engines.arrow import ProfileBuilder
from airflow_monitoring_provider.engines.plans import current_plan
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.jobs.baseline import stored_reference
from airflow_monitoring_provider.jobs.finishing import instant_of
from airflow_monitoring_provider.jobs.reading import screen_of
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, to_bytes
from airflow_monitoring_provider.store.report_records import Report
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

    :param frame: the rows, with the columns that the definition names. Only their profile is kept.
    :param definition: says what the columns are; or the id or name of one in the store.
    :param key: the caller's own name of this report: sent again, it counts once. None: each call counts.
    :param model_id: of the model that predicted, where it is not the definition's.
    :raises SourceError: a column that the definition needs is not there, or the rows are no table.
    :raises BatchLocked: the batch is locked or was deleted.
    :raises NotFound: there is no such batch or definition.
    """
    chosen = _definition(store, definition)
    table = _table(frame)
    plan, _ = current_plan(chosen, table.schema, "the reported rows", stored_reference(chosen, store).profile)
    screen = screen_of(chosen, plan, None)
    with ProfileBuilder(plan) as builder:
        scored = 0
        for batch in table.combine_chunks().to_batches():
            statuses = screen.statuses(batch)
            scored += int(np.count_nonzero(statuses == RowStatus.MONITORED))
            builder.update(batch, statuses)
        profile = builder.finish()
    report = Report(
        definition_id=chosen.id,
        profile_bytes=to_bytes(profile),
        content_hash=profile.content_hash(),
        format_version=FORMAT_VERSION,
        rows=profile.rows,
        scored=scored,
        earliest=instant_of(profile.earliest),
        latest=instant_of(profile.latest),
        model_id=model_id or chosen.model_id,
    )
    added = store.add_report(batch_id, report, key=key)
    log.info("Reported %d rows into batch %s%s", profile.rows, batch_id, "" if added else ", which had them already")
    return added


def _definition(store: MonitoringStore, definition: JobDefinition | Mapping[str, Any] | str) -> JobDefinition:
    if isinstance(definition, str):
        return load_definition(store.definition(definition)[1])
    loaded = load_definition(definition)
    store.register_definition(loaded)
    return loaded


def _table(frame: object) -> pa.Table:
    if isinstance(frame, pa.Table):
        return frame
    if isinstance(frame, pa.RecordBatch):
        return pa.Table.from_batches([frame])
    try:
        if isinstance(frame, list | tuple):
            return pa.Table.from_pylist(list(frame))
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, AttributeError, TypeError) as error:
        raise SourceError(
            f"the reported rows are no table: give a pyarrow Table, a pandas DataFrame or a list of mappings with one "
            f"type a column, not {type(frame).__name__} ({type(error).__name__})"
        ) from None
