"""Times of SQLite in the order in which they happened, where a column stores them all in one way.

SQLite has no type for times. A column of whole numbers, of real ones, or of ISO 8601 texts of one form (as many digits,
the same signs between them, the same zone at the end) can be compared there as :mod:`~.profiles.instants` compares what
is read; anything else cannot, and is refused.
"""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.intake.prefilter import skew
from airflow_monitoring_provider.intake.relation import Relation, arrow_type
from airflow_monitoring_provider.intake.source import CannotPushDown, TimeFilter
from airflow_monitoring_provider.profiles.arrays import fixed_width, from_texts, valid_flags
from airflow_monitoring_provider.profiles.instants import (
    FIRST,
    LAST,
    MICROSECONDS_FROM,
    MILLISECONDS_FROM,
    NANOSECONDS_FROM,
    instants,
    microseconds,
)

Column = sa.ColumnElement[Any]
Condition = sa.ColumnElement[bool]

_FORM = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?:(?P<sign>[ T])\d\d:\d\d(?P<second>:\d\d(?:\.(?P<fraction>\d{1,9}))?)?"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?"
)
_DAY, _MINUTE, _SECOND = 86_400_000_000, 60_000_000, 1_000_000


@dataclasses.dataclass(frozen=True)
class Form:
    """How texts of one column are written.

    :param example: one of them; its digits stand for any.
    :param whole: how many characters say date and time to the second.
    :param step: microseconds between one text and the next.
    :param digits: of the fraction of a second.
    """

    example: str
    sign: str
    whole: int
    step: int
    digits: int
    zone: str

    @classmethod
    def of(cls, text: str) -> Form | None:
        """The form of a text; None where it is no time in a form that has the order of times."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        digits = len(found["fraction"] or "")
        step = _DAY if not found["sign"] else _MINUTE if not found["second"] else max(1, _SECOND // 10**digits)
        whole = 10 if not found["sign"] else 16 if not found["second"] else 19
        zone = found["zone"] or ""
        if zone not in ("", "Z") and not (zone[1:3] < "24" and zone[4:] < "60"):
            return None
        return cls(text, found["sign"] or "", whole, step, digits, zone)

    def fits(self, column: Column) -> Condition:
        """Whether a text has this form and is a day and time that there is."""
        pattern = re.sub(r"\d", "[0-9]", self.example[: len(self.example) - len(self.zone)]) + self.zone
        start = sa.func.substr(column, 1, self.whole)
        # A modifier makes SQLite bring 30 February and 24:00 to the day that follows.
        return sa.and_(
            column.op("GLOB", is_comparison=True)(sa.literal(pattern, sa.Text())),
            sa.func.date(start, sa.literal("+0 seconds", sa.Text())) == sa.func.substr(column, 1, 10),
            column >= sa.literal("0001", sa.Text()),
        )

    def first_at(self, bound: datetime, zone: str) -> str | None:
        """The first text at or after an instant; None where the calendar ends before it."""
        at: tzinfo = ZoneInfo(zone)
        if self.zone:
            at = UTC if self.zone == "Z" else datetime.fromisoformat(f"2000-01-01T00:00:00{self.zone}").tzinfo or UTC
        try:
            wall = bound.astimezone(at).replace(tzinfo=UTC)
        except OverflowError:
            return None
        ticks = -(-microseconds(wall) // self.step) * self.step
        if ticks > LAST:
            return None
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=ticks)
        text = moment.isoformat(sep=self.sign or " ", timespec="microseconds")[: self.whole]
        fraction = f".{moment.microsecond:06d}000"[: self.digits + 1] if self.digits else ""
        return text + fraction + self.zone


@dataclasses.dataclass(frozen=True)
class StoredTimes:
    """The one way in which a column stores its times.

    :param form: of texts.
    """

    way: Literal["whole", "real", "text"]
    form: Form | None = None

    def key(self, column: Column) -> Column:
        """What has the order of the times: microseconds since 1970 UTC, or the text; null where there is no time."""
        if self.way == "text":
            return sa.collate(column, "BINARY")
        number = column if self.way == "whole" else sa.cast(column, sa.REAL())
        ticks = sa.case(
            (_below(number, MILLISECONDS_FROM), number * (1_000_000 if self.way == "whole" else 1e6)),
            (_below(number, MICROSECONDS_FROM), number * (1_000 if self.way == "whole" else 1e3)),
            (_below(number, NANOSECONDS_FROM), number),
            else_=_thousandth(number) if self.way == "whole" else number / 1e3,
        )
        return sa.case((sa.and_(ticks >= FIRST, ticks < LAST + 1), ticks))

    def inside(self, column: Column, window: TimeFilter) -> Condition:
        """Whether a time lies in a window."""
        key = self.key(column)
        conditions: list[Condition] = [key.is_not(None)]
        if self.form is None:
            if window.start is not None:
                conditions.append(key >= microseconds(window.start))
            if window.end is not None:
                conditions.append(key < microseconds(window.end))
            return sa.and_(*conditions)
        if window.start is not None:
            text = self.form.first_at(window.start, window.timezone)
            conditions.append(sa.false() if text is None else key >= sa.literal(text, sa.Text()))
        if window.end is not None and (text := self.form.first_at(window.end, window.timezone)) is not None:
            conditions.append(key < sa.literal(text, sa.Text()))
        return sa.and_(*conditions)

    def instant(self, key: Any, timezone: str) -> int | None:
        """Microseconds since 1970 UTC of a key."""
        if key is None:
            return None
        if self.form is None:
            return int(np.floor(key))
        times = instants(from_texts([key], pa.string()), timezone)
        return int(fixed_width(times, np.int64)[0]) if valid_flags(times)[0] else None


def _below(number: Column, size: int) -> Condition:
    return sa.and_(number > -size, number < size)


def _thousandth(number: Column) -> Column:
    """Rounded down, where SQLite divides whole numbers towards zero."""
    down = sa.case((number < 0, number - 999), else_=number)
    return down.op("/")(sa.literal(1_000, sa.Integer()))


def stored_times(connection: sa.Connection, relation: Relation, name: str, may: Condition | None) -> StoredTimes:
    """How a column stores its times.

    :param may: which rows may matter; None for all.
    :raises CannotPushDown: in several ways, or in one whose order is another.
    """
    column, kind = relation.column(name), arrow_type(relation.types[name])
    rows = sa.select().select_from(relation.source).where(column.is_not(None), *([] if may is None else [may]))
    stored = sa.func.typeof(column)
    ways = set(connection.execute(rows.with_only_columns(stored).distinct()).scalars())
    if pa.types.is_floating(kind) and ways <= {"integer", "real"}:
        return StoredTimes("real")
    textual = pa.types.is_string(kind) or pa.types.is_temporal(kind)
    if (textual or pa.types.is_integer(kind)) and ways <= {"integer"}:
        return StoredTimes("whole")
    if textual and ways == {"text"}:
        example = connection.scalar(rows.with_only_columns(sa.cast(column, sa.LargeBinary())).limit(1))
        form = Form.of(bytes(example or b"").decode("utf-8", "replace"))
        if form is not None:
            odd = rows.with_only_columns(sa.literal(1, sa.Integer())).where(sa.not_(form.fits(column))).limit(1)
            if connection.execute(odd).first() is None:
                return StoredTimes("text", form)
    raise CannotPushDown(
        f"timestamp column {name!r} ({kind}) cannot be cut to the row in sqlite: it does not store all its times as "
        "whole numbers, as real ones, or as ISO 8601 texts of one form"
    )


def check_zone(times: StoredTimes, window: TimeFilter) -> None:
    """Refuse a window that starts or ends where the clocks of texts without zone change.

    :raises CannotPushDown: it does.
    """
    if times.form is None or times.form.zone:
        return
    if any(skew(window.timezone, bound) for bound in (window.start, window.end) if bound is not None):
        raise CannotPushDown(
            f"timestamp column {window.column!r} has no zone, and the clocks of {window.timezone} change near the "
            "window's edge"
        )
