"""Sensors and batch operators on a real store: answers at once, deferral, restarts of what waits, and their ends."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.bases.operator import TriggerFailureReason
from airflow.sdk.exceptions import AirflowFailException, AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from airflow_monitoring_provider.definitions import JobState, Window, load_definition
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.jobs.reporting import report_predictions
from airflow_monitoring_provider.operators import (
    MonitoringCreateBatchOperator,
    MonitoringDeleteBatchOperator,
    MonitoringHealthGateOperator,
    MonitoringLockBatchOperator,
    MonitoringUnlockBatchOperator,
)
from airflow_monitoring_provider.sensors import (
    MonitoringActualsSensor,
    MonitoringHealthSensor,
    MonitoringJobSensor,
)
from airflow_monitoring_provider.store.store import MonitoringStore
from airflow_monitoring_provider.triggers import MonitoringStoreTrigger

WAITING = Path(__file__).with_name("waiting.py")
START = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
DEFINITION = {
    "name": "d",
    "deployment_id": "dep-1",
    "intake_settings": {"type": "sql", "data_store_id": "db", "table": "t"},
    "monitoring_columns": {"predictions_columns": "prediction", "actuals_value_column": "actual"},
    "enabled": False,
}


@pytest.fixture
def store(airflow_home: Path, set_connection: Callable[..., None], tmp_path: Path) -> Iterator[MonitoringStore]:
    """The store behind the default connection, with a deployment."""
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    with MonitoringStoreHook().get_conn() as opened:
        opened.create_deployment("dep-1")
        yield opened


@pytest.fixture
def context() -> Any:
    """As much of a task's context as these operators look at."""
    ti = SimpleNamespace(dag_id="dag", run_id="run", task_id="task", try_number=1, map_index=-1)
    return {"ti": ti}


def rows(actuals: int) -> list[dict[str, Any]]:
    return [{"prediction": 0.5, "actual": 1.0 if i < actuals else None} for i in range(4)]


def event_of(trigger: MonitoringStoreTrigger) -> Any:
    async def first() -> Any:
        return (await anext(trigger.run())).payload

    return asyncio.run(first())


def deferred(sensor: Any, context: Any) -> MonitoringStoreTrigger:
    """The trigger that a sensor leaves, with arguments that survive JSON."""
    with pytest.raises(TaskDeferred) as raised:
        sensor.execute(context)
    assert "execute_complete" == raised.value.method_name
    trigger = raised.value.trigger
    assert isinstance(trigger, MonitoringStoreTrigger)
    path, arguments = trigger.serialize()
    assert (path, arguments) == tuple(json.loads(json.dumps([path, arguments])))
    return trigger


def waiting_process(trigger: MonitoringStoreTrigger) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, str(WAITING), json.dumps(trigger.serialize())], stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert "waiting\n" == started.stdout.readline()
    return started


def test_a_batch_has_actuals_once_enough_of_its_predictions_do(store: MonitoringStore, context: Any) -> None:
    batch = store.create_batch("dep-1", "b").id
    sensor = MonitoringActualsSensor(task_id="wait", batch_id=batch, min_coverage=0.5, poke_interval=0.1)
    deferred(sensor, context)
    report_predictions(store, rows(1), DEFINITION, batch_id=batch)
    trigger = deferred(sensor, context)
    report_predictions(store, rows(4), DEFINITION, batch_id=batch)

    expected = {"batch_id": batch, "labelled": 5, "predictions": 8}
    assert expected == sensor.execute(context)
    event = event_of(trigger)
    assert {"answer": expected} == event
    assert expected == sensor.execute_complete(context, event)
    plain = MonitoringActualsSensor(task_id="poke", batch_id=batch, deferrable=False)
    assert expected == plain.execute(context)


