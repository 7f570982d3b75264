"""A payload in either spelling, read into parts; every problem found is reported in the spelling it was written in.

Two passes. The first follows the parts' own fields through the payload: it turns each key into the field's name,
remembers how the caller wrote it, leaves out nulls, and reports unknown and doubled fields. The second is pydantic's
validation, whose errors are put into words and get the caller's keys back. Rules between fields are checked once the
fields by themselves are right.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from airflow_monitoring_provider.definitions.baseline import BASELINES
from airflow_monitoring_provider.definitions.document import check_data
from airflow_monitoring_provider.definitions.part import Part, PartPath, did_you_mean
from airflow_monitoring_provider.definitions.wording import error_of, sentence, written_path

PartType = TypeVar("PartType", bound=Part)
CAMEL, SNAKE = "camel", "snake"

_FIELD_MENTION = re.compile(r"`([a-z_.]+)`")


def read_part(part: type[PartType], payload: Mapping[str, Any], *, style: str = CAMEL) -> PartType:
    """Make a part from a payload in either spelling.

    :param style: the spelling to name fields in where the payload's own keys do not tell.
    :raises DefinitionError: with every problem found.
    """
    values, reading = _spelt(part, payload, style)
    result: PartType | None = None
    try:
        result = part.__pydantic_validator__.validate_python(values)
    except ValidationError as error:
        reading.add(error)
    reading.raise_problems()
    assert result is not None  # noqa: S101  either a result or a problem
    return result


def validate_into(instance: Part, keywords: dict[str, Any]) -> None:
    """Fill a part that is being constructed from keywords.

    :raises DefinitionError: with every problem found.
    """
    values, reading = _spelt(type(instance), keywords, SNAKE)
    try:
        instance.__pydantic_validator__.validate_python(values, self_instance=instance)
    except ValidationError as error:
        reading.add(error)
    reading.raise_problems()


class Reading:
    """How one payload is spelt, and what is wrong with it."""

    def __init__(self, style: str) -> None:
        self._default_style = style
        self._spelling: dict[PartPath, str] = {}
        self._styles: dict[PartPath, set[str]] = {}
        self._problems: list[tuple[PartPath, str]] = []

    def part(self, part: type[Part], data: Mapping[Any, Any], path: PartPath) -> dict[str, Any]:
        """The values of one object by field name."""
        names, values = field_names(part), dict[str, Any]()
        for key, value in data.items():
            name = names.get(key)
            if name is None:
                self._unknown(part, key, path)
                continue
            self._note_style(key, path)
            if value is None:
                continue
            place = (*path, name)
            if name in values:
                self._problems.append((place, f"is given twice, as {self._spelling[place]} and as {key}"))
                continue
            self._spelling[place] = key
            values[name] = self._value(part, name, value, place)
        return values

    def add(self, error: ValidationError) -> None:
        """Take over what pydantic found."""
        known = {path[:length] for path, _ in self._problems for length in range(len(path) + 1)}
        for detail in error.errors(include_url=False):
            if detail["type"] == "too_short" and detail["input"]:
                continue  # it is long enough: pydantic counts only the items that are right
            path = tuple(step for step in detail["loc"] if step not in _TAGS)
            if detail["type"] == "breaches":
                found = [((*path, *below), text) for below, text in detail["ctx"]["problems"]]
            else:
                found = [(path, sentence(detail))]
            self._problems += [problem for problem in found if problem[0] not in known or detail["type"] == "breaches"]

    def raise_problems(self) -> None:
        """Raise one error for everything collected, if anything was."""
        if not self._problems:
            return
        written: dict[str, str] = {}
        for path, text in self._problems:
            style = self._style(path[:-1])
            worded = _FIELD_MENTION.sub(lambda match, style=style: _in_style(match[1], style), text)  # type: ignore[misc]
            written.setdefault(written_path(self._written(path)), worded)
        raise error_of(list(written.items()))

    def _value(self, part: type[Part], name: str, value: Any, path: PartPath) -> Any:
        choice = part.choices.get(name)
        if choice is not None:
            if not isinstance(value, Mapping):
                return value
            chosen = choice.pick(value)
            if chosen is None:
                self._spelling[(*path, "type")] = "type"
                self._problems.append(((*path, "type"), choice.fault(value)))
                return None
            return self.part(chosen, value, path)
        nested, container = nested_part(part, name)
        if isinstance(value, Mapping):
            if nested is not None and container is None:
                return self.part(nested, value, path)
            return self._free_object(nested if container is dict else None, value, path)
        if nested is not None and isinstance(value, list | tuple):
            return [self._item(nested, item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _free_object(self, nested: type[Part] | None, data: Mapping[Any, Any], path: PartPath) -> dict[Any, Any]:
        """An object whose keys are the caller's own words: column names, metric ids."""
        values = {}
        for key, value in data.items():
            if value is not None:
                self._spelling[(*path, key)] = key
                values[key] = value if nested is None else self._item(nested, value, (*path, key))
        return values

    def _item(self, nested: type[Part], item: Any, path: PartPath) -> Any:
        return self.part(nested, item, path) if isinstance(item, Mapping) else item

    def _unknown(self, part: type[Part], key: Any, path: PartPath) -> None:
        if not isinstance(key, str):
            self._problems.append((path, "has a key that is not text"))
            return
        self._spelling[(*path, key)] = key
        self._problems.append(((*path, key), f"is not a known field{did_you_mean(key, field_names(part))}"))

    def _note_style(self, key: str, path: PartPath) -> None:
        if "_" in key:
            self._styles.setdefault(path, set()).add(SNAKE)
        elif key != key.lower():
            self._styles.setdefault(path, set()).add(CAMEL)

    def _style(self, path: PartPath) -> str:
        for styles in (self._styles.get(path, set()), *self._styles.values()):
            if len(styles) == 1:
                return next(iter(styles))
        return self._default_style

    def _written(self, path: PartPath) -> PartPath:
        """The path in the caller's spelling; fields the caller left out are spelt like their neighbours."""
        steps: list[str | int] = []
        for length, step in enumerate(path, 1):
            if isinstance(step, int):
                steps.append(step)
            else:
                steps.append(self._spelling.get(path[:length]) or _in_style(step, self._style(path[: length - 1])))
        return tuple(steps)


