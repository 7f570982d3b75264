"""When a value is: any Arrow column as instants in UTC, to the microsecond.

The one place that reads times: windows are cut, profiles summarised and row results written by these rules alone.

==================== ============================================================================================
stored as            read as
==================== ============================================================================================
timestamp with zone  that instant; nanoseconds are cut, never rounded into the next microsecond
timestamp without    wall-clock time in the declared zone: of an hour that the clock shows twice the earlier one, a
                     time that the clock skips is the moment after the gap
date                 midnight in the declared zone
integer, float,      time since 1970-01-01 UTC, in seconds below 10^11 (the year 5138), milliseconds below 10^14,
decimal              microseconds below 10^17, else nanoseconds, decided value by value
text                 ISO 8601 date, or date and time (``T`` or space between them; hour, minute or second last;
                     fraction of any length), with ``Z``, `` UTC`` or an offset, else in the declared zone; or a number
                     as above. Digits alone are a number: ``20130101`` is no date
==================== ============================================================================================

Anything else, and every instant outside the years 1 to 9999, is unreadable: null.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from airflow_monitoring_provider.exceptions import ConfigurationError, SourceError
from airflow_monitoring_provider.profiles.arrays import (
    BoolArray,
    fixed_width,
    from_truth,
    from_values,
    is_text,
    truth_values,
    valid_flags,
    whole_texts,
)

INSTANT = pa.timestamp("us", "UTC")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

FIRST = -62_135_596_800_000_000
"""The first microsecond of the year 1."""
LAST = 253_402_300_799_999_999
"""The last microsecond of the year 9999."""

# From this magnitude on a number is in the next smaller unit.
MILLISECONDS_FROM, MICROSECONDS_FROM, NANOSECONDS_FROM = 10**11, 10**14, 10**17

_NAIVE = pa.timestamp("us")
_PER_MICROSECOND = {"s": -1_000_000, "ms": -1_000, "us": 1, "ns": 1_000}  # negative: microseconds in one unit

_DATE = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"
_TIME = r"(?:[ T](?:[01]\d|2[0-3])(?::[0-5]\d(?::[0-5]\d(?:\.\d{1,6})?)?)?)"
_NUMBER = r"^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$"
_NAIVE_TEXT = rf"^{_DATE}{_TIME}?$"
_ZONED_TEXT = rf"^{_DATE}{_TIME}(?:Z|[+-]\d\d(?::?\d\d)?)$"


def microseconds(instant: datetime) -> int:
    """An aware instant as microseconds since 1970-01-01 UTC, exactly."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def instants(column: pa.Array, timezone: str = "UTC") -> pa.Array:
    """The column as ``timestamp('us', 'UTC')``, null where it is null or unreadable.

    :param timezone: IANA zone of timestamps, dates and texts that carry none.
    :raises SourceError: values of this type can never be instants (booleans, bytes, nested); names the type.
    :raises ConfigurationError: the machine has no time zone database.
    """
    kind = column.type
    if pa.types.is_dictionary(kind):
        return instants(column.dictionary.take(column.indices), timezone)
    if pa.types.is_null(kind):
        return pa.nulls(len(column), INSTANT)
    if pa.types.is_timestamp(kind):
        naive = _whole(column, kind.unit)
        return naive.view(INSTANT) if kind.tz is not None else _from_wall_clock(naive, timezone)
    if pa.types.is_date(kind):
        days = column.cast(pa.timestamp("s" if pa.types.is_date32(kind) else "ms"))
        return _from_wall_clock(_whole(days, days.type.unit), timezone)
    if pa.types.is_integer(kind):
        return _from_integers(column)
    if pa.types.is_floating(kind):
        doubles = column.cast(pa.float64())
        return _checked(*_from_floats(fixed_width(doubles, np.float64), valid_flags(doubles), np.floor))
    if pa.types.is_decimal(kind):
        return _from_decimals(column)
    if is_text(kind):
        return _from_text(column.cast(pa.string()), timezone)
    raise SourceError(f"values of type {kind} cannot be read as times; use a timestamp, date, number or ISO 8601 text")


