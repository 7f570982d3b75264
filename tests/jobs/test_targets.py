"""Every kind of target through a whole job, and what is kept of the predictions."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.window import Window, WindowKind
from airflow_monitoring_provider.jobs.run import run_job

SEEDS = Path(__file__).parents[1] / "definitions" / "data"


def monitoring(predictions: Any, **more: Any) -> dict[str, Any]:
    return {"predictions_columns": predictions, "actuals_value_column": "actual", "association_id_column": "id", **more}


def test_a_regression_is_measured(world: Any, define: Any, tools: Any, oracle: Any) -> None:
    chance = random.Random(3)
    rows = [row | {"guess": chance.gauss(0, 2)} for row in tools.day_rows(0, dirty=False)]
    rows = [row | {"actual": None if i % 9 == 0 else row["guess"] + chance.gauss(0, 1)} for i, row in enumerate(rows)]
    world.table("scores", rows, {**tools.COLUMNS, "guess": sa.Float(), "actual": sa.Float()})
    job = world.run(define(monitoring_columns=monitoring("guess"))).job_id
    labelled = [row for row in rows if row["actual"] is not None]
    errors = np.array([row["guess"] - row["actual"] for row in labelled])
    assert np.abs(errors).mean() == pytest.approx(world.value(job, "mae").value)
    assert float(np.sqrt((errors**2).mean())) == pytest.approx(world.value(job, "rmse").value)
    own = {"actual", "actual_is_text", "actual_timestamp"}
    assert {"association_id", "prediction", "timestamp", "batch_id", *own} == set(logged(world, job)[0])
    assert {str(row["id"]): row["actual"] for row in rows} == {
        row["association_id"]: None if row["actual"] is None else float(row["actual"]) for row in logged(world, job)
    }


@pytest.mark.parametrize("classes", [3, 30])
def test_many_classes_are_measured(small_world: Any, define: Any, tools: Any, classes: int) -> None:
    world, chance = small_world, np.random.default_rng(classes)
    names = [f"class {i}" for i in range(classes)]
    shares = chance.dirichlet(np.ones(classes), 600)
    actual = [names[chance.choice(classes, p=share)] for share in shares]
    rows = [
        row | {f"p{i}": float(share[i]) for i in range(classes)} | {"actual": label}
        for row, share, label in zip(tools.day_rows(0, count=600, dirty=False), shares, actual, strict=True)
    ]
    world.table(
        "scores", rows, {**tools.COLUMNS, **{f"p{i}": sa.Float() for i in range(classes)}, "actual": sa.String()}
    )
    pairs = [{"class_name": name, "column_name": f"p{i}"} for i, name in enumerate(names)]
    job = world.run(define(monitoring_columns=monitoring(pairs))).job_id
    hits = [names[int(np.argmax(share))] == label for share, label in zip(shares, actual, strict=True)]
    assert float(np.mean(hits)) == pytest.approx(world.value(job, "accuracy").value)
    from sklearn.metrics import log_loss

    expected = log_loss(actual, shares[:, np.argsort(names)], labels=sorted(names))
    assert expected == pytest.approx(world.value(job, "log_loss").value)
    first = logged(world, job)[0]
    assert {f"probability:{name}" for name in names} == {key for key in first if key.startswith("probability:")}


def test_two_columns_of_a_binary_target_are_renormalised_alike(small_world: Any, define: Any, tools: Any) -> None:
    world = small_world
    rows = [r | {"other": 1 - r["score"], "actual": r["churned"]} for r in tools.day_rows(0, dirty=False)]
    world.table("scores", rows, {**tools.COLUMNS, "other": sa.Float(), "actual": sa.String()})
    pairs = [{"class_name": "no", "column_name": "other"}, {"class_name": "yes", "column_name": "score"}]
    two = world.run(define(monitoring_columns=monitoring(pairs))).job_id
    one = world.run(define(name="one", monitoring_columns=monitoring(pairs[1:]), output_settings=None)).job_id
    for name in ("roc_auc", "accuracy", "recall", "brier"):
        assert world.value(one, name).value == pytest.approx(world.value(two, name).value), name


def test_actuals_alone_are_monitored(world: Any, define: Any, tools: Any) -> None:
    rows = tools.day_rows(0, dirty=False)
    rows[1]["id"] = None
    world.table("scores", rows)
    columns = {"actuals_value_column": "churned", "association_id_column": "id"}
    definition = define(monitoring_columns=columns, monitoring_output_settings={"monitored_status_column": "status"})
    summary = world.run(definition)
    expected = {"monitored": 319, "rejected:missing_actual": 80, "rejected:missing_association_id": 1}
    assert expected == summary.status_counts
    assert 0.0 == world.value(summary.job_id, "psi", "churned").value
    assert () == world.store.prediction_files(summary.job_id)


@pytest.mark.parametrize("name", ["regression", "classification"])
def test_the_documented_payloads_run_on_a_real_table(world: Any, tools: Any, name: str) -> None:
    payload = json.loads((SEEDS / f"datarobot-monitoring-jobs--{name}-definition.json").read_text())
    for side in ("intakeSettings", "outputSettings"):
        for member in ("schema", "catalog", "credentialId"):
            payload[side].pop(member)
        payload[side]["dataStoreId"] = "db"
    payload["deploymentId"] = "loans"
    columns = {"id": sa.Integer(), "loan_amnt": sa.Float(), "PREDICTION": sa.Float(), "grade": sa.String()}
    columns |= {f"readmitted_{word}_PREDICTION": sa.Float() for word in ("True", "False")}
    rows = [
        {"id": i, "loan_amnt": float(i % 7), "PREDICTION": float(i % 5), "grade": "ABC"[i % 3]}
        | {"readmitted_True_PREDICTION": i / 500, "readmitted_False_PREDICTION": 1 - i / 500}
        for i in range(500)
    ]
    world.table("lending_club_regression", rows, columns)
    definition = load_definition(payload)
    for day in (1, 2):
        start = tools.FIRST_DAY.replace(day=day, hour=17)
        window = Window.of(start, start.replace(day=day + 1), WindowKind.SCHEDULED)
        summary = run_job(definition, window, world.ports())
        world.evaluate(definition, summary)
    assert (500, {"monitored": 500}) == (summary.rows, summary.status_counts)
    found = world.rows("lending_club_regression_out")
    assert (1000, {"monitored"}) == (len(found), {row["monitored"] for row in found})
    if name == "regression":
        expected = np.mean([abs(row["PREDICTION"] - row["loan_amnt"]) for row in rows])
        assert expected == pytest.approx(world.value(summary.job_id, "mae").value)


def logged(world: Any, job: str) -> list[dict[str, Any]]:
    """The rows of a job's prediction log, by its manifest."""
    files = world.store.prediction_files(job)
    rows = [row for file in files for batch in world.storage.read_predictions(file) for row in batch.to_pylist()]
    assert sum(file.rows for file in files) == len(rows)
    return rows


