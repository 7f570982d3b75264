"""Where the rows come from: a table or query, files, or an adapter that is known but not served.

``dataStoreId`` names an Airflow connection and ``credentialId`` another whose login and password replace the first
one's. Adapters without ``dataStoreId`` (object storage, BigQuery) are reached through the connection ``credentialId``.
Whether a connection exists is seen when the job runs.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, Tag, model_validator

from airflow_monitoring_provider.definitions.part import (
    Choice,
    Flag,
    Identifier,
    Name,
    Part,
    PartPath,
    Query,
    Text,
    Whole,
    breaches,
)

SqlType = Literal["jdbc", "sql", "snowflake", "synapse", "bigquery", "databricks", "trino", "datasphere"]
FileType = Literal["file", "fileSystem", "s3", "gcp", "azure"]
UnservedIntakeType = Literal["localFile", "http", "dataset", "dss", "dataStage"]

SQL_TYPES: tuple[str, ...] = ("jdbc", "sql", "snowflake", "synapse", "bigquery", "databricks", "trino", "datasphere")
FILE_TYPES: tuple[str, ...] = ("file", "fileSystem", "s3", "gcp", "azure")
UNSERVED_INTAKE_TYPES: tuple[str, ...] = ("localFile", "http", "dataset", "dss", "dataStage")

# Members that mean something to some types only; every other member goes with every type of its part.
_ONLY_WITH: dict[str, tuple[str, ...]] = {
    "dataset": ("bigquery",),
    "bucket": ("bigquery",),
    "external_stage": ("snowflake",),
    "cloud_storage_type": ("snowflake",),
    "external_data_source": ("synapse",),
    "cloud_storage_credential_id": ("snowflake", "synapse"),
    "endpoint_url": ("s3",),
    "multipart": ("localFile",),
    "async_": ("localFile",),
    "url": ("file", "fileSystem", "s3", "gcp", "azure", "http"),
    "dataset_id": ("dataset", "dss"),
    "dataset_version_id": ("dataset",),
    "project_id": ("dss",),
    "partition": ("dss",),
}


class FileFormat(StrEnum):
    """What the files hold."""

    CSV = "csv"
    PARQUET = "parquet"
    JSONL = "jsonl"


class SqlPlace(Part):
    """What a table to read and a table to write have in common."""

    type: SqlType
    data_store_id: Name = Field(default="", description="Airflow connection of the database.", validate_default=False)
    credential_id: Name | None = Field(default=None, description="Airflow connection whose login is used instead.")
    table: Identifier | None = None
    schema_: Identifier | None = Field(default=None, alias="schema")
    catalog: Identifier | None = None
    dataset: Identifier | None = Field(default=None, description="BigQuery's word for schema.")
    bucket: Text | None = None
    external_stage: Text | None = None
    cloud_storage_type: Literal["s3", "azure", "gcp"] | None = None
    cloud_storage_credential_id: Name | None = None
    external_data_source: Text | None = None

    @property
    def connection_id(self) -> str:
        """The Airflow connection that leads to the data."""
        return self.data_store_id

    @model_validator(mode="before")
    @classmethod
    def _bigquery(cls, data: Any) -> Any:
        """BigQuery says ``dataset`` for schema and has only a credential: fill the members the other types have."""
        if not isinstance(data, dict) or data.get("type") != "bigquery":
            return data
        filled = dict(data)
        if "data_store_id" not in filled and "credential_id" in filled:
            filled["data_store_id"] = filled["credential_id"]
        if "schema_" not in filled and "dataset" in filled:
            filled["schema_"] = filled["dataset"]
        return filled

    @model_validator(mode="after")
    def _place_rules(self) -> Self:
        problems = misplaced(self)
        if not self.data_store_id:
            problems.append((("data_store_id",), "is required: it names the Airflow connection of the database"))
        if self.dataset is not None and self.schema_ != self.dataset:
            problems.append((("schema_",), "must be left out where `dataset` is given"))
        if problems:
            raise breaches(*problems)
        return self


class SqlIntake(SqlPlace):
    """Rows of one table, or of one query."""

    query: Query | None = Field(default=None, description="A SELECT statement instead of a table.")
    fetch_size: Whole | None = Field(default=None, ge=1, le=1_000_000, description="Rows a round trip.")

    @model_validator(mode="after")
    def _rules(self) -> Self:
        if self.table is None and self.query is None:
            raise breaches((("table",), "is required, unless `query` is given"))
        if self.table is not None and self.query is not None:
            raise breaches((("query",), "must not be given together with `table`: keep one of them"))
        return self


class FilePlace(Part):
    """What files to read and a file to write have in common."""

    type: FileType
    url: Text = Field(description="Path or URL of the file or folder, without a login.")
    data_store_id: Name | None = Field(default=None, description="Airflow connection of the storage.")
    credential_id: Name | None = Field(
        default=None, description="Airflow connection of the storage, DataRobot's word for it."
    )
    format: FileFormat | None = Field(
        default=None, description="csv, parquet or jsonl; by the file's suffix when absent."
    )
    endpoint_url: Text | None = Field(default=None, description="Endpoint of an S3-compatible store.")

    @property
    def connection_id(self) -> str | None:
        """The Airflow connection that leads to the storage; None for files of the worker itself."""
        return self.data_store_id or self.credential_id

    @model_validator(mode="after")
    def _place_rules(self) -> Self:
        problems = [*misplaced(self), *url_faults("url", self.url), *url_faults("endpoint_url", self.endpoint_url)]
        if self.endpoint_url is not None and not self.endpoint_url.startswith(("https://", "http://")):
            problems.append((("endpoint_url",), "must start with https:// or http://"))
        if problems:
            raise breaches(*problems)
        return self


class FileIntake(FilePlace):
    """Rows of one file, or of every file of a folder or pattern."""


class UnservedIntake(Part):
    """An intake that is known, kept and given back, but that no job can read."""

    type: UnservedIntakeType
    multipart: Flag | None = None
    async_: Flag | None = Field(default=None, alias="async")
    url: Text | None = None
    dataset_id: Text | None = None
    dataset_version_id: Text | None = None
    project_id: Text | None = None
    partition: Literal["holdout", "validation", "allBacktests"] | None = None
    data_store_id: Name | None = None
    credential_id: Name | None = None

    @property
    def connection_id(self) -> str | None:
        """The Airflow connection the adapter would use."""
        return self.data_store_id or self.credential_id

    @model_validator(mode="after")
    def _rules(self) -> Self:
        problems = [*misplaced(self), *url_faults("url", self.url)]
        if problems:
            raise breaches(*problems)
        return self


INTAKES = Choice(((SQL_TYPES, SqlIntake), (FILE_TYPES, FileIntake), (UNSERVED_INTAKE_TYPES, UnservedIntake)))

IntakeSettings = Annotated[
    Annotated[SqlIntake, Tag("<SqlIntake>")]
    | Annotated[FileIntake, Tag("<FileIntake>")]
    | Annotated[UnservedIntake, Tag("<UnservedIntake>")],
    INTAKES.discriminator(),
]


def misplaced(part: Any) -> list[tuple[PartPath, str]]:
    """Members that mean nothing to the part's ``type``."""
    return [
        ((name,), f"is not a field of type {part.type}")
        for name, types in _ONLY_WITH.items()
        if getattr(part, name, None) is not None and part.type not in types
    ]


def url_faults(field: str, url: str | None) -> list[tuple[PartPath, str]]:
    """A login inside a URL would end in logs and tables; a ``..`` segment could leave the connection's root."""
    if url is None:
        return []
    try:
        address = urlsplit(url)
        login = "@" in address.netloc
    except ValueError:
        return [((field,), "is not a valid URL")]
    if login:
        return [((field,), "must not hold a login: put it into the Airflow connection")]
    if ".." in address.path.replace("\\", "/").split("/"):
        return [((field,), "must not hold a .. segment")]
    return []
