"""What all faults are injected into."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.nemesis import Server
from faults.scenarios import Bench


@pytest.fixture(scope="session")
def bench() -> Iterator[Bench]:
    """Worlds of this test process, and a PostgreSQL server of its own, which tests may stop."""
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    server = functools.cache(Server)
    made = Bench(folder, server)
    yield made
    made.remove()
    if server.cache_info().currsize:
        server().close()
    shutil.rmtree(folder)
