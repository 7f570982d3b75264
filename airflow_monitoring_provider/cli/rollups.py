"""The commands of ``airflow monitoring rollups``: days, weeks and months of a definition, merged of its windows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_monitoring_provider.cli.console import as_instant, open_store, plain_errors, print_rows
from airflow_monitoring_provider.exceptions import DefinitionError

if TYPE_CHECKING:
    from argparse import Namespace


@suppress_logs_and_warning
def list_rollups(args: Namespace) -> None:
    """Every period between two instants, with its status."""
    from airflow_monitoring_provider.jobs.rollup import roll_up

    start, end = as_instant(args.start, "start"), as_instant(args.end, "end")
    if start is None or end is None or end <= start:
        raise SystemExit("airflow monitoring: --end must lie after --start")
    with open_store(args) as store, plain_errors():
        rows = [
            each.to_dict() for each in roll_up(store, args.definition, args.by, start, end, now=dt.datetime.now(dt.UTC))
        ]
    print_rows(args, rows)


@suppress_logs_and_warning
def show_rollup(args: Namespace) -> None:
    """The results of one period."""
    from airflow_monitoring_provider.definitions import load_definition, period_named
    from airflow_monitoring_provider.jobs.rollup import roll_up_period
    from airflow_monitoring_provider.monitors.explain import sentence_of

    with open_store(args) as store, plain_errors():
        definition = load_definition(store.definition(args.definition)[1])
        try:
            period = period_named(args.period, definition.timezone)
        except ValueError:
            period = None
        if period is None:
            raise DefinitionError("period must be a name such as 2026-03-01, 2026-W10, 2026-03 or 2026-Q1")
        found = roll_up_period(store, definition, period, now=dt.datetime.now(dt.UTC))
    results: list[Any] = [] if found.evaluation is None else list(found.evaluation.results)
    rows = [
        {
            "metric": result.name,
            "column": result.column,
            "segment": result.segment,
            "value": result.value,
            "status": result.status.text,
            "reason": result.reason,
            "finding": sentence_of(result),
        }
        for result in results
    ]
    print_rows(args, rows)
