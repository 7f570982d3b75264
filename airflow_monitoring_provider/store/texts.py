"""Text on its way into the store: names are checked, free text is made to fit."""

from __future__ import annotations

import hashlib

from airflow_monitoring_provider.definitions.identifiers import forbidden_character
from airflow_monitoring_provider.exceptions import DefinitionError
from airflow_monitoring_provider.store.columns import MONITOR_ID_LIMIT
from airflow_monitoring_provider.store.types import storable

NAME_LIMIT = 255
LINE_LIMIT = 2_000
_DIGEST = 16


def name(value: str, field: str, *, limit: int = NAME_LIMIT) -> str:
    """The name as it is, byte for byte.

    Raises :class:`DefinitionError` naming ``field`` where the name is no text, empty, too long, or holds a character
    that no database stores (NUL) or no terminal shows (control characters, lone surrogates).
    """
    if not isinstance(value, str):
        raise DefinitionError(f"{field} must be text, not {type(value).__name__}", field=field)
    if not value:
        raise DefinitionError(f"{field} is empty; give it a name of 1 to {limit} characters", field=field)
    if len(value) > limit:
        raise DefinitionError(f"{field} has {len(value)} characters; use at most {limit}", field=field)
    if (character := forbidden_character(value)) is not None:
        raise DefinitionError(f"{field} must not hold {character}; remove it", field=field)
    return value


def optional_name(value: str | None, field: str, *, limit: int = NAME_LIMIT) -> str | None:
    """:func:`name`, or None where there is none."""
    return None if value is None else name(value, field, limit=limit)


def free(value: str, field: str) -> str:
    """Free text of any length, with unstorable characters replaced; :class:`DefinitionError` for what is no text."""
    if not isinstance(value, str):
        raise DefinitionError(f"{field} must be text, not {type(value).__name__}", field=field)
    return storable(value)


def monitor(value: str) -> str:
    """The id of a monitor. It is made of names that come from intake, so it may hold what is refused elsewhere."""
    if not value or len(value) > MONITOR_ID_LIMIT:
        raise DefinitionError(f"a monitor's id must have 1 to {MONITOR_ID_LIMIT} characters", field="monitor_id")
    return storable(value)


def column(value: str | None) -> str | None:
    """The name of a monitored column, or None for the whole batch; definitions have checked the names they hold.

    Files may have longer names than the tables hold: of those the end is a hash, so that two of them stay two.
    """
    if value is None or len(value) <= NAME_LIMIT:
        return None if value is None else storable(value)
    digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{storable(value[: NAME_LIMIT - _DIGEST - 1])}…{digest}"


def line(value: object, *, limit: int = LINE_LIMIT) -> str:
    """Free text (a reason, a log line) cut to ``limit`` characters, with unstorable characters replaced.

    A job that fails must be able to say why, so nothing here is refused.
    """
    text = storable(str(value))
    return text if len(text) <= limit else text[: limit - 1] + "…"
