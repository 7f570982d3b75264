"""The commands of ``airflow monitoring baselines``: what jobs are compared with, chosen and applied to the past."""

from __future__ import annotations

import getpass
import json
from typing import TYPE_CHECKING, Any

from airflow.utils.cli import suppress_logs_and_warning

from airflow_monitoring_provider.cli.console import as_instant, open_store, plain_errors, print_rows
from airflow_monitoring_provider.exceptions import DefinitionError

if TYPE_CHECKING:
    import datetime as dt
    from argparse import Namespace

    from airflow_monitoring_provider.definitions import JobDefinition
    from airflow_monitoring_provider.store.baseline_records import BaselineVersion
    from airflow_monitoring_provider.store.store import MonitoringStore


@suppress_logs_and_warning
def list_baselines(args: Namespace) -> None:
    """The baselines that a definition can use, or with ``--versions`` those that its jobs were compared with."""
    with open_store(args) as store:
        definition = _definition(store, args.definition)
        if args.versions:
            found = store.baseline_versions(definition.id, limit=args.limit)
            print_rows(args, [_version_row(version) for version in found])
            return
        choice, named = store.baseline_choice(definition.id), store.named_baselines(definition.id)
    newest = {each.name: each.version for each in named}
    own = {
        "name": None,
        "version": None,
        "type": _type_of(definition),
        "in_use": "yes" if choice is None else "no",
        "settings": _own_settings(definition),
        "created_at": None,
        "created_by": None,
    }
    rows = [
        {
            "name": each.name,
            "version": each.version,
            "type": each.settings["type"],
            "in_use": "yes"
            if choice is not None and (each.name, each.version) == (choice.name, choice.version or newest[each.name])
            else "no",
            "settings": json.dumps({key: value for key, value in each.settings.items() if key != "type"}),
            "created_at": _at(each.created_at),
            "created_by": each.created_by,
        }
        for each in named
    ]
    print_rows(args, [own, *rows])


@suppress_logs_and_warning
def show_baseline(args: Namespace) -> None:
    """What a job was compared with: each profile that was merged, and what was left out."""
    with open_store(args) as store:
        job = store.job(args.job_id)
        snapshot = job.snapshot
        if snapshot is None or snapshot.baseline_version is None:
            raise SystemExit(f"airflow monitoring: job {job.id} was compared with nothing yet")
        if snapshot.baseline_key is None:
            facts: dict[str, Any] = {"version": snapshot.baseline_version, "type": "first_window"}
        else:
            version = store.baseline_version(job.definition_id, snapshot.baseline_version)
            facts = _version_row(version) | {
                "key": version.key,
                "members": [f"{name} (revision {revision})" for name, revision in version.members],
                "left_out": dict(version.details.get("left_out", {})),
            }
    if args.output in ("json", "yaml"):
        print_rows(args, [facts])
        return
    print_rows(args, [{"field": key, "value": value} for key, value in facts.items()])


@suppress_logs_and_warning
def create_baseline(args: Namespace) -> None:
    """Keep a baseline under a name and print its version."""
    from airflow_monitoring_provider.definitions import dump_definition
    from airflow_monitoring_provider.jobs.baseline import with_settings

    with open_store(args) as store, plain_errors():
        definition = with_settings(_definition(store, args.definition), _settings(args))
        settings = dump_definition(definition, "payload")["baseline"]
        made = store.create_baseline(
            definition.id, args.name, settings, description=args.description, by=getpass.getuser()
        )
    print(made.version)


@suppress_logs_and_warning
def use_baseline(args: Namespace) -> None:
    """Compare a definition's jobs with a named baseline from now on, or with its own."""
    if (args.name is None) != args.own:
        raise SystemExit("airflow monitoring: give the name of a baseline, or --own for the definition's own")
    with open_store(args) as store:
        definition = _definition(store, args.definition)
        store.use_baseline(definition.id, args.name, version=args.baseline_version, by=getpass.getuser())
    print(f"Jobs of {definition.id} are compared with {args.name or 'its own baseline'} from now on.")
    print(f"Their past results: airflow monitoring baselines reevaluate {definition.id}")


@suppress_logs_and_warning
def reevaluate_baseline(args: Namespace) -> None:
    """Compare and evaluate past jobs with the baseline they should have; no row is read."""
    import dataclasses

    from airflow_monitoring_provider.jobs.reevaluating import reevaluate

    with open_store(args) as store, plain_errors():
        found = reevaluate(
            _definition(store, args.definition),
            store,
            start=as_instant(args.start_time, "start_time"),
            end=as_instant(args.end_time, "end_time"),
            every=args.all,
            tell=args.tell_alerts,
        )
    print_rows(args, [dataclasses.asdict(found) | {"changed": len(found.changed)}])


def _settings(args: Namespace) -> dict[str, Any]:
    if (args.settings is None) == (args.batch is None):
        raise DefinitionError("give either --settings or --batch", field="settings")
    if args.batch is not None:
        return {"type": "batches", "batchIds": args.batch}
    try:
        found = json.loads(args.settings)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise DefinitionError(
            'settings must be a JSON object, such as {"type": "moving_window", "length": "14d"}', field="settings"
        )
    return found


def _definition(store: MonitoringStore, name: str) -> JobDefinition:
    from airflow_monitoring_provider.definitions import load_definition

    record, payload = store.definition(name)
    return load_definition({**payload, "id": record.id})


def _type_of(definition: JobDefinition) -> str | None:
    return None if definition.baseline is None else str(definition.baseline.type)


def _own_settings(definition: JobDefinition) -> str:
    from airflow_monitoring_provider.definitions import dump_definition

    found = dump_definition(definition, "payload").get("baseline", {})
    return json.dumps({key: value for key, value in found.items() if key != "type"})


def _version_row(version: BaselineVersion) -> dict[str, Any]:
    return {
        "version": version.version,
        "type": version.kind,
        "rows": version.rows,
        "windows": len(version.members) or None,
        "start": _at(version.window_start),
        "end": _at(version.window_end),
        "content_hash": version.content_hash,
        "created_at": _at(version.created_at),
    }


def _at(instant: dt.datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="seconds")
