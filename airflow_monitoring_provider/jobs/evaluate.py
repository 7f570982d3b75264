"""The second task: from the committed values of a job to statuses, monitor states and alerts. No row is read.

Evaluating twice gives the same statuses and each alert once. The job over a definition's first window also brings the
jobs that ran before it up to date: they are compared with the new baseline from their stored profiles. The job that
brought late actuals has those evaluated that it restated.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from datetime import datetime
from typing import Any

from airflow_monitoring_provider.definitions import (
    FirstWindowBaseline,
    JobDefinition,
    ResultStatus,
    WindowKind,
    first_window,
    job_id,
    load_definition,
)
from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.exceptions import BatchLocked, CorruptData, NotFound, Superseded
from airflow_monitoring_provider.jobs.baseline import stored_first_window
from airflow_monitoring_provider.jobs.custom import kept_values
from airflow_monitoring_provider.jobs.finishing import due
from airflow_monitoring_provider.jobs.timeliness import is_incomplete
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.metrics.timeliness import of_the_job
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.monitors.evaluate import Evaluation, Result, evaluate
from airflow_monitoring_provider.monitors.explain import explain, findings, sentence_of
from airflow_monitoring_provider.monitors.states import Event, MonitorState, advance
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.plan import ColumnRole, SchemaChanges
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.store.evaluation_records import Alert, MonitorTransition, PendingEvaluation
from airflow_monitoring_provider.store.queries import PAGE_LIMIT
from airflow_monitoring_provider.store.store import MonitoringStore

log = logging.getLogger(__name__)

_LONGEST = 80
"""Characters of a name in an alert's title."""


@dataclasses.dataclass(frozen=True, slots=True)
class EvaluationSummary:
    """What an evaluation says of a job's batch.

    :param status: the batch's; one of MLRun's four words. :param reason: why it is ``irrelevant``, else None.
    :param worst: metric, column and value of what stands furthest past its limit; empty where nothing does.
    :param explanation: of the batch, without any value of a row. :param findings: what moved, a sentence for each
        result that the status comes from, the gravest ten; they may name levels.
    :param alerts: how many alerts this evaluation put into the outbox.
    """

    job_id: str
    definition_id: str
    deployment_id: str
    window_start: str
    window_end: str
    snapshot_revision: int
    status: str
    reason: str | None
    drifted_columns: tuple[str, ...]
    suspected_columns: tuple[str, ...]
    worst: dict[str, Any]
    alerts: int
    explanation: str
    findings: tuple[str, ...]

    @property
    def breached(self) -> bool:
        """The batch is detected."""
        return self.status == ResultStatus.DETECTED.text

    def to_dict(self) -> dict[str, Any]:
        """JSON-clean form."""
        return dataclasses.asdict(self) | {
            "drifted_columns": list(self.drifted_columns),
            "suspected_columns": list(self.suspected_columns),
            "findings": list(self.findings),
        }


def evaluate_job(job: str, definition: JobDefinition, store: MonitoringStore) -> EvaluationSummary:
    """Evaluate the committed snapshot of a job.

    :raises NotFound: there is no such job, or it has not committed anything yet.
    :raises BatchLocked: its batch was deleted.
    """
    if isinstance(definition.baseline, FirstWindowBaseline):
        if job == job_id(definition.id, first_window(definition)):
            _compare_waiting(job, definition, store)
        else:
            _compare_late(job, definition, store)
    if definition.monitoring_columns.brings_late_actuals:
        _evaluate_restated(job, store)
    return _evaluate_snapshot(job, definition, store)


def _evaluate_restated(actuals_job: str, store: MonitoringStore) -> None:
    """Evaluate the jobs whose accuracy these actuals have restated, by the definitions they ran with.

    One that runs again meanwhile sees to itself.
    """
    for job in store.labelled_by(actuals_job):
        record = store.job(job)
        _, payload = store.definition(
            record.definition_id, record.snapshot.definition_revision if record.snapshot else None
        )
        with contextlib.suppress(Superseded, BatchLocked, NotFound):
            _evaluate_snapshot(job, load_definition(payload), store)


