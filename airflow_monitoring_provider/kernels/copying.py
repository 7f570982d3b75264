"""Taking rows in PostgreSQL's binary COPY format apart in one pass over their bytes."""

from __future__ import annotations

import enum
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.counting import address
from airflow_monitoring_provider.kernels.library import c_function, library

IntArray = npt.NDArray[np.int64]
LengthArray = npt.NDArray[np.int32]
ByteArray = npt.NDArray[np.uint8]


class FieldKind(enum.IntEnum):
    """What the fields of a column are: the numbers of ``copying.c``."""

    VARIABLE = 0
    """Bytes, of which the value is where they begin."""
    WHOLE = 1
    """A signed integer of 2, 4 or 8 bytes."""
    EIGHT = 2
    """The bits of 8 bytes."""
    TRUTH = 3
    """One byte."""


def copy_fields(data: ByteArray, rows: int, kinds: Sequence[FieldKind]) -> tuple[IntArray, LengthArray] | None:
    """The value and the length of each field of ``rows`` whole rows; None where there are no compiled kernels.

    :returns: two arrays (columns, rows); a length of -1 is null, and its value 0.
    :raises ValueError: the bytes are not so many rows of such fields; names the row, from 0.
    """
    found = library()
    if found is None:
        return None
    values = np.empty((len(kinds), rows), np.int64)
    lengths = np.empty((len(kinds), rows), np.int32)
    wrong = c_function(found, "copy_fields", "pnnnppp")(
        address(data, np.dtype(np.uint8), data.size),
        data.size,
        rows,
        len(kinds),
        bytes(kinds),
        values.ctypes.data,
        lengths.ctypes.data,
    )
    if wrong >= 0:
        raise ValueError(f"row {wrong} of {rows} is not {len(kinds)} fields in PostgreSQL's binary COPY format")
    return values, lengths


def copy_bytes(data: ByteArray, starts: IntArray, lengths: LengthArray) -> tuple[npt.NDArray[np.int32], ByteArray]:
    """The bytes of a column of variable length one after the other, as Arrow has them.

    :param starts: (n,), the column's values as :func:`copy_fields` gave them.
    :param lengths: (n,), and their lengths; a null has none.
    :returns: offsets (n + 1,), and the bytes.
    :raises ValueError: they are more than Arrow's offsets count, or do not lie in ``data``.
    """
    found = library()
    if found is None:
        raise ImportError("there are no compiled kernels, and there were when the fields were found")
    rows = starts.size
    room = int(np.maximum(lengths, 0).sum(dtype=np.int64))
    offsets, out = np.empty(rows + 1, np.int32), np.empty(room, np.uint8)
    filled = c_function(found, "copy_bytes", "pnppnppn")(
        address(data, np.dtype(np.uint8), data.size),
        data.size,
        address(starts, np.dtype(np.int64), rows),
        address(lengths, np.dtype(np.int32), rows),
        rows,
        offsets.ctypes.data,
        out.ctypes.data,
        min(room, np.iinfo(np.int32).max),
    )
    if filled != room:
        raise ValueError(f"{room} bytes of texts in one block are too many, or lie outside of it")
    return offsets, out
