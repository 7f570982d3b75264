"""The bits of a double inside a database: what makes its buckets the same as those of rows that were read.

``floor(log2(x))`` is not exact near powers of two, so a logarithm is at most a first guess here. How each database
takes a double apart (each is a construct of SQLAlchemy's, compiled by its dialect):

================= ==================================================================================================
PostgreSQL        ``float8send``: the bytes, big-endian (the sign, eleven bits of exponent, the mantissa), which from
                  version 18 on are cast to a whole number; before, as many are put together as the precision needs
SQLite            runs in this process and is given a function
DuckDB            a cast to ``BIT``
SQL Server        a cast to ``BINARY(8)``
Oracle            ``UTL_RAW.CAST_FROM_BINARY_DOUBLE``
MySQL, MariaDB    no way to the bytes: the exponent by ``LOG2``, corrected by what division by that power of two (which
                  is exact) leaves
================= ==================================================================================================

Others have no exact way that is known here, and compiling for them is an error.
"""

from __future__ import annotations

import functools
import math
import struct
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from airflow_monitoring_provider.intake.words import DOUBLE

Expression = sa.ColumnElement[Any]
IntArray = npt.NDArray[np.int64]

_FUNCTION = "monitoring_double_bits"
_MAGNITUDE = np.int64(0x7FFF_FFFF_FFFF_FFFF)
_TWICE_HALF = 2 * int(np.array(0.5).view(np.int64))
_MANTISSA = 1 << 52
_BIAS = 1023


class LeadingBits(FunctionElement[int]):
    """A double's bits without the low ``shift`` (0..63) ones, as a whole number; null stays null.

    :param value: a double that is no -0.0.
    """

    type = sa.BigInteger()
    inherit_cache = False  # a cached statement would keep its shift

    def __init__(self, value: Expression, shift: int) -> None:
        super().__init__(value)
        self.shift = shift

    @property
    def parts(self) -> tuple[Expression, int]:
        """Value and shift."""
        (value,) = self.clauses
        return value, self.shift


def bucket_code(value: Expression, shift: int, *, mirrored: bool) -> Expression:
    """The bucket of a double at a precision, for :func:`order_codes`; where mirrored the histogram's own code."""
    plain = LeadingBits(value, shift)
    if not mirrored:
        return plain
    # Above one half the code is 2 code(0.5) - code(1 - x), and twice code(0.5) ends in 54 zero bits: with r the code of
    # 1 - x, (2 code(0.5) - r) >> shift is (2 code(0.5) >> shift) - ceil(r / 2**shift), of whole numbers.
    rest = LeadingBits(sa.literal(1.0, DOUBLE) - value, 0)
    above = sa.literal((_TWICE_HALF >> shift) - 1, sa.BigInteger()) - _Shifted(rest - 1, shift)
    return sa.case((value > 0.5, above), else_=sa.cast(plain, sa.BigInteger()))


def prepare(connection: sa.Connection) -> None:
    """Give SQLite the function that :class:`LeadingBits` calls."""
    if connection.dialect.name == "sqlite":
        driver: Any = connection.connection.driver_connection
        driver.create_function(_FUNCTION, 1, _bits, deterministic=True)


def order_codes(bits: IntArray, shift: int) -> IntArray:
    """Leading bits as the histogram's codes, which keep the order of negative numbers as well."""
    signed = (bits << shift) >> shift
    return np.where(signed < 0, signed ^ (_MAGNITUDE >> shift), signed)


def _bits(value: float | None) -> int | None:
    return None if value is None else int(struct.unpack("<q", struct.pack("<d", value + 0.0))[0])


class _Shifted(LeadingBits):
    """A whole number from -1 on without its low ``shift`` bits, rounded down."""

    inherit_cache = False


@compiles(LeadingBits)
def _no_way(element: LeadingBits, compiler: Any, **_options: Any) -> str:
    raise sa.exc.CompileError(
        f"{compiler.dialect.name} has no exact way to a double's bits, so its buckets would differ; read the rows"
    )


