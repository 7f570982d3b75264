"""Several batches looked at together: a merge of their stored profiles, compared and judged as one. No row is read.

Definitions of one deployment may watch different columns, so each has its own part in the selection. Segments are left
out: what running code reports has none.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Collection
from datetime import datetime

from airflow_monitoring_provider.definitions import JobDefinition, Window, load_definition
from airflow_monitoring_provider.exceptions import BatchLocked, ConfigurationError, CorruptData
from airflow_monitoring_provider.jobs.baseline import stored_reference
from airflow_monitoring_provider.jobs.custom import profile_values
from airflow_monitoring_provider.jobs.finishing import instant_of
from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
from airflow_monitoring_provider.monitors.evaluate import Evaluation, evaluate
from airflow_monitoring_provider.monitors.thresholds import Rules
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes
from airflow_monitoring_provider.store.batch_store import BatchStore
from airflow_monitoring_provider.store.report_records import ServiceStats, StoredPart

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class DefinitionPart:
    """What one definition says of the rows selected.

    :param profile: of all these rows together.
    :param compared: there is a baseline to compare with.
    """

    definition: JobDefinition
    profile: Profile
    evaluation: Evaluation
    compared: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Selection:
    """Some batches of a deployment as one.

    :param earliest, latest: of the rows, None where they have no time.
    :param damaged: stored profiles that fail their checksum and are left out.
    """

    deployment_id: str
    batch_ids: tuple[str, ...]
    service: ServiceStats
    parts: tuple[DefinitionPart, ...]
    damaged: int

    @property
    def earliest(self) -> datetime | None:
        """First timestamp among the rows."""
        return min((at for part in self.parts if (at := instant_of(part.profile.earliest))), default=None)

    @property
    def latest(self) -> datetime | None:
        """Last timestamp among the rows."""
        return max((at for part in self.parts if (at := instant_of(part.profile.latest))), default=None)


def select_batches(store: BatchStore, deployment_id: str, batch_ids: Collection[str]) -> Selection:
    """Batches by their ids, in any order; one named twice counts once.

    :raises NotFound: a batch or the deployment is not there.
    :raises BatchLocked: a batch was deleted, and its predictions with it.
    :raises ConfigurationError: a batch belongs to another deployment.
    """
    store.deployment(deployment_id)
    chosen = tuple(dict.fromkeys(batch_ids))
    for batch_id in chosen:
        batch = store.batch(batch_id)
        if batch.deployment_id != deployment_id:
            raise ConfigurationError(f"batch {batch_id} belongs to another deployment")
        if batch.deleted_at is not None:
            raise BatchLocked(f"batch {batch_id} was deleted, and its predictions with it")
    return _selection(store, deployment_id, chosen)


def newest_batches(store: BatchStore, deployment_id: str, count: int, *, since: datetime | None = None) -> Selection:
    """The ``count`` batches whose predictions are the newest, of those that count in health: not those of ad hoc jobs.

    :param since: only those with predictions from then on; aware.
    :raises NotFound: there is no such deployment.
    """
    return _selection(store, deployment_id, store.newest_batches(deployment_id, count, since=since))


def _selection(store: BatchStore, deployment_id: str, batch_ids: tuple[str, ...]) -> Selection:
    profiles: dict[str, list[Profile]] = {}
    damaged = 0
    for stored in store.batch_profiles(batch_ids):
        profile = _whole(stored)
        if profile is None:
            damaged += 1
        else:
            profiles.setdefault(stored.definition_id, []).append(profile)
    return Selection(
        deployment_id=deployment_id,
        batch_ids=batch_ids,
        service=store.batch_service(batch_ids),
        parts=tuple(
            part
            for definition_id, held in sorted(profiles.items())
            if (part := _part(store, definition_id, held, batch_ids)) is not None
        ),
        damaged=damaged,
    )


def _whole(stored: StoredPart) -> Profile | None:
    try:
        return _unsegmented(from_bytes(stored.data, stored.content_hash))
    except CorruptData as error:  # the next run of its job heals it; the others must be seen meanwhile
        log.warning("A profile of definition %s is left out: %s", stored.definition_id, error)
        return None


def _unsegmented(profile: Profile) -> Profile:
    """The profile without its segments: where no baseline froze their levels, each batch has its own."""
    return dataclasses.replace(profile, plan=dataclasses.replace(profile.plan, segments=()), segments={})


def _part(
    store: BatchStore, definition_id: str, profiles: list[Profile], batch_ids: tuple[str, ...]
) -> DefinitionPart | None:
    definition = load_definition(store.definition(definition_id)[1])
    try:
        merged = profiles[0].merge(*profiles[1:])
    except ValueError as error:
        # The definition was edited so that earlier rows cannot be counted with later ones: the newest ones count.
        log.warning("Batches of definition %s before its last change are left out: %s", definition_id, error)
        merged = _newest_mergeable(profiles)
    known = store.baseline_candidates(definition_id)
    # What is looked at is one window of its own, and none of it is part of its baseline.
    windows = [each.window for each in known if each.batch_id in batch_ids and each.window is not None]
    own = Window.of(min(w.start for w in windows), max(w.end for w in windows)) if windows else None
    others = [each for each in known if each.batch_id not in batch_ids]
    baseline = stored_reference(definition, store, own, candidates=others).profile
    if baseline is not None:
        baseline = _unsegmented(baseline)
    values = compare(merged, baseline, ComparisonSettings.from_definition(definition))
    values += profile_values(definition, merged)
    return DefinitionPart(definition, merged, evaluate(values, Rules.from_definition(definition)), baseline is not None)


def _newest_mergeable(profiles: list[Profile]) -> Profile:
    merged = profiles[-1]
    for profile in reversed(profiles[:-1]):
        try:
            merged = profile.merge(merged)
        except ValueError:
            break
    return merged
