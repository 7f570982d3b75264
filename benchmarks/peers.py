"""An environment of its own for each library that we are compared with, made when it is first asked for.

    python = peers.environment("evidently")     # path of a Python that can import evidently 0.7.23
    python benchmarks/peers.py                  # makes all of them, about a gigabyte and a half

They need versions of pandas that exclude each other and the project's own, so none of them can be installed beside it.
Environments lie in ``.venv-peers`` of the checkout; changed pins make one anew.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / ".venv-peers"
_STAMP = ".installed"
_PYTHON = ">=3.11,<3.13"


class PeerUnavailable(Exception):
    """An environment could not be made; the message says why and what to do."""


@dataclasses.dataclass(frozen=True, slots=True)
class Peer:
    """What one environment holds.

    :param requires: pinned; besides the peer what its own metadata leaves open and it does not work with the newest of.
    :param without: packages that its dependencies name and nothing here uses, by size.
    :param imports: modules that must be importable in the end.
    """

    requires: tuple[str, ...]
    imports: tuple[str, ...]
    without: tuple[str, ...] = ()


_NUMERIC = ("numpy==2.4.6", "pyarrow==26.0.1")
_STATISTICS = ("scipy==1.17.1", "scikit-learn==1.9.1", "statsmodels==0.15.0")
PEERS = {
    # Imports a name that pandas 3 no longer has.
    "evidently": Peer(("evidently==0.7.23", "pandas==2.3.3", *_NUMERIC, *_STATISTICS), ("evidently", "pyarrow")),
    # Does not declare statsmodels. The left out library is for several graphics cards: 700 MB.
    "nannyml": Peer(
        ("nannyml==0.13.1", "pandas==3.1.1", *_NUMERIC, *_STATISTICS), ("nannyml", "pyarrow"), ("nvidia-nccl-cu12",)
    ),
    # Does not declare pandas. Its drift scores are behind an import of what shows them in a notebook.
    "whylogs": Peer(
        ("whylogs==1.6.4", "pandas==2.3.3", "ipython==9.18.1", "scipy==1.17.1", *_NUMERIC),
        ("whylogs", "pandas", "pyarrow", "whylogs.viz.drift.column_drift_algorithms"),
    ),
    "duckdb": Peer(("duckdb==2.0.0", *_NUMERIC), ("duckdb",)),
    "adbc": Peer(
        ("adbc-driver-postgresql==1.13.0", "adbc-driver-sqlite==1.13.0", *_NUMERIC),
        ("adbc_driver_postgresql.dbapi", "adbc_driver_sqlite.dbapi"),
    ),
}


def environment(name: str) -> Path:
    """Path of the Python of a peer's environment, which is made if it is not there or its pins have changed.

    Processes that ask at the same time wait for the one that makes it.

    :param name: a key of ``PEERS``.
    :raises PeerUnavailable: no suitable Python or no uv was found, or the packages could not be installed.
    """
    if name not in PEERS:
        raise PeerUnavailable(f"there is no peer {name!r}; known are {', '.join(PEERS)}")
    folder = FOLDER / name
    wanted = repr(PEERS[name])
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = folder / _STAMP
        if not stamp.exists() or stamp.read_text("utf-8") != wanted:
            print(f"making the environment of {name} in {folder}", file=sys.stderr, flush=True)
            _make(name, folder)
            stamp.write_text(wanted, "utf-8")
    return folder / "bin" / "python"


def _make(name: str, folder: Path) -> None:
    peer = PEERS[name]
    uv = shutil.which("uv", path=Path(sys.executable).parent) or shutil.which("uv")
    if uv is None:
        raise PeerUnavailable("uv was not found beside this Python or on the path: `make .venv/.installed` installs it")
    python = folder / "bin" / "python"
    # A Python that has to be downloaded would lie outside the checkout.
    _run(name, uv, "venv", "--quiet", "--clear", "--no-python-downloads", "--python", _base_python(), str(folder))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as overrides:
        overrides.writelines(f"{package}; python_version < '3'\n" for package in peer.without)
        overrides.flush()
        options = ("--quiet", "--compile-bytecode", "--override", overrides.name)
        _run(name, uv, "pip", "install", "--python", str(python), *options, *peer.requires)
    _run(name, str(python), "-c", f"import {', '.join(peer.imports)}")


def _base_python() -> str:
    """This Python where the peers run on it, else any that the machine has."""
    if (3, 11) <= sys.version_info[:2] < (3, 13):
        return str(Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return _PYTHON


def _run(name: str, *command: str) -> None:
    variables = {key: value for key, value in os.environ.items() if key not in {"VIRTUAL_ENV", "PYTHONPATH"}}
    done = subprocess.run(
        command, env={"UV_SYSTEM_CERTS": "true", **variables}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise PeerUnavailable(
            f"the environment of {name} could not be made: {Path(command[0]).name} {command[1]} ended with "
            f"{done.returncode}. It needs Python 3.11 or 3.12 on this machine and a package index.\n{end}"
        )


if __name__ == "__main__":
    for each in sys.argv[1:] or PEERS:
        print(each, environment(each))
