"""Where the row results go, and how they meet the rows that are there."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, Tag, WithJsonSchema, model_validator

from airflow_monitoring_provider.definitions.intake import (
    FILE_TYPES,
    SQL_TYPES,
    FilePlace,
    SqlPlace,
    url_faults,
)
from airflow_monitoring_provider.definitions.part import (
    Choice,
    Columns,
    Flag,
    Identifiers,
    Name,
    Part,
    PartPath,
    Text,
    Whole,
    breaches,
)
from airflow_monitoring_provider.definitions.places import FILE_SUFFIXES, suffix_of

UnservedOutputType = Literal["localFile", "http", "tableau"]
UNSERVED_OUTPUT_TYPES: tuple[str, ...] = ("localFile", "http", "tableau")


class StatementType(StrEnum):
    """How result rows meet the table's rows."""

    INSERT = "insert"
    UPDATE = "update"
    INSERT_UPDATE = "insert_update"
    CREATE_TABLE = "create_table"


_SPELLINGS = {"insertUpdate": "insert_update", "createTable": "create_table"}

Statement = Annotated[
    StatementType,
    BeforeValidator(lambda value: _SPELLINGS.get(value, value) if isinstance(value, str) else value),
    WithJsonSchema({"type": "string", "enum": [*(member.value for member in StatementType), *_SPELLINGS]}),
]


class SqlOutput(SqlPlace):
    """Rows of one table."""

    statement_type: Statement = Field(
        default=StatementType.INSERT, description="How rows are written; required except for bigquery."
    )
    create_table_if_not_exists: Flag = Field(default=False, description="Create a missing table first.")
    commit_interval: Whole | None = Field(
        default=None,
        ge=0,
        le=86_400,
        description="Seconds between commits; 0 = one commit at the end; absent = one transaction (DataRobot: 600).",
    )
    where_columns: Identifiers = Field(default=(), description="Columns that find the row to update.")
    update_columns: Identifiers = Field(default=(), description="Columns that an update sets.")

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems: list[tuple[PartPath, str]] = []
        if self.table is None:
            problems.append((("table",), "is required"))
        if self.type != "bigquery" and "statement_type" not in self.model_fields_set:
            words = ", ".join(member.value for member in StatementType)
            problems.append((("statement_type",), f"is required: one of {words}"))
        if self.statement_type in (StatementType.UPDATE, StatementType.INSERT_UPDATE) and not self.where_columns:
            problems.append((("where_columns",), f"must name at least one column for {self.statement_type.value}"))
        problems.extend(
            (("update_columns", index), "is also one of `where_columns`: a column that finds the row is not updated")
            for index, name in enumerate(self.update_columns)
            if name in self.where_columns
        )
        if problems:
            raise breaches(*problems)
        return self


class FileOutput(FilePlace):
    """One file a window, or a folder of partitions."""

    partition_columns: Columns = Field(default=(), description="Columns whose values become folders.")

    @model_validator(mode="after")
    def _rules(self) -> Self:
        suffix = suffix_of(self.url)
        if suffix and suffix not in FILE_SUFFIXES:
            known = " or ".join(FILE_SUFFIXES)
            raise breaches(
                (
                    ("url",),
                    f"must end in {known} where it names a file; end it in / where {suffix!r} is a folder's name",
                )
            )
        if suffix and self.format is not None and self.format.value != suffix[1:]:
            raise breaches((("format",), f"contradicts the suffix {suffix} of `url`: leave one of them out"))
        return self


class UnservedOutput(Part):
    """An output that is known, kept and given back, but that no job can write."""

    type: UnservedOutputType
    url: Text | None = None
    data_store_id: Name | None = None
    credential_id: Name | None = None

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if problems := url_faults("url", self.url):
            raise breaches(*problems)
        return self


OUTPUTS = Choice(((SQL_TYPES, SqlOutput), (FILE_TYPES, FileOutput), (UNSERVED_OUTPUT_TYPES, UnservedOutput)))

OutputSettings = Annotated[
    Annotated[SqlOutput, Tag("<SqlOutput>")]
    | Annotated[FileOutput, Tag("<FileOutput>")]
    | Annotated[UnservedOutput, Tag("<UnservedOutput>")],
    OUTPUTS.discriminator(),
]
