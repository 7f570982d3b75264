"""The sentence of a stored result, as pages and commands show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_monitoring_provider.monitors.finding import finding

if TYPE_CHECKING:
    from airflow_monitoring_provider.store.records import ResultRecord


def sentence_of(result: ResultRecord) -> str | None:
    """What moved; None for a result that has reached no limit."""
    return finding(result.value, result.status, warning=result.warning, critical=result.critical)
