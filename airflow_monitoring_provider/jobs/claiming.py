"""How an attempt at a window begins and ends: with a claim whose token is past all others, and with a reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_monitoring_provider.definitions import JobDefinition, JobState, RowStatus, Window
from airflow_monitoring_provider.exceptions import JobAborted, JobInterrupted, MonitoringError, Superseded
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import told
from airflow_monitoring_provider.outputs.output import Attempt, RowWriter
from airflow_monitoring_provider.store.records import Claim, RunInfo, SnapshotRecord
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)


def claim_window(
    definition: JobDefinition,
    window: Window,
    ports: Ports,
    run: RunInfo | None,
    batch_name: str | None,
    batch_id: str | None,
) -> tuple[Claim, RowWriter | None]:
    """The claim, and the writer of the output if there is one, whose marker the claim's token is past."""
    store = ports.store
    record = store.register_definition(definition, dag_id=run.dag_id if run else None)
    prefix = definition.monitoring_batch_prefix or definition.name
    claim = store.claim(
        record,
        window,
        run=run,
        batch_name=batch_name or f"{prefix} {window.label:%Y-%m-%d %H:%M:%S}",
        batch_id=batch_id,
        model_id=definition.model_id,
        model_version=definition.model_version,
        environment=definition.environment,
    )
    with settled(store, claim):
        writer = ports.writer(definition) if definition.output_settings is not None else None
        known = writer.last_token(attempt_of(store, claim)) if writer is not None else 0
        if known >= claim.token:
            claim = store.continue_after(claim, known)
            log.warning("Job %s: the output knows attempt %d, which the store has forgotten", claim.job_id, known)
    log.info("Claimed job %s, attempt %d, window %s", claim.job_id, claim.token, window.key())
    return claim, writer


def attempt_of(store: MonitoringStore, claim: Claim) -> Attempt:
    """The attempt as an output knows it."""
    return Attempt(
        definition_id=claim.definition_id,
        job_id=claim.job_id,
        window_start=claim.window.start,
        window_end=claim.window.end,
        token=claim.token,
        store_id=claim.store_id,
        continues=claim.continues,
        confirm=lambda: store.confirm(claim),
    )


def rows_last_time(store: MonitoringStore, claim: Claim) -> int | None:
    """Rows that this job had before, else those of the definition's newest one: what the percentage is measured by."""
    last = _last_time(store, claim)
    return None if last is None else last.rows


def repeated_last_time(store: MonitoringStore, claim: Claim) -> bool:
    """Whether rows repeated identifiers then."""
    last = _last_time(store, claim)
    return last is not None and RowStatus.DUPLICATE_IDENTIFIER.text in last.status_counts


def _last_time(store: MonitoringStore, claim: Claim) -> SnapshotRecord | None:
    last = [store.job(claim.job_id)] if claim.snapshot_revision else []
    for job in last or store.jobs(definition_id=claim.definition_id, state=JobState.COMPLETED, limit=1):
        return job.snapshot
    return None


@contextmanager
def settled(store: MonitoringStore, claim: Claim) -> Iterator[None]:
    """Every attempt that ends without a commit says why, in the store and in the log."""
    try:
        yield
    except BaseException as error:
        state, reason = _ending(error)
        log.warning("Job %s, attempt %d: %s: %s", claim.job_id, claim.token, state, reason)
        try:
            store.fail(claim, state, reason)
        except MonitoringError as unreachable:
            # The store is what failed, or fails as well: the attempt's own error must reach the caller all the same.
            log.warning("The end of job %s could not be recorded: %s", claim.job_id, unreachable)
        raise


def _ending(error: BaseException) -> tuple[JobState, str]:
    if isinstance(error, Superseded):
        return JobState.SUPERSEDED, told(error)
    return JobState.ABORTED if isinstance(error, JobAborted | JobInterrupted) else JobState.FAILED, told(error)
