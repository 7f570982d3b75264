"""What Airflow's API server loads: the job pages under ``/monitoring``, the link that leads to
them, and the timetable of definitions."""

from __future__ import annotations

from typing import Any

from airflow.plugins_manager import AirflowPlugin

from airflow_monitoring_provider.dags.timetable import WindowTimetable
from airflow_monitoring_provider.operators.links import MonitoringReportLink


class _LazyApp:
    """An ASGI application that is built on its first request.

    Every Airflow component imports plugin modules, and only the API server answers requests.
    """

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._app is None:
            from airflow_monitoring_provider.api.app import create_app

            self._app = create_app()
        await self._app(scope, receive, send)


class MonitoringPlugin(AirflowPlugin):
    """Registers the provider's pages, link and timetable."""

    name = "monitoring"
    # Airflow declares them as attributes of instances, so they cannot be ClassVars here.
    fastapi_apps: list[Any] = [{"app": _LazyApp(), "url_prefix": "/monitoring", "name": "Monitoring"}]  # noqa: RUF012
    timetables: list[Any] = [WindowTimetable]  # noqa: RUF012
    operator_extra_links: list[Any] = [MonitoringReportLink()]  # noqa: RUF012
