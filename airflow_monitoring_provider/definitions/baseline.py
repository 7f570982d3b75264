"""What current rows are compared with: rows kept for the purpose, one window, or a merge of windows.

All but ``reference`` are made of the stored profiles of the definition's own jobs, so that a changed baseline never
reads rows again. Only scheduled windows count in them, a window never in its own (the first window apart), and windows
that overlap count once. A deleted batch counts in none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, Tag, WithJsonSchema

from airflow_monitoring_provider.definitions.duration import DurationText, Length
from airflow_monitoring_provider.definitions.intake import INTAKES, IntakeSettings
from airflow_monitoring_provider.definitions.part import Choice, Flag, Moment, Name, Part, Texts, Whole

ARIZE_DAYS = 17


def _word(name: str, camel: str) -> Any:
    """A type that may be written in two ways."""
    return Annotated[
        Literal[name],
        BeforeValidator(lambda value: name if value == camel else value),
        WithJsonSchema({"enum": [name, camel]}),
    ]


class ReferenceBaseline(Part):
    """Rows kept somewhere for the purpose, with the same column names and roles as the intake.

    ``start`` and ``end`` (aware UTC once loaded; a date or naive time is read in the definition's zone) restrict the
    rows by the definition's timestamp column, half-open; the intake of the job itself may be named with them.
    """

    choices: ClassVar[Mapping[str, Choice]] = {"intake_settings": INTAKES}

    type: Literal["reference"]
    intake_settings: IntakeSettings
    start: Moment | None = Field(default=None, description="Rows from this instant on.")
    end: Moment | None = Field(default=None, description="Rows before this instant.")


class FirstWindowBaseline(Part):
    """The rows of the window at the definition's ``start_date``."""

    type: _word("first_window", "firstWindow")  # type: ignore[valid-type]


class NamedBaseline(Part):
    """A baseline that the store keeps under a name; see ``airflow monitoring baselines create``."""

    type: Literal["named"]
    name: Name
    version: Whole | None = Field(default=None, ge=1, description="Of the name; absent: the newest.")


class MergedBaseline(Part):
    """What baselines that are merges of windows have in common."""

    exclude_drifted: Flag = Field(
        default=False, description="Leave out windows whose own evaluation detected drift: they do not become normal."
    )
    minimum_windows: Whole = Field(default=1, ge=1, description="With fewer windows nothing is compared.")
    minimum_rows: Whole = Field(default=0, ge=0, description="With fewer rows nothing is compared.")


class FixedRangeBaseline(MergedBaseline):
    """The windows that lie in a range of time, half-open, whole.

    Where no job has run over any part of it, and rows have a time, the range is read once through the intake and kept.
    """

    type: _word("fixed_range", "fixedRange")  # type: ignore[valid-type]
    start: Moment = Field(description="The first window starts here or after.")
    end: Moment = Field(description="The last window ends here or before.")


class BatchesBaseline(MergedBaseline):
    """What the definition's jobs and reports have in the batches listed, whatever their windows."""

    type: Literal["batches"]
    batch_ids: Annotated[Texts, Field(min_length=1)] = Field(description="Ids of batches of the deployment.")


class MovingWindowBaseline(MergedBaseline):
    """The windows that end at the job's own window, or ``delay`` before it, and start at most ``length`` before that.

    Without a length it is 17 days, which is what Arize gives a model.
    """

    type: _word("moving_window", "movingWindow")  # type: ignore[valid-type]
    length: Length | None = Field(default=None, description=f"Such as 4w or 12h; without windows {ARIZE_DAYS}d.")
    windows: Whole | None = Field(
        default=None, ge=1, le=10_000, description="Instead of a length: that many windows, the newest that there are."
    )
    delay: DurationText = Field(default="0d", description="What the newest days hold does not count yet.")

    @property
    def span(self) -> str | None:
        """How far back it reaches; None where windows are counted."""
        return self.length or (f"{ARIZE_DAYS}d" if self.windows is None else None)


class PreviousWindowBaseline(MergedBaseline):
    """The newest window that ended before the job's own began."""

    type: _word("previous_window", "previousWindow")  # type: ignore[valid-type]


class PreviousBatchBaseline(MergedBaseline):
    """The windows of the batch that holds the newest window before the job's own batch."""

    type: _word("previous_batch", "previousBatch")  # type: ignore[valid-type]


class SamePeriodBaseline(MergedBaseline):
    """The windows at the same time by the clock one period before, and two, up to ``periods``.

    29 February is compared with the 28th of other years, the 31st with the last day of shorter months.
    """

    type: _word("same_period", "samePeriod")  # type: ignore[valid-type]
    ago: Literal["day", "week", "month", "year"] = "week"
    periods: Whole = Field(default=1, ge=1, le=100)


class ExpandingBaseline(MergedBaseline):
    """Every window before the job's own."""

    type: Literal["expanding"]
    start: Moment | None = Field(default=None, description="The first window starts here or after; absent: any does.")
    delay: DurationText = Field(default="0d", description="What the newest days hold does not count yet.")


BASELINES = Choice(
    (
        (("reference",), ReferenceBaseline),
        (("first_window", "firstWindow"), FirstWindowBaseline),
        (("fixed_range", "fixedRange"), FixedRangeBaseline),
        (("batches",), BatchesBaseline),
        (("moving_window", "movingWindow"), MovingWindowBaseline),
        (("previous_window", "previousWindow"), PreviousWindowBaseline),
        (("previous_batch", "previousBatch"), PreviousBatchBaseline),
        (("same_period", "samePeriod"), SamePeriodBaseline),
        (("expanding",), ExpandingBaseline),
        (("named",), NamedBaseline),
    )
)

Baseline = Annotated[
    Annotated[ReferenceBaseline, Tag("<ReferenceBaseline>")]
    | Annotated[FirstWindowBaseline, Tag("<FirstWindowBaseline>")]
    | Annotated[FixedRangeBaseline, Tag("<FixedRangeBaseline>")]
    | Annotated[BatchesBaseline, Tag("<BatchesBaseline>")]
    | Annotated[MovingWindowBaseline, Tag("<MovingWindowBaseline>")]
    | Annotated[PreviousWindowBaseline, Tag("<PreviousWindowBaseline>")]
    | Annotated[PreviousBatchBaseline, Tag("<PreviousBatchBaseline>")]
    | Annotated[SamePeriodBaseline, Tag("<SamePeriodBaseline>")]
    | Annotated[ExpandingBaseline, Tag("<ExpandingBaseline>")]
    | Annotated[NamedBaseline, Tag("<NamedBaseline>")],
    BASELINES.discriminator(),
]
