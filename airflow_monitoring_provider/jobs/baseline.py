"""Which profile a job is compared with, and how a reference data set is profiled once and kept.

A reference baseline is known by what it was made from (intake, range, columns, kinds, profile format): an edited
definition makes a new version, a retry finds the old one. The first-window baseline is no copy: it is the committed
profile of the job over the definition's first window.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Callable

import numpy as np

from airflow_monitoring_provider.definitions import (
    FirstWindowBaseline,
    JobDefinition,
    ReferenceBaseline,
    Window,
    first_window,
    job_id,
)
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, usable_cores
from airflow_monitoring_provider.engines.kinds import read_columns
from airflow_monitoring_provider.engines.plans import reference_plan
from airflow_monitoring_provider.engines.screen import Screen
from airflow_monitoring_provider.engines.segment_plans import with_segments
from airflow_monitoring_provider.exceptions import CorruptData, NotFound, Superseded
from airflow_monitoring_provider.intake.source import TimeFilter, open_stretches
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import Progress, told
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, from_bytes, to_bytes
from airflow_monitoring_provider.store.reader import StoreReader
from airflow_monitoring_provider.store.records import Baseline

log = logging.getLogger(__name__)

_DECIDING_FIELDS = {
    "features",
    "column_types",
    "monitoring_columns",
    "monitoring_output_settings",
    "passthrough_columns",
    "timestamp_column",
    "timestamp_timezone",
    "target_type",
    "positive_class",
    "prediction_threshold",
    "level_names",
    "csv_settings",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """What a job is compared with.

    :param profile: the baseline's profile, or None where there is none (yet); its plan freezes features and kinds.
    :param version: version of a reference baseline, snapshot revision of a first-window baseline.
    :param is_this_window: the job itself is the baseline.
    """

    profile: Profile | None = None
    version: int | None = None
    is_this_window: bool = False


def find_reference(definition: JobDefinition, window: Window, ports: Ports, progress: Progress) -> Reference:
    """The baseline of a job, made now where it is a reference data set that nobody has profiled yet.

    :raises SourceError: the reference data set is not what the definition says.
    """
    baseline = definition.baseline
    if isinstance(baseline, ReferenceBaseline):
        return _kept_reference(definition, baseline, ports, progress)
    if isinstance(baseline, FirstWindowBaseline):
        first = first_window(definition)
        if first.key() == window.key():
            return Reference(is_this_window=True)
        return stored_first_window(definition, ports.store, progress.note)
    return Reference()


def stored_reference(definition: JobDefinition, store: StoreReader) -> Reference:
    """The baseline that the store holds by now; nothing is read or made."""
    baseline = definition.baseline
    if isinstance(baseline, ReferenceBaseline):
        return _loaded(store.load_baseline(definition.id, baseline_key(definition, baseline))) or Reference()
    if isinstance(baseline, FirstWindowBaseline):
        return stored_first_window(definition, store)
    return Reference()


def stored_first_window(
    definition: JobDefinition, store: StoreReader, note: Callable[[str], None] = lambda text: None
) -> Reference:
    """The committed profile of the definition's first window, or nothing where that job has not completed yet.

    A damaged one counts as absent, which ``note`` is told: its rows are not ours to read again, but running that
    window's job again heals it, and then what was compared with nothing meanwhile.
    """
    first = job_id(definition.id, first_window(definition))
    try:
        stored = store.load_profile(first)
    except NotFound:
        return Reference()
    if stored is None:
        return Reference()
    try:
        return Reference(profile=from_bytes(stored.data, stored.content_hash), version=stored.revision)
    except CorruptData as error:
        text = f"no baseline: the profile of the first window is damaged; run its job {first} again. {error}"
        log.warning("Definition %s has %s", definition.id, text)
        note(text)
        return Reference()


def baseline_key(definition: JobDefinition, baseline: ReferenceBaseline) -> str:
    """SHA-256, as hex, of everything that decides what the reference profile holds."""
    fields = _DECIDING_FIELDS if definition.segments else _DECIDING_FIELDS - {"segments"}  # keys of old are kept
    parts = {
        "baseline": baseline.model_dump(mode="json"),
        "format": FORMAT_VERSION,
        **definition.model_dump(mode="json", include=fields),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def profile_reference(
    definition: JobDefinition, baseline: ReferenceBaseline, ports: Ports, progress: Progress
) -> Profile:
    """Profile the reference data set; it may lack predictions, actuals and identifiers, but not the features."""
    source = ports.source(definition, baseline.intake_settings, ())
    schema = source.schema()
    plan = reference_plan(definition, schema, source.label)
    screen = Screen(plan)
    window = None
    if baseline.start is not None or baseline.end is not None:
        window = TimeFilter(
            column=str(definition.timestamp_column),
            start=baseline.start,
            end=baseline.end,
            timezone=definition.timestamp_timezone,
        )
    plan = with_segments(definition, plan, source, schema, window, lacking="leave out")
    with (
        open_stretches(source, read_columns(plan), window) as stretches,
        ProfileBuilder(plan, threads=usable_cores()) as builder,
    ):
        names = tuple(dict.fromkeys([*builder.row_columns, *screen.columns]))
        for stretch in stretches:
            seen = []
            for batch in stretch.read(names, encoded=frozenset(builder.row_columns)):
                progress.rows(0, 0)
                statuses = screen.statuses(batch)
                builder.see(batch, statuses)
                seen.append(statuses)
            builder.count(stretch, np.concatenate(seen))
        return builder.finish()


def _kept_reference(
    definition: JobDefinition, baseline: ReferenceBaseline, ports: Ports, progress: Progress
) -> Reference:
    store, key = ports.store, baseline_key(definition, baseline)
    kept = _loaded(store.load_baseline(definition.id, key))
    if kept is not None:
        return kept
    claim = store.claim_baseline(definition.id, key)
    try:
        profile = profile_reference(definition, baseline, ports, progress)
    except Exception as error:
        store.fail_baseline(claim, told(error))
        raise
    if not profile.rows:  # kept, it would say for ever that there is nothing to compare with
        reason = "the reference data set has no rows; check its intake, start and end"
        store.fail_baseline(claim, reason)
        progress.note(f"no baseline: {reason}")
        return Reference()
    try:
        version = store.commit_baseline(
            claim,
            profile_bytes=to_bytes(profile),
            content_hash=profile.content_hash(),
            plan_hash=profile.plan.digest(),
            plan=profile.plan.to_dict(),
            format_version=FORMAT_VERSION,
            rows=profile.rows,
            window=(baseline.start, baseline.end),
        )
    except Superseded:  # another job made the same baseline meanwhile, and jobs are compared with that one
        return _loaded(store.load_baseline(definition.id, key)) or Reference(profile=profile)
    log.info("Profiled the baseline of %s: %d rows, version %d", definition.id, profile.rows, version)
    return Reference(profile=profile, version=version)


def _loaded(kept: Baseline | None) -> Reference | None:
    """The stored baseline; a damaged one counts as absent, and is made again."""
    if kept is None:
        return None
    try:
        return Reference(profile=from_bytes(kept.profile_bytes, kept.content_hash), version=kept.version)
    except CorruptData as error:
        log.warning("Version %d of the baseline of %s is made again: %s", kept.version, kept.definition_id, error)
        return None