def test_the_prediction_log_holds_what_was_scored(world: Any, define: Any, tools: Any, oracle: Any) -> None:
    rows = tools.day_rows(0)
    world.table("scores", rows)
    summary = world.run(define())
    statuses = oracle.statuses(rows, ["score"], ["id"])
    expected = {
        str(row["id"]): (row["score"], row["at"], "yes" if row["score"] >= 0.5 else "")
        for row, status in zip(rows, statuses, strict=True)
        if status == "monitored"
    }
    found = {
        row["association_id"]: (row["probability:yes"], row["timestamp"].replace(tzinfo=None), row["predicted_class"])
        for row in logged(world, summary.job_id)
        if row["association_id"] is not None
    }
    assert expected == found
    nameless = [row["churned"] for row in rows if row["id"] is None and row["churned"] is not None]
    assert nameless == [row["actual"] for row in logged(world, summary.job_id) if row["association_id"] is None]
    assert {summary.batch_id} == {row["batch_id"] for row in logged(world, summary.job_id)}
    world.run(define())
    files = list((world.folder / "storage").rglob("*.parquet"))
    assert [file.path for file in world.store.prediction_files(summary.job_id)] == [
        path.relative_to(world.folder / "storage").as_posix() for path in files
    ]


def test_an_association_id_that_is_no_text_is_not_logged_and_its_row_is_kept(
    small_world: Any, define: Any, tools: Any
) -> None:
    world, rows = small_world, tools.day_rows(0, 10, dirty=False)
    texts = [b"half \xed\xa0\x80", b"nul\0", *(b"id %d" % number for number in range(8))]
    offsets = np.cumsum([0, *map(len, texts)]).astype(np.int32)
    ids = pa.Array.from_buffers(pa.string(), 10, [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))])
    table = pa.Table.from_pylist([{name: row[name] for name in row if name != "id"} for row in rows])
    (world.files / "in").mkdir()
    pq.write_table(table.append_column("id", ids), world.files / "in" / "rows.parquet")

    columns = {"predictions_columns": [{"class_name": "yes", "column_name": "score"}], "association_id_column": "id"}
    summary = world.run(define(intake_settings={"type": "file", "url": "in"}, monitoring_columns=columns))

    files = world.store.prediction_files(summary.job_id)
    logged = [row for file in files for batch in world.storage.read_predictions(file) for row in batch.to_pylist()]
    assert [f"id {number}" for number in range(8)] == [row["association_id"] for row in logged]
    assert {"monitored": 8, "rejected:unstorable_value": 2} == summary.status_counts
