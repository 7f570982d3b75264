"""What a definition says of drift: its forms, what is refused and in which words, and what parity brings."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from airflow_monitoring_provider.definitions import json_schema
from airflow_monitoring_provider.definitions.drift import DEFAULT_LIMITS, Parity, Scheme, ZeroCells
from airflow_monitoring_provider.definitions.load import dump_definition, load_definition, parse_definition
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.parity import PARITY
from airflow_monitoring_provider.exceptions import DefinitionError
from airflow_monitoring_provider.monitors.thresholds import DEFAULTS, Limits, Rules


def definition(**members: Any) -> JobDefinition:
    return load_definition(
        {"deploymentId": "d", "name": "n", "monitoringColumns": {"predictionsColumns": "p"}} | members
    )


FULL = {
    "metrics": ["js_distance", "ks", "chi_square"],
    "primary": "ks",
    "binning": "uniform",
    "bins": 20,
    "zeroCells": "jeffreys",
    "missing": "if_increased",
    "logBase": 2,
    "columns": {"age": {"binning": "custom", "edges": [18, 30, 65.5]}, "city": {"metrics": ["psi"]}},
}


def test_what_is_said_is_read_and_written_in_every_form() -> None:
    told = definition(drift=FULL)

    assert (Scheme.UNIFORM, 20, ZeroCells.JEFFREYS, "2") == (
        told.drift.binning,
        told.drift.bins,
        told.drift.zero_cells,
        told.drift.log_base,
    )
    assert (18, 30, 65.5) == told.drift.columns["age"].edges
    for form in ("json", "yaml"):
        assert told == parse_definition(dump_definition(told, form), form)  # type: ignore[call-overload]
    schema = Draft202012Validator(json_schema())
    schema.validate(json.loads(dump_definition(told, "json")))
    schema.validate({"deploymentId": "d", "monitoringColumns": {"predictionsColumns": "p"}, "drift": FULL})


def test_snake_case_says_the_same() -> None:
    assert definition(drift={"zeroCells": "floor"}) == definition(drift={"zero_cells": "floor"})


@pytest.mark.parametrize(
    ("field", "words", "drift"),
    [
        ("drift.metrics[1]", "not 'wasserstein_normed'; did you mean wasserstein_norm?",
         {"metrics": ["psi", "wasserstein_normed"]}),
        ("drift.metrics[0]", "must be one of anderson_k, chi_square, ", {"metrics": ["roc_auc"]}),
        ("drift.metrics", "must not be empty", {"metrics": []}),
        ("drift.metrics[1]", "is listed twice", {"metrics": ["psi", "psi"]}),
        ("drift.primary", "must be one of `metrics`", {"metrics": ["psi"], "primary": "ks"}),
        ("drift.primary", "decides, but nothing says from where on: give `thresholds` for kl_cr", {"primary": "kl_cr"}),
        ("drift.metrics[0]", "give `thresholds` for tvd", {"metrics": ["tvd"]}),
        ("drift.columns.age.primary", "give `thresholds` for energy", {"columns": {"age": {"primary": "energy"}}}),
        ("drift.edges", "is required where `binning` is custom", {"binning": "custom"}),
        ("drift.edges", "has a meaning only where `binning` is custom", {"edges": [1, 2]}),
        ("drift.columns.age.edges[1]", "must be more than the edge before it",
         {"columns": {"age": {"binning": "custom", "edges": [1, 1]}}}),
        ("drift.bins", "has a meaning only where `binning` is quantile or uniform", {"binning": "doane", "bins": 4}),
        ("drift.bins", "must be at least 2", {"bins": 1}),
        ("drift.zeroCells", "must be 'add_one', 'floor', 'scale' or 'jeffreys', not 'addOne'", {"zeroCells": "addOne"}),
        ("drift.logBase", "must be 'e' or '2'", {"logBase": 10}),
        ("drift.parity", "must be 'datarobot', 'arize', 'evidently', 'mlrun' or 'nannyml'", {"parity": "whylogs"}),
        ("drift.binnings", "is not a known field; did you mean binning?", {"binnings": "quantile"}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(field: str, words: str, drift: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError) as error:
        definition(drift=drift)

    assert field in dict(error.value.problems)
    assert words.replace("`", "") in str(error.value).replace("`", "")


def test_a_metric_with_a_threshold_or_a_test_may_decide() -> None:
    told = definition(drift={"primary": "kl_cr"}, thresholds={"kl_cr": {"critical": 0.2}})

    assert "kl_cr" == told.drift.primary
    assert "cvm" == definition(drift={"metrics": ["cvm"]}).drift.deciding()[0][1]


def test_metrics_that_may_decide_without_a_threshold_have_limits_by_default() -> None:
    assert DEFAULT_LIMITS <= DEFAULTS.keys()


def test_a_tools_limits_and_its_trust_in_size_alone_come_with_parity() -> None:
    rules = Rules.from_definition(definition(drift={"parity": "datarobot"}))

    assert (Limits(None, 0.15), False) == (rules.limits_for("psi", "age"), rules.guard)
    assert "none" == definition(drift={"parity": "evidently"}).resolved_significance.adjustment


def test_what_is_stated_counts_before_parity() -> None:
    told = definition(
        drift={"parity": "mlrun"},
        significance={"guard": True, "alpha": 0.01},
        thresholds={"hellinger_tvd": {"critical": 0.6}},
    )
    rules = Rules.from_definition(told)

    assert (Limits(None, 0.6), True, 0.01) == (rules.limits_for("hellinger_tvd", None), rules.guard, rules.alpha)
    assert "none" == told.resolved_significance.adjustment


def test_every_tool_has_its_mode() -> None:
    assert set(Parity) == set(PARITY)
