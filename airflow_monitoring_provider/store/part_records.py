"""What the store knows of the parts of a job that several tasks run together."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class StagedFile:
    """What a task of a job left for the last one; ``path`` is below the storage root, ``sha256`` that of the index."""

    path: str
    bytes: int
    index_bytes: int
    sha256: str


@dataclasses.dataclass(frozen=True, slots=True)
class PartRecord:
    """A part of a running job: ``state`` is waiting, running, staged or failed; ``scored`` and ``failed`` are rows."""

    part: int
    state: str
    reason: str | None
    scored: int
    failed: int
    file: StagedFile | None
