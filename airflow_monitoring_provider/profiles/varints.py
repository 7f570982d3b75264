"""Whole numbers in few bytes: LEB128 varints of counts, and of the gaps of increasing codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

_SIGN = np.uint64(1 << 63)
_MOST_BYTES = 10
_BLOCK = 1 << 15
"""Bytes unpacked at a time: the temporary arrays stay in the cache and below the allocator's limit for page faults."""


class Packer:
    """Collects packed arrays; each call returns the ``[start, bytes, elements]`` that JSON keeps in its place."""

    def __init__(self) -> None:
        self.data = bytearray()

    def counts(self, values: npt.ArrayLike) -> list[int]:
        """Whole numbers from 0 on, in any order."""
        array = np.asarray(values, np.int64)
        return self._add(pack(array.astype(np.uint64)), array.size)

    def increasing(self, codes: IntArray) -> list[int]:
        """Strictly increasing int64 codes."""
        return self._add(pack_increasing(codes), codes.size)

    def gaps(self, values: list[int] | tuple[int, ...]) -> list[int]:
        """Increasing whole numbers of up to 64 bits."""
        array = np.array(values, np.uint64)
        return self._add(pack(np.diff(array, prepend=np.uint64(0))), array.size)

    def _add(self, packed: bytes, size: int) -> list[int]:
        start = len(self.data)
        self.data += packed
        return [start, len(packed), size]


class Unpacker:
    """Reads packed arrays from the places JSON keeps; all are unpacked at once: that is faster than one by one.

    :raises ValueError: the data ends within a number, or a number is longer than 64 bits.
    """

    def __init__(self, data: bytes) -> None:
        self._values, self._bounds = unpack(data)

    def counts(self, place: list[int]) -> IntArray:
        """What :meth:`Packer.counts` put there."""
        return self._at(place).view(np.int64)

    def increasing(self, place: list[int]) -> IntArray:
        """What :meth:`Packer.increasing` put there."""
        codes: IntArray = (np.cumsum(self._at(place), dtype=np.uint64) ^ _SIGN).view(np.int64)
        return codes

    def gaps(self, place: list[int]) -> list[int]:
        """What :meth:`Packer.gaps` put there."""
        return [int(v) for v in np.cumsum(self._at(place), dtype=np.uint64).tolist()]

    def _at(self, place: list[int]) -> UInt64Array:
        start, size, elements = place
        first, last = self._bounds.searchsorted((start, start + size)).tolist()
        if last - first != elements or (self._bounds[first], self._bounds[last]) != (start, start + size):
            raise ValueError("packed numbers do not stand where they should")
        return self._values[first:last]


def pack(values: UInt64Array) -> bytes:
    """Each value in 1 to 10 bytes of 7 bits, lowest first; the high bit says that another byte follows."""
    if not values.size:
        return b""
    lengths = np.ones(values.size, np.int64)
    for byte in range(1, _MOST_BYTES):
        lengths += values >= np.uint64(1 << (7 * byte))
    starts = np.cumsum(lengths) - lengths
    packed = np.zeros(int(lengths.sum()), np.uint8)
    for byte in range(int(lengths.max())):
        rows = lengths > byte
        part = (values[rows] >> np.uint64(7 * byte)).astype(np.uint8) & 0x7F
        packed[starts[rows] + byte] = part | np.where(lengths[rows] > byte + 1, 0x80, 0).astype(np.uint8)
    return packed.tobytes()


def unpack(data: bytes) -> tuple[UInt64Array, IntArray]:
    """Read what one or several calls of :func:`pack` wrote, one after the other.

    :returns: the values; and the byte at which each begins, with the length of all as one more.
    :raises ValueError: the data ends within a value, or a value has more than 64 bits.
    """
    packed = np.frombuffer(data, np.uint8)
    values, bounds = [np.zeros(0, np.uint64)], [np.zeros(1, np.int64)]
    start = 0
    while start < packed.size:
        stop = min(start + _BLOCK, packed.size)
        while stop > start and packed[stop - 1] >= 0x80:  # the block ends where a value does
            stop -= 1
        block, ends = _unpack_block(packed[start:stop])
        values.append(block)
        bounds.append(ends + (start + 1))
        start = stop
    return np.concatenate(values), np.concatenate(bounds)


def _unpack_block(packed: npt.NDArray[np.uint8]) -> tuple[UInt64Array, IntArray]:
    ends = np.flatnonzero(packed < 0x80)
    if not ends.size:
        raise ValueError("packed numbers are cut off")
    starts = np.zeros_like(ends)
    np.add(ends[:-1], 1, out=starts[1:])
    values: UInt64Array = (packed.take(starts) & np.uint8(0x7F)).astype(np.uint64)
    rows = np.flatnonzero(starts < ends)
    at = starts[rows]
    for byte in range(1, _MOST_BYTES):
        if not rows.size:
            return values, ends
        at += 1
        part = packed.take(at)
        values[rows] |= (part & np.uint8(0x7F)).astype(np.uint64) << np.uint64(7 * byte)
        longer = part >= 0x80
        rows, at = rows[longer], at[longer]
    if rows.size:
        raise ValueError("a packed number is too long")
    return values, ends


def pack_increasing(codes: IntArray) -> bytes:
    """Strictly increasing int64 codes as the gaps between them."""
    unsigned = codes.view(np.uint64) ^ _SIGN
    return pack(np.diff(unsigned, prepend=np.uint64(0)))
