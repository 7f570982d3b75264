"""Hand out rows as one CSV or Parquet file: predictions, late actuals, retained rows, or what jobs are compared with.

The first three come from the store's logs, the training data from where the baseline's intake reads it. A file has its
name only when it is whole. Memory is that of one record batch and of a row group.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import pyarrow as pa

from airflow_monitoring_provider.definitions import (
    CsvSettings,
    FileFormat,
    FirstWindowBaseline,
    JobDefinition,
    ReferenceBaseline,
    load_definition,
)
from airflow_monitoring_provider.definitions.window import first_window
from airflow_monitoring_provider.exceptions import ConfigurationError, NotFound, OutputError
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.jobs.copied import cast_to, plain
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.reading import time_filter
from airflow_monitoring_provider.outputs.formats import open_rows
from airflow_monitoring_provider.outputs.formulas import defused, defused_names
from airflow_monitoring_provider.outputs.values import storable, stored_type
from airflow_monitoring_provider.store.records import FileKind
from airflow_monitoring_provider.store.storage import Storage


class ExportSource(StrEnum):
    """Which rows are handed out."""

    PREDICTIONS = "predictions"
    ACTUALS = "actuals"
    RETAINED = "retained"
    TRAINING = "training"


@dataclasses.dataclass(frozen=True, slots=True)
class Export:
    """What is handed out, and how.

    :param definition_id: whose training data it is (id or name).
    :param start, end: only windows that begin, and reports that came, in this half-open time, aware.
    :param exact: CSV texts as they are, also those that a spreadsheet takes for formulas.
    """

    source: ExportSource
    deployment_id: str | None = None
    definition_id: str | None = None
    batch_ids: tuple[str, ...] = ()
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    form: FileFormat = FileFormat.CSV
    exact: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ExportSummary:
    """What was written: ``location`` is below the root."""

    source: str
    rows: int
    bytes: int
    location: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form."""
        return dataclasses.asdict(self)


def export(wanted: Export, ports: Ports, place: Storage, path: str) -> ExportSummary:
    """Write the rows to a file of a place, replacing one of that name.

    :raises NotFound: there is no such deployment, batch or definition, or no row of what is wanted.
    :raises ConfigurationError: what is wanted is not said, or cannot be written so.
    :raises CorruptData: a log is not what was written.
    """
    if wanted.form is FileFormat.JSONL:
        raise ConfigurationError("format: jsonl is read but not written; use csv or parquet")
    training = wanted.source is ExportSource.TRAINING
    schema, batches = _training(wanted, ports) if training else _logged(wanted, ports)
    names, count = schema.names, 0
    safe = wanted.form is FileFormat.CSV and not wanted.exact
    fields = zip(defused_names(names) if safe else names, schema, strict=True)
    stored = pa.schema([(name, stored_type(field.type)) for name, field in fields])
    file = place.new_file(path)
    try:
        with open_rows(file, wanted.form, stored, CsvSettings()) as rows:  # type: ignore[arg-type]  # it writes bytes
            for batch in batches:
                written, _ = storable(batch)
                rows.write(defused(written) if safe else written)
                count += batch.num_rows
        _, size = file.publish()
    finally:
        file.abandon()
    return ExportSummary(wanted.source.value, count, size, path)


def _logged(wanted: Export, ports: Ports) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    store = ports.store
    if wanted.deployment_id is None and not wanted.batch_ids:
        raise ConfigurationError(f"an export of {wanted.source} needs a deployment or batches")
    if wanted.deployment_id is not None:
        store.deployment(wanted.deployment_id)
    for batch_id in wanted.batch_ids:
        store.batch(batch_id)
    found = store.row_files(
        FileKind(wanted.source.value),
        deployment_id=wanted.deployment_id,
        batch_ids=wanted.batch_ids,
        start=wanted.start,
        end=wanted.end,
    )
    if not found:
        raise NotFound(f"no {wanted.source} of these batches and this time are kept")
    schema = _together([store.storage.schema_of(each) for each in found])

    def batches() -> Iterator[pa.RecordBatch]:
        for each in found:
            for batch in store.storage.read_predictions(each):
                yield _with(batch, schema)

    return schema, batches()


def _training(wanted: Export, ports: Ports) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """The rows of the reference data set, or of the first window, in the types that are decided for them now."""
    if wanted.definition_id is None or wanted.batch_ids or wanted.start or wanted.end:
        raise ConfigurationError("an export of training data needs a definition, and takes no batches, start or end")
    definition = load_definition(ports.store.definition(wanted.definition_id)[1])
    intake, window = _baseline(definition)
    source = ports.source(definition, intake, ())
    schema = pa.schema([pa.field(field.name, plain(field.type)) for field in source.schema()])

    def batches() -> Iterator[pa.RecordBatch]:
        with source.read(tuple(schema.names), window) as found:
            for batch in found:
                yield _with(batch, schema)

    return schema, batches()


def _baseline(definition: JobDefinition) -> tuple[Any, TimeFilter | None]:
    baseline = definition.baseline
    if isinstance(baseline, ReferenceBaseline):
        if baseline.start is None and baseline.end is None:
            return baseline.intake_settings, None
        return baseline.intake_settings, TimeFilter(
            column=str(definition.timestamp_column),
            start=baseline.start,
            end=baseline.end,
            timezone=definition.timestamp_timezone,
        )
    if isinstance(baseline, FirstWindowBaseline):
        return definition.intake_settings, time_filter(definition, first_window(definition))
    raise ConfigurationError("the definition's baseline is no data set of its own: it is made of profiles, or absent")


def _together(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """One schema for files whose definitions have changed in between."""
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise OutputError(
            "a column had types that no one type holds (the definition or its source changed); export a shorter time "
            "or fewer batches"
        ) from None


def _with(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    arrays = []
    for field in schema:
        place = batch.schema.get_field_index(field.name)
        arrays.append(pa.nulls(len(batch), field.type) if place < 0 else cast_to(batch.column(place), field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
