"""What a definition says of embeddings, and what it is told when their vectors cannot be compared."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_monitoring_provider.definitions import dump_definition, load_definition, parse_definition
from airflow_monitoring_provider.definitions.embeddings import MOST_DIMENSIONS, primary_of, vector_columns
from airflow_monitoring_provider.exceptions import DefinitionError

BASE: dict[str, Any] = {
    "deploymentId": "reviews",
    "intakeSettings": {"type": "sql", "dataStoreId": "db", "table": "reviews"},
    "monitoringColumns": {"predictionsColumns": "stars"},
    "embeddings": {
        "review": {"dimensions": 384},
        "title": {"column": "title_vector", "dimensions": 8},
        "image": {"columns": ["i0", "i1"]},
    },
}
FAR = {"warning": 0.1, "critical": 0.3}


def test_what_is_said_is_read_back() -> None:
    definition = load_definition({**BASE, "thresholds": {"centroid_euclidean": {"columns": {"image": FAR}}}})
    assert definition == parse_definition(dump_definition(definition), "json")
    assert [384, 8, 2] == [own.length for own in definition.embeddings.values()]
    assert {"review", "title_vector"} == vector_columns(definition)


def test_the_distance_with_limits_decides() -> None:
    cosine = {"centroid_cosine": {"columns": {"title": FAR}}, "centroid_euclidean": {"columns": {"image": FAR}}}
    definition = load_definition({**BASE, "thresholds": cosine})
    expected = {"review": "centroid_euclidean", "title": "centroid_cosine", "image": "centroid_euclidean"}
    assert expected == {name: primary_of(definition, name) for name in definition.embeddings}
    both = load_definition({**BASE, "thresholds": {"centroid_cosine": FAR, "centroid_euclidean": FAR}})
    assert {"centroid_euclidean"} == {primary_of(both, name) for name in both.embeddings}
    stated = {"review": {"dimensions": 3, "primary": "centroid_cosine"}}
    assert "centroid_cosine" == primary_of(
        load_definition({**BASE, "embeddings": stated, "thresholds": {"centroid_cosine": FAR}}), "review"
    )


def one(**said: Any) -> dict[str, Any]:
    return {"embeddings": {"review": said}}


@pytest.mark.parametrize(
    ("changes", "place", "reason"),
    [
        (one(), "embeddings.review.dimensions", "is required: how many numbers a vector has"),
        (one(dimensions=0), "embeddings.review.dimensions", "must be at least 1"),
        (one(dimensions=MOST_DIMENSIONS + 1), "embeddings.review.dimensions", "must be at most 4096"),
        (one(columns=[]), "embeddings.review.columns", "must not be empty"),
        (one(columns=["a", "a"]), r"embeddings.review.columns\[1\]", "repeats item 0"),
        (one(columns=["a", "b"], dimensions=3), "embeddings.review.dimensions", "must be 2"),
        (one(columns=["a", "b"], column="c"), "embeddings.review.columns", "together with column"),
        (one(column="stars", dimensions=2), "embeddings.review.column", "a column has one role"),
        (one(dimensions=2, primary="psi"), "embeddings.review.primary", "centroid_euclidean"),
        (
            one(dimensions=2, primary="centroid_cosine"),
            "embeddings.review.primary",
            "give thresholds for centroid_cosine",
        ),
        ({"embeddings": {"stars": {"columns": ["a", "b"]}}}, "embeddings.stars", "name it otherwise"),
        ({"engine": "sql"}, "engine", r"vectors are read row by row \(embeddings\); use arrow"),
        ({"features": ["age", "i0"]}, r"features\[1\]", "a feature has no other role"),
        ({"columnTypes": {"i0": "categorical"}}, "columnTypes.i0", "a part of an embedding"),
        ({"checks": {"review": {"minimum": 0}}}, "checks.review", "neither cells nor bounds"),
        ({"drift": {"columns": {"review": {"bins": 5}}}}, "drift.columns.review", "neither cells nor bounds"),
        (
            {"thresholds": {"centroid_cosine": {"columns": {"reviw": FAR}}}},
            "thresholds.centroid_cosine.columns.reviw",
            "did you mean review",
        ),
        ({"thresholds": {"centroid_cosine": {"critical": 2.5}}}, "thresholds.centroid_cosine", "can never be reached"),
        (
            {"embeddings": None, "thresholds": {"centroid_euclidean": FAR}},
            "thresholds.centroid_euclidean",
            "give embeddings",
        ),
        ({"drift": {"metrics": ["centroid_cosine"]}}, r"drift.metrics\[0\]", "must be one of"),
    ],
)
def test_what_cannot_be_compared_is_refused(changes: dict[str, Any], place: str, reason: str) -> None:
    with pytest.raises(DefinitionError, match=f"{place}.*{reason}"):
        load_definition({**BASE, **changes})
