"""Stored profiles and prediction logs that are not what was committed: told, taken for absent, healed by a new run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.store import tables

REFERENCE = {"type": "reference", "intake_settings": {"type": "sql", "data_store_id": "db", "table": "training"}}


def _flipped(place: float | int) -> Callable[[bytes, bytes], bytes]:
    def flip(data: bytes, _other: bytes) -> bytes:
        at = int(place * len(data)) if isinstance(place, float) else place % len(data)
        return data[:at] + bytes([data[at] ^ 0x20]) + data[at + 1 :]

    return flip


DAMAGE: dict[str, Callable[[bytes, bytes], bytes]] = {
    "magic": _flipped(0),
    "format version": _flipped(4),
    "checksum": _flipped(20),
    "length": _flipped(39),
    "body's first byte": _flipped(46),
    "body": _flipped(0.5),
    "last byte": _flipped(-1),
    "cut in the header": lambda data, _: data[:30],
    "cut in the body": lambda data, _: data[: len(data) // 2],
    "cut by a byte": lambda data, _: data[:-1],
    "longer": lambda data, _: data + b"\0",
    "empty": lambda data, _: b"",
    "another job's": lambda _, other: other,
}


def stored(world: Any, table: sa.Table, **where: Any) -> bytes:
    """The profile in a row."""
    engine = sa.create_engine(world.store_url)
    with engine.connect() as connection:
        found: bytes = connection.execute(
            sa.select(table.c.profile).where(*(table.c[name] == value for name, value in where.items()))
        ).scalar_one()
    engine.dispose()
    return found


def put(world: Any, table: sa.Table, data: bytes, **where: Any) -> None:
    """Another profile in its place."""
    engine = sa.create_engine(world.store_url)
    with engine.begin() as connection:
        update = table.update().where(*(table.c[name] == value for name, value in where.items()))
        assert 1 == connection.execute(update.values(profile=data)).rowcount
    engine.dispose()


def test_a_damaged_first_window_is_no_baseline_until_it_runs_again(
    world: Any, define: Any, tools: Any, request: pytest.FixtureRequest
) -> None:
    world.table("scores", [row for day in range(3) for row in tools.day_rows(day, shift=day)])
    definition = define()
    first, other, second = (world.run(definition, day) for day in (0, 2, 1))
    whole, others = (stored(world, tables.profiles, job_id=job.job_id) for job in (first, other))
    right = {(v.name, v.column): v.value for v in world.store.load_values(second.job_id)}
    assert right["psi", "amount"] > 0.5
    every = world.store_url.startswith("sqlite") or request.config.getoption("--sweep")

    for what, damage in DAMAGE.items() if every else list(DAMAGE.items())[::4]:
        put(world, tables.profiles, damage(whole, others), job_id=first.job_id)
        again = world.run(definition, 1)
        assert None is again.baseline_version, what
        value = world.value(again.job_id, "psi", "amount")
        assert (None, "baseline_missing") == (value.value, value.reason), what
        assert "irrelevant" == world.evaluate(definition, again).status
        lines = [line.line for line in world.store.job(again.job_id).log]
        assert any(f"first window is damaged; run its job {first.job_id} again" in line for line in lines), what

        healed = world.run(definition, 0)
        assert first.content_hash == healed.content_hash
        world.evaluate(definition, healed)
        assert right == {(v.name, v.column): v.value for v in world.store.load_values(again.job_id)}, what
        assert healed.snapshot_revision == world.store.job(again.job_id).snapshot.baseline_version


def test_a_damaged_profile_of_another_job_does_not_stop_the_first_windows_evaluation(
    world: Any, define: Any, tools: Any, caplog: pytest.LogCaptureFixture
) -> None:
    world.table("scores", [row for day in range(3) for row in tools.day_rows(day, shift=day)])
    definition = define()
    damaged, early = (world.run(definition, day) for day in (1, 2))
    put(world, tables.profiles, b"AMPF and nothing more", job_id=damaged.job_id)

    first = world.run(definition, 0)
    with caplog.at_level(logging.WARNING):
        assert "no_detection" == world.evaluate(definition, first).status

    assert f"Job {damaged.job_id} keeps its values until it runs again" in caplog.text
    assert "baseline_missing" == world.value(damaged.job_id, "psi", "amount").reason
    assert world.value(early.job_id, "psi", "amount").value > 0.5
    world.run(definition, 1)
    assert world.value(damaged.job_id, "psi", "amount").value > 0.5


def test_a_damaged_reference_baseline_is_made_again_whatever_the_damage(world: Any, define: Any, tools: Any) -> None:
    world.table("training", tools.day_rows(7))
    world.table("scores", tools.day_rows(0, shift=1))
    definition, other = define(baseline=REFERENCE), define(name="other", baseline=REFERENCE, features=["region"])
    job = world.run(definition).job_id
    world.run(other)
    right = {(v.name, v.column): v.value for v in world.store.load_values(job)}
    whole, others = (
        stored(world, tables.baseline_versions, definition_id=each.id, version=1) for each in (definition, other)
    )

    for what, damage in DAMAGE.items():
        put(world, tables.baseline_versions, damage(whole, others), definition_id=definition.id, version=1)
        assert 1 == world.run(definition).baseline_version, what
        assert right == {(v.name, v.column): v.value for v in world.store.load_values(job)}, what
        assert whole == stored(world, tables.baseline_versions, definition_id=definition.id, version=1), what


def test_a_damaged_prediction_log_is_refused_and_made_again_by_a_new_run(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0) + tools.day_rows(1))
    definition = define()
    theirs = world.run(definition, 1).job_id
    root = world.folder / "storage"
    other = (root / world.store.prediction_files(theirs)[0].path).read_bytes()
    job = world.run(definition).job_id
    right = [batch.to_pylist() for batch in world.storage.read_predictions(world.store.prediction_files(job)[0])]

    for what, damage in (DAMAGE | {"footer": _flipped(-20)}).items():
        (file,) = world.store.prediction_files(job)
        path = root / file.path
        path.write_bytes(damage(path.read_bytes(), other))
        with pytest.raises(CorruptData, match="does not match its checksum"):
            list(world.storage.read_predictions(file))

        world.run(definition)
        (healed,) = world.store.prediction_files(job)
        assert right == [batch.to_pylist() for batch in world.storage.read_predictions(healed)], what
        assert not path.exists()
