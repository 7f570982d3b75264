"""What a definition says of rankings, and what it is told when that cannot be computed."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_monitoring_provider.definitions import Ranking, dump_definition, load_definition, parse_definition
from airflow_monitoring_provider.exceptions import DefinitionError

BASE: dict[str, Any] = {
    "deploymentId": "shop",
    "intakeSettings": {"type": "sql", "dataStoreId": "db", "table": "shown"},
    "monitoringColumns": {"predictionsColumns": "score", "actualsValueColumn": "grade"},
    "ranking": {"queryColumn": "session", "k": [10, 5], "relevantFrom": 2},
}
CLASSES = [{"className": "yes", "columnName": "score"}]


def test_both_spellings_and_one_number_are_read() -> None:
    definition = load_definition(BASE)
    assert Ranking(query_column="session", k=(5, 10), relevant_from=2) == definition.ranking
    assert (7,) == Ranking(query_column="session", k=7).k
    assert (10,) == load_definition({**BASE, "ranking": {"query_column": "session"}}).ranking.k
    assert definition == parse_definition(dump_definition(definition), "json")
    load_definition({**BASE, "thresholds": {"ndcg_at_5": {"warning": 0.6, "critical": 0.5}, "mrr": {"critical": 0.2}}})
    load_definition({**BASE, "partitions": {"by": "key", "column": "session"}})


@pytest.mark.parametrize(
    ("changes", "place", "reason"),
    [
        ({"ranking": {"k": 5}}, "ranking.queryColumn", "is required"),
        ({"ranking": {"queryColumn": "s", "k": []}}, "ranking.k", "a list of at least one"),
        ({"ranking": {"queryColumn": "s", "k": "5"}}, "ranking.k", "must be a whole number"),
        ({"ranking": {"queryColumn": "s", "k": True}}, "ranking.k", "must be a whole number"),
        ({"ranking": {"queryColumn": "s", "k": [5, 0]}}, r"ranking.k\[1\]", "must be at least 1"),
        ({"ranking": {"queryColumn": "s", "k": [5, 101]}}, r"ranking.k\[1\]", "must be at most 100"),
        ({"ranking": {"queryColumn": "s", "k": [5, 5]}}, r"ranking.k\[1\]", "is 5 again"),
        ({"ranking": {"queryColumn": "grade"}}, "ranking.queryColumn", "a column has one role"),
        ({"features": ["session"]}, r"features\[0\]", "a feature has no other role"),
        (
            {"monitoringColumns": {"predictionsColumns": "score"}},
            "monitoringColumns.actualsValueColumn",
            "is required where ranking is given",
        ),
        (
            {"monitoringColumns": {"actualsValueColumn": "grade"}},
            "monitoringColumns.predictionsColumns",
            "is required where ranking is given",
        ),
        (
            {"monitoringColumns": {"predictionsColumns": CLASSES, "actualsValueColumn": "grade"}},
            "ranking.relevantFrom",
            "is for a regression",
        ),
        (
            {
                "monitoringColumns": {
                    "predictionsColumns": [{"className": c, "columnName": c} for c in "abc"],
                    "actualsValueColumn": "grade",
                }
            },
            "ranking",
            "cannot be used where the target is Multiclass",
        ),
        ({"partitions": {"count": 3}}, "partitions.by", "must be key where ranking is given"),
        ({"partitions": {"by": "key", "column": "id"}}, "partitions.column", "must be session"),
        ({"engine": "sql"}, "engine", r"rows are ranked one by one \(ranking\); use arrow"),
        ({"thresholds": {"ndcg_at_7": {"critical": 0.2}}}, "thresholds.ndcg_at_7", "give its number in ranking.k"),
        ({"ranking": None, "thresholds": {"mrr": {"critical": 0.2}}}, "thresholds.mrr", "give ranking"),
        ({"thresholds": {"ndcg@5": {"critical": 0.2}}}, "ndcg@5", "write ndcg_at_5"),
        ({"thresholds": {"map_at_k": {"critical": 0.2}}}, "thresholds.map_at_k", "write map_at_10"),
    ],
)
def test_what_is_in_the_way_is_named(changes: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(DefinitionError, match=f"{place}.*{reason}"):
        load_definition({**BASE, **changes})
