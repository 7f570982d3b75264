"""The sentence of a stored result and what stands beside it, as pages and commands show them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.monitors.amounts import number, percents
from airflow_monitoring_provider.monitors.finding import finding

if TYPE_CHECKING:
    from airflow_monitoring_provider.metrics.values import MetricValue
    from airflow_monitoring_provider.store.records import ResultRecord


def sentence_of(result: ResultRecord) -> str | None:
    """What moved; None for a result that has reached no limit."""
    return finding(result.value, result.status, warning=result.warning, critical=result.critical)


def notes_of(value: MetricValue) -> tuple[str, ...]:
    """What a reader has to know of a value: until when actuals may change it, how many are expected, which rows are not
    in it, and how far the score of most of its rows strays, where the definition asks for that.
    """
    details, notes = value.details, []
    if details.get("provisional"):
        until = details.get("provisional_until")
        notes.append("provisional" if until is None else f"provisional until {printable(str(until), 40)}")
    expected = details.get("final_coverage")
    if isinstance(expected, int | float):
        windows = number(details.get("final_coverage_windows", 0))
        notes.append(f"{percents(expected)[0]} is expected in the end, the median of {windows} mature windows before")
    deviation = details.get("standard_deviation")
    if isinstance(deviation, int | float):
        notes.append(f"standard deviation {number(deviation)} over draws of 80 % of the rows")
    if left_out := details.get("invalid_actuals"):
        notes.append(
            f"{left_out:,} rows left out: their actual is of no known class, or no number where it must be one"
        )
    return tuple(notes)


def coverage_notes(results: Iterable[ResultRecord]) -> tuple[str, ...]:
    """How many actuals came, and what else is to be known of that; nothing where no score has actuals to wait for."""
    found = [r.value for r in results if r.value.name == "label_coverage" and r.value.segment is None]
    return tuple(
        "; ".join([f"{percents(value.value)[0]} of the rows have an actual", *notes_of(value)])
        for value in found
        if value.value is not None and "final_coverage" in value.details
    )


def provisional_notes(results: Iterable[ResultRecord]) -> tuple[str, ...]:
    """That results may still change, and until when; nothing where they are final."""
    notes = (notes_of(result.value) for result in results if result.value.details.get("provisional"))
    return tuple(dict.fromkeys(each[0] for each in notes))
