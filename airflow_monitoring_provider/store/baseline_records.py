"""What the store takes and gives about baselines: frozen values."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow_monitoring_provider.definitions.window import Window


@dataclasses.dataclass(frozen=True, slots=True)
class Candidate:
    """A committed profile of a definition that may become part of a baseline; those of deleted batches are none.

    :param id: of the job; of a report, ``report:`` and what names it in its batch.
    :param window: None for a report, which has none.
    :param revision: of the job's snapshot; 0 for a report.
    :param content_hash: of the profile.
    :param drifted: the window was evaluated, is detected, and some drift value of it is.
    """

    id: str
    window: Window | None
    batch_id: str
    revision: int
    content_hash: str
    rows: int
    drifted: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class BaselineVersion:
    """A baseline that some job was compared with, without its profile.

    :param key: what it is made of; a job's snapshot names it with the version.
    :param kind: the type of the definition's baseline.
    :param details: ``members``: [id, snapshot revision] of each profile that was merged; ``left_out``: id -> why.
    """

    definition_id: str
    version: int
    key: str
    kind: str
    content_hash: str
    rows: int
    window_start: dt.datetime | None
    window_end: dt.datetime | None
    details: Mapping[str, Any]
    created_at: dt.datetime

    @property
    def members(self) -> tuple[tuple[str, int], ...]:
        """Id and snapshot revision of each profile that was merged; none where it is no merge."""
        return tuple((str(name), int(revision)) for name, revision in self.details.get("members", ()))


@dataclasses.dataclass(frozen=True, slots=True)
class NamedBaselineRecord:
    """One version of a baseline that has a name.

    :param settings: the ``baseline`` of a definition, camelCase.
    """

    definition_id: str
    name: str
    version: int
    settings: Mapping[str, Any]
    description: str | None
    created_at: dt.datetime
    created_by: str | None


@dataclasses.dataclass(frozen=True, slots=True)
class BaselineChoice:
    """The named baseline that a definition's jobs are compared with instead of the definition's own.

    :param version: of the name; None: the newest.
    """

    definition_id: str
    name: str
    version: int | None
    chosen_at: dt.datetime
    chosen_by: str | None
