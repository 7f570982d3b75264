"""What the task that claims a job in parts decides for the others: columns, profile plan, baseline and parts."""

from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from typing import Any

import pyarrow as pa

from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.intake.parts import SourcePart, SourceParts
from airflow_monitoring_provider.jobs.reading import RowPlan
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.profiles.plan import ProfilePlan, SchemaChanges

_FORMAT = 2


@dataclasses.dataclass(frozen=True, slots=True)
class JobPlan:
    """Everything that must be the same for all parts of a job.

    :param reference: what the job is compared with, without its profile, which only the last task needs.
    :param expected_rows: rows of the job before, for the percentage; None when unknown.
    """

    rows: RowPlan
    parts: SourceParts
    reference: Reference
    expected_rows: int | None

    def to_bytes(self) -> bytes:
        """The plan as the store keeps it: deflated JSON."""
        data = {
            "format": _FORMAT,
            "schema": base64.b64encode(self.rows.schema.serialize()).decode(),
            "profile": self.rows.profile.to_dict(),
            "changes": dataclasses.asdict(self.rows.changes),
            "parts": [dict(part.spec) for part in self.parts.parts],
            "together": self.parts.together,
            "source_rows": self.parts.rows,
            "version": self.reference.version,
            "key": self.reference.key,
            "reason": self.reference.reason.value,
            "details": dict(self.reference.details),
            "is_this_window": self.reference.is_this_window,
            "expected_rows": self.expected_rows,
        }
        return zlib.compress(json.dumps(data).encode(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> JobPlan:
        """Read what :meth:`to_bytes` wrote.

        :raises CorruptData: another version of this package wrote it.
        """
        found: dict[str, Any] = json.loads(zlib.decompress(data))
        if found["format"] != _FORMAT:
            raise CorruptData("the job was cut into parts by another version of this package; clear the whole group")
        changes = found["changes"]
        return cls(
            RowPlan(
                pa.ipc.read_schema(pa.py_buffer(base64.b64decode(found["schema"]))),
                ProfilePlan.from_dict(found["profile"]),
                SchemaChanges(
                    tuple(changes["missing"]), tuple(changes["new"]), tuple((a, b, c) for a, b, c in changes["retyped"])
                ),
            ),
            SourceParts(tuple(SourcePart(spec) for spec in found["parts"]), found["together"], found["source_rows"]),
            Reference(
                version=found["version"],
                key=found["key"],
                is_this_window=found["is_this_window"],
                reason=Reason(found["reason"]),
                details=found["details"],
            ),
            found["expected_rows"],
        )
