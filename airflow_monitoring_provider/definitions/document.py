"""JSON and YAML text into plain data, and plain data checked: nothing a definition needs is refused, no bomb gets in.

Limits: 1 MiB of text, 32 levels, 100 000 values. Refused: keys given twice, YAML anchors, aliases, tags and more than
one document, numbers that are not finite or beyond 64 bits, and text no database can hold (NUL, half surrogate pairs).
Nothing is ever rendered: braces and percent signs are text.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from airflow_monitoring_provider.definitions.part import Part, PartPath
from airflow_monitoring_provider.definitions.wording import error_of, written_path
from airflow_monitoring_provider.exceptions import DefinitionError

LARGEST_TEXT = 1 << 20
DEEPEST = 32
MOST_VALUES = 100_000

_SCALARS = (str, int, float, type(None))
_NO_TEXT = re.compile("[\\0\ud800-\udfff]")


def read_json(text: str) -> Any:
    """The value of a JSON text.

    :raises DefinitionError: the text is no JSON (with line and column), or breaks a limit of this module.
    """
    _check_size(text)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_not_finite)
    except json.JSONDecodeError as error:
        raise DefinitionError(
            f"the definition is not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise DefinitionError(_TOO_DEEP) from None
    except ValueError:  # an integer of thousands of digits
        raise DefinitionError("the definition holds a number that is too large") from None
    check_data(value)
    return value


def read_yaml(text: str) -> Any:
    """The value of a YAML text, by the safe loader.

    :raises DefinitionError: the text is no YAML (with line and column), or breaks a limit of this module.
    """
    import yaml

    from airflow_monitoring_provider.definitions.yaml_loader import check_events, load

    _check_size(text)
    try:
        check_events(text, DEEPEST)
        value = load(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        raise DefinitionError(f"the definition is not valid YAML: {error.problem or 'syntax error'}{place}") from None
    except yaml.YAMLError:
        raise DefinitionError(
            "the definition is not valid YAML: it holds a character that YAML does not allow"
        ) from None
    except ValueError:  # an impossible date, an integer of thousands of digits
        raise DefinitionError("the definition holds a date or number that does not exist or is too large") from None
    check_data(value)
    return value


def check_data(value: Any) -> None:
    """Refuse plain data that no definition can hold, wherever it stands.

    :raises DefinitionError: naming every place.
    """
    problems: dict[str, str] = {}
    for path, text in _faults(value):
        problems.setdefault(written_path(path), text)
    if problems:
        raise error_of(list(problems.items()))


class Repeating(dict[Hashable, Any]):
    """An object in which keys were given more than once; the last values won."""

    repeated: tuple[Hashable, ...] = ()


def _object(pairs: list[tuple[Hashable, Any]]) -> Repeating:
    data = Repeating(pairs)
    if len(data) < len(pairs):
        seen: set[Hashable] = set()
        data.repeated = tuple(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return data


def _not_finite(_word: str) -> float:
    return math.nan


def _check_size(text: str) -> None:
    try:
        size = len(text) if len(text) > LARGEST_TEXT else len(text.encode())
    except UnicodeEncodeError:
        raise DefinitionError("the definition holds half of a surrogate pair, which is no text") from None
    if size > LARGEST_TEXT:
        raise DefinitionError("the definition is larger than 1 MiB")


_TOO_DEEP = f"the definition is nested more than {DEEPEST} levels deep"


def _faults(value: Any) -> Iterator[tuple[PartPath, str]]:
    """Walk without recursion, so that depth is a number and not a crash."""
    waiting: list[tuple[PartPath, Any]] = [((), value)]
    visited = 0
    while waiting:
        path, current = waiting.pop()
        visited += 1
        if visited > MOST_VALUES:
            raise DefinitionError(f"the definition holds more than {MOST_VALUES} values")
        if isinstance(current, _SCALARS):  # most values: asked first, since asking for a Mapping takes longer
            if (fault := _scalar_fault(current)) is not None:
                yield path, fault
            continue
        if isinstance(current, Mapping | list | tuple) and len(path) >= DEEPEST:
            raise DefinitionError(_TOO_DEEP)
        if isinstance(current, Part):
            continue
        if isinstance(current, Mapping):
            yield from (((*path, str(key)), "is given twice") for key in getattr(current, "repeated", ()))
            yield from (
                (path, "has a key that is not text; put it in quotes") for key in current if not isinstance(key, str)
            )
            items = [(key, item) for key, item in current.items() if isinstance(key, str)]
            yield from ((path, "has a key that no text can hold") for key, _ in items if _unstorable(key))
            waiting += [((*path, key), item) for key, item in reversed(items)]
        elif isinstance(current, list | tuple):
            waiting += [((*path, index), item) for index, item in reversed(list(enumerate(current)))]


def _scalar_fault(value: object) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return "must be a number within 64 bits"
    if isinstance(value, str) and _unstorable(value):
        return "must not hold NUL or half of a surrogate pair"
    return None


def _unstorable(text: str) -> bool:
    return _NO_TEXT.search(text) is not None