@compiles(LeadingBits, "sqlite")
def _on_sqlite(element: LeadingBits, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    bits: Expression = getattr(sa.func, _FUNCTION)(value, type_=sa.BigInteger())
    return _written(bits.op(">>")(_whole(shift)), compiler, options)


@compiles(LeadingBits, "postgresql")
def _on_postgresql(element: LeadingBits, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    sent = sa.func.float8send(value)
    if (getattr(compiler.dialect, "server_version_info", None) or (0,)) >= (18,):
        return _written(sa.cast(sent, sa.BigInteger()).op(">>")(_whole(shift)), compiler, options)
    if shift < 8:
        hexadecimal = sa.literal("x", sa.Text()).op("||")(sa.func.encode(sent, sa.literal("hex", sa.Text())))
        whole = sa.cast(sa.cast(hexadecimal, postgresql.BIT(64)), sa.BigInteger())
        return _written(whole.op(">>")(_whole(shift)), compiler, options)
    count = 8 - shift // 8
    kind = sa.Integer() if count < 4 else sa.BigInteger()
    parts: list[Expression] = []
    for place in range(count):
        byte = sa.func.get_byte(sent, _whole(place))
        up = 8 * (count - 1 - place)
        widened = byte if count < 4 else sa.cast(byte, kind)
        parts.append(widened.op("<<")(_whole(up)) if up else widened)
    joined = functools.reduce(lambda left, right: left.op("|")(right), parts)
    return _written(joined.self_group().op(">>")(_whole(shift % 8)), compiler, options)


@compiles(LeadingBits, "duckdb")
def _on_duckdb(element: LeadingBits, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    double = compiler.process(sa.cast(value, DOUBLE), **options)
    return f"(CAST(CAST({double} AS BIT) AS BIGINT) >> {shift})"


@compiles(LeadingBits, "mssql")
def _on_mssql(element: LeadingBits, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    bits = f"CAST(CAST({compiler.process(sa.cast(value, DOUBLE), **options)} AS BINARY(8)) AS BIGINT)"
    # What is left once the low bits are gone is a multiple of the divisor, so that nothing is rounded towards zero.
    return f"(({bits} & {-(1 << shift)}) / {1 << shift})" if shift else bits


@compiles(LeadingBits, "oracle")
def _on_oracle(element: LeadingBits, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    text = compiler.process(value, **options)
    raw = f"RAWTOHEX(UTL_RAW.CAST_FROM_BINARY_DOUBLE(TO_BINARY_DOUBLE({text})))"
    number = f"TO_NUMBER({raw}, 'XXXXXXXXXXXXXXXX')"
    bits = f"{number} - CASE WHEN {number} >= {1 << 63} THEN {1 << 64} ELSE 0 END"
    return f"FLOOR(({bits}) / {1 << shift})"


@compiles(LeadingBits, "mysql")
@compiles(LeadingBits, "mariadb")
def _by_powers(element: LeadingBits, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    size = f"ABS({compiler.process(value, **options)})"
    guess = f"LEAST(FLOOR(LOG2({size})), {_BIAS})"
    left = f"({size} / POW(2e0, {guess}))"  # in [1, 2), or up to twice out of it where the guess was one off
    mantissa = f"CASE WHEN {left} < 1 THEN 2 * {left} - 2 WHEN {left} >= 2 THEN {left} / 2 ELSE {left} - 1 END"
    normal = f"CAST({guess} + {_BIAS} AS SIGNED) * {_MANTISSA} + CAST(({mantissa}) * {_MANTISSA}e0 AS SIGNED)"
    half = f"{math.ldexp(1.0, 537)!r}"
    tiny = f"CAST({size} * {half} * {half} AS SIGNED)"
    smallest = f"{math.ldexp(1.0, -1022)!r}"
    bits = f"(CASE WHEN {size} = 0 THEN 0 WHEN {size} < {smallest} THEN {tiny} ELSE {normal} END DIV {1 << shift})"
    largest = (1 << 63) - 1  # 2**63 is no number of 64 bits
    below = f"- {1 << (63 - shift)}" if shift else f"- {largest} - 1"
    negative = f"{compiler.process(value, **options)} < 0"
    return f"(CASE WHEN {negative} THEN {bits} {below} ELSE {bits} END)"


@compiles(_Shifted)
def _shifted(element: _Shifted, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    return _written(value.self_group().op(">>")(_whole(shift)), compiler, options)


@compiles(_Shifted, "mssql")
@compiles(_Shifted, "oracle")
@compiles(_Shifted, "mysql")
@compiles(_Shifted, "mariadb")
def _divided(element: _Shifted, compiler: Any, **options: Any) -> str:
    value, shift = element.parts
    text, unit = compiler.process(value, **options), 1 << shift
    if compiler.dialect.name == "oracle":
        return f"FLOOR(({text}) / {unit})"
    way = "/" if compiler.dialect.name == "mssql" else "DIV"  # both towards zero, and so of what is not below it
    return f"((({text}) + {unit}) {way} {unit} - 1)"


def _written(expression: Expression, compiler: Any, options: dict[str, Any]) -> str:
    return f"({compiler.process(expression, **options)})"


def _whole(number: int) -> Expression:
    """A number to shift by: PostgreSQL takes 32 bits, not the 64 that a bound number of another column might need."""
    return sa.literal(number, sa.Integer())
