"""Any history of predictions, actuals, locks and deletions ends in the accuracy of one recomputation (I5, I6).

Sequences are drawn by Hypothesis and replayed on real databases; the model knows rows and rules, not the package.
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

import job_world
from airflow_monitoring_provider.exceptions import BatchLocked

DAYS = st.integers(0, 2)
WINDOWS = st.integers(0, 2)
IDS = 5  # of a day; ids of three days overlap
ANSWERS = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from(["yes", "no"]), st.none() | st.integers(0, 3)), max_size=8
)
SCORES = {"id": sa.BigInteger(), "at": sa.DateTime(), "score": sa.Float()}
ACTUALS = {"key": sa.BigInteger(), "paid": sa.String(), "known": sa.DateTime()}
MIDNIGHT = job_world.FIRST_DAY.replace(tzinfo=None)
PLAIN = {
    "output_settings": None,
    "baseline": None,
    "passthrough_columns": None,
    "monitoring_output_settings": None,
    "features": [],
    "minimums": {"labelled_rows": 1, "per_class": 1},
}
_numbers = itertools.count()

Actual = tuple[int, str, int | None]


class History(RuleBasedStateMachine):
    """One deployment: three days of predictions, three windows of actuals."""

    def __init__(self, world: job_world.World) -> None:
        super().__init__()
        self.world = world
        name = f"history-{next(_numbers)}"
        self.predictions = job_world.define(
            **PLAIN,
            name=name,
            deployment_id=name,
            intake_settings={"type": "sql", "data_store_id": "db", "table": "history"},
            monitoring_columns={
                "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
                "association_id_column": "id",
            },
        )
        self.late = job_world.define(
            **PLAIN,
            name=f"{name}-late",
            deployment_id=name,
            timestamp_column=None,
            intake_settings={"type": "sql", "data_store_id": "db", "table": "answers"},
            monitoring_columns={
                "association_id_column": "key",
                "actuals_value_column": "paid",
                "actuals_timestamp_column": "known",
            },
        )
        self.logged: dict[int, dict[int, float]] = {}  # day -> id -> score
        self.said: dict[int, list[Actual]] = {}  # window -> actuals that count
        self.batches: dict[int, Any] = {}
        self.answers: dict[int, Any] = {}
        self.locked: dict[int, Any] = {}  # day -> what it said when it was locked
        self.deleted: set[int] = set()

    @rule(day=DAYS, bits=st.integers(0, 31))
    def predict(self, day: int, bits: int) -> None:
        """The job of a day runs, for the first time or again over other scores."""
        scores = {day * 3 + i: 0.25 + 0.5 * (bits >> i & 1) for i in range(IDS)}
        at = MIDNIGHT + dt.timedelta(days=day, hours=1)
        self.world.table("history", [{"id": i, "at": at, "score": s} for i, s in scores.items()], SCORES)
        if day in self.locked or day in self.deleted:
            with pytest.raises(BatchLocked):
                self.world.run(self.predictions, day)
            return
        self.batches[day] = self.world.run(self.predictions, day)
        self.logged[day] = scores
        self.check([day])

    @rule(window=WINDOWS, rows=ANSWERS)
    def bring(self, window: int, rows: list[Actual]) -> None:
        """Actuals of a window come, for the first time or again with other rows."""
        answers = [
            {"key": i, "paid": paid, "known": None if day is None else MIDNIGHT + dt.timedelta(days=day)}
            for i, paid, day in rows
        ]
        self.world.table("answers", answers, ACTUALS)
        if window in self.deleted_answers:
            with pytest.raises(BatchLocked):
                self.world.run(self.late, 10 + window)
            return
        self.answers[window] = self.world.run(self.late, 10 + window)
        self.said[window] = rows
        assert len(self.locked) >= self.answers[window].actuals["locked"]
        self.check(self.logged)

    @property
    def deleted_answers(self) -> set[int]:
        return {window for window in self.answers if window not in self.said}

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def lock_or_unlock(self, data: Any) -> None:
        """A day's batch is locked, or unlocked."""
        day = data.draw(st.sampled_from(sorted(self.batches)))
        if day in self.deleted:
            return
        self.world.store.lock_batch(self.batches[day].batch_id, locked=day not in self.locked)
        if day in self.locked:
            assert self.locked.pop(day) == self.found(day)
        else:
            self.locked[day] = self.found(day)

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def delete_predictions(self, data: Any) -> None:
        """A day's batch is deleted, for good."""
        day = data.draw(st.sampled_from(sorted(self.batches)))
        if day not in self.deleted:
            self.world.store.delete_batch(self.batches[day].batch_id)
            self.deleted.add(day)
            self.locked.pop(day, None)
            self.logged.pop(day, None)

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def delete_actuals(self, data: Any) -> None:
        """A batch of actuals is deleted, for good: what it said counts no longer, from the next job on."""
        window = data.draw(st.sampled_from(sorted(self.said)))
        self.world.store.delete_batch(self.answers[window].batch_id)
        del self.said[window]

    def teardown(self) -> None:
        """Everything is unlocked, one more job brings nothing: all that lives says what one recomputation says."""
        for day in list(self.locked):
            assert self.locked.pop(day) == self.found(day)
            self.world.store.lock_batch(self.batches[day].batch_id, locked=False)
        self.world.table("answers", [], ACTUALS)
        self.world.run(self.late, 20)
        self.check(self.logged)
        for day in self.deleted:
            assert [] == self.world.store.load_values(self.batches[day].job_id)

    def check(self, days: Any) -> None:
        for day in days:
            assert self.locked.get(day) or self.expected(day) == self.found(day), f"day {day}"
            if day in self.locked:
                assert self.locked[day] == self.found(day)

    def found(self, day: int) -> tuple[float | None, float | None]:
        values = {v.name: v.value for v in self.world.store.load_values(self.batches[day].job_id)}
        return values.get("accuracy"), values.get("label_coverage")

    def expected(self, day: int) -> tuple[float | None, float | None]:
        """Row by row: of all that was said of an id the last counts, then the later window, then the larger text."""
        truth: dict[int, tuple[tuple[int, int, str], str]] = {}
        for window, rows in self.said.items():
            for i, paid, known in rows:
                key = (-1 if known is None else known, window, paid)
                truth[i] = max(truth.get(i, (key, paid)), (key, paid))
        scores = self.logged[day]
        hits = [(score >= 0.5) == (truth[i][1] == "yes") for i, score in scores.items() if i in truth]
        return (sum(hits) / len(hits), len(hits) / len(scores)) if hits else (None, None)


def test_any_history_ends_in_the_accuracy_of_one_recomputation(world: job_world.World) -> None:
    run_state_machine_as_test(
        lambda: History(world),
        settings=settings(
            max_examples=5,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
