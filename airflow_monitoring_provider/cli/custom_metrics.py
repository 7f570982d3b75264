"""The commands of ``airflow monitoring custom-metrics``: metrics of the user's own, and their values."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_monitoring_provider.cli.console import as_instant, open_store, plain_errors, print_rows
from airflow_monitoring_provider.exceptions import DefinitionError

if TYPE_CHECKING:
    from argparse import Namespace


@suppress_logs_and_warning
def list_metrics(args: Namespace) -> None:
    """The custom metrics of a deployment."""
    with open_store(args) as store:
        rows = [
            {
                "id": found.id,
                "label": found.metric.label or found.id,
                "type": found.metric.type.value,
                "directionality": found.metric.directionality,
                "units": found.metric.units,
                "source": found.metric.source,
                "baseline_value": found.metric.baseline_value,
                "warning": found.metric.warning,
                "critical": found.metric.critical,
                "definition": found.definition_id,
            }
            for found in store.custom_metrics(args.deployment_id)
        ]
    print_rows(args, rows)


@suppress_logs_and_warning
def create_metric(args: Namespace) -> None:
    """Make a metric known whose values are reported."""
    from airflow_monitoring_provider.definitions.custom import CustomMetric
    from airflow_monitoring_provider.definitions.reading import CAMEL, read_part

    with open_store(args) as store, plain_errors():
        try:
            said = json.loads(args.metric)
        except ValueError:
            raise DefinitionError('--metric must be JSON, as {"type": "sum", "units": "EUR"}') from None
        if not isinstance(said, dict):
            raise DefinitionError("--metric must be a JSON object")
        metric = read_part(CustomMetric, said, style=CAMEL)
        store.create_custom_metric(args.deployment_id, args.metric_id, metric, by=getpass.getuser())
    print("The metric is known.")


@suppress_logs_and_warning
def show_metric(args: Namespace) -> None:
    """All values of a metric as one, with its status."""
    from airflow_monitoring_provider.jobs.custom_history import summary

    with open_store(args) as store, plain_errors():
        rows = summary(store, args.deployment_id, args.metric_id, **_asked(args)).rows()
    print_rows(args, rows)


@suppress_logs_and_warning
def show_history(args: Namespace) -> None:
    """The values of a metric by batch or by period."""
    from airflow_monitoring_provider.jobs.custom_history import history

    with open_store(args) as store, plain_errors():
        found = history(store, args.deployment_id, args.metric_id, by=args.by, timezone=args.timezone, **_asked(args))
    print_rows(args, [row for each in found for row in each.rows()])


@suppress_logs_and_warning
def report_value(args: Namespace) -> None:
    """Report one value of a metric."""
    with open_store(args) as store, plain_errors():
        categorical = store.custom_metric(args.deployment_id, args.metric_id).metric.type.value == "categorical"
        added = store.report_custom_metric(
            args.deployment_id,
            args.metric_id,
            args.value if categorical else _number(args.value),
            timestamp=as_instant(args.timestamp, "timestamp"),
            batch_id=args.batch,
            sample_count=args.sample_count,
            association_id=args.association_id,
            key=args.key,
        )
    print("The value was added." if added else "A value with this key was there already; nothing was added.")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DefinitionError("the value must be a number", field="value") from None


def _asked(args: Namespace) -> dict[str, Any]:
    return {
        "start": as_instant(args.start, "start"),
        "end": as_instant(args.end, "end"),
        "batch_ids": args.batch or None,
    }
