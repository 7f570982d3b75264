"""The bits of a double inside a database: what makes its buckets the same as those of rows that were read.

``floor(log2(x))`` is not exact near powers of two, so nobody uses a logarithm here. PostgreSQL shows a double's bytes
(``float8send``, big-endian: the sign, eleven bits of exponent, the mantissa); only as many bytes are put together as
the precision needs. SQLite runs in this process and is given a function. Others have no exact way that is known here.
"""

from __future__ import annotations

import functools
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

Expression = sa.ColumnElement[Any]
IntArray = npt.NDArray[np.int64]

EXACT = ("postgresql", "sqlite")
"""Databases whose doubles can be taken apart exactly."""

_FUNCTION = "monitoring_double_bits"
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)


def prepare(connection: sa.Connection) -> None:
    """Give SQLite the function that :func:`leading_bits` calls."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.create_function(_FUNCTION, 1, _bits, deterministic=True)


def leading_bits(value: Expression, shift: int, dialect: str) -> Expression:
    """The double's bits without the low ``shift`` (0..63) ones, as a whole number; null stays null.

    :param value: a double that is no -0.0.
    """
    if dialect == "sqlite":
        bits: Expression = getattr(sa.func, _FUNCTION)(value, type_=sa.BigInteger())
        return bits.op(">>")(whole_number(shift))
    sent = sa.func.float8send(value)
    if shift < 8:
        hexadecimal = sa.literal("x", sa.Text()).op("||")(sa.func.encode(sent, sa.literal("hex", sa.Text())))
        whole = sa.cast(sa.cast(hexadecimal, postgresql.BIT(64)), sa.BigInteger())
        return whole.op(">>")(whole_number(shift))
    count = 8 - shift // 8
    kind = sa.Integer() if count < 4 else sa.BigInteger()
    parts: list[Expression] = []
    for place in range(count):
        byte = sa.cast(sa.func.get_byte(sent, whole_number(place)), kind)
        up = 8 * (count - 1 - place)
        parts.append(byte.op("<<")(whole_number(up)) if up else byte)
    joined = functools.reduce(lambda left, right: left.op("|")(right), parts)
    return joined.self_group().op(">>")(whole_number(shift % 8))


def whole_number(number: int) -> Expression:
    """A number to shift by: PostgreSQL takes 32 bits, not the 64 that a bound number of another column might need."""
    return sa.literal(number, sa.Integer())


def order_codes(bits: IntArray, shift: int) -> IntArray:
    """Leading bits as the histogram's codes, which keep the order of negative numbers as well."""
    signed = (bits << shift) >> shift
    return np.where(signed < 0, signed ^ (_MAGNITUDE >> shift), signed)


def _bits(value: float | None) -> int | None:
    return None if value is None else int(struct.unpack("<q", struct.pack("<d", value + 0.0))[0])
