"""The whole definition of one monitoring job: DataRobot's members and our own, frozen and checked.

Make one from keywords, or read one with :func:`~airflow_monitoring_provider.definitions.load.load_definition`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from airflow_monitoring_provider.definitions.baseline import BASELINES, Baseline
from airflow_monitoring_provider.definitions.columns import (
    CsvSettings,
    MonitoringAggregation,
    MonitoringColumns,
    MonitoringOutputSettings,
)
from airflow_monitoring_provider.definitions.intake import INTAKES, IntakeSettings, UnservedIntake
from airflow_monitoring_provider.definitions.kept import PredictionMembers
from airflow_monitoring_provider.definitions.names import slug
from airflow_monitoring_provider.definitions.output import OUTPUTS, OutputSettings
from airflow_monitoring_provider.definitions.part import (
    Choice,
    Column,
    Columns,
    Flag,
    FrozenDict,
    Moment,
    Number,
    Text,
    Whole,
    Zone,
    breaches,
)
from airflow_monitoring_provider.definitions.schedule import Schedule
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.definitions.verdict import Minimums, Significance, Thresholds


def _chunk_size(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not whole and value not in ("auto", "fixed", "dynamic"):
        raise breaches(((), "must be auto, fixed, dynamic or a positive number of bytes"))
    return value


ChunkSize = Annotated[
    int | str,
    BeforeValidator(_chunk_size),
    WithJsonSchema({"anyOf": [{"enum": ["auto", "fixed", "dynamic"]}, {"type": "integer", "minimum": 1}]}),
]
_POSITIVE_WORDS = ("true", "1", "yes", "y", "positive")


class JobDefinition(PredictionMembers):
    """What to monitor, where it is, when to look and what counts as a finding."""

    choices: ClassVar[Mapping[str, Choice]] = {
        "intake_settings": INTAKES,
        "output_settings": OUTPUTS,
        "baseline": BASELINES,
    }

    id: Text = Field("", description="Immutable id; a slug of the name when absent.", validate_default=False)
    name: Text = Field("", description="Unique name; made from the deployment id and the content when absent.")
    deployment_id: Text = Field(description="The deployment that is monitored.")
    enabled: Flag = Field(True, description="Whether the schedule is on; true needs a schedule.")
    batch_job_type: Literal["monitoring", "prediction"] = "monitoring"
    intake_settings: IntakeSettings = Field(UnservedIntake(type="localFile"), description="Where rows come from.")
    output_settings: OutputSettings | None = Field(None, description="Where row results go; absent: nowhere.")
    csv_settings: CsvSettings = CsvSettings()
    passthrough_columns: Columns = Field((), description="Intake columns copied to the output.")
    passthrough_columns_set: Literal["all"] | None = Field(None, description="Copy every intake column.")
    monitoring_columns: MonitoringColumns
    monitoring_output_settings: MonitoringOutputSettings = MonitoringOutputSettings()
    monitoring_aggregation: MonitoringAggregation | None = None
    schedule: Schedule | None = Field(None, description="When the job runs: five lists, or one cron expression.")
    monitoring_batch_prefix: Text | None = Field(None, description="Batches are named prefix + date and time.")
    num_concurrent: Whole = Field(1, ge=1)
    chunk_size: ChunkSize = "auto"
    abort_on_error: Flag = True
    disable_row_level_error_handling: Flag = False

    timezone: Zone = Field("UTC", description="Where midnight is: the clock of the schedule and of windows.")
    timestamp_column: Column | None = Field(None, description="When a row happened; absent: the whole table each run.")
    timestamp_timezone: Zone = Field("UTC", description="The zone of timestamps that carry none.")
    features: Columns | None = Field(None, description="Columns to watch; absent: every column without a role.")
    column_types: Annotated[dict[Column, ColumnKind], AfterValidator(FrozenDict)] = Field(
        FrozenDict(), description="How columns are summarised, where it must not be inferred."
    )
    baseline: Baseline | None = Field(None, description="What rows are compared with.")
    start_date: Moment | None = Field(None, description="The first window starts here or after.")
    catchup: Flag = False
    retries: Whole = Field(2, ge=0, le=1000)
    target_type: TargetType | None = Field(None, description="Binary, Multiclass or Regression; inferred when absent.")
    positive_class: Text | None = Field(None, description="The class a binary score speaks of.")
    prediction_threshold: Number = Field(0.5, ge=0, le=1, description="Scores at or over it predict the class.")
    thresholds: Thresholds = Field(FrozenDict(), description="Limits per metric id.")
    significance: Significance = Significance()
    minimums: Minimums = Minimums()
    level_names: Literal["keep", "hash", "drop"] = Field("keep", description="What profiles keep of category names.")
    max_rejected_share: Number | None = Field(None, ge=0, le=1, description="The job fails above it.")
    model_id: Text | None = None
    model_version: Text | None = None
    environment: Text = "production"

    @property
    def dag_id(self) -> str:
        """The id of the DAG that runs this definition."""
        return f"monitoring__{slug(self.name)}"

    @property
    def resolved_target_type(self) -> TargetType | None:
        """``target_type``, else what the prediction columns say: one column is a regression, one or two classes are
        binary, more are multiclass; None when only actuals are given.
        """
        if self.target_type is not None:
            return self.target_type
        predictions = self.monitoring_columns.predictions_columns
        if predictions is None:
            return None
        if isinstance(predictions, str):
            return TargetType.REGRESSION
        return TargetType.BINARY if len(predictions) <= 2 else TargetType.MULTICLASS

    @property
    def resolved_positive_class(self) -> str | None:
        """The class a binary score speaks of: the one stated; else of the classes listed the first that reads true, 1,
        yes, y or positive in any case; else the first listed. None for other targets.
        """
        if self.resolved_target_type is not TargetType.BINARY:
            return None
        if self.positive_class is not None:
            return self.positive_class
        classes = self.monitoring_columns.class_names
        return next((name for name in classes if name.lower() in _POSITIVE_WORDS), classes[0] if classes else None)
