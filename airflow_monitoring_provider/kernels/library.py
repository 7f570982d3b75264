"""The compiled kernels, or None where there are none: then NumPy counts the same, in about twice the time.

All ``*.c`` of this folder become one shared library, which ``hatch_build.py`` compiles when the package is built or
installed from a checkout. It is named after its sources, so one that was compiled from other sources is never loaded,
and after its own bytes, so one that was cut or overwritten is not either: the system's loader would not look, and the
process would be killed at the first page that is missing. It holds plain C functions: calling them gives the
interpreter's lock away once, and one library fits every Python.

The variable ``MONITORING_KERNELS`` of the environment chooses: ``compiled`` is an error where there is no library,
``numpy`` does without it, and without the variable the library is used where it is.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import logging
import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

VARIABLE = "MONITORING_KERNELS"

_FOLDER = Path(__file__).parent
_log = logging.getLogger(__name__)


def sources() -> list[Path]:
    """The C files, in the order they are compiled in; headers, which they include, come last."""
    return [*sorted(_FOLDER.glob("*.c")), *sorted(_FOLDER.glob("*.h"))]


def library_name(content: bytes) -> str:
    """The name under which a library of these sources for this platform is loaded, if these are its bytes."""
    return f"{_beginning()}{hashlib.sha256(content).hexdigest()[:16]}.so"


@functools.cache
def library_paths() -> tuple[Path, ...]:
    """What has been compiled from these sources for this platform: one library, or none."""
    return tuple(sorted(_FOLDER.glob(f"{_beginning()}*.so")))


def is_intact(path: Path) -> bool:
    """The library's bytes are those it was compiled with.

    :raises OSError: it cannot be read.
    """
    return path.name == library_name(path.read_bytes())


def library() -> ctypes.CDLL | None:
    """The library, or None where NumPy is to count.

    :raises ImportError: the variable says ``compiled``, and there is no library, or it is not loaded.
    :raises ValueError: the variable says something else.
    """
    choice = os.environ.get(VARIABLE, "")
    if choice not in ("", "compiled", "numpy"):
        raise ValueError(f"{VARIABLE} is 'compiled', 'numpy' or not set, and not {choice!r}")
    if choice == "numpy":
        return None
    loaded = _load(library_paths())
    if isinstance(loaded, ctypes.CDLL):
        return loaded
    if choice:
        raise ImportError(f"{VARIABLE} wants compiled kernels, but {loaded}: build them anew")
    return None


@functools.cache
def _beginning() -> str:
    digest = hashlib.sha256()
    for path in sources():
        text = path.read_bytes()
        digest.update(f"{path.name} {len(text)}\n".encode() + text)
    return f"kernels-{digest.hexdigest()[:12]}-{sysconfig.get_platform()}-"


@functools.cache
def _load(paths: tuple[Path, ...]) -> ctypes.CDLL | str:
    """The first library that is whole and loads, or why there is none, which is logged once."""
    reasons = []
    for path in paths:
        try:
            if is_intact(path):
                return ctypes.CDLL(str(path))
            reasons.append(f"{path} is not as it was compiled, but cut or overwritten")
        except OSError as error:
            reasons.append(f"{path} does not load: {error}")
    if reasons:
        _log.warning("compiled kernels are not used (%s): NumPy counts, which takes longer", "; ".join(reasons))
        return "; ".join(reasons)
    _log.info("there are no compiled kernels for this platform: NumPy counts, which takes longer")
    return f"none were compiled from these sources for {sysconfig.get_platform()}"


@functools.cache
def c_function(found: ctypes.CDLL, name: str, takes: str, *, gives: bool = True) -> Callable[..., int]:
    """A function of the library, with what it takes declared.

    :param takes: a letter for each argument: ``p`` an address or bytes, ``n`` an int64, ``u`` a uint64.
    :param gives: whether it returns an int64; nothing otherwise.
    """
    kinds: dict[str, Any] = {"p": ctypes.c_void_p, "n": ctypes.c_int64, "u": ctypes.c_uint64}
    function = getattr(found, name)
    function.argtypes = [kinds[one] for one in takes]
    function.restype = ctypes.c_int64 if gives else None
    return function  # type: ignore[no-any-return]
