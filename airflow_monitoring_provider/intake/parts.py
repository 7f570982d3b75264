"""The parts that a row source can be read in: every row of the source is in exactly one of them.

So whatever is counted over parts (rows, profiles, null timestamps) adds up to what one reading counts. Parts are
numbered, and "the first in order" of rows with equal identifiers is the one in the first part that has one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from airflow_monitoring_provider.intake.source import TimeFilter

CHANGED = "clear the whole task group, so that it is claimed and cut anew"
"""What to do about a source that is no longer what was cut into parts: another reading of one part does not help."""


@dataclasses.dataclass(frozen=True, slots=True)
class SourcePart:
    """One part, as JSON-clean data that :meth:`RowSource.part` of the same intake understands."""

    spec: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, slots=True)
class SourceParts:
    """All parts of a window, at least one, in order.

    :param together: a column whose equal values never stand in two parts; None where there is no such column.
    :param rows: how many rows :attr:`PartSeen.rows` of all parts must add up to; None where the parts themselves
        notice that their rows have changed.
    """

    parts: tuple[SourcePart, ...]
    together: str | None = None
    rows: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class PartSeen:
    """What reading a part to its end showed.

    :param rows: rows that arrived before the window was applied to them.
    :param readable: whether timestamps of the part are times; None where it has none. All False and no True over the
        parts of a window means the wrong column, which one part alone cannot know.
    :param doubt: what to say then.
    """

    rows: int = 0
    readable: bool | None = None
    doubt: str = ""


class PartSource(Protocol):
    """A row source of one part's rows alone; see :class:`~airflow_monitoring_provider.intake.source.RowSource`.

    ``schema`` is that of the whole source.
    """

    label: str
    ordered_by: tuple[str, ...]

    def schema(self) -> pa.Schema:
        """The types that were decided for the whole source."""

    def read(
        self, columns: Sequence[str], window: TimeFilter | None
    ) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        """The part's rows.

        :raises SourceError: also where the source is no longer what was cut.
        """

    def null_timestamps(self, column: str) -> int:
        """Those of the part."""

    def seen(self) -> PartSeen:
        """What the last whole reading of the part saw."""


def cut_evenly(weights: Sequence[int], most: int) -> list[tuple[int, int]]:
    """At most ``most`` runs of neighbours with about the same weight, as (start, stop); none is empty.

    >>> cut_evenly([5, 1, 1, 1, 4], 3)
    [(0, 1), (1, 4), (4, 5)]
    """
    total = sum(weights) or len(weights)
    even = not sum(weights)
    runs: list[tuple[int, int]] = []
    passed, last = 0, -1
    for position, weight in enumerate(weights):
        share = 1 if even else weight
        part = min(most - 1, (2 * passed + share) * most // (2 * total))  # by the middle of the item
        passed += share
        if part == last:
            runs[-1] = (runs[-1][0], position + 1)
        else:
            runs.append((position, position + 1))
            last = part
    return runs
