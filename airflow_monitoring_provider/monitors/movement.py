"""What moved in a drifted column: which cells gained or lost rows, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.monitors.amounts import percents

if TYPE_CHECKING:
    from airflow_monitoring_provider.metrics.values import MetricValue

_NAMED = 2
_LONGEST = 30
_LEAST = 1e-5
_WORDS = {
    "__missing__": "missing values",
    "__level__": "a level",
    "__unseen__": "values that the baseline has not",
    "__other__": "rarer values",
    "__outside__": "values outside the baseline's range",
}


def moved_cells(value: MetricValue) -> str | None:
    """``EU fell from 40 % to 22 %, APAC rose from 0 % to 9 %``; None where no cell's share moved visibly.

    The two cells that moved most and, where both gained or both lost, the first that did the opposite.
    """
    cells = [cell for cell in value.details.get("moved", ()) if abs(cell["current"] - cell["reference"]) >= _LEAST]
    named = cells[:_NAMED]
    if len({_gained(cell) for cell in named}) == 1:
        named += [cell for cell in cells[_NAMED:] if _gained(cell) is not _gained(named[0])][:1]
    return ", ".join(_clause(cell, value) for cell in named) or None


def _clause(cell: Mapping[str, Any], value: MetricValue) -> str:
    verb = "rose" if _gained(cell) else "fell"
    return f"{_named(cell['cell'], value)} {verb} from {' to '.join(percents(cell['reference'], cell['current']))}"


def _gained(cell: Mapping[str, Any]) -> bool:
    return bool(cell["current"] > cell["reference"])


def _named(label: str, value: MetricValue) -> str:
    if label in _WORDS:
        return _WORDS[label]
    if value.precision is None:  # a level
        return printable(label, _LONGEST)
    what = "lengths" if value.details.get("of") == "length" else "values"
    if label == "all":
        return what
    return f"{what} {'in ' if label.startswith('[') else ''}{label}"
