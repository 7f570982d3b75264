"""Names, ids and what a binary score speaks of: the values a definition fills in by itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import JobDefinition, TargetType, load_definition
from airflow_monitoring_provider.definitions.names import slug

Change = Callable[[Mapping[str, Any]], dict[str, Any]]
CLASSES = "monitoringColumns.predictionsColumns"


@pytest.mark.parametrize("name", ["flights", "Flight_delays-2.v3", "a", "_", "-a", "x" * 200])
def test_a_safe_name_is_its_own_slug(name: str) -> None:
    assert name == slug(name)


def test_a_slug_says_what_the_name_was() -> None:
    assert re.fullmatch(r"Flight_delays__EU_-[0-9a-f]{8}", slug("Flight delays (EU)"))


@given(st.text(max_size=300))
def test_a_slug_is_safe_whatever_the_name(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}", slug(name))


@given(st.text(alphabet="ab-_. é", max_size=12), st.text(alphabet="ab-_. é", max_size=12))
def test_different_names_have_different_slugs(first: str, second: str) -> None:
    assert (slug(first) == slug(second)) == (first == second)


def test_a_name_that_imitates_a_slug_does_not_take_it() -> None:
    taken = slug("flight delays")

    assert taken != slug(taken)


def test_the_id_and_the_dag_follow_the_name(changed: Change) -> None:
    definition = load_definition(changed({"name": "flights"}))

    assert ("flights", "monitoring__flights") == (definition.id, definition.dag_id)


def test_an_id_of_its_own_is_kept(changed: Change) -> None:
    definition = load_definition(changed({"id": "6507f1a1b2c3d4e5f6a7b8c9"}))

    assert "6507f1a1b2c3d4e5f6a7b8c9" == definition.id
    assert definition.dag_id == f"monitoring__{slug('flight delays')}"


@pytest.mark.parametrize("bad", ["a/b", "..", ".a", "é", "a\n", "x" * 201])
def test_an_id_is_safe_in_a_path(bad: str, changed: Change, problems_of: Callable[[Any], dict[str, str]]) -> None:
    assert "id" in problems_of(changed({"id": bad}))


def test_a_generated_name_follows_the_content_and_nothing_else(
    changed: Change, snake_keys: Callable[[Any], Any]
) -> None:
    payload = changed({"name": ...})
    spelt_out = {**payload, "numConcurrent": 1, "passthroughColumns": []}

    names = [load_definition(p).name for p in (payload, spelt_out, snake_keys(payload), {**payload, "id": "other"})]

    assert re.fullmatch(r"flights-[0-9a-f]{12}", names[0])
    assert [names[0]] * 4 == names
    assert names[0] != load_definition({**payload, "retries": 3}).name


def classes(*names: str) -> list[dict[str, str]]:
    return [{"className": name, "columnName": f"p_{name}"} for name in names]


@pytest.mark.parametrize(
    ("changes", "target"),
    [
        ({CLASSES: "p"}, TargetType.REGRESSION),
        ({CLASSES: "p", "targetType": "Binary", "positiveClass": "1"}, TargetType.BINARY),
        ({CLASSES: classes("a")}, TargetType.BINARY),
        ({CLASSES: classes("a", "b")}, TargetType.BINARY),
        ({CLASSES: classes("a", "b"), "targetType": "Multiclass"}, TargetType.MULTICLASS),
        ({CLASSES: classes("a", "b", "c")}, TargetType.MULTICLASS),
        ({CLASSES: ...}, None),
        ({CLASSES: ..., "targetType": "Regression"}, TargetType.REGRESSION),
    ],
)
def test_the_target_follows_the_prediction_columns(
    changes: dict[str, Any], target: TargetType | None, define: Callable[..., JobDefinition]
) -> None:
    assert target == define(changes).resolved_target_type


@pytest.mark.parametrize(
    ("changes", "positive"),
    [
        ({CLASSES: classes("False", "True")}, "True"),
        ({CLASSES: classes("0", "1")}, "1"),
        ({CLASSES: classes("n", "Y")}, "Y"),
        ({CLASSES: classes("NEGATIVE", "POSITIVE")}, "POSITIVE"),
        ({CLASSES: classes("late", "on time")}, "late"),
        ({CLASSES: classes("late", "on time"), "positiveClass": "on time"}, "on time"),
        ({CLASSES: classes("True", "False"), "positiveClass": "False"}, "False"),
        ({CLASSES: classes("only")}, "only"),
        ({CLASSES: "score", "targetType": "Binary", "positiveClass": "late"}, "late"),
        ({CLASSES: "value"}, None),
        ({CLASSES: classes("a", "b", "1")}, None),
        ({CLASSES: ...}, None),
        ({CLASSES: ..., "targetType": "Binary"}, None),
    ],
)
def test_the_positive_class_is_the_one_stated_else_the_one_that_says_yes_else_the_first(
    changes: dict[str, Any], positive: str | None, define: Callable[..., JobDefinition]
) -> None:
    assert positive == define(changes).resolved_positive_class
