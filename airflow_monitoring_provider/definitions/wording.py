"""Validation errors in plain words: what must be, and the type found; never a value that could be a secret."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from airflow_monitoring_provider.definitions.part import Part, shortened

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


def sentence(error: Mapping[str, Any]) -> str:
    """The end of the sentence that begins with the field's name, for one of pydantic's error details."""
    kind, found = error["type"], error["input"]
    context: Mapping[str, Any] = error.get("ctx", {})
    if kind in _EXPECTED_TYPES:
        hint = "; put it in quotes" if kind == "string_type" and _needs_quotes(found) else ""
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


def _needs_quotes(value: Any) -> bool:
    return isinstance(value, bool | int | float | datetime.date)
