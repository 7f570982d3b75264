"""Column types that mean the same on SQLite and PostgreSQL: aware UTC timestamps, and JSON without NaN."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DontWrapMixin

from airflow_monitoring_provider.exceptions import UnstorableError


class _Unwrapped(DontWrapMixin, UnstorableError):
    """Reaches the caller as it is; SQLAlchemy would wrap another error of a bound value in a ``StatementError``."""


class Utc(sa.types.TypeDecorator[dt.datetime]):
    """An instant: aware datetimes go in and come out in UTC, with microseconds; naive ones are refused.

    SQLite has no instants: it holds the UTC wall clock as text, ``2026-01-31 12:00:00.000000``.
    """

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        if value is None:
            return None
        instant = in_utc(value)
        return instant.replace(tzinfo=None) if dialect.name == "sqlite" else instant

    def process_result_value(self, value: dt.datetime | None, dialect: sa.Dialect) -> dt.datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)


class Json(sa.types.TypeDecorator[Any]):
    """JSON text on both databases; only what :func:`jsonable` gives reaches either.

    Not ``jsonb``: it reorders keys and turns 1e30 into an integer, so a value would depend on the database it was in.
    """

    impl = sa.JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        return jsonable(value)


def in_utc(value: dt.datetime) -> dt.datetime:
    """The same instant in UTC; :class:`UnstorableError` for a naive datetime, which names none, and other types."""
    if not isinstance(value, dt.datetime):
        raise _Unwrapped(f"an instant must be a datetime with a time zone, not {type(value).__name__}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise _Unwrapped("a datetime without a time zone names no instant; give an aware one (UTC)")
    try:
        return value.astimezone(dt.UTC)
    except OverflowError:
        raise _Unwrapped("an instant lies outside the years 1 to 9999 in UTC") from None


def jsonable(value: Any) -> Any:
    """Plain JSON data: NumPy scalars become numbers, characters that no database holds become U+FFFD.

    Refuses NaN and infinities: they are not JSON, SQLite would turn them to NULL and PostgreSQL would refuse the row.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        return {storable(str(key)): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return finite(value)
    if hasattr(value, "tolist"):  # a NumPy scalar or array; NumPy itself need not be imported for this
        return jsonable(value.tolist())
    if isinstance(value, dt.datetime):
        return in_utc(value).isoformat()
    raise _Unwrapped(f"a {type(value).__name__} has no JSON form")


def finite(value: float, where: str = "a JSON value") -> float:
    """A Python float; :class:`UnstorableError` for NaN and infinities, naming ``where``."""
    number = float(value)
    if not math.isfinite(number):
        raise _Unwrapped(f"{where} is NaN or infinite, which cannot be stored; use None and say why")
    return number


def storable(text: str) -> str:
    """The text with NUL and lone surrogates, which no database holds, as U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\ufffd").encode("utf-8", "surrogatepass").decode("utf-8", "replace")
