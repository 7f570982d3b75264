"""Any Arrow array as instants: what is a time, what is missing, and what is no time at all.

The rules are those of :mod:`airflow_monitoring_provider.profiles.instants`, by which intake cuts windows, too.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.profiles.arrays import BoolArray, fixed_width, valid_flags, valid_rows
from airflow_monitoring_provider.profiles.instants import INSTANT, instants


@dataclasses.dataclass(frozen=True)
class Instants:
    """The instants of an array of n rows.

    :param microseconds: int64 (n,), since 1970 UTC; undefined where not valid.
    :param valid: (n,), True where there is an instant; None when everywhere.
    :param invalid: (n,), True where something stands that is no instant; None when nowhere.
    """

    microseconds: npt.NDArray[np.int64]
    valid: BoolArray | None = None
    invalid: BoolArray | None = None


def read_instants(array: pa.Array, zone: str = "UTC") -> Instants:
    """Read an array of any type; NaN is missing, and every value of a type that holds no times is invalid.

    :param zone: IANA zone of timestamps, dates and texts that carry none.
    :raises ConfigurationError: the machine does not know the zone.
    """
    if pa.types.is_dictionary(array.type):
        return read_instants(array.dictionary.take(array.indices), zone)
    try:
        times = instants(array, zone)
    except SourceError:  # a column may change its type between windows, which is a finding and stops no job
        times = pa.nulls(len(array), INSTANT)
    valid = valid_rows(times)
    if valid is None:
        return Instants(fixed_width(times, np.int64))
    invalid = valid_flags(array) & ~valid
    if pa.types.is_floating(array.type):
        invalid &= ~np.isnan(fixed_width(array.cast(pa.float64()), np.float64))
    return Instants(fixed_width(times, np.int64), valid, invalid if invalid.any() else None)
