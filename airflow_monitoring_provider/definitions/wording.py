"""Validation errors in plain words: what must be, and the type found; never a value that could be a secret."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from airflow_monitoring_provider.definitions.part import Part, PartPath, shortened
from airflow_monitoring_provider.exceptions import DefinitionError

_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")

_EXPECTED_TYPES = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
    "model_attributes_type": "an object",
    "datetime_type": "a date and time",
}

_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}


def error_of(problems: list[tuple[str, str]]) -> DefinitionError:
    """One error for all problems, as ``(field, sentence without its subject)``."""
    lines = [f"{field}: {text}" if field else f"the definition {text}" for field, text in problems]
    message = lines[0] if len(lines) == 1 else "\n".join([f"{len(lines)} problems:", *(f"- {line}" for line in lines)])
    worded = tuple((field, line) for (field, _), line in zip(problems, lines, strict=True))
    return DefinitionError(message, field=problems[0][0], problems=worded)


def written_path(path: PartPath) -> str:
    """A path as text: names joined by dots, list indexes and unusual names in brackets."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{shortened(step, 63)}]"
    return text


def sentence(error: Mapping[str, Any]) -> str:
    """The end of the sentence that begins with the field's name, for one of pydantic's error details."""
    kind, found = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind in _EXPECTED_TYPES:
        hint = "; put it in quotes" if kind == "string_type" and _needs_quotes(found) else ""
        if kind in ("int_type", "float_type") and isinstance(found, str) and _is_number(found):
            hint = "; write it without quotes"
        return f"must be {_EXPECTED_TYPES[kind]}, not {type_found(found)}{hint}"
    if kind in _BOUNDS:
        key, words = _BOUNDS[kind]
        return f"must be {words} {context[key]:g}, not {found:g}"
    if kind in ("enum", "literal_error"):
        words = shortened(found) if isinstance(found, str) else type_found(found)
        return f"must be {context['expected']}, not {words}"
    if kind == "form":
        return f"{error['msg']}, not {type_found(found)}"
    if kind == "too_long":
        return f"must have at most {context['max_length']} items, not {len(found)}"
    if kind in ("too_short", "string_too_short"):
        return "must not be empty"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters, not {len(found)}"
    return {"missing": "is required", "finite_number": "must be a finite number"}.get(kind, "is not valid")


def type_found(value: Any) -> str:
    """The kind of a value in the words of JSON and YAML."""
    if value is None:
        return "null"
    for types, words in _WORDS:
        if isinstance(value, types):
            return words
    return f"an object of Python type {type(value).__name__}"


_WORDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "text"),
    (bytes, "bytes"),
    (datetime.datetime, "a date and time"),
    (datetime.date, "a date"),
    ((list, tuple), "a list"),
    ((set, frozenset), "a set"),
    ((Mapping, Part), "an object"),
)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _needs_quotes(value: Any) -> bool:
    return isinstance(value, bool | int | float | datetime.date)
