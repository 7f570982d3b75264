"""Tell the rows of a window apart by their identifiers: which of them repeat an earlier one.

Sorted sources show it row by row. Others are read as if no row repeated another, and only where two do, or did last
time, are their identifiers read by themselves first; so what is read once where nothing repeats is read three times
where it does for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from airflow_monitoring_provider.engines.assumed_distinct import AssumedDistinct, IdentifiersRepeat
from airflow_monitoring_provider.engines.duplicates import AdjacentDuplicates, SpilledDuplicates
from airflow_monitoring_provider.engines.screen import Duplicates
from airflow_monitoring_provider.intake.parts import PartSource
from airflow_monitoring_provider.intake.source import RowSource, TimeFilter, open_stretches
from airflow_monitoring_provider.jobs.progress import Progress

Result = TypeVar("Result")


def read_distinguished(
    read: Callable[[Duplicates | None], Result],
    source: RowSource | PartSource,
    identifiers: tuple[str, ...],
    window_filter: TimeFilter | None,
    scratch: Path,
    progress: Progress,
    *,
    doubtful: bool,
) -> Result:
    """What ``read`` gives.

    :param read: reads all rows once. Where it was told that none repeats another, and one does, it is called again, and
        whatever it has made of the rows before counts no more.
    :param doubtful: rows probably repeat identifiers.
    :raises SourceUnavailable: the rows changed while they were read.
    """
    if identifiers and not doubtful and not _sorted(source, identifiers):
        try:
            with AssumedDistinct(scratch) as assumed:
                return read(assumed)
        except IdentifiersRepeat:
            progress.note("rows repeat identifiers: reading them again to find out which")
    with find_duplicates(source, identifiers, window_filter, scratch, progress) as found:
        return read(found)


@contextmanager
def find_duplicates(
    source: RowSource | PartSource,
    identifiers: tuple[str, ...],
    window_filter: TimeFilter | None,
    scratch: Path,
    progress: Progress,
) -> Iterator[AdjacentDuplicates | SpilledDuplicates | None]:
    """Sorted sources show duplicates side by side; others are read once for their identifiers alone."""
    if not identifiers:
        yield None
    elif _sorted(source, identifiers):
        yield AdjacentDuplicates()
    else:
        with SpilledDuplicates(scratch) as found:
            with open_stretches(source, identifiers, window_filter) as stretches:
                for stretch in stretches:
                    for batch in stretch.read(identifiers):
                        progress.rows(0, 0)
                        found.add(batch.columns)
                    stretch.close()
            yield found


def _sorted(source: RowSource | PartSource, identifiers: tuple[str, ...]) -> bool:
    return tuple(source.ordered_by[: len(identifiers)]) == identifiers
