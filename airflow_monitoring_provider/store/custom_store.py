"""What is told to and asked of the store about metrics of the user's own."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Sequence

from airflow_monitoring_provider.definitions.custom import METRIC_ID, CustomMetric
from airflow_monitoring_provider.definitions.metric_terms import METRICS
from airflow_monitoring_provider.exceptions import DefinitionError
from airflow_monitoring_provider.store import arguments, custom, deployments
from airflow_monitoring_provider.store.custom_records import CustomMetricRecord, CustomPoint, CustomReport
from airflow_monitoring_provider.store.reader import StoreReader


class CustomStore(StoreReader):
    """The store of custom metrics."""

    def create_custom_metric(
        self, deployment_id: str, metric_id: str, metric: CustomMetric, *, by: str | None = None
    ) -> CustomMetricRecord:
        """Make a metric known whose values are reported, or describe it anew.

        Raises :class:`NotFound` where there is no such deployment, :class:`DefinitionError` for an id that is none, is
        taken by a metric of every job, or for a metric with ``sql`` or ``function``, which belong into a definition.
        """
        arguments.instance(metric_id, str, "metric_id", "such as revenue")
        if METRIC_ID.fullmatch(metric_id) is None or metric_id in METRICS:
            raise DefinitionError("the id must be made of A-Z, a-z, 0-9 and _ . - and be no other metric's", field="id")
        arguments.instance(metric, CustomMetric, "metric", "make one of a mapping with CustomMetric(**mapping)")
        if metric.source != "reported":
            raise DefinitionError(f"{metric.source} belongs into a job definition, which computes it", field="sql")
        with self._writing() as connection:
            deployments.one(connection, deployment_id)
            now = self._now()
            custom.describe(connection, deployment_id, {metric_id: metric}, definition_id=None, by=by, now=now)
            return custom.one(connection, deployment_id, metric_id)

    def custom_metrics(self, deployment_id: str) -> tuple[CustomMetricRecord, ...]:
        """The metrics of a deployment by id. Raises :class:`NotFound`."""
        with self._reading() as connection:
            deployments.one(connection, deployment_id)
            return custom.many(connection, deployment_id)

    def custom_metric(self, deployment_id: str, metric_id: str) -> CustomMetricRecord:
        """One metric. Raises :class:`NotFound`."""
        with self._reading() as connection:
            return custom.one(connection, deployment_id, metric_id)

    def report_custom_metric(
        self,
        deployment_id: str,
        metric_id: str,
        value: float | str,
        *,
        timestamp: dt.datetime | None = None,
        batch_id: str | None = None,
        sample_count: int = 1,
        association_id: str | None = None,
        key: str | None = None,
        model_id: str | None = None,
    ) -> bool:
        """Report one value; False where its ``key`` (else its association id) was taken before.

        :param value: a finite number; of a categorical metric the category.
        :param timestamp: aware; when it was measured: now when left out.

        Raises :class:`NotFound`, :class:`BatchLocked`, :class:`DefinitionError`, and :class:`ConfigurationError` where
        jobs compute the metric or the batch is another deployment's.
        """
        given = CustomReport(value, timestamp, batch_id, sample_count, association_id, key, model_id)
        return bool(self.report_custom_values(deployment_id, metric_id, [given]))

    def report_custom_values(self, deployment_id: str, metric_id: str, values: Sequence[CustomReport]) -> int:
        """Report values, all or none; how many are new. Errors as :meth:`report_custom_metric`."""
        with self._writing() as connection:
            return custom.report(connection, deployment_id, metric_id, values, self._now())

    def fold_custom_points(
        self,
        deployment_id: str,
        metric_id: str,
        take: Callable[[CustomPoint], None],
        *,
        start: dt.datetime | None = None,
        end: dt.datetime | None = None,
        batch_ids: Collection[str] | None = None,
    ) -> CustomMetricRecord:
        """Hand every value to ``take``: those of jobs, then those reported, each in the order of time; the metric.

        Of ad hoc windows only where their batch is asked for; of deleted batches never. Raises :class:`NotFound`.
        """
        with self._reading() as connection:
            found = custom.one(connection, deployment_id, metric_id)
            for point in custom.points(connection, deployment_id, metric_id, start=start, end=end, batch_ids=batch_ids):
                take(point)
            return found
