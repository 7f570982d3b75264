"""``airflow monitoring baselines``: named, chosen, shown, and applied to the past."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

MOVING = '{"type": "movingWindow", "length": "2d"}'


def test_a_baseline_from_its_name_to_the_past(command: Callable[..., Any], run_day: Callable[[int], str]) -> None:
    jobs = [run_day(day) for day in range(3)]
    batch = _batch(jobs[1])
    assert "1\n" == command("baselines", "create", "churn", "moving", "--settings", MOVING).out
    assert "2\n" == command("baselines", "create", "churn", "moving", "--batch", batch).out
    use = command("baselines", "use", "churn", "moving", "--baseline-version", "1")
    assert "Jobs of churn are compared with moving from now on." == use.out.splitlines()[0]
    listed = json.loads(command("baselines", "list", "churn", "-o", "json").out)
    assert [(None, "first_window", "no"), ("moving", "moving_window", "yes"), ("moving", "batches", "no")] == [
        (row["name"], row["type"], row["in_use"]) for row in listed
    ]
    (became,) = json.loads(command("baselines", "reevaluate", "churn", "-o", "json").out)
    assert {"changed": 3, "unchanged": 0, "locked": 0, "damaged": 0, "moved_on": 0} == became
    (shown,) = json.loads(command("baselines", "show", jobs[2], "-o", "json").out)
    assert ("moving_window", 800, 2) == (shown["type"], shown["rows"], shown["windows"])
    assert jobs[:2] == [line.split()[0] for line in shown["members"]]
    assert "was compared with nothing yet" in command("baselines", "show", jobs[0]).code
    assert 2 == len(json.loads(command("baselines", "list", "churn", "--versions", "-o", "json").out))
    assert 0 == command("baselines", "use", "churn", "--own").code
    (became,) = json.loads(command("baselines", "reevaluate", "churn", "--start-time", "2026-03-03", "-o", "json").out)
    assert 1 == became["changed"]
    (shown,) = json.loads(command("baselines", "show", jobs[2], "-o", "json").out)
    assert "first_window" == shown["type"]


def test_what_was_compared_with_a_batch_follows_when_it_is_deleted(
    command: Callable[..., Any], run_day: Callable[[int], str]
) -> None:
    jobs = [run_day(day) for day in range(3)]
    command("baselines", "create", "churn", "moving", "--settings", MOVING)
    command("baselines", "use", "churn", "moving")
    MonitoringStoreHook().reevaluate("churn")
    assert 0 == command("batches", "delete", _batch(jobs[0]), "-y").code
    (shown,) = json.loads(command("baselines", "show", jobs[2], "-o", "json").out)
    assert [jobs[1]] == [line.split()[0] for line in shown["members"]]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("baselines use churn", "give the name of a baseline, or --own"),
        ("baselines use churn x --own", "give the name of a baseline, or --own"),
        ("baselines use churn x", "has no baseline named 'x'"),
        ("baselines create churn x", "give either --settings or --batch"),
        ("baselines create churn x --settings []", "settings must be a JSON object"),
        (
            'baselines create churn x --settings {"type":"expanding","delay":"1y"}',
            "must be a duration such as 17d",
        ),
        ("baselines list nobody", "no definition has this id or name"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    line: str, sentence: str, command: Callable[..., Any], completed_job: str
) -> None:
    assert sentence in str(command(*line.split()).code)


def _batch(job: str) -> str:
    with MonitoringStoreHook().get_conn() as store:
        return store.job(job).batch_id
