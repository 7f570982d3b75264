"""The messages of a binary COPY as they come from the server, in blocks that the rows alone decide.

The server sends a message for each row (PostgreSQL documentation, "COPY Operations"), and psycopg's own way to give
them out costs 0.7 us a row. Where there are compiled kernels, and psycopg is one of its compiled implementations, a
loop in C takes them from libpq, without the interpreter's lock; elsewhere a loop in Python does. psycopg waits where
nothing arrives, so that a read is interrupted and cancelled as any other statement, and says how the statement ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import itertools
import sys
from collections.abc import Generator, Iterator
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.intake.copy_rows import BLOCK_BYTES, BLOCK_ROWS, TRAILER, RowBlock, without_header
from airflow_monitoring_provider.kernels.library import library
from airflow_monitoring_provider.kernels.receiving import Received, Receiver


def copied_blocks(connection: sa.Connection, driver: Any, rows: sa.Select[Any]) -> Generator[RowBlock]:
    """Rows as they come, bounded in number and in bytes; leaving early cancels the statement.

    :param driver: the psycopg connection that is behind ``connection``.
    :returns: blocks, each of which is valid until the next one is asked for.
    """
    import psycopg

    statement: Any = rows.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    # psycopg takes a doubled percent sign for one only where there is a value to bind.
    selected = str(statement) if statement.params else str(statement).replace("%%", "%")
    copying = b"COPY (" + selected.encode() + b") TO STDOUT (FORMAT binary, ENCODING 'UTF8')"
    try:
        with driver.cursor() as cursor, cursor.copy(copying, statement.params) as copy:
            libpq = linked_libpq()
            if libpq is None:
                yield from map(RowBlock.of, cut(_gathered(copy, driver.pgconn)))
            else:
                yield from _received(copy, driver.pgconn, libpq)
    except psycopg.Error as error:
        if driver.closed:
            connection.invalidate(error)
        wrapped = sa.exc.OperationalError if isinstance(error, psycopg.OperationalError) else sa.exc.DBAPIError
        raise wrapped("COPY", None, error, connection_invalidated=driver.closed) from None
    except BaseException:
        # psycopg leaves a statement at work that a signal broke off before its first answer, while a table is locked
        # perhaps: the transaction could not be ended then, and the error of that would hide the signal.
        if driver.pgconn.transaction_status == psycopg.pq.TransactionStatus.ACTIVE:
            connection.invalidate()
        raise


def linked_libpq() -> ctypes.CDLL | None:
    """What leads to the libpq that psycopg itself is linked to; None where rows are to be received in Python."""
    import psycopg

    return None if library() is None else _linked(psycopg.pq.PGconn.__module__)


@functools.cache
def _linked(module: str) -> ctypes.CDLL | None:
    """psycopg's compiled module as a library: a function is looked for in it and in what it is linked to, nowhere else.

    Another libpq of the same process must never see the connection (psycopg documentation, ``PGconn.pgconn_ptr``).
    """
    import psycopg

    if psycopg.pq.__impl__ not in ("c", "binary"):
        return None
    try:
        linked = ctypes.CDLL(str(sys.modules[module].__file__))
        return linked if linked.PQlibVersion() == psycopg.pq.version() else None
    except (OSError, AttributeError):  # libpq is a part of the module, which does not give its functions out
        return None


def _received(copy: Any, libpq: Any, linked: ctypes.CDLL) -> Iterator[RowBlock]:
    message, least = _first(copy), len(TRAILER)
    receiver = Receiver(
        linked, libpq.pgconn_ptr, libpq.socket, most_rows=BLOCK_ROWS, most_bytes=BLOCK_BYTES, least=least
    )
    with contextlib.closing(receiver):
        while len(message) > least:
            found = Received.FULL if receiver.add(message) else receiver.receive()
            while found is Received.FULL:
                yield RowBlock(*receiver.take())
                found = receiver.receive()
            if found is Received.LAST:
                break
            if found is not Received.WAIT:
                raise _problem(found, libpq)
            message = copy.read()
        _read_end(copy)
        if receiver.rows:
            yield RowBlock(*receiver.take())


def _gathered(copy: Any, libpq: Any) -> Iterator[list[bytes]]:
    """The same in Python: what has arrived, until there is more than enough of it."""
    arrived, least = libpq.get_copy_data, len(TRAILER)  # what no row is as short as
    message = _first(copy)
    size = len(message)
    block: list[bytes] = []
    counted = weight = 0
    append = block.append
    while size > least:
        while size > least:
            append(bytes(message))  # thousands of memoryviews would keep the garbage collector busy
            size, message = arrived(1)
        if size < 0:
            raise _problem(Received.ENDED, libpq)
        if size == 0:  # what came without waiting was no more than libpq's buffer
            weight += sum(map(len, block[counted:]))
            counted = len(block)
            if counted >= BLOCK_ROWS or weight > BLOCK_BYTES:
                yield block
                block, counted, weight = [], 0, 0
                append = block.append
            message = copy.read()
            size = len(message)
    if message:
        _read_end(copy)
    if block:
        yield block


def cut(blocks: Iterator[list[bytes]]) -> Iterator[list[bytes]]:
    """Blocks whose borders the rows alone decide: by those of the network the last digits of sums would differ."""
    waiting: list[bytes] = []
    weight = 0
    for block in blocks:
        start = 0
        while start < len(block):
            piece = block[start : start + BLOCK_ROWS - len(waiting)]
            added = sum(map(len, piece))
            if weight + added > BLOCK_BYTES:  # one row of the piece is too much
                sizes = itertools.accumulate(map(len, piece), initial=weight)
                over = next(place for place, reached in enumerate(sizes) if reached > BLOCK_BYTES)
                piece, added = piece[:over], BLOCK_BYTES + 1 - weight
            waiting += piece
            weight += added
            start += len(piece)
            if len(waiting) == BLOCK_ROWS or weight > BLOCK_BYTES:
                yield waiting
                waiting, weight = [], 0
    if waiting:
        yield waiting


def _first(copy: Any) -> Any:
    """The first message that is not the header alone."""
    return without_header(bytes(copy.read())) or copy.read()


def _read_end(copy: Any) -> None:
    """Hear how the statement ended, which psycopg raises where it is an error."""
    while copy.read():
        pass


def _problem(found: Received, libpq: Any) -> Exception:
    """Why there are no more messages, as psycopg would have said it."""
    from psycopg import OperationalError
    from psycopg.errors import error_from_result

    if found is Received.ENDED:
        results = list(iter(libpq.get_result, None))
        return error_from_result(results[0])
    what = "receiving copy data" if found is Received.FAILED else "consuming input"
    return OperationalError(f"{what} failed: {libpq.get_error_message()}")
