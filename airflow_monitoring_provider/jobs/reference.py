"""What a job is compared with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.profile import Profile


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """The baseline of one job.

    :param profile: the baseline's profile, or None where there is none (yet).
    :param version: of the baseline, counted on the definition; of a first window its snapshot revision.
    :param key: what the baseline is made of; None for the first window. With the version it finds the stored record.
    :param is_this_window: the job itself is the baseline.
    :param frozen: whose plan freezes features, kinds and segments, where it is not the baseline's own.
    :param moves: the baseline is another one for each window, so that a new column becomes part of it.
    :param reason: why there is no profile, ``details`` with numbers.
    """

    profile: Profile | None = None
    version: int | None = None
    key: str | None = None
    is_this_window: bool = False
    frozen: Profile | None = None
    moves: bool = False
    reason: Reason = Reason.BASELINE_MISSING
    details: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def layout(self) -> Profile | None:
        """The profile whose plan later rows keep to."""
        return self.profile if self.frozen is None else self.frozen

    def explain(self, values: Iterable[MetricValue]) -> list[MetricValue]:
        """The values of a comparison, of which those without a baseline say why there is none."""
        found = list(values)
        if self.profile is not None or (self.reason is Reason.BASELINE_MISSING and not self.details):
            return found
        return [
            dataclasses.replace(value, reason=self.reason, details={**value.details, "baseline": dict(self.details)})
            if value.reason == Reason.BASELINE_MISSING
            else value
            for value in found
        ]
