"""Arrow's memory pool in a process whose own business is a job: one that gives back what threads have freed.

This module loads nothing heavy, because only what is set before Arrow is loaded reaches all of Arrow.
"""

from __future__ import annotations

import os
import sys

_VARIABLE = "ARROW_DEFAULT_MEMORY_POOL"
_POOL = "jemalloc"
_SETTINGS = {
    _VARIABLE: _POOL,
    # Batches are few and large, and move from thread to thread: an arena for each processor and a cache for each thread
    # keep 12 MB of what was freed, and what is no longer used goes back in half a second. No run was slower by it.
    "JE_ARROW_MALLOC_CONF": "narenas:1,tcache:false,dirty_decay_ms:500,muzzy_decay_ms:0",
}
"""What Arrow and its jemalloc read of the environment, once, while they are loaded."""


def use_lean_memory() -> None:
    """Let Arrow give memory back.

    Arrow's default pool (mimalloc) keeps half as much again of what threads have freed. ``pyarrow.set_memory_pool``
    does not reach what Arrow allocates within itself, such as the pages that its Parquet reader decompresses; those
    take the pool that a variable of the environment names while Arrow is being loaded. So this wants to be called
    before anything imports pyarrow, and does what is left to do where something has.

    The setting is the process's, so a library does not make it for somebody else's, and a variable that is set already
    has the last word. Processes that this one starts do not inherit it.
    """
    if _VARIABLE in os.environ:
        return
    # Arrow's wheels for Linux hold it; a build without it says so, and keeps its own default.
    if "pyarrow" not in sys.modules and sys.platform == "linux":
        settings = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
        os.environ.update(settings)
        try:
            import pyarrow  # noqa: F401
        finally:
            for name in settings:
                del os.environ[name]
        return
    import pyarrow as pa

    if _POOL in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
