"""Arguments of the store's public methods: of the type they are meant to be, or refused by name with what to do."""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterable
from typing import Any, TypeVar

from airflow_monitoring_provider.exceptions import ConfigurationError, DefinitionError, NotFound

Value = TypeVar("Value")


def identity(value: str, field: str, what: str) -> str:
    """An id that something may have.

    Raises :class:`DefinitionError` for what is no text, :class:`NotFound` for a text with NUL, which no database holds.

    :param what: has the id: a batch, a job.
    """
    if not isinstance(value, str):
        raise _wrong(field, "text", value, "give the id as the store gave it")
    if "\0" in value:
        raise NotFound(f"no {what} has this id, which holds NUL")
    return value


def identities(values: Collection[str], field: str) -> list[str]:
    """Some ids; one text alone is none, as its characters would be taken for ids."""
    if isinstance(values, str) or not isinstance(values, Collection):
        raise _wrong(field, "a list of ids", values, "put one id into a list, too")
    wrong = next((value for value in values if not isinstance(value, str)), None)
    if wrong is not None:
        raise _wrong(f"{field}: an id", "text", wrong, "give the ids as the store gave them")
    return [value for value in values if "\0" not in value]


def instance(value: Value, kind: type[Value], field: str, way_out: str) -> Value:
    """A text, or a value of one of this package's classes."""
    if not isinstance(value, kind):
        raise _wrong(field, "text" if kind is str else f"a {kind.__name__}", value, way_out)
    return value


def instances(values: Iterable[Value], kind: type[Value], field: str, way_out: str) -> list[Value]:
    """Several values of one of this package's classes."""
    if not isinstance(values, Iterable):
        raise _wrong(field, f"a list of {kind.__name__}", values, "put one value into a list, too")
    return [instance(value, kind, field, way_out) for value in values]


def choice(value: str, allowed: Iterable[str], field: str) -> str:
    """One word of several."""
    words = tuple(allowed)
    if not isinstance(value, str) or value not in words:
        found = "" if isinstance(value, str) else f", not {type(value).__name__}; leave it out for the usual"
        raise ConfigurationError(f"{field} must be one of {', '.join(words)}{found}")
    return value


def whole(value: int, field: str, most: int | None = None, *, least: int = 0) -> int:
    """A whole number, also NumPy's."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    limits = f"{least} or more" if most is None else f"{least} to {most}"
    if number is None or isinstance(value, bool):
        raise ConfigurationError(f"{field} must be a whole number, {limits}, not {type(value).__name__}")
    if number < least or (most is not None and number > most):
        raise ConfigurationError(f"{field} must be {limits}")
    return number


def _wrong(field: str, wanted: str, value: Any, way_out: str) -> DefinitionError:
    return DefinitionError(f"{field} must be {wanted}, not {type(value).__name__}; {way_out}", field=field)
