"""How long a window waits for its rows, and how many of them are expected."""

from __future__ import annotations

import datetime
import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from airflow_monitoring_provider.definitions.part import Part, Whole, breaches

MEDIAN = "median"
LONGEST_DELAY = 366 * 86_400

_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
_SECONDS = (604_800, 86_400, 3_600, 60, 1)


def _delay(value: Any) -> Any:
    """Seconds of a number, or of an ISO 8601 duration without years and months (whose length varies)."""
    if isinstance(value, str):
        match = _DURATION.fullmatch(value)
        if match is None or value.endswith(("P", "T")):
            raise breaches(((), "must be seconds, or an ISO 8601 duration such as PT6H or P1DT12H"))
        value = sum(int(count) * seconds for count, seconds in zip(match.groups("0"), _SECONDS, strict=True))
    if isinstance(value, bool) or not isinstance(value, int):
        raise breaches(((), "must be whole seconds, or an ISO 8601 duration such as PT6H or P1DT12H"))
    if not 0 <= value <= LONGEST_DELAY:
        raise breaches(((), "must be from 0 to 366 days"))
    return value


def _expected(value: Any) -> Any:
    whole = isinstance(value, int) and not isinstance(value, bool) and value > 0
    if not whole and value != MEDIAN:
        raise breaches(((), "must be median or a positive number of rows"))
    return value


Delay = Annotated[
    int,
    BeforeValidator(_delay),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "format": "duration"}]}),
]
ExpectedRows = Annotated[
    int | str,
    BeforeValidator(_expected),
    WithJsonSchema({"anyOf": [{"const": MEDIAN}, {"type": "integer", "minimum": 1}]}),
]


class Timeliness(Part):
    """When the rows of a window are there, and how many there should be."""

    delay: Delay = Field(
        default=0, description="Seconds, or an ISO 8601 duration, from a window's end until its rows have arrived."
    )
    expected_rows: ExpectedRows | None = Field(
        default=None,
        description="Rows of a window, for `completeness`: a number, or median (of the windows before it).",
    )
    history: Whole = Field(default=28, ge=3, le=1000, description="The windows before that `median` looks at.")

    @property
    def waiting(self) -> datetime.timedelta:
        """:attr:`delay`."""
        return datetime.timedelta(seconds=self.delay)
