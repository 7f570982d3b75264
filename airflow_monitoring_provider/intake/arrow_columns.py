"""Columns that a driver delivers as Arrow, as this package's kinds: their SQL type, and their values in its form.

The SQL type decides as in :mod:`relation`: an ``int32``, a dictionary of texts or a ``decimal32`` arrives as the same
column does through any other driver.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.relation import SqlType
from airflow_monitoring_provider.intake.row_texts import digits
from airflow_monitoring_provider.profiles.arrays import as_texts, fixed_width, from_values, valid_rows
from airflow_monitoring_provider.profiles.instants import FIRST, LAST

_DAY = 86_400_000_000  # microseconds
_PER_MICROSECOND = {"s": (1_000_000, 1), "ms": (1_000, 1), "us": (1, 1), "ns": (1, 1_000)}


class Shown(sa.Text):
    """A type that Arrow has no plain text of: the database is to write it."""


def sql_type(field: pa.Field) -> SqlType:
    """The SQL type of a column of a result."""
    kind, types = field.type, pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _extension_type(kind, field.metadata or {})
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return sql_type(pa.field(field.name, kind.value_type))
    if types.is_boolean(kind):
        return sa.Boolean()
    if types.is_integer(kind):
        return sa.Numeric(20, 0) if kind == pa.uint64() else sa.BigInteger()
    if types.is_floating(kind):
        return sa.Double() if kind == pa.float64() else sa.REAL()
    if types.is_decimal(kind):
        return sa.Numeric(kind.precision, kind.scale)
    if types.is_timestamp(kind):
        return sa.DateTime(timezone=kind.tz is not None)
    if types.is_date(kind):
        return sa.Date()
    if _is_bytes(kind):
        return sa.LargeBinary()
    return sa.Text() if _is_string(kind) or types.is_null(kind) else Shown()


def delivered(array: pa.Array, kind: pa.DataType, name: str, label: str) -> pa.Array:
    """A column of a batch as the Arrow type of :func:`relation.arrow_type`.

    Times outside the years 1 to 9999, infinite ones among them, are the first one after.

    :raises SourceError: a value does not fit; names the column, and no value.
    """
    if array.type == kind and not pa.types.is_temporal(kind):
        return array
    try:
        return _converted(_plain(array), kind)
    except (pa.ArrowException, ValueError, OverflowError):
        raise SourceError(
            f"column {name!r} of {label} arrives as {array.type} and holds values that do not fit its type {kind}; "
            "CAST it in a query"
        ) from None


def _plain(array: pa.Array) -> pa.Array:
    while True:
        if isinstance(array.type, pa.BaseExtensionType):
            array = array.storage
        elif pa.types.is_run_end_encoded(array.type):
            array = pc.run_end_decode(array)
        elif pa.types.is_dictionary(array.type):
            array = array.dictionary.take(array.indices)
        else:
            return array


def _converted(array: pa.Array, kind: pa.DataType) -> pa.Array:
    arrives, types = array.type, pa.types
    if types.is_timestamp(kind) and types.is_timestamp(arrives):
        return _timestamps(array, kind)
    if types.is_date(kind) and types.is_date(arrives):
        return _dates(array)
    if types.is_string(kind) and (_is_string(arrives) or _is_bytes(arrives)):
        return as_texts(array.cast(pa.binary()))  # what is not UTF-8 is replaced, as in every other text
    if types.is_floating(kind) and arrives in (pa.float16(), pa.float32()):
        return array.cast(pa.float32()).cast(pa.string()).cast(kind)  # the double that the shortest text spells: 0.1
    if types.is_integer(kind) and types.is_decimal(arrives):
        return array.cast(pa.decimal128(38, 0)).cast(kind)
    if _is_string(arrives) and not types.is_string(kind):
        texts = array.cast(pa.string())
        return texts.cast(kind) if types.is_floating(kind) else digits(texts).cast(kind)
    return array.cast(kind)


def _timestamps(array: pa.Array, kind: pa.DataType) -> pa.Array:
    values = fixed_width(array, np.int64)
    many, of = _PER_MICROSECOND[array.type.unit]
    low, high = FIRST * of // many, (LAST * of + of - 1) // many
    inside = (values >= low) & (values <= high)
    return from_values(np.where(inside, np.where(inside, values, 0) * many // of, LAST + 1), kind, valid_rows(array))


def _dates(array: pa.Array) -> pa.Array:
    if array.type == pa.date64():
        values = fixed_width(array, np.int64) // 86_400_000
    else:
        values = fixed_width(array, np.int32).astype(np.int64)
    inside = (values >= FIRST // _DAY) & (values <= LAST // _DAY)
    return from_values(np.where(inside, values, (LAST + 1) // _DAY).astype(np.int32), pa.date32(), valid_rows(array))


def _extension_type(kind: Any, metadata: Mapping[bytes, bytes]) -> SqlType:
    if getattr(kind, "type_name", None) == "numeric":  # of PostgreSQL, as text
        return _numeric(int(metadata.get(b"POSTGRESQL:typmod", b"-1")))
    return Shown()


def _numeric(typmod: int) -> SqlType:
    """The precision and scale of a numeric: PostgreSQL's ``numeric_typmod_precision`` and ``numeric_typmod_scale``."""
    if typmod < 4:
        return sa.Numeric()
    typmod -= 4
    return sa.Numeric(typmod >> 16 & 0xFFFF, ((typmod & 0x7FF) ^ 1024) - 1024)


def _is_string(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind)
        or types.is_large_binary(kind)
        or types.is_fixed_size_binary(kind)
        or types.is_binary_view(kind)
    )
