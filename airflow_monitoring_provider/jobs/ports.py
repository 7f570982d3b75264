"""The doors of a job: what ``run_job`` is handed so that it knows neither Airflow nor connections.

Hooks make them from Airflow connections; a script or a test makes them by hand::

    Ports(
        store=MonitoringStore(open_engine("sqlite:///store.sqlite"), storage=Storage.local("storage"), embedded=True),
        source=lambda definition, intake, order_by: open_source(intake, engine=engine, order_by=order_by),
        writer=lambda definition: open_writer(definition.output_settings, engine=engine),
    )
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from airflow_monitoring_provider.definitions import IntakeSettings, JobDefinition
from airflow_monitoring_provider.intake.source import RowSource
from airflow_monitoring_provider.outputs.output import RowWriter
from airflow_monitoring_provider.store.store import MonitoringStore


@dataclasses.dataclass(frozen=True, slots=True)
class Ports:
    """The store, a maker of row sources, and a maker of row writers.

    :param source: ``(definition, intake settings, columns to order by) -> RowSource``; the definition's own intake, or
        its baseline's.
    :param writer: ``definition -> RowWriter``; asked only where the definition has an output.
    """

    store: MonitoringStore
    source: Callable[[JobDefinition, IntakeSettings, tuple[str, ...]], RowSource]
    writer: Callable[[JobDefinition], RowWriter]
