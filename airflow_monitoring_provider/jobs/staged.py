"""What a part leaves for the task that merges: its profile, the output's rows, and the keys of its rows.

Keys are kept only where rows of two parts may have equal identifiers. A part knows its own repetitions; which rows
repeat one of an earlier part is found when all keys are together (:func:`repetitions`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from airflow_monitoring_provider.definitions import RowStatus
from airflow_monitoring_provider.engines.duplicates import MODULUS, KnownDuplicates, SpilledDuplicates, order_sum
from airflow_monitoring_provider.engines.row_keys import RowKeys, row_keys
from airflow_monitoring_provider.intake.parts import PartSeen
from airflow_monitoring_provider.jobs.spool import packed, unpacked
from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes, to_bytes
from airflow_monitoring_provider.store.part_records import StagedFile
from airflow_monitoring_provider.store.records import PredictionFile
from airflow_monitoring_provider.store.staging import StagedReader, StagedWriter

_KEY_BYTES = 17  # two lanes and whether no identifier is null


class StagedRows:
    """A :class:`~airflow_monitoring_provider.jobs.row_thread.RowSink` that is a section of a staged file."""

    def __init__(self, writer: StagedWriter) -> None:
        self._writer = writer

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        self._writer.append("rows", packed(batch))


class KeyedDuplicates(Protocol):
    """Knows which rows repeat an earlier one by their keys."""

    def flags_of(self, keys: RowKeys) -> BoolArray:
        """(rows,); advances by those rows."""

    def check(self) -> None:
        """See :class:`~airflow_monitoring_provider.engines.screen.Duplicates`."""


class KeptKeys:
    """Finds duplicates as another does, and keeps the keys it was asked about."""

    def __init__(self, inner: KeyedDuplicates, writer: StagedWriter) -> None:
        self._inner = inner
        self._writer = writer
        self.rows = self.order_sum = 0

    def flags(self, identifiers: Sequence[pa.Array]) -> BoolArray:
        """(rows,), True where a row repeats an earlier one of the part."""
        keys = row_keys(identifiers)
        first, second, complete = keys
        flags = self._inner.flags_of(keys)
        self._writer.append("keys", first.tobytes() + second.tobytes() + complete.tobytes())
        self.order_sum = (self.order_sum + order_sum(first, complete, self.rows)) % MODULUS
        self.rows += first.size
        return flags

    def check(self) -> None:
        """As the other does."""
        self._inner.check()


@dataclasses.dataclass(frozen=True, slots=True)
class PartResult:
    """A part that was read to its end.

    :param null_timestamps: its rows that are in no window because their timestamp is null.
    :param order_sum: of its keys; 0 where none are kept.
    :param eligible: its rows that a sample can be made of.
    :param unreadable_times: its logged actuals beside which something stands that is no time.
    :param custom: what functions over rows have seen, JSON-ready.
    """

    null_timestamps: int
    log_file: PredictionFile | None
    seen: PartSeen
    order_sum: int = 0
    eligible: int = 0
    unreadable_times: int = 0
    custom: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def close(self, writer: StagedWriter, profile: Profile) -> StagedFile:
        """Make the staged file whole."""
        writer.append("profile", to_bytes(profile))
        file = self.log_file
        return writer.close(
            {
                "rows": profile.rows,
                "duplicates": profile.status_counts.get(RowStatus.DUPLICATE_IDENTIFIER.text, 0),
                "content_hash": profile.content_hash(),
                "null_timestamps": self.null_timestamps,
                "predictions": None if file is None else dataclasses.asdict(file),
                "seen": dataclasses.asdict(self.seen),
                "order_sum": self.order_sum,
                "eligible": self.eligible,
                "unreadable_times": self.unreadable_times,
                "custom": dict(self.custom),
            }
        )


class StagedPart:
    """A staged part, for the task that merges; errors as :class:`StagedReader`."""

    def __init__(self, reader: StagedReader) -> None:
        self._reader = reader
        facts = reader.facts
        self.rows: int = facts["rows"]
        self.duplicates: int = facts["duplicates"]
        self.order_sum: int = facts["order_sum"]
        self.null_timestamps: int = facts["null_timestamps"]
        self.custom: dict[str, Any] = facts.get("custom", {})
        self.seen = PartSeen(**facts["seen"])
        self.eligible: int = facts.get("eligible", 0)  # staged before samples were
        self.unreadable_times: int = facts.get("unreadable_times", 0)
        found = facts["predictions"]
        self.log_file = None if found is None else PredictionFile(**found)

    def profile(self) -> Profile:
        """Its profile."""
        return from_bytes(b"".join(self._reader.blocks("profile")), self._reader.facts["content_hash"])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The output's rows."""
        return map(unpacked, self._reader.blocks("rows"))

    def row_keys(self) -> Iterator[RowKeys]:
        """The keys of its rows, in their order."""
        for block in self._reader.blocks("keys"):
            rows = len(block) // _KEY_BYTES
            lanes: npt.NDArray[np.uint64] = np.frombuffer(block, np.uint64, 2 * rows)
            yield lanes[:rows], lanes[rows:], np.frombuffer(block, np.bool_, rows, 16 * rows)


class MergedRows:
    """:class:`~airflow_monitoring_provider.jobs.reading.Rows` of all parts, in their order."""

    def __init__(self, parts: Sequence[StagedPart], schema: pa.Schema) -> None:
        self._parts = parts
        self.schema = schema

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows; errors as :class:`StagedReader`."""
        for part in self._parts:
            yield from part.batches()


def repetitions(parts: Sequence[StagedPart], scratch: Path) -> Iterator[tuple[int, KnownDuplicates]]:
    """The parts with rows that repeat one of an earlier part: number, and all their repetitions.

    Memory is that of :class:`SpilledDuplicates` and a byte for each row of one part.
    """
    with SpilledDuplicates(scratch) as together:
        for part in parts:
            for keys in part.row_keys():
                together.add_keys(keys)
        for number, part in enumerate(parts):
            found = [together.flags_of(keys) for keys in part.row_keys()]
            flags = np.concatenate(found) if found else np.zeros(0, np.bool_)
            if int(flags.sum()) != part.duplicates:
                yield number, KnownDuplicates(flags, part.order_sum)
        together.check()
