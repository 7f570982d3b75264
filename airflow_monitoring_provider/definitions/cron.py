"""Cron text read into lists of numbers, and numbers checked: the words and ranges of a schedule's five fields.

Every list comes out sorted, without repeats, names replaced by numbers, or as ``("*",)``. Errors are
:func:`~airflow_monitoring_provider.definitions.part.breaches` whose paths start at the schedule.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from airflow_monitoring_provider.definitions.part import PartPath, breaches, shortened

EVERY = ("*",)
Occurrences = tuple[int | str, ...]

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_DAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]


@dataclasses.dataclass(frozen=True, slots=True)
class CronField:
    """One of the five fields: its bounds and the names that stand for numbers (lower case, full and three letters)."""

    name: str
    low: int
    high: int
    names: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def words(self) -> str:
        """What may be written, for messages."""
        return f"{self.low} to {self.high}{' or a name' if self.names else ''}"


def _names(words: list[str], first: int) -> dict[str, int]:
    return {form: number for number, word in enumerate(words, first) for form in (word, word[:3])}


FIELDS = (
    CronField("minute", 0, 59),
    CronField("hour", 0, 23),
    CronField("day_of_month", 1, 31),
    CronField("month", 1, 12, _names(_MONTHS, 1)),
    CronField("day_of_week", 0, 6, _names(_DAYS, 0)),
)


def read_list(field: CronField, value: Any) -> Occurrences:
    """One list of the payload: whole numbers, names, or ``["*"]`` alone."""
    if not isinstance(value, list | tuple):
        raise breaches(((), f'must be a list of {field.words}, or ["*"]'))
    if not value:
        raise breaches(((), f'must not be empty: ["*"] means every {field.name.replace("_", " ")}'))
    if tuple(value) == EVERY:
        return EVERY
    numbers: set[int] = set()
    problems: list[tuple[PartPath, str]] = []
    for index, item in enumerate(value):
        number = _number(field, item)
        if number is None:
            problems.append(((index,), _fault(field, item)))
        else:
            numbers.add(number)
    if problems:
        raise breaches(*problems)
    return tuple(sorted(numbers))


def read_cron(text: str) -> dict[str, Occurrences]:
    """The five lists of one cron expression or preset; ranges and steps are written out."""
    if text.strip().startswith("@"):
        expression = PRESETS.get(text.strip().lower())
        if expression is None:
            raise breaches(((), f"knows the presets {', '.join(PRESETS)}, not {shortened(text.strip())}"))
        return read_cron(expression)
    parts = text.split()
    if len(parts) != len(FIELDS):
        raise breaches(((), f"must have the five fields of cron (minute hour day month weekday), not {len(parts)}"))
    return {field.name: _read_field(field, part) for field, part in zip(FIELDS, parts, strict=True)}


def _read_field(field: CronField, text: str) -> Occurrences:
    if text == "*":
        return EVERY
    numbers: set[int] = set()
    for piece in text.split(","):
        numbers |= _read_piece(field, piece)
    everything = set(range(field.low, field.high + 1))
    return EVERY if numbers == everything and text.startswith("*") else tuple(sorted(numbers))


_PIECE = re.compile(r"(?:(?P<every>\*)|(?P<first>\w+)(?:-(?P<last>\w+))?)(?:/(?P<step>\d{1,3}))?")


def _read_piece(field: CronField, piece: str) -> set[int]:
    label = field.name.replace("_", " ")
    match = _PIECE.fullmatch(piece)
    if match is None:
        raise breaches(((), f"has a {label} that is not a number, list, range or step: {shortened(piece)}"))
    step = int(match["step"] or 1)
    if step < 1:
        raise breaches(((), f"has a {label} with a step of 0"))
    if match["every"]:
        first, last = field.low, field.high
    else:
        first = _cron_number(field, match["first"], label)
        last = first if match["step"] is None else field.high
        if match["last"] is not None:
            last = _cron_number(field, match["last"], label)
    if last < first:
        raise breaches(((), f"has a {label} range that ends before it starts: {shortened(piece)}"))
    return {_sunday(field, number) for number in range(first, last + 1, step)}


def _cron_number(field: CronField, text: str, label: str) -> int:
    if field.name == "day_of_week" and text == "7":
        return 7
    number = _number(field, text)
    if number is None:
        raise breaches(((), f"has a {label} that is not {field.words}: {shortened(text)}"))
    return number


def _sunday(field: CronField, number: int) -> int:
    return 0 if field.name == "day_of_week" and number == 7 else number


def _number(field: CronField, item: Any) -> int | None:
    if isinstance(item, str):
        if item.isascii() and item.isdigit() and len(item) <= 2:
            item = int(item)
        else:
            return field.names.get(item.lower())
    if isinstance(item, bool) or not isinstance(item, int):
        return None
    return item if field.low <= item <= field.high else None


def _fault(field: CronField, item: Any) -> str:
    if item == "*":
        return '"*" must stand alone'
    if isinstance(item, str):
        return f"must be {field.words}, not {shortened(item)}"
    if isinstance(item, int) and not isinstance(item, bool):
        return f"must be {field.words}, not {item if abs(item) < 10**6 else 'a huge number'}"
    return f"must be {field.words}"
