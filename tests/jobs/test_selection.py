"""Batches looked at together, what running code reports into them, and the health that follows from both."""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.metrics import log_loss

from airflow_monitoring_provider.definitions import Window, WindowKind
from airflow_monitoring_provider.definitions.deployment import Health
from airflow_monitoring_provider.exceptions import (
    BatchLocked,
    ConfigurationError,
    DefinitionError,
    NotFound,
    SourceError,
)
from airflow_monitoring_provider.jobs.health import DeploymentHealth, deployment_health
from airflow_monitoring_provider.jobs.reporting import report_predictions
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.jobs.selection import newest_batches, select_batches
from airflow_monitoring_provider.profiles.serialise import from_bytes

DEPLOYMENT = "churn-model"


def clean(tools: Any, *days: int, shift: float = 0.0) -> list[dict[str, Any]]:
    return [row for day in days for row in tools.day_rows(day, dirty=False, shift=shift)]


def health(world: Any, tools: Any, days: int = 3) -> DeploymentHealth:
    return deployment_health(world.store, DEPLOYMENT, tools.window(days).start)


def test_batches_together_are_the_profile_of_all_their_rows(world: Any, define: Any, tools: Any) -> None:
    rows = clean(tools, 0, 1, 2)
    world.table("scores", rows)
    definition = define(segments=["region"])
    batches = [world.run(definition, day).batch_id for day in (0, 1, 2)]
    selected = select_batches(world.store, DEPLOYMENT, [batches[2], batches[1], batches[2]])

    both = run_job(definition, Window.of(tools.window(1).start, tools.window(2).end, WindowKind.AD_HOC), world.ports())
    stored = world.store.load_profile(both.job_id)
    whole = from_bytes(stored.data, stored.content_hash)
    (part,) = selected.parts
    whole = dataclasses.replace(whole, plan=dataclasses.replace(whole.plan, segments=()), segments={})
    assert whole.content_hash() == part.profile.content_hash()
    later = [row for row in rows if row["at"] >= tools.window(1).start.replace(tzinfo=None)]
    labelled = [row for row in later if row["churned"] is not None]
    expected = log_loss([row["churned"] == "yes" for row in labelled], [row["score"] for row in labelled])
    found = next(result for result in part.evaluation.results if result.name == "log_loss")
    assert math.isclose(expected, found.value, rel_tol=1e-9)
    assert (len(later), 2, 0) == (selected.service.rows, selected.service.requests, selected.damaged)
    assert min(row["at"] for row in later) == selected.earliest.replace(tzinfo=None)

    world.store.delete_batch(batches[1])
    with pytest.raises(BatchLocked, match="was deleted"):
        select_batches(world.store, DEPLOYMENT, batches)
    newest = newest_batches(world.store, DEPLOYMENT, 10)
    assert ([batches[2], batches[0]], 800) == (list(newest.batch_ids), newest.service.predictions)


def test_only_batches_of_the_deployment_are_selected(world: Any, define: Any, tools: Any) -> None:
    world.store.create_deployment(DEPLOYMENT)
    world.store.create_deployment("other")
    foreign = world.store.create_batch("other", "b")
    with pytest.raises(ConfigurationError, match="another deployment"):
        select_batches(world.store, DEPLOYMENT, [foreign.id])
    for deployment, batch in (("none", foreign.id), (DEPLOYMENT, "none")):
        with pytest.raises(NotFound):
            select_batches(world.store, deployment, [batch])
    assert () == select_batches(world.store, DEPLOYMENT, []).parts


@pytest.mark.parametrize("form", ["pandas", "arrow", "mappings"])
def test_reported_rows_are_profiled_as_a_job_would(world: Any, define: Any, tools: Any, form: str) -> None:
    rows = clean(tools, 0, 1)
    world.table("scores", rows)
    world.run(define())
    job = world.run(define(), 1)
    batch = world.store.create_batch(DEPLOYMENT, "reported")
    frame = {"pandas": pd.DataFrame, "arrow": pa.Table.from_pylist, "mappings": list}[form](rows[400:])

    assert report_predictions(world.store, frame, "churn", batch_id=batch.id, key="one")
    assert not report_predictions(world.store, frame, "churn", batch_id=batch.id, key="one")

    theirs, ours = (select_batches(world.store, DEPLOYMENT, [each]).parts[0] for each in (job.batch_id, batch.id))
    assert theirs.profile.columns == ours.profile.columns
    assert [(each.name, each.column, each.value) for each in theirs.evaluation.results if each.primary] == [
        (each.name, each.column, each.value) for each in ours.evaluation.results if each.primary
    ]
    held, of_job = world.store.batch(batch.id), world.store.batch(job.batch_id)
    assert (400, of_job.earliest_prediction, of_job.latest_prediction) == (
        held.predictions,
        held.earliest_prediction,
        held.latest_prediction,
    )


