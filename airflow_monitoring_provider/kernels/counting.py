"""Counting in one pass over Arrow's memory, nulls left out on the way.

Arrays are NumPy's views of that memory; what C would take on trust is looked at here: types, lengths, contiguity.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.library import c_function, library

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Bitmap = tuple[npt.NDArray[np.uint8], int]
"""Arrow's validity: packed bits, the lowest of a byte first, and the number of the first row's bit."""


def count_codes(codes: npt.NDArray[Any], valid: Bitmap | None, keep: BoolArray | None, counts: IntArray) -> int | None:
    """Add to ``counts`` how often each code occurs among the rows that are there.

    :param codes: (n,), whole numbers of any type, where there is a value below ``counts.size``.
    :param valid: says which rows hold a value; None when all do.
    :param keep: (n,), the rows wanted; None when all are.
    :returns: how many codes were counted; None, and nothing is counted, where there are no compiled kernels.
    :raises ValueError: a code lies outside, or the lengths do not fit.
    """
    found = library()
    if found is None:
        return None
    bitmap, offset = packed(valid, codes.size)
    codes, keep = laid_out(codes), None if keep is None else laid_out(keep)
    counted = ctypes.c_int64()
    looked_at = c_function(found, f"count_numbers_{codes.dtype.str[-2:]}", "ppnpnupnp")(
        address(codes, codes.dtype, codes.size),
        bitmap,
        offset,
        None if keep is None else address(keep, np.dtype(np.bool_), codes.size),
        codes.size,
        0,
        address(counts, np.dtype(np.int64), counts.size, writeable=True),
        counts.size,
        ctypes.byref(counted),
    )
    if looked_at < codes.size:
        raise ValueError(f"a code lies outside the {counts.size} entries of its dictionary")
    return counted.value


def laid_out(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The array itself, or a copy where its elements have gaps between them or lie across their own width."""
    return array if array.flags.c_contiguous and array.flags.aligned else np.require(array, requirements=["C", "A"])


def address(array: npt.NDArray[Any], dtype: np.dtype[Any], size: int, *, writeable: bool = False) -> int:
    """Where the ``size`` elements of an array lie in memory.

    :raises ValueError: they do not lie there as a C function expects them.
    """
    flags = array.flags
    if array.dtype != dtype or array.size != size or not flags.c_contiguous or not flags.aligned:
        raise ValueError(f"expected {size} contiguous {dtype}, not {array.size} {array.dtype}")
    if writeable and not flags.writeable:
        raise ValueError("the array cannot be written to")
    return int(array.__array_interface__["data"][0])  # array.ctypes makes an object with a type of its own


def packed(valid: Bitmap | None, rows: int) -> tuple[int | None, int]:
    """Where the bitmap of so many rows lies, and the first row's bit; None where all are valid.

    :raises ValueError: it holds fewer.
    """
    if valid is None:
        return None, 0
    bits, offset = valid
    if offset < 0 or 8 * bits.size < offset + rows:
        raise ValueError(f"{bits.size} bytes of validity from bit {offset} on are too few for {rows} rows")
    return address(bits, np.dtype(np.uint8), bits.size), offset
