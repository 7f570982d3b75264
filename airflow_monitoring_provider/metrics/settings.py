"""What a comparison is told besides the two profiles: level, correction, minimum rows, metrics, cells."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.definitions.embeddings import primary_of
from airflow_monitoring_provider.definitions.verdict import Adjustment
from airflow_monitoring_provider.definitions.window import Window, matures_at
from airflow_monitoring_provider.metrics.choice import DriftChoices
from airflow_monitoring_provider.metrics.labels import FinalCoverage
from airflow_monitoring_provider.metrics.scaled_error import Scale, naive_scale

if TYPE_CHECKING:
    from airflow_monitoring_provider.definitions.checks import ColumnCheck
    from airflow_monitoring_provider.definitions.model import JobDefinition
    from airflow_monitoring_provider.definitions.naive_forecast import NaiveForecast
    from airflow_monitoring_provider.profiles.profile import Profile


@dataclasses.dataclass(frozen=True, slots=True)
class ComparisonSettings:
    """Below a minimum a value is None with reason ``insufficient_data``: a number that few rows make is noise.

    :param alpha: significance level, 0..1; of the critical values here, of the verdicts in ``monitors``.
    :param guard: ``monitors`` asks for significance besides size; kept here because it is one setting of a definition.
    :param adjustment: how p-values are corrected for the number of columns.
    :param subsampled: scores have a standard deviation of draws beside them (:mod:`.subsamples`).
    :param reference_rows, current_rows: least rows of baseline and current side for a drift value.
    :param rows_per_cell: least current rows per baseline cell for a PSI (it is a sum of one noise term per cell).
    :param labelled_rows: least rows with prediction and actual for a performance value.
    :param segment_rows: least rows of a segment for any value.
    :param per_class: least rows of each actual class for what is a rate within a class.
    :param naive_forecast: what scales the errors of a regression; None: nothing.
    :param scale: its error, for the current rows.
    :param maturity_coverage: share of the expected label coverage below which performance is provisional.
    :param final_coverage: the label coverage that late actuals are expected to reach; None: nothing was learnt.
    :param mature_at: from when on it no longer is, whatever is missing; None: nobody said.
    :param identified: rows have identifiers, so that repetitions were looked for.
    :param checks: column -> what the definition says of its values.
    :param quantile: of the actuals, that a regression's predictions aim at.
    :param interval_level: share of the actuals that predicted intervals are to cover; None: there are none.
    :param embeddings: name -> the distance that decides.
    :param drift: what is measured for each column, and in which cells.
    """

    alpha: float = 0.05
    guard: bool = True
    adjustment: Adjustment = Adjustment.BH
    subsampled: bool = False
    reference_rows: int = 200
    current_rows: int = 100
    rows_per_cell: int = 5
    labelled_rows: int = 100
    segment_rows: int = 50
    per_class: int = 10
    quantile: float = 0.5
    interval_level: float | None = None
    naive_forecast: NaiveForecast | None = None
    scale: Scale | None = None
    maturity_coverage: float = 0.95
    mature_at: datetime | None = None
    final_coverage: FinalCoverage | None = None
    identified: bool = False
    checks: Mapping[str, ColumnCheck] = dataclasses.field(default_factory=dict)
    embeddings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    drift: DriftChoices = dataclasses.field(default_factory=DriftChoices)

    @classmethod
    def from_definition(cls, definition: JobDefinition, window: Window | None = None) -> ComparisonSettings:
        """The settings that a definition's ``significance``, ``minimums`` and ``drift`` ask for.

        :param window: of the current rows; None where they are of several.
        """
        return cls(
            alpha=definition.resolved_significance.alpha,
            guard=definition.resolved_significance.guard,
            adjustment=definition.resolved_significance.adjustment,
            subsampled=definition.significance.deviation is not None,
            reference_rows=definition.minimums.reference_rows,
            current_rows=definition.minimums.current_rows,
            labelled_rows=definition.minimums.labelled_rows,
            segment_rows=definition.minimums.segment_rows,
            per_class=definition.minimums.per_class,
            quantile=definition.prediction_quantile,
            naive_forecast=definition.naive_forecast,
            interval_level=None if definition.prediction_interval is None else definition.prediction_interval.level,
            maturity_coverage=definition.minimums.maturity_coverage,
            mature_at=None if window is None else matures_at(definition, window),
            identified=bool(definition.monitoring_output_settings.unique_row_identifier_columns),
            checks=definition.checks,
            embeddings={name: primary_of(definition, name) for name in definition.embeddings},
            drift=DriftChoices.from_definition(definition),
        )

    def scaled(self, current: Profile, baseline: Profile | None) -> ComparisonSettings:
        """The same, with what the errors of these rows are scaled by, where the definition asks."""
        if self.naive_forecast is None:
            return self
        return dataclasses.replace(self, scale=naive_scale(self.naive_forecast, baseline, current, self.labelled_rows))

    @property
    def provisional(self) -> dict[str, Any]:
        """What details say of a score that actuals still to come may change.

        Until when is said instead of looked up on a clock: results are a function of their rows alone.
        """
        until = {} if self.mature_at is None else {"provisional_until": self.mature_at.isoformat()}
        return {"provisional": True, **until}
