"""Parts of a file intake: runs of whole files, or of the row groups of Parquet files, in their order.

A part knows each of its files as it was when the source was cut, by size, time, inode and what else the storage tells
(its ETag, say). A file that is replaced afterwards is an error; files that appear later are in no part.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from airflow_monitoring_provider.definitions import FileFormat, Partitions
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake import csv_rows
from airflow_monitoring_provider.intake.files import FileSource
from airflow_monitoring_provider.intake.parquet_rows import ParquetRows
from airflow_monitoring_provider.intake.parts import CHANGED, PartSeen, SourcePart, SourceParts, cut_evenly
from airflow_monitoring_provider.intake.paths import Files, SharedFile
from airflow_monitoring_provider.intake.source import TimeFilter
from airflow_monitoring_provider.intake.survey import Survey
from airflow_monitoring_provider.intake.window_cut import WindowCut


def cut_files(
    files: Files, paths: list[str], kind: FileFormat, partitions: Partitions, window: TimeFilter | None, label: str
) -> SourceParts:
    """Cut files into at most ``partitions.count`` parts of about the same number of bytes.

    :raises SourceError: files of this format cannot be cut so.
    """
    by = partitions.by
    if by == "auto":
        by = "row_group" if kind is FileFormat.PARQUET else "file"
    if by not in ("file", "row_group"):
        raise SourceError(f"partitions.by is {by!r}, but {label} are files; use file, row_group or auto")
    if by == "row_group" and kind is not FileFormat.PARQUET:
        raise SourceError(f"partitions.by is 'row_group', but {label} are {kind.value}; use file or auto")
    marks = {path: files.fingerprint(path) for path in paths}
    if by == "file":
        items: list[tuple[str, int | None]] = [(path, None) for path in paths]
        weights = [files.size(path) for path in paths]
    else:
        items, weights = [], []
        for path in paths:
            with files.open(path) as stream:
                found = ParquetRows(stream, files.name(path)).weights(window)
            items += [(path, group) for group in range(len(found))] or [(path, -1)]
            weights += found or [0]
    runs = cut_evenly(weights, partitions.count)
    return SourceParts(tuple(_part(items[start:stop], marks, kind) for start, stop in runs))


class FilePart(FileSource):
    """The rows of one part of the files."""

    def __init__(self, whole: FileSource, part: SourcePart, schema: pa.Schema) -> None:
        self._files, self._csv = whole._files, whole._csv
        self.label, self.ordered_by = whole.label, whole.ordered_by
        self._survey: Survey | None = None
        self._null_timestamps: dict[str, int] = {}
        self._pieces: dict[str, tuple[str, list[int] | None]] = {
            path: (mark, groups) for path, mark, groups in part.spec["pieces"]
        }
        self._paths, self._format = list(self._pieces), FileFormat(part.spec["format"])
        self._types = {field.name: field.type for field in schema}
        self._seen = PartSeen()

    def seen(self) -> PartSeen:
        """See :class:`~airflow_monitoring_provider.intake.parts.PartSource`."""
        return self._seen

    def _surveyed(self) -> Survey:
        if self._survey is None:
            headers: dict[str, tuple[str, ...]] = {}
            for path in self._paths:
                with self._opened(path) as stream:
                    if self._format is FileFormat.PARQUET:
                        headers[path] = tuple(ParquetRows(stream, self._files.name(path)).schema.names)
                    elif self._format is FileFormat.CSV:
                        headers[path] = tuple(csv_rows.read_header(stream, self._csv, self._files.name(path)))
            self._survey = Survey(self._types, headers)
        return self._survey

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[IO[bytes]]:
        self._check_same(path)
        with self._files.open(path) as stream:
            yield stream
        self._check_same(path)

    @contextlib.contextmanager
    def _shared(self, path: str) -> Iterator[SharedFile | None]:
        self._check_same(path)
        with self._files.share(path) as shared:
            yield shared
        self._check_same(path)

    def _groups(self, path: str) -> list[int] | None:
        return self._pieces[path][1]

    def _judge(self, cut: WindowCut, left_out: list[int]) -> None:
        kind = self._types[cut.window.column]
        readable = cut.readable > 0 or bool(left_out)
        self._seen = PartSeen(
            cut.seen,
            readable if cut.seen > cut.nulls or left_out else None,
            str(cut.unreadable_error(self.label, kind)),
        )

    def _check_same(self, path: str) -> None:
        if self._files.fingerprint(path) != self._pieces[path][0]:
            raise SourceError(f"file {self._files.name(path)!r} has changed since the job was claimed; {CHANGED}")


def _part(items: list[tuple[str, int | None]], marks: dict[str, str], kind: FileFormat) -> SourcePart:
    pieces: dict[str, list[int] | None] = {}
    for path, group in items:
        groups = pieces.setdefault(path, None if group is None else [])
        if groups is not None and group is not None and group >= 0:
            groups.append(group)
    return SourcePart(
        {"format": kind.value, "pieces": [[path, marks[path], groups] for path, groups in pieces.items()]}
    )
