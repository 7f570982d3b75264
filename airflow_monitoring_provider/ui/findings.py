"""The sentence of a stored result and what stands beside it, as pages and commands show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.monitors.finding import finding

if TYPE_CHECKING:
    from airflow_monitoring_provider.metrics.values import MetricValue
    from airflow_monitoring_provider.store.records import ResultRecord


def sentence_of(result: ResultRecord) -> str | None:
    """What moved; None for a result that has reached no limit."""
    return finding(result.value, result.status, warning=result.warning, critical=result.critical)


def notes_of(value: MetricValue) -> tuple[str, ...]:
    """What a reader has to know of a value: until when actuals may change it, and which rows are not in it."""
    details, notes = value.details, []
    if details.get("provisional"):
        until = details.get("provisional_until")
        notes.append("provisional" if until is None else f"provisional until {printable(str(until), 40)}")
    if left_out := details.get("invalid_actuals"):
        notes.append(
            f"{left_out:,} rows left out: their actual is of no known class, or no number where it must be one"
        )
    return tuple(notes)


def provisional_notes(results: Iterable[ResultRecord]) -> tuple[str, ...]:
    """That results may still change, and until when; nothing where they are final."""
    notes = (notes_of(result.value) for result in results if result.value.details.get("provisional"))
    return tuple(dict.fromkeys(each[0] for each in notes))
