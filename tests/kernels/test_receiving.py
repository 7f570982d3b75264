"""Messages are taken from libpq in order, and each is let go once; here libpq is a list of messages."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.kernels.library import VARIABLE
from airflow_monitoring_provider.kernels.receiving import Received, Receiver

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype = ctypes.c_void_p
LIBC.malloc.argtypes = [ctypes.c_size_t]
LIBC.free.argtypes = [ctypes.c_void_p]
LIBC.free.restype = None
NOTHING, ENDED, FAILED = 0, -1, -2


class Server:
    """What libpq would give: messages, and numbers for its answers without one. Beyond the last, nothing arrives."""

    def __init__(self, *answers: bytes | int, readable: bool = True, consumes: int = 1) -> None:
        self._answers = list(answers)
        self.alive = 0
        self._reading, self._writing = os.pipe()
        if readable:
            os.write(self._writing, b"x")
        self._functions = (
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_void_p), ctypes.c_int)(self._get),
            ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _connection: consumes),
            ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._free),
        )

    def _get(self, _connection: int, message: Any, asynchronous: int) -> int:
        assert asynchronous == 1
        if not self._answers:
            os.set_blocking(self._reading, False)
            while self._answers == [] and _drained(self._reading):
                pass
            return NOTHING
        answer = self._answers.pop(0)
        if isinstance(answer, int):
            return answer
        message[0] = LIBC.malloc(len(answer) + 1)
        ctypes.memmove(message[0], answer, len(answer))
        self.alive += 1
        return len(answer)

    def _free(self, message: int) -> None:
        self.alive -= 1
        LIBC.free(message)

    def receiver(self, rows: int = 4, weight: int = 100) -> Receiver:
        names = ("PQgetCopyData", "PQconsumeInput", "PQfreemem")
        library: Any = SimpleNamespace(**dict(zip(names, self._functions, strict=True)))
        return Receiver(library, 1, self._reading, most_rows=rows, most_bytes=weight, least=2)

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)


def _drained(reading: int) -> bool:
    try:
        return bool(os.read(reading, 64))
    except BlockingIOError:
        return False


@pytest.fixture(autouse=True, scope="module")
def _compiled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, "compiled")
        yield


def taken(receiver: Receiver) -> list[bytes]:
    data, ends = receiver.take()
    starts = [0, *ends.tolist()]
    return [data[start:end].tobytes() for start, end in zip(starts, ends.tolist(), strict=False)]


@given(
    messages=st.lists(st.binary(min_size=3, max_size=60), max_size=20),
    pauses=st.lists(st.booleans(), min_size=20, max_size=20),
    rows=st.integers(1, 6),
    weight=st.integers(1, 150),
)
def test_blocks_are_full_by_rows_or_bytes_whatever_pauses_there_are(
    messages: list[bytes], pauses: list[bool], rows: int, weight: int
) -> None:
    expected: list[list[bytes]] = [[]]
    for message in messages:
        expected[-1].append(message)
        if len(expected[-1]) == rows or sum(map(len, expected[-1])) > weight:
            expected.append([])
    answers = [
        answer for pause, message in zip(pauses, messages, strict=False) for answer in [NOTHING] * pause + [message]
    ]
    server = Server(*answers, b"\xff\xff", b"never")
    receiver, found = server.receiver(rows, weight), []
    while (reason := receiver.receive()) is Received.FULL:
        found.append(taken(receiver))

    assert reason is Received.LAST
    assert expected == [*found, taken(receiver)]
    assert server.alive == 0
    server.close()


def test_a_message_greater_than_the_room_arrives_whole_and_leaves_no_more_room_than_usual() -> None:
    large = os.urandom(5 * 2**20)
    server = Server(b"first", large, b"third")
    receiver = server.receiver(rows=3, weight=2**30)

    assert Received.FULL is receiver.receive()
    assert [b"first", large, b"third"] == taken(receiver)
    assert server.alive == 0
    server.close()


@pytest.mark.parametrize(("answer", "reason"), [(ENDED, Received.ENDED), (FAILED, Received.FAILED)])
def test_why_nothing_more_comes_is_told(answer: int, reason: Received) -> None:
    server = Server(b"row", answer)
    receiver = server.receiver()

    assert reason is receiver.receive()
    assert [b"row"] == taken(receiver)
    server.close()


def test_a_connection_that_cannot_be_read_is_broken() -> None:
    server = Server(NOTHING, consumes=0)
    assert Received.BROKEN is server.receiver().receive()
    server.close()


def test_where_nothing_arrives_the_caller_waits_and_adds_what_it_gets() -> None:
    server = Server(b"one", NOTHING, readable=False)
    receiver = server.receiver(rows=3)
    assert Received.WAIT is receiver.receive()
    assert 1 == receiver.rows
    assert not receiver.add(memoryview(b"two"))
    assert receiver.add(b"three")
    with pytest.raises(ValueError, match="a block of 3 rows is full"):
        receiver.add(b"four")
    assert [b"one", b"two", b"three"] == taken(receiver)
    server.close()


def test_a_message_that_had_no_room_is_let_go_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(bytes(2 * 2**20))
    receiver = server.receiver()

    def no_memory(_size: int) -> None:
        raise MemoryError

    monkeypatch.setattr(receiver, "_make_room", no_memory)
    with pytest.raises(MemoryError):
        receiver.receive()
    assert server.alive == 1
    receiver.close()
    receiver.close()
    assert server.alive == 0
    server.close()


def test_without_kernels_there_is_no_receiver(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server()
    monkeypatch.setenv(VARIABLE, "numpy")
    with pytest.raises(ImportError, match="no compiled kernels"):
        server.receiver()
    server.close()
