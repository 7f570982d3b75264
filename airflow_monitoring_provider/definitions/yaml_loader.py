"""YAML without its surprises: plain scalars, lists and objects of one document, keys once."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

from airflow_monitoring_provider.definitions.document import Repeating

_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C one is ten times faster where it was built


class _Loader(_SafeLoader):  # type: ignore[misc]
    """The safe loader, noticing keys that are given twice."""


def _object(loader: Any, node: yaml.MappingNode) -> dict[Any, Any]:
    data, repeated = Repeating(), list[Hashable]()
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key that is not text", key_node.start_mark)
        if key in data:
            repeated.append(key)
        data[key] = loader.construct_object(value_node, deep=True)
    data.repeated = tuple(repeated)
    return data


_Loader.add_constructor("tag:yaml.org,2002:map", _object)


def load(text: str) -> Any:
    """The value of the only document."""
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def check_events(text: str, deepest: int) -> None:
    """Refuse what makes YAML dangerous before anything is built.

    :raises yaml.MarkedYAMLError: an anchor, alias, tag, second document or too many levels, with its place.
    """
    depth = documents = 0
    for event in yaml.parse(text, Loader=_SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _refuse("anchors and aliases are not read", event)
        if getattr(event, "tag", None) is not None:
            _refuse("tags are not read (text that looks like something else goes in quotes)", event)
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                _refuse("there is more than one document", event)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > deepest:
                _refuse(f"there are more than {deepest} levels", event)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def _refuse(problem: str, event: Any) -> None:
    raise yaml.constructor.ConstructorError(None, None, problem, event.start_mark)