def _evaluate_snapshot(job: str, definition: JobDefinition, store: MonitoringStore) -> EvaluationSummary:
    pending = store.pending_evaluation(job)
    if pending is None:
        raise NotFound(f"job {job} has no committed snapshot to evaluate; run it first")
    evaluation = evaluate(store.load_values(job), Rules.from_definition(definition))
    transitions, alerts = _incidents(evaluation, definition, pending, store)
    new = store.record_evaluation(
        job,
        pending.snapshot_revision,
        evaluation.results,
        evaluation.status,
        transitions,
        alerts,
        of_model=evaluation.model_results,
    )
    explanation = explain(evaluation)
    log.info("Evaluated job %s: %s. %s", job, evaluation.status.text, explanation)
    return EvaluationSummary(
        job_id=job,
        definition_id=pending.definition_id,
        deployment_id=pending.deployment_id,
        window_start=pending.window.start.isoformat(),
        window_end=pending.window.end.isoformat(),
        snapshot_revision=pending.snapshot_revision,
        status=evaluation.status.text,
        reason=evaluation.reason,
        drifted_columns=evaluation.drifted_columns,
        suspected_columns=evaluation.suspected_columns,
        worst={} if evaluation.worst is None else _brief(evaluation.worst),
        alerts=new,
        explanation=explanation,
        findings=findings(evaluation),
    )


def _brief(result: Result) -> dict[str, Any]:
    where = {} if result.segment is None else {"segment": result.segment}
    return {
        "metric": result.name,
        "column": result.column,
        **where,
        "value": result.value,
        "status": result.status.text,
        "finding": sentence_of(result),
    }


def _incidents(
    evaluation: Evaluation, definition: JobDefinition, pending: PendingEvaluation, store: MonitoringStore
) -> tuple[list[MonitorTransition], list[Alert]]:
    """Every result that decides is a monitor of its own; each says where it stands now and what is worth telling.

    An ad hoc window gets its statuses and moves no monitor: it is no part of the deployment's course. Neither does one
    whose rows had not arrived: the job that runs when they have says what they are.
    """
    if pending.window.kind is WindowKind.AD_HOC or is_incomplete(store.job(pending.job_id).snapshot):
        return [], []
    stored = {state.monitor_id: state for state in store.monitor_states(definition.id)}
    transitions: list[MonitorTransition] = []
    alerts: list[Alert] = []
    for result in (result for result in (*evaluation.results, *evaluation.model_results) if result.decides):
        monitor_id = _monitor_id(definition.id, result)
        before = stored.get(monitor_id)
        previous = (
            None
            if before is None
            else MonitorState.restore(before.status, before.since, before.window_start, before.details)
        )
        step = advance(previous, result.status, monitor_id=monitor_id, window_start=pending.window.start)
        transitions.append(
            MonitorTransition(
                monitor_id=monitor_id,
                metric=result.name,
                column=result.column,
                segment=result.segment,
                status=result.status,
                previous=step.previous,
                reason=result.reason,
                value=result.value,
                warning=result.warning,
                critical=result.critical,
                details=step.state.incident(),
            )
        )
        if step.event is not None:
            alerts.append(_alert(step.event, result, definition))
    return transitions, alerts


def _monitor_id(definition_id: str, result: Result) -> str:
    """What tells a monitor from every other; the parts of a segment's are escaped, as columns and ids may hold a /."""
    if result.segment is None:
        return "/".join([definition_id, result.name, result.column or "", ""])
    column, segment = (text.replace("%", "%25").replace("/", "%2F") for text in (result.column or "", result.segment))
    return "/".join([definition_id, result.name, column, segment])


