"""Reading a cursor in blocks whose memory is bounded, however wide a row is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Row = TypeVar("Row")

BLOCK_ROWS = 16_384
_BLOCK_BYTES = 16 * 1024 * 1024
_FIRST_ROWS = 1
_GROWTH = 16


def blocks(
    fetch: Callable[[int], Sequence[Row]], weigh: Callable[[Sequence[Row]], int], most: int | None = None
) -> Iterator[Sequence[Row]]:
    """Blocks of rows until there are none.

    The first block is one row; the size of the next follows from the weight of the rows just seen, so that a table of
    10 MB texts is read a row or two at a time and a narrow one in thousands.

    :param fetch: ``fetchmany`` of a cursor.
    :param weigh: bytes a block holds, roughly.
    :param most: rows of a block that are never exceeded (the definition's ``fetchSize``).
    """
    limit = min(most or BLOCK_ROWS, BLOCK_ROWS)
    size = min(_FIRST_ROWS, limit)
    while rows := fetch(size):
        yield rows
        row_bytes = max(1, weigh(rows) // len(rows))
        size = max(1, min(limit, size * _GROWTH, _BLOCK_BYTES // row_bytes))
