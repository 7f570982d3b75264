"""Whole numbers as decimal digits, and columns as lines of text, in one pass over Arrow's memory."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.counting import Bitmap, address, packed
from airflow_monitoring_provider.kernels.library import c_function, library

_MOST_DIGITS = 20
_Texts = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8]]
_NO_TEXTS: _Texts = np.zeros(1, np.int32), np.zeros(0, np.uint8)


class LineKind(enum.IntEnum):
    """What a column of lines is: the numbers of ``lines.c``."""

    WHOLE = 0
    """Whole numbers."""
    PLAIN = 1
    """Texts that are written as they are."""
    TEXT = 2
    """Texts that are quoted and escaped."""
    CODED = 3
    """Codes of few texts, which are written as they are."""


@dataclasses.dataclass(frozen=True, slots=True)
class LineColumn:
    """A column of lines.

    :param valid: says which rows hold a value; None when all do.
    :param values: (rows,), int64 numbers of ``WHOLE``, int32 codes of ``CODED``; None of others.
    :param texts: where each text begins, and where the last one ends, in the bytes of all; None of ``WHOLE``.
    """

    kind: LineKind
    valid: Bitmap | None
    values: npt.NDArray[Any] | None = None
    texts: _Texts | None = None


def whole_digits(
    values: npt.NDArray[np.int64], valid: Bitmap | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]] | None:
    """The decimal digits of each number, as Arrow has texts; None where there are no compiled kernels.

    :param valid: says which rows hold a value; None when all do. The others have an empty text.
    :returns: where each text begins (n + 1,), and the bytes.
    """
    found = library()
    if found is None:
        return None
    bitmap, first = packed(valid, values.size)
    offsets = np.empty(values.size + 1, np.int64)
    out = np.empty(values.size * _MOST_DIGITS, np.uint8)
    filled = c_function(found, "whole_digits", "ppnnppn")(
        address(values, np.dtype(np.int64), values.size),
        bitmap,
        first,
        values.size,
        offsets.ctypes.data,
        out.ctypes.data,
        out.size,
    )
    return offsets, out[:filled].copy()  # what is kept of it should not hold the room


def join_lines(
    columns: Sequence[LineColumn],
    rows: int,
    *,
    separator: bytes,
    none: bytes,
    mark: bytes,
    escapes: Mapping[bytes, bytes],
    quote: bytes | None = None,
) -> memoryview | None:
    """The rows as lines, each ended by a line feed; None where there are no compiled kernels.

    :param separator: one byte between two columns, as ``mark``, ``quote`` and what is escaped are one byte each.
    :param none: stands for a row without a value.
    :param escapes: of texts, each byte of these becomes ``mark`` and the byte that is told.
    :param quote: stands around every text; None for no quotes.
    :raises ValueError: a text or code of a row lies outside of what was given; names the row, from 0.
    """
    found = library()
    if found is None:
        return None
    table = np.zeros(256, np.uint8)
    for byte, other in escapes.items():
        table[ord(byte)] = ord(other)
    laid = [_addresses(column, rows) for column in columns]
    addresses = np.array(laid, np.int64).reshape(len(columns), 7).T.copy()
    out = np.empty(sum(_room(column, rows, len(none)) for column in columns), np.uint8)
    filled = c_function(found, "join_lines", "nnpppppppppnnnpnpn")(
        rows,
        len(columns),
        bytes(column.kind for column in columns),
        *(row.ctypes.data for row in addresses),
        table.ctypes.data,
        ord(mark),
        -1 if quote is None else ord(quote),
        ord(separator),
        none,
        len(none),
        out.ctypes.data,
        out.size,
    )
    if filled < 0:
        raise ValueError(f"row {-1 - filled} of {rows} has a text that lies outside of its column's bytes")
    return out[:filled].data


def _addresses(column: LineColumn, rows: int) -> list[int]:
    """Values, offsets, data and its size, how many texts there are, validity and its first bit."""
    dtype = np.dtype(np.int32 if column.kind is LineKind.CODED else np.int64)
    offsets, data = column.texts or _NO_TEXTS
    texts = offsets.size - 1
    if column.values is None and texts != rows:
        raise ValueError(f"expected {rows} texts, not {texts}")
    bitmap, first = packed(column.valid, rows)
    return [
        0 if column.values is None else address(column.values, dtype, rows),
        address(offsets, np.dtype(np.int32), texts + 1),
        address(data, np.dtype(np.uint8), data.size),
        data.size,
        texts,
        bitmap or 0,
        first,
    ]


def _room(column: LineColumn, rows: int, none: int) -> int:
    """Bytes that a column takes at most, with what stands behind each of its values."""
    offsets, _ = column.texts or _NO_TEXTS
    if column.kind is LineKind.WHOLE:
        return rows * (max(_MOST_DIGITS, none) + 1)
    if column.kind is LineKind.CODED:
        longest = int(np.diff(offsets).max(initial=0))
        return rows * (max(longest, none) + 1)
    spent = max(0, int(offsets[-1]) - int(offsets[0]))
    return rows * (none + 3) + (2 if column.kind is LineKind.TEXT else 1) * spent