def _alert(event: Event, result: Result, definition: JobDefinition) -> Alert:
    column, segment = (None if name is None else printable(name, _LONGEST) for name in (result.column, result.segment))
    where = f" of {column}" if column else ""
    where += f" in {segment}" if segment else ""
    value = "" if result.value is None else f" is {result.value:.4g}"
    return Alert(
        key=event.key,
        status=event.status,
        title=f"{printable(definition.name, _LONGEST)}: {result.name}{where}{value} ({event.change.value})",
        monitor_id=event.monitor_id,
        payload={"change": event.change.value, **_brief(result)},
    )


def _compare_waiting(first: str, definition: JobDefinition, store: MonitoringStore) -> None:
    """Compare the jobs that ran before there was a baseline, then evaluate what is due besides the first itself.

    A job that runs again meanwhile sees to itself, and a locked batch keeps its results. What an evaluation that broke
    off had compared already is still due, and is evaluated now.
    """
    for job in store.jobs_without_baseline(definition.id):
        with contextlib.suppress(Superseded, BatchLocked, NotFound):
            _compare_late(job.id, definition, store)
    for job in store.jobs(definition_id=definition.id, order="window", limit=PAGE_LIMIT):
        compared = job.snapshot is not None and job.snapshot.baseline_version is not None
        if job.id != first and job.evaluation_due and compared:
            with contextlib.suppress(Superseded, BatchLocked, NotFound):
                _evaluate_snapshot(job.id, definition, store)


def _compare_late(job: str, definition: JobDefinition, store: MonitoringStore) -> bool:
    """Give a job that was compared with nothing the values it would have had; nothing where it needs none."""
    record = store.job(job)
    if record.snapshot is None or record.snapshot.baseline_version is not None:
        return False
    reference = stored_first_window(definition, store)
    stored = store.load_profile(job)
    if reference.profile is None or reference.version is None or stored is None:
        return False
    try:
        profile = from_bytes(stored.data, stored.content_hash)
    except CorruptData as error:  # the first window's evaluation must not fail for another job's sake
        log.warning("Job %s is compared with no baseline until it runs again: %s", job, error)
        return False
    values = _values(profile, reference.profile, definition, store.load_values(job), due(record))
    store.replace_values(job, record.snapshot_revision, values, baseline_version=reference.version)
    return True


def _values(
    profile: Profile, baseline: Profile, definition: JobDefinition, before: list[MetricValue], as_of: datetime
) -> list[MetricValue]:
    null_timestamps = next((value.value for value in before if value.name == "null_timestamps"), None)
    compared = compare(
        profile,
        baseline,
        ComparisonSettings.from_definition(definition),
        schema_changes=_changes(profile, baseline, definition),
        null_timestamps=int(null_timestamps or 0),
        as_of=as_of,
    )
    own = kept_values(definition, before, profile)
    return [*compared, *own, *(value for value in before if of_the_job(value))]


def _changes(profile: Profile, baseline: Profile, definition: JobDefinition) -> SchemaChanges:
    """How the features of two profiles differ, of the baseline's those that the definition still names; and how the
    columns differ from what its checks say.
    """
    now, then = (
        {name: column.kind for name, column in side.columns.items() if column.role is ColumnRole.FEATURE}
        for side in (profile, baseline)
    )
    then = {name: kind for name, kind in then.items() if definition.features is None or name in definition.features}
    checks = {name: check.kind for name, check in definition.checks.items()}
    expected = then | {name: kind for name, kind in checks.items() if kind is not None and name in profile.columns}
    found = {name: column.kind for name, column in profile.columns.items()}
    return SchemaChanges(
        missing=tuple(sorted({*(then.keys() - now.keys()), *(checks.keys() - found.keys())})),
        new=tuple(sorted(now.keys() - then.keys())),
        retyped=tuple(
            (name, expected[name].value, found[name].value)
            for name in sorted(expected.keys() & found.keys())
            if found[name] != expected[name]
        ),
    )
