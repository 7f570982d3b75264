"""Whole numbers in few bytes: LEB128 varints of counts, and of the gaps of increasing codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]

_SIGN = np.uint64(1 << 63)
_MOST_BYTES = 10


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
    """Reads packed arrays from the places JSON keeps."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def counts(self, place: list[int]) -> IntArray:
        """What :meth:`Packer.counts` put there."""
        return unpack(*self._at(place)).astype(np.int64)

    def increasing(self, place: list[int]) -> IntArray:
        """What :meth:`Packer.increasing` put there."""
        return unpack_increasing(*self._at(place))

    def gaps(self, place: list[int]) -> list[int]:
        """What :meth:`Packer.gaps` put there."""
        return [int(v) for v in np.cumsum(unpack(*self._at(place)), dtype=np.uint64).tolist()]

    def _at(self, place: list[int]) -> tuple[bytes, int]:
        start, size, elements = place
        return self._data[start : start + size], elements


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


def unpack(data: bytes, count: int) -> UInt64Array:
    """Read what :func:`pack` wrote.

    :raises ValueError: the data does not hold exactly ``count`` values.
    """
    packed = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(packed < 0x80)
    if ends.size != count or (packed.size and ends[-1:] != packed.size - 1):
        raise ValueError("packed numbers are cut off")
    starts = np.concatenate(([0], ends + 1))[:count]
    lengths = ends - starts + 1
    if count and int(lengths.max()) > _MOST_BYTES:
        raise ValueError("a packed number is too long")
    values = np.zeros(count, np.uint64)
    for byte in range(int(lengths.max()) if count else 0):
        rows = lengths > byte
        values[rows] |= (packed[starts[rows] + byte] & 0x7F).astype(np.uint64) << np.uint64(7 * byte)
    return values


def pack_increasing(codes: IntArray) -> bytes:
    """Strictly increasing int64 codes as the gaps between them."""
    unsigned = codes.view(np.uint64) ^ _SIGN
    return pack(np.diff(unsigned, prepend=np.uint64(0)))


def unpack_increasing(data: bytes, count: int) -> IntArray:
    """Read what :func:`pack_increasing` wrote."""
    codes: IntArray = (np.cumsum(unpack(data, count), dtype=np.uint64) ^ _SIGN).view(np.int64)
    return codes