@cache
def field_names(part: type[Part]) -> dict[str, str]:
    """Every way to write a field of the part -> the field's name."""
    names: dict[str, str] = {}
    for name, field in part.model_fields.items():
        names |= {name.rstrip("_"): name, name: name, field.alias or name: name}
    return names


@cache
def nested_part(part: type[Part], name: str) -> tuple[type[Part] | None, type | None]:
    """The part inside a field's type, if any, and whether the field holds a list or an object of them."""
    return _nested(part.model_fields[name].annotation, None)


def _nested(annotation: Any, container: type | None) -> tuple[type[Part] | None, type | None]:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation, container
    origin = get_origin(annotation)
    inner = _CONTAINERS.get(origin, container)
    for argument in get_args(annotation):
        found = _nested(argument, inner)
        if found[0] is not None:
            return found
    return None, dict if origin is dict else container


_CONTAINERS: dict[Any, type] = {tuple: list, dict: dict}


def _spelt(part: type[Part], payload: Mapping[str, Any], style: str) -> tuple[dict[str, Any], Reading]:
    check_data(payload)
    reading = Reading(style)
    return reading.part(part, payload, ()), reading


def _in_style(name: str, style: str) -> str:
    steps = [step.rstrip("_") for step in name.split(".")]
    return ".".join(steps if style == SNAKE else map(to_camel, steps))


_TAGS = frozenset(
    ["<one column>", "<classes>", "<object>", "<list>", "[key]"]
    + [f"<{kind}{place}>" for kind in ("Sql", "File", "Unserved") for place in ("Intake", "Output")]
    + [f"<{part.__name__}>" for _, part in BASELINES.parts]
)
