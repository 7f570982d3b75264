"""One sentence for a drifted column: which cells gained or lost rows, and how much."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_monitoring_provider.metrics.values import MetricValue

_NAMED = 2
_LONGEST = 30
_WORDS = {"__missing__": "missing values", "__level__": "a level"}


def movement(value: MetricValue) -> str | None:
    """``region: EU fell from 40 % to 22 %, APAC rose from 0 % to 9 %.``; None where no cell's share moved visibly.

    Read from the ``moved`` cells of the stored value, so levels that were hidden there stay hidden here.
    """
    found = (_clause(cell) for cell in value.details.get("moved", ()))
    clauses = [clause for clause in found if clause is not None][:_NAMED]
    if value.column is None or not clauses:
        return None
    segment = f" in {_short(value.segment)}" if value.segment else ""
    return f"{_short(value.column)}{segment}: {', '.join(clauses)}."


def _clause(cell: Mapping[str, Any]) -> str | None:
    before, after = (f"{round(100 * cell[side], 1):g} %" for side in ("reference", "current"))
    if before == after:
        return None
    verb = "rose" if cell["current"] > cell["reference"] else "fell"
    return f"{_WORDS.get(cell['cell']) or _short(cell['cell'])} {verb} from {before} to {after}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
