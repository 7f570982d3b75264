"""The commands of ``airflow monitoring deployments``: what is monitored, how it is set, which models it had."""

from __future__ import annotations

import datetime as dt
import getpass
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_monitoring_provider.cli.console import as_instant, open_store, plain_errors, print_rows

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_monitoring_provider.store.deployment_records import DeploymentModel, DeploymentRecord

_DESCRIBED = ("label", "description", "importance", "target_type", "model_id", "model_version")


@suppress_logs_and_warning
def list_deployments(args: Namespace) -> None:
    """Deployments by label."""
    with open_store(args) as store:
        page = store.deployments(search=args.search, limit=args.limit)
    print_rows(args, [_row(record) for record in page])


@suppress_logs_and_warning
def show_deployment(args: Namespace) -> None:
    """One deployment with every setting."""
    from airflow_monitoring_provider.definitions.deployment import settings_payload

    with open_store(args) as store:
        record = store.deployment(args.deployment_id)
    facts = _row(record) | {
        "description": record.description,
        "importance": record.importance,
        "created_by": record.created_by,
        "updated_at": record.updated_at.isoformat(timespec="seconds"),
        "settings": settings_payload(record.settings, every=True),
    }
    if args.output in ("json", "yaml"):
        print_rows(args, [facts])
        return
    settings = _flat(facts.pop("settings"), "")
    print_rows(args, [{"field": key, "value": value} for key, value in (facts | settings).items()])


@suppress_logs_and_warning
def show_health(args: Namespace) -> None:
    """How a deployment does: service, drift, accuracy."""
    from airflow_monitoring_provider.jobs.health import deployment_health

    with open_store(args) as store:
        found = deployment_health(store, args.deployment_id, dt.datetime.now(dt.UTC)).to_dict()
    print_rows(args, [{"indicator": name} | found[name] for name in ("service", "drift", "accuracy")])


@suppress_logs_and_warning
def create_deployment(args: Namespace) -> None:
    """Make a deployment known before its first definition does."""
    with open_store(args) as store, plain_errors():
        described = {name: getattr(args, name) for name in _DESCRIBED}
        store.create_deployment(args.deployment_id, **described, settings=_settings(args), by=getpass.getuser())
    print("The deployment was created.")


@suppress_logs_and_warning
def change_deployment(args: Namespace) -> None:
    """Change what is given."""
    with open_store(args) as store, plain_errors():
        described = {name: getattr(args, name) for name in (*_DESCRIBED, "status")}
        store.change_deployment(args.deployment_id, **described, settings=_settings(args), by=getpass.getuser())
    print("The deployment was changed.")


@suppress_logs_and_warning
def list_models(args: Namespace) -> None:
    """The models a deployment had in use, newest first."""
    with open_store(args) as store:
        entries = store.model_history(args.deployment_id)
    print_rows(args, [_model_row(entry) for entry in entries])


@suppress_logs_and_warning
def move_model(args: Namespace) -> None:
    """Say when a model was in use."""
    with open_store(args) as store, plain_errors():
        times = {name: as_instant(getattr(args, name), name) for name in ("start_time", "end_time")}
        store.move_model(args.deployment_id, args.number, **times, by=getpass.getuser())
    print("The model's time was changed.")


def _settings(args: Namespace) -> dict[str, Any] | None:
    if args.settings is None:
        return None
    from airflow_monitoring_provider.definitions.document import read_json

    payload: dict[str, Any] = read_json(args.settings)
    return payload


def _row(record: DeploymentRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "label": record.label,
        "status": record.status,
        "target_type": record.target_type,
        "model": record.model_id,
        "model_version": record.model_version,
        "batch_monitoring": str(record.settings.batch_monitoring.enabled).lower(),
        "created_at": record.created_at.isoformat(timespec="seconds"),
    }


def _model_row(entry: DeploymentModel) -> dict[str, Any]:
    return {
        "number": entry.number,
        "model": entry.model_id,
        "model_version": entry.model_version,
        "start_time": entry.start_time.isoformat(),
        "end_time": None if entry.end_time is None else entry.end_time.isoformat(),
    }


def _flat(settings: Mapping[str, Any], path: str) -> dict[str, str]:
    """``health.service.batchCount`` -> its value."""
    found: dict[str, str] = {}
    for name, value in settings.items():
        place = f"{path}{name}"
        found |= _flat(value, f"{place}.") if isinstance(value, dict) and value else {place: json.dumps(value)}
    return found
