"""The commands of ``airflow monitoring batches``: make, list, describe, lock and delete them."""

from __future__ import annotations

import dataclasses
import getpass
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_monitoring_provider.cli.console import as_instant, open_store, plain_errors, print_rows

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace

    from airflow_monitoring_provider.store.records import BatchRecord


@suppress_logs_and_warning
def list_batches(args: Namespace) -> None:
    """Batches of a deployment."""
    from airflow_monitoring_provider.store.deployment_records import BatchFilter

    with open_store(args) as store, plain_errors():
        wanted = BatchFilter(
            search=args.search,
            created_by=args.created_by,
            created_after=as_instant(args.created_after, "created_after"),
            created_before=as_instant(args.created_before, "created_before"),
            start_after=as_instant(args.start_after, "start_after"),
            end_before=as_instant(args.end_before, "end_before"),
            deleted=args.deleted,
        )
        store.deployment(args.deployment_id)  # an unknown one has no batches either, and that is no answer
        page = store.batches(args.deployment_id, wanted, order=args.order, limit=args.limit)
    print_rows(args, [_row(batch) for batch in page])


@suppress_logs_and_warning
def show_batch(args: Namespace) -> None:
    """One batch, its jobs and its models."""
    with open_store(args) as store:
        batch = store.batch(args.batch_id)
        jobs = [job.id for job in store.jobs(batch_id=batch.id, order="window")]
        models = store.batch_models(batch.id)
    facts = _row(batch) | {
        "deployment": batch.deployment_id,
        "description": batch.description,
        "external_url": batch.external_url,
        "deleted_at": _at(batch.deleted_at),
        "jobs": jobs,
        "models": {entry.model_id: f"{_at(entry.start_time)} to {_at(entry.end_time)}" for entry in models},
    }
    if args.output in ("json", "yaml"):
        print_rows(args, [facts])
        return
    print_rows(args, [{"field": key, "value": value} for key, value in facts.items()])


@suppress_logs_and_warning
def create_batch(args: Namespace) -> None:
    """Make an empty batch and print its id."""
    with open_store(args) as store:
        batch = store.create_batch(
            args.deployment_id,
            args.name,
            description=args.description,
            external_url=args.external_url,
            by=getpass.getuser(),
        )
    print(batch.id)


@suppress_logs_and_warning
def change_batch(args: Namespace) -> None:
    """Describe a batch anew."""
    values = {name: getattr(args, name) for name in ("name", "description", "external_url")}
    with open_store(args) as store:
        store.change_batch(args.batch_id, **values, by=getpass.getuser())
    print("The batch was changed.")


@suppress_logs_and_warning
def lock_batch(args: Namespace) -> None:
    """Let a batch take no more predictions."""
    with open_store(args) as store:
        store.lock_batch(args.batch_id, by=getpass.getuser())
    print("The batch is locked.")


@suppress_logs_and_warning
def unlock_batch(args: Namespace) -> None:
    """Let a batch take predictions again."""
    with open_store(args) as store:
        store.lock_batch(args.batch_id, locked=False, by=getpass.getuser())
    print("The batch is unlocked.")


@suppress_logs_and_warning
def remove_batch(args: Namespace) -> None:
    """Remove a batch's predictions from everything, for good."""
    from airflow_monitoring_provider.jobs.deleting import delete_batch

    with open_store(args) as store:
        batch = store.batch(args.batch_id)
        if not args.yes:
            asked = f"Delete batch {batch.name!r} and its {batch.predictions} predictions for good? (y/n) "
            if input(asked).strip().lower() not in ("y", "yes"):
                raise SystemExit("Nothing was deleted.")
        delete_batch(store, args.batch_id, by=getpass.getuser())
    print("The batch is deleted.")


@suppress_logs_and_warning
def date_batch(args: Namespace) -> None:
    """Say what time a model's predictions in a batch are of."""
    with open_store(args) as store, plain_errors():
        times = {name: as_instant(getattr(args, name), name) for name in ("start_time", "end_time")}
        store.date_batch(args.batch_id, args.model_id or "", **times, by=getpass.getuser())
    print("The batch's time was changed.")


@suppress_logs_and_warning
def show_results(args: Namespace) -> None:
    """What several batches say together: service, then drift and accuracy with their statuses."""
    from airflow_monitoring_provider.jobs.selection import select_batches

    with open_store(args) as store:
        selected = select_batches(store, store.batch(args.batch_ids[0]).deployment_id, args.batch_ids)
    service = dataclasses.asdict(selected.service) | {
        "user_error_rate": selected.service.user_error_rate,
        "server_error_rate": selected.service.server_error_rate,
    }
    rows = [
        {"definition": None, "metric": name, "column": None, "value": value, "status": None, "reason": None}
        for name, value in service.items()
    ]
    rows += [
        {
            "definition": part.definition.id,
            "metric": result.name,
            "column": result.column,
            "value": result.value,
            "status": result.status.text,
            "reason": result.reason,
        }
        for part in selected.parts
        for result in (*part.evaluation.results, *part.evaluation.model_results)
    ]
    print_rows(args, rows)


@suppress_logs_and_warning
def show_limits(args: Namespace) -> None:
    """How many batches a deployment was given today, and how many it may be given."""
    with open_store(args) as store:
        limits = store.batch_limits(args.deployment_id)
    print_rows(
        args,
        [
            {
                "daily_limit": limits.daily_limit,
                "created_today": limits.created_today,
                "resets_at": _at(limits.resets_at),
            }
        ],
    )


def _row(batch: BatchRecord) -> dict[str, Any]:
    return {
        "id": batch.id,
        "name": batch.name,
        "locked": str(batch.locked).lower(),
        "predictions": batch.predictions,
        "earliest_prediction": _at(batch.earliest_prediction),
        "latest_prediction": _at(batch.latest_prediction),
        "created_at": _at(batch.created_at),
        "created_by": batch.created_by,
        "job": batch.job_id,
    }


def _at(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="seconds")
