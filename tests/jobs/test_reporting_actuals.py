"""What running code reports, predictions and actuals: joined whichever comes first, counted once."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from airflow_monitoring_provider.exceptions import BatchLocked, DefinitionError, SourceError, Superseded
from airflow_monitoring_provider.jobs.reporting import report_predictions
from airflow_monitoring_provider.jobs.reporting_actuals import report_actuals
from airflow_monitoring_provider.jobs.selection import select_batches

DEPLOYMENT = "churn-model"
PREDICTIONS = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}], "association_id_column": "id"}
COLUMNS = {"association_id": "key", "value": "paid"}


def definition_of(define: Any, **changes: Any) -> Any:
    absent = dict.fromkeys(("output_settings", "baseline", "passthrough_columns", "monitoring_output_settings"))
    minimums = {"labelled_rows": 1, "per_class": 1}
    return define(**{**absent, "monitoring_columns": PREDICTIONS, "minimums": minimums, **changes})


def answers(rows: list[dict[str, Any]], seed: int = 3) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [{"key": row["id"], "paid": "yes" if chance.random() < row["score"] else "no"} for row in rows]


def accuracy(rows: list[dict[str, Any]], said: list[dict[str, Any]]) -> tuple[int, float, float]:
    """Labelled rows, AUC and log loss by scikit-learn."""
    truth = {row["key"]: row["paid"] == "yes" for row in said}
    known = [row for row in rows if row["id"] in truth]
    labels, scores = [truth[row["id"]] for row in known], np.array([row["score"] for row in known])
    return len(known), float(roc_auc_score(labels, scores)), float(log_loss(labels, scores))


def found(world: Any, *batches: str) -> Any:
    """The same of some batches together, None where nothing is labelled."""
    (part,) = select_batches(world.store, DEPLOYMENT, batches).parts
    values = {result.name: result.value for result in part.evaluation.results if result.column is None}
    labelled = part.profile.target.labelled
    return pytest.approx((labelled, values["roc_auc"], values["log_loss"]), abs=1e-9) if labelled else None


def logs(world: Any) -> list[str]:
    return sorted(path.name for path in Path(world.folder, "storage", "predictions").rglob("*.parquet"))


def test_reported_actuals_join_what_jobs_predicted_and_what_was_reported(world: Any, define: Any, tools: Any) -> None:
    jobs, before, after = (tools.day_rows(day, count=120, dirty=False) for day in range(3))
    definition = definition_of(define, segments=["region"])
    world.table("scores", jobs)
    own = world.run(definition)
    early, late = (world.store.create_batch(DEPLOYMENT, name).id for name in ("early", "late"))
    assert report_predictions(world.store, before, definition, batch_id=early, key="a")
    assert found(world, early) is None
    said = answers(jobs + before[:70] + after)

    summary = report_actuals(world.store, pd.DataFrame(said), "churn", columns=COLUMNS)

    assert (190, 120, 2) == tuple(summary.actuals[name] for name in ("matched", "orphans", "restated"))
    assert accuracy(jobs, said) == found(world, own.batch_id)
    assert accuracy(before, said) == found(world, early)
    assert "log_loss" in {value.name for value in world.store.load_values(own.job_id)}
    assert not world.store.job(own.job_id).evaluation_due
    report_predictions(world.store, pd.DataFrame(after), definition, batch_id=late)  # its actuals are there already
    assert accuracy(after, said) == found(world, late)
    assert accuracy(before + after, said) == found(world, early, late)

    newer = answers(before, seed=4)
    assert 1 == report_actuals(world.store, newer, "churn", columns=COLUMNS).actuals["restated"]
    assert accuracy(before, newer) == found(world, early)
    assert 0 == world.store.batch_limits(DEPLOYMENT).created_today - 3  # batches of actuals hold no predictions


def test_a_report_that_is_sent_again_counts_once(small_world: Any, define: Any, tools: Any) -> None:
    world, definition = small_world, definition_of(define)
    rows = tools.day_rows(0, count=60, dirty=False)
    world.store.register_definition(definition)
    batch = world.store.create_batch(DEPLOYMENT, "b").id
    assert report_predictions(world.store, rows, definition, batch_id=batch, key="a")
    (log,) = logs(world)
    assert not report_predictions(world.store, rows, definition, batch_id=batch, key="a")
    assert [log] == logs(world)
    wrong, right = answers(rows, seed=8), answers(rows, seed=9)
    first = report_actuals(world.store, wrong, definition, columns=COLUMNS, key="today")
    other = report_actuals(world.store, [{"key": -1, "paid": "no"}], definition, columns=COLUMNS)
    again = report_actuals(world.store, right, definition, columns=COLUMNS, key="today")
    assert (first.job_id, 60) == (again.job_id, again.actuals["ids"])
    assert other.job_id != first.job_id
    assert accuracy(rows, right) == found(world, batch)


def test_locked_batches_keep_reports_as_they_are_and_deleted_ones_leave_nothing(
    world: Any, define: Any, tools: Any
) -> None:
    definition = definition_of(define)
    rows = tools.day_rows(0, count=60, dirty=False)
    world.store.register_definition(definition)
    batch = world.store.create_batch(DEPLOYMENT, "b").id
    report_predictions(world.store, rows, definition, batch_id=batch)
    world.store.lock_batch(batch)
    with pytest.raises(BatchLocked):
        report_predictions(world.store, rows, definition, batch_id=batch)
    assert 1 == len(logs(world))
    said = answers(rows)
    assert 1 == report_actuals(world.store, said, definition, columns=COLUMNS).actuals["locked"]
    assert found(world, batch) is None
    world.store.lock_batch(batch, locked=False)
    assert 1 == report_actuals(world.store, [], definition, columns=COLUMNS).actuals["restated"]
    assert accuracy(rows, said) == found(world, batch)
    world.store.delete_batch(batch)
    assert [] == logs(world)
    assert 60 == report_actuals(world.store, said, definition, columns=COLUMNS).actuals["orphans"]


def test_predictions_are_reported_before_their_actuals_are_known_by_one_definition(
    world: Any, define: Any, tools: Any
) -> None:
    definition = define()  # names the actuals, which rows of running code do not have yet
    rows = tools.day_rows(0, count=60, dirty=False)
    world.store.register_definition(definition)
    batch = world.store.create_batch(DEPLOYMENT, "b").id
    before = [{name: value for name, value in row.items() if name != "churned"} for row in rows]
    assert report_predictions(world.store, before, definition, batch_id=batch)
    known = sum(row["churned"] is not None for row in rows)
    assert known == report_actuals(world.store, rows, definition).actuals["matched"] > 0


def test_a_restatement_made_of_other_actuals_than_those_that_count_is_refused(
    world: Any, define: Any, tools: Any
) -> None:
    definition = definition_of(define)
    rows = tools.day_rows(0, count=60, dirty=False)
    world.table("scores", rows)
    world.run(definition)
    batch = world.store.create_batch(DEPLOYMENT, "b").id
    report_predictions(world.store, rows, definition, batch_id=batch)
    report_actuals(world.store, answers(rows), definition, columns=COLUMNS)
    job, report = world.store.logged_rows(DEPLOYMENT)
    stored = [world.store.logged_profile(each) for each in (job, report)]
    (counted,) = {(file.job_id, file.token) for file in world.store.actual_files(DEPLOYMENT)}
    for stale in (set(), {(counted[0], counted[1] + 1)}, {counted, ("later", 1)}):
        for attempt in (
            lambda seen=stale: world.store.leave_as_it_is(job, (), seen),
            lambda seen=stale: world.store.leave_as_it_is(report, (), seen),
            lambda seen=stale: world.store.restate(job, b"", "x", (), (), seen),
            lambda seen=stale: world.store.restate_report(report, b"", "x", (), seen),
        ):
            with pytest.raises(Superseded):
                attempt()
    assert stored == [world.store.logged_profile(each) for each in (job, report)]
    world.store.leave_as_it_is(report, (), {counted})


def test_what_cannot_be_reported_is_refused_with_a_sentence(small_world: Any, define: Any) -> None:
    definition = definition_of(define)
    for columns, rows, error, said in (
        (None, [], DefinitionError, r"columns\.value: the definition churn does not name this column"),
        ({"id": "key"}, [], DefinitionError, "columns: 'id' is not one of association_id, value, timestamp"),
        (COLUMNS, [{"key": 1}], SourceError, "Column paid is not in the reported actuals; it has: key"),
        (COLUMNS, [{"key": 1, "paid": "a"}, 3], SourceError, "the reported rows are no table"),
    ):
        with pytest.raises(error, match=said):
            report_actuals(small_world.store, rows, definition, columns=columns)
