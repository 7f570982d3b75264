"""How the rows of one window are cut into parts that tasks of their own profile."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from airflow_monitoring_provider.definitions.part import Column, Part, Whole

MOST_PARTS = 1024
"""As many as Airflow expands one task into unless ``[core] max_map_length`` says otherwise."""

_CAMEL = {"rowGroup": "row_group"}


class Partitions(Part):
    """Where the rows of a window are cut.

    ``file``: between files. ``row_group``: between row groups of Parquet files. ``key``: between values of ``column``
    of a table or query. ``time``: between values of the timestamp column of a table or query. ``auto``: row groups of
    Parquet files, other files as a whole, tables by their first unique row identifier, else by time.
    """

    by: Annotated[
        Literal["auto", "file", "row_group", "key", "time"],
        BeforeValidator(lambda value: _CAMEL.get(value, value) if isinstance(value, str) else value),
        WithJsonSchema({"enum": ["auto", "file", "row_group", "rowGroup", "key", "time"]}),
    ] = "auto"
    count: Whole = Field(default=4, ge=1, le=MOST_PARTS, description="At most so many parts.")
    column: Column | None = Field(
        default=None, description="Column that `key` cuts by; the first unique row identifier when absent."
    )
