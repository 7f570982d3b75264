"""Work arrays that are used again: a fresh one for each step would leave the core's cache at each step.

A thread has its own; what one holds is undefined when it is asked for again.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.gathering import Work

BLOCK = 1 << 15
"""Values worked on at a time: three arrays of so many numbers fit into a second-level cache of 1 MiB."""


class _Arrays(threading.local):
    def __init__(self) -> None:
        self.whole = np.empty((2, BLOCK), np.int64)
        self.gathering: Work | None = None
        self.split: npt.NDArray[np.float64] | None = None


_arrays = _Arrays()


def doubles(number: int, size: int) -> npt.NDArray[np.float64]:
    """One of two float64 arrays (the memory is that of :func:`wholes`).

    :param number: 0 or 1.
    :param size: at most :data:`BLOCK`.
    """
    view: npt.NDArray[Any] = _arrays.whole[number, :size].view(np.float64)
    return view


def wholes(number: int, size: int) -> npt.NDArray[np.int64]:
    """One of two int64 arrays; see :func:`doubles`."""
    view: npt.NDArray[np.int64] = _arrays.whole[number, :size]
    return view


def gathering() -> Work:
    """The thread's arrays for a compiled kernel, of :data:`BLOCK`; they are other memory than :func:`wholes`."""
    if _arrays.gathering is None:
        _arrays.gathering = Work(BLOCK)
    return _arrays.gathering


def split() -> npt.NDArray[np.float64]:
    """(2, :data:`BLOCK`) for values that are told apart; other memory than all else here."""
    if _arrays.split is None:
        _arrays.split = np.empty((2, BLOCK))
    return _arrays.split
