"""The whole definition of one monitoring job: DataRobot's members and our own, frozen and checked.

Make one from keywords, or read one with :func:`~airflow_monitoring_provider.definitions.load.load_definition`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.baseline import BASELINES, Baseline
from airflow_monitoring_provider.definitions.checks import Checks
from airflow_monitoring_provider.definitions.columns import (
    CsvSettings,
    MonitoringAggregation,
    MonitoringColumns,
    MonitoringOutputSettings,
)
from airflow_monitoring_provider.definitions.custom import CustomMetrics
from airflow_monitoring_provider.definitions.drift import Drift
from airflow_monitoring_provider.definitions.embeddings import Embeddings
from airflow_monitoring_provider.definitions.history import Histories
from airflow_monitoring_provider.definitions.instants import in_utc
from airflow_monitoring_provider.definitions.intake import INTAKES, IntakeSettings, UnservedIntake
from airflow_monitoring_provider.definitions.kept import PredictionMembers
from airflow_monitoring_provider.definitions.model_score import ModelScore
from airflow_monitoring_provider.definitions.naive_forecast import NaiveForecast
from airflow_monitoring_provider.definitions.names import ID_PATTERN, slug
from airflow_monitoring_provider.definitions.output import OUTPUTS, OutputSettings
from airflow_monitoring_provider.definitions.parity import PARITY
from airflow_monitoring_provider.definitions.part import (
    Choice,
    Column,
    Columns,
    Flag,
    FrozenDict,
    Moment,
    Name,
    Number,
    PartPath,
    Text,
    Whole,
    Zone,
    breaches,
)
from airflow_monitoring_provider.definitions.partitions import Partitions
from airflow_monitoring_provider.definitions.prediction_interval import PredictionInterval
from airflow_monitoring_provider.definitions.ranking import Ranking
from airflow_monitoring_provider.definitions.rules import broken_rules
from airflow_monitoring_provider.definitions.schedule import Schedule
from airflow_monitoring_provider.definitions.segments import Segments
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.definitions.timeliness import Timeliness
from airflow_monitoring_provider.definitions.verdict import Minimums, Significance, Thresholds
from airflow_monitoring_provider.definitions.writing import content_digest


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

    id: Name = Field(default="", description="Immutable id; a slug of the name when absent.", validate_default=False)
    name: Name = Field(default="", description="Unique name; made from the deployment id and the content when absent.")
    deployment_id: Name = Field(description="The deployment that is monitored.")
    enabled: Flag = Field(default=True, description="Whether the schedule is on; true needs a schedule.")
    batch_job_type: Literal["monitoring", "prediction"] = "monitoring"
    intake_settings: IntakeSettings = Field(
        default=UnservedIntake(type="localFile"), description="Where rows come from."
    )
    output_settings: OutputSettings | None = Field(default=None, description="Where row results go; absent: nowhere.")
    csv_settings: CsvSettings = CsvSettings()
    passthrough_columns: Columns = Field(default=(), description="Intake columns copied to the output.")
    passthrough_columns_set: Literal["all"] | None = Field(default=None, description="Copy every intake column.")
    monitoring_columns: MonitoringColumns
    monitoring_output_settings: MonitoringOutputSettings = MonitoringOutputSettings()
    monitoring_aggregation: MonitoringAggregation | None = None
    schedule: Schedule | None = Field(
        default=None, description="When the job runs: five lists, or one cron expression."
    )
    monitoring_batch_prefix: Name | None = Field(default=None, description="Batches are named prefix + date and time.")
    num_concurrent: Whole = Field(default=1, ge=1)
    chunk_size: ChunkSize = "auto"
    abort_on_error: Flag = True
    disable_row_level_error_handling: Flag = False

    timezone: Zone = Field(default="UTC", description="Where midnight is: the clock of the schedule and of windows.")
    timestamp_column: Column | None = Field(
        default=None, description="When a row happened; absent: the whole table each run."
    )
    timeliness: Timeliness = Field(
        default=Timeliness(), description="How long a window waits for its rows, and how many are expected."
    )
    timestamp_timezone: Zone = Field(default="UTC", description="The zone of timestamps that carry none.")
    segments: Segments = Field(default=(), description="Groups of rows that get results of their own.")
    ranking: Ranking | None = Field(
        default=None, description="Rows of one query are ranked by their score, and actuals are their relevance."
    )
    embeddings: Embeddings = Field(
        default=FrozenDict(), description="Vectors whose mean is held against the baseline's, by name."
    )
    features: Columns | None = Field(default=None, description="Columns to watch; absent: every column without a role.")
    column_types: Annotated[dict[Column, ColumnKind], AfterValidator(FrozenDict)] = Field(
        default=FrozenDict(), description="How columns are summarised, where it must not be inferred."
    )
    baseline: Baseline | None = Field(default=None, description="What rows are compared with.")
    start_date: Moment | None = Field(default=None, description="The first window starts here or after.")
    end_date: Moment | None = Field(default=None, description="No window starts after this instant.")
    catchup: Flag = False
    retries: Whole = Field(default=2, ge=0, le=1000)
    target_type: TargetType | None = Field(
        default=None, description="Binary, Multiclass or Regression; inferred when absent."
    )
    positive_class: Text | None = Field(default=None, description="The class a binary score speaks of.")
    negative_class: Text | None = Field(
        default=None, description="The other class, where one column holds the score; no other actual then counts."
    )
    prediction_threshold: Number = Field(default=0.5, ge=0, le=1, description="Scores at or over it predict the class.")
    prediction_quantile: Number = Field(
        default=0.5, gt=0, lt=1, description="The quantile of the actuals that a regression predicts, for pinball."
    )
    prediction_interval: PredictionInterval | None = Field(
        default=None, description="The interval that comes with each predicted number, and the share it is to cover."
    )
    naive_forecast: NaiveForecast | None = Field(
        default=None, description="The forecast whose error scales those of a regression, as `mase`."
    )
    thresholds: Thresholds = Field(default=FrozenDict(), description="Limits per metric id.")
    custom_metrics: CustomMetrics = Field(
        default=FrozenDict(), description="Metrics of the user's own: SQL, a function, or values reported from outside."
    )
    checks: Checks = Field(
        default=FrozenDict(), description="What the values of a column must be: kind, bounds, a list."
    )
    history: Histories = Field(
        default=FrozenDict(), description="Metrics of quality and volume that are held against the windows before."
    )
    drift: Drift = Field(default=Drift(), description="Which drift metrics, which one decides, in which cells.")
    significance: Significance = Significance()
    minimums: Minimums = Minimums()
    model_score: ModelScore | None = Field(
        default=None, description="One verdict for all features; absent: each decides."
    )
    level_names: Literal["keep", "hash", "drop"] = Field(
        default="keep", description="What profiles keep of category names."
    )
    engine: Literal["auto", "arrow", "sql"] = Field(
        default="arrow",
        description="What computes the profile: arrow (rows are read), sql (the intake's database), auto.",
    )
    max_rejected_share: Number | None = Field(default=None, ge=0, le=1, description="The job fails above it.")
    partitions: Partitions | None = Field(
        default=None, description="Cut each window into parts that tasks of their own profile; absent: one task."
    )
    model_id: Name | None = None
    model_version: Name | None = None
    environment: Name = "production"

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

    @property
    def resolved_significance(self) -> Significance:
        """``significance``, where it is not stated as the tool does that ``drift.parity`` names."""
        if self.drift.parity is None:
            return self.significance
        return Significance(
            **{"guard": False, "adjustment": "none", **self.significance.model_dump(exclude_unset=True)}
        )

    @property
    def resolved_model_score(self) -> ModelScore | None:
        """``model_score``, else the rule of the tool that ``drift.parity`` names; None: each feature decides."""
        if self.model_score is not None or self.drift.parity is None:
            return self.model_score
        return PARITY[self.drift.parity].model

    @model_validator(mode="after")
    def _complete(self) -> Self:
        """Fill what follows from other fields, then check the rules between them."""
        problems = [*self._fill_moments(), *self._fill_output_settings()]
        problems += broken_rules(self)
        if problems:
            raise breaches(*problems)
        if not self.name:
            digest = content_digest(self, without=("id", "name"))
            self._fill("name", f"{self.deployment_id}-{digest[:12]}")
        if not self.id:
            self._fill("id", slug(self.name))
        elif ID_PATTERN.fullmatch(self.id) is None:
            raise breaches((("id",), "must be made of A-Z, a-z, 0-9 and _ . - (at most 200, no leading dot)"))
        return self

    def _fill(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the model is frozen for everybody else

    def _fill_moments(self) -> list[tuple[PartPath, str]]:
        """Instants become aware UTC; those without a zone are in the definition's."""
        problems: list[tuple[PartPath, str]] = []
        changed: dict[str, Any] = {}
        baseline = self.baseline
        for path, moment in (
            (("start_date",), self.start_date),
            (("end_date",), self.end_date),
            (("baseline", "start"), getattr(baseline, "start", None)),
            (("baseline", "end"), getattr(baseline, "end", None)),
        ):
            if moment is not None:
                try:
                    changed[".".join(path)] = in_utc(moment, self.timezone)
                except ValueError as error:
                    problems.append((path, str(error)))
        for name in ("start_date", "end_date"):
            if name in changed:
                self._fill(name, changed.pop(name))
        if baseline is not None and changed:
            instants = {name.removeprefix("baseline."): instant for name, instant in changed.items()}
            self._fill("baseline", baseline.model_copy(update=instants))
        return problems

    def _fill_output_settings(self) -> list[tuple[PartPath, str]]:
        """Two members have an older place in ``monitoring_columns``; both places may not disagree."""
        problems: list[tuple[PartPath, str]] = []
        settings, changed = self.monitoring_output_settings, dict[str, Any]()
        for name in ("monitored_status_column", "unique_row_identifier_columns"):
            older, newer = getattr(self.monitoring_columns, name), getattr(settings, name)
            if older is None or older == newer:
                continue
            if name in settings.model_fields_set:
                problems.append((("monitoring_columns", name), f"differs from `monitoring_output_settings.{name}`"))
            else:
                changed[name] = older
        if changed:
            self._fill("monitoring_output_settings", settings.model_copy(update=changed))
        return problems
