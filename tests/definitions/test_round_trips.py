"""Whatever is read can be written in any form and read back as an equal definition."""

from __future__ import annotations

import json
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from airflow_monitoring_provider.definitions import (
    definition_digest,
    dump_definition,
    json_schema,
    load_definition,
    parse_definition,
)

_LETTERS = st.characters(exclude_categories=["Cs", "Cc"])
NAMES = st.text(_LETTERS, min_size=1, max_size=12).filter(lambda text: text.strip())
COLUMNS = st.text(_LETTERS, min_size=1, max_size=12)
SHARES = st.floats(0, 1)


def some(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """An object that has some of the members."""
    return st.fixed_dictionaries({}, optional=members)


def numbers(low: int, high: int) -> st.SearchStrategy[list[Any]]:
    return st.just(["*"]) | st.lists(st.integers(low, high), min_size=1, max_size=4)


SCHEDULES = st.fixed_dictionaries(
    {
        "minute": numbers(0, 59),
        "hour": numbers(0, 23),
        "dayOfMonth": numbers(1, 28),
        "month": numbers(1, 12) | st.lists(st.sampled_from(["jan", "June", "DEC"]), min_size=1),
        "dayOfWeek": numbers(0, 6) | st.lists(st.sampled_from(["Sun", "friday"]), min_size=1),
    }
) | st.sampled_from(["@daily", "*/15 6-22 * * mon-fri", "0 0 1 1 *"])

SQL = {"type": st.sampled_from(["jdbc", "sql", "snowflake", "trino"]), "dataStoreId": NAMES, "table": NAMES}
INTAKES = st.one_of(
    st.fixed_dictionaries(SQL, optional={"schema": NAMES, "catalog": NAMES, "credentialId": NAMES}),
    st.fixed_dictionaries({"type": st.just("sql"), "dataStoreId": NAMES, "query": NAMES}),
    st.fixed_dictionaries(
        {"type": st.sampled_from(["file", "s3"]), "url": st.just("in/*.csv")},
        optional={"format": st.sampled_from(["csv", "parquet", "jsonl"]), "credentialId": NAMES},
    ),
    st.just({"type": "bigquery", "dataset": "d", "table": "t", "credentialId": "google"}),
    st.just({"type": "localFile", "multipart": True, "async": False}),
)
OUTPUTS = st.one_of(
    st.fixed_dictionaries(
        {**SQL, "table": st.just("results of a job"), "statementType": st.sampled_from(["insert", "createTable"])},
        optional={"commitInterval": st.integers(0, 86_400), "createTableIfNotExists": st.booleans()},
    ),
    st.fixed_dictionaries(
        {**SQL, "statementType": st.sampled_from(["update", "insertUpdate"]), "whereColumns": st.just(["key"])},
        optional={"updateColumns": st.just(["state"])},
    ),
    st.just({"type": "file", "url": "out", "partitionColumns": ["day"]}),
    st.just({"type": "tableau"}),
)


@st.composite
def payloads(draw: st.DrawFn) -> dict[str, Any]:
    """A camelCase payload that breaks no rule, with every column in one role."""
    columns = iter(draw(st.lists(COLUMNS, min_size=12, max_size=12, unique=True)))
    classes = draw(st.lists(NAMES, max_size=4, unique=True))
    pairs = [{"className": name, "columnName": next(columns)} for name in classes]
    roles: dict[str, Any] = {"predictionsColumns": pairs or next(columns)}
    for member in ("associationIdColumn", "actualsValueColumn", "actualsTimestampColumn"):
        if draw(st.booleans()):
            roles[member] = next(columns)
    payload = draw(
        some(
            name=NAMES,
            enabled=st.just(False),
            intakeSettings=INTAKES,
            outputSettings=OUTPUTS,
            schedule=SCHEDULES,
            csvSettings=some(delimiter=st.sampled_from([",", ";", "\t", "tab"]), encoding=st.just("latin-1")),
            passthroughColumnsSet=st.just("all"),
            monitoringBatchPrefix=NAMES,
            numConcurrent=st.integers(1, 8),
            chunkSize=st.sampled_from(["auto", "fixed", 1024]),
            timezone=st.sampled_from(["UTC", "Europe/Zurich", "America/New_York"]),
            timestampColumn=st.just(next(columns)),
            features=st.just([next(columns), next(columns)]),
            columnTypes=st.dictionaries(COLUMNS, st.sampled_from(["numeric", "text"]), max_size=2),
            baseline=st.fixed_dictionaries({"type": st.just("reference"), "intakeSettings": INTAKES}),
            startDate=st.datetimes().filter(lambda at: 1900 < at.year < 2199).map(lambda at: at.isoformat()),
            catchup=st.booleans(),
            thresholds=st.dictionaries(
                st.sampled_from(["psi", "js_distance", "missing_rate"]),
                st.fixed_dictionaries(
                    {"warning": SHARES},
                    optional={"columns": st.dictionaries(COLUMNS, st.fixed_dictionaries({"critical": SHARES}))},
                ),
            ),
            checks=st.dictionaries(
                COLUMNS,
                some(minimum=st.just(-1.5), maximum=st.just(2.5), allowedValues=st.just([1, "b", True])).filter(bool),
                max_size=2,
            ),
            significance=some(alpha=st.just(0.01), guard=st.booleans(), adjustment=st.sampled_from(["by", "none"])),
            minimums=some(perClass=st.integers(0, 50)),
            maxRejectedShare=SHARES,
            partitions=some(count=st.integers(1, 9)),
            timeseriesSettings=st.just({"type": "forecast", "forecastPoint": "2026-01-01T00:00:00+01:00"}),
            columnNamesRemapping=st.dictionaries(COLUMNS, NAMES, max_size=2),
        )
    )
    watched = payload.setdefault("features", [next(columns)])
    payload["checks"] = {
        name: payload["checks"][key] for name, key in zip(watched, payload.get("checks", ()), strict=False)
    }
    payload["columnTypes"] = dict(zip(watched, payload.get("columnTypes", {}).values(), strict=False))
    for name in payload["checks"]:
        payload["columnTypes"].pop(name, None)
    for threshold in payload.get("thresholds", {}).values():
        if "columns" in threshold:
            threshold["columns"] = dict(zip(watched, threshold["columns"].values(), strict=False))
    if {"schedule", "startDate"} <= payload.keys() and draw(st.booleans()):
        payload["baseline"] = {"type": "firstWindow"}
    return {**payload, "deploymentId": draw(NAMES), "monitoringColumns": roles}


_SCHEMA = Draft202012Validator(json_schema())
relaxed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@given(payloads())
@relaxed
def test_json_to_yaml_and_back_is_the_same_definition(payload: dict[str, Any]) -> None:
    definition = parse_definition(json.dumps(payload), "json")

    for every in (False, True):
        from_yaml = parse_definition(dump_definition(definition, "yaml", every=every), "yaml")
        from_json = parse_definition(dump_definition(definition, "json", every=every), "json")

        assert definition == from_yaml == from_json
        assert (definition.name, definition.id) == (from_yaml.name, from_yaml.id)
        assert definition_digest(definition) == definition_digest(from_yaml) == definition_digest(from_json)


@given(payloads())
@relaxed
def test_what_is_written_is_what_the_schema_describes(payload: dict[str, Any]) -> None:
    definition = load_definition(payload)

    _SCHEMA.validate(payload)
    _SCHEMA.validate(dump_definition(definition, "payload"))
    _SCHEMA.validate(json.loads(dump_definition(definition, "json", every=True)))


@given(payloads())
@relaxed
def test_the_data_forms_say_the_same_as_the_text_forms(payload: dict[str, Any]) -> None:
    definition = load_definition(payload)

    assert json.loads(dump_definition(definition, "json")) == dump_definition(definition, "payload")
    assert yaml.safe_load(dump_definition(definition, "yaml")) == dump_definition(definition, "python")


@given(payloads(), st.sampled_from(["retries", "environment", "deploymentId"]))
@relaxed
def test_a_digest_differs_where_the_content_does(payload: dict[str, Any], field: str) -> None:
    other = {**payload, field: 7 if field == "retries" else "something else"}

    assert definition_digest(load_definition(payload)) != definition_digest(load_definition(other))


def test_only_what_was_given_is_written_unless_everything_is_asked_for() -> None:
    payload = {"name": "n", "deploymentId": "d", "monitoringColumns": {"predictionsColumns": "p"}}
    definition = load_definition(payload)

    assert payload == dump_definition(definition, "payload")
    everything = dump_definition(definition, "payload", every=True)
    assert (1, "auto", True) == (everything["numConcurrent"], everything["chunkSize"], everything["abortOnError"])
    assert "enabled" not in everything  # true by default, but true may not be said without a schedule
    assert None not in everything.values()


def test_filled_in_members_do_not_change_what_the_caller_wrote() -> None:
    payload = {
        "name": "n",
        "deploymentId": "d",
        "monitoringColumns": {"predictionsColumns": "p", "uniqueRowIdentifierColumns": ["id"]},
    }
    definition = load_definition(payload)

    assert ("id",) == definition.monitoring_output_settings.unique_row_identifier_columns
    assert payload == dump_definition(definition, "payload")
