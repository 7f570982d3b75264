"""Rows of CSV, Parquet and JSON-lines files: one, a folder, or a pattern, on any filesystem that fsspec speaks.

The files of one intake are one table: their columns are united, and a file that lacks a column that is asked for, or
stores it in a type that has nothing in common with the others', is an error that names file and column. Rows come file
by file, in the order of the paths. The format is the definition's, else the suffix's (.csv .csv.gz .parquet .jsonl
.ndjson .json .json.gz); one intake has one format.

CSV and JSON lines are delivered as the text that is there; :mod:`sampling` decides the type that ``schema`` reports.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import IO, cast

import fsspec
import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.definitions import CsvSettings, FileFormat, FileIntake, Partitions
from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake import csv_rows, json_rows
from airflow_monitoring_provider.intake.parquet_rows import ParquetRows, conformed_batch
from airflow_monitoring_provider.intake.parquet_stretch import (
    STRETCH_MOST,
    WORTH_COLUMNS,
    ParquetStretch,
    joined_groups,
)
from airflow_monitoring_provider.intake.parts import PartSource, SourcePart, SourceParts
from airflow_monitoring_provider.intake.paths import Files, SharedFile
from airflow_monitoring_provider.intake.sampling import cleaned
from airflow_monitoring_provider.intake.source import (
    BATCH_ROWS,
    BatchStretch,
    Stretch,
    TimeFilter,
    checked_columns,
    gathered,
)
from airflow_monitoring_provider.intake.survey import Survey, survey_csv, survey_json, survey_parquet
from airflow_monitoring_provider.intake.window_cut import WindowCut
from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.instants import instants

_SUFFIXES = {
    ".csv": FileFormat.CSV,
    ".parquet": FileFormat.PARQUET,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".json": FileFormat.JSONL,
}


class FileSource:
    """A :class:`~airflow_monitoring_provider.intake.source.RowSource` over files.

    Memory: one block (16 MiB of text) or batch, and the path and header of each file. The header or footer of every
    file is read once for ``schema``; files that appear later are not seen by this source.

    :param root: folder of ``filesystem`` that no path leaves.
    :param csv: delimiter, quote and encoding of CSV files.
    :param vectors: columns of Parquet files whose lists of numbers are delivered as they are.
    """

    def __init__(
        self,
        filesystem: fsspec.AbstractFileSystem,
        root: str,
        intake: FileIntake,
        csv: CsvSettings,
        vectors: Collection[str] = (),
    ) -> None:
        self._files = Files(filesystem, root, intake.url)
        self._declared_format = intake.format
        self._csv = csv
        self._vectors = frozenset(vectors)
        self._paths: list[str] = []
        self._survey: Survey | None = None
        self._format = FileFormat.CSV
        self._null_timestamps: dict[str, int] = {}
        connection = intake.connection_id
        self.label = f"files {intake.url!r}" + (f" of connection {connection!r}" if connection else "")
        self.ordered_by: tuple[str, ...] = ()

    def schema(self) -> pa.Schema:
        """Every column of any file with its decided type.

        :raises SourceError: there is no file, its format is not known, it is damaged, or the files disagree.
        :raises SourceUnavailable: the storage cannot be reached.
        """
        return pa.schema(list(self._surveyed().types.items()))

    @contextlib.contextmanager
    def read(self, columns: Sequence[str], window: TimeFilter | None) -> Iterator[Iterator[pa.RecordBatch]]:
        """See :meth:`RowSource.read`."""
        names = self._checked(columns, window)
        with contextlib.closing(gathered(self._batches(list(columns), names, window))) as batches:
            yield batches

    @contextlib.contextmanager
    def stretches(self, columns: Sequence[str], window: TimeFilter | None) -> Iterator[Iterator[Stretch]]:
        """See :meth:`ColumnSource.stretches`: row groups of large Parquet files on a disk are read column by column."""
        seen = _Seen(window)
        stretches = self._stretches(list(columns), self._checked(columns, window), seen)
        try:
            yield stretches
        finally:
            stretches.close()
            seen.close()

    def null_timestamps(self, column: str) -> int:
        """Rows whose ``column`` is null or cannot be read as a time: counted by the last whole read of a window on it,
        else by reading it.
        """
        checked_columns([column], list(self._surveyed().types), self.label)
        if column not in self._null_timestamps:
            with self.read([column], None) as batches:
                self._null_timestamps[column] = sum(instants(batch.column(0)).null_count for batch in batches)
        return self._null_timestamps[column]

    def parts(self, partitions: Partitions, columns: Sequence[str], window: TimeFilter | None) -> SourceParts:
        """See :meth:`RowSource.parts` and :mod:`file_parts`."""
        from airflow_monitoring_provider.intake.file_parts import cut_files

        checked_columns(columns, list(self._surveyed().types), self.label)
        return cut_files(self._files, self._paths, self._format, partitions, window, self.label)

    def part(self, part: SourcePart, schema: pa.Schema) -> PartSource:
        """See :meth:`RowSource.part`."""
        from airflow_monitoring_provider.intake.file_parts import FilePart

        return FilePart(self, part, schema)

    def _surveyed(self) -> Survey:
        if self._survey is None:
            self._paths = self._files.paths()
            self._format = self._common_format()
            if self._format is FileFormat.CSV:
                self._survey = survey_csv(self._files, self._paths, self._csv)
            elif self._format is FileFormat.PARQUET:
                self._survey = survey_parquet(self._files, self._paths, self._vectors)
            else:
                self._survey = survey_json(self._files, self._paths)
        return self._survey

    def _opened(self, path: str) -> AbstractContextManager[IO[bytes]]:
        return self._files.open(path)

    def _shared(self, path: str) -> AbstractContextManager[SharedFile | None]:
        return self._files.share(path)

    def _groups(self, path: str) -> list[int] | None:
        """The row groups of a Parquet file that are to be read; None for all."""
        return None

    def _judge(self, cut: WindowCut, left_out: list[int]) -> None:
        """Look at the timestamps once all rows were seen."""
        if cut.nothing_readable and not left_out:
            raise cut.unreadable_error(self.label, self._surveyed().types[cut.window.column])

    def _common_format(self) -> FileFormat:
        if self._declared_format is not None:
            return self._declared_format
        formats = {path: _format_of(path) for path in self._paths}
        for path, found in formats.items():
            if found is None:
                raise SourceError(
                    f"file {self._files.name(path)!r} has no suffix of a known format; set intakeSettings.format, or "
                    f"name the files with a pattern ({', '.join(_SUFFIXES)} are known, .gz after text formats)"
                )
        first = _format_of(self._paths[0])
        for path, found in formats.items():
            if found is not first:
                raise SourceError(
                    f"{self.label} mix formats: {self._files.name(path)!r} is {found}, files before it {first}; name "
                    "the files of one format with a pattern"
                )
        return first or FileFormat.CSV

    def _checked(self, columns: Sequence[str], window: TimeFilter | None) -> list[str]:
        """The columns to read, the window's among them."""
        names = list(dict.fromkeys([*columns, *([window.column] if window else [])]))
        survey = self._surveyed()
        checked_columns(names, list(survey.types), self.label)
        survey.check(names, self._files)
        return names

    def _batches(self, columns: list[str], names: list[str], window: TimeFilter | None) -> Iterator[pa.RecordBatch]:
        seen = _Seen(window)
        for path in self._paths:
            yield from self._batches_of(path, columns, names, seen)
        self._note(seen)

    def _batches_of(self, path: str, columns: list[str], names: list[str], seen: _Seen) -> Iterator[pa.RecordBatch]:
        with self._opened(path) as stream:
            for batch in self._delivered(stream, path, names, seen):
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    part = batch.slice(start, BATCH_ROWS)
                    yield part if seen.cut is None else seen.cut.cut(part).select(columns)

    def _stretches(self, columns: list[str], names: list[str], seen: _Seen) -> Generator[Stretch]:
        pieces = itertools.chain.from_iterable(self._pieces_of(path, columns, names, seen) for path in self._paths)
        for kind, run in itertools.groupby(pieces, type):
            if kind is pa.RecordBatch:
                yield from map(BatchStretch, gathered(cast(Iterator[pa.RecordBatch], run)))
            else:
                yield from cast(Iterator[Stretch], run)
        self._note(seen)

    def _pieces_of(
        self, path: str, columns: list[str], names: list[str], seen: _Seen
    ) -> Iterator[pa.RecordBatch | Stretch]:
        """Stretches of a file that is worth it, else its batches."""
        if self._format is FileFormat.PARQUET:
            with self._shared(path) as shared:
                if shared is not None:
                    with contextlib.closing(ParquetRows(shared.reader(), shared.name)) as rows:
                        groups, left_out = rows.groups(seen.window, self._groups(path))
                        sizes = [rows.rows_of(group) for group in groups]
                        if sum(sizes) >= WORTH_COLUMNS and max(sizes) <= STRETCH_MOST:
                            seen.left_out += left_out
                            yield from self._stretches_of(shared, rows, groups, seen)
                            return
        yield from self._batches_of(path, columns, names, seen)

    def _stretches_of(
        self, shared: SharedFile, rows: ParquetRows, groups: dict[int, bool], seen: _Seen
    ) -> Iterator[Stretch]:
        types, cut = self._surveyed().types, seen.cut
        for run, inside in joined_groups(rows, groups):
            chosen = None
            if cut is not None and inside:
                cut.seen += sum(map(rows.rows_of, run))
            elif cut is not None:
                chosen = self._chosen(rows, run, cut, shared.name)
            if chosen is None or chosen.any():
                yield seen.opened(ParquetStretch(shared.hold(), rows, run, types, chosen))

    def _chosen(self, rows: ParquetRows, groups: list[int], cut: WindowCut, name: str) -> BoolArray | None:
        """Which rows of some row groups lie in the window; None where all do."""
        types = self._surveyed().types
        parts = [
            cut.inside(conformed_batch(batch, types, name).column(0))
            for batch in rows.read([cut.window.column], groups)
        ]
        chosen = np.concatenate(parts) if parts else np.zeros(0, np.bool_)
        return None if chosen.all() else chosen

    def _note(self, seen: _Seen) -> None:
        """Everything was read: remember what there was to see of the window's column."""
        if seen.cut is not None:
            self._judge(seen.cut, seen.left_out)
            nulls = seen.cut.nulls + seen.cut.unreadable + sum(seen.left_out)
            self._null_timestamps[seen.cut.window.column] = nulls

    def _delivered(self, stream: IO[bytes], path: str, names: list[str], seen: _Seen) -> Iterator[pa.RecordBatch]:
        """The rows of one file in the types that every file delivers."""
        types, name = self._surveyed().types, self._files.name(path)
        if self._format is FileFormat.PARQUET:
            rows, skipped = ParquetRows(stream, name).batches(names, seen.window, self._groups(path))
            seen.left_out += skipped
            yield from (conformed_batch(batch, types, name) for batch in rows)
            return
        texts = (
            csv_rows.read_texts(stream, self._csv, name, names)
            if self._format is FileFormat.CSV
            else json_rows.read_texts(stream, name, names)
        )
        for batch in texts:
            columns = [cleaned(column, types[named]) for named, column in zip(names, batch.columns, strict=True)]
            yield pa.RecordBatch.from_arrays(columns, names=names)


class _Seen:
    """What one read of a window sees of its column; ``left_out``: null timestamps of row groups that were skipped."""

    def __init__(self, window: TimeFilter | None) -> None:
        self.window = window
        self.cut = None if window is None else WindowCut(window)
        self.left_out: list[int] = []
        self._opened: list[ParquetStretch] = []

    def opened(self, stretch: ParquetStretch) -> ParquetStretch:
        """Remember a stretch until it is closed."""
        self._opened = [one for one in self._opened if not one.closed]
        self._opened.append(stretch)
        return stretch

    def close(self) -> None:
        """Close what nobody has closed: the reading was left early."""
        for stretch in self._opened:
            stretch.close()


def _format_of(path: str) -> FileFormat | None:
    plain = path.removesuffix(".gz")
    found = next((kind for suffix, kind in _SUFFIXES.items() if plain.endswith(suffix)), None)
    return None if found is FileFormat.PARQUET and plain != path else found
