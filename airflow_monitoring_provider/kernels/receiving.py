"""Taking the messages of a COPY from libpq in one loop, without the interpreter and its lock."""

from __future__ import annotations

import ctypes
import enum
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.library import c_function, library

IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

_ROOM = 1024 * 1024
_PATIENCE = 50  # ms for which Python hears no signal that came just before; psycopg waits 100 at a time
_FUNCTIONS = ("PQgetCopyData", "PQconsumeInput", "PQfreemem")
_NUMBERS = ("socket", "patience", "most_rows", "most_bytes", "least")


class Received(enum.IntEnum):
    """Why a call ended: the numbers of ``receiving.c``."""

    FULL = 1
    """There are as many rows or bytes as a block has."""
    WAIT = 2
    """Nothing arrived for a while, or a signal did: whoever owns the connection is to wait."""
    LAST = 4
    """What came was no row any more."""
    ENDED = 5
    """The server ended the COPY before its last message."""
    FAILED = 6
    """libpq cannot give the next message."""
    BROKEN = 7
    """libpq cannot read from its connection."""


_GROW = 3


class _Receiver(ctypes.Structure):
    """The struct of receiving.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("get_copy_data", "consume_input", "free_message", "connection")),
        *((name, ctypes.c_int64) for name in _NUMBERS),
        ("out", ctypes.c_void_p),
        ("room", ctypes.c_int64),
        ("ends", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("filled", ctypes.c_int64),
        ("held", ctypes.c_void_p),
        ("held_size", ctypes.c_int64),
    )


class Receiver:
    """Collects blocks of messages; close it, as it may hold one that had no room.

    :param libpq: the library that made the connection, or one that is linked to it.
    :param connection: address of its ``PGconn``, in the middle of a COPY to the client; nobody else uses it during a
        call.
    :param socket: that of the connection.
    :param most_rows: of a block.
    :param most_bytes: a block that has more is full.
    :param least: a message of so many bytes or fewer is the last.
    :raises ImportError: there are no compiled kernels.
    :raises AttributeError: this is no libpq.
    """

    def __init__(
        self, libpq: ctypes.CDLL, connection: int, socket: int, *, most_rows: int, most_bytes: int, least: int
    ) -> None:
        found = library()
        if found is None:
            raise ImportError("there are no compiled kernels")
        functions = [ctypes.cast(getattr(libpq, name), ctypes.c_void_p).value for name in _FUNCTIONS]
        self._receive = c_function(found, "receive_rows", "p")
        self._drop = c_function(found, "drop_held", "p", gives=False)
        self._ends = np.empty(most_rows, np.int64)
        self._state: Any = _Receiver(*functions, connection, socket, _PATIENCE, most_rows, most_bytes, least)
        self._state.ends = self._ends.ctypes.data
        self._out: ByteArray = np.empty(0, np.uint8)
        self._usual = max(_ROOM, 2 * most_bytes)
        self._make_room(_ROOM)

    @property
    def rows(self) -> int:
        """How many rows the block has."""
        return int(self._state.rows)

    def receive(self) -> Received:
        """Add what comes to the block."""
        while (reason := self._receive(ctypes.addressof(self._state))) == _GROW:
            self._make_room(max(2 * self._state.room, self._state.filled + self._state.held_size))
        return Received(reason)

    def add(self, message: bytes | memoryview) -> bool:
        """Add a message that was received otherwise; whether the block is full then.

        :raises ValueError: the block was full before.
        """
        state, size = self._state, len(message)
        if state.rows >= state.most_rows:
            raise ValueError(f"a block of {state.rows} rows is full")
        if size > state.room - state.filled:
            self._make_room(max(2 * state.room, state.filled + size))
        self._out[state.filled : state.filled + size] = np.frombuffer(message, np.uint8)
        state.filled += size
        self._ends[state.rows] = state.filled
        state.rows += 1
        return bool(state.rows >= state.most_rows or state.filled > state.most_bytes)

    def take(self) -> tuple[ByteArray, IntArray]:
        """The block's bytes, and (rows,) where each row ends in them; both are valid until the next call."""
        state = self._state
        block = self._out[: state.filled], self._ends[: state.rows]
        state.rows = state.filled = 0
        if state.room > self._usual:  # of a row that was out of the ordinary
            self._make_room(_ROOM)
        return block

    def close(self) -> None:
        """Let go of a message that had no room yet."""
        self._drop(ctypes.addressof(self._state))

    def _make_room(self, size: int) -> None:
        state, filled = self._state, self._state.filled
        out = np.empty(size, np.uint8)
        if filled:
            out[:filled] = self._out[:filled]
        self._out, state.out, state.room = out, out.ctypes.data, size
