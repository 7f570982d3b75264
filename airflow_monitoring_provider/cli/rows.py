"""``airflow monitoring purge``, ``export`` and ``actuals``: forget rows, hand them out, and say what really was."""

from __future__ import annotations

import datetime as dt
import getpass
from typing import TYPE_CHECKING

from airflow.utils.cli import suppress_logs_and_warning

from airflow_monitoring_provider.cli.console import as_instant, open_store, plain_errors, print_rows
from airflow_monitoring_provider.exceptions import ConfigurationError

if TYPE_CHECKING:
    from argparse import Namespace

_MOST_DAYS = 36_500


@suppress_logs_and_warning
def purge_rows(args: Namespace) -> None:
    """Forget rows and results."""
    from airflow_monitoring_provider.jobs.purge import purge
    from airflow_monitoring_provider.store.retention_records import Purged, PurgePolicy

    with open_store(args) as store, plain_errors():
        before = as_instant(args.before, "before")
        if args.older_than is not None:
            before = _days_ago(args.older_than, before)
        policy = PurgePolicy(
            deployment_id=args.deployment,
            batch_ids=tuple(args.batch or ()),
            before=before,
            what=frozenset(Purged(name) for name in args.what),
            locked=args.locked,
        )
        if not args.dry_run and not args.yes:
            found = purge(store, policy, dry_run=True).to_dict()
            asked = f"Purge {found['files']} files with {found['rows']} rows and the results of {found['results']} jobs"
            if input(f"{asked}? (y/n) ").strip().lower() not in ("y", "yes"):
                raise SystemExit("Nothing was purged.")
        summary = purge(store, policy, by=getpass.getuser(), dry_run=args.dry_run)
    print_rows(args, [summary.to_dict()])


def _days_ago(days: float, before: dt.datetime | None) -> dt.datetime:
    if before is not None:
        raise ConfigurationError("give --before or --older-than, not both")
    if not 0 <= days <= _MOST_DAYS:
        raise ConfigurationError(f"--older-than must be a number of days from 0 to {_MOST_DAYS}")
    return dt.datetime.now(dt.UTC) - dt.timedelta(days=days)


@suppress_logs_and_warning
def export_rows(args: Namespace) -> None:
    """Write rows to a file below a connection's root."""
    from airflow_monitoring_provider.hooks.exporting import export_to_file

    with plain_errors():
        wanted = {name: as_instant(getattr(args, name), name) for name in ("start", "end")}
        with open_store(args):  # connections are looked up as commands do
            pass
        summary = export_to_file(
            args.source,
            args.url,
            args.file_conn_id,
            store_conn_id=args.store_conn_id,
            deployment_id=args.deployment,
            definition_id=args.definition,
            batch_ids=tuple(args.batch or ()),
            file_format=args.format,
            exact=args.exact,
            **wanted,
        )
    print_rows(args, [summary])


@suppress_logs_and_warning
def report_rows(args: Namespace) -> None:
    """Report the actuals of a file."""
    from airflow_monitoring_provider.hooks.ports import open_ports
    from airflow_monitoring_provider.jobs.reporting import reported_by
    from airflow_monitoring_provider.jobs.reporting_actuals import reported_actuals, run_report

    columns = {"association_id": args.association_id, "value": args.value, "timestamp": args.timestamp}
    file = {"type": "file", "data_store_id": args.file_conn_id, "url": args.url}
    with open_store(args):  # connections are looked up as commands do
        pass
    with plain_errors(), open_ports(args.store_conn_id) as ports:
        late = reported_actuals(reported_by(ports.store, args.definition), columns, file)
        summary = run_report(late, ports, key=args.key)
    print_rows(args, [{"job_id": summary.job_id, "rows": summary.rows, **(summary.actuals or {})}])
