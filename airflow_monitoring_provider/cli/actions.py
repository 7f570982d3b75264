"""The commands behind ``airflow monitoring``: they read definitions and the store and print."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_monitoring_provider.cli.console import open_store, plain_errors, print_rows
from airflow_monitoring_provider.exceptions import DefinitionError

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_monitoring_provider.definitions import JobDefinition
    from airflow_monitoring_provider.store.records import JobRecord, ResultRecord
    from airflow_monitoring_provider.store.store import MonitoringStore

MOST_RESULTS = 1000


@suppress_logs_and_warning
def validate_definitions(args: Namespace) -> None:
    """Read definition files; the command fails when one of them is broken."""
    rows = []
    for path, loaded in _read_paths(args.paths):
        problems = loaded.problems if isinstance(loaded, DefinitionError) else (("", ""),)
        for field, message in problems:
            valid = not isinstance(loaded, DefinitionError)
            rows.append({"file": path, "valid": str(valid).lower(), "field": field, "problem": message})
    print_rows(args, rows)
    if any(row["valid"] == "false" for row in rows):
        sys.exit(1)


@suppress_logs_and_warning
def list_definitions(args: Namespace) -> None:
    """The store's definitions, or those of a folder."""
    if args.folder:
        from airflow_monitoring_provider.definitions import read_definition_folder

        with plain_errors():
            rows = [_file_row(str(path), loaded) for path, loaded in read_definition_folder(args.folder).items()]
        print_rows(args, rows)
        return
    with open_store(args) as store:
        print_rows(
            args,
            [
                {
                    "id": record.id,
                    "name": record.name,
                    "deployment": record.deployment_id,
                    "revision": record.revision,
                    "enabled": str(record.enabled).lower(),
                    "origin": record.origin,
                    "dag_id": record.dag_id or "",
                }
                for record in store.definitions()
            ],
        )


@suppress_logs_and_warning
def suggest_checks(args: Namespace) -> None:
    """Print checks and thresholds that the baseline of a definition suggests, as a part of a definition."""
    import json

    import yaml

    from airflow_monitoring_provider.definitions import dump_definition, load_definition
    from airflow_monitoring_provider.jobs.suggesting import with_suggested_checks

    with open_store(args) as store:
        definition = load_definition(store.definition(args.definition)[1])
        suggested = with_suggested_checks(definition, store, job=args.job, rows=args.rows)
    as_json = args.output == "json"
    whole = dump_definition(suggested, "payload" if as_json else "python")
    part = {key: whole[key] for key in ("checks", "thresholds") if key in whole}
    print(
        json.dumps(part, ensure_ascii=False, indent=2)
        if as_json
        else yaml.safe_dump(part, allow_unicode=True, width=120)
    )


@suppress_logs_and_warning
def list_jobs(args: Namespace) -> None:
    """Jobs, newest window first."""
    from airflow_monitoring_provider.definitions import JobState

    with open_store(args) as store, plain_errors():
        definition_id = store.definition(args.definition)[0].id if args.definition else None
        if args.deployment:
            store.deployment(args.deployment)  # an unknown one has no jobs either, and that is no answer
        page = store.jobs(
            definition_id=definition_id,
            deployment_id=args.deployment,
            state=[JobState(args.state)] if args.state else [],
            limit=args.limit,
            order="-window",
        )
        print_rows(args, [_job_row(job) for job in page])


@suppress_logs_and_warning
def show_job(args: Namespace) -> None:
    """One job: its facts, counts and log."""
    from airflow_monitoring_provider.jobs.timeliness import is_incomplete, late_rows_of

    with open_store(args) as store:
        job = store.job(args.job_id)
        found, (provisional, actuals) = _found(store, args.job_id), _coverage(store, args.job_id)
    facts = _job_row(job) | {
        "reason": job.reason or "",
        "percent": job.percent,
        "abort_requested": str(job.abort_requested).lower(),
        "batch": job.batch_id,
        "run_id": job.run.run_id or "",
        "try_number": job.run.try_number or 0,
        "snapshot_revision": job.snapshot_revision,
        "status_counts": job.snapshot.status_counts if job.snapshot else {},
        "null_timestamps": job.snapshot.null_timestamps if job.snapshot else 0,
        "incomplete": str(is_incomplete(job.snapshot)).lower(),
        "provisional": provisional,
        "actuals": actuals,
        "late_rows": late_rows_of(job.snapshot) if job.snapshot else None,
        "findings": found,
        "content_hash": job.snapshot.content_hash if job.snapshot else "",
        "log": [f"{line.at.isoformat(timespec='seconds')} {line.line}" for line in job.log],
    }
    if args.output in ("json", "yaml"):
        print_rows(args, [facts])
    else:
        print_rows(args, [{"field": key, "value": value} for key, value in facts.items()])


@suppress_logs_and_warning
def abort_job(args: Namespace) -> None:
    """Set the abort flag of a running job."""
    import getpass

    with open_store(args) as store:
        running = store.request_abort(args.job_id, by=getpass.getuser())
    print("The job was asked to end." if running else "The job is not running; nothing to do.")