def test_reports_and_jobs_add_up_in_a_batch_and_go_with_it(world: Any, define: Any, tools: Any) -> None:
    rows = clean(tools, 0, 1)
    world.table("scores", rows)
    world.run(define())
    batch = world.store.create_batch(DEPLOYMENT, "both")
    world.run(define(), 1, batch_id=batch.id)
    for _ in range(2):
        report_predictions(world.store, rows[:100], define(), batch_id=batch.id, model_id="m-2")
    world.store.report_deployment_stats(100, 250.0, batch.id)

    assert [("", 400), ("m-2", 200)] == [(e.model_id, e.predictions) for e in world.store.batch_models(batch.id)]
    selected = select_batches(world.store, DEPLOYMENT, [batch.id])
    assert (600, 600, 500) == (
        world.store.batch(batch.id).predictions,
        selected.parts[0].profile.rows,
        selected.service.predictions,
    )
    world.store.lock_batch(batch.id)
    for attempt in (
        lambda: report_predictions(world.store, rows, define(), batch_id=batch.id),
        lambda: world.store.report_deployment_stats(1, 1.0, batch.id),
    ):
        with pytest.raises(BatchLocked, match="is locked; unlock it"):
            attempt()
    world.store.delete_batch(batch.id)
    with pytest.raises(BatchLocked, match="was deleted"):
        report_predictions(world.store, rows, define(), batch_id=batch.id)
    assert (0, ()) == (world.store.batch(batch.id).predictions, world.store.batch_profiles([batch.id]))
    assert 0 == world.store.batch_service([batch.id]).requests


def test_what_cannot_be_reported_is_refused_with_a_sentence(world: Any, define: Any, tools: Any) -> None:
    rows = clean(tools, 0)
    world.store.register_definition(define())
    batch = world.store.create_batch(DEPLOYMENT, "b")
    other = define(name="other", deployment_id="other")
    for frame, definition, batch_id, error, text in [
        ([{"id": 1}], define(), batch.id, SourceError, "score"),
        (7, define(), batch.id, SourceError, "are no table"),
        ([{"id": 1}, {"id": "x"}], define(), batch.id, SourceError, "are no table"),
        (rows, "none", batch.id, NotFound, "no definition has this id or name"),
        (rows, define(), "none", NotFound, "no batch has this id"),
        (rows, other, batch.id, ConfigurationError, "another deployment"),
    ]:
        with pytest.raises(error, match=text):
            report_predictions(world.store, frame, definition, batch_id=batch_id)
    for values, field in [
        ({"count": -1, "execution_time_ms": 1.0}, "predictions"),
        ({"count": 1, "execution_time_ms": -1.0}, "execution_time_ms"),
        ({"count": 1, "execution_time_ms": 1.0, "requests": 1, "user_errors": 2}, "requests"),
    ]:
        with pytest.raises(DefinitionError) as raised:
            world.store.report_deployment_stats(**values, batch_id=batch.id)
        assert field == raised.value.field
    assert 0 == world.store.batch(batch.id).predictions


def test_service_figures_are_those_of_jobs_and_reports(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))
    job = world.run(define())
    stats = world.store.batch_service([job.batch_id])
    (attempt,) = world.store.attempts(job.job_id)
    took = (attempt.finished_at - attempt.started_at) / dt.timedelta(milliseconds=1)
    assert (400, 396, 4, 1, 0.0, None) == (
        stats.rows,
        stats.predictions,
        stats.rejected_rows,
        stats.requests,
        stats.server_error_rate,
        stats.response_time_ms,
    )
    assert math.isclose(took, stats.execution_time_ms)

    batch = world.store.create_batch(DEPLOYMENT, "b").id
    report = world.store.report_deployment_stats
    assert report(10, 300.0, batch, requests=3, response_time_ms=900.0, user_errors=1, key="a")
    assert not report(10, 300.0, batch, requests=3, key="a")
    assert report(5, None, batch, requests=1, server_errors=1)
    stats = world.store.batch_service([batch])
    assert (15, 4, 100.0, 300.0, 0.25, 0.25) == (
        stats.predictions,
        stats.requests,
        stats.execution_time_ms,
        stats.response_time_ms,
        stats.user_error_rate,
        stats.server_error_rate,
    )
    assert 5 == world.store.batch_service([batch, job.batch_id]).requests
    empty = world.store.batch_service([])
    assert (0, None, None) == (empty.requests, empty.execution_time_ms, empty.user_error_rate)


