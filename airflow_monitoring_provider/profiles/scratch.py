"""Work arrays that are used again: a fresh one for each step would leave the core's cache at each step.

A thread has its own; what one holds is undefined when it is asked for again.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

BLOCK = 1 << 15
"""Values worked on at a time: three arrays of so many numbers fit into a second-level cache of 1 MiB."""


class _Arrays(threading.local):
    def __init__(self) -> None:
        self.whole = np.empty((4, BLOCK), np.int64)


_arrays = _Arrays()


def doubles(number: int, size: int) -> npt.NDArray[np.float64]:
    """One of four float64 arrays (the memory is that of :func:`wholes`).

    :param number: 0 or 1; 2 and 3 are for what a compiled kernel gathers.
    :param size: at most :data:`BLOCK`.
    """
    view: npt.NDArray[Any] = _arrays.whole[number, :size].view(np.float64)
    return view


def wholes(number: int, size: int) -> npt.NDArray[np.int64]:
    """One of four int64 arrays; see :func:`doubles`."""
    view: npt.NDArray[np.int64] = _arrays.whole[number, :size]
    return view
