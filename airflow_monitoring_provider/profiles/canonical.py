"""One text per level, decided by the value and its declared type, never by the driver that read it.

=================  ==========================================================================================
declared type      canonical text
=================  ==========================================================================================
integer            decimal digits: ``1``
float              shortest text that reads back as the same float of that width, as Python writes it: ``1.0``,
                   ``1e+20``; ``-0.0`` is ``0.0``; NaN is missing; ``inf``, ``-inf``
decimal            plain digits without trailing zeros: ``1.1``, ``100``, ``0.0000000001`` (a scale belongs to a
                   batch or a driver, not to the value)
boolean            ``true``, ``false``
text               itself, byte for byte: no trimming, no case, no Unicode normalisation (``1`` stays ``1``); bytes
                   that are not UTF-8 are U+FFFD
binary             ``0x`` and lower-case hex
date               ``2024-01-31``
time               ``13:05:00``, with 6 (or 9) decimals only where the value has a fraction
timestamp          ``2024-01-31T13:05:00``, likewise; with a time zone in UTC and ``+00:00`` added
duration           ISO 8601 in seconds: ``PT90S``, ``PT0.5S``, ``-PT1S``
dictionary         as its values
list, struct, map  JSON with sorted keys; binary and infinite values in it as above, NaN as null, an instant or
                   duration that Python cannot hold as the whole number that is stored
=================  ==========================================================================================

So integer 1, float 1.0 and text "1.0" of three columns are three texts, two of them equal; a column has one type, and
its level texts are compared within the column only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.kernels.lines import whole_digits
from airflow_monitoring_provider.profiles.arrays import (
    fixed_width,
    from_texts,
    from_truth,
    is_text,
    truth_values,
    valid_bits,
    valid_flags,
    valid_rows,
    whole_texts,
)

_DAY = 86_400_000  # milliseconds
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def canonical_array(array: pa.Array) -> pa.Array:
    """The canonical text of every value, as a string array of the same length; nulls (and NaN) are null."""
    if is_text(array.type):
        return whole_texts(array.cast(pa.large_string()) if pa.types.is_string_view(array.type) else array)
    if pa.types.is_integer(array.type):
        return _integers(array)  # finding equal ones first takes seven times as long where none are
    encoded = canonical_dictionary(array)
    return encoded.dictionary.take(encoded.indices)


def canonical_dictionary(array: pa.Array) -> pa.DictionaryArray:
    """The same with every distinct value written once: indices into canonical texts, which may repeat.

    A dictionary array keeps its indices; only its dictionary is written anew.
    """
    if pa.types.is_dictionary(array.type):
        return pa.DictionaryArray.from_arrays(array.indices, canonical_array(array.dictionary))
    if is_text(array.type):
        return canonical_array(array).dictionary_encode()
    if _is_nested(array.type):
        return from_texts([_json(value) if value.is_valid else None for value in array]).dictionary_encode()
    encoded = array.dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices, _distinct_texts(encoded.dictionary))


def _distinct_texts(values: pa.Array) -> pa.Array:
    """The canonical texts of an array without nulls (a dictionary)."""
    kind = values.type
    if pa.types.is_null(kind):
        return from_texts([None] * len(values))
    if pa.types.is_integer(kind):
        return _integers(values)
    write = _writer(kind)
    texts: list[str | None] = write(values)
    valid = valid_rows(values)
    if valid is not None:
        texts = [text if there else None for text, there in zip(texts, valid.tolist(), strict=True)]
    return from_texts(texts)


def _integers(values: pa.Array) -> pa.LargeStringArray:
    found = None if pa.types.is_uint64(values.type) else _digits(values.cast(pa.int64()))
    return values.cast(pa.large_string()) if found is None else found


def _digits(values: pa.Int64Array) -> pa.LargeStringArray | None:
    """The same in a fifth of the time; None where there are no compiled kernels."""
    texts = whole_digits(fixed_width(values, np.int64), valid_bits(values))
    if texts is None:
        return None
    bitmap = from_truth(valid_flags(values)).buffers()[1] if values.null_count else None
    return pa.Array.from_buffers(pa.large_string(), len(values), [bitmap, *map(pa.py_buffer, texts)])


def _writer(kind: pa.DataType) -> Callable[[pa.Array], list[str | None]]:
    types = pa.types
    if types.is_boolean(kind):
        return lambda values: ["true" if truth else "false" for truth in truth_values(values)]
    if types.is_floating(kind):
        return _floats
    if types.is_decimal(kind):
        return lambda values: [_plain(text) for text in values.cast(pa.string()).to_pylist()]
    if types.is_date(kind):
        return _dates
    if types.is_timestamp(kind):
        return _timestamps
    if types.is_time(kind):
        return lambda values: [_clock(n, kind.unit) for n in _whole(values)]
    if types.is_duration(kind):
        return lambda values: [_duration(n, kind.unit) for n in _whole(values)]
    if types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind):
        return lambda values: [None if v is None else "0x" + v.hex() for v in values.to_pylist()]
    return lambda values: [None if v is None else str(v) for v in values.to_pylist()]


def _floats(values: pa.Array) -> list[str | None]:
    width = values.type.bit_width
    dtype = {16: np.float16, 32: np.float32, 64: np.float64}[width]
    doubles = fixed_width(values, dtype) + dtype(0)  # -0.0 becomes 0.0
    return [None if text == "nan" else text for text in (str(double) for double in doubles)]


def _plain(text: str | None) -> str | None:
    if text is None:
        return None
    from decimal import Decimal

    plain = format(Decimal(text), "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def _whole(values: pa.Array) -> list[int]:
    ticks: list[int] = fixed_width(values, np.int32 if values.type.bit_width == 32 else np.int64).tolist()
    return ticks


def _timestamps(values: pa.Array) -> list[str | None]:
    unit, zone = values.type.unit, "+00:00" if values.type.tz else ""
    ticks = fixed_width(values, np.int64)
    seconds, rest = np.divmod(ticks, _PER_SECOND[unit])
    stamps = np.datetime_as_string(seconds.astype("datetime64[s]")).tolist()
    return [f"{stamp}{_fraction(part, unit)}{zone}" for stamp, part in zip(stamps, rest.tolist(), strict=True)]


def _dates(values: pa.Array) -> list[str | None]:
    days = np.floor_divide(_whole(values), 1 if values.type.bit_width == 32 else _DAY)
    texts: list[str | None] = np.datetime_as_string(days.astype("datetime64[D]")).tolist()
    return texts


def _clock(ticks: int, unit: str) -> str:
    seconds, rest = divmod(ticks, _PER_SECOND[unit])
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{_fraction(rest, unit)}"


def _duration(ticks: int, unit: str) -> str:
    seconds, rest = divmod(abs(ticks), _PER_SECOND[unit])
    fraction = _fraction(rest, unit).rstrip("0")
    return f"{'-' if ticks < 0 else ''}PT{seconds}{fraction}S"


def _fraction(rest: int, unit: str) -> str:
    """The part of a second: nothing, six digits, or nine where six would lose something."""
    nanoseconds = rest * (1_000_000_000 // _PER_SECOND[unit])
    if not nanoseconds:
        return ""
    return f".{nanoseconds:09d}" if nanoseconds % 1000 else f".{nanoseconds // 1000:06d}"


def _is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_nested(kind))


def _json(scalar: pa.Scalar) -> str:
    value = _jsonable(_python(scalar))
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=str, separators=(",", ":"))


def _python(scalar: pa.Scalar) -> Any:
    """The value as Python has it; where it has no form for a part of it, that part as it is stored."""
    try:
        return scalar.as_py()
    except (ValueError, OverflowError):  # an instant beyond the calendar, a text that is not UTF-8, a name given twice
        pass
    kind = scalar.type
    if pa.types.is_struct(kind):
        return {kind.field(place).name: _python(scalar[place]) for place in range(kind.num_fields)}
    if pa.types.is_map(kind):
        return [list(_python(pair).values()) for pair in scalar.values]
    if pa.types.is_nested(kind):
        return [_python(item) for item in scalar.values]
    return scalar.as_buffer().to_pybytes().decode("utf-8", "replace") if is_text(kind) else scalar.value


def _jsonable(value: Any) -> Any:
    """JSON has neither bytes nor NaN nor infinities."""
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_jsonable(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return "0x" + value.hex() if isinstance(value, bytes) else value
