"""JSON and YAML text: what is read, what is refused before it can hurt, and that refusing is quick."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import (
    JobDefinition,
    dump_definition,
    load_definition,
    parse_definition,
    read_definition_file,
    read_definition_folder,
)
from airflow_monitoring_provider.definitions.document import DEEPEST, read_json, read_yaml
from airflow_monitoring_provider.exceptions import DefinitionError

Change = Callable[[Mapping[str, Any]], dict[str, Any]]

MINIMAL = "deployment_id: d\nmonitoring_columns: {predictions_columns: p}\n"


def refusal(text: str, form: Literal["json", "yaml"]) -> DefinitionError:
    """The error of a text that must be refused, within the time a request may take."""
    began = time.monotonic()
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text, form)
    assert time.monotonic() - began < 5
    assert len(str(caught.value)) < 2000
    return caught.value


@pytest.mark.parametrize("form", ["json", "yaml"])
def test_text_is_read_in_both_forms(form: Literal["json", "yaml"], changed: Change) -> None:
    definition = load_definition(changed({"schedule": "0 17 * * mon-fri", "timezone": "Europe/Zurich"}))

    assert definition == parse_definition(dump_definition(definition, form), form)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON: Expecting value at line 1, column 1"),
        ('{\n"a": }', "at line 2, column 6"),
        ('{"a": 1} {}', "not valid JSON: Extra data"),
        ("{'a': 1}", "not valid JSON"),
        ("[]", "must be an object, not a list"),
        ("null", "must be an object, not null"),
        ('{"retries": NaN}', "retries: must be a finite number"),
        ('{"retries": -Infinity}', "retries: must be a finite number"),
        ('{"retries": 1e999}', "retries: must be a finite number"),
        ('{"retries": 9223372036854775808}', "retries: must be a number within 64 bits"),
        ('{"retries": ' + "9" * 5000 + "}", "a number that is too large"),
        ('{"name": "a\\u0000b"}', "name: must not hold NUL"),
        ('{"name": "a\\ud800b"}', "name: must not hold NUL or half of a surrogate pair"),
        ('{"\\ud800": 1}', "has a key that no text can hold"),
        ('{"deploymentId": "a", "deploymentId": "b"}', "deploymentId: is given twice"),
        ('{"schedule": {"minute": [0], "hour": [1], "minute": [2]}}', "schedule.minute: is given twice"),
        ('{"timeseriesSettings": {"a": [{"b": 1, "b": 1}]}}', "timeseriesSettings.a[0].b: is given twice"),
    ],
)
def test_json_that_is_no_definition_is_refused(text: str, words: str) -> None:
    assert words in str(refusal(text, "json"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "must be an object, not null"),
        ("- a", "must be an object, not a list"),
        ("a: [1", "not valid YAML"),
        ("a: b: c", "not valid YAML: mapping values are not allowed in this context at line 1"),
        (MINIMAL + "name: &a x\ntimezone: *a", "anchors and aliases are not read at line 3"),
        (MINIMAL + "name: *a", "anchors and aliases are not read at line 3"),
        (MINIMAL + "base: &base {a: 1}", "anchors and aliases are not read"),
        (MINIMAL + "<<: {name: x}", "not valid YAML"),
        (MINIMAL + "name: !!python/object/apply:os.system ['true']", "tags are not read"),
        (MINIMAL + "name: !!python/name:os.system", "tags are not read"),
        (MINIMAL + "name: !secret x", "tags are not read"),
        (MINIMAL + "name: !!str x", "tags are not read"),
        (MINIMAL + "name: !!binary aGk=", "tags are not read"),
        (MINIMAL + "---\n" + MINIMAL, "more than one document"),
        (MINIMAL + "name: x\nname: y", "name: is given twice"),
        (MINIMAL + "schedule: {minute: [0], minute: [1]}", "schedule.minute: is given twice"),
        (MINIMAL + "1: x", "a key that is not text"),
        (MINIMAL + "true: x", "a key that is not text"),
        (MINIMAL + "? [a]\n: x", "a key that is not text"),
        (MINIMAL + "retries: .nan", "retries: must be a finite number"),
        (MINIMAL + "retries: .inf", "retries: must be a finite number"),
        (MINIMAL + "retries: " + "9" * 5000, "too large"),
        (MINIMAL + "start_date: 2026-13-45", "a date or number that does not exist"),
        (MINIMAL + "name: a\0b", "a character that YAML does not allow"),
        (MINIMAL + 'name: "a\\0b"', "name: must not hold NUL"),
        (MINIMAL + "name: \ud800", "half of a surrogate pair"),
        (MINIMAL + "positive_class: yes", "positive_class: must be text, not true or false; put it in quotes"),
        (MINIMAL + "name: 2026-01-01", "name: must be text, not a date; put it in quotes"),
        (MINIMAL + "name: 12:30", "name: must be text, not a whole number; put it in quotes"),
    ],
)
def test_yaml_that_is_no_definition_is_refused(text: str, words: str) -> None:
    assert words in str(refusal(text, "yaml"))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("[" * 500_000, "json"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "json"),
        ("[" * 500_000, "yaml"),
        ("{a: " * 100_000, "yaml"),
        ("- " * 300_000, "yaml"),
        ("[" + "0," * 400_000 + "0]", "json"),
        ('{"a":' + '"x"' + ', "a": "x"' * 90_000 + "}", "json"),
        ("a: " + "x" * (1 << 20), "yaml"),
        (" " * (1 << 20) + "{}", "json"),
        ("é" * (1 << 19) + "é", "json"),
        ("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]", "yaml"),
    ],
    ids=lambda value: value if len(value) < 5 else "",
)
def test_a_bomb_is_refused_quickly(text: str, form: Literal["json", "yaml"]) -> None:
    refusal(text, form)


def test_depth_is_counted_exactly() -> None:
    def nested(levels: int) -> str:
        return "[" * levels + "]" * levels

    for read in (read_json, read_yaml):
        assert read(nested(DEEPEST)) is not None
        with pytest.raises(DefinitionError, match="32 levels"):
            read(nested(DEEPEST + 1))


def test_a_python_object_that_holds_itself_is_refused(changed: Change) -> None:
    payload = changed({})
    payload["columnTypes"] = payload

    with pytest.raises(DefinitionError, match="more than 32 levels deep"):
        load_definition(payload)


@given(st.text(max_size=200))
@settings(deadline=None)
def test_no_text_gives_any_other_error(text: str) -> None:
    for form in ("json", "yaml"):
        with pytest.raises(DefinitionError):
            parse_definition(text, form)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(sorted(JobDefinition.model_fields)), _JSON, max_size=8))
@settings(deadline=None)
def test_no_data_gives_any_other_error(data: dict[str, Any]) -> None:
    data.pop("deployment_id", None)

    with pytest.raises(DefinitionError):
        load_definition(data)


def test_files_are_read_by_their_suffix(tmp_path: Path, changed: Change) -> None:
    definition = load_definition(changed({}))
    for name, form in (("a.json", "json"), ("b.yaml", "yaml"), ("c.YML", "yaml")):
        (tmp_path / name).write_text(dump_definition(definition, form), "utf-8")  # type: ignore[call-overload]

        assert definition == read_definition_file(tmp_path / name)


def test_a_byte_order_mark_is_no_part_of_a_definition(tmp_path: Path, changed: Change) -> None:
    (tmp_path / "a.json").write_text(json.dumps(changed({})), "utf-8-sig")

    assert load_definition(changed({})) == read_definition_file(tmp_path / "a.json")


def test_an_error_in_a_file_begins_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "flights.yaml").write_text(MINIMAL + "retry: 1")

    with pytest.raises(
        DefinitionError, match=r"^flights\.yaml: retry: is not a known field; did you mean retries\?$"
    ) as e:
        read_definition_file(tmp_path / "flights.yaml")
    assert "retry" == e.value.field


def test_what_is_no_readable_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"name: \xff")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "big.json").write_bytes(b" " * (1 << 20) + b"{}")

    for name, words in (
        ("latin.yaml", "must be UTF-8 text"),
        ("folder.yaml", "must be a regular file"),
        ("absent.yaml", "cannot be read: No such file"),
        ("notes.txt", "must end in .json, .yaml, .yml"),
        ("big.json", "larger than 1 MiB"),
    ):
        with pytest.raises(DefinitionError, match=words):
            read_definition_file(tmp_path / name)


def test_a_folder_gives_every_file_its_definition_or_its_error(tmp_path: Path) -> None:
    (tmp_path / "team").mkdir()
    (tmp_path / ".git").mkdir()
    files = {
        "a.yaml": MINIMAL + "name: a",
        "team/b.yml": MINIMAL + "name: b",
        "c.json": "{",
        "d.yaml": MINIMAL + "name: a",
        "e.yaml": MINIMAL + "name: e\nid: b",
        "notes.txt": "not read",
        ".git/x.yaml": "not read",
        ".hidden.yaml": "not read",
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text)

    found = read_definition_folder(tmp_path)

    assert ["a.yaml", "c.json", "d.yaml", "e.yaml", "team/b.yml"] == [str(p.relative_to(tmp_path)) for p in found]
    outcome = {p.name: str(d) if isinstance(d, DefinitionError) else d.name for p, d in found.items()}
    assert outcome["a.yaml"] == "a"
    assert outcome["c.json"].startswith("c.json: the definition is not valid JSON")
    assert outcome["d.yaml"] == "d.yaml: id: is also that of a.yaml"
    assert outcome["e.yaml"] == "e"
    assert outcome["b.yml"] == "b.yml: id: is also that of e.yaml"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="absent is not a folder"):
        read_definition_folder(tmp_path / "absent")


def test_there_are_no_other_forms(changed: Change) -> None:
    with pytest.raises(ValueError, match="json or yaml, not toml"):
        parse_definition("", "toml")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="json, yaml, payload or python, not toml"):
        dump_definition(load_definition(changed({})), "toml")  # type: ignore[call-overload]


_WRONG = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([[], {}, [[]], [{}], {"type": ["x"]}, {"type": {}}, {1: 2}, {None: 1}, [None], b"x", set(), (1,)])
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*path, key)
        yield from _places(item, (*path, key))


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_a_wrong_value_anywhere_gives_our_error_or_a_definition_that_round_trips(
    data: st.DataObject, changed: Change
) -> None:
    payload = changed(
        {
            "schedule": {"minute": [0], "hour": [0], "dayOfMonth": ["*"], "month": ["*"], "dayOfWeek": ["*"]},
            "baseline": {"type": "reference", "intakeSettings": {"type": "file", "url": "reference.csv"}},
            "thresholds": {"psi": {"warning": 0.1, "columns": {"a": {"critical": 0.1}}}},
            "csvSettings": {"delimiter": ","},
            "timeseriesSettings": {"type": "forecast"},
            "columnTypes": {"a": "numeric"},
            "chunkSize": 1,
        }
    )
    *steps, last = data.draw(st.sampled_from(list(_places(payload))))
    place: Any = payload
    for step in steps:
        place = place[step]
    place[last] = data.draw(_WRONG | st.lists(_WRONG, max_size=2))

    try:
        definition = load_definition(payload)
    except DefinitionError:
        return
    assert definition == parse_definition(dump_definition(definition, "yaml", every=True), "yaml")
