"""The rules between the fields of a definition: each gives the field to change and the end of a sentence.

DataRobot's rules are those of its monitoring jobs page and API; the others are ours and say why.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from airflow_monitoring_provider.definitions.baseline import (
    FirstWindowBaseline,
    FixedRangeBaseline,
    MovingWindowBaseline,
    ReferenceBaseline,
)
from airflow_monitoring_provider.definitions.checks import NOT_ALLOWED, OUT_OF_BOUNDS
from airflow_monitoring_provider.definitions.drift import DEFAULT_LIMITS
from airflow_monitoring_provider.definitions.embeddings import embedding_problems
from airflow_monitoring_provider.definitions.identifiers import IDENTIFIER_BYTES, fault
from airflow_monitoring_provider.definitions.intake import FileIntake, SqlIntake
from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.definitions.naive_forecast import naive_problems
from airflow_monitoring_provider.definitions.named_columns import (
    declared_kinds,
    misfit_cells,
    misnamed_columns,
    role_paths,
)
from airflow_monitoring_provider.definitions.output import FileOutput, SqlOutput, StatementType
from airflow_monitoring_provider.definitions.parity import PARITY
from airflow_monitoring_provider.definitions.part import PartPath
from airflow_monitoring_provider.definitions.places import path_parts, suffix_of, would_read
from airflow_monitoring_provider.definitions.prediction_interval import interval_problems
from airflow_monitoring_provider.definitions.ranking import ranking_problems
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.model import JobDefinition

JOB_ID_COLUMN = "monitoring_job_id"

Problems = Iterator[tuple[PartPath, str]]


def broken_rules(definition: JobDefinition) -> list[tuple[PartPath, str]]:
    """Every rule the definition breaks, in the order of its fields."""
    rules = (_job, _aggregation, _roles, _target, _output_columns, _output_place, _times, _partitions, _drift)
    of_columns = (misnamed_columns, _cells, _checks, _segments, embedding_problems)
    return [
        problem
        for rule in (*rules, *of_columns, ranking_problems, interval_problems, naive_problems, _custom, _engine)
        for problem in rule(definition)
    ]


def _job(definition: JobDefinition) -> Problems:
    if definition.enabled and "enabled" in definition.model_fields_set and definition.schedule is None:
        yield ("schedule",), "is required where `enabled` is true"
    if definition.batch_job_type != "monitoring":
        yield ("batch_job_type",), "must be monitoring: batch predictions are not made here"
    if definition.passthrough_columns and definition.passthrough_columns_set is not None:
        yield ("passthrough_columns_set",), "must not be given together with `passthrough_columns`: keep one of them"


def _aggregation(definition: JobDefinition) -> Problems:
    """Aggregates hold no actuals: with aggregation the association id and the actuals are given together with the
    predictions (DataRobot's accuracy preview), or neither is, since actuals that come later have no rows to join.
    """
    columns = definition.monitoring_columns
    if definition.monitoring_aggregation is None:
        return
    if columns.actuals_value_column is not None:
        for name in ("predictions_columns", "association_id_column"):
            if getattr(columns, name) is None:
                reason = "is required where `monitoring_aggregation` is used with `actuals_value_column`"
                yield ("monitoring_columns", name), reason
    elif columns.association_id_column is not None:
        reason = (
            "cannot be used with `monitoring_aggregation` unless `actuals_value_column` is given too:"
            " actuals that come later cannot be joined with rows that are not kept"
        )
        yield ("monitoring_columns", "association_id_column"), reason


def _segments(definition: JobDefinition) -> Problems:
    for index, segment in enumerate(definition.segments):
        if segment.by_level and definition.level_names == "drop":
            reason = "has no names for its levels where `level_names` is drop; use `edges`, `bins` or `where`"
            yield ("segments", index, "column"), reason


def _roles(definition: JobDefinition) -> Problems:
    """A column has one role; only the two timestamps may share one (a table that has a single time)."""
    taken: dict[str, str] = {}
    for path, column in role_paths(definition):
        role = ".".join(str(step) for step in path[:2])
        first = taken.setdefault(column, role)
        shared = {first, role} == {"timestamp_column", "monitoring_columns.actuals_timestamp_column"}
        if first != role and not shared:
            yield path, f"names the column that `{first}` names: a column has one role"
    for index, column in enumerate(definition.features or ()):
        if column in taken:
            yield ("features", index), f"names the column that `{taken[column]}` names: a feature has no other role"


def _target(definition: JobDefinition) -> Problems:
    stated, predictions = definition.target_type, definition.monitoring_columns.predictions_columns
    if isinstance(predictions, str):
        if stated is TargetType.MULTICLASS:
            yield ("target_type",), "cannot be Multiclass with one prediction column: list a column for each class"
        if stated is TargetType.BINARY and definition.positive_class is None:
            yield ("positive_class",), "is required where `target_type` is Binary and one column holds the score"
    elif predictions is not None:
        if stated is TargetType.REGRESSION:
            yield ("target_type",), "cannot be Regression with a list of classes: name one prediction column"
        if stated is TargetType.BINARY and len(predictions) > 2:
            yield ("target_type",), f"cannot be Binary with {len(predictions)} classes"
        if stated is TargetType.MULTICLASS and len(predictions) < 2:
            yield ("target_type",), "cannot be Multiclass with one class"
    if definition.positive_class is not None:
        classes = definition.monitoring_columns.class_names
        if definition.resolved_target_type is not TargetType.BINARY:
            yield ("positive_class",), "has a meaning only where `target_type` is Binary"
        elif classes and definition.positive_class not in classes:
            yield ("positive_class",), "must be one of the classes in `monitoring_columns.predictions_columns`"
    if definition.negative_class is not None:
        if definition.resolved_target_type is not TargetType.BINARY:
            yield ("negative_class",), "has a meaning only where `target_type` is Binary"
        elif len(definition.monitoring_columns.class_names) > 1:
            yield ("negative_class",), "must be absent: `monitoring_columns.predictions_columns` names both classes"
        elif definition.negative_class == definition.resolved_positive_class:
            yield ("negative_class",), "must differ from the positive class"


def _output_columns(definition: JobDefinition) -> Problems:
    """The columns of an output row are all different, and an SQL output can hold their names."""
    settings = definition.monitoring_output_settings
    status: PartPath = ("monitoring_output_settings", "monitored_status_column")
    copied: list[tuple[PartPath, str]] = [
        (("monitoring_output_settings", "unique_row_identifier_columns", index), column)
        for index, column in enumerate(settings.unique_row_identifier_columns)
    ]
    copied += [(("passthrough_columns", index), column) for index, column in enumerate(definition.passthrough_columns)]
    for path, column in copied:
        if column == settings.monitored_status_column:
            yield status, f"must differ from the columns in `{'.'.join(str(step) for step in path[:-1])}`"
    for path, column in (*copied, (status, settings.monitored_status_column)):
        if definition.output_settings is None:
            return
        if column == JOB_ID_COLUMN:
            yield path, f"must not be {JOB_ID_COLUMN}: that output column tells which job wrote a row"
        if isinstance(definition.output_settings, SqlOutput):
            problem = fault(column, IDENTIFIER_BYTES)
            if problem is not None:
                yield path, problem


def _output_place(definition: JobDefinition) -> Problems:
    """Rows are not added to what is read: the next window would read its own results."""
    intake, output = definition.intake_settings, definition.output_settings
    if isinstance(intake, SqlIntake) and isinstance(output, SqlOutput):
        same = all(
            getattr(intake, name) == getattr(output, name) for name in ("data_store_id", "catalog", "schema_", "table")
        )
        if same and output.statement_type in (StatementType.INSERT, StatementType.CREATE_TABLE):
            word = output.statement_type.value
            yield ("output_settings", "table"), f"must not be the intake table where `statement_type` is {word}"
    if isinstance(intake, FileIntake) and isinstance(output, FileOutput):
        same = (intake.type, intake.connection_id, intake.url) == (output.type, output.connection_id, output.url)
        if same:
            yield ("output_settings", "url"), "must not be the intake's url: results would replace the rows"
            return
    baseline = definition.baseline
    read = [intake, *([baseline.intake_settings] if isinstance(baseline, ReferenceBaseline) else [])]
    if isinstance(output, FileOutput) and any(_reads(place, output) for place in read):
        yield ("output_settings", "url"), "must not lie where the job reads: the next run would read its own results"


def _reads(intake: object, output: FileOutput) -> bool:
    """Whether the URLs alone say that results would be read; jobs look again where they know the roots."""
    if not isinstance(intake, FileIntake) or intake.connection_id != output.connection_id:
        return False
    return would_read(path_parts(intake.url), path_parts(output.url), suffix_of(output.url))


def _partitions(definition: JobDefinition) -> Problems:
    """A window is cut so that the parts cannot decide which of rows with equal identifiers counts."""
    partitions, intake = definition.partitions, definition.intake_settings
    if partitions is None:
        return
    by, tables = ("partitions", "by"), isinstance(intake, SqlIntake)
    if partitions.by in ("file", "row_group") and not isinstance(intake, FileIntake):
        yield by, "cuts files, but `intake_settings` names none: use auto, key or time"
    elif partitions.by in ("key", "time") and not tables:
        yield by, "cuts a table or query, but `intake_settings` names none: use auto, file or row_group"
    elif partitions.by == "time" and definition.timestamp_column is None:
        yield by, "must not be time without `timestamp_column`"
    identifiers = definition.monitoring_output_settings.unique_row_identifier_columns
    if partitions.by == "key":
        if partitions.column is None and not identifiers:
            yield ("partitions", "column"), "is required where there are no unique row identifiers to cut by"
        elif partitions.column is not None and identifiers and partitions.column not in identifiers:
            reason = (
                "must be one of `monitoring_output_settings.unique_row_identifier_columns`, so that equal rows meet"
            )
            yield ("partitions", "column"), reason
    elif partitions.column is not None:
        yield ("partitions", "column"), "has a meaning only where `partitions.by` is key"


def _times(definition: JobDefinition) -> Problems:
    start, end = definition.start_date, definition.end_date
    if start is not None and end is not None and end <= start:
        yield ("end_date",), "must lie after `start_date`"
    baseline = definition.baseline
    if isinstance(baseline, FirstWindowBaseline):
        for name in ("start_date", "schedule"):
            if getattr(definition, name) is None:
                yield (name,), "is required for a first_window baseline: it says which window is the first"
    if isinstance(baseline, MovingWindowBaseline) and baseline.length is not None and baseline.windows is not None:
        yield ("baseline", "windows"), "must not be given together with `length`: keep one of them"
    if isinstance(baseline, ReferenceBaseline) and definition.timestamp_column is None:
        for name in ("start", "end"):
            if getattr(baseline, name) is not None:
                yield ("baseline", name), "needs `timestamp_column`: without it rows have no time"
    if isinstance(baseline, ReferenceBaseline | FixedRangeBaseline):
        first, last = baseline.start, baseline.end
        if first is not None and last is not None and last <= first:
            yield ("baseline", "end"), "must lie after `start`"


def _drift(definition: JobDefinition) -> Problems:
    """A metric that decides has something to be judged by, or the column could never drift."""
    drift = definition.drift
    judged = DEFAULT_LIMITS | definition.thresholds.keys()
    if drift.parity is not None:
        judged |= PARITY[drift.parity].limits.keys()
    for path, metric in drift.deciding():
        if metric not in judged and not METRICS[metric].test:
            yield ("drift", *path), f"decides, but nothing says from where on: give `thresholds` for {metric}"


def _checks(definition: JobDefinition) -> Problems:
    """A check looks at a column as the kind that is profiled, and its limits stand in one place."""
    for name, check in definition.checks.items():
        kind = definition.column_types.get(name)
        if kind is not None and check.kind not in (None, kind):
            yield ("checks", name, "kind"), f"differs from `column_types`, which says {kind.value}"
        if kind is not None and check.bounded and kind is not ColumnKind.NUMERIC:
            yield ("checks", name), f"has bounds, which are for numbers, but `column_types` says {kind.value}"
        if check.allowed_values is not None and definition.level_names == "drop":
            yield ("checks", name, "allowed_values"), "cannot be compared where `level_names` is drop"
        for metric in (OUT_OF_BOUNDS, NOT_ALLOWED) if check.limited else ():
            if metric in definition.thresholds and name in definition.thresholds[metric].columns:
                reason = f"has limits in `checks.{name}`, too: keep one of them"
                yield ("thresholds", metric, "columns", name), reason


def _cells(definition: JobDefinition) -> Problems:
    return misfit_cells(definition, declared_kinds(definition))


def _custom(definition: JobDefinition) -> Problems:
    if isinstance(definition.intake_settings, FileIntake):
        for name, metric in definition.custom_metrics.items():
            if metric.sql is not None:
                yield ("custom_metrics", name, "sql"), "needs a database, and the intake is files; use a function"


def _engine(definition: JobDefinition) -> Problems:
    """What the database cannot compute for this definition, whatever its table holds."""
    if definition.engine != "sql":
        return
    columns, output = definition.monitoring_columns, definition.output_settings
    naive = definition.naive_forecast
    table = output if isinstance(output, SqlOutput) else None
    finding = (StatementType.UPDATE, StatementType.INSERT_UPDATE)
    reasons = {
        "the intake is no database": not isinstance(definition.intake_settings, SqlIntake),
        "each row's status is written to no database": output is not None and table is None,
        "statementType finds the output's rows one by one": table is not None and table.statement_type in finding,
        "`commit_interval` asks for several transactions": table is not None and table.commit_interval,
        "a function is given rows (`custom_metrics`)": any(
            m.source == "rows" for m in definition.custom_metrics.values()
        ),
        "parts are read row by row (`partitions`)": definition.partitions,
        "rows are ranked one by one (`ranking`)": definition.ranking,
        "vectors are read row by row (`embeddings`)": definition.embeddings,
        "rows are put in the order of their times (`naive_forecast`)": naive is not None and naive.learnt,
        "predictions are kept for actuals that come later (`association_id_column`)": columns.association_id_column,
    }
    for reason, broken in reasons.items():
        if broken:
            yield ("engine",), f"cannot be sql: {reason}; use arrow, which reads the rows, or auto"
            return
