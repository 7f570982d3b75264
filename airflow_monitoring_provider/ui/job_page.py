"""One job as a page of plain HTML: no script, every value escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.definitions import ResultStatus
from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.monitors.amounts import numbers
from airflow_monitoring_provider.monitors.naming import named
from airflow_monitoring_provider.ui.findings import coverage_notes, notes_of, provisional_notes, sentence_of

if TYPE_CHECKING:
    from airflow_monitoring_provider.store.records import JobRecord, ResultRecord

STYLE = """\
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 110rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #8884; vertical-align: top; }
.text { overflow-wrap: anywhere; min-width: 5.5rem; }
.note { min-width: 15rem; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.detected { color: #b3261e; font-weight: 600; }
.potential_detection { color: #9a6700; font-weight: 600; }
.no_detection { color: #1a7f37; }
.irrelevant { opacity: .7; }
pre { white-space: pre-wrap; }
"""

_LONGEST = 6 * 255  # whatever the store keeps of a name, each character as its code: names that differ look different
_RANK: dict[ResultStatus | None, int] = {
    status: place for place, status in enumerate(sorted(ResultStatus, reverse=True))
}
_RESULT_HEADINGS = (
    "status",
    "metric",
    "column",
    "segment",
    "value",
    "95 % interval",
    "warning",
    "critical",
    "adjusted p",
    "baseline rows",
    "rows",
    "note",
)


def render_job(job: JobRecord, results: Sequence[ResultRecord]) -> str:
    """The whole page of one job.

    :param job: with its log, oldest line first.
    :param results: of the committed snapshot; shown worst first.
    """
    ordered = sorted(
        results,
        key=lambda r: (
            _RANK.get(r.status, len(_RANK)),
            not r.value.primary,
            r.value.segment or "",
            r.value.column or "",
            r.value.name,
        ),
    )
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<title>{escape(job.definition_id)}</title><link rel="stylesheet" href="../style.css"></head><body>',
            f'<h1 class="text">{escape(job.definition_id)}</h1>',
            _table(("", ""), _facts(job, results)),
            "<h2>Results</h2>",
            _table(_RESULT_HEADINGS, (_result_row(result) for result in ordered)),
            "<h2>Log</h2>",
            "<pre>" + "\n".join(escape(f"{line.at:%Y-%m-%d %H:%M:%S}  {line.line}") for line in job.log) + "</pre>",
            "</body></html>",
        ]
    )


def _facts(job: JobRecord, results: Sequence[ResultRecord]) -> Iterable[Sequence[str]]:
    snapshot = job.snapshot
    rows: list[tuple[str, Any]] = [
        ("deployment", job.deployment_id),
        ("window", f"{job.window.start.isoformat()} to {job.window.end.isoformat()}"),
        ("state", job.state.value),
        ("why", job.reason or ""),
        ("status", job.overall_status.text if job.overall_status is not None else "not evaluated"),
        ("snapshot revision", job.snapshot_revision or "nothing committed yet"),
    ]
    if snapshot is not None:
        rows += [(status, f"{count:,} rows") for status, count in sorted(snapshot.status_counts.items())]
        rows += [("results", note) for note in provisional_notes(results)]
        rows += [("actuals", note) for note in coverage_notes(results)]
    return [(f"<th>{escape(name)}</th>", f'<td class="text">{escape(str(value))}</td>') for name, value in rows]


def _result_row(result: ResultRecord) -> Sequence[str]:
    value = result.value
    status = result.status.text if result.status is not None else "not evaluated"
    texts = (sentence_of(result) or named(value), result.status_reason, value.reason)
    note = " ".join(dict.fromkeys(str(text) for text in texts if text))
    note = "; ".join([*([note] if note else []), *notes_of(value)])
    return (
        f'<td class="{escape(status)}">{_words(status)}</td>',
        f"<td>{_words(value.name)}</td>",
        _name(value.column),
        _name(value.segment),
        f'<td class="number">{_number(value.value)}</td>',
        f'<td class="number">{_interval(value.low, value.high)}</td>',
        *(
            f'<td class="number">{_number(number)}</td>'
            for number in (result.warning, result.critical, value.adjusted_p_value, value.n, value.m)
        ),
        f'<td class="text note">{escape(str(note))}</td>',
    )


def _words(identifier: str) -> str:
    """An identifier that may be broken after its underscores."""
    return escape(identifier).replace("_", "_<wbr>")


def _name(name: str | None) -> str:
    """A cell with a name from the rows, which runs in its own direction whatever stands beside it."""
    return f'<td class="text"><bdi>{escape(printable(name or "", _LONGEST))}</bdi></td>'


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else " to ".join(numbers(low, high))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings) if any(headings) else ""
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"
