"""Rows of queries as batches bring them: types, encodings, threads and statuses do not change what is ranked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.terms import RowStatus, TargetType
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, profile_batches
from airflow_monitoring_provider.engines.kinds import build_plan, feature_columns, read_columns
from airflow_monitoring_provider.engines.plans import current_plan, reference_plan
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.profiles.plan import ProfilePlan, RankingPlan, SegmentPlan, TargetPlan
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes
from oracles import slow_ranking

GRADED = TargetPlan(TargetType.REGRESSION, (("", "score"),), "grade")
RANKING = RankingPlan("session", (3,))
ROWS = 500


def columns() -> dict[str, Any]:
    chance = np.random.default_rng(8)
    session = [None if i % 41 == 7 else int(q) for i, q in enumerate(chance.integers(0, 40, ROWS))]
    return {"session": session, "score": chance.random(ROWS), "grade": chance.integers(0, 3, ROWS).astype(float)}


def test_a_query_is_a_query_in_every_type() -> None:
    plan, rows = ProfilePlan((), GRADED, ranking=RANKING), columns()
    rest = {name: rows[name] for name in ("score", "grade")}
    texts = pa.array([None if q is None else f"s{q}" for q in rows["session"]])
    sessions = [
        pa.array(rows["session"], pa.int32()),
        pa.array([float("nan") if q is None else float(q) for q in rows["session"]]),
        texts,
        texts.cast(pa.large_string()),
        texts.dictionary_encode(),
    ]
    named = [row for row in zip(rows["session"], rows["score"], rows["grade"], strict=True) if row[0] is not None]
    expected = slow_ranking.mean_scores(named, 3)
    for session in sessions:
        batch = pa.RecordBatch.from_pydict({"session": session, **rest})
        found = profile_batches(plan, [batch.slice(0, 123), batch.slice(123)], threads=2).ranking
        assert found is not None
        assert (len(named), ROWS - len(named), 40) == (found.rows, found.without_query, found.queries)
        assert expected["ndcg"][1] == pytest.approx(found.scores["ndcg_at_3"].mean, abs=1e-12)
    nothing = pa.RecordBatch.from_pydict({"session": pa.nulls(ROWS), **rest})
    ranking = profile_batches(plan, [nothing, nothing.slice(0, 0)]).ranking
    assert ranking is not None
    assert (0, ROWS) == (ranking.rows, ranking.without_query)


@pytest.mark.parametrize(
    "pair", [(("yes", "score"),), (("yes", "score"), ("no", "other")), (("no", "other"), ("yes", "score"))]
)
def test_the_positive_class_is_what_is_ranked(pair: Any) -> None:
    rows = columns()
    answers = [None if i % 9 == 2 else "yes" if g > 1 else "no" for i, g in enumerate(rows["grade"])]
    target = TargetPlan(TargetType.BINARY, pair, "answer", ("no" if len(pair) > 1 else "", "yes"), "yes")
    batch = pa.RecordBatch.from_pydict({**rows, "other": 1 - rows["score"], "answer": answers})
    found = profile_batches(ProfilePlan((), target, ranking=RANKING), [batch]).ranking
    triples = [
        (q, s, float(a == "yes"))
        for q, s, a in zip(rows["session"], rows["score"], answers, strict=True)
        if q is not None and a is not None
    ]
    assert found is not None
    for name, (count, mean) in slow_ranking.mean_scores(triples, 3).items():
        moments = found.scores[name if name == "mrr" else f"{name}_at_3"]
        assert (count, pytest.approx(mean, abs=1e-12)) == (moments.count, moments.mean)


def test_rows_that_are_rejected_are_not_ranked() -> None:
    plan, rows = ProfilePlan((), GRADED, ranking=RANKING), columns()
    batch = pa.RecordBatch.from_pydict(rows)
    statuses = np.where(np.arange(ROWS) % 3 == 0, RowStatus.INVALID_PREDICTION, RowStatus.MONITORED).astype(np.uint8)
    builder = ProfileBuilder(plan)
    builder.update(batch, statuses)
    kept = batch.filter(pa.array(statuses == RowStatus.MONITORED))
    assert profile_batches(plan, [kept]).ranking == builder.finish().ranking


def test_in_a_segment_its_own_rows_are_ranked_whatever_the_batches() -> None:
    rows = columns()
    rows["site"] = ["ab"[i % 3 == 0] for i in range(ROWS)]
    plan = ProfilePlan((), GRADED, ranking=RANKING, segments=(SegmentPlan("site", "site", limit=9, levels=("a", "b")),))
    batch = pa.RecordBatch.from_pydict(rows)
    found = profile_batches(plan, [batch.slice(start, 70) for start in range(0, ROWS, 70)])
    for site in "ab":
        triples = [
            (q, s, g)
            for q, s, g, own in zip(rows["session"], rows["score"], rows["grade"], rows["site"], strict=True)
            if q is not None and own == site
        ]
        ranked = found.segments[f"site={site}"].ranking
        assert ranked is not None
        for name, (count, mean) in slow_ranking.mean_scores(triples, 3).items():
            moments = ranked.scores[name if name == "mrr" else f"{name}_at_3"]
            assert (count, pytest.approx(mean, abs=1e-12)) == (moments.count, moments.mean)
    kept = from_bytes(to_bytes(found), found.content_hash())
    assert kept.segments["site=a"].ranking == found.segments["site=a"].ranking


def test_the_query_column_is_no_feature_and_is_read() -> None:
    definition = load_definition(
        {
            "deployment_id": "shop",
            "monitoring_columns": {"predictions_columns": "score", "actuals_value_column": "grade"},
            "ranking": {"query_column": "session", "k": 3},
        }
    )
    schema = pa.schema([(name, pa.float64()) for name in ("session", "score", "grade", "age")])
    plan = build_plan(definition, schema)
    assert RANKING == plan.ranking
    assert ("age",) == feature_columns(definition, schema)
    assert {"age", "score", "grade", "session"} == set(read_columns(plan))
    without = schema.remove(0)
    assert None is reference_plan(definition, without, "the table").ranking
    assert RANKING == current_plan(definition, schema, "the table", None)[0].ranking
    with pytest.raises(SourceError, match="Column session is not in the table"):
        current_plan(definition, without, "the table", None)
