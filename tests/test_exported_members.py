"""The public names: listed, importable, documented, and no others.

A room's ``__init__`` names what other people may use in ``__all__``. Everything without a leading underscore is
documented where it is written, because a newcomer reads the module before any page about it.
"""

from __future__ import annotations

import ast
import importlib
import types
from pathlib import Path
from typing import Any

import pytest

PACKAGE = "airflow_monitoring_provider"
ROOT = Path(__file__).parents[1] / PACKAGE
MODULES = sorted(ROOT.rglob("*.py"))
ROOMS = sorted(
    ".".join(path.parent.relative_to(ROOT.parent).parts)
    for path in MODULES
    if path.name == "__init__.py" and "migrations" not in path.parts
)


def undocumented(source: str) -> list[str]:
    """The public classes and functions of a module that have no docstring; ``"the module"`` stands for itself."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else ["the module"]
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            overload = any(ast.unparse(decorator).endswith("overload") for decorator in node.decorator_list)
            if not node.name.startswith("_") and not overload and not ast.get_docstring(node):
                found.append(node.name)
    return found


def faults_of_exports(room: types.ModuleType) -> list[str]:
    """What is wrong with ``__all__`` of a room: names that are twice there, private, missing, undocumented or left out.

    Its order is Ruff's business.
    """
    names: list[str] = getattr(room, "__all__", [])
    faults = [f"names {name} twice" for name in sorted(set(names)) if names.count(name) > 1]
    for name in names:
        value: Any = getattr(room, name, None)
        if name.startswith("_"):
            faults.append(f"names the private {name}")
        elif value is None:
            faults.append(f"names {name}, which cannot be imported")
        elif isinstance(value, type | types.FunctionType) and not value.__doc__:
            faults.append(f"names {name}, which has no docstring")
        elif isinstance(value, types.ModuleType):
            faults.append(f"names the module {name}; people import modules by their path")
    own = {n for n, v in vars(room).items() if _is_ours(v) and not n.startswith("_")}
    faults += [f"leaves out {name}, which can be imported from it" for name in sorted(own - set(names))]
    return faults


def _is_ours(value: Any) -> bool:
    """Whether a value is a class or function that this package defines."""
    return isinstance(value, type | types.FunctionType) and value.__module__.partition(".")[0] == PACKAGE


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_and_public_name_has_a_docstring(path: Path) -> None:
    assert [] == undocumented(path.read_text("utf-8"))


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_exports_is_listed_importable_and_documented(room: str) -> None:
    assert [] == faults_of_exports(importlib.import_module(room))


@pytest.mark.parametrize("room", ROOMS)
def test_a_star_import_gives_exactly_the_listed_names(room: str) -> None:
    module = importlib.import_module(room)
    names: dict[str, object] = {}
    exec(f"from {room} import *", names)  # noqa: S102 - there is no other way to ask for a star import

    listed = set(getattr(module, "__all__", ()))
    assert listed == names.keys() - {"__builtins__"} or not listed


def test_the_version_is_the_distribution_s() -> None:
    import importlib.metadata

    import airflow_monitoring_provider

    assert importlib.metadata.version("airflow-monitoring-provider") == airflow_monitoring_provider.__version__


def test_missing_docstrings_are_found() -> None:
    source = "class A:\n    pass\n\ndef f():\n    pass\n\ndef _g():\n    pass\n\ndef h():\n    'Here.'\n"

    assert ["the module", "A", "f"] == undocumented(source)


def test_faulty_exports_are_found() -> None:
    room = types.ModuleType("room", "A room.")
    room.__all__ = ["b", "b", "a", "_c"]  # type: ignore[attr-defined]
    room.b = lambda: None  # type: ignore[attr-defined]
    room.d = type("D", (), {"__module__": f"{PACKAGE}.room"})  # type: ignore[attr-defined]

    assert [
        "names b twice",
        "names b, which has no docstring",
        "names b, which has no docstring",
        "names a, which cannot be imported",
        "names the private _c",
        "leaves out d, which can be imported from it",
    ] == faults_of_exports(room)
