"""Forget rows and results that are old, or of a batch or deployment, and remove the files that nobody needs.

Each batch is forgotten in one transaction; its files go after it. Killed anywhere, a purge leaves files that no
manifest lists, and every purge ends by removing those, of purges before it and of killed jobs alike. It may run beside
jobs: what they are writing is known by the token in its name, and a locked batch is left alone unless the policy says
otherwise.
"""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from airflow_monitoring_provider.definitions import FirstWindowBaseline, load_definition
from airflow_monitoring_provider.definitions.window import first_window, job_id
from airflow_monitoring_provider.exceptions import ConfigurationError, MonitoringError
from airflow_monitoring_provider.store.file_names import owner_and_token
from airflow_monitoring_provider.store.queries import PAGE_LIMIT
from airflow_monitoring_provider.store.records import FileKind
from airflow_monitoring_provider.store.retention_records import Purged, PurgePolicy
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class PurgeSummary:
    """What a purge did, or would do.

    :param batches: in which it found something; ``locked`` ones it left alone.
    :param results: jobs whose profile and values went.
    :param orphans: files removed that no manifest listed.
    """

    batches: int = 0
    locked: int = 0
    files: int = 0
    rows: int = 0
    bytes: int = 0
    results: int = 0
    orphans: int = 0

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form."""
        return dataclasses.asdict(self)


def purge(store: MonitoringStore, policy: PurgePolicy, *, by: str | None = None, dry_run: bool = False) -> PurgeSummary:
    """Forget what the policy names.

    :param dry_run: only say what would go.
    :raises ConfigurationError: the policy names neither a deployment, a batch nor an age.
    :raises NotFound: there is no such deployment or batch.
    """
    if policy.deployment_id is None and not policy.batch_ids and policy.before is None:
        raise ConfigurationError("a purge needs a deployment, a batch or an age: otherwise it would forget everything")
    deployments = _deployments(store, policy)
    if Purged.RESULTS in policy.what:
        policy = dataclasses.replace(policy, keep=policy.keep | _baselines(store, deployments))
    counts = dict.fromkeys((field.name for field in dataclasses.fields(PurgeSummary)), 0)
    for batch_id in store.concerned_batches(policy):
        forgotten = store.forget_rows(batch_id, policy, by=by, dry_run=dry_run)
        if forgotten is None:
            counts["locked"] += 1
            continue
        counts["batches"] += bool(forgotten.files or forgotten.results)
        counts["files"] += len(forgotten.files)
        counts["rows"] += sum(file.rows for file in forgotten.files)
        counts["bytes"] += sum(file.bytes for file in forgotten.files)
        counts["results"] += forgotten.results
        if not dry_run:
            for file in forgotten.files:
                _remove(store, file.path)
    for deployment_id in deployments:
        counts["orphans"] += _sweep(store, deployment_id, dry_run=dry_run)
    summary = PurgeSummary(**counts)
    log.info("%s %s", "Would purge" if dry_run else "Purged", summary.to_dict())
    return summary


def orphans(store: MonitoringStore, deployment_id: str) -> list[str]:
    """Files of a deployment that no manifest lists and no running attempt writes; those of unknown jobs stay."""
    there = [path for kind in FileKind for path in store.storage.listed(kind, deployment_id)]
    known = store.known_files(deployment_id)  # after the list: what is committed meanwhile is in it
    found = []
    for path in there:
        whose = owner_and_token(path)
        if path not in known.listed and whose is not None and whose[1] < known.newest.get(whose[0], 0):
            found.append(path)
    return found


def _sweep(store: MonitoringStore, deployment_id: str, *, dry_run: bool) -> int:
    found = orphans(store, deployment_id)
    return len(found) if dry_run else sum(_remove(store, path) for path in found)


def _remove(store: MonitoringStore, path: str) -> bool:
    """Remove a file that counts no more; one that cannot be removed now is found by the next purge."""
    try:
        store.storage.remove(path)
    except MonitoringError as error:
        log.warning("A file that nobody needs stays until the next purge: %s", error)
        return False
    return True


def _deployments(store: MonitoringStore, policy: PurgePolicy) -> list[str]:
    """The deployments that the policy speaks of."""
    if policy.deployment_id is not None:
        return [store.deployment(policy.deployment_id).id]
    if policy.batch_ids:
        return sorted({store.batch(batch).deployment_id for batch in policy.batch_ids})
    found: list[str] = []
    while page := store.deployments(limit=PAGE_LIMIT, offset=len(found)).items:
        found += [deployment.id for deployment in page]
    return found


def _baselines(store: MonitoringStore, deployments: list[str]) -> frozenset[str]:
    """The jobs that are the first window of a definition which compares with it."""
    found = set()
    for deployment_id in deployments:
        for record in store.definitions(deployment_id=deployment_id, deleted=True, limit=PAGE_LIMIT):
            definition = load_definition(store.definition(record.id)[1])
            if isinstance(definition.baseline, FirstWindowBaseline):
                found.add(job_id(definition.id, first_window(definition)))
    return frozenset(found)
