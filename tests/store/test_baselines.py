"""Baselines: made once however many try, frozen, every version kept."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from airflow_monitoring_provider.exceptions import NotFound, Superseded
from airflow_monitoring_provider.store.records import BaselineClaim, DefinitionRecord
from airflow_monitoring_provider.store.store import MonitoringStore

PLAN = {"columns": [{"name": "distance", "edges": [0.1, 1e30]}], "level_names": "keep"}


def commit(store: MonitoringStore, claim: BaselineClaim, content: str = "a", **more: Any) -> int:
    facts: dict[str, Any] = {
        "profile_bytes": content.encode(),
        "content_hash": f"hash of {content}",
        "plan_hash": "plan",
        "plan": PLAN,
        "format_version": 1,
        "rows": 500,
    }
    return store.commit_baseline(claim, **(facts | more))


def test_a_baseline_is_there_once_it_is_committed(store: MonitoringStore, record: DefinitionRecord) -> None:
    start, end = dt.datetime(2025, 1, 1, tzinfo=dt.UTC), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    assert store.load_baseline(record.id, "k") is None
    claim = store.claim_baseline(record.id, "k")
    assert store.load_baseline(record.id, "k") is None

    assert 1 == commit(store, claim, window=(start, end), details={"source": "table flights"})

    found = store.load_baseline(record.id, "k")
    assert found is not None
    assert (1, b"a", PLAN, 500, start, end) == (
        found.version,
        found.profile_bytes,
        found.plan,
        found.rows,
        found.window_start,
        found.window_end,
    )
    assert (record.id, "k", "reference", {"source": "table flights"}) == (
        found.definition_id,
        found.key,
        found.kind,
        found.details,
    )
    assert list(PLAN) == list(found.plan), "the order of a plan's members is the same on both databases"


def test_whoever_finishes_first_has_made_it_and_the_others_find_it(
    store: MonitoringStore, record: DefinitionRecord
) -> None:
    first, second, third = (store.claim_baseline(record.id, "k") for _ in range(3))
    assert [1, 2, 3] == [first.token, second.token, third.token]

    assert 1 == commit(store, second)
    with pytest.raises(Superseded, match="load it"):
        commit(store, first)
    assert store.load_baseline(record.id, "k") is not None
    assert 1 == commit(store, third), "the same content is no new version"


def test_the_newest_claim_replaces_the_baseline_and_the_old_version_is_kept(
    store: MonitoringStore, record: DefinitionRecord
) -> None:
    commit(store, store.claim_baseline(record.id, "k"), "a")
    zombie = store.claim_baseline(record.id, "k")
    again = store.claim_baseline(record.id, "k")
    in_use = store.load_baseline(record.id, "k")
    assert in_use is not None
    assert 1 == in_use.version, "the version in use stays until the new one is committed"

    assert 2 == commit(store, again, "b")
    with pytest.raises(Superseded):
        commit(store, zombie, "c")

    contents = {version: store.load_baseline(record.id, "k", version) for version in (None, 1, 2, 3)}
    assert {None: b"b", 1: b"a", 2: b"b", 3: None} == {
        version: None if found is None else found.profile_bytes for version, found in contents.items()
    }


def test_versions_count_over_all_baselines_of_a_definition(
    store: MonitoringStore, record: DefinitionRecord, make: Any
) -> None:
    other = store.register_definition(make(name="Other"))

    versions = [commit(store, store.claim_baseline(owner.id, key)) for owner, key in
                ((record, "k"), (record, "l"), (other, "k"), (record, "m"))]  # fmt: skip
    assert [1, 2, 1, 3] == versions
    assert store.load_baseline(record.id, "k", 2) is None, "version 2 belongs to another key"


def test_a_failed_attempt_says_why_and_another_can_follow(store: MonitoringStore, record: DefinitionRecord) -> None:
    failed = store.claim_baseline(record.id, "k")
    assert store.fail_baseline(failed, "table flights_2025 is gone")
    again = store.claim_baseline(record.id, "k")
    assert not store.fail_baseline(failed, "too late")

    assert 1 == commit(store, again)
    assert not store.fail_baseline(again, "too late")
    assert store.load_baseline(record.id, "k") is not None


def test_an_older_attempt_may_finish_while_nobody_else_did(store: MonitoringStore, record: DefinitionRecord) -> None:
    older = store.claim_baseline(record.id, "k", kind="first_window")
    store.fail_baseline(store.claim_baseline(record.id, "k", kind="first_window"), "killed")

    assert 1 == commit(store, older, job_id="job")
    found = store.load_baseline(record.id, "k")
    assert found is not None
    assert ("first_window", "job") == (found.kind, found.job_id)


def test_a_baseline_needs_its_definition(store: MonitoringStore) -> None:
    with pytest.raises(NotFound):
        store.claim_baseline("unknown", "k")
