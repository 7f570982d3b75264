"""Compiled kernels are tested where they can be compiled: a computer without a compiler skips, CI does not."""

from __future__ import annotations

import os
import shlex
import shutil

import pytest


@pytest.fixture(scope="session", autouse=True)
def _compiler() -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))[0]
    if not shutil.which(compiler) and "CI" not in os.environ:
        pytest.skip(f"there is no C compiler {compiler!r}, so there are no compiled kernels to test")
