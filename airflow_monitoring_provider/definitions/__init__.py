"""What to monitor: definitions, their payload forms, schedules and windows.

Light by rule: the standard library, pydantic and yaml (croniter once an instant is computed). Errors are
:class:`~airflow_monitoring_provider.exceptions.DefinitionError` with the path of the field as the caller wrote it.
"""

from __future__ import annotations

from airflow_monitoring_provider.definitions.baseline import (
    Baseline,
    BatchesBaseline,
    ExpandingBaseline,
    FirstWindowBaseline,
    FixedRangeBaseline,
    MergedBaseline,
    MovingWindowBaseline,
    NamedBaseline,
    PreviousBatchBaseline,
    PreviousWindowBaseline,
    ReferenceBaseline,
    SamePeriodBaseline,
)
from airflow_monitoring_provider.definitions.checks import ColumnCheck
from airflow_monitoring_provider.definitions.columns import (
    CsvSettings,
    MonitoringAggregation,
    MonitoringColumns,
    MonitoringOutputSettings,
    PredictionColumn,
    RetentionPolicy,
)
from airflow_monitoring_provider.definitions.duration import Duration
from airflow_monitoring_provider.definitions.embeddings import Embedding
from airflow_monitoring_provider.definitions.identifiers import check_column, check_identifier
from airflow_monitoring_provider.definitions.intake import (
    FileFormat,
    FileIntake,
    IntakeSettings,
    SqlIntake,
    UnservedIntake,
)
from airflow_monitoring_provider.definitions.json_schema import json_schema
from airflow_monitoring_provider.definitions.load import (
    definition_digest,
    dump_definition,
    load_definition,
    parse_definition,
    read_definition_file,
    read_definition_folder,
    with_partitions,
)
from airflow_monitoring_provider.definitions.metric_terms import MetricTerm
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.model_score import ModelRule, ModelScore
from airflow_monitoring_provider.definitions.naive_forecast import NaiveForecast
from airflow_monitoring_provider.definitions.output import (
    FileOutput,
    OutputSettings,
    SqlOutput,
    StatementType,
    UnservedOutput,
)
from airflow_monitoring_provider.definitions.partitions import Partitions
from airflow_monitoring_provider.definitions.periods import Period, PeriodLength, period_named, period_of
from airflow_monitoring_provider.definitions.prediction_interval import PredictionInterval
from airflow_monitoring_provider.definitions.ranking import Ranking
from airflow_monitoring_provider.definitions.schedule import Schedule
from airflow_monitoring_provider.definitions.terms import (
    ColumnKind,
    JobState,
    ResultStatus,
    RowStatus,
    TargetType,
    WindowKind,
)
from airflow_monitoring_provider.definitions.timeliness import Timeliness
from airflow_monitoring_provider.definitions.verdict import Adjustment, Limits, Minimums, Significance, Threshold
from airflow_monitoring_provider.definitions.window import Window, due_at, first_window, job_id, resolve_window

__all__ = [
    "Adjustment",
    "Baseline",
    "BatchesBaseline",
    "ColumnCheck",
    "ColumnKind",
    "CsvSettings",
    "Duration",
    "Embedding",
    "ExpandingBaseline",
    "FileFormat",
    "FileIntake",
    "FileOutput",
    "FirstWindowBaseline",
    "FixedRangeBaseline",
    "IntakeSettings",
    "JobDefinition",
    "JobState",
    "Limits",
    "MergedBaseline",
    "MetricTerm",
    "Minimums",
    "ModelRule",
    "ModelScore",
    "MonitoringAggregation",
    "MonitoringColumns",
    "MonitoringOutputSettings",
    "MovingWindowBaseline",
    "NaiveForecast",
    "NamedBaseline",
    "OutputSettings",
    "Partitions",
    "Period",
    "PeriodLength",
    "PredictionColumn",
    "PredictionInterval",
    "PreviousBatchBaseline",
    "PreviousWindowBaseline",
    "Ranking",
    "ReferenceBaseline",
    "ResultStatus",
    "RetentionPolicy",
    "RowStatus",
    "SamePeriodBaseline",
    "Schedule",
    "Significance",
    "SqlIntake",
    "SqlOutput",
    "StatementType",
    "TargetType",
    "Threshold",
    "Timeliness",
    "UnservedIntake",
    "UnservedOutput",
    "Window",
    "WindowKind",
    "check_column",
    "check_identifier",
    "definition_digest",
    "due_at",
    "dump_definition",
    "first_window",
    "job_id",
    "json_schema",
    "load_definition",
    "parse_definition",
    "period_named",
    "period_of",
    "read_definition_file",
    "read_definition_folder",
    "resolve_window",
    "with_partitions",
]
