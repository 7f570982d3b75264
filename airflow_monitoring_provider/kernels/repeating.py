"""Keys of rows put together by their first byte, and asked whether one comes twice."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.kernels.counting import IntArray, address
from airflow_monitoring_provider.kernels.library import c_function, library

UInt64Array = npt.NDArray[np.uint64]

PARTS = 256
_FEWEST_PLACES = 16


def spread_keys(keys: UInt64Array, spread: UInt64Array, ends: IntArray, sums: UInt64Array) -> bool:
    """Put keys (n,) into ``spread`` (n,) by their first byte; False, and nothing is done, without compiled kernels.

    :param ends: (256,), where in ``spread`` the keys of each first byte end.
    :param sums: (256,); to each is added the sum of its keys as :func:`profiles.hashing.mix` mixes them.
    :raises ValueError: the lengths do not fit.
    """
    found = library()
    if found is None:
        return False
    word, whole = np.dtype(np.uint64), np.dtype(np.int64)
    c_function(found, "spread_keys", "pnppp", gives=False)(
        address(keys, word, keys.size),
        keys.size,
        address(spread, word, keys.size, writeable=True),
        address(ends, whole, PARTS, writeable=True),
        address(sums, word, PARTS, writeable=True),
    )
    return True


def mixed_sum(keys: UInt64Array) -> int | None:
    """The sum of keys as :func:`spread_keys` takes it, below 2**64; None without compiled kernels."""
    found = library()
    if found is None:
        return None
    total = c_function(found, "mixed_sum", "pn")(address(keys, np.dtype(np.uint64), keys.size), keys.size)
    return int(total) % (1 << 64)


def keys_repeat(keys: UInt64Array, ends: IntArray, table: UInt64Array) -> bool | None:
    """Whether a key comes twice within one part of an array.

    :param ends: where each part ends; the next one begins there.
    :param table: what it holds is lost; of at least :func:`places_for` the largest part.
    :returns: None where nobody can say: without compiled kernels, or where many keys share their low bits.
    :raises ValueError: a part does not lie within the array.
    """
    found = library()
    if found is None:
        return None
    if ends.size and (ends[-1] > keys.size or ends[0] < 0 or (ends[1:] < ends[:-1]).any()):
        raise ValueError(f"parts that end at {ends.tolist()} do not lie within {keys.size} keys")
    answer = c_function(found, "keys_repeat", "ppnpn")(
        address(keys, np.dtype(np.uint64), keys.size),
        address(ends, np.dtype(np.int64), ends.size),
        ends.size,
        address(table, np.dtype(np.uint64), table.size, writeable=True),
        table.size,
    )
    return None if answer < 0 else bool(answer)


def places_for(keys: int) -> int:
    """How large a table :func:`keys_repeat` needs for a part of so many keys."""
    return max(_FEWEST_PLACES, 1 << max(2 * keys - 1, 0).bit_length())
