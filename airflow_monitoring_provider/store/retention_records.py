"""What is to be forgotten, and what was: frozen values."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Collection
from enum import StrEnum

from airflow_monitoring_provider.store.records import PredictionFile


class Purged(StrEnum):
    """What a purge removes: rows of the three logs, or what was made of rows."""

    RETAINED = "retained"
    PREDICTIONS = "predictions"
    ACTUALS = "actuals"
    RESULTS = "results"


ROWS = frozenset({Purged.RETAINED, Purged.PREDICTIONS, Purged.ACTUALS})


@dataclasses.dataclass(frozen=True, slots=True)
class PurgePolicy:
    """What is to be forgotten; every condition that is given must hold.

    :param before: only of windows that ended, and reports that came, by then, aware.
    :param what: some of :class:`Purged`.
    :param locked: of locked batches, too.
    :param keep: jobs whose results stay, whatever the policy says: others are compared with them.
    """

    deployment_id: str | None = None
    batch_ids: tuple[str, ...] = ()
    before: dt.datetime | None = None
    what: Collection[Purged] = ROWS
    locked: bool = False
    keep: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True, slots=True)
class Forgotten:
    """What the store forgot of a batch; the files are garbage now."""

    files: tuple[PredictionFile, ...] = ()
    results: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class KnownFiles:
    """Which files below the storage root may be needed.

    :param listed: paths that count.
    :param newest: owner's name in a file name -> the lowest token whose unlisted files somebody may still be writing
        or waiting for; files of lower ones are garbage.
    """

    listed: frozenset[str]
    newest: dict[str, int]
