"""Any Arrow array as instants: microseconds since 1970 UTC, by the rules that intake cuts windows with.

=====================  ==========================================================================================
stored as              read as
=====================  ==========================================================================================
timestamp with zone    that instant; nanoseconds are cut
timestamp without      wall-clock time in the declared zone: of an hour the clock shows twice the earlier one, a time
                       the clock skips is the moment after the gap
date                   midnight in the declared zone
number                 time since 1970 UTC: seconds below 10**11, milliseconds below 10**14, microseconds below
                       10**17, else nanoseconds
text                   ISO 8601 date, or date and time, with ``Z``, `` UTC`` or an offset, else in the declared zone;
                       or a number as above
=====================  ==========================================================================================

Anything else, and every instant outside the years 1 to 9999, is invalid.
"""

from __future__ import annotations

import dataclasses
import datetime
import re

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.engines.numbers import read_doubles
from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.profiles.arrays import BoolArray, fixed_width, from_values, is_text, valid_rows

IntArray = npt.NDArray[np.int64]

FIRST = -62_135_596_800_000_000
"""The first microsecond of the year 1."""
LAST = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_DAY = 86_400_000_000
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MICROSECOND = datetime.timedelta(microseconds=1)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_DATED = re.compile(r"\d{4}-\d\d-\d\d([ T]|$)")


@dataclasses.dataclass(frozen=True)
class Instants:
    """The instants of an array of n rows.

    :param microseconds: int64 (n,); undefined where not valid.
    :param valid: (n,), True where there is an instant; None when everywhere.
    :param invalid: (n,), True where something stands that is no instant; None when nowhere.
    """

    microseconds: IntArray
    valid: BoolArray | None = None
    invalid: BoolArray | None = None


def read_instants(array: pa.Array, zone: str = "UTC") -> Instants:
    """Read an array of any type, see the table above.

    :param zone: IANA zone of timestamps, dates and texts that carry none.
    :raises ConfigurationError: the machine does not know the zone.
    """
    kind = array.type
    if pa.types.is_dictionary(kind):
        return read_instants(array.dictionary.take(array.indices), zone)
    there = valid_rows(array)
    if pa.types.is_timestamp(kind):
        ticks, fits = _scaled(fixed_width(array, np.int64), _PER_SECOND[kind.unit])
        return _checked(ticks if kind.tz else _from_wall_clock(ticks, zone), there, fits)
    if pa.types.is_date(kind):
        width, unit = (np.int32, _DAY) if pa.types.is_date32(kind) else (np.int64, 1_000)
        ticks, fits = _multiplied(fixed_width(array, width).astype(np.int64), unit)
        return _checked(_from_wall_clock(ticks, zone), there, fits)
    if is_text(kind):
        return _texts(array, zone)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return _numbers(array)
    nothing = np.zeros(len(array), np.bool_)
    return Instants(np.zeros(len(array), np.int64), nothing, ~nothing if there is None else there)


def _scaled(ticks: IntArray, per_second: int) -> tuple[IntArray, BoolArray | None]:
    if per_second >= 1_000_000:
        return ticks // (per_second // 1_000_000), None
    return _multiplied(ticks, 1_000_000 // per_second)


def _multiplied(ticks: IntArray, factor: int) -> tuple[IntArray, BoolArray | None]:
    """The product, and where it is inside the calendar (elsewhere it is 0); None when everywhere."""
    inside = (ticks >= FIRST // factor) & (ticks <= LAST // factor)
    if inside.all():
        return ticks * factor, None
    return np.where(inside, ticks, 0) * factor, inside


def _from_wall_clock(ticks: IntArray, zone: str) -> IntArray:
    if zone == "UTC":
        return ticks
    naive = from_values(np.clip(ticks, FIRST, LAST), pa.timestamp("us"))
    try:
        aware = pc.assume_timezone(naive, zone, ambiguous="earliest", nonexistent="latest")
    except pa.ArrowInvalid:
        raise ConfigurationError(
            f"Time zone {zone!r} is not in this machine's time zone database; install the tzdata system package."
        ) from None
    return fixed_width(aware, np.int64)


def _checked(ticks: IntArray, there: BoolArray | None, fits: BoolArray | None) -> Instants:
    inside = (ticks >= FIRST) & (ticks <= LAST)
    inside = inside if fits is None else inside & fits
    if there is None:
        return Instants(ticks) if inside.all() else Instants(ticks, inside, ~inside)
    invalid = there & ~inside
    return Instants(ticks, there & inside, invalid if invalid.any() else None)


def _numbers(array: pa.Array) -> Instants:
    numbers = read_doubles(array)
    values = numbers.values
    size = np.abs(values)
    there = ~numbers.missing()
    fits = size < 1e19
    if numbers.integers is not None:
        ticks = np.where(fits & (size < 2.0**63), numbers.integers, 0).astype(np.int64)
        micro = np.where(size < 1e11, ticks * 1_000_000, ticks // 1_000)
        micro = np.where((size >= 1e11) & (size < 1e14), ticks * 1_000, micro)
        micro = np.where((size >= 1e14) & (size < 1e17), ticks, micro)
        return _checked(micro, there, fits & (size < 2.0**63))
    factor = np.select([size < 1e11, size < 1e14, size < 1e17], [1e6, 1e3, 1.0], 1e-3)
    whole = np.floor(np.where(fits & there, values, 0.0) * factor).astype(np.int64)
    return _checked(whole, there, fits)


def _texts(array: pa.Array, zone: str) -> Instants:
    encoded = array.cast(pa.large_string()).dictionary_encode()
    parsed = [_parse(text) for text in encoded.dictionary.to_pylist()] or [None]
    known = np.array([found is not None for found in parsed], np.bool_)
    ticks = np.array([0 if found is None else found[0] for found in parsed], np.int64)
    zoned = np.array([found is None or found[1] for found in parsed], np.bool_)
    ticks = np.where(zoned, ticks, _from_wall_clock(ticks, zone))
    there = valid_rows(array)
    codes = fixed_width(encoded.indices, np.int32)
    codes = codes if there is None else np.where(there, codes, 0)
    return _checked(ticks[codes], there, known[codes])


def _parse(text: str) -> tuple[int, bool] | None:
    """Microseconds since 1970 on the text's own clock, and whether that clock is UTC."""
    tidy = text.strip()
    if _NUMBER.fullmatch(tidy):
        value = float(tidy)
        scale = next((s for limit, s in ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0)) if abs(value) < limit), 1e-3)
        return (int(value * scale // 1), True) if abs(value) < 1e19 else None
    if not _DATED.match(tidy):
        return None
    try:
        stamp = datetime.datetime.fromisoformat(tidy.removesuffix(" UTC") + ("Z" if tidy.endswith(" UTC") else ""))
    except ValueError:
        return None
    zoned = stamp.tzinfo is not None
    return ((stamp if zoned else stamp.replace(tzinfo=datetime.UTC)) - _EPOCH) // _MICROSECOND, zoned