@suppress_logs_and_warning
def show_results(args: Namespace) -> None:
    """The committed results of a job."""
    from airflow_monitoring_provider.definitions import ResultStatus

    status = [ResultStatus[args.status.upper()]] if args.status else []
    with open_store(args) as store:
        page = store.results(
            args.job_id,
            name=args.metric,
            column=args.column,
            segment=args.segment,
            status=status,
            limit=MOST_RESULTS,
        )
    rows = [_result_row(result) for result in page]
    if args.output in ("table", "plain"):
        rows = [{name: row[name] for name in row if name not in _AT_LENGTH} for row in rows]
    if args.output == "table":  # a sentence in one of sixteen columns would be a word wide
        said = [sentence for row in rows if (sentence := row.pop("finding"))]
        noted: dict[str, dict[str, None]] = {}
        for row in rows:
            if note := row.pop("note"):
                noted.setdefault(note, {})[row["metric"]] = None
        said += [f"{', '.join(metrics)}: {note}" for note, metrics in noted.items()]
        print_rows(args, rows)
        print("\n".join(said))
    else:
        print_rows(args, rows)
    if page.total > len(page):
        print(
            f"{page.total - len(page)} more results; narrow with --metric, --column, --segment or --status.",
            file=sys.stderr,
        )


@suppress_logs_and_warning
def migrate_store(args: Namespace) -> None:
    """Create or upgrade the store's tables."""
    with open_store(args) as store:
        changed = store.migrate()
    print("The store's tables are up to date now." if changed else "The store's tables were up to date already.")


@suppress_logs_and_warning
def check_store(args: Namespace) -> None:
    """Reach the store and say whether its tables fit; the command fails unless they do."""
    with open_store(args) as store:
        store.check()
    print("The store answers and its tables are up to date.")


@suppress_logs_and_warning
def adopt_store(args: Namespace) -> None:
    """Continue a lost store."""
    import getpass

    with open_store(args) as store:
        added = store.adopt(args.lost_store_id, by=getpass.getuser())
    print(
        "This store continues that one now: it may write what that one wrote."
        if added
        else "This store continues that one already; nothing to do."
    )


def _read_paths(paths: Sequence[str]) -> list[tuple[str, JobDefinition | DefinitionError]]:
    from airflow_monitoring_provider.definitions.load import read_definition_file, read_definition_folder

    found: list[tuple[str, JobDefinition | DefinitionError]] = []
    for name in paths:
        path = Path(name)
        if path.is_dir():
            found.extend((str(file), loaded) for file, loaded in sorted(read_definition_folder(path).items()))
            continue
        try:
            found.append((name, read_definition_file(path)))
        except DefinitionError as error:
            found.append((name, error))
    return found


def _file_row(path: str, loaded: JobDefinition | DefinitionError) -> dict[str, Any]:
    if isinstance(loaded, DefinitionError):
        return {"file": path, "id": "", "name": "", "deployment": "", "dag_id": "", "problem": str(loaded)}
    return {
        "file": path,
        "id": loaded.id,
        "name": loaded.name,
        "deployment": loaded.deployment_id,
        "dag_id": loaded.dag_id,
        "problem": "",
    }


def _job_row(job: JobRecord) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "definition": job.definition_id,
        "deployment": job.deployment_id,
        "window_start": job.window.start.isoformat(),
        "window_end": job.window.end.isoformat(),
        "window_kind": str(job.window.kind),
        "state": str(job.state),
        "status": job.overall_status.text if job.overall_status is not None else "",
        "rows": job.snapshot.rows if job.snapshot else None,
        "rejected": job.snapshot.failed if job.snapshot else None,
    }


def _found(store: MonitoringStore, job_id: str) -> list[str]:
    """A sentence for each result that reached a limit, critical ones first, whatever the number of healthy ones."""
    from airflow_monitoring_provider.definitions import ResultStatus
    from airflow_monitoring_provider.ui.findings import sentence_of

    grave = (ResultStatus.DETECTED, ResultStatus.POTENTIAL_DETECTION)
    pages = (store.results(job_id, status=[status], limit=MOST_RESULTS) for status in grave)
    return [sentence for page in pages for result in page if (sentence := sentence_of(result)) is not None]


def _coverage(store: MonitoringStore, job_id: str) -> tuple[str, str]:
    """Whether actuals may still change the scores of a job, and until when; and how many are expected, where known.

    Every job with scores has its coverage.
    """
    from airflow_monitoring_provider.ui.findings import coverage_notes, provisional_notes

    found = store.results(job_id, name="label_coverage", segment="", limit=1)
    return ", ".join(provisional_notes(found)), ", ".join(coverage_notes(found))


_AT_LENGTH = (
    "direction",
    "primary",
    "critical_value",
    "binning",
    "precision",
    "missing_reference",
    "missing_current",
    "details",
)
"""What of a result has no place in a line."""


def _result_row(result: ResultRecord) -> dict[str, Any]:
    from airflow_monitoring_provider.monitors.naming import named
    from airflow_monitoring_provider.ui.findings import notes_of, sentence_of

    value = result.value
    return {
        "metric": value.name,
        "kind": str(value.kind),
        "column": value.column or "",
        "segment": value.segment or "",
        "value": value.value,
        "low": value.low,
        "high": value.high,
        "status": result.status.text if result.status is not None else "",
        "reason": result.status_reason or value.reason or named(value) or "",
        "warning": result.warning,
        "critical": result.critical,
        "p_value": value.p_value,
        "adjusted_p_value": value.adjusted_p_value,
        "n": value.n,
        "m": value.m,
        "note": "; ".join(notes_of(value)),
        "finding": sentence_of(result) or "",
        "direction": str(value.direction),
        "primary": value.primary,
        "critical_value": value.critical_value,
        "binning": value.binning,
        "precision": value.precision,
        "missing_reference": value.missing_reference,
        "missing_current": value.missing_current,
        "details": value.details,
    }
