"""What current rows are compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, Tag, WithJsonSchema

from airflow_monitoring_provider.definitions.intake import INTAKES, IntakeSettings
from airflow_monitoring_provider.definitions.part import Choice, Moment, Part


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

    type: Annotated[
        Literal["first_window"],
        BeforeValidator(lambda value: "first_window" if value == "firstWindow" else value),
        WithJsonSchema({"enum": ["first_window", "firstWindow"]}),
    ]


BASELINES = Choice(((("reference",), ReferenceBaseline), (("first_window", "firstWindow"), FirstWindowBaseline)))

Baseline = Annotated[
    Annotated[ReferenceBaseline, Tag("<ReferenceBaseline>")]
    | Annotated[FirstWindowBaseline, Tag("<FirstWindowBaseline>")],
    BASELINES.discriminator(),
]
