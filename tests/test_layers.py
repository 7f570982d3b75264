"""The layer rule: arrows between rooms only point to a lower number, and Airflow stays in the skins.

``wrong_arrows`` is a function over source text, so that the rule itself is tested on planted mistakes. It walks the
syntax tree: an import inside a function, under ``TYPE_CHECKING`` or through ``import_module("…")`` counts as well.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "airflow_monitoring_provider"
ROOT = Path(__file__).parents[1] / PACKAGE

LAYERS = {
    "kernels": 0,
    "definitions": 0,
    "profiles": 1,
    "metrics": 1,
    "monitors": 1,
    "engines": 2,
    "intake": 2,
    "outputs": 2,
    "store": 2,
    "jobs": 3,
    "applications": 3,
    "hooks": 4,
    "operators": 4,
    "sensors": 4,
    "triggers": 4,
    "notifications": 4,
    "decorators": 4,
    "dags": 4,
    "cli": 4,
    "api": 4,
    "plugins": 4,
    "ui": 4,
    "get_provider_info": 4,
}
SKIN = 4
# The package itself (its version) and the error tree belong to everybody.
FOR_ALL = {"", "exceptions"}
# Arrows between two rooms of one layer. Profiles are what metrics compare, and metric values are what monitors judge.
# Engines read rows through intake's protocol and count them in the words of each database: these modules, not the room.
BETWEEN_EQUALS = {
    ("metrics", "profiles"): "",
    ("monitors", "metrics"): "",
    ("engines", "intake"): "source words",
}
SKIN_LIBRARIES = {"airflow", "fastapi", "starlette", "strawberry", "uvicorn"}
# DAG files import definitions at every parse, so that room stays light: these and the standard library.
LIBRARIES_OF_DEFINITIONS = {"pydantic", "pydantic_core", "yaml", "croniter", "typing_extensions"}
CONNECTION_LOOKUPS = {"get_connection", "aget_connection", "get_connection_from_secrets", "get_hook"}


def wrong_arrows(module: str, source: str) -> list[str]:
    """What a module does against the layer rule, one sentence each.

    :param module: dotted name below the package, ``""`` for the package itself (``"metrics.drift"``).
    """
    tree = ast.parse(source)
    room = module.partition(".")[0]
    if room not in LAYERS and room not in FOR_ALL:
        return [f"{module}: the room {room!r} has no layer; give it one in this test and in the architecture page"]
    problems = [_wrong_import(module, room, name) for name in _imported_names(tree)]
    problems += _foreign_connections(module, room, tree)
    return sorted({problem for problem in problems if problem})


def _imported_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from package import room` imports the room; `from room.module import name` may not import `name`,
            # but the longer path gives the same answer.
            prefix = "." * node.level + (node.module or "")
            yield from (f"{prefix}.{alias.name}" if prefix.strip(".") else prefix + alias.name for alias in node.names)
        elif isinstance(node, ast.Call) and _called(node) in {"import_module", "__import__", "import_string"}:
            yield from (a.value for a in node.args[:1] if isinstance(a, ast.Constant) and isinstance(a.value, str))


def _wrong_import(module: str, room: str, name: str) -> str:
    if name.startswith("."):
        return f"{module}: relative import {name}; write the package's name, so that arrows can be read"
    top, _, below = name.partition(".")
    layer = LAYERS.get(room, -1)
    if top in SKIN_LIBRARIES and layer != SKIN:
        return f"{module}: imports {top}; only layer {SKIN} does"
    if room == "definitions" and top not in LIBRARIES_OF_DEFINITIONS | {PACKAGE} and top not in sys.stdlib_module_names:
        return f"{module}: imports {top}; definitions use {', '.join(sorted(LIBRARIES_OF_DEFINITIONS))} only"
    if top != PACKAGE:
        return ""
    target, _, rest = below.partition(".")
    if target in FOR_ALL or target.startswith("__") or target == room:
        return ""
    if target not in LAYERS:
        return f"{module}: imports {name}, a room without a layer"
    if room in FOR_ALL:
        return f"{module}: belongs to everybody and so imports no room, but imports {target}"
    if LAYERS[target] < layer or (layer == LAYERS[target] == SKIN):
        return ""
    if layer == LAYERS[target] and (room, target) in BETWEEN_EQUALS:
        part = BETWEEN_EQUALS[room, target]
        if not part or rest.partition(".")[0] in part.split():
            return ""
    return f"{module} (layer {layer}): imports {name} (layer {LAYERS[target]})"


def _foreign_connections(module: str, room: str, tree: ast.AST) -> Iterator[str]:
    if room == "hooks":
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node) in CONNECTION_LOOKUPS:
            yield f"{module}: calls {_called(node)}(); only hooks/ touches connections"
        elif isinstance(node, ast.ImportFrom) and f"{node.module}.".startswith("airflow."):
            yield from (
                f"{module}: imports Airflow's Connection; only hooks/ touches connections"
                for alias in node.names
                if alias.name == "Connection"
            )


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


def _modules() -> dict[str, Path]:
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def test_every_arrow_points_to_a_lower_layer() -> None:
    modules = _modules()
    assert len(modules) > 10

    assert [] == [problem for name, path in modules.items() for problem in wrong_arrows(name, path.read_text("utf-8"))]


def test_rooms_do_not_import_each_other_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for name, path in _modules().items():
        room = name.partition(".")[0]
        for imported in _imported_names(ast.parse(path.read_text("utf-8"))):
            parts = imported.split(".")
            if parts[0] == PACKAGE and len(parts) > 1 and parts[1] in LAYERS and parts[1] != room:
                arrows.setdefault(room, set()).add(parts[1])

    assert [] == _circle(arrows)


def _circle(arrows: dict[str, set[str]]) -> list[str]:
    """The rooms of one circle, or [] when rooms can be sorted so that all arrows point one way."""
    left = {room: set(targets) for room, targets in arrows.items()}
    while free := [room for room, targets in left.items() if not targets & left.keys()]:
        for room in free:
            del left[room]
    return sorted(left)


def test_a_circle_of_rooms_is_found() -> None:
    assert ["dags", "operators"] == _circle({"dags": {"operators"}, "operators": {"dags"}, "cli": {"jobs"}})
    assert [] == _circle({"dags": {"operators"}, "operators": {"hooks"}, "cli": {"jobs", "dags"}})


@pytest.mark.parametrize(
    ("module", "line"),
    [
        pytest.param("metrics.drift", f"from {PACKAGE}.store import tables", id="upwards"),
        pytest.param("metrics.drift", f"import {PACKAGE}.jobs.run", id="upwards with a plain import"),
        pytest.param("metrics.drift", f"from {PACKAGE} import jobs", id="upwards from the package"),
        pytest.param("jobs.run", f"def f():\n    from {PACKAGE}.hooks import store", id="inside a function"),
        pytest.param("jobs.run", f"if TYPE_CHECKING:\n    from {PACKAGE}.hooks import store", id="for types only"),
        pytest.param("jobs.run", f"importlib.import_module('{PACKAGE}.hooks.store')", id="by name"),
        pytest.param("outputs.sql", f"from {PACKAGE}.intake.source import TimeFilter", id="between equals"),
        pytest.param("engines.arrow", f"from {PACKAGE}.intake.sql import SqlSource", id="past the protocol"),
        pytest.param("engines.arrow", f"from {PACKAGE}.intake import SqlSource", id="past the protocol by the room"),
        pytest.param("profiles.plan", f"from {PACKAGE}.metrics import values", id="profiles know no metrics"),
        pytest.param("engines.arrow", "from ..store import tables", id="relative"),
        pytest.param("exceptions", f"from {PACKAGE}.definitions import terms", id="out of the error tree"),
        pytest.param("jobs.run", "from airflow.sdk import BaseHook", id="Airflow below the skins"),
        pytest.param("store.store", "def f():\n    import airflow", id="Airflow inside a function"),
        pytest.param("applications.app", "import fastapi", id="FastAPI below the skins"),
        pytest.param("definitions.model", "import numpy as np", id="a heavy library in definitions"),
        pytest.param("operators.job", "BaseHook.get_connection('x')", id="a connection outside hooks"),
        pytest.param("api.app", "from airflow.sdk import Connection", id="a connection's class outside hooks"),
        pytest.param("misc.bag", "import json", id="a room without a layer"),
        pytest.param("jobs.run", f"from {PACKAGE}.misc import bag", id="an arrow to a room without a layer"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, line: str) -> None:
    assert 1 == len(wrong_arrows(module, line))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("metrics.drift", f"from {PACKAGE}.profiles.profile import Profile"),
        ("metrics.drift", f"from {PACKAGE}.metrics.values import MetricValue"),
        ("engines.arrow", f"from {PACKAGE}.intake.source import RowSource"),
        ("engines.arrow", f"from {PACKAGE}.exceptions import SourceError"),
        ("store.store", f"from {PACKAGE} import __version__"),
        ("operators.job", f"from {PACKAGE}.hooks.store import StoreHook"),
        ("operators.job", "from airflow.sdk import BaseOperator"),
        ("hooks.store", "BaseHook.get_connection('x')"),
        ("definitions.schedule", "def f():\n    from croniter import croniter"),
    ],
)
def test_a_right_arrow_is_not_reported(module: str, line: str) -> None:
    assert [] == wrong_arrows(module, line)
