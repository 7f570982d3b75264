"""What a quality value counted: the columns that changed, the values that are not allowed. One line beside a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.definitions.printing import printable

if TYPE_CHECKING:
    from airflow_monitoring_provider.metrics.values import MetricValue

_NAMED = 5
_LONGEST = 30


def named(value: MetricValue) -> str | None:
    """``amount (numeric to string, 0 % unreadable)`` of a changed column; None where the value names nothing.

    Values are those that the stored result names, so what was hidden there stays hidden here.
    """
    columns, values = (value.details.get(key) for key in ("columns", "values"))
    if not value.value or not (isinstance(columns, list) or isinstance(values, list)):
        return None
    found = [_column(c) for c in columns] if isinstance(columns, list) else [_short(v) for v in values or ()]
    counted = value.details.get("levels", value.value)  # a share is below 1, a count is of more than are named
    rest = max(int(counted), len(found)) - _NAMED
    if not found:
        return None
    return ", ".join(found[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _column(found: Mapping[str, Any]) -> str:
    name = _short(found["column"])
    if "to" not in found:
        return name
    unreadable = found.get("unreadable")
    share = "" if unreadable is None else f", {round(100 * unreadable, 1):g} % unreadable"
    return f"{name} ({found['from']} to {found['to']}{share})"


def _short(text: str) -> str:
    return printable(text, _LONGEST)
