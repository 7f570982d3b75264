"""What moved in a drifted column: which cells gained or lost rows, and how much."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.monitors.amounts import numbers, percents

if TYPE_CHECKING:
    from airflow_monitoring_provider.metrics.values import MetricValue

_NAMED = 2
_LEVELS = 3
_BY_CHANCE = 0.01
_LONGEST = 30
_LEAST = 1e-5
_WORDS = {
    "__missing__": "missing values",
    "__level__": "a level",
    "__unseen__": "values that the baseline does not have",
    "__other__": "rarer values",
    "__outside__": "values outside the baseline's range",
}


def moved_cells(value: MetricValue) -> str | None:
    """``EU fell from 40 % to 22 %, APAC rose from 0 % to 9 %``; None where no cell's share moved visibly.

    The two cells that moved most and, where both gained or both lost, the first that did the opposite; of numbers the
    median too, unless chance may have moved it.
    """
    cells = [cell for cell in value.details.get("moved", ()) if abs(cell["current"] - cell["reference"]) >= _LEAST]
    named = cells[:_NAMED]
    if len({_gained(cell) for cell in named}) == 1:
        named += [cell for cell in cells[_NAMED:] if _gained(cell) is not _gained(named[0])][:1]
    said = ", ".join(_clause(cell, value) for cell in named)
    return f"{said}{_median(value)}" if said else None


def _median(value: MetricValue) -> str:
    median = value.details.get("median")
    if not isinstance(median, Mapping) or median["reference"] == median["current"]:
        return ""
    if value.details.get("location_p", 1.0) > _BY_CHANCE:  # it always moves a little
        return ""
    verb = "rose" if median["current"] > median["reference"] else "fell"
    what = "median length" if value.details.get("of") == "length" else "median"
    return f"; the {what} {verb} from {' to '.join(numbers(median['reference'], median['current']))}"


def _clause(cell: Mapping[str, Any], value: MetricValue) -> str:
    verb = "rose" if _gained(cell) else "fell"
    return f"{_named(cell, value)} {verb} from {' to '.join(percents(cell['reference'], cell['current']))}"


def _gained(cell: Mapping[str, Any]) -> bool:
    return bool(cell["current"] > cell["reference"])


def _named(cell: Mapping[str, Any], value: MetricValue) -> str:
    label = cell["cell"]
    if cell.get("infinite"):
        return "missing or infinite values"
    if label in _WORDS:
        return _WORDS[label] + _levels(cell.get("levels", ()))
    if value.precision is None:  # a level
        return printable(label, _LONGEST)
    what = "length" if value.details.get("of") == "length" else "value"
    if label == "all":
        return f"{what}s"
    if label[0] not in "[<>":
        return f"the {what} {label}"
    return f"{'other ' if cell.get('rest') else ''}{what}s {'in ' if label.startswith('[') else ''}{label}"


def _levels(names: Sequence[str]) -> str:
    """``(a, b, ...)``: some of them."""
    if not names:
        return ""
    some = ", ".join(printable(name, _LONGEST) for name in names[:_LEVELS])
    return f" ({some}{', …' if len(names) > _LEVELS else ''})"
