"""Parts back into plain data, in either spelling."""

from __future__ import annotations

import datetime
import hashlib
import json
from enum import Enum, StrEnum
from typing import Any

from airflow_monitoring_provider.definitions.part import Part


class Keep(StrEnum):
    """Which fields are written; absent ones never are."""

    GIVEN = "given"  # what the caller gave, default or not
    EVERY = "every"
    DIFFERENT = "different"  # what differs from its default


def plain(part: Part, *, camel: bool, keep: Keep = Keep.GIVEN) -> dict[str, Any]:
    """A part as dictionaries, lists, text, numbers and booleans; instants as ISO 8601 text."""
    data = {}
    for name, field in type(part).model_fields.items():
        value = getattr(part, name)
        if value is None or not _kept(part, name, value, keep):
            continue
        key = (field.alias or name) if camel else name.rstrip("_")
        data[key] = _plain_value(value, camel, keep)
    return data


def content_digest(part: Part, *, without: tuple[str, ...] = ()) -> str:
    """SHA-256 (hex) of what differs from the defaults: the same for every spelling of the same content."""
    content = {key: value for key, value in plain(part, camel=False, keep=Keep.DIFFERENT).items() if key not in without}
    text = json.dumps({"format": 1, "content": content}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _kept(part: Part, name: str, value: Any, keep: Keep) -> bool:
    if keep is Keep.GIVEN:
        return name in part.model_fields_set
    return keep is Keep.EVERY or value != type(part).model_fields[name].default


def _plain_value(value: Any, camel: bool, keep: Keep) -> Any:
    if isinstance(value, Part):
        return plain(value, camel=camel, keep=keep)
    if isinstance(value, tuple | list):
        return [_plain_value(item, camel, keep) for item in value]
    if isinstance(value, dict):
        return {key: _plain_value(item, camel, keep) for key, item in value.items()}
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value.value if isinstance(value, Enum) else value