def test_what_waits_survives_its_triggerer_and_sees_what_it_missed(store: MonitoringStore, context: Any) -> None:
    batch = store.create_batch("dep-1", "b").id
    trigger = deferred(MonitoringActualsSensor(task_id="wait", batch_id=batch, poke_interval=0.1), context)

    killed = waiting_process(trigger)
    killed.kill()
    assert ("", -signal.SIGKILL) == (killed.communicate()[0], killed.returncode)
    report_predictions(store, rows(2), DEFINITION, batch_id=batch)
    path, arguments = trigger.serialize()
    after = subprocess.run(
        [sys.executable, str(WAITING), json.dumps([path, arguments])], capture_output=True, text=True, check=True
    )
    assert {"answer": {"batch_id": batch, "labelled": 2, "predictions": 4}} == json.loads(after.stdout.split("\n")[1])


def test_what_waits_is_woken_by_what_happens_meanwhile(store: MonitoringStore, context: Any) -> None:
    sensor = MonitoringHealthSensor(
        task_id="wait", deployment_id="dep-1", statuses=["failing"], indicator="service", poke_interval=0.1
    )
    process = waiting_process(deferred(sensor, context))
    batch = store.create_batch("dep-1", "b").id
    store.report_deployment_stats(1, 1.0, batch, server_errors=1)
    out, _ = process.communicate()
    assert ("failing", "failing") == (
        json.loads(out)["answer"]["service"]["status"],
        sensor.execute(context)["service"]["status"],
    )


def test_waiting_in_vain_fails_the_task_with_the_reason(store: MonitoringStore, context: Any) -> None:
    batch = store.create_batch("dep-1", "b").id
    sensor = MonitoringActualsSensor(task_id="wait", batch_id=batch, poke_interval=0.1)
    trigger = deferred(sensor, context)
    store.delete_batch(batch)
    event = event_of(trigger)
    assert "was deleted" in event["error"]
    with pytest.raises(AirflowFailException, match="was deleted"):
        sensor.execute_complete(context, event)
    with pytest.raises(AirflowFailException, match="was deleted"):
        sensor.execute(context)
    with pytest.raises(AirflowFailException, match="no deployment has this id"):
        MonitoringHealthSensor(task_id="none", deployment_id="none").execute(context)


@pytest.mark.parametrize("soft", [False, True])
def test_each_sensor_ends_at_its_timeout_and_softly_where_asked_for(
    store: MonitoringStore, context: Any, soft: bool
) -> None:
    batch = store.create_batch("dep-1", "b").id
    options: dict[str, Any] = {"poke_interval": 0, "timeout": 0, "soft_fail": soft}
    late, wrong = (AirflowSkipException,) * 2 if soft else (AirflowSensorTimeout, AirflowFailException)
    for kind, waits, fails in (
        (MonitoringActualsSensor, {"batch_id": batch}, {"batch_id": "none"}),
        (MonitoringHealthSensor, {"deployment_id": "dep-1"}, {"deployment_id": "none"}),
        (MonitoringJobSensor, {"job_id": "later"}, {"job_id": _failed_job(store)}),
    ):
        with pytest.raises(late):
            kind(task_id="poke", deferrable=False, **waits, **options).execute(context)
        deferred_one = kind(task_id="wait", **waits, **options)
        with pytest.raises(TaskDeferred) as raised:
            deferred_one.execute(context)
        assert dt.timedelta(0) == raised.value.timeout
        with pytest.raises(late):
            deferred_one.resume_execution("__fail__", {"error": TriggerFailureReason.TRIGGER_TIMEOUT}, context)
        for deferrable in (True, False):
            with pytest.raises(wrong):
                kind(task_id="wrong", deferrable=deferrable, **fails, **options).execute(context)
        with pytest.raises(wrong):
            deferred_one.resume_execution("execute_complete", {"event": {"error": "in vain"}}, context)


def _failed_job(store: MonitoringStore) -> str:
    record = store.register_definition(load_definition(DEFINITION))
    claim = store.claim(record, Window.of(START, START + dt.timedelta(days=9)), batch_name="b")
    store.fail(claim, JobState.FAILED, "the disk is full")
    return claim.job_id


