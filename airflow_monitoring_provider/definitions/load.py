"""Definitions in and out: mappings in either spelling, JSON and YAML text, files and folders.

Every failure is one :class:`~airflow_monitoring_provider.exceptions.DefinitionError` with all problems found, each
named as the caller spelt it. What is written can be read again and gives an equal definition.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, overload

from airflow_monitoring_provider.definitions.document import LARGEST_TEXT, read_json, read_yaml
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.partitions import Partitions
from airflow_monitoring_provider.definitions.reading import CAMEL, SNAKE, read_part
from airflow_monitoring_provider.definitions.wording import type_found
from airflow_monitoring_provider.definitions.writing import Keep, content_digest, plain
from airflow_monitoring_provider.exceptions import DefinitionError

TextForm = Literal["json", "yaml"]

_FORMS: dict[str, TextForm] = {".json": "json", ".yaml": "yaml", ".yml": "yaml"}


def load_definition(payload: Mapping[str, Any] | JobDefinition) -> JobDefinition:
    """A definition from a mapping with camelCase or snake_case keys (a mixture is fine), or the definition itself.

    :raises DefinitionError: the payload breaks a rule.
    """
    if isinstance(payload, JobDefinition):
        return payload
    return _from_data(payload, CAMEL)


def with_partitions(
    definition: JobDefinition, partitions: Partitions | Mapping[str, Any] | int | None
) -> JobDefinition:
    """The definition with other partitions; with its own for None.

    :param partitions: a number is the most parts there may be.
    :raises DefinitionError: rows of this intake cannot be cut so.
    """
    if partitions is None:
        return definition
    if isinstance(partitions, int):
        partitions = {"count": partitions}
    given = plain(partitions, camel=False) if isinstance(partitions, Partitions) else partitions
    return load_definition(dump_definition(definition, "python") | {"partitions": given})


def parse_definition(text: str, form: TextForm) -> JobDefinition:
    """A definition from JSON or YAML text; either may use either spelling.

    :raises DefinitionError: the text is not of that form or too large or deep, or the definition breaks a rule.
    """
    if form == "json":
        return _from_data(read_json(text), CAMEL)
    if form == "yaml":
        return _from_data(read_yaml(text), SNAKE)
    raise ValueError(f"a definition is read from json or yaml, not {form}")


def read_definition_file(path: str | Path) -> JobDefinition:
    """A definition from a ``.json``, ``.yaml`` or ``.yml`` file in UTF-8.

    :raises DefinitionError: as :func:`parse_definition`, or the file cannot be read; the message begins with its name.
    """
    path = Path(path)
    try:
        form = _FORMS.get(path.suffix.lower())
        if form is None:
            raise DefinitionError(f"the file must end in {', '.join(_FORMS)}")
        return parse_definition(_file_text(path), form)
    except DefinitionError as error:
        raise DefinitionError(f"{path.name}: {error}", field=error.field, problems=error.problems) from None


def read_definition_folder(path: str | Path) -> dict[Path, JobDefinition | DefinitionError]:
    """Every definition file of a folder and its subfolders, in the order of their paths; names with a leading dot are
    left out. A file that cannot be read, or whose id or DAG id an earlier file has, gives its error instead.

    :raises DefinitionError: the folder itself cannot be read.
    """
    path = Path(path)
    if not path.is_dir():
        raise DefinitionError(f"{path.name} is not a folder")
    found: dict[Path, JobDefinition | DefinitionError] = {}
    taken: dict[tuple[str, str], Path] = {}
    for file in sorted(path.rglob("*")):
        hidden = any(step.startswith(".") for step in file.relative_to(path).parts)
        if hidden or file.suffix.lower() not in _FORMS or file.is_dir():
            continue
        try:
            definition = read_definition_file(file)
        except DefinitionError as error:
            found[file] = error
            continue
        found[file] = _unless_taken(definition, file, taken)
    return found


@overload
def dump_definition(definition: JobDefinition, form: TextForm = "json", *, every: bool = False) -> str: ...
@overload
def dump_definition(
    definition: JobDefinition, form: Literal["payload", "python"], *, every: bool = False
) -> dict[str, Any]: ...
def dump_definition(definition: JobDefinition, form: str = "json", *, every: bool = False) -> str | dict[str, Any]:
    """A definition in one of its forms; :func:`load_definition` and :func:`parse_definition` read them back.

    :param form: ``json`` camelCase text, ``yaml`` snake_case text, ``payload`` camelCase data ready for JSON,
        ``python`` snake_case data ready for JSON.
    :param every: write defaults, too, not only what the definition was made from.
    """
    camel = form in ("json", "payload")
    data = plain(definition, camel=camel, keep=Keep.EVERY if every else Keep.GIVEN)
    if every and definition.enabled and definition.schedule is None:
        del data["enabled"]  # true by default, but may not be stated without a schedule
    names = {"id": definition.id, "name": definition.name}
    data = {**names, **data} if every or "id" in data else {"name": definition.name, **data}
    if form == "json":
        return json.dumps(data, ensure_ascii=False, indent=2, allow_nan=False)
    if form == "yaml":
        import yaml

        return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)
    if form in ("payload", "python"):
        return data
    raise ValueError(f"a definition is written as json, yaml, payload or python, not {form}")


def definition_digest(definition: JobDefinition) -> str:
    """SHA-256 (hex) of the definition's content: equal for equal definitions in any form, different otherwise."""
    return content_digest(definition)


def _from_data(data: Any, style: str) -> JobDefinition:
    if not isinstance(data, Mapping):
        raise DefinitionError(f"the definition must be an object, not {type_found(data)}")
    return read_part(JobDefinition, data, style=style)


def _file_text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DefinitionError("the file must be a regular file")
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 4)
        return content.decode("utf-8-sig")
    except OSError as error:
        raise DefinitionError(f"the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DefinitionError("the file must be UTF-8 text") from None


def _unless_taken(
    definition: JobDefinition, file: Path, taken: dict[tuple[str, str], Path]
) -> JobDefinition | DefinitionError:
    for field, value in (("id", definition.id), ("name", definition.dag_id)):
        first = taken.setdefault((field, value), file)
        if first != file:
            return DefinitionError(f"{file.name}: {field}: is also that of {first.name}", field=field)
    return definition
