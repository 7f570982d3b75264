"""Compiles the C kernels into the package when a wheel or an editable installation is built.

Where there is no C compiler, or the folder cannot be written to, the build goes on and says so: the package counts with
NumPy then, slower and with the same outcome. ``CC`` names another compiler, ``CFLAGS`` and ``ARCHFLAGS`` more options.
By hand, ``python hatch_build.py`` compiles; with ``--missing`` only where there is no whole library of these sources,
and with ``--check`` it only looks for anything a compiler warns of.
"""

from __future__ import annotations

import os
import runpy
import shlex
import shutil
import struct
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

_PROCESSORS = {0x0100_0007: "x86_64", 0x0100_000C: "arm64"}  # CPU_TYPE_…
_OLDEST = {0x32: 12, 0x24: 8}  # LC_BUILD_VERSION and, before it, LC_VERSION_MIN_MACOSX: where in each the version is


class KernelsHook(BuildHookInterface[Any]):
    """Hatchling's custom build hook."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the library into the wheel, which is for one platform then, and for every Python 3."""
        try:
            library = build(Path(self.root))
            platform = platform_tag(library.read_bytes())
        except (OSError, RuntimeError) as error:
            self.app.display_warning(f"The kernels were not compiled, NumPy will count in their place: {error}")
            return
        build_data["artifacts"].append(f"/{library.relative_to(Path(self.root).resolve()).as_posix()}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"


def build(root: Path) -> Path:
    """Compile the library and remove what was compiled from other sources.

    :raises RuntimeError: there is no compiler, or it did not compile; no library is there afterwards.
    :raises OSError: the folder cannot be written to, or the compiler does not start.
    """
    room = _room(root)
    folder = root.resolve() / KERNELS
    for path in folder.glob("kernels-*.so"):
        path.unlink(missing_ok=True)  # another build may have been faster
    with tempfile.TemporaryDirectory(dir=folder) as made_in:
        made = Path(made_in) / "kernels.so"
        more = [word for name in ("CFLAGS", "ARCHFLAGS") for word in shlex.split(os.environ.get(name, ""))]
        _compile([*PORTABLE, *more, "-shared", "-o", str(made)], _compiled(room))
        # Named by its bytes, so that nobody loads a part of it; whoever has an older one loaded keeps that.
        return made.replace(folder / room["library_name"](made.read_bytes()))


def build_missing(root: Path) -> None:
    """Compile the library where there is none of these sources, or none that is whole.

    :raises RuntimeError: as :func:`build`.
    :raises OSError: as :func:`build`, or what is there cannot be read.
    """
    room = _room(root)
    if not any(room["is_intact"](path) for path in room["library_paths"]()):
        build(root)


def check(root: Path) -> None:
    """Compile without keeping anything, where every warning is an error.

    :raises RuntimeError: there is no compiler, or it found something.
    """
    for source in _compiled(_room(root)):
        _compile([*PORTABLE, *STRICT, "-c", "-o", os.devnull], [source])


def platform_tag(library: bytes) -> str:
    """What a wheel with this library says it is for; for macOS the library itself says so.

    A Python for macOS that runs on both kinds of processors says ``universal2`` whatever the compiler compiled for.
    The system's version is the oldest one that the library asks for, with the minor one left out from 11 on, as in pip.
    Format: the headers ``mach-o/fat.h`` and ``mach-o/loader.h`` of macOS.

    :raises RuntimeError: it is for processors that no tag names together.
    """
    slices = _mach_slices(library)
    if not slices:
        return sysconfig.get_platform().replace("-", "_").replace(".", "_")
    processors = {processor: _oldest_macos(library[start:]) for processor, start in slices}
    names = {
        frozenset(["x86_64"]): "x86_64",
        frozenset(["arm64"]): "arm64",
        frozenset(["x86_64", "arm64"]): "universal2",
    }
    name = names.get(frozenset(processors))
    if name is None:
        raise RuntimeError(f"no tag names a library for {' and '.join(sorted(processors))}")
    if name == "universal2" and processors["arm64"] <= (11, 0):
        del processors["arm64"]  # there is no older macOS for these, so that the others may go back further
    major, minor = max(processors.values())
    return f"macosx_{major}_{minor if major < 11 else 0}_{name}"


def _mach_slices(library: bytes) -> list[tuple[str, int]]:
    """(processor, where its part begins) of a library for macOS; empty for one that is not for macOS."""
    if library[:4] == b"\xca\xfe\xba\xbe":  # several, in an order of bytes of its own
        (count,) = struct.unpack_from(">I", library, 4)
        parts = [struct.unpack_from(">5I", library, 8 + 20 * part) for part in range(count)]
        return [(_PROCESSORS.get(kind, hex(kind)), start) for kind, _, start, _, _ in parts]
    if library[:4] == b"\xcf\xfa\xed\xfe":
        (kind,) = struct.unpack_from("<I", library, 4)
        return [(_PROCESSORS.get(kind, hex(kind)), 0)]
    return []


def _oldest_macos(library: bytes) -> tuple[int, int]:
    """(major, minor) of the load command that names the oldest system for one processor."""
    (commands,) = struct.unpack_from("<I", library, 16)
    place = 32
    for _ in range(commands):
        command, size = struct.unpack_from("<2I", library, place)
        if command in _OLDEST:
            (version,) = struct.unpack_from("<I", library, place + _OLDEST[command])
            return version >> 16, version >> 8 & 255
        place += size
    raise RuntimeError("the library does not say for which macOS it was compiled")


def _room(root: Path) -> dict[str, Any]:
    return runpy.run_path(str(root / KERNELS / "library.py"))


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
    task = {(): build, ("--missing",): build_missing, ("--check",): check}.get(tuple(sys.argv[1:]))
    if task is None:
        sys.exit(f"usage: {sys.argv[0]} [--missing | --check]")
    try:
        task(here)
    except (OSError, RuntimeError) as error:
        sys.exit(str(error))