def is_time_text(column: pa.StringArray) -> BoolArray:
    """True where a text is an ISO 8601 date or date and time as :func:`instants` reads it (numbers are not)."""
    tidy = _tidy(column)
    naive, zoned = (pc.match_substring_regex(tidy, form) for form in (_NAIVE_TEXT, _ZONED_TEXT))
    return truth_values(naive) | truth_values(zoned)


def _whole(column: pa.Array, unit: str) -> pa.Array:
    """A timestamp column in microseconds without zone; null outside the years 1 to 9999."""
    values, valid, factor = fixed_width(column, np.int64), valid_flags(column), _PER_MICROSECOND[unit]
    if factor > 0:
        return _checked(np.floor_divide(values, factor) if factor > 1 else values, valid, _NAIVE)
    inside = (values >= FIRST // -factor) & (values <= LAST // -factor)
    return _checked(np.where(inside, values, 0) * -factor, valid & inside, _NAIVE)


def _checked(values: NDArray[np.int64], valid: BoolArray, kind: pa.DataType = INSTANT) -> pa.Array:
    inside = valid & (values >= FIRST) & (values <= LAST)
    return from_values(values, kind, inside)


def _from_wall_clock(naive: pa.Array, timezone: str) -> pa.Array:
    if timezone == "UTC":
        return naive.view(INSTANT)
    try:
        aware = pc.assume_timezone(naive, timezone, ambiguous="earliest", nonexistent="latest")
    except pa.ArrowInvalid:
        raise ConfigurationError(
            f"time zone {timezone!r} is not in this machine's time zone database; install the tzdata system package"
        ) from None
    return _checked(fixed_width(aware, np.int64), valid_flags(aware))


def _from_integers(column: pa.Array) -> pa.Array:
    valid = valid_flags(column)
    if pa.types.is_uint64(column.type):
        words = fixed_width(column.view(pa.int64()), np.int64)
        valid &= words >= 0  # beyond 2^63: no time, whatever the unit
    else:
        words = fixed_width(column.cast(pa.int64()), np.int64)
    return _checked(_epoch_microseconds(np.where(valid, words, 0)), valid)


def _epoch_microseconds(values: NDArray[np.int64]) -> NDArray[np.int64]:
    size = np.where(values == np.iinfo(np.int64).min, np.iinfo(np.int64).max, np.abs(values))
    result = np.floor_divide(values, 1_000)
    result = np.where(size < NANOSECONDS_FROM, values, result)
    result = np.where(size < MICROSECONDS_FROM, values * 1_000, result)
    return np.where(size < MILLISECONDS_FROM, values * 1_000_000, result)


def _from_decimals(column: pa.Array) -> pa.Array:
    try:
        micro = column.cast(pa.decimal128(38, 6), safe=False)
    except pa.ArrowInvalid:  # a value with more than 32 digits before the point, which is no time, stops the cast
        doubles = column.cast(pa.float64())
        return _checked(*_from_floats(fixed_width(doubles, np.float64), valid_flags(doubles), np.rint))
    # A decimal is a 128-bit integer; with six digits after the point its low half counts millionths.
    words = np.frombuffer(micro.buffers()[1], np.int64, 2 * len(micro), 16 * micro.offset).reshape(-1, 2)
    low = words[:, 0]
    valid = valid_flags(micro) & (words[:, 1] == low >> 63)
    small = np.abs(low) < MILLISECONDS_FROM * 1_000_000
    return _checked(np.where(small, low, _epoch_microseconds(low // 1_000_000)), valid)


def _from_floats(values: NDArray[np.float64], valid: BoolArray, exact: np.ufunc) -> tuple[NDArray[np.int64], BoolArray]:
    usable = valid & np.isfinite(values)
    finite = np.where(usable, values, 0.0)
    size = np.abs(finite)
    factor = np.where(size < MILLISECONDS_FROM, 1e6, np.where(size < MICROSECONDS_FROM, 1e3, 1.0))
    scaled = exact(np.where(size < NANOSECONDS_FROM, finite * factor, finite / 1e3))
    usable &= np.abs(scaled) < 2.0**62
    return np.where(usable, scaled, 0.0).astype(np.int64), usable


def _from_text(column: pa.StringArray, timezone: str) -> pa.Array:
    try:  # what a file or table usually holds: one form in every row
        return _from_wall_clock(_whole(column.cast(_NAIVE), "us"), timezone)
    except pa.ArrowInvalid:
        pass
    try:
        return _whole(column.cast(INSTANT), "us").view(INSTANT)
    except pa.ArrowInvalid:
        return _from_mixed_text(whole_texts(column), timezone)


def _from_mixed_text(column: pa.StringArray, timezone: str) -> pa.Array:
    tidy = _tidy(column)
    values = np.zeros(len(column), dtype=np.int64)
    valid = np.zeros(len(column), dtype=np.bool_)
    for pattern in (_NAIVE_TEXT, _ZONED_TEXT, _NUMBER):
        matching = pc.match_substring_regex(tidy, pattern)
        found = truth_values(matching)
        if found.any():
            times = _from_one_form(tidy.filter(matching), pattern, timezone)
            values[found], valid[found] = fixed_width(times, np.int64), valid_flags(times)
    return _checked(values, valid)


def _from_one_form(texts: pa.StringArray, pattern: str, timezone: str) -> pa.Array:
    if pattern == _NUMBER:
        return _from_number_text(texts)
    if pattern == _ZONED_TEXT:
        return _whole(_cast(texts, INSTANT), "us")
    return _from_wall_clock(_whole(_cast(texts, _NAIVE), "us"), timezone)


def _tidy(column: pa.StringArray) -> pa.StringArray:
    """Surrounding spaces gone, UTC spelt ``Z``, digits past the microsecond cut (which is the floor: they only add)."""
    tidy = pc.utf8_trim_whitespace(column)
    tidy = pc.replace_substring_regex(tidy, r"(?: ?UTC| ?GMT|z)$", "Z")
    tidy = pc.replace_substring_regex(tidy, r"(:\d\d) ([+-]\d\d:?(?:\d\d)?)$", r"\1\2")
    return pc.replace_substring_regex(tidy, r"(:\d\d)[.,](\d{1,6})\d*", r"\1.\2")


def _cast(texts: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Texts that look right as timestamps; null for those that are not (30 February)."""
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        real = np.fromiter((_is_real_date(text) for text in texts.to_pylist()), np.bool_, len(texts))
        values = np.zeros(len(texts), dtype=np.int64)
        values[real] = fixed_width(texts.filter(from_truth(real)).cast(kind), np.int64)
        return from_values(values, kind, real)


def _is_real_date(text: str) -> bool:
    offset = re.search(r"[+-](\d\d):?(\d\d)?$", text[10:])
    try:
        datetime.fromisoformat(text[:10])
    except ValueError:
        return False
    return offset is None or (int(offset[1]) < 24 and int(offset[2] or 0) < 60)


def _from_number_text(texts: pa.StringArray) -> pa.Array:
    integral = pc.match_substring_regex(texts, r"^[+-]?\d{1,18}$")
    whole = truth_values(integral)
    values = np.zeros(len(texts), dtype=np.int64)
    valid = np.zeros(len(texts), dtype=np.bool_)
    if whole.any():
        unsigned = pc.replace_substring_regex(texts.filter(integral), r"^\+", "")
        times = _from_integers(unsigned.cast(pa.int64()))
        values[whole], valid[whole] = fixed_width(times, np.int64), valid_flags(times)
    if not whole.all():
        doubles = pc.replace_substring_regex(texts.filter(pc.invert(integral)), r"^\+", "").cast(pa.float64())
        values[~whole], valid[~whole] = _from_floats(fixed_width(doubles, np.float64), valid_flags(doubles), np.rint)
    return _checked(values, valid)