def test_health_looks_at_the_last_batches_and_follows_a_deletion(world: Any, define: Any, tools: Any) -> None:
    assert_nothing_known(world, tools)
    world.table("scores", clean(tools, 0, 1) + clean(tools, 2, shift=3.0))
    batches = [world.run(define(), day).batch_id for day in (0, 1, 2)]
    world.store.change_deployment(
        DEPLOYMENT,
        settings={"featureImportances": {"amount": 1.0}, "health": {"dataDrift": {"batchCount": 1}}},
    )

    found = health(world, tools)
    assert (Health.PASSING, Health.FAILING, 1) == (found.service.status, found.drift.status, found.drift.batches)
    assert "1 of 2 features drift" in found.drift.message
    assert Health.FAILING is found.worst
    assert tools.window(2).start <= found.drift.start <= found.drift.end < tools.window(3).start
    assert "failing" == found.to_dict()["drift"]["status"]

    world.store.change_deployment(DEPLOYMENT, settings={"health": {"dataDrift": {"excludedFeatures": ["amount"]}}})
    assert Health.PASSING is health(world, tools).drift.status
    world.store.change_deployment(DEPLOYMENT, settings={"health": {"dataDrift": {"excludedFeatures": []}}})
    world.store.delete_batch(batches[2])
    assert Health.PASSING is health(world, tools).drift.status
    world.store.change_deployment(
        DEPLOYMENT, settings={"featureDrift": {"enabled": False}, "targetDrift": {"enabled": False}}
    )
    assert Health.UNAVAILABLE is health(world, tools).drift.status


def assert_nothing_known(world: Any, tools: Any) -> None:
    world.store.create_deployment(DEPLOYMENT)
    found = health(world, tools)
    assert {Health.UNKNOWN} == {found.service.status, found.drift.status, found.accuracy.status, found.worst}
    with pytest.raises(NotFound):
        deployment_health(world.store, "none", tools.window(0).start)


def test_accuracy_is_judged_by_percent_of_the_baseline_or_by_value(world: Any, define: Any, tools: Any) -> None:
    wrong = [
        row | {"churned": None if row["churned"] is None else {"yes": "no", "no": "yes"}[row["churned"]]}
        for row in clean(tools, 1)
    ]
    world.table("scores", clean(tools, 0) + wrong)
    for day in (0, 1):
        world.run(define(), day)

    def judged(**rule: Any) -> Health:
        settings = {"health": {"accuracy": None}}
        world.store.change_deployment(DEPLOYMENT, settings=settings)
        world.store.change_deployment(DEPLOYMENT, settings={"health": {"accuracy": {"batchCount": 1, **rule}}})
        return health(world, tools).accuracy.status

    assert Health.FAILING is judged()
    assert Health.FAILING is judged(metric="accuracy")  # higher is better: the fall counts
    assert Health.WARNING is judged(warningThreshold=1.0, failingThreshold=10_000.0)
    limits = {"measurement": "value", "metric": "accuracy"}
    assert Health.FAILING is judged(**limits, warningThreshold=0.9, failingThreshold=0.8)
    assert Health.WARNING is judged(**limits, warningThreshold=0.9, failingThreshold=0.0)
    assert Health.PASSING is judged(**limits, warningThreshold=0.1, failingThreshold=0.0)
    assert Health.UNAVAILABLE is judged(metric="rmse")
    world.store.change_deployment(DEPLOYMENT, settings={"health": {"accuracy": {"metric": None, "batchCount": 10}}})
    assert Health.FAILING is health(world, tools).accuracy.status


def test_service_health_goes_by_error_rates(world: Any, tools: Any) -> None:
    world.store.create_deployment(DEPLOYMENT)
    batch = world.store.create_batch(DEPLOYMENT, "b").id
    world.store.report_deployment_stats(8, 10.0, batch, requests=8)
    assert Health.PASSING is health(world, tools).service.status
    world.store.report_deployment_stats(0, 1.0, batch, requests=2, user_errors=2)
    assert Health.WARNING is health(world, tools).service.status
    world.store.change_deployment(DEPLOYMENT, settings={"health": {"service": {"userErrorRateWarning": 0.2}}})
    assert Health.PASSING is health(world, tools).service.status
    world.store.report_deployment_stats(0, 1.0, batch, server_errors=1)
    assert Health.FAILING is health(world, tools).service.status


def test_without_batch_monitoring_health_looks_back_in_time_and_never_at_ad_hoc_jobs(
    world: Any, define: Any, tools: Any
) -> None:
    world.table("scores", clean(tools, 0, 1, 2))
    for day in (0, 1, 2):
        world.run(define(), day)
    world.store.change_deployment(DEPLOYMENT, settings={"batchMonitoring": {"enabled": False}})
    assert 3 == health(world, tools).drift.batches
    world.store.change_deployment(DEPLOYMENT, settings={"health": {"dataDrift": {"timeInterval": "P1D"}}})
    assert (1, 3) == (health(world, tools).drift.batches, health(world, tools).service.batches)
    half = Window.of(tools.window(2).start, tools.window(2).start + dt.timedelta(hours=12), WindowKind.AD_HOC)
    run_job(define(), half, world.ports())
    assert (1, 3) == (health(world, tools).drift.batches, health(world, tools).service.batches)
