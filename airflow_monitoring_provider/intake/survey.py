"""What the files of one intake hold together: the columns of each, and one type for each column."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Collection, Iterable, Sequence

import pyarrow as pa

from airflow_monitoring_provider.definitions import CsvSettings
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake import csv_rows, json_rows
from airflow_monitoring_provider.intake.parquet_rows import ParquetRows, common_type, plain_type
from airflow_monitoring_provider.intake.paths import Files
from airflow_monitoring_provider.intake.sampling import SAMPLE_ROWS, Evidence, sampled_files


@dataclasses.dataclass(frozen=True, slots=True)
class Survey:
    """The columns of some files.

    :ivar types: one type for each column of any file.
    :ivar headers: the columns of each file, by path; none for JSON lines, where each row has its own.
    """

    types: dict[str, pa.DataType]
    headers: dict[str, tuple[str, ...]]

    def check(self, columns: Sequence[str], files: Files) -> None:
        """Refuse files that lack a column or have it twice.

        :raises SourceError: names the first such file and column.
        """
        good: set[int] = set()  # headers by identity: files share them
        for path, header in self.headers.items():
            if id(header) in good:
                continue
            good.add(id(header))
            counts = collections.Counter(header)
            for column in columns:
                if (count := counts[column]) != 1:
                    raise SourceError(
                        f"file {files.name(path)!r} has {count or 'no'} columns named {column!r}, which is needed; "
                        "every file of an intake must have the columns that are used, once"
                    )


def survey_csv(files: Files, paths: list[str], csv: CsvSettings) -> Survey:
    """Read every header, and sample three files for the types (:mod:`sampling`).

    :raises SourceError: a file is empty or no CSV.
    """
    headers: dict[str, tuple[str, ...]] = {}
    for path in paths:
        with files.open(path) as stream:
            _keep(headers, path, csv_rows.read_header(stream, csv, files.name(path)))
    found = {name: Evidence() for name in _united(headers.values())}
    for path in sampled_files(paths):
        names = [name for name, times in collections.Counter(headers[path]).items() if times == 1]
        if not names:
            continue
        left = SAMPLE_ROWS
        with files.open(path) as stream:
            for batch in csv_rows.read_texts(stream, csv, files.name(path), names):
                for name, column in zip(names, batch.slice(0, left).columns, strict=True):
                    found[name].add(column)
                left -= len(batch)
                if left <= 0:
                    break
    return Survey({name: evidence.type() for name, evidence in found.items()}, headers)


def survey_json(files: Files, paths: list[str]) -> Survey:
    """Sample three files for names and types (:mod:`sampling`).

    :raises SourceError: a line is no JSON object.
    """
    found: dict[str, json_rows.Member] = {}
    for path in sampled_files(paths):
        with files.open(path) as stream:
            json_rows.sample_types(stream, files.name(path), found)
    return Survey({name: member.type() for name, member in found.items()}, {})


def survey_parquet(files: Files, paths: list[str], vectors: Collection[str] = ()) -> Survey:
    """Read every footer.

    :param vectors: columns whose lists of numbers are delivered as they are.
    :raises SourceError: a file is no Parquet, or stores a column in a type that has nothing in common with another's.
    """
    types: dict[str, pa.DataType] = {}
    headers: dict[str, tuple[str, ...]] = {}
    for path in paths:
        with files.open(path) as stream:
            schema = ParquetRows(stream, files.name(path)).schema
        _keep(headers, path, schema.names)
        for field in schema:
            kind = plain_type(field.type, vectors=field.name in vectors)
            common = common_type(types.get(field.name, kind), kind)
            if common is None:
                raise SourceError(
                    f"file {files.name(path)!r} stores column {field.name!r} as {kind}, files before it as "
                    f"{types[field.name]}; the files of an intake must agree"
                )
            types[field.name] = common
    return Survey(types, headers)


def _keep(headers: dict[str, tuple[str, ...]], path: str, names: Iterable[str]) -> None:
    """Remember a header once for all the files that share it: there may be 100 000."""
    header = tuple(names)
    last = next(reversed(headers.values()), None)
    headers[path] = last if header == last else header


def _united(headers: Iterable[tuple[str, ...]]) -> list[str]:
    names: dict[str, None] = {}
    seen: tuple[str, ...] | None = None
    for header in headers:
        if header is not seen:
            names.update(dict.fromkeys(header))
            seen = header
    return list(names)
