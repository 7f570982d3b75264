"""From the committed values of one job to statuses, monitor states and alerts. No row is read."""

from __future__ import annotations

import dataclasses
import logging
from typing import Any

from airflow_monitoring_provider.definitions import JobDefinition, ResultStatus, WindowKind
from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.exceptions import NotFound
from airflow_monitoring_provider.jobs.timeliness import is_incomplete
from airflow_monitoring_provider.monitors.evaluate import Evaluation, Result, evaluate
from airflow_monitoring_provider.monitors.explain import explain, findings, sentence_of
from airflow_monitoring_provider.monitors.states import Event, MonitorState, advance
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.store.evaluation_records import Alert, MonitorTransition, PendingEvaluation
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


def evaluate_snapshot(
    job: str, definition: JobDefinition, store: MonitoringStore, *, tell: bool = True
) -> EvaluationSummary:
    """Evaluate the committed snapshot of a job, and nothing else.

    :param tell: False: statuses alone; no monitor moves and nobody is told, so that the next window finds the monitors
        where people last heard of them.
    :raises NotFound: there is no such job, or it has not committed anything yet.
    :raises BatchLocked: its batch was deleted.
    """
    pending = store.pending_evaluation(job)
    if pending is None:
        raise NotFound(f"job {job} has no committed snapshot to evaluate; run it first")
    evaluation = evaluate(store.load_values(job), Rules.from_definition(definition))
    transitions, alerts = _incidents(evaluation, definition, pending, store) if tell else ([], [])
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
