"""The link from a finished task to the page of its job."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

REPORT_URL_KEY = "monitoring_report_url"
"""XCom key under which the job operator leaves the address; the link itself is stored under another key by Airflow."""


def report_url(job_id: str) -> str:
    """Address of a job's page on the API server, below the path of ``[api] base_url``."""
    from urllib.parse import urlsplit

    from airflow.sdk.configuration import conf

    base = urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")
    return f"{base}/monitoring/jobs/{quote(job_id, safe='')}"


class MonitoringReportLink(BaseOperatorLink):
    """Opens the page of the job that the task ran."""

    name = "Monitoring report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address that the task pushed, or nothing before it has finished."""
        from airflow.sdk.execution_time.xcom import XCom

        return XCom.get_value(ti_key=ti_key, key=REPORT_URL_KEY) or ""
