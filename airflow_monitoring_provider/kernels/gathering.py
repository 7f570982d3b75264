"""The numbers of a block in one reading: nulls left out, bounds, sums of powers, and codes counted in a table.

A column's :class:`Gathering` is asked block by block. The work arrays belong to the caller, so that threads that take
turns at many columns need one pair each.
"""

from __future__ import annotations

import ctypes
import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.counting import Bitmap, BoolArray, IntArray, address, laid_out, packed
from airflow_monitoring_provider.kernels.library import c_function, library

FloatArray = npt.NDArray[np.float64]

_TYPES = {np.dtype(kind) for kind in ("f8", "f4", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")}
_ASKED: dict[str, Any] = {
    "pivot": ctypes.c_double,
    **dict.fromkeys(("mirrored", "shift", "low", "width", "folded"), ctypes.c_int64),
    **dict.fromkeys(("table", "values", "rest"), ctypes.c_void_p),
}
_FOUND: dict[str, Any] = {
    **dict.fromkeys(("seen", "count", "outside"), ctypes.c_int64),
    **dict.fromkeys(("nan", "positive_inf", "negative_inf", "invalid", "zero", "overflown"), ctypes.c_int64),
    **dict.fromkeys(("least", "greatest", "power1", "power2", "power3", "power4"), ctypes.c_double),
    **dict.fromkeys(("least_whole", "greatest_whole"), ctypes.c_uint64),
}


class _Block(ctypes.Structure):
    """The struct of gathering.c."""

    _fields_ = [*_ASKED.items(), *_FOUND.items()]


@dataclasses.dataclass(frozen=True)
class Table:
    """Where codes are counted.

    :param counts: int64; of the codes ``low`` to ``low + width``, and with ``folded`` as many more of the complements
        of codes below zero.
    :param shift: low bits that codes have lost, 0..63.
    """

    counts: IntArray
    low: int
    width: int
    shift: int
    folded: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Gathered:
    """What one block holds.

    :param values: (count,) the finite values in their order; undefined once the next block is gathered.
    :param rest: those of them whose code the table does not hold; all of them where there is no table. As ``values``.
    :param seen: rows that are there and wanted: the values and what is counted in the next four.
    :param bounds: the least and greatest of the values; None where there is none or a sum overflowed.
    :param powers: sums of the first four powers of the values' differences from the pivot; None as the bounds.
    :param wholes: the least and greatest of all rows seen, where they are whole numbers of 64 bits.
    """

    values: FloatArray
    rest: FloatArray
    seen: int
    nan: int
    positive_inf: int
    negative_inf: int
    invalid: int
    zero: int
    bounds: tuple[float, float] | None
    powers: tuple[float, float, float, float] | None
    wholes: tuple[int, int] | None


class Work:
    """Two arrays of so many doubles that blocks are gathered into, one after another."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.values, self.rest = np.empty(size), np.empty(size)
        self.places = tuple(address(a, a.dtype, size, writeable=True) for a in (self.values, self.rest))


class Rows:
    """Numbers of one type as they lie in memory, for blocks to be gathered from.

    :param numbers: (n,) of a type that :func:`can_gather`.
    :param valid: says which rows hold a value; None when all do.
    :param keep: (n,), the rows wanted; None when all are.
    :raises RuntimeError: there is no compiled library.
    :raises ValueError: the lengths do not fit.
    """

    def __init__(self, numbers: npt.NDArray[Any], valid: Bitmap | None, keep: BoolArray | None) -> None:
        found = library()
        if found is None:
            raise RuntimeError("numbers cannot be gathered without a compiled library")
        self._held = numbers, keep = laid_out(numbers), None if keep is None else laid_out(keep)
        self.size = numbers.size
        self.dtype = numbers.dtype
        self._library = found
        self._function = c_function(found, f"gather_{self.dtype.str[-2:]}", "pppnpn", gives=False)
        self._start = address(numbers, numbers.dtype, self.size)
        self._valid = valid
        self._bitmap, self._offset = packed(valid, self.size)
        self._keep = None if keep is None else address(keep, np.dtype(np.bool_), self.size)

    def gather(
        self, start: int, stop: int, work: Work, *, pivot: float, mirrored: bool, table: Table | None
    ) -> Gathered:
        """Gather the rows ``start`` to ``stop``.

        :param work: holds ``values`` and ``rest`` afterwards.
        :param pivot: powers are of differences from it.
        :param mirrored: values outside [0, 1] are invalid, and codes are those of a mirrored histogram.
        :raises ValueError: the rows are not there, or too many for the work arrays.
        """
        size = stop - start
        if not 0 <= start <= stop <= self.size:
            raise ValueError(f"there are no rows {start} to {stop} among {self.size}")
        if work.size < size:
            raise ValueError(f"work arrays of {work.size} are too small for {size} rows")
        block = _Block(pivot, mirrored, *_asked(table), *work.places)
        data, keep = self._start + start * self.dtype.itemsize, None if self._keep is None else self._keep + start
        self._function(ctypes.byref(block), data, self._bitmap, self._offset + start, keep, size)
        return self._gathered(block, work, everything=table is None)

    def count_wholes(self, start: int, low: int, counts: IntArray) -> tuple[int, int]:
        """Add to ``counts`` how often each whole number from ``low`` on occurs in rows from ``start`` on that are there
        and wanted, up to the first that lies outside.

        :returns: where it stands (the number of rows, where none does), and how many rows were counted.
        :raises ValueError: the rows are not there, or hold no whole numbers.
        """
        if not 0 <= start <= self.size or self.dtype.kind == "f":
            raise ValueError(f"there are no whole numbers from row {start} on among {self.size} {self.dtype}")
        counted = ctypes.c_int64()
        looked_at = c_function(self._library, f"count_numbers_{self.dtype.str[-2:]}", "ppnpnupnp")(
            self._start + start * self.dtype.itemsize,
            self._bitmap,
            self._offset + start,
            None if self._keep is None else self._keep + start,
            self.size - start,
            low,
            address(counts, np.dtype(np.int64), counts.size, writeable=True),
            counts.size,
            ctypes.byref(counted),
        )
        return start + int(looked_at), counted.value

    def number(self, row: int) -> int:
        """The whole number in a row."""
        return int(self._held[0][row])

    def _gathered(self, block: _Block, work: Work, *, everything: bool) -> Gathered:
        values = work.values[: block.count]
        known = block.count > 0 and not block.overflown
        return Gathered(
            values,
            values if everything else work.rest[: block.outside],
            block.seen,
            block.nan,
            block.positive_inf,
            block.negative_inf,
            block.invalid,
            block.zero,
            (block.least, block.greatest) if known else None,
            (block.power1, block.power2, block.power3, block.power4) if known else None,
            self._wholes(block),
        )

    def _wholes(self, block: _Block) -> tuple[int, int] | None:
        if self.dtype.kind == "f" or self.dtype.itemsize < 8 or not block.seen:
            return None
        least, greatest = block.least_whole, block.greatest_whole
        if self.dtype.kind == "i":
            least, greatest = ctypes.c_int64(least).value, ctypes.c_int64(greatest).value
        return least, greatest


def can_gather(dtype: np.dtype[Any]) -> bool:
    """There is a compiled library, and it knows numbers of this type: doubles, floats and whole numbers."""
    return dtype in _TYPES and library() is not None


def _asked(table: Table | None) -> tuple[int, int, int, int, int | None]:
    if table is None:
        return 0, 0, 0, 0, None
    places = table.width * (1 + table.folded)
    if not 0 <= table.shift < 64 or table.low < 0 or table.width < 1:
        raise ValueError(f"no table starts at {table.low}, is {table.width} wide and lost {table.shift} bits")
    counts = address(table.counts, np.dtype(np.int64), places, writeable=True)
    return table.shift, table.low, table.width, table.folded, counts
