"""Airflow's components import the skins at every start and DAG files import them at every parse: they must stay cheap.

Each module of the skins is imported in a fresh interpreter after ``airflow.sdk``; the libraries that cost seconds may
not arrive with it. What ``airflow.sdk`` itself loads is free, so the measure follows Airflow.
"""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PACKAGE = "airflow_monitoring_provider"
ROOT = Path(__file__).parents[1] / PACKAGE
# Rooms that may load what they need; every other one, known or new, is a skin.
BELOW_THE_SKINS = {
    "kernels", "definitions", "profiles", "metrics", "monitors", "engines", "intake", "outputs", "store", "jobs",
    "applications",
}  # fmt: skip
HEAVY = {
    "adbc_driver_manager",
    "alembic",
    "ctypes",
    "matplotlib",
    "numpy",
    "pandas",
    "psycopg",
    "psycopg2",
    "pyarrow",
    "scipy",
    "sklearn",
}

# Modules arrive one after another in one interpreter (starting one costs two seconds), so a heavy library is reported
# for the first module that brings it. A module that needs a library that is not installed is an error, not a skip.
_SCRIPT = textwrap.dedent("""
    import importlib, json, sys
    sdk, heavy, modules = json.loads(sys.stdin.read())
    if sdk:
        importlib.import_module("airflow.sdk")
    loaded = {name.partition(".")[0] for name in sys.modules}
    found = {}
    for module in modules:
        importlib.import_module(module)
        now = {name.partition(".")[0] for name in sys.modules}
        if new := sorted((now - loaded) & set(heavy)):
            found[module] = new
        loaded = now
    print(json.dumps(found))
""")


def skin_modules() -> list[str]:
    """Dotted names of every module of the skins, found by walking the package."""
    names = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] not in BELOW_THE_SKINS:
            names.append(".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts))))
    return names


def modules_of_jobs() -> list[str]:
    """Dotted names of every module that a job may need; applications are the users' own."""
    names = []
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[0] in BELOW_THE_SKINS - {"applications"} and "versions" not in parts and parts[-1] != "env":
            names.append(".".join((PACKAGE, *(parts[:-1] if parts[-1] == "__init__" else parts))))
    return names


def newly_loaded(
    modules: list[str], folder: Path, *, after_sdk: bool = True, heavy: set[str] = HEAVY
) -> dict[str, list[str]]:
    """The heavy libraries that each module brings along, for the modules that bring any."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "AIRFLOW_HOME": str(folder), "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        input=json.dumps([after_sdk, sorted(heavy), modules]),
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert 0 == done.returncode, done.stderr[-3000:]
    answer: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return answer


def test_no_skin_brings_a_heavy_library_along(tmp_path: Path) -> None:
    modules = skin_modules()
    assert {PACKAGE, f"{PACKAGE}.get_provider_info", f"{PACKAGE}.operators"} <= set(modules)

    assert {} == newly_loaded(modules, tmp_path)


@pytest.mark.parametrize("module", [PACKAGE, f"{PACKAGE}.get_provider_info", f"{PACKAGE}.definitions"])
def test_what_airflow_reads_first_is_light_without_airflow_too(module: str, tmp_path: Path) -> None:
    assert {} == newly_loaded([module], tmp_path, after_sdk=False)


def test_no_job_brings_pandas_along(tmp_path: Path) -> None:
    """``pa.array`` and ``pa.scalar`` import it where it is installed: 40 MB and a third of a second of every task."""
    modules = modules_of_jobs()
    assert {f"{PACKAGE}.jobs.run", f"{PACKAGE}.engines.actuals"} <= set(modules)

    assert {} == newly_loaded(modules, tmp_path, after_sdk=False, heavy={"pandas"})


def test_a_planted_heavy_import_is_found(tmp_path: Path) -> None:
    (tmp_path / "light.py").write_text("import json\n")
    (tmp_path / "planted.py").write_text("import light\nimport numpy.linalg\n")

    assert {"planted": ["numpy"]} == newly_loaded(["light", "planted"], tmp_path)
