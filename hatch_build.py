"""Compiles the C kernels into the package when a wheel or an editable installation is built.

Where there is no C compiler, or the folder cannot be written to, the build goes on and says so: the package counts with
NumPy then, slower and with the same outcome. ``CC`` names another compiler, ``CFLAGS`` more options. By hand,
``python hatch_build.py`` compiles, and with ``--check`` it only looks for anything a compiler warns of.
"""

from __future__ import annotations

import os
import runpy
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# What any processor of the platform runs, and IEEE-754 to the letter: no fused, no reordered arithmetic.
PORTABLE = ["-std=c11", "-O3", "-fPIC", "-ffp-contract=off", "-fno-fast-math", "-fvisibility=default"]
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
KERNELS = Path("airflow_monitoring_provider") / "kernels"


class KernelsHook(BuildHookInterface[Any]):
    """Hatchling's custom build hook."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the library into the wheel, which is for one platform then, and for every Python 3."""
        try:
            library = build(Path(self.root))
        except (OSError, RuntimeError) as error:
            self.app.display_warning(f"The kernels were not compiled, NumPy will count in their place: {error}")
            return
        build_data["artifacts"].append(f"/{library.relative_to(Path(self.root).resolve()).as_posix()}")
        build_data["pure_python"] = False
        build_data["tag"] = "py3-none-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")


def build(root: Path) -> Path:
    """Compile the library and remove what was compiled from other sources.

    :raises RuntimeError: there is no compiler, or it did not compile; no library is there afterwards.
    :raises OSError: the folder cannot be written to, or the compiler does not start.
    """
    room = runpy.run_path(str(root / KERNELS / "library.py"))
    library = Path(room["library_path"]())
    for path in library.parent.glob("kernels-*.so"):
        path.unlink(missing_ok=True)  # another build may have been faster
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        made = Path(folder) / library.name
        _compile([*PORTABLE, *shlex.split(os.environ.get("CFLAGS", "")), "-shared", "-o", str(made)], _compiled(room))
        made.replace(library)  # whoever has an older one loaded keeps it
    return library


def check(root: Path) -> None:
    """Compile without keeping anything, where every warning is an error.

    :raises RuntimeError: there is no compiler, or it found something.
    """
    for source in _compiled(runpy.run_path(str(root / KERNELS / "library.py"))):
        _compile([*PORTABLE, *STRICT, "-c", "-o", os.devnull], [source])


def _compiled(room: dict[str, Any]) -> list[Path]:
    return [path for path in room["sources"]() if path.suffix == ".c"]


def _compile(options: list[str], sources: list[Path]) -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if not shutil.which(compiler[0]):
        raise RuntimeError(f"there is no C compiler {compiler[0]!r}; CC names another")
    done = subprocess.run([*compiler, *options, *map(str, sources)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{compiler[0]} ended with {done.returncode}:\n{done.stderr}")


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    try:
        check(here) if sys.argv[1:] == ["--check"] else build(here)
    except (OSError, RuntimeError) as error:
        sys.exit(str(error))