def test_a_job_is_waited_for_from_before_its_beginning_to_its_end(store: MonitoringStore, context: Any) -> None:
    record = store.register_definition(load_definition(DEFINITION))
    window = Window.of(START, START + dt.timedelta(days=1))
    unborn = deferred(MonitoringJobSensor(task_id="wait", job_id="nothing yet"), context)
    assert "job_finished" == unborn.question
    claim = store.claim(record, window, batch_name="b")
    sensor = MonitoringJobSensor(task_id="wait", job_id=claim.job_id, poke_interval=0.1)
    trigger = deferred(sensor, context)
    store.fail(claim, JobState.FAILED, "the disk is full")
    assert {"error": "the job ended as failed: the disk is full"} == event_of(trigger)
    with pytest.raises(AirflowFailException, match="the disk is full"):
        sensor.execute(context)


def test_a_store_that_is_away_is_asked_again(store: MonitoringStore, tmp_path: Path) -> None:
    trigger = MonitoringStoreTrigger("job_finished", {"job_id": "x"}, "unknown_store", poll_interval=0.05)

    async def ask() -> None:
        await asyncio.wait_for(anext(trigger.run()), timeout=1.0)

    with pytest.raises(TimeoutError):
        asyncio.run(ask())


def test_a_batch_task_run_again_gives_the_same_batch(store: MonitoringStore, context: Any) -> None:
    create = MonitoringCreateBatchOperator(task_id="create", deployment_id="dep-1", batch_name="nightly")
    first, again = create.execute(context), create.execute(context)
    assert first == again
    context["ti"].run_id = "another"
    other = create.execute(context)
    assert {first, other} == {batch.id for batch in store.batches("dep-1")}
    assert {("nightly", "dag")} == {(batch.name, batch.created_by) for batch in store.batches("dep-1")}

    assert 0 == MonitoringLockBatchOperator(task_id="lock", batch_id=first).execute(context)
    assert store.batch(first).locked
    MonitoringUnlockBatchOperator(task_id="unlock", batch_id=first).execute(context)
    assert not store.batch(first).locked
    delete = MonitoringDeleteBatchOperator(task_id="delete", batch_id=other)
    for _ in range(2):
        delete.execute(context)
    assert [first] == [batch.id for batch in store.batches("dep-1")]
    with pytest.raises(AirflowFailException, match="was deleted at"):
        create.execute(context)
    with pytest.raises(AirflowFailException, match="no batch has this id"):
        MonitoringLockBatchOperator(task_id="lock", batch_id="none").execute(context)


def test_the_gate_fails_skips_or_records(store: MonitoringStore, context: Any) -> None:
    batch = store.create_batch("dep-1", "b").id
    store.report_deployment_stats(1, 1.0, batch, user_errors=1)

    def gate(**options: Any) -> Any:
        return MonitoringHealthGateOperator(task_id="gate", deployment_id="dep-1", **options).execute(context)

    assert ([], "warning") == (gate()["breached"], gate()["status"])
    with pytest.raises(AirflowFailException, match="service is warning: 1 requests, 0 broke, 1 were refused"):
        gate(breach_at="warning")
    with pytest.raises(AirflowSkipException):
        gate(breach_at="warning", on_breach="skip")
    assert ["service"] == gate(breach_at="warning", on_breach="record")["breached"]
    assert [] == gate(breach_at="warning", indicators=["drift", "accuracy"])["breached"]
    for wrong in ({"on_breach": "stop"}, {"breach_at": "unknown"}, {"indicators": ["speed"]}, {"indicators": []}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            gate(**wrong)
    for sensor in ({"statuses": "passing"}, {"statuses": ["good"]}, {"indicator": "speed"}):
        with pytest.raises(ValueError, match=next(iter(sensor))):
            MonitoringHealthSensor(task_id="wait", deployment_id="dep-1", **sensor)
